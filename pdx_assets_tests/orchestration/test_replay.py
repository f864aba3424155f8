"""A year lived through by the real servers: the sensor alone decides, and a revised tape touches what rests on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pdx_assets.orchestration.replay import live_through, months_to_replay, set_clock, wait_until_settled
from pdx_assets.orchestration.sensors import WANTED_TAG, WHY_TAG
from pdx_assets.orchestration.servers import Servers
from pdx_assets.risk.errors import HomeError
from pdx_assets.stages.record import decisions
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.served import free_port, put_location
from pdx_assets_tests.small_portfolio import small_spec

MONTHS = ["2022-07", "2022-08", "2022-09"]
# OTV of 2022-07 (2021-05..06) and of 2022-08 (2021-06..07); development of 2022-09 (ends 2021-06), where it moves.
REVISED = "2021-06"
ON_OTV = ("window_fixed_window", "window_fixed_origin", "window_rolling_window", "otv_scores", "champion")
ON_DEVELOPMENT = (
    *("window_fixed_origin", "window_rolling_window", "otv_scores", "champion"),
    *("challenger_fixed_origin_logistic_regression", "challenger_rolling_window_logistic_regression"),
)


@pytest.fixture
def location(home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that the servers can import: the small portfolio."""
    return put_location(tmp_path_factory.mktemp("location"), monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_sensor_alone_decides_and_a_revised_tape_touches_only_what_rests_on_it(
    home: Path, location: str, record_property: Callable[[str, object], None]
) -> None:
    ws = Workspace.of(small_spec(algorithms=["logistic_regression"]))
    ws.settings.pin("small", profile="quick", seed=0)
    told: list[str] = []

    def revise(servers: Servers) -> None:
        with dg.DagsterInstance.get() as instance:
            before, runs_before = decisions(ws), {run.run_id for run in instance.get_runs()}
            assert [d["production_month"] for d in before] == MONTHS
            _assert_launched_by_the_sensor_in_order(instance)
            export = home / "export"
            shutil.copytree(ws.settings.simulated("small"), export)
            path = export / "loans" / f"{REVISED}.csv"
            loans = pl.read_csv(path, infer_schema=False)
            loans.with_columns((pl.col("annual_income").cast(pl.Float64, strict=False) * 1.5).round(2)).write_csv(path)
            ws.settings.pin("small", tape=str(export))
            wait_until_settled(ws, servers, instance)
            since = [run for run in instance.get_runs() if run.run_id not in runs_before]
            assert _made(instance, since) == {
                *((asset, REVISED) for asset in ("raw_loans", "clean_features", "outcomes", "labels")),
                *((asset, month) for month in ("2022-07", "2022-08") for asset in ON_OTV),
                *((asset, "2022-09") for asset in ON_DEVELOPMENT),
                *(("performance_estimate", month) for month in MONTHS),
                ("overview", None),
                ("experiment_tables", None),
            }
            assert decisions(ws) == before, "recorded decisions stay"
            why = {run.tags.get("dagster/partition"): run.tags[WHY_TAG] for run in since}
            assert why[REVISED] == f"the tape's loans of {REVISED} changed"
            assert "its recorded decision stays" in why["2022-08"]
            told.append(f"{len(since)} runs after the revision, {len(runs_before)} before")

    live_through(
        ws, months_to_replay(ws, None, MONTHS[-1]), port=free_port(), report=told.append, module=location, then=revise
    )
    record_property("told", told)
    assert [line[:7] for line in told[:3]] == MONTHS
    assert not ws.settings.clock_file.exists(), "the clock is taken away at the end"


def _assert_launched_by_the_sensor_in_order(instance: dg.DagsterInstance) -> None:
    runs = instance.get_runs()
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert all(run.tags["dagster/sensor_name"] == "small_maturity" and run.tags[WANTED_TAG] for run in runs)
    once = [run.tags[WANTED_TAG] for run in runs]
    assert len(once) == len(set(once)), "nothing was made twice"
    decided = [run.tags["dagster/partition"] for run in reversed(runs) if run.job_name == "small_decide"]
    assert decided == MONTHS


def _made(instance: dg.DagsterInstance, runs: list[dg.DagsterRun]) -> set[tuple[str, str | None]]:
    found = set()
    for run in runs:
        assert run.status == dg.DagsterRunStatus.SUCCESS, run.tags
        for record in instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        ).records:
            event = record.event_log_entry.get_dagster_event()
            found.add((event.asset_key.path[-1], event.partition))  # type: ignore[union-attr]
    return found


def test_a_replay_refuses_what_it_cannot_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Workspace.of(small_spec())
    with pytest.raises(HomeError, match="2022-06 --to 2022-09 cannot be replayed"):
        months_to_replay(ws, "2022-06", "2022-09")
    assert [str(p) for p in months_to_replay(ws, "2022-08", "2022-09")] == ["2022-08", "2022-09"]
    monkeypatch.setenv("PDX_AS_OF", "2022-09-30")
    with pytest.raises(HomeError, match="PDX_AS_OF is set"):
        months_to_replay(ws, None, None)


def test_a_replay_goes_on_where_the_home_is_and_never_back(home: Path) -> None:
    ws = Workspace.of(small_spec())
    for month in ("2022-07", "2022-08"):
        ws.lake.create_document("decisions/main", month, {"production_month": month})
    assert [str(p) for p in months_to_replay(ws, None, "2022-09")] == ["2022-08", "2022-09"]
    assert [str(p) for p in months_to_replay(ws, None, "2022-08")] == ["2022-08"], "a revised tape is settled there"
    with pytest.raises(HomeError, match="has decided 2022-08 already"):
        months_to_replay(ws, None, "2022-07")


def test_every_process_on_a_home_reads_its_clock(home: Path) -> None:
    settings = Workspace.of(small_spec()).settings
    assert settings.as_of is None
    set_clock(settings, date(2022, 9, 30))
    assert Workspace.of(small_spec()).settings.as_of == date(2022, 9, 30)
    assert [p.name for p in home.iterdir()] == ["clock"]
