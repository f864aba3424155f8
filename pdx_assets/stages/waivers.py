"""Waivers: a person lets a month pass although a blocking check failed; who, when and why are written once.

A waiver is for what was seen: it names the verdict it waives by its hash. A tape that fails the same check with other
figures wants another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.catalogue import CHECKS
from pdx_assets.risk.errors import WaiverError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.stages.verdicts import blocking
from pdx_assets.stages.workspace import Workspace

KIND = "waivers"


def waive(ws: Workspace, code: str, cohort: Month, *, reason: str, by: str) -> dict[str, Any]:
    """Record that a cohort may be used although its check ``code`` failed.

    Returns:
        The waiver: check, month, reason, by, at (UTC), and the verdict it is for.

    Raises:
        WaiverError: no such check, one that stops nothing or cannot be waived, nothing failed, no reason or name
            given, or waived already.
    """
    if code not in CHECKS or not CHECKS[code].waivable:
        what = f"The check {code!r} cannot be waived" if code in CHECKS else f"There is no check {code!r}"
        because = "." if code not in CHECKS or CHECKS[code].blocking else ": it warns, and stops nothing."
        raise WaiverError(f"{what}{because}", expected=", ".join(c.code for c in CHECKS.values() if c.waivable))
    if not reason.strip() or not by.strip():
        raise WaiverError("A waiver without a reason or a name is none.", expected="--reason and --by in words")
    failed = [v for v in blocking(ws, cohort) if v["code"] == code]
    if not failed:
        others = ", ".join(v["code"] for v in blocking(ws, cohort))
        raise WaiverError(
            f"{code} of {cohort} has not failed so that it blocks: there is nothing to waive.",
            expected=f"one of: {others}" if others else "a month that a blocking check stopped",
            remedy="materialize the cohort job of the month first; a waiver is for a verdict that was seen",
        )
    document = {
        "check": code,
        "month": str(cohort),
        "reason": reason.strip(),
        "by": by.strip(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "verdict": failed[0]["reason"],
        "verdict_sha256": _identity(failed[0]),
    }
    if not ws.lake.create_document(KIND, _key(cohort, failed[0]), document):
        standing = _waiver(ws, cohort, failed[0]) or document
        raise WaiverError(
            f"{code} of {cohort} is waived already, by {standing['by']} on {standing['at'][:10]}: {standing['reason']}"
        )
    return document


def waivers(ws: Workspace) -> list[dict[str, Any]]:
    """All waivers of a portfolio, by month."""
    return [ws.lake.get_document(KIND, key) for key in ws.lake.keys(KIND)]


def waiver_of(ws: Workspace, cohort: Month, verdict: Mapping[str, Any]) -> dict[str, Any] | None:
    """The waiver of a stored verdict, or None; one whose verdict has changed since does not count."""
    return _waiver(ws, cohort, verdict) if verdict["blocks"] else None


def gates(ws: Workspace, cohorts: Iterable[Month]) -> tuple[dict[Month, str], dict[Month, list[dict[str, str]]]]:
    """Which cohorts windows must refuse, with the reasons, and which pass under a waiver, with the waivers."""
    refused: dict[Month, str] = {}
    waived: dict[Month, list[dict[str, str]]] = {}
    for cohort in cohorts:
        failed = blocking(ws, cohort)
        found = {v["code"]: _waiver(ws, cohort, v) for v in failed}
        standing = [f"{v['code']}: {v['reason']}" for v in failed if found[v["code"]] is None]
        if standing:
            refused[cohort] = "; ".join(standing)
        elif failed:
            waived[cohort] = [{k: w[k] for k in ("check", "reason", "by", "at")} for w in found.values() if w]
    return refused, waived


def _waiver(ws: Workspace, cohort: Month, verdict: Mapping[str, Any]) -> dict[str, Any] | None:
    return ws.lake.find_document(KIND, _key(cohort, verdict))


def _key(cohort: Month, verdict: Mapping[str, Any]) -> str:
    return f"{cohort}/{verdict['code']}/{_identity(verdict)[:16]}"


def _identity(verdict: Mapping[str, Any]) -> str:
    # The figures and not the words: a version that says it better must not lift every waiver.
    return document_sha256([verdict["code"], verdict["numbers"], verdict["rows"]])
