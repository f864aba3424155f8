"""The standard error of an AUC, and of the difference between two on the same loans.

By DeLong's placements: no draws, so that a check costs milliseconds. Bootstrap intervals are in comparison.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdx_assets.risk.metrics.score_table import Floats, checked
from pdx_assets.risk.metrics.weights import effective_sizes

MIN_CLASS = 10
"""With fewer (effective) bads or goods the normal approximation is not to be trusted."""


@dataclass(frozen=True, slots=True)
class AucEstimate:
    """An AUC, or a difference of two, and its standard error.

    Attributes:
        value: in [0, 1], a difference in [-1, 1].
        standard_error: 0 where all loans agree (perfect separation, equal models).
        bads, goods: Kish's effective sizes.
    """

    value: float
    standard_error: float
    bads: float
    goods: float


def auc_estimate(
    label: ArrayLike, pd: ArrayLike, other_pd: ArrayLike | None = None, weight: ArrayLike | None = None
) -> AucEstimate | None:
    """AUC(pd), or AUC(pd) - AUC(other_pd) on the same loans, with DeLong's standard error.

    A bad's placement is the weighted share of goods below it (ties half), a good's the share of bads above it; the
    variance of the AUC is that of the bads' placements over their number plus the same of the goods. For a
    difference the placements are subtracted loan by loan, so that what two models share cancels. Weighted variances
    and Kish's effective sizes where loans are weighted. None with fewer than two effective bads or goods.

    Args:
        label: (n,) 1 bad, 0 good.
        pd: (n,) in [0, 1].
        other_pd: (n,) or None.
        weight: (n,) or None.

    Raises:
        PdxError: labels, PDs or weights that cannot be.

    Source: DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595.
    """
    bad, pds, weights = checked(label, pd, weight)
    sizes = effective_sizes(bad, weights)
    if min(sizes.bads, sizes.goods) < 2:
        return None
    w = np.ones(bad.size) if weights is None else weights
    of_bads, of_goods = placements(bad, pds, w)
    if other_pd is not None:
        others_of_bads, others_of_goods = placements(bad, checked(label, other_pd)[1], w)
        of_bads, of_goods = of_bads - others_of_bads, of_goods - others_of_goods
    value = float((of_bads * w[bad]).sum() / w[bad].sum())
    variance = _variance(of_bads, w[bad]) / (sizes.bads - 1) + _variance(of_goods, w[~bad]) / (sizes.goods - 1)
    return AucEstimate(value, float(np.sqrt(variance)), sizes.bads, sizes.goods)


def expected_error(area: float, bads: float, goods: float) -> float:
    """Standard error of an AUC from its size and the class sizes alone, where the loans are not at hand.

    A (1 - A) + (b - 1)(Q1 - A^2) + (g - 1)(Q2 - A^2), over b g, with Q1 = A / (2 - A) and Q2 = 2 A^2 / (1 + A). Source:
    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.

    Args:
        area: the AUC, in [0, 1].
        bads, goods: counts or effective sizes, at least 1.
    """
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (bads - 1) * (q1 - area**2) + (goods - 1) * (q2 - area**2)
    return float(np.sqrt(max(spread, 0.0) / (bads * goods)))


def placements(bad: NDArray[np.bool_], pd: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Of each bad the weighted share of goods below it, of each good the share of bads above it; ties half.

    Args:
        bad: (n,) whether the loan is bad, both kinds present.
        pd, weight: (n,).
    """
    return (
        share_below(pd[bad], pd[~bad], weight[~bad]),
        1 - share_below(pd[~bad], pd[bad], weight[bad]),
    )


def share_below(values: Floats, others: Floats, weight: Floats) -> Floats:
    """For each value the weighted share of ``others`` below it, equal ones counting half."""
    order = np.argsort(others, kind="stable")
    reached = np.concatenate(([0.0], np.cumsum(weight[order])))
    left = reached[np.searchsorted(others[order], values, side="left")]
    right = reached[np.searchsorted(others[order], values, side="right")]
    found: Floats = (left + right) / (2 * reached[-1])
    return found


def _variance(values: Floats, weight: Floats) -> float:
    """Weighted mean square about the weighted mean."""
    mean = (values * weight).sum() / weight.sum()
    return float((weight * (values - mean) ** 2).sum() / weight.sum())
