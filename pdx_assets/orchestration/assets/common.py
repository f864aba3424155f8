"""What every asset of a portfolio shares: its group, owners, kinds and tags; and how old it may grow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dagster as dg

from pdx_assets.risk.spec import PortfolioSpec

# Dagster lists groups alphabetically: the number keeps a portfolio's stages in order.
STAGES = ("tape", "windows", "challengers", "decision", "production", "monitoring")

LABELS_TAG = "pdx/labels"
"""Of assets whose labels nobody could know in time; training runs in MLflow carry it as well."""

# Its limit, the cores lent to PDx, stands in dagster.yaml.
TRAINING_POOL = "training"


def group_name(portfolio: str, stage: str) -> str:
    """Group of a stage: ``demo_1_tape`` ... ``demo_6_monitoring``."""
    return f"{portfolio}_{STAGES.index(stage) + 1}_{stage}"


def asset_options(spec: PortfolioSpec, stage: str, *, kinds: set[str]) -> dict[str, Any]:
    """Keyword arguments of ``@dg.asset`` that do not depend on the asset."""
    return {
        "key_prefix": [spec.name],
        "group_name": group_name(spec.name, stage),
        "owners": list(spec.owners),
        "kinds": kinds,
        "tags": {"pdx/portfolio": spec.name},
    }


def monthly(spec: PortfolioSpec) -> dg.FreshnessPolicy:
    """A period and ten days without a new partition is worth a look, a period and a month a failure.

    In the UI only, as a state of the asset: loans arrive at the month's end, and a lender's export some days later.
    """
    period = 31 * spec.periods.months
    return dg.FreshnessPolicy.time_window(
        warn_window=timedelta(days=period + 10), fail_window=timedelta(days=period + 31)
    )
