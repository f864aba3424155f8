"""A fit on partly observed cohorts beside the ordinary fit of the same loans: seconds and peak memory of both.

Run: python benchmarks/immature.py [--rows 10000] [--columns 100] [--algorithm xgboost ...]

Rows are train loans, in 24 cohorts; ITV has a third as many. The ordinary fit comes years later, when every label is
known; the other on the first day after the last cohort, when half the cohorts are younger than the horizon of twelve
months. Each is measured in its own process on one thread, from the tables on disk: the manifest, the loans back from it
(labels joined, or exposure worked out), one untuned fit. Peak memory is the process's, and is set against three times
the float32 matrix of loans x inputs (and 0.7 GiB for libraries). Exits 1 where a fit on partly observed cohorts takes
more than three times the ordinary one's seconds, or more memory than that.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ALGORITHMS = ("logistic_regression", "random_forest", "xgboost", "neural_network")
COHORTS, HORIZON = 24, 12
FITS = {"ordinary": "all_known", "immature": "immature_cohorts"}
MOST = 3.0


def spec_of(columns: int):
    from pdx_assets.risk.spec import PortfolioSpec

    features: dict[str, Any] = {f"n{j}": {"role": "feature"} for j in range(columns - 2)}
    features |= {f"c{j}": {"role": "feature", "dtype": "category"} for j in range(2)}
    return PortfolioSpec.model_validate(
        {
            "name": "immature",
            "tape": {"path": "x", "first_cohort": "2015-01", "performance": {"path": "x"}},
            "loan_id": {"column": "number"},
            "columns": {
                "number": {"role": "id", "dtype": "text"},
                "opened": {"role": "date", "dtype": "date", "format": "%Y-%m-%d"},
                **features,
            },
            "label": {
                "name": "bad",
                "horizon_months": HORIZON,
                "definition": {"kind": "days_past_due", "threshold": 90},
            },
            "windows": {"development": 6, "otv": 3, "gap": HORIZON, "first_production": "2017-01"},
            "strategies": ["fixed_window", "all_known", "immature_cohorts"],
        }
    )


def write_tables(folder: Path, rows: int, columns: int) -> None:
    """clean_features, outcomes and labels of the loans, as the lake holds them."""
    import numpy as np
    import polars as pl

    from pdx_assets.risk.outcomes import EVENT_SCHEMA, label_rows

    spec, rng = spec_of(columns), np.random.default_rng(0)
    loans, numbers = rows + rows // 3, columns - 2
    X = rng.standard_normal((loans, numbers), dtype=np.float32)
    log_odds = -3.6 + 0.6 * X[:, -1] - 0.5 * X[:, -2] * (X[:, -3] > 0) + 0.3 * X[:, 0] + 0.3 * X[:, -4]
    hazard = np.log1p(np.exp(log_odds)) / HORIZON
    X[:, ::3][rng.random((loans, len(range(0, numbers, 3))), dtype=np.float32) < 0.15] = np.nan
    at = np.sort(rng.integers(0, COHORTS, loans))
    cohorts = spec.periods.span(spec.first_cohort, spec.first_cohort + (COHORTS - 1))
    turned = np.ceil(rng.exponential(1 / hazard)).astype(np.int64)
    features = pl.DataFrame(
        {
            "cohort": [str(cohorts[i]) for i in at],
            "loan_id": [f"{i:07d}" for i in range(loans)],
            "borrower_hash": rng.integers(-(2**62), 2**62, loans),
            "application_date": [
                cohorts[i].first_day + timedelta(days=int(day))
                for i, day in zip(at, rng.integers(0, 28, loans), strict=True)
            ],
            **{f"n{j}": X[:, j] for j in range(numbers)},
            **{f"c{j}": np.array([f"level {i}" for i in range(12)])[rng.integers(0, 12, loans)] for j in range(2)},
        }
    )
    del X
    features = features.with_columns(pl.selectors.float().fill_nan(None))
    bad = np.flatnonzero(turned <= 2 * HORIZON)
    days = [(cohorts[at[i]] + int(turned[i])).last_day for i in bad]
    ids = features["loan_id"].gather(bad)
    named = pl.DataFrame({"cohort": features["cohort"].gather(bad), "loan_id": ids, "event_date": days})
    events = named.with_columns(
        pl.lit("dpd90").alias("event"), pl.col("event_date").alias("known_from"), pl.lit(None).alias("withdrawn_from")
    ).select(pl.col(n).cast(t) for n, t in EVENT_SCHEMA.items())
    raw = features.select("cohort", "loan_id", pl.col("application_date").cast(pl.String).alias("opened"))
    as_of = date(2020, 1, 1)
    labels = []
    for cohort in cohorts:
        own = pl.col("cohort") == str(cohort)
        labels.append(label_rows(spec, cohort, raw.filter(own), events.filter(own), as_of))
    for name, table in {"clean_features": features, "outcomes": events, "labels": pl.concat(labels)}.items():
        table.write_parquet(folder / f"{name}.parquet")


def measure(fit: str, algorithm: str, columns: int, folder: Path) -> dict[str, float]:
    import polars as pl

    from pdx_assets.risk.calendar import decision_date
    from pdx_assets.risk.immature import exposed_loans
    from pdx_assets.risk.models.training import train
    from pdx_assets.risk.window_loans import labelled, split_development
    from pdx_assets.risk.windows import Cohorts, build_manifest

    spec = spec_of(columns)
    cohorts = spec.periods.span(spec.first_cohort, spec.first_cohort + (COHORTS - 1))
    # The last cohort's labels are known a horizon later.
    production = cohorts[-1] + (1 if fit == "immature" else HORIZON + 1)
    on, keys = decision_date(production), ["cohort", "loan_id", "application_date"]
    tables = {name: pl.scan_parquet(folder / f"{name}.parquet") for name in ("clean_features", "outcomes", "labels")}
    start = time.perf_counter()
    loans, labels, events = tables["clean_features"].select(keys).collect(), tables["labels"], tables["outcomes"]
    held = Cohorts(
        dict.fromkeys(cohorts, "content"),
        labels.collect(),
        loans,
        {},
        events=events.collect(),
        undecided=loans.select("cohort", "loan_id").clear(),
    )
    manifest = build_manifest(spec, FITS[fit], production, held, seed=0, development=cohorts)
    measured = {"window_s": time.perf_counter() - start}
    undecided = held.undecided
    del held, loans
    start = time.perf_counter()
    features = tables["clean_features"].collect()
    if fit == "immature":
        rows = exposed_loans(spec, features, events.collect(), undecided, on=on)
    else:
        rows = labelled(features, labels.collect(), on=on)
    del features
    data = split_development(spec, manifest, rows)
    del rows
    measured["loans_s"] = time.perf_counter() - start
    start = time.perf_counter()
    train(algorithm, data.train, data.itv, {}, seed=0)
    measured["fit_s"] = time.perf_counter() - start
    measured["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measured["train_loans"] = len(data.train.label)
    return measured


def run(fit: str, algorithm: str, size: list[str], folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--here", fit, "--algorithm", algorithm, *size, "--tables", folder]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--algorithm", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--tables", help="folder with the tables; written where it has none")
    parser.add_argument("--here", choices=(*FITS, "tables"), help="in this process; prints JSON")
    given = parser.parse_args()
    if given.here == "tables":
        write_tables(Path(given.tables), given.rows, given.columns)
        return 0
    if given.here:
        print(json.dumps(measure(given.here, given.algorithm[0], given.columns, Path(given.tables))))
        return 0
    size = ["--rows", str(given.rows), "--columns", str(given.columns)]
    matrix = (given.rows + given.rows // 3) * given.columns * 4 / 2**20
    allowed = MOST * matrix + 0.7 * 1024
    failed = False
    with tempfile.TemporaryDirectory() as own:
        folder = given.tables or own
        if not (Path(folder) / "labels.parquet").exists():
            # In a process of its own: on Linux a child's peak memory begins with what its parent holds.
            subprocess.run([sys.executable, __file__, "--here", "tables", *size, "--tables", folder], check=True)
        print(f"{given.rows} train loans x {given.columns} inputs: matrix {matrix:.0f} MiB, allowed {allowed:.0f} MiB")
        for algorithm in given.algorithm:
            found = {fit: run(fit, algorithm, size, folder) for fit in FITS}
            for fit, measured in found.items():
                told = "  ".join(f"{key} {value:.2f}" for key, value in measured.items())
                print(f"{algorithm:20} {fit:9} {told}", flush=True)
            seconds = {fit: m["window_s"] + m["loans_s"] + m["fit_s"] for fit, m in found.items()}
            ratios = {
                "window, loans and fit": seconds["immature"] / seconds["ordinary"],
                "fit": found["immature"]["fit_s"] / found["ordinary"]["fit_s"],
                "peak memory": found["immature"]["peak_mib"] / found["ordinary"]["peak_mib"],
            }
            print(f"{algorithm:20} ratio     " + "  ".join(f"{k} {v:.2f}" for k, v in ratios.items()), flush=True)
            slow = max(ratios["window, loans and fit"], ratios["fit"]) > MOST
            failed |= slow or found["immature"]["peak_mib"] > allowed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
