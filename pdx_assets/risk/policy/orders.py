"""People's part in a decision: an order in place of the policy's choice, and a change that waits for approval."""

from __future__ import annotations

from dataclasses import asdict, replace

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.policy.contest import Candidate, Choice, Contest
from pdx_assets.risk.spec import Decision


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
        contested.evidence,
    )


def with_approval(contest: Contest, rules: Decision, choice: Choice) -> Choice:
    """The choice, or where approval is required and it changes who is in charge, the incumbent with a proposal.

    A first champion and the gated refit of a recipe (``refitted``) need no approval. Policy ``evidence`` makes its
    proposals itself, since a refit may take over while a change of recipe waits.
    """
    incumbent = contest.incumbent
    if not rules.needs_approval or choice.verdict not in ("promoted", "demoted") or incumbent is None:
        return choice
    stay = Choice("kept", incumbent, f"Kept {incumbent.recipe} of {incumbent.trained_for}.", choice.evidence)
    return waiting(contest.production_month, stay, choice)


def waiting(production: Month, stay: Choice, change: Choice) -> Choice:
    """``stay``, with ``change`` as a proposal; its hash is what people approve or reject."""
    assert change.champion is not None
    proposal = {
        "production_month": str(production),
        "decision": change.verdict,
        "candidate": asdict(change.champion),
        "reason": change.reason,
        "evidence_sha256": document_sha256(change.evidence) if change.evidence is not None else None,
    }
    proposal["sha256"] = document_sha256(proposal)
    return replace(stay, reason=f"{stay.reason} Proposed, and waiting for approval: {change.reason}", proposal=proposal)


def approved(contested: Choice, bundle: Candidate, *, demoted: bool, by: str, why: str) -> Choice:
    """A proposal that people approved takes effect.

    Args:
        contested: what the policy chose for this month; it stays on record.
        bundle: the proposed model, with its score on OTV(p) or None.
        demoted: whether the proposal was a demotion.
        by: everyone who approved, in words.
    """
    return Choice(
        "demoted" if demoted else "promoted",
        bundle,
        f"{bundle.recipe} of {bundle.trained_for}, proposed before, was approved by {by}: {why.rstrip('.')}. "
        f"Without that: {contested.reason}",
        contested.evidence,
    )


def rejected(choice: Choice, *, by: str, why: str) -> Choice:
    """The choice without its proposal, which a person rejected."""
    return replace(choice, reason=f"{choice.reason} Rejected by {by}: {why.rstrip('.')}.", proposal=None)
