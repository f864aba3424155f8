"""Branches of decisions: the same months decided again from today's inputs, beside the record and never in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pdx_assets.lake import Lake
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError, HomeError, PdxError
from pdx_assets.risk.events import Event
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.stages.decision import fresh, propose
from pdx_assets.stages.governance import events
from pdx_assets.stages.production import realized_metrics
from pdx_assets.stages.record import MAIN_BRANCH, decisions
from pdx_assets.stages.rests_on import require_unchanged
from pdx_assets.stages.windows import window
from pdx_assets.stages.workspace import Workspace

BRANCH_VERSION = 1

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def redecide(ws: Workspace, branch: str, *, by: str, first: Month | None = None) -> list[dict[str, Any]]:
    """Decide the months of main again, on a new branch, from the models and scores stored today.

    Months before ``first`` are taken over from main as they are. Nothing of main is written. The branch
    appears at once, when all of it is there: killed before that, the same command goes on.

    Raises:
        DecisionError: the name is taken or not a name; main has no decision; the month is not one of main's.
        HomeError: inputs are missing, or older than the tables; all of them are named.
    """
    require_unchanged(ws)
    _refuse_name(ws, branch)
    main = decisions(ws)
    months = [Month.parse(d["production_month"]) for d in main]
    start = first or ws.spec.p0
    if start not in months:
        raise DecisionError(
            f"{start} is not decided on {MAIN_BRANCH}, so it cannot be decided again.",
            expected=f"a month of {months[0]}..{months[-1]}" if months else f"a decision; `pdx run {ws.spec.name}`",
        )
    again = [month for month in months if month >= start]
    _require_inputs(ws, again)
    made = _decided(ws, [d for d in main if Month.parse(d["production_month"]) < start], again, events(ws))
    for document in made:
        _write(ws.lake, branch, document)
    for document in made:
        _measure(ws, branch, document)
    # Last of all: it makes the branch visible.
    ws.lake.create_document(
        "branches",
        branch,
        {
            "format_version": BRANCH_VERSION,
            "portfolio": ws.spec.name,
            "from": str(start),
            "by": by,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "decisions_sha256": {d["production_month"]: document_sha256(d) for d in made},
        },
    )
    return made


def _decided(
    ws: Workspace, kept: Sequence[dict[str, Any]], again: Sequence[Month], orders: Sequence[Event]
) -> list[dict[str, Any]]:
    made = list(kept)
    for month in again:
        made.append(propose(ws, month, made, orders))
    return made


def _write(lake: Lake, branch: str, document: Mapping[str, Any]) -> None:
    key = document["production_month"]
    if lake.create_document(f"decisions/{branch}", key, document):
        return
    if document_sha256(lake.get_document(f"decisions/{branch}", key)) != document_sha256(document):
        raise DecisionError(
            f"Branch {branch!r} was begun before and not finished, and its inputs have changed since: {key} differs.",
            remedy="choose another name",
        )


def _measure(ws: Workspace, branch: str, document: Mapping[str, Any]) -> None:
    """How the branch's champion did: main's own measurements lack it where main chose another."""
    if document["champion"] is None:
        return
    digest = document["champion"]["bundle_sha256"]
    metrics = realized_metrics(ws, Month.parse(document["production_month"]), digest)
    if metrics is not None:
        ws.lake.put_document(f"branch_performance/{branch}", document["production_month"], {digest: metrics})


def _refuse_name(ws: Workspace, branch: str) -> None:
    if branch == MAIN_BRANCH or not _NAME.fullmatch(branch):
        raise DecisionError(
            f"{branch!r} cannot be the name of a new branch.",
            expected=f"lower-case letters, digits, - and _, and not {MAIN_BRANCH!r}, which is never decided again",
        )
    made = ws.lake.find_document("branches", branch)
    if made is not None:
        raise DecisionError(
            f"There is a branch {branch!r} already, made on {made['at'][:10]} by {made['by']}.",
            expected="a new name: a branch is written once, as every decision is",
            remedy=f"`pdx results {ws.spec.name} --branch {branch}` shows it; choose another name to decide again",
        )


def _require_inputs(ws: Workspace, months: Sequence[Month]) -> None:
    held = ws.lake.contents("clean_features")
    problems = {}
    for month in months:
        try:
            wrong = _wrong(ws, month, {str(m): content.sha256 for m, content in held.items()})
        except PdxError as error:
            wrong = error.got.rstrip(".")
        if wrong:
            problems[month] = wrong
    if problems:
        raise HomeError(
            "Some inputs are missing or older than the tables:\n"
            + "\n".join(f"  {month}: {wrong}" for month, wrong in problems.items()),
            expected="windows, challengers and otv_scores of every month to be decided again",
            remedy=f"`pdx run {ws.spec.name} --to {months[-1]}`, or materialize what is named for these months",
        )


def _wrong(ws: Workspace, month: Month, held: Mapping[str, str]) -> str | None:
    """What keeps a month from being decided on today's tables; None where nothing does."""
    measured = ws.lake.get_document("otv_scores", str(month))
    moved = [cohort for cohort, sha in measured["features_sha256"].items() if held.get(cohort) != sha]
    if moved:
        return f"clean_features of {', '.join(moved)} changed since its windows and otv_scores were made"
    if measured["otv"]["sha256"] != window(ws, "fixed_window", month)["otv"]["sha256"]:
        return "otv_scores is older than window_fixed_window"
    known = {*measured["metrics"], *measured["unscored"]}
    new = [p for p in fresh(ws, month) if p["status"] == "bundle" and p["bundle_sha256"] not in known]
    if new:
        names = ", ".join(f"challenger_{p['strategy']}_{p['algorithm']}" for p in new)
        return f"otv_scores is older than {names}"
    return None
