"""Contests by money, against sums made by hand and draws of independent borrowers."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.evidence.bootstrap import BorrowerMonth
from pdx_assets.risk.evidence.choose import better_recipe, decayed
from pdx_assets.risk.evidence.money import gains, money_difference
from pdx_assets.risk.evidence.paired import Difference
from pdx_assets.risk.spec import CutOff, Decision, Economics, Evidence
from pdx_assets_tests.risk.evidence.records import stated

ECONOMICS, HALF = Economics(gain_of_good=1.0, loss_of_bad=6.0), CutOff(approval_rate=0.5)
A, B = "rolling_window xgboost", "all_known xgboost"
BY_MONEY = Evidence(first_month="2015-01", measure="money", margin=0.1)


def test_a_declined_loan_brings_nothing() -> None:
    label, pd = np.array([0, 1, 0, 1]), np.array([0.05, 0.1, 0.2, 0.4])
    assert gains(label, pd, ECONOMICS, HALF).tolist() == [1.0, -6.0, 0.0, 0.0]
    assert gains(label, pd, ECONOMICS, CutOff(pd=0.2)).tolist() == [1.0, -6.0, 1.0, 0.0]
    # By weight the first loan is half of the book.
    assert gains(label, pd, ECONOMICS, HALF, np.array([3.0, 1.0, 1.0, 1.0])).tolist() == [1.0, 0.0, 0.0, 0.0]


def drawn(seed: int, people: int = 4000) -> list[BorrowerMonth]:
    rng = np.random.default_rng(seed)
    months = []
    for k in range(3):
        truth = rng.normal(size=people)
        label = (rng.random(people) < 1 / (1 + np.exp(2 - truth))).astype(int)
        pds = [1 / (1 + np.exp(-(signal * truth + rng.normal(size=people)))) for signal in (1.5, 0.5)]
        names = np.array([f"{k} {i}" for i in range(people)], dtype=object)
        months.append(BorrowerMonth(Month(2015, 1) + k, label, names, *pds))
    return months


def test_the_difference_is_of_sums_and_its_error_that_of_repeated_books() -> None:
    months = drawn(0)
    found = money_difference(months, ECONOMICS, HALF, seed=1, margin=0.05)
    assert found is not None and found == money_difference(months[::-1], ECONOMICS, HALF, seed=1, margin=0.05)
    earned = [
        sum(float(gains(np.asarray(m.label), np.asarray(pd), ECONOMICS, HALF).sum()) for m, pd in pairs)
        for pairs in ([(m, m.pd) for m in months], [(m, m.other_pd) for m in months])
    ]
    assert found.estimate == pytest.approx((earned[0] - earned[1]) / 12_000)
    assert found.months == 3 and found.bads == sum(int(np.asarray(m.label).sum()) for m in months)
    others = [money_difference(drawn(seed), ECONOMICS, HALF, seed=1, draws=100) for seed in range(1, 41)]
    assert found.standard_error == pytest.approx(np.std([o.estimate for o in others if o], ddof=1), rel=0.3)
    assert found.p_value < 1e-6 < 1 - found.p_value
    same = [BorrowerMonth(m.cohort, m.label, m.borrower, m.pd, m.pd) for m in months]
    nothing = money_difference(same, ECONOMICS, HALF, seed=1)
    assert nothing is not None and (nothing.estimate, nothing.p_value) == (0.0, 1.0)
    assert money_difference([], ECONOMICS, HALF, seed=1) is None


RECORD = tuple(stated(k, {A: 0.64, B: 0.70}) for k in range(24))


def test_a_contest_by_money_asks_nothing_else() -> None:
    """By AUC B is far better; earning less than the margin more, or not known, it stays a challenger."""
    assert better_recipe(RECORD, A, [A, B], Evidence(first_month="2015-01"), months_a_period=1).successor == B
    earns = Difference(0.3, 0.02, 24, 2400.0, 1e-9)
    won = better_recipe(RECORD, A, [A, B], BY_MONEY, months_a_period=1, clustered={B: earns})
    assert won.successor == B and "+0.3000 money a loan" in won.told and "more than 0.1 money a loan" in won.told
    assert won.document()["compared"][0]["unit"] == "money a loan"
    little = Difference(0.11, 0.02, 24, 2400.0, 0.3)
    for clustered in ({B: little}, {}):
        lost = better_recipe(RECORD, A, [A, B], BY_MONEY, months_a_period=1, clustered=clustered)
        assert lost.successor is None


def test_decay_is_by_auc_all_the_same() -> None:
    fallen = (*RECORD, *(stated(24 + k, {A: 0.51, B: 0.62}) for k in range(6)))
    found = decayed(fallen, A, [A, B], BY_MONEY, floor=0.55, months_a_period=1)
    assert found.successor == B, "a margin of 0.1 is money, and no AUC"


def test_a_measure_needs_its_settings() -> None:
    with pytest.raises(ValidationError, match=r"expected economics"):
        Decision(policy="evidence", evidence=BY_MONEY)
    assert Decision(policy="evidence", evidence=BY_MONEY, economics=ECONOMICS).evidence == BY_MONEY
    with pytest.raises(ValidationError, match=r"expected an AUC below 0\.5, or measure: money"):
        Evidence(first_month="2015-01", margin=0.5)
    assert "measure" not in Evidence(first_month="2015-01").model_dump()
