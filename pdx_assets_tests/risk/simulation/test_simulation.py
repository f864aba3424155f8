"""Policies compared month by month, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.evidence.paired import Difference
from pdx_assets.risk.simulation import Followed, MonthOfPolicy, compare, realize
from pdx_assets.risk.spec import Economics

LABEL = np.array([0, 0, 0, 1, 0, 1, 1, 0], np.int8)
GOOD_PD = np.array([0.1, 0.2, 0.3, 0.4, 0.35, 0.8, 0.9, 0.05], np.float32)
POOR_PD = np.array([0.5, 0.2, 0.6, 0.4, 0.35, 0.3, 0.9, 0.05], np.float32)


def month(production: str, digest: str | None, recipe: str | None, pd: np.ndarray | None, label=LABEL) -> MonthOfPolicy:
    return MonthOfPolicy(production, digest, recipe, "kept", label if pd is not None else None, pd)


def follow(name: str, *months: MonthOfPolicy) -> Followed:
    return Followed(name, months)


GOOD = follow("good", month("2020-01", "a", "r x", GOOD_PD), month("2020-02", "b", "r x", GOOD_PD))
POOR = follow("poor", month("2020-01", "c", "s y", POOR_PD), month("2020-02", "c", "s y", POOR_PD))


def test_auc_is_the_mean_of_the_months_and_never_of_all_loans_together() -> None:
    """Pooled, a month whose PDs are all higher would look like ranking."""
    shifted = follow("shifted", month("2020-01", "a", "r x", POOR_PD / 10), month("2020-02", "b", "r x", GOOD_PD))
    areas = [roc_auc_score(LABEL, POOR_PD), roc_auc_score(LABEL, GOOD_PD)]
    found = realize(shifted, approval_rate=0.5)
    assert found.mean_production_auc == pytest.approx(np.mean(areas))
    pooled = roc_auc_score(np.tile(LABEL, 2), np.concatenate([POOR_PD / 10, GOOD_PD]))
    assert abs(found.mean_production_auc - pooled) > 0.01


def test_changes_of_models_and_of_recipes() -> None:
    followed = follow(
        "p",
        month("2020-01", "a", "r x", GOOD_PD),
        month("2020-02", "b", "r x", GOOD_PD),
        month("2020-03", None, None, None),
        month("2020-04", "b", "r x", GOOD_PD),
        month("2020-05", "c", "s y", GOOD_PD),
    )
    found = realize(followed, approval_rate=0.5)
    assert (found.champion_changes, found.recipe_changes, found.months, found.measured) == (2, 1, 5, 4)
    assert found.auc_by_month["2020-03"] is None


def test_money_and_bad_rate_at_the_approval_rate() -> None:
    """Half of eight loans: the four lowest PDs, all good, then one bad enters at five."""
    four = realize(follow("p", month("2020-01", "a", "r", GOOD_PD)), approval_rate=0.5, economics=MONEY)
    assert four.bad_rate_approved == 0
    assert four.profit_per_loan == pytest.approx(4 * 1.0 / 8)
    six = realize(follow("p", month("2020-01", "a", "r", GOOD_PD)), approval_rate=0.75, economics=MONEY)
    assert six.bad_rate_approved == pytest.approx(1 / 6)
    assert six.profit_per_loan == pytest.approx((5 * 1.0 - 1 * 5.0) / 8)
    assert six.observed_to_expected == pytest.approx(3 / float(GOOD_PD.astype(float).sum()))


MONEY = Economics(gain_of_good=1.0, loss_of_bad=5.0)


@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_ties_are_approved_in_part_whatever_the_order(seed: int, rate: float) -> None:
    random = np.random.default_rng(seed)
    pd = (random.integers(0, 4, 50) / 4).astype(np.float32)
    label, weight = random.integers(0, 2, 50).astype(np.int8), random.uniform(0.5, 2, 50)
    order = random.permutation(50)
    results = [
        realize(
            follow("p", MonthOfPolicy("2020-01", "a", "r", "kept", label[i], pd[i], weight[i])),
            approval_rate=rate,
            economics=MONEY,
        )
        for i in (np.arange(50), order)
    ]
    assert results[0].profit_per_loan == pytest.approx(results[1].profit_per_loan)
    assert results[0].bad_rate_approved == pytest.approx(results[1].bad_rate_approved)


def test_differences_and_regret() -> None:
    recipes = {"r x": GOOD, "s y": POOR}
    good, poor = compare([GOOD, POOR], recipes, reference="poor", approval_rate=0.5, seed=1, draws=200)
    gap = roc_auc_score(LABEL, GOOD_PD) - roc_auc_score(LABEL, POOR_PD)
    assert good.difference is not None
    assert good.difference.mean.estimate == pytest.approx(gap)
    assert poor.difference is None
    assert (good.regret, good.best_recipe) == (pytest.approx(0), "r x")
    assert poor.regret == pytest.approx(gap)
    assert good.document()["auc_difference"] == pytest.approx(gap)
    assert poor.document()["policy"] == "poor"


def test_the_paired_test_of_two_policies_is_that_of_two_recipes() -> None:
    """One month of one model each: DeLong's test, by another's arithmetic (placements over bads and goods)."""
    good, poor = (follow(n, month("2020-01", n, "r x", pd)) for n, pd in (("good", GOOD_PD), ("poor", POOR_PD)))
    ours, reference = compare([good, poor], {}, reference="poor", approval_rate=0.5, seed=0)
    assert reference.test is None and reference.p_value is None
    bad = LABEL == 1
    wins = [
        (pd[bad][:, None] > pd[~bad][None, :]) + 0.5 * (pd[bad][:, None] == pd[~bad][None, :])
        for pd in (GOOD_PD, POOR_PD)
    ]
    d = wins[0] - wins[1]
    error = np.sqrt(np.var(d.mean(1), ddof=1) / bad.sum() + np.var(d.mean(0), ddof=1) / (~bad).sum())
    assert ours.test is not None
    assert ours.test.estimate == pytest.approx(d.mean(), abs=1e-12)
    assert ours.test.standard_error == pytest.approx(error, abs=1e-12)
    assert ours.p_value == pytest.approx(2 * norm.sf(abs(d.mean()) / error), abs=1e-12)
    same, _ = compare([good, follow("twin", *good.months)], {}, reference="twin", approval_rate=0.5, seed=0)
    assert same.test is not None and (same.test.estimate, same.p_value) == (0.0, 1.0)


def test_the_error_is_over_borrowers_where_some_came_back() -> None:
    """Four loans of a borrower that are alike counted as four independent ones in the p-value."""
    rng = np.random.default_rng(4)
    people = 250
    truth = rng.normal(size=people)
    label = (rng.random(people) < 1 / (1 + np.exp(1.5 - truth))).astype(np.int8)
    pds = [1 / (1 + np.exp(-(s * truth + rng.normal(size=people)))) for s in (1.2, 0.8)]
    once = np.array([f"p{i}" for i in range(people)], dtype=object)

    def tested(times: int, borrower: np.ndarray) -> Difference:
        months = [
            [
                MonthOfPolicy(m, n, "r x", "kept", np.repeat(label, times), np.repeat(pd, times), None, borrower)
                for n, pd in zip(("good", "poor"), pds, strict=True)
            ]
            for m in ("2020-01",)
        ]
        good, poor = (follow(n, *column) for n, column in zip(("good", "poor"), zip(*months, strict=True), strict=True))
        found, _ = compare([good, poor], {}, reference="poor", approval_rate=0.5, seed=0)
        assert found.test is not None
        return found.test

    one = tested(1, once)
    strangers, same = tested(4, np.array([f"p{i}" for i in range(4 * people)], object)), tested(4, np.repeat(once, 4))
    assert one.estimate == pytest.approx(same.estimate) == pytest.approx(strangers.estimate)
    assert strangers.standard_error == pytest.approx(one.standard_error / 2, rel=0.01), (
        "as if there were four times as many"
    )
    assert same.standard_error == pytest.approx(one.standard_error, rel=0.1), "as many as there are people"


def test_a_recipe_that_lacks_a_month_is_nobodys_hindsight() -> None:
    partial = follow("r x", GOOD.months[0], month("2020-02", None, None, None))
    (found,) = compare([POOR], {"r x": partial, "s y": POOR}, reference="poor", approval_rate=0.5, seed=1, draws=10)
    assert (found.regret, found.best_recipe) == (0, "s y")


def test_months_whose_labels_are_not_known_have_no_figures() -> None:
    found = realize(follow("p", month("2020-01", "a", "r", None)), approval_rate=0.5, economics=MONEY)
    assert (found.mean_production_auc, found.profit_per_loan, found.bad_rate_approved) == (None, None, None)


def test_what_cannot_be_compared_says_so() -> None:
    with pytest.raises(PdxError, match="not among the policies"):
        compare([GOOD], {}, reference="paper", approval_rate=0.5, seed=1)
    with pytest.raises(PdxError, match="different months"):
        compare([GOOD, follow("poor", POOR.months[0])], {}, reference="good", approval_rate=0.5, seed=1)
