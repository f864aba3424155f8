"""The record of the recipes, and what the policy ``evidence`` weighs for a production month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.evidence.choose import better_recipe, decayed, first_recipe, latest_months
from pdx_assets.risk.evidence.gates import Gate, closed
from pdx_assets.risk.evidence.record import MonthEvidence, MonthRecord, month_evidence, read_month
from pdx_assets.risk.hashing import content_sha256, document_sha256
from pdx_assets.risk.outcomes import label_view
from pdx_assets.risk.policy import Candidate, Contest, Evidence, by_recipe, contest_number, periods_since_change
from pdx_assets.risk.windows import earlier_cohorts
from pdx_assets.stages.as_of import AsOf, evidence_months, models_as_of
from pdx_assets.stages.borrowers import clustered_differences, money_differences
from pdx_assets.stages.gates import gates_of
from pdx_assets.stages.made import keep_record
from pdx_assets.stages.recalibration import recalibrated_incumbent
from pdx_assets.stages.rests_on import require_unchanged
from pdx_assets.stages.scores import ensure_scores, pds_of
from pdx_assets.stages.windows import known_cohort
from pdx_assets.stages.workspace import Workspace

KIND = "recipe_record"


@dataclass(frozen=True)
class Weighed:
    """A contest with its evidence, and the hashes of what was read for it."""

    contest: Contest
    inputs: dict[str, Any]


def make_record(ws: Workspace, production: Month) -> tuple[dict[str, Any], float]:
    """``recipe_record``: what each recipe's as-of models were worth on every matured cohort, as known on the day.

    Returns:
        The stored document, and seconds spent training and scoring.

    Raises:
        HomeError: cohorts or challengers are missing.
        DecisionError: a model learned from something that came after the cohort it is judged on began.
    """
    require_unchanged(ws)
    on, found, seconds = decision_date(production), [], 0.0
    for month in evidence_months(ws.spec, production):
        models = models_as_of(ws, month)
        measured, spent = _measure(ws, models, on)
        seconds += models.seconds + spent
        found.append(measured)
    document = {"production_month": str(production), "known_on": on.isoformat(), "months": found}
    ws.lake.put_document(KIND, str(production), document)
    keep_record(ws, production, _seen(ws, production, on))
    return document, seconds


def record_in(document: Mapping[str, Any]) -> tuple[MonthEvidence, ...]:
    """The record that a stored document holds, months without a measurable contest left out."""
    return tuple(read_month(m["evidence"]) for m in document["months"] if m["evidence"] is not None)


def weigh(ws: Workspace, contest: Contest, recorded: Sequence[Mapping[str, Any]], cut_off: float | None) -> Weighed:
    """A contest with the record of its recipes, and the gates of whoever may take over.

    Args:
        recorded: decisions of the branch before the month.
        cut_off: carried on from earlier decisions; None at the first.

    Raises:
        HomeError: the record was not materialized.
    """
    spec, production = ws.spec, contest.production_month
    rules = spec.decision.evidence
    assert rules is not None, "the spec refuses the policy without it"
    document = ws.lake.get_document(KIND, str(production))
    given = Evidence(
        record=record_in(document),
        periods_since_change=periods_since_change(spec, production, recorded),
        contest_number=contest_number(spec, production),
        months_a_period=spec.periods.months,
        floor=spec.checks.otv_auc_floor,
    )
    given = _by_borrowers(ws, contest, given, document)
    gates: dict[str, tuple[Gate, ...]] = {}
    if contest.incumbent is not None:
        limit = spec.decision.cut_off.pd if spec.decision.cut_off.pd is not None else cut_off
        for who in _may_take_over(ws, contest, given):
            gates[who.bundle_sha256] = gates_of(ws, who, contest.incumbent, production, limit)
        refit = by_recipe(contest).get(contest.incumbent.recipe_name)
        if refit is None or refit.bundle_sha256 not in gates or closed(gates[refit.bundle_sha256]):
            given = replace(given, recalibrated=recalibrated_incumbent(ws, contest.incumbent, production))
    weighed = replace(contest, evidence=replace(given, gates=gates))
    return Weighed(weighed, {"recipe_record_sha256": document_sha256(document)})


def _by_borrowers(ws: Workspace, contest: Contest, given: Evidence, document: Mapping[str, Any]) -> Evidence:
    """The same with the differences by bootstrap over borrowers, of those that DeLong's test calls.

    Only of those: a thousand draws of a million loans take a minute a challenger, and which difference is called here
    must pass there as well. Contests by money have no other differences than these: then it is of all challengers.
    """
    rules = ws.spec.decision.evidence
    assert rules is not None
    names = [n for n, c in by_recipe(contest).items() if c.strategy != "fixed_window"]
    # A recipe in charge is contested by its record, though its model of the month failed; a first one needs its model.
    declared = rules.first_recipe if rules.first_recipe in names else None
    base = contest.incumbent.recipe_name if contest.incumbent else declared
    if base is None:
        return given
    every = given.months_a_period
    found: list[str] = []
    is_contest, by_money = contest.incumbent is None or given.contest_number is not None, rules.measure == "money"
    if is_contest and by_money:
        found = [name for name in names if name != base]
    elif is_contest:
        found = better_recipe(given.record, base, names, rules, months_a_period=every).called(rules.yearly_level)
    decay = decayed(given.record, base, names, rules, floor=given.floor, months_a_period=every)
    late = decay.called(rules.yearly_level)
    if not found and not late:
        return given
    if by_money:
        of_contest = money_differences(ws, document, base, found, margin=rules.margin)
    else:
        of_contest = clustered_differences(ws, document, base, found, margin=rules.margin)
    newest = [m.cohort for m in latest_months(given.record, base, rules)]
    return replace(
        given,
        clustered=of_contest,
        clustered_latest=clustered_differences(ws, document, base, late, margin=rules.auc_margin, months=newest),
    )


def _may_take_over(ws: Workspace, contest: Contest, given: Evidence) -> list[Candidate]:
    """The refit of the recipe in charge, and whom the record puts above it: only their gates are worth measuring.

    By the same differences as the policy takes: by DeLong's alone another successor was gated than the one chosen.
    """
    rules, incumbent = ws.spec.decision.evidence, contest.incumbent
    assert rules is not None and incumbent is not None
    models = {n: c for n, c in by_recipe(contest).items() if c.strategy != "fixed_window"}
    names, recipe = list(models), incumbent.recipe_name
    every = given.months_a_period
    found = [
        decayed(
            *(given.record, recipe, names, rules),
            floor=given.floor,
            months_a_period=every,
            clustered=given.clustered_latest,
        ),
        better_recipe(given.record, recipe, names, rules, months_a_period=every, clustered=given.clustered),
        first_recipe(given.record, names, rules, months_a_period=every, clustered=given.clustered),
    ]
    wanted = dict.fromkeys([recipe, *(f.successor for f in found if f.successor)])
    candidates = {models[n].bundle_sha256: models[n] for n in wanted if n in models}
    candidates.pop(incumbent.bundle_sha256, None)
    return list(candidates.values())


def _measure(ws: Workspace, models: AsOf, on: date) -> tuple[dict[str, Any], float]:
    """One matured cohort, as known on a day, under the models its recipes made before it."""
    held = ws.lake.contents("clean_features")
    if models.month not in held:
        raise HomeError(
            f"The loans of {models.month} are not there yet.", remedy=f"materialize the cohort job for {models.month}"
        )
    cohort = {models.month: held[models.month].sha256}
    digests = {name: str(pointer["bundle_sha256"]) for name, pointer in models.models.items()}
    scored = ensure_scores(ws, digests.values(), cohort)
    failed = {**models.failed, **{n: scored.failed[d] for n, d in digests.items() if d in scored.failed}}
    digests = {n: d for n, d in digests.items() if d not in scored.failed}
    loans = known_cohort(ws, models.month, on)
    by_bundle = pds_of(ws, digests.values(), cohort, loans)
    pds = {name: by_bundle[digest] for name, digest in digests.items() if digest in by_bundle}
    record = MonthRecord(
        cohort=models.month,
        label=loans["label"].to_numpy(),
        weight=loans["weight"].to_numpy() if "weight" in loans.columns else None,
        pds=pds,
        last_event={n: date.fromisoformat(models.models[n]["last_event"]) for n in digests},
    )
    evidence = month_evidence(record)
    document = {
        "cohort": str(models.month),
        "loans": loans.height,
        "bads": int(loans["label"].sum()),
        "bundles": digests,
        "failed": failed,
        "evidence": evidence.document() if evidence else None,
    }
    return document, scored.seconds


def _seen(ws: Workspace, production: Month, on: date) -> dict[Month, str | None]:
    """By earlier cohort the hash of its labels as the decision date knew them (lineage.py's ``seen``)."""
    cohorts, held = earlier_cohorts(ws.spec, production), ws.lake.contents("labels")
    labels = ws.lake.scan_months("labels", [c for c in cohorts if c in held]).collect()
    view = label_view(labels, on).filter(pl.col("known_from").is_not_null()).sort("cohort", "loan_id")
    known = {k[0]: part for k, part in view.partition_by("cohort", as_dict=True).items()}
    shas = {k: content_sha256(part.select("loan_id", "label")) for k, part in known.items()}
    return {c: shas.get(str(c)) for c in cohorts}
