"""A portfolio whose labels were accepted in hindsight, run to its first decision: marked, and nothing left to do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from pdx_assets import cli
from pdx_assets.orchestration.component import portfolio_definitions
from pdx_assets.orchestration.runner import months_to_run, plan
from pdx_assets.results import as_csv, as_json, as_table, collect
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.spec import NOT_KNOWABLE, PortfolioSpec
from pdx_assets.stages.maturity import wanted_today
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.windows import plan_counts, window
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import home_at, run_all
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

P0 = Month(2022, 7)


def hindsight_spec() -> PortfolioSpec:
    attributes = small_attributes(algorithms=["logistic_regression"])
    attributes["label"] |= {"accepts_labels_not_knowable_in_time": True}
    attributes["windows"] |= {"gap": 3}
    return PortfolioSpec.model_validate(attributes)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with home_at(tmp_path_factory.mktemp("hindsight")):
        assert [o.error for o in run_all(hindsight_spec(), str(P0)) if o.error] == []
        yield Workspace.of(hindsight_spec())


def test_the_decision_and_the_results_say_so(done: Workspace) -> None:
    decision = find_decision(done, P0)
    assert decision is not None and decision["hindsight"] is True
    assert decision["reason"].endswith(NOT_KNOWABLE)
    found = collect(done)
    assert NOT_KNOWABLE in as_json(found)
    head, *lines = as_csv(found).splitlines()
    assert head.endswith(",labels_not_knowable_in_time")
    assert lines and all(line.endswith(",True") for line in lines)
    shown = as_table(found)
    assert "NOT KNOWABLE" in str(shown.title) and NOT_KNOWABLE in str(shown.caption)


def test_it_is_made_from_what_the_sensor_expects(done: Workspace) -> None:
    """A window in hindsight is stale when the newest labels change, not the labels of its decision date."""
    assert plan(done, months_to_run(done, None, str(P0))) == []
    stale = [w for w in wanted_today(done) if w.month <= P0 and w.job in ("cohort", "decide")]
    needed = {m["cohort"] for part in ("development", "otv") for m in window(done, "fixed_window", P0)[part]["months"]}
    assert [w.run for w in stale if w.job == "decide" or str(w.month) in needed] == []


def test_the_windows_are_counted_from_the_tape_as_they_were_made(done: Workspace) -> None:
    counted = {w.window: w.counts for w in plan_counts(done, str(P0), str(P0))}
    manifest = window(done, "fixed_window", P0)
    for name, part in (("fixed_window", "development"), ("otv", "otv")):
        made = manifest[part]
        assert (counted[name].loans, counted[name].bads, counted[name].goods) == (
            made["loans"],
            made["bads"],
            made["goods"],
        )
        assert counted[name].bad_rate == pytest.approx(made["bad_rate"])


def test_every_asset_is_marked_and_no_asset_of_another_portfolio() -> None:
    for of, expected in ((hindsight_spec(), True), (small_spec(), False)):
        assets = [asset for defined in portfolio_definitions(of).assets or () for asset in defined.specs]
        assert len(assets) > 10
        for asset in assets:
            assert (NOT_KNOWABLE in (asset.description or "")) == expected, asset.key
            assert ("pdx/labels" in asset.tags) == expected


def test_a_month_is_estimated_once_and_without_a_record(done: Workspace) -> None:
    document = done.lake.get_document("performance_estimate", str(P0))
    (only,) = document["estimates"]
    assert only["as_of"] == "2022-07-31"
    assert "arrears" not in only
    assert only["confidence"]["auc"]["record"]["months"] == 0


@pytest.mark.parametrize("command", ["simulate", "radar", "leaks"])
def test_every_command_that_shows_a_figure_says_so(
    done: Workspace, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of what was simulated or estimated, nor `pdx leaks`, said it; `pdx radar` only in its table."""
    monkeypatch.setattr(cli, "open_workspace", lambda _: done)
    asked = [command, done.spec.name, *(["--policies", "never,paper"] if command == "simulate" else [])]
    shown = CliRunner().invoke(cli.app, asked)
    assert shown.exit_code == 0, shown.output
    assert NOT_KNOWABLE in " ".join(shown.output.split())
    rows = json.loads(CliRunner().invoke(cli.app, [*asked, "--format", "json"]).stdout)
    assert rows and all(row["hindsight"] == NOT_KNOWABLE for row in rows)


def test_every_training_run_is_tagged(done: Workspace) -> None:
    with sqlite3.connect(done.settings.home / "mlflow.db") as database:
        runs = database.execute("SELECT COUNT(*) FROM runs").fetchone()[0]
        tagged = database.execute("SELECT value FROM tags WHERE key = 'pdx/labels'").fetchall()
    assert runs == len(tagged) > 0 and set(tagged) == {("not_knowable_in_time",)}
