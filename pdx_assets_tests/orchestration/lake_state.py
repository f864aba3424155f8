"""What two homes must agree on: bundles byte for byte, pointers, score hashes and decisions."""

from __future__ import annotations

from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.stages.record import decisions
from pdx_assets.stages.workspace import Workspace


def lake_state(ws: Workspace) -> dict[str, Any]:
    """Everything content-addressed or decided; not table versions, which depend on the order of writing."""
    decided = decisions(ws)
    months = [Month.parse(d["production_month"]) for d in decided]
    pointers = {
        f"{strategy} {algorithm} {month}": ws.lake.find_document(f"challenger_{strategy}_{algorithm}", str(month))
        for strategy in ws.spec.strategies
        for algorithm in ws.spec.algorithms
        for month in months
    }
    digests = sorted({p["bundle_sha256"] for p in pointers.values() if p and p["status"] == "bundle"})
    layers = ("raw_loans", "clean_features", "outcomes", "labels", "production_scores")
    return {
        "decisions": decided,
        "pointers": pointers,
        "bundles": {digest: ws.lake.get_bundle(digest) for digest in digests},
        "otv_scores": {str(m): ws.lake.find_document("otv_scores", str(m)) for m in months},
        "performance": {str(m): ws.lake.find_document("production_performance", str(m)) for m in months},
        "tables": {layer: ws.lake.contents(layer) for layer in layers},
    }
