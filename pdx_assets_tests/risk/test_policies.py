"""The policies beside the paper's: never, always, with memory; and what every policy has in common."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.policy import POLICIES, always, by_recipe, decision_document, in_charge_problem, never, paper
from pdx_assets.risk.policy import paper_with_memory as with_memory
from pdx_assets.risk.spec import Decision
from pdx_assets_tests.risk import small_tape
from pdx_assets_tests.risk.test_policy import RULES, candidate, contest

M0 = "rolling_window m0"


def rules(recipe: str) -> Decision:
    return Decision(policy="always", always=recipe)


SCORES = st.none() | st.floats(0, 1)


@given(st.lists(SCORES, max_size=5), SCORES)
def test_never_is_the_papers_first_and_then_the_same(fresh: list[float | None], incumbent: float | None) -> None:
    begun = contest(fresh)
    assert never(begun, RULES) == paper(begun, RULES)
    going = contest(fresh, incumbent)
    choice = never(going, RULES)
    assert (choice.verdict, choice.champion) == ("kept", going.incumbent)


def test_always_is_the_months_own_model_whatever_it_scores() -> None:
    made = contest([0.1, 0.9], 0.8)
    choice = always(made, rules(M0))
    assert (choice.verdict, choice.champion) == ("promoted", made.fresh[0]), "another recipe was in charge"
    own = dataclasses.replace(candidate("m0", None, trained_for="2017-08"), bundle_sha256="older")
    refit = always(dataclasses.replace(made, incumbent=own), rules(M0))
    assert (refit.verdict, refit.champion) == ("refitted", made.fresh[0])
    same = always(dataclasses.replace(made, incumbent=made.fresh[0]), rules(M0))
    assert same.verdict == "kept"
    assert always(contest([0.1]), rules(M0)).verdict == "first"


def test_always_without_a_model_keeps_the_incumbent_and_says_why() -> None:
    made = dataclasses.replace(contest([0.1], 0.8), failed={"rolling_window m9": "did not converge."})
    choice = always(made, rules("rolling_window m9"))
    assert (choice.verdict, choice.champion) == ("kept", made.incumbent)
    assert "no model this month (did not converge)" in choice.reason
    nobody = always(contest([0.1]), rules("rolling_window m9"))
    assert (nobody.verdict, nobody.champion) == ("vacant", None)
    with pytest.raises(DecisionError, match=r"decision\.always"):
        always(made, RULES)


def test_always_takes_refits_that_no_otv_has_judged() -> None:
    refit = dataclasses.replace(candidate("m0", None, last_cohort="2017-08"), strategy="all_known")
    made = dataclasses.replace(contest([0.9], 0.8), refits=(refit,))
    assert always(made, rules("all_known m0")).champion == refit


def test_at_p0_one_bundle_stands_for_the_papers_strategies() -> None:
    """Under the name asked for, so that the recipe in charge is the one that is refitted later."""
    fixed = dataclasses.replace(candidate("m0", 0.7), strategy="fixed_window")
    begun = dataclasses.replace(contest([]), fresh=(fixed,))
    choice = always(begun, rules(M0))
    assert choice.champion == dataclasses.replace(fixed, strategy="rolling_window")
    assert set(by_recipe(begun)) == {"fixed_window m0", "fixed_origin m0", M0}
    later = dataclasses.replace(begun, fresh=(dataclasses.replace(fixed, trained_for="2017-07"),))
    assert set(by_recipe(later)) == {"fixed_window m0"}


def test_always_the_fixed_window_stays() -> None:
    assert always(contest([0.9], 0.1), rules("fixed_window m0")).reason.endswith("it is never refitted.")


# --- with memory ------------------------------------------------------------------------------------


def test_an_older_challenger_may_win_and_ties_go_to_the_newer() -> None:
    old = candidate("old", 0.75, trained_for="2017-08")
    made = dataclasses.replace(contest([0.71, 0.73], 0.72), retained=(old,))
    choice = with_memory(made, RULES)
    assert (choice.verdict, choice.champion) == ("promoted", old)
    assert paper(made, RULES).champion == made.fresh[1], "the paper's has no memory"
    tied = dataclasses.replace(made, retained=(dataclasses.replace(old, score=0.73),))
    assert with_memory(tied, RULES).champion == made.fresh[1]


@given(st.lists(SCORES, max_size=4), SCORES, st.lists(SCORES, max_size=4))
def test_memory_is_one_longer_list_of_challengers(
    fresh: list[float | None], incumbent: float | None, older: list[float | None]
) -> None:
    retained = tuple(candidate(f"old{i}", score, trained_for="2017-07") for i, score in enumerate(older))
    made = contest(fresh, incumbent)
    # The incumbent and the month's own are kept too: they are not counted twice.
    kept = dataclasses.replace(made, retained=(*made.fresh, *([made.incumbent] if made.incumbent else []), *retained))
    together = dataclasses.replace(made, fresh=(*made.fresh, *retained))
    assert with_memory(kept, RULES) == paper(together, RULES)


def test_memory_refuses_a_cohort_an_older_challenger_has_seen() -> None:
    seen = candidate("old", 0.75, trained_for="2017-08", last_cohort="2016-07")
    with pytest.raises(DecisionError, match="old of 2017-08 learned from 2016-07"):
        with_memory(dataclasses.replace(contest([0.7], 0.6), retained=(seen,)), RULES)


# --- documents --------------------------------------------------------------------------------------


def test_a_decision_without_the_new_parts_has_the_keys_it_had() -> None:
    made = contest([0.7], 0.6)
    document = decision_document(small_tape.spec(), made, paper(made, RULES), inputs={}, at_cut_off={})
    assert set(document) == {
        *("format_version", "portfolio", "production_month", "policy", "metric", "decision", "reason", "champion"),
        *("incumbent", "contest", "at_cut_off", "inputs"),
    }
    assert set(document["contest"]) == {"otv_months", "bads", "goods", "challengers", "failed", "unscored"}


def test_an_incumbent_never_scored_on_otv_is_no_problem_where_otv_decides_nothing() -> None:
    made = contest([0.7], None)
    spec = small_tape.spec(decision={"policy": "never"})
    document = decision_document(spec, made, never(made, RULES), inputs={}, at_cut_off={})
    assert in_charge_problem(document) is None
    assert in_charge_problem(document | {"policy": "paper"}) is not None
    damaged = dataclasses.replace(made, unscored={made.incumbent.bundle_sha256: "damaged"})
    document = decision_document(spec, damaged, never(damaged, RULES), inputs={}, at_cut_off={})
    assert in_charge_problem(document) is not None


def test_every_declared_policy_is_there() -> None:
    assert set(POLICIES) == {"never", "always", "paper", "paper_with_memory", "evidence"}
