"""The decision record: one document a production month, written once and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.stages.workspace import Workspace

MAIN_BRANCH = "main"


def decisions(ws: Workspace, branch: str = MAIN_BRANCH) -> list[dict[str, Any]]:
    """The recorded decisions of a branch, by production month."""
    return [ws.lake.get_document(f"decisions/{branch}", key) for key in ws.lake.keys(f"decisions/{branch}")]


def find_decision(ws: Workspace, production: Month, branch: str = MAIN_BRANCH) -> dict[str, Any] | None:
    """The recorded decision of a production month, or None."""
    return ws.lake.find_document(f"decisions/{branch}", str(production))


def record(
    ws: Workspace, production: Month, document: Mapping[str, Any], branch: str = MAIN_BRANCH
) -> tuple[dict[str, Any], bool]:
    """Record a decision unless one stands already: the one that stands, and whether this call recorded it."""
    if ws.lake.create_document(f"decisions/{branch}", str(production), document):
        return dict(document), True
    return ws.lake.get_document(f"decisions/{branch}", str(production)), False
