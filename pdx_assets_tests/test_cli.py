"""The ``pdx`` command as a user meets it: a process, its exit code, and what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

PDX = str(Path(sys.executable).parent / "pdx")


def pdx(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PDX, *arguments],
        env={**os.environ, "PDX_HOME": str(home), "COLUMNS": "200", "TERM": "dumb", **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_help_is_worth_reading(tmp_path: Path) -> None:
    overview = pdx(tmp_path, "--help")
    assert overview.returncode == 0
    for word in ("run", "results", "ui", "PDX_HOME", "pdx run demo"):
        assert word in overview.stdout
    for command, words in {
        "run": ("--from", "--to", "--tape", "--profile", "--seed", "resumes", "Exit code"),
        "results": ("--format", "table", "json", "csv"),
        "experiment": ("--out", "--format", "markdown", "json", "nothing is trained"),
        "ui": ("--port", "127.0.0.1", "loopback"),
        "waive": ("--check", "--month", "--reason", "--by", "for good"),
        "waivers": ("who, when, why",),
    }.items():
        text = pdx(tmp_path, command, "--help").stdout
        for word in words:
            assert word in text, (command, word)
    assert not (tmp_path / "lake").exists()


def test_version() -> None:
    from pdx_assets import __version__

    assert pdx(Path("unused"), "--version").stdout.strip() == f"pdx {__version__}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nobody"), ("There is no portfolio 'nobody'", "demo", "lendingclub")),
        (("run", "../demo"), ("There is no portfolio",)),
        (("results", "demo"), ("holds no decision of demo", "pdx run demo")),
        (("experiment", "demo"), ("holds no decision of demo", "pdx run demo")),
        (
            ("waive", "demo", "--check", "trained", "--month", "2022-01", "--reason", "x"),
            ("it warns, and stops nothing",),
        ),
        (("waive", "demo", "--check", "schema", "--month", "2022-13", "--reason", "x"), ("'2022-13' is not a month",)),
        (("run", "demo", "--from", "2024-13"), ("'2024-13' is not a month", "YYYY-MM")),
        (("run", "demo", "--from", "2023-01"), ("cannot be run", "2024-01..")),
        (("run", "demo", "--to", "2031-01"), ("cannot be run", "2024-01..")),
        (("run", "lendingclub", "--tape", "no/such/file.csv"), ("no/such/file.csv", "What to do")),
        (("run", "lendingclub"), ("PDX_LENDINGCLUB_TAPE", "export")),
    ],
)
def test_a_mistake_is_told_in_words(tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    ended = pdx(tmp_path, *arguments)
    assert ended.returncode == 1
    said = " ".join((ended.stdout + ended.stderr).replace("│", " ").split())
    assert "Traceback" not in said
    for word in words:
        assert word in said.replace(" /", "/") or word in (ended.stdout + ended.stderr), said


def test_a_command_that_cannot_run_settles_nothing(tmp_path: Path) -> None:
    """It pinned its seed and its tape before it looked at the months, and the right command was then refused."""
    assert pdx(tmp_path, "run", "demo", "--seed", "7", "--to", "2031-01").returncode == 1
    assert list((tmp_path / "portfolios").glob("*")) == []


def test_a_waiver_is_recorded_and_listed(tmp_path: Path) -> None:
    from pdx_assets.lake import Lake

    verdict = {"code": "schema", "reason": "income is absent", "numbers": {}, "rows": [], "blocks": True}
    Lake(tmp_path / "lake", "demo").put_document("checks/clean_features", "2022-01", {"verdicts": [verdict]})
    assert "No waiver is recorded" in pdx(tmp_path, "waivers", "demo").stdout
    arguments = ("--check", "schema", "--month", "2022-01", "--reason", "known to the bureau")
    waived = pdx(tmp_path, "waive", "demo", *arguments, "--by", "Ada Fox")
    assert waived.returncode == 0, waived.stderr
    assert "Waived by Ada Fox" in waived.stdout and "income is absent" in waived.stdout
    listed = pdx(tmp_path, "waivers", "demo").stdout
    for words in ("2022-01", "schema", "Ada Fox", "known to the bureau", "income is absent"):
        assert words in listed
    again = pdx(tmp_path, "waive", "demo", *arguments)
    assert again.returncode == 1 and "waived already, by Ada Fox" in " ".join(again.stderr.split())


def test_months_without_a_sound_champion_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pdx run` said Done, and exit code 0, when a month was vacant or its challengers had all failed."""
    from rich.console import Console

    from pdx_assets import cli
    from pdx_assets.risk.calendar import Month
    from pdx_assets.stages.record import record

    monkeypatch.setenv("PDX_HOME", str(tmp_path))
    ws, months = cli.open_workspace("demo"), (Month(2024, 1), Month(2024, 2), Month(2024, 3))
    sound = {"bads": 100, "goods": 900, "failed": {}, "challengers": [{}], "unscored": {}}
    states = [
        {"decision": "vacant", "reason": "too few bads", "champion": None, "incumbent": None, "contest": sound},
        {"decision": "kept", "reason": "kept", "champion": {}, "incumbent": None, "contest": sound},
        {
            "decision": "kept",
            "reason": "kept",
            "champion": {},
            "incumbent": None,
            "contest": {**sound, "failed": {"rolling_window xgboost": "no bads"}, "challengers": []},
        },
    ]
    for month, state in zip(months, states, strict=True):
        record(ws, month, {"production_month": str(month), **state})
    told = []
    for month in months:
        console = Console(width=200, record=True, file=StringIO())
        told.append((cli._tell_problems(ws, (month,), console), console.export_text()))
    assert [unsound for unsound, _ in told] == [True, False, True]
    assert "2024-01" in told[0][1] and "too few bads" in told[0][1]
    assert "rolling_window xgboost left a tombstone: no bads" in told[2][1]


def test_an_unknown_option_value_lists_the_right_ones(tmp_path: Path) -> None:
    ended = pdx(tmp_path, "run", "demo", "--profile", "fast")
    assert ended.returncode == 2
    for word in ("quick", "standard", "paper", "paper_size"):
        assert word in ended.stderr


def test_one_month_of_the_demo_runs_and_shows_its_results(tmp_path: Path) -> None:
    """The whole command, on the real demo portfolio with the smallest tuning: one production month."""
    ran = pdx(tmp_path, "run", "demo", "--profile", "quick", "--to", "2024-01")
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert "2024-01" in ran.stdout and "First champion" in ran.stdout
    found = json.loads(pdx(tmp_path, "results", "demo", "--format", "json").stdout)
    assert len(found["models"]) == 12
    assert found["champions"][0]["production"]["n_loans"] > 500
    table = pdx(tmp_path, "results", "demo").stdout
    assert "2024" in table and "champion" in table and "baseline" in table
    assert "…" not in table, "a cell was cut"
    again = pdx(tmp_path, "run", "demo", "--to", "2024-01")
    assert again.returncode == 0
    assert "up to date" in again.stdout
    other = pdx(tmp_path, "run", "demo", "--seed", "7", "--to", "2024-01")
    assert other.returncode == 1
    assert "one seed in a home" in " ".join(other.stderr.replace("│", " ").split())
