"""What the gates of a refit are measured on: held-out borrowers, and the newest applications."""

from __future__ import annotations

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.evidence import gates
from pdx_assets.risk.evidence.gates import Gate
from pdx_assets.risk.metrics.auc_error import auc_estimate
from pdx_assets.risk.metrics.fairness import equal_opportunity_difference
from pdx_assets.risk.policy import Candidate
from pdx_assets.risk.scoring import at_cut_off
from pdx_assets.risk.spec import Evidence
from pdx_assets.risk.window_loans import in_time_validation, labelled
from pdx_assets.risk.windows import known_cohorts
from pdx_assets.stages.challengers import learned_from, load_bundle
from pdx_assets.stages.scores import ensure_scores, newest_applications, pds_and_weight, pds_of
from pdx_assets.stages.workspace import Workspace

RECENT = 3
"""Known cohorts on which groups are compared: an approval rate by group of one small month is chance."""


def gates_of(
    ws: Workspace, candidate: Candidate, incumbent: Candidate, production: Month, cut_off: float | None
) -> tuple[Gate, ...]:
    """All gates of a model that may take over from the incumbent.

    Discrimination and calibration are measured on ITV of the candidate's window: the split is by borrower and the
    same in every window, so that the incumbent was not fitted on these loans either. Boosting and networks stop by
    them, each by its own window's: a little flattery that ``refit_margin`` has room for. Score and approval rate are
    compared on the applications of the month before, which nobody has learned from.

    Args:
        cut_off: PD above which an application is declined; None where none is set yet.
    """
    rules = ws.spec.decision.evidence
    assert rules is not None, "only where the portfolio declares evidence"
    both = (candidate.bundle_sha256, incumbent.bundle_sha256)
    new, old = (load_bundle(ws, digest) for digest in both)
    itv = learned_from(ws, ws.lake.get_document("windows", new.manifest["window_sha256"])).itv
    new_pd, old_pd = new.predict_pd(itv.matrix), old.predict_pd(itv.matrix)
    return (
        gates.discrimination(rules, auc_estimate(itv.label, new_pd, old_pd, itv.weight)),
        gates.calibration(rules, itv.label, new_pd, itv.weight),
        *_on_applications(ws, rules, both, production, cut_off),
        _equal_opportunity(ws, rules, both, production, cut_off),
    )


def _on_applications(
    ws: Workspace, rules: Evidence, both: tuple[str, str], production: Month, cut_off: float | None
) -> tuple[Gate, Gate]:
    cohort = newest_applications(ws, production)
    ensure_scores(ws, both, cohort).require_all()
    (new_pd, weight), (old_pd, _) = (pds_and_weight(ws, digest, cohort) for digest in both)
    rates: list[float | None] = [None, None]
    if cut_off is not None:
        rates = [at_cut_off(pd, cut_off, weight)["approval_rate"] for pd in (old_pd, new_pd)]
    return gates.score_psi(rules, old_pd, new_pd, weight), gates.approval_rate(rules, *rates)


def _equal_opportunity(
    ws: Workspace, rules: Evidence, both: tuple[str, str], production: Month, cut_off: float | None
) -> Gate:
    """The protected column whose difference rises most, on held-out borrowers of the newest known cohorts."""
    protected = ws.spec.named("protected")
    if not protected or cut_off is None:
        return gates.equal_opportunity(rules, None, None)
    held = ws.lake.contents("clean_features")
    months = [m for m in known_cohorts(ws.spec, production) if m in held][-RECENT:]
    cohorts = {m: held[m].sha256 for m in months}
    ensure_scores(ws, both, cohorts).require_all()
    columns = ["cohort", "loan_id", "borrower_hash", *protected, *(["weight"] if ws.spec.is_weighted else [])]
    features = ws.lake.scan_months("clean_features", months, columns=columns).collect()
    loans = labelled(features, ws.lake.scan_months("labels", months).collect(), on=decision_date(production))
    loans = loans.filter(in_time_validation(loans["borrower_hash"].to_numpy(), ws.pinned.seed))
    pds = pds_of(ws, both, cohorts, loans)
    weight = loans["weight"].to_numpy() if "weight" in loans.columns else None
    found: list[tuple[float, float]] = []
    for column in protected:
        after, before = (
            equal_opportunity_difference(
                loans["label"].to_numpy(), pds[digest], loans[column].to_list(), weight, cut_off=cut_off
            )
            for digest in both
        )
        if after is not None and before is not None:
            found.append((before, after))
    worst = max(found, key=lambda pair: pair[1] - pair[0], default=(None, None))
    return gates.equal_opportunity(rules, *worst)
