"""The peer-to-peer twin: a book with LendingClub's published schema, at its size, whose true PDs are known.

What belongs here: one month's file. Who applies is in synthetic_p2p_applicants.py (columns in
synthetic_p2p_columns.py), what is true of them in synthetic_p2p_truth.py, what they repay in
synthetic_p2p_repayment.py. Every month is drawn from a seed of its own name, so that a month's file is the
same whatever other months are written, and memory holds one month.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import PeerToPeerTwin
from pdx_assets.risk.synthetic_p2p_applicants import draw_applications
from pdx_assets.risk.synthetic_p2p_columns import MARGINALS
from pdx_assets.risk.synthetic_p2p_repayment import outcome_columns
from pdx_assets.risk.synthetic_p2p_truth import covariate_shift, risk_index, true_pds

# The published file's header of 2018Q4.
_HEADER = """
id member_id loan_amnt funded_amnt funded_amnt_inv term int_rate installment grade sub_grade emp_title
emp_length home_ownership annual_inc verification_status issue_d loan_status pymnt_plan url desc purpose title
zip_code addr_state dti delinq_2yrs earliest_cr_line fico_range_low fico_range_high inq_last_6mths
mths_since_last_delinq mths_since_last_record open_acc pub_rec revol_bal revol_util total_acc
initial_list_status out_prncp out_prncp_inv total_pymnt total_pymnt_inv total_rec_prncp total_rec_int
total_rec_late_fee recoveries collection_recovery_fee last_pymnt_d last_pymnt_amnt next_pymnt_d
last_credit_pull_d last_fico_range_high last_fico_range_low collections_12_mths_ex_med
mths_since_last_major_derog policy_code application_type annual_inc_joint dti_joint verification_status_joint
acc_now_delinq tot_coll_amt tot_cur_bal open_acc_6m open_act_il open_il_12m open_il_24m mths_since_rcnt_il
total_bal_il il_util open_rv_12m open_rv_24m max_bal_bc all_util total_rev_hi_lim inq_fi total_cu_tl
inq_last_12m acc_open_past_24mths avg_cur_bal bc_open_to_buy bc_util chargeoff_within_12_mths delinq_amnt
mo_sin_old_il_acct mo_sin_old_rev_tl_op mo_sin_rcnt_rev_tl_op mo_sin_rcnt_tl mort_acc mths_since_recent_bc
mths_since_recent_bc_dlq mths_since_recent_inq mths_since_recent_revol_delinq num_accts_ever_120_pd
num_actv_bc_tl num_actv_rev_tl num_bc_sats num_bc_tl num_il_tl num_op_rev_tl num_rev_accts num_rev_tl_bal_gt_0
num_sats num_tl_120dpd_2m num_tl_30dpd num_tl_90g_dpd_24m num_tl_op_past_12m pct_tl_nvr_dlq percent_bc_gt_75
pub_rec_bankruptcies tax_liens tot_hi_cred_lim total_bal_ex_mort total_bc_limit total_il_high_credit_limit
revol_bal_joint sec_app_fico_range_low sec_app_fico_range_high sec_app_earliest_cr_line sec_app_inq_last_6mths
sec_app_mort_acc sec_app_open_acc sec_app_revol_util sec_app_open_act_il sec_app_num_rev_accts
sec_app_chargeoff_within_12_mths sec_app_collections_12_mths_ex_med sec_app_mths_since_last_major_derog
hardship_flag hardship_type hardship_reason hardship_status deferral_term hardship_amount hardship_start_date
hardship_end_date payment_plan_start_date hardship_length hardship_dpd hardship_loan_status
orig_projected_additional_accrued_interest hardship_payoff_balance_amount hardship_last_payment_amount
disbursement_method debt_settlement_flag debt_settlement_flag_date settlement_status settlement_date
settlement_amount settlement_percentage settlement_term
"""
SCHEMA = tuple(_HEADER.split())
_GRADES = "ABCDEFG"
# Interest a year of the best and the worst sub-grade, percent.
_LOWEST_RATE, _HIGHEST_RATE = 5.32, 30.99


def as_of(twin: PeerToPeerTwin) -> date:
    """The day of the export."""
    return Month.parse(twin.snapshot).last_day


def files(twin: PeerToPeerTwin) -> Iterator[tuple[str, str]]:
    """Name and text of ``loans/YYYY-MM.csv`` and ``truth/YYYY-MM.csv`` of every month."""
    for month in twin.months:
        loans, truth = draw_month(twin, month)
        yield f"loans/{month}.csv", loans.write_csv()
        yield f"truth/{month}.csv", truth.write_csv()


def draw_month(twin: PeerToPeerTwin, month: Month) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One month's loans as the published file has them, and the truth.

    Returns:
        the columns of :data:`SCHEMA`; and ``loan_id``, ``true_pd`` (within twelve months on book).
    """
    count = max(1, round(twin.loans_per_month[str(month)] * twin.scale))

    def stream(name: str) -> np.random.Generator:
        return np.random.default_rng(seed_from(twin.seed, "peer-to-peer twin", name, month))

    people = draw_applications(stream("applications"), count, month, covariate_shift(twin, month))
    people = people.with_columns(_prices(stream("prices"), people))
    pd = true_pds(twin, month, people)
    outcomes = outcome_columns(stream("outcomes"), people, pd, month, Month.parse(twin.snapshot))
    # Numbers rise with the month, as the site's did; within it they say nothing.
    ids = month.ordinal * 1_000_000 + stream("numbers").permutation(count)
    blank = pl.lit(None, pl.String)
    loans = people.with_columns(
        *outcomes.get_columns(),
        pl.Series("id", ids),
        funded_amnt=pl.col("loan_amnt"),
        funded_amnt_inv=pl.col("loan_amnt"),
        issue_d=pl.lit(f"{month.first_day:%b-%Y}"),
        policy_code=pl.lit(1),
        num_rev_tl_bal_gt_0=pl.col("num_actv_rev_tl"),
        **dict.fromkeys(("member_id", "emp_title", "url", "desc"), blank),
        **{name: _years_employed(name) for name in ("emp_length",)},
        **{name: _credit_line(people[name], month) for name in ("earliest_cr_line", "sec_app_earliest_cr_line")},
    )
    whole = [name for name, m in MARGINALS.items() if m.decimals == 0 and loans.schema[name] == pl.Float64]
    loans = loans.with_columns(pl.col(whole).cast(pl.Int64)).select(SCHEMA)
    return loans, pl.DataFrame({"loan_id": loans["id"].cast(pl.String), "true_pd": pd})


def _prices(rng: np.random.Generator, people: pl.DataFrame) -> list[pl.Series]:
    """Grade, rate and instalment, from the platform's own noisy view of the risk."""
    seen = 0.75 * risk_index(people) + 0.66 * rng.standard_normal(people.height)
    # Sub-grades 1 to 35 at even steps of the score, from the best twentieth on: A to C hold four in five loans.
    grade = np.clip(np.floor((seen + 2.0) * 6.2), 0, 34).astype(np.int64)
    names = pl.Series([f"{letter}{k}" for letter in _GRADES for k in range(1, 6)])
    rates = np.round(_LOWEST_RATE * (_HIGHEST_RATE / _LOWEST_RATE) ** (np.arange(35) / 34), 2)
    rate = rates[grade]
    monthly, term = rate / 1200, np.where(people["term"].to_numpy() == " 60 months", 60, 36)
    instalment = people["loan_amnt"].to_numpy() * monthly / (1 - (1 + monthly) ** -term)
    sub_grades = names.gather(grade)
    return [
        sub_grades.alias("sub_grade"),
        sub_grades.str.slice(0, 1).alias("grade"),
        pl.Series("int_rate", rate),
        pl.Series("installment", np.round(instalment, 2)),
    ]


def _years_employed(name: str) -> pl.Expr:
    years = pl.col(name).cast(pl.Int64)
    text = pl.when(years == 0).then(pl.lit("< 1 year")).when(years == 1).then(pl.lit("1 year"))
    text = text.when(years >= 10).then(pl.lit("10+ years"))
    return text.otherwise(years.cast(pl.String) + " years")


def _credit_line(months_before: pl.Series, month: Month) -> pl.Series:
    """Month of a first credit line as ``Aug-2003``."""
    ages = months_before.cast(pl.Int64)
    oldest = int(ages.fill_null(0).max() or 0)  # type: ignore[arg-type]
    names = pl.Series([f"{Month.from_ordinal(month.ordinal - k).first_day:%b-%Y}" for k in range(oldest + 1)])
    return names.gather(ages)
