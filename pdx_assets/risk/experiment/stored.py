"""What the tables are made from: one portfolio's stored results as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pdx_assets.risk.calendar import Month, Periods
from pdx_assets.risk.experiment.names import SHORT, legend, period_name
from pdx_assets.risk.experiment.paper import PaperDataset

SplitName = Literal["train", "itv", "otv", "production"]
SPLITS: dict[SplitName, str] = {"train": "Train", "itv": "ITV", "otv": "OTV", "production": "PROD"}
PERIODS = 12  # of the paper's experiments


@dataclass(frozen=True)
class Split:
    """A split of p0: its months in words, counts of rows, and its bad rate (weighted where loans are)."""

    months: str
    loans: int
    bads: int
    bad_rate: float | None


@dataclass(frozen=True)
class Stored:
    """Stored results of one portfolio.

    Attributes:
        models: as :func:`pdx_assets.results.collect` gives them: one a month and recipe, with metrics on ``train``,
            ``itv``, ``otv`` and ``production``, each None where not measured.
        champions: one a decided month, in order, with ``production`` and ``baseline_production``.
        columns: the portfolio declares.
        features: a model may use, by p0's studies; None where none is stored.
        splits: of p0; a split that is not stored is absent.
        told: what is real and what is simulated, and the portfolio's marks: printed beside every table.
        paper: the dataset of the paper that the portfolio mirrors.
        is_weighted: whether metrics are weighted; counts of loans then say nothing of their errors.
        hindsight: whether labels were not knowable in time, which the figure's title must tell.
        origin: ``told`` in short, as columns of a CSV.
    """

    portfolio: str
    periods: Periods
    p0: Month
    strategies: tuple[str, ...]
    algorithms: tuple[str, ...]
    models: Sequence[Mapping[str, Any]]
    champions: Sequence[Mapping[str, Any]]
    columns: int
    features: int | None
    splits: Mapping[SplitName, Split]
    told: tuple[str, ...]
    paper: PaperDataset | None = None
    is_weighted: bool = False
    hindsight: bool = False
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def production(self) -> tuple[Month, ...]:
        """Production periods from p0: twelve, as in the paper, or as many as were decided."""
        last = self.periods.shift(self.p0, PERIODS - 1)
        if self.champions:
            last = max(last, Month.parse(self.champions[-1]["production_month"]))
        return self.periods.span(self.p0, last)

    @property
    def legend(self) -> str:
        """What the tables' short names mean."""
        return legend((*self.strategies, *self.algorithms))

    def number(self, month: Month) -> int:
        """1 for p0, 2 for the period after it."""
        return (month.ordinal - self.p0.ordinal) // self.periods.months + 1

    def name(self, month: Month) -> str:
        """``M3`` or ``Q3``."""
        return period_name(self.number(month), self.periods.frequency)

    def champion(self, month: Month) -> Mapping[str, Any] | None:
        """The decision's line of a month; None before it is decided."""
        return next((c for c in self.champions if c["production_month"] == str(month)), None)

    def model(self, month: Month, strategy: str, algorithm: str) -> Mapping[str, Any] | None:
        """A recipe's model of a month; None where it never ran."""
        wanted = (str(month), strategy, algorithm)
        found = ((m["production_month"], m["strategy"], m["algorithm"]) for m in self.models)
        return next((m for m, key in zip(self.models, found, strict=True) if key == wanted), None)

    def champion_name(self, month: Month) -> str | None:
        """``XGB RW M6``: algorithm, window and the period it was made for; None before the decision."""
        champion = self.champion(month)
        if champion is None:
            return None
        if champion["bundle_sha256"] is None:
            return "vacant"
        made_for = self.name(Month.parse(champion["trained_for"]))
        return f"{SHORT[champion['algorithm']]} {SHORT[champion['strategy']]} {made_for}"

    def is_champion(self, model: Mapping[str, Any] | None, month: Month) -> bool:
        """Whether a month's model is in charge of it, under its own strategy's name: at p0 the strategies coincide."""
        champion = self.champion(month)
        return (
            model is not None
            and champion is not None
            and champion["bundle_sha256"] is not None
            and all(model[k] == champion[k] for k in ("bundle_sha256", "strategy"))
        )

    @property
    def frozen_name(self) -> str | None:
        """``XGB FW``: the champion of p0, which a lender without PDx would still use."""
        champion = self.champion(self.p0)
        if champion is None or champion["bundle_sha256"] is None:
            return None
        return f"{SHORT[champion['algorithm']]} {SHORT[champion['strategy']]}"


def slips(stored: Stored, table: str) -> list[str]:
    """Known mistakes of the paper's own table, as notes."""
    return [f"In the paper: {slip}" for slip in (stored.paper.slips.get(table, ()) if stored.paper else ())]


def figure(metrics: Mapping[str, Any] | None, name: str = "auc") -> float | None:
    """One metric; None where nothing was measured or the metric is undefined."""
    return None if metrics is None else metrics.get(name)
