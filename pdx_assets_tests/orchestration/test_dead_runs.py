"""Runs whose worker is gone: told from those that live, whoever launched them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from pdx_assets.orchestration.dead_runs import WORKER_TAG, bury_dead_runs, is_alive


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as on_disk:
        yield on_disk


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def started(
    instance: dg.DagsterInstance, *, pid: int | None = None, tags: dict[str, str] | None = None
) -> dg.DagsterRun:
    """A run as the code server starts it: its process says its number, and then the run is started."""

    @dg.job
    def nothing() -> None: ...

    run = instance.create_run_for_job(nothing, tags=tags)
    if pid is not None:
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "nothing", message=""), run_id=run.run_id
    )
    found = instance.get_run_by_id(run.run_id)
    assert found is not None and found.status == dg.DagsterRunStatus.STARTED
    return found


def test_a_launched_run_without_its_process_is_failed(instance: dg.DagsterInstance, gone: int) -> None:
    """The code server reports a worker that dies, unless it died with it: the run stayed "started" for good."""
    dead, alive = started(instance, pid=gone), started(instance, pid=os.getpid())
    unknown = started(instance)
    assert bury_dead_runs(instance, launched_here=False) == [], "its process may be on another machine"
    assert [run.run_id for run in bury_dead_runs(instance, launched_here=True)] == [dead.run_id]
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses[dead.run_id] == dg.DagsterRunStatus.FAILURE
    assert statuses[alive.run_id] == statuses[unknown.run_id] == dg.DagsterRunStatus.STARTED
    assert bury_dead_runs(instance, launched_here=True) == []


def test_a_run_of_the_command_line_says_its_process_itself(instance: dg.DagsterInstance, gone: int) -> None:
    dead = started(instance, tags={WORKER_TAG: str(gone)})
    started(instance, tags={WORKER_TAG: str(os.getpid())})
    assert [run.run_id for run in bury_dead_runs(instance, launched_here=False)] == [dead.run_id]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process start times are read from /proc")
def test_a_number_used_again_and_a_zombie_are_not_the_worker() -> None:
    now = time.time()
    assert is_alive(os.getpid(), now)
    assert not is_alive(os.getpid(), now - 10 * 365 * 86_400), "this process began after the worker was seen"
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    time.sleep(2)
    assert not is_alive(zombie.pid, now + 5), "ended, and not yet waited for"
    zombie.wait()
