"""A stored model recalibrated on the newest known labels: content-addressed, like everything that is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from time import perf_counter
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.window_loans import to_sample
from pdx_assets.stages.challengers import load_bundle
from pdx_assets.stages.windows import known_loans
from pdx_assets.stages.workspace import Workspace

# Raised whenever the same model and loans would give another recalibration.
RECALIBRATION_VERSION = "1"
LIBRARIES = ("numpy", "onnx", "onnxruntime")


def recalibrate(ws: Workspace, base_digest: str, cohorts: Sequence[Month], on: date) -> dict[str, Any]:
    """A bundle that ranks as ``base_digest`` does, its PDs set right on the labels of some cohorts known on a day.

    Args:
        cohorts: later than those the model learned from, or the PDs of loans it has seen would set the level.
        on: the decision date; no label that became known later is used.

    Returns:
        The stored document, as of every trained model; ``base`` names the model, ``metrics`` are the base's
        (``before``) and its own (``after``) on the calibration loans.

    Raises:
        TrainingError: fewer bads or goods than ``decision.min_bads`` and ``min_goods``, a slope that is not above 0,
            or the parity gate refused.
        WindowError: months are missing or refused by a check, or labels were not all known on the day.
        BundleError: no such bundle, or an altered one.
    """
    # Where labels are accepted in hindsight, windows take the newest there are: so does this.
    seen = date.max if ws.spec.hindsight else on
    part, rows = known_loans(ws, cohorts, seen, f"the recalibration of {base_digest[:12]}")
    least = ws.spec.decision
    if part["bads"] < least.min_bads or part["goods"] < least.min_goods:
        raise TrainingError(
            f"{part['first']} to {part['last']} have {part['bads']} bads and {part['goods']} goods to recalibrate on.",
            expected=f"at least {least.min_bads} bads and {least.min_goods} goods (decision.min_bads, min_goods)",
            remedy="recalibrate on more cohorts",
        )
    what = {
        "algorithm": "recalibrated",
        "base": base_digest,
        "loans": part["sha256"],
        "trained_for": str(ws.spec.periods.of(on)),
        "code": {"recalibration": RECALIBRATION_VERSION, **{name: version(name) for name in LIBRARIES}},
    }
    key = document_sha256(what)
    return ws.made_once("trained", key, lambda: _recalibrate(ws, base_digest, what, part, rows, key))[0]


def _recalibrate(
    ws: Workspace, base_digest: str, what: Mapping[str, Any], part: Mapping[str, Any], rows: pl.DataFrame, key: str
) -> tuple[dict[str, Any], float]:
    from pdx_assets.risk.metrics.summary import evaluate
    from pdx_assets.risk.models.recalibrated import build_recalibrated

    start = perf_counter()
    base, loans = load_bundle(ws, base_digest), to_sample(ws.spec, rows)
    before = evaluate(loans.label, base.predict_pd(loans.matrix), loans.weight)
    bundle = build_recalibrated(
        base,
        loans,
        manifest={
            # The window that drift is measured against is the one the base learned from.
            **{k: base.manifest[k] for k in ("portfolio", "window_sha256", "first_cohort") if k in base.manifest},
            "trained_for": what["trained_for"],
            "last_cohort": part["last"],
            "last_event": part["last_event"],
            # It draws nothing.
            "seed": None,
            "metrics": {"before": before},
        },
        about={k: part[k] for k in ("sha256", "first", "last", "last_event")},
    )
    ws.lake.put_bundle(bundle.digest, bundle.files)
    document = {
        "bundle_sha256": bundle.digest,
        "algorithm": "recalibrated",
        "base": base_digest,
        "trained_for": what["trained_for"],
        "last_cohort": bundle.manifest["last_cohort"],
        "last_event": bundle.manifest["last_event"],
        "params": bundle.manifest["params"],
        "metrics": {
            "before": before,
            "after": evaluate(loans.label, bundle.predict_pd(loans.matrix), loans.weight),
        },
        "importances": dict(list(bundle.manifest["importances"].items())[:30]),
    }
    ws.lake.put_document("trained", key, document)
    return document, perf_counter() - start
