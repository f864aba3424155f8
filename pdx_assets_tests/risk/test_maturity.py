"""What is wanted on a day, against an oracle that walks the definitions month by month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache

import hypothesis.strategies as st
from hypothesis import given, settings

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.lineage import Lineage, Method, Part, made_from, sources
from pdx_assets.risk.maturity import Made, Wanted, wanted
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape_contents import CohortContent
from pdx_assets_tests.small_portfolio import small_spec

FIRST, P0 = Month(2021, 1), Month(2022, 7)
DEVELOPMENT, OTV, GAP, HORIZON, KEEP = 4, 2, 12, 12, 12
LAST_MONTH = 40
GROWING = ("outcomes", "labels", "production_performance", "drift", "performance_estimate", "drift_report", "overview")


@lru_cache(maxsize=1)
def portfolio() -> PortfolioSpec:
    return small_spec(algorithms=["logistic_regression"])


def method(declared: str = "declared") -> Method:
    return Method(portfolio(), declared, retune_every=6)


def tape(cohorts: int, revised: Mapping[int, str] | None = None) -> dict[Month, CohortContent]:
    """A tape of so many months, its labels known on the day they mature; some loans changed."""
    contents = {}
    for i in range(cohorts):
        known = portfolio().known_on(FIRST + i)
        loans = f"loans {i}{(revised or {}).get(i, '')}"
        contents[FIRST + i] = CohortContent(loans, ((known, f"labels {i}"),))
    return contents


def as_of_on(contents: Mapping[Month, CohortContent], day: date) -> date:
    return min(day, max(contents).last_day)


def do(actions: list[Wanted], contents: Mapping[Month, CohortContent], made: Made, day: date) -> Made:
    """What is materialized once some runs are done: what an asset keeps is what its sources were made from."""
    known = {c: content.known_by(as_of_on(contents, day)) for c, content in contents.items()}

    def stands(part: Part) -> str | None:
        return made.notes.get(part) if part[0].startswith("challenger_fixed_window") and P0 in made.decided else None

    lineage = Lineage(method(), known, stands=stands, as_of=as_of_on(contents, day))
    notes = dict(made.notes) | {(a, w.month): lineage.of(a, w.month) or "" for w in actions for a in w.assets}
    for action in actions:
        if action.job == "overview":
            there = [part for part in sources(method(), "overview", action.month) if part in notes]
            notes["overview", action.month] = made_from("overview", {part: notes[part] for part in there})
    labelled = {w.month for w in actions if w.job == "cohort" and known[w.month].labels}
    decided = {w.month for w in actions if w.job == "decide"}
    return replace(made, notes=notes, labelled=made.labelled | labelled, decided=made.decided | decided)


def ask(contents: Mapping[Month, CohortContent], made: Made, day: date) -> list[Wanted]:
    # What the clock hides is not on the tape: as on_day (tape_clock.py) has it.
    seen = {c: content.known_by(day) for c, content in contents.items() if c.first_day <= day}
    return wanted(method(), seen, made, as_of=as_of_on(contents, day), today=day)


def expected(cohorts: int, day: date) -> set[tuple[str, str, str]]:
    """Brute force: job, month and asset of everything that should exist, from the words of the design."""
    found: set[tuple[str, str, str]] = set()
    seen = [FIRST + i for i in range(cohorts) if (FIRST + i).first_day <= day]
    as_of = min(day, (FIRST + (cohorts - 1)).last_day)
    for c in seen:
        found |= {("cohort", str(c), layer) for layer in ("raw_loans", "clean_features", "outcomes", "labels")}
    p = P0
    while p.first_day <= day:
        otv = [p - GAP - i for i in range(1, OTV + 1)]
        if all(m in seen and (m + HORIZON).last_day <= as_of for m in otv):
            windows = ("fixed_window", "fixed_origin", "rolling_window")
            assets = {f"window_{w}" for w in windows} | {f"challenger_{w}_logistic_regression" for w in windows}
            assets |= {"tuning_logistic_regression", "otv_scores", "champion"}
            if p in seen:
                assets.add("production_scores")
                found |= {("measure", str(p), "drift"), ("report", str(p), "drift_report")}
                if p.last_day <= as_of:
                    found.add(("measure", str(p), "performance_estimate"))
                if (p + HORIZON).last_day <= as_of:
                    found.add(("measure", str(p), "production_performance"))
            found |= {("decide", str(p), a) for a in assets}
        p = p + 1
    decided = [month for job, month, _ in found if job == "decide"]
    return found | ({("overview", max(decided), "overview")} if decided else set())


def development(strategy: str, p: Month) -> set[Month]:
    """The design's table of windows, copied out."""
    end = (P0 if strategy == "fixed_window" else p) - GAP - OTV - 1
    begin = (p if strategy == "rolling_window" else P0) - GAP - OTV - DEVELOPMENT
    return {Month.from_ordinal(o) for o in range(begin.ordinal, end.ordinal + 1)}


def flat(actions: list[Wanted]) -> set[tuple[str, str, str]]:
    return {(w.job, str(w.month), asset) for w in actions for asset in w.assets}


cohort_counts = st.integers(1, 38)
days = st.integers(0, 31 * LAST_MONTH).map(lambda n: FIRST.first_day + timedelta(n))


@settings(deadline=None, max_examples=60)
@given(cohort_counts, days)
def test_an_empty_home_wants_what_should_exist(cohorts: int, day: date) -> None:
    assert flat(ask(tape(cohorts), Made(), day)) == expected(cohorts, day)


@settings(deadline=None, max_examples=40)
@given(cohort_counts, days)
def test_nothing_is_wanted_once_done_and_the_order_is_one_that_works(cohorts: int, day: date) -> None:
    contents = tape(cohorts)
    actions = ask(contents, Made(), day)
    done: set[tuple[str, Month]] = set()
    for action in actions:
        assert action.after <= done, "an action comes after all it rests on"
        done.add(action.run)
    assert len(done) == len(actions), "one run a job and month"
    decided = [w.month for w in actions if w.job == "decide"]
    assert decided == sorted(decided)
    assert ask(contents, do(actions, contents, Made(), day), day) == []


@settings(deadline=None, max_examples=40)
@given(cohort_counts, days, days)
def test_time_only_adds(cohorts: int, one: date, other: date) -> None:
    """What should exist on a day should exist on every later one; and what was done stays done but for new labels."""
    early, late = sorted((one, other))
    contents = tape(cohorts)
    pages = {"overview"}  # one for all months: it goes by the last of them
    assert {x for x in flat(ask(contents, Made(), early)) if x[0] not in pages} <= flat(ask(contents, Made(), late))
    made = do(ask(contents, Made(), early), contents, Made(), early)
    later = ask(contents, made, late)
    new = expected(cohorts, late) - expected(cohorts, early)
    assert {x for x in flat(later) if x[2] not in GROWING} == {x for x in new if x[2] not in GROWING}
    for action in later:
        if action.job == "cohort" and not action.is_whole:
            assert action.assets == ("outcomes", "labels")
            assert early < portfolio().known_on(action.month) <= late
            assert "are known since" in action.reasons[0]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 37), st.integers(0, 37))
def test_a_revised_cohort_touches_exactly_what_rests_on_it(revised: int, also: int) -> None:
    """Against a search through every window: which months hold the cohort, and in which part."""
    day, contents = (FIRST + 37).last_day, tape(38)
    made = do(ask(contents, Made(), day), contents, Made(), day)
    changed = tape(38, {revised: " revised", also: " revised"})
    actions = ask(changed, made, day)
    cohorts = {FIRST + revised, FIRST + also}
    touched: dict[Month, set[str]] = {}
    decided = sorted({m for a, m in made.notes if a == "champion"})
    for p in decided:
        otv = {p - GAP - i for i in range(1, OTV + 1)}
        anchor = P0 + (p.ordinal - P0.ordinal) // 6 * 6
        found: set[str] = set()
        for name in ("fixed_window", "fixed_origin", "rolling_window"):
            learned_from, studied = development(name, p), development(name, anchor)
            if cohorts & (learned_from | otv):
                found.add(f"window_{name}")
            if cohorts & studied:
                found.add("tuning_logistic_regression")
            if name != "fixed_window" and cohorts & (learned_from | studied):
                found.add(f"challenger_{name}_logistic_regression")
        touched[p] = found
    for p in decided:
        kept = [m for m in decided if p - KEEP < m <= p]
        otv = {p - GAP - i for i in range(1, OTV + 1)}
        if cohorts & otv or any(a.startswith("challenger") for m in kept for a in touched[m]):
            touched[p] |= {"otv_scores", "champion"}
        if p in cohorts:
            touched[p].add("production_scores")
    got: dict[Month, set[str]] = {w.month: set(w.assets) for w in actions if w.job == "decide"}
    assert got == {p: assets for p, assets in touched.items() if assets}
    assert {w.month for w in actions if w.job == "cohort"} == cohorts
    for action in actions:
        if action.job == "decide" and action.assets != ("production_scores",):
            assert "its recorded decision stays" in action.reasons[0] and not action.is_new
    assert ask(changed, do(actions, changed, made, day), day) == []


def test_late_outcomes_reach_only_decisions_made_after_them() -> None:
    """A report that comes in March changes no view of a decision date in February."""
    day, contents = (FIRST + 37).last_day, tape(38)
    made = do(ask(contents, Made(), day), contents, Made(), day)
    cohort = Month(2021, 6)
    late = date(2022, 8, 20)
    first = contents[cohort].labels[0]
    contents[cohort] = replace(contents[cohort], labels=(first, (late, "one more bad")))
    actions = ask(contents, made, day)
    assert [(w.month, w.assets, w.reasons) for w in actions if w.job == "cohort"] == [
        (cohort, ("outcomes", "labels"), (f"outcomes of {cohort} came late or were revised",))
    ]
    first_touched = min(w.month for w in actions if w.job == "decide" and "window_rolling_window" in w.assets)
    assert first_touched == Month(2022, 9), "2022-08 held the cohort too, and was decided before the report"


def test_a_revision_has_a_key_of_its_own_and_so_has_its_return() -> None:
    day, contents = (FIRST + 37).last_day, tape(38)
    made = do(ask(contents, Made(), day), contents, Made(), day)
    changed = tape(38, {5: " revised"})
    there = ask(changed, made, day)
    assert {w.key for w in there}.isdisjoint({w.key for w in ask(contents, Made(), day)})
    back = ask(contents, do(there, changed, made, day), day)
    assert [w.run for w in back] == [w.run for w in there]
    assert {w.key for w in back}.isdisjoint({w.key for w in there})
    assert [w.key for w in ask(changed, made, day)] == [w.key for w in there], "the same change, the same key"


def test_a_vacant_month_is_neither_scored_nor_monitored_for_ever() -> None:
    day, contents = (FIRST + 37).last_day, tape(38)
    made = do(ask(contents, Made(), day), contents, Made(), day)
    lost = {("production_scores", P0), ("drift", P0), ("drift_report", P0)}
    notes = {k: v for k, v in made.notes.items() if k not in lost}
    assert flat(ask(contents, replace(made, notes=notes), day)) == {
        ("decide", "2022-07", "production_scores"),
        ("measure", "2022-07", "drift"),
        ("report", "2022-07", "drift_report"),
    }
    assert ask(contents, replace(made, notes=notes, vacant=frozenset({P0})), day) == []


def test_a_month_left_half_done_is_finished() -> None:
    day, contents = (FIRST + 18).last_day, tape(38)
    made = do(ask(contents, Made(), day), contents, Made(), day)
    lost = {("otv_scores", P0), ("champion", P0)}
    half = replace(made, notes={k: v for k, v in made.notes.items() if k not in lost}, decided=frozenset())
    (action,) = [w for w in ask(contents, half, day) if w.job == "decide"]
    assert action.assets == ("otv_scores", "champion") and action.is_new and not action.is_whole
