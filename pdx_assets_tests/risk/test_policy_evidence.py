"""The evidence policy: who is in charge, at every branch of the rule, and what the decision says of it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.evidence.gates import CALIBRATION, DISCRIMINATION, Gate
from pdx_assets.risk.evidence.record import MonthEvidence
from pdx_assets.risk.hashing import canonical_json, document_sha256
from pdx_assets.risk.policy import (
    Candidate,
    Choice,
    Contest,
    Evidence,
    Recalibrated,
    contest_number,
    decision_document,
    evidence,
    in_charge_problem,
    periods_since_change,
)
from pdx_assets.risk.spec import Decision
from pdx_assets_tests.risk import small_tape
from pdx_assets_tests.risk.evidence.records import stated

A, B = "rolling_window xgboost", "all_known xgboost"
MONTH = Month(2017, 9)
RULES = Decision(policy="evidence", evidence={"first_month": "2016-01", "first_recipe": A})
SPEC = small_tape.spec(
    strategies=["fixed_window", "rolling_window"],
    algorithms=["xgboost"],
    decision={"policy": "evidence", "evidence": {"first_month": "2016-01", "first_recipe": A}},
)

BETTER = tuple(stated(k, {A: 0.64, B: 0.67}) for k in range(24))
EVEN = tuple(stated(k, {A: 0.65, B: 0.65}) for k in range(24))


def model(recipe: str, *, trained_for: str = "2017-09", score: float | None = None) -> Candidate:
    strategy, algorithm = recipe.split()
    return Candidate(f"{strategy} of {trained_for}", strategy, algorithm, trained_for, "2017-08", score)


def gate(name: str = DISCRIMINATION, *, passed: bool = True) -> Gate:
    return Gate(name, passed, 0.01, 0.02, f"measured for {name}")


OPEN = {model(r).bundle_sha256: (gate(), gate(CALIBRATION)) for r in (A, B)}


def month(
    record: tuple[MonthEvidence, ...] = (),
    *,
    incumbent: Candidate | None = None,
    gates: dict[str, tuple[Gate, ...]] | None = None,
    fresh: tuple[Candidate, ...] = (dataclasses.replace(model(A), last_cohort="2016-05", score=0.7),),
    **given: Any,
) -> Contest:
    held = {"contest_number": 2, "periods_since_change": None, "floor": 0.55, **given}
    seen = Evidence(record, OPEN if gates is None else gates, **held)
    refits = (model(B),)
    return Contest(MONTH, (Month(2016, 6),), 100, 900, fresh, incumbent, {}, refits=refits, evidence=seen)


def in_charge(recipe: str = A) -> Candidate:
    return model(recipe, trained_for="2017-08")


# --- the first champion -----------------------------------------------------------------------------


UNDECLARED = Decision(policy="evidence", evidence={"first_month": "2016-01"})


def test_the_first_champion_is_the_best_recipe_on_record() -> None:
    choice = evidence(month(BETTER), UNDECLARED)
    assert (choice.verdict, choice.champion) == ("first", model(B))
    assert "best record of 2 recipes, AUC 0.6700" in choice.reason


def test_a_declared_first_champion_stands_until_another_is_shown_to_be_better() -> None:
    stands, gives_way = (evidence(month(BETTER[:n]), RULES) for n in (2, 24))
    assert stands.champion is not None and stands.champion.recipe_name == A
    assert "begins, as declared" in stands.reason
    assert (gives_way.verdict, gives_way.champion) == ("first", model(B))
    assert gives_way.evidence is not None and gives_way.evidence["findings"]["first"]["compared"]


def test_without_a_record_it_is_the_declared_one_then_the_papers() -> None:
    declared = evidence(month(), RULES)
    assert declared.verdict == "first" and declared.champion is not None and declared.champion.recipe_name == A
    assert "highest OTV AUC, 0.7000" in evidence(month(), UNDECLARED).reason


def test_at_p0_the_recipe_gets_the_bundle_that_stands_for_it() -> None:
    fixed = dataclasses.replace(model(A), strategy="fixed_window", bundle_sha256="one for all", score=0.7)
    choice = evidence(month(fresh=(fixed,)), RULES)
    assert choice.champion is not None
    assert (choice.champion.bundle_sha256, choice.champion.recipe_name) == ("one for all", A)


# --- the refit --------------------------------------------------------------------------------------


def test_the_refit_of_the_recipe_in_charge_takes_over() -> None:
    choice = evidence(month(EVEN, incumbent=in_charge()), RULES)
    assert choice.verdict == "refitted" and choice.champion is not None
    assert choice.champion.bundle_sha256 == model(A).bundle_sha256
    assert "discrimination passed (measured for discrimination)" in choice.reason
    assert "no recipe is shown to be better" in choice.reason


def test_a_refit_that_fails_a_gate_waits() -> None:
    shut = {model(A).bundle_sha256: (gate(), gate("score_psi", passed=False))}
    choice = evidence(month(EVEN, incumbent=in_charge(), gates=shut), RULES)
    assert (choice.verdict, choice.champion) == ("kept", in_charge())
    assert "does not pass score psi" in choice.reason and "score psi FAILED" in choice.reason
    assert choice.evidence is not None and [g["passed"] for g in choice.evidence["gates"]] == [True, False]


def test_a_refit_without_gates_a_missing_one_and_the_same_one_change_nothing() -> None:
    for changed, words in (
        (month(EVEN, incumbent=in_charge(), gates={}), "were not measured"),
        (month(EVEN, incumbent=in_charge(), fresh=()), "has no model this month"),
        (month(EVEN, incumbent=dataclasses.replace(in_charge(), bundle_sha256=model(A).bundle_sha256)), "the same"),
    ):
        choice = evidence(changed, RULES)
        assert (choice.verdict, choice.champion) == ("kept", changed.incumbent)
        assert words in choice.reason


def recalibrated(*, passed: bool = True) -> Recalibrated:
    made = dataclasses.replace(in_charge(), bundle_sha256="recalibrated", trained_for="2017-09")
    return Recalibrated(made, gate(CALIBRATION, passed=False), gate(CALIBRATION, passed=passed))


def test_a_model_that_stays_stays_with_its_pds_set_right() -> None:
    shut = {model(A).bundle_sha256: (gate(passed=False),)}
    held = month(EVEN, incumbent=in_charge(), gates=shut, recalibrated=recalibrated())
    choice = evidence(held, RULES)
    assert choice.verdict == "recalibrated" and choice.champion == recalibrated().model
    assert choice.champion.recipe_name == A
    assert "does not pass discrimination" in choice.reason and "so it is recalibrated" in choice.reason
    assert choice.evidence is not None and choice.evidence["recalibration"]["after"]["passed"]
    assert choice.evidence["gates"] == [shut[model(A).bundle_sha256][0].document()]


def test_a_recalibration_that_does_not_set_pds_right_changes_nothing() -> None:
    shut = {model(A).bundle_sha256: (gate(passed=False),)}
    held = month(EVEN, incumbent=in_charge(), gates=shut, recalibrated=recalibrated(passed=False))
    assert evidence(held, RULES).verdict == "kept"


def test_what_stays_while_a_proposal_waits_states_its_recalibration() -> None:
    """The decision's document held the proposal's evidence alone: who was in charge, recalibrated, had none."""
    shut = {model(A).bundle_sha256: (gate(passed=False),), model(B).bundle_sha256: (gate(),)}
    held = month(BETTER, incumbent=in_charge(), gates=shut, recalibrated=recalibrated())
    choice = evidence(held, RULES.model_copy(update={"approval": Decision(approval={"required": True}).approval}))
    assert choice.verdict == "recalibrated" and choice.proposal is not None and choice.evidence is not None
    assert choice.evidence["recalibration"]["before"]["passed"] is False
    assert choice.proposal["evidence_sha256"] == document_sha256(choice.evidence)
    outright = evidence(held, RULES)
    assert outright.verdict == "promoted" and outright.evidence is not None
    assert "recalibration" not in outright.evidence, "nobody is in charge by it"


def test_a_refit_or_a_better_recipe_goes_before_a_recalibration() -> None:
    assert evidence(month(EVEN, incumbent=in_charge(), recalibrated=recalibrated()), RULES).verdict == "refitted"
    better = evidence(month(BETTER, incumbent=in_charge(), recalibrated=recalibrated()), RULES)
    assert better.verdict == "promoted"


# --- a change of recipe -----------------------------------------------------------------------------


def test_a_better_recipe_takes_over_in_a_month_with_a_contest() -> None:
    choice = evidence(month(BETTER, incumbent=in_charge()), RULES)
    assert (choice.verdict, choice.champion) == ("promoted", model(B))
    for part in ("+0.0300 AUC", "95 %", "corrected p", "calibration passed"):
        assert part in choice.reason


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"contest_number": None}, "no contest this month"),
        ({"periods_since_change": 3}, "3 of 3 periods of cool-down"),
        ({"periods_since_change": 1}, "1 of 3 periods of cool-down"),
    ],
)
def test_out_of_turn_and_in_the_cool_down_the_recipe_stays(given: dict[str, Any], words: str) -> None:
    choice = evidence(month(BETTER, incumbent=in_charge(), **given), RULES)
    assert choice.verdict == "refitted" and words in choice.reason


def test_after_the_cool_down_it_may_change() -> None:
    assert evidence(month(BETTER, incumbent=in_charge(), periods_since_change=4), RULES).verdict == "promoted"


@pytest.mark.parametrize("gates", [(), (gate(passed=False), gate(CALIBRATION)), (gate(CALIBRATION, passed=False),)])
def test_a_better_recipe_whose_model_fails_a_gate_waits(gates: tuple[Gate, ...]) -> None:
    asked = {**OPEN, model(B).bundle_sha256: gates}
    choice = evidence(month(BETTER, incumbent=in_charge(), gates=asked), RULES)
    assert choice.verdict == "refitted", "the recipe in charge goes on"
    assert "all known xgboost of 2017-09: " in choice.reason


def test_the_recipe_in_charge_is_not_left_for_a_worse_or_an_equal_one() -> None:
    assert evidence(month(BETTER, incumbent=in_charge(B)), RULES).verdict == "refitted"
    assert evidence(month(EVEN, incumbent=in_charge()), RULES).verdict == "refitted"


def test_a_recipe_with_neither_record_nor_refits_gives_way_at_a_contest() -> None:
    frozen = dataclasses.replace(in_charge(), strategy="fixed_window")
    choice = evidence(month(BETTER, incumbent=frozen), RULES)
    assert (choice.verdict, choice.champion) == ("promoted", model(B))
    assert "neither a record nor refits" in choice.reason
    assert evidence(month(BETTER, incumbent=frozen, contest_number=None), RULES).verdict == "kept"


# --- demotion ---------------------------------------------------------------------------------------

FALLEN = (*EVEN, *(stated(24 + k, {A: 0.51, B: 0.62}) for k in range(6)))


def test_a_decayed_recipe_gives_way_in_any_month() -> None:
    choice = evidence(month(FALLEN, incumbent=in_charge(), contest_number=None), RULES)
    assert (choice.verdict, choice.champion) == ("demoted", model(B))
    assert "below the floor of 0.55" in choice.reason


def test_its_successor_needs_the_calibration_gate_only() -> None:
    """Nearness to a model that must go is no virtue."""
    far = {**OPEN, model(B).bundle_sha256: (gate(passed=False), gate("score_psi", passed=False), gate(CALIBRATION))}
    assert evidence(month(FALLEN, incumbent=in_charge(), gates=far), RULES).verdict == "demoted"
    off = {**OPEN, model(B).bundle_sha256: (gate(CALIBRATION, passed=False),)}
    choice = evidence(month(FALLEN, incumbent=in_charge(), gates=off), RULES)
    assert choice.verdict == "refitted" and "calibration FAILED" in choice.reason
    assert choice.evidence is not None
    assert choice.evidence["stopped"]["recipe"] == B, "whose gates were words only"
    assert [(g["name"], g["passed"]) for g in choice.evidence["stopped"]["gates"]] == [(CALIBRATION, False)]


def test_a_successor_whose_gates_were_not_measured_waits_even_for_a_demotion() -> None:
    """By the error over borrowers another recipe followed than the one that was gated, and took over ungated."""
    unmeasured = {digest: asked for digest, asked in OPEN.items() if digest != model(B).bundle_sha256}
    choice = evidence(month(FALLEN, incumbent=in_charge(), gates=unmeasured), RULES)
    assert choice.verdict == "refitted" and "its gates were not measured" in choice.reason


def test_a_demotion_waits_for_the_cool_down_too() -> None:
    assert evidence(month(FALLEN, incumbent=in_charge(), periods_since_change=2), RULES).verdict == "refitted"


# --- the document -----------------------------------------------------------------------------------


def test_the_decision_states_its_evidence() -> None:
    made = month(BETTER, incumbent=in_charge())
    document = decision_document(SPEC, made, evidence(made, RULES), inputs={}, at_cut_off={})
    assert json.loads(canonical_json(document)) == document
    found = document["evidence"]
    assert found["recipe"] == A and len(found["months"]) == 24 and found["contest_number"] == 2
    assert found["records"][B]["auc"] == pytest.approx(0.67)
    compared = {c["recipe"]: c for c in found["findings"]["contest"]["compared"]}
    assert compared[B]["difference"]["estimate"] == pytest.approx(0.03)
    low, high = compared[B]["difference"]["interval"]
    assert 0 < low < 0.03 < high and compared[B]["corrected_p_value"] < 0.05
    assert [g["name"] for g in found["gates"]] == [DISCRIMINATION, CALIBRATION]
    assert document["contest"]["refits"][0]["strategy"] == "all_known"
    assert in_charge_problem(document) is None, "models that have seen OTV have no score on it"


def test_the_order_of_months_and_of_recipes_changes_no_byte() -> None:
    made = month(FALLEN, incumbent=in_charge())
    assert made.evidence is not None
    turned = dataclasses.replace(made, evidence=dataclasses.replace(made.evidence, record=FALLEN[::-1]))
    assert canonical_json(evidence(turned, RULES).evidence) == canonical_json(evidence(made, RULES).evidence)


def test_what_is_not_declared_or_not_there_is_told() -> None:
    with pytest.raises(DecisionError, match=r"decision\.evidence is not declared"):
        evidence(month(BETTER), Decision())
    with pytest.raises(DecisionError, match="materialize recipe_record"):
        evidence(dataclasses.replace(month(BETTER), evidence=None), RULES)
    assert Choice("kept", None, "").evidence is None


# --- counting periods -------------------------------------------------------------------------------


def test_contests_are_counted_from_p0() -> None:
    numbers = [contest_number(SPEC, SPEC.p0 + k) for k in range(8)]
    assert numbers == [0, None, None, 1, None, None, 2, None]
    with pytest.raises(DecisionError, match="declares no evidence"):
        contest_number(small_tape.spec(), SPEC.p0)


def decided(*recipes: str | None) -> list[dict[str, Any]]:
    return [
        {
            "production_month": str(SPEC.p0 + k),
            "champion": dict(zip(("strategy", "algorithm"), r.split(), strict=True)) if r else None,
        }
        for k, r in enumerate(recipes)
    ]


@pytest.mark.parametrize(
    ("recipes", "expected"),
    [
        ((A,), None),
        ((A, A, A), None),
        ((A, B), 1),
        ((A, B, B), 2),
        ((A, B, A), 1),
        ((A, None, B), 1),
        ((A, None, A), None),
        ((None, A), None),
    ],
)
def test_a_change_is_another_recipe_in_charge(recipes: tuple[str | None, ...], expected: int | None) -> None:
    production = SPEC.p0 + len(recipes)
    assert periods_since_change(SPEC, production, decided(*recipes)[::-1]) == expected
    later = [*decided(*recipes), *[{**d, "production_month": str(production + 1)} for d in decided(B)]]
    assert periods_since_change(SPEC, production, later) == expected, "what was decided later is not seen"
