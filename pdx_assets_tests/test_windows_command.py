"""``pdx windows``: counts from the tape, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pdx_assets.cli import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PDX_HOME", str(tmp_path))
    monkeypatch.delenv("PDX_LAKE", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def test_every_window_is_counted_and_nothing_is_trained(home: Path) -> None:
    asked = CliRunner().invoke(app, ["windows", "demo", "--format", "json"])
    assert asked.exit_code == 0, asked.output
    found = json.loads(asked.stdout)
    assert (found["portfolio"], found["hindsight"]) == ("demo", False)
    kinds = {w["window"] for w in found["windows"]}
    assert kinds == {"fixed_window", "fixed_origin", "rolling_window", "otv"}
    first = found["windows"][:2]
    assert [w["window"] for w in first] == ["fixed_window", "otv"]
    for w in found["windows"]:
        assert w["bads"] + w["goods"] + w["indeterminate"] + w["unknown"] == w["loans"] > 0
        assert w["bad_rate"] == pytest.approx(w["bads"] / (w["bads"] + w["goods"]))
        assert w["too_few_bads"] == (w["bads"] < found["min_bads"])
    assert not list(home.glob("lake/demo/bundles/*"))
    assert not list(home.glob("lake/demo/documents/window_*"))
    shown = CliRunner().invoke(app, ["windows", "demo"])
    assert "fixed window" in shown.stdout and "bads or more" in shown.stdout


def test_a_month_that_cannot_be_decided_is_refused(home: Path) -> None:
    asked = CliRunner().invoke(app, ["windows", "demo", "--from", "2090-01"])
    assert asked.exit_code != 0
    assert "can be decided" in str(asked.exception)
