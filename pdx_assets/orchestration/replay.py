"""Years in minutes: the clock of a home stepped through production months under running servers.

Nothing is launched from here. The portfolio's own sensor, in the daemon, sees the clock move and asks for
what became possible; this module only waits until nothing is wanted any more.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pdx_assets.files import write_whole
from pdx_assets.orchestration.servers import Servers, started
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError, PdxError
from pdx_assets.risk.maturity import decidable_months
from pdx_assets.settings import Settings
from pdx_assets.stages.record import decisions, find_decision
from pdx_assets.stages.tape import whole_tape
from pdx_assets.stages.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg

POLL_SECONDS = 2.0
# Ten ticks at their slowest; a sensor that asks for nothing for that long is off, or its daemon is.
PATIENCE_SECONDS = 300.0


def months_to_replay(ws: Workspace, first: str | None, last: str | None) -> tuple[Month, ...]:
    """Production months to step through; those lived through before are left out.

    Raises:
        HomeError: PDX_AS_OF is set, the tape does not reach that far, or the home has been further already.
    """
    if os.environ.get("PDX_AS_OF", "").strip():
        raise HomeError(
            "PDX_AS_OF is set, and a replay sets the clock itself.", remedy="unset PDX_AS_OF and replay again"
        )
    spec, tape = ws.spec, whole_tape(ws)
    possible = decidable_months(spec, tape.cohorts, tape.as_of, datetime.now(UTC).date())
    begin, end = Month.parse(first or str(spec.p0)), Month.parse(last) if last else (possible or (spec.p0,))[-1]
    months = tuple(p for p in possible if begin <= p <= end)
    if not months or months[0] != begin or months[-1] != end:
        span = f"{possible[0]}..{possible[-1]}" if possible else "none"
        raise HomeError(
            f"--from {begin} --to {end} cannot be replayed.",
            expected=f"production months within {span} (tape as of {tape.as_of})",
            remedy="choose months in that range",
        )
    decided = [Month.parse(d["production_month"]) for d in decisions(ws)]
    if decided and decided[-1] > end:
        # Back in time its tables would be made to forget what they know.
        raise HomeError(
            f"{ws.settings.home} has decided {decided[-1]} already.",
            expected=f"a home that has not been further than {end}",
            remedy="set PDX_HOME to another folder, or replay to a later month",
        )
    return tuple(p for p in months if not decided or p >= decided[-1])


def live_through(
    ws: Workspace,
    months: tuple[Month, ...],
    *,
    port: int,
    report: Callable[[str], None],
    module: str = "pdx_assets.definitions",
    then: Callable[[Servers], None] | None = None,
) -> None:
    """Start the servers, step the clock to the last day of each month, wait, and stop the servers.

    The clock is taken away at the end, whatever happens: a clock left behind would hide later years.

    Args:
        module: where the servers find the portfolio.
        then: called at the end of the last month, while the servers still run.

    Raises:
        PdxError: the sensor gave up on something, or nothing happened for five minutes.
    """
    from dagster import DagsterInstance

    environment = {"PDX_SENSORS": ws.spec.name, "PDX_SENSOR_SECONDS": "1"}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_clock_put_back(ws.settings))
        set_clock(ws.settings, _end_of(ws, months[0]))
        servers = stack.enter_context(
            started(ws.settings, host="127.0.0.1", port=port, module=module, environment=environment)
        )
        instance = stack.enter_context(DagsterInstance.get())
        for month in months:
            start = time.monotonic()
            set_clock(ws.settings, _end_of(ws, month))
            runs = wait_until_settled(ws, servers, instance)
            decision = find_decision(ws, month)
            told = f"{decision['decision']:<10}  {decision['reason']}" if decision else "not decided"
            report(f"{month}  {told}  ({runs} runs, {time.monotonic() - start:.0f} s)")
        if then is not None:
            then(servers)


def set_clock(settings: Settings, day: date) -> None:
    """Set the clock that every process on this home reads."""
    write_whole(settings.clock_file, f"{day.isoformat()}\n")


@contextlib.contextmanager
def _clock_put_back(settings: Settings) -> Iterator[None]:
    before = settings.clock_file.read_text(encoding="utf-8") if settings.clock_file.exists() else None
    try:
        yield
    finally:
        if before is None:
            settings.clock_file.unlink(missing_ok=True)
        else:
            write_whole(settings.clock_file, before)


def wait_until_settled(ws: Workspace, servers: Servers, instance: dg.DagsterInstance) -> int:
    """Wait until nothing is wanted and nothing runs; how many runs were made meanwhile.

    Raises:
        PdxError: the sensor gave up on something, or nothing happened for five minutes.
    """
    from pdx_assets.orchestration.sensors import in_flight, next_requests

    before = instance.get_runs_count()
    seen, since = (before, 0), time.monotonic()
    while True:
        servers.check()
        running = in_flight(instance, ws.spec)
        # A workspace of its own each time: the clock and the pinned tape are read anew.
        requests = next_requests(instance, Workspace.of(ws.spec))
        if not running and not requests.now:
            if requests.given_up:
                failed = ", ".join(f"{a.job} {a.month}" for a in requests.given_up)
                raise PdxError(
                    f"The sensor gave up on {failed}, after three tries.",
                    remedy="see the failed runs in `pdx ui`, mend what they say, and replay again; it resumes",
                )
            if not requests.waiting:
                return instance.get_runs_count() - before
        now = (instance.get_runs_count(), len(running))
        if now != seen:
            seen, since = now, time.monotonic()
        elif not running and time.monotonic() - since > PATIENCE_SECONDS:
            raise HomeError(
                f"Nothing happened for {PATIENCE_SECONDS:.0f} s, while {len(requests.now)} runs are wanted.",
                remedy=f"is the sensor {ws.spec.name}_maturity switched off in the UI? Read its ticks there, and "
                f"{servers.logs / 'dagster-daemon.log'}",
            )
        time.sleep(POLL_SECONDS)


def _end_of(ws: Workspace, month: Month) -> date:
    return min(ws.spec.periods.last_day(month), datetime.now(UTC).date())
