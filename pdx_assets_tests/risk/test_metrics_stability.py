"""PSI of numbers and categories, and equal opportunity, against brute force and hand-made samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.fairness import approval_of_goods, equal_opportunity_difference
from pdx_assets.risk.metrics.stability import CategoryBins, NumberBins, psi, psi_by_chance


def test_psi_of_known_shares() -> None:
    expected = (0.2 - 0.5) * math.log(0.2 / 0.5) + (0.8 - 0.5) * math.log(0.8 / 0.5)
    assert psi([0.5, 0.5], [0.2, 0.8]) == pytest.approx(expected, rel=1e-12)
    assert psi([0.2, 0.8], [0.5, 0.5]) == pytest.approx(expected, rel=1e-12)
    assert psi([0.3, 0.7], [0.3, 0.7]) == 0


def test_psi_is_the_sum_of_both_divergences() -> None:
    from scipy.stats import entropy

    random = np.random.default_rng(0)
    r, c = random.dirichlet([5] * 8), random.dirichlet([5] * 8)
    assert psi(r, c) == pytest.approx(entropy(r, c) + entropy(c, r), rel=1e-12)


def test_empty_bins_are_floored_and_empty_samples_are_null() -> None:
    assert psi([1.0, 0.0], [0.9, 0.1]) == pytest.approx(-0.1 * math.log(0.9) + (0.1 - 1e-4) * math.log(1e3), rel=1e-12)
    assert psi([1.0, 0.0], [1.0, 0.0]) == 0
    # Forty categories of 0.001 % that a small month happens not to have are no drift.
    assert psi([0.9996] + [1e-5] * 40, [1.0] + [0.0] * 40) < 1e-6
    assert psi([0.0, 0.0], [0.5, 0.5]) is None
    assert NumberBins.of([1.0, 2.0]).psi([]) is None
    with pytest.raises(PdxError, match="bins"):
        psi([1.0], [0.5, 0.5])


def test_deciles_of_a_continuous_number() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    bins = NumberBins.of(values)
    np.testing.assert_array_equal(bins.edges, np.sort(values)[99:-1:100])
    np.testing.assert_allclose(bins.shares, [0.1] * 10 + [0.0], atol=1e-15)
    np.testing.assert_allclose(bins.edges, np.quantile(values, np.arange(1, 10) / 10, method="inverted_cdf"))


def brute_shares(edges, values, weight):
    counts = [0.0] * (len(edges) + 2)
    for v, w in zip(values, weight, strict=True):
        if math.isnan(v):
            counts[-1] += w
        else:
            counts[sum(1 for e in edges if v > e)] += w
    return np.array(counts) / sum(counts)


numbers = st.lists(
    st.sampled_from([float("nan"), -1e9, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 7.5, 1e9]), min_size=1, max_size=40
)


@settings(max_examples=80, deadline=None)
@given(numbers, numbers, st.integers(2, 10), st.randoms(use_true_random=False))
def test_number_bins_against_brute_force(reference, current, bins, random) -> None:
    weight = np.array([random.choice([0.1, 0.7, 3.3]) for _ in reference])
    made = NumberBins.of(reference, weight, bins=bins)
    assert (np.diff(made.edges) > 0).all()
    np.testing.assert_allclose(made.shares, brute_shares(made.edges, reference, weight), atol=1e-12)
    shares = brute_shares(made.edges, current, np.ones(len(current)))
    np.testing.assert_allclose(made.shares_of(current), shares, atol=1e-12)
    r, c = np.maximum(made.shares, 1e-4), np.maximum(shares, 1e-4)
    assert made.psi(current) == pytest.approx(sum((c - r) * np.log(c / r)), rel=1e-9, abs=1e-12)
    assert made.psi(reference, weight) == pytest.approx(0, abs=1e-12)
    # No bin but one that holds a single distinct value has more than two bins' worth.
    present = np.array(reference)[~np.isnan(reference)]
    for i, share in enumerate(made.shares[:-1]):
        low = made.edges[i - 1] if i else -np.inf
        high = made.edges[i] if i < made.edges.size else np.inf
        assert share <= 2 / bins + 1e-9 or np.unique(present[(present > low) & (present <= high)]).size == 1
    # Row order, to the bit.
    order = random.sample(range(len(reference)), len(reference))
    moved = NumberBins.of(np.array(reference)[order], weight[order], bins=bins)
    assert moved.edges.tolist() == made.edges.tolist()
    assert moved.shares.tolist() == made.shares.tolist()


def test_a_feature_that_is_mostly_zero_or_constant_still_shows_when_it_moves() -> None:
    mostly_zero = np.concatenate([np.zeros(900), np.arange(1, 101)])
    bins = NumberBins.of(mostly_zero)
    assert bins.psi(mostly_zero) == 0
    assert bins.psi(np.concatenate([np.zeros(500), np.arange(1, 101), np.full(400, -3)])) > 1
    for moved in (4.9, 5.1, np.nan):
        assert NumberBins.of(np.full(50, 5.0)).psi(np.full(50, moved)) > 5
    assert NumberBins.of(np.full(50, np.nan)).psi(np.full(9, np.nan)) == 0


def test_missing_is_a_bin_of_its_own() -> None:
    values = np.random.default_rng(1).normal(size=5000)
    gone = np.where(np.arange(5000) % 2, np.nan, values)
    assert NumberBins.of(values).psi(gone) > 1


def test_psi_without_drift_is_what_chance_brings() -> None:
    random = np.random.default_rng(2)
    bins = NumberBins.of(random.normal(size=200_000))
    seen = [bins.psi(random.normal(size=400)) for _ in range(300)]
    assert np.mean(seen) == pytest.approx(psi_by_chance(200_000, 400, 10), rel=0.12)


def test_wrong_bins_and_weights_are_refused() -> None:
    with pytest.raises(PdxError, match="bins is 1"):
        NumberBins.of([1.0, 2.0], bins=1)
    with pytest.raises(PdxError, match="1 of 2 weights"):
        NumberBins.of([1.0, 2.0], [1.0, -1.0])
    with pytest.raises(PdxError, match="Weights have shape"):
        CategoryBins.of(["a", "b"], [1.0])


def test_categories_rare_unseen_and_missing() -> None:
    reference = ["rent"] * 600 + ["own"] * 300 + ["other"] * 5 + [None] * 50 + [""] * 45
    bins = CategoryBins.of(reference)
    assert bins.categories == ("own", "rent")
    np.testing.assert_allclose(bins.shares, [0.3, 0.6, 0.005, 0.095], atol=1e-15)
    assert bins.psi(np.array(reference, dtype=object)[::-1]) == 0
    np.testing.assert_allclose(bins.shares_of(["own", "new", "newer", None, float("nan")]), [0.2, 0, 0.4, 0.4])
    r, c = np.array([0.3, 0.6, 0.005, 0.095]), np.array([0.5, 0.5, 1e-4, 1e-4])
    assert bins.psi(["own", "rent"]) == pytest.approx(((c - r) * np.log(c / r)).sum(), rel=1e-12)


def test_categories_take_weights_and_other_kinds_of_sequence() -> None:
    import polars as pl

    bins = CategoryBins.of(["a", "b"], [3.0, 1.0])
    np.testing.assert_allclose(bins.shares, [0.75, 0.25, 0, 0])
    assert bins.psi(["b", "a", "a"], [2.0, 1.0, 5.0]) == 0
    assert (
        CategoryBins.of(pl.Series(["a", None, "b"])).shares.tolist()
        == CategoryBins.of(["a", None, "b"]).shares.tolist()
    )


def test_row_order_changes_no_bit_of_weighted_shares() -> None:
    random = np.random.default_rng(3)
    values, weight = random.integers(0, 20, 5000), random.random(5000)
    bins, words = NumberBins.of(values, weight), CategoryBins.of(values.astype(str), weight)
    for _ in range(3):
        order = random.permutation(5000)
        assert NumberBins.of(values[order], weight[order]).shares.tolist() == bins.shares.tolist()
        moved = CategoryBins.of(values[order].astype(str), weight[order])
        assert moved.categories == words.categories
        assert moved.shares.tolist() == words.shares.tolist()


# Equal opportunity -------------------------------------------------------------------------------------

LABEL = np.array([0, 0, 0, 1, 0, 0, 0, 1])
PD = np.array([0.1, 0.2, 0.3, 0.1, 0.1, 0.3, 0.3, 0.9])
GROUP = ["a", "a", "a", "a", "b", "b", "b", "b"]


def test_approval_of_goods_at_a_cut_off_counts_goods_only() -> None:
    assert approval_of_goods(LABEL, PD, GROUP, cut_off=0.2, min_goods=1) == {
        "a": pytest.approx(2 / 3),
        "b": pytest.approx(1 / 3),
    }
    assert equal_opportunity_difference(LABEL, PD, GROUP, cut_off=0.2, min_goods=1) == pytest.approx(1 / 3)
    assert equal_opportunity_difference(LABEL, PD, GROUP, cut_off=0.3, min_goods=1) == 0


def test_approval_rate_splits_a_tie_in_proportion() -> None:
    # The safest five of eight: 0.1 three times, 0.2, and one of the three at 0.3.
    rates = approval_of_goods(LABEL, PD, GROUP, approval_rate=5 / 8, min_goods=1)
    assert rates == {"a": pytest.approx((1 + 1 + 1 / 3) / 3), "b": pytest.approx((1 + 2 / 3) / 3)}


def test_equal_opportunity_agrees_with_scikit_learn_recall() -> None:
    from sklearn.metrics import recall_score

    random = np.random.default_rng(0)
    label, pd, weight = random.integers(0, 2, 500), random.random(500), random.random(500)
    group = random.choice(["x", "y", "z"], 500)
    rates = approval_of_goods(label, pd, group, weight, cut_off=0.4)
    for name in "xyz":
        here = group == name
        oracle = recall_score(label[here] == 0, pd[here] <= 0.4, sample_weight=weight[here])
        assert rates[name] == pytest.approx(oracle, rel=1e-12)
    order = random.permutation(500)
    assert approval_of_goods(label[order], pd[order], group[order], weight[order], cut_off=0.4) == rates
    split = approval_of_goods(label, pd.round(1), group, weight, approval_rate=0.5)
    assert approval_of_goods(label[order], pd.round(1)[order], group[order], weight[order], approval_rate=0.5) == split


def test_small_and_unknown_groups_are_left_out() -> None:
    assert approval_of_goods(LABEL, PD, [*"aaaa", "b", None, "", "b"], cut_off=0.2, min_goods=1).keys() == {"a", "b"}
    assert approval_of_goods(LABEL, PD, GROUP, cut_off=0.2) == {}
    assert equal_opportunity_difference(LABEL, PD, GROUP, cut_off=0.2) is None
    assert equal_opportunity_difference(LABEL, PD, ["a"] * 8, cut_off=0.2, min_goods=1) is None
    # Group a has three goods among four loans: its bads do not make it large enough.
    assert approval_of_goods(LABEL, PD, GROUP, cut_off=0.2, min_goods=4) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one"),
        ({"cut_off": 0.1, "approval_rate": 0.5}, "exactly one"),
        ({"approval_rate": 0.0}, "approval"),
    ],
)
def test_cut_off_or_approval_rate(options, message: str) -> None:
    with pytest.raises(PdxError, match=message):
        approval_of_goods(LABEL, PD, GROUP, **options)
    with pytest.raises(PdxError, match="3 groups for 8 loans"):
        approval_of_goods(LABEL, PD, ["a"] * 3, cut_off=0.1)
