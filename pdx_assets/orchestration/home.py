"""Dagster's home inside the PDx home: its settings, its databases, and runs that a killed worker left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pdx_assets.files import write_whole
from pdx_assets.risk.locks import one_at_a_time
from pdx_assets.settings import Settings

WORKER_TAG = "pdx/worker_pid"


def prepare_home(settings: Settings) -> None:
    """Enter Dagster's home, make its databases where there are none, and fail the runs of killed workers.

    Databases are made here, before any other process starts: the webserver and the daemon, started at once on an
    empty home, both made them, and one stopped with "table secondary_indexes already exists" (15 of 30 tries with
    dagster 1.13 on sqlite).
    """
    from dagster import DagsterInstance

    enter_dagster_home(settings.dagster_home)
    with one_at_a_time(settings.dagster_home / "pdx.lock"), DagsterInstance.get() as instance:
        bury_dead_runs(instance)


def enter_dagster_home(folder: Path) -> None:
    """Point Dagster to its folder inside the PDx home, with the project's dagster.yaml on first use."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        packaged = Path(__file__).resolve().parents[2] / "dagster.yaml"
        text = packaged.read_text(encoding="utf-8") if packaged.exists() else "telemetry:\n  enabled: false\n"
        write_whole(config, text)
    os.environ["DAGSTER_HOME"] = str(folder)


def bury_dead_runs(instance: Any) -> int:
    """Mark runs failed whose worker process no longer exists; how many."""
    from dagster import DagsterRunStatus, RunsFilter

    open_statuses = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED]
    dead = 0
    for run in instance.get_runs(RunsFilter(statuses=open_statuses)):
        pid = run.tags.get(WORKER_TAG)
        if pid and not _is_alive(int(pid)):
            instance.report_run_failed(run, message="The worker process was killed; run again to resume.")
            dead += 1
    return dead


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
