"""The bootstrap over borrowers: DeLong's error where borrowers come once, a wider one where they come back."""

from __future__ import annotations

import numpy as np
import pytest

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.evidence.bootstrap import BorrowerMonth, clustered_difference, clustered_gain
from pdx_assets.risk.evidence.paired import Difference, stratified_difference
from pdx_assets.risk.evidence.record import MonthRecord, month_evidence

COHORTS = [Month(2016, k) for k in (1, 2, 3)]


def months(times: int, *, seed: int = 0) -> list[BorrowerMonth]:
    """Three months; each borrower has ``times`` loans in each of them that are alike in everything."""
    rng = np.random.default_rng(seed)
    made = []
    people = 600 // times
    label = (rng.uniform(size=people) < 0.2).astype(int)
    truth = rng.normal(size=people) + label
    pd, other = (1 / (1 + np.exp(-(truth + rng.normal(size=people)))) for _ in range(2))
    for cohort in COHORTS:
        if times == 1:
            label = (rng.uniform(size=people) < 0.2).astype(int)
            truth = rng.normal(size=people) + label
            pd, other = (1 / (1 + np.exp(-(truth + rng.normal(size=people)))) for _ in range(2))
        # Once: other people every month. Else the same ones again.
        names = [f"{cohort if times == 1 else ''} {i}" for i in range(people)]
        columns = (np.repeat(column, times) for column in (label, np.array(names, dtype=object), pd, other))
        made.append(BorrowerMonth(cohort, *columns))
    return made


def by_delong(loans: list[BorrowerMonth]) -> Difference:
    record = [
        month_evidence(
            MonthRecord(
                m.cohort, m.label, m.weight, {"a": m.pd, "b": m.other_pd}, dict.fromkeys("ab", m.cohort.first_day)
            )
        )
        for m in loans
    ]
    found = stratified_difference([m for m in record if m], "a", "b")
    assert found is not None
    return found


def test_it_is_delong_where_every_borrower_comes_once() -> None:
    loans = months(1)
    found = clustered_difference(loans, seed=1, draws=600)
    assert found is not None
    assert found.standard_error == pytest.approx(by_delong(loans).standard_error, rel=0.1)


def test_borrowers_who_come_back_widen_the_error() -> None:
    """Twelve loans a borrower that are alike tell as much as one: the error is the square root of 12 larger."""
    loans = months(4)
    found = clustered_difference(loans, seed=1, draws=600)
    assert found is not None
    assert found.standard_error == pytest.approx(np.sqrt(12) * by_delong(loans).standard_error, rel=0.15)


def test_the_estimate_is_that_of_the_stratified_test_and_the_seed_decides_the_rest() -> None:
    loans = months(1)
    found, again = (clustered_difference(loans[::step], seed=1, draws=100) for step in (1, -1))
    assert found is not None and again is not None
    assert found == again, "whatever the order of months"
    assert found != clustered_difference(loans, seed=2, draws=100)
    assert found.estimate == pytest.approx(by_delong(loans).estimate, abs=1e-12)


def test_weighted_months_count_by_their_effective_sizes() -> None:
    """Months were weighted by sums of weights: a month weighed in cents outweighed one weighed in thousands."""
    rng = np.random.default_rng(3)
    loans = []
    for m, scale in zip(months(1), (1.0, 50.0, 0.01, 1.0) * 3, strict=False):
        weight = scale * rng.lognormal(0, 1.0 if scale == 50 else 0.2, len(m.borrower))
        loans.append(BorrowerMonth(m.cohort, m.label, m.borrower, m.pd, m.other_pd, weight))
    expected, found = by_delong(loans), clustered_difference(loans, seed=1, draws=600)
    assert found is not None
    assert found.estimate == pytest.approx(expected.estimate, abs=1e-12)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=0.15)


def test_a_recipe_against_itself_is_certain() -> None:
    loans = [BorrowerMonth(m.cohort, m.label, m.borrower, m.pd, m.pd) for m in months(2)]
    found = clustered_difference(loans, seed=1, draws=100)
    assert found is not None and (found.estimate, found.standard_error, found.p_value) == (0.0, 0.0, 1.0)


def test_money_is_a_mean_over_loans_with_an_error_over_borrowers() -> None:
    rng = np.random.default_rng(5)
    people = np.repeat([f"p{i}" for i in range(300)], 4)
    gain = np.repeat(rng.normal(1.0, 5.0, 300), 4)
    estimate, error, p = clustered_gain(people, gain, np.zeros(1200), seed=1)
    assert estimate == pytest.approx(gain.mean())
    assert error == pytest.approx(gain.std() / np.sqrt(300), rel=0.1), "as of 300 people, not of 1,200 loans"
    assert p == pytest.approx(clustered_gain(people, gain, np.zeros(1200), seed=1)[2])
    assert clustered_gain(people, gain, gain, seed=1) == (0.0, 0.0, 1.0)
    assert clustered_gain(people, gain, np.zeros(1200), seed=1, margin=estimate)[2] == pytest.approx(0.5)


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(PdxError, match="at least 100"):
        clustered_difference(months(1), seed=1, draws=10)
    short = BorrowerMonth(COHORTS[0], [1, 0], ["x"], [0.5, 0.4], [0.5, 0.4])
    with pytest.raises(PdxError, match="1 borrowers for 2 loans"):
        clustered_difference([short], seed=1)
    with pytest.raises(PdxError, match="one finite amount a loan"):
        clustered_gain(["x"], [np.nan], [0.0], seed=1)
    assert clustered_difference([BorrowerMonth(COHORTS[0], [1], ["x"], [0.5], [0.4])], seed=1) is None
