"""Odds ratios against limits, held against scipy and a table worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nchypergeom_fisher

from pdx_assets.risk.leaks.odds import _tail, odds_beyond, within_strata


@given(
    goods=st.integers(5, 300),
    bads=st.integers(5, 60),
    good_hits=st.integers(0, 300),
    bad_hits=st.integers(0, 60),
    odds=st.floats(0.05, 20),
)
def test_the_tail_is_fishers_noncentral_hypergeometric(
    goods: int, bads: int, good_hits: int, bad_hits: int, odds: float
) -> None:
    good_hits, bad_hits = min(good_hits, goods), min(bad_hits, bads)
    law = nchypergeom_fisher(goods + bads, bads, good_hits + bad_hits, odds)
    expected = law.sf(bad_hits - 1) if odds > 1 else law.cdf(bad_hits)
    found = _tail(np.array([good_hits, bad_hits], dtype=float), np.array([goods, bads], dtype=float), odds)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("limit", [3.0, 6.0])
def test_an_odds_ratio_at_the_limit_is_called_as_often_as_chance_says(limit: float) -> None:
    rng, goods, bads, share = np.random.default_rng(1), 3000, 250, 0.1
    worse = limit * share / (1 - share) / (1 + limit * share / (1 - share))
    chances = [
        odds_beyond(
            np.array([rng.binomial(goods, share), rng.binomial(bads, worse)], dtype=float),
            np.array([goods, bads], dtype=float),
            limit,
        ).chance
        for _ in range(4000)
    ]
    assert np.mean(np.array(chances) <= 0.05) == pytest.approx(0.05, abs=0.012)
    assert np.mean(np.array(chances) <= 0.01) <= 0.016


@given(st.floats(0.02, 0.9), st.floats(1.0, 50.0), st.integers(200, 5000))
def test_an_odds_ratio_within_the_limit_is_never_sure(share: float, limit: float, size: int) -> None:
    hits = np.array([size * share, size * share])
    assert odds_beyond(hits, np.array([size, size], dtype=float), limit + 0.1).chance >= 0.4


def test_both_sides_are_alike() -> None:
    sizes = np.array([1000.0, 200.0])
    one = odds_beyond(np.array([20.0, 100.0]), sizes, 3.0)
    other = odds_beyond(sizes - np.array([20.0, 100.0]), sizes, 3.0)
    assert one.ratio == pytest.approx(1 / other.ratio) and one.chance == pytest.approx(other.chance)
    assert one.distance == pytest.approx(other.distance)


def test_mantel_and_haenszels_ratio_is_that_of_its_strata() -> None:
    # Two strata with the odds ratio 1 each; pooled it is 6.7: Simpson's paradox.
    hits = np.array([[90.0, 10.0], [9.0, 100.0]])
    misses = np.array([[10.0, 90.0], [1.0, 900.0]])
    assert within_strata(hits, misses) == pytest.approx(1.0)
    # R = (40 * 90 / 150 + 5 * 45 / 60), S = (10 * 10 / 150 + 5 * 5 / 60), by hand.
    hits, misses = np.array([[10.0, 5.0], [40.0, 5.0]]), np.array([[90.0, 45.0], [10.0, 5.0]])
    assert within_strata(hits, misses) == pytest.approx((40 * 90 / 150 + 5 * 45 / 60) / (10 * 10 / 150 + 5 * 5 / 60))


def test_strata_without_both_say_nothing_and_one_side_alone_is_without_end() -> None:
    assert within_strata(np.array([[5.0, 0.0], [5.0, 0.0]]), np.array([[0.0, 5.0], [0.0, 5.0]])) is None
    assert within_strata(np.array([[0.0], [5.0]]), np.array([[5.0], [5.0]])) == float("inf")
