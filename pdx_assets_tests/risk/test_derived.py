"""Features worked out from columns and constants, and durations: declared, validated, cleaned, shown."""

from __future__ import annotations

import re
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pdx_assets.orchestration.lineage import features_lineage, features_schema
from pdx_assets.risk import columns
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.errors import SpecError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.spec import Column, PortfolioSpec
from pdx_assets.risk.spec_file import load_spec
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

DERIVED: dict[str, Any] = {
    "score_above_660": {"difference": ["bureau_score", 660], "description": "points above 660"},
    "free_income": {"difference": ["annual_income", "amount"]},
    "score_place": {"scale": {"column": "bureau_score", "low": 300, "high": 850}},
    "history_less_a_year": {"difference": ["oldest_account_date", 365]},
}


def spec(**changes: Any) -> PortfolioSpec:
    return small_spec(**{"derived": DERIVED} | changes)


def loans(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Raw rows with every declared column blank but for those given."""
    names = small_attributes()["columns"]
    blank = dict.fromkeys(names) | {"application_date": "2022-05-04"}
    cells = [blank | {k: None if v is None else str(v) for k, v in row.items()} for row in rows]
    schema = dict.fromkeys(names, pl.String)
    ids = [str(i) for i in range(len(rows))]
    return pl.DataFrame(cells, schema=schema).with_columns(
        pl.Series("loan_id", ids), pl.lit("2022-05").alias("cohort"), pl.Series("borrower_id", ids)
    )


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.integers(300, 850),
            st.none() | st.integers(0, 10**6),
            st.none() | st.integers(0, 10**5),
            st.none() | st.dates(date(1960, 1, 1), date(2022, 5, 4)),
        ),
        min_size=1,
        max_size=9,
    )
)
def test_values_against_python(rows: list[tuple[int | None, int | None, int | None, date | None]]) -> None:
    given = [
        {"bureau_score": s, "annual_income": i, "amount": a, "oldest_account_date": d and d.isoformat()}
        for s, i, a, d in rows
    ]
    found = clean_features(spec(), loans(given))
    wanted = {
        "score_above_660": [None if s is None else s - 660 for s, *_ in rows],
        "free_income": [None if i is None or a is None else i - a for _, i, a, _ in rows],
        "score_place": [None if s is None else (s - 300) / 550 for s, *_ in rows],
        "history_less_a_year": [None if d is None else (date(2022, 5, 4) - d).days - 365 for *_, d in rows],
    }
    for name, values in wanted.items():
        assert found[name].dtype == pl.Float32
        assert found[name].equals(pl.Series(name, values, dtype=pl.Float64).cast(pl.Float32), null_equal=True)


def test_they_are_features_after_the_ratios_and_shown_with_what_they_come_from() -> None:
    declared = spec()
    assert declared.number_features == [*small_spec().number_features, *DERIVED]
    sources = {
        name: {dep.column_name for dep in deps}
        for name, deps in features_lineage(declared).deps_by_column.items()
        if name in DERIVED
    }
    assert sources == {
        "score_above_660": {"bureau_score"},
        "free_income": {"annual_income", "amount"},
        "score_place": {"bureau_score"},
        "history_less_a_year": {"oldest_account_date", "application_date"},
    }
    shown = {column.name: column for column in features_schema(declared).columns}
    assert shown["score_above_660"].description == "points above 660" and shown["score_place"].type == "float32"


def test_what_is_made_of_a_price_comes_in_with_the_price() -> None:
    priced = {"spread": {"difference": ["annual_rate", 3.5]}}
    assert "spread" not in spec(derived=priced).number_features
    assert "spread" in spec(derived=priced, use_price=True).number_features


def test_a_spec_without_the_new_keys_has_the_hash_it_had() -> None:
    dumped = small_spec().model_dump(mode="json")
    assert not {"derived", "outliers"} & set(dumped)
    assert document_sha256(dumped) != document_sha256(spec().model_dump(mode="json"))


@pytest.mark.parametrize(
    ("wrong", "where", "says"),
    [
        ("x: {difference: [rate, 700]}", "derived.x.difference.0", "not declared under columns: 'rate'"),
        ("x: {difference: [amount, state]}", "derived.x.difference.1", "'state' of role outcome, expected a feature"),
        (
            "x: {scale: {column: purpose, low: 0, high: 1}}",
            "derived.x.scale.column",
            "'purpose' of dtype category, expected a number",
        ),
        ("x: {scale: {column: amount, low: 5, high: 5}}", "derived.x.scale", "from 5.0 to 5.0, expected low below"),
        ("x: {description: nothing}", "derived.x", "give either difference or scale"),
        ("ratio: {difference: [amount, 1]}", "derived.ratio", "'ratio' is declared under ratios already"),
    ],
)
def test_wrong_declarations_say_where(tmp_path: Path, wrong: str, where: str, says: str) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text(
        f"""\
type: pdx_assets.Portfolio
attributes:
  name: small
  tape: {{path: x.csv, first_cohort: 2015-01}}
  loan_id: {{derive_from: [opened, amount]}}
  columns:
    opened: {{role: date, dtype: date, format: "%b-%Y"}}
    amount: {{role: feature}}
    purpose: {{role: feature, dtype: category}}
    state: {{role: outcome, dtype: category}}
    last_paid: {{role: outcome, dtype: date, format: "%b-%Y"}}
  ratios: {{ratio: {{numerator: amount, denominator: amount}}}}
  derived:
    {wrong}
  label:
    name: bad
    horizon_months: 12
    definition: {{kind: last_payment_and_status, status: state, bad_status: Late, last_payment: last_paid}}
  windows: {{development: 12, otv: 3, gap: 12, first_production: 2017-07}}
""",
        encoding="utf-8",
    )
    with pytest.raises(SpecError) as raised:
        load_spec(path)
    assert f"defs.yaml:14: {where}: " in str(raised.value) and says in str(raised.value)


YEARS_AND_MONTHS = r"(?P<years>\d+)\s*yrs\s*(?P<months>\d+)\s*mon"


@given(st.integers(0, 80), st.integers(0, 11))
def test_a_duration_is_its_months(years: int, months: int) -> None:
    column = Column(role="feature", extract=YEARS_AND_MONTHS)
    cells = pl.Series([f" {years}yrs {months}mon", None, "two years"])
    assert columns.numbers(cells, column).to_list() == [12 * years + months, None, None]
    assert columns.unparsed(cells, column).to_list() == [False, False, True]


def test_a_duration_of_one_unit_and_a_plain_group_of_another_name() -> None:
    in_years = Column(role="feature", extract=r"(?P<years>\d+) years")
    assert columns.numbers(pl.Series(["10 years"]), in_years).to_list() == [120]
    plain = Column(role="feature", extract=r"(?P<amount>\d+) EUR")
    assert columns.numbers(pl.Series(["10 EUR"]), plain).to_list() == [10]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"extract": r"(?P<years>\d+)(?P<weeks>\d+)"}, "has 2 groups, expected exactly one"),
        ({"extract": r"(?P<years>\d+)y(\d+)"}, "has 2 groups, expected exactly one"),
        ({"extract": r"(?P<years>\d+)y", "dtype": "category"}, "a duration is a number of months, but dtype is 'categ"),
    ],
)
def test_durations_declared_wrongly(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        Column(role="feature", **wrong)


def test_dates_a_day_apart_differ_by_a_day() -> None:
    first = date(2020, 2, 28)
    rows = [{"oldest_account_date": (first + timedelta(days=k)).isoformat()} for k in range(3)]
    found = clean_features(spec(), loans(rows))["history_less_a_year"].to_list()
    assert [a - b for a, b in pairwise(found)] == [1, 1]
