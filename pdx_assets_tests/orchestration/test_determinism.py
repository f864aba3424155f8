"""Same inputs, same bytes: in any order, with one worker or two, and after a kill at any point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pdx_assets.orchestration import runner
from pdx_assets.orchestration.dead_runs import bury_dead_runs
from pdx_assets.orchestration.home import prepare_home
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.lake_state import lake_state
from pdx_assets_tests.small_portfolio import small_spec

LAST = "2022-09"
RUN = (
    "from pdx_assets_tests.orchestration.conftest import run_all\n"
    "from pdx_assets_tests.small_portfolio import small_spec\n"
    "if __name__ == '__main__':\n"
    "    outcomes = run_all(small_spec(), '{last}')\n"
    "    raise SystemExit(any(o.error for o in outcomes))\n"
)


@pytest.fixture(scope="module")
def undisturbed(finished: Workspace) -> dict[str, Any]:
    return lake_state(finished)


def test_opposite_order_and_one_worker_give_the_same_bytes(home: Path, undisturbed: dict[str, Any]) -> None:
    """Months launched last first: challengers work (they need their anchor only), champions wait for their turn."""
    spec = small_spec()
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="quick", seed=0, tape=None)
    tasks = runner.plan(ws, runner.months_to_run(ws, None, LAST))
    prepare_home(ws.settings)
    runner._enter_worker(spec, dict(os.environ))
    for task in [t for t in tasks if t.stage == "cohort"][::-1]:
        assert runner._execute(task) is None
    later = [t for t in tasks if t.stage != "cohort"]
    for stage in ("window", "study", "train"):
        for task in [t for t in later if t.stage == stage][::-1]:
            assert runner._execute(task) is None, task
    decide = [t for t in later if t.stage == "decide"]
    for task in decide[:0:-1]:
        error = runner._execute(task)
        assert error is not None and "no decision is recorded for 2022-07" in error
    assert ws.lake.keys("decisions/main") == []
    for task in [*decide, *[t for t in later if t.stage == "measure"][::-1]]:
        assert runner._execute(task) is None, task
    assert lake_state(ws) == undisturbed


@pytest.mark.parametrize(
    "seconds", [pytest.param(6, marks=pytest.mark.slow), 14, pytest.param(22, marks=pytest.mark.slow)]
)
def test_a_killed_run_resumes_to_the_same_bytes(
    home: Path, undisturbed: dict[str, Any], seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL to the whole process group, workers included, then the same command again."""
    script = home / "run_small.py"
    script.write_text(RUN.format(last=LAST), encoding="utf-8")
    environment = {**os.environ, "PDX_HOME": str(home / "pdx"), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script)]
    process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert again.returncode == 0, again.stderr[-2000:]
    monkeypatch.setenv("PDX_HOME", str(home / "pdx"))
    ws = Workspace.of(small_spec())
    assert lake_state(ws) == undisturbed
    _no_run_is_left_started(ws)


def _no_run_is_left_started(ws: Workspace) -> None:
    import dagster as dg

    with dg.DagsterInstance.from_config(str(ws.settings.dagster_home)) as instance:
        bury_dead_runs(instance, launched_here=False)
        statuses = {run.status for run in instance.get_runs()}
    assert statuses <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}


def test_another_seed_gives_other_models(home: Path, undisturbed: dict[str, Any]) -> None:
    """The comparison above can fail: a seed changes the split, and so every bundle."""
    spec = small_spec()
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="quick", seed=1, tape=None)
    tasks = runner.plan(ws, runner.months_to_run(ws, None, "2022-07"))
    assert [o.error for o in runner.run_tasks(ws, tasks, workers=2, report=lambda _: None) if o.error] == []
    assert not set(lake_state(ws)["bundles"]) & set(undisturbed["bundles"])
