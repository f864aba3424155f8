"""``pdx run``: what has to be materialized for some production months, and doing it with all cores.

Every task is one Dagster run of one partition, executed in a worker process. Tasks start as soon as what
they need is done: challengers of different months at once, champions in order.
"""

from __future__ import annotations

import gc
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from typing import Any, Literal

from pdx_assets.orchestration.dead_runs import WORKER_TAG
from pdx_assets.orchestration.home import prepare_home
from pdx_assets.orchestration.jobs import OVERVIEW, JobName, job_name
from pdx_assets.orchestration.resources import import_mlflow, prepare_tracking
from pdx_assets.orchestration.study import study_op
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError, PdxError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.maturity import decidable_months, is_measurable
from pdx_assets.risk.radar.ages import reached
from pdx_assets.risk.spec import AlgorithmName, PortfolioSpec, Strategy
from pdx_assets.risk.windows import development_months, earlier_cohorts, otv_months
from pdx_assets.stages import governance, tape
from pdx_assets.stages.as_of import evidence_months
from pdx_assets.stages.blends import BLEND_VERSION
from pdx_assets.stages.challengers import TRAINING_VERSION, anchor_of, own_studies
from pdx_assets.stages.record import decisions
from pdx_assets.stages.workspace import Workspace

Stage = Literal["cohort", "window", "study", "train", "decide", "measure"]
# The network's study takes longest: started first, it does not leave a core idle at the end.
SLOWEST_FIRST = ("neural_network", "random_forest", "xgboost", "logistic_regression", "blend")
# The overview waits for the performance; drift takes longer than the scores.
MEASURED_FIRST = ("performance", "drift", "estimate", "scores")
_OWN = re.compile(r"^pdx_assets\.risk\.errors\.\w+: ")
"""The class of PDx's own errors: their words say all of it."""


@dataclass(frozen=True)
class Task:
    """One Dagster run of one partition: some assets, one study ahead of them, or the models as of a month before p0."""

    key: str
    stage: Stage
    job: JobName
    month: Month
    assets: tuple[str, ...]
    after: frozenset[str] = field(default_factory=frozenset)
    study: tuple[Strategy, AlgorithmName] | None = None
    as_of: Month | None = None


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        error: in words; None where it went well.
        worker_mib: the most memory its worker has held so far.
    """

    task: Task
    seconds: float
    error: str | None
    worker_mib: float


def plan(ws: Workspace, months: tuple[Month, ...], *, reports: bool = False) -> list[Task]:
    """Tasks for some consecutive production months, those done already left out; drift reports on request."""
    spec = ws.spec
    opened = tape.open_tape(ws)
    measurable = {m for m in months if is_measurable(spec, m, opened.cohorts, opened.as_of)}
    wanted = {
        m for p in months for s in spec.strategies for m in (*development_months(spec, s, p), *otv_months(spec, p))
    }
    if spec.decision.evidence is not None:
        wanted |= {m for p in months for m in earlier_cohorts(spec, p)}
    cohorts = tape.pending(ws, tuple(sorted(wanted | set(months))))
    layers = ("raw_loans", "clean_features", "outcomes", "labels")
    tasks = [Task(f"cohort {c}", "cohort", "cohort", c, layers) for c in cohorts]
    read = frozenset(t.key for t in tasks)
    for p in months:
        tasks.extend(
            _month_tasks(ws, p, read, p in measurable, p in opened.cohorts, bool(reached(spec, p, opened.as_of)))
        )
        if reports and p in opened.cohorts:
            tasks.append(Task(f"report {p}", "measure", "report", p, ("drift_report",), frozenset({f"drift {p}"})))
    judged = frozenset(t.key for t in tasks if t.key.startswith(("decide", "performance")))
    tasks.append(Task(f"overview {months[-1]}", "measure", "overview", months[-1], OVERVIEW, judged))
    again = set(governance.overruled(ws, decisions(ws), governance.events(ws)))
    done = {
        t.key
        for t in tasks
        if t.stage != "cohort" and is_done(ws, t) and not (t.stage in ("decide", "measure") and t.month in again)
    }
    return [replace(t, after=frozenset(k for k in t.after if k not in done)) for t in tasks if t.key not in done]


def _month_tasks(
    ws: Workspace, p: Month, read: frozenset[str], measurable: bool, on_tape: bool, is_over: bool
) -> Iterator[Task]:
    spec, anchor = ws.spec, anchor_of(ws, p)
    window = Task(f"window {p}", "window", "decide", p, tuple(f"window_{s}" for s in spec.strategies), read)
    yield window
    own = own_studies(ws, p)
    trained = []
    for algorithm in sorted(spec.tuned_algorithms, key=SLOWEST_FIRST.index):
        # One study is run by the asset itself; of several, each is a task, so that no core waits for the other. The
        # regression's takes 0.3 s, as long as a task's own events.
        is_ahead = len(own) > 1 and algorithm != "logistic_regression"
        studies = [
            Task(f"study {p} {s} {algorithm}", "study", "study", p, (), frozenset({window.key}), (s, algorithm))
            for s in (own if is_ahead else ())
        ]
        yield from studies
        # Its anchor's study and the fixed window's of p0: asked for too early they are run here, and that core waits.
        needs = {window.key, *(t.key for t in studies)} | {f"train {m} {algorithm}" for m in {anchor, spec.p0} - {p}}
        assets = (f"tuning_{algorithm}", *(f"challenger_{s}_{algorithm}" for s in spec.strategies))
        trained.append(Task(f"train {p} {algorithm}", "train", "decide", p, assets, frozenset(needs)))
    if "blend" in spec.algorithms:
        # Of the month's other challengers; the fixed window's is that of p0.
        needs = {t.key for t in trained} | {f"train {m} blend" for m in {spec.p0} - {p}}
        assets = tuple(f"challenger_{s}_blend" for s in spec.strategies)
        trained.append(Task(f"train {p} blend", "train", "decide", p, assets, frozenset(needs)))
    yield from trained
    before = {f"decide {spec.periods.shift(p, -1)}"} if p > spec.p0 else set()
    needs = {t.key for t in trained} | before
    assets = ("otv_scores", "champion")
    if spec.decision.evidence is not None:
        assets = ("otv_scores", "recipe_record", "champion")
        as_of = [m for m in evidence_months(spec, p) if m < spec.p0]
        earlier = evidence_months(spec, spec.periods.shift(p, -1)) if p > spec.p0 else ()
        for month in as_of:
            if month not in earlier:
                # The first one runs the studies; at once, each would wait for the same.
                first = read | ({f"as_of {as_of[0]}"} - {f"as_of {month}"})
                yield Task(f"as_of {month}", "study", "study", spec.p0, (), first, as_of=month)
        needs |= {f"as_of {m}" for m in as_of}
    yield Task(f"decide {p}", "decide", "decide", p, assets, frozenset(needs))
    if on_tape:
        # Not with the decision: a champion that cannot score its loans must not keep later months from being decided.
        assets = ("production_scores",)
        yield Task(f"scores {p}", "measure", "decide", p, assets, frozenset({f"decide {p}"}))
        yield Task(f"drift {p}", "measure", "measure", p, ("drift",), frozenset({f"decide {p}"}))
        if is_over:
            assets = ("performance_estimate",)
            yield Task(f"estimate {p}", "measure", "measure", p, assets, frozenset({f"decide {p}"}))
    if on_tape and measurable:
        assets = ("production_performance",)
        yield Task(f"performance {p}", "measure", "measure", p, assets, frozenset({f"decide {p}"}))


def is_done(ws: Workspace, task: Task) -> bool:
    """Whether a task was done with today's tape, declarations, profile, seed and code."""
    document = ws.lake.find_document("progress", task.key.replace(" ", "/"))
    return document is not None and document["state"] == _state(ws) and tuple(document["assets"]) == task.assets


def _mark(ws: Workspace, task: Task) -> None:
    if task.stage == "cohort":
        tape.mark_done(ws, task.month)
    else:
        document = {"state": _state(ws), "assets": list(task.assets)}
        ws.lake.put_document("progress", task.key.replace(" ", "/"), document)


def _state(ws: Workspace) -> str:
    pinned = [ws.pinned.profile, ws.pinned.seed]
    # What the tables stand beside changes nothing that is made.
    declared = ws.spec.model_dump(mode="json", exclude={"experiment"})
    blended = [BLEND_VERSION] if "blend" in ws.spec.algorithms else []
    return document_sha256([tape.tape_state(ws), declared, pinned, TRAINING_VERSION, *blended])


def run_tasks(ws: Workspace, tasks: list[Task], *, workers: int, report: Callable[[Outcome], None]) -> list[Outcome]:
    """Execute tasks in worker processes; a failed task takes down only those that need it.

    Returns:
        Outcomes of the tasks that ran; those never started are missing.

    Raises:
        PdxError: a worker process was killed.
    """
    prepare_home(ws.settings)
    # glibc keeps a heap for each of a dozen threads: a worker that had done a year of months held 1.5 GB.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    waiting = {t.key: t for t in tasks}
    unfinished = set(waiting)
    running: dict[Future[tuple[str | None, float]], tuple[Task, float]] = {}
    outcomes: list[Outcome] = []
    failed: set[str] = set()
    with ProcessPoolExecutor(
        workers, mp_context=_processes(), initializer=_enter_worker, initargs=(ws.spec, dict(os.environ))
    ) as pool:
        try:
            # A worker that has nothing to do while another makes the windows imports what training needs.
            trains = any(t.stage in ("study", "train") for t in tasks)
            warm = [pool.submit(_prepare_training, ws.spec.name) for _ in range(max(1, workers - 1)) if trains]
            while waiting or running:
                # What needs a task that cannot run cannot run either: until nothing more falls away.
                while lost := [k for k, t in waiting.items() if t.after & failed]:
                    failed.update(lost)
                    unfinished.difference_update(lost)
                    for key in lost:
                        del waiting[key]
                # At most as many as there are workers: what becomes possible meanwhile may be more urgent.
                ready = sorted((t for t in waiting.values() if not t.after & unfinished), key=_urgency)
                for task in ready[: workers - len(running)]:
                    if task.stage == "train":
                        warm[0].result()
                    del waiting[task.key]
                    running[pool.submit(_execute_here, task)] = (task, time.perf_counter())
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task, start = running.pop(future)
                    outcome = Outcome(task, time.perf_counter() - start, *future.result())
                    unfinished.discard(task.key)
                    if outcome.error is None:
                        _mark(ws, task)
                    else:
                        failed.add(task.key)
                    outcomes.append(outcome)
                    report(outcome)
        except BrokenProcessPool as error:
            raise PdxError(
                "A worker process was killed (out of memory?).", remedy="run the same command again; it resumes"
            ) from error
        except KeyboardInterrupt:
            for process in list(getattr(pool, "_processes", {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def _processes() -> BaseContext:
    """How workers are started: never as a fork of this process, whose polars holds threads that do not survive it."""
    if sys.platform != "linux":
        return get_context("spawn")
    # Forks of a server that has Dagster imported and nothing that starts threads: two workers importing it at once
    # took 1.9 s, and the first fit waited for it.
    context = get_context("forkserver")
    context.set_forkserver_preload(["dagster"])
    return context


def _urgency(task: Task) -> tuple[Any, ...]:
    order = {"cohort": 0, "window": 1, "decide": 2, "study": 3, "train": 4, "measure": 5}
    words = task.key.split()
    ranked = MEASURED_FIRST if task.stage == "measure" else SLOWEST_FIRST
    rank = next((i for i, name in enumerate(ranked) if name in (words[0], words[-1])), 0)
    # Windows of all months first would delay the first study; a month's windows go with its training.
    return (task.stage != "cohort", task.month.ordinal, order[task.stage], rank)


_worker: dict[str, Any] = {}


def _enter_worker(spec: PortfolioSpec, environment: dict[str, str]) -> None:
    import logging

    from dagster import DagsterInstance

    from pdx_assets.definitions import build_definitions

    # The server of the forks has the environment of whoever came first.
    os.environ.clear()
    os.environ.update(environment)
    # Ctrl-C reaches the whole group: the parent decides, workers must not print a traceback each.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.INFO)
    # Within `pdx run` months come in order by construction: waiting would only hide a defect.
    os.environ.setdefault("PDX_WAIT_TRIES", "0")
    _worker["spec"] = spec
    _worker["definitions"] = build_definitions(spec)
    _worker["instance"] = DagsterInstance.get()


def _prepare_training(portfolio: str) -> None:
    """MLflow's database and experiment, made before steps in parallel would race for both; and slow imports."""
    _import_for_training()
    prepare_tracking(portfolio)


@cache
def _import_for_training() -> None:
    slow = ("torch", "optuna", "sklearn.linear_model", "matplotlib.figure", "matplotlib.backends.backend_agg")
    # Importing makes nothing but what stays: going through it for garbage again and again took a fifth of the time.
    gc.disable()
    try:
        for module in (*slow, "pdx_assets.risk.bundle"):
            import_module(module)
        import_mlflow()
        gc.freeze()
    finally:
        gc.enable()


def _execute_here(task: Task) -> tuple[str | None, float]:
    """Run one task; its error in words or None, and the most memory this process has held, MiB."""
    if task.stage in ("study", "train"):
        # Before the step's clock: the seconds it reports are those of fitting.
        _import_for_training()
    error = _execute(task)
    # Kilobytes, but bytes on macOS.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _execute(task: Task) -> str | None:
    """Run one task; its error in words, or None."""
    from dagster import AssetKey

    spec: PortfolioSpec = _worker["spec"]
    job = _worker["definitions"].resolve_job_def(job_name(spec.name, task.job))
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if task.as_of:
        config["ops"] = {study_op(spec.name): {"config": {"as_of": str(task.as_of)}}}
    if task.study:
        config["ops"] = {study_op(spec.name): {"config": dict(zip(("strategy", "algorithm"), task.study, strict=True))}}
    result = job.execute_in_process(
        instance=_worker["instance"],
        # The overview is of all months.
        partition_key=None if task.job == "overview" else str(task.month),
        asset_selection=[AssetKey([spec.name, name]) for name in task.assets] or None,
        tags={WORKER_TAG: str(os.getpid())},
        run_config=config,
        raise_on_error=False,
    )
    _give_back_memory()
    if result.success:
        return None
    return "\n".join(_messages(result)) or "the run failed; see it in `pdx ui`"


def _give_back_memory() -> None:
    """Return what the task freed to the system; a worker lives through a hundred tasks."""
    import ctypes

    gc.collect()
    # Modules and definitions outlive every task: frozen, they are not gone through again (0.2 s a task).
    gc.freeze()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # glibc has it, musl has not
            trim(0)


def _messages(result: Any) -> Iterator[str]:
    """The failures of the steps, each once: a PdxError's own words, or the class and message of anything else."""
    said: dict[str, list[str]] = {}
    for step, message in _failures(result):
        said.setdefault(message, []).append(step)
    for message, steps in said.items():
        yield f"{', '.join(steps)}: {message}"


def _failures(result: Any) -> Iterator[tuple[str, str]]:
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None and error.cls_name == "DagsterAssetCheckFailedError":
            yield from ((event.step_key, why) for why in _stopped_by(result, event.step_key))
        elif error is not None:
            yield event.step_key, _OWN.sub("", error.message.strip())


def _stopped_by(result: Any, step: str) -> Iterator[str]:
    """What the blocking checks of a step said, and what to do: Dagster's own message has their names only."""
    for found in result.get_asset_check_evaluations():
        if not found.passed and found.blocking and "__".join(found.asset_key.path) == step:
            to_do = found.metadata.get("What to do")
            remedy = f"\nWhat to do: {to_do.value}" if to_do is not None else ""
            yield f"{found.check_name}: {found.description}{remedy}"


def months_to_run(ws: Workspace, first: str | None, last: str | None) -> tuple[Month, ...]:
    """Production months to materialize: always from p0, since decisions are made in order.

    Raises:
        HomeError: the range is empty or not decidable on the tape.
    """
    spec, opened = ws.spec, tape.open_tape(ws)
    decidable = decidable_months(spec, opened.cohorts, opened.as_of, ws.settings.today)
    # Without a hint, a clock left behind in a home looks like a tape that lost its years.
    clock = f" (the clock stands at {ws.settings.as_of})" if ws.settings.as_of else ""
    if not decidable:
        raise HomeError(
            f"No production month of {spec.name} can be decided: the tape's as-of date is {opened.as_of}{clock}.",
            expected=f"an as-of date of {spec.known_on(otv_months(spec, spec.p0)[-1])} or later",
            remedy="use a tape with later outcomes, or a later clock" if clock else "use a tape with later outcomes",
        )
    measurable = [p for p in decidable if is_measurable(spec, p, opened.cohorts, opened.as_of)]
    end = Month.parse(last) if last else (measurable or decidable)[-1]
    begin = Month.parse(first) if first else spec.p0
    if begin < spec.p0 or end > decidable[-1] or end < begin:
        raise HomeError(
            f"--from {begin} --to {end} cannot be run.",
            expected=f"production months within {spec.p0}..{decidable[-1]} (tape as of {opened.as_of}{clock})",
            remedy="choose months in that range",
        )
    return spec.periods.span(spec.p0, end)
