"""Which recipe the evidence speaks for: the first one, a better one, the successor of one that decayed.

Recipes are names here (``strategy algorithm``). Which bundle is in charge, cool-down, gates and approval are the
policy's (risk/policy/evidence.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import hypot
from typing import Any

from pdx_assets.risk.checks.chance import above
from pdx_assets.risk.evidence.level import Spending, of_contests, of_decay
from pdx_assets.risk.evidence.paired import Difference, mean_level, stratified_difference
from pdx_assets.risk.evidence.record import MonthEvidence, bads_of, latest, shared
from pdx_assets.risk.spec import Evidence

LATEST_MONTHS = 6
"""As-of months that decay is looked for in: short enough to see it, long enough to be more than one bad month."""

FLOOR_LEVEL = 0.05


@dataclass(frozen=True)
class Compared:
    """A challenger against the recipe in charge.

    Attributes:
        difference: None where the two have no month in common.
        corrected: p-value to be compared with the yearly level; None where the two have too little in common.
        unit: of the difference.
    """

    recipe: str
    difference: Difference | None
    corrected: float | None
    unit: str = "AUC"

    def document(self) -> dict[str, Any]:
        shown = self.difference.document() if self.difference else None
        unit = {} if self.unit == "AUC" else {"unit": self.unit}
        return {"recipe": self.recipe, "difference": shown, "corrected_p_value": self.corrected, **unit}

    @property
    def told(self) -> str:
        name = spoken(self.recipe)
        if self.difference is None:
            return f"{name} has no month in common"
        d, (low, high) = self.difference, self.difference.interval
        what = f"{name} {d.estimate:+.4f} {self.unit} (95 % {low:+.4f} to {high:+.4f}; "
        what += f"{d.months} months, {d.bads:.0f} bads"
        return f"{what}; too few)" if self.corrected is None else f"{what}; corrected p {self.corrected:.3g})"


@dataclass(frozen=True)
class Finding:
    """What the record says about a change of recipe.

    Attributes:
        successor: None: no change.
        told: in words.
        below_floor: the recipe in charge is unfit by itself, whatever the others are.
    """

    successor: str | None
    told: str
    compared: tuple[Compared, ...] = ()
    below_floor: bool = False

    def called(self, level: float) -> list[str]:
        """Recipes whose difference the tests call, at a yearly level; the successor is one of them, or below the floor
        whoever has the best record."""
        return [c.recipe for c in self.compared if c.corrected is not None and c.corrected <= level]

    def document(self) -> dict[str, Any]:
        return {
            "successor": self.successor,
            "told": self.told,
            "compared": [c.document() for c in self.compared],
            "below_floor": self.below_floor,
        }


def spoken(recipe: str) -> str:
    return recipe.replace("_", " ")


def first_recipe(
    months: Sequence[MonthEvidence],
    available: Sequence[str],
    rules: Evidence,
    *,
    months_a_period: int,
    clustered: Mapping[str, Difference] | None = None,
) -> Finding:
    """The recipe to begin with: the declared one unless another is shown to be better, else that of the best record.

    The highest of twenty records with a hundred bads is the luckiest as often as the best one, so that a recipe
    declared for good reasons stands like one in charge: against it a contest must be won (:func:`better_recipe`).
    Where none is declared, or its model failed, somebody has to be in charge: the highest AUC over the months that all
    long enough records have in common, a choice and not a test. Equal records: the first in ``available``.
    """
    declared = rules.first_recipe
    if declared is not None and declared in available:
        found = better_recipe(months, declared, available, rules, months_a_period=months_a_period, clustered=clustered)
        if found.successor is not None:
            return found
        return Finding(declared, f"{spoken(declared)} begins, as declared; {found.told}", found.compared)
    candidates = [r for r in available if bads_of(shared(months, (r,))) >= rules.min_bads]
    common = shared(months, candidates) if candidates else []
    if not candidates or bads_of(common) < rules.min_bads:
        return Finding(None, f"no months with {rules.min_bads} bads are common to the recipes")
    levels = [(recipe, level) for recipe in candidates if (level := mean_level(common, recipe)) is not None]
    recipe, level = max(levels, key=lambda found: found[1].estimate)
    return Finding(
        recipe,
        f"{spoken(recipe)} has the best record of {len(candidates)} recipes, AUC {level.estimate:.4f} "
        f"(standard error {level.standard_error:.4f}) over {level.months} months and {level.bads:.0f} bads",
    )


def better_recipe(
    months: Sequence[MonthEvidence],
    in_charge: str,
    available: Sequence[str],
    rules: Evidence,
    *,
    months_a_period: int,
    clustered: Mapping[str, Difference] | None = None,
) -> Finding:
    """A contest of recipes: every available challenger against the recipe in charge, over all matured months.

    A challenger succeeds whose difference is above ``margin`` by the month-stratified paired test, its p-value
    corrected for the challengers and the year's contests (level.py). Of several the one with the largest difference:
    Holm's step bounds the chance that *any* of them is a false one. Fewer than ``min_bads`` bads in common: not tested.

    Args:
        clustered: differences by bootstrap over borrowers, by challenger; used in place of DeLong's where given. Where
            contests are decided by money they are of money, and what is not among them cannot be compared.
    """
    spending = of_contests(rules.yearly_level, rules.contest_every, months_a_period)
    by_money, given = rules.measure == "money", clustered or {}
    differences = {
        recipe: given.get(recipe)
        or (None if by_money else stratified_difference(months, recipe, in_charge, margin=rules.margin))
        for recipe in available
        if recipe != in_charge
    }
    unit = "money a loan" if by_money else "AUC"
    found = tuple(replace(c, unit=unit) for c in _tested(differences, {}, rules, spending))
    if not found:
        return Finding(None, "there is no other recipe this month")
    best = _best(found, rules.yearly_level)
    told = _told(found)
    beyond = f" by more than {rules.margin:g} {unit}" if rules.margin else ""
    if best is None:
        return Finding(None, f"no recipe is shown to be better{beyond} than {spoken(in_charge)}: {told}", found)
    return Finding(
        best.recipe,
        f"{spoken(best.recipe)} is better{beyond} than {spoken(in_charge)} at a yearly level of "
        f"{rules.yearly_level:g}: {told}",
        found,
    )


def latest_months(months: Sequence[MonthEvidence], in_charge: str, rules: Evidence) -> list[MonthEvidence]:
    """The months in which a recipe's decay is looked for."""
    return latest(shared(months, (in_charge,)), LATEST_MONTHS, rules.min_bads)


def decayed(
    months: Sequence[MonthEvidence],
    in_charge: str,
    available: Sequence[str],
    rules: Evidence,
    *,
    floor: float,
    months_a_period: int,
    clustered: Mapping[str, Difference] | None = None,
) -> Finding:
    """Whether the recipe in charge must go for what it realized of late, and who follows.

    Its latest months (:func:`latest_months`) are the newest ``LATEST_MONTHS``, and more until they hold ``min_bads``.

    * **Below the floor**: its AUC over them is below ``floor`` (checks.otv_auc_floor), one-sided at 5 %. The recipe is
      unfit by itself; the successor is the one with the best record over the same months, if it is above.
    * **Decayed and overtaken**: that AUC is below its own over all earlier months, and another recipe is better by
      more than ``margin`` on the latest months (paired; by AUC, also where contests are decided by money). Both must be
      shown: the p-value is the larger of the two (intersection-union test, Berger 1982, doi:10.2307/1268475),
      corrected for challengers and periods out of the level's own part (level.py). A bad year that hits all recipes
      alike changes nothing, for nobody is better; nor does a recipe that was always a little worse, for that is the
      contests' matter.

    The first claim is not that the successor is better, so it is not bought from the yearly level; where the floor is
    well below what the recipes reach, it never fires by chance.

    Args:
        clustered: as of :func:`better_recipe`, over :func:`latest_months`.
    """
    own = shared(months, (in_charge,))
    recent = latest_months(months, in_charge, rules)
    if bads_of(recent) < rules.min_bads:
        return Finding(None, f"{spoken(in_charge)} has fewer than {rules.min_bads} bads on record")
    now = mean_level(recent, in_charge)
    assert now is not None
    others = [recipe for recipe in available if recipe != in_charge]
    differences = {
        r: (clustered or {}).get(r) or stratified_difference(recent, r, in_charge, margin=rules.auc_margin)
        for r in others
    }
    realized = f"realized AUC of {spoken(in_charge)} {now.estimate:.4f} ± {now.standard_error:.4f}"
    said = f"{realized} over its last {now.months} months"
    if above(floor - now.estimate, now.standard_error) <= FLOOR_LEVEL:
        seen = {r: d for r, d in differences.items() if d is not None and d.bads >= rules.min_bads}
        ahead = [r for r, d in seen.items() if d.estimate > rules.auc_margin]
        told = f"{said}: below the floor of {floor:g} (one-sided 95 %)"
        if not ahead:
            return Finding(None, f"{told}, but no recipe has a better record", below_floor=True)
        successor = max(ahead, key=lambda r: seen[r].estimate)
        shown = Compared(successor, seen[successor], None)
        gained = f"{spoken(successor)} has the best record, {seen[successor].estimate:+.4f} on the same months"
        return Finding(successor, f"{told}; {gained}", (shown,), below_floor=True)
    earlier = own[: len(own) - len(recent)]
    before = mean_level(earlier, in_charge)
    if before is None or before.bads < rules.min_bads:
        return Finding(None, f"{said}; no earlier record to compare it with")
    drop = before.estimate - now.estimate
    chance = above(drop, hypot(before.standard_error, now.standard_error))
    found = _tested(differences, dict.fromkeys(others, chance), rules, of_decay(rules.yearly_level, months_a_period))
    best = _best(found, rules.yearly_level)
    told = f"{said}, {before.estimate:.4f} before (p of no drop {chance:.3g})"
    if best is None:
        return Finding(None, f"{told}: no decay in which another recipe holds", found)
    return Finding(best.recipe, f"{told}, and overtaken: {best.told}", found)


def _tested(
    differences: Mapping[str, Difference | None], at_least: Mapping[str, float], rules: Evidence, spending: Spending
) -> tuple[Compared, ...]:
    """All challengers, p-values corrected; those with too little in common are no part of the family."""
    long_enough = {r: d for r, d in differences.items() if d is not None and d.bads >= rules.min_bads}
    corrected = spending.corrected({r: max(d.p_value, at_least.get(r, 0.0)) for r, d in long_enough.items()})
    return tuple(Compared(r, d, corrected.get(r)) for r, d in differences.items())


def _told(found: Sequence[Compared]) -> str:
    """Twenty recipes without a month in common are one thing to say, not twenty."""
    shown = [c.told for c in found if c.difference is not None]
    apart = [c for c in found if c.difference is None]
    if len(apart) > 1:
        shown.append(f"{len(apart)} recipes have no month in common with it")
    else:
        shown += [c.told for c in apart]
    return "; ".join(shown)


def _best(found: Sequence[Compared], level: float) -> Compared | None:
    shown = [c for c in found if c.difference is not None and c.corrected is not None and c.corrected <= level]
    return max(shown, key=lambda c: c.difference.estimate if c.difference else 0.0, default=None)
