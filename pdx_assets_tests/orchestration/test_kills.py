"""kill -9 under the sensor, ten times: of a run's worker, of the daemon, of the webserver."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEventType

from pdx_assets.orchestration.replay import set_clock, wait_until_settled
from pdx_assets.orchestration.servers import Servers, started
from pdx_assets.stages.record import decisions
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import run_all
from pdx_assets_tests.orchestration.lake_state import lake_state
from pdx_assets_tests.orchestration.served import free_port, put_location
from pdx_assets_tests.small_portfolio import small_spec

KILLS = 10
MONTHS = [f"2022-{month:02d}" for month in range(7, 13)]
ENVIRONMENT = {"PDX_SENSORS": "small", "PDX_SENSOR_SECONDS": "1"}


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_whatever_is_killed_everything_is_made_once(
    home: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """After each kill the servers are started again, as somebody would who finds them stopped."""
    spec = small_spec(algorithms=["logistic_regression"])
    module = put_location(tmp_path_factory.mktemp("location"), monkeypatch)
    ws = Workspace.of(spec)
    ws.settings.pin("small", profile="quick", seed=0)
    set_clock(ws.settings, date(2022, 12, 31))
    chance, told = random.Random("ten kills"), []
    kills = 0
    while kills < KILLS:
        with (
            started(ws.settings, host="127.0.0.1", port=free_port(), module=module, environment=ENVIRONMENT) as servers,
            dg.DagsterInstance.get() as instance,
        ):
            wait_for_runs(instance, servers)
            servers_are_up = True
            while servers_are_up and kills < KILLS:
                time.sleep(chance.uniform(2, 30))
                victim = chance.choice(["worker", "worker", "dagster-daemon", "dagster-webserver"])
                pid = a_worker(instance, chance) if victim == "worker" else servers.pid(victim)
                if pid is None:
                    continue
                os.kill(pid, signal.SIGKILL)
                kills += 1
                told.append(f"{victim} after {len(decisions(ws))} decisions")
                servers_are_up = victim == "worker"
    with (
        started(ws.settings, host="127.0.0.1", port=free_port(), module=module, environment=ENVIRONMENT) as servers,
        dg.DagsterInstance.get() as instance,
    ):
        wait_until_settled(ws, servers, instance)
        statuses = [run.status for run in instance.get_runs()]
        record_property("told", [*told, f"{len(statuses)} runs, {statuses.count(dg.DagsterRunStatus.FAILURE)} failed"])
    assert set(statuses) <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}, "none is left started"
    assert [d["production_month"] for d in decisions(ws)] == MONTHS
    scores = ws.lake.scan_table("scores").select("bundle_sha256", "cohort", "features_sha256", "loan_id").collect()
    assert scores.height > 0
    assert not scores.is_duplicated().any(), "no loan is scored twice"

    monkeypatch.setenv("PDX_HOME", str(home / "undisturbed"))
    undisturbed = Workspace.of(spec)
    undisturbed.settings.pin("small", profile="quick", seed=0)
    set_clock(undisturbed.settings, date(2022, 12, 31))
    assert [o.error for o in run_all(spec, MONTHS[-1]) if o.error] == []
    expected = lake_state(undisturbed)
    for name, state in lake_state(ws).items():
        if name != "tables":
            assert state == expected[name], name
            continue
        for layer, months in expected["tables"].items():
            # The sensor reads every cohort of the tape, the command those it needs.
            assert months.items() <= state[layer].items(), layer


def wait_for_runs(instance: dg.DagsterInstance, servers: Servers) -> None:
    """Wait until some run is started (three minutes at most), so that kills fall among the work."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        servers.check()
        if instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]), limit=1):
            return
        time.sleep(0.5)


def a_worker(instance: dg.DagsterInstance, chance: random.Random) -> int | None:
    """The process of some started run."""
    runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    pids = []
    for run in sorted(runs, key=lambda run: run.run_id):
        for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
            data = entry.dagster_event.engine_event_data if entry.dagster_event else None
            if data is not None and "pid" in data.metadata:
                pids.append(int(str(data.metadata["pid"].value)))
    alive = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    return chance.choice(alive) if alive else None
