"""How many bads each window of a plan holds, counted from labels alone, before anything is trained.

Windows are named and dated as windows.py does; no manifest is written and no gate is asked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.metrics.weights import ClassWeights
from pdx_assets.risk.outcomes import label_view
from pdx_assets.risk.spec import PAPER_STRATEGIES, PortfolioSpec, Strategy
from pdx_assets.risk.windows import development_months, labels_day, otv_months, trained_for

OTV = "otv"


@dataclass(frozen=True)
class Counts:
    """Loans by label: ``unknown`` have none on the day that counts; ``weight`` is that of bads and goods together.

    ``bad_squares`` is the sum of the bads' squared weights.
    """

    bads: int = 0
    goods: int = 0
    indeterminate: int = 0
    unknown: int = 0
    bad_weight: float = 0.0
    weight: float = 0.0
    bad_squares: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, n) + getattr(other, n) for n in self.__dataclass_fields__))

    @property
    def loans(self) -> int:
        return self.bads + self.goods + self.indeterminate + self.unknown

    @property
    def bad_rate(self) -> float | None:
        """Share of bads by weight, which is by count where loans have no weights; None without labels."""
        return self.bad_weight / self.weight if self.weight else None

    @property
    def effective_bads(self) -> float:
        """Kish's size of the bads, which is their number where they weigh the same: what a contest asks for."""
        return ClassWeights(self.bad_weight, 0.0, self.bad_squares, 0.0).sizes.bads


@dataclass
class CohortLabels:
    """A cohort's label rows, counted on any day.

    Attributes:
        rows: ``outcomes.label_rows``, all versions.
        weights: ``loan_id`` and ``weight``; None: every loan weighs 1.
    """

    rows: pl.DataFrame
    weights: pl.DataFrame | None = None
    _counted: dict[int, Counts] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._steps: list[date] = sorted(
            {*self.rows["known_from"].drop_nulls(), *self.rows["superseded_from"].drop_nulls()}
        )

    def on(self, day: date) -> Counts:
        """Counts of the labels as they stood on a day."""
        step = bisect_right(self._steps, day)
        if step not in self._counted:
            self._counted[step] = self._count(day)
        return self._counted[step]

    def _count(self, day: date) -> Counts:
        view = label_view(self.rows, day)
        if self.weights is None:
            view = view.with_columns(pl.lit(1.0).alias("weight"))
        else:
            view = view.join(self.weights, on="loan_id", how="left")
        bad, good = view.filter(pl.col("label") == 1), view.filter(pl.col("label") == 0)
        of = view["status"].value_counts()
        by_status: dict[str, int] = dict(zip(of["status"].to_list(), of["count"].to_list(), strict=True))
        heavy, light = float(bad["weight"].sum()), float(good["weight"].sum())
        return Counts(
            bad.height,
            good.height,
            by_status.get("indeterminate", 0),
            by_status.get("unknown", 0),
            heavy,
            heavy + light,
            float((bad["weight"] ** 2).sum()),
        )


@dataclass(frozen=True)
class WindowCount:
    """One window of one production month.

    Attributes:
        window: a strategy, for its development window, or ``otv``.
        missing: months of it that are not on the tape.
    """

    production: Month
    window: Strategy | str
    first: Month
    last: Month
    counts: Counts
    missing: tuple[Month, ...]


def count_windows(
    spec: PortfolioSpec, cohorts: Mapping[Month, CohortLabels], months: Sequence[Month]
) -> list[WindowCount]:
    """Every distinct window of some production months: OTV and each strategy's development window.

    At p0 the paper's strategies coincide, and the fixed window stays the same: each is counted once. What immature
    cohorts have shown is no count of labels: their window is left out.
    """
    found = []
    for p in months:
        strategies = [
            s
            for s in spec.strategies
            if s == "all_known" or (s in PAPER_STRATEGIES and (s == "fixed_window") == (p == spec.p0))
        ]
        for strategy in strategies:
            wanted = development_months(spec, strategy, p)
            found.append(_count(p, strategy, wanted, cohorts, labels_day(spec, trained_for(spec, strategy, p))))
        found.append(_count(p, OTV, otv_months(spec, p), cohorts, labels_day(spec, p)))
    return found


def _count(
    p: Month, window: str, wanted: tuple[Month, ...], cohorts: Mapping[Month, CohortLabels], day: date
) -> WindowCount:
    total = sum((cohorts[m].on(day) for m in wanted if m in cohorts), Counts())
    return WindowCount(p, window, wanted[0], wanted[-1], total, tuple(m for m in wanted if m not in cohorts))
