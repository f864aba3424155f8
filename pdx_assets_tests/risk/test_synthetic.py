"""The simulated lender: does it do what it says, since everything else is measured against it?"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from pdx_assets.risk.spec import Drift, Faults, SimulatedLender
from pdx_assets.risk.synthetic import SimulatedBook, expected_auc, simulate, true_pd
from pdx_assets.risk.synthetic_applicants import risk_indices
from pdx_assets.risk.synthetic_repayment import CHARGE_OFF, CHARGED_OFF, PREPAID, balance, draw_paths, seasoning


def lender(**changes: object) -> SimulatedLender:
    return SimulatedLender.model_validate({"seed": 7, "months": 20, "loans_per_month": 400} | changes)


@pytest.fixture(scope="module")
def plain() -> SimulatedBook:
    return simulate(lender(months=30, loans_per_month=700))


@pytest.fixture(scope="module")
def faulty() -> SimulatedBook:
    return simulate(lender(months=30, loans_per_month=700, faults={"late_share": 0.3, "revised_share": 0.2}))


def with_age(book: SimulatedBook) -> pl.DataFrame:
    """Performance rows with the month on book, and the bucket of the row before."""
    cohorts = book.truth.select("loan_id", "cohort", "bad_age")
    month = pl.col("month").dt.year() * 12 + pl.col("month").dt.month()
    origin = pl.col("cohort").str.slice(0, 4).cast(pl.Int32) * 12 + pl.col("cohort").str.slice(5, 2).cast(pl.Int32)
    return book.performance.join(cohorts, on="loan_id").with_columns(age=month - origin)


def last_word(book: SimulatedBook) -> pl.DataFrame:
    return with_age(book).sort("loan_id", "month", "reported_on").unique(["loan_id", "month"], keep="last")


def first_word(book: SimulatedBook) -> pl.DataFrame:
    return with_age(book).sort("loan_id", "month", "reported_on").unique(["loan_id", "month"], keep="first")


def first_bad(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("days_past_due") >= 90).group_by("loan_id").agg(seen=pl.col("age").min())


# --- the truth ------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", [12, 36])
@pytest.mark.parametrize("pd", [0.01, 0.08, 0.5])
def test_realized_rate_is_the_true_pd(pd: float, term: int) -> None:
    n = 60_000
    paths = draw_paths(np.random.default_rng([term, int(pd * 1000)]), np.full(n, pd), np.full(n, term))
    bads = int(((paths.bad_age > 0) & (paths.bad_age <= 12)).sum())
    assert binomtest(bads, n, pd).pvalue > 1e-4
    # What the rows show is what was drawn.
    shown = (paths.bucket[:, :13] >= 3).any(axis=1)
    assert int(shown.sum()) == bads


def test_realized_rate_agrees_in_every_band_of_the_book(plain: SimulatedBook) -> None:
    mature = plain.truth.filter(pl.col("cohort") <= "2022-06").join(first_bad(last_word(plain)), "loan_id", how="left")
    bad = (mature["seen"] <= 12).fill_null(False).to_numpy()
    assert bad.tolist() == (mature["bad_age"] <= 12).fill_null(False).to_list()
    pds = mature["true_pd"].to_numpy()
    for band in np.array_split(np.argsort(pds), 6):
        spread = np.sqrt((pds[band] * (1 - pds[band])).sum())
        assert abs(bad[band].sum() - pds[band].sum()) < 4 * spread


def test_monthly_hazard_follows_the_seasoning() -> None:
    n, pd = 60_000, 0.2
    paths = draw_paths(np.random.default_rng(1), np.full(n, pd), np.full(n, 36))
    expected = 1 - (1 - pd) ** seasoning()
    for month in range(3, 13):
        bads = int(((paths.bad_age > 0) & (paths.bad_age <= month)).sum())
        assert binomtest(bads, n, float(expected[month])).pvalue > 1e-4
    assert np.argmax(np.diff(seasoning())) + 1 == 7


def test_bad_rate_and_auc_of_the_truth(plain: SimulatedBook) -> None:
    pds = plain.truth["true_pd"].to_numpy()
    assert pds.mean() == pytest.approx(0.08, abs=0.006)
    assert 0.75 < expected_auc(pds) < 0.80


def test_expected_auc_agrees_with_scikit_learn() -> None:
    pds = np.round(np.random.default_rng(3).beta(1, 10, 3000), 3)  # rounded: ties
    weights = np.concatenate([pds, 1 - pds])
    label = np.repeat([1, 0], 3000)
    oracle = roc_auc_score(label, np.tile(pds, 2), sample_weight=weights)
    assert expected_auc(pds) == pytest.approx(oracle, abs=1e-12)


def test_truth_is_a_function_of_the_exported_columns(plain: SimulatedBook, tmp_path: Path) -> None:
    """No hidden trait: reading the columns back from text gives the same risk indices."""
    again = pl.read_csv(io.StringIO(plain.loans.write_csv()), schema_overrides=plain.loans.schema)
    for ours, theirs in zip(risk_indices(plain.loans), risk_indices(again), strict=True):
        assert np.array_equal(ours, theirs)


# --- repayment ------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), pd=st.floats(1e-6, 0.999), term=st.sampled_from([12, 24, 36]))
def test_paths_are_possible(seed: int, pd: float, term: int) -> None:
    n = 200
    paths = draw_paths(np.random.default_rng(seed), np.full(n, pd), np.full(n, term))
    bucket = paths.bucket.astype(int)
    assert (np.diff(bucket, axis=1) <= 1).all()
    assert (bucket[:, :3] < 3).all()
    reached = np.where((bucket >= 3).any(axis=1), (bucket >= 3).argmax(axis=1), 0)
    assert np.array_equal(reached, paths.bad_age)
    assert (paths.ending > 0).all()
    rows = np.arange(n)
    assert np.array_equal(bucket[rows, paths.end] == CHARGE_OFF, paths.ending == CHARGED_OFF)
    assert (paths.end[paths.ending == PREPAID] < term).all()
    assert (bucket * (np.arange(bucket.shape[1]) > paths.end[:, None]) == 0).all()


@pytest.mark.parametrize("which", ["plain", "faulty"])
def test_reported_rows_are_possible(which: str, request: pytest.FixtureRequest) -> None:
    book = request.getfixturevalue(which)
    shown_first = first_word(book)
    for rows in (shown_first, last_word(book)):
        steps = rows.sort("loan_id", "age").with_columns(
            before=pl.col("days_past_due").shift(1).over("loan_id").fill_null(0),
            gap=pl.col("age").diff().over("loan_id").fill_null(1),
        )
        assert rows["age"].min() == 1
        assert steps["gap"].to_list() == [1] * steps.height
        # When a late report is put right, what is shown jumps; what happened never does.
        steady = steps.filter(pl.col("bad_age").is_null()) if which == "faulty" and rows is shown_first else steps
        assert (steady["days_past_due"] - steady["before"]).max() == 30
        assert rows.filter(pl.col("days_past_due") >= 90)["age"].min() == 3
    assert (book.performance["balance"] >= 0).all()


def test_endings_stop_the_rows_and_cures_exist(plain: SimulatedBook) -> None:
    rows = with_age(plain)
    for ending in ("prepaid", "matured", "charged_off"):
        ended = rows.filter(status=ending).select("loan_id", end="age")
        assert ended.height > 50
        assert rows.join(ended, on="loan_id").filter(pl.col("age") > pl.col("end")).height == 0
    assert rows.filter(pl.col("status").is_in(["prepaid", "matured"]))["balance"].max() == 0
    later = rows.sort("loan_id", "age").with_columns(next=pl.col("days_past_due").shift(-1).over("loan_id"))
    for days in (30, 60, 90):
        assert later.filter((pl.col("days_past_due") == days) & (pl.col("next") == 0)).height > 10
    good_with_blip = rows.filter(pl.col("bad_age").is_null() & (pl.col("days_past_due") == 60))
    assert good_with_blip["loan_id"].n_unique() > 100


def test_balance_is_an_annuity() -> None:
    amount, rate, term = 5000.0, 14.5, 24
    growth = 1 + rate / 1200
    payment = amount * growth**term * (growth - 1) / (growth**term - 1)
    left, expected = amount, [amount]
    for _ in range(term):
        left = left * growth - payment
        expected.append(left)
    paid = np.arange(term + 1)
    got = balance(np.full(term + 1, amount), np.full(term + 1, rate), np.full(term + 1, term), paid)
    assert got == pytest.approx(np.array(expected), abs=0.006)


# --- borrowers and months ---------------------------------------------------------------------------


def test_borrowers_come_back_as_themselves(plain: SimulatedBook) -> None:
    loans = plain.loans
    assert loans.group_by("cohort", "borrower_id").len()["len"].max() == 1
    counted = loans.with_columns(nth=pl.int_range(pl.len()).over("borrower_id"))
    assert counted["nth"].to_list() == loans["previous_loans"].to_list()
    share = (loans.filter(pl.col("cohort") >= "2023-01")["previous_loans"] > 0).mean()
    assert share == pytest.approx(0.18, abs=0.03)
    pairs = loans.filter(previous_loans=0).join(loans.filter(previous_loans=1), on="borrower_id", suffix="_later")
    assert (pairs["region"] == pairs["region_later"]).all()
    assert (pairs["oldest_account_date"] == pairs["oldest_account_date_later"]).all()
    assert (pairs["age_band"] <= pairs["age_band_later"]).all()
    assert pairs.select(pl.corr("bureau_score", "bureau_score_later")).item() > 0.5
    reached = plain.truth.filter(pl.col("bad_age") <= 4)["loan_id"]
    early_bads = loans.filter(pl.col("loan_id").is_in(reached.implode()) & (pl.col("previous_loans") == 0))
    assert early_bads.height > 50
    assert not pairs["loan_id"].is_in(early_bads["loan_id"].implode()).any()


def test_a_month_does_not_depend_on_how_many_follow() -> None:
    faults = {"late_share": 0.3, "revised_share": 0.2}
    short, long = (simulate(lender(months=m, drift={"concept": 0.3}, faults=faults)) for m in (12, 16))
    known = pl.col("cohort") <= "2021-12"
    assert long.loans.filter(known).equals(short.loans)
    assert long.truth.filter(known).equals(short.truth)
    assert long.performance.filter(pl.col("reported_on") <= short.as_of).equals(short.performance)


def test_seeds_differ_and_repeat() -> None:
    one, same, other = (true_pd(lender(months=2, seed=s)) for s in (1, 1, 2))
    assert one.equals(same)
    assert not one.equals(other)


def test_columns_are_plausible(plain: SimulatedBook) -> None:
    loans = plain.loans
    assert set(loans["term_months"]) == {12, 24, 36}
    assert loans["months_since_delinquency"].null_count() / loans.height > 0.6
    for column in ("region", "channel", "home_ownership", "purpose"):
        shares = loans[column].value_counts(normalize=True)["proportion"]
        assert 0 < shares.min() < 0.01, f"{column} needs a category rarer than 1 %"
    skew = loans.select(pl.col("annual_income").skew(), log=pl.col("annual_income").log().skew())
    assert skew["annual_income"][0] > 1 > 0.3 > abs(skew["log"][0])
    assert (loans["oldest_account_date"] <= loans["application_date"]).all()
    assert loans["application_date"].dt.strftime("%Y-%m").equals(loans["cohort"], check_names=False)


# --- drift ----------------------------------------------------------------------------------------


def test_concept_drift_changes_who_not_how_many() -> None:
    book = simulate(lender(months=25, loans_per_month=3000, drift=Drift(concept=0.6)))
    cohorts = book.loans.join(book.truth, on=["cohort", "loan_id"], maintain_order="left")
    first, last = cohorts.filter(cohort="2021-01"), cohorts.filter(cohort="2023-01")
    assert first["true_pd"].mean() == pytest.approx(last["true_pd"].mean(), abs=0.01)
    aucs = [expected_auc(month["true_pd"].to_numpy()) for month in (first, last)]
    assert aucs[0] == pytest.approx(aucs[1], abs=0.02)
    # What was the whole truth at the start ranks worse two years, 1.2 radians, later: the law is d cos(a).
    pds, axis = last["true_pd"].to_numpy(), risk_indices(last)[0]
    label = np.repeat([1, 0], len(pds))
    then = roc_auc_score(label, np.tile(axis, 2), sample_weight=np.concatenate([pds, 1 - pds]))
    assert 0.56 < then < 0.66


def test_without_drift_the_truth_stands_still(plain: SimulatedBook) -> None:
    late = plain.loans.filter(pl.col("cohort") >= "2023-01")
    pds = plain.truth.filter(pl.col("cohort") >= "2023-01")["true_pd"].to_numpy()
    order = np.argsort(risk_indices(late)[0])
    assert (np.diff(pds[order]) >= 0).all()


def test_covariate_drift_worsens_applicants_only() -> None:
    books = [simulate(lender(months=25, loans_per_month=1500, drift=Drift(covariate=c))) for c in (0.0, 0.3)]
    scores = [b.loans.filter(cohort="2023-01")["bureau_score"].mean() for b in books]
    assert scores[0] - scores[1] == pytest.approx(0.6 * 46, abs=12)
    # The same application means the same risk: log-odds are one increasing function of the first axis.
    loans, truth = books[1].loans, books[1].truth
    assert (np.diff(truth["true_pd"].to_numpy()[np.argsort(risk_indices(loans)[0])]) >= 0).all()


def test_a_shock_adds_to_log_odds_from_its_month() -> None:
    base, shocked = (
        true_pd(lender(months=4, drift=d)) for d in (Drift(), Drift(shock_month="2021-03", shock_log_odds=0.8))
    )
    assert base["loan_id"].equals(shocked["loan_id"])
    added = [np.log(t["true_pd"] / (1 - t["true_pd"])).to_numpy() for t in (base, shocked)]
    from_march = (base["cohort"] >= "2021-03").to_numpy()
    assert added[1] - added[0] == pytest.approx(np.where(from_march, 0.8, 0.0), abs=1e-9)


# --- faults ---------------------------------------------------------------------------------------


def test_label_delay_moves_the_report_not_the_event() -> None:
    on_time, late = (simulate(lender(months=14, faults=Faults(label_delay_days=d))) for d in (0, 45))
    delays = (late.performance["reported_on"] - late.performance["month"]).dt.total_days()
    assert delays.unique().to_list() == [45]
    assert late.performance["reported_on"].max() <= late.as_of
    known = on_time.performance.drop("reported_on").filter(pl.col("month") <= late.performance["month"].max())
    assert known.equals(late.performance.drop("reported_on"))


def test_late_reports_hide_bads_for_months(faulty: SimulatedBook, plain: SimulatedBook) -> None:
    assert faulty.loans.equals(plain.loans)  # faults are in the reporting, not in the loans
    rows = with_age(faulty).filter(pl.col("cohort") <= "2021-12", pl.col("bad_age") <= 12)
    shown = rows.filter(pl.col("days_past_due") >= 90).group_by("loan_id").agg(known=pl.col("reported_on").min())
    event = rows.filter(pl.col("age") == pl.col("bad_age")).group_by("loan_id").agg(pl.col("month").first())
    lag = shown.join(event, on="loan_id").select((pl.col("known") - pl.col("month")).dt.total_days()).to_series()
    late = lag.filter(lag > 0)
    assert binomtest(late.len(), lag.len(), 0.3).pvalue > 1e-4
    assert late.min() > 80
    assert late.max() < 260


def test_withdrawn_reports_were_never_true(faulty: SimulatedBook) -> None:
    old = pl.col("cohort") <= "2021-12"
    shown = first_bad(first_word(faulty).filter(old, pl.col("age") <= 12))
    false = shown.join(faulty.truth.filter(pl.col("bad_age").is_null()), on="loan_id")
    true = faulty.truth.filter(old, pl.col("bad_age") <= 12)
    assert false.height / (false.height + true.height) == pytest.approx(0.2, abs=0.05)
    final = first_bad(last_word(faulty).filter(old))
    assert final.join(false, on="loan_id").height == 0
    assert set(true["loan_id"]) <= set(final["loan_id"])


def test_leaks_are_planted_only_when_asked(plain: SimulatedBook) -> None:
    leaky = simulate(
        plain.lender.model_copy(
            update={"faults": Faults(leaks=("rewritten_term", "post_outcome_balance", "outcome_flag"))}
        )
    )
    assert not {"post_outcome_balance", "outcome_flag"} & set(plain.loans.columns)
    lost = plain.performance.filter(status="charged_off")["loan_id"]
    gone = leaky.loans["loan_id"].is_in(lost.implode())
    assert gone.sum() > 100
    assert (leaky.loans.filter(gone)["term_months"] % 12 != 0).all()
    assert leaky.loans.filter(~gone)["term_months"].equals(plain.loans.filter(~gone)["term_months"])
    bad = first_bad(last_word(plain))["loan_id"]
    flagged = leaky.loans.filter(outcome_flag=1)["loan_id"]
    assert set(flagged) == set(bad)
    latest = plain.performance.sort("month").unique("loan_id", keep="last").select("loan_id", "balance")
    both = leaky.loans.join(latest, on="loan_id")
    assert both["balance"].equals(both["post_outcome_balance"], check_names=False)
