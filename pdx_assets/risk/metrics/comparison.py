"""Bootstrap intervals: of a metric, of the difference between two models, of its mean over months.

Loans are drawn with replacement within each class (and month), both models being measured on the same
draw. Weights travel with their loans, so the intervals widen as Kish's effective sizes shrink.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.metrics.score_table import Floats, LoanMetric, ScoreTable, checked, group
from pdx_assets.risk.seeds import seed_from

_MIN_DEFINED = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with a percentile bootstrap interval.

    Attributes:
        estimate: on the loans themselves; None where the metric is undefined.
        low: lower bound; None too when over 5 % of the draws left the metric undefined.
        high: upper bound, likewise.
        level: share of the draws between the bounds.
        draws: how many were made.
    """

    estimate: float | None
    low: float | None
    high: float | None
    level: float
    draws: int

    @property
    def excludes_zero(self) -> bool | None:
        """Whether 0 lies outside the bounds; None without bounds."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class MonthlyDifference:
    """A difference averaged over months, each month counting the same.

    Attributes:
        mean: the average over the months where it is defined, with its interval.
        by_month: the difference of each month, None where undefined; keys sorted.
    """

    mean: Interval
    by_month: dict[str, float | None]


def bootstrap_interval(
    label: ArrayLike,
    pd: ArrayLike,
    other_pd: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    seed: int,
    metric: LoanMetric[...] = auc,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Interval of metric(pd) - metric(other_pd) on the same loans, or of metric(pd) without ``other_pd``.

    The number of bads and of goods is the same in every draw (stratified by class). Bounds are the
    percentiles of the draws; the same for any order of the rows.

    Args:
        label: (n,) 1 bad, 0 good.
        pd: (n,) PDs of the model in question.
        other_pd: (n,) PDs of the model it is compared with.
        weight: (n,) or None.
        seed: of the draws.
        metric: one of the metrics of this package.
        draws: at least 1.
        level: in (0, 1).

    Raises:
        PdxError: wrong labels, PDs, weights, draws or level.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 and 13; paired ROC
    curves: Hanley and McNeil 1983, doi:10.1148/radiology.148.3.6878708.
    """
    _checked_plan(draws, level)
    resampler = _Resampler.of(label, pd, other_pd, weight)
    estimate = resampler.estimate(metric)
    drawn = resampler.draw(metric, draws, seed) if estimate is not None else np.full(draws, np.nan)
    return _interval(estimate, drawn, level)


def month_stratified(
    months: Sequence[object] | NDArray[np.object_],
    label: ArrayLike,
    pd: ArrayLike,
    other_pd: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    seed: int,
    metric: LoanMetric[...] = auc,
    draws: int = 1000,
    level: float = 0.95,
) -> MonthlyDifference:
    """Mean over months of metric(pd) - metric(other_pd), with an interval over loans within months.

    Champion against baseline over production months: each month's loans are drawn within class, the
    months themselves are not (the question is about these months). A month where the metric is undefined
    is left out of the mean. A month's draws depend on its name and the seed, not on the other months.

    Args:
        months: (n,) month of each loan, ``YYYY-MM`` or Month.
        label: (n,) 1 bad, 0 good.
        pd: (n,) PDs in charge (of whichever model each month had).
        other_pd: (n,) PDs it is compared with.
        weight: (n,) or None.
        seed: of the draws.
        metric: one of the metrics of this package.
        draws: at least 1.
        level: in (0, 1).

    Raises:
        PdxError: as :func:`bootstrap_interval`, or not one month a loan.
    """
    _checked_plan(draws, level)
    bad, pds, weights = checked(label, pd, weight)
    _, others, _ = checked(label, other_pd)
    names = np.array([str(m) for m in months], dtype=object)
    if names.shape != bad.shape:
        raise PdxError(f"{names.size} months for {bad.size} loans.", expected="one month a loan")
    by_month: dict[str, float | None] = {}
    total, defined = np.zeros(draws), 0
    for name in sorted(set(names.tolist())):
        rows = names == name
        resampler = _Resampler.of(bad[rows], pds[rows], others[rows], None if weights is None else weights[rows])
        by_month[name] = resampler.estimate(metric)
        if by_month[name] is not None:
            defined += 1
            total += resampler.draw(metric, draws, seed_from(seed, name))
    values = [v for v in by_month.values() if v is not None]
    estimate = sum(values) / defined if defined else None
    return MonthlyDifference(_interval(estimate, total / max(defined, 1), level), by_month)


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """One model's distinct PDs and each loan's place among them, so that no draw sorts again."""

    distinct: Floats
    place: NDArray[np.intp]

    def table(self, n_goods: int, count: Floats, weight: Floats) -> ScoreTable:
        # Goods come first: slices are cheaper than masks, and this runs thousands of times.
        size, mass = self.distinct.size, count * weight
        goods = np.bincount(self.place[:n_goods], weights=mass[:n_goods], minlength=size)
        bads = np.bincount(self.place[n_goods:], weights=mass[n_goods:], minlength=size)
        squared = mass * weight
        good_squares = np.bincount(self.place[:n_goods], weights=squared[:n_goods], minlength=size)
        bad_squares = np.bincount(self.place[n_goods:], weights=squared[n_goods:], minlength=size)
        loans = np.bincount(self.place, weights=count, minlength=size)
        return group(self.distinct, (bads, goods), (bad_squares, good_squares), loans, n_bads=count.size - n_goods)


@dataclass(frozen=True, slots=True, eq=False)
class _Resampler:
    models: tuple[_Scored, ...]
    weight: Floats
    n_goods: int

    @classmethod
    def of(cls, label: ArrayLike, pd: ArrayLike, other_pd: ArrayLike | None, weight: ArrayLike | None) -> _Resampler:
        bad, pds, weights = checked(label, pd, weight)
        columns = [pds] if other_pd is None else [pds, checked(label, other_pd)[1]]
        if weights is None:
            weights = np.ones(bad.size)
        # One order for any order of the rows: a draw picks loans by their place in it.
        order = np.lexsort((weights, *reversed(columns), bad))
        scored = (np.unique(column[order], return_inverse=True) for column in columns)
        return cls(
            models=tuple(_Scored(distinct, place) for distinct, place in scored),
            weight=weights[order],
            n_goods=int((~bad).sum()),
        )

    def estimate(self, metric: LoanMetric[...]) -> float | None:
        return self._difference(metric.of_table, np.ones(self.weight.size))

    def draw(self, metric: LoanMetric[...], draws: int, seed: int) -> Floats:
        """The metric or difference on each draw, NaN where undefined, (draws,)."""
        random = np.random.default_rng(seed)
        sizes = (self.n_goods, self.weight.size - self.n_goods)
        values = np.empty(draws)
        for i in range(draws):
            count = np.concatenate([np.bincount(random.integers(0, n, n), minlength=n) if n else [] for n in sizes])
            value = self._difference(metric.of_table, count.astype(np.float64))
            values[i] = np.nan if value is None else value
        return values

    def _difference(self, metric: Callable[[ScoreTable], float | None], count: Floats) -> float | None:
        values = [metric(model.table(self.n_goods, count, self.weight)) for model in self.models]
        if any(v is None for v in values):
            return None
        return values[0] - values[1] if len(values) == 2 else values[0]  # type: ignore[operator]


def _checked_plan(draws: int, level: float) -> None:
    if draws < 1 or not 0 < level < 1:
        raise PdxError(f"draws is {draws} and level {level}.", expected="at least 1 draw and a level between 0 and 1")


def _interval(estimate: float | None, drawn: Floats, level: float) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if estimate is None or defined.size < _MIN_DEFINED * drawn.size:
        return Interval(estimate, None, None, level, drawn.size)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level, drawn.size)
