"""The check of what a decision does at the cut-off: it fires, stays quiet, and does not apply."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdx_assets.risk.cut_off import cut_off_shift
from pdx_assets.risk.spec import Decision

RULES = Decision(max_approval_rate_change=0.05, max_expected_bad_rate_change=0.01)


def effect(before: tuple[float, float | None], after: tuple[float, float | None]) -> dict[str, Any]:
    rates = ("approval_rate", "expected_bad_rate")
    return {
        "cut_off": 0.1234,
        "before": dict(zip(rates, before, strict=True)),
        "after": dict(zip(rates, after, strict=True)),
    }


def test_it_fires_with_the_numbers() -> None:
    shift = cut_off_shift(effect((0.80, 0.040), (0.72, 0.035)), RULES)
    assert shift.problem == (
        "At the cut-off of 0.1234 the decision moves the approval rate from 80.00% to 72.00% "
        "(-8.00 points, limit 5.00)."
    )
    assert shift.approval_rate == pytest.approx(-0.08) and shift.expected_bad_rate == pytest.approx(-0.005)
    both = cut_off_shift(effect((0.80, 0.040), (0.90, 0.055)), RULES).problem
    assert both and "+10.00 points" in both and "and the expected bad rate from 4.00% to 5.50%" in both


def test_it_is_quiet_within_the_limits() -> None:
    shift = cut_off_shift(effect((0.80, 0.040), (0.84, 0.049)), RULES)
    assert shift.applies and shift.problem is None
    assert cut_off_shift(effect((0.80, 0.04), (0.80, 0.04)), RULES).problem is None


@pytest.mark.parametrize("side", ["before", "after"])
def test_it_does_not_apply_without_a_model_on_both_sides(side: str) -> None:
    shift = cut_off_shift(effect((0.8, 0.04), (0.1, 0.9)) | {side: None}, RULES)
    assert not shift.applies and shift.problem is None


def test_nobody_approved_has_no_bad_rate_and_still_an_approval_rate() -> None:
    shift = cut_off_shift(effect((0.8, 0.04), (0.0, None)), RULES)
    assert shift.expected_bad_rate is None
    assert shift.problem and "approval rate from 80.00% to 0.00%" in shift.problem


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_limit_of_one_never_fires(a: float, b: float, c: float, d: float) -> None:
    off = Decision(max_approval_rate_change=1, max_expected_bad_rate_change=1)
    assert cut_off_shift(effect((a, b), (c, d)), off).problem is None
