"""Window plans that fit the months of a tape."""

from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdx_assets.risk.calendar import Month, Periods, known_on
from pdx_assets.risk.drafting.plans import plan_windows

FIRST = Month(2016, 1)


def book(months: int, loans: int) -> dict[Month, int]:
    return {FIRST + i: loans for i in range(months)}


@given(months=st.integers(1, 80), horizon=st.integers(1, 24), bads=st.floats(0, 60), lag=st.integers(0, 30))
def test_a_plan_always_obeys_the_arithmetic(months: int, horizon: int, bads: float, lag: int) -> None:
    """Whatever it says of the tape, a spec with it loads; and without a problem it can be run and measured."""
    loans = book(months, 1000)
    as_of = (FIRST + (months - 1 + lag)).last_day
    plan = plan_windows(loans, dict.fromkeys(loans, bads), as_of, horizon)
    periods = Periods(plan.frequency)
    assert plan.gap * periods.months >= horizon and min(plan.development, plan.otv) >= 1
    starts = periods.shift(plan.first_production, -(plan.gap + plan.otv + plan.development))
    assert starts >= plan.first_cohort
    if not plan.problem:
        assert plan.last_known is not None and known_on(plan.last_known, horizon, periods) <= as_of
        assert FIRST <= plan.first_production <= plan.last_known
        assert 1 <= plan.measured <= 12


@pytest.mark.parametrize("months", range(12, 21))
def test_short_books_of_short_loans_get_a_plan(months: int) -> None:
    loans = book(months, 1000)
    plan = plan_windows(loans, dict.fromkeys(loans, 80.0), (FIRST + (months - 1)).last_day, 2)
    assert not plan.problem
    assert plan.frequency == "month" and plan.gap == 2 and plan.development >= 3 and plan.measured >= 2


def test_the_demo_gets_the_plan_that_was_made_by_hand() -> None:
    loans = {Month(2021, 1) + i: 800 for i in range(60)}
    plan = plan_windows(loans, None, date(2025, 12, 31), 12)
    assert (plan.development, plan.otv, plan.gap, str(plan.first_production)) == (12, 3, 12, "2024-01")


def test_few_bads_a_month_make_quarters() -> None:
    loans = book(120, 60)
    plan = plan_windows(loans, dict.fromkeys(loans, 4.0), (FIRST + 119).last_day, 12)
    assert (plan.frequency, plan.problem) == ("quarter", "")
    assert plan.otv * 12 >= 45


def test_what_does_not_fit_says_why() -> None:
    loans = book(12, 1000)
    as_of = (FIRST + 11).last_day
    assert "no label is known yet" in plan_windows(loans, dict.fromkeys(loans, 50.0), as_of, 24).problem
    assert "shorten the label's horizon" in plan_windows(loans, dict.fromkeys(loans, 50.0), as_of, 6).problem
    assert "fewer than 30 bads" in plan_windows(loans, dict.fromkeys(loans, 1.0), as_of, 2).problem


def test_stray_months_do_not_start_a_book() -> None:
    loans = book(36, 1000) | {Month(1900, 1): 1, Month(1999, 5): 3}
    assert plan_windows(loans, None, (FIRST + 40).last_day, 3).first_cohort == FIRST
    assert math.isclose(sum(loans.values()), 36_004)
