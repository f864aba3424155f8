"""Where a PDx home is, and what it pins for a portfolio."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pdx_assets.risk.errors import HomeError
from pdx_assets.settings import Pinned, Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("PDX_LAKE", "PDX_MLFLOW_URI", "PDX_MLFLOW_UI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PDX_HOME", str(tmp_path / "home"))
    return Settings.from_environment()


def test_everything_lies_under_the_home(home: Settings, tmp_path: Path) -> None:
    root = tmp_path / "home"
    assert home.home == root
    assert home.lake == str(root / "lake")
    assert home.mlflow_uri == f"sqlite:///{root / 'mlflow.db'}"
    for folder in (home.dagster_home, home.staging("demo"), home.simulated("demo"), home.locks("demo")):
        assert root in folder.parents
    assert home.staging("demo") != home.staging("demo2") != home.simulated("demo2")
    assert not root.exists(), "reading settings must not write"


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PDX_HOME", "")
    monkeypatch.setenv("PDX_LAKE", "s3://bucket/lake")
    monkeypatch.setenv("PDX_MLFLOW_URI", "http://mlflow:5000")
    monkeypatch.setenv("PDX_MLFLOW_UI", "https://mlflow.example/")
    monkeypatch.chdir(tmp_path)
    found = Settings.from_environment()
    assert found.home == (tmp_path / ".pdx").resolve()
    assert (found.lake, found.mlflow_uri) == ("s3://bucket/lake", "http://mlflow:5000")
    assert found.mlflow_ui == "https://mlflow.example"


def test_a_relative_home_does_not_move_with_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PDX_HOME", "mine")
    found = Settings.from_environment()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert found.home == tmp_path / "mine"
    assert found.staging("demo").is_relative_to(tmp_path / "mine")


def test_a_password_is_not_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Incident: the repr of the settings held MLflow's address, password included."""
    monkeypatch.setenv("PDX_HOME", str(tmp_path))
    monkeypatch.setenv("PDX_MLFLOW_URI", "postgresql+psycopg2://pdx:hunter2@db/mlflow")
    found = Settings.from_environment()
    assert "hunter2" in found.mlflow_uri
    assert "hunter2" not in repr(found) + str(found)


def test_nothing_pinned_means_defaults(home: Settings) -> None:
    assert home.pinned("demo") == Pinned(profile="standard", seed=0, tape=None)
    assert not home.home.exists()


def test_what_is_pinned_stays(home: Settings) -> None:
    assert home.pin("demo", profile="quick", seed=7, tape="/loans.csv") == Pinned("quick", 7, "/loans.csv")
    assert home.pinned("demo") == Pinned("quick", 7, "/loans.csv")
    assert home.pin("demo", profile=None, seed=None, tape=None) == Pinned("quick", 7, "/loans.csv")
    assert home.pin("demo", profile="quick", seed=7, tape=None) == Pinned("quick", 7, "/loans.csv")
    assert home.pinned("lendingclub") == Pinned()
    # A tape may move: its content, not its path, is what results depend on.
    assert home.pin("demo", profile=None, seed=None, tape="/other.csv").tape == "/other.csv"


def test_defaults_are_pinned_by_the_first_use(home: Settings) -> None:
    home.pin("demo", profile=None, seed=None, tape=None)
    with pytest.raises(HomeError, match="seed 0; asked for 1"):
        home.pin("demo", profile=None, seed=1, tape=None)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seed": 8}, "with seed 7; asked for 8"),
        ({"seed": 0}, "with seed 7; asked for 0"),
        ({"profile": "paper"}, "with profile 'quick'; asked for 'paper'"),
        ({"profile": "paper", "tape": "/new.csv"}, "profile"),
    ],
)
def test_another_seed_or_profile_is_refused(home: Settings, asked: dict, said: str) -> None:
    before = home.pin("demo", profile="quick", seed=7, tape=None)
    with pytest.raises(HomeError) as failure:
        home.pin("demo", **{"profile": None, "seed": None, "tape": None, **asked})
    text = str(failure.value)
    assert said in text
    assert str(home.home) in text
    assert "set PDX_HOME to another folder" in text
    assert home.pinned("demo") == before


def test_an_unknown_profile_is_refused(home: Settings) -> None:
    with pytest.raises(HomeError, match=r"'fast' is unknown.\nExpected: quick \| standard \| paper \| paper_size"):
        home.pin("demo", profile="fast", seed=None, tape=None)
    assert not home.home.exists()


def test_a_pin_leaves_no_scratch_file(home: Settings) -> None:
    home.pin("demo", profile="quick", seed=1, tape=None)
    home.pin("demo", profile=None, seed=None, tape="/x.csv")
    files = [p for p in home.home.rglob("*") if p.is_file()]
    assert [p.name for p in files] == ["demo.json"]
    assert json.loads(files[0].read_text(encoding="utf-8")) == dataclasses.asdict(home.pinned("demo"))


@pytest.mark.parametrize(
    "name", ["", "..", "../demo", "a/b", "Demo", "demo ", "demo\n", "1demo", "dé", "a" * 41, "/etc", "de.mo", "-rf"]
)
def test_an_unsafe_portfolio_name_is_refused(home: Settings, name: str) -> None:
    """Incident: 'demo' with a newline behind it passed."""
    for use in (home.staging, home.simulated, home.locks, home.pinned):
        with pytest.raises(HomeError, match="not a portfolio name"):
            use(name)
    with pytest.raises(HomeError, match="not a portfolio name"):
        home.pin(name, profile=None, seed=None, tape=None)
    assert not home.home.exists()
