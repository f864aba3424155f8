"""On complete cohorts a loan stands as its label says, whatever the definition; and what its weight is made of."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.bundle import build_bundle
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.exposure import clock, exposure, standing
from pdx_assets.risk.immature import exposed_loans, seen_loans
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.models.training import train
from pdx_assets.risk.outcomes import label_rows, label_view, never_labelled, outcome_events
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets_tests.risk.model_samples import ALGORITHMS, MANIFEST, sample
from pdx_assets_tests.risk.test_immature import ON, SPEC, book
from pdx_assets_tests.risk.test_label_kinds import CHARGED_OFF, FAR, JAN, REPAYMENT, loans, portfolio

KINDS: dict[str, dict[str, Any]] = {
    "charged_off": CHARGED_OFF,
    "charged_off by date": {"kind": "charged_off", "date": "written_off"},
    "repayment_dates": REPAYMENT,
    "last_payment_and_status": {
        "kind": "last_payment_and_status", "status": "state", "bad_status": "CHGOFF", "last_payment": "repaid",
    },
    "days_past_due": {"kind": "days_past_due", "threshold": 90},
}  # fmt: skip
BORN = date(2016, 1, 15)


def blank_or(days: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    return st.none().map(lambda _: "") | days.map(lambda n: (BORN + timedelta(days=n)).isoformat())


rows_of = st.fixed_dictionaries(
    {
        "opened": st.integers(1, 31).map(lambda d: f"2016-01-{d:02d}"),
        "amount": st.sampled_from(["1000", "9000"]),
        "state": st.sampled_from(["CHGOFF", "P I F", ""]),
        "written_off": blank_or(st.integers(16, 500)),
        "due": blank_or(st.integers(16, 400)),
        "repaid": blank_or(st.integers(16, 500)),
    }
)
panels = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 16), st.integers(0, 200), st.integers(0, 120)))


def panel(rows: list[tuple[int, int, int, int]]) -> pl.DataFrame:
    """Reports of loans 1..6: month on book, days past due and days until it was told."""
    ends = [(JAN + month).last_day for _, month, _, _ in rows]
    return pl.DataFrame(
        {
            "loan_id": [str(i + 1) for i, *_ in rows],
            "month": ends,
            "days_past_due": [late for _, _, late, _ in rows],
            "reported_on": [end + timedelta(days=told) for end, (*_, told) in zip(ends, rows, strict=True)],
        },
        schema={"loan_id": pl.String, "month": pl.Date, "days_past_due": pl.Int64, "reported_on": pl.Date},
    )


def of_kind(kind: str, delay: int) -> PortfolioSpec:
    large = {"name": "large", "column": "amount", "above": 5000}
    if kind != "days_past_due":
        return portfolio(KINDS[kind], reporting_delay_days=delay, indeterminate=[large])
    base = portfolio(CHARGED_OFF, reporting_delay_days=delay, indeterminate=[large]).model_dump(mode="json")
    base["label"]["definition"] = KINDS[kind]
    base["tape"]["performance"] = {"path": "unused.csv"}
    return PortfolioSpec.model_validate(base)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(rows_of, min_size=6, max_size=6),
    reports=panels,
    delay=st.sampled_from([0, 30]),
    later=st.integers(0, 200),
)
def test_a_complete_cohort_stands_as_its_labels_say(
    kind: str, rows: list[dict[str, str]], reports: list[tuple[int, int, int, int]], delay: int, later: int
) -> None:
    spec, raw = of_kind(kind, delay), loans(*rows)
    events = outcome_events(spec, raw, panel(reports) if kind == "days_past_due" else None, FAR)
    on = spec.known_on(JAN) + timedelta(days=later)
    view = label_view(label_rows(spec, JAN, raw, events, FAR), on).filter(pl.col("label").is_not_null())
    undecided = raw.filter(never_labelled(spec, raw)).select("cohort", "loan_id")
    dated = raw.select("cohort", "loan_id", pl.col("opened").str.to_date().alias("application_date"))
    stood = seen_loans(spec, dated, events, undecided, on=on)
    assert stood["loan_id"].to_list() == view["loan_id"].to_list(), "those that have a label, and no others"
    assert stood["bad"].to_list() == [label == 1 for label in view["label"]]
    assert (stood.filter(~pl.col("bad"))["month"] == 12).all()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_of_complete_cohorts_the_fit_is_the_ordinary_one(algorithm: str) -> None:
    bad, month = np.array([True, False]), np.array([4, 12])
    one = exposure(bad, month, clock(bad, month, 12))
    assert one.tolist() == [1, 1]
    digests = set()
    for weighted in (False, True):
        fit, itv = (
            Sample(s.matrix, s.label, np.full(len(s.label), one[0], np.float32) if weighted else None)
            for s in (sample(900, 1), sample(300, 2))
        )
        digests.add(build_bundle(train(algorithm, fit, itv, {}, seed=3), manifest=MANIFEST, parity=itv).digest)
    assert len(digests) == 1


def test_paid_off_early_is_good_and_changes_nothing() -> None:
    """Else the loans of a young cohort that weigh most would be those that can no longer turn bad."""
    features, events = book(4)
    nobody = features.select("cohort", "loan_id").clear()
    some = features.filter(pl.int_range(pl.len()) % 3 == 0).join(events, on=["cohort", "loan_id"], how="anti")
    paid = some.select(
        "cohort",
        "loan_id",
        pl.lit("paid_off").alias("event"),
        pl.col("application_date").dt.offset_by("40d").alias("event_date"),
        pl.col("application_date").dt.offset_by("40d").alias("known_from"),
        pl.lit(None, dtype=pl.Date).alias("withdrawn_from"),
    )
    before = exposed_loans(SPEC, features, events, nobody, on=ON)
    after = exposed_loans(SPEC, features, pl.concat([events, paid]), nobody, on=ON)
    assert after.equals(before)
    repaid = after.join(paid, on=["cohort", "loan_id"], how="semi")
    assert repaid.height and (repaid["label"] == 0).all()
    assert set(repaid.filter(pl.col("cohort") <= "2021-08")["weight"]) == {1.0}, "good, not censored when paid off"


def test_revised_outcomes_count_while_they_stand() -> None:
    """Loan A turned bad in May, told in June, taken back in August: bad in July, good in May and in September."""
    features, _ = book(5)
    loan = features.filter(pl.col("cohort") == "2021-12").head(1)
    told = pl.DataFrame(
        [("2021-12", loan["loan_id"][0], "dpd90", date(2022, 5, 31), date(2022, 6, 10), date(2022, 8, 5))],
        schema={"cohort": pl.String, "loan_id": pl.String, "event": pl.String}
        | dict.fromkeys(["event_date", "known_from", "withdrawn_from"], pl.Date),
        orient="row",
    )
    dated = loan.select("cohort", "loan_id", pl.col("application_date").alias("originated"))
    found = {m: standing(SPEC, dated, told, on=date(2022, m, 1)).select("bad", "month").row(0) for m in (6, 7, 8, 9)}
    assert found == {6: (False, 5), 7: (True, 5), 8: (True, 5), 9: (False, 8)}


def test_exposure_multiplies_the_sampling_weight() -> None:
    features, events = book(6)
    random = np.random.default_rng(6)
    sampled = random.choice([1.0, 4.0], features.height)
    weighted = features.with_columns(pl.Series("weight", sampled, dtype=pl.Float32))
    nobody = features.select("cohort", "loan_id").clear()
    got = exposed_loans(SPEC, weighted, events, nobody, on=ON)
    dated = features.select("cohort", "loan_id", pl.col("application_date").alias("originated"))
    # Loan by loan, from the definitions.
    stood = {r["loan_id"]: r for r in standing(SPEC, dated, events, on=ON).to_dicts()}
    weight = dict(zip(features["loan_id"], sampled, strict=True))
    hazards = []
    for k in range(1, 13):
        at_risk = sum(weight[i] for i, r in stood.items() if r["month"] >= k)
        turned = sum(weight[i] for i, r in stood.items() if r["bad"] and r["month"] == k)
        hazards.append(-np.log(1 - turned / at_risk))
    shares = np.concatenate([[0.0], np.cumsum(hazards) / np.sum(hazards)])
    wanted = {i: weight[i] * (1.0 if r["bad"] else shares[r["month"]]) for i, r in stood.items()}
    assert set(got["loan_id"]) == {i for i, w in wanted.items() if w > 0}, "a loan of no weight is left out"
    assert got["weight"].to_list() == pytest.approx([wanted[i] for i in got["loan_id"]], rel=1e-6)
    assert len({Month.parse(c) for c in got["cohort"]}) == 19, "of twenty cohorts the youngest was not seen a month"
