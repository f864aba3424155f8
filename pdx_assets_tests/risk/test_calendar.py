"""Months, quarters and when a cohort is known, against day-by-day arithmetic."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.calendar import Month, Periods, add_months, decision_date, horizon_end, known_on
from pdx_assets.risk.errors import PdxError

MONTHS = st.integers(min_value=1990 * 12, max_value=2090 * 12).map(Month.from_ordinal)
DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))
HORIZONS = st.integers(min_value=1, max_value=60)
MONTHLY, QUARTERLY = Periods("month"), Periods("quarter")


@settings(max_examples=50)
@given(MONTHS)
def test_a_key_and_its_month(month: Month) -> None:
    assert Month.parse(str(month)) == month
    assert Month.parse(month) is month
    assert Month.of(month.first_day) == Month.of(month.last_day) == month
    assert month.last_day + timedelta(days=1) == (month + 1).first_day


@pytest.mark.parametrize(
    "key",
    ["2016-13", "2016-00", "2016-7", "16-07", "2016-07-01", "2016/07", "", " 2016-07", "2016-07\n", "２０１６-07"],
)
def test_not_a_month(key: str) -> None:
    """Incident: the pattern ended in $, which lets a trailing newline through, and took any script's digits."""
    with pytest.raises(PdxError, match="YYYY-MM"):
        Month.parse(key)


@settings(max_examples=50)
@given(MONTHS, st.integers(min_value=-400, max_value=400))
def test_month_arithmetic_is_a_walk(month: Month, count: int) -> None:
    later = month + count
    assert later - count == month
    assert later.ordinal - month.ordinal == count
    assert (later > month) == (count > 0)
    assert (later.first_day > month.first_day) == (count > 0)
    assert (str(later) > str(month)) == (count > 0)


def test_month_arithmetic_by_hand() -> None:
    assert str(Month.parse("2016-12") + 1) == "2017-01"
    assert str(Month.parse("2016-01") - 1) == "2015-12"
    assert str(Month.parse("2018-01") - 15 - 3) == "2016-07"
    assert sorted([Month(2017, 1), Month(2016, 12)])[0] == Month(2016, 12)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2016, 6, 30), 12, date(2017, 6, 30)),
        (date(2016, 2, 29), 12, date(2017, 2, 28)),
        (date(2015, 2, 28), 12, date(2016, 2, 29)),
        (date(2017, 2, 28), 12, date(2018, 2, 28)),
        (date(2016, 1, 31), 1, date(2016, 2, 29)),
        (date(2016, 4, 30), 1, date(2016, 5, 31)),
        (date(2016, 1, 30), 1, date(2016, 2, 29)),
        (date(2015, 1, 30), 1, date(2015, 2, 28)),
        (date(2016, 2, 28), 12, date(2017, 2, 28)),
        (date(2016, 5, 17), -3, date(2016, 2, 17)),
        (date(2016, 12, 1), 1, date(2017, 1, 1)),
    ],
)
def test_month_ends_stay_month_ends(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected


@settings(max_examples=50)
@given(DAYS, st.integers(min_value=-60, max_value=60))
def test_add_months_lands_in_the_month_asked_for(day: date, months: int) -> None:
    found = add_months(day, months)
    assert Month.of(found) == Month.of(day) + months
    if (day + timedelta(days=1)).day == 1:
        assert (found + timedelta(days=1)).day == 1
    else:
        assert found.day == day.day or (found + timedelta(days=1)).day == 1


def is_known(cohort: Month, horizon: int, production: Month, periods: Periods, delay: int = 0) -> bool:
    return known_on(cohort, horizon, periods, delay) <= decision_date(production)


@settings(max_examples=50)
@given(MONTHS, HORIZONS, st.integers(min_value=-3, max_value=70))
def test_known_in_months_is_c_plus_h_plus_1(cohort: Month, horizon: int, distance: int) -> None:
    production = cohort + distance
    assert is_known(cohort, horizon, production, MONTHLY) == ((cohort + horizon + 1) <= production)


@settings(max_examples=50)
@given(MONTHS, HORIZONS, st.integers(min_value=0, max_value=70))
def test_known_in_quarters_counts_from_the_quarters_last_month(month: Month, horizon: int, distance: int) -> None:
    cohort = QUARTERLY.of(month.first_day)
    production = cohort + distance
    assert is_known(cohort, horizon, production, QUARTERLY) == ((cohort + 2 + horizon + 1) <= production)


@settings(max_examples=50)
@given(MONTHS, HORIZONS, st.integers(min_value=0, max_value=90))
def test_a_reporting_delay_moves_the_day(cohort: Month, horizon: int, delay: int) -> None:
    day = known_on(cohort, horizon, MONTHLY, delay)
    assert day == horizon_end(cohort, horizon, MONTHLY) + timedelta(days=delay)
    assert day - timedelta(days=delay) == (cohort + horizon).last_day


def test_known_by_hand() -> None:
    assert known_on(Month(2016, 9), 12, MONTHLY) == date(2017, 9, 30)
    assert is_known(Month(2016, 9), 12, Month(2017, 10), MONTHLY)
    assert not is_known(Month(2016, 9), 12, Month(2017, 9), MONTHLY)
    # One day of delay is enough to miss the first of the month after the next.
    assert is_known(Month(2016, 9), 12, Month(2017, 10), MONTHLY, delay=1)
    assert not is_known(Month(2016, 9), 12, Month(2017, 10), MONTHLY, delay=2)
    assert known_on(Month(2016, 7), 12, QUARTERLY) == date(2017, 9, 30)


@settings(max_examples=50)
@given(DAYS)
def test_the_quarter_of_a_day(day: date) -> None:
    quarter = QUARTERLY.of(day)
    assert quarter.number in (1, 4, 7, 10)
    assert quarter.first_day <= day <= QUARTERLY.last_day(quarter)
    assert QUARTERLY.last_day(quarter) + timedelta(days=1) == QUARTERLY.shift(quarter, 1).first_day
    assert MONTHLY.of(day) == Month.of(day)


@settings(max_examples=50)
@given(MONTHS, st.integers(min_value=-5, max_value=30), st.sampled_from([MONTHLY, QUARTERLY]))
def test_span_is_every_period_once(month: Month, count: int, periods: Periods) -> None:
    first = periods.of(month.first_day)
    span = periods.span(first, periods.shift(first, count))
    walked = []
    period = first
    while period <= periods.shift(first, count):
        walked.append(period)
        period = periods.shift(period, 1)
    assert list(span) == walked
    assert len(span) == max(0, count + 1)


def test_decision_date_and_cron() -> None:
    assert decision_date(Month(2018, 1)) == date(2018, 1, 1)
    assert MONTHLY.cron() == "0 0 1 * *"
    assert QUARTERLY.cron() == "0 0 1 */3 *"
