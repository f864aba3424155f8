"""What a score's own PDs say of its AUC and of the bad rate, once they are calibrated, and how surely.

The month's loans have scores and no labels. Labelled loans of other months say which PD a score really means: a line
in log-odds. With calibrated PDs the AUC and the bad rate to come can be counted in expectation: confidence-based
performance estimation. Two things are unsure: the line, and which loans turn bad; both are in the standard error, so
that an interval is one for the figure that will be measured, not for its mean.

Sources: Guillory et al. 2021, arXiv:2107.03315 and Garg et al. 2022, arXiv:2201.04234 (accuracy on unlabelled data
from confidence); Cox 1958, doi:10.1093/biomet/45.3-4.562 (the line); Huber 1967, "The behavior of maximum likelihood
estimates under nonstandard conditions" (its covariance); DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595
(placements).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.auc_error import share_below
from pdx_assets.risk.metrics.calibration import logit

Floats = NDArray[np.float64]
LEVEL = 0.90
"""Of the intervals: the share of months whose realized figure they are to hold."""
_MAX_STEPS = 100
# A calibration nobody has measured: level right to a factor e, slope 1 give or take a half.
_UNSURE = np.diag([1.0, 0.25])


@dataclass(frozen=True, eq=False)
class Calibration:
    """log-odds(PD) = origin + level + slope (log-odds(score) - origin): level 0 and slope 1 leave a score as it is.

    Attributes:
        origin: log-odds at which the level is measured; the mean of the month's, so that level and slope hardly
            depend on each other.
        center: level and slope, (2,).
        covariance: of both, (2, 2).
    """

    origin: float
    center: Floats
    covariance: Floats

    @classmethod
    def unsure(cls, origin: float) -> Calibration:
        """Before anything is measured."""
        return cls(origin, np.array([0.0, 1.0]), _UNSURE.copy())

    def design(self, pd: Floats) -> Floats:
        """What level and slope are multiplied by, (n, 2)."""
        return np.column_stack([np.ones(len(pd)), logit(pd) - self.origin])

    def pds(self, pd: Floats) -> Floats:
        """Calibrated PDs, (n,)."""
        from scipy.special import expit

        found: Floats = expit(self.origin + self.design(pd) @ self.center)
        return found

    def widened(self, level: float, slope: float) -> Calibration:
        """The same with the standard errors of level and slope that many times as large."""
        scale = np.array([level, slope])
        return replace(self, covariance=self.covariance * np.outer(scale, scale))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure that will be realized.

    Attributes:
        value: expected.
        standard_error: of the realized figure about it.
        noise: the part of it that which loans turn bad brings, were every PD known.
    """

    value: float
    standard_error: float
    noise: float

    def interval(self, widening: float = 1.0, level: float = LEVEL) -> tuple[float, float]:
        """A normal interval, cut to [0, 1]; ``widening`` times as wide."""
        reach = NormalDist().inv_cdf((1 + level) / 2) * widening * self.standard_error
        return max(0.0, self.value - reach), min(1.0, self.value + reach)


@dataclass(frozen=True, slots=True)
class Outlook:
    """AUC and bad rate to come of one month.

    Attributes:
        auc: None where fewer than two bads or two goods are expected.
        bads: expected, in loans.
    """

    auc: Estimate | None
    bad_rate: Estimate
    bads: float


def calibrate(
    pd: Floats,
    bad: NDArray[np.bool_],
    *,
    prior: Calibration,
    passed: Floats | None = None,
    weight: Floats | None = None,
    importance: Floats | None = None,
) -> Calibration:
    """The line of a score on loans whose outcome is known, or known in part, joined with what was known before.

    The mode of a normal prior times a weighted likelihood, with the covariance of an estimate whose weights are not
    counts: (H + P)^-1 (J + P) (H + P)^-1, P the prior's precision, H the likelihood's expected curvature and J the
    variance of its slope. Where all weights are 1 that is (H + P)^-1. Weights are scaled so that J and H agree on the
    level: scale-free, and the prior meets as much evidence as there is. The likelihood is that of having turned bad
    by now, with chance 1 - (1 - PD) ** u after the share *u* of the clock: the logistic one where it has run out.

    Args:
        pd: (n,) scores.
        bad: (n,) whether the loan has turned bad.
        prior: what was known before.
        passed: (n,) share of the clock that has passed, above 0 (arrears.py); None where all outcomes are complete.
        weight: (n,) sample weights, which may depend on the outcome; None: all 1.
        importance: (n,) weights that depend on the application only (importance.py); None: all 1.
    """
    u = np.ones(len(pd)) if passed is None else np.asarray(passed, np.float64)
    x = prior.design(pd)
    v = np.ones(len(pd)) if importance is None else np.asarray(importance, np.float64)
    w = v if weight is None else v * np.asarray(weight, np.float64)
    precision = np.linalg.inv(prior.covariance)

    def at(theta: Floats) -> tuple[Floats, Floats, Floats]:
        """Per loan: slope of the log-likelihood by the log-odds, its expected curvature, variance of the slope."""
        p = _expit(prior.origin + x @ theta)
        stands = np.exp(u * _expit_log(-(prior.origin + x @ theta)))
        turned = np.maximum(1 - stands, 1e-300)
        slope = u * p * np.where(bad, stands / turned, -1.0)
        curvature = u**2 * p**2 * stands / turned
        # Sample weights may follow the outcome: there the slopes themselves say how much they vary.
        return slope, curvature, slope**2 if weight is not None else curvature

    _, curvature, variance = at(prior.center)
    spread = float((w**2 * variance).sum())
    w = w * (float((w * curvature).sum()) / spread if spread > 0 else 0.0)
    theta = prior.center.copy()
    for _ in range(_MAX_STEPS):
        slope, curvature, variance = at(theta)
        matrix = (x * (w * curvature)[:, None]).T @ x + precision
        step = np.linalg.solve(matrix, x.T @ (w * slope) - precision @ (theta - prior.center))
        # Far from the mode a full step overshoots: the likelihood is nearly straight there.
        theta = theta + step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-300))
        if np.abs(step).max() < 1e-9:
            break
    else:
        raise PdxError(f"A calibration did not settle in {_MAX_STEPS} steps.", expected="finite PDs, bads and weights")
    inverse = np.linalg.inv(matrix)
    middle = (x * (w**2 * variance)[:, None]).T @ x + precision
    return Calibration(prior.origin, theta, inverse @ middle @ inverse)


def _expit_log(x: Floats) -> Floats:
    found: Floats = -np.logaddexp(0.0, -x)
    return found


def _expit(x: Floats) -> Floats:
    from scipy.special import expit

    found: Floats = expit(x)
    return found


def by_confidence(pd: Floats, calibration: Calibration, weight: Floats | None = None) -> Outlook:
    """AUC and bad rate to come of loans of which nothing is known but their score.

    Args:
        pd: (n,) the champion's scores of the month's loans.
        calibration: from labelled loans of other months.
        weight: (n,) sample weights or None.
    """
    p = calibration.pds(pd)
    return outlook(pd, p, calibration.design(pd) * (p * (1 - p))[:, None], calibration.covariance, weight)


def outlook(pd: Floats, chance: Floats, slopes: Floats, covariance: Floats, weight: Floats | None = None) -> Outlook:
    """AUC and bad rate of loans that turn bad with given chances, each by itself.

    The expected AUC is expected concordant pairs over expected pairs of a bad and a good, a loan not paired with
    itself. Its variance, and the bad rate's, is by the delta method: sum of chance (1 - chance) times the squared
    influence of a loan, plus what unsure chances bring.

    Args:
        pd: (n,) scores that rank; ties count half.
        chance: (n,) of turning bad; 1 for a loan that has.
        slopes: (n, 2) derivatives of the chances by the parameters they rest on.
        covariance: (2, 2) of those.
        weight: (n,) or None.
    """
    w = np.ones(len(pd)) if weight is None else np.asarray(weight, np.float64)
    rate = float((w * chance).sum() / w.sum())
    doubt = chance * (1 - chance)
    bad_rate = _estimate(rate, w / w.sum(), doubt, slopes, covariance)
    bads = float(chance.sum())
    if bads < 2 or len(pd) - bads < 2:
        return Outlook(None, bad_rate, bads)
    b, g = w * chance, w * (1 - chance)
    below = share_below(pd, pd, g)
    above = 1 - share_below(pd, pd, b)
    # A loan meets itself in these sums, as half a concordant pair.
    itself = float((w**2 * doubt).sum())
    area = (float((b * below).sum()) * g.sum() - itself / 2) / (b.sum() * g.sum() - itself)
    influence = w * ((below - area) / b.sum() - (above - area) / g.sum())
    return Outlook(_estimate(float(area), influence, doubt, slopes, covariance), bad_rate, bads)


def _estimate(value: float, influence: Floats, doubt: Floats, slopes: Floats, covariance: Floats) -> Estimate:
    noise = float((doubt * influence**2).sum())
    by_parameter = influence @ slopes
    return Estimate(value, float(np.sqrt(noise + by_parameter @ covariance @ by_parameter)), float(np.sqrt(noise)))
