"""Months launched all at once: no champion is decided on a missing month."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from pdx_assets.orchestration import runner
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.settings import Settings
from pdx_assets.stages.record import decisions
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_spec

EIGHT = tuple(f"{2022 + (6 + i) // 12}-{(6 + i) % 12 + 1:02d}" for i in range(8))
SLOW = ("2022-07", "2022-10")

# One production month's whole decide job in a process of its own, as a run worker executes it.
MONTH = """
import sys, time
from pdx_assets.definitions import build_definitions
from pdx_assets.orchestration.jobs import job_name
from pdx_assets_tests.small_portfolio import small_spec
from dagster import DagsterInstance

month, delay = sys.argv[1], float(sys.argv[2])
spec = small_spec(algorithms=["logistic_regression"])
if delay:
    from pdx_assets.stages import challengers
    challenge = challengers.challenge
    import pdx_assets.orchestration.assets.challengers as assets
    def slow(*args):
        time.sleep(delay)
        return challenge(*args)
    assets.challenge = slow
job = build_definitions(spec).resolve_job_def(job_name(spec.name, "decide"))
result = job.execute_in_process(
    instance=DagsterInstance.get(), partition_key=month, raise_on_error=False,
    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
)
raise SystemExit(not result.success)
"""


def test_eight_months_at_once_with_two_slow_ones(home: Path) -> None:
    """Four runs at a time, launched last month first, p0 and another one slow: all decided, in order."""
    spec = small_spec(algorithms=["logistic_regression"])
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="quick", seed=0, tape=None)
    cohorts = [t for t in runner.plan(ws, runner.months_to_run(ws, None, EIGHT[-1])) if t.stage == "cohort"]
    assert [o.error for o in runner.run_tasks(ws, cohorts, workers=2, report=lambda _: None) if o.error] == []
    script = home / "month.py"
    script.write_text(MONTH, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        # All four places may be taken by months that wait for p0: one of them has to give up its place.
        "PDX_WAIT_TRIES": "5",
        "PDX_WAIT_SECONDS": "2",
    }

    def launch(month: str) -> tuple[str, int, str]:
        delay = "3" if month in SLOW else "0"
        command = [sys.executable, str(script), month, delay]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
        return month, done.returncode, done.stderr[-1500:]

    waiting, rounds = list(EIGHT[::-1]), 0
    while waiting and rounds < len(EIGHT):
        with ThreadPoolExecutor(4) as runs:
            ended = list(runs.map(launch, waiting))
        _assert_unbroken(ws)
        waiting, rounds = [month for month, code, _ in ended if code], rounds + 1
    assert waiting == [], ended
    recorded = decisions(ws)
    assert [d["production_month"] for d in recorded] == list(EIGHT)


def _assert_unbroken(ws: Workspace) -> None:
    """Whatever is recorded so far is a run of months from p0, each resting on the one before."""
    recorded = decisions(ws)
    assert [d["production_month"] for d in recorded] == list(EIGHT[: len(recorded)])
    for before, after in pairwise(recorded):
        assert after["inputs"]["previous_decision_sha256"] == document_sha256(before)
        assert after["incumbent"]["bundle_sha256"] == before["champion"]["bundle_sha256"]


TRACKED = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from dagster import AssetKey
import mlflow
from pdx_assets.orchestration.resources import MlflowTracker

home, own = Path(sys.argv[1]), sys.argv[2]
(home / f"ready-{own}").touch()
while len(list(home.glob("ready-*"))) < 4:
    time.sleep(0.005)
key = AssetKey(["small", "challenger"])
context = SimpleNamespace(
    asset_key=key, assets_def=SimpleNamespace(tags_by_key={key: {}}), partition_key="2022-07",
    run=SimpleNamespace(run_id=own), retry_number=0,
)
with MlflowTracker().run(context, "small") as tracked:
    tracked.log(metrics={"auc": 0.5})
"""


def test_four_first_training_steps_at_once_share_one_tracking_database(home: Path) -> None:
    """Four workers on an empty home: MLflow's client, made before the lock, broke the file for every later run.

    The error of each later run was "table _alembic_tmp_tags already exists".
    """
    from mlflow import MlflowClient

    script = home / "tracked.py"
    script.write_text(TRACKED, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def launch(own: str) -> tuple[int, str]:
        command = [sys.executable, str(script), str(home), own]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
        return done.returncode, done.stderr[-1500:]

    with ThreadPoolExecutor(4) as runs:
        ended = list(runs.map(launch, "1234"))
    assert [code for code, _ in ended] == [0] * 4, ended
    assert not any("mlflow.store" in stderr for _, stderr in ended), ended
    client = MlflowClient(tracking_uri=Settings.from_environment().mlflow_uri)
    experiments = [e.experiment_id for e in client.search_experiments(filter_string="name = 'small'")]
    assert len(experiments) == 1
    assert sorted(r.data.tags["dagster_run_id"] for r in client.search_runs(experiments)) == list("1234")
