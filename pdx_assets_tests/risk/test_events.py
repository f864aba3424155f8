"""Recorded events: what a month obeys does not depend on what came later, nor on the order of reading."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.events import (
    Event,
    find_contestant,
    first_open_month,
    new_lift,
    new_rollback,
    obeyed,
    obeyed_sha256,
    read_events,
    rollback_in_force,
)
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.policy import Candidate, Choice, Contest, decision_document, in_charge_problem, rolled_back
from pdx_assets_tests.risk import small_tape

SPEC = small_tape.spec()  # p0 is 2017-07
P0 = SPEC.p0
HORIZON = 12


def bundle(name: str) -> Candidate:
    return Candidate(name * 64, "rolling_window", f"model_{name}", "2017-08", "2016-04", None)


def rollback(events: list[Event], name: str, month: Month) -> Event:
    return new_rollback(events, bundle(name), takes_effect=month, by="ann", at="2020-01-01T00:00:00+00:00", reason="r")


def lift(events: list[Event], month: Month) -> Event:
    return new_lift(events, takes_effect=month, by="ben", at="2020-01-02T00:00:00+00:00", reason="better")


# A life of a portfolio: months are scored one after the other, people give orders in between.
STEPS = st.lists(st.sampled_from(["score", "to a", "to b", "to c", "lift"]), max_size=20)


def live(steps: list[str]) -> tuple[list[Event], dict[Month, str]]:
    """The events recorded, and by month what was obeyed when its loans were scored; impossible orders are refused."""
    events: list[Event] = []
    scored: dict[Month, str] = {}
    for step in steps:
        opened = first_open_month(SPEC, scored)
        try:
            if step == "score":
                scored[opened] = obeyed_sha256(events, opened)
            elif step == "lift":
                events.append(lift(events, opened))
            else:
                events.append(rollback(events, step[-1], opened))
        except DecisionError:
            continue
    return events, scored


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_events_after_a_scored_month_never_change_it(steps: list[str]) -> None:
    events, scored = live(steps)
    for month, then in scored.items():
        assert obeyed_sha256(events, month) == then


@settings(max_examples=300, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_the_order_in_which_events_are_read_does_not_matter(steps: list[str], chance: random.Random) -> None:
    events, _ = live(steps)
    documents = [e.document() for e in events]
    chance.shuffle(documents)
    assert list(read_events(documents)) == events
    shuffled = chance.sample(events, len(events))
    for k in range(HORIZON):
        month = P0 + k
        assert obeyed(shuffled, month) == obeyed(events, month)
        assert rollback_in_force(shuffled, month) == rollback_in_force(events, month)
        assert obeyed_sha256(shuffled, month) == obeyed_sha256(events, month)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_what_is_in_force_is_the_last_order(steps: list[str]) -> None:
    """An independent reading: replay the life and keep one variable."""
    events, scored = live(steps)
    at = first_open_month(SPEC, scored)
    standing = None
    for step in steps:
        if step == "lift":
            standing = None
        elif step != "score":
            standing = step[-1]
    found = rollback_in_force(events, at)
    assert (found.bundle.algorithm[-1] if found and found.bundle else None) == standing


def test_without_events_the_hash_is_that_of_an_empty_list() -> None:
    """Decisions recorded before there were events keep their bytes."""
    assert obeyed_sha256((), P0) == document_sha256([])
    later = [rollback([], "a", P0 + 3)]
    assert obeyed_sha256(later, P0 + 2) == document_sha256([])
    assert obeyed_sha256(later, P0 + 3) != document_sha256([])


def test_a_rollback_planned_for_later_can_be_lifted_before() -> None:
    events = [rollback([], "a", P0 + 5)]
    events.append(lift(events, P0 + 2))
    assert all(rollback_in_force(events, P0 + k) is None for k in range(HORIZON))


def test_a_later_rollback_replaces_an_earlier_one() -> None:
    events = [rollback([], "a", P0 + 1)]
    events.append(rollback(events, "b", P0 + 3))
    named = [e.bundle.algorithm if (e := rollback_in_force(events, P0 + k)) and e.bundle else None for k in range(5)]
    assert named == [None, "model_a", "model_a", "model_b", "model_b"]


def test_the_first_open_month_follows_the_last_one_scored() -> None:
    assert first_open_month(SPEC, []) == P0
    assert first_open_month(SPEC, [P0 + 2, P0]) == P0 + 3, "a gap stays as it is: later loans were scored"


def test_orders_that_change_nothing_are_refused() -> None:
    with pytest.raises(DecisionError, match="none was ever recorded"):
        lift([], P0)
    events = [rollback([], "a", P0 + 1)]
    with pytest.raises(DecisionError, match=r"already, from 2017-08 on, by ann: r"):
        rollback(events, "a", P0 + 1)
    events.append(lift(events, P0 + 2))
    with pytest.raises(DecisionError, match="ben lifted the last one on 2020-01-02"):
        lift(events, P0 + 2)
    assert rollback(events, "a", P0 + 2).sequence == 3


def test_a_lost_event_is_noticed() -> None:
    events = [rollback([], "a", P0)]
    events.append(rollback(events, "b", P0))
    with pytest.raises(DecisionError, match="sequence numbers 2"):
        read_events([events[1].document()])
    with pytest.raises(DecisionError, match="Event 1 has a format"):
        read_events([events[0].document() | {"format_version": 2}])


# --- naming a model ---------------------------------------------------------------------------------


def decided(*digests: str) -> list[dict[str, Any]]:
    who = [{**bundle("a").__dict__, "bundle_sha256": d, "score": 0.7} for d in digests]
    return [{"champion": who[0], "incumbent": None, "contest": {"challengers": who}}]


def test_a_model_is_found_by_digest_or_prefix() -> None:
    record = decided("abcd1" + "0" * 59, "abcd2" + "0" * 59)
    assert find_contestant(record, "abcd1").bundle_sha256 == "abcd1" + "0" * 59
    assert find_contestant(record, "ABCD2" + "0" * 59).score is None


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("abcd", "2 models have a digest that begins with 'abcd'"),
        ("ffff", "No champion or challenger on record has the digest 'ffff'"),
        ("abc", "at least 4"),
        ("", "No champion"),
        ("xyz!", "abcd1000"),
    ],
)
def test_an_unknown_or_ambiguous_digest_is_told_with_those_there_are(prefix: str, words: str) -> None:
    with pytest.raises(DecisionError, match=words) as failure:
        find_contestant(decided("abcd1" + "0" * 59, "abcd2" + "0" * 59), prefix)
    assert "rolling window model a of 2017-08" in str(failure.value)


# --- the decision -----------------------------------------------------------------------------------


def month_rolled_back(score: float | None, unscored: dict[str, str]) -> dict[str, Any]:
    better = Candidate("b" * 64, "rolling_window", "xgboost", "2017-09", "2016-05", 0.8)
    contest = Contest(P0 + 2, (Month(2016, 6),), 100, 900, (better,), None, {}, unscored)
    contested = Choice("promoted", better, "It has the highest score.")
    choice = rolled_back(contested, Candidate(**{**bundle("a").__dict__, "score": score}), by="ann", why="bad PDs.")
    return decision_document(SPEC, contest, choice, inputs={}, at_cut_off={}, rollback={"event": 1})


def test_a_month_rolled_back_says_who_why_and_what_the_policy_would_have_done() -> None:
    found = month_rolled_back(0.6, {})
    assert found["decision"] == "rolled_back" and found["champion"]["score"] == 0.6
    assert found["reason"] == (
        "Rolled back to rolling window model a of 2017-08 by ann: bad PDs. Without that: It has the highest score."
    )
    assert found["rollback"] == {"event": 1}
    assert in_charge_problem(found) is None


def test_a_model_rolled_back_to_that_cannot_be_scored_is_a_problem() -> None:
    assert in_charge_problem(month_rolled_back(None, {"b" * 64: "damaged"})) is None
    problem = in_charge_problem(month_rolled_back(None, {"a" * 64: "sha256 differs"}))
    assert problem == "the model rolled back to could not be scored: sha256 differs"
