"""Checks as Dagster shows them: specs from the catalogue, results from verdicts. Nothing is judged here."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import dagster as dg

from pdx_assets.orchestration.metadata import plotted, table
from pdx_assets.orchestration.partitions import cohort_months, production_months
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.base import Check, Verdict
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.waivers import waiver_of
from pdx_assets.stages.workspace import Workspace

RUNBOOK = "docs/runbook.md"
BY_COHORT = ("raw_loans", "clean_features", "labels")
SEVERITIES = {"warn": dg.AssetCheckSeverity.WARN, "error": dg.AssetCheckSeverity.ERROR}


def check_specs(spec: PortfolioSpec, asset: str, *checks: Check) -> list[dg.AssetCheckSpec]:
    """Specs of the checks that an asset yields itself, by month as the asset is.

    The name in the interface is the check's code: what the runbook and ``pdx waive`` call it.
    """
    months = cohort_months(spec) if asset in BY_COHORT else production_months(spec)
    with warnings.catch_warnings():
        # Partitioned checks are "preview" in 1.13; without them the interface shows a check's newest result only.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                check.code,
                asset=[spec.name, asset],
                blocking=check.blocking,
                description=f"{check.title}. {check.about}",
                metadata={
                    "code": check.code,
                    "title": check.title,
                    "severity": check.severity,
                    "runbook": f"{RUNBOOK}#{check.code}",
                },
                partitions_def=months,
            )
            for check in checks
        ]


def check_results(ws: Workspace, month: Month, verdicts: Iterable[Verdict]) -> list[dg.AssetCheckResult]:
    """Verdicts as results. What does not apply has passed; what was waived is a warning, so that the run goes on."""
    return [_result(ws, month, verdict) for verdict in verdicts]


def _result(ws: Workspace, month: Month, verdict: Verdict) -> dg.AssetCheckResult:
    waiver = waiver_of(ws, month, verdict.document())
    metadata: dict[str, Any] = {
        "Verdict": verdict.status.replace("_", " "),
        "Reason": verdict.reason,
        "Code": verdict.check.code,
        "Title": verdict.check.title,
        **({"Looked at": table(verdict.columns, verdict.rows)} if verdict.rows else {}),
        **plotted(verdict.numbers),
    }
    if waiver is not None:
        metadata["Waived"] = f"by {waiver['by']} on {waiver['at'][:10]}: {waiver['reason']}"
    elif verdict.blocks and verdict.check.waivable:
        command = f'pdx waive {ws.spec.name} --check {verdict.check.code} --month {month} --reason "..."'
        metadata["What to do"] = f"correct the tape, or let it pass: {command}"
    return dg.AssetCheckResult(
        check_name=verdict.check.code,
        passed=verdict.status != "failed",
        severity=dg.AssetCheckSeverity.WARN if waiver is not None else SEVERITIES[verdict.severity],
        description=verdict.reason,
        metadata=metadata,
    )
