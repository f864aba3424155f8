"""Locating, fingerprinting and staging a tape; the account of its rows; crashes and races."""

from __future__ import annotations

import csv
import gzip
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdx_assets.risk import tape_csv
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import SpecError, TapeError, TapeUnavailableError
from pdx_assets.risk.tape import TapeSource, fingerprint, locate_tape, stage_tape
from pdx_assets_tests.risk.small_tape import LOAN, PANEL_LABEL, csv_text, loan, loans, spec, staged, write

JAN, FEB = Month(2016, 1), Month(2016, 2)


# Where the tape is -----------------------------------------------------------------------------------------


def test_locate_takes_a_file_a_folder_a_pattern_and_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    b, a = write(tmp_path / "b.csv", "x"), write(tmp_path / "a.csv.gz", "x")
    write(tmp_path / "notes.txt", "x")

    def found(path: str | None, declared: str = "elsewhere.csv") -> tuple[Path, ...]:
        return locate_tape(spec(tape={"path": declared}), override=path, simulated_folder=tmp_path / "none").loans

    assert found(str(b)) == (b,)
    assert found(str(tmp_path)) == (a, b)
    assert found(str(tmp_path / "*.csv")) == (b,)
    monkeypatch.setenv("PDX_SMALL_TAPE", str(b))
    assert found(None, "${PDX_SMALL_TAPE}") == (b,)
    assert found(str(a), "${PDX_SMALL_TAPE}") == (a,), "the command line wins"


@pytest.mark.parametrize("path", ["gone.csv", "gone/*.csv", "."])
def test_a_tape_that_is_not_there_says_where_it_was_sought(path: str, tmp_path: Path) -> None:
    with pytest.raises(TapeUnavailableError, match=r"(?s)small is not there.*--tape"):
        locate_tape(spec(), override=str(tmp_path / path), simulated_folder=tmp_path)


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PDX_SMALL_TAPE", raising=False)
    with pytest.raises(SpecError, match="PDX_SMALL_TAPE"):
        locate_tape(spec(tape={"path": "${PDX_SMALL_TAPE}"}), override=None, simulated_folder=tmp_path)


def test_a_simulated_lender_and_a_copy_of_its_export_are_found_alike(tmp_path: Path) -> None:
    loan_file = write(tmp_path / "loans" / "2016-01.csv", "x")
    panel_file = write(tmp_path / "performance" / "2016-02.csv", "x")
    write(tmp_path / "truth" / "2016-01.csv", "x")
    simulated = spec(tape={"path": "", "simulated": {}, "as_of_columns": []}, label=PANEL_LABEL)
    expected = TapeSource((loan_file,), (panel_file,))
    assert locate_tape(simulated, override=None, simulated_folder=tmp_path) == expected
    assert locate_tape(simulated, override=str(tmp_path), simulated_folder=tmp_path / "none") == expected


# What is on it -----------------------------------------------------------------------------------------------


def test_loans_are_as_received_in_file_order(tmp_path: Path) -> None:
    rows = [loan(5, amount=" 1,000 "), loan(3, note="  "), loan(4, opened="Feb-2016")]
    tape = staged(tmp_path, rows)
    got = tape.cohort(JAN).loans
    assert got.columns == ["cohort", "loan_id", "source_file", "source_row", *LOAN]
    assert got["loan_id"].to_list() == ["5", "3"]
    assert got["source_row"].to_list() == [2, 3]
    assert got["amount"].to_list() == [" 1,000 ", "1000"]
    assert got["term"].to_list() == [" 36 months"] * 2
    assert got["note"].to_list() == [None, None]
    assert set(got.drop("source_row").dtypes) == {pl.String}
    assert tape.cohorts == (JAN, FEB)
    assert tape.as_of == date(2016, 12, 31), "a month counts as its last day"


def test_files_may_differ_in_columns_and_their_order(tmp_path: Path) -> None:
    first = write(tmp_path / "1.csv", csv_text([loan(1)]))
    extra = {"extra": "e", **{k: v for k, v in reversed(loan(2).items()) if k != "note"}}
    second = write(tmp_path / "2.csv.gz", gzip.compress(csv_text([extra]).encode()))
    got = stage_tape(spec(), TapeSource((first, second)), tmp_path / "staging").cohort(JAN).loans
    assert got.columns[4:] == [*LOAN, "extra"]
    assert got.select("loan_id", "source_file", "extra").rows() == [("1", "1.csv", None), ("2", "2.csv.gz", "e")]


def test_a_header_without_loans_is_fine_beside_files_that_have_some(tmp_path: Path) -> None:
    quiet = write(tmp_path / "1.csv", csv_text([loan(1)]).splitlines()[0] + "\n")
    tape = stage_tape(spec(), TapeSource((quiet, write(tmp_path / "2.csv", [loan(2)]))), tmp_path / "staging")
    assert tape.accounting.rows_in == 1


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\r"),
        lambda text: text.rstrip(b"\n"),
        lambda text: text.replace(b"\n", b"\n\n") + b"\n\n",
        lambda text: gzip.compress(text),
        lambda text: gzip.compress(text[:100]) + gzip.compress(text[100:]),
        lambda text: b'"number"' + text[6:],
    ],
    ids=["BOM", "CRLF", "CR", "no final newline", "blank lines", "gzip", "gzip in two members", "quoted header"],
)
def test_the_same_loans_in_other_clothes(disguise: Callable[[bytes], bytes], tmp_path: Path) -> None:
    plain = csv_text([loan(1, purpose='a "b", c'), loan(2, purpose="café")]).encode()
    tape = staged(tmp_path, disguise(plain))
    got = tape.cohort(JAN).loans
    assert got.select("loan_id", "number", "purpose").rows() == [("1", "1", 'a "b", c'), ("2", "2", "café")]
    assert tape.accounting.rows_in == tape.accounting.rows_out == 2


def test_a_quoted_cell_may_span_lines_and_rows_keep_their_line(tmp_path: Path) -> None:
    rows = [loan(1), loan(2, note="first\nsecond, with a comma\nthird"), loan(3)]
    got = staged(tmp_path, rows).cohort(JAN).loans
    assert got["source_row"].to_list() == [2, 3, 6]
    assert got["note"].to_list() == [None, "first\nsecond, with a comma\nthird", None]


def test_a_comment_full_of_commas_is_no_stray_quote(tmp_path: Path) -> None:
    text = "rent, food, car, fuel,\nschool, a, b, c, d, e, f, g,\nand, so, on"
    got = staged(tmp_path, [loan(1), loan(2, note=text), loan(3)])
    assert got.accounting.rows_out == 3
    assert got.cohort(JAN).loans["note"].to_list() == [None, text, None]


def test_an_open_quote_ahead_of_a_long_tape_costs_one_row(tmp_path: Path) -> None:
    rows = [loan(1), loan(2, purpose="QUOTE"), *(loan(i, note="x" * 200) for i in range(3, 1500))]
    tape = staged(tmp_path, csv_text(rows).replace("QUOTE", '"car'))
    assert tape.accounting.rejected == {"quote never closed": 1}
    assert tape.unassigned["source_row"].to_list() == [3]
    assert tape.cohort(JAN).loans["source_row"].to_list() == [2, *range(4, 1501)]


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    rules = [
        {"name": "boats", "column": "purpose", "equals": "boat"},
        {"name": "small", "column": "amount", "below": 100},
        {"name": "no income", "column": "income", "is_missing": True},
    ]
    label = {
        **spec().label.model_dump(),
        "indeterminate": [{"name": "settled", "column": "state", "matches": "^Settl"}],
    }
    rows = [
        *loans(24),
        loan(101, purpose="boat", amount="5"),
        loan(102, amount="99.5"),
        loan(103, income=""),
        loan(104, amount="x", purpose="boat"),
        loan(105, state="Settled"),
        loan(1, state="Settled"),
    ]
    account = staged(tmp_path, rows, portfolio=spec(exclusions=rules, label=label)).accounting
    assert account.balances
    assert (account.rows_in, account.rows_out) == (30, 25)
    assert account.excluded == {"boats": 1, "no income": 1, "small": 1}
    assert account.rejected == {"amount: not a number": 1, "duplicate loan id": 1}
    assert account.indeterminate == {"settled": 1}


def test_accounts_of_cohorts_add_up_to_the_tape(tmp_path: Path) -> None:
    tape = staged(tmp_path, [*loans(60), loan(200, amount="x"), loan(201, opened="")])
    each = [tape.cohort(c).accounting for c in tape.cohorts]
    assert all(a.balances for a in each)
    assert sum(a.rows_in for a in each) + tape.unassigned.height == tape.accounting.rows_in == 62
    assert [tape.cohort(c).loans.height for c in tape.cohorts] == [a.rows_out for a in each]


def test_a_month_without_loans_is_an_empty_cohort(tmp_path: Path) -> None:
    tape = staged(tmp_path, [loan(1), loan(2, opened="Apr-2016")])
    assert tape.cohorts == tuple(JAN + i for i in range(4))
    empty = tape.cohort(FEB)
    assert empty.loans.schema == tape.cohort(JAN).loans.schema and empty.loans.height == 0
    assert empty.accounting.rows_in == 0 and empty.rejected.height == 0


def test_quarterly_cohorts_are_named_by_their_first_month(tmp_path: Path) -> None:
    windows = {"frequency": "quarter", "development": 4, "otv": 1, "gap": 4, "first_production": "2018-01"}
    tape = staged(tmp_path, loans(12), portfolio=spec(windows=windows))
    assert [str(c) for c in tape.cohorts] == ["2016-01", "2016-04", "2016-07", "2016-10"]
    assert tape.cohort(Month(2016, 4)).loans["opened"].to_list() == ["Apr-2016", "May-2016", "Jun-2016"]


# Identity ------------------------------------------------------------------------------------------------------

DERIVED = {"column": "number", "derive_from": ["opened", "amount", "term", "purpose"]}


def test_a_derived_id_hashes_what_the_application_said(tmp_path: Path) -> None:
    rows = [loan(""), loan(7), loan("", amount="2000"), loan(""), loan("")]
    ids = staged(tmp_path, rows, portfolio=spec(loan_id=DERIVED)).cohort(JAN).loans["loan_id"].to_list()
    base = ids[0]
    assert len(base) == 17 and base[0] == "h"
    assert ids == [base, "7", ids[2], f"{base}-2", f"{base}-3"], "repeats are numbered in file order"
    assert ids[2] not in (base, "7")


def test_a_derived_id_survives_a_new_export(tmp_path: Path) -> None:
    def ids(name: str, **cells: str) -> list[str]:
        folder = tmp_path / name
        return (
            staged(folder, [loan("", **cells)], portfolio=spec(loan_id=DERIVED)).cohort(JAN).loans["loan_id"].to_list()
        )

    assert ids("a") == ids("b", amount="1000.0", term="36 months", last_paid="Dec-2017", state="Charged Off")
    assert ids("a") != ids("c", amount="1000.01")
    # Pinned: a change of this value changes the identity of every loan without a number.
    assert ids("a") == ["h0a060cf8e2f48990"]


# As of ----------------------------------------------------------------------------------------------------------


def test_as_of_is_declared_or_the_latest_outcome_or_the_latest_report(tmp_path: Path) -> None:
    rows = [loan(1, last_paid="Feb-2016")]
    panel = [{"loan_id": "1", "month": "2016-03", "days_past_due": "0", "reported_on": "2016-04-04"}]
    declared = {"performance": {"path": "panel.csv", "reported_on": "reported_on"}}

    def as_of(name: str, **tape: object) -> date:
        return staged(tmp_path / name, rows, portfolio=spec(tape={**declared, **tape}), performance=panel).as_of

    assert as_of("declared", as_of="2016-06-15") == date(2016, 6, 15)
    # A leap year's month end; the report of April lies after it and is set aside, within the tolerance or not.
    with pytest.raises(TapeError, match="performance: dated after the as-of date"):
        as_of("outcome")
    assert as_of("outcome", reject_tolerance=1.0) == date(2016, 2, 29)
    assert as_of("panel", as_of_columns=[]) == date(2016, 4, 4)


def test_day_granular_outcomes_are_taken_as_they_are(tmp_path: Path) -> None:
    columns = {
        **spec().model_dump()["columns"],
        "last_paid": {"role": "outcome", "dtype": "date", "format": "%Y-%m-%d"},
    }
    tape = staged(tmp_path, [loan(1, last_paid="2016-05-17")], portfolio=spec(columns=columns))
    assert tape.as_of == date(2016, 5, 17)


# Performance ----------------------------------------------------------------------------------------------------


def test_performance_rows_follow_their_loan_and_keep_corrections(tmp_path: Path) -> None:
    panel = [
        {"loan_id": "2", "month": "2016-03", "days_past_due": "30", "reported_on": "2016-03-31"},
        {"loan_id": "1", "month": "2016-03", "days_past_due": "90", "reported_on": "2016-03-31"},
        {"loan_id": "1", "month": "2016-03", "days_past_due": "0", "reported_on": "2016-05-02"},
        {"loan_id": "3", "month": "2016-03", "days_past_due": "0", "reported_on": "2016-03-31"},
    ]
    tape = staged(
        tmp_path,
        [loan(1), loan(2, opened="Feb-2016"), loan(3, purpose="boat")],
        portfolio=spec(
            tape={"performance": {"path": "p", "reported_on": "reported_on"}, "as_of_columns": []},
            exclusions=[{"name": "boats", "column": "purpose", "equals": "boat"}],
            label=PANEL_LABEL,
        ),
        performance=panel,
    )
    march = date(2016, 3, 31)
    january, february = tape.cohort(JAN).performance, tape.cohort(FEB).performance
    assert january is not None and february is not None
    assert january.rows() == [("1", march, 90, None, march), ("1", march, 0, None, date(2016, 5, 2))]
    assert february.rows() == [("2", march, 30, None, march)]
    assert tape.performance_accounting is not None
    assert tape.performance_accounting.excluded == {"loan rejected or excluded": 1}


def test_without_a_report_day_a_month_is_known_at_its_end_plus_the_delay(tmp_path: Path) -> None:
    panel = [{"loan_id": "1", "month": "2016-03", "days_past_due": "0"}]
    portfolio = spec(
        tape={"performance": {"path": "p"}, "as_of_columns": []},
        label={**PANEL_LABEL, "reporting_delay_days": 5},
        windows={"gap": 13, "first_production": "2017-08"},
    )
    rows = staged(tmp_path, [loan(1)], portfolio=portfolio, performance=panel).cohort(JAN).performance
    assert rows is not None and rows["reported_on"].to_list() == [date(2016, 4, 5)]


# Fingerprint, crashes, races ------------------------------------------------------------------------------------


def test_the_fingerprint_follows_bytes_names_and_declarations_that_matter(tmp_path: Path) -> None:
    source = TapeSource((write(tmp_path / "a" / "t.csv", "x,y\n1,2\n"),))
    mark = fingerprint(spec(), source)
    assert fingerprint(spec(title="other", strategies=["fixed_window"]), source) == mark
    assert fingerprint(spec(), TapeSource((write(tmp_path / "b" / "t.csv", "x,y\n1,2\n"),))) == mark
    others = [
        fingerprint(spec(), TapeSource((write(tmp_path / "c" / "t.csv", "x,y\n1,3\n"),))),
        fingerprint(spec(), TapeSource((write(tmp_path / "d" / "u.csv", "x,y\n1,2\n"),))),
        fingerprint(spec(tape={"first_cohort": "2015-02"}), source),
        fingerprint(spec(loan_id=DERIVED), source),
        fingerprint(spec(exclusions=[{"name": "n", "column": "note", "is_missing": False}]), source),
    ]
    assert len({mark, *others}) == 6


def test_a_staged_tape_is_opened_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = staged(tmp_path, loans(24))
    monkeypatch.setattr(tape_csv, "open_csv", None)
    again = staged(tmp_path, loans(24))
    assert again == first
    assert again.cohort(JAN).loans.equals(first.cohort(JAN).loans)


@pytest.mark.parametrize("left", ["partial folder", "folder without summary", "folder with half a summary"])
def test_what_a_killed_process_left_is_ignored_and_replaced(left: str, tmp_path: Path) -> None:
    expected = staged(tmp_path / "undisturbed", loans(24))
    mark, folder = expected.fingerprint, tmp_path / "staging"
    ruin = folder / (f".{mark}.1234.partial" if left == "partial folder" else mark)
    write(ruin / "loans" / "2016-01" / "000000.parquet", "half")
    if left == "folder with half a summary":
        write(ruin / "staged.json", '{"fingerprint": "')
    tape = staged(tmp_path, loans(24))
    assert sorted(p.name for p in folder.iterdir()) == [".lock", mark]
    for cohort in expected.cohorts:
        assert tape.cohort(cohort).loans.equals(expected.cohort(cohort).loans)


STAGE = """
import sys
from pathlib import Path
from pdx_assets_tests.risk.small_tape import spec
from pdx_assets.risk.tape import TapeSource, stage_tape
import pdx_assets.risk.tape_staging as staging

if sys.argv[2] == "die":
    import os, signal
    original, calls = staging.write_by_cohort, []
    staging.write_by_cohort = lambda *a: (original(*a), os.kill(os.getpid(), signal.SIGKILL))
base = Path(sys.argv[1])
print(stage_tape(spec(), TapeSource((base / "tape.csv",)), base / "staging").accounting.rows_out)
"""


def stage_elsewhere(base: Path, how: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root), "POLARS_MAX_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", STAGE, str(base), how], stdout=subprocess.PIPE, text=True, env=env)


def test_a_kill_while_writing_leaves_no_staged_tape_and_the_next_one_repairs(tmp_path: Path) -> None:
    write(tmp_path / "tape.csv", loans(24))
    killed = stage_elsewhere(tmp_path, "die")
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    names = [p.name for p in (tmp_path / "staging").iterdir()]
    assert [n for n in names if not n.startswith(".")] == [] and any(n.endswith(".partial") for n in names)
    tape = staged(tmp_path, loans(24))
    assert tape.accounting.rows_out == 24
    assert sorted(p.name for p in (tmp_path / "staging").iterdir()) == [".lock", tape.fingerprint]


def test_processes_that_stage_at_once_agree(tmp_path: Path) -> None:
    write(tmp_path / "tape.csv", loans(24))
    workers = [stage_elsewhere(tmp_path, "live") for _ in range(3)]
    assert [worker.communicate(timeout=300)[0].strip() for worker in workers] == ["24"] * 3
    assert len([p for p in (tmp_path / "staging").iterdir() if not p.name.startswith(".")]) == 1


def test_a_tape_that_changes_while_being_read_is_not_staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pdx_assets.risk import tape_staging

    path = write(tmp_path / "tape.csv", loans(24))
    original = tape_staging.open_files

    def export_goes_on(*args: object) -> object:
        opened = original(*args)  # type: ignore[arg-type]
        with path.open("a") as stream:
            stream.write("\n")
        os.utime(path, (time.time(), time.time() + 5))
        return opened

    monkeypatch.setattr(tape_staging, "open_files", export_goes_on)
    with pytest.raises(TapeUnavailableError, match="changed while it was being read"):
        stage_tape(spec(), TapeSource((path,)), tmp_path / "staging")
    assert [p.name for p in (tmp_path / "staging").iterdir()] == [".lock"]


# The two readers ------------------------------------------------------------------------------------------------

CELLS = st.text(alphabet=st.sampled_from(list("ab \",;\n\r'é0")), max_size=6)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(*[CELLS] * 8), min_size=1, max_size=8))
@example(rows=[("",) * 8, ("\r,,0", "", "", "", "", "\r", "", "")])
def test_any_table_written_by_a_csv_writer_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    """The example's middle line, `,,0",,,,,"`, was taken for a record that a stray quote had swallowed."""
    stream = io.StringIO()
    # A line feed alone would leave a carriage return in a cell without quotes.
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow("abcdefgh")
    writer.writerows(rows)
    path = write(tmp_path_factory.mktemp("csv") / "t.csv", stream.getvalue())
    file = tape_csv.open_csv(path, "t.csv")
    found = [row for batch in file.batches() for row in batch.frame.drop("source_row").rows()]
    bad = [line for batch in file.batches() for line in batch.bad]
    blank = [tuple(cell if cell.strip() else None for cell in row) for row in rows]
    assert bad == []
    assert found == [row for row in blank if any(cell is not None for cell in row)]


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(
            [
                "1,2,3,4",
                '"1","a,b",,4',
                "1,2",
                "",
                " ",
                ",,,",
                "1,2,3,4,5",
                'é,"q""q",x,y',
                '5" pipe,b,c,d',
                'a,b"",c",d',
            ]
        ),
        max_size=12,
    )
)
def test_both_readers_give_the_same_records_and_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    from dataclasses import replace

    path = write(tmp_path_factory.mktemp("csv") / "t.csv", "a,b,c,d\n" + "".join(line + "\n" for line in lines))
    file = tape_csv.open_csv(path, "t.csv")
    assert file.plain

    def everything(one: tape_csv.CsvFile) -> list[object]:
        batches = list(one.batches())
        rows = [row for batch in batches for row in batch.frame.rows()]
        return [rows, [(b.line, b.reason, b.detail, b.text) for batch in batches for b in batch.bad]]

    assert everything(file) == everything(replace(file, plain=False))


def test_blocks_do_not_lose_count_of_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pdx_assets.risk import tape_records

    monkeypatch.setattr(tape_records, "_BLOCK", 512)
    lines = [f"{i},x" if i % 7 == 0 else f"{i},x,y,z" for i in range(2, 500)]
    path = write(tmp_path / "t.csv", "a,b,c,d\n" + "\n".join(lines))
    batches = list(tape_csv.open_csv(path, "t.csv").batches())
    assert len(batches) > 5
    rows = pl.concat(batch.frame for batch in batches)
    assert rows["source_row"].cast(pl.String).to_list() == rows["a"].to_list()
    assert [b.line for batch in batches for b in batch.bad] == [i for i in range(2, 500) if i % 7 == 0]


def test_small_gathers_make_the_same_tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pdx_assets.risk import tape_records, tape_staging

    whole = staged(tmp_path / "a", loans(300))
    monkeypatch.setattr(tape_staging, "GATHER_BYTES", 2_000)
    monkeypatch.setattr(tape_records, "_BLOCK", 2_000)
    pieces = staged(tmp_path / "b", loans(300))
    assert len(list((pieces.folder / "loans" / "2016-01").iterdir())) > 2
    for cohort in whole.cohorts:
        assert pieces.cohort(cohort).loans.equals(whole.cohort(cohort).loans)
