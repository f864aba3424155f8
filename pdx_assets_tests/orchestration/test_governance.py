"""Rollback, lift and redecide in a home where months have run: what is recorded, scored, shown, and left alone."""

from __future__ import annotations

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from pdx_assets import cli
from pdx_assets.lake import Lake
from pdx_assets.orchestration import runner
from pdx_assets.results import as_table, collect
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.catalogue import CUT_OFF_SHIFT
from pdx_assets.risk.errors import BundleError, DecisionError, HomeError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.stages import governance
from pdx_assets.stages.branches import redecide
from pdx_assets.stages.decision import decide, measure_otv
from pdx_assets.stages.production import production_scores
from pdx_assets.stages.record import decisions, find_decision, versions
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import run_all
from pdx_assets_tests.small_portfolio import small_spec

LAST = Month.parse("2022-09")
NEXT = Month.parse("2022-10")
SPEC = small_spec()


def loser(ws: Workspace, month: str) -> str:
    """A challenger of a month that is in charge of none: not the baseline, so that only an order has it scored."""
    champions = {d["champion"]["bundle_sha256"] for d in decisions(ws)}
    decision = find_decision(ws, Month.parse(month))
    assert decision is not None
    return next(c["bundle_sha256"] for c in decision["contest"]["challengers"] if c["bundle_sha256"] not in champions)


def without_scores(ws: Workspace, month: Month) -> None:
    """Take a month's production scores away: decided, but its loans have not come in yet."""
    from deltalake import DeltaTable

    DeltaTable(ws.lake.table_path("production_scores")).delete(f"cohort = '{month}'")
    assert month not in ws.lake.contents("production_scores")


def test_a_rollback_is_obeyed_until_it_is_lifted(copied: Workspace) -> None:
    """The whole life: order, a month under it through Dagster, lift, a month of the policy again."""
    before = {p.name: p.read_bytes() for p in _documents(copied, "decisions/main")}
    old = loser(copied, "2022-08")
    done = governance.roll_back(copied, old[:12], by="ann", reason="the new model misreads incomes")
    assert (done.event.sequence, done.event.takes_effect, done.overruled) == (1, NEXT, ())
    assert [o.error for o in run_all(SPEC, "2022-10") if o.error] == []
    decision = find_decision(copied, NEXT)
    assert decision is not None
    assert decision["decision"] == "rolled_back"
    assert decision["champion"]["bundle_sha256"] == old and decision["champion"]["score"] is not None
    assert "by ann: the new model misreads incomes" in decision["reason"]
    assert decision["inputs"]["approvals_sha256"] == document_sha256([done.event.document()])
    assert old in decision["inputs"]["score_sha256"]
    assert decision["rollback"]["instead_of"]["decision"] in ("kept", "promoted")
    assert all(c["score"] is not None for c in decision["contest"]["challengers"])
    scores = copied.lake.scan_months("production_scores", [NEXT]).collect()
    assert scores["bundle_sha256"].unique().to_list() == [old]
    lifted = governance.lift(copied, by="ben", reason="repaired")
    assert lifted.event.takes_effect == Month.parse("2022-11")
    assert [o.error for o in run_all(SPEC, "2022-11") if o.error] == []
    after = find_decision(copied, Month.parse("2022-11"))
    assert after is not None
    assert after["decision"] in ("kept", "promoted") and "rollback" not in after
    assert after["incumbent"]["bundle_sha256"] == old, "the fold goes on from the model rolled back to"
    for one, other in pairwise(decisions(copied)):
        assert other["inputs"]["previous_decision_sha256"] == document_sha256(one)
    now = {p.name: p.read_bytes() for p in _documents(copied, "decisions/main")}
    assert before.items() <= now.items(), "what was recorded before keeps its bytes"
    assert runner.plan(Workspace.of(SPEC), runner.months_to_run(copied, None, "2022-11")) == []
    found = collect(copied)
    assert found["champions"][3]["decision"] == "rolled_back"
    shown = {str(row): [str(c) for c in cells] for row, *cells in _rows(as_table(found))}
    # One cell a month, and the mean.
    assert [("yes" in cell) for cell in shown["  rolled back"]] == [False, False, False, True, False, False]
    assert _check(copied, CUT_OFF_SHIFT.code).severity == dg.AssetCheckSeverity.WARN


def test_a_month_decided_but_not_scored_is_decided_again(copied: Workspace) -> None:
    """Its loans come in after its first day: an order given in between must reach them."""
    without_scores(copied, LAST)
    first = find_decision(copied, LAST)
    assert first is not None
    digest = loser(copied, "2022-08")
    done = governance.roll_back(copied, digest, by="ann", reason="wrong")
    assert (done.event.takes_effect, done.overruled) == (LAST, (LAST,))
    with pytest.raises(DecisionError, match="materialize champion for 2022-09 again"):
        production_scores(copied, LAST)
    with pytest.raises(DecisionError, match="no decision is recorded for 2022-09"):
        decide(copied, NEXT)
    assert f"decide {LAST}" in {t.key for t in runner.plan(copied, runner.months_to_run(copied, None, str(LAST)))}
    # Kept for one month only, the model is measured because of the order alone.
    brief = SPEC.decision.model_copy(update={"keep_months": 1})
    otv, _ = measure_otv(Workspace.of(SPEC.model_copy(update={"decision": brief})), LAST)
    assert digest not in otv["metrics"]
    again, is_new = decide(copied, LAST)
    assert is_new and again["decision"] == "rolled_back"
    assert again["champion"]["bundle_sha256"] == digest and again["champion"]["score"] > 0
    assert again["inputs"]["supersedes_sha256"] == document_sha256(first)
    assert versions(copied, LAST) == [first, again], "both are on record"
    assert decisions(copied)[-1] == again
    assert decide(copied, LAST) == (again, False)
    # Lifted before anything was scored, it has changed nothing.
    governance.lift(copied, by="ann", reason="mistaken")
    third, _ = decide(copied, LAST)
    assert third["champion"] == first["champion"] and len(versions(copied, LAST)) == 3
    scores, decision, _ = production_scores(copied, LAST)
    assert scores.height and decision == third


def test_orders_that_cannot_be_obeyed_are_refused_and_leave_nothing(copied: Workspace) -> None:
    digest = loser(copied, "2022-08")
    for to, start, why, words in (
        ("ffff0000", None, "x", "No champion or challenger on record"),
        (digest, None, "  ", "No reason"),
        (digest, LAST, "x", "loans of 2022-09 are scored already"),
    ):
        with pytest.raises(DecisionError, match=words):
            governance.roll_back(copied, to, by="ann", reason=why, start=start)
    model = copied.settings.home / "lake" / "small" / "bundles" / digest / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match="sha256"):
        governance.roll_back(copied, digest, by="ann", reason="x")
    (model.parent / "manifest.json").unlink()
    with pytest.raises(HomeError, match="there is no bundle"):
        governance.roll_back(copied, digest, by="ann", reason="x")
    with pytest.raises(DecisionError, match="no rollback to lift"):
        governance.lift(copied, by="ann", reason="x")
    assert copied.lake.keys("events") == []


def test_of_two_orders_at_once_the_second_is_checked_against_the_first(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, create = loser(copied, "2022-08"), Lake.create_document

    def another_was_faster(lake: Lake, kind: str, key: str, document: Any) -> bool:
        monkeypatch.setattr(Lake, "create_document", create)
        governance.roll_back(copied, digest, by="ben", reason="faster")
        return create(lake, kind, key, document)

    monkeypatch.setattr(Lake, "create_document", another_was_faster)
    with pytest.raises(DecisionError, match="by ben: faster"):
        governance.roll_back(copied, digest, by="ann", reason="slower")
    assert [e.by for e in governance.events(copied)] == ["ben"]


def test_redecide_on_a_revised_tape_leaves_main_alone(copied: Workspace, tmp_path: Path) -> None:
    before = decisions(copied)
    assert redecide(copied, "same-inputs", by="ann") == before, "the same inputs give the same decisions"
    export = tmp_path / "export"
    shutil.copytree(copied.settings.simulated("small"), export)
    for month in ("2021-05", "2021-06", "2021-07", "2021-08"):
        (path,) = (export / "loans").glob(f"*{month}*.csv")
        loans = pl.read_csv(path, infer_schema=False)
        loans.with_columns((pl.col("annual_income").cast(pl.Float64, strict=False) * 3).round(2)).write_csv(path)
    copied.settings.pin("small", tape=str(export))
    ws = Workspace.of(SPEC)
    tasks = runner.plan(ws, runner.months_to_run(ws, None, str(LAST)))
    cohorts = [t for t in tasks if t.stage == "cohort"]
    assert [o.error for o in runner.run_tasks(ws, cohorts, workers=1, report=lambda _: None) if o.error] == []
    with pytest.raises(HomeError, match=r"2022-09: clean_features of 2021-07, 2021-08 changed") as stale:
        redecide(ws, "revised", by="ann")
    assert "pdx run small --to 2022-09" in str(stale.value)
    assert [o.error for o in run_all(SPEC, str(LAST)) if o.error] == []
    made = redecide(ws, "revised", by="ann", first=Month.parse("2022-08"))
    assert made[0] == before[0] and made[1] != before[1]
    assert made[1]["inputs"]["previous_decision_sha256"] == document_sha256(before[0])
    assert decisions(ws) == before
    found = collect(ws, "revised")
    assert [c["bundle_sha256"] for c in found["champions"]] == [d["champion"]["bundle_sha256"] for d in made]
    assert all(c["production"]["auc"] > 0 for c in found["champions"])
    assert "branch revised" in str(as_table(found).title)
    assert collect(ws)["champions"][1]["bundle_sha256"] == before[1]["champion"]["bundle_sha256"]


def test_a_branch_is_there_whole_or_not_at_all(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    create, written = Lake.create_document, []

    def killed(lake: Lake, kind: str, key: str, document: Any) -> bool:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(key)
        return create(lake, kind, key, document)

    monkeypatch.setattr(Lake, "create_document", killed)
    with pytest.raises(KeyboardInterrupt):
        redecide(copied, "again", by="ann")
    monkeypatch.setattr(Lake, "create_document", create)
    with pytest.raises(HomeError, match="no branch 'again'") as unknown:
        collect(copied, "again")
    assert "pdx redecide small --branch again" in str(unknown.value)
    assert redecide(copied, "again", by="ann") == decisions(copied, "again")
    for name, words in (("again", "already, made on"), ("main", "cannot be the name"), ("../x", "cannot be the name")):
        with pytest.raises(DecisionError, match=words):
            redecide(copied, name, by="ann")
    with pytest.raises(DecisionError, match="2022-12 is not decided on main"):
        redecide(copied, "later", by="ann", first=Month.parse("2022-12"))


def test_redecide_names_what_is_missing(copied: Workspace) -> None:
    documents = copied.settings.home / "lake" / "small" / "documents"
    (documents / "otv_scores" / "2022-08.json").unlink()
    (documents / "challenger_rolling_window_xgboost" / "2022-09.json").unlink()
    with pytest.raises(HomeError) as missing:
        redecide(copied, "again", by="ann")
    text = str(missing.value)
    assert "2022-08: otv_scores has no 2022-08" in text
    assert "2022-09: 2022-09 has neither a model nor a tombstone for challenger_rolling_window_xgboost" in text
    assert copied.lake.keys("decisions/again") == []


def test_the_commands_say_what_they_did(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "open_workspace", lambda portfolio: Workspace.of(SPEC))
    monkeypatch.setenv("LOGNAME", "carla")
    without_scores(copied, LAST)
    digest = loser(copied, "2022-08")

    def pdx(*arguments: str) -> str:
        ended = CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return " ".join(ended.output.split())

    said = pdx("rollback", "small", "--to", digest[:16], "--reason", "wrong incomes")
    assert "Event 1: small is rolled back to" in said
    assert digest[:12] in said and "from production month 2022-09 on, until it is lifted" in said
    assert "Decided before, and not scored yet: 2022-09." in said and "pdx run small --to 2022-09" in said
    decide(copied, LAST)
    said = pdx("redecide", "small", "--branch", "look", "--from", "2022-08", "--by", "ann")
    assert "2022-09 rolled_back as on main Rolled back to" in said and "Branch look has 3 months" in said
    assert "small, branch look" in pdx("results", "small", "--branch", "look")
    assert json.loads(pdx("results", "small", "--branch", "look", "--format", "json"))["branch"] == "look"
    assert "from production month 2022-09 on the paper policy decides" in pdx("lift", "small", "--reason", "mended")
    assert [e.by for e in governance.events(copied)] == ["carla", "carla"]
    with pytest.raises(DecisionError, match="carla lifted the last one"):
        pdx("lift", "small", "--reason", "again")


def _documents(ws: Workspace, kind: str) -> list[Path]:
    return sorted((ws.settings.home / "lake" / "small" / "documents" / kind).glob("*.json"))


def _rows(table: Any) -> list[list[Any]]:
    return list(zip(*(list(column.cells) for column in table.columns), strict=True))


def _check(ws: Workspace, name: str) -> Any:
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        key = dg.AssetCheckKey(dg.AssetKey([ws.spec.name, "champion"]), name)
        record = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0]
    return record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
