"""The two policies without a contest: never change, and always the newest model of one recipe."""

from __future__ import annotations

from dataclasses import replace

from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.policy.contest import Candidate, Choice, Contest
from pdx_assets.risk.policy.paper import paper
from pdx_assets.risk.spec import PAPER_STRATEGIES, Decision


def never(contest: Contest, rules: Decision) -> Choice:
    """The first champion is the paper's, and stays: what a lender has that never looks again.

    After a vacant month the next one has a first champion again.

    Raises:
        DecisionError: an OTV cohort of the first contest is not later than the last one a candidate learned from.
    """
    incumbent = contest.incumbent
    if incumbent is None:
        return paper(contest, rules)
    return Choice(
        "kept", incumbent, f"Kept {incumbent.recipe} of {incumbent.trained_for}: this policy never changes a model."
    )


def always(contest: Contest, rules: Decision) -> Choice:
    """The month's own model of ``decision.always``, whatever it scores; without one the incumbent stays.

    Raises:
        DecisionError: no recipe is declared.
    """
    recipe = rules.always
    if recipe is None:
        raise DecisionError("Policy always has no recipe.", remedy="declare decision.always")
    incumbent, own = contest.incumbent, by_recipe(contest).get(recipe)
    said = recipe.replace("_", " ")
    if own is None and recipe.startswith("fixed_window ") and incumbent is not None:
        return Choice("kept", incumbent, f"Kept {incumbent.recipe} of {incumbent.trained_for}: it is never refitted.")
    if own is None:
        why = next((why for who, why in contest.failed.items() if who == recipe), "it has no model")
        if incumbent is None:
            return Choice("vacant", None, f"No champion: {said} has no model this month ({why.rstrip('.')}).")
        stays = f"{incumbent.recipe} of {incumbent.trained_for} stays"
        return Choice("kept", incumbent, f"{said} has no model this month ({why.rstrip('.')}): {stays}.")
    if incumbent is None:
        return Choice("first", own, f"First champion: {said}, as declared.")
    if incumbent.bundle_sha256 == own.bundle_sha256:
        return Choice(
            "kept", incumbent, f"Kept {incumbent.recipe} of {incumbent.trained_for}: the refit is the same model."
        )
    if incumbent.recipe_name == recipe:
        return Choice("refitted", own, f"{said} of {own.trained_for} takes over from that of {incumbent.trained_for}.")
    before = f"{incumbent.recipe} of {incumbent.trained_for}"
    return Choice("promoted", own, f"{said} of {own.trained_for} takes over from {before}, as declared.")


def by_recipe(contest: Contest) -> dict[str, Candidate]:
    """The month's own models by recipe. At p0 one bundle stands for all of the paper's strategies, under each name.

    The fixed window's own name is there at p0 only: later its models are nobody's refit.
    """
    found = {c.recipe_name: c for c in (*contest.fresh, *contest.refits)}
    for candidate in contest.fresh:
        if candidate.strategy == "fixed_window" and candidate.trained_for == str(contest.production_month):
            for strategy in PAPER_STRATEGIES:
                found.setdefault(f"{strategy} {candidate.algorithm}", replace(candidate, strategy=strategy))
    return found
