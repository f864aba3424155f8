"""Label definition ``last_payment_and_status``: days past due inferred from one late snapshot."""

from __future__ import annotations

import math

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.outcomes.tables import cells, days, known_after, month_end, months
from pdx_assets.risk.spec import LastPaymentAndStatus, PortfolioSpec


def from_last_payment(spec: PortfolioSpec, rule: LastPaymentAndStatus, loans: pl.DataFrame) -> pl.DataFrame:
    """The LendingClub rule: days past due inferred from the last payment's month and the final status.

    A loan last paid *m* months after its month of issue (0 when it never paid) whose final status is
    charged off, in default or late missed its next instalment in month *m* + 1 and is 90 days past due in
    month *m* + 4; in general *m* + 1 + threshold / 30, rounded up. The event is dated the last day of
    that month, and known from that day plus the label's reporting delay. So "bad within 12 months" means
    *m* <= 8. ``Does not meet the credit policy. Status:`` in front of a status changes nothing, since the
    status is searched, not compared. ``paid_off`` is dated the last day of the last payment's month.

    Limits: one late snapshot shows a loan's end, not its path. A loan that was 90 days past due and
    recovered is not seen as bad; a last payment that was only partial, or a recovery after charge-off,
    makes the event look later than it was; a loan late at the as-of date counts from its own last
    payment, and only once the 90 days have passed by then.
    """
    issued = months(days(spec, loans, spec.origination_column))
    paid = months(days(spec, loans, rule.last_payment))
    status = columns.texts(cells(loans, rule.status), spec.columns[rule.status])
    on_book = pl.Series((paid - issued).fill_null(0).clip(lower_bound=0))
    base = loans.select("cohort", "loan_id").with_columns(
        issued.alias("issued"), on_book.alias("m"), paid.is_not_null().alias("paid"), status.alias("status")
    )
    missed = 1 + math.ceil(rule.threshold / 30)
    bad = base.filter(pl.col("status").str.contains(rule.bad_status).fill_null(False)).with_columns(
        pl.lit(f"dpd{rule.threshold}").alias("event"),
        month_end(pl.col("issued") + pl.col("m") + missed).alias("event_date"),
    )
    kinds = [bad]
    if rule.paid_off_status is not None:
        repaid = pl.col("status").str.contains(rule.paid_off_status).fill_null(False) & pl.col("paid")
        kinds.append(
            base.filter(repaid).with_columns(
                pl.lit("paid_off").alias("event"), month_end(pl.col("issued") + pl.col("m")).alias("event_date")
            )
        )
    return known_after(spec, pl.concat(kinds))
