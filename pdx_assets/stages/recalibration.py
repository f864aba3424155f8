"""A stored model recalibrated on the newest known labels: content-addressed, like everything that is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from time import perf_counter
from typing import Any, cast

import polars as pl

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import ScoreError, TrainingError
from pdx_assets.risk.evidence import gates
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.metrics.weights import ClassWeights
from pdx_assets.risk.policy import Candidate, Recalibrated
from pdx_assets.risk.spec import Strategy
from pdx_assets.risk.window_loans import in_time_validation, to_sample
from pdx_assets.risk.windows import known_cohorts
from pdx_assets.stages.challengers import learned_from, load_bundle
from pdx_assets.stages.windows import known_cohort, known_loans, window
from pdx_assets.stages.workspace import Workspace

# Raised whenever the same model and loans would give another recalibration.
RECALIBRATION_VERSION = "1"
LIBRARIES = ("numpy", "onnx", "onnxruntime")


def recalibrated_incumbent(ws: Workspace, incumbent: Candidate, production: Month) -> Recalibrated | None:
    """The model in charge with its PDs set right, where they are off; None where they are not, or cannot be.

    Whether they are is asked as of a refit: on ITV of the month's window of its recipe (gates.calibration). They are
    set right on held-out borrowers' loans of the newest known cohorts, as many as hold ``evidence.min_bads`` bads: by
    20 to 60 a test's lender was set off by 13 to 18 % the other way. A model that is recalibrated already gives way to
    a new recalibration of its base.

    Raises:
        ScoreError: it was never made, and nothing may be made here (`pdx simulate` without ``--score``).
    """
    rules = ws.spec.decision.evidence
    assert rules is not None, "only where the portfolio declares evidence"
    if incumbent.strategy == "fixed_window":
        return None
    itv = learned_from(ws, window(ws, cast(Strategy, incumbent.strategy), production)).itv
    model = load_bundle(ws, incumbent.bundle_sha256)
    before = gates.calibration(rules, itv.label, model.predict_pd(itv.matrix), itv.weight)
    if before.passed:
        return None
    base = model.manifest.get("base", {}).get("bundle_sha256", incumbent.bundle_sha256)
    cohorts = _newest_held_out(ws, production, rules.min_bads)
    try:
        found = recalibrate(ws, base, cohorts, decision_date(production), held_out=True)
    except TrainingError:
        return None
    pd = load_bundle(ws, found["bundle_sha256"]).predict_pd(itv.matrix)
    after = gates.calibration(rules, itv.label, pd, itv.weight)
    made = {k: found[k] for k in ("bundle_sha256", "trained_for", "last_cohort")}
    return Recalibrated(replace(incumbent, **made, score=None), before, after)


def _newest_held_out(ws: Workspace, production: Month, least: int) -> list[Month]:
    held, found, sums = ws.lake.contents("clean_features"), [], ClassWeights(0.0, 0.0, 0.0, 0.0)
    for cohort in reversed([m for m in known_cohorts(ws.spec, production) if m in held]):
        rows = known_cohort(ws, cohort, decision_date(production), "borrower_hash")
        itv = in_time_validation(rows["borrower_hash"].to_numpy(), ws.pinned.seed)
        loans = rows.filter(itv)
        weight = loans["weight"].to_numpy() if "weight" in loans.columns else None
        sums += ClassWeights.of(loans["label"].to_numpy(), weight)
        found.append(cohort)
        if sums.sizes.bads >= least:
            break
    return found[::-1]


def recalibrate(
    ws: Workspace, base_digest: str, cohorts: Sequence[Month], on: date, *, held_out: bool = False
) -> dict[str, Any]:
    """A bundle that ranks as ``base_digest`` does, its PDs set right on the labels of some cohorts known on a day.

    Args:
        cohorts: later than those the model learned from, or the PDs of loans it has seen would set the level.
        on: the decision date; no label that became known later is used.
        held_out: only borrowers of ITV, of whom no model has learned: then the cohorts may be any.

    Returns:
        The stored document, as of every trained model; ``base`` names the model, ``metrics`` are the base's
        (``before``) and its own (``after``) on the calibration loans.

    Raises:
        TrainingError: fewer bads or goods than ``decision.min_bads`` and ``min_goods``, a slope that is not above 0,
            or the parity gate refused.
        WindowError: months are missing or refused by a check, or labels were not all known on the day.
        BundleError: no such bundle, or an altered one.
        ScoreError: it was never made, and nothing may be made here.
    """
    # Where labels are accepted in hindsight, windows take the newest there are: so does this.
    seen = date.max if ws.spec.hindsight else on
    part, rows = known_loans(ws, cohorts, seen, f"the recalibration of {base_digest[:12]}")
    if held_out:
        rows = rows.filter(in_time_validation(rows["borrower_hash"].to_numpy(), ws.pinned.seed))
        bads = int(rows["label"].sum())
        part = {**part, "loans": rows.height, "bads": bads, "goods": rows.height - bads}
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
        **({"held_out": ws.pinned.seed} if held_out else {}),
        "trained_for": str(ws.spec.periods.of(on)),
        "code": {"recalibration": RECALIBRATION_VERSION, **{name: version(name) for name in LIBRARIES}},
    }
    key = document_sha256(what)
    if not ws.may_score and ws.lake.find_document("trained", key) is None:
        raise ScoreError(
            f"The recalibration of {base_digest[:12]} on {part['first']} to {part['last']} was never made.",
            remedy="give --score, which makes and scores what a policy needs",
        )
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
