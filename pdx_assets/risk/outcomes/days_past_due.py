"""Label definition ``days_past_due``: read off the monthly performance panel, corrections included."""

from __future__ import annotations

from datetime import date

import polars as pl

from pdx_assets.risk.outcomes.tables import EVENT_SCHEMA
from pdx_assets.risk.spec import DaysPastDue, PortfolioSpec
from pdx_assets.risk.tape import performance_panel


def from_performance(
    spec: PortfolioSpec, rule: DaysPastDue, loans: pl.DataFrame, performance: pl.DataFrame | None, as_of: date
) -> pl.DataFrame:
    """Events read off the performance panel: past due by the threshold, charged off, paid off.

    For one loan and month the report with the latest day holds from that day on (the later row of two
    from one day). An event is dated the month's last day and stands from the report that shows it until
    the report that takes it back. Charge-off and payoff come from the panel's status column, if declared.
    """
    if performance is None or not performance.height:
        return pl.DataFrame(schema=EVENT_SCHEMA)
    known = performance.filter((pl.col("reported_on") <= as_of) & (pl.col("month") <= as_of))
    shows = {f"dpd{rule.threshold}": pl.col("days_past_due") >= rule.threshold}
    panel = performance_panel(spec)
    if panel is not None and panel.status is not None:
        shows["charged_off"] = pl.col("status").str.contains(panel.charged_off_status).fill_null(False)
        shows["paid_off"] = pl.col("status").str.contains(panel.paid_off_status).fill_null(False)
    events = pl.concat([_spells(known, test).with_columns(pl.lit(e).alias("event")) for e, test in shows.items()])
    return events.join(loans.select("cohort", "loan_id"), on="loan_id", how="inner")


def _spells(known: pl.DataFrame, shows: pl.Expr) -> pl.DataFrame:
    """From when until when reports of a month showed something: ``loan_id``, ``event_date``, ``known_from``,
    ``withdrawn_from``.

    Months that add nothing, because an earlier month's event is known no later and was never taken back,
    are left out: the first event standing on a day is the first that was known on that day.
    """
    known = known.with_columns(shows.alias("shown"))
    # Nearly all loans never show it: only months that ever did need a history.
    by_month = ["loan_id", "month"]
    spells = (
        known.join(known.filter("shown").select(by_month).unique(), on=by_month, how="semi", maintain_order="left")
        .unique([*by_month, "reported_on"], keep="last", maintain_order=True)
        .sort(*by_month, "reported_on")
        .filter((pl.col("shown") != pl.col("shown").shift(1)).fill_null(True).over(by_month))
        .with_columns(pl.col("reported_on").shift(-1).over(by_month).alias("withdrawn_from"))
        .filter("shown")
        # A report ahead of the month's end tells of it no earlier than it happens.
        .with_columns(pl.max_horizontal("reported_on", "month").alias("known_from"))
        .filter(pl.col("withdrawn_from").is_null() | (pl.col("withdrawn_from") > pl.col("known_from")))
        .sort(*by_month, "known_from")
    )
    standing = pl.when(pl.col("withdrawn_from").is_null()).then("known_from")
    earlier = standing.cum_min().forward_fill().shift(1).over("loan_id")
    return spells.filter(earlier.is_null() | (pl.col("known_from") < earlier)).select(
        "loan_id", pl.col("month").alias("event_date"), "known_from", "withdrawn_from"
    )
