"""Policies beside one another on the same months: differences with intervals, and regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.evidence.bootstrap import BorrowerMonth, clustered_difference
from pdx_assets.risk.evidence.paired import Difference, stratified_difference
from pdx_assets.risk.evidence.record import measured as evidence_of
from pdx_assets.risk.metrics.comparison import Interval, MonthlyDifference, month_stratified
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.simulation.realized import Followed, Realized, realize
from pdx_assets.risk.spec import Economics


@dataclass(frozen=True)
class Compared:
    """A policy against the reference policy and against the best recipe in hindsight.

    Attributes:
        realized: the policy's own figures.
        difference: mean over months of its AUC minus the reference's, with a bootstrap interval over loans within
            months; None for the reference itself, and where no month is measured under both.
        test: the month-stratified paired test of the two (evidence/paired.py), its error over borrowers where some came
            back; None likewise.
        regret: the best recipe's mean production AUC minus this policy's, over the months measured under both.
        best_recipe: which recipe that is.
    """

    realized: Realized
    difference: MonthlyDifference | None
    regret: float | None
    best_recipe: str | None
    test: Difference | None = None

    @property
    def p_value(self) -> float | None:
        """Two-sided, of no difference."""
        return None if self.test is None else self.test.two_sided

    @property
    def p_shown(self) -> str:
        """The same as text; empty where there is none."""
        value = self.p_value
        return "" if value is None else "< 0.0001" if value < 0.0001 else f"{value:.4f}"

    @property
    def difference_shown(self) -> str:
        """The difference and its interval as text; empty where there is none."""
        if self.difference is None or self.difference.mean.estimate is None:
            return ""
        shown = self.difference.mean
        bounds = f" [{shown.low:+.4f}, {shown.high:+.4f}]" if shown.low is not None and shown.high is not None else ""
        return f"{shown.estimate:+.4f}{bounds}"

    def document(self) -> dict[str, Any]:
        """As JSON: what `pdx simulate --format json` prints of a policy."""
        own = self.realized
        shown: Interval | None = self.difference.mean if self.difference else None
        return {
            "policy": own.policy,
            "months": own.months,
            "months_measured": own.measured,
            "mean_production_auc": own.mean_production_auc,
            "mean_ks": own.mean_ks,
            "mean_capture_rate_top3_deciles": own.mean_capture_rate,
            "observed_to_expected_bads": own.observed_to_expected,
            "bad_rate_approved": own.bad_rate_approved,
            "profit_per_loan": own.profit_per_loan,
            "champion_changes": own.champion_changes,
            "recipe_changes": own.recipe_changes,
            "auc_difference": shown.estimate if shown else None,
            "auc_difference_low": shown.low if shown else None,
            "auc_difference_high": shown.high if shown else None,
            "stratified_difference": self.test.estimate if self.test else None,
            "stratified_standard_error": self.test.standard_error if self.test else None,
            "p_value": self.p_value,
            "regret": self.regret,
            "best_recipe_in_hindsight": self.best_recipe,
            "auc_by_month": own.auc_by_month,
        }


def compare(
    policies: Sequence[Followed],
    recipes: Mapping[str, Followed],
    *,
    reference: str,
    approval_rate: float,
    seed: int,
    economics: Economics | None = None,
    draws: int = 1000,
) -> list[Compared]:
    """Measure policies over the same production months.

    Args:
        policies: each over the same months; one of them is the reference.
        recipes: every recipe's own model of each month, as if it had always been in charge: what regret is against.
        reference: name of the policy the others' differences are taken from.
        approval_rate, economics: as in :func:`realize`.
        seed: of the bootstrap.

    Raises:
        PdxError: no such reference, or policies over different months.
    """
    by_name = {p.policy: p for p in policies}
    if reference not in by_name:
        raise PdxError(f"The reference {reference!r} is not among the policies.", expected=", ".join(by_name))
    spans = {tuple(m.production for m in p.months) for p in policies}
    if len(spans) != 1:
        raise PdxError("The policies were followed through different months.", expected="the same months for all")
    measured = {name: realize(f, approval_rate=approval_rate) for name, f in recipes.items()}
    found = []
    for followed in policies:
        own = realize(followed, approval_rate=approval_rate, economics=economics)
        other = None if followed.policy == reference else by_name[reference]
        difference = _difference(followed, other, seed=seed, draws=draws) if other else None
        test = _tested(followed, other, seed=seed, draws=draws) if other else None
        found.append(Compared(own, difference, *_regret(own, measured), test))
    return found


def _tested(policy: Followed, reference: Followed, *, seed: int, draws: int) -> Difference | None:
    """The paired test, its error over borrowers where some came back: their loans are not independent."""
    months, by_borrower = [], []
    for ours, theirs in zip(policy.months, reference.months, strict=True):
        if ours.label is None or ours.pd is None or theirs.pd is None:
            continue
        cohort, pds = Month.parse(ours.production), {"policy": ours.pd, "reference": theirs.pd}
        months.append(evidence_of(cohort, ours.label, pds, ours.weight))
        if ours.borrower is not None:
            by_borrower.append(BorrowerMonth(cohort, ours.label, ours.borrower, ours.pd, theirs.pd, ours.weight))
    names = np.concatenate([np.asarray(m.borrower) for m in by_borrower]) if by_borrower else np.empty(0)
    if len(np.unique(names)) < len(names):
        return clustered_difference(by_borrower, seed=seed_from(seed, "borrowers"), draws=max(draws, 100))
    return stratified_difference([m for m in months if m is not None], "policy", "reference")


def _difference(policy: Followed, reference: Followed, *, seed: int, draws: int) -> MonthlyDifference | None:
    months: list[str] = []
    parts: list[tuple[np.ndarray, ...]] = []
    for ours, theirs in zip(policy.months, reference.months, strict=True):
        if ours.label is None or ours.pd is None or theirs.pd is None:
            continue
        weight = np.ones(ours.pd.size) if ours.weight is None else ours.weight
        parts.append((ours.label, ours.pd, theirs.pd, weight))
        months += [ours.production] * ours.pd.size
    if not parts:
        return None
    label, pd, other, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    has_weights = bool(np.any(weight != 1))
    return month_stratified(months, label, pd, other, weight if has_weights else None, seed=seed, draws=draws)


def _regret(own: Realized, recipes: Mapping[str, Realized]) -> tuple[float | None, str | None]:
    """Against the recipe that would have been best over the months in which both are measured."""
    best: tuple[float, str] | None = None
    for name, other in recipes.items():
        both = [
            (mine, theirs)
            for month, mine in own.auc_by_month.items()
            if mine is not None and (theirs := other.auc_by_month.get(month)) is not None
        ]
        # A recipe that lacks a month (a tombstone) could not have been followed through it.
        if not both or len(both) < sum(v is not None for v in own.auc_by_month.values()):
            continue
        behind = sum(theirs - mine for mine, theirs in both) / len(both)
        if best is None or behind > best[0]:
            best = (behind, name)
    return best if best else (None, None)
