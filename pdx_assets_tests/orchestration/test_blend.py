"""A portfolio with a blend, run to its second month, and a recalibration of its champion."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import dagster as dg
import numpy as np
import pytest

from pdx_assets.definitions import build_definitions
from pdx_assets.orchestration import runner
from pdx_assets.orchestration.assets.challengers import TRAINED
from pdx_assets.results import as_csv, as_table, collect
from pdx_assets.risk.bundle import Bundle
from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import HomeError, NotYetKnownError, TrainingError, WindowError
from pdx_assets.risk.lineage import sources
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.windows import development_months, otv_months
from pdx_assets.stages import blends
from pdx_assets.stages.blends import blend, members
from pdx_assets.stages.challengers import bury, challenge, find_pointer, load_bundle
from pdx_assets.stages.experiment import experiment
from pdx_assets.stages.made import method
from pdx_assets.stages.maturity import wanted_today
from pdx_assets.stages.recalibration import recalibrate
from pdx_assets.stages.record import decisions
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import home_at, run_all
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

P0, SECOND = Month(2022, 7), Month(2022, 8)


def blend_spec() -> PortfolioSpec:
    attributes = small_attributes(algorithms=["logistic_regression", "xgboost", "blend"])
    # One fold of history is enough here, and one strategy less is a quarter less of work.
    return PortfolioSpec.model_validate({**attributes, "strategies": ["fixed_window", "rolling_window"]})


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with home_at(tmp_path_factory.mktemp("blend")):
        assert [o.error for o in run_all(blend_spec(), str(SECOND)) if o.error] == []
        yield Workspace.of(blend_spec())


def pointer(ws: Workspace, strategy: str, algorithm: str, month: Month) -> dict[str, object]:
    found = find_pointer(ws, strategy, algorithm, month)
    assert found is not None
    return found


def test_the_default_and_what_has_no_study() -> None:
    assert "blend" not in PortfolioSpec.model_fields["algorithms"].default
    spec = blend_spec()
    assert spec.tuned_algorithms == ("logistic_regression", "xgboost")
    names = {key.path[-1] for key in build_definitions(spec).resolve_asset_graph().materializable_asset_keys}
    assert {"challenger_fixed_window_blend", "challenger_rolling_window_blend"} <= names
    assert "tuning_blend" not in names
    graph = build_definitions(spec).resolve_asset_graph()
    parents = graph.get(dg.AssetKey(["small", "challenger_rolling_window_blend"])).parent_keys
    assert {key.path[-1] for key in parents} == {
        "challenger_rolling_window_logistic_regression",
        "challenger_rolling_window_xgboost",
    }


def test_a_blend_of_every_month_and_strategy(ran: Workspace) -> None:
    for strategy in ran.spec.strategies:
        for month in (P0, SECOND):
            found = pointer(ran, strategy, "blend", month)
            others = [pointer(ran, strategy, a, month)["bundle_sha256"] for a in ran.spec.tuned_algorithms]
            assert found["status"] == "bundle" and found["members"] == others
    assert len({str(pointer(ran, s, "blend", P0)["bundle_sha256"]) for s in ran.spec.strategies}) == 1
    later = {s: pointer(ran, s, "blend", SECOND)["bundle_sha256"] for s in ran.spec.strategies}
    assert later["fixed_window"] == pointer(ran, "fixed_window", "blend", P0)["bundle_sha256"]
    assert later["rolling_window"] != later["fixed_window"]


def test_it_scores_as_the_mean_of_the_stored_members(ran: Workspace) -> None:
    found = pointer(ran, "rolling_window", "blend", SECOND)
    rows = ran.lake.scan_months("clean_features", [SECOND]).collect()
    matrix = LoanMatrix.from_frame(rows, ran.spec.number_features, ran.spec.category_features)
    bundle = load_bundle(ran, str(found["bundle_sha256"]))
    pds = [load_bundle(ran, digest).predict_pd(matrix) for digest in bundle_members(bundle)]
    odds = [pd.astype(np.float64) / (1 - pd.astype(np.float64)) for pd in pds]
    mean = np.sqrt(odds[0] * odds[1])
    np.testing.assert_allclose(bundle.predict_pd(matrix), mean / (1 + mean), rtol=0, atol=1e-7)
    assert bundle.manifest["window_sha256"] == load_bundle(ran, bundle_members(bundle)[0]).manifest["window_sha256"]


def bundle_members(bundle: Bundle) -> list[str]:
    return [member["bundle_sha256"] for member in bundle.manifest["members"]]


def test_it_takes_part_in_the_contest_and_is_measured(ran: Workspace) -> None:
    for decision in decisions(ran):
        names = {(c["strategy"], c["algorithm"]) for c in decision["contest"]["challengers"]}
        strategy = "fixed_window" if decision["production_month"] == str(P0) else "rolling_window"
        assert (strategy, "blend") in names
    results = collect(ran)
    own = [m for m in results["models"] if m["algorithm"] == "blend"]
    assert len(own) == 4
    assert all(m[part]["auc"] is not None for m in own for part in ("train", "itv", "otv", "production"))
    assert ",rolling_window,blend," in as_csv(results)
    shown = as_table(results)
    assert "BL blend" in str(shown.caption) and any("RW BL" in str(cell) for cell in shown.columns[0].cells)


def test_the_papers_tables_have_its_rows_and_say_what_it_is(ran: Workspace) -> None:
    tables = {t.key: t for t in experiment(ran).tables}
    assert any("BL" in str(cell.value) for row in tables["table_3"].rows for cell in row)
    assert any("BL blend" in note for note in tables["table_3"].notes)
    assert not any("BL" in note for t in experiment_without_a_blend(ran) for note in t.notes), (
        "the legend of a portfolio without one is what it was"
    )


def experiment_without_a_blend(ws: Workspace) -> tuple[object, ...]:
    return experiment(Workspace(small_spec(strategies=["fixed_window", "rolling_window"]), ws.settings)).tables  # type: ignore[return-value]


def test_the_run_and_the_sensor_want_nothing_more(ran: Workspace) -> None:
    assert runner.plan(ran, runner.months_to_run(ran, None, str(SECOND))) == []
    stale = [w for w in wanted_today(ran) if w.job == "decide" and w.month <= SECOND]
    assert stale == []
    parts = sources(method(ran), "challenger_rolling_window_blend", SECOND)
    assert parts == tuple((f"challenger_rolling_window_{a}", SECOND) for a in ran.spec.tuned_algorithms)


def test_it_is_made_after_the_months_other_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    with home_at(tmp_path_factory.mktemp("plan")):
        ws = Workspace.of(blend_spec())
        tasks = {t.key: t for t in runner.plan(ws, (P0, SECOND))}
    assert {f"train {SECOND} logistic_regression", f"train {SECOND} xgboost"} <= tasks[f"train {SECOND} blend"].after
    assert f"train {P0} blend" in tasks[f"train {SECOND} blend"].after
    assert f"train {SECOND} blend" in tasks[f"decide {SECOND}"].after
    assert not any(t.stage == "study" and t.study and t.study[1] == "blend" for t in tasks.values())


def test_made_once_whoever_asks(ran: Workspace) -> None:
    before = pointer(ran, "rolling_window", "blend", SECOND)
    again = challenge(ran, "rolling_window", "blend", SECOND)
    assert again.seconds == 0 and again.pointer == before
    found, seconds = blend(ran, "rolling_window", members(ran, "rolling_window", SECOND), SECOND)
    assert seconds == 0 and found["bundle_sha256"] == before["bundle_sha256"]


def test_the_same_bytes_from_the_window_the_members_learned_from(
    ran: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month without assets, or a tape revised since: nothing but bundles and their recorded window is needed."""
    before = pointer(ran, "rolling_window", "blend", SECOND)
    monkeypatch.setattr(blends, "BLEND_VERSION", "another")
    find = type(ran.lake).find_document
    monkeypatch.setattr(
        type(ran.lake),
        "find_document",
        lambda lake, kind, key: None if kind[:7] == "window_" else find(lake, kind, key),
    )
    found, seconds = blend(ran, "rolling_window", members(ran, "rolling_window", SECOND), SECOND)
    assert seconds > 0 and found["bundle_sha256"] == before["bundle_sha256"]
    assert found["metrics"] == before["metrics"]


def test_tombstones_are_left_out_and_one_model_is_no_blend(ran: Workspace) -> None:
    models = members(ran, "rolling_window", SECOND)
    dead = {"status": "tombstone", "algorithm": "random_forest", "reason": "tried"}
    found, _ = blend(ran, "rolling_window", [models[0], dead, models[1]], SECOND)
    assert found["members"] == [m["bundle_sha256"] for m in models]
    with pytest.raises(TrainingError, match="has 1 of 2 members; tombstones: random_forest") as caught:
        blend(ran, "rolling_window", [models[0], dead], SECOND)
    assert caught.value.expected and caught.value.remedy


def test_members_of_different_windows_are_refused(ran: Workspace) -> None:
    mixed = [pointer(ran, s, a, SECOND) for s, a in (("fixed_window", "xgboost"), ("rolling_window", "xgboost"))]
    with pytest.raises(HomeError, match="learned from 2 different windows"):
        blend(ran, "rolling_window", mixed, SECOND)


def test_a_month_whose_others_never_ran_names_them(ran: Workspace) -> None:
    with pytest.raises(HomeError, match="challenger_rolling_window_logistic_regression, challenger_rolling"):
        challenge(ran, "rolling_window", "blend", Month(2022, 10))


def test_with_one_member_the_asset_leaves_a_tombstone(ran: Workspace) -> None:
    saved = pointer(ran, "rolling_window", "xgboost", SECOND)
    kept = pointer(ran, "rolling_window", "blend", SECOND)
    graph = build_definitions(ran.spec)
    try:
        bury(ran, "rolling_window", "xgboost", SECOND, "tried")
        with dg.DagsterInstance.from_config(str(ran.settings.dagster_home)) as instance:
            result = graph.resolve_job_def("small_decide").execute_in_process(
                instance=instance,
                partition_key=str(SECOND),
                asset_selection=[dg.AssetKey(["small", "challenger_rolling_window_blend"])],
            )
        assert result.success
        dead = pointer(ran, "rolling_window", "blend", SECOND)
        assert dead["status"] == "tombstone" and "has 1 of 2 members" in str(dead["reason"])
        (checked,) = [c for c in result.get_asset_check_evaluations() if c.check_name == TRAINED]
        assert not checked.passed
    finally:
        ran.lake.put_document("challenger_rolling_window_xgboost", str(SECOND), saved)
        ran.lake.put_document("challenger_rolling_window_blend", str(SECOND), kept)


# A recalibrated champion ---------------------------------------------------------------------------------------------


def test_a_stored_model_recalibrated_on_the_newest_known_cohorts(ran: Workspace) -> None:
    base = str(pointer(ran, "fixed_window", "blend", P0)["bundle_sha256"])
    cohorts, on = otv_months(ran.spec, SECOND), decision_date(SECOND)
    found = recalibrate(ran, base, cohorts, on)
    bundle = load_bundle(ran, found["bundle_sha256"])
    assert found["base"] == base and found["algorithm"] == "recalibrated" and found["trained_for"] == str(SECOND)
    assert found["last_cohort"] == str(cohorts[-1]) and found["last_event"] <= str(on)
    before, after = found["metrics"]["before"], found["metrics"]["after"]
    assert after["mean_pd"] == pytest.approx(after["bad_rate"], rel=1e-5)
    assert abs(before["mean_pd"] - before["bad_rate"]) > 1e-4
    assert after["auc"] == pytest.approx(before["auc"], abs=1e-6)
    assert after["calibration_slope"] == pytest.approx(1, abs=1e-4)
    assert bundle.manifest["window_sha256"] == load_bundle(ran, base).manifest["window_sha256"]
    assert recalibrate(ran, base, cohorts[::-1], on) == found, "content-addressed: the order of cohorts is nothing"
    assert recalibrate(ran, base, cohorts[1:], on)["bundle_sha256"] != found["bundle_sha256"]


def test_no_label_of_after_the_day(ran: Workspace) -> None:
    base = str(pointer(ran, "fixed_window", "blend", P0)["bundle_sha256"])
    newest = otv_months(ran.spec, SECOND)[-1]
    known = ran.spec.known_on(newest)
    assert recalibrate(ran, base, [newest], known)["last_event"] <= str(known)
    with pytest.raises(WindowError, match="not known on the decision date"):
        recalibrate(ran, base, [newest], date.fromordinal(known.toordinal() - 1))
    with pytest.raises(WindowError, match="no cohort"):
        recalibrate(ran, base, [], known)
    with pytest.raises((WindowError, NotYetKnownError), match="missing: 2030-01"):
        recalibrate(ran, base, [Month(2030, 1)], known)


def test_too_few_bads_are_refused(ran: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    base = str(pointer(ran, "fixed_window", "blend", P0)["bundle_sha256"])
    cohorts = development_months(ran.spec, "fixed_window", P0)
    strict = ran.spec.model_copy(update={"decision": ran.spec.decision.model_copy(update={"min_bads": 10_000})})
    with pytest.raises(TrainingError, match=r"bads and .* goods to recalibrate on"):
        recalibrate(Workspace(strict, ran.settings), base, cohorts, decision_date(P0))
