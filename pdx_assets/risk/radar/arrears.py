"""What has happened to the month's own loans so far, and what it says of the rest.

A young cohort's loans are partly observed: some have turned bad, the others stand so far. One clock runs for all of
them from 0 to 1 over the horizon (proportional hazards in grouped time): a loan has turned bad once the share *u* has
passed with chance 1 - (1 - PD) ** u, and one that stands then turns bad in what is left with chance
1 - (1 - PD) ** (1 - u). So the month's own loans calibrate its own score, whatever other months say; and what they
have done already needs no estimate at all: as the clock runs out, the estimate becomes the figure itself.

Only the label's own event is looked at. A loan paid off goes on standing, as everywhere (exposure.py).

Sources: Prentice and Gloeckler 1978, doi:10.2307/2529588 (grouped time); Breslow 1974, doi:10.2307/2529620 (the
clock: a baseline hazard).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.metrics.calibration import logit
from pdx_assets.risk.radar.confidence import Calibration, Estimate, Floats, Outlook, calibrate, outlook


@dataclass(frozen=True, eq=False)
class Seen:
    """The month's own loans on a day.

    Attributes:
        bad: (n,) whether the loan has turned bad.
        age: (n,) the last month on book seen of loans made when it was, bad or not; at most H.
        clock: u_0 .. u_H of cohorts seen through the horizon (:func:`baseline`).
        clock_bads: bads behind that clock: how surely it is known.
    """

    bad: NDArray[np.bool_]
    age: NDArray[np.int32]
    clock: Floats
    clock_bads: float

    @property
    def passed(self) -> Floats:
        """Share of the clock that has passed for each loan, (n,).

        Bads before the clock's own cohorts had any make it start a little earlier than they did.
        """
        found = self.clock[self.age]
        return np.where(self.bad, np.maximum(found, 1 / (self.clock_bads + 1)), found)

    @property
    def share(self) -> float:
        """Share of the clock that has passed for the month's loans, on average."""
        return float(self.clock[self.age].mean())

    def faster(self) -> Seen:
        """The same with the clock one standard error ahead: u_k is the share of the bads seen by month *k*."""
        error = np.sqrt(np.clip(self.clock * (1 - self.clock), 0.0, None) / max(self.clock_bads, 1.0))
        return Seen(self.bad, self.age, np.minimum(self.clock + error, 1.0), self.clock_bads)


def baseline(
    pd: Floats, bad: NDArray[np.bool_], month: NDArray[np.int32], horizon: int, weight: Floats | None
) -> Floats:
    """The clock u_0 .. u_H, (H + 1,): 0, non-decreasing, 1.

    The share of the cumulative baseline hazard by month on book: bads in a month over the sum of -ln(1 - PD) of the
    loans that stood until then, added up. By PD, because the riskiest leave first: a life table of all loans alike
    runs ahead of the clock, the more the higher and the more spread the PDs.

    Args:
        pd: (n,) calibrated PDs of loans seen through the horizon.
        bad: (n,).
        month: (n,) month on book in which a bad one turned bad, 1 .. H; not looked at of others.
        horizon: H.
        weight: (n,) sample weights or None.

    Raises:
        TrainingError: nobody turned bad: there is no clock.
    """
    w = np.ones(len(pd)) if weight is None else np.asarray(weight, np.float64)
    if not bad.any():
        raise TrainingError(
            f"None of {len(pd)} loans turned bad: there is nothing to time arrears by.",
            expected="bads among the labelled loans that the champion did not learn from",
            remedy="widen windows.otv",
        )
    last = np.where(bad, month, horizon)
    risk = np.bincount(last, weights=-w * np.log1p(-np.minimum(pd, 1 - 1e-12)), minlength=horizon + 1)
    at_risk = risk[::-1].cumsum()[::-1]
    turned = np.bincount(last[bad], weights=w[bad], minlength=horizon + 1)
    steps = np.divide(turned, at_risk, out=np.zeros(horizon + 1), where=at_risk > 0)
    steps[0] = 0.0
    found: Floats = np.cumsum(steps) / steps.sum()
    return np.minimum(found, 1.0)


def by_arrears(pd: Floats, seen: Seen, weight: Floats | None = None) -> Outlook | None:
    """AUC and bad rate to come from the month's own loans alone; None while no clock has passed.

    Args:
        pd: (n,) the champion's scores.
        seen: how the same loans stand.
        weight: (n,) sample weights or None.
    """
    if seen.share <= 0:
        return None
    return with_prior(pd, seen, Calibration.unsure(float(logit(pd).mean())), weight)


def with_prior(pd: Floats, seen: Seen, prior: Calibration, weight: Floats | None = None) -> Outlook:
    """AUC and bad rate to come, given what was known of the score before, and how the loans stand.

    How far off the clock may be adds to the standard error: the same with a clock one standard error ahead.
    """
    found, moved = _once(pd, seen, prior, weight), _once(pd, seen.faster(), prior, weight)
    bad_rate = _with(found.bad_rate, moved.bad_rate.value)
    auc = found.auc if found.auc is None or moved.auc is None else _with(found.auc, moved.auc.value)
    return Outlook(auc, bad_rate, found.bads)


def _with(estimate: Estimate, moved: float) -> Estimate:
    error = float(np.hypot(estimate.standard_error, moved - estimate.value))
    return Estimate(estimate.value, error, estimate.noise)


def _once(pd: Floats, seen: Seen, prior: Calibration, weight: Floats | None) -> Outlook:
    passed = seen.passed
    own = calibrate(pd, seen.bad, prior=prior, passed=passed, weight=weight)
    p = np.minimum(own.pds(pd), 1 - 1e-12)
    left = np.where(seen.bad, 0.0, 1 - passed)
    stands = (1 - p) ** left
    chance = np.where(seen.bad, 1.0, 1 - stands)
    # d chance / d PD = left (1 - PD) ** (left - 1), and d PD / d parameters = PD (1 - PD) design.
    slopes = own.design(pd) * (left * stands * p)[:, None]
    return outlook(pd, chance, slopes, own.covariance, weight)
