"""Row accounting and cohort volume: fires, stays quiet, does not apply."""

from __future__ import annotations

from pdx_assets.risk.checks.intake import cohort_volume, row_accounting
from pdx_assets.risk.spec import Checks
from pdx_assets.risk.tape_accounting import RowAccounting

LIMITS = Checks()
STEADY = [(f"2020-{m:02d}", n) for m, n in enumerate((800, 812, 790, 805, 830, 771, 799, 820, 795, 808, 786, 801), 1)]
GROWING = [(f"2010-{m:02d}", round(400 * 1.07**m)) for m in range(1, 13)]


def test_rows_that_do_not_balance_block() -> None:
    verdict = row_accounting(LIMITS, RowAccounting(5, 4), RowAccounting(9, 8))
    assert verdict.blocks
    assert verdict.reason == "loan rows do not balance; performance rows do not balance"


def test_a_cohort_with_many_rejected_rows_blocks_and_names_the_reason() -> None:
    verdict = row_accounting(LIMITS, RowAccounting(100, 80, {"no date": 15, "duplicate id": 5}))
    assert verdict.blocks
    assert "20.0 % of 100 rows were rejected, more than 10.0 %; most of them for: no date" in verdict.reason
    assert ("rejected: no date", -15) in verdict.rows


def test_row_accounting_is_quiet_when_rows_balance() -> None:
    for account in (RowAccounting(100, 95, {"no date": 5}), RowAccounting(10, 5, {"no date": 5}), RowAccounting()):
        verdict = row_accounting(LIMITS, account)
        assert verdict.status == "passed" and not verdict.blocks


def test_row_accounting_without_a_panel_looks_at_loans_only() -> None:
    assert row_accounting(LIMITS, RowAccounting(3, 3), None).status == "passed"


def test_half_a_file_is_a_warning_and_a_tenth_of_one_blocks() -> None:
    half, tenth, many = (cohort_volume(LIMITS, n, STEADY) for n in (400, 80, 8000))
    assert half.status == "failed" and half.severity == "warn" and not half.blocks
    assert tenth.blocks and many.blocks
    assert "80 loans, 0.10 times the median 800 of 2020-01 to 2020-12" in tenth.reason


def test_usual_scatter_and_growth_are_quiet() -> None:
    for loans in (760, 800, 850):
        assert cohort_volume(LIMITS, loans, STEADY).status == "passed"
    assert cohort_volume(LIMITS, round(400 * 1.07**13), GROWING).status == "passed"


def test_one_broken_month_before_does_not_hide_the_next() -> None:
    assert cohort_volume(LIMITS, 80, [*STEADY, ("2021-01", 60)]).blocks
    assert cohort_volume(LIMITS, 800, [*STEADY, ("2021-01", 60)]).status == "passed"


def test_only_the_trailing_cohorts_count() -> None:
    small = [(f"2010-{m:02d}", 10) for m in range(1, 13)]
    assert cohort_volume(LIMITS, 800, [*small, *STEADY]).status == "passed"


def test_volume_does_not_apply_to_the_first_cohorts() -> None:
    verdict = cohort_volume(LIMITS, 5, STEADY[:2])
    assert verdict.status == "not_applicable" and not verdict.blocks
    assert "2 cohorts before it" in verdict.reason
