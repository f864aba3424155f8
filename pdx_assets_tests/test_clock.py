"""The clock: a static tape then looks as the export of that day did, and nothing else changes."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pdx_assets.orchestration.runner import months_to_run
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.outcomes import label_rows, outcome_events
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.synthetic import write_simulated_tape
from pdx_assets.risk.tape import CohortRows, StagedTape, TapeSource, stage_tape
from pdx_assets.risk.tape_clock import is_whole, on_day
from pdx_assets.risk.tape_contents import cohort_contents
from pdx_assets.settings import Settings
from pdx_assets.stages import tape as stage
from pdx_assets.stages.maturity import contents
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_spec

MONTH_ENDS = (date(2022, 9, 30), date(2023, 6, 30))


@pytest.fixture(scope="module")
def spec() -> PortfolioSpec:
    return small_spec()


@pytest.fixture(scope="module")
def export(spec: PortfolioSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lender") / "export"
    assert spec.tape.simulated is not None
    write_simulated_tape(spec.tape.simulated, folder)
    return folder


def staged(spec: PortfolioSpec, folder: Path, staging: Path) -> StagedTape:
    source = TapeSource(*(tuple(sorted((folder / kind).glob("*.csv"))) for kind in ("loans", "performance")))
    return stage_tape(spec, source, staging)


@pytest.fixture(scope="module")
def whole(spec: PortfolioSpec, export: Path, tmp_path_factory: pytest.TempPathFactory) -> StagedTape:
    return staged(spec, export, tmp_path_factory.mktemp("staging"))


@pytest.mark.parametrize("day", MONTH_ENDS)
def test_a_static_tape_looks_as_the_export_of_that_day(
    day: date, spec: PortfolioSpec, export: Path, whole: StagedTape, tmp_path: Path
) -> None:
    """The oracle is the lender itself: it exports a file a month, so an earlier export is the earlier files."""
    earlier = tmp_path / "export"
    for kind in ("loans", "performance"):
        (earlier / kind).mkdir(parents=True)
        for path in sorted((export / kind).glob("*.csv")):
            if path.stem <= f"{day:%Y-%m}":
                shutil.copy(path, earlier / kind)
    then, now = staged(spec, earlier, tmp_path / "staging"), on_day(whole, spec, day)
    assert (now.as_of, now.cohorts) == (then.as_of, then.cohorts) == (day, then.cohorts)
    for cohort in then.cohorts:
        expected, got = then.cohort(cohort), now.cohort(cohort)
        assert got.loans.equals(expected.loans), cohort
        assert got.accounting == expected.accounting
        assert got.performance_accounting is not None and got.performance_accounting.balances
        assert _events(spec, then, expected).equals(_events(spec, now, got)), cohort
        assert _labels(spec, cohort, then, expected).equals(_labels(spec, cohort, now, got)), cohort
    clipped = {c: content.known_by(day) for c, content in cohort_contents(spec, whole).items() if c in now.cohorts}
    assert clipped == cohort_contents(spec, now) == cohort_contents(spec, then)


def _events(spec: PortfolioSpec, tape: StagedTape, rows: CohortRows) -> pl.DataFrame:
    return outcome_events(spec, rows.loans, rows.performance, tape.as_of)


def _labels(spec: PortfolioSpec, cohort: Month, tape: StagedTape, rows: CohortRows) -> pl.DataFrame:
    return label_rows(spec, cohort, rows.loans, _events(spec, tape, rows), tape.as_of)


def test_a_month_that_is_not_over_shows_its_first_days(spec: PortfolioSpec, whole: StagedTape) -> None:
    march = Month(2022, 3)
    seen = on_day(whole, spec, date(2022, 3, 10))
    rows, all_rows = seen.cohort(march), whole.cohort(march)
    assert seen.cohorts[-1] == march and not is_whole(seen, march) and is_whole(seen, march - 1)
    assert 0 < rows.loans.height < all_rows.loans.height
    assert rows.loans["application_date"].max() <= "2022-03-10"  # type: ignore[operator]
    assert rows.accounting.balances and rows.accounting.rows_out == rows.loans.height
    assert rows.performance is not None and rows.performance.height == 0
    assert seen.cohort(march - 1).loans.height == whole.cohort(march - 1).loans.height


def test_a_day_that_hides_nothing_gives_the_very_tape(spec: PortfolioSpec, whole: StagedTape) -> None:
    assert on_day(whole, spec, whole.as_of) is whole
    assert on_day(whole, spec, date(2026, 1, 1)) is whole
    assert on_day(whole, spec, date(2020, 12, 31)).cohorts == ()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PDX_HOME", str(tmp_path / "home"))
    for name in ("PDX_AS_OF", "PDX_LAKE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def test_the_environment_goes_before_the_homes_clock(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_environment().as_of is None
    assert Settings.from_environment().today == datetime.now(UTC).date()
    home.mkdir()
    (home / "clock").write_text("2022-09-30\n", encoding="utf-8")
    assert Settings.from_environment().today == date(2022, 9, 30)
    monkeypatch.setenv("PDX_AS_OF", "2022-08-31")
    assert Settings.from_environment().today == date(2022, 8, 31)
    monkeypatch.setenv("PDX_AS_OF", "")
    assert Settings.from_environment().today == date(2022, 9, 30), "blank is not set"


@pytest.mark.parametrize("text", ["31.8.2022", "2022-02-30", "today"])
def test_a_clock_that_says_no_day_is_refused(text: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_AS_OF", text)
    with pytest.raises(HomeError, match="not a day"):
        Settings.from_environment()


def test_a_day_that_has_not_come_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_AS_OF", (datetime.now(UTC).date() + timedelta(2)).isoformat())
    with pytest.raises(HomeError, match="has not come yet"):
        Settings.from_environment()


def test_a_process_sees_the_clock_move_and_reads_the_tape_once(
    home: Path, spec: PortfolioSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process keeps in memory goes by file, and the clock moves under it."""
    reads: list[StagedTape] = []

    def counted(*args: object) -> StagedTape:
        reads.append(stage_tape(*args))  # type: ignore[arg-type]
        return reads[-1]

    monkeypatch.setattr(stage, "stage_tape", counted)
    states = set()
    for day in ("2022-09-30", "2022-10-31", ""):
        monkeypatch.setenv("PDX_AS_OF", day)
        ws = Workspace.of(spec)
        tape = stage.open_tape(ws)
        assert tape.as_of == (date.fromisoformat(day) if day else date(2024, 2, 29))
        states.add(stage.tape_state(ws))
        assert set(contents(ws)) == set(tape.cohorts)
    assert len(states) == 3 and len(reads) == 1
    monkeypatch.setenv("PDX_AS_OF", "2024-02-29")
    assert stage.tape_state(Workspace.of(spec)) in states, "a clock that hides nothing changes nothing"


def test_months_to_run_end_where_the_clock_stands(
    home: Path, spec: PortfolioSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDX_AS_OF", "2022-09-30")
    ws = Workspace.of(spec)
    assert str(months_to_run(ws, None, None)[-1]) == "2022-09"
    with pytest.raises(HomeError, match="the clock stands at 2022-09-30"):
        months_to_run(ws, None, "2022-10")
    monkeypatch.setenv("PDX_AS_OF", "2020-05-01")
    with pytest.raises(HomeError, match="the clock stands at 2020-05-01"):
        months_to_run(Workspace.of(spec), None, None)
