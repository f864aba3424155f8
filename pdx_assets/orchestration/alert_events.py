"""Dagster's events and runs as alerts. Reading them, and telling people: alerting.py."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import dagster as dg

from pdx_assets.alerts.model import Alert, Resolved

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.events.log import EventLogEntry

PARTITION = "dagster/partition"
WILL_RETRY = "dagster/will_retry"


@dataclass(frozen=True)
class Links:
    """Pages of the Dagster UI."""

    ui: str

    def asset(self, portfolio: str, asset: str, **query: str) -> str:
        return f"{self.ui}/assets/{quote(portfolio)}/{quote(asset)}?{urlencode(query)}"

    def run(self, run_id: str) -> str:
        return f"{self.ui}/runs/{run_id}"


def check_event(event: EventLogEntry, portfolios: Collection[str], links: Links) -> Alert | Resolved | None:
    """An evaluated check: an alert if it failed, the end of its topic if it passed; None if it is not ours."""
    assert event.dagster_event is not None
    found = event.dagster_event.asset_check_evaluation_data
    path = found.asset_key.path
    if len(path) != 2 or path[0] not in portfolios:
        return None
    portfolio, asset = path
    topic = f"check/{portfolio}/{asset}/{found.check_name}/{found.partition or ''}"
    if found.passed:
        return Resolved(topic, event.timestamp)
    return Alert(
        key=f"{topic}/{event.run_id}/{event.timestamp}",
        kind="failed_check",
        severity="error" if found.severity == dg.AssetCheckSeverity.ERROR else "warning",
        portfolio=portfolio,
        title=f"{found.check_name} failed on {asset}",
        text=found.description or "The check gives no words; its metadata is in the Dagster UI.",
        occurred=event.timestamp,
        asset=asset,
        month=found.partition,
        link=links.asset(portfolio, asset, view="checks", checkDetail=found.check_name),
        topic=topic,
    )


def run_event(
    event: EventLogEntry, instance: DagsterInstance, portfolios: Collection[str], links: Links
) -> Alert | None:
    """A failed run; None if it is not ours or was deleted since."""
    run = instance.get_run_by_id(event.run_id)
    portfolio = _portfolio(run, portfolios) if run else None
    if run is None or portfolio is None:
        return None
    month, again = run.tags.get(PARTITION), run.tags.get(WILL_RETRY) == "true"
    assets = sorted(key.path[-1] for key in run.asset_selection or ())
    what = assets[0] if len(assets) == 1 else f"{len(assets)} assets" if assets else run.job_name
    return Alert(
        key=f"run/{run.run_id}",
        kind="failed_run",
        severity="warning" if again else "error",
        portfolio=portfolio,
        title=f"run of {what} failed{', Dagster tries again' if again else ''}",
        text=_reason(event),
        occurred=event.timestamp,
        asset=assets[0] if len(assets) == 1 else None,
        month=month,
        link=links.run(run.run_id),
    )


def _portfolio(run: Any, portfolios: Collection[str]) -> str | None:
    keys = {*(run.asset_selection or ()), *(c.asset_key for c in run.asset_check_selection or ())}
    if keys:
        return next((k.path[0] for k in sorted(keys) if k.path[0] in portfolios), None)
    # Longest first: of demo and demo_eu, demo_eu_decide belongs to the second.
    return next((p for p in sorted(portfolios, key=len, reverse=True) if run.job_name.startswith(f"{p}_")), None)


def _reason(event: EventLogEntry) -> str:
    """The cause in the words of whoever raised it: a PdxError's hold the remedy."""
    assert event.dagster_event is not None
    data = event.dagster_event.job_failure_data
    step = data.first_step_failure_event if data else None
    error = step.step_failure_data.error if step else data.error if data else None
    while error is not None and error.cause is not None:
        error = error.cause
    words = error.message.strip() if error is not None else event.dagster_event.message or "The run failed."
    return f"{step.step_key}: {words}" if step and step.step_key else words
