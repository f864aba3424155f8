"""Whether people who would repay are approved alike in every group: equal opportunity.

The group is a protected attribute or its proxy; it is measured with, never learned from.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.score_table import Floats, ScoreTable, checked, checked_share, tabulate

MIN_GOODS = 30
"""Fewer goods than this (Kish's effective size) and a group's approval rate is noise: it is left out."""


def approval_of_goods(
    label: ArrayLike,
    pd: ArrayLike,
    group: Sequence[Hashable] | NDArray[np.object_],
    weight: ArrayLike | None = None,
    *,
    cut_off: float | None = None,
    approval_rate: float | None = None,
    min_goods: int = MIN_GOODS,
) -> dict[str, float]:
    """Share approved among the goods of each group: the true positive rate, approval being the benefit.

    Approved is a PD at or below ``cut_off``; or the safest ``approval_rate`` of all loans by weight, loans
    tied at the cut being approved in proportion.

    Args:
        label: (n,) 1 bad, 0 good.
        pd: (n,) in [0, 1].
        group: (n,) group of each loan; None and '' are unknown and left out.
        weight: (n,) or None.
        cut_off: a PD; give this or ``approval_rate``.
        approval_rate: a share in (0, 1].
        min_goods: groups with fewer goods, by Kish's effective size, are left out.

    Returns:
        Group to share in [0, 1], sorted by group.

    Raises:
        PdxError: wrong labels, PDs, weights or shapes; both or neither of ``cut_off`` and ``approval_rate``.
    """
    if (cut_off is None) == (approval_rate is None):
        raise PdxError(f"cut_off is {cut_off} and approval_rate is {approval_rate}.", expected="exactly one of the two")
    bad, pds, weights = checked(label, pd, weight)
    names = np.array(["" if g is None else str(g) for g in group], dtype=object)
    if names.shape != bad.shape:
        raise PdxError(f"{names.size} groups for {bad.size} loans.", expected="one group a loan")
    everyone = tabulate(bad, pds, weights)
    approved = _approved_at(everyone, cut_off, approval_rate)
    rates = {}
    for name in sorted(set(names.tolist()) - {""}):
        goods_here = (names == name) & ~bad
        table = tabulate(bad[goods_here], pds[goods_here], None if weights is None else weights[goods_here])
        if table.total_goods == 0 or table.total_goods**2 / float(table.good_squares.sum()) < min_goods:
            continue
        share = approved[np.searchsorted(everyone.pd, table.pd)]
        rates[name] = float((table.goods * share).sum()) / table.total_goods
    return rates


def equal_opportunity_difference(
    label: ArrayLike,
    pd: ArrayLike,
    group: Sequence[Hashable] | NDArray[np.object_],
    weight: ArrayLike | None = None,
    *,
    cut_off: float | None = None,
    approval_rate: float | None = None,
    min_goods: int = MIN_GOODS,
) -> float | None:
    """Largest less smallest :func:`approval_of_goods` over the groups, arguments as there.

    In [0, 1]; 0 means that who repays has the same chance everywhere. None with fewer than two groups of
    at least ``min_goods`` goods. Source: Hardt, Price and Srebro 2016, arXiv:1610.02413, definition 2.2.
    """
    rates = approval_of_goods(
        label, pd, group, weight, cut_off=cut_off, approval_rate=approval_rate, min_goods=min_goods
    )
    return max(rates.values()) - min(rates.values()) if len(rates) > 1 else None


def _approved_at(table: ScoreTable, cut_off: float | None, approval_rate: float | None) -> Floats:
    """Share approved at each distinct PD of all loans, (k,)."""
    if cut_off is not None:
        return (table.pd <= cut_off).astype(np.float64)
    assert approval_rate is not None
    safer = np.cumsum(table.weight) - table.weight
    room = checked_share(approval_rate, "approval_rate") * float(table.weight.sum()) - safer
    return np.clip(room / table.weight, 0.0, 1.0)
