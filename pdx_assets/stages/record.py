"""The decision record: documents by production month, written once and never changed.

A month decided again, because an event overruled its decision before its loans were scored, gets a further
document beside the first (``2022-10``, then ``2022-10.2``); the newest one stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError
from pdx_assets.stages.workspace import Workspace

MAIN_BRANCH = "main"


def decisions(ws: Workspace, branch: str = MAIN_BRANCH) -> list[dict[str, Any]]:
    """The standing decisions of a branch, by production month.

    Raises:
        HomeError: there is no such branch, or its making was not finished.
    """
    if branch != MAIN_BRANCH and ws.lake.find_document("branches", branch) is None:
        known = ", ".join([MAIN_BRANCH, *branches(ws)])
        raise HomeError(
            f"{ws.spec.name} has no branch {branch!r}.",
            expected=f"one of: {known}",
            remedy=f"`pdx redecide {ws.spec.name} --branch {branch}` makes it",
        )
    newest: dict[str, tuple[int, str]] = {}
    for key in ws.lake.keys(f"decisions/{branch}"):
        month, _, number = key.partition(".")
        newest[month] = max(newest.get(month, (0, "")), (int(number or 1), key))
    return [ws.lake.get_document(f"decisions/{branch}", key) for _, (_, key) in sorted(newest.items())]


def branches(ws: Workspace) -> list[str]:
    """Names of the finished branches beside main."""
    return ws.lake.keys("branches")


def find_decision(ws: Workspace, production: Month, branch: str = MAIN_BRANCH) -> dict[str, Any] | None:
    """The standing decision of a production month, or None."""
    found = versions(ws, production, branch)
    return found[-1] if found else None


def versions(ws: Workspace, production: Month, branch: str = MAIN_BRANCH) -> list[dict[str, Any]]:
    """All decisions ever recorded for a production month, the standing one last."""
    found: list[dict[str, Any]] = []
    while (document := ws.lake.find_document(f"decisions/{branch}", _key(production, len(found) + 1))) is not None:
        found.append(document)
    return found


def record(
    ws: Workspace, production: Month, document: Mapping[str, Any], *, version: int = 1
) -> tuple[dict[str, Any], bool]:
    """Record a decision on main unless one stands already: the one that stands, and whether this call recorded it.

    Args:
        version: 1, or one more than there are decisions of the month that events have overruled.
    """
    key = _key(production, version)
    if ws.lake.create_document(f"decisions/{MAIN_BRANCH}", key, document):
        return dict(document), True
    return ws.lake.get_document(f"decisions/{MAIN_BRANCH}", key), False


def _key(production: Month, version: int) -> str:
    return str(production) if version == 1 else f"{production}.{version}"
