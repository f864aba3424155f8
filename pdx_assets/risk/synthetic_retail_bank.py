"""A simulated retail bank: personal loans with the columns of the retail-bank project, and dates.

That project scores seven columns of a file without dates; here every loan has a day of origination and, if
it went into default within twelve months, the day of it. What applicants look like, what is true of them
and the export belong here.

The true PD is an exact function of exported columns, typing errors aside: those are made after it. A
month's loans are drawn from seeds named after the month.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import RetailBank
from pdx_assets.risk.synthetic_truth import Axes, draw_bads, expit, shared_out, true_pds

HORIZON = 12
# Chance of default by month on book, given that it comes within twelve: none before the third instalment.
_SEASONING = np.array([0, 0, 0, 0.05, 0.09, 0.12, 0.14, 0.14, 0.13, 0.12, 0.11, 0.10])
_SEASON = np.array([1.08, 0.94, 1.00, 0.99, 1.02, 0.98, 0.95, 0.93, 1.00, 1.02, 1.01, 1.08])


def files(bank: RetailBank) -> Iterator[tuple[str, str]]:
    """Name and text of every file: ``loans/YYYY-MM.csv`` and ``truth/YYYY-MM.csv`` (loan_id, true_pd)."""
    for month, loans in cohorts(bank):
        yield f"loans/{month}.csv", loans.drop("true_pd").write_csv()
        yield f"truth/{month}.csv", loans.select(pl.col("customer_id").alias("loan_id"), "true_pd").write_csv()


def as_of(bank: RetailBank) -> date:
    """The day of the export: the last cohort has been observed for twelve months."""
    return (Month.parse(bank.first_month) + (bank.months - 1 + HORIZON)).last_day


def cohorts(bank: RetailBank) -> Iterator[tuple[Month, pl.DataFrame]]:
    """Each month's loans as exported, in order of origination, and their ``true_pd``."""
    first, lent = Month.parse(bank.first_month), 0
    counts = shared_out(bank.loans, _SEASON[(first.ordinal + np.arange(bank.months)) % 12])
    for i, n in enumerate(counts.tolist()):
        month = first + i
        rng = np.random.default_rng(seed_from(bank.seed, "retail bank", month))
        loans = draw_applications(rng, n, month, bank.covariate * i / 12)
        index = _axes().index(*_raw_axes(loans), bank.concept * i / 12)
        true_pd = true_pds(index, bad_rate=bank.bad_rate, auc=bank.auc)
        bad = draw_bads(rng, true_pd)
        days = _default_days(rng, loans["origination_date"].to_numpy(), month)
        outcome = {"default": bad.astype(np.int8), "default_date": np.where(bad, days, np.datetime64("NaT"))}
        # Numbers of a bank's own customers: seven digits, no order in time to learn from.
        number = 1_000_000 + (lent + np.arange(n)) * 7_368_787 % 8_999_993
        loans = _mistyped(rng, loans, bank.typing_errors).with_columns(
            pl.Series("default", outcome["default"]),
            pl.Series("default_date", outcome["default_date"]),
            true_pd=true_pd,
        )
        yield month, loans.insert_column(0, pl.Series("customer_id", number))
        lent += n


def draw_applications(rng: np.random.Generator, n: int, month: Month, shift: float) -> pl.DataFrame:
    """Application columns of ``n`` loans in order of origination.

    Args:
        shift: standard deviations by which applicants' quality has fallen.
    """

    def noise(scale: float) -> np.ndarray:
        return scale * rng.standard_normal(n)

    quality, means = noise(1.0) - shift, noise(1.0)
    income = np.clip(np.exp(11.1 + 0.30 * means + 0.05 * quality + noise(0.10)), 12_000, 400_000)
    employed = np.clip(np.round(4.6 + 1.2 * quality + noise(1.4)), 0, 12)
    score = np.clip(np.round(638 + 42 * quality + 8 * means + noise(42)), 300, 850)
    lines = np.minimum(rng.poisson(np.exp(0.25 - 0.40 * quality + noise(0.35))), 8)
    loan = np.exp(8.25 + 0.35 * means - 0.05 * quality + noise(0.35))
    other = np.exp(8.0 + 0.30 * means - 0.25 * quality + 0.22 * lines + noise(0.55))
    days = np.sort(rng.integers(0, month.last_day.day, n))
    return pl.DataFrame(
        {
            "origination_date": np.array(month.first_day, dtype="datetime64[D]") + days,
            "credit_lines_outstanding": lines,
            "loan_amt_outstanding": np.round(loan, 2),
            "total_debt_outstanding": np.round(loan + other, 2),
            "income": np.round(income, 2),
            "years_employed": employed.astype(np.int64),
            "fico_score": score.astype(np.int64),
        }
    )


def _default_days(rng: np.random.Generator, originated: np.ndarray, month: Month) -> np.ndarray:
    """The day each loan would go into default, within twelve months on book."""
    ages = 1 + rng.choice(len(_SEASONING), len(originated), p=_SEASONING)
    lengths = np.array([(month + k).last_day.day for k in range(HORIZON + 1)])[ages]
    starts = np.array([(month + k).first_day for k in range(HORIZON + 1)], dtype="datetime64[D]")[ages]
    return np.asarray(starts + np.floor(rng.random(len(originated)) * lengths).astype(np.int64))


def _mistyped(rng: np.random.Generator, loans: pl.DataFrame, share: float) -> pl.DataFrame:
    """Loans with a share of incomes and debts ten times too large: what outlier bounds are for."""
    wrong = {name: rng.random(loans.height) < share for name in ("income", "total_debt_outstanding")}
    return loans.with_columns(
        pl.when(pl.Series(rows)).then(pl.col(name) * 10).otherwise(name).round(2).alias(name)
        for name, rows in wrong.items()
    )


def _raw_axes(loans: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Two views of risk, (n,) each: what is owed to how many; and what is earned, for how long, and the score."""

    def column(name: str) -> np.ndarray:
        return loans[name].cast(pl.Float64).to_numpy()

    lines, income = column("credit_lines_outstanding"), column("income")
    debt = np.log(column("total_debt_outstanding") / income) + 2.1
    loan = np.log(column("loan_amt_outstanding") / income) + 2.85
    score, years = (column("fico_score") - 638) / 60, column("years_employed")
    first = (
        0.55 * np.minimum(lines, 5)
        + 0.50 * (lines >= 3)
        + 0.60 * debt
        + 0.45 * np.maximum(debt - 0.5, 0)
        - 0.35 * score
        - 0.12 * years
        + 0.30 * (lines >= 2) * (score < -0.5)
    )
    second = (
        -0.60 * score
        - 0.28 * years
        + 0.35 * (years <= 1)
        - 0.45 * np.log(income / 66_000) / 0.3
        + 0.40 * loan
        + 0.15 * lines
        + 0.30 * expit(3 * loan) * (years < 4)
    )
    return first, second


@lru_cache(maxsize=1)
def _axes() -> Axes:
    """From a population without drift whose seed is a constant: banks of every seed live in one world."""
    rng = np.random.default_rng(seed_from("retail bank", "reference population"))
    return Axes.of(*_raw_axes(draw_applications(rng, 12_000, Month(2020, 1), 0.0)))
