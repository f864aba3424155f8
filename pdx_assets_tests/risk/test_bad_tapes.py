"""Bad tapes: each gives the promised located error or the promised rejected rows, never another exception."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pdx_assets.risk.errors import SpecError, TapeError, TapeUnavailableError
from pdx_assets.risk.tape import TapeSource, stage_tape
from pdx_assets_tests.risk.small_tape import PANEL_LABEL, csv_text, loan, loans, spec, staged, write

ROWS = 20
GOOD = csv_text(loans(ROWS))
LINES = GOOD.splitlines(keepends=True)


def with_line(line: str | bytes, at: int = 11) -> bytes:
    """The good tape with one more line, number ``at`` of the file (from 1)."""
    extra = line.encode() if isinstance(line, str) else line
    return "".join(LINES[: at - 1]).encode() + extra + "".join(LINES[at - 1 :]).encode()


def changed(**cells: str) -> bytes:
    """The good tape with one more loan, on line 11, that differs in the given cells."""
    return with_line(csv_text([loan(99, last_paid="Dec-2017", **cells)]).splitlines(keepends=True)[1])


# Kind of bad row: the tape, the reason promised, the line it is on.
REJECTED: dict[str, tuple[bytes, str, int]] = {
    "number that is text": (changed(amount="lots"), "amount: not a number", 11),
    "decimal comma": (changed(income="20000,5"), "income: not a number", 11),
    "not a number": (changed(income="NaN"), "income: not a number", 11),
    "infinite": (changed(income="inf"), "income: not a number", 11),
    "beyond float32": (changed(income="1e39"), "income: not a number", 11),
    "extract without a match": (changed(term="three years"), "term: not a number", 11),
    "impossible month": (changed(opened="Foo-2016"), "opened: not a date %b-%Y", 11),
    "other date format": (changed(opened="2016-01-01"), "opened: not a date %b-%Y", 11),
    "impossible feature date": (changed(first_credit="Jan-0010"), "first_credit: not a date %b-%Y", 11),
    "impossible outcome date": (
        with_line(LINES[1].replace("Dec-2017", "Dex-2017")),
        "last_paid: not a date %b-%Y",
        11,
    ),
    "no origination date": (changed(opened=" "), "no origination date", 11),
    "before the first cohort": (changed(opened="Dec-2014"), "originated before the first cohort 2015-01", 11),
    "years after the as-of date": (
        with_line(LINES[1].replace("1,Jan-2016", "99,Jan-2061").replace("Dec-2017", "")),
        "originated after the as-of date",
        11,
    ),
    "paid before it was opened": (
        with_line(LINES[1].replace("Jan-2016", "Jan-2018")),
        "last payment before origination",
        11,
    ),
    "no id": (with_line(LINES[1][LINES[1].index(",") :]), "no loan id", 11),
    "duplicate id": (with_line(LINES[3]), "duplicate loan id", 11),
    "too few fields": (with_line("99,Jan-2016,1000\n"), "wrong number of fields", 11),
    "too many fields": (with_line(LINES[3].rstrip("\n") + ",x,y\n"), "wrong number of fields", 11),
    "cut-off last line": (GOOD.encode() + b"99,Jan-2016,10", "wrong number of fields", ROWS + 2),
    "footer line": (GOOD.encode() + b"Total amount funded: 1465324575\n", "note or footer line", ROWS + 2),
    "footer as wide as the tape": (
        GOOD.encode() + b"Total funded: 14" + b"," * 9 + b"\n",
        "note or footer line",
        ROWS + 2,
    ),
    "Latin-1 in one line": (
        with_line(LINES[3].replace("car", "caf\xe9").replace("3,", "99,", 1).encode("latin-1")),
        "not UTF-8",
        11,
    ),
    "NUL byte": (with_line(LINES[3].replace("car", "c\0r").replace("3,", "99,", 1)), "NUL byte", 11),
    "stray opening quote": (
        with_line(LINES[3].replace("car", '"car').replace("3,", "99,", 1)),
        "quote never closed",
        11,
    ),
    "stray quotes at a cell's start and the next line's end": (
        with_line(LINES[3].replace("car", '"car').replace("3,", "98,", 1)).replace(
            b"11,Nov-2016,1000,20000.0, 36 months,Jan-2010,car", b'11,Nov-2016,1000,20000.0, 36 months,Jan-2010,car"'
        ),
        "quote never closed",
        11,
    ),
    "stray quotes lines apart": (
        with_line(LINES[3].replace("car", '"car').replace("3,", "98,", 1)).replace(
            b"15,Mar-2016,1000", b'15,Mar-2016,"1000'
        ),
        "quote never closed",
        11,
    ),
}


@pytest.mark.parametrize("kind", REJECTED)
def test_a_bad_row_is_set_aside_with_its_line_and_reason(kind: str, tmp_path: Path) -> None:
    content, reason, line = REJECTED[kind]
    tape = staged(tmp_path, content)
    rejected = [tape.unassigned, *(tape.cohort(c).rejected for c in tape.cohorts)]
    found = {(row["reason"], row["source_row"]) for frame in rejected for row in frame.iter_rows(named=True)}
    assert (reason, line) in found
    assert tape.accounting.balances
    lost = 2 if kind == "stray quotes lines apart" else 1
    assert sum(tape.accounting.rejected.values()) == len(found) == lost
    assert tape.accounting.rows_out == ROWS + 1 - lost
    row = next(r for frame in rejected for r in frame.iter_rows(named=True) if r["source_row"] == line)
    assert json.loads(row["row"]), "what was received is kept"
    assert row["source_file"] == "tape.csv"


def without_column(name: str) -> str:
    return csv_text([{k: v for k, v in row.items() if k != name} for row in loans(ROWS)])


def renamed(old: str, new: str) -> str:
    return GOOD.replace(old, new, 1)


# Kind of bad file: its bytes, and words the message must have.
REFUSED: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": (b"", ["tape.csv", "empty"]),
    "only blank lines": (b"\n\n\n", ["tape.csv", "empty"]),
    "header only": (LINES[0], ["tape.csv", "no loans"]),
    "missing column": (without_column("income"), ["tape.csv", "line 1", "'income'"]),
    "misspelt column": (renamed("income", "Incomes"), ["'income'", "there is 'Incomes'"]),
    "semicolons": (GOOD.replace(",", ";"), ["tape.csv", "line 1", "semicolons", "commas"]),
    "tabs": (GOOD.replace(",", "\t"), ["line 1", "tabs"]),
    "vertical bars": (GOOD.replace(",", "|"), ["line 1", "vertical bars"]),
    "line above the header": ("Notes offered by prospectus\n" + GOOD, ["line 1 is not the header, line 2 is"]),
    "column name twice": (renamed("income", "amount"), ["'amount'", "positions [3, 4]"]),
    "reserved column name": (renamed("note", "cohort"), ["'cohort'", "rename"]),
    "loan_id that is not the id": (renamed("note", "loan_id"), ["'loan_id'"]),
    "header not UTF-8": (GOOD.encode().replace(b"note", b"not\xe9", 1), ["line 1 is not UTF-8", "iconv"]),
    "quote open in the header": (renamed("note", '"note'), ["line 1", "never closed"]),
    "truncated gzip": (gzip.compress(GOOD.encode())[:-20], ["tape.csv", "gzip", "after line"]),
    "damaged gzip": (gzip.compress(GOOD.encode() * 9)[:40] + b"xxxx" + gzip.compress(GOOD.encode() * 9)[44:], ["gzip"]),
    "UTF-16": (GOOD.encode("utf-16"), ["UTF-16", "iconv"]),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), ["UTF-16"]),
    "zip archive or workbook": (b"PK\x03\x04rest", ["zip archive"]),
    "Parquet": (b"PAR1rest", ["Parquet"]),
    "web page": ("<!DOCTYPE html><html>sign in</html>\n", ["web page"]),
    "all dates in another format": (
        GOOD.replace("-2016", "/2016"),
        ["line 2", "opened: not a date %b-%Y", "got", "10.0%"],
    ),
    "all ids the same": (csv_text([loan(7) for _ in range(ROWS)]), ["19 x duplicate loan id", "line 3", "'7'"]),
    "every line ragged": (GOOD.replace("\n", ",\n").replace(",\n", "\n", 1), ["20 x wrong number of fields"]),
    "no outcome dates": (GOOD.replace("Dec-2017", ""), ["as-of date", "tape.as_of"]),
    "every quote open": (GOOD.replace("car", '"car'), ["20 x quote never closed", "line 2"]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_tape_of_the_wrong_structure_is_refused_with_its_place(kind: str, tmp_path: Path) -> None:
    content, words = REFUSED[kind]
    with pytest.raises(TapeError) as caught:
        staged(tmp_path, content)
    message = str(caught.value)
    assert [word for word in words if word not in message] == []
    assert caught.value.expected, "says what was expected"
    left = [path.name for path in (tmp_path / "staging").iterdir()]
    assert left == [".lock"], "nothing half-written is left"


def test_the_list_of_bad_tapes_is_long_enough() -> None:
    assert len(REJECTED) + len(REFUSED) >= 20


def test_a_file_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(TapeUnavailableError, match=r"gone\.csv"):
        stage_tape(spec(), TapeSource((tmp_path / "gone.csv",)), tmp_path / "staging")


def test_one_bad_file_among_good_ones_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "2016-01.csv", GOOD)
    empty = write(tmp_path / "2016-02.csv", b"")
    with pytest.raises(TapeError, match=r"2016-02\.csv is empty"):
        stage_tape(spec(), TapeSource((good, empty)), tmp_path / "staging")


def test_a_lonely_date_in_the_future_does_not_make_the_labels_mature(tmp_path: Path) -> None:
    rows = [*loans(200), loan(999, last_paid="Dec-2071")]
    tape = staged(tmp_path, rows)
    assert str(tape.as_of) == "2017-12-31"
    assert tape.accounting.rejected == {"dated after the as-of date": 1}


def test_outcomes_after_a_declared_as_of_date_contradict_it(tmp_path: Path) -> None:
    declared = spec(tape={"as_of": "2017-06-30"})
    with pytest.raises(TapeError, match="20 x dated after the as-of date"):
        staged(tmp_path, GOOD, portfolio=declared)


def test_loans_after_a_declared_as_of_date_contradict_it(tmp_path: Path) -> None:
    late = csv_text([*loans(ROWS), loan(99, opened="Mar-2018", last_paid="")])
    tape = staged(tmp_path, late, portfolio=spec(tape={"as_of": "2017-12-31"}))
    assert tape.accounting.rejected == {"originated after the as-of date": 1}
    assert tape.unassigned["source_row"].to_list() == [ROWS + 2]


def test_an_expression_the_engine_cannot_run_is_a_located_spec_error(tmp_path: Path) -> None:
    rule = {"name": "look-ahead", "column": "purpose", "matches": "car(?!avan)"}
    with pytest.raises(SpecError, match=r"rule look-ahead.*not a regular expression PDx can run"):
        staged(tmp_path, GOOD, portfolio=spec(exclusions=[rule]))


PANEL = "loan_id,month,days_past_due,reported_on\n" + "".join(
    f"{i},2016-{m:02d},0,2017-12-31\n" for i in range(1, ROWS + 1) for m in (12,)
)
PANEL_TAPE = {"performance": {"path": "panel.csv", "reported_on": "reported_on"}, "as_of_columns": []}

BAD_PANEL_ROWS: dict[str, tuple[str, str]] = {
    "unknown loan": ("777,2016-12,0,2016-12-31\n", "performance: loan not on the tape"),
    "negative days": ("1,2016-12,-5,2016-12-31\n", "performance: days_past_due: not whole days from 0 on"),
    "days with a fraction": ("1,2016-12,1.5,2016-12-31\n", "performance: days_past_due: not whole days from 0 on"),
    "days that are text": ("1,2016-12,many,2016-12-31\n", "performance: days_past_due: not whole days from 0 on"),
    "not a month": ("1,2016-13,0,2016-12-31\n", "performance: month: not a month %Y-%m"),
    "impossible report day": ("1,2016-12,0,2016-12-32\n", "performance: reported_on: not a date %Y-%m-%d"),
    "reported before its month": ("1,2016-12,0,2016-10-31\n", "performance: reported before its month"),
    "before the loan": ("1,2015-12,0,2015-12-31\n", "performance: before origination"),
    "ragged": ("1,2016-12,0\n", "performance: wrong number of fields"),
    "no loan": (",2016-12,0,2016-12-31\n", "performance: no loan id"),
}


@pytest.mark.parametrize("kind", BAD_PANEL_ROWS)
def test_a_bad_performance_row_is_set_aside(kind: str, tmp_path: Path) -> None:
    line, reason = BAD_PANEL_ROWS[kind]
    portfolio = spec(tape=PANEL_TAPE, label=PANEL_LABEL)
    tape = staged(tmp_path, GOOD, portfolio=portfolio, performance=PANEL + line)
    assert tape.performance_accounting is not None
    assert tape.performance_accounting.rejected == {reason: 1}
    assert tape.performance_accounting.balances and tape.accounting.balances
    kept = [tape.cohort(c) for c in tape.cohorts]
    assert sum(rows.performance.height for rows in kept if rows.performance is not None) == ROWS
    found = [tape.unassigned, *(rows.rejected for rows in kept)]
    assert [(r["reason"], r["source_file"], r["source_row"]) for f in found for r in f.iter_rows(named=True)] == [
        (reason, "panel.csv", ROWS + 2)
    ]


@pytest.mark.parametrize(
    ("panel", "words"),
    [
        (lambda text: text.replace("days_past_due", "dpd", 1), ["panel.csv", "days_past_due"]),
        (lambda text: text.replace("\n1", "\nL-1"), ["performance: loan not on the tape", "panel.csv line"]),
        (lambda _: "", ["panel.csv", "empty"]),
    ],
)
def test_a_performance_panel_of_the_wrong_structure_is_refused(
    panel: Callable[[str], str], words: list[str], tmp_path: Path
) -> None:
    portfolio = spec(tape=PANEL_TAPE, label=PANEL_LABEL)
    with pytest.raises(TapeError) as caught:
        staged(tmp_path, GOOD, portfolio=portfolio, performance=panel(PANEL))
    assert [word for word in words if word not in str(caught.value)] == []
