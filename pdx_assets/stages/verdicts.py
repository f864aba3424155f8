"""The verdicts of the checks as stored: one document an asset and month, replaced when the month is made again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.base import Verdict
from pdx_assets.risk.checks.catalogue import CHECKS, ROW_ACCOUNTING
from pdx_assets.stages.workspace import Workspace

GATES = tuple(dict.fromkeys(check.asset for check in CHECKS.values() if check.waivable))
"""Assets whose blocking checks keep a cohort out of windows."""


def keep(ws: Workspace, asset: str, month: Month, verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """Store an asset's verdicts of a month; returns them."""
    document = {"asset": asset, "month": str(month), "verdicts": [v.document() for v in verdicts]}
    ws.lake.put_document(f"checks/{asset}", str(month), document)
    return verdicts


def blocking(ws: Workspace, cohort: Month) -> list[dict[str, Any]]:
    """Stored verdicts that keep a cohort out of windows."""
    found: list[dict[str, Any]] = []
    for asset in GATES:
        document = ws.lake.find_document(f"checks/{asset}", str(cohort))
        if document is not None:
            found += [v for v in document["verdicts"] if v["blocks"]]
        elif asset == ROW_ACCOUNTING.asset:
            # A home that was filled before verdicts were stored.
            failures = (ws.lake.find_document("accounting", str(cohort)) or {}).get("blocking_failures")
            if failures:
                told = {"code": ROW_ACCOUNTING.code, "reason": "; ".join(failures), "blocks": True}
                found.append({**told, "numbers": {}, "rows": []})
    return found
