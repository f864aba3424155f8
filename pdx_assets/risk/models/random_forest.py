"""Random forest: a first fit's importances select the variables, then the final fit (appendix A.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pdx_assets.risk.models.base import Design, Fitted, Params, most_important, shares

if TYPE_CHECKING:
    from pdx_assets.risk.models.onnx_graph import Graph

TREES = 100
# A trial grows fewer trees: 30 rank parameters as 100 do, within the noise of an ITV sample.
DRAFT_TREES = 30
# Loans a tree sees at most. At 354,445 train loans x 215 inputs (p2p_twin, untuned) 25,000 gave an OTV AUC of 0.724
# in 27 CPU-seconds and 50,000 one of 0.715 in 36: trees of more loans agree more, and select fewer variables.
TREE_LOANS = 25_000
# The variables kept carry this share of the first fit's Gini importance.
KEPT_SHARE = 0.9
BLOCK = 65536


@dataclass(frozen=True, eq=False)
class FittedRandomForest:
    """A scikit-learn forest and the columns it was grown on."""

    selected: tuple[int, ...]
    importances: np.ndarray
    forest: Any

    def predict_pd(self, X: np.ndarray) -> np.ndarray:
        parts = [self.forest.predict_proba(X[i : i + BLOCK])[:, 1] for i in range(0, len(X), BLOCK)]
        return np.concatenate([*parts, np.empty(0)]).astype(np.float32)

    def add_to(self, graph: Graph, columns: str) -> str:
        from pdx_assets.risk.models.onnx_graph import Trees

        # scikit-learn compares float32 inputs with float64 thresholds by <=, and averages in float64.
        trees = Trees(np.float64, "BRANCH_LEQ", "AVERAGE")
        for estimator in self.forest.estimators_:
            tree = estimator.tree_
            bad = tree.value[:, 0, 1] / tree.value[:, 0, :].sum(axis=1)
            trees.add_tree(tree.children_left, tree.children_right, tree.feature, tree.threshold, bad)
        return trees.add_to(graph, graph.cast(columns, np.float64))


def _leaf(params: Params, loans: int) -> float | int:
    """scikit-learn's ``min_samples_leaf``: the declared share of train, as if train were no larger than its trees see.

    scikit-learn takes the share of all of train. Where TREE_LOANS caps what a tree sees, leaves would grow with
    train and the trees not: of 354,445 loans, 0.005 is 3.5 % of a tree's 50,000, and costs a point of AUC.
    """
    share, seen = float(params["min_leaf_share"]), float(params["max_samples"]) * loans
    return share if seen <= TREE_LOANS else math.ceil(share * TREE_LOANS / float(params["max_samples"]))


def _grow(design: Design, params: Params, *, trees: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators=trees,
        max_depth=int(params["max_depth"]),
        min_samples_leaf=_leaf(params, len(design.label)),
        max_features=float(params["max_features"]),
        max_samples=max(1, min(TREE_LOANS, int(params["max_samples"] * len(design.label)))),
        n_jobs=1,
        random_state=seed,
    )
    # Equal weights are left out: scikit-learn has a faster path without.
    return forest.fit(design.X, design.label, sample_weight=design.uneven_weight)


@dataclass(eq=False)
class _Prepared:
    train: Design
    itv: Design
    selected: tuple[int, ...]

    def fit(self, params: Params, *, seed: int, draft: bool = False) -> FittedRandomForest:
        forest = _grow(self.train, params, trees=DRAFT_TREES if draft else TREES, seed=seed)
        return FittedRandomForest(self.selected, shares(forest.feature_importances_), forest)

    def itv_pd(self, fitted: Fitted) -> np.ndarray:
        return fitted.predict_pd(self.itv.X)


@dataclass(frozen=True)
class RandomForest:
    """Appendix A.2. Parameters: depth, leaf size (share of train), inputs a split, loans a tree."""

    name: str = "random_forest"
    standardize: bool = False
    library: str = "scikit-learn"
    defaults: Params = field(
        default_factory=lambda: {"max_depth": 8, "min_leaf_share": 0.005, "max_features": 0.2, "max_samples": 0.5}
    )

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {
            "max_depth": trial.suggest_int("max_depth", 4, 9),
            "min_leaf_share": trial.suggest_float("min_leaf_share", 0.002, 0.02, log=True),
            "max_features": trial.suggest_float("max_features", 0.05, 0.3),
            "max_samples": trial.suggest_float("max_samples", 0.2, 0.5),
        }

    def prepare(self, train: Design, itv: Design, *, seed: int) -> _Prepared:
        first = _grow(train, self.defaults, trees=DRAFT_TREES, seed=seed)
        selected = most_important(first.feature_importances_, KEPT_SHARE, what=self.name)
        return _Prepared(train.take(selected), itv.take(selected), selected)
