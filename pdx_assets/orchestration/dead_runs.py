"""Runs that a killed worker left behind as started: told from their process, and marked as failed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

WORKER_TAG = "pdx/worker_pid"
# The kernel tells when it booted in whole seconds.
SLACK_SECONDS = 2.0


def bury_dead_runs(instance: DagsterInstance, *, launched_here: bool) -> list[DagsterRun]:
    """Mark runs as failed whose worker process no longer exists; those that were marked.

    Dagster's code server sees a worker die, but not when it dies with it (a container stopped, ``kill -9`` of the
    whole group): such runs stayed "started" for good, and the sensor waited for them.

    Args:
        launched_here: whether the runs that Dagster's default launcher started have their processes on this machine,
            as they have for whoever shares the code server's. Those of ``pdx run`` say so themselves.
    """
    from dagster import DagsterRunStatus, RunsFilter

    not_ended = ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")
    open_statuses = [DagsterRunStatus(status) for status in not_ended]
    buried = []
    for run in instance.get_runs(RunsFilter(statuses=open_statuses)):
        worker = _worker_of(instance, run, launched_here=launched_here)
        if worker is not None and not is_alive(*worker):
            instance.report_run_failed(run, message="The worker process was killed; run again to resume.")
            buried.append(run)
    return buried


def _worker_of(instance: DagsterInstance, run: DagsterRun, *, launched_here: bool) -> tuple[int, float] | None:
    """The run's process and a moment at which it was alive; None where it cannot be known from here."""
    from dagster import DagsterEventType, DagsterRunStatus
    from dagster._core.launcher import DefaultRunLauncher

    ours = run.tags.get(WORKER_TAG)
    if ours:
        if run.status != DagsterRunStatus.STARTED:
            return int(ours), float("inf")
        return int(ours), instance.get_run_stats(run.run_id).start_time or float("inf")
    if not launched_here or not isinstance(instance.run_launcher, DefaultRunLauncher):
        return None
    found = None
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event is not None else None
        if pid is not None and event is not None and event.step_key is None:
            found = int(str(pid.value)), entry.timestamp
    return found


def is_alive(pid: int, at: float) -> bool:
    """Whether the process that had this number at a moment (seconds since 1970) still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # The name, in parentheses, may hold anything.
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text("utf-8").splitlines() if line.startswith("btime"))
    except OSError:
        return True  # not Linux, or gone this instant: the next look tells
    began = int(boot.split()[1]) + int(fields[18]) / os.sysconf("SC_CLK_TCK")
    # A zombie that nobody reaps has ended; a process that began later got the number after the worker's death.
    return state != "Z" and began <= at + SLACK_SECONDS
