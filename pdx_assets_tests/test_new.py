"""``pdx new`` and ``pdx sample``: from a file to a portfolio that loads, and what is said on the way."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from pdx_assets import cli
from pdx_assets.risk.errors import HomeError, SpecError, TapeError
from pdx_assets.risk.spec_file import load_spec


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cli, "DEFS", tmp_path / "defs")
    monkeypatch.setenv("PDX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "defs"


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tape") / "loans.csv"
    assert pdx("sample", "digital", "--out", str(path), "--loans", "300").exit_code == 0
    return path


def pdx(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def test_from_file_to_a_portfolio(defs: Path, tape: Path) -> None:
    made = pdx("new", "tiny_loans", "--tape", str(tape))
    assert made.exit_code == 0, made.output
    path = defs / "tiny_loans" / "defs.yaml"
    spec = load_spec(path)
    assert spec.name == "tiny_loans" and Path(spec.tape.path) == tape
    said = made.output
    for words in ("systemloanid", "customerid", "approveddate", "repayment_dates", "To decide", "development", "OTV"):
        assert words in said
    assert "pdx run tiny_loans" in said and "Production months with known labels" in said
    # Every line that is named is a line to decide on.
    lines = path.read_text().split("\n")
    named = [line.split()[1] for line in said.split("\n") if line.startswith("  line")]
    assert named and all("# DECIDE: " in lines[int(n) - 1] for n in named)
    assert [p.name for p in path.parent.iterdir()] == ["defs.yaml"]
    assert not (defs.parent / "home").exists()


def test_a_column_that_knows_the_outcome_needs_a_decision_first(defs: Path, tape: Path, tmp_path: Path) -> None:
    """The command said `Next: pdx run`, and exited 0, though training would stop."""
    loans = pl.read_csv(tape, infer_schema=False)
    late = loans["closeddate"].is_null()
    leaking = tmp_path / "leaking.csv"
    loans.with_columns(pl.when(late).then(pl.lit("7")).otherwise(pl.lit("0")).alias("calls")).write_csv(leaking)
    made = pdx("new", "leaking", "--tape", str(leaking))
    assert made.exit_code == 1
    assert "Next:\n  decide about the features named\n  pdx leaks leaking" in made.output
    assert (defs / "leaking" / "defs.yaml").exists()


def test_the_same_tape_gives_the_same_bytes(defs: Path, tape: Path) -> None:
    pdx("new", "one", "--tape", str(tape))
    first = (defs / "one" / "defs.yaml").read_bytes()
    assert pdx("new", "one", "--tape", str(tape), "--force").exit_code == 0
    assert (defs / "one" / "defs.yaml").read_bytes() == first


def test_a_portfolio_is_not_overwritten_unasked(defs: Path, tape: Path) -> None:
    (defs / "mine").mkdir(parents=True)
    (defs / "mine" / "defs.yaml").write_text("by hand\n")
    refused = pdx("new", "mine", "--tape", str(tape))
    assert isinstance(refused.exception, SpecError) and "--force" in str(refused.exception)
    assert (defs / "mine" / "defs.yaml").read_text() == "by hand\n"
    assert pdx("new", "mine", "--tape", str(tape), "--force").exit_code == 0


@pytest.mark.parametrize("name", ["../mine", "/tmp/mine", "Mine", "1mine", "a/b", "", "mine\n", "x" * 41])
def test_a_name_is_a_name(defs: Path, tape: Path, name: str) -> None:
    refused = pdx("new", name, "--tape", str(tape))
    assert isinstance(refused.exception, SpecError) and "cannot be a portfolio's name" in str(refused.exception)
    assert not defs.exists()


def test_a_bad_file_writes_nothing(defs: Path, tmp_path: Path) -> None:
    (tmp_path / "loans.xlsx").write_bytes(b"PK\x03\x04 and so on")
    refused = pdx("new", "mine", "--tape", str(tmp_path / "loans.xlsx"))
    assert isinstance(refused.exception, TapeError)
    assert not defs.exists()


def test_an_address_is_not_taken_for_a_path(defs: Path) -> None:
    """The address s3://bucket/loans.csv became a path below the working directory, and was "not there"."""
    for address in ("s3://bucket/loans.csv", "postgresql://me@host/loans"):
        refused = pdx("new", "mine", "--tape", address)
        assert isinstance(refused.exception, SpecError) and "files on this machine" in str(refused.exception)
        assert "me@host" not in str(refused.exception)
    assert not defs.exists()


def test_a_draft_without_an_outcome_says_what_to_decide(defs: Path, tape: Path, tmp_path: Path) -> None:
    import polars as pl

    loans = pl.read_csv(tape, infer_schema=False).drop("closeddate", "firstduedate", "firstrepaiddate")
    loans.write_csv(tmp_path / "bare.csv")
    made = pdx("new", "bare", "--tape", str(tmp_path / "bare.csv"))
    assert made.exit_code == 1 and (defs / "bare" / "defs.yaml").exists()
    assert "no column tells how a loan ended" in made.output
    assert "does not load before that is decided" in made.output and "label.definition" in made.output


def test_a_draft_that_the_tape_refuses_says_why(defs: Path, tape: Path, tmp_path: Path) -> None:
    header, *rows = tape.read_text().split("\n")
    (tmp_path / "cohorts.csv").write_text("\n".join([header.replace("channel", "cohort"), *rows]))
    made = pdx("new", "odd", "--tape", str(tmp_path / "cohorts.csv"))
    assert made.exit_code == 1
    assert "column names PDx needs for itself" in made.output and "rename them" in made.output


def test_portfolios_that_cannot_be_written(defs: Path, tape: Path) -> None:
    defs.write_text("a file where the folder should be")
    refused = pdx("new", "mine", "--tape", str(tape))
    assert isinstance(refused.exception, HomeError) and "clone" in str(refused.exception)


def test_samples_are_reproducible(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.csv.gz"):
        assert pdx("sample", "digital", "--out", str(tmp_path / name), "--loans", "60").exit_code == 0
    first = (tmp_path / "a.csv").read_bytes()
    assert first == (tmp_path / "b.csv").read_bytes() == gzip.decompress((tmp_path / "c.csv.gz").read_bytes())
    pdx("sample", "digital", "--out", str(tmp_path / "b.csv"), "--loans", "60", "--seed", "1")
    assert first != (tmp_path / "b.csv").read_bytes()
    refused = pdx("sample", "digital", "--out", str(tmp_path / "none" / "a.csv"))
    assert isinstance(refused.exception, HomeError)


def test_the_tutorial_shows_what_is_really_printed(defs: Path, tmp_path: Path) -> None:
    """docs/new_book.md, command by command, as far as the draft; only the folder is another."""
    page = (Path(cli.__file__).parents[1] / "docs" / "new_book.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    commands = [line.removeprefix("$ ").split() for _, body in blocks for line in body.split("\n") if line[:1] == "$"]
    assert [c[1] for c in commands] == ["sample", "new", "run", "results"]
    assert "\n".join(blocks[0][1].split("\n")[1:]) == pdx(*commands[0][1:]).output
    assert pdx(*commands[1][1:]).exit_code == 0
    said = next(body for language, body in blocks if language == "text")
    again = pdx(*commands[1][1:], "--force").output
    assert said == again.replace("Wrote defs/", "Wrote pdx_assets/defs/").replace(
        "through defs/", "through pdx_assets/defs/"
    )
    path = defs / "quick_loans" / "defs.yaml"
    drafted = path.read_text(encoding="utf-8")
    columns, label, edits, ratio = (body for language, body in blocks if language == "yaml")
    for shown in (*columns.split("\n"), *label.split("\n")):
        assert shown.split(" ...")[0] in drafted, shown
    # The edits that the page asks for load.
    for line in edits.strip("\n").split("\n"):
        key = line.split(":")[0]
        drafted, changed = re.subn(rf"^{key}: .*$", line, drafted, count=1, flags=re.MULTILINE)
        assert changed == 1, line
    path.write_text(drafted.replace("\n  label:\n", f"\n{ratio}\n  label:\n"), encoding="utf-8")
    spec = load_spec(path)
    assert (spec.label.name, spec.label.definition.threshold, list(spec.ratios)) == (  # type: ignore[union-attr]
        "bad_15d_late_2m",
        15,
        ["amount_to_income"],
    )
