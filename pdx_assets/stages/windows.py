"""Group *windows*: manifests from the tables as they are now, and loans back from a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.spec import Strategy
from pdx_assets.risk.windows import (
    Cohorts,
    Development,
    assemble_development,
    build_manifest,
    development_months,
    labelled,
    otv_months,
)
from pdx_assets.stages.made import keep_window
from pdx_assets.stages.waivers import gates
from pdx_assets.stages.workspace import Workspace


def make_window(ws: Workspace, strategy: Strategy, production: Month) -> dict[str, Any]:
    """Build and store the manifest of ``window_<strategy>`` at a production month."""
    # The first thing that a seed decides: from here on the home holds this seed and no other.
    ws.settings.pin(ws.spec.name)
    months = sorted({*development_months(ws.spec, strategy, production), *otv_months(ws.spec, production)})
    versions = {layer: ws.lake.version(layer) for layer in ("clean_features", "labels")}
    cohorts = _cohorts(ws, months, versions)
    manifest = build_manifest(ws.spec, strategy, production, cohorts, seed=ws.pinned.seed)
    # Table versions say where to read; they depend on the order months were written in, so no hash covers them.
    manifest["tables"] = versions
    ws.lake.put_document(f"window_{strategy}", str(production), manifest)
    keep_window(ws, strategy, production, manifest)
    return manifest


def window(ws: Workspace, strategy: Strategy, production: Month) -> dict[str, Any]:
    """A stored manifest.

    Raises:
        HomeError: it was not materialized yet.
    """
    return ws.lake.get_document(f"window_{strategy}", str(production))


def window_or_make(ws: Workspace, strategy: Strategy, production: Month) -> dict[str, Any]:
    """A stored manifest, or a fresh one where there is none: an anchor may be needed before its own run."""
    return ws.lake.find_document(f"window_{strategy}", str(production)) or make_window(ws, strategy, production)


def development(ws: Workspace, manifest: Mapping[str, Any]) -> Development:
    """The loans of a manifest's development window, as train and ITV."""
    features, labels = _read(ws, manifest, "development")
    return assemble_development(ws.spec, manifest, features, labels)


def otv_loans(ws: Workspace, manifest: Mapping[str, Any]) -> pl.DataFrame:
    """The labelled loans of a manifest's OTV window: clean_features columns plus ``label``."""
    features, labels = _read(ws, manifest, "otv")
    return labelled(features, labels, on=decision_date(Month.parse(manifest["production_month"])))


def _read(ws: Workspace, manifest: Mapping[str, Any], part: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = manifest[part]["months"]
    months = [Month.parse(r["cohort"]) for r in rows]
    versions = manifest["tables"]
    held = ws.lake.contents("clean_features", versions["clean_features"])
    changed = [r["cohort"] for r in rows if held[Month.parse(r["cohort"])].sha256 != r["features_sha256"]]
    if changed:
        raise HomeError(
            f"clean_features version {versions['clean_features']} holds other rows than the manifest of "
            f"{manifest['production_month']} says, for {', '.join(changed)}.",
            remedy=f"materialize window_{manifest['strategy']} for {manifest['production_month']} again",
        )
    features = ws.lake.scan_months("clean_features", months, version=versions["clean_features"])
    labels = ws.lake.scan_months("labels", months, version=versions["labels"])
    return features.collect(), labels.collect()


def _cohorts(ws: Workspace, months: Iterable[Month], versions: Mapping[str, int | None]) -> Cohorts:
    held = ws.lake.contents("clean_features", versions["clean_features"])
    labelled_months = ws.lake.contents("labels", versions["labels"])
    months = list(months)
    here = [m for m in months if m in held and m in labelled_months]
    refused, waived = gates(ws, months)
    if not here:
        empty = pl.DataFrame(schema={"cohort": pl.String, "loan_id": pl.String, "status": pl.String})
        return Cohorts({}, empty, empty, refused, waived)
    keys = ["cohort", "loan_id", *(["weight"] if ws.spec.named("weight") else [])]
    return Cohorts(
        features={m: held[m].sha256 for m in here},
        labels=ws.lake.scan_months("labels", here, version=versions["labels"]).collect(),
        loans=ws.lake.scan_months("clean_features", here, columns=keys, version=versions["clean_features"]).collect(),
        refused=refused,
        waived=waived,
    )
