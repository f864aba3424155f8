"""Promotion on evidence, whole: as-of models, the record, gates, decisions, and other policies on the same scores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import dagster as dg
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from pdx_assets.orchestration.assets.policies import policy_assets
from pdx_assets.orchestration.runner import months_to_run, plan
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.performance import ON_RECORD
from pdx_assets.risk.errors import ScoreError, SpecError
from pdx_assets.risk.evidence import gates
from pdx_assets.risk.evidence.paired import Difference, mean_level, stratified_difference
from pdx_assets.risk.evidence.record import read_month
from pdx_assets.risk.spec import PAPER_STRATEGIES, PortfolioSpec
from pdx_assets.stages.as_of import as_of_challenge, evidence_months, models_as_of, recipes
from pdx_assets.stages.borrowers import clustered_differences
from pdx_assets.stages.challengers import find_pointer, load_bundle
from pdx_assets.stages.decision import pointers, propose, retained
from pdx_assets.stages.evidence import make_record, record_in
from pdx_assets.stages.maturity import wanted_today
from pdx_assets.stages.model_checks import _promised
from pdx_assets.stages.production import realized
from pdx_assets.stages.recalibration import recalibrate
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.scores import newest_applications, read_scores
from pdx_assets.stages.simulation import simulate, usable_policies
from pdx_assets.stages.windows import known_cohort, window
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import home_at, run_all
from pdx_assets_tests.small_portfolio import small_attributes

P0, NEXT = Month(2022, 7), Month(2022, 8)
BEYOND = ("all_known", "immature_cohorts")


def evidence_spec() -> PortfolioSpec:
    """The small portfolio with every strategy kind and the blend, promoted on evidence.

    60 days past due within 6 months, so that months before p0 are mature at p0.
    """
    attributes = small_attributes(
        strategies=["fixed_window", "rolling_window", "all_known", "immature_cohorts"],
        algorithms=["logistic_regression", "xgboost", "blend"],
        windows={"development": 4, "otv": 2, "gap": 6, "first_production": "2022-07"},
        label={
            "name": "bad_60dpd_6m",
            "horizon_months": 6,
            "definition": {"kind": "days_past_due", "threshold": 60},
        },
        decision={
            "policy": "evidence",
            "always": "immature_cohorts xgboost",
            "min_bads": 5,
            "evidence": {"first_month": "2021-10", "min_bads": 10, "contest_every": 1},
            "economics": {"gain_of_good": 1, "loss_of_bad": 6},
        },
    )
    attributes["tape"]["simulated"] |= {"bad_rate": 0.3}
    return PortfolioSpec.model_validate(attributes)


@pytest.fixture(scope="module")
def on_evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """2022-07 and 2022-08 of :func:`evidence_spec`, undisturbed."""
    with home_at(tmp_path_factory.mktemp("evidence")):
        assert [o.error for o in run_all(evidence_spec(), "2022-08") if o.error] == []
        yield Workspace.of(evidence_spec())


def test_where_borrowers_come_back_the_error_is_theirs(on_evidence: Workspace) -> None:
    """A recipe that DeLong's test would call better must be so by bootstrap over borrowers. Nothing had called the
    bootstrap: two loans of a borrower counted as two independent ones."""
    ws, worst = on_evidence, "immature_cohorts xgboost"
    before = propose(_deciding(ws, policy="always"), P0, (), ())
    assert " ".join(before["champion"][k] for k in ("strategy", "algorithm")) == worst
    generous = _deciding(ws, evidence={**ws.spec.model_dump(mode="json")["decision"]["evidence"], "yearly_level": 0.9})
    compared = propose(generous, NEXT, [before], ())["evidence"]["findings"]["contest"]["compared"]
    record = ws.lake.get_document("recipe_record", str(NEXT))
    called = [c for c in compared if c["corrected_p_value"] is not None and c["corrected_p_value"] <= 0.9]
    assert called
    by_borrower = clustered_differences(ws, record, worst, [c["recipe"] for c in called], margin=0.0)
    for found in called:
        by_loan = stratified_difference(record_in(record), found["recipe"], worst)
        assert by_loan is not None
        assert found["difference"]["estimate"] == pytest.approx(by_loan.estimate, abs=1e-12)
        assert found["difference"]["standard_error"] == by_borrower[found["recipe"]].standard_error
        assert found["difference"]["standard_error"] == pytest.approx(by_loan.standard_error, rel=0.25)
        assert found["difference"]["standard_error"] != by_loan.standard_error


def test_an_incumbent_whose_pds_are_off_is_recalibrated_where_its_refit_may_not_take_over(
    on_evidence: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in charge has the level of the worst month there was; a refit must be better to take over."""
    ws, recipe = on_evidence, "all_known xgboost"
    first = propose(_deciding(ws, policy="always", always=recipe), P0, (), ())
    labels = ws.lake.scan_months("labels", evidence_months(ws.spec, NEXT)).collect()
    rates = labels.group_by("cohort").agg(pl.col("label").mean()).sort("label", "cohort")
    worst = Month.parse(rates["cohort"][-1])
    off = recalibrate(ws, first["champion"]["bundle_sha256"], [worst], NEXT.first_day)
    before = {**first, "champion": first["champion"] | {"bundle_sha256": off["bundle_sha256"]}}

    monkeypatch.setattr(gates, "ONE_SIDED_LEVEL", 1.0)  # no deviation is by chance
    rules = ws.spec.model_dump(mode="json")["decision"]["evidence"]
    strict = _deciding(ws, evidence={**rules, "min_bads": 90, "calibration_tolerance": 0.08, "refit_margin": 0.001})
    found = propose(strict, NEXT, [before], ())
    assert found["decision"] == "recalibrated", found["reason"]
    champion, shown = found["champion"], found["evidence"]["recalibration"]
    assert f"{champion['strategy']} {champion['algorithm']}" == recipe
    assert not shown["before"]["passed"] and shown["after"]["passed"]
    assert abs(shown["after"]["value"]) < abs(shown["before"]["value"])
    made = load_bundle(ws, champion["bundle_sha256"]).manifest
    assert made["base"]["bundle_sha256"] == first["champion"]["bundle_sha256"], "the base, not its recalibration"
    assert made["last_event"] <= str(NEXT.first_day)
    assert propose(strict, NEXT, [before], ()) == found, "content-addressed"
    with pytest.raises(ScoreError, match=r"--score"):
        recalibrate(replace(ws, may_score=False), made["base"]["bundle_sha256"], [worst], P0.first_day, held_out=True)


def test_the_gates_measured_are_those_of_whom_the_policy_takes(
    on_evidence: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gates were measured of whom DeLong's test names, and by the error over borrowers (or by money) another followed:
    ungated, it waited as a promotion and took over as a demotion."""
    ws = on_evidence
    before = propose(_deciding(ws, policy="always"), P0, (), ())

    def worst_is_best(
        ws: Workspace, record: Mapping[str, Any], recipe: str, challengers: Sequence[str], **_: object
    ) -> dict[str, Difference]:
        areas = {c: level.estimate for c in challengers if (level := mean_level(record_in(record), c)) is not None}
        ranked = sorted(areas, key=lambda c: -areas[c])
        return {c: Difference(0.02 * (i + 1), 0.001, 5, 500.0, 1e-9) for i, c in enumerate(ranked)}

    monkeypatch.setattr("pdx_assets.stages.evidence.money_differences", worst_is_best)
    rules = {**ws.spec.model_dump(mode="json")["decision"]["evidence"], "measure": "money", "refit_margin": 0.4}
    rules |= {"calibration_tolerance": 10, "max_score_psi": 10, "max_approval_rate_change": 1}
    found = propose(_deciding(ws, evidence=rules), NEXT, [before], ())
    assert "not measured" not in found["reason"], found["reason"]
    assert found["decision"] == "promoted" and found["evidence"]["gates"]


def test_what_has_seen_otv_is_held_to_its_recipes_record(on_evidence: Workspace) -> None:
    """No check but the floor's asked for the AUC of a champion that had none on OTV."""
    ws = on_evidence
    rules = ws.spec.model_dump(mode="json")["decision"]["evidence"] | {"first_recipe": "immature_cohorts xgboost"}
    decision = propose(_deciding(ws, evidence=rules), P0, (), ())
    assert decision["champion"]["strategy"] == "immature_cohorts" and decision["champion"]["score"] is None
    promised, where = _promised(decision)
    level = mean_level(record_in(ws.lake.get_document("recipe_record", str(P0))), "immature_cohorts xgboost")
    assert where == ON_RECORD and promised is not None and level is not None
    assert (promised.value, promised.standard_error) == pytest.approx((level.estimate, level.standard_error))
    old = {**decision, "evidence": {"records": {}}}
    assert _promised(old)[0] is None


def test_a_contest_by_money_compares_what_the_stored_scores_would_have_earned(on_evidence: Workspace) -> None:
    ws, worst = on_evidence, "immature_cohorts xgboost"
    before = propose(_deciding(ws, policy="always"), P0, (), ())
    rules = {**ws.spec.model_dump(mode="json")["decision"]["evidence"], "measure": "money", "margin": 0.01}
    found = propose(_deciding(ws, evidence=rules), NEXT, [before], ())
    compared = {c["recipe"]: c for c in found["evidence"]["findings"]["contest"]["compared"]}
    assert len(compared) > 4 and all(c["unit"] == "money a loan" for c in compared.values())
    record = ws.lake.get_document("recipe_record", str(NEXT))
    other, earned, loans = "all_known xgboost", 0.0, 0
    for month in record["months"]:
        if month["evidence"] is None:
            continue
        cohort = Month.parse(month["cohort"])
        rows = known_cohort(ws, cohort, NEXT.first_day).sort("loan_id")
        loans += rows.height
        for recipe, sign in ((other, 1), (worst, -1)):
            scores = read_scores(
                ws, [month["bundles"][recipe]], {cohort: ws.lake.contents("clean_features")[cohort].sha256}
            )
            pd = rows.join(scores, on=["cohort", "loan_id"], how="left").sort("loan_id")["pd"].to_numpy()
            approved = pd <= np.sort(pd)[int(np.ceil(0.8 * len(pd) - 1e-9)) - 1]
            earned += sign * float(np.where(rows["label"].to_numpy() == 1, -6.0, 1.0)[approved].sum())
    assert compared[other]["difference"]["estimate"] == pytest.approx(earned / loans)


def _deciding(ws: Workspace, **changes: object) -> Workspace:
    declared = ws.spec.model_dump(mode="json")
    declared["decision"] |= changes
    return replace(ws, spec=PortfolioSpec.model_validate(declared))


def test_borrowers_who_never_come_back_need_no_bootstrap(on_evidence: Workspace) -> None:
    ws, record = on_evidence, on_evidence.lake.get_document("recipe_record", str(NEXT))
    newest = Month.parse(record["months"][-1]["cohort"])
    hashes = ws.lake.scan_months("clean_features", [newest], columns=["borrower_hash"]).collect()["borrower_hash"]
    assert not hashes.is_duplicated().any(), "within a month nobody borrows twice"
    both = ("all_known blend", ["rolling_window blend"])
    assert clustered_differences(ws, record, *both, margin=0.0, months=[newest]) == {}
    assert list(clustered_differences(ws, record, *both, margin=0.0)) == both[1]


def test_the_record_holds_every_recipe_on_every_mature_cohort(on_evidence: Workspace) -> None:
    assert [str(m) for m in evidence_months(on_evidence.spec, P0)] == ["2021-10", "2021-11", "2021-12"]
    record = on_evidence.lake.get_document("recipe_record", str(P0))
    assert [m["cohort"] for m in record["months"]] == ["2021-10", "2021-11", "2021-12"]
    newest = record["months"][-1]
    assert len(newest["bundles"]) + len(newest["failed"]) == len(recipes(on_evidence.spec)) == 9
    assert set(newest["evidence"]["recipes"]) == set(newest["bundles"])
    assert "all_known blend" in newest["bundles"]


def test_an_area_of_the_record_is_that_of_the_stored_scores(on_evidence: Workspace) -> None:
    month = Month(2021, 12)
    (kept,) = [
        m for m in on_evidence.lake.get_document("recipe_record", str(P0))["months"] if m["cohort"] == str(month)
    ]
    found = read_month(kept["evidence"])
    cohort = {month: on_evidence.lake.contents("clean_features")[month].sha256}
    for name, digest in kept["bundles"].items():
        joined = realized(on_evidence, month).join(read_scores(on_evidence, [digest], cohort), on=["cohort", "loan_id"])
        assert found.areas[name] == pytest.approx(roc_auc_score(joined["label"], joined["pd"])), name


def test_no_model_of_the_record_knows_what_came_after_its_cohort_began(on_evidence: Workspace) -> None:
    for month in evidence_months(on_evidence.spec, NEXT):
        models = models_as_of(on_evidence, month).models
        assert models
        for name, pointer in models.items():
            manifest = load_bundle(on_evidence, pointer["bundle_sha256"]).manifest
            assert manifest["last_event"] <= month.first_day.isoformat(), name
            assert manifest["last_cohort"] < str(month), name


def test_a_record_made_again_is_the_same(on_evidence: Workspace) -> None:
    before = on_evidence.lake.get_document("recipe_record", str(NEXT))
    again, seconds = make_record(on_evidence, NEXT)
    assert again == before
    assert seconds == 0.0, "nothing is trained or scored twice"


def test_decisions_state_their_evidence(on_evidence: Workspace) -> None:
    first, then = (find_decision(on_evidence, p) for p in (P0, NEXT))
    assert first is not None and then is not None
    assert (first["policy"], first["decision"]) == ("evidence", "first")
    assert set(first["evidence"]["months"]) == {"2021-10", "2021-11", "2021-12"}
    assert first["inputs"]["recipe_record_sha256"] != then["inputs"]["recipe_record_sha256"]
    assert then["decision"] in ("refitted", "kept", "promoted", "demoted")
    assert {g["name"] for g in then["evidence"]["gates"]} >= {"discrimination", "calibration", "score_psi"}
    assert first["champion"]["strategy"] != "fixed_window"
    recipe = f"{first['champion']['strategy']} {first['champion']['algorithm']}"
    levels = first["evidence"]["records"]
    assert recipe in levels
    if first["champion"]["strategy"] in ("all_known", "immature_cohorts"):
        assert first["champion"]["score"] is None, "it has learned from OTV"
    assert first["at_cut_off"]["after"]["approval_rate"] == pytest.approx(0.8, abs=0.02)


def test_cut_offs_are_set_on_applications_that_nobody_has_learned_from(on_evidence: Workspace) -> None:
    """On OTV, the first champion would be asked about loans it was trained on."""
    first = find_decision(on_evidence, P0)
    assert first is not None
    assert first["champion"]["strategy"] in BEYOND, "or its cut-off would be set on OTV"
    cohorts = newest_applications(on_evidence, P0)
    assert [str(c) for c in cohorts] == ["2022-06"]
    pd = read_scores(on_evidence, [first["champion"]["bundle_sha256"]], cohorts)["pd"].to_numpy()
    cut_off = first["at_cut_off"]["cut_off"]
    assert cut_off == pytest.approx(float(np.quantile(pd, 0.8, method="inverted_cdf")))
    assert first["at_cut_off"]["after"]["approval_rate"] == pytest.approx((pd <= cut_off).mean())


def test_what_was_made_is_not_wanted_again(on_evidence: Workspace) -> None:
    """The record's note has to be what the sensor works out, or every tick would have the month made again."""
    stale = [w for w in wanted_today(on_evidence) if w.month <= NEXT and w.job in ("cohort", "decide", "measure")]
    assert stale == []
    assert plan(on_evidence, months_to_run(on_evidence, None, str(NEXT))) == []


def test_other_policies_on_the_same_scores(on_evidence: Workspace) -> None:
    assert usable_policies(on_evidence.spec) == ("never", "always", "paper", "paper_with_memory", "evidence")
    found = {
        c.realized.policy: c
        for c in simulate(on_evidence, usable_policies(on_evidence.spec), score_missing=True, draws=50)
    }
    assert found["paper"].difference is None
    assert found["never"].realized.champion_changes == 0
    assert found["always"].realized.champion_changes == 1
    best = {}
    for strategy in on_evidence.spec.strategies:
        for algorithm in on_evidence.spec.algorithms:
            pointers_ = [find_pointer(on_evidence, strategy, algorithm, p) for p in (P0, NEXT)]
            metrics = [on_evidence.lake.get_document("production_performance", str(p))["metrics"] for p in (P0, NEXT)]
            areas = [m[p["bundle_sha256"]]["auc"] for m, p in zip(metrics, pointers_, strict=True) if p]
            best[strategy, algorithm] = sum(areas) / 2
    for name, policy in found.items():
        assert policy.realized.measured == 2, name
        assert policy.realized.mean_production_auc is not None
        own = policy.realized.mean_production_auc
        assert policy.regret == pytest.approx(max(best.values()) - own), "against whichever recipe did best"
        assert policy.realized.profit_per_loan is not None
        json.dumps(policy.document(), allow_nan=False)
    decided = [find_decision(on_evidence, p) for p in (P0, NEXT)]
    realized_aucs = []
    for document in decided:
        assert document is not None
        metrics = on_evidence.lake.get_document("production_performance", document["production_month"])["metrics"]
        realized_aucs.append(metrics[document["champion"]["bundle_sha256"]]["auc"])
    assert list(found["evidence"].realized.auc_by_month.values()) == pytest.approx(realized_aucs)
    (shown,) = dg.materialize(policy_assets(on_evidence.spec)).asset_materializations_for_node(
        f"{on_evidence.spec.name}__policy_comparison"
    )
    rows = {r.data["policy"]: r.data for r in cast(dg.TableMetadataValue, shown.metadata["Policies"]).records}
    assert list(rows) == [name.replace("_", " ") for name in found]
    for name, policy in found.items():
        assert rows[name.replace("_", " ")]["p"] == policy.p_shown, name
    assert rows["paper"]["p"] == "" != rows["evidence"]["p"]


def test_a_score_that_was_never_stored_is_an_error_that_says_which(on_evidence: Workspace) -> None:
    table = on_evidence.lake.scan_table("scores").collect()
    champion = find_decision(on_evidence, NEXT)
    assert champion is not None
    digest = champion["champion"]["bundle_sha256"]
    lost = (pl.col("bundle_sha256") == digest) & (pl.col("cohort") == str(NEXT))
    predicate = f"bundle_sha256 = '{digest}' AND cohort = '{NEXT}'"
    by = ("cohort", "features_sha256", "bundle_sha256")
    on_evidence.lake.write_where("scores", table.filter(lost).clear(), by=by, predicate=predicate)
    with pytest.raises(ScoreError, match=f"bundle {digest[:12]} on {NEXT}"):
        simulate(on_evidence, ["evidence"], draws=10)
    (found,) = simulate(on_evidence, ["evidence"], score_missing=True, draws=10)
    assert found.realized.measured == 2


def test_a_policy_without_its_settings_is_refused(on_evidence: Workspace) -> None:
    declared = on_evidence.spec.model_dump(mode="json")
    declared["decision"] |= {"policy": "paper", "evidence": None}
    bare = replace(on_evidence, spec=PortfolioSpec.model_validate(declared))
    assert "evidence" not in usable_policies(bare.spec)
    with pytest.raises(SpecError, match="cannot be simulated under the policy 'evidence'"):
        simulate(bare, ["evidence"])


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
