"""Recorded events: what people ordered about a portfolio's champion, and what a production month obeys of it.

An event is a document written once, with a sequence number without gaps. Nothing here reads a store or a
clock. An event names the production month from which it is obeyed, fixed when it is recorded, so that who
was in charge of earlier months cannot change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.policy import Candidate
from pdx_assets.risk.spec import PortfolioSpec

EVENT_VERSION = 1
SHORT = 12

EventKind = Literal["rollback", "lift", "approve", "reject"]

_ORDERS = ("rollback", "lift")
_PREFIX = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True)
class Event:
    """One order by a person.

    Attributes:
        sequence: 1, 2, ...: the order in which events were recorded.
        takes_effect: the first production month that obeys it.
        by, at, reason: who, when (ISO, UTC) and why.
        bundle: the model put in charge by a rollback or an approval, without a score; None for the others.
        proposal: hash of the proposal approved or rejected; None for the others.
        demotes: whether that proposal is a demotion.
        decides: whether the proposal is decided with this event; not with the first of two people's approval.
    """

    sequence: int
    kind: EventKind
    takes_effect: Month
    by: str
    at: str
    reason: str
    bundle: Candidate | None = None
    proposal: str | None = None
    demotes: bool = False
    decides: bool = True

    def document(self) -> dict[str, Any]:
        """What is stored, and what a decision freezes by hash."""
        about = {"proposal": self.proposal, "demotes": self.demotes, "decides": self.decides} if self.proposal else {}
        return {
            "format_version": EVENT_VERSION,
            "sequence": self.sequence,
            "event": self.kind,
            "takes_effect": str(self.takes_effect),
            "by": self.by,
            "at": self.at,
            "reason": self.reason,
            "bundle": asdict(self.bundle) if self.bundle else None,
            # Only of approvals: the events of other portfolios keep their bytes.
            **about,
        }


def read_events(documents: Iterable[Mapping[str, Any]]) -> tuple[Event, ...]:
    """Stored documents, in any order, as events by sequence number.

    Raises:
        DecisionError: an event is missing, twice there, or of a format this version cannot read.
    """
    ordered = sorted(documents, key=lambda d: d["sequence"])
    unknown = [d["sequence"] for d in ordered if d["format_version"] != EVENT_VERSION]
    if unknown:
        raise DecisionError(
            f"Event {unknown[0]} has a format that this version of PDx cannot read.",
            expected=f"format_version {EVENT_VERSION}",
            remedy="use the version of PDx that recorded it, or a later one",
        )
    found = [d["sequence"] for d in ordered]
    if found != list(range(1, len(found) + 1)):
        raise DecisionError(
            f"The recorded events have the sequence numbers {', '.join(map(str, found))}.",
            expected="1, 2, ... without gaps: events are never removed",
            remedy="restore the documents of kind 'events' from a backup",
        )
    return tuple(
        Event(
            sequence=d["sequence"],
            kind=d["event"],
            takes_effect=Month.parse(d["takes_effect"]),
            by=d["by"],
            at=d["at"],
            reason=d["reason"],
            bundle=Candidate(**d["bundle"]) if d["bundle"] else None,
            proposal=d.get("proposal"),
            demotes=d.get("demotes", False),
            decides=d.get("decides", True),
        )
        for d in ordered
    )


def obeyed(events: Iterable[Event], production: Month) -> tuple[Event, ...]:
    """The events a production month obeys, by sequence number."""
    return tuple(sorted((e for e in events if e.takes_effect <= production), key=lambda e: e.sequence))


def obeyed_sha256(events: Iterable[Event], production: Month) -> str:
    """Hash of the events a production month obeys: what its decision freezes."""
    return document_sha256([e.document() for e in obeyed(events, production)])


def rollback_in_force(events: Iterable[Event], production: Month) -> Event | None:
    """The rollback that decides a production month; None where the policy does.

    The newest event the month obeys counts: a rollback replaces an earlier one, a lift ends it.
    """
    orders = [e for e in obeyed(events, production) if e.kind in _ORDERS]
    return orders[-1] if orders and orders[-1].kind == "rollback" else None


def first_open_month(spec: PortfolioSpec, scored: Iterable[Month]) -> Month:
    """The first production month an event may take effect at: the one after the last that has production scores."""
    latest = max(scored, default=None)
    return spec.p0 if latest is None else spec.periods.shift(latest, 1)


def new_rollback(
    events: Sequence[Event], bundle: Candidate, *, takes_effect: Month, by: str, at: str, reason: str
) -> Event:
    """The next event: put ``bundle`` in charge.

    Raises:
        DecisionError: the same rollback stands already.
    """
    standing = _standing(events)
    if standing and standing.bundle and standing.bundle.bundle_sha256 == bundle.bundle_sha256:
        raise DecisionError(
            f"The portfolio is rolled back to {named(bundle)} already, from {standing.takes_effect} on, "
            f"by {standing.by}: {standing.reason}",
            remedy="nothing to do; to end it, use `pdx lift`",
        )
    return Event(len(events) + 1, "rollback", takes_effect, by, at, reason, bundle)


def new_lift(events: Sequence[Event], *, takes_effect: Month, by: str, at: str, reason: str) -> Event:
    """The next event: let the policy decide again.

    Raises:
        DecisionError: there is no rollback to lift.
    """
    if _standing(events) is None:
        last = max((e for e in events if e.kind in _ORDERS), key=lambda e: e.sequence, default=None)
        raise DecisionError(
            "There is no rollback to lift: "
            + (f"{last.by} lifted the last one on {last.at[:10]}." if last else "none was ever recorded."),
            remedy="nothing to do: the policy decides",
        )
    return Event(len(events) + 1, "lift", takes_effect, by, at, reason)


def _standing(events: Sequence[Event]) -> Event | None:
    last = max((e for e in events if e.kind in _ORDERS), key=lambda e: e.sequence, default=None)
    return last if last and last.kind == "rollback" else None


def find_contestant(decided: Iterable[Mapping[str, Any]], prefix: str) -> Candidate:
    """The model of a digest or unambiguous prefix among all champions and challengers on record, without a score.

    Raises:
        DecisionError: no model, or more than one, has that prefix.
    """
    known: dict[str, Candidate] = {}
    for decision in decided:
        contest = decision["contest"]
        held = (*contest["challengers"], *contest.get("refits", ()), *contest.get("retained", ()))
        who = (*held, decision["champion"], decision["incumbent"])
        known |= {c["bundle_sha256"]: Candidate(**{**c, "score": None}) for c in who if c}
    wanted = prefix.lower()
    found = [c for digest, c in known.items() if digest.startswith(wanted)] if _PREFIX.fullmatch(wanted) else []
    if len(found) == 1:
        return found[0]
    listed = sorted(found or known.values(), key=lambda c: (c.trained_for, c.strategy, c.algorithm))[-12:]
    raise DecisionError(
        f"{len(found)} models have a digest that begins with {prefix!r}."
        if found
        else f"No champion or challenger on record has the digest {prefix!r}.",
        expected="a digest, or at least 4 of its first characters, of one model that was champion or challenger, "
        "such as:\n" + "\n".join(f"  {c.bundle_sha256[:SHORT]}  {c.recipe} of {c.trained_for}" for c in listed),
        remedy="`pdx results PORTFOLIO --format json` has every bundle_sha256",
    )


def named(candidate: Candidate) -> str:
    """A model in words, with enough of its digest to find it."""
    return f"{candidate.recipe} of {candidate.trained_for} ({candidate.bundle_sha256[:SHORT]})"
