"""Strategies that learn up to the decision date, from tape to production month; the paper's contest goes on beside."""

from __future__ import annotations

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.spec import PAPER_STRATEGIES
from pdx_assets.stages.as_of import as_of_challenge
from pdx_assets.stages.challengers import find_pointer, load_bundle
from pdx_assets.stages.decision import pointers, retained
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.windows import window
from pdx_assets.stages.workspace import Workspace

P0, NEXT = Month(2022, 7), Month(2022, 8)
BEYOND = ("all_known", "immature_cohorts")


def test_every_strategy_has_a_model_of_its_own_from_the_first_month(on_evidence: Workspace) -> None:
    found = {p["strategy"]: p for p in pointers(on_evidence, P0) if p["algorithm"] == "logistic_regression"}
    assert {p["status"] for p in found.values()} == {"bundle"}
    digests = {s: p["bundle_sha256"] for s, p in found.items()}
    assert digests["fixed_window"] == digests["rolling_window"]
    assert len(set(digests.values())) == 3
    assert found["all_known"]["last_cohort"] == "2021-12"
    assert found["immature_cohorts"]["last_cohort"] == "2022-06"
    assert load_bundle(on_evidence, digests["immature_cohorts"]).manifest["last_event"] <= "2022-07-01"


def test_what_has_learned_from_otv_is_never_measured_on_it(on_evidence: Workspace) -> None:
    beyond = {p["bundle_sha256"] for p in pointers(on_evidence, NEXT) if p["strategy"] in BEYOND}
    assert not beyond & set(retained(on_evidence, NEXT))
    assert not beyond & set(on_evidence.lake.get_document("otv_scores", str(NEXT))["metrics"])
    decision = find_decision(on_evidence, NEXT)
    assert decision is not None
    assert {c["strategy"] for c in decision["contest"]["challengers"]} <= set(PAPER_STRATEGIES)
    assert window(on_evidence, "immature_cohorts", NEXT)["otv"] is None
    realized = on_evidence.lake.get_document("production_performance", str(NEXT))["metrics"]
    assert beyond < set(realized), "but on the month's own loans, which nobody has learned from"


def test_models_as_of_a_month_before_production_leave_no_assets(on_evidence: Workspace) -> None:
    before, first = Month(2022, 5), Month(2022, 4)
    digests = {}
    for strategy in ("rolling_window", *BEYOND):
        trained = as_of_challenge(on_evidence, strategy, "logistic_regression", before, first_month=first)
        assert trained.pointer["trained_for"] == str(before)
        manifest = load_bundle(on_evidence, trained.pointer["bundle_sha256"]).manifest
        assert manifest["last_event"] <= "2022-05-01", "nothing of after its decision date"
        digests[strategy] = trained.pointer["bundle_sha256"]
        again = as_of_challenge(on_evidence, strategy, "logistic_regression", before, first_month=first)
        assert (again.pointer, again.seconds) == (trained.pointer, 0.0)
        assert find_pointer(on_evidence, strategy, "logistic_regression", before) is None
    assert len(set(digests.values())) == 3
    own = as_of_challenge(on_evidence, "all_known", "logistic_regression", NEXT, first_month=first)
    assert own.pointer == find_pointer(on_evidence, "all_known", "logistic_regression", NEXT)
    assert not [k for k in on_evidence.lake.keys("window_immature_cohorts") if k < str(P0)]
