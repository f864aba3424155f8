"""What is wanted of a portfolio today: its tape, its home and its clock, given to risk/maturity.py."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from pdx_assets.files import write_whole
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.maturity import Wanted, wanted
from pdx_assets.risk.tape import StagedTape
from pdx_assets.risk.tape_clock import TapeOnDay, is_whole
from pdx_assets.risk.tape_contents import (
    CONTENTS_VERSION,
    CohortContent,
    as_document,
    cohort_contents,
    from_document,
    loans_sha256,
)
from pdx_assets.stages.made import method, read_made
from pdx_assets.stages.rests_on import require_unchanged
from pdx_assets.stages.tape import open_tape, whole_tape
from pdx_assets.stages.workspace import Workspace


def wanted_today(ws: Workspace) -> list[Wanted]:
    """Everything wanted today, in order.

    Raises:
        TapeError: the tape cannot be read, which is not the same as a tape with nothing new.
        HomeError: features or label are declared otherwise than at the home's first decision.
    """
    require_unchanged(ws)
    tape = open_tape(ws)
    return wanted(method(ws), contents(ws), read_made(ws), as_of=tape.as_of, today=ws.settings.today)


def contents(ws: Workspace) -> dict[Month, CohortContent]:
    """The content of every cohort seen on the tape today; the tape is gone through once per content."""
    tape = open_tape(ws)
    found = _all_contents(ws, whole_tape(ws), method(ws).declared)
    seen = {}
    for cohort in tape.cohorts:
        content = found[cohort].known_by(tape.as_of)
        # A month that is not over has the loans of its first days only.
        seen[cohort] = content if is_whole(tape, cohort) else replace(content, loans=_loans(tape, cohort))
    return seen


def _loans(tape: StagedTape, cohort: Month) -> str:
    assert isinstance(tape, TapeOnDay)
    return loans_sha256(tape.spec, tape.cohort(cohort))


def _all_contents(ws: Workspace, tape: StagedTape, declared: str) -> dict[Month, CohortContent]:
    seen = "-bads" if ws.spec.learns_from_immature else ""
    path = tape.folder / f"contents-{CONTENTS_VERSION}{seen}-{declared[:16]}.json"
    if not path.exists():
        with ws.only_one("contents"):
            if not path.exists():
                found = as_document(cohort_contents(ws.spec, tape))
                write_whole(path, json.dumps(found, indent=1) + "\n")
    return _from_file(path)


@lru_cache(maxsize=8)
def _from_file(path: Path) -> dict[Month, CohortContent]:
    # Named by the content of tape and declarations: it never changes.
    return from_document(json.loads(path.read_text(encoding="utf-8")))
