"""A simulated two-wheeler lender, exported in the schema of the LTFS vehicle-loan competition.

The paper's vehicle loans are private; this book has their sizes and bad rates and the columns of the
nearest public file, so that one declaration of columns reads both. What applicants look like, what is
true of them and the export belong here. ``loan_default`` is 1 for 30 days past due within three months.

The true PD is an exact function of exported application columns. A month's loans are drawn from seeds
named after the month and do not depend on how many months are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import TwoWheelerTwin
from pdx_assets.risk.synthetic_truth import Axes, draw_bads, expit, pick, shared_out, true_pds

# Year round to year round: more is sold in the months of Navratri and Diwali and at the turn of the year.
_SEASON = np.array([1.02, 0.95, 1.01, 0.98, 0.99, 0.96, 0.97, 0.98, 1.01, 1.10, 1.07, 0.96])

_MANUFACTURERS = {86: 0.470, 45: 0.243, 51: 0.117, 48: 0.071, 49: 0.044, 120: 0.042, 67: 0.010, 145: 0.003}
_STATES, _BRANCHES, _SUPPLIERS, _PINCODES, _EMPLOYEES = 22, 82, 36, 80, 40  # the last three a branch

_NO_HISTORY = (0, "No Bureau History Available")
_NOT_SCORED = {
    16: ("Not Scored: No Activity seen on the customer (Inactive)", 0.22),
    17: ("Not Scored: Not Enough Info available on the customer", 0.28),
    15: ("Not Scored: Sufficient History Not Available", 0.29),
    18: ("Not Scored: No Updates available in last 36 months", 0.12),
    14: ("Not Scored: Only a Guarantor", 0.075),
    11: ("Not Scored: More than 50 active Accounts found", 0.015),
}
_BANDS = (
    *((806, "A-Very Low Risk"), (761, "B-Very Low Risk"), (706, "C-Very Low Risk"), (681, "D-Very Low Risk")),
    *((651, "E-Low Risk"), (631, "F-Low Risk"), (611, "G-Low Risk"), (591, "H-Medium Risk"), (571, "I-Medium Risk")),
    *((531, "J-High Risk"), (481, "K-High Risk"), (351, "L-Very High Risk"), (300, "M-Very High Risk")),
)


def files(twin: TwoWheelerTwin) -> Iterator[tuple[str, str]]:
    """Name and text of every file: ``loans/YYYY-MM.csv`` and ``truth/YYYY-MM.csv`` (loan_id, true_pd)."""
    for month, loans in cohorts(twin):
        yield f"loans/{month}.csv", loans.drop("true_pd").write_csv()
        truth = loans.select(pl.col("UniqueID").alias("loan_id"), "true_pd")
        yield f"truth/{month}.csv", truth.write_csv()


def as_of(twin: TwoWheelerTwin) -> date:
    """The day of the export: the last cohort has been observed for ``observed_months``."""
    return (Month.parse(twin.first_month) + (len(_plan(twin)) - 1 + twin.observed_months)).last_day


def cohorts(twin: TwoWheelerTwin) -> Iterator[tuple[Month, pl.DataFrame]]:
    """Each month's loans as exported, in order of disbursal, and their ``true_pd``."""
    first, sold = Month.parse(twin.first_month), 0
    for i, (count, bad_rate) in enumerate(_plan(twin)):
        month = first + i
        rng = np.random.default_rng(seed_from(twin.seed, "two-wheeler twin", month))
        loans = draw_applications(rng, count, month, twin.covariate * i / 12)
        angle, auc = twin.concept * i / 12, twin.auc - twin.auc_loss * i / 12
        true_pd = true_pds(_axes().index(*_raw_axes(loans), angle), bad_rate=bad_rate, auc=auc)
        yield (
            month,
            loans.with_columns(loan_default=pl.Series(draw_bads(rng, true_pd).astype(np.int8)), true_pd=true_pd)
            .insert_column(0, pl.Series("UniqueID", 417_428 + sold + np.arange(count)))
            .drop("age"),
        )
        sold += count


def _plan(twin: TwoWheelerTwin) -> list[tuple[int, float]]:
    """Loans and bad rate of each month."""
    found: list[tuple[int, float]] = []
    start = Month.parse(twin.first_month).ordinal
    for stretch in twin.stretches:
        months = (start + len(found) + np.arange(stretch.months)) % 12
        found += [(int(n), stretch.bad_rate) for n in shared_out(stretch.loans, _SEASON[months])]
    return found


def draw_applications(rng: np.random.Generator, n: int, month: Month, shift: float) -> pl.DataFrame:
    """Application columns of ``n`` loans, and ``age`` in years; null where missing.

    Args:
        shift: standard deviations by which quality has fallen; LTVs rise with it.
    """

    def noise(scale: float) -> np.ndarray:
        return scale * rng.standard_normal(n)

    def happens(share: np.ndarray | float) -> np.ndarray:
        return rng.random(n) < share

    def counts(mean: np.ndarray) -> np.ndarray:
        return rng.poisson(mean)

    quality, means = noise(1.0) - shift, noise(1.0)
    age = np.clip(19 + rng.gamma(2.6, 5.6, n), 19, 68)
    self_employed, unstated = happens(expit(0.25 + 0.02 * (age - 34) - 0.2 * means)), happens(0.033)
    branch = pick(rng, _places().branch_share, n)
    maker = np.array(list(_MANUFACTURERS))[pick(rng, np.array(list(_MANUFACTURERS.values())), n)]
    cost = np.clip(np.exp(11.17 + 0.10 * means + 0.10 * (maker == 51) + noise(0.18)), 37_000, 400_000)
    ltv = np.clip(np.round(75.5 - 3.0 * means - 1.5 * quality + 1.5 * shift + noise(10.0), 2), 20, 95)
    lent = np.round(cost * ltv / 100 * rng.uniform(0.93, 1.0, n))

    known = happens(expit(0.05 + 0.35 * means + 0.02 * (age - 34)))
    odd = known & happens(0.11)
    scored = known & ~odd
    score = np.clip(np.round(655 + 95 * quality + noise(60)), 300, 890).astype(np.int64)
    code = np.array(list(_NOT_SCORED))[pick(rng, np.array([share for _, share in _NOT_SCORED.values()]), n)]
    score = np.select([scored, odd], [score, code], _NO_HISTORY[0])
    described = np.full(n, _NO_HISTORY[1], dtype=object)
    described[odd] = [_NOT_SCORED[int(c)][0] for c in code[odd]]
    described[scored] = [next(name for least, name in _BANDS if s >= least) for s in score[scored]]

    accounts = np.where(known, 1 + counts(np.exp(0.8 + 0.3 * means + noise(0.6))), 0)
    active = rng.binomial(accounts, 0.52)
    overdue = rng.binomial(active, expit(-2.2 - 0.7 * quality))
    balance = np.round(np.where(active > 0, active * np.exp(10.2 + 0.6 * means + noise(0.9)), 0))
    sanctioned = np.round(balance * rng.uniform(1.05, 2.2, n))
    instalment = np.round(np.where(active > 0, sanctioned / rng.uniform(14, 40, n), 0))
    second = np.where(known & happens(0.045), 1 + counts(np.full(n, 0.8)), 0)
    second_active = rng.binomial(second, 0.5)
    second_balance = np.round(np.where(second_active > 0, second_active * np.exp(10.8 + noise(0.9)), 0))
    second_sanctioned = np.round(second_balance * rng.uniform(1.05, 2.0, n))
    history = np.where(known, np.round(rng.gamma(1.3, 26, n) + 1), 0).astype(np.int64)
    account_age = np.round(history * rng.uniform(0.35, 1.0, n)).astype(np.int64)

    aadhaar = happens(0.84)
    voter = happens(np.where(aadhaar, 0.02, 0.80))
    days = np.sort(rng.integers(0, month.last_day.day, n))
    disbursed = np.array(month.first_day, dtype="datetime64[D]") + days
    # A quarter are born on 1 January, which is what is written where the day is not known.
    born = disbursed - (age * 365.25).astype(np.int64)
    born = np.where(happens(0.25), born.astype("datetime64[Y]").astype("datetime64[D]"), born)
    age = (disbursed - born).astype(np.int64) / 365.25  # the truth may rest on what is exported only
    return pl.DataFrame(
        {
            "disbursed_amount": lent.astype(np.int64),
            "asset_cost": np.round(cost).astype(np.int64),
            "ltv": ltv,
            "branch_id": branch + 1,
            "supplier_id": 10_524 + branch * _SUPPLIERS + rng.integers(0, _SUPPLIERS, n),
            "manufacturer_id": maker,
            "Current_pincode_ID": 1 + branch * _PINCODES + rng.integers(0, _PINCODES, n),
            "Date.of.Birth": pl.Series(born).dt.strftime("%d-%m-%y"),
            "Employment.Type": pl.Series(np.where(self_employed, "Self employed", "Salaried")).set(
                pl.Series(unstated), None
            ),
            "DisbursalDate": pl.Series(disbursed).dt.strftime("%d-%m-%y"),
            "State_ID": _places().state_of[branch] + 1,
            "Employee_code_ID": 1 + branch * _EMPLOYEES + rng.integers(0, _EMPLOYEES, n),
            "MobileNo_Avl_Flag": np.ones(n, dtype=np.int64),
            "Aadhar_flag": aadhaar.astype(np.int64),
            "PAN_flag": happens(0.076).astype(np.int64),
            "VoterID_flag": voter.astype(np.int64),
            "Driving_flag": happens(0.023).astype(np.int64),
            "Passport_flag": happens(0.002).astype(np.int64),
            "PERFORM_CNS.SCORE": score,
            "PERFORM_CNS.SCORE.DESCRIPTION": pl.Series(described.tolist(), dtype=pl.String),
            "PRI.NO.OF.ACCTS": accounts,
            "PRI.ACTIVE.ACCTS": active,
            "PRI.OVERDUE.ACCTS": overdue,
            "PRI.CURRENT.BALANCE": balance.astype(np.int64),
            "PRI.SANCTIONED.AMOUNT": sanctioned.astype(np.int64),
            "PRI.DISBURSED.AMOUNT": np.round(sanctioned * rng.uniform(0.95, 1.0, n)).astype(np.int64),
            "SEC.NO.OF.ACCTS": second,
            "SEC.ACTIVE.ACCTS": second_active,
            "SEC.OVERDUE.ACCTS": rng.binomial(second_active, expit(-2.4 - 0.5 * quality)),
            "SEC.CURRENT.BALANCE": second_balance.astype(np.int64),
            "SEC.SANCTIONED.AMOUNT": second_sanctioned.astype(np.int64),
            "SEC.DISBURSED.AMOUNT": np.round(second_sanctioned * rng.uniform(0.95, 1.0, n)).astype(np.int64),
            "PRIMARY.INSTAL.AMT": instalment.astype(np.int64),
            "SEC.INSTAL.AMT": np.round(second_sanctioned / rng.uniform(20, 60, n)).astype(np.int64),
            "NEW.ACCTS.IN.LAST.SIX.MONTHS": rng.binomial(accounts, 0.17),
            "DELINQUENT.ACCTS.IN.LAST.SIX.MONTHS": rng.binomial(accounts, expit(-3.0 - 0.6 * quality)),
            "AVERAGE.ACCT.AGE": _duration(account_age),
            "CREDIT.HISTORY.LENGTH": _duration(history),
            "NO.OF_INQUIRIES": np.minimum(counts(np.exp(-1.7 - 0.25 * quality + noise(0.6))), 20),
            "age": age,
        }
    )


def _duration(months: np.ndarray) -> list[str]:
    return [f"{m // 12}yrs {m % 12}mon" for m in months.tolist()]


def _raw_axes(loans: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Two views of risk, (n,) each: what is lent on what and to whom; and what the bureau and the place say."""

    def column(name: str) -> np.ndarray:
        return loans[name].cast(pl.Float64).to_numpy()

    places = _places()
    branch, maker = column("branch_id").astype(np.int64) - 1, column("manufacturer_id")
    ltv, size = (column("ltv") - 75) / 11, np.log(column("disbursed_amount") / 53_000) / 0.25
    age = (column("age") - 34) / 10
    stated = loans["Employment.Type"].to_numpy()
    self_employed, score = stated == "Self employed", column("PERFORM_CNS.SCORE")
    scored = score >= 300
    worth = np.where(scored, (score - 655) / 100, 0.0)
    new = np.minimum(column("NEW.ACCTS.IN.LAST.SIX.MONTHS"), 3)
    inquiries = np.minimum(column("NO.OF_INQUIRIES"), 4)
    history = np.log1p(np.array([_months(t) for t in loans["CREDIT.HISTORY.LENGTH"]]))
    first = (
        0.50 * ltv
        + 0.40 * np.maximum(ltv - 0.8, 0)
        + 0.20 * size
        - 0.30 * age
        + 0.10 * age**2
        + 0.20 * self_employed
        + 0.35 * (column("Aadhar_flag") == 0)
        - 0.50 * worth
        + 0.35 * np.minimum(column("DELINQUENT.ACCTS.IN.LAST.SIX.MONTHS"), 2)
        + places.branch_risk[branch]
        + 0.30 * (worth < -0.5) * (ltv > 0.3)
    )
    second = (
        0.50 * np.minimum(column("PRI.OVERDUE.ACCTS"), 3)
        + 0.35 * inquiries
        - 0.14 * history
        + 0.30 * new
        + 0.35 * np.where(scored, np.abs(worth), 0.2)
        + 0.45 * (maker == 51)
        - 0.30 * (maker == 45)
        + 0.30 * self_employed * ltv
        - 0.25 * size
        - 0.20 * (column("PAN_flag") == 1)
        + places.state_risk[column("State_ID").astype(np.int64) - 1]
        + 0.35 * (new >= 2) * (ltv > 0.5)
        + 0.30 * ~scored * np.maximum(-age, 0)
    )
    return first, second


def _months(duration: str) -> int:
    years, months = duration.removesuffix("mon").split("yrs ")
    return 12 * int(years) + int(months)


class _Places:
    """The lender's branches: how much each sells, where it is, and what is true of it and of its state."""

    def __init__(self) -> None:
        rng = np.random.default_rng(seed_from("two-wheeler twin", "places"))
        self.branch_share = rng.gamma(1.2, 1.0, _BRANCHES) + 0.05
        self.state_of = np.sort(pick(rng, rng.gamma(0.8, 1.0, _STATES) + 0.05, _BRANCHES))
        self.branch_risk = 0.30 * rng.standard_normal(_BRANCHES)
        self.state_risk = 0.35 * rng.standard_normal(_STATES)


@lru_cache(maxsize=1)
def _places() -> _Places:
    return _Places()


@lru_cache(maxsize=1)
def _axes() -> Axes:
    """From a population without drift whose seed is a constant: twins of every seed live in one world."""
    rng = np.random.default_rng(seed_from("two-wheeler twin", "reference population"))
    return Axes.of(*_raw_axes(draw_applications(rng, 12_000, Month(2017, 1), 0.0)))
