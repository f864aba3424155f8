"""The whole graph on the small portfolio: what is materialized, recorded, tracked and shown."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from pdx_assets.definitions import build_definitions
from pdx_assets.lake import Lake, MonthContent
from pdx_assets.orchestration import runner
from pdx_assets.orchestration.assets.challengers import TRAINED
from pdx_assets.orchestration.home import prepare_home
from pdx_assets.results import as_csv, as_json, collect
from pdx_assets.risk.bundle import Bundle
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.models import training, tuning
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape import CohortRows
from pdx_assets.risk.tape_accounting import RowAccounting
from pdx_assets.risk.windows import identity
from pdx_assets.stages import challengers, windows
from pdx_assets.stages.experiment import experiment
from pdx_assets.stages.production import realized
from pdx_assets.stages.record import decisions
from pdx_assets.stages.tape import blocking_failures, pending
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_spec

MONTHS = ("2022-07", "2022-08", "2022-09")
COHORT_TABLES = ("raw_loans", "clean_features", "outcomes", "labels")


@pytest.fixture(scope="module")
def instance(finished: Workspace) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(finished.settings.dagster_home))


def test_every_asset_of_a_production_month_is_materialized(finished: Workspace, instance: dg.DagsterInstance) -> None:
    graph = build_definitions(finished.spec).resolve_asset_graph()
    # The report is made on request, the overview and the other pages have no months.
    others = (*COHORT_TABLES, "drift_report", "overview", "experiment_tables", "policy_comparison")
    production = [k for k in graph.materializable_asset_keys if k.path[-1] not in others]
    assert len(production) == 3 + 2 + 6 + 2 + 2 + 2
    for key in production:
        assert set(MONTHS) <= instance.get_materialized_partitions(key), key
    for layer in COHORT_TABLES:
        cohorts = instance.get_materialized_partitions(dg.AssetKey(["small", layer]))
        # Development starts 18 months before p0; the last production cohort is scored and measured.
        assert {"2021-01", "2021-08", "2022-07", "2022-09"} <= cohorts
        assert "2022-05" not in cohorts, "a month no window and no contest needs"


def test_data_versions_come_from_content(finished: Workspace, instance: dg.DagsterInstance) -> None:
    event = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(["small", "raw_loans"]), asset_partitions=["2021-03"]), limit=1
    ).records[0]
    tags = event.asset_materialization.tags or {}
    assert tags["dagster/data_version"] == finished.lake.contents("raw_loans")[Month(2021, 3)].sha256


def test_row_accounting_balances_and_counts_the_dirty_rows(finished: Workspace) -> None:
    accounts = [finished.lake.get_document("accounting", key) for key in finished.lake.keys("accounting")]
    for account in accounts:
        assert account["rows_in"] == account["rows_out"] + sum(account["rejected"].values()) + sum(
            account["excluded"].values()
        )
    assert sum(sum(a["rejected"].values()) for a in accounts) > 0
    rejected = finished.lake.scan_table("rejected").collect()
    assert rejected["reason"].null_count() == 0


def test_performance_rows_that_do_not_balance_fail_the_check_too() -> None:
    """The check looked at loan rows alone, while windows refused the month for its performance rows."""
    loans = RowAccounting(rows_in=3, rows_out=2, rejected={"no date": 1})
    lost = RowAccounting(rows_in=5, rows_out=4)
    empty = pl.DataFrame()
    assert blocking_failures(CohortRows(empty, empty, None, loans)) == []
    assert blocking_failures(CohortRows(empty, empty, empty, loans, lost)) == ["performance rows do not balance"]


def test_decisions_chain_and_state_their_reasons(finished: Workspace) -> None:
    recorded = decisions(finished)
    assert [d["production_month"] for d in recorded] == list(MONTHS)
    assert recorded[0]["decision"] == "first"
    for before, after in pairwise(recorded):
        assert after["incumbent"]["bundle_sha256"] == before["champion"]["bundle_sha256"]
        assert after["decision"] in ("kept", "promoted")
        scores = [c["score"] for c in after["contest"]["challengers"]]
        best = max(scores)
        incumbent = after["incumbent"]["score"]
        assert (after["decision"] == "promoted") == (best > incumbent)
        assert after["champion"]["score"] == max(best, incumbent)
    for decision in recorded:
        assert decision["reason"]
        effect = decision["at_cut_off"]
        assert effect["cut_off"] == recorded[0]["at_cut_off"]["cut_off"], "the first month's cut-off is carried on"
        assert 0 < effect["after"]["approval_rate"] <= 1
    assert recorded[0]["at_cut_off"]["after"]["approval_rate"] == pytest.approx(0.8, abs=0.01)


def test_at_p0_the_strategies_share_one_model(finished: Workspace) -> None:
    for algorithm in finished.spec.algorithms:
        digests = {
            finished.lake.get_document(f"challenger_{s}_{algorithm}", "2022-07")["bundle_sha256"]
            for s in finished.spec.strategies
        }
        assert len(digests) == 1
        later = {
            s: finished.lake.get_document(f"challenger_{s}_{algorithm}", "2022-09")["bundle_sha256"]
            for s in finished.spec.strategies
        }
        assert later["fixed_window"] in digests, "the baseline is trained once"
        assert len(set(later.values())) == 3


def test_production_scores_are_the_champions(finished: Workspace) -> None:
    """Scored again from the stored bundle and features, independently of the score table."""
    month = Month(2022, 9)
    champion = decisions(finished)[-1]["champion"]["bundle_sha256"]
    features = finished.lake.scan_months("clean_features", [month]).collect().sort("loan_id")
    spec = finished.spec
    bundle = Bundle.from_files(finished.lake.get_bundle(champion), champion)
    expected = bundle.predict_pd(LoanMatrix.from_frame(features, spec.number_features, spec.category_features))
    stored = finished.lake.scan_months("production_scores", [month]).collect().sort("loan_id")
    assert stored["loan_id"].to_list() == features["loan_id"].to_list()
    assert (stored["pd"].to_numpy() == expected).all()
    assert stored["bundle_sha256"].unique().to_list() == [champion]


def test_performance_agrees_with_scikit_learn(finished: Workspace) -> None:
    from sklearn.metrics import roc_auc_score

    month = Month(2022, 8)
    scores = finished.lake.scan_months("production_scores", [month]).collect()
    joined = realized(finished, month).join(scores, on="loan_id")
    document = finished.lake.get_document("production_performance", str(month))
    ours = document["metrics"][document["champion"]]
    assert ours["auc"] == pytest.approx(roc_auc_score(joined["label"], joined["pd"]), abs=1e-12)
    assert ours["n_loans"] == joined.height


def test_no_development_loan_is_labelled_after_the_decision_date(finished: Workspace) -> None:
    for key in MONTHS:
        manifest = finished.lake.get_document("window_rolling_window", key)
        assert manifest["development"]["last_event"] <= manifest["decision_date"]
        assert manifest["otv"]["last_event"] <= manifest["decision_date"]
        assert manifest["development"]["last"] < manifest["otv"]["first"]


def test_each_pair_is_scored_once(finished: Workspace) -> None:
    scores = finished.lake.scan_table("scores").collect()
    key = ["bundle_sha256", "cohort", "features_sha256", "loan_id"]
    assert scores.select(pl.struct(key).is_duplicated().any()).item() is False


def test_results_have_the_promised_shape(finished: Workspace) -> None:
    found = json.loads(as_json(collect(finished)))
    assert found["portfolio"] == "small"
    assert len(found["models"]) == 3 * 3 * 2
    needed = {"auc", "ks", "f1", "capture_rate_top3_deciles", "n_loans", "bad_rate"}
    for model in found["models"]:
        for part in ("train", "itv", "otv", "production"):
            assert needed <= set(model[part]), (model["strategy"], part)
    assert [c["production_month"] for c in found["champions"]] == list(MONTHS)
    for champion in found["champions"]:
        assert needed <= set(champion["production"]) and needed <= set(champion["baseline_production"])
    assert found["champions"][0]["production"] == found["champions"][0]["baseline_production"]
    lines = as_csv(collect(finished)).strip().split("\n")
    assert len(lines) == 1 + len(found["models"])


def test_the_papers_tables_hold_what_scikit_learn_finds_in_the_stored_scores(
    finished: Workspace, instance: dg.DagsterInstance
) -> None:
    """`pdx run` made the asset; every cell of its production table, from per-loan scores and labels alone."""
    from sklearn.metrics import roc_auc_score

    (record,) = instance.fetch_materializations(dg.AssetKey(["small", "experiment_tables"]), limit=1).records
    found = experiment(finished)
    assert (record.asset_materialization.tags or {})["dagster/data_version"] == document_sha256(found.document)
    (table,) = [t for t in found.tables if t.key == "tables_6_to_8"]
    cells = {row[1].value: [cell.value for cell in row[2:5]] for row in table.rows}
    scores = finished.lake.scan_table("scores").collect()
    for i, key in enumerate(MONTHS):
        loans = realized(finished, Month.parse(key))
        for strategy, window in (("fixed_window", "FW"), ("fixed_origin", "FO"), ("rolling_window", "RW")):
            for algorithm, short in (("logistic_regression", "LR"), ("xgboost", "XGB")):
                digest = finished.lake.get_document(f"challenger_{strategy}_{algorithm}", key)["bundle_sha256"]
                own = loans.join(scores.filter(bundle_sha256=digest, cohort=key), on="loan_id")
                expected = roc_auc_score(own["label"], own["pd"])
                assert cells[f"{window} {short}"][i] == pytest.approx(expected, abs=1e-12)
    assert len(table.rows) == 1 + 6 + 4
    assert [c.value for c in table.rows[1][5:]] == [None] * 9, "months not run are blank"


def test_bads_are_told_before_anything_learns_from_them(finished: Workspace) -> None:
    first, later = (windows.bads_told(finished, Month(2022, m)) for m in (7, 8))
    made = {s: windows.window(finished, s, Month(2022, 8)) for s in ("fixed_origin", "rolling_window")}
    fixed = windows.window(finished, "fixed_window", Month(2022, 7))
    otv = fixed["otv"]
    assert first == f"bads: fixed window {fixed['development']['bads']}; OTV {otv['bads']} of {otv['loans']} loans"
    for strategy, manifest in made.items():
        assert f"{strategy.replace('_', ' ')} {manifest['development']['bads']}" in later
    assert "fixed window" not in later, "it is that of the first month"


def test_one_finished_mlflow_run_per_training_step(finished: Workspace) -> None:
    with sqlite3.connect(finished.settings.home / "mlflow.db") as database:
        runs = database.execute("select run_uuid, status from runs").fetchall()
        tags = database.execute("select value, count(*) from tags where key = 'asset' group by value").fetchall()
    assert {status for _, status in runs} == {"FINISHED"}
    assert dict(tags) == dict.fromkeys(
        [f"tuning_{a}" for a in finished.spec.algorithms]
        + [f"challenger_{s}_{a}" for s in finished.spec.strategies for a in finished.spec.algorithms],
        len(MONTHS),
    )


def test_a_second_run_finds_everything_done(finished: Workspace) -> None:
    assert runner.plan(finished, runner.months_to_run(finished, None, "2022-09")) == []


def test_a_failing_challenger_leaves_a_tombstone_and_the_contest_goes_on(
    home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = _quick(small_spec())
    train = training.train

    def fails_for_boosting(algorithm, *args, **kwargs):  # type: ignore[no-untyped-def]
        if algorithm == "xgboost":
            raise TrainingError("planted failure")
        return train(algorithm, *args, **kwargs)

    monkeypatch.setattr(training, "train", fails_for_boosting)
    _materialize_cohorts_and_month(ws, "2022-07")
    decision = decisions(ws)[0]
    assert decision["champion"]["algorithm"] == "logistic_regression"
    assert decision["contest"]["failed"] == {"fixed_window xgboost": "planted failure"}
    evaluation = _trained_check(ws, "challenger_rolling_window_xgboost")
    assert evaluation.passed is False
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert _mlflow_statuses(ws, "challenger%xgboost") == {"FAILED"}


def test_a_failing_study_leaves_tombstones_and_the_contest_goes_on(
    home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tuning step used to fail instead: its challengers never ran, and the month waited for ever."""
    ws = _quick(small_spec())
    tune = tuning.tune

    def fails_for_boosting(algorithm, *args, **kwargs):  # type: ignore[no-untyped-def]
        if algorithm == "xgboost":
            raise TrainingError("planted study failure")
        return tune(algorithm, *args, **kwargs)

    monkeypatch.setattr(tuning, "tune", fails_for_boosting)
    _materialize_cohorts_and_month(ws, "2022-07")
    decision = decisions(ws)[0]
    assert decision["champion"]["algorithm"] == "logistic_regression"
    assert "planted study failure" in decision["contest"]["failed"]["fixed_window xgboost"]
    assert _mlflow_statuses(ws, "tuning_xgboost") == {"FAILED"}


def test_a_cohort_whose_labels_were_not_written_is_still_to_do(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was marked done before its labels were written: a kill in between left a month no rerun would mend."""
    ws = _quick(small_spec())
    write = Lake.write_month

    def fails_for_labels(lake: Lake, layer: str, month: Month, frame: pl.DataFrame) -> MonthContent:
        if layer == "labels":
            raise OSError("planted: disk full")
        return write(lake, layer, month, frame)

    monkeypatch.setattr(Lake, "write_month", fails_for_labels)
    prepare_home(ws.settings)
    runner._enter_worker(ws.spec, dict(os.environ))
    cohort = Month.parse("2021-01")
    (task,) = [t for t in runner.plan(ws, (Month.parse("2022-07"),)) if t.key == f"cohort {cohort}"]
    error = runner._execute(task)
    assert error is not None and "disk full" in error
    assert pending(ws, (cohort,)) == (cohort,)


def test_a_challenger_without_its_window_fails_and_leaves_no_tombstone(home: object) -> None:
    """It used to leave one: a month launched too early would have been decided without its challengers."""
    ws = _quick(small_spec())
    prepare_home(ws.settings)
    runner._enter_worker(ws.spec, dict(os.environ))
    month = Month.parse("2022-07")
    asset = "challenger_fixed_window_logistic_regression"
    error = runner._execute(runner.Task("early", "train", "decide", month, (asset,)))
    assert error is not None and "window_fixed_window has no 2022-07" in error
    assert ws.lake.find_document(asset, str(month)) is None


def test_what_a_model_learned_from_stays_findable(finished: Workspace) -> None:
    """A revised tape makes window_<strategy> anew; the manifest a bundle names must not go with it."""
    for decision in decisions(finished):
        digest = decision["champion"]["bundle_sha256"]
        bundle = Bundle.from_files(finished.lake.get_bundle(digest), digest)
        manifest = finished.lake.get_document("windows", bundle.manifest["window_sha256"])
        assert document_sha256(identity(manifest, "development")) == bundle.manifest["window_sha256"]
        assert set(manifest["tables"]) == {"clean_features", "labels"}


def test_the_whole_tape_is_accounted_for_in_the_lake(finished: Workspace) -> None:
    """Rows without a readable date belong to no cohort; they used to stay in the staging folder only."""
    (fingerprint,) = finished.lake.keys("tapes")
    account = finished.lake.get_document("tapes", fingerprint)
    assert account["rows_in"] == account["rows_out"] + sum(account["rejected"].values())
    lost = finished.lake.scan_table("rejected_without_cohort").collect()
    panel = lost["reason"].str.starts_with("performance:")
    assert 0 < (~panel).sum() <= sum(account["rejected"].values())
    assert panel.sum() <= sum(account["performance"]["rejected"].values())


def test_a_study_takes_no_more_loans_than_its_profile_says_and_challengers_take_all(
    finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 600
    manifest = windows.window(finished, "fixed_window", finished.spec.p0)
    sampled = challengers.learned_from(finished, manifest, most=most)
    whole = challengers.learned_from(finished, manifest)
    assert 0.95 * most < len(sampled.train) + len(sampled.itv) <= most < len(whole.train)
    for side in ("train", "itv"):
        some, all_ = (
            {row.tobytes() for row in np.nan_to_num(getattr(part, side).matrix.numbers, nan=-1)}
            for part in (sampled, whole)
        )
        assert some < all_
    plain = finished.lake.documents("studies").values()
    assert all("max_loans" not in study["depends_on"] for study in plain)
    shutil.copytree(finished.settings.home, tmp_path / "home")
    monkeypatch.setenv("PDX_HOME", str(tmp_path / "home"))
    profiles = {"quick": {"trials": 1, "retune_every": 6, "max_loans": most}}
    ws = _quick(small_spec(tuning={"profiles": profiles}))
    tuned = challengers.tune_month(ws, "logistic_regression", ws.spec.p0)
    study = ws.lake.get_document("studies", tuned["studies"]["fixed_window"]["study"])
    assert study["depends_on"]["max_loans"] == most
    assert study["best_value"] not in {other["best_value"] for other in plain}


def _quick(spec: PortfolioSpec) -> Workspace:
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="quick", seed=0, tape=None)
    return ws


def _trained_check(ws: Workspace, asset: str) -> Any:
    with dg.DagsterInstance.from_config(str(ws.settings.dagster_home)) as instance:
        key = dg.AssetCheckKey(dg.AssetKey([ws.spec.name, asset]), TRAINED)
        record = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0]
    return record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]


def _mlflow_statuses(ws: Workspace, asset: str) -> set[str]:
    with sqlite3.connect(ws.settings.home / "mlflow.db") as database:
        found = database.execute(
            "select status from runs join tags using (run_uuid) where key = 'asset' and value like ?", (asset,)
        )
        return {status for (status,) in found}


def _materialize_cohorts_and_month(ws: Workspace, month: str) -> None:
    """In this process, so that a planted failure is seen."""
    prepare_home(ws.settings)
    runner._enter_worker(ws.spec, dict(os.environ))
    for task in runner.plan(ws, (Month.parse(month),)):
        assert runner._execute(task) is None, task
