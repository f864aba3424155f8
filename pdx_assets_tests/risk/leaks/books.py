"""Loans to judge: honest ones with a leak planted by hand, and books of the simulated lender."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from pdx_assets.risk.leaks import in_parts
from pdx_assets.risk.leaks.tally import Kind
from pdx_assets.risk.spec import SimulatedLender
from pdx_assets.risk.synthetic import simulate

CATEGORIES = ("employment_type", "home_ownership", "purpose", "region", "channel")
NOT_FEATURES = ("cohort", "loan_id", "borrower_id", "application_date", "age_band", "bad_age", "label", "part")


def honest(n: int = 8000, bad_rate: float = 0.1, cohorts: int = 15, seed: int = 0) -> pl.DataFrame:
    """Labelled loans in cohorts, the last fifth out of time, without any feature."""
    rng = np.random.default_rng(seed)
    loans = pl.DataFrame(
        {
            "cohort": [f"2020-{k + 1:02d}" if k < 12 else f"2021-{k - 11:02d}" for k in np.arange(n) * cohorts // n],
            "label": (rng.random(n) < bad_rate).astype(np.int8),
        }
    )
    return loans.with_columns(part=in_parts(loans["cohort"]))


def simulated(first: str = "2021-01", last: str = "2022-03", **lender: Any) -> tuple[pl.DataFrame, dict[str, Kind]]:
    """Some cohorts of the simulated lender as the sentinel sees them, and the features' kinds."""
    book = simulate(SimulatedLender.model_validate(lender))
    loans = book.loans.join(book.truth.select("cohort", "loan_id", "bad_age"), on=["cohort", "loan_id"])
    opened = (pl.col("application_date") - pl.col("oldest_account_date")).dt.total_days()
    loans = loans.filter(pl.col("cohort").is_between(pl.lit(first), pl.lit(last))).sort("cohort", "loan_id")
    loans = loans.with_columns(
        label=(pl.col("bad_age") <= 12).fill_null(False).cast(pl.Int8), oldest_account_date=opened
    ).with_columns(part=in_parts(loans["cohort"]))
    kinds: dict[str, Kind] = {}
    for name in loans.columns:
        if name not in NOT_FEATURES:
            kinds[name] = "category" if name in CATEGORIES else "date" if name.endswith("_date") else "number"
    return loans, kinds
