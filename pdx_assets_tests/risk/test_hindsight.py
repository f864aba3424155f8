"""Labels that no decision date could know: refused, or accepted in so many words and marked."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import FirewallError, PdxError, WindowError
from pdx_assets.risk.outcomes import LABEL_SCHEMA, label_rows, outcome_events
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape_clock import on_day
from pdx_assets.risk.windows import Cohorts, build_manifest, labels_day
from pdx_assets_tests.risk.small_tape import loan, spec, staged
from pdx_assets_tests.risk.test_label_kinds import CHARGED_OFF, FLAG, JAN, REPAYMENT, judged, loans, portfolio

ACCEPTED = {"accepts_labels_not_knowable_in_time": True}
FAR = date(2030, 1, 1)
SHORT = {"gap": 3, "first_production": "2017-07"}


def label(**changes: Any) -> dict[str, Any]:
    return {**spec().label.model_dump(mode="json"), **changes}


def ever(definition: dict[str, Any]) -> PortfolioSpec:
    return portfolio(definition, horizon_months=None, **ACCEPTED)


# What loads ---------------------------------------------------------------------------------------------------------


def test_a_gap_below_the_horizon_loads_only_where_it_is_accepted() -> None:
    with pytest.raises(ValidationError, match=r"cohort 2017-03 is known on 2018-03-31.*accepts_labels_not_knowable"):
        spec(windows=SHORT)
    assert spec(windows=SHORT, label=label(**ACCEPTED)).hindsight
    assert not spec().hindsight


def test_accepting_it_for_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="marked for nothing"):
        spec(label=label(**ACCEPTED))


def test_ever_needs_the_acceptance_and_a_status_alone_needs_ever() -> None:
    with pytest.raises(ValidationError, match="horizon_months is null, so bad means ever"):
        portfolio(CHARGED_OFF, horizon_months=None)
    by_status = {"kind": "charged_off", "status": "state", "bad_status": "CHGOFF"}
    with pytest.raises(ValidationError, match="status alone does not say when"):
        portfolio(by_status)
    rows = loans({"state": "CHGOFF"}, {"state": "P I F"})
    assert judged(ever(by_status), rows)["label"].to_list() == [1, 0]


def test_what_is_hashed_of_other_labels_stays_as_it_was() -> None:
    assert set(spec().label.model_dump()) == {
        "name",
        "horizon_months",
        "reporting_delay_days",
        "definition",
        "indeterminate",
    }


# Ever ---------------------------------------------------------------------------------------------------------------


def test_ever_is_what_the_tape_says_at_its_as_of_date_and_known_from_no_earlier_day() -> None:
    rows = loans(
        {"state": "CHGOFF", "written_off": "2016-03-01"},
        {"state": "CHGOFF", "written_off": "2027-03-01"},
        {"state": "CHGOFF"},  # no day is needed
        {"state": "P I F"},
    )
    assert judged(ever(CHARGED_OFF), rows).rows() == [
        ("1", 1, "bad", FAR, None),
        ("2", 1, "bad", FAR, None),
        ("3", 1, "bad", FAR, None),
        ("4", 0, "good", FAR, None),
    ]
    assert judged(ever(FLAG), loans({"flag": "1"}, {"flag": "0"}))["label"].to_list() == [1, 0]
    late = loans({"due": "2016-02-14", "repaid": "2020-01-01"}, {"due": "2016-02-14", "repaid": "2016-02-14"})
    assert judged(ever(REPAYMENT), late)["known_from"].to_list() == [FAR, FAR]
    assert judged(ever(REPAYMENT), late)["label"].to_list() == [1, 0]


def test_a_clock_before_the_as_of_date_has_no_label_ever(tmp_path: Any) -> None:
    of = ever(CHARGED_OFF)
    row = {name: "" for name in of.columns} | {"number": "1", "opened": "2016-01-15", "amount": "1", "state": "P I F"}
    tape = staged(tmp_path, [row], portfolio=of)
    assert on_day(tape, of, FAR) is tape
    with pytest.raises(PdxError, match="is ever: what the tape says at its as-of date 2030-01-01, not on 2017-01-01"):
        on_day(tape, of, date(2017, 1, 1))


# Windows ------------------------------------------------------------------------------------------------------------


def book(of: PortfolioSpec, until: Month) -> tuple[list[Month], pl.DataFrame, pl.DataFrame]:
    """Two loans a month; the first turned bad by a correction long after every decision date."""
    months = list(of.periods.span(of.first_cohort, until))
    late = date(2026, 6, 1)
    rows: list[tuple[Any, ...]] = []
    for m in months:
        rows.append((str(m), f"{m}-0", 0, "good", of.known_on(m), late))
        rows.append((str(m), f"{m}-0", 1, "bad", late, None))
        rows.append((str(m), f"{m}-1", 0, "good", of.known_on(m), None))
    labels = pl.DataFrame(rows, schema=LABEL_SCHEMA, orient="row")
    return months, labels, labels.select("cohort", "loan_id").unique(maintain_order=True)


def test_windows_in_hindsight_take_the_newest_labels_and_say_so() -> None:
    of = spec(windows=SHORT, label=label(**ACCEPTED))
    months, labels, known = book(of, Month(2017, 3))
    cohorts = Cohorts({m: f"{m}-content" for m in months}, labels, known, {})
    manifest = build_manifest(of, "rolling_window", of.p0, cohorts, seed=0)
    assert manifest["label"]["hindsight"] is True
    assert (manifest["otv"]["bads"], manifest["otv"]["loans"]) == (3, 6)
    assert manifest["development"]["bads"] == 12
    assert labels_day(of, of.p0) == date.max
    # The same months under the plan that was not accepted: refused, month by month.
    strict = of.model_copy(update={"label": of.label.model_copy(update={"accepts_labels_not_knowable_in_time": False})})
    with pytest.raises(FirewallError, match=r"2016-12: 2 rows, known from 2017-12-31"):
        build_manifest(strict, "rolling_window", of.p0, cohorts, seed=0)
    assert "hindsight" not in build_manifest(spec(), "fixed_window", spec().p0, _known(), seed=0)["label"]


def _known() -> Cohorts:
    of = spec()
    months, labels, known = book(of, Month(2016, 6))
    return Cohorts({m: f"{m}-content" for m in months}, labels, known, {})


def test_a_loan_without_any_label_is_refused_in_hindsight_too() -> None:
    of = spec(windows=SHORT, label=label(**ACCEPTED))
    months, labels, known = book(of, Month(2017, 3))
    lost = labels.filter(pl.col("loan_id") != "2017-02-1")
    cohorts = Cohorts({m: f"{m}-content" for m in months}, lost, known, {})
    with pytest.raises(WindowError, match="1 loans have no label, in 2017-02"):
        build_manifest(of, "fixed_window", of.p0, cohorts, seed=0)


def test_labels_of_the_small_tape_are_the_same_with_and_without_acceptance() -> None:
    rows = pl.DataFrame([{"cohort": "2016-01", "loan_id": "1", **loan(1, last_paid="Feb-2016", state="Late")}])
    of = spec(windows=SHORT, label=label(**ACCEPTED))
    found = [label_rows(s, JAN, rows, outcome_events(s, rows, None, FAR), FAR).rows() for s in (of, spec())]
    assert found[0] == found[1]
