"""Seconds of DeLong's test: AUCs of many models on the same loans, and their covariance.

Run from the repository: python -m benchmarks.delong [--loans 100000] [--models 12]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from pdx_assets.risk.evidence.delong import delong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loans", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=12)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    risk = random.normal(size=given.loans)
    label = (random.random(given.loans) < 1 / (1 + np.exp(2.5 - risk))).astype(np.int8)
    noisy = risk[:, None] + random.normal(size=(given.loans, given.models))
    pds = (1 / (1 + np.exp(2.5 - noisy))).astype(np.float32)
    start = time.perf_counter()
    found = delong(label, pds)
    seconds = time.perf_counter() - start
    assert found is not None
    print(f"{given.loans:,} loans, {label.sum():,} bads, {given.models} models: {seconds:.2f} s")
    print(f"AUCs {found[0].min():.4f} to {found[0].max():.4f}, standard error {np.sqrt(found[1][0, 0]):.5f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
