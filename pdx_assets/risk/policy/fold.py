"""The fold: who is in charge of a production month follows from the decisions recorded before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError, MissingMonthError
from pdx_assets.risk.policy.contest import Choice, Contest
from pdx_assets.risk.spec import NOT_KNOWABLE, PortfolioSpec

DECISION_VERSION = 1

_WITHOUT_OTV = ("never", "always", "evidence")
"""Policies that decide without the incumbent's score on OTV."""


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
            # Only where there are some: the decisions of other portfolios keep their bytes.
            **({"refits": [asdict(c) for c in contest.refits]} if contest.refits else {}),
            **({"retained": [asdict(c) for c in contest.retained]} if contest.retained else {}),
        },
        "at_cut_off": dict(at_cut_off),
        "inputs": dict(inputs),
    }
    # Only where there is one: the decisions of a portfolio that nobody rolled back keep their bytes.
    document |= {"rollback": dict(rollback)} if rollback else {}
    document |= {"evidence": dict(choice.evidence)} if choice.evidence is not None else {}
    document |= {"proposal": dict(choice.proposal)} if choice.proposal is not None else {}
    return document | ({"hindsight": True} if spec.hindsight else {})


def in_charge_problem(document: Mapping[str, Any]) -> str | None:
    """What is wrong with a recorded month, in words; None where somebody sound is in charge.

    Wrong is a vacant month, a month whose challengers all failed, and an incumbent that could not be scored,
    or, in a month rolled back, the model in charge.
    """
    contest, incumbent = document["contest"], document["incumbent"]
    if document["champion"] is None:
        return f"nobody is in charge: {document['reason']}"
    if contest["failed"] and not contest["challengers"] and not contest.get("refits"):
        return f"no challenger was left: {'; '.join(f'{who}: {why}' for who, why in contest['failed'].items())}"
    if document["decision"] == "rolled_back":
        why = contest["unscored"].get(document["champion"]["bundle_sha256"])
        return f"the model rolled back to could not be scored: {why}" if why else None
    # A refit that has seen OTV is never scored on it.
    if incumbent and document["policy"] in _WITHOUT_OTV and incumbent["bundle_sha256"] not in contest["unscored"]:
        return None
    # With too few bads nobody can be measured: that is no contest, not an incumbent that cannot be scored.
    if incumbent and incumbent["score"] is None and min(contest["bads"], contest["goods"]) > 0:
        return document["reason"] if document["decision"] == "no_contest" else "the incumbent could not be scored"
    return None
