"""DeLong's covariance against an independent implementation over all pairs, and what must cancel."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.evidence.delong import delong
from pdx_assets.risk.metrics.auc_error import auc_estimate
from pdx_assets.risk.metrics.weights import effective_size


def pairwise(label: np.ndarray, pds: np.ndarray, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The 1988 paper's structural components, from the matrix of all bad-good pairs: O(bads x goods)."""
    w = np.ones(len(label)) if weight is None else weight
    wb, wg = w[label == 1], w[label == 0]
    v10, v01 = [], []
    for pd in pds.T:
        bad, good = pd[label == 1].astype(float), pd[label == 0].astype(float)
        wins = np.where(bad[:, None] > good, 1.0, np.where(bad[:, None] == good, 0.5, 0.0))
        v10.append(np.average(wins, axis=1, weights=wg))
        v01.append(np.average(wins, axis=0, weights=wb))
    area = np.array([np.average(v, weights=wb) for v in v10])
    of_bads = np.cov(np.array(v10), aweights=wb, ddof=0) / (effective_size(wb) - 1)
    of_goods = np.cov(np.array(v01), aweights=wg, ddof=0) / (effective_size(wg) - 1)
    return area, np.atleast_2d(of_bads + of_goods)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 60), st.integers(3, 200), st.integers(1, 5), st.booleans(), st.booleans())
def test_it_agrees_with_all_pairs(seed: int, bads: int, goods: int, models: int, tied: bool, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat([1, 0], [bads, goods]))
    pds = rng.uniform(size=(label.size, models)) * 0.8 + 0.2 * label[:, None]
    pds = np.round(pds, 1) if tied else pds
    weight = rng.uniform(1, 2, label.size) if weighted else None
    found = delong(label, pds, weight)
    assert found is not None
    area, covariance = pairwise(label, pds, weight)
    np.testing.assert_allclose(found[0], area, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found[1], covariance, rtol=0, atol=1e-10)


def test_the_difference_of_two_is_that_of_auc_error() -> None:
    rng = np.random.default_rng(1)
    label = (rng.uniform(size=3000) < 0.1).astype(int)
    pds = np.clip(rng.normal(0.4, 0.1, (3000, 3)) + 0.05 * label[:, None], 0, 1)
    found = delong(label, pds)
    single, pair = auc_estimate(label, pds[:, 2]), auc_estimate(label, pds[:, 0], pds[:, 2])
    assert found is not None and single is not None and pair is not None
    areas, covariance = found
    assert areas[2] == pytest.approx(single.value, abs=1e-12)
    assert np.sqrt(covariance[2, 2]) == pytest.approx(single.standard_error, rel=1e-9)
    variance = covariance[0, 0] + covariance[2, 2] - 2 * covariance[0, 2]
    assert np.sqrt(variance) == pytest.approx(pair.standard_error, rel=1e-9)


def test_models_that_rank_alike_have_the_very_same_numbers() -> None:
    rng = np.random.default_rng(2)
    label = (rng.uniform(size=5000) < 0.08).astype(int)
    pds = rng.uniform(0.01, 0.99, (5000, 7))
    # A recalibrated model ranks as it did before.
    found = delong(label, np.column_stack([pds, pds[:, 3], pds[:, 3] ** 3]), rng.uniform(1, 2, 5000))
    assert found is not None
    areas, covariance = found
    for twin in (7, 8):
        assert areas[3] - areas[twin] == 0.0
        assert covariance[3, 3] + covariance[twin, twin] - 2 * covariance[3, twin] == 0.0
    assert covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1] > 0


def test_too_few_of_a_class_have_no_covariance_and_a_wrong_shape_is_told() -> None:
    assert delong([1, 0, 0], [[0.5], [0.1], [0.2]]) is None
    with pytest.raises(PdxError, match="at least one model"):
        delong([1, 0], [0.5, 0.1])


def test_a_hundred_thousand_loans_under_twelve_models_take_less_than_two_seconds() -> None:
    rng = np.random.default_rng(3)
    label = (rng.uniform(size=100_000) < 0.05).astype(int)
    pds = rng.uniform(size=(100_000, 12)).astype(np.float32)
    begun = time.process_time()
    assert delong(label, pds) is not None
    assert time.process_time() - begun < 2
