"""Peak memory of every step of one production month, each in a process of its own, against what is allowed.

    python benchmarks/memory.py demo 2024-01 --profile quick
    python benchmarks/memory.py lendingclub 2010-10 --tape accepted_2007_to_2011.csv.gz

Allowed: 3 times the float32 matrix (loans x model inputs) of the month's largest development window, plus
0.7 GiB. Linux only. Dagster runs each step in a process of its own; the workers of `pdx run` live through
many steps and hold every library at once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from one_month import month_parser, pinned_workspace


def main() -> None:
    parser = month_parser(__doc__)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        one_step(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PDX_HOME"] = folder
        every_step(arguments)


def every_step(arguments: argparse.Namespace) -> None:
    from pdx_assets.orchestration.home import prepare_home
    from pdx_assets.orchestration.resources import prepare_tracking
    from pdx_assets.orchestration.runner import months_to_run, plan, run_tasks
    from pdx_assets.risk.calendar import Month
    from pdx_assets.stages.challengers import load_bundle
    from pdx_assets.stages.windows import window

    ws = pinned_workspace(arguments, arguments.profile)
    month = Month.parse(arguments.month)
    tasks = plan(ws, months_to_run(ws, None, arguments.month))
    run_tasks(ws, [t for t in tasks if t.stage == "cohort" or t.month < month], workers=2, report=lambda _: None)
    prepare_home(ws.settings)
    prepare_tracking(ws.spec.name)
    read_libraries_from_disk()
    peaks = {}
    for task in (t for t in tasks if t.month == month and t.stage != "cohort"):
        for asset in task.assets:
            command = [sys.executable, __file__, arguments.portfolio, arguments.month, "--step", f"{task.job}:{asset}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[asset] = float(done.stdout.strip().split("\n")[-1])
            print(f"{asset:<50}{peaks[asset]:8.0f} MiB", flush=True)
    loans = max(window(ws, s, month)["development"]["loans"] for s in ws.spec.strategies)
    pointers = [
        ws.lake.get_document(f"challenger_{s}_{a}", str(month)) for s in ws.spec.strategies for a in ws.spec.algorithms
    ]
    manifests = [load_bundle(ws, p["bundle_sha256"]).manifest for p in pointers if p["status"] == "bundle"]
    inputs = max(len(m["selected"]) for m in manifests)
    allowed = 0.7 * 1024 + 3 * loans * inputs * 4 / 2**20
    print(f"largest {max(peaks.values()):.0f} MiB; allowed {allowed:.0f} MiB ({loans:,} loans x {inputs} inputs)")
    raise SystemExit(max(peaks.values()) > allowed)


def read_libraries_from_disk() -> None:
    """Forget what the page cache holds of the installed libraries.

    Just after an installation Linux holds their files in large pieces, and maps a piece where a page was asked for:
    the network's step then showed 808 MiB, and 635 MiB of the same files read from disk. The difference is shared
    between processes, given back under pressure, and none of the step's.
    """
    for library in Path(sysconfig.get_paths()["platlib"]).rglob("*.so*"):
        with library.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def one_step(arguments: argparse.Namespace) -> None:
    from pdx_assets.cli import open_workspace
    from pdx_assets.orchestration import runner
    from pdx_assets.orchestration.home import enter_dagster_home
    from pdx_assets.risk.calendar import Month

    ws = open_workspace(arguments.portfolio)
    enter_dagster_home(ws.settings.dagster_home)
    runner._enter_worker(ws.spec, dict(os.environ))
    job, asset = arguments.step.split(":")
    error = runner._execute(runner.Task(asset, "train", job, Month.parse(arguments.month), (asset,)))
    if error:
        raise SystemExit(error)
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(next(line for line in status.split("\n") if line.startswith("VmHWM")).split()[1]) / 1024)


if __name__ == "__main__":
    main()
