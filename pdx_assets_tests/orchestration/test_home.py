"""Dagster's home: made once, whoever comes first."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

from pdx_assets.orchestration.home import prepare_home
from pdx_assets.settings import Settings


def _prepare(home: Path, start: Any, ended: Any) -> None:
    import os

    from dagster import DagsterInstance

    os.environ["PDX_HOME"] = str(home)
    start.wait()
    try:
        prepare_home(Settings.from_environment())
        with DagsterInstance.get() as instance:
            assert instance.get_runs_count() == 0
    except Exception as error:
        ended.put(f"{type(error).__name__}: {error}"[:300])
    else:
        ended.put(None)


def test_two_processes_may_be_the_first_on_a_home(tmp_path: Path) -> None:
    """The webserver and the daemon, started together on an empty home, both made its databases; one of them
    stopped with "table secondary_indexes already exists", and `pdx ui` with it. Without the lock half of such
    pairs fail, so eight pairs pass by luck once in 256 times.
    """
    context = multiprocessing.get_context("spawn")
    for attempt in range(8):
        start, ended = context.Barrier(2), context.Queue()
        processes = [
            context.Process(target=_prepare, args=(tmp_path / str(attempt), start, ended), daemon=True)
            for _ in range(2)
        ]
        for process in processes:
            process.start()
        assert [ended.get(timeout=300) for _ in processes] == [None, None]
        for process in processes:
            process.join(30)
