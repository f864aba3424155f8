"""What the paper prints in its Tables 2 to 8, from ``paper_tables.yaml`` beside this file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import Field

from pdx_assets.risk.calendar import Frequency
from pdx_assets.risk.experiment.names import SHORT
from pdx_assets.risk.spec.base import Declared
from pdx_assets.risk.spec.experiment import PaperDatasetName
from pdx_assets.risk.spec.method import AlgorithmName, Strategy

Figures = Annotated[tuple[float, ...], Field(min_length=4, max_length=4)]
Development = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]
ByPeriod = Annotated[tuple[float, ...], Field(min_length=12, max_length=12)]


class PaperSplit(Declared):
    """Loans of a split, and its bad rate as a share."""

    loans: int
    bad_rate: float


class PaperSplits(Declared):
    """Table 2; ``features`` counts the dataset's columns."""

    features: int
    train: PaperSplit
    itv: PaperSplit
    otv: PaperSplit
    production: PaperSplit


class PaperBaseline(Declared):
    """A line of Table 3: AUC, KS, F1 and 3DCR."""

    itv: Figures
    otv: Figures


class PaperTwelfth(Declared):
    """Table 4: AUC, KS, F1 and 3DCR in the twelfth period, and their differences in points as printed."""

    frozen: Figures
    champion: Figures
    difference: Figures


class PaperProduction(Declared):
    """Table 6, 7 or 8: AUC by period; the champions; what they have over the baseline, in points."""

    table: int
    auc: dict[Strategy, dict[AlgorithmName, ByPeriod]]
    champion: Annotated[tuple[str, ...], Field(min_length=12, max_length=12)]
    over_baseline: ByPeriod


class PaperDrop(Declared):
    """What the paper says of Figure 4: the share of its AUC a frozen model loses."""

    reduction: float


class PaperDataset(Declared):
    """One of the paper's datasets; ``slips`` are known mistakes in print, by table."""

    description: str
    frequency: Frequency
    first_production: str | None = None
    table_2: PaperSplits
    table_3: dict[AlgorithmName, PaperBaseline]
    table_4: PaperTwelfth
    table_5: dict[int, dict[AlgorithmName, dict[Strategy, Development]]] = Field(default_factory=dict)
    production: PaperProduction
    figure_4: PaperDrop
    slips: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @property
    def baseline_algorithm(self) -> AlgorithmName:
        """Of the first champion, which the paper freezes."""
        short = self.production.champion[0].split()[0]
        return next(name for name in self.table_3 if SHORT[name] == short)

    @property
    def baseline(self) -> tuple[float, ...]:
        """AUC by period of the frozen model."""
        return self.production.auc["fixed_window"][self.baseline_algorithm]


@cache
def paper_dataset(name: PaperDatasetName) -> PaperDataset:
    """The published figures of a dataset."""
    text = (files("pdx_assets.risk.experiment") / "paper_tables.yaml").read_text(encoding="utf-8")
    return PaperDataset.model_validate(yaml.safe_load(text)["datasets"][name])
