"""A portfolio's months straight from its tape, without a home, for benchmarks on real loans."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.outcomes import cohort_labels
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape import CohortRows, locate_tape, stage_tape
from pdx_assets.risk.window_loans import labelled, to_sample


@dataclass(frozen=True)
class TapeMonths:
    """Cohorts of a tape up to a last one: raw rows, clean features and labels of each, and the tape's date."""

    spec: PortfolioSpec
    as_of: date
    rows: dict[Month, CohortRows]
    features: dict[Month, pl.DataFrame]
    labels: dict[Month, pl.DataFrame]

    def measured(self, month: Month) -> Sample:
        """A month's own loans with the labels they got later."""
        return to_sample(self.spec, labelled(self.features[month], self.labels[month], on=self.as_of))


def tape_months(spec: PortfolioSpec, tape: str, last: Month) -> TapeMonths:
    with tempfile.TemporaryDirectory() as folder:
        staged = stage_tape(spec, locate_tape(spec, override=tape, simulated_folder=Path(folder)), Path(folder))
        rows = {c: staged.cohort(c) for c in staged.cohorts if spec.first_cohort <= c <= last}
    features = {c: clean_features(spec, rows[c].loans) for c in rows}
    labels = {c: cohort_labels(spec, c, rows[c], staged.as_of) for c in rows}
    return TapeMonths(spec, staged.as_of, rows, features, labels)
