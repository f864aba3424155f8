"""Labelled PDs reduced to one row per distinct PD: the only thing metrics are computed from.

Checks of labels, PDs and weights belong here, and nothing that is itself a metric. Because rows with equal
PDs are summed before any metric sees them, ties cannot be ordered and no metric can depend on row order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdx_assets.risk.errors import PdxError

Floats = NDArray[np.float64]
Pair = tuple[NDArray[Any], NDArray[Any]]
P = ParamSpec("P")


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """Loans by distinct PD, ascending; arrays of shape (k,), no row without weight.

    Attributes:
        pd: distinct PDs in [0, 1], strictly ascending.
        bads: weight of the bad loans at that PD (their number when there are no weights).
        goods: the same of the good loans.
        bad_squares: sum of squared weights of the bad loans at that PD, for effective sizes.
        good_squares: the same of the good loans.
        loans: number of loans at that PD.
        n_loans: number of loans, those of weight 0 included.
        n_bads: number of bad loans, those of weight 0 included.
    """

    pd: Floats
    bads: Floats
    goods: Floats
    bad_squares: Floats
    good_squares: Floats
    loans: NDArray[np.int64]
    n_loans: int
    n_bads: int

    @property
    def weight(self) -> Floats:
        """Weight of all loans at each PD, shape (k,)."""
        return self.bads + self.goods

    @property
    def total_bads(self) -> float:
        return float(self.bads.sum())

    @property
    def total_goods(self) -> float:
        return float(self.goods.sum())

    @property
    def has_both_classes(self) -> bool:
        """Whether bads and goods both carry weight: what most metrics need to be defined."""
        return self.total_bads > 0 and self.total_goods > 0


class LoanMetric(Generic[P]):
    """A metric of labelled PDs, called on loans or, when several are wanted, on one shared table.

    ``auc(label, pd, weight)`` checks, sorts and computes; ``auc.of_table(table)`` only computes. Both
    return None where the metric is undefined. ``label`` (n,) holds 1 for bad and 0 for good, ``pd`` (n,)
    lies in [0, 1] in any float type, ``weight`` (n,) is not negative; None weighs every loan 1.
    """

    def __init__(self, of_table: Callable[Concatenate[ScoreTable, P], float | None]) -> None:
        self.of_table = of_table
        functools.update_wrapper(self, of_table)

    def __call__(
        self,
        label: ArrayLike,
        pd: ArrayLike,
        weight: ArrayLike | None = None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> float | None:
        return self.of_table(tabulate(label, pd, weight), *args, **kwargs)


def tabulate(label: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> ScoreTable:
    """The score table of loans; the same bits for any order of the rows.

    Args:
        label: (n,) 1 bad, 0 good.
        pd: (n,) in [0, 1]; float32 is cast to float64, never rounded.
        weight: (n,) finite, not negative; None weighs every loan 1.

    Raises:
        PdxError: shapes differ, a label is neither 0 nor 1, a PD is NaN or outside [0, 1], or a weight is
            negative or not finite; names how many.
    """
    bad, pds, weights = checked(label, pd, weight)
    ordered = np.sort(pds)
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if ordered.size else np.empty(0, int)
    distinct = ordered[starts]
    if weights is None:
        # Sorting values twice is three times faster than one argsort of the rows.
        loans = np.diff(np.append(starts, ordered.size))
        bads = np.bincount(np.searchsorted(distinct, np.sort(pds[bad])), minlength=distinct.size)
        goods = loans - bads
        return group(distinct, (bads, goods), (bads, goods), loans, n_bads=int(bad.sum()))
    of_bads = _class_sums(distinct, pds[bad], weights[bad])
    of_goods = _class_sums(distinct, pds[~bad], weights[~bad])
    weight_of, squares_of, loans_of = zip(of_bads, of_goods, strict=True)
    return group(distinct, weight_of, squares_of, loans_of[0] + loans_of[1], n_bads=int(bad.sum()))


def group(pd: Floats, weight: Pair, squares: Pair, loans: NDArray[Any], *, n_bads: int) -> ScoreTable:
    """A score table from sums at ascending distinct PDs, leaving out the PDs that carry no weight.

    Args:
        pd: (k,) distinct PDs.
        weight, squares: of bads and of goods: sums of weights and of squared weights at each PD, (k,) each.
        loans: (k,) rows at each PD.
        n_bads: rows that are bad.
    """
    n_loans = int(loans.sum())
    columns = [*weight, *squares, loans]
    kept = (weight[0] + weight[1]) > 0
    if not kept.all():
        pd, columns = pd[kept], [column[kept] for column in columns]
    bads, goods, bad_squares, good_squares = (column.astype(np.float64) for column in columns[:4])
    return ScoreTable(
        pd=pd,
        bads=bads,
        goods=goods,
        bad_squares=bad_squares,
        good_squares=good_squares,
        loans=columns[4].astype(np.int64),
        n_loans=n_loans,
        n_bads=n_bads,
    )


def _class_sums(distinct: Floats, pd: Floats, weight: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Weight, squared weight and number of one class's loans at each distinct PD."""
    # numpy sorts complex numbers by real part, then imaginary: (PD, weight) pairs in one pass, so that
    # weights at one PD are always added in the same order.
    pairs = np.empty(pd.size, dtype=np.complex128)
    pairs.real, pairs.imag = pd, weight
    pairs.sort()
    position = np.searchsorted(distinct, pairs.real)
    weights = np.ascontiguousarray(pairs.imag)
    size = distinct.size
    return (
        np.bincount(position, weights=weights, minlength=size).astype(np.float64),
        np.bincount(position, weights=weights * weights, minlength=size).astype(np.float64),
        np.bincount(position, minlength=size),
    )


def checked(
    label: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None
) -> tuple[NDArray[np.bool_], Floats, Floats | None]:
    """Labels as booleans (bad), PDs and weights as float64, all of one length.

    Raises:
        PdxError: as :func:`tabulate`.
    """
    labels = np.asarray(label)
    # Adding 0.0 turns -0.0 into 0.0, so that equal PDs are equal in every bit.
    pds = np.asarray(pd).astype(np.float64) + 0.0
    weights = checked_weight(weight, labels.shape) if labels.ndim == 1 else None
    if labels.ndim != 1 or pds.shape != labels.shape:
        raise PdxError(
            f"Labels have shape {labels.shape} and PDs {pds.shape}.", expected="one label and one PD for each loan"
        )
    bad = labels == 1
    wrong = int(np.count_nonzero(~(bad | (labels == 0))))
    if wrong:
        raise PdxError(
            f"{wrong} of {labels.size} labels are neither 0 nor 1.",
            expected="1 (bad) or 0 (good)",
            remedy="leave out loans whose label is not known or indeterminate before measuring",
        )
    missing = int(np.count_nonzero(np.isnan(pds)))
    outside = int(np.count_nonzero((pds < 0) | (pds > 1)))
    if missing or outside:
        raise PdxError(
            f"{missing} of {pds.size} PDs are NaN and {outside} lie outside [0, 1].",
            expected="a probability for every loan",
            remedy="find the bundle that made these scores; a PD is never filled in",
        )
    return bad, pds, weights


def checked_weight(weight: ArrayLike | None, shape: tuple[int, ...]) -> Floats | None:
    """Weights as float64 of the given shape; None stays None.

    Raises:
        PdxError: another shape, or weights that are negative or not finite; names how many.
    """
    if weight is None:
        return None
    weights = np.asarray(weight).astype(np.float64)
    if weights.shape != shape:
        raise PdxError(f"Weights have shape {weights.shape} for loans of shape {shape}.", expected="one weight a loan")
    wrong = int(np.count_nonzero(~(np.isfinite(weights) & (weights >= 0))))
    if wrong:
        raise PdxError(
            f"{wrong} of {weights.size} weights are negative or not finite.", expected="finite weights of 0 or more"
        )
    return weights


def checked_share(share: float, name: str) -> float:
    """A share in (0, 1].

    Raises:
        PdxError: anything else.
    """
    if not 0 < share <= 1:
        raise PdxError(f"{name} is {share}.", expected="a share above 0 and at most 1, such as 0.3")
    return float(share)
