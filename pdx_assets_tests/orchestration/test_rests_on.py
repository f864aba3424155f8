"""A home's decisions rest on features and a label: under others it goes no further, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pdx_assets import cli
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError
from pdx_assets.stages import rests_on
from pdx_assets.stages.decision import decide
from pdx_assets.stages.maturity import wanted_today
from pdx_assets.stages.windows import make_window
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_attributes, small_spec
from pdx_assets_tests.stored_results import keep_results

P0 = Month(2022, 7)


def changed(**changes: Any) -> Workspace:
    return Workspace.of(small_spec(**changes))


@pytest.fixture
def used(home: Path) -> Workspace:
    """A home in which 2022-07 was decided."""
    ws = Workspace.of(small_spec())
    rests_on.keep(ws, P0)
    return ws


def test_a_feature_that_went_stops_everything_before_any_work(used: Workspace) -> None:
    """A ban after the first champion failed after minutes: the old models lacked an input (CleaningError)."""
    ws = changed(leaks={"banned": {"annual_income": "stated after the decision"}})
    said = "when 2022-07 was decided: features gone: annual_income, amount_to_income"
    for ask in (
        lambda: make_window(ws, "fixed_window", P0),
        lambda: decide(ws, P0),
        lambda: wanted_today(ws),
    ):
        with pytest.raises(HomeError, match=said):
            ask()
    rests_on.require_unchanged(used)
    assert not used.lake.keys("window_fixed_window")


def test_a_label_that_changed_is_named_key_by_key(used: Workspace) -> None:
    """Old decisions stood beside AUCs of another label, and nothing said so."""
    label = small_attributes()["label"] | {"definition": {"kind": "days_past_due", "threshold": 30}}
    with pytest.raises(HomeError, match=r"label\.definition\.threshold was 90 and is 30"):
        rests_on.require_unchanged(changed(label=label))


def test_what_may_be_added_may_be_added(used: Workspace) -> None:
    rests_on.require_unchanged(changed(strategies=["fixed_window", "all_known"], checks={"psi_warning": 0.2}))
    rests_on.require_unchanged(changed(title="another", algorithms=["logistic_regression", "xgboost", "blend"]))


def test_before_the_first_decision_everything_may_change(home: Path) -> None:
    ws = changed(leaks={"banned": {"annual_income": "stated after the decision"}})
    rests_on.require_unchanged(ws)
    rests_on.keep(ws, P0)
    with pytest.raises(HomeError, match="new features: annual_income, amount_to_income"):
        rests_on.require_unchanged(Workspace.of(small_spec()))


def test_the_commands_refuse_or_warn(used: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = small_attributes(leaks={"banned": {"annual_income": "stated after the decision"}})
    defs = tmp_path / "defs"
    (defs / "small").mkdir(parents=True)
    declared = {"type": "pdx_assets.Portfolio", "attributes": attributes}
    (defs / "small" / "defs.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    monkeypatch.setattr(cli, "DEFS", defs)
    run = CliRunner().invoke(cli.app, ["run", "small"])
    assert isinstance(run.exception, HomeError)
    assert "features gone: annual_income" in str(run.exception)
    assert "PDX_HOME=another pdx run small" in str(run.exception)
    keep_results(used)
    shown = CliRunner().invoke(cli.app, ["results", "small", "--format", "json"])
    assert shown.exit_code == 0
    assert "features gone: annual_income" in shown.stderr
    assert "made under the earlier declarations" in shown.stderr
