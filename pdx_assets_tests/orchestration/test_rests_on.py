"""A home's decisions rest on features and a label: under others it goes no further, and says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pdx_assets import cli
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError
from pdx_assets.stages import rests_on, tape
from pdx_assets.stages.branches import redecide
from pdx_assets.stages.challengers import challenge, tune_month
from pdx_assets.stages.decision import decide
from pdx_assets.stages.evidence import make_record
from pdx_assets.stages.maturity import wanted_today
from pdx_assets.stages.monitoring import measure_drift
from pdx_assets.stages.production import measure_production, production_scores
from pdx_assets.stages.radar import estimate_performance
from pdx_assets.stages.windows import make_window
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_attributes, small_spec
from pdx_assets_tests.stored_results import keep_results

P0 = Month(2022, 7)
BAN = {"banned": {"annual_income": "stated after the decision"}}
LABEL = small_attributes()["label"] | {"definition": {"kind": "days_past_due", "threshold": 30}}


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
    ws = changed(leaks=BAN)
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
    with pytest.raises(HomeError, match=r"label\.definition\.threshold was 90 and is 30"):
        rests_on.require_unchanged(changed(label=LABEL))


def test_what_may_be_added_may_be_added(used: Workspace) -> None:
    rests_on.require_unchanged(changed(strategies=["fixed_window", "all_known"], checks={"psi_warning": 0.2}))
    rests_on.require_unchanged(changed(title="another", algorithms=["logistic_regression", "xgboost", "blend"]))


def test_before_the_first_decision_everything_may_change(home: Path) -> None:
    ws = changed(leaks=BAN)
    rests_on.require_unchanged(ws)
    rests_on.keep(ws, P0)
    with pytest.raises(HomeError, match="new features: annual_income, amount_to_income"):
        rests_on.require_unchanged(Workspace.of(small_spec()))


def test_the_commands_refuse_or_warn(used: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = small_attributes(leaks=BAN)
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


def test_a_feature_of_another_kind_is_another_feature(used: Workspace) -> None:
    columns = small_attributes()["columns"]
    columns["region"] |= {"dtype": "number", "unit": "code"}
    with pytest.raises(HomeError, match="region was a category and is a number"):
        rests_on.require_unchanged(changed(columns=columns))


def test_whoever_decides_second_goes_by_what_the_first_kept(used: Workspace) -> None:
    with pytest.raises(HomeError, match="features gone: annual_income"):
        rests_on.keep(changed(leaks=BAN), P0)
    assert rests_on.changed_since(used) is None


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


STEPS: dict[str, Callable[[Workspace], object]] = {
    "wanted_today": wanted_today,
    "raw_loans": lambda ws: tape.raw_loans(ws, P0),
    "make_window": lambda ws: make_window(ws, "fixed_window", P0),
    "tune_month": lambda ws: tune_month(ws, "xgboost", P0),
    "challenge": lambda ws: challenge(ws, "rolling_window", "xgboost", P0 + 1),
    "make_record": lambda ws: make_record(ws, P0),
    "decide": lambda ws: decide(ws, P0 + 3),
    "redecide": lambda ws: redecide(ws, "again", by="ann"),
    "production_scores": lambda ws: production_scores(ws, P0),
    "measure_production": lambda ws: measure_production(ws, P0),
    "measure_drift": lambda ws: measure_drift(ws, P0),
    "estimate_performance": lambda ws: estimate_performance(ws, P0),
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"leaks": BAN}, "features gone: annual_income, amount_to_income"),
        ({"use_price": True}, "new features: annual_rate"),
        ({"label": LABEL}, "label.definition.threshold was 90 and is 30"),
    ],
    ids=["ban", "price", "label"],
)
def test_a_home_that_has_run_is_left_as_it_is(
    copied: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    home = copied.settings.home
    rests_on.require_unchanged(changed())
    before = files(home)
    defs = tmp_path / "defs" / "small"
    defs.mkdir(parents=True)
    declared = {"type": "pdx_assets.Portfolio", "attributes": small_attributes(**changes)}
    (defs / "defs.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    monkeypatch.setattr(cli, "DEFS", tmp_path / "defs")
    for command in ("run", "replay"):
        error = CliRunner().invoke(cli.app, [command, "small"]).exception
        assert isinstance(error, HomeError) and said in str(error), command
        assert "when 2022-07 was decided" in str(error)
    for name, step in STEPS.items():
        with pytest.raises(HomeError) as refused:
            step(changed(**changes))
        assert said in str(refused.value), name
    assert files(home) == before
