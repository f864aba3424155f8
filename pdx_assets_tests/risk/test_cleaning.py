"""Tape cells -> features: parsing, dates as days, ratios, borrowers; nothing from after the decision."""

from __future__ import annotations

import hashlib
import math
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk import columns
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.errors import CleaningError
from pdx_assets.risk.spec import Column
from pdx_assets_tests.risk.small_tape import ATTRIBUTES, loan, spec


def raw(*rows: dict[str, str]) -> pl.DataFrame:
    cells = [{k: (v if v.strip() else None) for k, v in row.items()} for row in rows]
    schema = dict.fromkeys(("cohort", "loan_id", *rows[0]), pl.String)
    return pl.DataFrame([{"cohort": "2016-01", "loan_id": r["number"], **r} for r in cells], schema=schema)


def test_one_typed_row_a_loan_sorted_by_id() -> None:
    got = clean_features(spec(), raw(loan("b"), loan("a", amount="")))
    assert got.schema == {
        "cohort": pl.String,
        "loan_id": pl.String,
        "borrower_hash": pl.Int64,
        "application_date": pl.Date,
        "amount": pl.Float32,
        "income": pl.Float32,
        "term": pl.Float32,
        "first_credit": pl.Float32,
        "amount_to_income": pl.Float32,
        "purpose": pl.String,
        "region": pl.String,
    }
    assert got["loan_id"].to_list() == ["a", "b"]
    assert got["amount"].to_list() == [None, 1000.0]
    assert got["application_date"].to_list() == [date(2016, 1, 1)] * 2
    assert got["term"].to_list() == [36.0, 36.0]


def test_nothing_known_after_the_decision_gets_in() -> None:
    before = clean_features(spec(), raw(loan(1), loan(2)))
    after = clean_features(
        spec(), raw(loan(1, state="Charged Off", last_paid="Jan-2019", note="x"), loan(2, last_paid=""))
    )
    assert before.equals(after)
    assert not {"state", "last_paid", "note", "rate"} & set(before.columns)


def test_price_is_out_unless_let_in() -> None:
    rows = raw({**loan(1), "rate": "13.5%"})
    assert "rate" not in clean_features(spec(), rows).columns
    assert clean_features(spec(use_price=True), rows)["rate"].to_list() == [13.5]


def test_a_date_becomes_days_to_the_application() -> None:
    got = clean_features(
        spec(), raw(loan(1, first_credit="Dec-2015"), loan(2, first_credit=""), loan(3, first_credit="Feb-2016"))
    )
    assert got["first_credit"].to_list() == [31.0, None, -31.0]


def test_a_ratio_is_missing_where_its_denominator_is_not_above_zero() -> None:
    incomes = ("4000", "0", "-5", "", "1e-45")
    got = clean_features(spec(), raw(*(loan(i, income=text) for i, text in enumerate(incomes))))
    assert got["amount_to_income"].to_list() == [0.25, None, None, None, None]


def test_absent_optional_columns_are_missing_on_every_row() -> None:
    rows = raw(loan(1))
    assert "region" not in rows.columns
    assert clean_features(spec(), rows)["region"].to_list() == [None]


def test_a_borrower_is_on_the_same_side_in_every_month() -> None:
    rows = raw({**loan(1), "customer": "ann"}, {**loan(2), "customer": " ann "}, {**loan(3), "customer": ""})
    got = clean_features(spec(), rows)["borrower_hash"].to_list()
    ann, three = (int.from_bytes(hashlib.sha256(t).digest()[:8], "big", signed=True) for t in (b"ann", b"3"))
    assert got == [ann, ann, three]


def test_weights_are_carried() -> None:
    columns_with = {**ATTRIBUTES["columns"], "inverse_odds": {"role": "weight"}}
    got = clean_features(spec(columns=columns_with), raw({**loan(1), "inverse_odds": "10.5"}))
    assert got["weight"].to_list() == [10.5]


def test_a_value_that_does_not_parse_is_an_error_not_a_missing_one() -> None:
    with pytest.raises(CleaningError, match=r"1 values of income do not parse; first: loan 2, 'lots'"):
        clean_features(spec(), raw(loan(1), loan(2, income="lots")))
    with pytest.raises(CleaningError, match="no opened"):
        clean_features(spec(), raw(loan(1, opened="")))


def test_a_feature_cannot_take_the_name_of_another_column() -> None:
    with pytest.raises(CleaningError, match="borrower_hash"):
        clean_features(spec(ratios={"borrower_hash": {"numerator": "amount", "denominator": "income"}}), raw(loan(1)))


# Cells ---------------------------------------------------------------------------------------------------------


def column(**declared: object) -> Column:
    return Column.model_validate({"role": "feature", **declared})


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("7500", 7500.0),
        (" 7500.50 ", 7500.5),
        ("-1e3", -1000.0),
        ("$60,000.00 ", 60000.0),
        ("-$1,234,567", -1234567.0),
        ("1,234", 1234.0),
        ("12,34", None),
        ("1,2345", None),
        ("nan", None),
        ("-inf", None),
        ("13.5%", None),
        ("0x10", None),
        ("n/a", None),
        ("", None),
    ],
)
def test_numbers(cell: str, value: float | None) -> None:
    assert columns.numbers(pl.Series([cell, "1"]), column(unit="USD")).to_list() == [value, 1.0]


def test_percent_signs_only_where_percent_is_declared() -> None:
    assert columns.numbers(pl.Series([" 13.49%", "5"]), column(unit="percent")).to_list() == [13.49, 5.0]


@pytest.mark.parametrize(
    ("cell", "pattern", "value"),
    [
        ("Dec-2011", "%b-%Y", date(2011, 12, 1)),
        ("2016-02-29", "%Y-%m-%d", date(2016, 2, 29)),
        ("2015-02-29", "%Y-%m-%d", None),
        ("28-Feb-97", "%d-%b-%y", date(1997, 2, 28)),
        ("2/28/1997", "%m/%d/%Y", date(1997, 2, 28)),
        ("2016-07", "%Y-%m", date(2016, 7, 1)),
        ("Dec-11", "%b-%Y", None),
        ("2016-01-01 ", "%Y-%m-%d", date(2016, 1, 1)),
        ("2016-01-01x", "%Y-%m-%d", None),
        ("9999-12-31", "%Y-%m-%d", None),
    ],
)
def test_dates(cell: str, pattern: str, value: date | None) -> None:
    assert columns.days(pl.Series([cell]), column(dtype="date", format=pattern)).to_list() == [value]


def test_replacements_come_before_extraction() -> None:
    years = column(extract=r"(\d+)", replace={"< 1 year": 0, "n/a": None})
    cells = pl.Series(["< 1 year", "10+ years", "n/a", None, "1 year"])
    assert columns.numbers(cells, years).to_list() == [0.0, 10.0, None, None, 1.0]
    assert columns.unparsed(cells, years).to_list() == [False] * 5
    assert columns.unparsed(pl.Series(["years"]), years).to_list() == [True]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(min_value=-1e30, max_value=1e30), min_size=1, max_size=20))
def test_any_number_python_writes_is_read_back(values: list[float]) -> None:
    got = columns.numbers(pl.Series([repr(v) for v in values]), column()).to_list()
    assert all(math.isclose(a, b, rel_tol=1e-15, abs_tol=0) or a == b for a, b in zip(got, values, strict=True))
