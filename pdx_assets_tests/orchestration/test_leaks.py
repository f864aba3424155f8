"""The leak sentinel end to end: it stops training, shows why, and lets a decision of a person through."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from pdx_assets import cli
from pdx_assets.orchestration import runner
from pdx_assets.orchestration.home import prepare_home
from pdx_assets.orchestration.runner import Outcome, months_to_run, plan, run_tasks
from pdx_assets.risk import leaks as risk_leaks
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.catalogue import LEAKS
from pdx_assets.risk.errors import LeakError, SpecError
from pdx_assets.risk.leaks import on_tape
from pdx_assets.risk.leaks.on_tape import judge_tape
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages import leaks as sentinel
from pdx_assets.stages import tape
from pdx_assets.stages.challengers import learned_from
from pdx_assets.stages.leaks import JUDGEMENTS, current_rows
from pdx_assets.stages.made import method
from pdx_assets.stages.tape import open_tape
from pdx_assets.stages.windows import make_window, window, window_or_make
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

P0 = Month(2022, 7)
WINDOW = tuple(Month(2021, n) for n in range(1, 7))  # development and OTV of p0
OPEN = ("outcome_flag", "post_outcome_balance", "term_months")


def leaking(**leaks: dict[str, str]) -> dict[str, Any]:
    """The small portfolio on a tape with every planted leak, all of them declared as features."""
    attributes = small_attributes()
    attributes["tape"]["simulated"]["faults"]["leaks"] = ["rewritten_term", "post_outcome_balance", "outcome_flag"]
    for name in OPEN[:2]:
        attributes["columns"][name] = {"role": "feature"}
    return attributes | ({"leaks": leaks} if leaks else {})


def workspace(attributes: dict[str, Any]) -> Workspace:
    ws = Workspace.of(PortfolioSpec.model_validate(attributes))
    ws.settings.pin(ws.spec.name, profile="quick", seed=0, tape=None)
    return ws


def read(ws: Workspace) -> None:
    """The tables a window needs, as the cohort job writes them, without a Dagster run each."""
    for cohort in WINDOW:
        loans = tape.raw_loans(ws, cohort).loans
        events = tape.outcomes(ws, cohort, loans)
        ws.lake.write_month("clean_features", cohort, tape.features(ws, cohort, loans))
        ws.lake.write_month("labels", cohort, tape.labels(ws, cohort, loans, events))


def window_step(ws: Workspace) -> str | None:
    prepare_home(ws.settings)
    runner._enter_worker(ws.spec, dict(os.environ))
    return runner._execute(runner.Task("window", "window", "decide", P0, ("window_fixed_window",)))


def check(ws: Workspace) -> Any:
    with dg.DagsterInstance.from_config(str(ws.settings.dagster_home)) as instance:
        key = dg.AssetCheckKey(dg.AssetKey([ws.spec.name, "window_fixed_window"]), LEAKS.code)
        (record, *_) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]


def materialized(ws: Workspace) -> Any:
    with dg.DagsterInstance.from_config(str(ws.settings.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey([ws.spec.name, "window_fixed_window"]))
    assert event is not None and event.asset_materialization is not None
    return event.asset_materialization.metadata


def test_open_flags_stop_training_until_each_is_accepted_or_banned(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = workspace(leaking())
    read(ws)
    said = window_step(ws) or ""
    assert "3 of 23 features of small seem to know the outcome" in said
    for name in OPEN:
        assert f"- {name}: " in said
    assert "a multiple of 12 for" in said and "leaks:" in said and "pdx leaks small" in said
    fired = check(ws)
    assert not fired.passed and fired.severity == dg.AssetCheckSeverity.ERROR and fired.blocking
    looked = [r.data for r in fired.metadata["Looked at"].records]
    assert len(looked) == 23 and {r["feature"] for r in looked if r["status"] == "open"} == set(OPEN)
    assert ws.lake.find_document("window_fixed_window", str(P0)) is None, "nothing can be trained on it"
    with pytest.raises(LeakError, match="outcome_flag"):
        learned_from(ws, window_or_make(ws, "fixed_window", P0))

    # A later month is judged on the first window, whichever is asked for first; and only once.
    monkeypatch.setattr(sentinel, "judged", lambda *_, **__: pytest.fail("judged again"))
    with pytest.raises(LeakError):
        make_window(ws, "rolling_window", P0)
    with pytest.raises(LeakError):
        sentinel.refuse_open_leaks(ws, {"tables": {}, **_manifest(ws)})
    monkeypatch.undo()
    monkeypatch.setenv("PDX_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))

    decided = {
        "banned": {"outcome_flag": "set when the loan went bad", "post_outcome_balance": "as of the export"},
        "accepted": {"term_months": "a test"},
    }
    ws = workspace(leaking(**decided))
    assert {"outcome_flag", "post_outcome_balance"} & set(ws.spec.number_features) == set()
    read(ws)
    assert window_step(ws) is None
    passed = check(ws)
    assert passed.passed and "1 flagged and accepted" in passed.description
    rows = {r["feature"]: r for r in current_rows(ws)}
    assert rows["term_months"]["status"] == "accepted" and rows["term_months"]["decided"] == "a test"
    shown = materialized(ws)
    assert len(shown["Leaks: every feature alone"].records) == 21
    lineage = shown["dagster/column_lineage"].value.deps_by_column
    assert lineage["term_months"][0].asset_key == dg.AssetKey(["small", "clean_features"])
    assert learned_from(ws, window(ws, "fixed_window", P0)).train.label.sum() > 0


def _manifest(ws: Workspace) -> dict[str, Any]:
    (key,) = ws.lake.keys(JUDGEMENTS)
    made = ws.lake.get_document(JUDGEMENTS, key)["depends_on"]
    return {part: {"months": made[part]["months"]} for part in ("development", "otv")} | {
        k: made["development"][k] for k in ("portfolio", "label", "split")
    }


def test_what_is_judged_again_and_what_is_not(home: Path) -> None:
    ws = workspace(small_attributes())
    read(ws)
    make_window(ws, "fixed_window", P0)
    assert len(ws.lake.keys(JUDGEMENTS)) == 1 and not any(r["flagged"] for r in current_rows(ws))
    make_window(ws, "fixed_window", P0)
    accepted = workspace(small_attributes() | {"leaks": {"accepted": {"amount": "known"}}})
    make_window(accepted, "fixed_window", P0)
    assert len(ws.lake.keys(JUDGEMENTS)) == 1, "a person's word is not evidence"
    stricter = workspace(small_attributes() | {"leaks": {"max_auc": 0.9}})
    make_window(stricter, "fixed_window", P0)
    assert len(ws.lake.keys(JUDGEMENTS)) == 2
    fewer = workspace(small_attributes() | {"leaks": {"banned": {"region": "not asked for"}}})
    make_window(fewer, "fixed_window", P0)
    assert len(ws.lake.keys(JUDGEMENTS)) == 3 and "region" not in {r["feature"] for r in current_rows(ws)}


def test_a_window_made_before_its_features_were_judged_teaches_nothing(home: Path) -> None:
    """As in a home of an earlier version, or where a feature was declared since."""
    ws = workspace(leaking(accepted=dict.fromkeys(OPEN, "a test")))
    read(ws)
    make_window(ws, "fixed_window", P0)
    undecided = workspace(leaking())
    with pytest.raises(LeakError):
        learned_from(undecided, window(undecided, "fixed_window", P0))


def test_the_tape_alone_gives_the_judgement_that_stops_training(home: Path) -> None:
    ws = workspace(leaking())
    read(ws)
    with pytest.raises(LeakError):
        make_window(ws, "fixed_window", P0)
    from_tape = judge_tape(ws.spec, open_tape(ws), seed=ws.pinned.seed)
    assert from_tape["as_planned"] and from_tape["features"] == json.loads(json.dumps(from_tape["features"]))
    (key,) = ws.lake.keys(JUDGEMENTS)
    assert ws.lake.get_document(JUDGEMENTS, key)["features"] == json.loads(json.dumps(from_tape["features"]))


def test_a_large_book_is_judged_on_an_even_share_of_borrowers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = workspace(leaking())
    read(ws)
    monkeypatch.setattr(on_tape, "MOST_LOANS", 700)
    with pytest.raises(LeakError, match="outcome_flag"):
        learned_from(ws, window_or_make(ws, "fixed_window", P0))
    (key,) = ws.lake.keys(JUDGEMENTS)
    assert 550 < ws.lake.get_document(JUDGEMENTS, key)["loans"] < 850


def test_a_decision_in_the_yaml_is_something_new_to_the_sensor(home: Path) -> None:
    plain, accepted, banned = (
        method(Workspace.of(PortfolioSpec.model_validate(small_attributes() | change)))
        for change in (
            {},
            {"leaks": {"accepted": {"amount": "known"}}},
            {"leaks": {"banned": {"amount": "unknown"}}},
        )
    )
    assert plain.declared == accepted.declared and plain.settled != accepted.settled
    assert plain.declared != banned.declared, "tables are made without it"


def run_without_cohorts(ws: Workspace) -> list[Outcome]:
    """What ``pdx run`` does for p0 once the cohorts are read."""
    tasks = [t for t in plan(ws, months_to_run(ws, None, str(P0))) if t.stage != "cohort"]
    here = {t.key for t in tasks}
    tasks = [replace(t, after=t.after & here) for t in tasks if t.stage != "measure"]
    return run_tasks(ws, tasks, workers=1, report=lambda _: None)


def test_pdx_run_stops_at_an_open_flag_and_goes_on_after_the_decision(home: Path) -> None:
    attributes = leaking() | {"algorithms": ["logistic_regression"]}
    ws = workspace(attributes)
    read(ws)
    (only,) = run_without_cohorts(ws)
    assert only.task.stage == "window" and "seem to know the outcome" in (only.error or "")
    ws = workspace(attributes | {"leaks": {"accepted": dict.fromkeys(OPEN, "a test")}})
    outcomes = run_without_cohorts(ws)
    assert [(o.task.stage, o.error) for o in outcomes] == [("window", None), ("train", None), ("decide", None)]


def declare(folder: Path, attributes: dict[str, Any]) -> None:
    (folder / "small").mkdir(parents=True, exist_ok=True)
    document = {"type": "pdx_assets.Portfolio", "attributes": attributes}
    (folder / "small" / "defs.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")


def test_the_command_lists_every_feature_and_says_by_its_exit_code_whether_a_flag_is_open(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "DEFS", home / "defs")
    declare(home / "defs", leaking())
    told = CliRunner().invoke(cli.app, ["leaks", "small", "--format", "json"])
    assert told.exit_code == 1
    rows = {row["feature"]: row for row in json.loads(told.stdout)}
    assert len(rows) == 23 and {n for n, r in rows.items() if r["flagged"]} == set(OPEN)
    assert all(r["reason"] and r["status"] in ("open", "clean") for r in rows.values())
    assert rows["outcome_flag"]["auc_oot"] > 0.9
    declare(
        home / "defs", leaking(banned=dict.fromkeys(OPEN[:2], "known too late"), accepted={"term_months": "a test"})
    )
    told = CliRunner().invoke(cli.app, ["leaks", "small", "--format", "json"])
    assert told.exit_code == 0
    rows = {row["feature"]: row for row in json.loads(told.stdout)}
    assert len(rows) == 23 and rows["outcome_flag"]["status"] == "banned" and rows["outcome_flag"]["flagged"]
    assert rows["term_months"]["status"] == "accepted" and rows["term_months"]["decided"] == "a test"
    table = CliRunner().invoke(cli.app, ["leaks", "small"])
    assert table.exit_code == 0 and "No open flag." in table.stdout and "known too late" in table.stdout
    assert not (home / "lake" / "small" / "tables" / "clean_features").exists(), "no table is made"


@pytest.mark.parametrize(
    ("leaks", "said"),
    [
        ({"banned": {"nobody": "x"}}, "leaks.banned names 'nobody', not declared"),
        ({"accepted": {"age_band": "x"}}, "leaks.accepted names 'age_band', protected"),
        ({"accepted": {"loan_id": "x"}}, "leaks.accepted names 'loan_id', dtype text"),
        ({"banned": {"amount": " "}}, "no reason for amount"),
        ({"banned": {"amount": "x"}, "accepted": {"amount": "y"}}, "amount: both accepted and banned"),
        ({"ignored": {}}, "Extra inputs"),
    ],
)
def test_a_wrong_decision_in_the_yaml_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaks: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(cli, "DEFS", tmp_path)
    declare(tmp_path, small_attributes() | {"leaks": leaks})
    with pytest.raises(SpecError, match=said):
        cli.open_workspace("small")


def test_a_ratio_of_a_banned_column_goes_with_it() -> None:
    spec = small_spec(leaks={"banned": {"annual_income": "stated after the decision"}})
    assert "amount_to_income" not in spec.number_features
    assert "amount_to_income" not in small_spec(leaks={"banned": {"amount_to_income": "x"}}).number_features
    assert risk_leaks.JUDGE_VERSION == 2
