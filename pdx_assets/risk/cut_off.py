"""Whether a decision moves lending at the current cut-off by more than the portfolio allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdx_assets.risk.spec import Decision


@dataclass(frozen=True)
class CutOffShift:
    """What a change of champion does at the cut-off, on the loans of OTV(p).

    Attributes:
        approval_rate, expected_bad_rate: after minus before, as shares; None where a side is not measured.
        problem: what is beyond its limit, in words; None where nothing is.
        applies: whether there are both a model before and one after.
    """

    applies: bool
    approval_rate: float | None = None
    expected_bad_rate: float | None = None
    problem: str | None = None


def cut_off_shift(at_cut_off: Mapping[str, Any], rules: Decision) -> CutOffShift:
    """Compare a decision's effect at the cut-off with the limits.

    Args:
        at_cut_off: of a decision document: ``cut_off``, and ``before`` and ``after`` with both rates.
        rules: their limits are absolute differences of shares: 0.05 is five points.
    """
    before, after = at_cut_off["before"], at_cut_off["after"]
    if not before or not after:
        return CutOffShift(applies=False)
    approval, bads = (_change(before[rate], after[rate]) for rate in ("approval_rate", "expected_bad_rate"))
    beyond = [
        f"{words} {before[rate]:.2%} to {after[rate]:.2%} ({100 * change:+.2f} points, limit {100 * limit:.2f})"
        for words, rate, change, limit in (
            ("the approval rate from", "approval_rate", approval, rules.max_approval_rate_change),
            ("the expected bad rate from", "expected_bad_rate", bads, rules.max_expected_bad_rate_change),
        )
        if change is not None and abs(change) > limit
    ]
    says = f"At the cut-off of {at_cut_off['cut_off']:.4f} the decision moves {' and '.join(beyond)}."
    return CutOffShift(True, approval, bads, says if beyond else None)


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
