"""Orders by people: recording an event, and which recorded decisions it overrules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pdx_assets.risk.approvals import new_answer
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.events import (
    Event,
    find_contestant,
    first_open_month,
    new_lift,
    new_rollback,
    obeyed_sha256,
    read_events,
)
from pdx_assets.stages.challengers import load_bundle
from pdx_assets.stages.record import MAIN_BRANCH, branches, decisions
from pdx_assets.stages.workspace import Workspace

KIND = "events"


@dataclass(frozen=True)
class Recorded:
    """An event just recorded, and the production months decided before that it overrules."""

    event: Event
    overruled: tuple[Month, ...]


def events(ws: Workspace) -> tuple[Event, ...]:
    """All events of a portfolio, by sequence number."""
    return read_events(ws.lake.get_document(KIND, key) for key in ws.lake.keys(KIND))


def roll_back(ws: Workspace, to: str, *, by: str, reason: str, start: Month | None = None) -> Recorded:
    """Record that a stored model is in charge until that is lifted.

    Args:
        to: digest, or its first characters, of a model that was champion or challenger, on any branch.
        start: the first production month to obey it; default the first one without production scores.

    Raises:
        DecisionError: no such model, no reason, a month that has production scores, or the same order stands.
        HomeError, BundleError: the model is not stored, or altered.
    """
    on_record = [d for branch in (MAIN_BRANCH, *branches(ws)) for d in decisions(ws, branch)]
    bundle = find_contestant(on_record, to)
    load_bundle(ws, bundle.bundle_sha256)
    opened = first_open_month(ws.spec, ws.lake.contents("production_scores"))
    takes_effect = start or opened
    if takes_effect < opened:
        raise DecisionError(
            f"{takes_effect} cannot be rolled back: loans of {ws.spec.periods.shift(opened, -1)} are scored already.",
            expected=f"a month from {opened} on",
        )
    if takes_effect not in ws.spec.periods.span(opened, takes_effect):
        raise DecisionError(f"{takes_effect} is not a production month.", expected="the first month of a quarter")
    return _record(
        ws, lambda held: new_rollback(held, bundle, takes_effect=takes_effect, by=by, at=_now(), reason=reason), reason
    )


def lift(ws: Workspace, *, by: str, reason: str) -> Recorded:
    """Record that the policy decides again, from the first production month without production scores on.

    Raises:
        DecisionError: there is no rollback to lift, or no reason.
    """
    opened = first_open_month(ws.spec, ws.lake.contents("production_scores"))
    return _record(ws, lambda held: new_lift(held, takes_effect=opened, by=by, at=_now(), reason=reason), reason)


def answer(ws: Workspace, proposal: str, *, kind: Literal["approve", "reject"], by: str, reason: str) -> Recorded:
    """Record a person's approval or rejection of the change that the newest decision proposes.

    Args:
        proposal: its hash, or its first characters.

    Raises:
        DecisionError: approval is not required here, no such proposal, one that is decided or stale, the same person
            twice, or no reason.
        HomeError, BundleError: the proposed model is not stored, or altered.
    """
    rules = ws.spec.decision.approval
    if rules is None or not rules.required:
        raise DecisionError(
            f"Decisions of {ws.spec.name} need no approval.",
            remedy="declare decision.approval with required: true; to put a model in charge, use `pdx rollback`",
        )
    two_people = rules.two_people
    opened = first_open_month(ws.spec, ws.lake.contents("production_scores"))
    decided = decisions(ws)

    def make(held: Sequence[Event]) -> Event:
        event = new_answer(
            *(held, decided, proposal),
            kind=kind,
            two_people=two_people,
            takes_effect=opened,
            by=by,
            at=_now(),
            reason=reason,
        )
        if event.bundle is not None:
            load_bundle(ws, event.bundle.bundle_sha256)
        return event

    return _record(ws, make, reason)


def overruled(ws: Workspace, decided: Sequence[Mapping[str, Any]], orders: Sequence[Event]) -> tuple[Month, ...]:
    """Months whose decision was made before an event they must obey, and whose loans are not scored yet.

    A month with production scores is never among them: who was in charge of loans that were scored is a fact.
    """
    moved = [
        month
        for d in decided
        if d["inputs"]["approvals_sha256"] != obeyed_sha256(orders, month := Month.parse(d["production_month"]))
    ]
    if not moved:
        return ()
    scored = ws.lake.contents("production_scores")
    return tuple(sorted(month for month in moved if month not in scored))


def _record(ws: Workspace, make: Callable[[Sequence[Event]], Event], reason: str) -> Recorded:
    if not reason.strip():
        raise DecisionError("No reason was given.", expected="why, in words that an auditor understands later")
    while True:
        held = events(ws)
        event = make(held)
        # One write, and put-if-absent: of two people at once one is second, and is checked against the first.
        if ws.lake.create_document(KIND, f"{event.sequence:06d}", event.document()):
            return Recorded(event, overruled(ws, decisions(ws), (*held, event)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
