"""What the paper's experiment costs at its own size: production months of p2p_twin in full, stage by stage.

    python benchmarks/paper_size.py                       # 2018-01 in a fresh home
    python benchmarks/paper_size.py 2018-12 --home DIR    # all twelve months; run again, it goes on where it was
    python benchmarks/paper_size.py --evidence            # 2018-01 decided on evidence, of three earlier anchor dates

Months are run one after the other, as `pdx run p2p_twin --profile paper_size` runs them, but a month's
stages do not overlap, so that each has its own wall time and peak memory: the proportional set size of this process
and all its workers together, sampled every half second. With --evidence the strategies all_known and
immature_cohorts take part, and as-of models of 2016-08, 2016-10 and 2016-12 make the record: cohorts whose labels are
known in 2018-01, of a tape that begins in 2015-07. Stages done already are read from DIR/paper_size.jsonl. Linux only.
Exits 1 if the first month takes over 40 minutes or 16 GiB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdx_assets.orchestration.runner import Task
    from pdx_assets.risk.calendar import Month
    from pdx_assets.risk.spec import PortfolioSpec
    from pdx_assets.stages.workspace import Workspace

PORTFOLIO, PROFILE = "p2p_twin", "paper_size"
STRATEGIES = ("fixed_window", "rolling_window", "all_known", "immature_cohorts")
EVIDENCE = {"policy": "evidence", "evidence": {"first_month": "2016-08", "every": 2}}
AS_OF = "as-of models"
ALLOWED_SECONDS, ALLOWED_MIB = 40 * 60, 16 * 1024
# Stages of a month in order: the runner's stages, and what a reader calls them.
STAGES = {
    "cohort": "cohorts",
    "window": "windows",
    "study": "tuning and training",
    "train": "tuning and training",
    "decide": "decision",
    "measure": "production and monitoring",
}


@dataclass(frozen=True)
class Measured:
    """One stage of one month: wall seconds, CPU seconds of all processes, and peak memory in MiB."""

    month: str
    stage: str
    seconds: float
    cpu_seconds: float
    peak_mib: float
    tasks: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("month", nargs="?", default="2018-01", help="last production month; the first is 2018-01")
    parser.add_argument("--home", type=Path, help="PDx home to use and keep; default a temporary one")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--evidence", action="store_true", help="promotion on evidence, of three anchor dates before")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = arguments.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["PDX_HOME"] = str(home.resolve())
        home.mkdir(parents=True, exist_ok=True)
        run(arguments.month, arguments.workers, home / "paper_size.jsonl", arguments.evidence)


def on_evidence(spec: PortfolioSpec) -> PortfolioSpec:
    """The portfolio with the strategies and the policy beyond the paper's."""
    declared = spec.model_dump(mode="json") | {"strategies": STRATEGIES}
    declared["decision"] |= EVIDENCE
    return type(spec).model_validate(declared)


def run(last: str, workers: int, log: Path, evidence: bool) -> None:
    from pdx_assets.cli import open_workspace
    from pdx_assets.orchestration.runner import months_to_run
    from pdx_assets.stages.record import find_decision
    from pdx_assets.stages.tape import open_tape
    from pdx_assets.stages.workspace import Workspace

    spec = open_workspace(PORTFOLIO).spec
    spec = on_evidence(spec) if evidence else spec
    Workspace.of(spec).settings.pin(spec.name, profile=PROFILE, seed=0)
    # Afresh: a workspace keeps what was pinned when it was first asked.
    ws = Workspace.of(spec)
    with measured(log, str(spec.p0), "tape written and staged", 1):
        open_tape(ws)
    for month in months_to_run(ws, None, last):
        for stage in dict.fromkeys(("cohorts", "windows", AS_OF, *STAGES.values())):
            run_stage(ws, month, stage, workers, log)
        print((find_decision(ws, month) or {})["reason"], flush=True)
    report(log, str(spec.p0))


def run_stage(ws: Workspace, month: Month, stage: str, workers: int, log: Path) -> None:
    from pdx_assets.orchestration.runner import months_to_run, plan, run_tasks

    tasks = [
        t for t in plan(ws, months_to_run(ws, None, str(month))) if (AS_OF if t.as_of else STAGES[t.stage]) == stage
    ]
    tasks = [t for t in tasks if t.month == month or t.stage == "cohort"]
    if not tasks:
        return
    with measured(log, str(month), stage, len(tasks)):
        outcomes = run_tasks(ws, among_themselves(tasks), workers=workers, report=tell)
    errors = [f"{o.task.key}: {o.error}" for o in outcomes if o.error]
    if errors:
        raise SystemExit("\n".join(errors))


def among_themselves(tasks: list[Task]) -> list[Task]:
    """Tasks that wait for one another only: what else they need is done."""
    known = {t.key for t in tasks}
    return [replace(t, after=t.after & known) for t in tasks]


def tell(outcome: object) -> None:
    from pdx_assets.orchestration.runner import Outcome

    assert isinstance(outcome, Outcome)
    print(f"  {outcome.task.key:<45}{outcome.seconds:8.1f} s{outcome.worker_mib:8.0f} MiB", flush=True)


@contextlib.contextmanager
def measured(log: Path, month: str, stage: str, tasks: int) -> Iterator[None]:
    """Append what the block cost to the log, if it ended well and did anything."""
    peak, over = [0.0], threading.Event()
    before = {process: cpu_seconds(process) for process in family()}
    spent = dict(before)

    def watch() -> None:
        while not over.wait(0.5):
            processes = family()
            peak[0] = max(peak[0], memory_mib(processes))
            # Workers are nobody's children that are waited for: what they spent is seen while they live.
            spent.update({p: max(cpu_seconds(p), spent.get(p, 0.0)) for p in processes})

    watcher = threading.Thread(target=watch, daemon=True)
    start = time.perf_counter()
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    spent[os.getpid()] = cpu_seconds(os.getpid())
    cpu = sum(spent.values()) - sum(before.values())
    found = Measured(month, stage, time.perf_counter() - start, cpu, peak[0], tasks)
    if stage != "tape written and staged" or found.seconds > 10:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(found)) + "\n")
    print(f"{month} {stage}: {found.seconds:.0f} s, {found.peak_mib:.0f} MiB", flush=True)


def family() -> list[int]:
    """This process and all its descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [os.getpid()]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def memory_mib(processes: list[int]) -> float:
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far; 0 when it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(log: Path, first: str) -> None:
    rows = [Measured(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]
    print("\n| month | stage | tasks | seconds | CPU seconds | peak MiB |\n|---|---|---|---|---|---|")
    for row in rows:
        figures = " | ".join(f"{v:.0f}" for v in (row.tasks, row.seconds, row.cpu_seconds, row.peak_mib))
        print(f"| {row.month} | {row.stage} | {figures} |")
    for month in dict.fromkeys(row.month for row in rows):
        own = [row for row in rows if row.month == month]
        print(f"{month}: {sum(r.seconds for r in own) / 60:.1f} min, {max(r.peak_mib for r in own) / 1024:.1f} GiB")
    own = [row for row in rows if row.month == first]
    too_much = sum(r.seconds for r in own) > ALLOWED_SECONDS or max((r.peak_mib for r in own), default=0) > ALLOWED_MIB
    raise SystemExit(too_much)


if __name__ == "__main__":
    main()
