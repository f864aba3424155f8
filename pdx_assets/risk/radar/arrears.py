"""What has happened to the month's own loans so far, and what it says of the rest.

A young cohort's loans are partly observed: some have turned bad, the others stand so far. With the clock of
exposure.py, a loan that stands after the share *u* of the clock turns bad in what is left with chance
1 - (1 - PD) ** (1 - u), and says as much of its PD as a good loan of weight *u*. So the month's own loans calibrate
its own score, whatever other months say; and what they have done already needs no estimate at all: as the clock runs
out, the estimate becomes the figure itself.

Sources: those of exposure.py; Prentice and Gloeckler 1978, doi:10.2307/2529588.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdx_assets.risk.radar.confidence import Calibration, Estimate, Floats, Outlook, calibrate, log_odds, outlook


@dataclass(frozen=True, eq=False)
class Seen:
    """The month's own loans on a day.

    Attributes:
        bad: (n,) whether the loan has turned bad.
        month: (n,) the month on book in which it did, or the last one seen.
        clock: u_0 .. u_H (exposure.clock) of cohorts seen through the horizon.
        clock_bads: bads behind that clock: how surely it is known.
    """

    bad: NDArray[np.bool_]
    month: NDArray[np.int32]
    clock: Floats
    clock_bads: float

    @property
    def passed(self) -> Floats:
        """Share of the clock that has passed for each loan, (n,); 1 for one that has turned bad."""
        return np.where(self.bad, 1.0, self.clock[self.month])

    @property
    def share(self) -> float:
        """Share of the clock that has passed for the loans that stand, on average; 1 where none stands."""
        standing = ~self.bad
        return float(self.clock[self.month[standing]].mean()) if standing.any() else 1.0

    def faster(self) -> Seen:
        """The same with the clock one standard error ahead: u_k is the share of the bads seen by month *k*."""
        error = np.sqrt(self.clock * (1 - self.clock) / max(self.clock_bads, 1.0))
        return Seen(self.bad, self.month, np.minimum(self.clock + error, 1.0), self.clock_bads)


def by_arrears(pd: Floats, seen: Seen, weight: Floats | None = None) -> Outlook | None:
    """AUC and bad rate to come from the month's own loans alone; None while no clock has passed.

    Args:
        pd: (n,) the champion's scores.
        seen: how the same loans stand.
        weight: (n,) sample weights or None.
    """
    if seen.share <= 0:
        return None
    return with_prior(pd, seen, Calibration.unsure(float(log_odds(pd).mean())), weight)


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
    own = calibrate(pd, seen.bad, prior=prior, exposure=passed, weight=weight)
    p = np.minimum(own.pds(pd), 1 - 1e-12)
    left = np.where(seen.bad, 0.0, 1 - passed)
    stands = (1 - p) ** left
    chance = np.where(seen.bad, 1.0, 1 - stands)
    # d chance / d PD = left (1 - PD) ** (left - 1), and d PD / d parameters = PD (1 - PD) design.
    slopes = own.design(pd) * (left * stands * p)[:, None]
    return outlook(pd, chance, slopes, own.covariance, weight)
