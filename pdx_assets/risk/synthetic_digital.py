"""A simulated book of small, short loans granted over a telephone, as one CSV file with due and repayment dates.

Its columns are those of the public files of such lenders: one row a loan, days with a time of day, a term of 15 to
90 days, the day the first instalment was due and the day it was paid. Borrowers, application columns and the
true PD are the simulated lender's (synthetic_applicants.py); here a good borrower is back as soon as a loan is
repaid, and the PD is that of paying more than fifteen days late, or never.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.synthetic_applicants import Traits, draw_applications, draw_borrowers, true_log_odds

LATE_DAYS = 15
_TERMS = {12: (15, 30), 24: (30, 60), 36: (60, 90)}
_PRICE = {15: 0.15, 30: 0.20, 60: 0.32, 90: 0.45}
# Nobody borrows from this lender more often.
_MOST_LOANS = 26
_RETURNING_SHARE = 0.6


@dataclass(frozen=True)
class DigitalBook:
    """Such a book.

    ``loans``: the columns of the file, typed text as exported, in order of approval.
    ``truth``: systemloanid and true_pd, the chance of paying more than :data:`LATE_DAYS` days late.
    ``as_of``: the day of the export; later payments are not in it.
    """

    loans: pl.DataFrame
    truth: pl.DataFrame
    as_of: date


def simulate_digital(
    *,
    seed: int = 0,
    first_month: str = "2016-01",
    months: int = 18,
    loans_per_month: int = 1000,
    bad_rate: float = 0.16,
) -> DigitalBook:
    """The book in memory; equal parameters give equal books.

    Args:
        bad_rate: mean true PD of first-time applicants.
    """
    first = Month.parse(first_month)
    as_of = (first + (months - 1)).last_day
    known = _Borrowers(months * loans_per_month)
    parts = list(_cohorts(seed, first, months, loans_per_month, bad_rate, known))
    book = pl.concat(parts).sort("approved", "systemloanid")
    truth = book.select("systemloanid", "true_pd")
    return DigitalBook(_exported(book, as_of), truth, as_of)


def _cohorts(
    seed: int, first: Month, months: int, each: int, bad_rate: float, known: _Borrowers
) -> Iterator[pl.DataFrame]:
    for i in range(months):
        month = first + i
        rng = np.random.default_rng(seed_from(seed, "digital lender", month))
        # The lender grows from half its size to half as much again.
        count = max(1, round(each * (0.5 + i / max(months - 1, 1))))
        back = known.returning(rng, month.first_day, count)
        newcomers = known.add(draw_borrowers(rng, count - len(back), 0.0))
        borrowers = np.concatenate([back, newcomers])
        drawn = draw_applications(rng, known.traits.take(borrowers), np.zeros(len(borrowers)), month, 0.0)
        borrowers = borrowers[drawn["applicant"].to_numpy()]
        drawn = drawn.with_columns(previous_loans=pl.Series(known.loans[borrowers]))
        log_odds = true_log_odds(drawn, bad_rate=bad_rate, angle=0.25 * i / 12, shock=0.0)
        pd_true = 1 / (1 + np.exp(-np.clip(log_odds, -13, 13)))
        cohort = _lend(rng, drawn, pd_true).with_columns(
            customerid=pl.Series([f"C{seed_from(seed, 'customer', b):010d}" for b in borrowers.tolist()]),
            systemloanid=pl.Series([f"30{month.ordinal % 1000:03d}{k:05d}" for k in range(len(borrowers))]),
            loannumber=pl.Series(known.loans[borrowers] + 1),
        )
        known.lent(borrowers, cohort)
        yield cohort


def _lend(rng: np.random.Generator, drawn: pl.DataFrame, pd_true: np.ndarray) -> pl.DataFrame:
    """Terms and repayment of one month's loans, the true outcome drawn first and the days filled in around it."""
    n = drawn.height
    short = rng.random(n) < 0.25
    pairs = np.array([_TERMS[t] for t in drawn["term_months"].to_list()])
    term = np.where(short, pairs[:, 0], pairs[:, 1])
    # From 1 to 60 thousand: a larger loan wherever the application asks for more.
    amount = np.clip(np.round(drawn["amount"].to_numpy() / 400), 1, 60) * 1000
    total = np.round(amount * (1 + np.array([_PRICE[t] for t in term.tolist()])), -1)
    approved = drawn["application_date"].to_numpy().astype("datetime64[us]") + rng.integers(0, 86_400, n) * 1_000_000
    due_after = np.minimum(term, 30)
    bad, ahead, tail, never = (rng.random(n) for _ in range(4))
    on_time = np.floor(due_after - due_after * 0.35 * ahead**3)
    few_days = due_after + 1 + np.floor((LATE_DAYS - 1) * tail**2)
    good_days = np.where(ahead < 0.22, few_days, on_time)
    bad_days = due_after + LATE_DAYS + 1 + np.floor(-35 * np.log(np.maximum(tail, 1e-6)))
    is_bad = bad < pd_true
    paid_after = np.where(is_bad, bad_days, good_days)
    paid_after = np.where(is_bad & (never < 0.35), np.nan, paid_after)
    closed_after = paid_after + np.maximum(term - due_after, 0)
    return drawn.with_columns(
        approved=approved,
        loanamount=amount.astype(np.int64),
        totaldue=total.astype(np.int64),
        termdays=term.astype(np.int64),
        due_after=due_after.astype(np.int64),
        paid_after=pl.Series(paid_after, nan_to_null=True).cast(pl.Int64),
        closed_after=pl.Series(closed_after, nan_to_null=True).cast(pl.Int64),
        paid_second=pl.Series(rng.integers(0, 86_400, n)),
        clock_shift=pl.Series(rng.integers(20, 900, n)),
        longitude=pl.Series(np.round(3.4 + 1.6 * rng.standard_normal(n), 6)),
        latitude=pl.Series(np.round(7.2 + 1.1 * rng.standard_normal(n), 6)),
        referred=pl.Series(rng.random(n) < 0.05),
        true_pd=pl.Series(pd_true),
    )


def _exported(book: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """The file's columns, as the public ones are written; nothing later than the export."""
    stamp = "%Y-%m-%d %H:%M:%S.000000"
    day = pl.col("approved").dt.truncate("1d")
    end = pl.lit(as_of + timedelta(days=1)).cast(pl.Datetime("us"))

    def seen(when: pl.Expr) -> pl.Expr:
        return pl.when(when < end).then(when).dt.strftime(stamp)

    def later(name: str) -> pl.Expr:
        return day + pl.duration(days=pl.col(name)) + pl.duration(seconds=pl.col("paid_second"))

    account = {"salaried": "Savings", "public_sector": "Savings", "self_employed": "Current", "other": "Other"}
    return book.select(
        "customerid",
        "systemloanid",
        "loannumber",
        pl.col("approved").dt.strftime(stamp).alias("approveddate"),
        (pl.col("approved") - pl.duration(seconds=pl.col("clock_shift"))).dt.strftime(stamp).alias("creationdate"),
        "loanamount",
        "totaldue",
        "termdays",
        seen(later("closed_after")).alias("closeddate"),
        pl.when("referred").then(pl.col("customerid").reverse()).alias("referredby"),
        (day + pl.duration(days=pl.col("due_after"))).dt.strftime(stamp).alias("firstduedate"),
        seen(later("paid_after")).alias("firstrepaiddate"),
        pl.col("employment_type").replace_strict(account, default="Savings").alias("bank_account_type"),
        pl.col("longitude").alias("longitude_gps"),
        pl.col("latitude").alias("latitude_gps"),
        pl.col("employment_type").alias("employment_status_clients"),
        (pl.col("annual_income") / 12).round(0).cast(pl.Int64).alias("monthly_income"),
        pl.col("bureau_score"),
        pl.col("inquiries_6m"),
        pl.col("savings_balance"),
        pl.col("channel"),
        pl.col("age_band"),
    )


class _Borrowers:
    """Everyone who borrowed, by number, and when those who repaid may come back."""

    def __init__(self, most: int) -> None:
        most = most * 2 + 100
        zeros = np.zeros((5, most))
        self.traits = Traits(zeros[0], zeros[1], zeros[2], zeros[3], zeros[4], np.zeros(most, dtype=np.int64))
        self.loans = np.zeros(most, dtype=np.int64)
        self.free_from = np.full(most, np.datetime64("NaT"), dtype="datetime64[D]")
        self.count = 0

    def add(self, who: Traits) -> np.ndarray:
        rows = np.arange(self.count, self.count + len(who.age))
        for name, values in vars(who).items():
            getattr(self.traits, name)[rows] = values
        self.count += len(rows)
        return rows

    def returning(self, rng: np.random.Generator, day: date, wanted: int) -> np.ndarray:
        """Borrowers who have repaid their latest loan by a day; each at most once a month."""
        free = np.flatnonzero(self.free_from[: self.count] <= np.datetime64(day, "D"))
        free = free[self.loans[free] < _MOST_LOANS]
        return rng.permutation(free)[: round(_RETURNING_SHARE * wanted)]

    def lent(self, borrowers: np.ndarray, cohort: pl.DataFrame) -> None:
        self.loans[borrowers] += 1
        closed = cohort.select(
            (pl.col("approved").dt.date() + pl.duration(days=pl.col("closed_after"))).cast(pl.Date)
        ).to_series()
        # Nobody is lent to again who paid more than fifteen days late, or has not paid.
        late = (cohort["paid_after"] > cohort["due_after"] + LATE_DAYS).fill_null(True)
        self.free_from[borrowers] = closed.set(late, None).to_numpy().astype("datetime64[D]")
