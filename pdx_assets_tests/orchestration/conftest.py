"""A PDx home in which the small portfolio has run, made once for all tests of a file that only read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pdx_assets.orchestration.runner import Outcome, months_to_run, plan, run_tasks
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_attributes, small_spec


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


@pytest.fixture(scope="session")
def on_evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """2022-07 and 2022-08 of :func:`evidence_spec`, undisturbed."""
    with home_at(tmp_path_factory.mktemp("evidence")):
        assert [o.error for o in run_all(evidence_spec(), "2022-08") if o.error] == []
        yield Workspace.of(evidence_spec())
