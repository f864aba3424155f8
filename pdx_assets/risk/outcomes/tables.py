"""What events and labels look like as tables, and the small steps that every definition takes."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.spec import PortfolioSpec

EVENT_SCHEMA = {
    "cohort": pl.String,
    "loan_id": pl.String,
    "event": pl.String,
    "event_date": pl.Date,
    "known_from": pl.Date,
    "withdrawn_from": pl.Date,
}
LABEL_SCHEMA = {
    "cohort": pl.String,
    "loan_id": pl.String,
    "label": pl.Int8,
    "status": pl.String,
    "known_from": pl.Date,
    "superseded_from": pl.Date,
}


def cells(loans: pl.DataFrame, name: str) -> pl.Series:
    """A column's cells as received; missing on every row where the tape lacks the column."""
    if name in loans.columns:
        return loans[name]
    return pl.Series(name, [None], dtype=pl.String).new_from_index(0, loans.height)


def days(spec: PortfolioSpec, loans: pl.DataFrame, name: str) -> pl.Series:
    """A declared date column's days (Date)."""
    return columns.days(cells(loans, name), spec.columns[name])


def months(days: pl.Series) -> pl.Series:
    """Month ordinals (Int32), as in calendar.Month."""
    return days.dt.year() * 12 + days.dt.month().cast(pl.Int32) - 1


def month_end(ordinals: pl.Expr | pl.Series) -> pl.Expr:
    """Last day of a month given by its ordinal."""
    found = pl.lit(ordinals) if isinstance(ordinals, pl.Series) else ordinals
    return pl.date(found // 12, found % 12 + 1, 1).dt.month_end()


def horizon_ends(spec: PortfolioSpec, loans: pl.DataFrame, as_of: date) -> pl.Expr:
    """The last day on which each loan can still turn bad within the horizon: in months on book, from its own month.

    Without a horizon, the as-of date: nothing is seen beyond it.
    """
    if spec.label.horizon_months is None:
        return pl.lit(as_of)
    return month_end(months(days(spec, loans, spec.origination_column)) + spec.label.horizon_months)


def known_after(spec: PortfolioSpec, events: pl.DataFrame) -> pl.DataFrame:
    """Events with ``known_from``, the reporting delay after they happened, and never withdrawn."""
    delay = timedelta(days=spec.label.reporting_delay_days)
    return events.with_columns(
        (pl.col("event_date") + delay).alias("known_from"), pl.lit(None, dtype=pl.Date).alias("withdrawn_from")
    )


def on_the_tape(as_of: date) -> pl.Expr:
    """What had happened and was known on the as-of date."""
    return (pl.col("event_date") <= as_of) & (pl.col("known_from") <= as_of)
