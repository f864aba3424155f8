"""Importance weights: one where nothing changed, and labelled loans that look like the month where applicants did."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.radar.combined import Labelled, Month, calibrated
from pdx_assets.risk.radar.importance import FURTHEST, importance_weights


def applicants(rng: np.random.Generator, n: int, shift: float, missing: float = 0.1) -> LoanMatrix:
    numbers = np.column_stack([rng.normal(shift, 1, n), rng.normal(0, 1, n), rng.normal(0, 1, n)]).astype(np.float32)
    numbers[rng.random(n) < missing, 1] = np.nan
    purpose = np.where(rng.random(n) < 0.3 + 0.1 * shift, "car", "home").astype(object)[:, None]
    return LoanMatrix(numbers, purpose, ("income", "age", "debt"), ("purpose",))


def score(matrix: LoanMatrix) -> np.ndarray:
    return np.asarray(expit(-2 + 0.7 * matrix.numbers[:, 0]), np.float64)


def test_nothing_is_weighted_where_nothing_can_be_told() -> None:
    rng = np.random.default_rng(1)
    before, now = applicants(rng, 2000, 0.0), applicants(rng, 800, 0.0)
    weights, told = importance_weights(before, score(before), now, score(now))
    assert told <= 0
    assert (weights == 1).all()


def test_weighted_loans_look_like_the_months() -> None:
    rng = np.random.default_rng(2)
    before, now = applicants(rng, 6000, 0.0), applicants(rng, 2000, 1.0)
    weights, told = importance_weights(before, score(before), now, score(now))
    assert told > 0.05
    assert weights.mean() == pytest.approx(1)
    assert weights.max() / weights.min() <= FURTHEST**2
    income = before.numbers[:, 0]
    assert income.mean() == pytest.approx(0, abs=0.05)
    assert np.average(income, weights=weights) == pytest.approx(1.0, abs=0.12)
    # Of two normals the ratio of densities is known: its log rises by the shift.
    kept = np.abs(income - 0.5) < 1.2
    assert np.polyfit(income[kept], np.log(weights[kept]), 1)[0] == pytest.approx(1.0, abs=0.2)


def test_a_shift_of_what_the_score_leaves_out_is_mended() -> None:
    """A group the score overlooks is twice as common now: unweighted, the bad rate of the past would be expected."""
    rng = np.random.default_rng(3)

    def month(n: int, share: float) -> tuple[LoanMatrix, np.ndarray, np.ndarray]:
        seen, overlooked = rng.normal(0, 1, n), rng.random(n) < share
        numbers = np.column_stack([seen, overlooked]).astype(np.float32)
        matrix = LoanMatrix(numbers, np.empty((n, 0), object), ("seen", "overlooked"), ())
        chance = np.asarray(expit(-2.5 + 0.8 * seen + 1.5 * overlooked), np.float64)
        return matrix, np.asarray(expit(-2.2 + 0.8 * seen), np.float64), chance

    matrix, pd, chance = month(20_000, 0.2)
    bad = rng.random(len(chance)) < chance
    now, now_pd, coming = month(20_000, 0.5)
    found = calibrated(Labelled(matrix, pd, bad, np.ones(len(bad), np.int32)), Month(now, now_pd))
    expected = found.calibration.pds(now_pd).mean()
    assert bad.mean() < 0.8 * coming.mean()
    assert abs(expected - coming.mean()) < 0.2 * abs(bad.mean() - coming.mean())
    assert found.effective_loans < 20_000


def test_a_handful_of_loans_is_not_told_apart() -> None:
    rng = np.random.default_rng(4)
    before, now = applicants(rng, 2000, 0.0), applicants(rng, 49, 3.0)
    weights, told = importance_weights(before, score(before), now, score(now))
    assert told == 0
    assert (weights == 1).all()
