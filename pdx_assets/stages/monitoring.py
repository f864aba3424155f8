"""Group *monitoring*: how far a production cohort has moved from what its champion learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.metrics.stability import CategoryBins, NumberBins
from pdx_assets.stages.challengers import load_bundle
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.scores import ensure_scores, pds_and_weight
from pdx_assets.stages.workspace import Workspace


def champion_and_window(ws: Workspace, production: Month) -> tuple[str, dict[str, Any]]:
    """Digest of the month's champion, and the manifest of the window it learned from.

    Raises:
        DecisionError: nobody is in charge of the month.
    """
    decision = find_decision(ws, production)
    if decision is None or decision["champion"] is None:
        raise DecisionError(f"Nobody is in charge of {production}.", remedy=f"materialize champion for {production}")
    digest = str(decision["champion"]["bundle_sha256"])
    return digest, ws.lake.get_document("windows", load_bundle(ws, digest).manifest["window_sha256"])


def measure_drift(ws: Workspace, production: Month) -> dict[str, Any]:
    """PSI of each feature, and of the champion's score, between its development window and cohort p.

    Raises:
        DecisionError: nobody is in charge of the month.
    """
    digest, manifest = champion_and_window(ws, production)
    months = [Month.parse(m["cohort"]) for m in manifest["development"]["months"]]
    version = manifest["tables"]["clean_features"]
    numbers, categories = ws.spec.number_features, ws.spec.category_features
    columns = [*numbers, *categories, *(["weight"] if ws.spec.named("weight") else [])]
    reference = ws.lake.scan_months("clean_features", months, columns=columns, version=version).collect()
    current = ws.lake.scan_months("clean_features", [production], columns=columns).collect()
    before, now = _weight(reference), _weight(current)
    values = {
        **{n: NumberBins.of(reference[n].to_numpy(), before).psi(current[n].to_numpy(), now) for n in numbers},
        **{n: CategoryBins.of(reference[n].to_list(), before).psi(current[n].to_list(), now) for n in categories},
    }
    document = {
        "production_month": str(production),
        "bundle_sha256": digest,
        "reference": {"first": str(months[0]), "last": str(months[-1]), "loans": reference.height},
        "loans": current.height,
        "psi": values,
        "score_psi": _score_psi(ws, digest, manifest, production),
    }
    ws.lake.put_document("drift", str(production), document)
    return document


def _weight(loans: pl.DataFrame) -> np.ndarray | None:
    return loans["weight"].to_numpy() if "weight" in loans.columns else None


def _score_psi(ws: Workspace, digest: str, manifest: dict[str, Any], production: Month) -> float | None:
    held = ws.lake.contents("clean_features")
    # The development months as they are now: a month revised since is scored as revised.
    months = {
        Month.parse(m["cohort"]): held[Month.parse(m["cohort"])].sha256 for m in manifest["development"]["months"]
    }
    cohort = {production: held[production].sha256}
    ensure_scores(ws, [digest], {**months, **cohort}).require_all()
    expected, actual = (pds_and_weight(ws, digest, part) for part in (months, cohort))
    return NumberBins.of(*expected).psi(*actual)
