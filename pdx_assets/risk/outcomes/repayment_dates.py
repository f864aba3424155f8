"""Label definition ``repayment_dates``: days past due of a short loan, by when it was due and when repaid."""

from __future__ import annotations

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.errors import SpecError
from pdx_assets.risk.outcomes.tables import cells, days, known_after, months
from pdx_assets.risk.spec import PortfolioSpec, RepaymentDates

MOST_DUE_LATER = 0.01
"""Share of a cohort's loans that may come due too late for the label: stray terms, not the product's."""
FEWEST_DUE_LATER = 5
"""With fewer such loans a small cohort says nothing of the product."""


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


def require_horizon(spec: PortfolioSpec, loans: pl.DataFrame) -> None:
    """Refuse a horizon that ends before short loans can be past due by the threshold: they would all count as good.

    A bad rate of 15.5 % instead of 20 % came of a horizon of 2 months on loans of up to 90 days.

    Raises:
        SpecError: more than 1 % of the loans, and at least five, come due so late.
    """
    rule, horizon = spec.label.definition, spec.label.horizon_months
    if horizon is None or not isinstance(rule, RepaymentDates):
        return
    late = months(due_days(spec, rule, loans).dt.offset_by(f"{rule.threshold}d"))
    needed = (late - months(days(spec, loans, spec.origination_column))).drop_nulls()
    later = int((needed > horizon).sum())
    share = later / max(len(needed), 1)
    if share <= MOST_DUE_LATER or later < FEWEST_DUE_LATER:
        return
    # The longest term but for stray ones.
    enough = int(needed.quantile(1 - MOST_DUE_LATER, "higher") or horizon)
    raise SpecError(
        f"label.horizon_months is {horizon}, but {share:.0%} of the loans of {loans['cohort'][0]} come due so late "
        f"that {rule.threshold} days past due lies beyond it: all of them would count as good.",
        expected=f"horizon_months: {enough} or more",
        remedy="raise label.horizon_months, and windows.gap with it; or give the due date that the label is meant for",
    )


def due_days(spec: PortfolioSpec, rule: RepaymentDates, loans: pl.DataFrame) -> pl.Series:
    """The day each loan is due (Date); null where the tape does not say."""
    if rule.due is not None:
        return days(spec, loans, rule.due)
    assert rule.term_days is not None
    term = columns.numbers(cells(loans, rule.term_days), spec.columns[rule.term_days])
    originated = days(spec, loans, spec.origination_column)
    return originated + pl.Series(term.round().cast(pl.Int64) * 86_400_000).cast(pl.Duration("ms"))
