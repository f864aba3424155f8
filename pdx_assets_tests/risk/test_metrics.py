"""Metrics of labelled PDs against scikit-learn, SciPy and brute-force oracles that share no code with them."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics import calibration, discrimination
from pdx_assets.risk.metrics.calibration import calibration_table, wilson_interval
from pdx_assets.risk.metrics.discrimination import roc_points
from pdx_assets.risk.metrics.score_table import tabulate
from pdx_assets.risk.metrics.summary import evaluate
from pdx_assets.risk.metrics.weights import effective_size, effective_sizes

TIGHT = {"rel": 1e-12, "abs": 1e-12}
ALL = {
    name: getattr(module, name)
    for module, names in (
        (discrimination, ("auc", "gini", "ks", "capture_rate", "recall", "precision", "f1", "average_precision")),
        (calibration, ("brier", "log_loss", "calibration_intercept", "calibration_slope")),
    )
    for name in names
}
NEEDS_BOTH_CLASSES = [name for name in ALL if name not in ("brier", "log_loss")]


def book(seed: int, n: int = 400, *, ties: bool = False, weighted: bool = False):
    """A random book: label, PD, weight (None unless weighted)."""
    random = np.random.default_rng(seed)
    x = random.normal(-2, 1.2, n)
    pd = 1 / (1 + np.exp(-x))
    label = (random.random(n) < 1 / (1 + np.exp(-(0.3 + 0.8 * x)))).astype(np.int8)
    label[:2] = (0, 1)
    if ties:
        pd = np.round(pd, 1)
    return label, pd, random.choice([0.5, 1.0, 2.5, random.random()], n) if weighted else None


CASES = [(seed, ties, weighted) for seed in (0, 1) for ties in (False, True) for weighted in (False, True)]


@st.composite
def books(draw, weights: bool = True):
    """Small books full of ties, as lists."""
    n = draw(st.integers(2, 25))
    grid = st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.3, 0.5, 0.7, 1.0])
    label = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    pd = draw(st.lists(grid, min_size=n, max_size=n))
    weight = draw(st.lists(st.sampled_from([0.0, 0.1, 0.3, 1.0, 7.0]), min_size=n, max_size=n)) if weights else None
    return np.array(label, dtype=np.int8), np.array(pd), None if weight is None else np.array(weight)


def both_classes(label, weight) -> bool:
    w = np.ones(label.size) if weight is None else weight
    return w[label == 1].sum() > 0 and w[label == 0].sum() > 0


# Oracles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "ties", "weighted"), CASES)
def test_agrees_with_scikit_learn(seed: int, ties: bool, weighted: bool) -> None:
    from sklearn import metrics as oracle

    label, pd, weight = book(seed, ties=ties, weighted=weighted)
    ours = {name: metric(label, pd, weight) for name, metric in ALL.items()}
    assert ours["auc"] == pytest.approx(oracle.roc_auc_score(label, pd, sample_weight=weight), **TIGHT)
    assert ours["gini"] == pytest.approx(2 * oracle.roc_auc_score(label, pd, sample_weight=weight) - 1, **TIGHT)
    expected = oracle.average_precision_score(label, pd, sample_weight=weight)
    assert ours["average_precision"] == pytest.approx(expected, **TIGHT)
    assert ours["brier"] == pytest.approx(oracle.brier_score_loss(label, pd, sample_weight=weight), **TIGHT)
    assert ours["log_loss"] == pytest.approx(oracle.log_loss(label, pd, sample_weight=weight), **TIGHT)

    fpr, tpr, threshold = oracle.roc_curve(label, pd, sample_weight=weight, drop_intermediate=False)
    assert ours["ks"] == pytest.approx(np.abs(tpr - fpr).max(), **TIGHT)
    points = roc_points(label, pd, weight)
    assert points is not None
    np.testing.assert_allclose(points.fpr, fpr, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(points.tpr, tpr, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(points.threshold, threshold)
    assert np.trapezoid(points.tpr, points.fpr) == pytest.approx(ours["auc"], **TIGHT)


def test_agrees_with_scipy() -> None:
    from scipy import stats

    for seed in range(4):
        label, pd, _ = book(seed, ties=seed % 2 == 1)
        bads, goods = pd[label == 1], pd[label == 0]
        u = stats.mannwhitneyu(bads, goods).statistic
        assert ALL["auc"](label, pd) == pytest.approx(u / (bads.size * goods.size), **TIGHT)
        assert ALL["ks"](label, pd) == pytest.approx(stats.ks_2samp(bads, goods).statistic, **TIGHT)
        assert ALL["gini"](label, pd) == pytest.approx(stats.somersd(label, pd).statistic, **TIGHT)


@settings(max_examples=60, deadline=None)
@given(books())
def test_auc_counts_pairs(data) -> None:
    label, pd, weight = data
    assume(both_classes(label, weight))
    won = total = Fraction(0)
    for i in np.flatnonzero(label == 1):
        for j in np.flatnonzero(label == 0):
            mass = Fraction(float(weight[i])) * Fraction(float(weight[j]))
            total += mass
            won += mass * (1 if pd[i] > pd[j] else Fraction(1, 2) if pd[i] == pd[j] else 0)
    assert ALL["auc"](label, pd, weight) == pytest.approx(float(won / total), **TIGHT)


def greedy_top(label, pd, weight, share):
    """(bads captured, weight taken) going down the PDs one distinct value at a time, in exact fractions."""
    left = Fraction(share) * sum(Fraction(float(w)) for w in weight)
    taken, captured = Fraction(0), Fraction(0)
    for value in sorted(set(pd.tolist()), reverse=True):
        here = pd == value
        mass = sum((Fraction(float(w)) for w in weight[here]), Fraction(0))
        if mass == 0:
            continue
        part = min(Fraction(1), left / mass)
        captured += part * sum((Fraction(float(w)) for w in weight[here & (label == 1)]), Fraction(0))
        taken, left = taken + part * mass, left - part * mass
    return captured, taken


@settings(max_examples=60, deadline=None)
@given(books(), st.sampled_from([0.05, 0.3, 0.5, 1.0]))
def test_metrics_at_a_cut_split_ties_in_proportion(data, share: float) -> None:
    label, pd, weight = data
    assume(both_classes(label, weight))
    captured, taken = greedy_top(label, pd, weight, share)
    bads = sum(Fraction(float(w)) for w in weight[label == 1])
    p, r = captured / taken, captured / bads
    assert ALL["recall"](label, pd, weight, share) == pytest.approx(float(r), **TIGHT)
    assert ALL["capture_rate"](label, pd, weight, share) == pytest.approx(float(r), **TIGHT)
    assert ALL["precision"](label, pd, weight, share) == pytest.approx(float(p), **TIGHT)
    harmonic = 2 * p * r / (p + r) if captured else Fraction(0)
    assert ALL["f1"](label, pd, weight, share) == pytest.approx(float(harmonic), **TIGHT)


def test_capture_at_a_cut_through_a_tie_is_the_mean_over_all_orders() -> None:
    label = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    pd = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    random = np.random.default_rng(0)
    observed = []
    for _ in range(4000):
        order = random.permutation(10)
        top = order[np.argsort(-pd[order], kind="stable")][:3]
        observed.append(label[top].sum() / 2)
    # Three of ten are taken: the 0.9, and two of the four at 0.5, one of which is bad: 1 + 2/4 of 2 bads.
    assert ALL["capture_rate"](label, pd) == pytest.approx(0.75, **TIGHT)
    assert np.mean(observed) == pytest.approx(0.75, abs=0.02)


def test_agrees_with_scikit_learn_where_the_cut_falls_between_pds() -> None:
    from sklearn.metrics import f1_score, precision_score, recall_score

    label, pd, _ = book(3, n=1000)
    called_bad = pd >= np.sort(pd)[-300]
    for name, oracle in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        assert ALL[name](label, pd) == pytest.approx(oracle(label, called_bad), **TIGHT)


@pytest.mark.parametrize(("seed", "ties", "weighted"), CASES)
def test_calibration_intercept_is_the_root_scipy_finds(seed: int, ties: bool, weighted: bool) -> None:
    from scipy.optimize import brentq
    from scipy.special import expit, logit

    label, pd, weight = book(seed, ties=ties, weighted=weighted)
    w = np.ones(label.size) if weight is None else weight
    x = logit(np.clip(pd, 2.0**-24, 1 - 2.0**-24))
    root = brentq(lambda a: float((w * (expit(x + a) - label)).sum()), -60, 60, xtol=1e-15, rtol=1e-15, maxiter=500)
    assert ALL["calibration_intercept"](label, pd, weight) == pytest.approx(root, **TIGHT)


@pytest.mark.parametrize(("seed", "ties", "weighted"), CASES)
def test_calibration_slope_is_that_of_an_exact_logistic_regression(seed: int, ties: bool, weighted: bool) -> None:
    from scipy.optimize import root
    from scipy.special import expit, logit

    label, pd, weight = book(seed, ties=ties, weighted=weighted)
    w = np.ones(label.size) if weight is None else weight
    x = logit(np.clip(pd, 2.0**-24, 1 - 2.0**-24))

    def score(ab):
        residual = w * (label - expit(ab[0] + ab[1] * x))
        return [residual.sum(), (residual * x).sum()]

    found = root(score, [0.0, 1.0], tol=1e-15).x
    slope = ALL["calibration_slope"](label, pd, weight)
    assert slope == pytest.approx(found[1], rel=1e-9)
    # MINPACK stops at about 1e-10; the score equations themselves must be solved to rounding.
    assert np.abs(score([_intercept_given(slope, x, label, w), slope])).max() < 1e-10 * w.sum()


def _intercept_given(slope, x, label, w):
    from scipy.optimize import brentq
    from scipy.special import expit

    return brentq(lambda a: float((w * (expit(a + slope * x) - label)).sum()), -80, 80, xtol=1e-15, rtol=1e-15)


def test_calibration_slope_agrees_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    label, pd, weight = book(5, n=2000, weighted=True)
    x = np.log(pd / (1 - pd))[:, None]
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=200)
    model.fit(x, label, sample_weight=weight)
    assert ALL["calibration_slope"](label, pd, weight) == pytest.approx(model.coef_[0, 0], rel=1e-8)


# Known answers -----------------------------------------------------------------------------------------


def test_recalibration_recovers_the_distortion_planted() -> None:
    random = np.random.default_rng(0)
    true = 1 / (1 + np.exp(-random.normal(-2.5, 1, 400_000)))
    label = random.random(true.size) < true
    logit = np.log(true / (1 - true))
    assert ALL["calibration_intercept"](label, true) == pytest.approx(0, abs=0.02)
    assert ALL["calibration_slope"](label, true) == pytest.approx(1, abs=0.02)
    spread, low = 1 / (1 + np.exp(-2 * logit)), 1 / (1 + np.exp(-(logit - 0.7)))
    assert ALL["calibration_slope"](label, spread) == pytest.approx(0.5, abs=0.01)
    assert ALL["calibration_intercept"](label, low) == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize(
    ("scale", "middle"), [(1e-7, 0.03), (1e-4, 0.999), (30.0, 0.5)], ids=["hardly differ", "near one", "wild"]
)
def test_slope_converges_on_awkward_pds(scale: float, middle: float) -> None:
    from scipy.special import expit, logit

    label, _, _ = book(7)
    x = logit(middle) + scale * np.random.default_rng(7).normal(0, 1, label.size)
    slope = ALL["calibration_slope"](label, expit(x))
    used = logit(np.clip(expit(x), 2.0**-24, 1 - 2.0**-24))
    assert slope is not None
    z = (used - used.mean()) / used.std()
    residual = label - expit(
        _intercept_given(slope * used.std(), z, label, np.ones(label.size)) + slope * used.std() * z
    )
    assert abs((residual * z).sum()) < 1e-8


def test_certain_pds_are_measured_not_refused() -> None:
    label, pd = np.array([1, 0, 1, 0, 1, 0]), np.array([0.0, 1.0, 1.0, 0.0, 0.4, 0.4])
    result = evaluate(label, pd)
    assert result["log_loss"] == pytest.approx((2 * -math.log(2**-52) - math.log(0.4) - math.log(0.6)) / 6, rel=1e-12)
    assert all(v is not None and math.isfinite(v) for v in result.values())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_intercept_of_pds_at_both_ends_is_not_lost_in_rounding(scale: float) -> None:
    # One bad at 1 - e and goods at e, three times its weight: e exp(-a) = 3 e exp(a), so a = -ln(3) / 2,
    # but for terms of the size of e = 6e-8.
    found = ALL["calibration_intercept"]([1, 0], [1.0, 0.0], [scale, 3 * scale])
    assert found == pytest.approx(-math.log(3) / 2, rel=1e-6)
    assert found == pytest.approx(ALL["calibration_intercept"]([1, 0], [1.0, 0.0], [1, 3]), rel=1e-9)


def test_hand_made_book() -> None:
    """Ten loans, three bad; figures worked out on paper."""
    label = [1, 1, 0, 0, 1, 0, 0, 0, 0, 0]
    pd = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    assert evaluate(label, pd) == {
        "auc": pytest.approx(19 / 21),
        "ks": pytest.approx(1 - 2 / 7),
        "f1": pytest.approx(2 / 3),
        "capture_rate_top3_deciles": pytest.approx(2 / 3),
        "average_precision": pytest.approx((1 + 1 + 3 / 5) / 3),
        "brier": pytest.approx((0.01 + 0.04 + 0.49 + 0.36 + 0.25 + 0.16 + 0.09 + 0.04 + 0.01 + 0.0025) / 10),
        "log_loss": pytest.approx(-np.log([0.9, 0.8, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]).mean()),
        "calibration_intercept": ALL["calibration_intercept"](label, pd),
        "calibration_slope": ALL["calibration_slope"](label, pd),
        "n_loans": 10,
        "n_bads": 3,
        "bad_rate": pytest.approx(0.3),
        "mean_pd": pytest.approx(0.455),
    }


def test_float32_pds_are_measured_in_float64() -> None:
    label, pd, _ = book(2)
    single = pd.astype(np.float32)
    assert evaluate(label, single) == evaluate(label, single.astype(np.float64))


# Properties --------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(books(), st.booleans(), st.randoms(use_true_random=False))
def test_row_order_changes_no_bit(data, weighted: bool, random) -> None:
    label, pd, weight = data
    weight = weight if weighted else None
    order = np.array(random.sample(range(label.size), label.size))
    moved = None if weight is None else weight[order]
    assert evaluate(label[order], pd[order], moved) == evaluate(label, pd, weight)
    assert calibration_table(label[order], pd[order], moved) == calibration_table(label, pd, weight)
    if weight is not None:
        assert effective_sizes(label[order], moved) == effective_sizes(label, weight)


def test_row_order_changes_no_bit_in_a_large_weighted_book() -> None:
    label, pd, _ = book(11, n=20_000, ties=True)
    weight = np.random.default_rng(11).random(label.size)
    first = evaluate(label, pd, weight)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(label.size)
        assert evaluate(label[order], pd[order], weight[order]) == first


@settings(max_examples=40, deadline=None)
@given(books())
def test_whole_weights_are_repeated_rows(data) -> None:
    label, pd, _ = data
    times = np.random.default_rng(label.size).integers(0, 4, label.size)
    weighted = evaluate(label, pd, times)
    repeated = evaluate(np.repeat(label, times), np.repeat(pd, times))
    for name in repeated.keys() - {"n_loans", "n_bads"}:
        near = 1e-6 if name.startswith("calibration") else 1e-12
        expected = None if repeated[name] is None else pytest.approx(repeated[name], rel=near, abs=near)
        assert weighted[name] == expected


@settings(max_examples=40, deadline=None)
@given(books(), st.sampled_from([1e-3, 0.25, 3.0, 1e6]))
def test_scale_of_weights_does_not_matter(data, factor: float) -> None:
    label, pd, weight = data
    first, scaled = evaluate(label, pd, weight), evaluate(label, pd, weight * factor)
    for name, value in first.items():
        # Recalibration is ill-conditioned where every loan's PD is 0 or 1.
        near = 1e-6 if name.startswith("calibration") else 1e-12
        assert scaled[name] == (None if value is None else pytest.approx(value, rel=near, abs=near))


@settings(max_examples=40, deadline=None)
@given(books(weights=False))
def test_ranges(data) -> None:
    label, pd, _ = data
    assume(0 < label.sum() < label.size)
    value = {name: metric(label, pd) for name, metric in ALL.items()}
    assert -1e-12 <= value["auc"] <= 1 + 1e-12
    assert value["ks"] >= abs(value["gini"]) / 2 - 1e-12  # the ROC curve lies within KS of the diagonal
    assert 0 <= value["f1"] <= 1
    assert 0 < value["average_precision"] <= 1 + 1e-12
    assert value["auc"] + ALL["auc"](1 - label, pd) == pytest.approx(1, **TIGHT)
    # A strictly rising change of the PDs cannot change a ranking metric.
    for name in ("auc", "ks", "capture_rate", "average_precision"):
        assert ALL[name](label, pd**3 / 2 + pd / 2) == pytest.approx(value[name], **TIGHT)


# Undefined, and wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, 1])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
def test_one_class_is_null_never_zero_or_a_half(bad: int, weight) -> None:
    label, pd = [bad] * 3, [0.1, 0.2, 0.7]
    for name in NEEDS_BOTH_CLASSES:
        assert ALL[name](label, pd, weight) is None, name
    assert roc_points(label, pd, weight) is None
    assert ALL["brier"](label, pd) == pytest.approx(np.mean((np.array(pd) - bad) ** 2))
    assert ALL["log_loss"](label, pd) == pytest.approx(-np.mean(np.log(pd if bad else 1 - np.array(pd))))


def test_a_class_without_weight_is_no_class() -> None:
    assert ALL["auc"]([1, 0, 0], [0.5, 0.2, 0.6], [0.0, 1.0, 1.0]) is None


def test_no_loans() -> None:
    result = evaluate(np.array([]), np.array([]))
    assert result.pop("n_loans") == 0
    assert result.pop("n_bads") == 0
    assert set(result.values()) == {None}
    assert calibration_table([], []) == ()


@pytest.mark.parametrize(
    ("label", "pd"),
    [([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8]), ([0, 1, 0, 1], [0.9, 0.1, 0.5, 0.5]), ([0, 1, 1], [0.4, 0.4, 0.4])],
    ids=["separated", "reversed and touching", "equal PDs"],
)
def test_slope_is_null_where_its_estimate_is_infinite_or_arbitrary(label, pd) -> None:
    assert ALL["calibration_slope"](label, pd) is None
    assert ALL["calibration_intercept"](label, pd) is not None


@pytest.mark.parametrize(
    ("label", "pd", "weight", "message"),
    [
        ([0, 1, 0], [0.1, float("nan"), 0.2], None, "1 of 3 PDs are NaN and 0 lie outside"),
        ([0, 1, 0], [-0.1, 1.5, 0.2], None, "0 of 3 PDs are NaN and 2 lie outside"),
        ([0, 1, 0], [0.1, np.inf, 0.2], None, "1 lie outside"),
        ([0, 2, -1], [0.1, 0.2, 0.2], None, "2 of 3 labels are neither 0 nor 1"),
        ([0, 1, float("nan")], [0.1, 0.2, 0.2], None, "1 of 3 labels"),
        ([0, 1], [0.1, 0.2, 0.3], None, r"shape \(2,\) and PDs \(3,\)"),
        ([[0, 1]], [[0.1, 0.2]], None, "shape"),
        ([0, 1], [0.1, 0.2], [1.0, -1.0], "1 of 2 weights are negative or not finite"),
        ([0, 1], [0.1, 0.2], [np.nan, np.inf], "2 of 2 weights"),
        ([0, 1], [0.1, 0.2], [1.0], "Weights have shape"),
    ],
)
def test_wrong_input_is_refused_with_its_count(label, pd, weight, message: str) -> None:
    for call in (evaluate, roc_points, calibration_table, *ALL.values()):
        with pytest.raises(PdxError, match=message):
            call(label, pd, weight)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(PdxError, match="share is"):
        ALL["capture_rate"]([0, 1], [0.1, 0.2], None, share)


# Calibration table, effective sizes --------------------------------------------------------------------


def test_calibration_table_counts_every_loan_once_and_never_parts_ties() -> None:
    label, pd, weight = book(4, n=1000, ties=True, weighted=True)
    table = calibration_table(label, pd, weight)
    assert sum(band.n_loans for band in table) == 1000
    assert sum(band.weight for band in table) == pytest.approx(weight.sum())
    for before, after in itertools.pairwise(table):
        assert before.pd_to < after.pd_from
    for band in table:
        here = (pd >= band.pd_from) & (pd <= band.pd_to)
        assert band.n_loans == here.sum()
        assert band.bad_rate == pytest.approx(np.average(label[here], weights=weight[here]), **TIGHT)
        assert band.mean_pd == pytest.approx(np.average(pd[here], weights=weight[here]), **TIGHT)
        # The linearized variance of a weighted share, whose effective size is that of an unweighted one.
        variance = (weight[here] ** 2 * (label[here] - band.bad_rate) ** 2).sum() / weight[here].sum() ** 2
        if 0 < band.bad_rate < 1:
            expected = band.bad_rate * (1 - band.bad_rate) / variance
            assert band.effective_size == pytest.approx(expected, **TIGHT)
        assert band.bad_rate_low <= band.bad_rate <= band.bad_rate_high


def test_calibration_table_bands_are_deciles_without_ties() -> None:
    label, pd, _ = book(4, n=1000)
    table = calibration_table(label, pd)
    assert [band.n_loans for band in table] == [100] * 10
    ordered = np.sort(pd)
    assert [band.pd_from for band in table] == ordered[::100].tolist()


def test_calibration_table_takes_rating_grades() -> None:
    table = calibration_table([0, 0, 1, 1], [0.01, 0.02, 0.2, 0.9], edges=[0.01, 0.05, 0.5, 0.6])
    assert [(band.pd_from, band.pd_to, band.n_loans) for band in table] == [
        (0.01, 0.01, 1),
        (0.02, 0.02, 1),
        (0.2, 0.2, 1),
        (0.9, 0.9, 1),
    ]
    with pytest.raises(PdxError, match="edges"):
        calibration_table([0, 1], [0.1, 0.2], edges=[0.5, 0.5])
    with pytest.raises(PdxError, match="bands"):
        calibration_table([0, 1], [0.1, 0.2], bands=0)


@pytest.mark.parametrize(("bads", "n"), [(0, 20), (3, 57), (20, 20)])
def test_wilson_interval_is_scipys(bads: int, n: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(bads, n).proportion_ci(method="wilson")
    assert wilson_interval(bads / n, n) == (pytest.approx(expected.low, **TIGHT), pytest.approx(expected.high, **TIGHT))


def test_effective_sizes_are_per_class() -> None:
    sizes = effective_sizes([1, 1, 0, 0, 0], [3.0, 1.0, 2.0, 2.0, 2.0])
    assert (sizes.bads, sizes.goods) == (pytest.approx(16 / 10), pytest.approx(3))
    assert effective_sizes([1, 0, 0]) == effective_sizes([1, 0, 0], [1, 1, 1])
    assert effective_size([0.0, 0.0]) == 0
    assert effective_size([1e200, 1e200]) == pytest.approx(2)
    with pytest.raises(PdxError, match="1 of 2 labels"):
        effective_sizes([1, 7])


def test_effective_size_predicts_the_variance_of_a_weighted_mean() -> None:
    """What the size is for: the weighted mean of n draws varies like the plain mean of effective_size draws."""
    random = np.random.default_rng(0)
    weight = random.exponential(size=60) ** 2
    means = np.average(random.normal(size=(40_000, 60)), axis=1, weights=weight)
    assert means.var() * effective_size(weight) == pytest.approx(1, abs=0.03)


# Fit for tuning loops ----------------------------------------------------------------------------------


def test_score_table_sums_rows() -> None:
    table = tabulate([1, 0, 1, 0], [0.5, -0.0, 0.5, 0.0], [2.0, 1.0, 3.0, 0.5])
    assert table.pd.tolist() == [0.0, 0.5]
    assert table.bads.tolist() == [0, 5]
    assert table.goods.tolist() == [1.5, 0]
    assert (table.bad_squares + table.good_squares).tolist() == [1.25, 13]
    assert table.loans.tolist() == [2, 2]
    assert not math.copysign(1, table.pd[0]) < 0


def test_metrics_import_no_heavy_library() -> None:
    code = (
        "import sys, pdx_assets.risk.metrics.summary, pdx_assets.risk.metrics.comparison,"
        " pdx_assets.risk.metrics.stability, pdx_assets.risk.metrics.fairness, pdx_assets.risk.plots;"
        "heavy = {'sklearn', 'scipy', 'matplotlib', 'PIL', 'pandas', 'torch', 'dagster', 'mlflow', 'polars'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
