"""The policy ``evidence``: the champion is a recipe, refitted every month under gates, and changed on evidence only.

What the record says is risk/evidence/'s; here it becomes a decision. Its defence: docs/decisions/0011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.evidence import gates
from pdx_assets.risk.evidence.choose import Finding, better_recipe, decayed, first_recipe, spoken
from pdx_assets.risk.evidence.gates import Gate
from pdx_assets.risk.evidence.paired import TWO_SIDED_95, mean_level
from pdx_assets.risk.evidence.record import bads_of, shared
from pdx_assets.risk.policy.contest import Candidate, Choice, Contest, Evidence, Verdict
from pdx_assets.risk.policy.never_always import by_recipe
from pdx_assets.risk.policy.orders import waiting
from pdx_assets.risk.policy.paper import paper
from pdx_assets.risk.spec import Decision, PortfolioSpec
from pdx_assets.risk.spec import Evidence as Rules


def evidence(contest: Contest, rules: Decision) -> Choice:
    """Who is in charge, by the record of the recipes.

    1. Without an incumbent: the declared first recipe, unless another is shown to be better; without a declared one the
       recipe with the best record over common months, else the paper's choice on OTV.
    2. Outside a cool-down, every period: a recipe in charge that decayed gives way (``demoted``).
    3. Outside a cool-down, in a period that holds a contest: a recipe shown to be better takes over (``promoted``),
       if its model passes every gate. A successor of a decayed recipe passes the calibration gate only: the others
       measure nearness to a model that must go.
    4. Else the recipe stays, and its refit of the month takes over (``refitted``) if it passes every gate.
    5. Else the model stays, recalibrated where its PDs are off (``recalibrated``).

    Raises:
        DecisionError: the portfolio declares no evidence, or the month has none.
    """
    declared, given = rules.evidence, contest.evidence
    if declared is None or given is None:
        raise DecisionError(
            f"Policy evidence cannot decide {contest.production_month}: "
            f"{'decision.evidence is not declared' if declared is None else 'the record of its recipes is not there'}.",
            remedy="declare decision.evidence" if declared is None else "materialize recipe_record of the month first",
        )
    models = {name: c for name, c in by_recipe(contest).items() if c.strategy != "fixed_window"}
    if contest.incumbent is None:
        return _first(contest, rules, declared, given, models)
    stay = _recalibrated(_refit(contest, given, models, contest.incumbent), given)
    change = _change(declared, given, models, contest.incumbent)
    choice = change.choice or stay
    document = _document(given, models, contest.incumbent)
    document |= {"findings": {name: found.document() for name, found in change.findings.items()}}
    if change.told:
        document["change"] = change.told
    stays = choice.verdict in ("kept", "recalibrated")
    judged = models.get(contest.incumbent.recipe_name) if stays else choice.champion
    in_charge = stay if change.choice is None or rules.needs_approval else change.choice
    if in_charge.verdict == "recalibrated" and given.recalibrated is not None:
        document["recalibration"] = {k: getattr(given.recalibrated, k).document() for k in ("before", "after")}
    if (stopped := change.stopped) is not None:
        asked = [g.document() for g in given.gates.get(stopped.bundle_sha256, ())]
        document["stopped"] = {"recipe": stopped.recipe_name, "bundle_sha256": stopped.bundle_sha256, "gates": asked}
    document["gates"] = [g.document() for g in given.gates.get(judged.bundle_sha256, ())] if judged else []
    if change.choice is None:
        return Choice(stay.verdict, stay.champion, f"{stay.reason} {change.told}".strip(), document)
    changed = replace(change.choice, evidence=document)
    if rules.needs_approval:
        return waiting(contest.production_month, replace(stay, evidence=document), changed)
    return changed


def contest_number(spec: PortfolioSpec, production: Month) -> int | None:
    """The number of the contest of recipes that a production month holds, from p0 on; None where it holds none.

    Raises:
        DecisionError: the portfolio declares no evidence.
    """
    if spec.decision.evidence is None:
        raise DecisionError(f"{spec.name} declares no evidence.", remedy="declare decision.evidence")
    periods = len(spec.periods.span(spec.p0, production)) - 1
    every = spec.decision.evidence.contest_every
    return periods // every if periods % every == 0 else None


def periods_since_change(spec: PortfolioSpec, production: Month, recorded: Sequence[Mapping[str, Any]]) -> int | None:
    """Periods from the last change of recipe to a production month; None where it never changed.

    A change is one recipe in charge after another, by whatever verdict: a person's order begins a cool-down as well.

    Args:
        recorded: decisions of the branch, in any order.
    """
    last, before = None, None
    for decision in sorted(recorded, key=lambda d: d["production_month"]):
        champion = decision["champion"]
        if champion is None or Month.parse(decision["production_month"]) >= production:
            continue
        recipe = (champion["strategy"], champion["algorithm"])
        if before is not None and recipe != before:
            last = Month.parse(decision["production_month"])
        before = recipe
    return None if last is None else len(spec.periods.span(last, production)) - 1


@dataclass(frozen=True)
class _Change:
    """What a month's look at the record came to: a change, or why there is none."""

    choice: Choice | None
    told: str
    findings: Mapping[str, Finding]
    stopped: Candidate | None = None


def _first(
    contest: Contest, rules: Decision, declared: Rules, given: Evidence, models: Mapping[str, Candidate]
) -> Choice:
    found = _first_recipe(declared, given, list(models))
    document = _document(given, models, None) | {"findings": {"first": found.document()}}
    if found.successor is not None:
        return Choice("first", models[found.successor], f"First champion: {found.told}.", document)
    chosen = paper(contest, rules)
    told = f"{chosen.reason} (Without a record: {found.told}.)"
    return Choice(chosen.verdict, chosen.champion, told, document)


def _first_recipe(declared: Rules, given: Evidence, available: Sequence[str]) -> Finding:
    return first_recipe(
        given.record, available, declared, months_a_period=given.months_a_period, clustered=given.clustered
    )


def _refit(contest: Contest, given: Evidence, models: Mapping[str, Candidate], incumbent: Candidate) -> Choice:
    """The recipe in charge stays: by its model of the month, or by the one it has."""
    who = f"{incumbent.recipe} of {incumbent.trained_for}"
    refit = models.get(incumbent.recipe_name)
    if refit is None:
        why = contest.failed.get(incumbent.recipe_name)
        because = f" ({why.rstrip('.')})" if why else ""
        return Choice("kept", incumbent, f"Kept {who}: its recipe has no model this month{because}.")
    if refit.bundle_sha256 == incumbent.bundle_sha256:
        return Choice("kept", incumbent, f"Kept {who}: the refit of the month is the same model.")
    asked = given.gates.get(refit.bundle_sha256)
    if not asked:
        return Choice(
            "kept", incumbent, f"Kept {who}: the gates of its refit of {refit.trained_for} were not measured."
        )
    shut = gates.closed(asked)
    if shut:
        names = ", ".join(g.name.replace("_", " ") for g in shut)
        told = f"Kept {who}: its refit of {refit.trained_for} does not pass {names}. {gates.told(asked)}."
        return Choice("kept", incumbent, told)
    return Choice(
        "refitted",
        refit,
        f"{refit.recipe} of {refit.trained_for} takes over from that of {incumbent.trained_for}: {gates.told(asked)}.",
    )


def _recalibrated(stay: Choice, given: Evidence) -> Choice:
    """A model that stays stays with its PDs set right, if that can be had."""
    found = given.recalibrated
    if stay.verdict != "kept" or found is None or not found.after.passed:
        return stay
    told = f"Its PDs are off ({found.before.told}), so it is recalibrated: {found.after.told}."
    return Choice("recalibrated", found.model, f"{stay.reason} {told}")


def _change(declared: Rules, given: Evidence, models: Mapping[str, Candidate], incumbent: Candidate) -> _Change:
    since, recipe = given.periods_since_change, incumbent.recipe_name
    if since is not None and since <= declared.cool_down:
        told = f"Recipe not changed: {since} of {declared.cool_down} periods of cool-down."
        return _Change(None, told, {})
    available = list(models)
    findings: dict[str, Finding] = {}
    decay = findings["decay"] = decayed(
        *(given.record, recipe, available, declared),
        floor=given.floor,
        months_a_period=given.months_a_period,
        clustered=given.clustered_latest,
    )
    if decay.successor is not None:
        # The gates compare with the incumbent; of a model that must go only the outcomes are a standard.
        needed = [g for g in given.gates.get(models[decay.successor].bundle_sha256, ()) if g.name == gates.CALIBRATION]
        return _taken_over("demoted", decay, models[decay.successor], incumbent, needed, findings)
    if given.contest_number is None:
        return _Change(None, f"Recipe not changed: no contest this month; {decay.told}.", findings)
    if not shared(given.record, (recipe,)) and recipe not in models:
        # A fixed window, or a recipe no longer declared: with neither record nor refits it cannot be defended.
        first = _first_recipe(declared, given, available)
        told = f"{spoken(recipe)} has neither a record nor refits; {first.told}"
        found = findings["contest"] = Finding(first.successor, told, first.compared)
    else:
        found = findings["contest"] = better_recipe(
            given.record,
            recipe,
            available,
            declared,
            months_a_period=given.months_a_period,
            clustered=given.clustered,
        )
    if found.successor is None:
        return _Change(None, f"Recipe not changed: {found.told}; {decay.told}.", findings)
    successor = models[found.successor]
    return _taken_over("promoted", found, successor, incumbent, given.gates.get(successor.bundle_sha256, ()), findings)


def _taken_over(
    verdict: Verdict,
    found: Finding,
    successor: Candidate,
    incumbent: Candidate,
    needed: Sequence[Gate],
    findings: Mapping[str, Finding],
) -> _Change:
    shut = gates.closed(needed)
    if shut or not needed:
        why = gates.told(shut) if shut else "its gates were not measured"
        told = f"Recipe not changed: {found.told}; but {successor.recipe} of {successor.trained_for}: {why}."
        return _Change(None, told, findings, successor)
    asked = f" {gates.told(needed)}."
    new, old = (f"{c.recipe} of {c.trained_for}" for c in (successor, incumbent))
    return _Change(Choice(verdict, successor, f"{new} takes over from {old}: {found.told}.{asked}"), "", findings)


def _document(given: Evidence, models: Mapping[str, Candidate], incumbent: Candidate | None) -> dict[str, Any]:
    """What there was to decide on: each recipe's record, its length and its interval."""
    names = sorted({*models, *([incumbent.recipe_name] if incumbent else [])})
    levels = {}
    for name in names:
        level = mean_level(given.record, name)
        if level is not None:
            reach = TWO_SIDED_95 * level.standard_error
            levels[name] = {
                "auc": level.estimate,
                "interval": [level.estimate - reach, level.estimate + reach],
                "standard_error": level.standard_error,
                "months": level.months,
                "bads": level.bads,
                "goods": level.goods,
            }
    return {
        "recipe": incumbent.recipe_name if incumbent else None,
        "months": [str(m.cohort) for m in sorted(given.record, key=lambda m: m.cohort)],
        "bads": bads_of(given.record),
        "records": levels,
        "contest_number": given.contest_number,
        "periods_since_change": given.periods_since_change,
    }
