"""What Dagster loads: every portfolio under defs/, with its resources."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from pdx_assets.orchestration.alerting import alert_sensor
from pdx_assets.orchestration.component import portfolio_definitions
from pdx_assets.orchestration.io import CohortTables
from pdx_assets.orchestration.resources import MlflowTracker
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.settings import Settings

# matplotlib keeps a list of fonts under ~/.cache: nothing is written outside the home.
os.environ.setdefault("MPLCONFIGDIR", str(Settings.from_environment().home / "cache" / "matplotlib"))


def resources() -> dict[str, object]:
    return {"tables": CohortTables(), "mlflow": MlflowTracker()}


def build_definitions(*specs: PortfolioSpec) -> dg.Definitions:
    """Fresh definitions of the given portfolios: for tests and for the CLI's workers."""
    return dg.Definitions.merge(*(portfolio_definitions(s) for s in specs), dg.Definitions(resources=resources()))


def executor() -> dg.ExecutorDefinition:
    """One process a step, forked from a server that has imported what every step needs: spawned, each step
    would import Dagster and all portfolios again.
    """
    preload = ["dagster", "pdx_assets.definitions", "polars", "deltalake", "numpy"]
    return dg.multiprocess_executor.configured({"start_method": {"forkserver": {"preload_modules": preload}}})


@dg.definitions
def defs() -> dg.Definitions:
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    ours = dg.Definitions(resources=resources(), executor=executor(), sensors=[alert_sensor()])
    return dg.Definitions.merge(loaded, ours)
