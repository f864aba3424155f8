"""What PDx is for, at lenders whose true PDs are known: a champion that beats the model left alone under drift,
gains what more data brings without it, and never beats the truth.

The experiment, its worlds and its measures are defined in benchmarks/simulated_drift.py. The slow tests are that
experiment at full size (20 lenders, about 10 minutes on one core); the others run the same code on small lenders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_1samp
from sklearn.metrics import roc_auc_score

from benchmarks.drift_claims import (
    MEASURES,
    TRUTH,
    Mean,
    by_lender,
    claims,
    excess_over_truth,
    gain,
    largest_expected_excess,
    order_effect,
)
from benchmarks.simulated_drift import (
    ALGORITHMS,
    Lender,
    World,
    demo_spec,
    draw_loans,
    expected,
    experiment,
    measure_month,
    production_months,
    run_policy,
    shuffle_months,
    worlds,
)
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.models.training import train
from pdx_assets.risk.outcomes import label_rows, outcome_events
from pdx_assets.risk.spec import AlgorithmName, Drift, Faults, PortfolioSpec
from pdx_assets.risk.synthetic import simulate

LENDERS = 20


def spec_with(algorithms: Sequence[AlgorithmName], **simulated: object) -> PortfolioSpec:
    """Demo's portfolio with other algorithms, or another simulated lender."""
    spec = demo_spec()
    assert spec.tape.simulated is not None
    lender = spec.tape.simulated.model_copy(update=simulated)
    tape = spec.tape.model_copy(update={"simulated": lender})
    return spec.model_copy(update={"algorithms": tuple(algorithms), "tape": tape})


# --- the experiment at full size ------------------------------------------------------------------


@pytest.fixture(scope="module")
def results() -> pl.DataFrame:
    spec = spec_with(ALGORITHMS)
    return experiment(spec, list(worlds(spec)), range(LENDERS))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("world", ["drift", "strong"])
def test_with_drift_the_champion_beats_the_model_left_alone(results: pl.DataFrame, world: str, measure: str) -> None:
    gains = gain(results, world, measure)
    assert len(gains) == LENDERS
    assert Mean.over(gains).low > 0, Mean.over(gains)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("measure", MEASURES)
def test_without_drift_it_gains_what_more_data_alone_brings(results: pl.DataFrame, measure: str) -> None:
    found = order_effect(results, measure)
    assert found.covers(0), found
    # Precise enough to have seen an effect of the size of the drift's.
    assert not found.covers(float(gain(results, "drift", measure).mean())), found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_model_beats_the_true_pd(results: pl.DataFrame) -> None:
    found = excess_over_truth(results)
    assert len(found) == 2 + 3 * len(ALGORITHMS)
    assert not {model: mean for model, mean in found.items() if mean.low > 0}
    assert largest_expected_excess(results) <= 1e-12


# --- the same code, small -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> pl.DataFrame:
    return experiment(spec_with(["logistic_regression"]), ["strong", "shuffled"], [0, 1], loans_per_month=200)


def test_a_year_of_decisions(small: pl.DataFrame) -> None:
    months = [str(m) for m in production_months(demo_spec())]
    for (_, _), lender in small.group_by("world", "seed"):
        assert lender.filter(model="champion")["production_month"].to_list() == months
        assert lender.filter(model="baseline").height == lender.filter(model=TRUTH).height == 12
        assert lender.filter(model="fixed_origin logistic_regression").height == 11
        champion, baseline = (lender.filter(model=m).sort("production_month") for m in ("champion", "baseline"))
        verdicts = champion["verdict"].to_list()
        assert verdicts[0] == "first"
        assert set(verdicts[1:]) <= {"promoted", "kept"}
        # Nothing is gained before the first promotion, and the baseline never changes hands.
        until = verdicts.index("promoted")
        assert champion["realized"][:until].to_list() == baseline["realized"][:until].to_list()
        assert champion["realized"].to_list() != baseline["realized"].to_list()


def test_small_lenders_obey_the_exact_bound(small: pl.DataFrame) -> None:
    assert -0.2 < largest_expected_excess(small) <= 1e-12
    excess = excess_over_truth(small)
    # strong and shuffled weigh the same in a lender's figure.
    by_hand = [
        np.mean([by_lender(small, world, "champion", TRUTH, "realized")[i] for world in ("strong", "shuffled")])
        for i in range(2)
    ]
    assert excess["champion"].mean == pytest.approx(np.mean(by_hand), abs=1e-15)


def test_claims_are_about_the_worlds_there_are(small: pl.DataFrame) -> None:
    # Two measures of strong, five models against the truth, the exact bound; without stable, no order effect.
    assert len(claims(small)) == 2 + 5 + 1
    twins = small.with_columns(pl.col("world").replace("strong", "stable"))
    same = small.filter(world="shuffled")
    identical = pl.concat([same, same.with_columns(pl.lit("stable").alias("world"))])
    assert order_effect(identical, "realized") == Mean(0.0, 0.0, 0.0)
    assert [c.says.split(":")[0] for c in claims(twins)][:2] == ["stable", "stable"]
    flipped = small.with_columns(pl.when(pl.col("model") == TRUTH).then(0.5).otherwise("realized").alias("realized"))
    assert [c.holds for c in claims(flipped) if "realized" in c.says and c.says.startswith("champion")] == [False]


def test_results_repeat_and_do_not_depend_on_later_months(small: pl.DataFrame) -> None:
    spec = spec_with(["logistic_regression"])
    rows = draw_loans(spec, worlds(spec)["strong"], seed=1, loans_per_month=200)
    again = run_policy(Lender.of(spec, rows), seed=1, months=3)
    assert again.equals(small.filter(world="strong", seed=1).drop("world", "seed").head(again.height))


def test_shuffling_moves_loans_between_months_and_nothing_else() -> None:
    spec = demo_spec()
    rows = draw_loans(spec, World(Drift()), seed=3, loans_per_month=40)
    dealt = shuffle_months(rows, 3)
    assert dealt["cohort"].equals(rows["cohort"])
    assert dealt.drop("cohort").sort("loan_id").equals(rows.drop("cohort").sort("loan_id"))
    born = dealt["loan_id"].str.slice(1, 6)
    stayed = (born == dealt["cohort"].str.replace("-", "")).mean()
    assert stayed == pytest.approx(1 / dealt["cohort"].n_unique(), abs=0.03)
    assert not dealt.equals(shuffle_months(rows, 4))
    assert draw_loans(spec, World(Drift(), shuffled=True), seed=3, loans_per_month=40)["cohort"].equals(rows["cohort"])


def test_labels_are_those_of_the_panel() -> None:
    spec = spec_with(["logistic_regression"])
    assert spec.tape.simulated is not None
    lender = Lender.of(spec, draw_loans(spec, World(Drift()), seed=5, loans_per_month=60))
    faultless = {"seed": 5, "loans_per_month": 60, "drift": Drift(), "faults": Faults()}
    book = simulate(spec.tape.simulated.model_copy(update=faultless))
    for month in ("2021-10", "2024-12"):
        loans = book.loans.filter(cohort=month)
        events = outcome_events(spec, loans, book.performance, book.as_of)
        shown = label_rows(spec, Month.parse(month), loans, events, book.as_of)
        assert shown.equals(lender.labels.filter(cohort=month).sort("loan_id"))
        assert shown["label"].sum() > 0


def test_a_leak_breaks_the_bound() -> None:
    """The bound is worth something: a term rewritten at charge-off shows what the true PD cannot know."""
    spec = spec_with(["xgboost"], faults=Faults(leaks=("rewritten_term",)))
    parts = []
    for seed in (0, 1):
        lender = Lender.of(spec, draw_loans(spec, World(Drift()), seed=seed, loans_per_month=300))
        data = lender.development("fixed_window", spec.p0, seed)
        model = train("xgboost", data.train, data.itv, {}, seed=seed)
        for month in production_months(spec)[:3]:
            rows = pl.DataFrame(list(measure_month(lender, month, {"leaky": model})))
            parts.append(rows.with_columns(world=pl.lit("stable"), seed=seed, production_month=pl.lit(str(month))))
    leaky = pl.concat(parts)
    assert excess_over_truth(leaky)["leaky"].low > 0
    assert "leaky does not beat the true PD beyond noise, realized" in [c.says for c in claims(leaky) if not c.holds]


# --- how it is measured ---------------------------------------------------------------------------


def test_expected_auc_is_the_mean_of_realized_ones() -> None:
    rng = np.random.default_rng(2)
    true_pd = rng.beta(2, 8, 3000)
    score = np.clip(true_pd + rng.normal(0, 0.15, 3000), 0, 1)
    drawn = [roc_auc_score(rng.random(3000) < true_pd, score) for _ in range(150)]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert expected(true_pd, score) == pytest.approx(np.mean(drawn), abs=4 * error)
    assert expected(true_pd, true_pd) > expected(true_pd, score)


def test_interval_is_student_t() -> None:
    values = np.random.default_rng(4).normal(0.01, 0.02, 20)
    for confidence in (0.9, 0.95):
        oracle = ttest_1samp(values, 0).confidence_interval(confidence)
        found = Mean.over(values, confidence)
        assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-15)
        assert found.covers(found.mean)
        assert not found.covers(found.high + 1e-9)
