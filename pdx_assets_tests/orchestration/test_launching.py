"""Which wanted runs are asked for, and when: in order, few at once, a failed one not for ever."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import given

from pdx_assets.orchestration.launching import ATTEMPTS, DECIDING, IN_FLIGHT, Tried, choose
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.maturity import Job, Run, Wanted

JULY = Month(2022, 7)


def action(job: Job, month: Month, *after: Run, is_new: bool = False) -> Wanted:
    return Wanted(job, month, (job,), True, ("why",), f"{job}/{month}/abc", frozenset(after), is_new)


def months(count: int) -> list[Wanted]:
    """A cohort, a decision and a measurement for each of some months."""
    cohorts = [action("cohort", JULY + i) for i in range(count)]
    decisions = [action("decide", JULY + i, ("cohort", JULY + i), is_new=True) for i in range(count)]
    measured = [action("measure", JULY + i, ("decide", JULY + i), ("cohort", JULY + i)) for i in range(count)]
    return [*cohorts, *decisions, *measured]


def asked(actions: list[Wanted], in_flight: set[Run] | None = None, **tried: Tried) -> list[Run]:
    return [a.run for a, _ in choose(actions, in_flight or set(), tried).now]


@given(st.integers(1, 30), st.data())
def test_everything_is_done_in_order_however_runs_end(count: int, data: st.DataObject) -> None:
    """A daemon of two places: no run ever starts before what it rests on, and all are done."""
    left, in_flight, decided = months(count), list[Run](), list[Month]()
    done: set[Run] = set()
    for _ in range(20 * count + 20):
        left = [replace(a, after=a.after - done) for a in left if a.run not in done]
        if not left:
            break
        requests = choose(left, set(in_flight), {})
        in_flight += [a.run for a, _ in requests.now]
        assert len(in_flight) <= IN_FLIGHT
        assert sum(job == "decide" for job, _ in in_flight) <= DECIDING
        assert in_flight, "something can always be done"
        running = in_flight[:2]  # the queue is first in, first out
        ended = data.draw(st.sampled_from(running))
        if ended[0] == "decide" and any(m < ended[1] for j, m in in_flight if j == "decide"):
            # Its champion waits, in its place; the month before is in the other one.
            assert ("decide", ended[1] - 1) in running
            continue
        for other in left:
            if other.run == ended:
                assert not other.after
        in_flight.remove(ended)
        done.add(ended)
        decided += [ended[1]] if ended[0] == "decide" else []
    else:
        assert count > 25, "months of waiting"
    assert decided == sorted(decided)


def test_a_month_is_asked_for_only_when_the_month_before_is_decided_or_under_way() -> None:
    actions = [action("decide", JULY + i, is_new=True) for i in range(4)]
    assert asked(actions) == [("decide", JULY), ("decide", JULY + 1)]
    assert asked(actions, {("decide", JULY), ("decide", JULY + 1)}) == []
    assert asked(actions[1:], {("decide", JULY + 1)}) == [("decide", JULY + 2)]


def test_a_month_launched_by_hand_is_not_launched_twice() -> None:
    actions = [action("decide", JULY, is_new=True)]
    assert asked(actions, {("decide", JULY)}) == []


def test_a_failed_run_is_tried_again_but_not_for_ever() -> None:
    actions = [action("cohort", JULY)]
    key = actions[0].key
    for ended in range(ATTEMPTS):
        ((_, attempt),) = choose(actions, set(), {key: Tried(ended)}).now
        assert attempt == ended + 1
    requests = choose(actions, set(), {key: Tried(ATTEMPTS)})
    assert requests.now == () and requests.given_up == tuple(actions)
    assert choose(actions, set(), {key: Tried(1, cancelled=True)}).given_up == tuple(actions), "a person ended it"


def test_a_month_that_was_given_up_stops_later_decisions_but_no_cohorts() -> None:
    actions = months(3)
    failed = {f"decide/{JULY}/abc": Tried(ATTEMPTS)}
    left = [replace(a, after=frozenset(r for r in a.after if r[0] != "cohort")) for a in actions if a.job != "cohort"]
    requests = choose([action("cohort", JULY + 9), *left], set(), failed)
    assert [a.run for a, _ in requests.now] == [("cohort", JULY + 9)]
    assert [a.run for a in requests.given_up] == [("decide", JULY)]


def test_an_old_month_that_cannot_be_made_again_does_not_stop_lending() -> None:
    again, new = action("decide", JULY), action("decide", JULY + 6, is_new=True)
    assert asked([again, new]) == [("decide", JULY)], "first the old one, then the new"
    assert asked([again, new], {again.run}) == []
    requests = choose([again, new], set(), {again.key: Tried(ATTEMPTS)})
    assert [a.run for a, _ in requests.now] == [new.run]
