"""Events with known-from dates and labels as views of them, on hand-made loans and against an oracle."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.outcomes import EVENT_SCHEMA, LABEL_SCHEMA, label_rows, label_view, outcome_events
from pdx_assets.risk.tape import PERFORMANCE_SCHEMA
from pdx_assets_tests.risk.small_tape import PANEL_LABEL, loan, spec

JAN = Month(2016, 1)
FAR = date(2030, 1, 1)
KNOWN = date(2017, 1, 31)
"""The cohort of 2016-01 is known from the last day of 2017-01."""


def raw(*rows: dict[str, str], cohort: str = "2016-01") -> pl.DataFrame:
    cells = [{k: (v or None) for k, v in row.items()} for row in rows]
    schema = dict.fromkeys(("cohort", "loan_id", *rows[0]), pl.String)
    return pl.DataFrame([{"cohort": cohort, "loan_id": r["number"], **r} for r in cells], schema=schema)


# The rule for a single late snapshot -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last_paid", "state", "happened"),
    [
        ("", "Charged Off", date(2016, 5, 31)),  # never paid: m = 0
        ("Jan-2016", "Charged Off", date(2016, 5, 31)),
        ("Feb-2016", "Charged Off", date(2016, 6, 30)),
        ("Sep-2016", "Charged Off", date(2017, 1, 31)),  # m = 8: the last that is bad within 12 months
        ("Oct-2016", "Charged Off", date(2017, 2, 28)),
        ("Feb-2016", "Late (31-120 days)", date(2016, 6, 30)),
        ("Feb-2016", "Does not meet the credit policy. Status:Charged Off", date(2016, 6, 30)),
        ("Feb-2016", "Current", None),
        ("Feb-2016", "", None),
    ],
)
def test_ninety_days_past_due_four_months_after_the_last_payment(
    last_paid: str, state: str, happened: date | None
) -> None:
    events = outcome_events(spec(), raw(loan(1, last_paid=last_paid, state=state)), None, FAR)
    assert events.schema == EVENT_SCHEMA
    expected = [] if happened is None else [("2016-01", "1", "dpd90", happened, happened, None)]
    assert events.rows() == expected
    label = label_rows(spec(), JAN, raw(loan(1, last_paid=last_paid, state=state)), events, FAR)
    assert label.schema == LABEL_SCHEMA
    bad = happened is not None and happened <= KNOWN
    assert label.rows() == [("2016-01", "1", int(bad), "bad" if bad else "good", KNOWN, None)]


def test_payoff_is_dated_by_the_last_payment() -> None:
    loans = raw(loan(1, state="Fully Paid", last_paid="Jun-2016"), loan(2, state="Fully Paid", last_paid=""))
    assert outcome_events(spec(), loans, None, FAR).rows() == [
        ("2016-01", "1", "paid_off", date(2016, 6, 30), date(2016, 6, 30), None)
    ]


@pytest.mark.parametrize(("threshold", "month"), [(30, 2), (60, 3), (90, 4), (91, 5), (120, 5)])
def test_other_thresholds_fall_due_a_month_for_each_thirty_days(threshold: int, month: int) -> None:
    label = {**spec().label.model_dump()}
    label["definition"] = {**label["definition"], "threshold": threshold}
    events = outcome_events(spec(label=label), raw(loan(1, last_paid="", state="Late")), None, FAR)
    assert events.select("event", "event_date").rows() == [(f"dpd{threshold}", (JAN + month).last_day)]


def test_nothing_has_happened_after_the_as_of_date() -> None:
    loans = raw(loan(1, last_paid="Feb-2016", state="Late"))
    assert outcome_events(spec(), loans, None, date(2016, 6, 29)).height == 0
    assert outcome_events(spec(), loans, None, date(2016, 6, 30)).height == 1


def test_a_reporting_delay_moves_what_was_known_not_what_happened() -> None:
    delayed = spec(
        label={**spec().label.model_dump(), "reporting_delay_days": 10},
        windows={"gap": 13, "first_production": "2017-08"},
    )
    loans = raw(loan(1, last_paid="Feb-2016", state="Late"))
    (row,) = outcome_events(delayed, loans, None, FAR).rows()
    assert row[3:] == (date(2016, 6, 30), date(2016, 7, 10), None)
    assert outcome_events(delayed, loans, None, date(2016, 7, 9)).height == 0


# Labels ------------------------------------------------------------------------------------------------------------


def test_before_the_horizon_has_passed_a_label_is_unknown_never_good() -> None:
    loans = raw(loan(1, last_paid="", state="Charged Off"), loan(2))
    for as_of, known in ((KNOWN - timedelta(days=1), False), (KNOWN, True)):
        events = outcome_events(spec(), loans, None, as_of)
        assert events.height == 1, "the event itself is there from the first month"
        labels = label_rows(spec(), JAN, loans, events, as_of)
        assert labels["label"].to_list() == ([1, 0] if known else [None, None])
        assert labels["status"].to_list() == (["bad", "good"] if known else ["unknown"] * 2)
        assert labels["known_from"].to_list() == [KNOWN if known else None] * 2


def test_an_indeterminate_loan_has_no_label() -> None:
    rule = {"name": "settled", "column": "purpose", "equals": "settled"}
    portfolio = spec(label={**spec().label.model_dump(), "indeterminate": [rule]})
    loans = raw(loan(1, purpose="settled", last_paid="", state="Charged Off"), loan(2))
    labels = label_rows(portfolio, JAN, loans, outcome_events(portfolio, loans, None, FAR), FAR)
    assert labels.drop("cohort").rows() == [("1", None, "indeterminate", KNOWN, None), ("2", 0, "good", KNOWN, None)]


def test_a_rule_on_an_outcome_column_overrules_a_label_only_once_it_could_be_read() -> None:
    """A status of 2019 used to take loans out of windows of 2017, whose decision date could not have known it."""
    rule = {"name": "late", "column": "state", "equals": "Late"}
    portfolio = spec(label={**spec().label.model_dump(), "indeterminate": [rule]})
    loans = raw(loan(1, last_paid="Jan-2019", state="Late"), loan(2, last_paid="", state="Late"), loan(3))
    labels = label_rows(portfolio, JAN, loans, outcome_events(portfolio, loans, None, FAR), FAR)
    assert labels.drop("cohort").rows() == [
        ("1", 0, "good", KNOWN, FAR),
        ("1", None, "indeterminate", FAR, None),
        ("2", 1, "bad", KNOWN, FAR),
        ("2", None, "indeterminate", FAR, None),
        ("3", 0, "good", KNOWN, None),
    ]
    # On a tape drawn on the very day the horizon ends nothing was known before it.
    labels = label_rows(portfolio, JAN, loans, outcome_events(portfolio, loans, None, KNOWN), KNOWN)
    assert labels["status"].to_list() == ["indeterminate", "indeterminate", "good"]


def test_the_horizon_counts_from_the_loans_own_month_in_a_quarter() -> None:
    windows = {"frequency": "quarter", "development": 4, "otv": 1, "gap": 5, "first_production": "2018-01"}
    portfolio = spec(windows=windows)
    loans = raw(
        loan(1, opened="Jan-2016", last_paid="Oct-2016", state="Late"),  # past due in its month 13
        loan(3, opened="Mar-2016", last_paid="Nov-2016", state="Late"),  # past due in its month 12
    )
    labels = label_rows(portfolio, JAN, loans, outcome_events(portfolio, loans, None, FAR), FAR)
    assert labels.select("label", "known_from").rows() == [(0, date(2017, 3, 31)), (1, date(2017, 3, 31))]


def reports(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """Rows of loan, months on book, days past due, day reported (default the month's end), status."""
    filled = [
        (
            str(r[0]),
            (JAN + r[1]).last_day,
            r[2],
            r[4] if len(r) > 4 else None,
            r[3] if len(r) > 3 and r[3] else (JAN + r[1]).last_day,
        )
        for r in rows
    ]
    return pl.DataFrame(filled, schema=PERFORMANCE_SCHEMA, orient="row")


PANEL = spec(
    label=PANEL_LABEL,
    tape={"performance": {"path": "p", "reported_on": "reported_on", "status": "status"}, "as_of_columns": []},
)
LATE, LATER = date(2017, 5, 2), date(2017, 9, 9)


def views(panel: pl.DataFrame, *days: date) -> list[int | None]:
    loans = raw(loan(1))
    events = outcome_events(PANEL, loans, panel, FAR)
    labels = label_rows(PANEL, JAN, loans, events, FAR)
    return [label_view(labels, day)["label"].item() for day in days]


def test_the_first_crossing_is_the_event_and_a_cure_does_not_undo_it() -> None:
    panel = reports((1, 1, 60), (1, 2, 90), (1, 3, 120), (1, 4, 0), (1, 5, 90))
    events = outcome_events(PANEL, raw(loan(1)), panel, FAR)
    assert events.rows() == [("2016-01", "1", "dpd90", date(2016, 3, 31), date(2016, 3, 31), None)]


def test_days_past_due_in_month_twelve_count_and_in_month_thirteen_do_not() -> None:
    assert views(reports((1, 12, 90)), KNOWN) == [1]
    assert views(reports((1, 13, 90)), date(2017, 6, 1)) == [0]


def test_an_event_reported_late_supersedes_the_label_from_then_on() -> None:
    assert views(reports((1, 5, 0), (1, 5, 90, LATE)), KNOWN, LATE - timedelta(days=1), LATE, FAR) == [0, 0, 1, 1]


def test_an_event_taken_back_supersedes_the_label_back_to_good() -> None:
    panel = reports((1, 5, 90), (1, 5, 0, LATE))
    loans = raw(loan(1))
    events = outcome_events(PANEL, loans, panel, FAR)
    assert events.select("event_date", "known_from", "withdrawn_from").rows() == [
        (date(2016, 6, 30), date(2016, 6, 30), LATE)
    ]
    labels = label_rows(PANEL, JAN, loans, events, FAR)
    assert labels.drop("cohort").rows() == [("1", 1, "bad", KNOWN, LATE), ("1", 0, "good", LATE, None)]


def test_a_withdrawn_month_leaves_the_later_month_standing() -> None:
    panel = reports((1, 5, 90), (1, 6, 120), (1, 5, 0, LATE))
    assert views(panel, KNOWN, FAR) == [1, 1]
    events = outcome_events(PANEL, raw(loan(1)), panel, FAR)
    assert events["event_date"].to_list() == [date(2016, 6, 30), date(2016, 7, 31)]


def test_months_reported_together_make_one_event() -> None:
    panel = reports((1, 5, 90, LATE), (1, 6, 120, LATE), (1, 7, 150, LATER))
    assert outcome_events(PANEL, raw(loan(1)), panel, FAR)["event_date"].to_list() == [date(2016, 6, 30)]


def test_a_report_ahead_of_the_months_end_tells_of_it_no_earlier_than_it_happens() -> None:
    (row,) = outcome_events(PANEL, raw(loan(1)), reports((1, 5, 90, date(2016, 6, 20))), FAR).rows()
    assert row[3:5] == (date(2016, 6, 30), date(2016, 6, 30))


def test_back_and_forth_makes_a_version_each_time() -> None:
    panel = reports((1, 5, 90), (1, 5, 0, LATE), (1, 5, 90, LATER))
    assert views(panel, KNOWN, LATE, LATER) == [1, 0, 1]


def test_the_later_row_of_two_reports_from_one_day_holds() -> None:
    assert views(reports((1, 5, 90, LATE), (1, 5, 0, LATE)), FAR) == [0]
    assert views(reports((1, 5, 0, LATE), (1, 5, 90, LATE)), FAR) == [1]


def test_reports_after_the_as_of_date_do_not_exist() -> None:
    panel = reports((1, 5, 0), (1, 5, 90, LATE))
    assert outcome_events(PANEL, raw(loan(1)), panel, LATE - timedelta(days=1)).height == 0
    assert outcome_events(PANEL, raw(loan(1)), panel, LATE).height == 1


def test_charge_off_and_payoff_come_from_the_panels_status() -> None:
    panel = reports((1, 6, 180, None, "charged_off"), (2, 3, 0, None, "Prepaid"), (3, 3, 0, None, "current"))
    events = outcome_events(PANEL, raw(loan(1), loan(2), loan(3)), panel, FAR)
    assert events.select("loan_id", "event", "event_date").rows() == [
        ("1", "charged_off", date(2016, 7, 31)),
        ("1", "dpd90", date(2016, 7, 31)),
        ("2", "paid_off", date(2016, 4, 30)),
    ]


def test_a_cohort_without_performance_rows_has_no_events_and_good_labels_when_known() -> None:
    empty = reports()
    for panel in (empty, None):
        events = outcome_events(PANEL, raw(loan(1)), panel, FAR)
        assert events.schema == EVENT_SCHEMA and events.height == 0
    assert label_rows(PANEL, JAN, raw(loan(1)), events, FAR)["label"].to_list() == [0]


def test_a_view_has_one_row_for_every_loan_of_every_cohort() -> None:
    loans = raw(loan(1), loan(2))
    labels = label_rows(PANEL, JAN, loans, outcome_events(PANEL, loans, reports((1, 5, 90), (1, 5, 0, LATE)), FAR), FAR)
    assert labels.height == 3
    for day in (date(2016, 1, 1), KNOWN, LATE, FAR):
        view = label_view(labels, day)
        assert view["loan_id"].to_list() == ["1", "2"]
        assert (view["status"] == "unknown").all() == (day < KNOWN)
    unknown = label_rows(PANEL, JAN, loans, outcome_events(PANEL, loans, None, FAR), date(2016, 6, 1))
    assert label_view(unknown, FAR)["status"].to_list() == ["unknown", "unknown"]


# Against an oracle that looks at the reports day by day --------------------------------------------------------

REPORT = st.tuples(st.integers(1, 14), st.sampled_from([0, 60, 90, 150]), st.integers(0, 500))


def first_bad_month(rows: list[tuple[int, int, date]], day: date) -> int | None:
    """The first month on book that, by the reports received until a day, was 90 days past due."""
    known: dict[int, int] = {}
    for month, due, _ in sorted((r for r in rows if r[2] <= day), key=lambda r: r[2]):
        known[month] = due
    bad = [m for m, due in known.items() if due >= 90]
    return min(bad) if bad else None


@settings(max_examples=80, deadline=None)
@given(st.lists(REPORT, max_size=8), st.integers(300, 900))
def test_events_and_labels_agree_with_the_reports_of_every_day(drawn: list[tuple[int, int, int]], horizon: int) -> None:
    rows = [(m, due, (JAN + m).last_day + timedelta(days=delay)) for m, due, delay in drawn]
    as_of = JAN.first_day + timedelta(days=horizon)
    loans = raw(loan(1))
    events = outcome_events(PANEL, loans, reports(*[(1, *row) for row in rows]), as_of)
    labels = label_rows(PANEL, JAN, loans, events, as_of)
    for day in {KNOWN, as_of, *(r[2] for r in rows), *(r[2] - timedelta(days=1) for r in rows)}:
        if day > as_of:
            continue
        standing = events.filter(
            (pl.col("known_from") <= day) & (pl.col("withdrawn_from").is_null() | (pl.col("withdrawn_from") > day))
        )
        month = first_bad_month(rows, day)
        assert standing["event_date"].min() == (None if month is None else (JAN + month).last_day)
        expected = None if day < KNOWN or as_of < KNOWN else int(month is not None and month <= 12)
        assert label_view(labels, day)["label"].item() == expected
