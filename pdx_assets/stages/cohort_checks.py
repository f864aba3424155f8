"""Checks of a cohort as it is read: counts against the cohorts before it on the same tape.

The cohorts before are counted from the staged tape and not from the tables, which other runs may be writing: so a
verdict depends on the tape alone, in whatever order months are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.base import Verdict
from pdx_assets.risk.checks.features import FeatureCounts, category_novelty, missing_rate, schema
from pdx_assets.risk.checks.intake import cohort_volume, row_accounting
from pdx_assets.risk.checks.performance import bad_rate_shift
from pdx_assets.risk.cleaning import clean_features, feature_types
from pdx_assets.risk.metrics.weights import ClassWeights
from pdx_assets.risk.outcomes import cohort_labels
from pdx_assets.risk.tape import CohortRows
from pdx_assets.stages import tape, verdicts
from pdx_assets.stages.workspace import Workspace


def check_rows(ws: Workspace, cohort: Month, rows: CohortRows) -> Sequence[Verdict]:
    """Row accounting and volume of a cohort, stored."""
    counts = tape.open_tape(ws).loan_counts()
    earlier = [(str(c), n) for c, n in counts.items() if c < cohort]
    found = [
        row_accounting(ws.spec.checks, rows.accounting, rows.performance_accounting),
        cohort_volume(ws.spec.checks, rows.accounting.rows_out, earlier),
    ]
    return verdicts.keep(ws, "raw_loans", cohort, found)


def check_features(ws: Workspace, cohort: Month, features: pl.DataFrame) -> Sequence[Verdict]:
    """Schema, missing shares and new categories of a cohort's clean_features, stored."""
    limits = ws.spec.checks
    counts = FeatureCounts.of(ws.spec, features)
    _counted(ws, "feature_counts", cohort, lambda: asdict(counts))
    earlier = [_features_of(ws, c) for c in _before(ws, cohort)]
    types = {name: str(dtype) for name, dtype in features.schema.items()}
    optional = [name for name, column in ws.spec.columns.items() if column.optional]
    found = [
        schema(limits, types, feature_types(ws.spec), counts, earlier, optional),
        missing_rate(limits, counts, earlier),
        category_novelty(limits, counts, earlier),
    ]
    return verdicts.keep(ws, "clean_features", cohort, found)


def check_labels(ws: Workspace, cohort: Month, labels: pl.DataFrame) -> Sequence[Verdict]:
    """The bad rate of a cohort's labels, once known, stored."""
    weight = stored_weight(ws, cohort)
    counts = known_counts(labels, weight)
    _counted(ws, _label_kind(ws), cohort, lambda: counts)
    earlier, weights = [], {}
    if counts["bads"] is not None:
        for c in _before(ws, cohort):
            found = _labels_of(ws, c)
            if found["bads"] is not None:
                earlier.append((str(c), found["bads"], found["goods"]))
                weights[str(c)] = _weights_in(found)
    verdict = bad_rate_shift(
        ws.spec.checks,
        counts["bads"],
        counts["goods"],
        earlier,
        weight=_weights_in(counts),
        earlier_weights={c: w for c, w in weights.items() if w is not None},
    )
    return verdicts.keep(ws, "labels", cohort, [verdict])


def _label_kind(ws: Workspace) -> str:
    return "weighted_label_counts" if ws.spec.is_weighted else "label_counts"


def stored_weight(ws: Workspace, cohort: Month) -> pl.DataFrame | None:
    """loan_id and weight of a cohort's clean_features; None where the portfolio declares no weight."""
    if not ws.spec.is_weighted:
        return None
    return ws.lake.scan_months("clean_features", [cohort], columns=["loan_id", "weight"]).collect()


def known_counts(labels: pl.DataFrame, weight: pl.DataFrame | None = None) -> dict[str, Any]:
    """Bads and goods among the newest label versions; None each while any loan's label is unknown.

    Args:
        labels: label rows of a cohort.
        weight: loan_id and weight of its loans; then :class:`ClassWeights` of the labelled ones, as ``weight``.
    """
    newest = labels.filter(pl.col("superseded_from").is_null())
    if not newest.height or (newest["status"] == "unknown").any():
        return {"bads": None, "goods": None}
    counts: dict[str, Any] = {
        "bads": int((newest["label"] == 1).sum()),
        "goods": int((newest["label"] == 0).sum()),
    }
    if weight is not None:
        known = newest.filter(pl.col("label").is_not_null()).join(weight, on="loan_id")
        counts["weight"] = asdict(ClassWeights.of(known["label"].to_numpy(), known["weight"].to_numpy()))
    return counts


def _weights_in(counts: Mapping[str, Any]) -> ClassWeights | None:
    return ClassWeights(**counts["weight"]) if "weight" in counts else None


def _before(ws: Workspace, cohort: Month) -> list[Month]:
    earlier = [c for c, n in tape.open_tape(ws).loan_counts().items() if c < cohort and n]
    return earlier[-ws.spec.checks.reference_cohorts :]


def _features_of(ws: Workspace, cohort: Month) -> FeatureCounts:
    def count() -> dict[str, Any]:
        loans = tape.open_tape(ws).cohort(cohort).loans
        return asdict(FeatureCounts.of(ws.spec, clean_features(ws.spec, loans)))

    return FeatureCounts(**_counted(ws, "feature_counts", cohort, count))


def _labels_of(ws: Workspace, cohort: Month) -> dict[str, Any]:
    def count() -> dict[str, Any]:
        opened = tape.open_tape(ws)
        rows = opened.cohort(cohort)
        # Not by the stage's own functions: they keep what a table was made from, and no table is made here.
        weight = None
        if ws.spec.is_weighted:
            weight = clean_features(ws.spec, rows.loans).select("loan_id", "weight")
        return known_counts(cohort_labels(ws.spec, cohort, rows, opened.as_of), weight)

    return _counted(ws, _label_kind(ws), cohort, count)


def _counted(ws: Workspace, kind: str, cohort: Month, count: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Counts of a cohort on today's tape: those stored, or made and stored now."""
    state = tape.tape_state(ws)
    found = ws.lake.find_document(kind, str(cohort))
    if found is None or found["tape_state"] != state:
        with ws.only_one(f"{kind}-{cohort}"):
            found = ws.lake.find_document(kind, str(cohort))
            if found is None or found["tape_state"] != state:
                found = {"tape_state": state, "counts": count()}
                ws.lake.put_document(kind, str(cohort), found)
    counts: dict[str, Any] = found["counts"]
    return counts
