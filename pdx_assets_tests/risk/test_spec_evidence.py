"""Declarations of policies, evidence and approval: what is refused, and that nobody else's hash moves."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pdx_assets.risk.spec import Decision
from pdx_assets_tests.risk import small_tape

EVIDENCE = {"first_month": "2016-01"}


def test_a_portfolio_that_declares_none_of_it_dumps_as_before() -> None:
    assert set(Decision().model_dump(mode="json")) == {
        *("policy", "metric", "min_bads", "min_goods", "cut_off", "max_approval_rate_change"),
        *("max_expected_bad_rate_change", "keep_months"),
    }


def test_what_is_declared_is_hashed() -> None:
    spec = small_tape.spec(decision={"policy": "evidence", "evidence": EVIDENCE, "approval": {"required": True}})
    dumped = spec.model_dump(mode="json")["decision"]
    assert dumped["evidence"]["yearly_level"] == 0.05 and dumped["approval"]["two_people"] is False
    assert spec.decision.needs_approval and not small_tape.spec().decision.needs_approval


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ({"policy": "evidence"}, "expected the block evidence"),
        ({"policy": "always"}, "expected always: the recipe"),
        ({"policy": "bandit"}, "'never', 'always', 'paper', 'paper_with_memory' or 'evidence'"),
        ({"always": "xgboost"}, "expected 'strategy algorithm'"),
        ({"always": "rolling_window svm"}, "expected one of the strategies fixed_window, fixed_origin, rolling_window"),
        ({"always": "recent xgboost"}, "got 'recent xgboost'"),
        ({"evidence": {}}, "first_month"),
        ({"evidence": {"first_month": "2015-01"}}, "2015-01 has no loans before it: the tape begins 2015-01"),
        ({"evidence": {"first_month": "2016"}}, "expected a month YYYY-MM"),
        ({"evidence": {**EVIDENCE, "first_recipe": "rolling_window svm"}}, "got 'rolling_window svm'"),
        ({"evidence": {**EVIDENCE, "first_recipe": "fixed_window xgboost"}}, "never refitted"),
        ({"evidence": {**EVIDENCE, "yearly_level": 0}}, "greater than 0"),
        ({"approval": {"two_people": True}}, "required"),
    ],
)
def test_what_cannot_be_is_refused(decision: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as failure:
        small_tape.spec(decision=decision)
    assert words in str(failure.value)


def test_quarters_begin_a_quarter() -> None:
    windows = {"frequency": "quarter", "development": 2, "otv": 1, "gap": 4, "first_production": "2017-07"}
    with pytest.raises(ValidationError, match="got 2016-02, expected the first month of a quarter"):
        small_tape.spec(windows=windows, decision={"evidence": {"first_month": "2016-02"}})
    assert small_tape.spec(windows=windows, decision={"evidence": {"first_month": "2016-04"}}).decision.evidence
