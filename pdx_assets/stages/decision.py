"""Group *decision*: every candidate measured on the common OTV(p), and the recorded champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from pdx_assets.risk.approvals import answered
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError, HomeError, MissingMonthError
from pdx_assets.risk.events import Event, obeyed_sha256, rollback_in_force
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.metrics.summary import evaluate
from pdx_assets.risk.metrics.weights import EffectiveSizes
from pdx_assets.risk.policy import (
    POLICIES,
    Candidate,
    Choice,
    Contest,
    decision_document,
    incumbent_of,
    rolled_back,
    with_approval,
)
from pdx_assets.risk.scoring import at_cut_off, cut_off_for
from pdx_assets.risk.spec import PAPER_STRATEGIES
from pdx_assets.risk.windows import WEIGHTED, otv_months
from pdx_assets.stages import rests_on
from pdx_assets.stages.challengers import find_pointer
from pdx_assets.stages.evidence import weigh
from pdx_assets.stages.governance import events, overruled
from pdx_assets.stages.made import keep_made_from
from pdx_assets.stages.record import decisions, record, versions
from pdx_assets.stages.scores import ensure_scores, newest_applications, pds_and_weight, read_scores, score_hash
from pdx_assets.stages.windows import otv_loans, window
from pdx_assets.stages.workspace import Workspace

OTV_SHOWN = ("sha256", "first", "last", "loans", "bads", "goods", "bad_rate", *WEIGHTED)
"""What ``otv_scores`` tells of its window."""


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
    """The month's own challengers in the contest on OTV, of the paper's strategies: others have learned from OTV.

    At p0 the strategies coincide, and the fixed window stands for all.
    """
    moving = tuple(s for s in ws.spec.strategies if s in PAPER_STRATEGIES and s != "fixed_window")
    own = ("fixed_window",) if production == ws.spec.p0 else moving
    return [p for p in pointers(ws, production) if p["strategy"] in own]


def retained(ws: Workspace, production: Month) -> list[str]:
    """Digests still scored on OTV(p): bundles of the paper's strategies of the last ``keep_months`` periods.

    The baseline's are among them, whatever their age.

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
        held = (p for p in found if p["status"] == "bundle" and p["strategy"] in PAPER_STRATEGIES)
        digests |= {p["bundle_sha256"]: None for p in held}
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
        "otv": {k: v for k, v in manifest["otv"].items() if k in OTV_SHOWN},
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
        revised tape never rewrites who was in charge. Only an event that was recorded before the month's
        loans were scored has it decided again, in a further document.

    Raises:
        MissingMonthError: a month of [p0, p) has no decision.
        HomeError: features or label are declared otherwise than at the home's first decision.
    """
    rests_on.require_unchanged(ws)
    orders = events(ws)
    recorded = versions(ws, production)
    if recorded and not overruled(ws, recorded[-1:], orders):
        decided, is_new = recorded[-1], False
    else:
        history = decisions(ws)
        stale = {str(month) for month in overruled(ws, history, orders)}
        before = [d for d in history if d["production_month"] not in stale]
        document = propose(ws, production, before, orders, supersedes=recorded[-1] if recorded else None)
        rests_on.keep(ws, production)
        decided, is_new = record(ws, production, document, version=len(recorded) + 1)
    keep_made_from(ws, "champion", production)
    return decided, is_new


def propose(
    ws: Workspace,
    production: Month,
    recorded: Sequence[Mapping[str, Any]],
    orders: Sequence[Event],
    *,
    supersedes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the fold decides for a month from today's inputs, without recording it.

    Args:
        recorded: decisions of the branch.
        orders: events of the portfolio; those the month obeys are frozen by hash.
        supersedes: the month's own earlier decision, overruled by an event.

    Raises:
        MissingMonthError: a month of [p0, p) has no decision.
    """
    before = incumbent_of(ws.spec, production, recorded)
    order = rollback_in_force(orders, production)
    in_charge = [before["champion"]] if before and before["champion"] else []
    ordered = [asdict(order.bundle)] if order and order.bundle else []
    # Who has learned from OTV is not measured on it.
    also = [c["bundle_sha256"] for c in (*in_charge, *ordered) if c["strategy"] in PAPER_STRATEGIES]
    measured = _measured(ws, production, also)
    month_pointers = fresh(ws, production)
    metric, policy = ws.spec.decision.metric, ws.spec.decision.policy
    incumbent = _incumbent(before, measured["metrics"], metric)
    read = {p["bundle_sha256"] for p in month_pointers if p["status"] == "bundle"} | set(also)
    contest = Contest(
        production_month=production,
        otv_months=otv_months(ws.spec, production),
        bads=measured["otv"]["bads"],
        goods=measured["otv"]["goods"],
        effective=EffectiveSizes(*(measured["otv"][k] for k in ("effective_bads", "effective_goods")))
        if "effective_bads" in measured["otv"]
        else None,
        fresh=tuple(_candidate(p, measured["metrics"], metric) for p in month_pointers if p["status"] == "bundle"),
        incumbent=incumbent,
        failed={f"{p['strategy']} {p['algorithm']}": p["reason"] for p in month_pointers if p["status"] == "tombstone"},
        unscored={d: why for d, why in measured["unscored"].items() if d in read},
        refits=_refits(ws, production),
        retained=_retained(ws, production, measured["metrics"]) if policy == "paper_with_memory" else (),
    )
    cut_off = ((before or {}).get("at_cut_off") or {}).get("cut_off")
    chosen, weighed = _choose(ws, contest, recorded, cut_off)
    contested = with_approval(contest, ws.spec.decision, chosen)
    scores = {digest: _score(measured["metrics"], digest, metric) for digest in measured["metrics"]}
    choice = answered(contested, orders, production, scores)
    if order and order.bundle:
        bundle = replace(order.bundle, score=_score(measured["metrics"], order.bundle.bundle_sha256, metric))
        choice = rolled_back(contested, bundle, by=order.by, why=order.reason)
    inputs = {
        "otv_window_sha256": measured["otv"]["sha256"],
        "score_sha256": {digest: sha for digest, sha in measured["score_sha256"].items() if digest in read},
        "previous_decision_sha256": document_sha256(before) if before else None,
        # Named when approvals were the only events thought of; renaming it would change every decision's hash.
        "approvals_sha256": obeyed_sha256(orders, production),
        **weighed,
    }
    if supersedes:
        inputs["supersedes_sha256"] = document_sha256(supersedes)
    return decision_document(
        ws.spec,
        contest,
        choice,
        inputs=inputs,
        at_cut_off=_effect(ws, measured, contest, choice, cut_off),
        rollback=_rollback(order, contested) if order else None,
    )


def _refits(ws: Workspace, production: Month) -> tuple[Candidate, ...]:
    """The month's models of strategies that learn up to the decision date."""
    return tuple(
        _candidate(p, {}, ws.spec.decision.metric)
        for p in pointers(ws, production)
        if p["status"] == "bundle" and p["strategy"] not in PAPER_STRATEGIES
    )


def _retained(ws: Workspace, production: Month, metrics: Mapping[str, Any]) -> tuple[Candidate, ...]:
    """Challengers of the months before that are still measured on OTV(p), the newest first."""
    first = max(ws.spec.p0, ws.spec.periods.shift(production, -(ws.spec.decision.keep_months - 1)))
    found: dict[str, Candidate] = {}
    for month in reversed(ws.spec.periods.span(first, production)[:-1]):
        for pointer in fresh(ws, month):
            if pointer["status"] == "bundle" and pointer["bundle_sha256"] in metrics:
                found.setdefault(pointer["bundle_sha256"], _candidate(pointer, metrics, ws.spec.decision.metric))
    return tuple(found.values())


def _choose(
    ws: Workspace, contest: Contest, recorded: Sequence[Mapping[str, Any]], cut_off: float | None
) -> tuple[Choice, dict[str, Any]]:
    """The policy's choice, and the hashes of what it read beside OTV."""
    policy = POLICIES[ws.spec.decision.policy]
    if ws.spec.decision.policy != "evidence":
        return policy(contest, ws.spec.decision), {}
    weighed = weigh(ws, contest, recorded, cut_off)
    return policy(weighed.contest, ws.spec.decision), weighed.inputs


def _measured(ws: Workspace, production: Month, also: Sequence[str]) -> dict[str, Any]:
    """``otv_scores`` of the month, with the bundles named measured as well where it lacks them."""
    measured = ws.lake.get_document("otv_scores", str(production))
    lacking = [d for d in dict.fromkeys(also) if d not in measured["metrics"]]
    if lacking:
        # In charge for longer than bundles are kept, or put in charge by a person: only the fold knows of them.
        found = _on_otv(ws, window(ws, "fixed_window", production), lacking)
        measured["metrics"] |= found.metrics
        measured["score_sha256"] |= found.hashes
        measured["unscored"] |= found.unscored
    return measured


def _rollback(order: Event, contested: Choice) -> dict[str, Any]:
    return {
        "event": order.sequence,
        "by": order.by,
        "at": order.at,
        "reason": order.reason,
        "instead_of": {
            "decision": contested.verdict,
            "champion": asdict(contested.champion) if contested.champion else None,
            "reason": contested.reason,
        },
    }


def _incumbent(before: Mapping[str, Any] | None, metrics: Mapping[str, Any], metric: str) -> Candidate | None:
    if before is None or before["champion"] is None:
        return None
    score = _score(metrics, before["champion"]["bundle_sha256"], metric)
    return Candidate(**{**before["champion"], "score": score})


def _candidate(pointer: Mapping[str, Any], metrics: Mapping[str, Any], metric: str) -> Candidate:
    return Candidate(
        bundle_sha256=pointer["bundle_sha256"],
        strategy=pointer["strategy"],
        algorithm=pointer["algorithm"],
        trained_for=pointer["trained_for"],
        last_cohort=pointer["last_cohort"],
        score=_score(metrics, pointer["bundle_sha256"], metric),
    )


def _score(metrics: Mapping[str, Any], digest: str, metric: str) -> float | None:
    return (metrics.get(digest) or {}).get(metric)


def _effect(
    ws: Workspace, measured: Mapping[str, Any], contest: Contest, choice: Choice, carried: float | None
) -> dict[str, Any]:
    """What the decision does at the current cut-off, on the loans of OTV(p).

    Where somebody has learned from OTV, on the applications of the month before p: nobody has learned from them, and
    no labels are needed.
    """
    cohorts = {Month.parse(c): sha for c, sha in measured["features_sha256"].items()}
    both = [who for who in (choice.champion, contest.incumbent) if who is not None]
    on_otv = all(who.strategy in PAPER_STRATEGIES for who in both)
    if not on_otv:
        cohorts = newest_applications(ws, contest.production_month)
        ensure_scores(ws, [who.bundle_sha256 for who in both], cohorts).require_all()
    rules = ws.spec.decision.cut_off
    cut_off = rules.pd if rules.pd is not None else carried
    new, old = choice.champion, contest.incumbent
    if cut_off is None and new is not None:
        if rules.approval_rate is None:
            raise DecisionError("decision.cut_off has neither pd nor approval_rate.", remedy="declare one of them")
        cut_off = cut_off_for(rules.approval_rate, *pds_and_weight(ws, new.bundle_sha256, cohorts))
    effect: dict[str, Any] = {"cut_off": cut_off, "before": None, "after": None}
    for when, who in (("before", old), ("after", new)):
        if cut_off is not None and who is not None and (who.score is not None or not on_otv):
            pd, weight = pds_and_weight(ws, who.bundle_sha256, cohorts)
            effect[when] = at_cut_off(pd, cut_off, weight)
    return effect
