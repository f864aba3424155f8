"""Tails and multiple tests against scipy and by their promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pdx_assets.risk.checks.chance import above, holm, jeffreys, same_share


def test_holm_steps_and_never_decreases() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_false_calls_of_a_family_at_the_level() -> None:
    rng = np.random.default_rng(5)
    common = rng.normal(size=(4000, 1))
    p = 1 - stats.norm.cdf(0.5 * common + np.sqrt(0.75) * rng.normal(size=(4000, 20)))
    false = sum(min(holm(list(row))) <= 0.05 for row in p) / 4000
    assert 0.02 < false <= 0.05 + 0.01


@pytest.mark.parametrize(("hits", "n", "others", "m"), [(3, 20, 50, 400), (0, 30, 90, 900), (40, 80, 300, 600)])
def test_same_share_is_twice_the_smaller_exact_tail(hits: int, n: int, others: int, m: int) -> None:
    law = stats.hypergeom(n + m, hits + others, n)
    expected = min(1.0, 2 * min(law.cdf(hits), law.sf(hits - 1)))
    assert same_share(hits, n, others, m) == pytest.approx(expected, rel=1e-8)


def test_same_share_of_impossible_or_certain_events_is_no_surprise() -> None:
    assert same_share(0, 10, 0, 100) == pytest.approx(1.0)
    assert same_share(10, 10, 100, 100) == pytest.approx(1.0)


def test_jeffreys_is_the_ecb_formula() -> None:
    assert jeffreys(12, 200, 0.04) == pytest.approx(stats.beta(12.5, 188.5).cdf(0.04))
    assert jeffreys(0, 50, 0.02) > 0.5


def test_above_is_a_normal_tail_and_certain_without_error() -> None:
    assert above(1.6448536, 1.0) == pytest.approx(0.05, abs=1e-6)
    assert above(0.1, 0.0) == 0.0 and above(0.0, 0.0) == 1.0
