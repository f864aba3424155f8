"""Each gate opens, shuts, and passes where its question cannot be asked."""

from __future__ import annotations

import numpy as np
import pytest

from pdx_assets.risk.evidence import gates
from pdx_assets.risk.metrics.auc_error import AucEstimate
from pdx_assets.risk.spec import Evidence

RULES = Evidence(first_month="2015-01", refit_margin=0.02)


def difference(value: float, error: float, bads: float = 100.0) -> AucEstimate:
    return AucEstimate(value, error, bads, 900.0)


@pytest.mark.parametrize(
    ("value", "error", "passed"),
    [
        (0.0, 0.01, True),  # bound -0.016
        (0.0, 0.0125, False),  # bound -0.0206: nothing is shown
        (-0.01, 0.005, True),  # bound -0.018
        (-0.03, 0.001, False),
        (0.01, 0.018, True),  # bound -0.0196
        (-0.02, 0.0, False),  # on the margin is not above it
    ],
)
def test_a_refit_must_be_shown_to_lose_less_than_the_margin(value: float, error: float, passed: bool) -> None:
    found = gates.discrimination(RULES, difference(value, error))
    assert found.passed is passed
    assert found.limit == -0.02 and found.value == pytest.approx(value - 1.645 * error, abs=1e-4)


def test_without_loans_that_neither_has_seen_nothing_is_asked() -> None:
    for none in (None, difference(-0.3, 0.01, bads=9)):
        found = gates.discrimination(RULES, none)
        assert found.passed and found.value is None and "not asked" in found.told


@pytest.mark.parametrize(("bads", "passed"), [(100, True), (120, True), (140, False), (80, True), (60, False)])
def test_pds_too_low_or_too_high_by_a_quarter_do_not_pass(bads: int, passed: bool) -> None:
    found = gates.calibration(RULES, np.repeat([1, 0], [bads, 1000 - bads]), np.full(1000, 0.1))
    assert found.passed is passed
    assert found.value == pytest.approx(bads / 100 - 1)


def test_a_deviation_by_chance_passes() -> None:
    """7 bads where 5 are expected: 40 % off, and nothing to conclude."""
    found = gates.calibration(RULES, np.repeat([1, 0], [7, 43]), np.full(50, 0.1))
    assert found.value == pytest.approx(0.4) and found.passed
    assert gates.calibration(RULES, [1, 0], [0.1, 0.1]).value is None


def test_scores_that_moved_do_not_pass() -> None:
    pds = np.random.default_rng(1).beta(1, 9, 4000)
    assert gates.score_psi(RULES, pds, pds).value == 0.0
    moved = gates.score_psi(RULES, pds, np.clip(pds * 2, 0, 1))
    assert not moved.passed and moved.value is not None and moved.value > 0.25
    assert gates.score_psi(RULES, pds, pds + 0.001).passed


@pytest.mark.parametrize(("after", "passed"), [(0.8, True), (0.89, True), (0.91, False), (0.71, True), (0.69, False)])
def test_the_approval_rate_may_move_ten_points(after: float, passed: bool) -> None:
    assert gates.approval_rate(RULES, 0.8, after).passed is passed
    assert gates.approval_rate(RULES, None, after).value is None


@pytest.mark.parametrize(("after", "passed"), [(0.02, True), (0.12, True), (0.16, False), (0.0, True)])
def test_equal_opportunity_may_improve_without_limit(after: float, passed: bool) -> None:
    assert gates.equal_opportunity(RULES, 0.1, after).passed is passed
    assert gates.equal_opportunity(RULES, 0.1, None).passed


def test_all_gates_are_told_and_the_shut_ones_found() -> None:
    asked = [gates.approval_rate(RULES, 0.8, 0.6), gates.equal_opportunity(RULES, None, None)]
    assert [g.name for g in gates.closed(asked)] == ["approval_rate"]
    assert gates.told(asked) == (
        "approval rate FAILED (approves 60.0%, the incumbent 80.0%); equal opportunity passed (not asked: no group "
        "is declared, or too few goods in one)"
    )
    assert asked[0].document()["limit"] == 0.10
