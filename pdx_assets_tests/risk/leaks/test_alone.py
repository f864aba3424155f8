"""The power of one feature, held against the loan-by-loan AUC of metrics/."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.leaks.alone import area, power
from pdx_assets.risk.leaks.tally import ALL, ITV, OTHER_OTV, OTV, TRAIN, Loans, Tally
from pdx_assets.risk.metrics.auc_error import auc_estimate
from pdx_assets.risk.metrics.weights import effective_sizes


def sample(n: int, seed: int, weighted: bool = False) -> tuple[Loans, np.random.Generator]:
    rng = np.random.default_rng(seed)
    part, bad = rng.integers(0, 4, n), (rng.random(n) < 0.3).astype(np.int64)
    weight = rng.uniform(0.2, 5.0, n) if weighted else None
    return Loans.of(part, bad, rng.integers(0, 6, n), weight), rng


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_an_area_from_counts_is_delongs_from_loans(seed: int, weighted: bool) -> None:
    loans, rng = sample(300, seed, weighted)
    score = rng.integers(0, 7, 300) + 2 * loans.bad
    weight = np.ones(300) if loans.weight is None else loans.weight
    counts = np.array([np.bincount(score[loans.bad == c], weight[loans.bad == c], minlength=9) for c in (0, 1)])
    counts = counts * loans.scale(ALL)[:, None]
    found, expected = area(counts[1], counts[0], np.arange(9)), auc_estimate(loans.bad, score / 9, weight=loans.weight)
    assert expected is not None
    assert (found.value, found.error) == pytest.approx((expected.value, expected.standard_error))


@given(st.integers(0, 10_000), st.booleans())
@settings(deadline=None)
def test_a_tally_weighs_what_its_loans_weigh_at_kishs_size(seed: int, weighted: bool) -> None:
    loans, rng = sample(200, seed, weighted)
    cells = [None if c == 0 else float(c) for c in rng.integers(0, 5, 200)]
    tally = Tally.of(pl.Series("x", cells, dtype=pl.Float32), "number", loans)
    weight = np.ones(200) if loans.weight is None else loans.weight
    assert tally.values.tolist() == sorted({c for c in cells if c})
    for part in range(4):
        for c in (0, 1):
            of = (loans.part == part) & (loans.bad == c)
            missing = np.array([cell is None for cell in cells])
            assert tally.weight[part, c, -1] == pytest.approx(weight[of & missing].sum())
            assert tally.weight[part, c].sum() == pytest.approx(weight[of].sum())
    sizes = effective_sizes(loans.bad, weight)
    assert tally.effective().sum(axis=1) == pytest.approx([sizes.goods, sizes.bads])


def test_power_is_found_in_time_out_of_time_and_within_the_later_loans() -> None:
    loans, rng = sample(20_000, 1)
    noise = rng.normal(size=20_000)
    steady = Tally.of(pl.Series("steady", loans.bad + noise), "number", loans)
    # Two bads' means apart by one standard deviation: an AUC of Phi(1 / sqrt 2) = 0.760.
    found = power(steady, 10)
    for area_ in (found.in_time, found.out_of_time, found.own):
        assert area_ is not None and area_.value == pytest.approx(0.760, abs=4 * area_.error + 0.005)
    late = np.isin(loans.part, (OTV, OTHER_OTV))
    gone = power(Tally.of(pl.Series("gone", np.where(late, 0, loans.bad) + noise), "number", loans), 10)
    come = power(Tally.of(pl.Series("come", np.where(late, loans.bad, 0) + noise), "number", loans), 10)
    assert gone.in_time is not None and gone.out_of_time is not None and gone.own is not None
    assert gone.in_time.value > 0.74 and gone.out_of_time.value < 0.53 and gone.own.value < 0.53
    assert come.in_time is not None and come.own is not None
    assert come.in_time.value < 0.53 and come.own.value > 0.74


def test_no_shape_is_assumed() -> None:
    loans, rng = sample(8000, 2)
    # Bads in the middle, goods on both sides; a category of which one level is bad.
    middle = np.where(loans.bad == 1, rng.normal(0, 0.3, 8000), rng.normal(0, 3, 8000))
    found = power(Tally.of(pl.Series("middle", middle), "number", loans), 10)
    assert found.out_of_time is not None and found.out_of_time.value > 0.8
    level = np.where((loans.bad == 1) & (rng.random(8000) < 0.8), "b", rng.choice(["a", "c"], 8000))
    found = power(Tally.of(pl.Series("level", level), "category", loans), 10)
    assert found.out_of_time is not None and found.out_of_time.value > 0.85


def test_too_few_of_a_class_have_no_power() -> None:
    bad = np.zeros(400, dtype=np.int64)
    bad[:24] = 1
    part = np.where(np.arange(400) % 4 == 0, ITV, TRAIN)
    loans = Loans.of(part, bad, np.zeros(400, dtype=np.int64), None)
    found = power(Tally.of(pl.Series("x", bad.astype(float)), "number", loans), 10)
    assert found.in_time is None and found.out_of_time is None and found.own is None
