"""Dagster resources: the MLflow tracker.

dagster-mlflow's own resource makes one run per parallel step by a race, and reports FINISHED for failed
runs (both tried at 0.29.27). Here one MLflow run is one attempt of one training step, its status true to
the outcome.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from pdx_assets.orchestration.assets.common import LABELS_TAG
from pdx_assets.risk.locks import one_at_a_time
from pdx_assets.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


class TrackedRun:
    """An open MLflow run: what is given here is logged when the step ends."""

    def __init__(self, run_id: str, url: str) -> None:
        self.run_id, self.url = run_id, url
        self.params: dict[str, Any] = {}
        self.metrics: dict[str, float] = {}
        self.tags: dict[str, str] = {}
        self.failed = False

    def log(
        self, *, params: Mapping[str, Any] | None = None, metrics: Mapping[str, Any] | None = None, **tags: str
    ) -> None:
        self.params |= dict(params or {})
        self.metrics |= {k: float(v) for k, v in (metrics or {}).items() if v is not None}
        self.tags |= tags


class MlflowTracker(dg.ConfigurableResource):
    """One MLflow run per attempt of a training step, tagged with where it came from."""

    @contextlib.contextmanager
    def run(self, context: dg.AssetExecutionContext, portfolio: str) -> Iterator[TrackedRun]:
        """Track the body as one run.

        The run is FAILED when the body raises or marks it so; one whose process was killed stays RUNNING.
        """
        settings = Settings.from_environment()
        artifacts = str(settings.home / "mlflow-artifacts")
        client = _client(settings.mlflow_uri, artifacts)
        experiment = _experiment(settings.mlflow_uri, artifacts, portfolio)
        asset = context.asset_key.path[-1]
        started = client.create_run(
            experiment,
            run_name=f"{asset} {context.partition_key}",
            tags={
                "dagster_run_id": context.run.run_id,
                "asset": asset,
                "partition": context.partition_key,
                "attempt": str(context.retry_number + 1),
                **_marks(context),
            },
        )
        run_id = started.info.run_id
        # Without workflowType MLflow 3 shows a challenger among its "GenAI evaluation runs".
        page = f"#/experiments/{experiment}/runs/{run_id}?workflowType=machine_learning"
        tracked = TrackedRun(run_id, f"{settings.mlflow_ui}/{page}")
        status = "FAILED"
        try:
            yield tracked
            status = "FAILED" if tracked.failed else "FINISHED"
        finally:
            _close(client, tracked, status)


def _marks(context: dg.AssetExecutionContext) -> dict[str, str]:
    """The asset's own tags on what its results are worth (component.py)."""
    tags = context.assets_def.tags_by_key[context.asset_key]
    return {LABELS_TAG: tags[LABELS_TAG]} if LABELS_TAG in tags else {}


def prepare_tracking(portfolio: str) -> None:
    """Create the database and the experiment once, before steps in parallel would race for both."""
    settings = Settings.from_environment()
    settings.home.mkdir(parents=True, exist_ok=True)
    _experiment(settings.mlflow_uri, str(settings.home / "mlflow-artifacts"), portfolio)


def _close(client: MlflowClient, tracked: TrackedRun, status: str) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    client.log_batch(
        tracked.run_id,
        metrics=[Metric(k, v, now, 0) for k, v in sorted(tracked.metrics.items())],
        params=[Param(k, str(v)) for k, v in sorted(tracked.params.items())],
        tags=[RunTag(k, v) for k, v in sorted(tracked.tags.items())],
    )
    client.set_terminated(tracked.run_id, status=status)


@lru_cache(maxsize=2)
def _client(uri: str, artifacts: str) -> MlflowClient:
    # The client makes the tables itself where there are none, and four at once break the file for good.
    make_tracking_database(uri, artifacts)
    import_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def import_mlflow() -> None:
    """Import MLflow (half a second), and keep it quiet."""
    # Its usage reports go out to the network.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Imported first, because the import sets these levels: MLflow prints a line per migration, thirty on first use.
    import mlflow  # noqa: F401

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def make_tracking_database(uri: str, artifacts: str) -> None:
    """MLflow's tables in a new sqlite file, complete or not at all; a database server makes its own.

    Thirty migrations take seconds: a process killed among them left a file that no rerun could open ("table
    _alembic_tmp_metrics already exists"), and four runs launched at once all made the tables and three failed.
    """
    if not uri.startswith("sqlite:///"):
        return
    path = Path(uri.removeprefix("sqlite:///"))
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.with_suffix(".lock")):
        if path.exists():
            return
        import_mlflow()
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        scratch = path.with_suffix(".making")
        scratch.unlink(missing_ok=True)
        SqlAlchemyStore(f"sqlite:///{scratch}", artifacts).engine.dispose()
        scratch.replace(path)


@lru_cache(maxsize=16)
def _experiment(uri: str, artifacts: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    client = _client(uri, artifacts)
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            location = artifacts if uri.startswith("sqlite:") else None
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:
            # Another process made it in between.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)
