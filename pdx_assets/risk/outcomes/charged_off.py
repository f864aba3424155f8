"""Label definition ``charged_off``: charged off within the horizon of origination."""

from __future__ import annotations

from datetime import date

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.outcomes.tables import cells, days, known_after
from pdx_assets.risk.spec import ChargedOff, PortfolioSpec

CHARGED_OFF = "charged_off"
UNDATED = "charged_off_undated"


def from_charge_off(spec: PortfolioSpec, rule: ChargedOff, loans: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Charge-offs by their day, the final status or both.

    ``charged_off`` is dated the day of charge-off and known from that day plus the label's reporting delay.
    Where a status column is declared it decides: a loan with a day of charge-off and another final status was
    paid in the end, and has no event. A loan charged off by its status without a day has the event
    ``charged_off_undated``, dated and known from the as-of date: when it happened nobody can say.
    """
    base = loans.select("cohort", "loan_id")
    day = days(spec, loans, rule.date) if rule.date else pl.Series([None], dtype=pl.Date).new_from_index(0, base.height)
    if rule.status is not None and rule.bad_status is not None:
        status = columns.texts(cells(loans, rule.status), spec.columns[rule.status])
        is_bad = status.str.contains(rule.bad_status).fill_null(False)
    else:
        is_bad = day.is_not_null()
    bad = base.with_columns(day.alias("event_date"), is_bad.alias("is_bad")).filter("is_bad")
    dated = known_after(spec, bad.drop_nulls("event_date").with_columns(pl.lit(CHARGED_OFF).alias("event")))
    undated = bad.filter(pl.col("event_date").is_null()).with_columns(
        pl.lit(UNDATED).alias("event"),
        pl.lit(as_of).alias("event_date"),
        pl.lit(as_of).alias("known_from"),
        pl.lit(None, dtype=pl.Date).alias("withdrawn_from"),
    )
    return pl.concat([dated, undated], how="diagonal")
