"""A tape as it would have looked on an earlier day, so that years can be replayed on one static file.

What cannot be undone: a loan's own columns show their last state (labels read from them are dated, and
only those known by the day count), and rows set aside are counted from their cohort's first day on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape import CohortRows, StagedTape
from pdx_assets.risk.tape_accounting import RowAccounting


@dataclass(frozen=True)
class TapeOnDay(StagedTape):
    """A staged tape of which only what was there on ``day`` is seen.

    ``as_of`` is the day, or the tape's own as-of date where that is earlier; ``cohorts`` are those that had
    begun. ``accounting`` and ``performance_accounting`` stay those of the whole tape.
    """

    day: date
    spec: PortfolioSpec

    def cohort(self, cohort: Month) -> CohortRows:
        rows = super().cohort(cohort)
        loans, accounting = rows.loans, rows.accounting
        if not is_whole(self, cohort):
            name = self.spec.origination_column
            seen = (columns.days(loans[name], self.spec.columns[name]) <= self.day).fill_null(False)
            loans = loans.filter(seen)
            accounting = _without(accounting, rows.loans.height - loans.height)
        performance, account = rows.performance, rows.performance_accounting
        if performance is not None and account is not None:
            reported = pl.col("reported_on") <= self.day
            performance = performance.filter(reported).join(loans.select("loan_id"), on="loan_id", how="semi")
            assert rows.performance is not None
            account = _without(account, rows.performance.height - performance.height)
        return replace(
            rows, loans=loans, accounting=accounting, performance=performance, performance_accounting=account
        )


def on_day(tape: StagedTape, spec: PortfolioSpec, day: date) -> StagedTape:
    """The tape as it looked on a day; the very tape where the day hides nothing.

    Raises:
        PdxError: the label has no horizon, and the day lies before the tape's as-of date.
    """
    if spec.label.horizon_months is None and day < tape.as_of:
        raise PdxError(
            f"The label {spec.label.name} is ever: what the tape says at its as-of date {tape.as_of}, not on {day}.",
            expected="a clock on or after that date, or a label with a horizon",
            remedy="unset PDX_AS_OF, or replay a portfolio whose labels are known in time",
        )
    if day >= tape.as_of and (not tape.cohorts or day >= spec.periods.last_day(tape.cohorts[-1])):
        return tape
    return TapeOnDay(
        folder=tape.folder,
        fingerprint=tape.fingerprint,
        as_of=min(tape.as_of, day),
        cohorts=tuple(c for c in tape.cohorts if c.first_day <= day),
        accounting=tape.accounting,
        performance_accounting=tape.performance_accounting,
        _summary=tape._summary,
        day=day,
        spec=spec,
    )


def is_whole(tape: StagedTape, cohort: Month) -> bool:
    """Whether every loan of a cohort is seen."""
    return not isinstance(tape, TapeOnDay) or tape.spec.periods.last_day(cohort) <= tape.day


def _without(account: RowAccounting, hidden: int) -> RowAccounting:
    return replace(account, rows_in=account.rows_in - hidden, rows_out=account.rows_out - hidden)
