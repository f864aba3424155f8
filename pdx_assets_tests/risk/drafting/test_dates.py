"""Formats of dates: what was written with a format is read with it, or said to be ambiguous."""

from __future__ import annotations

from datetime import date, datetime, time
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk import columns
from pdx_assets.risk.drafting.dates import as_column, exchanged, first_year, infer_format

DAYS = st.dates(date(1970, 1, 1), date(2065, 12, 31))
MOMENTS = st.builds(datetime.combine, DAYS, st.builds(time, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59)))

WITH_DAY = [
    *("%Y-%m-%d", "%Y/%m/%d", "%d-%b-%Y", "%d %b %Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%b %d, %Y", "%Y%m%d"),
    *("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M", "%d/%m/%Y %I:%M %p"),
]


@pytest.mark.parametrize("pattern", WITH_DAY)
@settings(max_examples=20)
@given(moments=st.lists(MOMENTS, min_size=20, max_size=60, unique=True))
def test_days_come_back_as_they_were_written(pattern: str, moments: list[datetime]) -> None:
    cells = pl.Series([m.strftime(pattern) for m in moments])
    found = infer_format(cells)
    assert found is not None and found.share == 1
    read = columns.days(cells, as_column(found.format)).to_list()
    exchangeable = all(m.day <= 12 for m in moments) and exchanged(pattern.replace(".%f", "")) is not None
    if found.other is None and not exchangeable:
        assert read == [m.date() for m in moments]
    else:
        # Only cells that leave the order open may be called ambiguous, and one of the two readings is right.
        assert exchangeable and found.other is not None
        other = columns.days(cells, as_column(found.other)).to_list()
        assert [m.date() for m in moments] in (read, other)


@pytest.mark.parametrize("pattern", ["%b-%Y", "%Y-%m", "%b %Y", "%m/%Y"])
@settings(max_examples=20)
@given(days=st.lists(DAYS, min_size=12, max_size=40))
def test_months_come_back_as_their_first_day(pattern: str, days: list[date]) -> None:
    cells = pl.Series([d.strftime(pattern) for d in days])
    found = infer_format(cells)
    assert found is not None and found.names_no_day
    assert columns.days(cells, as_column(found.format)).to_list() == [d.replace(day=1) for d in days]


@pytest.mark.parametrize(
    ("cell", "pattern"),
    [
        ("28-Feb-97", "%d-%b-%y"),
        ("2/28/1997", "%m/%d/%Y"),
        ("28/2/1997", "%d/%m/%Y"),
        ("Dec-2011", "%b-%Y"),
        ("2017-07-25 08:22:56.000000", "%Y-%m-%d %H:%M:%S%.f"),
        ("2017-07-25T08:22:56+01:00", "%Y-%m-%dT%H:%M:%S%.f%z"),
        ("7/25/2017 0:00", "%m/%d/%Y %H:%M"),
    ],
)
def test_ways_that_published_files_use(cell: str, pattern: str) -> None:
    found = infer_format(pl.Series([cell] * 3))
    assert found is not None
    assert (found.format, found.other) == (pattern, None)


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "2", "3"],
        ["12.5", "13.5"],
        ["36 months", "60 months"],
        ["A-1", "B-2"],
        ["070xx", "945xx"],
        ["20172017"],
        [],
    ],
)
def test_what_is_no_date(cells: list[str]) -> None:
    assert infer_format(pl.Series(cells, dtype=pl.String)) is None


def test_one_footer_does_not_hide_a_format() -> None:
    assert infer_format(pl.Series(["2017-01-05"] * 99 + ["Total"])) is not None
    assert infer_format(pl.Series(["2017-01-05"] * 9 + ["Total"])) is None


def test_a_monthly_export_settles_the_order() -> None:
    """1/3/2016, 1/4/2016, ...: the number that never changes is the day."""
    found = infer_format(pl.Series([f"1/{m}/2016" for m in range(1, 13)]))
    assert found is not None and (found.format, found.other) == ("%d/%m/%Y", None)


def test_an_open_order_is_said_to_be_open() -> None:
    found = infer_format(pl.Series(["3/4/2017", "5/6/2017", "7/8/2017"]))
    assert found is not None and {found.format, found.other} == {"%d/%m/%Y", "%m/%d/%Y"}


@given(first=st.integers(1932, 1999), span=st.integers(1, 60), data=st.data())
def test_two_digits_mean_the_century_they_were_written_in(first: int, span: int, data: st.DataObject) -> None:
    """As long as a column spans less than a hundred years with no gap wider than what is left over."""
    years = sorted(data.draw(st.sets(st.integers(first, min(first + span, 2030)), min_size=2)))
    widest = max(b - a for a, b in pairwise(years))
    if widest >= 100 - (years[-1] - years[0]) or years[-1] >= 2032:
        return
    if years[-1] <= 1969:
        return  # all within one usual reading: two digits alone cannot tell 1945 from 2045
    cells = pl.Series([date(y, 3, 15).strftime("%d-%b-%y") for y in years])
    since = first_year(cells, "%d-%b-%y")
    declared = as_column("%d-%b-%y").model_copy(update={"two_digit_years_from": since})
    assert [d.year for d in columns.days(cells, declared).to_list()] == years
