"""The paper's Algorithm 1 against a plain re-implementation, the fold's month check, and the decision document."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError, MissingMonthError
from pdx_assets.risk.hashing import canonical_json, document_sha256
from pdx_assets.risk.metrics.weights import EffectiveSizes
from pdx_assets.risk.policy import POLICIES, Candidate, Choice, Contest, decision_document, incumbent_of, paper
from pdx_assets.risk.spec import Decision
from pdx_assets_tests.risk import small_tape

RULES = Decision(min_bads=30, min_goods=30)
PRODUCTION = Month(2017, 9)
OTV = (Month(2016, 6), Month(2016, 7), Month(2016, 8))


def candidate(
    name: str, score: float | None, *, trained_for: str = "2017-09", last_cohort: str = "2016-05"
) -> Candidate:
    return Candidate(f"digest-{name}", "rolling_window", name, trained_for, last_cohort, score)


def contest(
    fresh: list[float | None], incumbent: float | str | None = "nobody", *, bads: int = 100, goods: int = 1000
) -> Contest:
    return Contest(
        production_month=PRODUCTION,
        otv_months=OTV,
        bads=bads,
        goods=goods,
        fresh=tuple(candidate(f"m{i}", score) for i, score in enumerate(fresh)),
        incumbent=None
        if incumbent == "nobody"
        else candidate("incumbent", incumbent, trained_for="2017-08", last_cohort="2016-04"),
        failed={},
    )


def algorithm_1(
    scores: list[float | None], incumbent: float | str | None, bads: int, goods: int
) -> tuple[str, str | None]:
    """Who is in charge and why, by sorting: an independent reading of design section 3.

    Everybody who has a score, the incumbent first and then as declared; a stable sort by falling score puts
    the winner first.
    """
    there_is_one = incumbent != "nobody"
    stays = ("no_contest", "incumbent") if there_is_one else ("vacant", None)
    if min(bads, goods) < 30:
        return stays
    if incumbent is None:
        return stays
    entries = [("incumbent", incumbent)] if there_is_one else []
    entries += [(f"m{i}", s) for i, s in enumerate(scores) if s is not None]
    if not entries:
        return stays
    winner = sorted(entries, key=lambda e: -e[1])[0][0]
    if winner == "incumbent":
        return "kept", winner
    return ("promoted" if there_is_one else "first"), winner


# Few distinct values, so that ties are common; neighbours one float apart, so that rounding would show.
SCORES = st.sampled_from([None, 0.0, 0.5, 0.7, 0.7 + 2**-53, 0.7000001, 1.0]) | st.floats(0, 1)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(SCORES, max_size=8),
    SCORES | st.just("nobody"),
    st.sampled_from([0, 29, 30, 500]),
    st.sampled_from([0, 29, 30, 500]),
)
def test_paper_policy_equals_algorithm_1(
    fresh: list[float | None], incumbent: float | str | None, bads: int, goods: int
) -> None:
    made = contest(fresh, incumbent, bads=bads, goods=goods)
    choice = paper(made, RULES)
    verdict, winner = algorithm_1(fresh, incumbent, bads, goods)
    assert choice.verdict == verdict
    assert (choice.champion.algorithm if choice.champion else None) == winner
    assert len(choice.reason) > 20
    if choice.champion:
        assert choice.champion in (*made.fresh, made.incumbent)
        assert choice.champion.recipe in choice.reason


def test_the_incumbent_wins_a_tie_and_loses_by_one_float() -> None:
    tie = paper(contest([0.7, 0.7], 0.7), RULES)
    assert (tie.verdict, tie.champion.algorithm) == ("kept", "incumbent")
    assert "equals" in tie.reason
    above = paper(contest([0.7, 0.7 + 2**-53], 0.7), RULES)
    assert (above.verdict, above.champion.algorithm) == ("promoted", "m1")
    below = paper(contest([0.7 - 2**-53], 0.7), RULES)
    assert below.verdict == "kept"
    assert "is below" in below.reason


def test_among_equal_challengers_the_declared_order_decides() -> None:
    assert paper(contest([0.6, 0.7, 0.7, 0.7], 0.65), RULES).champion.algorithm == "m1"
    assert paper(contest([0.7, 0.7]), RULES).champion.algorithm == "m0"


def test_reasons_name_models_and_scores() -> None:
    promoted = paper(contest([0.71, 0.73], 0.72), RULES).reason
    assert promoted == (
        "rolling window m1 of 2017-09 beats the incumbent rolling window incumbent of 2017-08: "
        "OTV AUC 0.7300 > 0.7200 (+0.0100)."
    )
    kept = paper(contest([0.71, 0.70], 0.72), RULES).reason
    assert "0.7200" in kept and "rolling window m0" in kept and "0.7100" in kept
    assert "First champion: rolling window m0" in paper(contest([0.71]), RULES).reason


@pytest.mark.parametrize(("bads", "goods"), [(29, 1000), (1000, 29), (0, 0)])
def test_too_few_bads_or_goods_is_no_contest(bads: int, goods: int) -> None:
    choice = paper(contest([0.99], 0.5, bads=bads, goods=goods), RULES)
    assert (choice.verdict, choice.champion.algorithm) == ("no_contest", "incumbent")
    assert f"{bads} bads and {goods} goods" in choice.reason
    assert "30" in choice.reason
    assert "incumbent of 2017-08 stays" in choice.reason
    vacant = paper(contest([0.99], bads=bads, goods=goods), RULES)
    assert (vacant.verdict, vacant.champion) == ("vacant", None)


def test_thirty_of_each_is_enough_and_the_spec_may_ask_for_more() -> None:
    assert paper(contest([0.9], 0.5, bads=30, goods=30), RULES).verdict == "promoted"
    strict = Decision(min_bads=31, min_goods=30)
    assert paper(contest([0.9], 0.5, bads=30, goods=30), strict).verdict == "no_contest"


def test_an_incumbent_that_cannot_be_scored_stays() -> None:
    choice = paper(contest([0.99], None), RULES)
    assert (choice.verdict, choice.champion.algorithm) == ("no_contest", "incumbent")
    assert "could not be scored" in choice.reason


def test_nobody_can_be_scored() -> None:
    assert paper(contest([None, None]), RULES).verdict == "vacant"
    assert paper(contest([]), RULES).verdict == "vacant"
    kept = paper(contest([None], 0.6), RULES)
    assert kept.verdict == "kept"
    assert "no challenger could be measured" in kept.reason


def test_the_first_champion_may_have_any_score() -> None:
    """Even an AUC of 0 is a score: at p0 somebody has to be in charge."""
    assert paper(contest([0.0, None]), RULES).verdict == "first"


@pytest.mark.parametrize("who", ["challenger", "incumbent"])
@pytest.mark.parametrize("last_cohort", ["2016-06", "2016-08", "2017-01"])
def test_a_cohort_a_candidate_has_seen_is_refused(who: str, last_cohort: str) -> None:
    made = contest([0.6, 0.7], 0.65)
    if who == "challenger":
        made = dataclasses.replace(
            made, fresh=(made.fresh[0], dataclasses.replace(made.fresh[1], last_cohort=last_cohort))
        )
    else:
        made = dataclasses.replace(made, incumbent=dataclasses.replace(made.incumbent, last_cohort=last_cohort))
    with pytest.raises(DecisionError) as failure:
        paper(made, RULES)
    text = str(failure.value)
    assert "2017-09" in text and "cohorts from 2016-06" in text
    assert f"learned from {last_cohort}" in text
    assert ("rolling window m1 of 2017-09" if who == "challenger" else "incumbent of 2017-08") in text
    assert "m0" not in text


def test_the_cohort_just_before_otv_may_be_seen() -> None:
    made = contest([0.6], 0.5)
    assert made.fresh[0].last_cohort == str(OTV[0] - 1)
    assert paper(made, RULES).verdict == "promoted"


# --- the fold ---------------------------------------------------------------------------------------


SPEC = small_tape.spec()  # p0 is 2017-07


def recorded(*months: str) -> list[dict[str, Any]]:
    return [{"production_month": m, "champion": {"algorithm": f"champion of {m}"}} for m in months]


def test_the_first_month_has_no_incumbent() -> None:
    assert incumbent_of(SPEC, Month(2017, 7), []) is None
    # A decision of a later month, made earlier by mistake or on another branch, changes nothing.
    assert incumbent_of(SPEC, Month(2017, 7), recorded("2017-08")) is None


def test_the_incumbent_is_the_month_befores_whatever_the_order() -> None:
    found = incumbent_of(SPEC, Month(2017, 10), recorded("2017-09", "2017-07", "2017-08"))
    assert found == {"production_month": "2017-09", "champion": {"algorithm": "champion of 2017-09"}}


def test_missing_months_are_named() -> None:
    with pytest.raises(MissingMonthError) as failure:
        incumbent_of(SPEC, Month(2017, 12), recorded("2017-07", "2017-09", "2017-11"))
    text = str(failure.value)
    assert "2017-12 cannot be decided" in text
    assert "2017-08, 2017-10." in text
    assert "2017-07..2017-11" in text
    with pytest.raises(MissingMonthError, match=r"2017-07\."):
        incumbent_of(SPEC, Month(2017, 8), [])


def test_before_p0_nothing_is_decided() -> None:
    with pytest.raises(DecisionError, match="2017-06 lies before the first production month 2017-07"):
        incumbent_of(SPEC, Month(2017, 6), [])


def test_quarters_fold_over_quarters() -> None:
    spec = small_tape.spec(
        windows={"frequency": "quarter", "development": 2, "otv": 1, "gap": 4, "first_production": "2017-07"}
    )
    assert incumbent_of(spec, Month(2018, 1), recorded("2017-07", "2017-10"))["production_month"] == "2017-10"
    with pytest.raises(MissingMonthError, match=r"for 2017-10\."):
        incumbent_of(spec, Month(2018, 1), recorded("2017-07"))


def test_the_same_decisions_give_the_same_champions_in_any_order_of_asking() -> None:
    """Months are folded one at a time from what is recorded: a fold from the middle ends the same."""
    scores = {"2017-07": [0.60], "2017-08": [0.61, 0.59], "2017-09": [0.55], "2017-10": [0.61]}

    def decide(month: str, before: list[dict[str, Any]]) -> dict[str, Any]:
        held = incumbent_of(SPEC, Month.parse(month), before)
        champion = held["champion"] if held else None
        incumbent = Candidate(**champion) if champion else None
        made = Contest(
            Month.parse(month),
            OTV,
            100,
            100,
            tuple(candidate(f"{month}-{i}", s) for i, s in enumerate(scores[month])),
            incumbent,
            {},
        )
        return decision_document(SPEC, made, paper(made, RULES), inputs={}, at_cut_off={})

    chain: list[dict[str, Any]] = []
    for month in scores:
        chain.append(decide(month, chain))
    assert [d["decision"] for d in chain] == ["first", "promoted", "kept", "kept"]
    assert [d["champion"]["algorithm"] for d in chain] == ["2017-07-0", "2017-08-0", "2017-08-0", "2017-08-0"]
    assert decide("2017-09", chain[::-1]) == chain[2]


# --- the document -----------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    made = dataclasses.replace(contest([0.71, None], 0.7), failed={"fixed_origin xgboost": "did not converge"})
    return decision_document(
        SPEC,
        made,
        paper(made, RULES),
        inputs={"score_sha256": {"digest-m0": "ab"}, "previous_decision_sha256": None},
        at_cut_off={"cut_off": 0.2, "before": {"approval_rate": 0.8}, "after": None},
    )


def test_the_decision_document_holds_the_whole_contest() -> None:
    found = document()
    assert json.loads(canonical_json(found)) == found
    assert found["decision"] == "promoted"
    assert found["policy"] == "paper"
    assert found["metric"] == "auc"
    assert found["production_month"] == "2017-09"
    assert found["champion"]["bundle_sha256"] == "digest-m0"
    assert found["incumbent"]["score"] == 0.7
    assert found["contest"]["otv_months"] == ["2016-06", "2016-07", "2016-08"]
    assert [c["score"] for c in found["contest"]["challengers"]] == [0.71, None]
    assert found["contest"]["failed"] == {"fixed_origin xgboost": "did not converge"}
    assert found["inputs"]["previous_decision_sha256"] is None
    assert Candidate(**found["champion"]) == candidate("m0", 0.71)


def test_the_documents_hash_is_stable() -> None:
    """Each decision freezes the hash of the one before: storing, reading and key order must not move it."""
    expected = document_sha256(document())
    stored = json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False)
    assert document_sha256(json.loads(stored)) == expected
    turned = dict(reversed(document().items())) | {"contest": dict(reversed(document()["contest"].items()))}
    assert document_sha256(turned) == expected
    other = document()
    other["contest"]["challengers"][0]["score"] += 2**-53
    assert document_sha256(other) != expected


def test_a_vacant_month_is_recorded_too() -> None:
    made = contest([None])
    choice = paper(made, RULES)
    found = decision_document(SPEC, made, choice, inputs={}, at_cut_off={})
    assert (found["decision"], found["champion"], found["incumbent"]) == ("vacant", None, None)
    assert isinstance(choice, Choice)
    assert POLICIES["paper"] is paper


def test_a_weighted_contest_counts_effective_sizes() -> None:
    """100 bads of which three carry most of the weight are no basis for a contest; 31 effective ones are."""
    counted = contest([0.7], 0.6)
    few = dataclasses.replace(counted, effective=EffectiveSizes(bads=9.4, goods=800.0))
    choice = paper(few, RULES)
    assert choice.verdict == "no_contest"
    assert "100 bads and 1000 goods, by weight as good as 9.4 and 800.0, fewer than the 30 and 30" in choice.reason
    enough = dataclasses.replace(counted, effective=EffectiveSizes(bads=31.0, goods=800.0))
    assert paper(enough, RULES) == paper(counted, RULES)
    spec = small_tape.spec()
    documents = [decision_document(spec, c, paper(c, RULES), inputs={}, at_cut_off={}) for c in (counted, enough)]
    assert "effective_bads" not in documents[0]["contest"]
    assert documents[1]["contest"] == documents[0]["contest"] | {"effective_bads": 31.0, "effective_goods": 800.0}
