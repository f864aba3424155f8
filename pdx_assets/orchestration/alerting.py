"""What happened in a Dagster instance becomes alerts: by a sensor, and at the end of ``pdx run``, which has no daemon.

Failed checks and failed runs are read from the event log, promotions from the decision record: a decision stands even
when its run was killed before it could report. How far the log was read is kept in the home's outbox rather than as
the sensor's cursor, because the sensor and ``pdx run`` read the same log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from pdx_assets.alerts.delivery import deliver
from pdx_assets.alerts.message import without_passwords
from pdx_assets.alerts.model import SEVERITIES, Alert, Resolved, decision_alert, decision_key
from pdx_assets.alerts.outbox import Outbox, Position
from pdx_assets.alerts.settings import AlertSettings, wanted
from pdx_assets.lake import Lake
from pdx_assets.orchestration.alert_events import Links, check_event, run_event
from pdx_assets.orchestration.home import enter_dagster_home
from pdx_assets.risk.errors import AlertError
from pdx_assets.settings import Settings
from pdx_assets.stages.record import MAIN_BRANCH

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.events.log import EventLogEntry

    from pdx_assets.alerts.delivery import Log

    Convert = Callable[[EventLogEntry], Alert | Resolved | None]

TICK_SECONDS = 30
BATCH = 500
# Ids read again at each tick: on Postgres a larger id may become visible before a smaller one.
OVERLAP = 100
READING_SECONDS = 15.0
# Clocks of the machine that reads and of those that run may differ by this.
CLOCK_SKEW = 60.0

log = logging.getLogger(__name__)


def alert_sensor() -> dg.SensorDefinition:
    """The sensor of a code location: alerts of all its portfolios."""
    is_on = bool(wanted())

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Failed checks, failed runs and promotions, told by the channels in PDX_ALERTS. Starts no run.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        settings = AlertSettings.from_environment()
        if not settings.channels:
            return dg.SkipReason("PDX_ALERTS is not set: nobody is alerted.")
        graph = context.repository_def.asset_graph if context.repository_def else None
        tags = (graph.get(key).tags for key in graph.get_all_asset_keys()) if graph else ()
        portfolios = {found["pdx/portfolio"] for found in tags if "pdx/portfolio" in found}
        return dg.SkipReason(alert_now(context.instance, settings, portfolios, context.log))

    return alerts


@contextmanager
def alerting(settings: Settings, portfolios: Collection[str]) -> Iterator[None]:
    """What fails or is promoted in the body is told at its end; nothing about alerts fails the body."""
    alerts = _settings_or_none()
    if alerts is None:
        yield
        return
    with _never_failing("could not begin"):
        begin(alerts, portfolios)
    try:
        yield
    finally:
        with _never_failing("could not be told"):
            enter_dagster_home(settings.dagster_home)
            with dg.DagsterInstance.get() as instance:
                alert_now(instance, alerts, portfolios, log)


def _settings_or_none() -> AlertSettings | None:
    if not wanted():
        return None
    try:
        return AlertSettings.from_environment()
    except AlertError as error:
        log.warning("Nobody will be alerted. %s", error)
        return None


def begin(settings: AlertSettings, portfolios: Collection[str]) -> float:
    """Remember when alerts were first on in this home: no flood of what was before."""
    return Outbox(settings.outbox).begin(
        lambda: [decision_key(p, month) for p in portfolios for month in _decided_months(p)]
    )


def alert_now(instance: DagsterInstance, settings: AlertSettings, portfolios: Collection[str], log: Log) -> str:
    """Read what is new, tell what is due; what came of it in words. What cannot be read is logged, not raised."""
    outbox, links = Outbox(settings.outbox), Links(settings.ui)
    new = 0
    with _never_failing("could not be read", log):
        began, deadline = begin(settings, portfolios), time.monotonic() + READING_SECONDS
        # A position holds for the portfolios it was read for: `pdx run` reads for one, the sensor for all.
        whose = ",".join(sorted(portfolios))
        reader = _LogReader(instance, outbox, settings, began - CLOCK_SKEW, deadline)
        new += reader.read(
            f"checks/{whose}",
            dg.DagsterEventType.ASSET_CHECK_EVALUATION,
            lambda event: check_event(event, portfolios, links),
        )
        new += reader.read(
            f"runs/{whose}",
            dg.DagsterEventType.RUN_FAILURE,
            lambda event: run_event(event, instance, portfolios, links),
        )
    with _never_failing("of promotions could not be read", log):
        new += sum(_read_decisions(outbox, settings, portfolio, links) for portfolio in sorted(portfolios))
    told: dict[str, str] = {}
    with _never_failing("could not be told", log):
        told = deliver(outbox, settings, log)
    return "; ".join([f"{new} new", *(f"{name}: {words}" for name, words in told.items())])


class _LogReader:
    """Reads events of a type from where the outbox says, in batches, until there are no more or time is up."""

    def __init__(
        self, instance: DagsterInstance, outbox: Outbox, settings: AlertSettings, began: float, deadline: float
    ) -> None:
        self._storage = instance.event_log_storage
        self._outbox, self._settings, self._began, self._deadline = outbox, settings, began, deadline

    def read(self, source: str, kind: dg.DagsterEventType, convert: Convert) -> int:
        new = 0
        while True:
            position = self._outbox.position(source)
            events = dict(
                self._storage.get_logs_for_all_runs_by_log_id(
                    max(position.cursor - OVERLAP, -1), dagster_event_type=kind, limit=BATCH
                )
            )
            anchor = events.get(position.cursor)
            if position.anchor is not None and (anchor is None or anchor.timestamp != position.anchor):
                # The event is gone (asset wiped, run deleted, log emptied), and SQLite gives ids out again:
                # from the start. What was told is known by its key.
                self._outbox.post([], channels=[], moved=(source, Position()))
                continue
            if not events:
                return new
            converted = [convert(e) for e in events.values() if e.timestamp >= self._began]
            last = max(events)
            new += _post(
                self._outbox,
                self._settings,
                [c for c in converted if c is not None],
                moved=(source, Position(last, events[last].timestamp)),
            )
            if len(events) < BATCH or time.monotonic() > self._deadline:
                return new


def _read_decisions(outbox: Outbox, settings: AlertSettings, portfolio: str, links: Links) -> int:
    months = _decided_months(portfolio)
    unseen = set(outbox.unseen([decision_key(portfolio, month) for month in months]))
    lake = Lake(Settings.from_environment().lake, portfolio)
    found: list[Alert | Resolved] = []
    quiet = []
    for month in (m for m in months if decision_key(portfolio, m) in unseen):
        document = lake.get_document(f"decisions/{MAIN_BRANCH}", month)
        link = links.asset(portfolio, "champion", view="partitions", partition=month)
        alert = decision_alert(document, link=link, now=time.time())
        if alert is None:
            quiet.append(decision_key(portfolio, month))
        else:
            found.append(alert)
    return _post(outbox, settings, found, seen=quiet) if unseen else 0


def _decided_months(portfolio: str) -> list[str]:
    return Lake(Settings.from_environment().lake, portfolio).keys(f"decisions/{MAIN_BRANCH}")


def _post(
    outbox: Outbox,
    settings: AlertSettings,
    events: list[Alert | Resolved],
    *,
    seen: list[str] | None = None,
    moved: tuple[str, Position] | None = None,
) -> int:
    lowest = SEVERITIES.index(settings.level)
    heard = [e for e in events if isinstance(e, Resolved) or SEVERITIES.index(e.severity) >= lowest]
    below = [e.key for e in events if isinstance(e, Alert) and e not in heard]
    names = [channel.name for channel in settings.channels]
    return outbox.post(heard, channels=names, seen=[*(seen or []), *below], moved=moved)


@contextmanager
def _never_failing(what: str, log: Log = log) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever it is, a run or a tick must not fail for an alert
        log.warning("Alerts %s: %s: %s", what, type(error).__name__, without_passwords(str(error)))
