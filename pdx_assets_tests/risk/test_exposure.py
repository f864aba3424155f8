"""Exposure: partly observed cohorts as weighted loans, against loan-months, the future, and the truth."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.exposure import clock, exposure, months_seen, standing
from pdx_assets.risk.outcomes import EVENT_SCHEMA
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets_tests.risk.small_tape import PANEL_LABEL, spec

ON = date(2016, 7, 1)


def panel_spec(**label: object) -> PortfolioSpec:
    panel = {"path": "x", "status": "state"}
    tape = {"path": "x", "first_cohort": "2015-01", "performance": panel}
    return spec(label=PANEL_LABEL | label, tape=tape, windows={"gap": 14})


def loans(*originated: date) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "cohort": [f"{d:%Y-%m}" for d in originated],
            "loan_id": [str(i) for i in range(len(originated))],
            "originated": list(originated),
        },
        schema_overrides={"originated": pl.Date},
    )


def events(*rows: tuple[str, str, str, date, date, date | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=EVENT_SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("month", "on", "delay", "seen"),
    [
        ("2016-01", date(2016, 7, 1), 0, 5),  # the end of June is the fifth month's
        ("2016-01", date(2016, 6, 30), 0, 5),
        ("2016-01", date(2016, 6, 29), 0, 4),
        ("2016-01", date(2016, 7, 1), 10, 4),
        ("2016-01", date(2016, 7, 10), 10, 5),
        ("2016-06", date(2016, 7, 1), 0, 0),
        ("2016-08", date(2016, 7, 1), 0, 0),
    ],
)
def test_a_month_is_seen_once_its_events_are_reported(month: str, on: date, delay: int, seen: int) -> None:
    assert months_seen(Month.parse(month), on, delay) == seen


def test_how_loans_stand_on_the_decision_date() -> None:
    born = date(2016, 1, 20)
    happened = date(2016, 5, 31)
    found = standing(
        panel_spec(),
        loans(born, born, born, born, date(2014, 1, 5)),
        events(
            ("2016-01", "0", "dpd90", happened, happened, None),
            ("2016-01", "1", "dpd90", happened, date(2016, 7, 2), None),  # known too late
            ("2016-01", "2", "dpd90", happened, happened, date(2016, 6, 30)),  # taken back
            ("2016-01", "3", "paid_off", happened, happened, None),  # good, and seen no further than its cohort
            ("2014-01", "4", "dpd90", date(2016, 3, 31), date(2016, 3, 31), None),  # beyond the horizon
        ),
        on=ON,
    )
    assert found.sort("loan_id").select("bad", "month").rows() == [
        (True, 4),
        (False, 5),
        (False, 5),
        (False, 5),
        (False, 12),
    ]


DAYS = st.dates(date(2016, 1, 1), date(2017, 12, 31))


@settings(max_examples=60, deadline=None)
@given(
    past=st.lists(st.tuples(st.integers(0, 5), DAYS, st.integers(0, 60)), max_size=12),
    future=st.lists(st.tuples(st.integers(0, 5), DAYS, st.integers(1, 400)), max_size=12),
)
def test_nothing_known_after_the_decision_date_matters(
    past: list[tuple[int, date, int]], future: list[tuple[int, date, int]]
) -> None:
    born = [date(2015, 9 + i % 4, 3) for i in range(6)]
    some = loans(*born)

    def event(i: int, day: date, known: date) -> tuple[str, str, str, date, date, None]:
        return (f"{born[i]:%Y-%m}", str(i), "dpd90", day, known, None)

    def known_in(days: int, day: date) -> date:
        return date.fromordinal(day.toordinal() + days)

    seen = [event(i, day, known_in(k, day)) for i, day, k in past]
    later = [event(i, day, known_in(k, max(day, ON))) for i, day, k in future]
    before = standing(panel_spec(), some, events(*(e for e in seen if e[4] <= ON)), on=ON)
    assert standing(panel_spec(), some, events(*seen, *later), on=ON).equals(before)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.floats(0.1, 5)), min_size=1, max_size=60), st.booleans())
def test_the_clock_is_the_life_table_of_loan_months(rows: list[tuple[bool, int, float]], weighted: bool) -> None:
    # One loan seen to the end, and one that turned bad, so that the clock has an end.
    rows = [*((b and m > 0, m, w) for b, m, w in rows), (False, 6, 1.0), (True, 3, 1.0)]
    bad, month = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    weight = np.array([r[2] for r in rows]) if weighted else np.ones(len(rows))
    cumulative, expected = 0.0, [0.0]
    for k in range(1, 7):
        at_risk = sum(w for m, w in zip(month, weight, strict=True) if m >= k)
        turned = sum(w for b, m, w in zip(bad, month, weight, strict=True) if b and m == k)
        cumulative += -np.log(1 - min(turned / at_risk, 1 - 1e-12)) if at_risk else 0.0
        expected.append(cumulative)
    got = clock(bad, month, 6, weight if weighted else None)
    assert got == pytest.approx(np.array(expected) / expected[-1], rel=1e-9)
    assert got[0] == 0
    assert got[-1] == pytest.approx(1)
    assert (np.diff(got) >= 0).all()


def test_a_clock_without_an_end_is_refused() -> None:
    with pytest.raises(TrainingError, match="longest seen has 4"):
        clock(np.array([True, False]), np.array([3, 4]), 12)
    with pytest.raises(TrainingError, match="0 of 2 loans turned bad"):
        clock(np.array([False, False]), np.array([12, 12]), 12)


def test_complete_cohorts_weigh_as_in_the_ordinary_fit() -> None:
    bad, month = np.array([True, False, True, False]), np.array([4, 12, 9, 12])
    assert exposure(bad, month, clock(bad, month, 12)).tolist() == [1, 1, 1, 1]


def test_partly_observed_cohorts_recover_the_whole_horizon() -> None:
    """Half the loans are seen for five months of twelve. Counted as good they would pull the rate down by a
    third; weighted, their rate and their log-odds by group are those of the same loans seen to the end.
    """
    rng = np.random.default_rng(7)
    n = 400_000
    risky = rng.random(n) < 0.5
    survival = np.where(risky, 0.85, 0.96)
    u = np.concatenate([np.zeros(4), np.linspace(0, 1, 10)[1:]])  # nothing can happen before month 4
    draw = -np.log(rng.random(n)) / -np.log(survival)
    age = np.searchsorted(u, draw)  # 13 and beyond: never within the horizon
    seen = np.where(rng.random(n) < 0.5, 5, 12)
    bad = age <= seen
    month = np.where(bad, age, seen)
    weight = exposure(bad, month, clock(bad, month, 12))
    for group in (risky, ~risky):
        truth = 1 - survival[group][0]
        weighed = np.average(bad[group], weights=weight[group])
        assert weighed == pytest.approx(truth, rel=0.03)
        assert bad[group].mean() < 0.7 * truth


def test_who_turned_bad_in_a_month_not_reported_whole_has_stood_until_then() -> None:
    """Delay 45 days: on 1 July May is not told of whole, and a bad of 10 May is known already.

    Good loans cannot be seen in May; if bads were, the youngest cohorts would be all bad.
    """
    born, early = date(2016, 1, 20), date(2016, 5, 10)
    known = early + timedelta(days=45)
    found = standing(
        panel_spec(reporting_delay_days=45),
        loans(born, born, date(2016, 5, 2)),
        events(
            ("2016-01", "0", "dpd90", early, known, None),
            ("2016-01", "1", "dpd90", date(2016, 4, 30), date(2016, 6, 14), None),
            ("2016-05", "2", "dpd90", early, known, None),
        ),
        on=ON,
    )
    assert found.sort("loan_id").select("bad", "month").rows() == [(False, 3), (True, 3), (False, 0)]


@pytest.mark.parametrize("delay", [0, 45])
def test_a_reporting_delay_moves_no_bad_rate(delay: int) -> None:
    """Loans of one constant hazard, turning bad on any day: weighted, their rate is that of the whole horizon."""
    rng, rate = np.random.default_rng(3), 0.12
    turned, born = [], []
    for i in range(24_000):
        # Six cohorts of complete age and six young ones.
        born.append(date(2014, 7 + i % 6, 1) if i % 12 < 6 else date(2016, 1 + i % 6, 1))
        turned.append(born[-1] + timedelta(days=int(rng.exponential(365 / -np.log(1 - rate)))))
    some = loans(*born)
    told = events(
        *(
            (f"{b:%Y-%m}", str(i), "dpd90", t, t + timedelta(days=delay), None)
            for i, (b, t) in enumerate(zip(born, turned, strict=True))
        )
    )
    stood = standing(panel_spec(reporting_delay_days=delay), some, told, on=ON)
    bad, month = stood["bad"].to_numpy(), stood["month"].to_numpy()
    weight = exposure(bad, month, clock(bad, month, 12))
    young = stood["cohort"].to_numpy() >= "2016-01"
    within = np.array([(t.year - b.year) * 12 + t.month - b.month <= 12 for b, t in zip(born, turned, strict=True)])
    assert np.average(bad, weights=weight) == pytest.approx(within.mean(), rel=0.04)
    assert np.average(bad[young], weights=weight[young]) == pytest.approx(within.mean(), rel=0.1)
