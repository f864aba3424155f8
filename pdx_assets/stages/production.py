"""Group *production*: the champion's PDs of the month's own loans, and later how everybody really did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError, HomeError, NotYetKnownError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.metrics.fairness import approval_of_goods, equal_opportunity_difference
from pdx_assets.risk.window_loans import labelled
from pdx_assets.stages.decision import measure, pointers
from pdx_assets.stages.governance import events, overruled
from pdx_assets.stages.made import keep_made_from
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.rests_on import require_unchanged
from pdx_assets.stages.scores import Scored, ensure_scores, read_scores
from pdx_assets.stages.workspace import Workspace


def production_scores(ws: Workspace, production: Month) -> tuple[pl.DataFrame, dict[str, Any], float]:
    """PD of each loan originated in p by the champion of p.

    Returns:
        cohort, loan_id, pd, bundle_sha256, decision_sha256; the decision; seconds in the model.

    Raises:
        NotYetKnownError: the month's loans are not on the tape.
        DecisionError: nobody is in charge, or an event has overruled the decision.
    """
    require_unchanged(ws)
    decision = _decision(ws, production)
    if overruled(ws, [decision], events(ws)):
        raise DecisionError(
            f"The decision of {production} was made before an event that it must obey.",
            remedy=f"materialize champion for {production} again, then its production_scores",
        )
    cohorts = _cohort(ws, production)
    champion = decision["champion"]
    if champion is None:
        raise DecisionError(
            f"Nobody is in charge of {production}: {decision['reason']}",
            remedy="look at the month's challengers and at its OTV window",
        )
    seconds = ensure_scores(ws, [champion["bundle_sha256"]], cohorts).require_all()
    scores = read_scores(ws, [champion["bundle_sha256"]], cohorts).select(
        "cohort", "loan_id", "pd", "bundle_sha256", pl.lit(document_sha256(decision)).alias("decision_sha256")
    )
    keep_made_from(ws, "production_scores", production)
    return scores, decision, seconds


def mean_pd(ws: Workspace, production: Month, scores: pl.DataFrame) -> float:
    """Mean of ``production_scores``, by weight where the portfolio declares one; 0 without loans."""
    if not ws.spec.is_weighted:
        return float(scores["pd"].cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
    loans = ws.lake.scan_months("clean_features", [production], columns=["loan_id", "weight"]).collect()
    joined = scores.join(loans, on="loan_id").sort("loan_id")
    pd, weight = (joined[name].cast(pl.Float64).to_numpy() for name in ("pd", "weight"))
    return float((pd * weight).sum() / weight.sum()) if len(pd) else 0.0


def is_measurable(ws: Workspace, production: Month) -> bool:
    """Whether the month's own labels are known on the tape."""
    if production not in ws.lake.contents("labels"):
        return False
    status = ws.lake.scan_months("labels", [production], columns=["status"]).collect()["status"]
    return len(status) > 0 and "unknown" not in set(status.to_list())


def measure_production(ws: Workspace, production: Month) -> tuple[dict[str, Any], float]:
    """Realized metrics of the champion, every fresh challenger and the baseline, on p's own loans.

    Raises:
        NotYetKnownError: p's own labels are not known yet.
    """
    require_unchanged(ws)
    decision = _decision(ws, production)
    if not is_measurable(ws, production):
        raise NotYetKnownError(
            f"Labels of {production} are not known yet.",
            expected=f"an as-of date of {ws.spec.known_on(production)} or later",
            remedy="wait for the tape to cover it",
        )
    digests = [p["bundle_sha256"] for p in pointers(ws, production) if p["status"] == "bundle"]
    # The baseline is the champion of p0, frozen: a tape revised since then may have left it out of the pointers.
    digests += [
        d["champion"]["bundle_sha256"] for d in (decision, find_decision(ws, ws.spec.p0)) if d and d["champion"]
    ]
    scored, scores = _scores(ws, production, digests)
    loans = realized(ws, production)
    champion = decision["champion"]["bundle_sha256"] if decision["champion"] else None
    document = {
        "production_month": str(production),
        "champion": champion,
        "metrics": measure(loans, scores),
        "unscored": scored.failed,
        "equal_opportunity": equal_opportunity(ws, decision, loans, scores.filter(bundle_sha256=champion)),
    }
    ws.lake.put_document("production_performance", str(production), document)
    keep_made_from(ws, "production_performance", production)
    return document, scored.seconds


def realized_metrics(ws: Workspace, production: Month, digest: str) -> dict[str, Any] | None:
    """How one model did on p's own loans; None where their labels are not known or it could not score them."""
    if not is_measurable(ws, production):
        return None
    _, scores = _scores(ws, production, [digest])
    return measure(realized(ws, production), scores).get(digest)


def _scores(ws: Workspace, production: Month, digests: Iterable[str]) -> tuple[Scored, pl.DataFrame]:
    cohorts, digests = _cohort(ws, production), list(dict.fromkeys(digests))
    scored = ensure_scores(ws, digests, cohorts)
    return scored, read_scores(ws, [d for d in digests if d not in scored.failed], cohorts)


def equal_opportunity(
    ws: Workspace, decision: Mapping[str, Any], loans: pl.DataFrame, scores: pl.DataFrame
) -> dict[str, Any]:
    """By protected column: the share of goods approved in each group at the recorded cut-off, and their spread.

    Args:
        loans: :func:`realized`.
        scores: the champion's PDs of the same cohort; empty where there is none.
    """
    cut_off = decision["at_cut_off"]["cut_off"]
    if cut_off is None or not scores.height:
        return {}
    joined = loans.join(scores, on=["cohort", "loan_id"])
    label, pd = joined["label"].to_numpy(), joined["pd"].to_numpy()
    weight = joined["weight"].to_numpy() if "weight" in joined.columns else None
    found = {}
    for column in ws.spec.named("protected"):
        group = joined[column].to_list()
        rates = approval_of_goods(label, pd, group, weight, cut_off=cut_off)
        found[column] = {
            "cut_off": cut_off,
            "approval_of_goods": rates,
            "difference": equal_opportunity_difference(label, pd, group, weight, cut_off=cut_off),
        }
    return found


def realized(ws: Workspace, production: Month, *also: str) -> pl.DataFrame:
    """The month's own loans with the labels known by now: cohort, loan_id, label, protected columns (and weight).

    Args:
        also: further columns of clean_features.
    """
    columns = ["cohort", "loan_id", *(["weight"] if ws.spec.is_weighted else []), *ws.spec.named("protected"), *also]
    features = ws.lake.scan_months("clean_features", [production], columns=columns).collect()
    labels = ws.lake.scan_months("labels", [production]).collect()
    latest = labels["known_from"].max()
    if latest is None:
        return features.with_columns(pl.lit(None, dtype=pl.Int8).alias("label")).clear()
    return labelled(features, labels, on=latest)  # type: ignore[arg-type]


def _decision(ws: Workspace, production: Month) -> dict[str, Any]:
    decision = find_decision(ws, production)
    if decision is None:
        raise HomeError(f"{production} has no champion yet.", remedy=f"materialize champion for {production}")
    return decision


def _cohort(ws: Workspace, production: Month) -> dict[Month, str]:
    held = ws.lake.contents("clean_features")
    if production not in held:
        raise NotYetKnownError(
            f"The loans of {production} are not there yet.",
            expected=f"clean_features of {production}",
            remedy=f"materialize the cohort job for {production}",
        )
    return {production: held[production].sha256}
