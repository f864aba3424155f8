"""The PSI check over simulated months: how often it alarms when nothing moved, and what it catches.

Each month has its own reference window: with one window for all, its accidents would be counted 400 times or never.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import beta

from pdx_assets.risk.checks.drift import SCORE, Binned, feature_psi, moved, score_psi
from pdx_assets.risk.spec import Checks

NUMBERS, CATEGORIES = 16, 6
LIMIT_ALONE = Checks(psi_warning=1e-9, psi_alarm=1.0)
"""Without the customary limit, so that it does not do the work of the one by chance."""


def applicants(rng: np.random.Generator, n: int, shift: float = 0.0, missing: float = 0.0) -> dict[str, np.ndarray]:
    """Loans with correlated features: continuous, rounded, mostly 0, counts, missing at 0.3 to 30 %, categories."""
    common = rng.normal(size=n)
    found: dict[str, np.ndarray] = {}
    for i in range(NUMBERS):
        x = 0.5 * common + np.sqrt(0.75) * rng.normal(size=n)
        if i == 0:
            x = x + shift
        kind = i % 4
        if kind == 1:
            x = np.round(x * 2)
        elif kind == 2:
            x = np.where(x > 1.0, np.round(np.exp(x)), 0.0)
        elif kind == 3:
            x = rng.poisson(np.exp(0.3 * x)).astype(float)
        share = missing if i == 1 else (0.0, 0.003, 0.05, 0.3)[(i // 4) % 4]
        found[f"number_{i}"] = np.where(rng.random(n) < share, np.nan, x)
    for i in range(CATEGORIES):
        p = 1.0 / np.arange(1, 4 + 5 * i) ** 1.5
        levels = np.array([f"level {k}" for k in range(p.size)], dtype=object)
        found[f"category_{i}"] = levels[rng.choice(p.size, size=n, p=p / p.sum())]
    found[SCORE] = 1 / (1 + np.exp(-(common - 2 + 0.3 * rng.normal(size=n))))
    return found


def binned(reference: dict[str, np.ndarray], current: dict[str, np.ndarray]) -> list[Binned]:
    return [
        Binned.of_categories(name, values.tolist(), current[name].tolist())
        if name.startswith("category")
        else Binned.of_numbers(name, values, current[name])
        for name, values in reference.items()
    ]


def alarms(seed: int, months: int, sizes: tuple[int, int], *limits: Checks, **planted: float) -> list[int]:
    """Months of ``sizes`` (reference, month) that alarm, by limits; these may differ in the customary limit only."""
    counts = [0] * len(limits)
    for month in range(months):
        rng = np.random.default_rng([seed, month])
        tested = moved(binned(applicants(rng, sizes[0]), applicants(rng, sizes[1], **planted)), limits[0])
        for i, limit in enumerate(limits):
            counts[i] += any(check(limit, tested).status == "failed" for check in (feature_psi, score_psi))
    return counts


def upper_bound(hits: int, of: int) -> float:
    """Clopper and Pearson's one-sided 95 % bound."""
    return float(beta.ppf(0.95, hits + 1, of - hits))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(9600, 800), (1200, 100), (1000, 250), (20_000, 5000)], ids=str)
def test_driftless_months_seldom_alarm(sizes: tuple[int, int], record_property: Callable[[str, object], None]) -> None:
    """At most 5 % nominal over 22 features and the score jointly; the issue allows an upper bound of 8 %."""
    hits, customary = alarms(11, 400, sizes, LIMIT_ALONE, Checks())
    record_property("alarms of 400: by chance's limit alone, as configured", (hits, customary))
    assert upper_bound(hits, 400) <= 0.08
    assert upper_bound(customary, 400) <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("planted", [{"shift": 0.4}, {"missing": 0.1}], ids=str)
def test_the_shift_the_docs_name_is_caught(
    planted: dict[str, float], record_property: Callable[[str, object], None]
) -> None:
    (hits,) = alarms(12, 200, (9600, 800), Checks(), **planted)
    record_property("caught of 200", hits)
    assert hits >= 190
