"""A feature's power alone: bad rates by bin, learned on one part of the loans and tried on another.

No shape is assumed: a bin is a value held by 1 % of train, or one of twenty slices of the others; missing and every
category that matters are bins of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdx_assets.risk.leaks.tally import ITV, OTHER_OTV, OTV, OUT_OF_TIME, TRAIN, Floats, Tally

SLICES = 20
OWN_BIN = 0.01
"""Share of train from which a value is a bin of its own."""

PRIOR_LOANS = 10.0
"""A bin's bad rate is drawn to the average as by this many average loans: ten loans teach little."""


@dataclass(frozen=True, slots=True)
class Area:
    """An AUC and its standard error.

    Attributes:
        value: in [0, 1].
        error: 0 where the classes do not overlap.
    """

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Power:
    """What a feature alone can do; None where a class has too few loans.

    Attributes:
        in_time: learned on train, tried on ITV.
        out_of_time: learned on train, tried on OTV.
        own: learned on one half of OTV and tried on the other, both ways.
    """

    in_time: Area | None
    out_of_time: Area | None
    own: Area | None


def power(tally: Tally, min_class: int) -> Power:
    """A feature's AUC in time, out of time, and within OTV.

    Args:
        min_class: effective bads, and goods, a part must have to learn from and to try on.
    """
    bins = _bins(tally)
    halves = [_area(tally, bins, (a,), (b,), min_class) for a, b in ((OTV, OTHER_OTV), (OTHER_OTV, OTV))]
    tried = [half for half in halves if half is not None]
    own = None
    if len(tried) == 2:
        # The halves share no loan that is tried, so their errors are independent.
        own = Area((tried[0].value + tried[1].value) / 2, float(np.hypot(tried[0].error, tried[1].error)) / 2)
    return Power(
        _area(tally, bins, (TRAIN,), (ITV,), min_class), _area(tally, bins, (TRAIN,), OUT_OF_TIME, min_class), own
    )


def _bins(tally: Tally) -> NDArray[np.int64]:
    """(m + 1,) bin of each distinct value, and of missing."""
    train = tally.weight[TRAIN].sum(axis=0)
    share = train / max(train.sum(), np.finfo(float).tiny)
    own = share >= OWN_BIN
    own[-1] = True
    rest = np.where(own, 0.0, share)
    reached = np.cumsum(rest) - rest / 2
    sliced = np.minimum((SLICES * reached / max(rest.sum(), np.finfo(float).tiny)).astype(np.int64), SLICES - 1)
    if tally.kind == "category":
        # Rare categories have no order: together they are one.
        sliced[:] = 0
    code = np.where(own, SLICES + np.cumsum(own), sliced)
    bins: NDArray[np.int64] = np.unique(code, return_inverse=True)[1]
    return bins


def _area(
    tally: Tally, bins: NDArray[np.int64], learned: Sequence[int], tried: Sequence[int], min_class: int
) -> Area | None:
    if min(*tally.loans.sizes(learned), *tally.loans.sizes(tried)) < min_class:
        return None
    goods, bads = _binned(tally.effective(learned), bins)
    rate = (bads + PRIOR_LOANS * bads.sum() / (bads.sum() + goods.sum())) / (bads + goods + PRIOR_LOANS)
    goods, bads = _binned(tally.effective(tried), bins)
    return area(bads, goods, np.unique(rate, return_inverse=True)[1])


def _binned(counts: Floats, bins: NDArray[np.int64]) -> tuple[Floats, Floats]:
    size = int(bins.max()) + 1
    goods, bads = (np.bincount(bins, row, minlength=size).astype(np.float64) for row in counts)
    return goods, bads


def area(bads: Floats, goods: Floats, rank: NDArray[np.int64]) -> Area:
    """AUC of a score that takes few values, with DeLong's standard error, from counts alone.

    Args:
        bads, goods: (k,) effective loans by value of the score.
        rank: (k,) the score's order, equal ranks tied.

    Source: DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595; metrics/auc_error.py does it loan by loan.
    """
    bads, goods = np.bincount(rank, bads).astype(np.float64), np.bincount(rank, goods).astype(np.float64)
    all_bads, all_goods = bads.sum(), goods.sum()
    of_bads = (np.cumsum(goods) - goods / 2) / all_goods
    of_goods = 1 - (np.cumsum(bads) - bads / 2) / all_bads
    value = float((bads * of_bads).sum() / all_bads)
    spread = [
        (counts * (placed - value) ** 2).sum() / counts.sum() / (counts.sum() - 1)
        for counts, placed in ((bads, of_bads), (goods, of_goods))
    ]
    return Area(value, float(np.sqrt(sum(spread))))
