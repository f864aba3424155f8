"""DeLong's standard errors against brute force, simulation, and what must cancel."""

from __future__ import annotations

import numpy as np
import pytest

from pdx_assets.risk.metrics.auc_error import auc_estimate, expected_error
from pdx_assets.risk.metrics.discrimination import auc


def sample(seed: int, bads: int = 80, goods: int = 700) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = np.repeat([1, 0], [bads, goods])
    signal = label * 0.9 + rng.normal(size=label.size)
    pd = 1 / (1 + np.exp(-np.round(signal, 1)))
    other = 1 / (1 + np.exp(-(signal + rng.normal(size=label.size))))
    return label, pd, other


def test_it_is_delongs_formula_with_ties() -> None:
    label, pd, _ = sample(1)
    bad, good = pd[label == 1], pd[label == 0]
    wins = (bad[:, None] > good) + 0.5 * (bad[:, None] == good)
    variance = wins.mean(1).var(ddof=1) / bad.size + wins.mean(0).var(ddof=1) / good.size
    found = auc_estimate(label, pd)
    assert found is not None
    assert found.value == pytest.approx(auc(label, pd), abs=1e-12)
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_the_error_is_the_scatter_of_repeated_samples() -> None:
    found = [auc_estimate(label, pd, other) for label, pd, other in map(sample, range(400))]
    values, errors = np.array([(f.value, f.standard_error) for f in found if f]).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.12)


def test_a_model_does_not_differ_from_itself_and_weights_of_one_change_nothing() -> None:
    label, pd, other = sample(3)
    same = auc_estimate(label, pd, pd)
    assert same is not None and (same.value, same.standard_error) == (0.0, 0.0)
    assert auc_estimate(label, pd, other, np.full(label.size, 2.0)) == pytest.approx(auc_estimate(label, pd, other))


def test_uneven_weights_widen_the_error() -> None:
    label, pd, _ = sample(4)
    weight = np.where(np.arange(label.size) % 20 == 0, 50.0, 1.0)
    plain, weighted = auc_estimate(label, pd), auc_estimate(label, pd, None, weight)
    assert plain is not None and weighted is not None
    assert weighted.value == pytest.approx(auc(label, pd, weight))
    assert weighted.standard_error > plain.standard_error and weighted.bads < plain.bads


def test_too_few_of_a_class_have_no_error() -> None:
    assert auc_estimate([1, 0, 0], [0.5, 0.1, 0.2]) is None


def test_the_error_from_sizes_alone_is_near_delongs() -> None:
    """Hanley and McNeil's own example: AUC 0.893 among 51 abnormal and 58 normal, standard error 0.032."""
    assert expected_error(0.893, 51, 58) == pytest.approx(0.032, abs=0.0015)
    label, pd, _ = sample(5)
    found = auc_estimate(label, pd)
    assert found is not None
    assert expected_error(found.value, 80, 700) == pytest.approx(found.standard_error, rel=0.2)
    assert expected_error(1.0, 30, 300) == 0.0
