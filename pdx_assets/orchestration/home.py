"""Dagster's home inside the PDx home: its settings and its databases."""

from __future__ import annotations

import os
from pathlib import Path

from pdx_assets.files import write_whole
from pdx_assets.orchestration.dead_runs import bury_dead_runs
from pdx_assets.risk.locks import one_at_a_time
from pdx_assets.settings import Settings


def prepare_home(settings: Settings) -> None:
    """Enter Dagster's home, make its databases where there are none, and fail the runs of killed workers.

    Databases are made here, before any other process starts: the webserver and the daemon, started at once on an
    empty home, both made them, and one stopped with "table secondary_indexes already exists" (15 of 30 tries with
    dagster 1.13 on sqlite).
    """
    from dagster import DagsterInstance
    from dagster._core.storage.runs import SqliteRunStorage

    enter_dagster_home(settings.dagster_home)
    with one_at_a_time(settings.dagster_home / "pdx.lock"), DagsterInstance.get() as instance:
        # A database on a disk has its workers on the same machine; one on a server may not.
        bury_dead_runs(instance, launched_here=isinstance(instance.run_storage, SqliteRunStorage))


def enter_dagster_home(folder: Path) -> None:
    """Point Dagster to its folder inside the PDx home, with the project's dagster.yaml on first use."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        packaged = Path(__file__).resolve().parents[2] / "dagster.yaml"
        text = packaged.read_text(encoding="utf-8") if packaged.exists() else "telemetry:\n  enabled: false\n"
        write_whole(config, text)
    os.environ["DAGSTER_HOME"] = str(folder)
