"""Twelve months launched at once by the webserver, four runs at a time: what somebody does who wants the year now."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from pdx_assets.orchestration import runner
from pdx_assets.orchestration.jobs import job_name
from pdx_assets.orchestration.servers import started
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.record import decisions
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import run_all
from pdx_assets_tests.orchestration.lake_state import lake_state
from pdx_assets_tests.orchestration.served import ask, free_port, put_location, wait_for_location
from pdx_assets_tests.small_portfolio import small_attributes

TWELVE = [f"{2022 + (6 + i) // 12}-{(6 + i) % 12 + 1:02d}" for i in range(12)]
# The small portfolio with a tape of 42 months: twelve production months, their labels known.
LOCATION = """
import dagster as dg
from pdx_assets.definitions import build_definitions
from pdx_assets_tests.orchestration.test_backfill import year_spec

defs = dg.Definitions.merge(build_definitions(year_spec()), dg.Definitions(executor=dg.in_process_executor))
"""
SETTINGS = """
telemetry: {enabled: false}
concurrency:
  runs: {max_concurrent_runs: 4}
  pools: {default_limit: 4, granularity: run}
"""
LAUNCH = """
mutation ($backfill: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfill) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionKeysNotFoundError { message }
  }
}
"""


def year_spec() -> PortfolioSpec:
    attributes = small_attributes(algorithms=["logistic_regression"])
    attributes["tape"]["simulated"]["months"] = 42
    return PortfolioSpec.model_validate(attributes)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twelve_months_at_once_are_decided_in_order_to_the_same_bytes(
    home: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    spec, ws = year_spec(), Workspace.of(year_spec())
    ws.settings.pin(spec.name, profile="quick", seed=0, tape=None)
    ws.settings.dagster_home.mkdir(parents=True)
    (ws.settings.dagster_home / "dagster.yaml").write_text(SETTINGS, encoding="utf-8")
    cohorts = [t for t in runner.plan(ws, runner.months_to_run(ws, None, TWELVE[-1])) if t.stage == "cohort"]
    assert [o.error for o in runner.run_tasks(ws, cohorts, workers=2, report=lambda _: None) if o.error] == []

    module, port = put_location(tmp_path_factory.mktemp("location"), monkeypatch, LOCATION), free_port()
    start = time.monotonic()
    with (
        started(ws.settings, host="127.0.0.1", port=port, module=module) as servers,
        dg.DagsterInstance.get() as instance,
    ):
        wait_for_location(port)
        job = job_name(spec.name, "decide")
        repository = {"repositoryLocationName": "pdx", "repositoryName": "__repository__"}
        selector = {"repositorySelector": repository, "partitionSetName": f"{job}_partition_set"}
        said = ask(port, LAUNCH, backfill={"selector": selector, "partitionNames": TWELVE})
        assert said["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", said
        most = wait_until_ended(instance, job, servers.check)
        record_property("told", f"{time.monotonic() - start:.0f} s, {most} runs at once")
        runs = instance.get_runs(dg.RunsFilter(job_name=job))
    assert most == 4
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    recorded = decisions(ws)
    assert [d["production_month"] for d in recorded] == TWELVE
    for before, after in pairwise(recorded):
        assert after["inputs"]["previous_decision_sha256"] == document_sha256(before)

    monkeypatch.setenv("PDX_HOME", str(home / "one_by_one"))
    assert [o.error for o in run_all(spec, TWELVE[-1], workers=1) if o.error] == []
    alone = lake_state(Workspace.of(spec))
    for name, state in lake_state(ws).items():
        if name not in ("performance", "tables"):
            assert state == alone[name], name


def wait_until_ended(instance: dg.DagsterInstance, job: str, check: Callable[[], None]) -> int:
    """Wait for twelve months to have a run that ended well, or for every run to have ended; the most runs at once."""
    most, deadline = 0, time.monotonic() + 1200
    while time.monotonic() < deadline:
        check()
        runs = instance.get_runs(dg.RunsFilter(job_name=job))
        most = max(most, sum(run.status == dg.DagsterRunStatus.STARTED for run in runs))
        if len(runs) >= len(TWELVE) and all(run.is_finished for run in runs):
            return most
        time.sleep(1)
    raise AssertionError({run.tags.get("dagster/partition"): run.status for run in instance.get_runs()})
