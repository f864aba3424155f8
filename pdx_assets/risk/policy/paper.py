"""The paper's policy: the highest score on one common OTV set."""

from __future__ import annotations

from collections.abc import Sequence

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.metrics.weights import EffectiveSizes
from pdx_assets.risk.policy.contest import Candidate, Choice, Contest
from pdx_assets.risk.spec import Decision


def paper(contest: Contest, rules: Decision) -> Choice:
    """Algorithm 1 of the PDx paper (its section 3.2), made exact.

    Candidates are the month's fresh challengers and the incumbent, nothing else, all on one common
    OTV(p). Strict ``>`` on the unrounded score: the incumbent wins a tie, and among equal challengers
    the first declared wins. Too few bads or goods: no contest.

    Raises:
        DecisionError: an OTV cohort is not later than the last one a candidate learned from.
    """
    return algorithm_1(contest, rules, contest.fresh)


def algorithm_1(contest: Contest, rules: Decision, challengers: Sequence[Candidate]) -> Choice:
    """:func:`paper` with these challengers instead of the month's own.

    Raises:
        DecisionError: an OTV cohort is not later than the last one a candidate learned from.
    """
    incumbent = contest.incumbent
    _refuse_seen_cohorts(contest, challengers)
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
    for challenger in challengers:
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
        return Choice("kept", incumbent, _kept_reason(contest, challengers, rules.metric, _known(incumbent)))
    return Choice(
        "promoted",
        best,
        f"{best.recipe} of {best.trained_for} beats the incumbent {incumbent.recipe} of {incumbent.trained_for}: "
        f"OTV {rules.metric.upper()} {best_score:.4f} > {_known(incumbent):.4f} "
        f"(+{best_score - _known(incumbent):.4f}).",
    )


def paper_with_memory(contest: Contest, rules: Decision) -> Choice:
    """Algorithm 1, with the challengers of earlier months that are still kept competing again.

    Of equal ones the incumbent wins, then the month's own, then the newest: the order of ``contest.retained``.

    Raises:
        DecisionError: an OTV cohort is not later than the last one a candidate learned from.
    """
    incumbent = contest.incumbent
    known = {c.bundle_sha256 for c in contest.fresh} | ({incumbent.bundle_sha256} if incumbent else set())
    older = [c for c in contest.retained if c.bundle_sha256 not in known]
    return algorithm_1(contest, rules, (*contest.fresh, *older))


def _refuse_seen_cohorts(contest: Contest, challengers: Sequence[Candidate]) -> None:
    first = contest.otv_months[0]
    everyone = [*challengers, *([contest.incumbent] if contest.incumbent else [])]
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


def _kept_reason(contest: Contest, challengers: Sequence[Candidate], metric: str, score: float) -> str:
    incumbent = contest.incumbent
    assert incumbent is not None
    measured = [c for c in challengers if c.score is not None]
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


def _known(candidate: Candidate) -> float:
    assert candidate.score is not None
    return candidate.score
