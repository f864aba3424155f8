"""What every asset of a portfolio shares: its group, owners, kinds, tags and column schema."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pdx_assets.risk.spec import PortfolioSpec

# Dagster lists groups alphabetically: the number keeps a portfolio's stages in order.
STAGES = ("tape", "windows", "challengers", "decision", "production", "monitoring")

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


def column_schema(spec: PortfolioSpec) -> dg.TableSchema:
    """The columns of clean_features, with units and descriptions from the YAML."""
    fixed = [
        dg.TableColumn("cohort", "string", description="Month of origination."),
        dg.TableColumn("loan_id", "string"),
        dg.TableColumn("borrower_hash", "int64", description="Hash of the borrower: decides the side of the split."),
        dg.TableColumn("application_date", "date"),
    ]
    described = []
    for name in [*spec.number_features, *spec.category_features]:
        column = spec.columns.get(name)
        kind = "string" if column is not None and column.dtype == "category" else "float32"
        text = column.description if column is not None else spec.ratios[name].description
        unit = f" [{column.unit}]" if column is not None and column.unit else ""
        described.append(dg.TableColumn(name, kind, description=f"{text}{unit}".strip() or None))
    return dg.TableSchema([*fixed, *described])
