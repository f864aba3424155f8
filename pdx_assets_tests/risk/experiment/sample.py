"""A portfolio's stored results made by hand: three decided months, the third not measured, one tombstone."""

from __future__ import annotations

from typing import Any

from pdx_assets.risk.calendar import Month, Periods
from pdx_assets.risk.experiment.paper import PaperDataset
from pdx_assets.risk.experiment.stored import Split, Stored

TOLD = "Simulated: every loan of hand is drawn by nobody."
REASON = "no | convergence\nat all"


def metrics(auc: float | None, *, bads: int = 20, loans: int = 200) -> dict[str, Any]:
    """KS, F1 and 3DCR at fixed distances of the AUC, so that a test can say what it expects."""
    if auc is None:
        return {"auc": None, "ks": None, "f1": None, "capture_rate_top3_deciles": None, "n_loans": loans, "n_bads": 0}
    near = {"ks": auc - 0.4, "f1": auc - 0.5, "capture_rate_top3_deciles": auc - 0.1}
    return {"auc": auc, **near, "n_loans": loans, "n_bads": bads, "bad_rate": bads / loans}


# month -> recipe -> (digest, AUC on train, ITV, OTV, production)
MODELS: dict[str, dict[str, tuple[str | None, float | None, float | None, float | None, float | None]]] = {
    "2024-01": {
        "fixed_window logistic_regression": ("a", 0.81, 0.71, 0.70, 0.69),
        "fixed_origin logistic_regression": ("a", 0.81, 0.71, 0.70, 0.69),
        "rolling_window logistic_regression": ("a", 0.81, 0.71, 0.70, 0.69),
        "fixed_window xgboost": ("b", 0.91, 0.76, 0.75, 0.72),
        "fixed_origin xgboost": ("b", 0.91, 0.76, 0.75, 0.72),
        "rolling_window xgboost": ("b", 0.91, 0.76, 0.75, 0.72),
    },
    "2024-02": {
        "fixed_window logistic_regression": ("a", 0.81, 0.71, 0.69, 0.66),
        "fixed_origin logistic_regression": ("c", 0.82, 0.72, 0.70, 0.67),
        "rolling_window logistic_regression": ("d", 0.83, 0.73, 0.71, None),
        "fixed_window xgboost": ("b", 0.91, 0.76, 0.74, 0.66),
        "fixed_origin xgboost": ("e", 0.92, 0.77, 0.73, 0.68),
        "rolling_window xgboost": (None, None, None, None, None),
    },
    "2024-03": {
        "fixed_window logistic_regression": ("a", 0.81, 0.71, 0.68, None),
        "fixed_origin logistic_regression": ("f", 0.82, 0.72, 0.70, None),
        "rolling_window logistic_regression": ("g", 0.83, 0.73, 0.77, None),
        "fixed_window xgboost": ("b", 0.91, 0.76, 0.73, None),
        "fixed_origin xgboost": ("h", 0.92, 0.77, 0.74, None),
        "rolling_window xgboost": ("i", 0.93, 0.78, 0.75, None),
    },
}


def _model(month: str, recipe: str) -> dict[str, Any]:
    strategy, algorithm = recipe.split()
    digest, *figures = MODELS[month][recipe]
    named: dict[str, Any] = {"production_month": month, "strategy": strategy, "algorithm": algorithm}
    trained_for = "2024-01" if strategy == "fixed_window" else month
    measured: dict[str, Any] = dict.fromkeys(("train", "itv", "otv", "production"))
    for part, auc in zip(measured, figures, strict=True):
        measured[part] = None if auc is None else metrics(auc)
    named |= {"trained_for": trained_for, "bundle_sha256": digest, "tombstone": None if digest else REASON}
    return named | measured


def _champion(month: str, recipe: str, digest: str, made_for: str, otv: float, own: Any, frozen: Any) -> dict[str, Any]:
    strategy, algorithm = recipe.split()
    return {
        "production_month": month,
        "strategy": strategy,
        "algorithm": algorithm,
        "trained_for": made_for,
        "bundle_sha256": digest,
        "decision": "promoted",
        "reason": "by hand",
        "otv_auc": otv,
        "production": own,
        "baseline_production": frozen,
    }


def stored(paper: PaperDataset | None = None, frequency: str = "month", **changes: Any) -> Stored:
    """The hand-made results; XGB FW of M1 is kept in M2, RW LR takes over in M3, which is not measured."""
    first, second = metrics(0.72), metrics(0.66, bads=30, loans=250)
    given: dict[str, Any] = {
        "portfolio": "hand",
        "periods": Periods(frequency),  # type: ignore[arg-type]
        "p0": Month(2024, 1),
        "strategies": ("fixed_window", "fixed_origin", "rolling_window"),
        "algorithms": ("logistic_regression", "xgboost"),
        "models": [_model(month, recipe) for month, recipes in MODELS.items() for recipe in recipes],
        "champions": [
            _champion("2024-01", "fixed_window xgboost", "b", "2024-01", 0.75, first, first),
            _champion("2024-02", "fixed_window xgboost", "b", "2024-01", 0.74, second, second),
            _champion("2024-03", "rolling_window logistic_regression", "g", "2024-03", 0.77, None, None),
        ],
        "columns": 30,
        "features": 21,
        "splits": {
            "train": Split("2022-01 to 2022-12", 7500, 600, 0.08),
            "itv": Split("2022-01 to 2022-12", 2500, 200, 0.08),
            "otv": Split("2023-01 to 2023-03", 1000, 100, 0.1),
        },
        "told": (TOLD,),
        "paper": paper,
    }
    return Stored(**(given | changes))
