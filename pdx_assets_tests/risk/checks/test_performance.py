"""Bad rates, ranking, calibration, champion against baseline: fires, stays quiet, does not apply."""

from __future__ import annotations

import numpy as np
import pytest

from pdx_assets.risk.checks.performance import (
    ON_RECORD,
    auc_decay,
    bad_rate_shift,
    calibration,
    champion_against_baseline,
    otv_discrimination,
)
from pdx_assets.risk.metrics.auc_error import AucEstimate
from pdx_assets.risk.metrics.weights import ClassWeights
from pdx_assets.risk.spec import Checks

LIMITS = Checks()
PAST = [(f"2020-{m:02d}", 64, 736) for m in range(1, 13)]


def estimate(value: float, error: float = 0.02, bads: float = 100, goods: float = 900) -> AucEstimate:
    return AucEstimate(value, error, bads, goods)


@pytest.mark.parametrize("bads", [100, 35])
def test_a_bad_rate_that_moved_fails_up_or_down(bads: int) -> None:
    verdict = bad_rate_shift(LIMITS, bads, 800 - bads, PAST)
    assert verdict.status == "failed" and not verdict.blocks
    assert "8.0 % of 2020-01 to 2020-12" in verdict.reason


def test_a_bad_rate_near_the_past_or_a_small_cohort_is_quiet() -> None:
    assert bad_rate_shift(LIMITS, 72, 728, PAST).status == "passed"
    assert bad_rate_shift(LIMITS, 4, 26, PAST).status == "passed"


def test_bad_rate_shift_does_not_apply_before_labels_or_without_a_past() -> None:
    assert bad_rate_shift(LIMITS, None, None, PAST).status == "not_applicable"
    assert bad_rate_shift(LIMITS, 100, 700, PAST[:2]).status == "not_applicable"
    assert bad_rate_shift(LIMITS, 0, 0, PAST).status == "not_applicable"


def test_an_otv_auc_under_the_floor_fails() -> None:
    verdict = otv_discrimination(LIMITS, estimate(0.54))
    assert verdict.status == "failed"
    assert verdict.reason == "AUC on OTV 0.540 ± 0.020, floor 0.55"


def test_an_otv_auc_at_the_floor_is_quiet() -> None:
    assert otv_discrimination(LIMITS, estimate(0.55)).status == "passed"


def test_the_floor_does_not_apply_when_nobody_is_in_charge() -> None:
    assert otv_discrimination(LIMITS, None).status == "not_applicable"


def test_a_drop_beyond_chance_fails() -> None:
    verdict = auc_decay(LIMITS, estimate(0.74), estimate(0.66))
    assert verdict.status == "failed"
    assert "a drop of +0.080" in verdict.reason


def test_what_has_seen_otv_is_held_to_its_recipes_record() -> None:
    verdict = auc_decay(LIMITS, estimate(0.74), estimate(0.66), ON_RECORD)
    assert verdict.status == "failed" and "on its recipe's record 0.740" in verdict.reason
    assert "AUC on its recipe's record 0.540" in otv_discrimination(LIMITS, estimate(0.54), ON_RECORD).reason


def test_a_drop_within_its_error_or_the_limit_is_quiet() -> None:
    assert auc_decay(LIMITS, estimate(0.74), estimate(0.70)).status == "passed"
    assert auc_decay(LIMITS, estimate(0.74, 0.001), estimate(0.72, 0.001)).status == "passed"
    assert auc_decay(LIMITS, estimate(0.70), estimate(0.78)).status == "passed"


def test_decay_does_not_apply_with_few_bads_or_no_score() -> None:
    assert auc_decay(LIMITS, estimate(0.74), estimate(0.5, bads=9)).status == "not_applicable"
    assert auc_decay(LIMITS, None, estimate(0.5)).status == "not_applicable"


def test_a_champion_worse_than_the_baseline_fails() -> None:
    assert champion_against_baseline(LIMITS, estimate(-0.05)).status == "failed"


def test_a_champion_better_or_no_worse_than_chance_is_quiet() -> None:
    assert champion_against_baseline(LIMITS, estimate(0.05)).status == "passed"
    assert champion_against_baseline(LIMITS, estimate(-0.02)).status == "passed"


def test_the_baseline_is_not_compared_with_itself() -> None:
    assert champion_against_baseline(LIMITS, estimate(0.0, 0.0), same=True).status == "not_applicable"
    assert champion_against_baseline(LIMITS, None).status == "not_applicable"


def loans(factor: float, n: int = 3000, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pd = rng.beta(2, 20, n)
    return (rng.random(n) < np.minimum(pd * factor, 1)).astype(int), pd


def test_pds_that_are_too_low_fail() -> None:
    verdict = calibration(LIMITS, *loans(1.5))
    assert verdict.status == "failed"
    assert verdict.reason.startswith("PDs too low: all loans: ")
    assert len(verdict.rows) == 11


def test_pds_too_low_in_one_band_fail_there() -> None:
    label, pd = loans(1.0)
    label[np.argsort(pd)[:60]] = 1
    verdict = calibration(LIMITS, label, pd)
    assert verdict.status == "failed"
    assert "0.1 %" in verdict.reason or "0.2 %" in verdict.reason or "0.3 %" in verdict.reason


def test_pds_that_are_right_or_too_high_are_quiet() -> None:
    for factor in (1.0, 0.6):
        assert calibration(LIMITS, *loans(factor)).status == "passed"


def test_calibration_does_not_apply_to_a_handful_of_loans() -> None:
    assert calibration(LIMITS, [1, 0, 0], [0.1, 0.2, 0.3]).status == "not_applicable"
    assert calibration(LIMITS, [], []).status == "not_applicable"


def test_months_with_right_pds_seldom_fail_calibration() -> None:
    strict = Checks(calibration_tolerance=0)
    failed = sum(calibration(strict, *loans(1.0, 800, seed)).status == "failed" for seed in range(300))
    assert failed / 300 <= 0.08


def test_weights_widen_the_calibration_test() -> None:
    label, pd = loans(1.35, 800)
    weight = np.where(np.arange(800) % 100 == 0, 500.0, 1.0)
    plain, weighted = calibration(LIMITS, label, pd), calibration(LIMITS, label, pd, weight)
    assert plain.status == "failed"
    assert (weighted.numbers["p"] or 0) > (plain.numbers["p"] or 0)


def test_a_bad_rate_is_counted_by_weight() -> None:
    """One good in two was sampled before, one in ten since: the counts jump, the book does not move."""
    before = {month: ClassWeights(64, 736, 64, 2 * 736) for month, _, _ in PAST}
    sampled = [(month, 64, 368) for month, _, _ in PAST]
    now = ClassWeights(64, 740, 64, 10 * 740)
    assert bad_rate_shift(LIMITS, 64, 74, sampled).status == "failed"
    verdict = bad_rate_shift(LIMITS, 64, 74, sampled, weight=now, earlier_weights=before)
    assert verdict.status == "passed"
    assert (verdict.numbers["bad rate"], verdict.numbers["bad rate before"]) == (64 / 804, 0.08)
    assert verdict.rows[0][1:] == (64, 432, "8.0 %")
    moved = ClassWeights(120, 680, 120, 10 * 680)
    assert bad_rate_shift(LIMITS, 120, 68, sampled, weight=moved, earlier_weights=before).status == "failed"
    # The same move, but three loans carry most of either class.
    unsure = ClassWeights(120, 680, 120**2 / 3, 680**2 / 3)
    assert bad_rate_shift(LIMITS, 120, 68, sampled, weight=unsure, earlier_weights=before).status == "passed"


def test_weights_of_one_leave_the_bad_rate_check_as_it_is() -> None:
    ones = {month: ClassWeights(bads, goods, bads, goods) for month, bads, goods in PAST}
    for bads in (20, 64, 100):
        weighed = bad_rate_shift(
            LIMITS,
            bads,
            800 - bads,
            PAST,
            weight=ClassWeights(bads, 800 - bads, bads, 800 - bads),
            earlier_weights=ones,
        )
        assert weighed == bad_rate_shift(LIMITS, bads, 800 - bads, PAST)
