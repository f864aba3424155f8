"""Approvals: who decided about a change that a policy proposed, and what a production month makes of it.

An approval or a rejection is an event (events.py) about one proposal, named by its hash. A proposal is that of the
newest recorded decision: once a later month is decided, it is that month's contest which counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.events import SHORT, Event, obeyed, rollback_in_force
from pdx_assets.risk.policy import Candidate, Choice, approved, rejected


def new_answer(
    events: Sequence[Event],
    decided: Sequence[Mapping[str, Any]],
    prefix: str,
    *,
    kind: Literal["approve", "reject"],
    two_people: bool,
    takes_effect: Month,
    by: str,
    at: str,
    reason: str,
) -> Event:
    """The next event: a person's answer to a proposal.

    Args:
        events: all that were recorded.
        decided: the standing decisions of main.
        prefix: of the proposal's hash, at least 4 characters.
        two_people: whether an approval needs a second, different person; a rejection never does.
        takes_effect: the first production month with no scores yet.

    Raises:
        DecisionError: no such proposal, one that is decided or stale, or the same person twice.
    """
    wanted = prefix.lower()
    earlier = [e for e in events if e.proposal is not None and e.proposal.startswith(wanted)] if len(wanted) > 3 else []
    closed = next((e for e in earlier if e.decides), None)
    if closed is not None:
        word = "approved" if closed.kind == "approve" else "rejected"
        raise DecisionError(
            f"Proposal {str(closed.proposal)[:SHORT]} was {word} by {closed.by} on {closed.at[:10]}: {closed.reason}",
            remedy="nothing to do; to put another model in charge, use `pdx rollback`",
        )
    proposal = _open(decided, wanted)
    before = [e for e in earlier if e.proposal == proposal["sha256"]]
    if kind == "approve" and any(_same(e.by, by) for e in before):
        raise DecisionError(
            f"{by} has approved proposal {proposal['sha256'][:SHORT]} already.",
            expected="a second, different person",
            remedy="let somebody else approve it, under their own name",
        )
    bundle = Candidate(**{**proposal["candidate"], "score": None}) if kind == "approve" else None
    return Event(
        sequence=len(events) + 1,
        kind=kind,
        takes_effect=takes_effect,
        by=by,
        at=at,
        reason=reason,
        bundle=bundle,
        proposal=proposal["sha256"],
        demotes=proposal["decision"] == "demoted",
        decides=kind == "reject" or not two_people or bool(before),
    )


def answered(choice: Choice, events: Iterable[Event], production: Month, scores: Mapping[str, float | None]) -> Choice:
    """What a month makes of the answers it obeys: a choice, approved, rejected or as it is.

    An approval puts the proposed model in charge of the month it takes effect at; from then on that is the incumbent.
    A rollback in force goes before. A proposal rejected is not made in its month again; a later month may make its own.

    Args:
        choice: the policy's.
        scores: AUC on OTV(p) by digest, where measured.
    """
    held = obeyed(events, production)
    if rollback_in_force(held, production) is not None:
        return choice
    effective = [e for e in held if e.kind == "approve" and e.decides and e.takes_effect == production]
    if effective:
        last = effective[-1]
        assert last.bundle is not None
        both = [e for e in held if e.kind == "approve" and e.proposal == last.proposal]
        bundle = Candidate(**{**vars(last.bundle), "score": scores.get(last.bundle.bundle_sha256)})
        by, why = " and ".join(e.by for e in both), "; ".join(e.reason.rstrip(".") for e in both)
        return approved(choice, bundle, demoted=last.demotes, by=by, why=why)
    no = [e for e in held if e.kind == "reject" and choice.proposal and e.proposal == choice.proposal["sha256"]]
    return rejected(choice, by=no[-1].by, why=no[-1].reason) if no else choice


def _open(decided: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any]:
    ordered = sorted(decided, key=lambda d: d["production_month"])
    newest = ordered[-1].get("proposal") if ordered else None
    if newest is not None and len(wanted) > 3 and newest["sha256"].startswith(wanted):
        found: Mapping[str, Any] = newest
        return found
    waits = f"{newest['sha256'][:SHORT]} of {newest['production_month']}" if newest else "none"
    proposals = [d["proposal"] for d in ordered[:-1] if d.get("proposal")]
    stale = [p for p in proposals if len(wanted) > 3 and p["sha256"].startswith(wanted)]
    if stale:
        raise DecisionError(
            f"Proposal {wanted[:SHORT]} of {stale[-1]['production_month']} is stale: {ordered[-1]['production_month']} "
            "has been decided since.",
            expected=f"the proposal that waits: {waits}",
            remedy="approve the newest one; if there is none, the evidence no longer speaks for the change",
        )
    raise DecisionError(
        f"No proposal has a hash that begins with {wanted!r}.",
        expected=f"at least 4 characters of the proposal that waits: {waits}",
        remedy="`pdx results PORTFOLIO --format json` has every reason; the decision document has the proposal",
    )


def _same(one: str, other: str) -> bool:
    """Names as people type them: case and spaces make nobody a second person."""
    return "".join(one.split()).casefold() == "".join(other.split()).casefold()
