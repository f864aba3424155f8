"""What a recipe would have earned: the contest's other measure, where a portfolio says what a loan brings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdx_assets.risk.evidence.bootstrap import BorrowerMonth, clustered_gain
from pdx_assets.risk.evidence.paired import Difference
from pdx_assets.risk.metrics.score_table import Floats
from pdx_assets.risk.metrics.weights import effective_sizes
from pdx_assets.risk.scoring import cut_off_for
from pdx_assets.risk.spec import CutOff, Economics


def gains(label: Floats, pd: Floats, economics: Economics, cut_off: CutOff, weight: Floats | None = None) -> Floats:
    """What each loan of a month would have brought, (n,): 0 where it is declined.

    Approved are the lowest PDs up to the cut-off: the share of the month's own loans, or the PD, that is declared. So a
    recipe earns by whom it puts below the line and not by how many.
    """
    line = cut_off.pd if cut_off.pd is not None else cut_off_for(float(cut_off.approval_rate or 1.0), pd, weight)
    brought = np.where(label == 1, -economics.loss_of_bad, economics.gain_of_good)
    return np.where(pd.astype(np.float64) <= line, brought, 0.0)


def money_difference(
    months: Sequence[BorrowerMonth],
    economics: Economics,
    cut_off: CutOff,
    *,
    seed: int,
    draws: int = 1000,
    margin: float = 0.0,
) -> Difference | None:
    """Money a loan applied for under a recipe less under the other, over all months; its error over borrowers.

    Each month has its own line, so that a month of high PDs is not declined as a whole. Sums over months are sums of
    money, which unlike ranks may be added.

    Args:
        margin: money a loan; the p-value is one-sided, of a true difference of at most this.

    Returns:
        None without a month.
    """
    ordered = sorted(months, key=lambda m: m.cohort)
    if not ordered:
        return None
    weights = [None if m.weight is None else np.asarray(m.weight, np.float64) for m in ordered]
    new, old = (
        [
            gains(np.asarray(m.label), np.asarray(getattr(m, of)), economics, cut_off, weight)
            for m, weight in zip(ordered, weights, strict=True)
        ]
        for of in ("pd", "other_pd")
    )
    estimate, error, p_value = clustered_gain(
        np.concatenate([np.asarray([str(b) for b in m.borrower], dtype=object) for m in ordered]),
        np.concatenate(new),
        np.concatenate(old),
        np.concatenate([np.ones(len(m.borrower)) if w is None else w for m, w in zip(ordered, weights, strict=True)]),
        seed=seed,
        draws=draws,
        margin=margin,
    )
    bads = sum(effective_sizes(m.label, w).bads for m, w in zip(ordered, weights, strict=True))
    return Difference(estimate, error, len(ordered), bads, p_value)
