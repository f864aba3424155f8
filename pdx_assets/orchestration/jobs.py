"""The jobs that materialize the assets of a portfolio: cohort to overview (study.py has another)."""

from __future__ import annotations

from typing import Literal

import dagster as dg

from pdx_assets.orchestration.assets.common import group_name
from pdx_assets.risk.spec import PortfolioSpec

JobName = Literal["cohort", "decide", "measure", "report", "overview", "study"]

# All are of all months, and asked for together.
OVERVIEW = ("overview", "experiment_tables", "policy_comparison")


def job_name(portfolio: str, job: JobName) -> str:
    return f"{portfolio}_{job}"


def jobs(spec: PortfolioSpec) -> list[dg.UnresolvedAssetJobDefinition]:
    """Tape group; windows to champion and production scores; performance and drift; the drift report; the overview."""

    def stage(*names: str) -> dg.AssetSelection:
        return dg.AssetSelection.groups(*(group_name(spec.name, n) for n in names))

    report = dg.AssetSelection.assets(dg.AssetKey([spec.name, "drift_report"]))
    overview = dg.AssetSelection.assets(*(dg.AssetKey([spec.name, name]) for name in OVERVIEW))
    scores = dg.AssetSelection.assets(dg.AssetKey([spec.name, "production_scores"]))
    selections: dict[JobName, dg.AssetSelection] = {
        "cohort": stage("tape"),
        "decide": stage("windows", "challengers", "decision") | scores,
        "measure": (stage("production") - scores) | (stage("monitoring") - report - overview),
        "report": report,
        "overview": overview,
    }
    texts = {
        "cohort": "Read one cohort month: raw loans, features, outcomes, labels.",
        "decide": "Decide one production month: windows, studies, challengers, OTV scores, champion, its scores.",
        "measure": "Measure one production month: drift, expected performance, and realized once labels are known.",
        "report": "Write the drift report of one production month (Evidently, HTML).",
        "overview": "Draw the portfolio's pages anew: every champion so far, the paper's tables, other policies.",
    }
    return [
        dg.define_asset_job(
            job_name(spec.name, name),
            selection=selection,
            description=texts[name],
        )
        for name, selection in selections.items()
    ]
