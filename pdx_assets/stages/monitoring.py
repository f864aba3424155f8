"""Group *monitoring*: how far a production cohort has moved from what its champion learned from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.drift import SCORE, Binned, moved
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.metrics.stability import NumberBins
from pdx_assets.risk.window_loans import in_time_validation
from pdx_assets.stages.challengers import load_bundle
from pdx_assets.stages.made import keep_made_from
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.rests_on import require_unchanged
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

    ``psi`` and ``score_psi`` are against the whole window; ``moved`` is what the checks judge by, with the score
    against the window's ITV loans.

    Raises:
        DecisionError: nobody is in charge of the month.
    """
    require_unchanged(ws)
    digest, manifest = champion_and_window(ws, production)
    months = [Month.parse(m["cohort"]) for m in manifest["development"]["months"]]
    version = manifest["tables"]["clean_features"]
    numbers, categories = ws.spec.number_features, ws.spec.category_features
    columns = [*numbers, *categories, *(["weight"] if ws.spec.is_weighted else [])]
    reference = ws.lake.scan_months("clean_features", months, columns=columns, version=version).collect()
    current = ws.lake.scan_months("clean_features", [production], columns=columns).collect()
    before, now = _weight(reference), _weight(current)
    features = [Binned.of_numbers(n, reference[n].to_numpy(), current[n].to_numpy(), before, now) for n in numbers]
    features += [Binned.of_categories(n, reference[n].to_list(), current[n].to_list(), before, now) for n in categories]
    window, unseen, scored = _scores(ws, digest, manifest, production)
    month = moved([*features, Binned.of_numbers(SCORE, unseen[0], scored[0], unseen[1], scored[1])], ws.spec.checks)
    document = {
        "production_month": str(production),
        "bundle_sha256": digest,
        "reference": {"first": str(months[0]), "last": str(months[-1]), "loans": reference.height},
        "loans": current.height,
        "psi": {f.name: f.psi for f in features},
        "score_psi": NumberBins.of(*window).psi(*scored),
        "moved": [asdict(m) for m in month],
    }
    ws.lake.put_document("drift", str(production), document)
    keep_made_from(ws, "drift", production)
    return document


def _weight(loans: pl.DataFrame) -> np.ndarray | None:
    return loans["weight"].to_numpy() if "weight" in loans.columns else None


Pds = tuple[np.ndarray, np.ndarray | None]


def _scores(ws: Workspace, digest: str, manifest: dict[str, Any], production: Month) -> tuple[Pds, Pds, Pds]:
    """The champion's PDs and weights: on its whole development window, on the ITV loans of it, and on the month.

    A model spreads the PDs of loans it was fitted on more than those of others: against the whole window a forest's
    score would seem to have moved in a month in which nothing did.
    """
    held = ws.lake.contents("clean_features")
    # The development months as they are now: a month revised since is scored as revised.
    months = {
        Month.parse(m["cohort"]): held[Month.parse(m["cohort"])].sha256 for m in manifest["development"]["months"]
    }
    cohort = {production: held[production].sha256}
    ensure_scores(ws, [digest], {**months, **cohort}).require_all()
    keys = ["cohort", "loan_id"]
    # In the order of pds_and_weight.
    loans = ws.lake.scan_months("clean_features", list(months), columns=[*keys, "borrower_hash"]).collect().sort(keys)
    itv = in_time_validation(loans["borrower_hash"].to_numpy(), manifest["split"]["seed"])
    pd, weight = pds_and_weight(ws, digest, months)
    return (pd, weight), (pd[itv], None if weight is None else weight[itv]), pds_and_weight(ws, digest, cohort)
