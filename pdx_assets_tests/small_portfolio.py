"""A portfolio small enough to run whole in seconds: the demo's columns, short windows, two algorithms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import pdx_assets
from pdx_assets.risk.spec import PortfolioSpec

DEMO = Path(pdx_assets.__file__).parent / "defs" / "demo" / "defs.yaml"

# p0 = first cohort + D 4 + O 2 + G 12; eight production months and their labels fit in 38 months.
FIRST_COHORT, P0, MONTHS = "2021-01", "2022-07", 38


def small_attributes(**changes: Any) -> dict[str, Any]:
    """Attributes of the small portfolio, with top-level keys replaced."""
    attributes: dict[str, Any] = yaml.safe_load(DEMO.read_text(encoding="utf-8"))["attributes"]
    attributes["name"] = "small"
    lender = attributes["tape"]["simulated"]
    lender |= {"months": MONTHS, "first_month": FIRST_COHORT, "loans_per_month": 250, "bad_rate": 0.14}
    lender["faults"] = {"dirty_share": 0.004}
    attributes["tape"] |= {"first_cohort": FIRST_COHORT, "reject_tolerance": 0.05}
    attributes["windows"] = {"development": 4, "otv": 2, "gap": 12, "first_production": P0}
    attributes["algorithms"] = ["logistic_regression", "xgboost"]
    attributes["tuning"] = {
        "profiles": {
            "quick": {"trials": 2, "retune_every": 6},
            "standard": {"trials": 2, "retune_every": 6},
            "paper": {"trials": 2, "retune_every": 1},
        }
    }
    return attributes | changes


def small_spec(**changes: Any) -> PortfolioSpec:
    """The small portfolio's spec."""
    return PortfolioSpec.model_validate(small_attributes(**changes))
