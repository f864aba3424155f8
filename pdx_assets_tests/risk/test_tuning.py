"""Studies: deterministic, their best trial is their best, and failed trials keep their reason."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from unittest.mock import patch

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.metrics.score_table import tabulate
from pdx_assets.risk.models import logistic_regression, tuning
from pdx_assets.risk.models import xgboost as boosting
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.models.training import ALGORITHMS as REGISTERED
from pdx_assets.risk.models.training import train
from pdx_assets.risk.models.tuning import composite, tune
from pdx_assets_tests.risk.model_samples import ALGORITHMS, sample

TRAIN, ITV = sample(900, 1), sample(400, 11)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_study_is_deterministic_plain_json_and_starts_with_the_defaults(name: str) -> None:
    trials = 3 if name == "neural_network" else 5
    first, second = (tune(name, TRAIN, ITV, objective="auc", trials=trials, seed=4) for _ in range(2))
    assert asdict(first) == asdict(second)
    assert json.loads(json.dumps(asdict(first), allow_nan=False)) == asdict(first)
    assert [trial["number"] for trial in first.trials] == list(range(trials))
    assert first.trials[0]["params"] == dict(REGISTERED[name].defaults)
    values = [trial["value"] for trial in first.trials]
    assert first.best_value == max(v for v in values if v is not None)
    assert first.best_params == first.trials[values.index(first.best_value)]["params"]


def test_another_seed_draws_other_trials() -> None:
    drawn = [tune("xgboost", TRAIN, ITV, objective="auc", trials=3, seed=s).trials[1]["params"] for s in (1, 2)]
    assert drawn[0] != drawn[1]


def test_the_best_value_is_the_itv_auc_of_that_fit() -> None:
    study = tune("logistic_regression", TRAIN, ITV, objective="auc", trials=4, seed=1)
    pd = train("logistic_regression", TRAIN, ITV, study.best_params, seed=1).predict_pd(ITV.matrix)
    assert study.best_value == pytest.approx(roc_auc_score(ITV.label, pd), abs=1e-12)


def test_weights_of_the_itv_loans_count() -> None:
    weight = np.random.default_rng(0).uniform(0.1, 3, len(ITV)).astype(np.float32)
    weighted = Sample(ITV.matrix, ITV.label, weight)
    study = tune("logistic_regression", TRAIN, weighted, objective="auc", trials=1, seed=1)
    pd = train("logistic_regression", TRAIN, ITV, study.best_params, seed=1).predict_pd(ITV.matrix)
    assert study.best_value == pytest.approx(roc_auc_score(ITV.label, pd, sample_weight=weight), abs=1e-12)


def test_composite_against_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    label = (rng.random(1000) < 0.1).astype(int)
    pd = rng.permutation(1000) / 1000  # no ties: the top 30 % are exactly 300 loans
    top = pd >= np.sort(pd)[700]
    expected = (
        0.4 * roc_auc_score(label, pd)
        + 0.3 * average_precision_score(label, pd)
        + 0.2 * f1_score(label, top)
        + 0.05 * recall_score(label, top)
        + 0.05 * precision_score(label, top)
    )
    assert composite(tabulate(label, pd)) == pytest.approx(expected, abs=1e-12)
    assert composite(tabulate(np.zeros(10), np.linspace(0, 1, 10))) is None
    study = tune("logistic_regression", TRAIN, ITV, objective="composite", trials=1, seed=1)
    fitted = train("logistic_regression", TRAIN, ITV, study.best_params, seed=1).predict_pd(ITV.matrix)
    assert study.best_value == pytest.approx(composite(tabulate(ITV.label, fitted)), abs=1e-12)


def test_bins_and_selection_are_made_once_a_study() -> None:
    with (
        patch.object(boosting._Binned, "of", wraps=boosting._Binned.of) as binned,
        patch.object(tuning, "designs", wraps=tuning.designs) as designs,
    ):
        tune("xgboost", TRAIN, ITV, objective="auc", trials=4, seed=1)
    # All columns for the first fit, the selected ones for all trials.
    assert (binned.call_count, designs.call_count) == (2, 1)
    with patch.object(logistic_regression, "fit_l1", wraps=logistic_regression.fit_l1) as lasso:
        study = tune("logistic_regression", TRAIN, ITV, objective="auc", trials=8, seed=1)
    assert lasso.call_count == len({trial["params"]["l1"] for trial in study.trials}) < 8


def test_a_failed_trial_keeps_its_reason_and_the_study_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fit_l2 = logistic_regression.fit_l2

    def sometimes(design, columns, l2):  # type: ignore[no-untyped-def]
        if l2 == 0.003:  # the defaults
            raise TrainingError("did not converge")
        return fit_l2(design, columns, l2)

    monkeypatch.setattr(logistic_regression, "fit_l2", sometimes)
    study = tune("logistic_regression", TRAIN, ITV, objective="auc", trials=3, seed=1)
    assert study.trials[0]["value"] is None and "did not converge" in study.trials[0]["reason"]
    assert study.best_params != study.trials[0]["params"]
    with pytest.raises(TrainingError, match=r"None of 1 trials .* did not converge"):
        tune("logistic_regression", TRAIN, ITV, objective="auc", trials=1, seed=1)


@pytest.mark.parametrize(("objective", "trials"), [("gini", 3), ("auc", 0)])
def test_impossible_studies_are_refused(objective: str, trials: int) -> None:
    with pytest.raises(TrainingError, match=rf"objective '{objective}' and {trials} trials"):
        tune("xgboost", TRAIN, ITV, objective=objective, trials=trials, seed=0)


def test_a_study_leaves_no_matrix_behind() -> None:
    # In a process of its own: only the first import of optuna could hold the caller's frames.
    code = (
        "import weakref\n"
        "from pdx_assets.risk.models.tuning import tune\n"
        "from pdx_assets_tests.risk.model_samples import sample\n"
        "def study():\n"
        "    train = sample(900, 1)\n"
        "    tune('logistic_regression', train, sample(400, 11), objective='auc', trials=1, seed=0)\n"
        "    return weakref.ref(train)\n"
        "print(study()())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"


def test_optuna_is_quiet_and_its_verbosity_restored(capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    tune("logistic_regression", TRAIN, ITV, objective="auc", trials=2, seed=0)
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr().err == ""
