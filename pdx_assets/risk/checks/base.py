"""What a check is, and what a verdict says. No check lives here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "not_applicable"]
Severity = Literal["warn", "error"]
Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Check:
    """A question asked of every month.

    Attributes:
        code: its name everywhere: in the interface, in the runbook, in ``pdx waive``.
        title: what holds when it passes.
        asset: the asset that asks it; ``challenger`` and ``window`` stand for all recipes and strategies.
        severity: of a failure; a verdict may lower it.
        blocking: whether a failure of severity error stops what would use the month.
        waivable: whether a person may let a month pass in spite of it.
        about: one sentence: what is compared with what.
    """

    code: str
    title: str
    asset: str
    severity: Severity
    about: str
    blocking: bool = False
    waivable: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A check's answer for one month.

    Attributes:
        reason: in words, with the figures that decided.
        numbers: figures by name, plotted over months; None is undefined.
        columns, rows: a table of what was looked at, the worst first.
        severity: of a failure.
    """

    check: Check
    status: Status
    reason: str
    numbers: Mapping[str, float | int | None] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    severity: Severity = "warn"

    @property
    def blocks(self) -> bool:
        """Whether the month may not be used until the tape is corrected or somebody waives it."""
        return self.status == "failed" and self.check.blocking and self.severity == "error"

    def document(self) -> dict[str, Any]:
        """As stored; the same verdict gives the same document."""
        return {
            "code": self.check.code,
            "title": self.check.title,
            "status": self.status,
            "severity": self.severity,
            "blocks": self.blocks,
            "reason": self.reason,
            "numbers": dict(self.numbers),
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
        }


def judged(
    check: Check,
    failed: bool,
    reason: str,
    *,
    numbers: Mapping[str, float | int | None] | None = None,
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[Cell]] = (),
    severity: Severity | None = None,
) -> Verdict:
    """A verdict that passed or failed; a failure has the check's severity unless another is given."""
    return Verdict(
        check,
        "failed" if failed else "passed",
        reason,
        dict(numbers or {}),
        tuple(columns),
        tuple(tuple(row) for row in rows),
        severity or check.severity,
    )


def not_applicable(check: Check, reason: str) -> Verdict:
    """A verdict for a month of which the check's question cannot be asked."""
    return Verdict(check, "not_applicable", reason, severity=check.severity)


def percent(share: float) -> str:
    """0.0813 -> '8.1 %'."""
    return f"{100 * share:.1f} %"
