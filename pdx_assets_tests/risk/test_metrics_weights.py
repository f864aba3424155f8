"""Effective sizes by class against the variances they stand for, and what depends on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.metrics.calibration import calibration_table
from pdx_assets.risk.metrics.fairness import approval_of_goods
from pdx_assets.risk.metrics.summary import evaluate
from pdx_assets.risk.metrics.weights import ClassWeights, effective_size, effective_sizes

WEIGHTS = st.lists(st.sampled_from([0.1, 0.5, 1.0, 3.0, 40.0]), min_size=1, max_size=25)
CLOSE = {"rel": 1e-12}


def weighted(bads: list[float], goods: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([1, 0], [len(bads), len(goods)]), np.array(bads + goods)


@given(WEIGHTS, WEIGHTS)
@settings(deadline=None)
def test_the_size_of_a_bad_rate_is_that_of_its_linearized_variance(bads: list[float], goods: list[float]) -> None:
    label, weight = weighted(bads, goods)
    sums = ClassWeights.of(label, weight)
    rate = np.average(label, weights=weight)
    assert sums.bad_rate == pytest.approx(rate, **CLOSE)
    variance = (weight**2 * (label - rate) ** 2).sum() / weight.sum() ** 2
    assert sums.rate_size() == pytest.approx(rate * (1 - rate) / variance, rel=1e-9)
    kish = effective_sizes(label, weight)
    assert (sums.sizes.bads, sums.sizes.goods) == (
        pytest.approx(kish.bads, **CLOSE),
        pytest.approx(kish.goods, **CLOSE),
    )
    by_class = rate**2 * (1 - rate) ** 2 * (1 / kish.bads + 1 / kish.goods)
    assert variance == pytest.approx(by_class, rel=1e-9)


@given(WEIGHTS, WEIGHTS, st.sampled_from([0.01, 7.0]))
@settings(deadline=None)
def test_the_scale_of_the_weights_does_not_matter_and_sums_add_up(
    bads: list[float], goods: list[float], scale: float
) -> None:
    label, weight = weighted(bads, goods)
    assert ClassWeights.of(label, weight * scale).rate_size() == pytest.approx(
        ClassWeights.of(label, weight).rate_size(), rel=1e-9
    )
    half = label.size // 2
    parts = ClassWeights.of(label[:half], weight[:half]) + ClassWeights.of(label[half:], weight[half:])
    assert parts.rate_size() == pytest.approx(ClassWeights.of(label, weight).rate_size(), rel=1e-9)


@pytest.mark.parametrize(("bads", "goods"), [(3, 40), (0, 7), (5, 0), (1_000_003, 7)])
def test_without_weights_the_size_is_the_count_to_the_bit(bads: int, goods: int) -> None:
    label = np.repeat([1, 0], [bads, goods])
    for weight in (None, np.ones(label.size), np.ones(label.size, np.float32)):
        assert ClassWeights.of(label, weight).rate_size() == bads + goods
    assert ClassWeights.of([], []).rate_size() == 0


def test_the_size_predicts_how_bad_rates_scatter_where_pooled_weights_do_not() -> None:
    """8 % bads, all kept; one good in ten, weighted 10: variance over many samples."""
    random = np.random.default_rng(3)
    bads = random.binomial(6000, 0.08, 4000)
    goods = random.binomial(6000 - bads, 0.1)
    rates = bads / (bads + 10.0 * goods)
    typical = ClassWeights(480, 5520, 480, 55_200)
    predicted = 0.08 * 0.92 / typical.rate_size()
    assert rates.var() / predicted == pytest.approx(1, abs=0.1)
    pooled = effective_size(np.repeat([1.0, 10.0], [480, 552]))
    assert rates.var() / (0.08 * 0.92 / pooled) < 0.3


def test_a_band_without_bads_knows_what_a_bad_would_have_weighed() -> None:
    """One good in ten is kept and every bad: 50 goods without a bad are 500 loans without one."""
    label = np.repeat([0, 1, 0], [50, 40, 40])
    pd = np.repeat([0.01, 0.5, 0.5], [50, 40, 40])
    low, high = calibration_table(label, pd, np.where(label == 1, 1.0, 10.0), edges=[0.1])
    assert low.effective_size == pytest.approx(500)
    assert low.bad_rate_high < 0.01
    assert high.effective_size < 400
    only = calibration_table(label[:50], pd[:50], np.full(50, 10.0), bands=1)[0]
    assert only.effective_size == pytest.approx(50), "no bad anywhere: nothing is known of its weight"


def test_the_size_of_a_test_is_that_of_the_bad_rate_where_pds_are_one_and_smaller_where_they_spread() -> None:
    label = np.repeat([1, 0], [80, 92])
    weight = np.where(label == 1, 1.0, 10.0)
    flat = calibration_table(label, np.full(172, 0.08), weight, bands=1)[0]
    assert flat.bad_rate == pytest.approx(0.08)
    assert flat.test_size == pytest.approx(flat.effective_size, **CLOSE)
    spread = np.where(np.arange(172) % 8 == 0, 0.4, 0.03)
    wide = calibration_table(label, spread, weight, bands=1)[0]
    assert wide.test_size < 0.8 * flat.test_size
    plain = calibration_table(label, spread, bands=1)[0]
    assert plain.test_size == plain.effective_size == 172


def test_a_group_of_goods_is_left_out_by_its_effective_size() -> None:
    label, pd = np.zeros(120, np.int8), np.full(120, 0.1)
    group = ["a"] * 60 + ["b"] * 60
    weight = np.where(np.arange(120) < 60, 1.0, np.where(np.arange(120) % 20 == 0, 200.0, 1.0))
    assert approval_of_goods(label, pd, group, cut_off=0.2).keys() == {"a", "b"}
    assert approval_of_goods(label, pd, group, weight, cut_off=0.2).keys() == {"a"}


@given(st.integers(1, 5000), st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_loans_that_weigh_the_same_are_as_many_as_they_are(n: int, weight: float) -> None:
    """Thirty bads of one weight could come to 29.999999999999996, too few for a contest that needs thirty."""
    added = sum((ClassWeights(weight, 0.0, weight**2, 0.0) for _ in range(n)), ClassWeights(0.0, 0.0, 0.0, 0.0))
    assert added.sizes.bads == n
    assert evaluate(np.ones(n), np.full(n, 0.1), np.full(n, weight)).get("effective_bads", n) == n


@given(WEIGHTS, WEIGHTS)
@settings(deadline=None)
def test_metrics_say_how_many_loans_they_are_worth(bads: list[float], goods: list[float]) -> None:
    label, weight = weighted(bads, goods)
    kish, found = effective_sizes(label, weight), evaluate(label, np.linspace(0.1, 0.9, label.size), weight)
    assert found.get("effective_bads", found["n_bads"]) == pytest.approx(kish.bads, **CLOSE)
    assert "effective_bads" not in evaluate(label, np.linspace(0.1, 0.9, label.size))
