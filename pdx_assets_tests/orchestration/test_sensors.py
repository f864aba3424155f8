"""The maturity sensor as the daemon calls it: what it asks for, what it says, and how long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pdx_assets.definitions import build_definitions
from pdx_assets.lake import CONTENT
from pdx_assets.orchestration import sensors
from pdx_assets.orchestration.launching import ATTEMPTS
from pdx_assets.orchestration.replay import set_clock
from pdx_assets.orchestration.sensors import WANTED_TAG, WHY_TAG, sensor_name
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import TapeUnavailableError
from pdx_assets.risk.lineage import COHORT_ASSETS, Lineage
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages import tape as tape_stage
from pdx_assets.stages.made import KIND, keep_overview, method
from pdx_assets.stages.maturity import contents, wanted_today
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

TICK_LIMIT_SECONDS = 2.0


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def tick(spec: PortfolioSpec, instance: dg.DagsterInstance) -> Any:
    repository = build_definitions(spec).get_repository_def()
    with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
        return repository.get_sensor_def(sensor_name(spec.name)).evaluate_tick(context)


def ticks_until_read(spec: PortfolioSpec, instance: dg.DagsterInstance) -> Any:
    for _ in range(120):
        said = tick(spec, instance)
        if "being read" not in (said.skip_message or ""):
            return said
    raise AssertionError("the tape was not read in two minutes")


def test_an_empty_home_asks_for_its_first_cohorts_and_says_why(home: Path, instance: dg.DagsterInstance) -> None:
    spec = small_spec()
    set_clock(Workspace.of(spec).settings, date(2022, 7, 31))
    said = ticks_until_read(spec, instance)
    asked = said.run_requests
    assert [r.partition_key for r in asked] == [f"2021-{m:02d}" for m in range(1, 9)]
    assert {r.job_name for r in asked} == {"small_cohort"}
    assert all(r.asset_selection is None for r in asked), "the whole job, whatever is added to it later"
    assert asked[0].tags[WHY_TAG] == "cohort 2021-01 is on the tape"
    assert asked[0].run_key == f"{asked[0].tags[WANTED_TAG]}/1"
    assert [r.run_key for r in tick(spec, instance).run_requests] == [r.run_key for r in asked], "no state of its own"


def test_a_tape_that_cannot_be_read_fails_the_tick_and_is_not_an_empty_tape(
    home: Path, instance: dg.DagsterInstance
) -> None:
    spec = small_spec()
    Workspace.of(spec).settings.pin("small", tape=str(home / "unmounted" / "*.csv"))
    for _ in range(2):
        with pytest.raises(TapeUnavailableError, match="is not there"):
            tick(spec, instance)


def test_a_large_tape_is_read_beside_the_ticks(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = threading.Event()

    def slow(_: Workspace) -> dict[Month, Any]:
        assert read.wait(60)
        return {}

    monkeypatch.setattr(sensors, "contents", slow)
    monkeypatch.setattr(sensors, "PATIENCE_SECONDS", 0.05)
    spec = small_spec()
    assert "being read" in tick(spec, instance).skip_message
    assert "being read" in tick(spec, instance).skip_message
    read.set()
    monkeypatch.setattr(sensors, "PATIENCE_SECONDS", 60)
    monkeypatch.setattr(sensors, "wanted_today", lambda _: [])
    assert "everything the tape tells is made" in tick(spec, instance).skip_message


@pytest.mark.parametrize(
    ("named", "has_path", "runs"),
    [
        ("", True, False),
        ("demo", True, False),
        ("small", True, True),
        ("demo, small", True, True),
        ("all", True, True),
        ("all", False, False),
    ],
)
def test_a_sensor_is_on_where_somebody_says_so_and_its_tape_can_be_had(
    named: str, has_path: bool, runs: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = small_attributes()
    attributes["tape"]["path"] = "${PDX_TEST_TAPE}"
    monkeypatch.setenv("PDX_SENSORS", named)
    monkeypatch.delenv("PDX_TEST_TAPE", raising=False)
    if has_path:
        monkeypatch.setenv("PDX_TEST_TAPE", str(home / "tape.csv"))
    built = build_definitions(PortfolioSpec.model_validate(attributes))
    sensor = built.get_repository_def().get_sensor_def("small_maturity")
    assert (sensor.default_status == dg.DefaultSensorStatus.RUNNING) == runs


def test_runs_of_others_count_and_failures_are_bounded(home: Path, instance: dg.DagsterInstance) -> None:
    spec = small_spec()
    set_clock(Workspace.of(spec).settings, date(2021, 3, 31))
    first = ticks_until_read(spec, instance).run_requests[0]
    job = build_definitions(spec).resolve_job_def("small_cohort")

    def run(status: dg.DagsterRunStatus, month: str, **tags: str) -> None:
        instance.create_run_for_job(job, status=status, tags={"dagster/partition": month, **tags})

    run(dg.DagsterRunStatus.STARTED, "2021-02")
    assert [r.partition_key for r in tick(spec, instance).run_requests] == ["2021-01", "2021-03"]
    for attempt in range(1, ATTEMPTS + 1):
        assert tick(spec, instance).run_requests[0].run_key == f"{first.tags[WANTED_TAG]}/{attempt}"
        run(dg.DagsterRunStatus.FAILURE, "2021-01", **{WANTED_TAG: first.tags[WANTED_TAG]})
    assert [r.partition_key for r in tick(spec, instance).run_requests] == ["2021-03"]
    run(dg.DagsterRunStatus.STARTING, "2021-03")
    assert "Not asked for again after failing: cohort 2021-01" in tick(spec, instance).skip_message


@pytest.fixture
def twenty_years(home: Path) -> PortfolioSpec:
    """A home of nearly 22 years of cohorts and 19 of production months, everything made; written, not run."""
    attributes = small_attributes()
    first, p0 = "2004-01", "2006-07"
    attributes["tape"]["simulated"] |= {"first_month": first, "months": 262, "loans_per_month": 30}
    attributes["tape"]["first_cohort"] = first
    attributes["windows"]["first_production"] = p0
    spec = PortfolioSpec.model_validate(attributes)
    ws = Workspace.of(spec)
    told = contents(ws)
    lineage = Lineage(method(ws), told, stands=lambda _: None, as_of=tape_stage.open_tape(ws).as_of)
    hashes = {c: f"{i:064x}" for i, c in enumerate(told)}
    rows = pl.DataFrame({"cohort": [str(c) for c in told], CONTENT: list(hashes.values()), "x": 1})
    for layer in COHORT_ASSETS:
        ws.lake.write_where(layer, rows, by=("cohort", CONTENT), predicate="x = 1")
        for c, sha in hashes.items():
            kept = {"digest": lineage.of(layer, c), "table": sha, "loans": "", "is_labelled": True}
            ws.lake.put_document(KIND, f"{layer}/{c}", kept)
    for action in wanted_today(ws):
        for asset in action.assets:
            ws.lake.put_document(KIND, f"{asset}/{action.month}", {"digest": lineage.of(asset, action.month)})
        if action.job == "decide":
            # As long as a real decision of six challengers is.
            decision = {"production_month": str(action.month), "champion": {}, "padding": "x" * 8000}
            ws.lake.create_document("decisions/main", str(action.month), decision)
        if action.job == "overview":
            keep_overview(ws, action.month)
    return spec


def test_ticks_are_short_with_twenty_years_of_months(
    twenty_years: PortfolioSpec, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    spec = twenty_years
    repository = build_definitions(spec).get_repository_def()
    sensor = repository.get_sensor_def("small_maturity")
    monkeypatch.setattr(tape_stage, "stage_tape", lambda *_: pytest.fail("the tape was read again"))
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
            said = sensor.evaluate_tick(context)
        seconds.append(round(time.perf_counter() - start, 2))
        assert said.skip_message is not None and "everything the tape tells is made" in said.skip_message
    record_property("tick_seconds", seconds)
    record_property("documents", len(Workspace.of(spec).lake.keys(KIND)))
    # The first tick of a server reads every document once; the others only what is new.
    assert min(seconds[1:]) < TICK_LIMIT_SECONDS, seconds
