"""Whether a decision moves lending at the current cut-off by more than the portfolio allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdx_assets.risk.checks.base import Verdict, judged, not_applicable
from pdx_assets.risk.checks.catalogue import CUT_OFF_SHIFT
from pdx_assets.risk.spec import Decision

RATES = ("approval_rate", "expected_bad_rate")


def cut_off_shift(rules: Decision, at_cut_off: Mapping[str, Any]) -> Verdict:
    """Whether the approval rate or the expected bad rate at the cut-off moves beyond its limit.

    Args:
        rules: their limits are absolute differences of shares: 0.05 is five points.
        at_cut_off: of a decision document: ``cut_off``, and ``before`` and ``after`` with both rates.
    """
    before, after = at_cut_off["before"], at_cut_off["after"]
    if not before or not after:
        return not_applicable(CUT_OFF_SHIFT, "there is no model before, or none after, that could be measured")
    limits = dict(zip(RATES, (rules.max_approval_rate_change, rules.max_expected_bad_rate_change), strict=True))
    # Nobody approved has no expected bad rate.
    change = {r: after[r] - before[r] for r in RATES if before[r] is not None and after[r] is not None}
    said = [
        f"{rate.replace('_', ' ')} {before[rate]:.2%} to {after[rate]:.2%} "
        f"({100 * moved:+.2f} points, limit {100 * limits[rate]:g})"
        for rate, moved in change.items()
    ]
    return judged(
        CUT_OFF_SHIFT,
        any(abs(moved) > limits[rate] for rate, moved in change.items()),
        f"at the cut-off of {at_cut_off['cut_off']:.4f}: {'; '.join(said)}",
        numbers={f"change of {rate.replace('_', ' ')}": change.get(rate) for rate in RATES},
    )
