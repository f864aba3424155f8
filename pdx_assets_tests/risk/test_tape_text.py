"""The canonical text of typed cells: one spelling a value, and nothing lost on the way back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdx_assets.risk import columns
from pdx_assets.risk.spec import Column
from pdx_assets.risk.tape_text import as_text, cell_text

NUMBER = Column.model_validate({"role": "feature"})
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DATES = st.dates(date(1900, 1, 1), date(2100, 12, 31))
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 12, 31))


def text(values: list[object], dtype: object, form: str | None = None) -> list[str | None]:
    return as_text(pl.Series("x", values, dtype=dtype), form).to_list()  # type: ignore[arg-type]


@given(st.lists(st.none() | FLOATS, min_size=1))
def test_a_float_reads_back_as_itself_and_is_written_without_exponent(values: list[float | None]) -> None:
    found = text(list(values), pl.Float64)
    assert [None if t is None else float(t) for t in found] == values
    assert all(t is None or (set(t) <= set("-0123456789.") and not t.endswith((".", ".0"))) for t in found)
    # The reader of records and the reader of columns write the same.
    assert found == [cell_text(v) for v in values]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_a_narrow_float_is_as_short_as_it_can_be(values: list[float]) -> None:
    found = text(list(values), pl.Float32)
    assert [np.float32(t) for t in found] == [np.float32(v) for v in values]
    shortest = [Decimal(str(np.float32(v))) for v in values]
    assert [Decimal(str(t)) for t in found] == shortest


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_has_one_text_whatever_type_holds_it(value: int) -> None:
    spellings = [
        text([value], pl.Int64),
        text([float(value)], pl.Float64),
        text([Decimal(value)], pl.Decimal(38, 4)),
        [cell_text(value)],
        [cell_text(float(value))],
        [cell_text(Decimal(value) * Decimal("1.00"))],
        [cell_text(json.loads(json.dumps(float(value))))],
    ]
    assert spellings == [[str(value)]] * 7


@given(st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1))
def test_a_decimal_keeps_its_value(values: list[Decimal]) -> None:
    found = text(list(values), pl.Decimal(38, 3))
    assert [Decimal(str(t)) for t in found] == values
    assert found == [cell_text(v) for v in values]


@given(st.lists(st.none() | st.floats(-1e30, 1e30), min_size=1))
def test_a_number_read_from_its_text_is_the_same_feature(values: list[float | None]) -> None:
    cells = as_text(pl.Series("x", values, dtype=pl.Float64))
    assert columns.numbers(cells, NUMBER).to_list() == values


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d/%m/%Y", "%Y%m%d", "%d %B %Y", "%b %d %Y"])
@given(values=st.lists(st.none() | DATES, min_size=1))
def test_a_date_reads_back_in_the_declared_format(form: str, values: list[date | None]) -> None:
    declared = Column.model_validate({"role": "feature", "dtype": "date", "format": form})
    for dtype in (pl.Date, pl.Datetime("us"), pl.Datetime("ns")):
        if dtype == pl.Datetime("ns"):
            continue
        cells = as_text(pl.Series("x", values, dtype=pl.Date).cast(dtype), form)  # type: ignore[arg-type]
        assert columns.days(cells, declared).to_list() == values


@given(st.lists(st.none() | DATES, min_size=1))
def test_a_format_without_a_day_keeps_the_month(values: list[date | None]) -> None:
    declared = Column.model_validate({"role": "feature", "dtype": "date", "format": "%b-%Y"})
    cells = as_text(pl.Series("x", values, dtype=pl.Date), "%b-%Y")
    assert columns.days(cells, declared).to_list() == [v and v.replace(day=1) for v in values]


@given(st.lists(st.none() | MOMENTS, min_size=1))
def test_moments_and_dates_without_a_format_are_iso(values: list[datetime | None]) -> None:
    found = text(list(values), pl.Datetime("us"))
    assert [None if t is None else datetime.fromisoformat(t) for t in found] == values
    assert found == [cell_text(v) for v in values]
    days = [v and v.date() for v in values]
    assert text(list(days), pl.Date) == [cell_text(v) for v in days]


@given(MOMENTS, st.integers(-14 * 60, 14 * 60))
def test_a_moment_with_a_zone_is_told_in_utc(moment: datetime, minutes: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = str(zoned.astimezone(UTC).replace(tzinfo=None))
    assert cell_text(zoned) == expected
    series = pl.Series("x", [zoned.astimezone(UTC).replace(tzinfo=None)]).dt.replace_time_zone("UTC")
    assert as_text(series.dt.convert_time_zone("Asia/Kolkata")).to_list() == [expected]


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_text_is_as_it_came(values: list[str | None]) -> None:
    for dtype in (pl.String, pl.Categorical):
        assert text(list(values), dtype) == values
    assert text([None if v is None else v.encode() for v in values], pl.Binary) == values
    assert [cell_text(v) for v in values] == values


def test_the_rest() -> None:
    assert text([True, False, None], pl.Boolean) == ["true", "false", None]
    assert [cell_text(v) for v in (True, False)] == ["true", "false"]
    assert text([float("nan"), float("inf"), -0.0, 1e22, 1e-7], pl.Float64) == [
        None, "inf", "0", "10000000000000000000000", "0.0000001",
    ]  # fmt: skip
    assert [cell_text(v) for v in (float("nan"), float("-inf"), -0.0, Decimal("NaN"))] == [None, "-inf", "0", None]
    assert text([time(8, 30), time(8, 30, 0, 5)], pl.Time) == ["08:30:00", "08:30:00.000005"]
    assert text([b"\xff\x00", b"ok"], pl.Binary) == ["\\xff00", "ok"]
    assert text([["a", "é"], None], pl.List(pl.String)) == ['["a", "é"]', None]
    assert text([{"a": 1, "d": date(2016, 1, 2)}], None) == ['{"a": 1, "d": "2016-01-02"}']
    assert cell_text({"a": [1, None]}) == '{"a": [1, null]}'
    assert text([None, None], pl.Null) == [None, None]
    assert text([timedelta(days=1, hours=2)], pl.Duration) == ["P1DT2H"]
    assert text([12345678901234567890], pl.UInt64) == ["12345678901234567890"]
