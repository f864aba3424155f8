"""Tuning: an Optuna study on ITV, the same for every algorithm.

What is tried is each algorithm's ``suggest``; when a study runs (anchors) is the orchestration's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.metrics.discrimination import auc, average_precision, f1, precision, recall
from pdx_assets.risk.metrics.score_table import ScoreTable, tabulate
from pdx_assets.risk.models.base import Prepared, single_threaded
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.models.training import algorithm_named, check_scores, designs

if TYPE_CHECKING:
    from pdx_assets.risk.spec import Outliers


def composite(table: ScoreTable) -> float | None:
    """0.4 AUC + 0.3 average precision + 0.2 F1 + 0.05 recall + 0.05 precision, the last three at the top 30 %.

    The weights are those of the retail-bank project; a cut by rank rather than at a PD of 0.5, since no
    PD reaches 0.5 where 4 % of loans are bad. None on one class.
    """
    parts = [metric.of_table(table) for metric in (auc, average_precision, f1, recall, precision)]
    if any(part is None for part in parts):
        return None
    return float(np.dot((0.4, 0.3, 0.2, 0.05, 0.05), np.array(parts, np.float64)))


OBJECTIVES: dict[str, Callable[[ScoreTable], float | None]] = {"auc": auc.of_table, "composite": composite}


@dataclass(frozen=True)
class Trial:
    """One set of parameters: its objective on ITV, or the reason it has none."""

    number: int
    params: dict[str, Any]
    value: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Study:
    """What a study found; everything in it is plain JSON.

    Attributes:
        best_params: of the trial with the highest value, the earliest among equals.
        best_value: that value.
        trials: every trial as a dict, in order; failed ones have value None and a reason.
    """

    algorithm: str
    objective: str
    seed: int
    best_params: dict[str, Any]
    best_value: float
    trials: list[dict[str, Any]]


def tune(
    algorithm: str,
    train: Sample,
    itv: Sample,
    *,
    objective: str,
    trials: int,
    seed: int,
    outliers: Mapping[str, Outliers] | None = None,
) -> Study:
    """Search an algorithm's space with TPE for the highest objective on ITV.

    The first trial is the algorithm's defaults, so that even a study of one trial is sensible. Designs,
    variable selection and bins are made once and shared by all trials.

    Args:
        algorithm: a key of ``training.ALGORITHMS``.
        train: labelled loans to learn from.
        itv: labelled loans the objective is taken on.
        objective: 'auc' or 'composite'.
        trials: how many fits, at least 1.
        seed: decides the sampler's draws and every fit's.
        outliers: as in ``Preprocessing.fit``.

    Raises:
        TrainingError: single-class sample, unknown objective, or no trial succeeded.
    """
    if objective not in OBJECTIVES or trials < 1:
        raise TrainingError(
            f"A study with objective {objective!r} and {trials} trials.",
            expected=f"one of {list(OBJECTIVES)} and at least 1 trial",
        )
    chosen = algorithm_named(algorithm)
    with single_threaded():
        _, train_design, itv_design = designs(chosen, train, itv, outliers)
        prepared = chosen.prepare(train_design, itv_design, seed=seed)
        del train_design, itv_design  # the algorithm keeps what it needs of them

        def value(params: dict[str, Any]) -> float:
            return _value(prepared, params, itv, objective=objective, seed=seed, algorithm=algorithm)

        done = _search(chosen.suggest, dict(chosen.defaults), value, trials=trials, seed=seed)
    succeeded = [trial for trial in done if trial.value is not None]
    if not succeeded:
        raise TrainingError(
            f"None of {trials} trials of {algorithm} gave a model. First reason: {done[0].reason}",
            expected="at least one trial that converges and tells loans apart",
            remedy="check the labels and features of the window",
        )
    # max keeps the first among equals.
    best = max(succeeded, key=lambda trial: trial.value or 0.0)
    assert best.value is not None
    return Study(algorithm, objective, seed, best.params, best.value, [asdict(trial) for trial in done])


def _value(
    prepared: Prepared, params: dict[str, Any], itv: Sample, *, objective: str, seed: int, algorithm: str
) -> float:
    pd = prepared.itv_pd(prepared.fit(params, seed=seed, draft=True))
    check_scores(pd, algorithm)
    value = OBJECTIVES[objective](tabulate(itv.label, pd, itv.weight))
    assert value is not None  # both classes are present: designs() saw to it
    return value


def _optuna() -> Any:
    """The optuna module.

    Imported from a thread of its own: optuna keeps the ImportErrors of its optional parts and, through
    their tracebacks, every frame that was calling. Imported here, it would hold the study's matrices and
    the caller's for the life of the process (0.6 GB at 354,551 loans x 220 inputs).
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(import_module, "optuna").result()


def _search(
    suggest: Callable[[Any], dict[str, Any]],
    defaults: dict[str, Any],
    value: Callable[[dict[str, Any]], float],
    *,
    trials: int,
    seed: int,
) -> list[Trial]:
    optuna = _optuna()
    verbosity = optuna.logging.get_verbosity()
    # Optuna logs every trial to stderr; the study is an asset and shows them itself.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        # Half the trials at random, at most Optuna's own 10: a study of 20 still learns from itself.
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, max(1, trials // 2)))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.enqueue_trial(defaults)
        done = []
        for number in range(trials):
            trial = study.ask()
            params = suggest(trial)
            try:
                found = value(params)
            except TrainingError as error:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                done.append(Trial(number, params, None, str(error)))
            else:
                study.tell(trial, found)
                done.append(Trial(number, params, found))
        return done
    finally:
        optuna.logging.set_verbosity(verbosity)
