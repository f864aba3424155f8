"""A PDx home in which the small portfolio has run, made once for all tests of a file that only read it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pdx_assets.orchestration.runner import Outcome, months_to_run, plan, run_tasks
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_spec


def run_all(spec: PortfolioSpec, last: str, workers: int = 2) -> list[Outcome]:
    """What ``pdx run`` does, up to a production month, in the home of the environment."""
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="quick", seed=0, tape=None)
    return run_tasks(ws, plan(ws, months_to_run(ws, None, last)), workers=workers, report=lambda _: None)


@contextmanager
def home_at(folder: Path) -> Iterator[Path]:
    """A PDx home for longer than one test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PDX_HOME", str(folder))
        patch.delenv("PDX_LAKE", raising=False)
        patch.setenv("DAGSTER_HOME", "restored by the patch: running sets it")
        yield folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PDx home."""
    monkeypatch.setenv("PDX_HOME", str(tmp_path))
    monkeypatch.delenv("PDX_LAKE", raising=False)
    # Restored by monkeypatch: running sets it.
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The small portfolio, 2022-07..2022-09, undisturbed, two workers; to be read, not written."""
    with home_at(tmp_path_factory.mktemp("finished")):
        outcomes = run_all(small_spec(), "2022-09")
        assert [o.error for o in outcomes if o.error] == []
        yield Workspace.of(small_spec())


@pytest.fixture
def copied(finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The finished home, to be written to."""
    home = tmp_path / "pdx"
    shutil.copytree(finished.settings.home, home)
    monkeypatch.setenv("PDX_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    return Workspace.of(finished.spec)
