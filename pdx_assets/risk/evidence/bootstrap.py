"""The paired test where loans are not independent: borrowers who come back, and money instead of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.chance import above
from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.evidence.paired import Difference
from pdx_assets.risk.metrics.score_table import Floats, checked
from pdx_assets.risk.metrics.weights import ClassWeights, effective_sizes


@dataclass(frozen=True, eq=False)
class BorrowerMonth:
    """A matured cohort under two recipes, with who borrowed.

    Attributes:
        label: (n,) 1 bad, 0 good.
        borrower: (n,) name of each loan's borrower, or a hash of it.
        pd, other_pd: (n,) of the recipe and of the other.
        weight: (n,) or None.
    """

    cohort: Month
    label: ArrayLike
    borrower: Sequence[str] | NDArray[np.object_] | NDArray[np.int64]
    pd: ArrayLike
    other_pd: ArrayLike
    weight: ArrayLike | None = None


def clustered_difference(
    months: Sequence[BorrowerMonth], *, seed: int, draws: int = 1000, margin: float = 0.0
) -> Difference | None:
    """The estimate of :func:`pdx_assets.risk.evidence.paired.stratified_difference`, its error by bootstrap.

    Whole borrowers are drawn with replacement, over all months at once, and bring all their loans: what the loans of
    a borrower have in common, within a month and between months, is in the error. The p-value is the normal law's with
    that error: a level of 1 in 1,000 lies beyond what a thousand draws can count.

    Args:
        seed: of the draws.
        draws: at least 100.
        margin: AUC.

    Returns:
        None where no month has bads and goods.

    Raises:
        PdxError: labels, PDs or weights that cannot be, not one borrower a loan, too few draws.

    Sources: Efron and Tibshirani 1993, chapter 8; resampling clusters: Field and Welsh 2007,
    doi:10.1111/j.1467-9868.2007.00593.x; clustered AUCs: Obuchowski 1997, doi:10.2307/2533958.
    """
    _checked_draws(draws)
    ordered = sorted(months, key=lambda m: m.cohort)
    names = sorted({str(name) for m in ordered for name in m.borrower})
    number = {name: i for i, name in enumerate(names)}
    tables = [table for m in ordered if (table := _Table.of(m, number)) is not None]
    if not tables:
        return None
    estimate = _stratified(tables, np.ones(len(names)))
    assert estimate is not None
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        value = _stratified(tables, _counts(random, len(names)))
        if value is not None:
            drawn.append(value)
    error = float(np.std(drawn, ddof=1))
    bads = sum(effective_sizes(t.bad, t.weight).bads for t in tables)
    return Difference(estimate, error, len(tables), bads, above(estimate - margin, error))


def clustered_gain(
    borrower: Sequence[str] | NDArray[np.object_],
    gain: ArrayLike,
    other_gain: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    seed: int,
    draws: int = 1000,
    margin: float = 0.0,
) -> tuple[float, float, float]:
    """Money a loan under one recipe's cut-off less under the other's: estimate, bootstrap error, one-sided p.

    Args:
        borrower: (n,) of the loans of all months together.
        gain, other_gain: (n,) what each loan earned or lost under the two (0 where it was declined).
        weight: (n,) or None.
        margin: money a loan; the p-value is of a true difference of at most this.

    Raises:
        PdxError: shapes that differ, amounts that are not finite, too few draws.
    """
    _checked_draws(draws)
    names, place = np.unique(np.asarray([str(b) for b in borrower], dtype=object), return_inverse=True)
    difference = np.asarray(gain, np.float64) - np.asarray(other_gain, np.float64)
    weights = np.ones(difference.shape) if weight is None else np.asarray(weight, np.float64)
    if difference.shape != place.shape or weights.shape != place.shape or not np.isfinite(difference).all():
        raise PdxError(f"{difference.size} amounts for {place.size} loans.", expected="one finite amount a loan")
    earned = np.bincount(place, weights=difference * weights)
    mass = np.bincount(place, weights=weights)
    estimate = float(earned.sum() / mass.sum())
    random = np.random.default_rng(seed)
    drawn = [float((c @ earned) / (c @ mass)) for c in (_counts(random, len(names)) for _ in range(draws))]
    error = float(np.std(drawn, ddof=1))
    return estimate, error, above(estimate - margin, error)


@dataclass(frozen=True, eq=False)
class _Table:
    """A month with each loan's place among the distinct PDs of either model, so that no draw sorts again."""

    bad: NDArray[np.bool_]
    weight: Floats
    borrower: NDArray[np.intp]
    places: tuple[NDArray[np.intp], NDArray[np.intp]]

    @classmethod
    def of(cls, month: BorrowerMonth, number: dict[str, int]) -> _Table | None:
        bad, pd, weights = checked(month.label, month.pd, month.weight)
        _, other, _ = checked(month.label, month.other_pd)
        if len(month.borrower) != bad.size:
            raise PdxError(f"{len(month.borrower)} borrowers for {bad.size} loans.", expected="one a loan")
        if not bad.any() or bad.all():
            return None
        places = tuple(np.unique(column, return_inverse=True)[1] for column in (pd, other))
        who = np.array([number[str(name)] for name in month.borrower], dtype=np.intp)
        return cls(bad, np.ones(bad.size) if weights is None else weights, who, (places[0], places[1]))

    def difference(self, count: Floats) -> tuple[float, float]:
        """AUC difference with each borrower's loans this many times, and effective bads x goods; (0, 0) with one class
        only."""
        times = count[self.borrower]
        mass = self.weight * times
        bads, goods = mass * self.bad, mass * ~self.bad
        heavy, light = float(bads.sum()), float(goods.sum())
        if heavy * light == 0:
            return 0.0, 0.0
        first, second = (_area(place, bads, goods, heavy * light) for place in self.places)
        squares = self.weight * mass
        sizes = ClassWeights(heavy, light, float(squares @ self.bad), float(squares @ ~self.bad)).sizes
        return first - second, sizes.bads * sizes.goods


def _area(place: NDArray[np.intp], bads: Floats, goods: Floats, pairs: float) -> float:
    at_goods = np.bincount(place, weights=goods)
    below = np.cumsum(at_goods) - at_goods / 2
    return float(np.bincount(place, weights=bads) @ below) / pairs


def _stratified(tables: Sequence[_Table], count: Floats) -> float | None:
    found = [t.difference(count) for t in tables]
    pairs = sum(weight for _, weight in found)
    return sum(d * weight for d, weight in found) / pairs if pairs else None


def _counts(random: np.random.Generator, n: int) -> Floats:
    return np.bincount(random.integers(0, n, n), minlength=n).astype(np.float64)


def _checked_draws(draws: int) -> None:
    if draws < 100:
        raise PdxError(f"draws is {draws}.", expected="at least 100: fewer do not give a standard error")
