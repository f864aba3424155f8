"""One fit from samples to a TrainedModel: preprocessing, selection, the algorithm, and its sanity checks.

What an algorithm does is in its own file; how parameters are found is in tuning.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.models.base import Algorithm, Design, Fitted, single_threaded
from pdx_assets.risk.models.logistic_regression import LogisticRegression
from pdx_assets.risk.models.matrix import LoanMatrix, Sample
from pdx_assets.risk.models.neural_network import NeuralNetwork
from pdx_assets.risk.models.preprocessing import DesignColumn, Preprocessing
from pdx_assets.risk.models.random_forest import RandomForest
from pdx_assets.risk.models.xgboost import XGBoost

if TYPE_CHECKING:
    from pdx_assets.risk.spec import Outliers

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm for algorithm in (LogisticRegression(), RandomForest(), XGBoost(), NeuralNetwork())
}


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model with its preprocessing, still in the library that trained it.

    Attributes:
        algorithm: its name.
        params: what it was fitted with.
        preprocessing: learned from the same train sample.
        columns: the design columns it uses, in its order.
        fitted: the algorithm's own part.
    """

    algorithm: str
    params: dict[str, Any]
    preprocessing: Preprocessing
    columns: tuple[DesignColumn, ...]
    fitted: Fitted

    @property
    def number_names(self) -> tuple[str, ...]:
        return self.preprocessing.numbers

    @property
    def category_names(self) -> tuple[str, ...]:
        return self.preprocessing.categories

    @property
    def selected(self) -> tuple[str, ...]:
        """Names of the design columns it uses."""
        return tuple(column.name for column in self.columns)

    @property
    def importances(self) -> dict[str, float]:
        """Share of each selected design column, largest first, summing to 1."""
        pairs = zip(self.selected, self.fitted.importances.tolist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: -pair[1]))

    def predict_pd(self, matrix: LoanMatrix) -> np.ndarray:
        """float32 [n] PDs by the training library."""
        with single_threaded():
            return self.fitted.predict_pd(self.preprocessing.transform(matrix, self.columns))


def train(
    algorithm: str,
    train: Sample,
    itv: Sample,
    params: Mapping[str, Any],
    *,
    seed: int,
    outliers: Mapping[str, Outliers] | None = None,
) -> TrainedModel:
    """Fit one model on train; ITV only stops boosting and the network early.

    Args:
        algorithm: a key of :data:`ALGORITHMS`.
        train: labelled loans to learn from.
        itv: labelled loans of the same months, held out.
        params: as ``Study.best_params``; what is left out takes the algorithm's default.
        seed: decides every random draw.
        outliers: as in ``Preprocessing.fit``.

    Raises:
        TrainingError: single-class sample, no convergence, no variable selected, constant or NaN score,
            or a parameter the algorithm does not know.
    """
    chosen = algorithm_named(algorithm)
    unknown = sorted(set(params) - set(chosen.defaults))
    if unknown:
        raise TrainingError(
            f"{algorithm} has no parameters {unknown}.",
            expected=f"some of {sorted(chosen.defaults)}",
            remedy="use the parameters of a study of the same algorithm",
        )
    complete = {**chosen.defaults, **params}
    with single_threaded():
        preprocessing, train_design, itv_design = designs(chosen, train, itv, outliers)
        prepared = chosen.prepare(train_design, itv_design, seed=seed)
        fitted = prepared.fit(complete, seed=seed)
        check_scores(prepared.itv_pd(fitted), algorithm)
    columns = tuple(preprocessing.columns[i] for i in fitted.selected)
    return TrainedModel(algorithm, complete, preprocessing, columns, fitted)


def algorithm_named(name: str) -> Algorithm:
    """Raises TrainingError for a name that is not an algorithm."""
    if name not in ALGORITHMS:
        raise TrainingError(f"{name!r} is not an algorithm.", expected=f"one of {list(ALGORITHMS)}")
    return ALGORITHMS[name]


def designs(
    algorithm: Algorithm, train: Sample, itv: Sample, outliers: Mapping[str, Outliers] | None = None
) -> tuple[Preprocessing, Design, Design]:
    """Preprocessing learned from train, and both samples under it.

    Raises:
        TrainingError: a sample without both classes, or inputs that do not match.
    """
    for name, sample in (("train", train), ("ITV", itv)):
        if not 0 < sample.bads < len(sample):
            raise TrainingError(
                f"The {name} sample has {sample.bads} bads among {len(sample)} loans.",
                expected="loans of both classes",
                remedy="lengthen the development window, or check the label rule",
            )
    if (train.matrix.number_names, train.matrix.category_names) != (itv.matrix.number_names, itv.matrix.category_names):
        raise TrainingError("Train and ITV have different inputs.", expected="the same inputs in the same order")
    preprocessing = Preprocessing.fit(
        train.matrix, standardize=algorithm.standardize, outliers=outliers, weight=train.uneven_weight
    )
    both = [Design(preprocessing.transform(s.matrix), s.label, s.normalized_weight()) for s in (train, itv)]
    return preprocessing, both[0], both[1]


def check_scores(pd: np.ndarray, algorithm: str) -> None:
    """Raises TrainingError when PDs are not finite, or all the same."""
    if not np.isfinite(pd).all():
        raise TrainingError(
            f"{algorithm} gives {int((~np.isfinite(pd)).sum())} of {len(pd)} ITV loans a PD that is not a number.",
            expected="PDs in [0, 1]",
            remedy="check for inputs with extreme values; lower the learning rate",
        )
    if pd.min() == pd.max():
        raise TrainingError(
            f"{algorithm} gives every ITV loan the same PD, {float(pd[0]):.6g}.",
            expected="PDs that tell loans apart",
            remedy="check the labels and features of the window; loosen the penalties",
        )
