"""The four algorithms: against oracles, by recovering known parameters, and what each refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.models import logistic_regression, random_forest
from pdx_assets.risk.models.base import Design, most_important, sigmoid
from pdx_assets.risk.models.matrix import LoanMatrix, Sample
from pdx_assets.risk.models.training import ALGORITHMS as REGISTERED
from pdx_assets.risk.models.training import TrainedModel, check_scores, train
from pdx_assets_tests.risk.model_samples import ALGORITHMS, matrix, sample

TRAIN, ITV, LATER = sample(2400, 1), sample(800, 11), sample(3000, 21)


@pytest.fixture(scope="module")
def models() -> dict[str, TrainedModel]:
    return {name: train(name, TRAIN, ITV, {}, seed=3) for name in ALGORITHMS}


def numbers_only(X: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> Sample:
    names = tuple(f"x{j}" for j in range(X.shape[1]))
    inputs = LoanMatrix(X.astype(np.float32), np.empty((len(X), 0), object), names, ())
    return Sample(inputs, label.astype(np.int8), weight)


def drawn(loans: int, weights: np.ndarray, intercept: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((loans, len(weights)), dtype=np.float32)
    return X, rng.random(loans) < 1 / (1 + np.exp(-(X @ weights + intercept)))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_each_finds_what_there_is_to_find(models: dict[str, TrainedModel], name: str) -> None:
    model, inputs = models[name], LATER.matrix
    truth = 1.0 * np.nan_to_num(inputs.numbers[:, 1]) - 0.8 * inputs.numbers[:, 2]
    truth = truth + 0.9 * np.isnan(inputs.numbers[:, 0]) + 0.8 * (inputs.categories[:, 0] == "house")
    pd = model.predict_pd(inputs)
    assert pd.dtype == np.float32 and pd.shape == (3000,)
    assert 0 <= pd.min() < pd.max() <= 1
    assert roc_auc_score(LATER.label, pd) > roc_auc_score(LATER.label, truth) - 0.025
    # Nobody reweights the classes: PDs are probabilities as they come.
    assert pd.mean() == pytest.approx(LATER.label.mean(), abs=0.02)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_importances_are_shares_of_the_selected_columns(models: dict[str, TrainedModel], name: str) -> None:
    importances = models[name].importances
    assert set(importances) == set(models[name].selected)
    assert sum(importances.values()) == pytest.approx(1)
    assert min(importances.values()) >= 0
    assert set(list(importances)[:2]) <= {"debt", "age", "income is missing", "purpose = house"}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_same_seed_gives_the_same_model_and_global_state_is_left_alone(name: str) -> None:
    import torch

    np.random.seed(5)
    torch.manual_seed(5)
    numpy_state, torch_state = np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    small = Sample(TRAIN.matrix.rows(slice(800)), TRAIN.label[:800])
    first, second = (train(name, small, ITV, {}, seed=9).predict_pd(LATER.matrix) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.random.get_state()[1].tolist() == numpy_state  # type: ignore[index]
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (threads, deterministic)
    if name != "logistic_regression":  # convex: nothing is drawn
        assert (train(name, small, ITV, {}, seed=10).predict_pd(LATER.matrix) != first).any()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_weights_count_and_their_scale_does_not(name: str) -> None:
    weight = np.where(TRAIN.matrix.categories[:, 0] == "house", 4, 1).astype(np.float32)
    results = []
    for w in (None, weight, weight * 1024):
        weighted = Sample(TRAIN.matrix, TRAIN.label, w)
        results.append(train(name, weighted, ITV, {}, seed=2).predict_pd(LATER.matrix))
    np.testing.assert_array_equal(results[1], results[2])
    assert (results[0] != results[1]).any()


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("label", [0, 1])
def test_a_sample_of_one_class_is_refused(name: str, label: int) -> None:
    single = Sample(TRAIN.matrix, np.full(len(TRAIN), label, np.int8))
    with pytest.raises(TrainingError, match=r"train sample has \d+ bads among 2400"):
        train(name, single, ITV, {}, seed=0)
    with pytest.raises(TrainingError, match="ITV sample"):
        train(name, TRAIN, single, {}, seed=0)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_noise_either_gives_a_model_or_a_reason(name: str) -> None:
    rng = np.random.default_rng(0)
    part = numbers_only(np.zeros((60, 1)), np.arange(60) % 2)
    part = replace(part, matrix=replace(part.matrix, numbers=rng.integers(0, 2, (60, 1)).astype(np.float32)))
    try:
        pd = train(name, part, part, {}, seed=0).predict_pd(part.matrix)
    except TrainingError as error:
        assert error.expected and error.remedy
    else:
        assert np.isfinite(pd).all() and pd.min() < pd.max()


def test_unknown_names_inputs_and_scores_are_refused() -> None:
    with pytest.raises(TrainingError, match="'svm' is not an algorithm"):
        train("svm", TRAIN, ITV, {}, seed=0)
    with pytest.raises(TrainingError, match=r"no parameters \['depth'\]"):
        train("xgboost", TRAIN, ITV, {"depth": 3}, seed=0)
    other = Sample(ITV.matrix.select(["income"], []), ITV.label)
    with pytest.raises(TrainingError, match="different inputs"):
        train("xgboost", TRAIN, other, {}, seed=0)
    with pytest.raises(TrainingError, match="1 of 2 ITV loans a PD that is not a number"):
        check_scores(np.array([0.5, np.nan]), "xgboost")
    with pytest.raises(TrainingError, match="the same PD"):
        check_scores(np.array([0.5, 0.5]), "xgboost")


# Logistic regression


def design(loans: int, seed: int) -> Design:
    rng = np.random.default_rng(seed)
    X, label = drawn(loans, np.array([0.8, -0.5, 0.3, 0, 0, 0, 0, 0]), -2.0, seed)
    X[:, 7] = X[:, 0] + 0.1 * X[:, 7]  # nearly collinear
    weight = rng.uniform(0.5, 1.5, loans).astype(np.float32)
    return Design(X, label.astype(np.int8), (weight / weight.mean(dtype=np.float64)).astype(np.float32))


@pytest.mark.parametrize("l2", [1e-4, 1e-2, 1.0])
def test_ridge_agrees_with_scikit_learn(l2: float) -> None:
    given = design(9001, 4)
    theta = logistic_regression.fit_l2(given, np.arange(8), l2)
    oracle = LogisticRegression(C=1 / (l2 * given.weight.sum(dtype=np.float64)), tol=1e-12, solver="newton-cholesky")
    oracle.fit(given.X.astype(np.float64), given.label, given.weight.astype(np.float64))
    np.testing.assert_allclose(theta, np.append(oracle.coef_[0], oracle.intercept_), atol=1e-5)


@pytest.mark.parametrize("l1", [0.003, 0.02])
def test_lasso_agrees_with_scikit_learn(l1: float) -> None:
    given = design(3001, 5)
    theta = logistic_regression.fit_l1(given, l1)
    oracle = LogisticRegression(
        C=1 / (l1 * given.weight.sum(dtype=np.float64)),
        l1_ratio=1,
        solver="saga",
        tol=1e-9,
        max_iter=20000,
        random_state=0,
    )
    oracle.fit(given.X.astype(np.float64), given.label, given.weight.astype(np.float64))
    np.testing.assert_allclose(theta, np.append(oracle.coef_[0], oracle.intercept_), atol=2e-4)
    assert 1 <= (theta[:-1] == 0).sum() <= 7


def test_known_weights_are_recovered_within_their_standard_error() -> None:
    weights, intercept = np.array([0.7, -0.4, 0.2, 0.0]), -2.5
    X, label = drawn(40_000, weights, intercept, 8)
    X = X * np.array([1, 50, 0.01, 3], np.float32) + np.array([0, 100, 5, -1], np.float32)
    given = numbers_only(X, label)
    model = train("logistic_regression", given, given, {"l1": 0.05, "l2": 1e-6}, seed=0)
    assert model.selected[:3] == ("x0", "x1", "x2")
    chosen = [int(name[1]) for name in model.selected]
    assert model.preprocessing.std is not None
    scale = np.array([1, 50, 0.01, 3])[chosen] / model.preprocessing.std[chosen]
    got = model.fitted.coefficients * scale  # type: ignore[attr-defined]
    # Standard error of a weight: 1 / sqrt(n p (1 - p)), about 0.018 at 8 % bads.
    np.testing.assert_allclose(got, weights[chosen], atol=4 * 0.018)


def test_a_weight_of_2_is_the_loan_twice() -> None:
    X, label = drawn(1500, np.array([1.0, -1.0]), -1.0, 3)
    twice = np.arange(1500) % 3 == 0
    weighted = Design(X, label.astype(np.int8), np.where(twice, 2, 1).astype(np.float32))
    doubled = Design(
        np.vstack([X, X[twice]]), np.append(label, label[twice]).astype(np.int8), np.ones(2000, np.float32)
    )
    # The mean divides by loans, so the penalties differ by 2000 / 1500.
    a = logistic_regression.fit_l2(weighted, np.arange(2), 0.01 * 2000 / 1500)
    b = logistic_regression.fit_l2(doubled, np.arange(2), 0.01)
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_perfectly_separated_classes_still_converge() -> None:
    X = np.linspace(-1, 1, 400, dtype=np.float32)[:, None]
    given = numbers_only(np.hstack([X, X**2]), X[:, 0] > 0.3)
    pd = train("logistic_regression", given, given, {"l1": 0.05, "l2": 1e-5}, seed=0).predict_pd(given.matrix)
    assert roc_auc_score(given.label, pd) == 1


def test_no_convergence_is_a_training_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic_regression, "MAX_STEPS", 1)
    with pytest.raises(TrainingError, match=r"L1 fit did not converge in 1 steps"):
        train("logistic_regression", TRAIN, ITV, {}, seed=0)


def test_a_penalty_that_removes_everything_is_a_training_error() -> None:
    with pytest.raises(TrainingError, match="kept no variable"):
        train("logistic_regression", TRAIN, ITV, {"l1": 1.01}, seed=0)


# Forest, boosting, network


@pytest.mark.parametrize("name", ["random_forest", "xgboost"])
def test_the_first_fit_drops_noise(name: str) -> None:
    rng = np.random.default_rng(1)
    X, label = drawn(4000, np.array([1.5, -1.5]), -1.5, 1)
    X = np.hstack([X, rng.integers(0, 2, (4000, 20))])
    model = train(name, numbers_only(X[:3000], label[:3000]), numbers_only(X[3000:], label[3000:]), {}, seed=0)
    assert {"x0", "x1"} <= set(model.selected)
    assert len(model.selected) < 15


def test_most_important_takes_the_fewest_columns_that_reach_the_share() -> None:
    assert most_important(np.array([1, 6, 0, 3]), 0.9, what="x") == (1, 3)
    assert most_important(np.array([1, 6, 0, 3]), 0.91, what="x") == (0, 1, 3)
    assert most_important(np.array([1, 1, 1, 1]), 0.5, what="x") == (0, 1)
    assert most_important(np.array([5, 0]), 1.0, what="x") == (0,)
    with pytest.raises(TrainingError, match="nothing to split on"):
        most_important(np.zeros(3), 0.9, what="x")


def test_forest_scores_are_scikit_learns(models: dict[str, TrainedModel], monkeypatch: pytest.MonkeyPatch) -> None:
    model = models["random_forest"]
    monkeypatch.setattr(random_forest, "BLOCK", 700)
    X = model.preprocessing.transform(LATER.matrix, model.columns)
    oracle = model.fitted.forest.predict_proba(X)[:, 1]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(model.predict_pd(LATER.matrix), oracle.astype(np.float32))


@pytest.mark.parametrize(("loans", "cap", "least"), [(600, 50_000, 6), (6000, 50_000, 60), (6000, 1000, 20)])
def test_a_forests_leaves_follow_what_its_trees_see(
    monkeypatch: pytest.MonkeyPatch, loans: int, cap: int, least: int
) -> None:
    """0.01 of train; where a cap keeps half of train from a tree, 0.01 of the train that would fill it."""
    monkeypatch.setattr(random_forest, "TREE_LOANS", cap)
    params = {"max_depth": 9, "min_leaf_share": 0.01, "max_features": 1.0, "max_samples": 0.5}
    model = train("random_forest", sample(loans, 1), sample(500, 2), params, seed=0)
    trees = [tree.tree_ for tree in model.fitted.forest.estimators_]  # type: ignore[attr-defined]
    leaves = np.concatenate([t.n_node_samples[t.children_left < 0] for t in trees])
    assert least <= leaves.min() < 1.5 * least


def test_boosting_scores_are_xgboosts_at_the_best_round(models: dict[str, TrainedModel]) -> None:
    import xgboost

    model = models["xgboost"]
    booster = model.fitted.booster  # type: ignore[attr-defined]
    X = model.preprocessing.transform(LATER.matrix, model.columns)
    np.testing.assert_allclose(model.predict_pd(LATER.matrix), booster.predict(xgboost.DMatrix(X)), atol=1e-7)
    assert booster.num_boosted_rounds() == booster.best_iteration + 1


def test_the_network_is_the_papers(models: dict[str, TrainedModel]) -> None:
    import torch

    from pdx_assets.risk.models.neural_network import _network

    shapes = [w.shape for w, _ in models["neural_network"].fitted.layers]  # type: ignore[attr-defined]
    assert shapes == [(150, len(models["neural_network"].columns)), (150, 150), (150, 150), (1, 150)]
    # The paper's 79,051 weights are those of 223 inputs.
    assert sum(p.numel() for p in _network(223).parameters()) == 79_051
    kinds = [type(m).__name__ for m in _network(5)]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear", "ReLU", "Dropout", "Linear"]
    assert {m.p for m in _network(5) if isinstance(m, torch.nn.Dropout)} == {0.1}


def test_an_outlier_moves_the_weighted_sums_no_further_than_4_standard_deviations(
    models: dict[str, TrainedModel],
) -> None:
    later = matrix(2, 5, missing=0)
    later.numbers[:] = [1e4, 0, 0, 3]
    later.categories[:] = ["car", "s00"]
    later.numbers[:, 0] = [1e8, 3e38]
    for name in ("logistic_regression", "neural_network"):
        assert np.diff(models[name].predict_pd(later)) == 0


def test_sigmoid_reaches_its_limits_without_warning() -> None:
    with np.errstate(all="raise", over="raise"):
        assert sigmoid(np.array([-2000.0, 0.0, 2000.0])).tolist() == [0, 0.5, 1]


def test_the_algorithms_are_registered_by_the_names_of_the_spec() -> None:
    from typing import get_args

    from pdx_assets.risk.spec import AlgorithmName

    assert (*REGISTERED, "blend") == get_args(AlgorithmName)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_weights_that_are_all_the_same_are_no_weights_to_the_bit(name: str) -> None:
    made = [
        train(name, Sample(TRAIN.matrix, TRAIN.label, w), ITV, {}, seed=3)
        for w in (None, np.ones(len(TRAIN), np.float32), np.full(len(TRAIN), 4, np.float32))
    ]
    for model in made[1:]:
        assert model.predict_pd(LATER.matrix).tolist() == made[0].predict_pd(LATER.matrix).tolist()
        assert model.importances == made[0].importances
        assert model.preprocessing.as_dict() == made[0].preprocessing.as_dict()


def test_importances_are_by_weight() -> None:
    """``a`` varies among loans that hardly count, ``b`` among those that do."""
    rng = np.random.default_rng(4)
    light = np.arange(2400) % 2 == 0
    X = np.where(np.column_stack([light, ~light]), rng.standard_normal((2400, 2)), 0).astype(np.float32)
    label = rng.random(2400) < 1 / (1 + np.exp(2 - X.sum(axis=1)))
    weight = np.where(light, 0.05, 1).astype(np.float32)
    for name in ("logistic_regression", "neural_network"):
        plain, weighted = (
            train(name, numbers_only(X, label, w), numbers_only(X, label, w), {}, seed=1).importances
            for w in (None, weight)
        )
        first, second = numbers_only(X, label).matrix.number_names
        assert weighted.get(first, 0) < 0.75 * plain[first] and weighted[second] > plain[second]
