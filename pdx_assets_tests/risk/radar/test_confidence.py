"""The radar's arithmetic against independent oracles: pairs counted, labels drawn, an optimizer, known truths."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy.optimize import minimize
from scipy.special import expit

from pdx_assets.risk.metrics.calibration import logit
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.radar.confidence import Calibration, Estimate, by_confidence, calibrate, outlook

scored = st.lists(
    st.tuples(st.integers(1, 9), st.floats(0.02, 0.98), st.floats(0.2, 3)), min_size=6, max_size=25
).filter(lambda rows: 2 < sum(c for _, c, _ in rows) < len(rows) - 2)


@given(scored)
def test_the_expected_auc_counts_pairs_of_different_loans(rows: list[tuple[int, float, float]]) -> None:
    pd, chance, weight = (np.array(column) for column in zip(*rows, strict=True))
    pd = pd / 10
    concordant = pairs = 0.0
    for i in range(len(pd)):
        for j in range(len(pd)):
            if i != j:
                both = weight[i] * weight[j] * chance[i] * (1 - chance[j])
                pairs += both
                concordant += both * (1.0 if pd[i] > pd[j] else 0.5 if pd[i] == pd[j] else 0.0)
    found = outlook(pd, chance, np.zeros((len(pd), 2)), np.zeros((2, 2)), weight)
    assert found.auc is not None
    assert found.auc.value == pytest.approx(concordant / pairs, abs=1e-9)
    assert found.bad_rate.value == pytest.approx(np.average(chance, weights=weight), abs=1e-12)


@given(scored, st.randoms(use_true_random=False))
def test_neither_order_nor_scale_of_weights_matters(rows: list[tuple[int, float, float]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def figures(given_rows: list[tuple[int, float, float]], scale: float) -> list[float]:
        pd, chance, weight = (np.array(column) for column in zip(*given_rows, strict=True))
        found = outlook(pd / 10, chance, np.zeros((len(pd), 2)), np.zeros((2, 2)), scale * weight)
        assert found.auc is not None
        return [found.auc.value, found.auc.standard_error, found.bad_rate.value, found.bad_rate.standard_error]

    assert figures(rows, 1.0) == pytest.approx(figures(shuffled, 7.0), rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_standard_error_is_that_of_drawn_months(weighted: bool) -> None:
    """Calibrations drawn from their covariance, then labels from the calibrated PDs, 3,000 times."""
    rng = np.random.default_rng(3)
    pd = expit(rng.normal(-2.3, 0.9, 700))
    weight = rng.uniform(0.3, 3, len(pd)) if weighted else None
    covariance = np.array([[0.02, 0.004], [0.004, 0.015]])
    line = Calibration(float(logit(pd).mean()), np.array([0.15, 0.9]), covariance)
    found = by_confidence(pd, line, weight)
    areas, rates = [], []
    for level, slope in rng.multivariate_normal(line.center, covariance, 3000):
        chance = Calibration(line.origin, np.array([level, slope]), covariance).pds(pd)
        label = (rng.random(len(pd)) < chance).astype(np.int8)
        areas.append(auc(label, pd, weight))
        rates.append(np.average(label, weights=weight))
    assert found.auc is not None
    for estimate, drawn in ((found.auc, areas), (found.bad_rate, rates)):
        assert estimate.value == pytest.approx(np.mean(drawn), abs=0.1 * np.std(drawn))
        assert estimate.standard_error == pytest.approx(np.std(drawn), rel=0.06)
        assert 0 < estimate.noise < estimate.standard_error


@pytest.mark.parametrize("passed", [1.0, 0.35])
def test_the_calibration_is_the_mode_an_optimizer_finds(passed: float) -> None:
    rng = np.random.default_rng(5)
    pd = expit(rng.normal(-2, 1, 4000))
    line = Calibration(-2.0, np.array([0.3, 0.8]), np.eye(2))
    bad = rng.random(len(pd)) < 1 - (1 - line.pds(pd)) ** passed
    prior = Calibration(-2.0, np.array([0.1, 1.0]), np.array([[0.05, 0.01], [0.01, 0.02]]))
    precision = np.linalg.inv(prior.covariance)

    def loss(theta: np.ndarray) -> float:
        p = expit(-2.0 + theta[0] + theta[1] * (logit(pd) + 2.0))
        turned = 1 - (1 - p) ** passed
        off = theta - prior.center
        return float(-np.where(bad, np.log(turned), np.log1p(-turned)).sum() + off @ precision @ off / 2)

    found = calibrate(pd, bad, prior=prior, passed=np.full(len(pd), passed))
    best = minimize(loss, prior.center, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10})
    assert found.center == pytest.approx(best.x, abs=1e-5)
    # Posterior precision is the curvature of the loss, by differences.
    step = 1e-4 * np.eye(2)
    curved = [
        [
            (loss(best.x + a + b) - loss(best.x + a - b) - loss(best.x - a + b) + loss(best.x - a - b)) / 4e-8
            for b in step
        ]
        for a in step
    ]
    assert np.linalg.inv(found.covariance) == pytest.approx(np.array(curved), rel=0.15)


def test_a_tenth_of_the_goods_with_their_weights_tells_what_the_book_does() -> None:
    """Weights that follow the outcome: centre and standard errors are those of repeated samples of the book."""
    rng = np.random.default_rng(11)
    centers, errors = [], []
    for _ in range(300):
        pd = expit(rng.normal(-2.2, 0.9, 6000))
        bad = rng.random(len(pd)) < expit(-2.2 + 0.2 + 0.9 * (logit(pd) + 2.2))
        kept = bad | (rng.random(len(pd)) < 0.1)
        weight = np.where(bad, 1.0, 10.0)[kept]
        found = calibrate(pd[kept], bad[kept], prior=Calibration.unsure(-2.2), weight=weight)
        centers.append(found.center)
        errors.append(np.sqrt(np.diag(found.covariance)))
    assert np.mean(centers, axis=0) == pytest.approx([0.2, 0.9], abs=0.03)
    assert np.mean(errors, axis=0) == pytest.approx(np.std(centers, axis=0), rel=0.15)


def test_equal_weights_of_any_size_are_no_weights() -> None:
    rng = np.random.default_rng(2)
    pd = expit(rng.normal(-2, 1, 500))
    bad = rng.random(500) < pd
    plain = calibrate(pd, bad, prior=Calibration.unsure(-2.0))
    scaled = calibrate(pd, bad, prior=Calibration.unsure(-2.0), importance=np.full(500, 40.0))
    assert scaled.center == pytest.approx(plain.center)
    assert scaled.covariance == pytest.approx(plain.covariance)


def test_without_bads_the_prior_speaks() -> None:
    pd = np.full(30, 0.05)
    found = calibrate(pd, np.zeros(30, bool), prior=Calibration.unsure(float(logit(pd).mean())))
    assert found.center[0] < 0
    assert found.center[1] == pytest.approx(1.0)
    assert by_confidence(pd, found).auc is None, "fewer than two bads are expected"


def test_an_interval_widens_and_stays_within_reach() -> None:
    assert Estimate(0.7, 0.03, 0.02).interval() == pytest.approx((0.6507, 0.7493), abs=1e-4)
    low, high = Estimate(0.05, 0.04, 0.03).interval(2.0)
    assert (low, high) == pytest.approx((0.0, 0.1816), abs=1e-4)
