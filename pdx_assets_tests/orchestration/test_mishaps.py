"""What a home makes of a damaged model, a revised tape and a library that fails: lending goes on, the record stands."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pdx_assets.orchestration import runner
from pdx_assets.orchestration.assets.decision import IN_CHARGE
from pdx_assets.results import collect
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.models import tuning
from pdx_assets.risk.policy import in_charge_problem
from pdx_assets.stages.production import realized
from pdx_assets.stages.record import decisions, find_decision
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import run_all
from pdx_assets_tests.small_portfolio import small_spec


def test_an_incumbent_that_cannot_be_scored_stays_and_a_check_fails(copied: Workspace) -> None:
    """One damaged file used to fail otv_scores, and then the task that held decision and production scores: either
    way no later month was decided.
    """
    incumbent = find_decision(copied, Month.parse("2022-09"))
    assert incumbent is not None
    digest = incumbent["champion"]["bundle_sha256"]
    model = copied.settings.home / "lake" / "small" / "bundles" / digest / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    outcomes = run_all(small_spec(), "2022-11")
    failed = {o.task.key for o in outcomes if o.error}
    # What needs the damaged model's PDs fails and says so; nothing else does.
    assert failed == {f"{what} {month}" for what in ("scores", "drift", "estimate") for month in ("2022-10", "2022-11")}
    assert all("sha256" in str(o.error) for o in outcomes if o.error)
    decision = find_decision(copied, Month.parse("2022-11"))
    assert decision is not None
    assert decision["incumbent"]["bundle_sha256"] == digest
    assert decision["decision"] == "no_contest"
    assert decision["champion"]["bundle_sha256"] == digest
    assert "could not be scored" in decision["reason"] and "sha256" in decision["reason"]
    assert digest in decision["contest"]["unscored"]
    assert all(c["score"] is not None for c in decision["contest"]["challengers"])
    assert in_charge_problem(decision) == decision["reason"]
    evaluation = _check(copied, "champion", IN_CHARGE)
    assert evaluation.passed is False and evaluation.severity == dg.AssetCheckSeverity.ERROR


def test_a_revised_tape_rewrites_neither_decisions_nor_the_baseline(copied: Workspace, tmp_path: Path) -> None:
    """Re-running p0 on a corrected tape used to train a new baseline, and baseline_production became null."""
    before = decisions(copied)
    baseline = before[0]["champion"]["bundle_sha256"]
    old = copied.lake.get_document("window_fixed_window", "2022-07")
    export = tmp_path / "export"
    shutil.copytree(copied.settings.simulated("small"), export)
    # The fixed window's own months, so that training p0 again would give another model.
    for month in old["development"]["months"]:
        (path,) = (export / "loans").glob(f"*{month['cohort']}*.csv")
        loans = pl.read_csv(path, infer_schema=False)
        loans.with_columns((pl.col("annual_income").cast(pl.Float64, strict=False) * 1.5).round(2)).write_csv(path)
    copied.settings.pin("small", tape=str(export))
    outcomes = run_all(small_spec(), "2022-09")
    assert [o.error for o in outcomes if o.error] == []
    assert any(o.task.stage == "cohort" for o in outcomes)
    ws = Workspace.of(small_spec())
    new = ws.lake.get_document("window_fixed_window", "2022-07")
    assert new["development"]["sha256"] != old["development"]["sha256"], "the revision reached the windows"
    assert decisions(ws) == before
    for champion in collect(ws)["champions"]:
        assert champion["baseline_production"] is not None
    pointer = ws.lake.get_document(f"challenger_fixed_window_{before[0]['champion']['algorithm']}", "2022-07")
    assert pointer["bundle_sha256"] == baseline
    # What each decision was made on is still there, by the hash it froze.
    for decision in before:
        frozen = ws.lake.get_document("otv_windows", decision["inputs"]["otv_window_sha256"])
        assert [m["cohort"] for m in frozen["months"]] == decision["contest"]["otv_months"]
        assert frozen["bads"] == decision["contest"]["bads"]


def test_a_library_that_fails_in_a_study_is_tried_again_then_leaves_tombstones(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a TrainingError used to be recorded: any other failure left no tombstone, and later months waited."""
    spec = small_spec()
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="quick")
    tune, tried = tuning.tune, []

    def fails_for_boosting(algorithm: str, *args: Any, **kwargs: Any) -> Any:
        if algorithm == "xgboost":
            tried.append(algorithm)
            raise MemoryError("planted: out of memory")
        return tune(algorithm, *args, **kwargs)

    monkeypatch.setattr(tuning, "tune", fails_for_boosting)
    from pdx_assets.orchestration.home import prepare_home

    prepare_home(ws.settings)
    runner._enter_worker(spec, dict(os.environ))
    for task in runner.plan(ws, (Month.parse("2022-07"),)):
        assert runner._execute(task) is None, task
    assert len(tried) >= 2, "a second try, since memory may come back"
    decision = decisions(ws)[0]
    assert decision["champion"]["algorithm"] == "logistic_regression"
    assert "MemoryError: planted" in decision["contest"]["failed"]["fixed_window xgboost"]


def test_studies_run_ahead_are_found_by_their_asset(home: Path) -> None:
    """With every month an anchor, each long study is a run of its own, and the tuning asset only collects them."""
    spec = small_spec()
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="paper")
    tasks = runner.plan(ws, runner.months_to_run(ws, None, "2022-08"))
    studies = [t for t in tasks if t.stage == "study"]
    assert {t.key for t in studies} == {
        f"study 2022-08 {strategy} xgboost" for strategy in ("fixed_origin", "rolling_window")
    }, "not the regression's, which take no longer than a run's own events"
    outcomes = runner.run_tasks(ws, tasks, workers=2, report=lambda _: None)
    assert [o.error for o in outcomes if o.error] == [] and len(outcomes) == len(tasks)
    with dg.DagsterInstance.from_config(str(ws.settings.dagster_home)) as instance:
        spent = {}
        for month in ("2022-07", "2022-08"):
            records = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=dg.AssetKey(["small", "tuning_xgboost"]), asset_partitions=[month]),
                limit=1,
            ).records
            assert records[0].asset_materialization is not None
            spent[month] = records[0].asset_materialization.metadata["training_seconds"].value
        runs = instance.get_runs(dg.RunsFilter(job_name="small_study"))
    assert spent["2022-07"] > 0 and spent["2022-08"] == 0
    assert len(runs) == 2 and all(run.status == dg.DagsterRunStatus.SUCCESS for run in runs)


def test_goods_approved_by_group_are_stored_with_the_performance(finished: Workspace) -> None:
    month = Month.parse("2022-08")
    found = finished.lake.get_document("production_performance", str(month))["equal_opportunity"]["age_band"]
    decision = find_decision(finished, month)
    assert decision is not None and found["cut_off"] == decision["at_cut_off"]["cut_off"]
    scores = finished.lake.scan_months("production_scores", [month]).collect()
    goods = realized(finished, month).join(scores, on="loan_id").filter(pl.col("label") == 0)
    for group, share in found["approval_of_goods"].items():
        of_group = goods.filter(age_band=group)
        approved = of_group.filter(pl.col("pd").cast(pl.Float64) <= found["cut_off"])
        assert share == pytest.approx(approved.height / of_group.height, abs=1e-12)
    assert len(found["approval_of_goods"]) > 1
    spread = max(found["approval_of_goods"].values()) - min(found["approval_of_goods"].values())
    assert found["difference"] == pytest.approx(spread, abs=1e-15)


def test_a_home_used_from_the_ui_keeps_its_seed(copied: Workspace) -> None:
    """Months made from the UI pinned nothing: a later `pdx run --seed 7` mixed two seeds in one home."""
    from pdx_assets.risk.errors import HomeError
    from pdx_assets.stages.windows import make_window

    (copied.settings.home / "portfolios" / "small.json").unlink()
    make_window(copied, "fixed_window", Month.parse("2022-07"))
    with pytest.raises(HomeError, match="seed 0; asked for 7"):
        copied.settings.pin("small", seed=7)


def _check(ws: Workspace, asset: str, check: str) -> Any:
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        key = dg.AssetCheckKey(dg.AssetKey([ws.spec.name, asset]), check)
        record = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0]
    return record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
