"""Label definition ``ready_flag``: the tape says itself which loans are bad."""

from __future__ import annotations

from datetime import date

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.outcomes.tables import cells, days, horizon_ends, known_after
from pdx_assets.risk.spec import PortfolioSpec, ReadyFlag

FLAGGED_BAD = "flagged_bad"
FLAGGED_GOOD = "flagged_good"


def from_flag(spec: PortfolioSpec, rule: ReadyFlag, loans: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """``flagged_bad`` and ``flagged_good``, one of them for each loan whose flag is one of the two.

    The flag is known from the day in ``known_from``; where there is none, from the end of the loan's horizon
    plus the label's reporting delay; without a horizon, from the as-of date. The event is dated the end of the
    horizon, or that day where it is earlier.
    """
    flag = flags(spec, rule, loans)
    base = loans.select("cohort", "loan_id").with_columns(
        pl.when(flag == 1).then(pl.lit(FLAGGED_BAD)).when(flag == 0).then(pl.lit(FLAGGED_GOOD)).alias("event"),
        horizon_ends(spec, loans, as_of).alias("event_date"),
    )
    base = known_after(spec, base)
    if spec.label.horizon_months is None:
        base = base.with_columns(pl.lit(as_of).alias("known_from"))
    if rule.known_from is not None:
        told = days(spec, loans, rule.known_from)
        base = base.with_columns(
            pl.min_horizontal("event_date", told).alias("event_date"),
            pl.coalesce(told, "known_from").alias("known_from"),
        )
    return base.drop_nulls("event")


def flags(spec: PortfolioSpec, rule: ReadyFlag, loans: pl.DataFrame) -> pl.Series:
    """Int8 per loan: 1 bad, 0 good, null where the flag says neither."""
    text = columns.texts(cells(loans, rule.flag), spec.columns[rule.flag])
    bad, good = (text.str.contains(f"^(?:{pattern})$").fill_null(False) for pattern in (rule.bad, rule.good))
    return pl.DataFrame({"bad": bad, "good": good}).select(
        pl.when("bad").then(1).when("good").then(0).cast(pl.Int8).alias("flag")
    )["flag"]
