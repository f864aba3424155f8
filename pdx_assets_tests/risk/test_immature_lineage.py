"""Windows of partly observed cohorts are stale exactly when what their decision date could see has changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache

import hypothesis.strategies as st
import polars as pl
from hypothesis import given, settings

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.exposure import bads_sha256, standing
from pdx_assets.risk.lineage import Lineage, Method, cohort_made_from
from pdx_assets.risk.maturity import decidable_months
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape_contents import CohortContent, as_document, bad_steps, from_document
from pdx_assets_tests.risk.test_exposure import events
from pdx_assets_tests.small_portfolio import small_spec

FIRST, P0 = Month(2021, 1), Month(2022, 7)
MONTHS = 24
BORN = date(2021, 3, 9)
BEYOND = ("all_known", "immature_cohorts")


@lru_cache(maxsize=1)
def spec() -> PortfolioSpec:
    strategies = ["fixed_window", "rolling_window", *BEYOND]
    return small_spec(algorithms=["logistic_regression"], strategies=strategies)


def tape() -> dict[Month, CohortContent]:
    """Labels on the day they mature; every month somebody more of each cohort has turned bad."""
    found = {}
    for i in range(MONTHS):
        cohort = FIRST + i
        bads = tuple(((cohort + k).last_day, f"bads {i} {k}") for k in range(1, 13))
        found[cohort] = CohortContent(f"loans {i}", ((spec().known_on(cohort), f"labels {i}"),), bads)
    return found


def lineage(contents: dict[Month, CohortContent], as_of: date) -> Lineage:
    known = {c: content.known_by(as_of) for c, content in contents.items()}
    return Lineage(Method(spec(), "declared", retune_every=6), known, stands=lambda _: None)


def stale(before: Lineage, after: Lineage, asset: str) -> set[Month]:
    return {p for p in months() if before.of(asset, p) != after.of(asset, p)}


def months() -> tuple[Month, ...]:
    return tuple(P0 + i for i in range(6))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, MONTHS - 1), st.dates(date(2021, 2, 1), date(2023, 6, 1)))
def test_a_revision_reaches_exactly_the_decision_dates_that_saw_it(cohort: int, day: date) -> None:
    contents, as_of = tape(), date(2024, 1, 1)
    held = contents[FIRST + cohort]
    steps = tuple(s for s in held.bads if s[0] < day)
    # From that day on, whatever is said of the cohort is something else.
    later = tuple((since, f"{sha} revised") for since, sha in held.bads if since > day)
    revised = contents | {FIRST + cohort: replace(held, bads=(*steps, (day, "one more"), *later))}
    before, after = lineage(contents, as_of), lineage(revised, as_of)
    touched = {p for p in months() if FIRST + cohort < p and day <= decision_date(p)}
    assert stale(before, after, "window_immature_cohorts") == touched
    for other in ("window_all_known", "window_rolling_window", "window_fixed_window", "otv_scores"):
        assert stale(before, after, other) == set(), "labels stayed what they were"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.integers(0, 700))
def test_time_makes_no_window_stale(month: int, days: int) -> None:
    p = months()[month]
    then, later = decision_date(p), decision_date(p) + timedelta(days=days)
    for asset in ("window_immature_cohorts", "window_all_known", "challenger_immature_cohorts_logistic_regression"):
        assert lineage(tape(), then).of(asset, p) == lineage(tape(), later).of(asset, p)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(18, 40), st.sampled_from([(), ("all_known",), ("immature_cohorts",), ("all_known", "immature_cohorts")])
)
def test_a_month_is_decided_once_the_cohorts_of_all_its_windows_are_there(length: int, beyond: tuple[str, ...]) -> None:
    """H 12, G 12: with all_known nothing is needed that OTV does not need; immature cohorts need the month before."""
    of_these = small_spec(strategies=["fixed_window", "rolling_window", *beyond])
    cohorts = tuple(FIRST + i for i in range(length))
    far = date(2030, 1, 1)
    found = decidable_months(of_these, cohorts, far, far)
    reach = 1 if "immature_cohorts" in beyond else 13
    assert found == of_these.periods.span(P0, cohorts[-1] + reach)


told = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["dpd90", "dpd90", "paid_off"]),
    st.integers(0, 600),
    st.integers(0, 60),
    st.none() | st.integers(1, 90),
)


def of(rows: list[tuple[str, str, int, int, int | None]]) -> pl.DataFrame:
    cohort = f"{BORN:%Y-%m}"
    found = []
    for loan, event, days, late, stood in rows:
        at = BORN + timedelta(days=days)
        known = at + timedelta(days=late)
        found.append((cohort, loan, event, at, known, None if stood is None else known + timedelta(days=stood)))
    return events(*found)


@settings(max_examples=80, deadline=None)
@given(st.lists(told, max_size=8), st.integers(0, 900))
def test_the_steps_say_what_any_day_had_seen(rows: list[tuple[str, str, int, int, int | None]], days: int) -> None:
    day, some = BORN + timedelta(days=days), of(rows)
    content = CohortContent("loans", bads=bad_steps(spec(), some))
    assert content.bads_on(day) == bads_sha256(spec(), some, day)
    assert content.known_by(day).bads_on(day) == content.bads_on(day)
    assert from_document(as_document({FIRST: content})) == {FIRST: content}


@settings(max_examples=80, deadline=None)
@given(st.lists(told, max_size=6), st.lists(told, max_size=6), st.integers(0, 900))
def test_who_stands_the_same_has_the_same_bads_and_only_they(
    one: list[tuple[str, str, int, int, int | None]], other: list[tuple[str, str, int, int, int | None]], days: int
) -> None:
    """The hash stands in for how loans stood: no change of the one may pass the other by."""
    day = BORN + timedelta(days=days)
    loans = pl.DataFrame({"cohort": [f"{BORN:%Y-%m}"] * 3, "loan_id": list("abc"), "originated": [BORN] * 3})
    a, b = of(one), of(other)
    if bads_sha256(spec(), a, day) == bads_sha256(spec(), b, day):
        assert standing(spec(), loans, a, on=day).equals(standing(spec(), loans, b, on=day))


def test_pay_offs_and_what_comes_after_the_horizon_change_nothing() -> None:
    bad = ("a", "dpd90", 100, 0, None)
    old = of([bad, ("b", "paid_off", 200, 0, None), ("b", "dpd90", 450, 0, None)])
    assert bad_steps(spec(), old) == bad_steps(spec(), of([bad]))
    content = CohortContent("loans", bads=bad_steps(spec(), old))
    assert len(content.bads) == 1
    assert (
        cohort_made_from("declared", content)["outcomes"]
        != cohort_made_from("declared", CohortContent("loans"))["outcomes"]
    )
    assert (
        cohort_made_from("declared", content)["labels"]
        == cohort_made_from("declared", CohortContent("loans"))["labels"]
    )
