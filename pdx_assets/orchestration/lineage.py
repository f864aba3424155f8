"""Columns as Dagster shows them: their schema, and which column each came from, from tape to model input."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from pdx_assets.risk.spec import Column, PortfolioSpec

COLUMN_SCHEMA, COLUMN_LINEAGE = "dagster/column_schema", "dagster/column_lineage"


def raw_schema(spec: PortfolioSpec) -> dg.TableSchema:
    """The columns of raw_loans: the tape's, as received."""
    fixed = [
        dg.TableColumn("cohort", "string", description="Month of origination."),
        dg.TableColumn("loan_id", "string", description="The loan's number, or one derived from its application."),
        dg.TableColumn("source_file", "string", description="The tape's file the row was read from."),
        dg.TableColumn("source_row", "int64", description="Its line in that file, from 1."),
    ]
    own = {column.name for column in fixed}
    tape = [
        dg.TableColumn(name, "string", description=_described(column, f"role {column.role}"))
        for name, column in spec.columns.items()
        if name not in own
    ]
    return dg.TableSchema([*fixed, *tape])


def features_schema(spec: PortfolioSpec) -> dg.TableSchema:
    """The columns of clean_features, with units and descriptions from the YAML."""
    fixed = [
        dg.TableColumn("cohort", "string", description="Month of origination."),
        dg.TableColumn("loan_id", "string"),
        dg.TableColumn("borrower_hash", "int64", description="Hash of the borrower: decides the side of the split."),
        dg.TableColumn("application_date", "date"),
    ]
    weight = [dg.TableColumn("weight", "float32", description="Sample weight.")] if spec.is_weighted else []
    described = []
    for name in _features(spec):
        column = spec.columns.get(name)
        kind = "string" if column is not None and column.dtype == "category" else "float32"
        text = spec.ratios[name].description if column is None else _described(column)
        described.append(dg.TableColumn(name, kind, description=text or None))
    return dg.TableSchema([*fixed, *weight, *described])


def features_lineage(spec: PortfolioSpec) -> dg.TableColumnLineage:
    """clean_features from raw_loans, column by column."""
    dated = spec.origination_column
    sources: dict[str, list[str]] = {
        "cohort": ["cohort"],
        "loan_id": ["loan_id"],
        "borrower_hash": [*spec.named("borrower"), "loan_id"],
        "application_date": [dated],
    }
    for name in spec.named("weight"):
        sources["weight"] = [name]
    if spec.sampling_weights is not None:
        sources["weight"] = [spec.sampling_weights.column, "source_file"]
    for name in _features(spec):
        ratio = spec.ratios.get(name)
        wanted = [name] if ratio is None else [ratio.numerator, ratio.denominator]
        # A date becomes the days from it to the application date.
        days = any(spec.columns[c].dtype == "date" for c in wanted)
        sources[name] = [*wanted, *([dated] if days else [])]
    return _lineage(spec, "raw_loans", sources)


def inputs_lineage(spec: PortfolioSpec, inputs: Iterable[str]) -> dg.TableColumnLineage:
    """A model's inputs from clean_features: a number, its missing flag, and each level of a category.

    Args:
        inputs: names as in a bundle's ``selected``: ``income``, ``income is missing``, ``purpose = car``.
    """
    features = sorted([*spec.number_features, *spec.category_features], key=len, reverse=True)
    sources = {}
    for name in inputs:
        found = [f for f in features if name == f or name.startswith((f"{f} is missing", f"{f} = "))]
        sources[name] = found[:1]
    return _lineage(spec, "clean_features", sources)


def inputs_schema(inputs: Iterable[str]) -> dg.TableSchema:
    """A model's inputs as columns."""
    return dg.TableSchema([dg.TableColumn(name, "float32") for name in inputs])


def _features(spec: PortfolioSpec) -> list[str]:
    return [*spec.number_features, *spec.category_features, *spec.named("protected")]


def _described(column: Column, *more: str) -> str:
    notes = [*([column.unit] if column.unit and column.unit != "none" else []), *more]
    return f"{column.description} [{', '.join(notes)}]".strip() if notes else column.description


def _lineage(spec: PortfolioSpec, asset: str, sources: dict[str, list[str]]) -> dg.TableColumnLineage:
    key = dg.AssetKey([spec.name, asset])
    return dg.TableColumnLineage(
        {name: [dg.TableColumnDep(key, column) for column in columns] for name, columns in sources.items()}
    )
