"""Policies as pure functions, and the fold: who is in charge of a production month, and why.

A decision is a recorded document. The champion of p is decided from the decisions recorded before p and
today's inputs for p; nothing here reads a store, a clock or a random number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError, MissingMonthError
from pdx_assets.risk.metrics.weights import EffectiveSizes
from pdx_assets.risk.spec import NOT_KNOWABLE, Decision, PolicyName, PortfolioSpec

DECISION_VERSION = 1

Verdict = Literal["first", "promoted", "kept", "no_contest", "vacant", "rolled_back"]


@dataclass(frozen=True)
class Candidate:
    """A model in a contest.

    Attributes:
        bundle_sha256: digest of the model.
        strategy, algorithm: its recipe.
        trained_for: the production month it was trained for.
        last_cohort: the last cohort it learned from.
        score: the contest's metric on OTV(p), unrounded; None where it could not be measured.
    """

    bundle_sha256: str
    strategy: str
    algorithm: str
    trained_for: str
    last_cohort: str
    score: float | None

    @property
    def recipe(self) -> str:
        """In words, for reasons people read."""
        return f"{self.strategy} {self.algorithm}".replace("_", " ")


@dataclass(frozen=True)
class Contest:
    """All that a policy may look at for one production month.

    Attributes:
        bads, goods: rows.
        effective: Kish's sizes of the two where loans are weighted; then the minima are of these.
        fresh: the month's challengers in Algorithm 1's order: algorithms as declared, strategies within.
        incumbent: the champion of p-1; None at p0 or when the month before was vacant.
        failed: recipes that left a tombstone, with the reason.
        unscored: contestants by digest whose bundle could not score OTV, with the reason.
    """

    production_month: Month
    otv_months: tuple[Month, ...]
    bads: int
    goods: int
    fresh: tuple[Candidate, ...]
    incumbent: Candidate | None
    failed: Mapping[str, str]
    unscored: Mapping[str, str] = field(default_factory=dict)
    effective: EffectiveSizes | None = None


@dataclass(frozen=True)
class Choice:
    """A policy's verdict, with its reason in words."""

    verdict: Verdict
    champion: Candidate | None
    reason: str


def paper(contest: Contest, rules: Decision) -> Choice:
    """Algorithm 1 of the PDx paper (its section 3.2), made exact.

    Candidates are the month's fresh challengers and the incumbent, nothing else, all on one common
    OTV(p). Strict ``>`` on the unrounded score: the incumbent wins a tie, and among equal challengers
    the first declared wins. Too few bads or goods: no contest.

    Raises:
        DecisionError: an OTV cohort is not later than the last one a candidate learned from.
    """
    incumbent = contest.incumbent
    _refuse_seen_cohorts(contest)
    sizes = contest.effective or EffectiveSizes(contest.bads, contest.goods)
    if sizes.bads < rules.min_bads or sizes.goods < rules.min_goods:
        weighed = f", by weight as good as {sizes.bads:.1f} and {sizes.goods:.1f}" if contest.effective else ""
        return _without_contest(
            contest,
            f"OTV has {contest.bads} bads and {contest.goods} goods{weighed}, fewer than the {rules.min_bads} and "
            f"{rules.min_goods} a contest needs",
        )
    if incumbent is not None and incumbent.score is None:
        return Choice(
            "no_contest",
            incumbent,
            f"The incumbent {incumbent.recipe} of {incumbent.trained_for} could not be scored on OTV, so it stays"
            f"{_because(contest, incumbent)}.",
        )
    best, best_score = incumbent, -1.0 if incumbent is None else _known(incumbent)
    for challenger in contest.fresh:
        if challenger.score is not None and challenger.score > best_score:
            best, best_score = challenger, challenger.score
    if best is None:
        return _without_contest(contest, "no challenger could be scored")
    if incumbent is None:
        return Choice(
            "first",
            best,
            f"First champion: {best.recipe} has the highest OTV {rules.metric.upper()}, {best_score:.4f}.",
        )
    if best is incumbent:
        return Choice("kept", incumbent, _kept_reason(contest, rules.metric, _known(incumbent)))
    return Choice(
        "promoted",
        best,
        f"{best.recipe} of {best.trained_for} beats the incumbent {incumbent.recipe} of {incumbent.trained_for}: "
        f"OTV {rules.metric.upper()} {best_score:.4f} > {_known(incumbent):.4f} "
        f"(+{best_score - _known(incumbent):.4f}).",
    )


def rolled_back(contested: Choice, bundle: Candidate, *, by: str, why: str) -> Choice:
    """A person's order instead of the policy's choice: ``bundle`` is in charge, whatever the contest says.

    Args:
        contested: what the policy chose; it stays on record.
        bundle: with its score on OTV(p), or None where it could not be measured.
    """
    return Choice(
        "rolled_back",
        bundle,
        f"Rolled back to {bundle.recipe} of {bundle.trained_for} by {by}: {why.rstrip('.')}. "
        f"Without that: {contested.reason}",
    )


POLICIES: dict[PolicyName, Callable[[Contest, Decision], Choice]] = {"paper": paper}


def incumbent_of(
    spec: PortfolioSpec, production: Month, recorded: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The recorded decision of p-1, after checking that every month of [p0, p) has one.

    Args:
        recorded: decisions of the branch, in any order.

    Raises:
        MissingMonthError: a month has no decision yet; names the months.
        DecisionError: p lies before p0.
    """
    if production < spec.p0:
        raise DecisionError(f"{production} lies before the first production month {spec.p0}.")
    by_month = {Month.parse(d["production_month"]): d for d in recorded}
    before = spec.periods.span(spec.p0, spec.periods.shift(production, -1))
    missing = [str(m) for m in before if m not in by_month]
    if missing:
        raise MissingMonthError(
            f"{production} cannot be decided: no decision is recorded for {', '.join(missing)}.",
            expected=f"a decision for every month of {spec.p0}..{before[-1]}",
            remedy=f"materialize champion for {missing[0]} first; months are decided in order",
        )
    return dict(by_month[before[-1]]) if before else None


def decision_document(
    spec: PortfolioSpec,
    contest: Contest,
    choice: Choice,
    *,
    inputs: Mapping[str, Any],
    at_cut_off: Mapping[str, Any],
    rollback: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is recorded, for good: the verdict, the whole contest, and the hashes of what it read.

    Args:
        rollback: the order obeyed and what the policy would have chosen, where the verdict is ``rolled_back``.
    """
    champion = choice.champion
    document = {
        "format_version": DECISION_VERSION,
        "portfolio": spec.name,
        "production_month": str(contest.production_month),
        "policy": spec.decision.policy,
        "metric": spec.decision.metric,
        "decision": choice.verdict,
        "reason": f"{choice.reason} {NOT_KNOWABLE}" if spec.hindsight else choice.reason,
        "champion": asdict(champion) if champion else None,
        "incumbent": asdict(contest.incumbent) if contest.incumbent else None,
        "contest": {
            "otv_months": [str(m) for m in contest.otv_months],
            "bads": contest.bads,
            "goods": contest.goods,
            # Only where loans are weighted: the decisions of other portfolios keep their bytes.
            **({f"effective_{k}": v for k, v in asdict(contest.effective).items()} if contest.effective else {}),
            "challengers": [asdict(c) for c in contest.fresh],
            "failed": dict(contest.failed),
            "unscored": dict(contest.unscored),
        },
        "at_cut_off": dict(at_cut_off),
        "inputs": dict(inputs),
    }
    # Only where there is one: the decisions of a portfolio that nobody rolled back keep their bytes.
    document |= {"rollback": dict(rollback)} if rollback else {}
    return document | ({"hindsight": True} if spec.hindsight else {})


def _refuse_seen_cohorts(contest: Contest) -> None:
    first = contest.otv_months[0]
    everyone = [*contest.fresh, *([contest.incumbent] if contest.incumbent else [])]
    seen = [
        f"{c.recipe} of {c.trained_for} learned from {c.last_cohort}"
        for c in everyone
        if Month.parse(c.last_cohort) >= first
    ]
    if seen:
        raise DecisionError(
            f"The contest of {contest.production_month} is on cohorts from {first}, which candidates have seen: "
            f"{'; '.join(seen)}.",
            expected="OTV cohorts later than any cohort a candidate learned from",
            remedy="this is a defect of the window plan or of the candidates' manifests; do not deploy this month",
        )


def _without_contest(contest: Contest, why: str) -> Choice:
    if contest.incumbent is None:
        return Choice("vacant", None, f"No champion: {why}, and nobody was in charge before.")
    stays = f"the incumbent {contest.incumbent.recipe} of {contest.incumbent.trained_for} stays"
    return Choice("no_contest", contest.incumbent, f"No contest: {why}; {stays}.")


def _kept_reason(contest: Contest, metric: str, score: float) -> str:
    incumbent = contest.incumbent
    assert incumbent is not None
    measured = [c for c in contest.fresh if c.score is not None]
    if not measured:
        return f"Kept {incumbent.recipe} of {incumbent.trained_for}: no challenger could be measured this month."
    rival = max(measured, key=_known)
    comparison = "equals" if _known(rival) == score else "is below"
    return (
        f"Kept {incumbent.recipe} of {incumbent.trained_for}: OTV {metric.upper()} {score:.4f}; the best challenger "
        f"{rival.recipe} {comparison} it with {_known(rival):.4f}."
    )


def _because(contest: Contest, candidate: Candidate) -> str:
    why = contest.unscored.get(candidate.bundle_sha256)
    return f": {why.rstrip('.')}" if why else ""


def in_charge_problem(document: Mapping[str, Any]) -> str | None:
    """What is wrong with a recorded month, in words; None where somebody sound is in charge.

    Wrong is a vacant month, a month whose challengers all failed, and an incumbent that could not be scored,
    or, in a month rolled back, the model in charge.
    """
    contest, incumbent = document["contest"], document["incumbent"]
    if document["champion"] is None:
        return f"nobody is in charge: {document['reason']}"
    if contest["failed"] and not contest["challengers"]:
        return f"no challenger was left: {'; '.join(f'{who}: {why}' for who, why in contest['failed'].items())}"
    if document["decision"] == "rolled_back":
        why = contest["unscored"].get(document["champion"]["bundle_sha256"])
        return f"the model rolled back to could not be scored: {why}" if why else None
    # With too few bads nobody can be measured: that is no contest, not an incumbent that cannot be scored.
    if incumbent and incumbent["score"] is None and min(contest["bads"], contest["goods"]) > 0:
        return document["reason"] if document["decision"] == "no_contest" else "the incumbent could not be scored"
    return None


def _known(candidate: Candidate) -> float:
    assert candidate.score is not None
    return candidate.score
