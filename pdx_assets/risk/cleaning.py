"""Loans as received -> application-time features: one row a loan, nothing learned from the data.

Whatever is fitted (missing-value flags, rare categories, scaling) belongs to models/preprocessing.py,
inside the model. Columns of role outcome never pass through here.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.errors import CleaningError
from pdx_assets.risk.sampling import sampling_weights
from pdx_assets.risk.spec import Column, PortfolioSpec

LEADING = ("cohort", "loan_id", "borrower_hash", "application_date")


def clean_features(spec: PortfolioSpec, loans: pl.DataFrame) -> pl.DataFrame:
    """Typed features of a cohort.

    Args:
        spec: the portfolio.
        loans: raw_loans of one or more cohorts: ``cohort``, ``loan_id`` and the tape's columns as text. A
            declared column that is absent counts as missing on every row.

    Returns:
        one row a loan, sorted by ``loan_id``: ``cohort``, ``loan_id``, ``borrower_hash`` (Int64),
        ``application_date`` (Date), ``weight`` (Float32, only if declared), every number feature
        (Float32, missing is null; a date feature is the days from it to the application date; a ratio
        is missing where its denominator is not above 0), every category feature and every protected
        column (String, missing is null).

    Raises:
        CleaningError: a value does not parse, a loan has no application date, or a feature's name is one
            this table needs for itself.
    """
    _require_names(spec)
    applied = _column(spec, loans, spec.origination_column)
    if applied.null_count():
        raise CleaningError(
            f"{applied.null_count()} loans have no {spec.origination_column}.",
            expected="loans of a staged tape, which all have one",
        )
    cleaned: dict[str, pl.Series] = {
        "cohort": loans["cohort"],
        "loan_id": loans["loan_id"],
        "borrower_hash": borrower_hashes(spec, loans),
        "application_date": applied,
    }
    if spec.is_weighted:
        cleaned["weight"] = loan_weights(spec, loans)
    for name in spec.number_features:
        cleaned[name] = _number(spec, loans, name, applied).cast(pl.Float32)
    for name in (*spec.category_features, *spec.named("protected")):
        cleaned[name] = _column(spec, loans, name).cast(pl.String)
    return pl.DataFrame([series.alias(name) for name, series in cleaned.items()]).sort("loan_id")


def loan_weights(spec: PortfolioSpec, loans: pl.DataFrame) -> pl.Series:
    """Float32 sample weight of each loan, by the column of role weight or by ``sampling_weights``.

    Args:
        loans: raw_loans of a portfolio that is weighted, in any order.
    """
    if spec.sampling_weights is not None:
        return sampling_weights(spec, loans, loans["source_file"]).cast(pl.Float32)
    return _column(spec, loans, spec.named("weight")[0]).cast(pl.Float32)


def feature_types(spec: PortfolioSpec) -> dict[str, str]:
    """Type of every column of clean_features by name, as polars spells it."""
    leading = {"cohort": "String", "loan_id": "String", "borrower_hash": "Int64", "application_date": "Date"}
    weights = {"weight": "Float32"} if spec.is_weighted else {}
    numbers = dict.fromkeys(spec.number_features, "Float32")
    texts = dict.fromkeys((*spec.category_features, *spec.named("protected")), "String")
    return {**leading, **weights, **numbers, **texts}


def _require_names(spec: PortfolioSpec) -> None:
    features = [*spec.number_features, *spec.category_features, *spec.named("protected")]
    taken = [name for name in features if name in (*LEADING, "weight")]
    repeated = sorted({name for name in features if features.count(name) > 1})
    if taken or repeated:
        raise CleaningError(
            f"portfolio {spec.name}: feature names {taken + repeated} cannot be used.",
            expected=f"each name once, and none of {', '.join((*LEADING, 'weight'))}",
            remedy="rename the column in the export, or the ratio in the spec",
        )


def _column(spec: PortfolioSpec, loans: pl.DataFrame, name: str) -> pl.Series:
    column = spec.columns[name]
    if name not in loans.columns:
        return pl.Series(name, [None], dtype=_TYPES[column.dtype]).new_from_index(0, loans.height)
    found = columns.parsed(loans[name], column)
    if found.null_count() == loans[name].null_count():
        return found
    wrong = columns.unparsed(loans[name], column)
    if wrong.any():
        example = loans.filter(wrong).select("loan_id", name).row(0)
        raise CleaningError(
            f"{int(wrong.sum())} values of {name} do not parse; first: loan {example[0]}, {example[1]!r}.",
            expected=_wanted(column),
            remedy="stage the tape again: it sets such rows aside",
        )
    return found


_TYPES = {"number": pl.Float64, "date": pl.Date, "category": pl.String, "text": pl.String}


def _wanted(column: Column) -> str:
    return f"a date {' or '.join(column.formats)}" if column.dtype == "date" else f"a {column.dtype}"


def _number(spec: PortfolioSpec, loans: pl.DataFrame, name: str, applied: pl.Series) -> pl.Series:
    if name in spec.columns:
        return _plain_number(spec, loans, name, applied)
    ratio = spec.ratios[name]
    above = _plain_number(spec, loans, ratio.numerator, applied)
    below = _plain_number(spec, loans, ratio.denominator, applied)
    found = (above / below).set(~(below > 0).fill_null(False), None)
    # A denominator next to 0 must not become an infinity.
    return found.set(~found.cast(pl.Float32).is_finite().fill_null(True), None)


def _plain_number(spec: PortfolioSpec, loans: pl.DataFrame, name: str, applied: pl.Series) -> pl.Series:
    values = _column(spec, loans, name)
    if spec.columns[name].dtype == "date":
        return (applied - values).dt.total_days().cast(pl.Float64)
    return values


def borrower_hashes(spec: PortfolioSpec, loans: pl.DataFrame) -> pl.Series:
    """Int64 per loan: the first 8 bytes, big-endian and signed, of the sha256 of the borrower's id.

    Signed because Delta Lake has no unsigned type. The loan id stands in where no borrower is declared or
    the cell is blank. Train and ITV are split by this number, so that a borrower is on the same side in
    every month.
    """
    ids = loans["loan_id"]
    for name in spec.named("borrower"):
        if name in loans.columns:
            ids = columns.stripped(loans[name]).fill_null(ids)
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in ids)
    return pl.Series("borrower_hash", np.frombuffer(digests, dtype=">i8").astype(np.int64))
