"""The label definitions read from a loan's own columns: charge-off, ready flag, due and repayment dates."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pdx_assets.risk import columns
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import SpecError
from pdx_assets.risk.outcomes import label_rows, label_view, outcome_events, require_horizon
from pdx_assets.risk.spec import Column, PortfolioSpec
from pdx_assets_tests.risk.small_tape import spec, staged

JAN = Month(2016, 1)
FAR = date(2030, 1, 1)
KNOWN = date(2017, 1, 31)
"""The cohort of 2016-01 is known from the last day of 2017-01."""

ISO = {"dtype": "date", "format": "%Y-%m-%d"}
COLUMNS: dict[str, Any] = {
    "number": {"role": "id", "dtype": "text"},
    "opened": {"role": "date", **ISO},
    "amount": {"role": "feature"},
    "days": {"role": "feature"},
    "state": {"role": "outcome", "dtype": "category"},
    "written_off": {"role": "outcome", **ISO},
    "flag": {"role": "outcome", "dtype": "category"},
    "told": {"role": "outcome", **ISO},
    "due": {"role": "outcome", **ISO},
    "repaid": {"role": "outcome", **ISO},
}
LOAN = {"opened": "2016-01-15", "amount": "1000", "days": "30"}
CHARGED_OFF = {"kind": "charged_off", "date": "written_off", "status": "state", "bad_status": "CHGOFF"}
FLAG = {"kind": "ready_flag", "flag": "flag", "bad": 1, "good": "0"}
REPAYMENT = {"kind": "repayment_dates", "due": "due", "repaid": "repaid", "threshold": 15}


def portfolio(definition: dict[str, Any], **label: Any) -> PortfolioSpec:
    base = spec().model_dump(mode="json")
    base["columns"], base["ratios"] = COLUMNS, {}
    base["tape"] = {"path": "unused.csv", "first_cohort": "2015-01", "as_of": "2030-01-01", "reject_tolerance": 1}
    base["label"] = {"name": "bad", "horizon_months": 12, "definition": definition, **label}
    base["windows"] |= {"gap": 14, "first_production": "2018-01"}
    return PortfolioSpec.model_validate(base)


def loans(*rows: dict[str, str], cohort: str = "2016-01") -> pl.DataFrame:
    filled = [{"cohort": cohort, "loan_id": str(i + 1), **LOAN, **row} for i, row in enumerate(rows)]
    names = dict.fromkeys(name for row in filled for name in row)
    return pl.DataFrame(
        [{n: row.get(n) or None for n in names} for row in filled], schema=dict.fromkeys(names, pl.String)
    )


def judged(of: PortfolioSpec, rows: pl.DataFrame, as_of: date = FAR) -> pl.DataFrame:
    return label_rows(of, JAN, rows, outcome_events(of, rows, None, as_of), as_of).drop("cohort")


# Charged off ------------------------------------------------------------------------------------------------------


def test_a_charge_off_within_the_horizon_of_disbursement_is_bad() -> None:
    of = portfolio(CHARGED_OFF)
    rows = loans(
        {"state": "CHGOFF", "written_off": "2017-01-31"},  # the last day of month 12 on book
        {"state": "CHGOFF", "written_off": "2017-02-01"},
        {"state": "P I F"},
    )
    assert outcome_events(of, rows, None, FAR).drop("cohort").rows() == [
        ("1", "charged_off", date(2017, 1, 31), date(2017, 1, 31), None),
        ("2", "charged_off", date(2017, 2, 1), date(2017, 2, 1), None),
    ]
    assert judged(of, rows)["label"].to_list() == [1, 0, 0]
    assert judged(of, rows)["known_from"].to_list() == [KNOWN] * 3


def test_the_status_decides_over_a_date_of_charge_off() -> None:
    """The SBA's file has loans paid in full with a day of charge-off: charged off in error, or recovered."""
    rows = loans({"state": "P I F", "written_off": "2016-06-30"}, {"state": "", "written_off": "2016-06-30"})
    assert judged(portfolio(CHARGED_OFF), rows)["label"].to_list() == [0, 0]
    by_date = {"kind": "charged_off", "date": "written_off"}
    assert judged(portfolio(by_date), rows)["label"].to_list() == [1, 1]


def test_a_charge_off_on_a_day_nobody_can_say_is_neither_bad_nor_good() -> None:
    of = portfolio(CHARGED_OFF)
    rows = loans({"state": "CHGOFF"}, {"state": "P I F"})
    assert outcome_events(of, rows, None, FAR).rows() == [("2016-01", "1", "charged_off_undated", FAR, FAR, None)]
    assert judged(of, rows).rows() == [
        ("1", None, "indeterminate", KNOWN, None),
        ("2", 0, "good", KNOWN, None),
    ]


def test_a_reporting_delay_moves_when_a_charge_off_was_known() -> None:
    of = portfolio(CHARGED_OFF, reporting_delay_days=20)
    rows = loans({"state": "CHGOFF", "written_off": "2017-01-31"})
    assert outcome_events(of, rows, None, FAR)["known_from"].to_list() == [date(2017, 2, 20)]
    assert judged(of, rows)["known_from"].to_list() == [date(2017, 2, 20)]


def test_a_charge_off_before_the_loan_is_rejected(tmp_path: Path) -> None:
    rows = [
        {"number": "1", **LOAN, "state": "CHGOFF", "written_off": "1991-12-19"},
        {"number": "2", **LOAN, "state": "CHGOFF", "written_off": "2016-01-15"},
    ]
    rows = [{name: row.get(name, "") for name in COLUMNS} for row in rows]
    tape = staged(tmp_path, rows, portfolio=portfolio(CHARGED_OFF))
    assert tape.accounting.rejected == {"charged off before origination": 1}


# Ready flag -------------------------------------------------------------------------------------------------------


def test_a_flag_is_known_when_the_horizon_has_passed() -> None:
    of = portfolio(FLAG)
    rows = loans({"flag": "1"}, {"flag": "0"}, {"flag": ""}, {"flag": "10"})
    assert judged(of, rows).rows() == [
        ("1", 1, "bad", KNOWN, None),
        ("2", 0, "good", KNOWN, None),
        ("3", None, "indeterminate", KNOWN, None),
        ("4", None, "indeterminate", KNOWN, None),
    ]
    early = judged(of, rows, KNOWN - timedelta(days=1))
    assert early["status"].unique().to_list() == ["unknown"]


def test_a_flag_with_a_day_is_known_from_that_day_good_or_bad() -> None:
    of = portfolio({**FLAG, "known_from": "told"})
    rows = loans(
        {"flag": "1", "told": "2016-05-05"},  # told early: the cohort is known as a whole
        {"flag": "1", "told": "2017-03-03"},
        {"flag": "0", "told": "2017-04-04"},
        {"flag": "0"},
    )
    found = judged(of, rows)
    assert found.rows() == [
        ("1", 1, "bad", KNOWN, None),
        ("2", 1, "bad", date(2017, 3, 3), None),
        ("3", 0, "good", date(2017, 4, 4), None),
        ("4", 0, "good", KNOWN, None),
    ]
    view = label_view(label_rows(of, JAN, rows, outcome_events(of, rows, None, FAR), FAR), date(2017, 3, 3))
    assert view["label"].to_list() == [1, 1, None, 0]
    # As the tape looked on that day the third loan was not told of: unknown, not indeterminate and not good.
    assert judged(of, rows, date(2017, 3, 3))["status"].to_list() == ["bad", "bad", "unknown", "good"]


@pytest.mark.parametrize("value", [True, False])
def test_what_yaml_reads_as_true_is_refused(value: bool) -> None:
    with pytest.raises(ValidationError, match="put it in quotes"):
        portfolio({**FLAG, "bad": value})


# Due and repayment dates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repaid", "label"),
    [("2016-02-14", 0), ("2016-02-29", 0), ("2016-03-01", 1), ("", 1), ("2016-01-15", 0)],
)
def test_later_than_due_and_the_threshold_is_bad(repaid: str, label: int) -> None:
    rows = loans({"due": "2016-02-14", "repaid": repaid})
    for definition in (REPAYMENT, {**REPAYMENT, "due": None, "term_days": "days"}):
        of = portfolio(definition, horizon_months=3)
        late = outcome_events(of, rows, None, FAR).filter(pl.col("event") == "dpd15")
        assert late["event_date"].to_list() == [date(2016, 2, 29)] * label
        assert judged(of, rows).rows() == [("1", label, ("good", "bad")[label], date(2016, 4, 30), None)]


def test_nobody_is_late_before_the_day_and_a_late_repayment_does_not_undo_it() -> None:
    of = portfolio(REPAYMENT, horizon_months=3, reporting_delay_days=2)
    rows = loans({"due": "2016-02-14", "repaid": "2016-03-20"})
    assert outcome_events(of, rows, None, date(2016, 3, 1)).height == 0
    assert outcome_events(of, rows, None, date(2016, 3, 2)).drop("cohort").rows() == [
        ("1", "dpd15", date(2016, 2, 29), date(2016, 3, 2), None)
    ]
    assert judged(of, rows)["label"].to_list() == [1]


def test_a_loan_without_a_due_date_has_no_label() -> None:
    assert judged(portfolio(REPAYMENT), loans({"repaid": "2016-02-14"}))["status"].to_list() == ["indeterminate"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 120), st.one_of(st.none(), st.integers(0, 200)), st.integers(1, 60), st.integers(1, 4))
def test_repayment_against_a_diary_of_every_day(term: int, repaid: int | None, threshold: int, horizon: int) -> None:
    opened = date(2016, 1, 15)
    of = portfolio({**REPAYMENT, "due": None, "term_days": "days", "threshold": threshold}, horizon_months=horizon)
    back = "" if repaid is None else str(opened + timedelta(days=repaid))
    days_late = [
        max(0, day - term) if repaid is None or repaid > day else 0
        for day in range(((JAN + horizon).last_day - opened).days + 1)
    ]
    bad = any(late >= threshold for late in days_late)
    assert judged(of, loans({"days": str(term), "repaid": back}))["label"].to_list() == [int(bad)]


def test_a_horizon_that_ends_before_loans_can_be_late_is_refused() -> None:
    """A horizon of 2 months on loans of up to 90 days: the long ones all counted as good."""
    of = portfolio(REPAYMENT | {"threshold": 30}, horizon_months=2)
    short, long_ = {"due": "2016-02-10"}, {"due": "2016-04-10"}
    require_horizon(of, loans(*[short] * 99, long_))
    require_horizon(of, loans(*[short] * 20, *[long_] * 4))
    with pytest.raises(SpecError, match="horizon_months is 2, but 6% of the loans of 2016-01") as told:
        require_horizon(of, loans(*[short] * 94, *[long_] * 6))
    assert told.value.expected == "horizon_months: 4 or more"
    require_horizon(portfolio(REPAYMENT | {"threshold": 30}, horizon_months=4), loans(*[long_] * 9))


def test_repaid_before_origination_is_rejected(tmp_path: Path) -> None:
    rows = [{"number": "1", **LOAN, "due": "2016-02-14", "repaid": "2016-01-14"}, {"number": "2", **LOAN}]
    rows = [{name: row.get(name, "") for name in COLUMNS} for row in rows]
    tape = staged(tmp_path, rows, portfolio=portfolio(REPAYMENT))
    assert tape.accounting.rejected == {"repaid before origination": 1}


# Declarations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"kind": "charged_off"}, "give date, .* or status"),
        ({"kind": "charged_off", "status": "state"}, "status and bad_status go together"),
        ({**CHARGED_OFF, "bad_status": "CHG("}, "not a regular expression"),
        ({**CHARGED_OFF, "date": "state"}, "'state' of dtype category, expected a date"),
        ({**CHARGED_OFF, "status": "amount"}, "'amount' of role feature, expected an outcome"),
        ({**CHARGED_OFF, "version": 2}, "Input should be 1"),
        ({**FLAG, "known_from": "flag"}, "'flag' of dtype category, expected a date"),
        ({**REPAYMENT, "term_days": "days"}, "give either due"),
        ({**REPAYMENT, "due": None}, "give either due"),
        ({**REPAYMENT, "due": None, "term_days": "state"}, "'state' of dtype category, expected a number"),
        ({**REPAYMENT, "due": "number"}, "'number' of role id, expected a feature or an outcome"),
        ({**REPAYMENT, "repaid": "gone"}, r"'gone' \(label\.definition\.repaid\)"),
    ],
)
def test_a_definition_that_cannot_be_obeyed_is_refused(definition: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        portfolio(definition)


def test_a_definition_says_its_version_and_the_first_two_are_hashed_as_before() -> None:
    assert portfolio(CHARGED_OFF).label.definition.model_dump()["version"] == 1
    assert "version" not in spec().label.definition.model_dump()
    assert spec().label.definition.version == 1


# Dates as these tapes write them -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "cell", "day"),
    [
        ({"format": "%Y-%m-%d %H:%M:%S%.f"}, "2017-07-25 08:22:56.000000", date(2017, 7, 25)),
        ({"format": "%Y-%m-%d %H:%M:%S.%f"}, "2017-07-25 23:59:59.999999", date(2017, 7, 25)),
        ({"format": "%Y-%m-%d %H:%M:%S"}, "2017-07-25 08:22:56", date(2017, 7, 25)),
        ({"format": ["%d-%b-%y", "%m/%d/%Y"]}, "2/28/1997", date(1997, 2, 28)),
        ({"format": ["%d-%b-%y", "%m/%d/%Y"]}, "28-Feb-97", date(1997, 2, 28)),
        ({"format": ["%m/%d/%Y", "%m/%d/%y"]}, "2/28/97", date(1997, 2, 28)),
        ({"format": ["%d-%b-%y", "%m/%d/%Y"]}, "1997-02-28", None),
        ({"format": "%d-%b-%y"}, "1-Jul-69", date(2069, 7, 1)),
        ({"format": "%d-%b-%y"}, "1-Jul-70", date(1970, 7, 1)),
        ({"format": "%d-%b-%y", "two_digit_years_from": 1920}, "1-Jul-60", date(1960, 7, 1)),
        ({"format": "%d-%b-%y", "two_digit_years_from": 1920}, "1-Jul-19", date(2019, 7, 1)),
        ({"format": "%d-%b-%y", "two_digit_years_from": 1920}, "29-Feb-20", date(1920, 2, 29)),
        ({"format": "%d-%b-%y", "two_digit_years_from": 2000}, "1-Jul-99", date(2099, 7, 1)),
        ({"format": ["%Y-%m-%d", "%d-%b-%y"], "two_digit_years_from": 1920}, "2060-01-02", date(2060, 1, 2)),
    ],
)
def test_dates_are_read_as_declared(declared: dict[str, Any], cell: str, day: date | None) -> None:
    column = Column.model_validate({"role": "outcome", "dtype": "date", **declared})
    assert columns.days(pl.Series([cell, None]), column).to_list() == [day, None]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"format": "%Y-%m-%d", "two_digit_years_from": 1920}, "two-digit years"),
        ({"format": ["%Y-%m-%d", "%b-%Y"]}, "some say the day and some only the month"),
        ({"format": []}, "needs a format"),
    ],
)
def test_a_date_format_that_says_two_things_is_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Column.model_validate({"role": "outcome", "dtype": "date", **declared})


def test_an_undeclared_pivot_and_format_leave_what_is_hashed_as_it_was() -> None:
    dumped = Column.model_validate({"role": "outcome", "dtype": "date", "format": "%b-%Y"}).model_dump(mode="json")
    assert dumped["format"] == "%b-%Y"
    assert "two_digit_years_from" not in dumped
