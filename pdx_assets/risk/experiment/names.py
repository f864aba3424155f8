"""The paper's short names of strategies and algorithms, and of a model by the period it was made for."""

from __future__ import annotations

from collections.abc import Collection

from pdx_assets.risk.calendar import Frequency

SHORT = {
    "fixed_window": "FW",
    "fixed_origin": "FO",
    "rolling_window": "RW",
    "all_known": "AK",
    "immature_cohorts": "IC",
    "logistic_regression": "LR",
    "random_forest": "RF",
    "xgboost": "XGB",
    "neural_network": "NN",
    "blend": "BL",
}
LEGEND = (
    "FW fixed window, FO fixed origin, RW rolling window; LR logistic regression, RF random forest, XGB XGBoost, "
    "NN neural network."
)
DECLARED = {
    "all_known": "AK every label known",
    "immature_cohorts": "IC partly observed cohorts as well",
    "blend": "BL blend of the period's other models of the same window",
}
"""What the legend adds where a portfolio has it; the others are the paper's own."""

CUT = "F1 and 3DCR are taken at the riskiest 30 % of the loans."


def legend(declared: Collection[str]) -> str:
    """What the short names mean, for a portfolio's strategies and algorithms."""
    added = [text for name, text in DECLARED.items() if name in declared]
    return "; ".join([LEGEND.removesuffix("."), *added]) + "."


def period_name(number: int, frequency: Frequency) -> str:
    """``M3`` or ``Q3``: the third production period."""
    return f"{frequency[0].upper()}{number}"
