"""A home that stands on the decision date, and one years later: the same windows and the same models, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.models.training import ALGORITHMS
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages import tape
from pdx_assets.stages.challengers import challenge, load_bundle, tune_month
from pdx_assets.stages.windows import make_window
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import P0, small_spec

MONTH = Month.parse(P0)
STRATEGIES = ("fixed_window", "all_known", "immature_cohorts")


def spec() -> PortfolioSpec:
    return small_spec(strategies=list(STRATEGIES), algorithms=sorted(ALGORITHMS))


def make(ws: Workspace, cohort: Month) -> None:
    """What the cohort job does."""
    loans = tape.raw_loans(ws, cohort).loans
    events = tape.outcomes(ws, cohort, loans)
    tables = {
        "raw_loans": loans,
        "clean_features": tape.features(ws, cohort, loans),
        "outcomes": events,
        "labels": tape.labels(ws, cohort, loans, events),
    }
    for name, table in tables.items():
        ws.lake.write_month(name, cohort, table)


@dataclass(frozen=True)
class Made:
    statuses: set[str]
    windows: dict[str, str]
    last_events: dict[str, str]
    digests: dict[tuple[str, str], str]


def made(folder: Path, as_of: str | None) -> Made:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PDX_HOME", str(folder))
        patch.delenv("PDX_LAKE", raising=False)
        if as_of:
            patch.setenv("PDX_AS_OF", as_of)
        ws = Workspace.of(spec())
        ws.settings.pin(ws.spec.name, profile="quick", seed=0, tape=None)
        for cohort in ws.spec.periods.span(ws.spec.first_cohort, MONTH - 1):
            make(ws, cohort)
        manifests = {s: make_window(ws, s, MONTH) for s in STRATEGIES}
        digests = {}
        for algorithm in ws.spec.algorithms:
            tune_month(ws, algorithm, MONTH)
            for s in STRATEGIES:
                digests[s, algorithm] = challenge(ws, s, algorithm, MONTH).pointer["bundle_sha256"]
        youngest = ws.lake.scan_months("labels", [MONTH - 1]).collect()
        return Made(
            statuses=set(youngest["status"]),
            windows={s: m["development"]["sha256"] for s, m in manifests.items()},
            last_events={s: load_bundle(ws, digests[s, "xgboost"]).manifest["last_event"] for s in STRATEGIES},
            digests=digests,
        )


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Made, Made]]:
    yield made(tmp_path_factory.mktemp("then"), "2022-07-01"), made(tmp_path_factory.mktemp("later"), None)


def test_the_tape_of_the_decision_date_gives_the_same_bytes(homes: tuple[Made, Made]) -> None:
    then, later = homes
    assert (then.statuses, "unknown" in later.statuses) == ({"unknown"}, False), "the homes differ in what they know"
    assert later.windows == then.windows
    assert later.digests == then.digests


def test_no_model_has_learned_from_after_the_decision_date(homes: tuple[Made, Made]) -> None:
    for strategy in ("all_known", "immature_cohorts"):
        assert {h.last_events[strategy] for h in homes} == {"2022-06-30"}
