"""The simulated books' common ground: PDs of a stated AUC and mean, and draws that keep to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pdx_assets.risk.synthetic_truth import Axes, draw_bads, shared_out, true_pds


@settings(max_examples=15, deadline=None)
@given(rate=st.floats(0.02, 0.5), auc=st.floats(0.55, 0.93), seed=st.integers(0, 99))
def test_pds_have_the_mean_and_the_auc_asked_for(rate: float, auc: float, seed: int) -> None:
    index = np.random.default_rng(seed).gamma(3.0, 1.0, 1500)
    pd = true_pds(index, bad_rate=rate, auc=auc)
    assert pd.mean() == pytest.approx(rate, abs=1e-9)
    # An oracle of its own: each loan once as a bad of weight PD and once as a good of weight 1 - PD.
    label, score = np.repeat([1, 0], len(pd)), np.concatenate([pd, pd])
    assert roc_auc_score(label, score, sample_weight=np.concatenate([pd, 1 - pd])) == pytest.approx(auc, abs=1e-6)
    order = np.argsort(index)
    assert (np.diff(pd[order]) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(pd=st.lists(st.floats(0.001, 0.999), min_size=1, max_size=200), seed=st.integers(0, 2**31))
def test_as_many_turn_bad_as_the_pds_add_up_to(pd: list[float], seed: int) -> None:
    bad = draw_bads(np.random.default_rng(seed), np.array(pd))
    assert abs(int(bad.sum()) - sum(pd)) <= 1


def test_each_loan_turns_bad_with_its_own_pd() -> None:
    pd = np.array([0.02, 0.1, 0.3, 0.55, 0.9, 0.4])
    rng = np.random.default_rng(5)
    share = np.mean([draw_bads(rng, pd) for _ in range(20_000)], axis=0)
    # Five standard errors of a share of 20,000 draws.
    np.testing.assert_allclose(share, pd, atol=5 * 0.5 / np.sqrt(20_000))


@given(weights=st.lists(st.floats(0.1, 3), min_size=1, max_size=40), spare=st.integers(0, 100_000))
def test_loans_are_shared_out_whole_and_exactly(weights: list[float], spare: int) -> None:
    total = len(weights) + spare
    counts = shared_out(total, np.array(weights))
    assert counts.sum() == total and counts.min() >= 1
    exact = 1 + spare * np.array(weights) / sum(weights)
    assert np.abs(counts - exact).max() < 1


def test_the_axes_are_standard_and_uncorrelated_on_their_population_at_any_angle() -> None:
    rng = np.random.default_rng(1)
    first = rng.gamma(2.0, 1.0, 4000)
    second = 0.7 * first + rng.standard_normal(4000)
    axes = Axes.of(first, second)
    bureau, means = axes.index(first, second, 0.0), axes.index(first, second, np.pi / 2)
    assert np.corrcoef(bureau, means)[0, 1] == pytest.approx(0, abs=1e-9)
    for angle in (0.0, 0.4, 1.3, np.pi / 2):
        index = axes.index(first, second, angle)
        assert (index.mean(), index.std()) == pytest.approx((0, 1), abs=1e-9)
        assert np.corrcoef(bureau, index)[0, 1] == pytest.approx(np.cos(angle), abs=1e-9)
