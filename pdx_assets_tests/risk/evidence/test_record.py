"""A month's evidence: what it refuses, that it survives storage, which months are the latest."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pytest

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.evidence.record import (
    MonthRecord,
    bads_of,
    latest,
    month_evidence,
    read_month,
    refuse_seen,
    shared,
)
from pdx_assets.risk.hashing import canonical_json
from pdx_assets_tests.risk.evidence.records import FIRST, drawn, stated

COHORT = Month(2016, 3)


def test_an_event_after_the_cohort_began_is_refused_and_one_on_its_first_day_is_not() -> None:
    refuse_seen(COHORT, {"a b": date(2016, 3, 1), "c d": date(2015, 1, 1)})
    with pytest.raises(DecisionError, match=r"Cohort 2016-03 cannot judge .*a b learned from 2016-03-02") as failure:
        refuse_seen(COHORT, {"a b": date(2016, 3, 2), "c d": date(2016, 3, 1)})
    assert "c d" not in str(failure.value)


@pytest.mark.parametrize("days", [0, 1, 400])
def test_a_record_holds_the_rule(days: int) -> None:
    record = MonthRecord(
        COHORT, [1, 1, 0, 0], None, {"a b": [0.4, 0.3, 0.2, 0.3]}, {"a b": COHORT.first_day + timedelta(days=days)}
    )
    if days:
        with pytest.raises(DecisionError, match="learned from"):
            month_evidence(record)
    else:
        assert month_evidence(record) is not None


def test_a_model_whose_last_event_is_not_told_is_refused() -> None:
    with pytest.raises(DecisionError, match=r"the last event that a b learned from is not told"):
        month_evidence(MonthRecord(COHORT, [1, 0], None, {"a b": [0.4, 0.3]}, {}))


def test_it_survives_storage_to_the_last_bit_whatever_the_order_of_recipes() -> None:
    found = drawn(4, {"z last": 0.5, "a first": 0.9, "m between": 0.2})
    assert list(found.areas) == ["a first", "m between", "z last"]
    assert read_month(json.loads(canonical_json(found.document()))) == found
    assert found.variance("a first", "z last") == found.variance("z last", "a first") > 0
    assert found.variance("a first", "a first") == 0.0


def test_weights_enter_by_effective_sizes() -> None:
    label = np.repeat([1, 0], 50)
    weight = np.where(np.arange(100) % 10 == 0, 9.0, 1.0)
    pds = {"a b": np.linspace(0.1, 0.9, 100)}
    found = month_evidence(MonthRecord(COHORT, label, weight, pds, {"a b": COHORT.first_day}))
    assert found is not None
    assert found.bads == pytest.approx(90**2 / (5 * 81 + 45))


def test_months_without_two_bads_give_nothing() -> None:
    assert month_evidence(MonthRecord(COHORT, [1, 0, 0], None, {"a b": [1, 0, 0]}, {"a b": COHORT.first_day})) is None


def test_shared_months_have_every_recipe_and_are_in_order() -> None:
    months = [stated(2, {"a": 0.6, "b": 0.7}), stated(0, {"a": 0.6}), stated(1, {"a": 0.6, "b": 0.7})]
    assert [m.cohort for m in shared(months, ("a", "b"))] == [FIRST + 1, FIRST + 2]
    assert len(shared(months, ("a",))) == 3
    assert shared(months, ("a", "c")) == []


def test_the_latest_months_are_as_many_as_asked_and_more_until_they_hold_the_bads() -> None:
    months = [stated(k, {"a": 0.6}, bads=20) for k in (3, 1, 2, 0)]
    assert [m.cohort for m in latest(months, 2, 30)] == [FIRST + 2, FIRST + 3]
    assert [m.cohort for m in latest(months, 2, 50)] == [FIRST + 1, FIRST + 2, FIRST + 3]
    assert bads_of(latest(months, 2, 1000)) == 80, "too few: all there are"
    assert len(latest(months, 9, 1)) == 4
