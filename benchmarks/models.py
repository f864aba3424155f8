"""Seconds and peak memory of one fit and one study per algorithm, each in its own process on one thread.

Run: python benchmarks/models.py [--rows 10000] [--columns 100] [--trials 20] [--algorithm xgboost ...]

Rows are train loans; ITV has a third as many. A quarter of the columns are log-normal, a third have 15 %
of their cells missing, the last two are categories of 12 levels; 4 % of the loans are bad. Peak memory is
the process's, and is set against the float32 matrix of train and ITV loans x inputs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

ALGORITHMS = ("logistic_regression", "random_forest", "xgboost", "neural_network")


def samples(rows: int, columns: int):
    import numpy as np

    from pdx_assets.risk.models.matrix import LoanMatrix, Sample

    rng = np.random.default_rng(0)
    loans, numbers = rows + rows // 3, columns - 2
    X = rng.standard_normal((loans, numbers), dtype=np.float32)
    np.exp(X[:, : numbers // 4], out=X[:, : numbers // 4])
    log_odds = -3.6 + 0.6 * X[:, -1] - 0.5 * X[:, -2] * (X[:, -3] > 0) + 0.3 * np.log(X[:, 0]) + 0.3 * X[:, -4]
    label = (rng.random(loans) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
    for j in range(numbers):
        if j % 3 == 0:
            X[rng.random(loans) < 0.15, j] = np.nan
    levels = np.array([f"level {i}" for i in range(12)], object)
    categories = levels[rng.integers(0, 12, (loans, 2))]
    names = tuple(f"n{j}" for j in range(numbers)), ("c0", "c1")

    def part(rows: slice) -> Sample:
        return Sample(LoanMatrix(X[rows], categories[rows], *names), label[rows])

    return part(slice(0, rows)), part(slice(rows, None)), X.nbytes


def measure(algorithm: str, rows: int, columns: int, trials: int) -> dict[str, float]:
    from pdx_assets.risk.models.training import train
    from pdx_assets.risk.models.tuning import tune

    fit, itv, matrix_bytes = samples(rows, columns)
    measured: dict[str, float] = {"matrix_mib": matrix_bytes / 2**20}
    if trials:
        start, cpu = time.perf_counter(), time.process_time()
        study = tune(algorithm, fit, itv, objective="auc", trials=trials, seed=0)
        measured |= {"study_s": time.perf_counter() - start, "study_cpu_s": time.process_time() - cpu}
        measured["failed_trials"] = sum(trial["value"] is None for trial in study.trials)
    start, cpu = time.perf_counter(), time.process_time()
    train(algorithm, fit, itv, study.best_params if trials else {}, seed=0)
    measured |= {"fit_s": time.perf_counter() - start, "fit_cpu_s": time.process_time() - cpu}
    measured["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measured["allowed_mib"] = 3 * measured["matrix_mib"] + 0.7 * 1024
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--algorithm", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--here", action="store_true", help="in this process; prints JSON")
    given = parser.parse_args()
    if given.here:
        print(json.dumps(measure(given.algorithm[0], given.rows, given.columns, given.trials)))
        return
    size = ["--rows", str(given.rows), "--columns", str(given.columns), "--trials", str(given.trials)]
    print(f"{given.rows} train loans x {given.columns} inputs, {given.trials} trials")
    for algorithm in given.algorithm:
        command = [sys.executable, __file__, "--here", "--algorithm", algorithm, *size]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        measured = json.loads(done.stdout.splitlines()[-1])
        print(f"{algorithm:20}", "  ".join(f"{key} {value:.2f}" for key, value in measured.items()), flush=True)


if __name__ == "__main__":
    main()
