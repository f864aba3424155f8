"""What orchestration costs: wall time of one production month over the ideal.

    python benchmarks/overhead.py demo 2024-01 --profile quick
    python benchmarks/overhead.py lendingclub 2011-09 --profile paper --tape accepted_2007_to_2011.csv.gz

The ideal is the time spent fitting, tuning and scoring (as each step reports it), spread over two busy
cores. Everything else is overhead: starting workers, importing libraries, reading tables, Dagster's events,
MLflow, plots. The month's cohorts, and all months before it (p0 with the profile measured, the others with the
quick one, which costs least) are materialized first and not counted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace

from one_month import month_parser, pinned_workspace

WORKERS = 2


def main() -> None:
    arguments = month_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PDX_HOME"] = folder
        measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    from pdx_assets.orchestration.runner import months_to_run, plan, run_tasks
    from pdx_assets.risk.calendar import Month

    month = Month.parse(arguments.month)
    outcomes = []
    # p0 with the profile that is measured: a later month finds the fixed window's study made there.
    for profile, is_first in ((arguments.profile, True), ("quick", False)):
        ws = pinned_workspace(arguments, profile)
        tasks = plan(ws, months_to_run(ws, None, arguments.month))
        cohorts = [t for t in tasks if t.stage == "cohort"]
        earlier = [t for t in tasks if t.stage != "cohort" and t.month < month]
        before = cohorts + [t for t in earlier if (t.month == ws.spec.p0) == is_first]
        known = {t.key for t in before}
        before = [replace(t, after=t.after & known) for t in before]
        outcomes += run_tasks(ws, before, workers=WORKERS, report=lambda o: print(f"before: {o.task.key}", flush=True))
    ws = pinned_workspace(arguments, arguments.profile)
    counted = [t for t in plan(ws, months_to_run(ws, None, arguments.month)) if t.month == month]
    start = time.perf_counter()
    outcomes += run_tasks(
        ws, counted, workers=WORKERS, report=lambda o: print(f"{o.task.key:<40}{o.seconds:8.2f} s", flush=True)
    )
    wall = time.perf_counter() - start
    errors = [o.error for o in outcomes if o.error]
    if errors:
        raise SystemExit("\n".join(errors))
    fitting, scoring = seconds_reported(ws, arguments.month)
    ideal = (fitting + scoring) / WORKERS
    print(f"fitting and tuning {fitting:.1f} s, scoring {scoring:.1f} s: ideal {ideal:.1f} s on {WORKERS} cores")
    print(f"wall {wall:.1f} s, overhead ratio {wall / ideal:.2f}")
    print(f"peak memory of the largest worker {max(o.worker_mib for o in outcomes):.0f} MiB")


def seconds_reported(ws: object, month: str) -> tuple[float, float]:
    """Seconds in the training libraries and in the models, from the month's own materializations."""
    import dagster as dg

    from pdx_assets.orchestration.jobs import job_name
    from pdx_assets.stages.workspace import Workspace

    assert isinstance(ws, Workspace)
    sums = {"training_seconds": 0.0, "scoring_seconds": 0.0}

    def add(metadata: Mapping[str, dg.MetadataValue]) -> None:
        for name in sums:
            value = metadata.get(name)
            sums[name] += float(value.value) if value is not None else 0.0  # type: ignore[arg-type]

    with dg.DagsterInstance.from_config(str(ws.settings.dagster_home)) as instance:
        for key in instance.all_asset_keys():
            found = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, asset_partitions=[month]), limit=1
            )
            for record in found.records:
                add(record.asset_materialization.metadata if record.asset_materialization else {})
        # Studies run ahead of their asset, which then finds them made.
        runs = instance.get_runs(
            dg.RunsFilter(job_name=job_name(ws.spec.name, "study"), tags={"dagster/partition": month})
        )
        for run in runs:
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_OUTPUT):
                assert entry.dagster_event is not None
                add(entry.dagster_event.step_output_data.metadata)
    return sums["training_seconds"], sums["scoring_seconds"]


if __name__ == "__main__":
    main()
