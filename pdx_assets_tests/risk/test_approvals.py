"""Approvals: a proposal changes nothing by itself; who may answer, when it takes effect, what is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from pdx_assets.risk.approvals import answered, new_answer
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.events import Event, new_lift, new_rollback, obeyed_sha256, read_events, rollback_in_force
from pdx_assets.risk.hashing import canonical_json
from pdx_assets.risk.policy import Choice, Contest, decision_document, evidence, paper, with_approval
from pdx_assets.risk.spec import Decision
from pdx_assets_tests.risk import small_tape
from pdx_assets_tests.risk.test_policy import PRODUCTION, candidate, contest
from pdx_assets_tests.risk.test_policy_evidence import BETTER, A, in_charge, model, month

RULES = Decision(approval={"required": True})
SPEC = small_tape.spec(decision={"approval": {"required": True}})
ON_EVIDENCE = Decision(
    policy="evidence", evidence={"first_month": "2016-01", "first_recipe": A}, approval={"required": True}
)


def decided(made: Contest) -> tuple[Choice, dict[str, Any]]:
    choice = with_approval(made, RULES, paper(made, RULES))
    return choice, decision_document(SPEC, made, choice, inputs={}, at_cut_off={})


PROPOSED, DOCUMENT = decided(contest([0.8], 0.7))
SHA = DOCUMENT["proposal"]["sha256"]


def answer(events: list[Event], by: str, kind: str = "approve", **given: Any) -> Event:
    told = {"two_people": False, "takes_effect": PRODUCTION, "at": "2020-01-01T00:00:00+00:00", "reason": "sound."}
    given = told | {"decided": [DOCUMENT], "prefix": SHA[:8]} | given
    return new_answer(events, kind=kind, by=by, **given)  # type: ignore[arg-type]


# --- proposing --------------------------------------------------------------------------------------


def test_a_change_is_proposed_and_the_incumbent_stays() -> None:
    assert (PROPOSED.verdict, PROPOSED.champion) == ("kept", contest([0.8], 0.7).incumbent)
    assert DOCUMENT["proposal"]["candidate"]["bundle_sha256"] == "digest-m0"
    assert "waiting for approval: rolling window m0 of 2017-09 beats the incumbent" in PROPOSED.reason
    assert decided(contest([0.8], 0.7))[1]["proposal"]["sha256"] == SHA
    assert decided(contest([0.81], 0.7))[1]["proposal"]["sha256"] != SHA


@pytest.mark.parametrize(("fresh", "incumbent"), [([0.6], 0.7), ([0.8], "nobody"), ([0.8], None)])
def test_nothing_else_needs_approval(fresh: list[float | None], incumbent: float | str | None) -> None:
    made = contest(fresh, incumbent)
    assert with_approval(made, RULES, paper(made, RULES)) == paper(made, RULES)
    free = Decision(approval={"required": False})
    made = contest([0.8], 0.7)
    assert with_approval(made, free, paper(made, free)).verdict == "promoted"


def test_under_evidence_the_refit_takes_over_while_the_change_waits() -> None:
    choice = evidence(month(BETTER, incumbent=in_charge()), ON_EVIDENCE)
    assert choice.verdict == "refitted" and choice.champion is not None and choice.champion.recipe_name == A
    assert choice.proposal is not None and choice.proposal["decision"] == "promoted"
    assert choice.proposal["candidate"]["strategy"] == model("all_known xgboost").strategy
    assert choice.evidence is not None
    same = evidence(month(BETTER, incumbent=in_charge()), ON_EVIDENCE)
    assert same.proposal == choice.proposal
    assert with_approval(month(BETTER, incumbent=in_charge()), ON_EVIDENCE, choice) == choice


# --- answering --------------------------------------------------------------------------------------


def test_an_approval_takes_effect_at_its_month_and_no_other() -> None:
    events = [answer([], "ann", takes_effect=PRODUCTION + 1)]
    assert answered(PROPOSED, events, PRODUCTION, {}) == PROPOSED
    made = answered(PROPOSED, events, PRODUCTION + 1, {"digest-m0": 0.66})
    assert (made.verdict, made.champion) == ("promoted", dataclasses.replace(candidate("m0", None), score=0.66))
    assert made.reason.startswith("rolling window m0 of 2017-09, proposed before, was approved by ann: sound.")
    assert made.proposal is None
    assert answered(PROPOSED, events, PRODUCTION + 2, {}) == PROPOSED, "from then on it is the incumbent"


def test_two_people_are_two_people() -> None:
    events = [answer([], "Ann Lee", two_people=True)]
    assert not events[0].decides
    assert answered(PROPOSED, events, PRODUCTION, {}) == PROPOSED
    with pytest.raises(DecisionError, match=r"ann  lee has approved .* already") as failure:
        answer(events, "ann  lee", two_people=True)
    assert "somebody else" in str(failure.value)
    events.append(answer(events, "Ben", two_people=True, takes_effect=PRODUCTION + 1))
    assert answered(PROPOSED, events, PRODUCTION, {}) == PROPOSED, "the second one's month counts"
    made = answered(PROPOSED, events, PRODUCTION + 1, {})
    assert made.verdict == "promoted" and "approved by Ann Lee and Ben" in made.reason


def test_one_person_rejects() -> None:
    events = [answer([], "ann", two_people=True)]
    events.append(answer(events, "ann", "reject", two_people=True, reason="its PDs are odd"))
    made = answered(PROPOSED, events, PRODUCTION, {})
    assert (made.verdict, made.champion, made.proposal) == ("kept", PROPOSED.champion, None)
    assert made.reason.endswith("Rejected by ann: its PDs are odd.")
    other = decided(contest([0.81], 0.7))[0]
    assert answered(other, events, PRODUCTION + 1, {}) == other, "a later contest may propose again"


def test_what_is_decided_stale_or_unknown_is_told() -> None:
    events = [answer([], "ann")]
    for kind in ("approve", "reject"):
        with pytest.raises(DecisionError, match="was approved by ann on 2020-01-01: sound"):
            answer(events, "ben", kind)
    later = decision_document(SPEC, contest([0.6], 0.7), PROPOSED, inputs={}, at_cut_off={})
    later = {k: v for k, v in later.items() if k != "proposal"} | {"production_month": "2017-10"}
    with pytest.raises(DecisionError, match="of 2017-09 is stale: 2017-10 has been decided since"):
        answer([], "ann", decided=[later, DOCUMENT])
    for prefix in ("ffff", SHA[:3], ""):
        with pytest.raises(DecisionError, match="No proposal has a hash") as failure:
            answer([], "ann", prefix=prefix)
        assert SHA[:12] in str(failure.value)
    with pytest.raises(DecisionError, match="that waits: none"):
        answer([], "ann", decided=[])


# --- beside the other events ------------------------------------------------------------------------


def test_answers_leave_rollbacks_alone_and_a_rollback_goes_before() -> None:
    given = {"takes_effect": PRODUCTION, "by": "cy", "at": "2020-01-02", "reason": "r"}
    events = [new_rollback([], candidate("m1", None), **given)]  # type: ignore[arg-type]
    events.append(answer(events, "ann"))
    assert rollback_in_force(events, PRODUCTION) == events[0]
    assert answered(PROPOSED, events, PRODUCTION, {}) == PROPOSED
    events.append(new_lift(events, **given))  # type: ignore[arg-type]
    assert rollback_in_force(events, PRODUCTION) is None
    assert answered(PROPOSED, events, PRODUCTION, {}).verdict == "promoted"


def test_events_survive_storage_and_those_of_before_keep_their_bytes() -> None:
    events = [answer([], "ann", two_people=True)]
    events.append(answer(events, "ben", two_people=True))
    stored = [json.loads(canonical_json(e.document())) for e in events]
    assert list(read_events(stored)) == events
    assert obeyed_sha256(events, PRODUCTION) != obeyed_sha256(events[:1], PRODUCTION)
    rollback = new_rollback(
        [], candidate("m1", None), takes_effect=PRODUCTION, by="cy", at="2020-01-02", reason="r"
    ).document()
    assert set(rollback) == {*("format_version", "sequence", "event", "takes_effect", "by", "at", "reason", "bundle")}
