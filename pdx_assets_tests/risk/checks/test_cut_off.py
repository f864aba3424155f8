"""The check of what a decision does at the cut-off: it fires, stays quiet, and does not apply."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdx_assets.risk.checks.cut_off import cut_off_shift
from pdx_assets.risk.spec import Decision

RULES = Decision(max_approval_rate_change=0.05, max_expected_bad_rate_change=0.01)


def effect(before: tuple[float, float | None], after: tuple[float, float | None]) -> dict[str, Any]:
    rates = ("approval_rate", "expected_bad_rate")
    return {
        "cut_off": 0.1234,
        "before": dict(zip(rates, before, strict=True)),
        "after": dict(zip(rates, after, strict=True)),
    }


@pytest.mark.parametrize("after", [(0.72, 0.035), (0.90, 0.045), (0.80, 0.055), (0.80, 0.025)])
def test_it_fires_on_either_rate_in_either_direction(after: tuple[float, float]) -> None:
    verdict = cut_off_shift(RULES, effect((0.80, 0.040), after))
    assert (verdict.status, verdict.severity, verdict.blocks) == ("failed", "warn", False)


def test_it_says_the_numbers() -> None:
    verdict = cut_off_shift(RULES, effect((0.80, 0.040), (0.72, 0.035)))
    assert verdict.reason == (
        "at the cut-off of 0.1234: approval rate 80.00% to 72.00% (-8.00 points, limit 5); "
        "expected bad rate 4.00% to 3.50% (-0.50 points, limit 1)"
    )
    assert verdict.numbers == pytest.approx({"change of approval rate": -0.08, "change of expected bad rate": -0.005})


def test_it_is_quiet_within_the_limits() -> None:
    assert cut_off_shift(RULES, effect((0.80, 0.040), (0.84, 0.049))).status == "passed"
    assert cut_off_shift(RULES, effect((0.80, 0.04), (0.80, 0.04))).status == "passed"


@pytest.mark.parametrize("side", ["before", "after"])
def test_it_does_not_apply_without_a_model_on_both_sides(side: str) -> None:
    assert cut_off_shift(RULES, effect((0.8, 0.04), (0.1, 0.9)) | {side: None}).status == "not_applicable"


def test_nobody_approved_has_no_bad_rate_and_still_an_approval_rate() -> None:
    verdict = cut_off_shift(RULES, effect((0.8, 0.04), (0.0, None)))
    assert verdict.status == "failed" and verdict.numbers["change of expected bad rate"] is None


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_limit_of_one_never_fires(a: float, b: float, c: float, d: float) -> None:
    off = Decision(max_approval_rate_change=1, max_expected_bad_rate_change=1)
    assert cut_off_shift(off, effect((a, b), (c, d))).status == "passed"
