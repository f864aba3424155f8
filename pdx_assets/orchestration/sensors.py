"""One sensor a portfolio: what risk/maturity.py wants, as run requests. A thin wrapper; it decides nothing itself.

It keeps no state of its own: the tape, what each asset was made from, and Dagster's runs say everything, so
that a restart, a run launched by hand or a second daemon leave nothing to repair.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import dagster as dg

from pdx_assets.orchestration.dead_runs import bury_dead_runs
from pdx_assets.orchestration.jobs import job_name
from pdx_assets.orchestration.launching import Requests, Tried, choose
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import SpecError
from pdx_assets.risk.maturity import Job, Run, Wanted
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape_location import require_variables
from pdx_assets.stages.maturity import contents, wanted_today
from pdx_assets.stages.workspace import Workspace

WANTED_TAG = "pdx/wanted"
WHY_TAG = "pdx/why"
JOBS: tuple[Job, ...] = ("cohort", "decide", "measure", "report", "overview")
NOT_FINISHED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
# A tick has 60 s before Dagster ends it, and the UI shows a slow one as stuck. A large tape takes longer to read.
PATIENCE_SECONDS = 1.0


def sensor_name(portfolio: str) -> str:
    return f"{portfolio}_maturity"


def maturity_sensor(
    spec: PortfolioSpec,
    jobs: Sequence[dg.UnresolvedAssetJobDefinition],
    monitoring: Iterable[dg.AssetKey],
) -> dg.SensorDefinition:
    """Requests whatever became possible: new cohorts, matured labels, production months, their measurements.

    Args:
        jobs: the portfolio's jobs.
        monitoring: the assets of the monitoring group, which are measured together.
    """
    measured = {"drift": tuple(monitoring)}

    @dg.sensor(
        name=sensor_name(spec.name),
        jobs=list(jobs),
        default_status=_default_status(spec),
        minimum_interval_seconds=int(os.environ.get("PDX_SENSOR_SECONDS", "30")),
        description="Asks for new cohorts, for labels that became known, for production months that can be decided (in "
        "order) and measured, and for whatever rests on a cohort that changed on the tape.",
    )
    def maturity(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        ws = Workspace.of(spec)
        for run in bury_dead_runs(context.instance, launched_here=True):
            context.log.warning(f"{run.job_name} {run.run_id[:8]} is failed: its worker process was killed.")
        if not _has_read(ws):
            return dg.SkipReason("The tape is being read; the next ticks will tell what is new on it.")
        requests = next_requests(context.instance, ws)
        for action in requests.given_up:
            context.log.warning(f"{_called(action)} is not asked for again: {_why(action)}. Look at its failed runs.")
        if not requests.now:
            return dg.SkipReason(_nothing_now(ws, requests))
        found = [_request(spec, action, attempt, measured) for action, attempt in requests.now]
        for action, _ in requests.now:
            context.log.info(f"{_called(action)}: {_why(action)}")
        return dg.SensorResult(run_requests=found)

    return maturity


def _default_status(spec: PortfolioSpec) -> dg.DefaultSensorStatus:
    """Running where PDX_SENSORS names the portfolio (or says ``all``) and its tape's path can be had.

    Off otherwise: whoever opens ``pdx ui`` to look must not start months of training, and the first run settles the
    home's profile and seed for good.
    """
    names = {name.strip() for name in os.environ.get("PDX_SENSORS", "").split(",")}
    if not names & {spec.name, "all"}:
        return dg.DefaultSensorStatus.STOPPED
    if not Workspace.of(spec).pinned.tape:
        try:
            require_variables(spec)
        except SpecError:
            return dg.DefaultSensorStatus.STOPPED
    return dg.DefaultSensorStatus.RUNNING


class _Reading(threading.Thread):
    """The tape being gone through; a tick looks whether it is done."""

    def __init__(self, read: Callable[[], object]) -> None:
        # Does not keep a server that is asked to stop alive: what is half read is read again.
        super().__init__(name="pdx tape", daemon=True)
        self._read = read
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._read()
        except BaseException as error:
            self.error = error


_reading: dict[str, _Reading] = {}


def _has_read(ws: Workspace) -> bool:
    """Whether today's tape is read and known; begins to read it where it is not.

    Raises:
        PdxError: it could not be read. The tick then fails and says why: that is not a tape without new cohorts.
    """
    name = ws.spec.name
    if name not in _reading:
        _reading[name] = _Reading(lambda: contents(ws))
        _reading[name].start()
    _reading[name].join(PATIENCE_SECONDS)
    if _reading[name].is_alive():
        return False
    error = _reading.pop(name).error
    if error is not None:
        raise error
    return True


def next_requests(instance: dg.DagsterInstance, ws: Workspace) -> Requests:
    """What a tick asks for now, what waits, and what was given up."""
    # Before the lake is looked at: a run that ends in between is then taken for running, not asked for again.
    running = in_flight(instance, ws.spec)
    actions = wanted_today(ws)
    return choose(actions, running, _tried(instance, actions))


def in_flight(instance: dg.DagsterInstance, spec: PortfolioSpec) -> set[Run]:
    """Runs queued or started, whoever launched them."""
    found: set[Run] = set()
    for job in JOBS:
        unfinished = dg.RunsFilter(job_name=job_name(spec.name, job), statuses=list(NOT_FINISHED))
        for run in instance.get_runs(unfinished):
            # The overview has no partition; its key names the month it goes by.
            partition = run.tags.get("dagster/partition") or run.tags.get(WANTED_TAG, "/").split("/")[1]
            if partition:
                found.add((job, Month.parse(partition)))
    return found


def _tried(instance: dg.DagsterInstance, actions: Sequence[Wanted]) -> dict[str, Tried]:
    """What became of the runs made for what is still wanted."""
    found: dict[str, Tried] = {}
    for keys in _some_at_a_time([action.key for action in actions]):
        for run in instance.get_runs(dg.RunsFilter(tags={WANTED_TAG: keys})):
            if run.status not in NOT_FINISHED:
                before = found.get(run.tags[WANTED_TAG], Tried())
                cancelled = before.cancelled or run.status == dg.DagsterRunStatus.CANCELED
                found[run.tags[WANTED_TAG]] = Tried(before.ended + 1, cancelled)
    return found


def _some_at_a_time(keys: Sequence[str]) -> Iterator[list[str]]:
    # sqlite takes 999 values in one question in its older builds.
    for start in range(0, len(keys), 500):
        yield list(keys[start : start + 500])


def _request(
    spec: PortfolioSpec, action: Wanted, attempt: int, measured: Mapping[str, tuple[dg.AssetKey, ...]]
) -> dg.RunRequest:
    keys: list[dg.AssetKey] = []
    for asset in action.assets:
        keys += measured.get(asset, (dg.AssetKey([spec.name, asset]),))
    return dg.RunRequest(
        run_key=f"{action.key}/{attempt}",
        job_name=job_name(spec.name, action.job),
        partition_key=None if action.job == "overview" else str(action.month),
        # A whole job is asked for by its name, so that assets added to it are made as well.
        asset_selection=None if action.is_whole else keys,
        tags={WANTED_TAG: action.key, WHY_TAG: _why(action)},
    )


def _called(action: Wanted) -> str:
    return f"{action.job} {action.month}"


def _why(action: Wanted) -> str:
    return "; ".join(action.reasons)


def _nothing_now(ws: Workspace, requests: Requests) -> str:
    day = ws.settings.today
    if not requests.waiting and not requests.given_up:
        return f"Nothing is wanted on {day}: everything the tape tells is made."
    waiting = f"{len(requests.waiting)} runs wait for what they rest on or for a place"
    given_up = ", ".join(_called(a) for a in requests.given_up[:5])
    more = f" and {len(requests.given_up) - 5} more" if len(requests.given_up) > 5 else ""
    return f"{waiting}." + (f" Not asked for again after failing: {given_up}{more}." if given_up else "")
