"""What the peer-to-peer twin's borrowers repay, and the columns of the file that tell it at the snapshot.

A bad loan is last paid at most eight months after its month of issue: then it is 90 days past due within
twelve (outcomes.py says why). Everything here is written after the decision.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month

# Months from issue to the last payment of a loan that is bad within twelve months.
_LAST_PAID = np.array([0.03, 0.06, 0.09, 0.11, 0.13, 0.14, 0.145, 0.145, 0.15])
_PREPAID_A_MONTH = 0.021
# Later defaults a month, as a share of the PD within twelve: borrowers who lasted a year do a little better.
_LATER_DEFAULTS = 0.045
_CHARGED_OFF_AFTER = 5
_HARDSHIPS, _SETTLED = 0.004, 0.09
_REASONS = ("UNEMPLOYMENT", "MEDICAL", "INCOME_CURTAILMENT", "NATURAL_DISASTER", "EXCESSIVE_OBLIGATIONS", "DIVORCE")


def outcome_columns(
    rng: np.random.Generator, loans: pl.DataFrame, pd: np.ndarray, month: Month, snapshot: Month
) -> pl.DataFrame:
    """Every column written after the decision, one row a loan.

    Args:
        rng: of this month.
        loans: applications with ``term``, ``int_rate``, ``installment`` and ``fico_range_low``.
        pd: true PDs within twelve months, (n,).
        month: of issue.
        snapshot: month at whose end the columns are as written.
    """
    count, age = loans.height, snapshot.ordinal - month.ordinal
    term = np.where(loans["term"].to_numpy() == " 60 months", 60, 36)
    paid, ends = _last_payments(rng, pd, term)
    after = age - paid
    prepaid_or_due = (ends == "repaid") & (after >= 0)
    defaulted = (ends == "default") & (after >= 1)
    months = np.where(prepaid_or_due | defaulted, paid, np.minimum(age, paid))
    status = np.full(count, "Current", object)
    status[prepaid_or_due] = "Fully Paid"
    status[defaulted] = "Charged Off"
    status[defaulted & (after < _CHARGED_OFF_AFTER)] = "Late (31-120 days)"
    status[defaulted & (after == 1)] = "In Grace Period"
    owes = status != "Fully Paid"
    return pl.DataFrame(
        {
            "loan_status": pl.Series(status.tolist(), dtype=pl.String),
            "last_pymnt_d": _dates(month, np.where(months > 0, months, -1)),
            "next_pymnt_d": _dates(month, np.where(owes & (status != "Charged Off"), age + 1, -1)),
            "last_credit_pull_d": _dates(month, np.where(owes & ~defaulted, age, np.minimum(age, months + 4))),
            **_amounts(rng, loans, term, months, status),
            **_later_scores(rng, loans, defaulted),
            **_hardships(rng, loans, month, age),
            **_settlements(rng, loans, month, age, months, status),
        }
    )


def _last_payments(rng: np.random.Generator, pd: np.ndarray, term: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Months from issue to the last payment ever, and whether the loan is repaid by it or in default after it."""
    count = len(pd)
    bad = rng.random(count) < pd
    early = rng.choice(len(_LAST_PAID), count, p=_LAST_PAID / _LAST_PAID.sum())
    prepaid = rng.geometric(_PREPAID_A_MONTH, count)
    later = 8 + rng.geometric(np.clip(_LATER_DEFAULTS * pd, 1e-6, 0.5))
    repaid = np.minimum(prepaid, term)
    fails = bad | (later < repaid)
    paid = np.where(bad, early, np.where(fails, later, repaid))
    return paid, np.where(fails, "default", "repaid")


def _amounts(
    rng: np.random.Generator, loans: pl.DataFrame, term: np.ndarray, months: np.ndarray, status: np.ndarray
) -> dict[str, np.ndarray]:
    principal = loans["loan_amnt"].to_numpy()
    rate = loans["int_rate"].to_numpy() / 1200
    instalment = loans["installment"].to_numpy()
    growth = (1 + rate) ** np.minimum(months, term)
    left = np.clip(principal * growth - instalment * (growth - 1) / rate, 0, principal)
    repaid, lost = status == "Fully Paid", status == "Charged Off"
    total = instalment * months + np.where(repaid, left, 0)
    received = np.where(repaid, principal, principal - left)
    recovered = np.where(lost & (rng.random(len(term)) < 0.65), left * rng.beta(1.2, 8, len(term)), 0)
    late_fee = np.where((status == "Late (31-120 days)") | (rng.random(len(term)) < 0.035), 15.0, 0.0)
    last = np.where(repaid & (months < term), instalment + left, instalment) * (months > 0)
    owed = np.where(repaid | lost, 0, left)
    return {
        "out_prncp": np.round(owed, 2),
        "out_prncp_inv": np.round(owed, 2),
        "total_pymnt": np.round(total + recovered + late_fee, 2),
        "total_pymnt_inv": np.round(total + recovered + late_fee, 2),
        "total_rec_prncp": np.round(received, 2),
        "total_rec_int": np.round(np.maximum(total - received, 0), 2),
        "total_rec_late_fee": late_fee,
        "recoveries": np.round(recovered, 2),
        "collection_recovery_fee": np.round(recovered * 0.18, 2),
        "last_pymnt_amnt": np.round(last, 2),
    }


def _later_scores(rng: np.random.Generator, loans: pl.DataFrame, defaulted: np.ndarray) -> dict[str, np.ndarray]:
    moved = rng.normal(0, 38, loans.height) - 110 * defaulted
    low = np.clip(np.round((loans["fico_range_low"].to_numpy() + moved) / 5) * 5, 500, 845)
    return {"last_fico_range_low": low, "last_fico_range_high": low + 4}


def _hardships(rng: np.random.Generator, loans: pl.DataFrame, month: Month, age: int) -> dict[str, pl.Series]:
    count = loans.height
    has = pl.Series((rng.random(count) < _HARDSHIPS) & (age > 4))
    start = rng.integers(3, max(age - 1, 4), count)
    owed = loans["installment"].to_numpy() * rng.uniform(10, 40, count)
    interest = np.round(owed * loans["int_rate"].to_numpy() / 1200, 2)

    def only(values: np.ndarray | pl.Series) -> pl.Series:
        found = values if isinstance(values, pl.Series) else pl.Series(values)
        return found.zip_with(has, pl.Series([None], dtype=found.dtype).new_from_index(0, count))

    flag = pl.Series(["Y", "N"]).gather(np.where(has.to_numpy() & (start + 3 >= age), 0, 1))
    texts = pl.Series(_REASONS).gather(rng.integers(0, len(_REASONS), count))
    over = pl.Series(["ACTIVE", "COMPLETED", "BROKEN"]).gather(
        np.where(start + 3 >= age, 0, np.where(rng.random(count) < 0.7, 1, 2))
    )
    states = pl.Series(["Current", "In Grace Period", "Late (16-30 days)"]).gather(rng.integers(0, 3, count))
    return {
        "pymnt_plan": flag.str.to_lowercase(),
        "hardship_flag": flag,
        "hardship_type": only(pl.Series(["INTEREST ONLY-3 MONTHS DEFERRAL"]).new_from_index(0, count)),
        "hardship_reason": only(texts),
        "hardship_status": only(over),
        "deferral_term": only(np.full(count, 3)),
        "hardship_amount": only(interest),
        "hardship_start_date": only(_dates(month, start)),
        "hardship_end_date": only(_dates(month, start + 3)),
        "payment_plan_start_date": only(_dates(month, start)),
        "hardship_length": only(np.full(count, 3)),
        "hardship_dpd": only(rng.integers(0, 30, count)),
        "hardship_loan_status": only(states),
        "orig_projected_additional_accrued_interest": only(np.round(3 * interest, 2)),
        "hardship_payoff_balance_amount": only(np.round(owed, 2)),
        "hardship_last_payment_amount": only(loans["installment"].to_numpy()),
    }


def _settlements(
    rng: np.random.Generator, loans: pl.DataFrame, month: Month, age: int, months: np.ndarray, status: np.ndarray
) -> dict[str, pl.Series]:
    count = loans.height
    when = months + _CHARGED_OFF_AFTER + rng.integers(0, 8, count)
    has = pl.Series((status == "Charged Off") & (rng.random(count) < _SETTLED) & (when <= age))
    share = np.round(rng.choice([40.0, 45.0, 50.0, 55.0, 65.0], count), 2)

    def only(values: np.ndarray | pl.Series) -> pl.Series:
        found = values if isinstance(values, pl.Series) else pl.Series(values)
        return found.zip_with(has, pl.Series([None], dtype=found.dtype).new_from_index(0, count))

    ended = pl.Series(["ACTIVE", "COMPLETE", "BROKEN"]).gather(rng.choice(3, count, p=[0.5, 0.4, 0.1]))
    return {
        "debt_settlement_flag": pl.Series(["N", "Y"]).gather(has.cast(pl.UInt8)),
        "debt_settlement_flag_date": only(_dates(month, when)),
        "settlement_status": only(ended),
        "settlement_date": only(_dates(month, when)),
        "settlement_amount": only(np.round(loans["loan_amnt"].to_numpy() * 0.7 * share / 100, 2)),
        "settlement_percentage": only(share),
        "settlement_term": only(rng.choice([1, 6, 8, 12, 18, 24], count)),
    }


def _dates(month: Month, ahead: np.ndarray) -> pl.Series:
    """Months after issue as ``Dec-2015``; null where below 0."""
    last = max(int(ahead.max(initial=0)), 0)
    names = pl.Series([f"{Month.from_ordinal(month.ordinal + k).first_day:%b-%Y}" for k in range(last + 1)] + [None])
    return names.gather(np.where(ahead < 0, last + 1, ahead))
