"""Whether PDs are as large as the bad rates that follow: accuracy, recalibration, the table by band.

Ranking alone is discrimination.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.score_table import Floats, LoanMetric, ScoreTable, tabulate
from pdx_assets.risk.metrics.weights import ClassWeights

CLIP = float(np.finfo(np.float64).eps)
"""PDs enter the log loss no nearer to 0 or 1 than this, so one certain and wrong PD costs 36, not infinity."""

LOGIT_CLIP = 2.0**-24
"""PDs are recalibrated no nearer to 0 or 1 than float32, in which models score, comes to 1 (6e-8).

Nearer, one certain and wrong PD would have all the leverage and the likelihood would be flat to rounding.
"""

_MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class Band:
    """One row of a calibration table.

    Attributes:
        pd_from: lowest PD in the band.
        pd_to: highest PD in the band, inclusive.
        n_loans: number of loans.
        weight: their total weight.
        effective_size: behind the bad rate (:meth:`ClassWeights.rate_size`); the number of loans when unweighted.
        test_size: behind bad rate less mean PD, were the PDs right (:func:`_test_size`); likewise.
        mean_pd: weighted mean PD: the bad rate expected.
        bad_rate: weighted bad rate observed.
        bad_rate_low: lower end of its Wilson interval on ``effective_size``.
        bad_rate_high: upper end.
    """

    pd_from: float
    pd_to: float
    n_loans: int
    weight: float
    effective_size: float
    test_size: float
    mean_pd: float
    bad_rate: float
    bad_rate_low: float
    bad_rate_high: float


@LoanMetric
def brier(table: ScoreTable) -> float | None:
    """Brier score: weighted mean of (PD - label)^2.

    In [0, 1], lower is better; always predicting the bad rate b costs b (1 - b). Defined on one class;
    None without loans. Source: Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2; BCBS
    Working Paper 14 (2005), chapter III.
    """
    total = float(table.weight.sum())
    if total == 0:
        return None
    return float((table.bads * (1 - table.pd) ** 2 + table.goods * table.pd**2).sum()) / total


@LoanMetric
def log_loss(table: ScoreTable) -> float | None:
    """Logarithmic loss (binary cross-entropy): weighted mean of -ln(PD) of bads and -ln(1 - PD) of goods.

    In [0, 36.05], lower is better; PDs are clipped to [2.2e-16, 1 - 2.2e-16]. Defined on one class; None
    without loans. Source: Good 1952, doi:10.1111/j.2517-6161.1952.tb00104.x.
    """
    total = float(table.weight.sum())
    if total == 0:
        return None
    pd = np.clip(table.pd, CLIP, 1 - CLIP)
    return -float((table.bads * np.log(pd) + table.goods * np.log1p(-pd)).sum()) / total


@LoanMetric
def calibration_intercept(table: ScoreTable) -> float | None:
    """Calibration in the large: the a that makes mean sigmoid(logit(PD) + a) the bad rate.

    The maximum-likelihood intercept of a logistic regression of the label with logit(PD) as offset, its
    slope held at 1. Any real number; 0 is right on average, above 0 the PDs are too low (0.1 is about
    10 % too few bads expected). None on one class, where it would be infinite. PDs are clipped by
    ``LOGIT_CLIP``. Source: Cox 1958, doi:10.1093/biomet/45.3-4.562; Steyerberg et al. 2010,
    doi:10.1097/EDE.0b013e3181c30fb2.
    """
    if not table.has_both_classes:
        return None
    x, weight = logit(table.pd), table.weight
    target = float(np.log(table.total_bads) - np.log(table.total_goods))
    # With every PD moved to or beyond the bad rate the excess has a known sign: the root lies between.
    low, high = target - float(x.max()), target - float(x.min())
    a = (low + high) / 2
    for _ in range(_MAX_STEPS):
        p, q = _sigmoid(x + a), _sigmoid(-x - a)
        # Not sum(weight p) - bads: with PDs near 0 and 1 that cancels to noise, and the root is lost.
        excess = float((table.goods * p).sum()) - float((table.bads * q).sum())
        low, high = (low, a) if excess > 0 else (a, high)
        slope = float((weight * p * q).sum())
        step = excess / slope if slope > 0 else np.inf
        following = a - step if low <= a - step <= high else (low + high) / 2
        if abs(following - a) <= 1e-14 * max(1.0, abs(a)):
            return following
        a = following
    return a


@LoanMetric
def calibration_slope(table: ScoreTable) -> float | None:
    """Calibration slope: the b of a logistic regression of the label on a + b logit(PD).

    Any real number; 1 is right, below 1 the PDs are too spread out (as of an overfitted model), above 1
    too timid. Found by damped Newton steps on the likelihood. None on one class, when all PDs are equal,
    or when one PD separates bads from goods (the estimate would be infinite). PDs are clipped by
    ``LOGIT_CLIP``. Source: Cox 1958, doi:10.1093/biomet/45.3-4.562; Van Calster et al. 2016,
    doi:10.1016/j.jclinepi.2015.12.005.
    """
    if not table.has_both_classes:
        return None
    x = logit(table.pd)
    of_bads, of_goods = x[table.bads > 0], x[table.goods > 0]
    if of_goods.max() <= of_bads.min() or of_bads.max() <= of_goods.min():
        return None
    weight = table.weight / table.weight.sum()
    bads = table.bads / table.weight.sum()
    # Centred and scaled, the Newton steps are well conditioned even for PDs that hardly differ.
    centred = x - float((weight * x).sum())
    scale = float(np.sqrt((weight * centred**2).sum()))
    b = _logistic_slope(centred / scale, bads, weight)
    return None if b is None else b / scale


def calibration_table(
    label: ArrayLike,
    pd: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    bands: int = 10,
    edges: Sequence[float] | None = None,
    level: float = 0.95,
) -> tuple[Band, ...]:
    """Expected and observed bad rates by score band, from the safest band to the riskiest.

    By default ``bands`` of about equal weight; loans of equal PD are never parted, so there can be fewer.
    With ``edges`` (ascending PDs, such as the bounds of rating grades) band i holds the PDs in
    (edges[i-1], edges[i]], open at both ends of the scale. Empty bands are left out.

    Args:
        label: (n,) 1 bad, 0 good.
        pd: (n,) in [0, 1].
        weight: (n,) or None.
        bands: how many, at least 1.
        edges: bounds to use instead.
        level: of the interval around the bad rate.

    Raises:
        PdxError: ``bands`` below 1, or ``edges`` that do not ascend.

    Source: PDs against observed default rates by grade are what EBA/GL/2017/16, chapter 5, asks to be
    calibrated; the interval is Wilson's, doi:10.1080/01621459.1927.10502953, good at low bad rates.
    """
    table = tabulate(label, pd, weight)
    w = table.weight
    if edges is not None:
        bounds = np.asarray(edges, dtype=np.float64)
        if np.any(np.diff(bounds) <= 0):
            raise PdxError(f"edges are {list(edges)}.", expected="strictly ascending PDs")
        band = np.searchsorted(bounds, table.pd, side="left")
    else:
        if bands < 1:
            raise PdxError(f"bands is {bands}.", expected="at least 1")
        middle = (np.cumsum(w) - w / 2) / w.sum() if w.size else w
        band = np.minimum((middle * bands).astype(np.int64), bands - 1)
    whole = _weights(table)
    return tuple(_band(table, band == i, whole, level) for i in np.unique(band))


def wilson_interval(rate: float, size: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share ``rate`` seen on ``size`` (effective) loans, ``size`` above 0.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (rate + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * float(np.sqrt(rate * (1 - rate) / size + z * z / (4 * size * size)))
    return min(max(centre - half, 0.0), rate), max(min(centre + half, 1.0), rate)


def _weights(table: ScoreTable, rows: np.ndarray | slice = slice(None)) -> ClassWeights:
    columns = (table.bads, table.goods, table.bad_squares, table.good_squares)
    return ClassWeights(*(float(column[rows].sum()) for column in columns))


def _test_size(pd: Floats, weight: Floats, of_class: ClassWeights, whole: ClassWeights) -> float:
    """Loans of an unweighted sample in which bad rate less mean PD would be as uncertain, were the PDs right.

    W sum w s (1 - s) / (u_b sum w s (1 - s)^2 + u_g sum w (1 - s) s^2), with s the PDs and u the burdens of bads and
    goods: under the PDs a loan is bad with probability s and adds w (1 - s) to the difference, good with 1 - s and
    takes away w s. With one PD it is ``rate_size`` at that PD; where PDs are spread and a good stands for many, the
    riskiest goods decide, and it is smaller.
    """
    of_bads, of_goods = of_class.burdens(whole)
    if of_bads == of_goods:
        return float(weight.sum()) / of_bads
    at_bads = float((weight * pd * (1 - pd) ** 2).sum())
    at_goods = float((weight * (1 - pd) * pd**2).sum())
    if at_bads + at_goods == 0:
        return of_class.rate_size(whole)
    return float(weight.sum()) * (at_bads + at_goods) / (of_bads * at_bads + of_goods * at_goods)


def _band(table: ScoreTable, rows: np.ndarray, whole: ClassWeights, level: float) -> Band:
    pd, bads, w = table.pd[rows], table.bads[rows], table.weight[rows]
    of_class = _weights(table, rows)
    weight = float(w.sum())
    size = of_class.rate_size(whole)
    bad_rate = float(bads.sum()) / weight
    low, high = wilson_interval(bad_rate, size, level)
    return Band(
        pd_from=float(pd[0]),
        pd_to=float(pd[-1]),
        n_loans=int(table.loans[rows].sum()),
        weight=weight,
        effective_size=size,
        test_size=_test_size(pd, w, of_class, whole),
        mean_pd=float((pd * w).sum()) / weight,
        bad_rate=bad_rate,
        bad_rate_low=low,
        bad_rate_high=high,
    )


def _logistic_slope(x: Floats, bads: Floats, weight: Floats) -> float | None:
    """b of label ~ a + b x by Newton; ``bads`` out of ``weight`` at each x, neither class empty."""
    share = float(bads.sum())
    a, b = float(np.log(share) - np.log(1 - share)), 0.0
    likelihood = _log_likelihood(a + b * x, bads, weight)
    for _ in range(_MAX_STEPS):
        p, q = _sigmoid(a + b * x), _sigmoid(-a - b * x)
        residual, information = bads * q - (weight - bads) * p, weight * p * q
        g0, g1 = float(residual.sum()), float((x * residual).sum())
        h0, h1, h2 = (float((information * x**power).sum()) for power in (0, 1, 2))
        determinant = h0 * h2 - h1 * h1
        if not determinant > 0:
            return None
        step_a, step_b = (h2 * g0 - h1 * g1) / determinant, (h0 * g1 - h1 * g0) / determinant
        # A full step can overshoot; the likelihood is concave, so halving always finds a way up.
        for _ in range(60):
            following = _log_likelihood(a + step_a + (b + step_b) * x, bads, weight)
            if following >= likelihood - 1e-14 * abs(likelihood):
                break
            step_a, step_b = step_a / 2, step_b / 2
        a, b, likelihood = a + step_a, b + step_b, following
        # Newton squares its error: what is left after such a step is below 1e-16.
        if abs(step_a) + abs(step_b) <= 1e-9 * (1 + abs(a) + abs(b)):
            return b
    return None


def _log_likelihood(eta: Floats, bads: Floats, weight: Floats) -> float:
    return float((bads * eta - weight * (np.maximum(eta, 0) + np.log1p(np.exp(-np.abs(eta))))).sum())


def logit(pd: Floats) -> Floats:
    """ln(pd / (1 - pd)), (n,), of PDs no nearer to 0 or 1 than ``LOGIT_CLIP``."""
    clipped = np.clip(pd, LOGIT_CLIP, 1 - LOGIT_CLIP)
    return np.log(clipped) - np.log1p(-clipped)


def _sigmoid(x: Floats) -> Floats:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1 + small)
