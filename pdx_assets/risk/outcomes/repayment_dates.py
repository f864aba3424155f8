"""Label definition ``repayment_dates``: days past due of a short loan, by when it was due and when repaid."""

from __future__ import annotations

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.outcomes.tables import cells, days, known_after
from pdx_assets.risk.spec import PortfolioSpec, RepaymentDates


def from_repayment(spec: PortfolioSpec, rule: RepaymentDates, loans: pl.DataFrame) -> pl.DataFrame:
    """Past due by the threshold, and paid off.

    ``dpd<threshold>`` is dated the day due plus the threshold, of a loan repaid later than that day or not at all,
    and known from that day plus the label's reporting delay. ``paid_off`` is dated the day of repayment. A late
    repayment does not take the event back.
    """
    repaid = days(spec, loans, rule.repaid)
    base = loans.select("cohort", "loan_id").with_columns(
        due_days(spec, rule, loans).dt.offset_by(f"{rule.threshold}d").alias("late"), repaid.alias("repaid")
    )
    late = base.filter(
        pl.col("late").is_not_null() & (pl.col("repaid").is_null() | (pl.col("repaid") > pl.col("late")))
    )
    paid = base.filter(pl.col("repaid").is_not_null())
    events = [
        late.with_columns(pl.lit(f"dpd{rule.threshold}").alias("event"), pl.col("late").alias("event_date")),
        paid.with_columns(pl.lit("paid_off").alias("event"), pl.col("repaid").alias("event_date")),
    ]
    return known_after(spec, pl.concat(events))


def due_days(spec: PortfolioSpec, rule: RepaymentDates, loans: pl.DataFrame) -> pl.Series:
    """The day each loan is due (Date); null where the tape does not say."""
    if rule.due is not None:
        return days(spec, loans, rule.due)
    assert rule.term_days is not None
    term = columns.numbers(cells(loans, rule.term_days), spec.columns[rule.term_days])
    originated = days(spec, loans, spec.origination_column)
    return originated + pl.Series(term.round().cast(pl.Int64) * 86_400_000).cast(pl.Duration("ms"))
