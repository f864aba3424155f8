"""Early arrears: the clock against its hazards, estimates that close in on the truth, and the two sources combined."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.metrics.calibration import logit
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.radar.arrears import Seen, baseline, by_arrears, with_prior
from pdx_assets.risk.radar.combined import Month, outlooks
from pdx_assets.risk.radar.confidence import Calibration
from pdx_assets.risk.radar.importance import LoanMatrix

H = 12
CLOCK = np.concatenate([np.zeros(3), np.linspace(0, 1, H - 1)[1:]])


def drawn(rng: np.random.Generator, true_pd: np.ndarray) -> np.ndarray:
    """Month on book in which each loan turns bad; beyond H where it does not."""
    return np.searchsorted(CLOCK, np.log(rng.random(len(true_pd))) / np.log1p(-true_pd))


def seen_at(age: np.ndarray, k: int) -> Seen:
    return Seen(age <= k, np.full(len(age), k, np.int32), CLOCK, 1e9)


def test_the_clock_is_found_where_risks_are_high_and_spread() -> None:
    rng = np.random.default_rng(1)
    pd = expit(rng.normal(-1.0, 1.5, 200_000))
    age = drawn(rng, pd)
    found = baseline(pd, age <= H, age.astype(np.int32), H, None)
    assert found[0] == 0
    assert found[-1] == 1
    assert (np.diff(found) >= 0).all()
    assert found == pytest.approx(CLOCK, abs=0.012)
    # A life table of all loans alike runs ahead.
    hazard = [(age == k).sum() / (age >= k).sum() for k in range(1, H + 1)]
    alike = np.cumsum(-np.log1p(-np.array(hazard)))
    assert (alike / alike[-1])[6] > CLOCK[7] + 0.03


def test_weights_count_loans_in_the_clock() -> None:
    rng = np.random.default_rng(4)
    pd = expit(rng.normal(-2.0, 1.0, 400))
    age = drawn(rng, pd).astype(np.int32)
    weight = rng.integers(1, 4, 400)
    repeated = np.repeat(np.arange(400), weight)
    assert baseline(pd, age <= H, age, H, weight.astype(float)) == pytest.approx(
        baseline(pd[repeated], age[repeated] <= H, age[repeated], H, None)
    )


def test_there_is_no_clock_without_bads() -> None:
    with pytest.raises(TrainingError, match="None of 5 loans"):
        baseline(np.full(5, 0.1), np.zeros(5, bool), np.full(5, H, np.int32), H, None)


def test_before_the_clock_starts_arrears_say_nothing() -> None:
    rng = np.random.default_rng(5)
    pd = expit(rng.normal(-2.0, 1.0, 300))
    assert by_arrears(pd, seen_at(drawn(rng, pd), 2)) is None
    line = Calibration.unsure(float(logit(pd).mean()))
    matrix = LoanMatrix(np.zeros((300, 0), np.float32), np.empty((300, 0), object), (), ())
    found = outlooks(Month(matrix, pd), line, seen_at(drawn(rng, pd), 2))
    assert found.arrears is None
    assert found.combined == found.confidence


def test_when_the_clock_has_run_out_the_estimate_is_the_figure() -> None:
    rng = np.random.default_rng(6)
    pd = expit(rng.normal(-2.0, 1.0, 2000))
    age = drawn(rng, pd)
    found = by_arrears(pd, seen_at(age, H))
    assert found is not None
    assert found.auc is not None
    assert found.auc.value == pytest.approx(auc((age <= H).astype(np.int8), pd), abs=1e-9)
    assert found.bad_rate.value == pytest.approx((age <= H).mean(), abs=1e-9)
    assert found.auc.standard_error < 1e-6


def test_arrears_cover_what_comes_though_the_score_is_all_wrong() -> None:
    """A score twice too low and half blind: by its own young bads the month's intervals hold what comes."""
    rng = np.random.default_rng(7)
    held, closer = {"auc": 0, "bad_rate": 0}, 0
    repetitions = 150
    for _ in range(repetitions):
        signal, other = rng.normal(0, 1, (2, 1500))
        true_pd = expit(-2.0 + 0.4 * signal + 0.6 * other)
        pd = expit(-2.7 + 0.9 * signal)
        age = drawn(rng, true_pd)
        label = (age <= H).astype(np.int8)
        early, late = by_arrears(pd, seen_at(age, 6)), by_arrears(pd, seen_at(age, 10))
        assert early is not None
        assert late is not None
        for name, realized in (("auc", auc(label, pd)), ("bad_rate", label.mean())):
            low, high = getattr(early, name).interval()
            held[name] += low <= realized <= high
        assert early.auc is not None
        assert late.auc is not None
        closer += late.auc.standard_error < early.auc.standard_error
    assert closer == repetitions
    # 90 % of 150, give or take three standard errors.
    assert 124 <= held["auc"] <= 146
    assert 124 <= held["bad_rate"] <= 146


def test_combined_lies_between_and_leans_to_the_surer() -> None:
    rng = np.random.default_rng(8)
    pd = expit(rng.normal(-2.5, 0.9, 3000))
    # Twice as risky as the score and the reference say.
    age = drawn(rng, expit(logit(pd) + 0.8))
    seen = seen_at(age, 6)
    origin = float(logit(pd).mean())
    own = by_arrears(pd, seen)
    assert own is not None
    values = []
    for error in (1e-3, 0.1, 1.0):
        prior = Calibration(origin, np.array([0.0, 1.0]), np.diag([error**2, 0.01]))
        values.append(with_prior(pd, seen, prior).bad_rate)
    believed = Calibration(origin, np.array([0.0, 1.0]), np.diag([1e-6, 1e-6])).pds(pd).mean()
    assert believed < values[0].value < values[1].value < values[2].value
    assert values[2].value == pytest.approx(own.bad_rate.value, rel=0.02)
    assert values[1].standard_error < own.bad_rate.standard_error


def test_an_unsure_clock_widens() -> None:
    rng = np.random.default_rng(9)
    pd = expit(rng.normal(-2.0, 1.0, 5000))
    age = drawn(rng, pd)
    sure = by_arrears(pd, seen_at(age, 6))
    unsure = by_arrears(pd, Seen(age <= 6, np.full(len(age), 6, np.int32), CLOCK, 30.0))
    assert sure is not None
    assert unsure is not None
    assert unsure.bad_rate.standard_error > 1.5 * sure.bad_rate.standard_error
    assert unsure.bad_rate.value == pytest.approx(sure.bad_rate.value)
