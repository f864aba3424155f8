"""XGBoost: a first fit's gains select the variables, then the final fit (appendix A.3)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.models.base import Design, Fitted, Params, most_important, shares, sigmoid

if TYPE_CHECKING:
    from pdx_assets.risk.models.onnx_graph import Graph

MAX_BIN = 128
MAX_ROUNDS = 400
PATIENCE = 25
FIRST_ROUNDS = 60
# The variables kept carry this share of the first fit's gain.
KEPT_SHARE = 0.95


@dataclass(frozen=True, eq=False)
class FittedXGBoost:
    """A booster cut at its best round, and the columns it was grown on."""

    selected: tuple[int, ...]
    importances: np.ndarray
    booster: Any

    def predict_pd(self, X: np.ndarray) -> np.ndarray:
        if not len(X):
            return np.empty(0, np.float32)
        # The log-odds are XGBoost's; their PDs are taken in float64, as in the bundle's graph, since above
        # a PD of 0.5 float32 would merge neighbouring log-odds and make ties.
        return sigmoid(self.booster.inplace_predict(X, predict_type="margin"))

    def add_to(self, graph: Graph, columns: str) -> str:
        from pdx_assets.risk.models.onnx_graph import Trees

        model = json.loads(bytes(self.booster.save_raw("json")))["learner"]
        rate = np.float32(model["learner_model_param"]["base_score"].strip("[]"))
        # float64's logarithm rounded is libm's float32 one, which XGBoost takes; numpy's own differs in the last bit.
        log_odds = -np.log(np.float64(np.float32(1) / rate - np.float32(1)))
        trees = Trees(np.float32, "BRANCH_LT", "SUM")
        # XGBoost starts from the base score and adds tree by tree; ONNX's base_values are added last. As a
        # tree of one leaf it comes first, and the float32 sums agree to the last bit.
        none = np.array([-1])
        trees.add_tree(none, none, none, none, np.array([log_odds]))
        for tree in model["gradient_booster"]["model"]["trees"]:
            split = np.array(tree["split_conditions"], np.float32)
            left, right, feature = (np.array(tree[k]) for k in ("left_children", "right_children", "split_indices"))
            trees.add_tree(left, right, feature, split, split)
        return graph.pd_from_log_odds(graph.cast(trees.add_to(graph, columns), np.float64))


@dataclass(eq=False)
class _Binned:
    """Train and ITV binned once."""

    train: Any
    itv: Any

    @classmethod
    def of(cls, train: Design, itv: Design) -> _Binned:
        import xgboost

        matrix = xgboost.QuantileDMatrix(train.X, label=train.label, weight=train.weight, max_bin=MAX_BIN, nthread=1)
        reference = xgboost.QuantileDMatrix(
            itv.X, label=itv.label, weight=itv.weight, max_bin=MAX_BIN, nthread=1, ref=matrix
        )
        return cls(matrix, reference)

    def grow(self, params: Params, *, rounds: int, seed: int) -> Any:
        import xgboost

        settings = {
            **params,
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": "hist",
            "max_bin": MAX_BIN,
            "nthread": 1,
            "seed": seed,
            "verbosity": 0,
        }
        stop = xgboost.callback.EarlyStopping(rounds=PATIENCE, save_best=True)
        return xgboost.train(
            settings,
            self.train,
            num_boost_round=rounds,
            evals=[(self.itv, "itv")],
            callbacks=[stop],
            verbose_eval=False,
        )


def _gains(booster: Any, columns: int) -> np.ndarray:
    gains = np.zeros(columns)
    for name, gain in booster.get_score(importance_type="total_gain").items():
        gains[int(name[1:])] = gain
    return gains


@dataclass(eq=False)
class _Prepared:
    binned: _Binned
    itv: Design
    selected: tuple[int, ...]

    def fit(self, params: Params, *, seed: int, draft: bool = False) -> FittedXGBoost:
        del draft
        booster = self.binned.grow(params, rounds=MAX_ROUNDS, seed=seed)
        gains = _gains(booster, len(self.selected))
        if not gains.any():
            raise TrainingError(
                "XGBoost made no split: every loan has the same score.",
                expected="at least one split worth its penalty",
                remedy="lower min_child_weight, reg_lambda or gamma; with few bads, lengthen development",
            )
        return FittedXGBoost(self.selected, shares(gains), booster)

    def itv_pd(self, fitted: Fitted) -> np.ndarray:
        return fitted.predict_pd(self.itv.X)


@dataclass(frozen=True)
class XGBoost:
    """Appendix A.3. Parameters are XGBoost's own; the number of rounds is found on ITV at every fit."""

    name: str = "xgboost"
    standardize: bool = False
    library: str = "xgboost"
    defaults: Params = field(
        default_factory=lambda: {
            "learning_rate": 0.1,
            "max_depth": 3,
            "min_child_weight": 2.0,
            "subsample": 0.8,
            "colsample_bytree": 0.6,
            "reg_lambda": 5.0,
        }
    )

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.15, log=True),
            "max_depth": trial.suggest_int("max_depth", 1, 4),
            "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 10.0, log=True),
            "subsample": trial.suggest_float("subsample", 0.6, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 0.9),
            "reg_lambda": trial.suggest_float("reg_lambda", 1.0, 50.0, log=True),
        }

    def prepare(self, train: Design, itv: Design, *, seed: int) -> _Prepared:
        first = _Binned.of(train, itv).grow(self.defaults, rounds=FIRST_ROUNDS, seed=seed)
        selected = most_important(_gains(first, train.X.shape[1]), KEPT_SHARE, what=self.name)
        train, itv = train.take(selected), itv.take(selected)
        return _Prepared(_Binned.of(train, itv), itv, selected)
