"""Group *decision*: every candidate measured on the common OTV(p), and the recorded champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError, HomeError, MissingMonthError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.metrics.summary import evaluate
from pdx_assets.risk.policy import POLICIES, Candidate, Choice, Contest, decision_document, incumbent_of
from pdx_assets.risk.scoring import at_cut_off, cut_off_for
from pdx_assets.risk.windows import otv_months
from pdx_assets.stages.challengers import find_pointer
from pdx_assets.stages.made import keep_made_from
from pdx_assets.stages.record import decisions, find_decision, record
from pdx_assets.stages.scores import ensure_scores, pds_and_weight, read_scores, score_hash
from pdx_assets.stages.windows import otv_loans, window
from pdx_assets.stages.workspace import Workspace


def pointers(ws: Workspace, production: Month) -> list[dict[str, Any]]:
    """Pointers and tombstones of a production month, algorithms as declared and strategies within (Algorithm 1).

    Raises:
        HomeError: a recipe has neither a bundle nor a tombstone.
    """
    found, missing = [], []
    for algorithm in ws.spec.algorithms:
        for strategy in ws.spec.strategies:
            pointer = find_pointer(ws, strategy, algorithm, production)
            if pointer is None:
                missing.append(f"challenger_{strategy}_{algorithm}")
            else:
                found.append(pointer)
    if missing:
        raise HomeError(
            f"{production} has neither a model nor a tombstone for {', '.join(missing)}.",
            remedy=f"materialize the challengers of {production}",
        )
    return found


def fresh(ws: Workspace, production: Month) -> list[dict[str, Any]]:
    """The month's own challengers. At p0 the strategies coincide, and the fixed window stands for all."""
    own = ("fixed_window",) if production == ws.spec.p0 else tuple(s for s in ws.spec.strategies if s != "fixed_window")
    return [p for p in pointers(ws, production) if p["strategy"] in own]


def retained(ws: Workspace, production: Month) -> list[str]:
    """Digests still scored at p: every bundle of the last ``keep_months`` periods, and the baseline's.

    Raises:
        MissingMonthError: a month of that span has not been trained, so that its models cannot be known.
    """
    first = max(ws.spec.p0, ws.spec.periods.shift(production, -(ws.spec.decision.keep_months - 1)))
    digests: dict[str, None] = {}
    for month in reversed(ws.spec.periods.span(first, production)):
        try:
            found = pointers(ws, month)
        except HomeError as error:
            raise MissingMonthError(
                f"{production} cannot be measured: {error.got}", remedy=f"materialize the challengers of {month} first"
            ) from error
        digests |= {p["bundle_sha256"]: None for p in found if p["status"] == "bundle"}
    return list(digests)


def measure_otv(ws: Workspace, production: Month) -> tuple[dict[str, Any], float]:
    """Score every retained bundle on OTV(p), measure all of them, store the table.

    Returns:
        The stored document, and seconds spent in the models.

    Raises:
        MissingMonthError: an earlier month was not trained yet.
    """
    digests = retained(ws, production)
    manifest = window(ws, "fixed_window", production)
    found = _on_otv(ws, manifest, digests)
    # A revised tape makes the window anew; what this month was decided on must stay findable by its hash.
    ws.lake.create_document("otv_windows", manifest["otv"]["sha256"], {**manifest["otv"], "label": manifest["label"]})
    document = {
        "production_month": str(production),
        "otv": {k: manifest["otv"][k] for k in ("sha256", "first", "last", "loans", "bads", "goods", "bad_rate")},
        "features_sha256": {m["cohort"]: m["features_sha256"] for m in manifest["otv"]["months"]},
        "metrics": found.metrics,
        "score_sha256": found.hashes,
        "unscored": found.unscored,
    }
    ws.lake.put_document("otv_scores", str(production), document)
    keep_made_from(ws, "otv_scores", production)
    return document, found.seconds


@dataclass(frozen=True)
class _OnOtv:
    """Metrics and score hashes by bundle, why a bundle has none, and seconds in the models."""

    metrics: dict[str, Any]
    hashes: dict[str, str]
    unscored: dict[str, str]
    seconds: float


def _on_otv(ws: Workspace, manifest: Mapping[str, Any], digests: Sequence[str]) -> _OnOtv:
    cohorts = {Month.parse(m["cohort"]): m["features_sha256"] for m in manifest["otv"]["months"]}
    scored = ensure_scores(ws, digests, cohorts)
    scores = read_scores(ws, [d for d in digests if d not in scored.failed], cohorts)
    metrics = measure(otv_loans(ws, manifest), scores)
    by_bundle = scores.partition_by("bundle_sha256", as_dict=True)
    hashes = {str(digest): score_hash(part) for (digest,), part in by_bundle.items()}
    return _OnOtv(metrics, hashes, scored.failed, scored.seconds)


def measure(loans: pl.DataFrame, scores: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Metrics by bundle of stored scores on labelled loans (cohort, loan_id, label, weight if declared)."""
    metrics = {}
    columns = ["cohort", "loan_id", "label", *(["weight"] if "weight" in loans.columns else [])]
    for (digest,), part in scores.partition_by("bundle_sha256", as_dict=True).items():
        joined = loans.select(columns).join(part, on=["cohort", "loan_id"], how="inner")
        weight = joined["weight"].to_numpy() if "weight" in columns else None
        metrics[str(digest)] = evaluate(joined["label"].to_numpy(), joined["pd"].to_numpy(), weight)
    return metrics


def decide(ws: Workspace, production: Month) -> tuple[dict[str, Any], bool]:
    """The champion of a production month: the recorded decision, or a new one by the fold.

    Returns:
        The recorded decision, and whether this call recorded it. A decision once recorded stands: a
        revised tape never rewrites who was in charge.

    Raises:
        MissingMonthError: a month of [p0, p) has no decision.
    """
    recorded, is_new = find_decision(ws, production), False
    if recorded is None:
        recorded, is_new = record(ws, production, propose(ws, production))
    keep_made_from(ws, "champion", production)
    return recorded, is_new


def propose(ws: Workspace, production: Month) -> dict[str, Any]:
    """What the fold decides for a month from today's inputs, without recording it."""
    before = incumbent_of(ws.spec, production, decisions(ws))
    measured = ws.lake.get_document("otv_scores", str(production))
    if before and before["champion"] and before["champion"]["bundle_sha256"] not in measured["metrics"]:
        # In charge for longer than bundles are kept: measured here, since only the fold knows of it.
        digest = before["champion"]["bundle_sha256"]
        found = _on_otv(ws, window(ws, "fixed_window", production), [digest])
        measured["metrics"] |= found.metrics
        measured["score_sha256"] |= found.hashes
        measured["unscored"] |= found.unscored
    month_pointers = fresh(ws, production)
    incumbent = _incumbent(before, measured["metrics"], ws.spec.decision.metric)
    contestants = {p.get("bundle_sha256") for p in month_pointers} | ({incumbent.bundle_sha256} if incumbent else set())
    contest = Contest(
        production_month=production,
        otv_months=otv_months(ws.spec, production),
        bads=measured["otv"]["bads"],
        goods=measured["otv"]["goods"],
        fresh=tuple(
            _candidate(p, measured["metrics"], ws.spec.decision.metric)
            for p in month_pointers
            if p["status"] == "bundle"
        ),
        incumbent=incumbent,
        failed={f"{p['strategy']} {p['algorithm']}": p["reason"] for p in month_pointers if p["status"] == "tombstone"},
        unscored={d: why for d, why in measured["unscored"].items() if d in contestants},
    )
    choice = POLICIES[ws.spec.decision.policy](contest, ws.spec.decision)
    read = {c.bundle_sha256 for c in (*contest.fresh, *([incumbent] if incumbent else []))}
    inputs = {
        "otv_window_sha256": measured["otv"]["sha256"],
        "score_sha256": {digest: sha for digest, sha in measured["score_sha256"].items() if digest in read},
        "previous_decision_sha256": document_sha256(before) if before else None,
        "approvals_sha256": document_sha256([]),
    }
    return decision_document(
        ws.spec, contest, choice, inputs=inputs, at_cut_off=_effect(ws, measured, contest, choice, before)
    )


def _incumbent(before: Mapping[str, Any] | None, metrics: Mapping[str, Any], metric: str) -> Candidate | None:
    if before is None or before["champion"] is None:
        return None
    score = (metrics.get(before["champion"]["bundle_sha256"]) or {}).get(metric)
    return Candidate(**{**before["champion"], "score": score})


def _candidate(pointer: Mapping[str, Any], metrics: Mapping[str, Any], metric: str) -> Candidate:
    return Candidate(
        bundle_sha256=pointer["bundle_sha256"],
        strategy=pointer["strategy"],
        algorithm=pointer["algorithm"],
        trained_for=pointer["trained_for"],
        last_cohort=pointer["last_cohort"],
        score=(metrics.get(pointer["bundle_sha256"]) or {}).get(metric),
    )


def _effect(
    ws: Workspace, measured: Mapping[str, Any], contest: Contest, choice: Choice, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What the decision does at the current cut-off, on the loans of OTV(p)."""
    cohorts = {Month.parse(c): sha for c, sha in measured["features_sha256"].items()}
    rules = ws.spec.decision.cut_off
    cut_off = rules.pd if rules.pd is not None else ((before or {}).get("at_cut_off") or {}).get("cut_off")
    new, old = choice.champion, contest.incumbent
    if cut_off is None and new is not None:
        if rules.approval_rate is None:
            raise DecisionError("decision.cut_off has neither pd nor approval_rate.", remedy="declare one of them")
        cut_off = cut_off_for(rules.approval_rate, *pds_and_weight(ws, new.bundle_sha256, cohorts))
    effect: dict[str, Any] = {"cut_off": cut_off, "before": None, "after": None}
    for when, who in (("before", old), ("after", new)):
        if cut_off is not None and who is not None and who.score is not None:
            pd, weight = pds_and_weight(ws, who.bundle_sha256, cohorts)
            effect[when] = at_cut_off(pd, cut_off, weight)
    return effect
