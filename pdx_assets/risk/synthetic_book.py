"""The simulated lender's book: loans, what they repay, what of it is reported, and the truth.

Putting borrowers, applications and repayment together month by month belongs here, in memory; files are
synthetic.py's.

A month's loans are drawn from seeds named after the month, and depend on earlier months only (through
borrowers who come back), never on how many months are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import SimulatedLender
from pdx_assets.risk.synthetic_applicants import Traits, draw_applications, draw_borrowers, true_log_odds
from pdx_assets.risk.synthetic_repayment import (
    CHARGED_OFF,
    LAST_AGE,
    MATURED,
    PREPAID,
    RUNNING,
    Paths,
    Reports,
    balance,
    draw_paths,
    draw_reports,
)

# Borrowers come back after 4 to 36 months; their share of a month's loans grows to this over two years.
_RETURNING_SHARE = 0.18
_SOONEST, _LATEST = 4, 36

_STATUS = ("current", "late_30", "late_60", "late_90", "late_120", "charged_off")
_ENDING = {PREPAID: "prepaid", MATURED: "matured", CHARGED_OFF: "charged_off"}
_PERFORMANCE_SCHEMA = {
    "loan_id": pl.String,
    "month": pl.Date,
    "days_past_due": pl.Int32,
    "balance": pl.Float64,
    "status": pl.String,
    "reported_on": pl.Date,
}


@dataclass(frozen=True)
class Cohort:
    """One month's loans: application columns, the truth, what was repaid and what of it was reported."""

    month: Month
    applications: pl.DataFrame
    true_pd: np.ndarray
    paths: Paths
    reports: Reports

    @cached_property
    def _terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a = self.applications
        return a["amount"].to_numpy(), a["annual_rate"].to_numpy(), a["term_months"].to_numpy()

    def balance_at(self, rows: np.ndarray, age: np.ndarray | int, bucket: np.ndarray) -> np.ndarray:
        amount, rate, term = self._terms
        return balance(amount[rows], rate[rows], term[rows], age - bucket.astype(np.int64))

    def reported_at(self, age: int) -> pl.DataFrame:
        """Rows first reported at an age, then the corrections of earlier ages made then (no reported_on)."""
        parts = []
        if 1 <= age <= LAST_AGE:
            rows = np.flatnonzero(self.paths.end >= age)
            parts.append(self._rows(rows, np.full(len(rows), age), self.reports.bucket[rows, age]))
        fixed = np.flatnonzero(self.reports.corrected_at == age) if age > 0 else np.array([], dtype=np.int64)
        if len(fixed):
            ages = np.arange(LAST_AGE + 1)[None, :]
            wrong = self.reports.bucket[fixed] != self.paths.bucket[fixed]
            wrong &= (ages < age) & (ages <= self.paths.end[fixed][:, None])
            which, at = np.nonzero(wrong)
            parts.append(self._rows(fixed[which], at, self.paths.bucket[fixed[which], at]))
        return pl.concat(parts) if parts else pl.DataFrame(schema=_PERFORMANCE_SCHEMA).drop("reported_on")

    def _rows(self, rows: np.ndarray, age: np.ndarray, bucket: np.ndarray) -> pl.DataFrame:
        last = (self.paths.end[rows] == age) & (self.paths.bucket[rows, age] == bucket)
        ending = np.where(last, self.paths.ending[rows], RUNNING)
        left = np.where(np.isin(ending, (PREPAID, MATURED)), 0.0, self.balance_at(rows, age, bucket))
        status = np.array(_STATUS)[bucket]
        for code, name in _ENDING.items():
            status = np.where(ending == code, name, status)
        ends = np.array([(self.month + k).last_day for k in range(LAST_AGE + 1)], dtype="datetime64[D]")
        columns = {
            "loan_id": self.applications["loan_id"].gather(rows),
            "month": ends[age],
            "days_past_due": bucket.astype(np.int32) * 30,
            "balance": left,
            "status": status,
        }
        return pl.DataFrame(columns)


@dataclass(frozen=True)
class SimulatedBook:
    """A whole book as of the last day of the lender's last month.

    ``loans``: cohort and the columns of the tape, typed, one row a loan, planted leaks included.
    ``performance``: loan_id, month (last day), days_past_due, balance, status, reported_on; nothing
    reported after :attr:`as_of`; corrections are further rows of the same loan and month.
    ``truth``: cohort, loan_id, true_pd and bad_age, the month on book at which the loan truly is first 90
    days past due (null: never), whether or not the tape shows it yet.
    """

    lender: SimulatedLender
    cohorts: tuple[Cohort, ...]

    @property
    def as_of(self) -> date:
        return (Month.parse(self.lender.first_month) + (self.lender.months - 1)).last_day

    @cached_property
    def loans(self) -> pl.DataFrame:
        return pl.concat(
            self.exported_loans(c).insert_column(0, pl.lit(str(c.month)).alias("cohort")) for c in self.cohorts
        )

    @cached_property
    def performance(self) -> pl.DataFrame:
        return pl.concat([pl.DataFrame(schema=_PERFORMANCE_SCHEMA), *(rows for _, rows in self.reports())])

    @cached_property
    def truth(self) -> pl.DataFrame:
        return pl.concat(cohort_truth(c) for c in self.cohorts)

    def reports(self) -> Iterator[tuple[Month, pl.DataFrame]]:
        """Performance rows by the month they were reported in; months without a report are left out."""
        delay = timedelta(days=self.lender.faults.label_delay_days)
        first = Month.parse(self.lender.first_month)
        pending: list[pl.DataFrame] = []
        file = first
        for cycle in (first + i for i in range(self.lender.months)):
            reported_on = cycle.last_day + delay
            if reported_on > self.as_of:
                break
            if Month.of(reported_on) != file:
                yield from _reported(file, pending)
                file, pending = Month.of(reported_on), []
            ages = [(c, cycle.ordinal - c.month.ordinal) for c in self.cohorts]
            rows = pl.concat([c.reported_at(age) for c, age in ages if age >= 1] or [_NOTHING])
            pending.append(rows.sort("month", "loan_id").with_columns(reported_on=pl.lit(reported_on)))
        yield from _reported(file, pending)

    def exported_loans(self, cohort: Cohort) -> pl.DataFrame:
        """The loan rows as exported: with leaks, columns that say how each loan stood at the as-of date."""
        loans, leaks = cohort.applications, self.lender.faults.leaks
        if not leaks:
            return loans
        now = Month.of(self.as_of).ordinal - cohort.month.ordinal
        paths, rows = cohort.paths, np.arange(loans.height)
        age = np.minimum(paths.end, now).astype(np.int64)
        ending = np.where(paths.end <= now, paths.ending, RUNNING)
        if "rewritten_term" in leaks:
            # As in the SBA's file: the term becomes the months the loan lived, never a multiple of 12.
            lived = age + (age % 12 == 0)
            term = np.where(ending == CHARGED_OFF, lived, loans["term_months"].to_numpy())
            loans = loans.with_columns(term_months=pl.Series(term))
        if "post_outcome_balance" in leaks:
            left = cohort.balance_at(rows, age, paths.bucket[rows, age])
            loans = loans.with_columns(
                post_outcome_balance=pl.Series(np.where(np.isin(ending, (PREPAID, MATURED)), 0.0, left))
            )
        if "outcome_flag" in leaks:
            bad = (paths.bad_age > 0) & (paths.bad_age <= now)
            loans = loans.with_columns(outcome_flag=pl.Series(bad.astype(np.int8)))
        return loans


_NOTHING = pl.DataFrame(schema=_PERFORMANCE_SCHEMA).drop("reported_on")


def _reported(file: Month, pending: list[pl.DataFrame]) -> Iterator[tuple[Month, pl.DataFrame]]:
    rows = pl.concat([p.cast({"reported_on": pl.Date}) for p in pending] or [pl.DataFrame(schema=_PERFORMANCE_SCHEMA)])
    if rows.height:
        yield file, rows


def cohort_truth(cohort: Cohort) -> pl.DataFrame:
    bad = pl.Series(cohort.paths.bad_age)
    return pl.DataFrame(
        {
            "cohort": [str(cohort.month)] * len(cohort.true_pd),
            "loan_id": cohort.applications["loan_id"],
            "true_pd": cohort.true_pd,
            "bad_age": bad,
        }
    ).with_columns(bad_age=pl.when(pl.col("bad_age") > 0).then("bad_age"))


def simulate(lender: SimulatedLender) -> SimulatedBook:
    """The whole book in memory; no file is written. Equal parameters give equal books."""
    return SimulatedBook(lender, tuple(_draw_cohorts(lender)))


def true_pd(lender: SimulatedLender) -> pl.DataFrame:
    """cohort, loan_id and the true PD within twelve months on book of every loan of a simulated lender."""
    return simulate(lender).truth.select("cohort", "loan_id", "true_pd")


def _draw_cohorts(lender: SimulatedLender) -> Iterator[Cohort]:
    first = Month.parse(lender.first_month)
    n = lender.loans_per_month
    known = _Borrowers(n * lender.months)
    shock = None if lender.drift.shock_month is None else Month.parse(lender.drift.shock_month)
    faults = lender.faults
    for i in range(lender.months):
        month, years = first + i, i / 12

        def stream(name: str, month: Month = month) -> np.random.Generator:
            return np.random.default_rng(seed_from(lender.seed, "simulated lender", name, month))

        shift = lender.drift.covariate * years
        back = known.returning(stream("returning"), i, n)
        who = draw_borrowers(stream("borrowers"), n - len(back), shift)
        borrowers = np.concatenate([back, known.add(who, i)])
        drawn = draw_applications(
            stream("applications"), known.traits.take(borrowers), (i - known.since[borrowers]) / 12, month, shift
        )
        borrowers = borrowers[drawn["applicant"].to_numpy()]
        ids = {
            "loan_id": [f"L{month.year:04d}{month.number:02d}-{k:06d}" for k in range(1, n + 1)],
            "borrower_id": [f"B{b:08d}" for b in borrowers.tolist()],
        }
        applications = pl.concat([pl.DataFrame(ids), drawn.drop("applicant")], how="horizontal").with_columns(
            previous_loans=pl.Series(known.loans[borrowers])
        )
        log_odds = true_log_odds(
            applications,
            bad_rate=lender.bad_rate,
            angle=lender.drift.concept * years,
            shock=lender.drift.shock_log_odds if shock is not None and month >= shock else 0.0,
        )
        pd_true = 1 / (1 + np.exp(-np.clip(log_odds, -13, 13)))
        paths = draw_paths(stream("repayment"), pd_true, applications["term_months"].to_numpy())
        reports = draw_reports(
            stream("reporting"), paths, pd_true, late_share=faults.late_share, revised_share=faults.revised_share
        )
        known.lent(borrowers, paths)
        yield Cohort(month, applications, pd_true, paths, reports)


class _Borrowers:
    """Everyone who ever borrowed, by number, and the loans that decide who may come back."""

    def __init__(self, most: int) -> None:
        latent = np.zeros((5, most))
        self.traits = Traits(latent[0], latent[1], latent[2], latent[3], latent[4], np.zeros(most, dtype=np.int64))
        self.since = np.zeros(most, dtype=np.int64)
        self.loans = np.zeros(most, dtype=np.int64)
        self.count = 0
        self._history: list[tuple[np.ndarray, Paths]] = []

    def add(self, who: Traits, month: int) -> np.ndarray:
        rows = np.arange(self.count, self.count + len(who.age))
        for name, values in vars(who).items():
            getattr(self.traits, name)[rows] = values
        self.since[rows] = month
        self.count += len(rows)
        return rows

    def lent(self, borrowers: np.ndarray, paths: Paths) -> None:
        self.loans[borrowers] += 1
        self._history.append((borrowers, paths))

    def returning(self, rng: np.random.Generator, month: int, loans: int) -> np.ndarray:
        """Borrowers of the last three years never 90 days past due so far, each at most once a month."""
        oldest, newest = max(month - _LATEST, 0), month - _SOONEST
        wanted = round(_RETURNING_SHARE * loans * min(month / 24, 1.0))
        if newest < oldest or not wanted:
            return np.array([], dtype=np.int64)
        cohort = rng.integers(oldest, newest + 1, 2 * wanted)
        row = rng.integers(0, loans, 2 * wanted)
        who, bad = np.empty(2 * wanted, dtype=np.int64), np.empty(2 * wanted, dtype=np.int64)
        for j in np.unique(cohort):
            borrowers, paths = self._history[j]
            of = cohort == j
            who[of], bad[of] = borrowers[row[of]], paths.bad_age[row[of]]
        welcome = (bad == 0) | (bad > month - cohort)
        _, once = np.unique(who[welcome], return_index=True)
        return who[welcome][np.sort(once)][:wanted]
