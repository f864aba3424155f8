"""Windows of partly observed cohorts: nothing of after the decision date, and complete cohorts as ever."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.bundle import build_bundle
from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import FirewallError, SpecError, WindowError
from pdx_assets.risk.exposure import seen_events
from pdx_assets.risk.hashing import content_sha256, document_sha256
from pdx_assets.risk.immature import check_seen, exposed_loans, seen_loans
from pdx_assets.risk.models.training import ALGORITHMS, train
from pdx_assets.risk.outcomes import label_rows, label_view
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.window_loans import split_development
from pdx_assets.risk.windows import (
    Cohorts,
    as_of_months,
    build_manifest,
    canonical_strategy,
    development_months,
    identity,
)
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

STRATEGIES = ["fixed_window", "rolling_window", "all_known", "immature_cohorts"]
P = Month.parse("2022-09")


def beyond(**changes: object) -> PortfolioSpec:
    return small_spec(strategies=STRATEGIES, **changes)


SPEC = beyond()


def month(key: str) -> Month:
    return Month.parse(key)


def test_the_months_of_the_strategies() -> None:
    """H 12: on the first of 2022-09 the labels of 2021-08 have been known for a day."""
    assert [str(development_months(SPEC, "all_known", P)[i]) for i in (0, -1)] == ["2021-01", "2021-08"]
    assert [str(development_months(SPEC, "immature_cohorts", P)[i]) for i in (0, -1)] == ["2021-01", "2022-08"]


@given(st.integers(0, 60), st.sampled_from([0, 1, 31, 45]))
def test_all_known_is_exactly_what_is_known(later: int, delay: int) -> None:
    label = small_attributes()["label"] | {"reporting_delay_days": delay}
    windows = {"development": 4, "otv": 2, "gap": 14, "first_production": "2022-09"}
    spec = beyond(label=label, windows=windows)
    production = spec.p0 + later
    found = development_months(spec, "all_known", production)
    everyone = spec.periods.span(spec.first_cohort, production)
    assert found == tuple(c for c in everyone if spec.known_on(c) <= decision_date(production))
    assert spec.known_on(found[-1] + 1) > decision_date(production)


def test_only_the_papers_strategies_coincide_at_p0() -> None:
    names = {s: canonical_strategy(SPEC, s, SPEC.p0) for s in SPEC.strategies}
    assert names == {
        "fixed_window": "fixed_window",
        "rolling_window": "fixed_window",
        "all_known": "all_known",
        "immature_cohorts": "immature_cohorts",
    }
    assert canonical_strategy(SPEC, "fixed_window", SPEC.p0 - 3) == "rolling_window"


def test_as_of_months_before_p0_reach_back_as_far_as_the_tape() -> None:
    """Plan D 4, O 2, G 12, p0 2022-07: as of 2022-05 one of the four development months lies before the tape."""
    assert [str(m) for m in as_of_months(SPEC, "rolling_window", month("2022-06"))] == [
        "2021-01", "2021-02", "2021-03",
    ]  # fmt: skip
    assert len(as_of_months(SPEC, "immature_cohorts", month("2021-06"))) == 5
    with pytest.raises(WindowError, match="no cohort to learn from"):
        as_of_months(SPEC, "all_known", month("2021-06"))


def test_what_cannot_learn_from_immature_cohorts_is_refused() -> None:
    label = {"name": "flagged", "horizon_months": 12, "definition": {
        "kind": "ready_flag", "flag": "flag", "bad": "1", "good": "0", "known_from": "told",
    }}  # fmt: skip
    columns = small_attributes()["columns"] | {
        "flag": {"role": "outcome", "dtype": "category"},
        "told": {"role": "outcome", "dtype": "date", "format": "%Y-%m-%d"},
    }
    with pytest.raises((ValueError, SpecError), match="a ready flag says only whether"):
        beyond(label=label, columns=columns)


# --- a small book, drawn at random, and its future changed -------------------------------------------


COHORTS = SPEC.periods.span(month("2021-01"), month("2022-08"))
ON = decision_date(P)


def book(seed: int, loans: int = 30) -> tuple[pl.DataFrame, pl.DataFrame]:
    """clean_features of every cohort before P, and events: about a third of the loans turn bad within three years."""
    random = np.random.default_rng(seed)
    raw, events = [], []
    for cohort in COHORTS:
        for i in range(loans):
            loan, risky = f"{cohort}-{i}", random.random() < 0.5
            born = cohort.first_day + timedelta(days=int(random.integers(0, 28)))
            raw.append({"cohort": str(cohort), "loan_id": loan, "risky": float(risky), "born": born})
            if random.random() < (0.5 if risky else 0.2):
                at = born + timedelta(days=int(random.integers(20, 900)))
                delay = timedelta(days=int(random.integers(0, 40)))
                taken_back = at + delay + timedelta(days=100) if random.random() < 0.1 else None
                events.append((str(cohort), loan, "dpd90", at, at + delay, taken_back))
    return features_of(raw, random), events_of(events)


def features_of(raw: list[dict], random: np.random.Generator) -> pl.DataFrame:  # type: ignore[type-arg]
    rows = pl.DataFrame(raw)
    noise = {n: pl.Series(n, random.normal(size=rows.height), dtype=pl.Float32) for n in SPEC.number_features}
    noise[SPEC.number_features[0]] = (rows["risky"] + noise[SPEC.number_features[0]]).cast(pl.Float32)
    levels = {c: pl.Series(c, random.choice(["a", "b"], rows.height)) for c in SPEC.category_features}
    hashes = pl.Series("borrower_hash", random.integers(-(2**62), 2**62, rows.height))
    dated = rows.select("cohort", "loan_id", pl.col("born").alias("application_date"))
    return dated.with_columns(hashes, *[s.alias(n) for n, s in (noise | levels).items()])


def events_of(rows: list[tuple]) -> pl.DataFrame:  # type: ignore[type-arg]
    names = ["cohort", "loan_id", "event", "event_date", "known_from", "withdrawn_from"]
    dates = {n: pl.Date for n in names[3:]}
    return pl.DataFrame(rows, schema={n: dates.get(n, pl.String) for n in names}, orient="row")


def manifest(features: pl.DataFrame, events: pl.DataFrame, spec: PortfolioSpec = SPEC) -> dict:  # type: ignore[type-arg]
    shas = {c: content_sha256(features.filter(pl.col("cohort") == str(c))) for c in COHORTS}
    loans = features.select("cohort", "loan_id", "application_date")
    nobody = loans.select("cohort", "loan_id").clear()
    cohorts = Cohorts(shas, pl.DataFrame(), loans, {}, events=events, undecided=nobody)
    return build_manifest(spec, "immature_cohorts", P, cohorts, seed=0)


def digest(features: pl.DataFrame, events: pl.DataFrame, algorithm: str) -> str:
    said = manifest(features, events)
    nobody, half_life = features.select("cohort", "loan_id").clear(), said["development"]["half_life_months"]
    rows = exposed_loans(SPEC, features, events, nobody, on=ON, half_life_months=half_life)
    data = split_development(SPEC, said, rows)
    model = train(algorithm, data.train, data.itv, {}, seed=1)
    given = {k: said["development"][k] for k in ("last_event",)}
    given |= {"portfolio": "small", "trained_for": str(P), "window_sha256": said["development"]["sha256"]}
    given |= {"last_cohort": said["development"]["last"], "seed": 1, "metrics": {}}
    return build_bundle(model, manifest=given, parity=data.itv).digest


def changed_future(events: pl.DataFrame, features: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Whatever had not happened or was not known on the decision date: dropped, moved, taken back, added to."""
    random = np.random.default_rng(seed)
    past = events.filter(pl.col("known_from") <= ON)
    # What is taken back later was not taken back yet.
    withdrawn = pl.when(pl.col("withdrawn_from") > ON).then(ON + timedelta(days=int(random.integers(1, 500))))
    past = past.with_columns(withdrawn.otherwise(pl.col("withdrawn_from")).alias("withdrawn_from"))
    later = []
    for cohort, loan in features.select("cohort", "loan_id").sample(60, seed=seed).iter_rows():
        known = ON + timedelta(days=int(random.integers(1, 400)))
        # Some happened long before and became known late.
        later.append((cohort, loan, "dpd90", known - timedelta(days=int(random.integers(0, 200))), known, None))
    return pl.concat([past, events_of(later)])


def later_cohorts(features: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Loans of the production month and of those after it."""
    cohorts = pl.Series([str(P + i) for i in range(4)]).sample(40, with_replacement=True, seed=seed)
    some = features.head(40).with_columns(pl.lit(cohorts).alias("cohort"))
    return some.with_columns((pl.col("cohort") + "-" + pl.col("loan_id")).alias("loan_id"))


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6))
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_the_future_of_the_tape_changes_no_byte_of_a_model(algorithm: str, seed: int) -> None:
    features, events = book(1)
    other = changed_future(events, features, seed)
    assert content_sha256(other.sort(pl.all())) != content_sha256(events.sort(pl.all()))
    more = later_cohorts(features, seed)
    assert manifest(pl.concat([features, more]), other) == manifest(features, events)
    assert digest(features, other, algorithm) == digest(features, events, algorithm)


def test_the_past_of_the_tape_does() -> None:
    """The property above could not fail if events were not read at all."""
    features, events = book(1)
    seen = seen_events(events, ON)
    dropped = events.join(seen.head(40), on=["cohort", "loan_id", "event_date"], how="anti")
    assert manifest(features, dropped) != manifest(features, events)
    assert digest(features, dropped, "xgboost") != digest(features, events, "xgboost")


def test_a_bad_loan_of_after_the_decision_date_does_not_pass_the_firewall() -> None:
    features, events = book(1)
    nobody = features.select("cohort", "loan_id").clear()
    rows = seen_loans(SPEC, features, events, nobody, on=ON)
    check_seen(rows, events, on=ON)
    # As if the events had been read without their dates.
    later = seen_loans(SPEC, features, events, nobody, on=date(2024, 9, 1))
    with pytest.raises(FirewallError, match=r"on the decision date 2022-09-01: 2021-1.* known from 202[23]-"):
        check_seen(later, events, on=ON)
    with pytest.raises(FirewallError, match="by no event at all"):
        check_seen(rows, events.clear(), on=ON)


def test_of_complete_cohorts_loans_are_those_of_known_labels() -> None:
    """Twelve months on book seen: label and weight 1, whatever the exposure model says of younger cohorts."""
    features, events = book(2)
    rows = exposed_loans(SPEC, features, events, features.select("cohort", "loan_id").clear(), on=ON)
    loans = features.select("cohort", "loan_id")
    for cohort in development_months(SPEC, "all_known", P):
        raw = features.filter(pl.col("cohort") == str(cohort)).with_columns(
            pl.col("application_date").cast(pl.String).alias(SPEC.origination_column)
        )
        own = events.filter(pl.col("cohort") == str(cohort))
        view = label_view(label_rows(SPEC, cohort, raw, own, date(2025, 1, 1)), ON)
        seen = rows.filter(pl.col("cohort") == str(cohort)).sort("loan_id")
        assert seen["label"].to_list() == view.sort("loan_id")["label"].to_list()
        assert seen["weight"].to_list() == [1.0] * loans.filter(pl.col("cohort") == str(cohort)).height


def test_the_manifest_says_what_each_cohort_had_shown() -> None:
    features, events = book(3)
    said = manifest(features, events)
    part = said["development"]
    assert said["otv"] is None
    assert [m["months_seen"] for m in part["months"]][-3:] == [2, 1, 0]
    assert part["months"][0]["months_seen"] == 12
    assert part["clock"][0] == 0 and part["clock"][-1] == 1
    assert part["clock"] == sorted(part["clock"])
    assert part["loans"] == features.height == part["bads"] + part["goods"]
    assert "2022-08-31" <= part["last_event"] <= "2022-09-01"
    young = part["months"][-1]
    assert young["bad_rate"] == young["bads"] / 30


def test_a_cohort_of_a_half_life_ago_teaches_half_as_much() -> None:
    features, events = book(2)
    nobody = features.select("cohort", "loan_id").clear()
    alike, forgetting = (
        exposed_loans(SPEC, features, events, nobody, on=ON, half_life_months=h).sort("cohort", "loan_id")
        for h in (None, 4)
    )
    assert forgetting["loan_id"].to_list() == alike["loan_id"].to_list()
    shares = forgetting.with_columns(share=pl.col("weight") / alike["weight"]).group_by("cohort").agg("share")
    for cohort, found in shares.iter_rows():
        age = P.ordinal - month(cohort).ordinal
        assert found == pytest.approx([2 ** (-age / 4)] * len(found), rel=1e-6)


def test_windows_that_forget_otherwise_are_other_windows() -> None:
    """A study or a model found by its window must not be that of another half-life."""
    plan = small_attributes()["windows"]
    features, events = book(3)
    said = {}
    for half_life in (None, 12, 24):
        spec = beyond(windows=plan | {"half_life_months": half_life})
        found = said[half_life] = manifest(features, events, spec)
        assert found["development"].get("half_life_months") == half_life
    assert len({m["development"]["sha256"] for m in said.values()}) == 3
    assert len({document_sha256(identity(m, "development")) for m in said.values()}) == 3
    assert manifest(features, events) == said[12], "the default"


def test_a_cohort_that_was_not_made_is_named() -> None:
    features, events = book(1)
    shas = {c: "x" for c in COHORTS[:-1]}
    loans = features.select("cohort", "loan_id", "application_date")
    cohorts = Cohorts(shas, pl.DataFrame(), loans, {}, events=events, undecided=loans.select("cohort", "loan_id"))
    with pytest.raises(WindowError, match="missing: 2022-08"):
        build_manifest(SPEC, "immature_cohorts", P, cohorts, seed=0)
