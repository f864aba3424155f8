"""Tapes that are no CSV: which reader a file gets, rows set aside with their place, damaged and empty files."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from pdx_assets.risk.errors import TapeError, TapeUnavailableError
from pdx_assets.risk.tape import StagedTape, locate_tape, stage_tape
from pdx_assets.risk.tape_formats import open_files
from pdx_assets_tests.risk.small_tape import PANEL_LABEL, csv_text, loan, loans, spec, write

ROWS = 24
GOOD = csv_text(loans(ROWS)).encode()


def staged(path: Path, **tape: Any) -> StagedTape:
    portfolio = spec(tape={"path": str(path), **tape})
    source = locate_tape(portfolio, override=None, simulated_folder=path / "none")
    return stage_tape(portfolio, source, path.parent / "staging")


def refused(path: Path, *words: str, **tape: Any) -> None:
    with pytest.raises(TapeError) as caught:
        staged(path, **tape)
    assert [word for word in words if word not in str(caught.value)] == []
    assert caught.value.expected, "says what was expected"
    folder = path.parent / "staging"
    assert not folder.exists() or [p.name for p in folder.iterdir()] == [".lock"], "nothing half-written is left"


def rejected(tape: StagedTape) -> list[tuple[str, str, int]]:
    frames = [tape.unassigned, *(tape.cohort(c).rejected for c in tape.cohorts)]
    return [(r["reason"], r["source_file"], r["source_row"]) for f in frames for r in f.iter_rows(named=True)]


def lines(records: list[Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def frame() -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(GOOD), infer_schema=False)


# JSON lines -------------------------------------------------------------------------------------------------------


def json_tape(*more: bytes) -> bytes:
    """The good loans, the given lines, and one more good loan."""
    return lines(loans(ROWS)) + b"".join(line + b"\n" for line in more) + lines([loan(98, last_paid="Dec-2017")])


BROKEN_LINES: dict[str, tuple[bytes, str]] = {
    "cut off": (lines([loan(99)])[:60], "not JSON"),
    "not an object": (b'["99", "Jan-2016"]', "not a JSON object"),
    "a number": (b"99", "not a JSON object"),
    "key twice": (lines([loan(99)])[:-2] + b', "amount": "7"}', "key given twice"),
    "not UTF-8": (lines([loan(99)]).strip().replace(b"car", b"caf\xe9"), "not UTF-8"),
    "NUL": (lines([loan(99, purpose="c\0r")]).strip(), "NUL byte"),
    "a footer": (b"Total: 24 loans", "not JSON"),
    "nested too deep": (b"[" * 100_000, "not JSON"),
    "a number of too many digits": (b'{"number": ' + b"9" * 5000 + b"}", "not JSON"),
    "a value that does not parse": (lines([loan(99, amount="lots")]).strip(), "amount: not a number"),
}


@pytest.mark.parametrize("kind", BROKEN_LINES)
def test_a_broken_line_costs_its_row_and_no_other(kind: str, tmp_path: Path) -> None:
    line, reason = BROKEN_LINES[kind]
    tape = staged(write(tmp_path / "tape.jsonl", json_tape(line, b"  ")))
    assert rejected(tape) == [(reason, "tape.jsonl", ROWS + 1)]
    assert tape.accounting.balances
    assert (tape.accounting.rows_in, tape.accounting.rows_out) == (ROWS + 2, ROWS + 1)
    last = max(tape.cohort(c).loans["source_row"].max() or 0 for c in tape.cohorts)  # type: ignore[type-var]
    assert last == ROWS + 3, "lines are counted, blank ones too"


@given(st.data())
def test_a_file_cut_anywhere_loses_at_most_the_line_it_was_cut_in(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = lines(loans(30))
    cut = data.draw(st.integers(1, len(whole) - 1))
    path = tmp_path_factory.mktemp("cut") / "tape.jsonl"
    path.write_bytes(whole[:cut])
    complete = whole[:cut].count(b"\n")
    ends_whole = whole[cut : cut + 1] == b"\n"
    try:
        (file,) = open_files(path, "tape.jsonl")
    except TapeError:
        assert complete == 0 and not ends_whole
        return
    batches = list(file.batches())
    assert sum(batch.frame.height for batch in batches) == complete + ends_whole
    left = whole[:cut].rpartition(b"\n")[2]
    assert [bad.line for batch in batches for bad in batch.bad] == ([complete + 1] if left and not ends_whole else [])


def test_json_lines_of_the_wrong_structure_are_refused(tmp_path: Path) -> None:
    array = json.dumps(loans(3), indent=1).encode()
    refused(write(tmp_path / "a.jsonl", array), "a.jsonl", "no line holds a JSON object", "jq")
    refused(write(tmp_path / "b.jsonl", b""), "b.jsonl is empty")
    refused(write(tmp_path / "c.jsonl", b"\n{}\n"), "c.jsonl", "keys")
    refused(write(tmp_path / "d.jsonl.gz", gzip.compress(lines(loans(ROWS)))[:-9]), "d.jsonl.gz", "gzip", "end early")
    short = [{k: v for k, v in row.items() if k != "income"} for row in loans(3)]
    refused(write(tmp_path / "e.jsonl", lines(short)), "e.jsonl: every record lacks 1 of", "'income'")
    many = [loan(i, opened="2016-01-01") for i in range(30)]
    refused(write(tmp_path / "f.jsonl", lines(many)), "30 x opened: not a date", "f.jsonl line 1")


# Parquet and Delta ------------------------------------------------------------------------------------------------


def test_a_bad_parquet_row_is_set_aside_with_its_number(tmp_path: Path) -> None:
    bad = frame().with_row_index("i", offset=1).with_columns(
        pl.when(pl.col("i") == 7).then(pl.lit("lots")).otherwise("amount").alias("amount"),
        pl.when(pl.col("i") == 9).then(pl.lit("c\0r")).otherwise("purpose").alias("purpose"),
    ).drop("i")  # fmt: skip
    bad.write_parquet(tmp_path / "tape.parquet", row_group_size=5)
    tape = staged(tmp_path / "tape.parquet")
    assert sorted(rejected(tape)) == [("NUL byte", "tape.parquet", 9), ("amount: not a number", "tape.parquet", 7)]
    assert tape.accounting.balances and tape.accounting.rows_in == ROWS


@pytest.mark.parametrize("cut", [4, 5, 100, -1, -9, -400])
def test_a_truncated_parquet_file_is_refused(cut: int, tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "whole.parquet")
    path = write(tmp_path / "tape.parquet", (tmp_path / "whole.parquet").read_bytes()[:cut])
    refused(path, "tape.parquet", "Parquet", "damaged or end early")


def test_damaged_parquet_data_are_an_error_of_the_tape_or_seen_in_the_rows(tmp_path: Path) -> None:
    wide = pl.concat([frame()] * 40).with_columns(pl.int_range(pl.len()).cast(pl.String).alias("number"))
    wide.write_parquet(tmp_path / "whole.parquet", compression="zstd")
    content = bytearray((tmp_path / "whole.parquet").read_bytes())
    outcomes = set()
    for at in range(10, len(content) // 2, len(content) // 40):
        broken = content.copy()
        broken[at : at + 6] = bytes(6)
        path = write(tmp_path / f"{at}" / "tape.parquet", bytes(broken))
        try:
            staged(path)
            outcomes.add("read")
        except TapeError as error:
            assert "tape.parquet" in str(error)
            outcomes.add("refused")
    assert "refused" in outcomes


def test_a_parquet_file_without_rows_has_no_loans(tmp_path: Path) -> None:
    frame().clear().write_parquet(tmp_path / "tape.parquet")
    refused(tmp_path / "tape.parquet", "no loans")
    frame().drop("income").write_parquet(tmp_path / "other.parquet")
    refused(tmp_path / "other.parquet", "other.parquet: the schema lacks 1 of", "'income'")


def test_of_a_delta_table_the_newest_version_is_read_and_an_older_file_ignored(tmp_path: Path) -> None:
    table = tmp_path / "table"
    write_deltalake(table, frame().to_arrow())
    before = staged(table)
    write_deltalake(table, frame().with_columns(income=pl.lit("1")).to_arrow(), mode="overwrite")
    after = staged(table)
    assert before.fingerprint != after.fingerprint
    assert {v for c in after.cohorts for v in after.cohort(c).loans["income"]} == {"1"}
    name = after.cohort(after.cohorts[0]).loans["source_file"][0]
    assert (table / name).is_file(), "an auditor can open the file"


def test_a_delta_partition_value_is_a_column_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    table = tmp_path / "table"
    typed = frame().with_columns(
        pl.col("opened").str.to_date("%b-%Y", strict=False).fill_null(date(2016, 1, 1)),
        pl.when(pl.col("number") != "5").then("purpose").alias("purpose"),
        pl.lit("a b/ü").alias("branch"),
    )
    write_deltalake(table, typed.to_arrow(), partition_by=["opened", "purpose", "branch"])
    tape = staged(table)
    got = pl.concat([tape.cohort(c).loans for c in tape.cohorts]).sort(pl.col("number").cast(int))
    assert got["opened"].to_list() == frame()["opened"].to_list()
    assert got["purpose"].null_count() == 1 and set(got["branch"]) == {"a b/ü"}
    assert got.columns[4:] == [*frame().columns, "branch"]


def test_a_damaged_delta_table_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "table"
    write_deltalake(table, frame().to_arrow())
    (file,) = table.glob("*.parquet")
    log = table / "_delta_log" / "00000000000000000000.json"
    whole = log.read_text()
    log.write_text(whole[: len(whole) // 2])
    refused(table, "Delta table")
    log.write_text(whole)
    file.unlink()
    with pytest.raises(TapeUnavailableError, match=file.name):
        staged(table)


def test_a_delta_table_whose_files_are_not_its_rows_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "table"
    write_deltalake(table, frame().to_arrow(), configuration={"delta.columnMapping.mode": "none"})
    log = table / "_delta_log" / "00000000000000000000.json"
    log.write_text(log.read_text().replace('"delta.columnMapping.mode":"none"', '"delta.columnMapping.mode":"name"'))
    refused(table, "columnMapping")


# Zip --------------------------------------------------------------------------------------------------------------


def test_the_files_of_an_archive_may_differ_in_columns_and_keep_their_lines(tmp_path: Path) -> None:
    extra = csv_text([{**loan(101, last_paid="Dec-2017"), "extra": "e"}, {**loan(102, amount="lots"), "extra": ""}])
    path = packed(tmp_path / "tape.zip", {"b.csv": extra.encode(), "a.csv": GOOD, "__MACOSX/._a.csv": b"x"})
    tape = staged(path)
    assert rejected(tape) == [("amount: not a number", "tape.zip/b.csv", 3)]
    rows = tape.cohort(tape.cohorts[0]).loans
    assert rows.filter(loan_id="101").select("source_file", "source_row", "extra").rows() == [
        ("tape.zip/b.csv", 2, "e")
    ]
    assert rows.filter(loan_id="1").select("source_file", "source_row").rows() == [("tape.zip/a.csv", 2)]


def test_an_archive_whose_second_file_lacks_a_column_is_refused_by_name(tmp_path: Path) -> None:
    short = csv_text([{k: v for k, v in loan(101).items() if k != "income"}])
    path = packed(tmp_path / "tape.zip", {"a.csv": GOOD, "b.csv": short.encode()})
    refused(path, "tape.zip/b.csv: line 1 lacks 1 of", "'income'")


def test_bad_archives_are_refused(tmp_path: Path) -> None:
    whole = packed(tmp_path / "whole.zip", {"a.csv": GOOD * 20}).read_bytes()
    refused(write(tmp_path / "cut.zip", whole[:-30]), "cut.zip", "zip archive", "damaged or ends early")
    damaged = bytearray(whole)
    damaged[60:90] = bytes(30)
    refused(write(tmp_path / "damaged.zip", bytes(damaged)), "damaged.zip/a.csv", "damaged or end early")
    refused(packed(tmp_path / "empty.zip", {}), "empty.zip", "no file to read")
    refused(packed(tmp_path / "pdf.zip", {"a.pdf": b"x", "b.txt": b"y"}), "pdf.zip", "no file to read", "a.pdf")
    refused(packed(tmp_path / "book.xlsx", {"[Content_Types].xml": b"x", "xl/a.xml": b"y"}), "workbook", "CSV")
    refused(packed(tmp_path / "nested.zip", {"a.csv": whole}), "a zip archive in a zip archive")
    sealed = bytearray(packed(tmp_path / "sealed.zip", {"a.csv": GOOD}).read_bytes())
    sealed[sealed.index(b"PK\x01\x02") + 8] |= 1
    refused(write(tmp_path / "sealed.zip", bytes(sealed)), "a.csv is encrypted")


# Which reader, which files ------------------------------------------------------------------------------------------


def test_what_a_file_holds_decides_not_its_name(tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "data.csv")
    write(tmp_path / "data.parquet.bak", lines(loans(ROWS)))
    packed(tmp_path / "data", {"x": GOOD})
    for name in ("data.csv", "data.parquet.bak", "data"):
        assert staged(tmp_path / name).accounting.rows_out == ROWS


@pytest.mark.parametrize(
    ("form", "content", "words"),
    [
        ("parquet", "csv", "is no Parquet file"),
        ("csv", "parquet", "is a Parquet file"),
        ("jsonl", "parquet", "is a Parquet file"),
        ("delta", "csv", "is no Delta table"),
    ],
)
def test_a_declared_format_is_held_to(form: str, content: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "tape", GOOD)
    if content == "parquet":
        frame().write_parquet(path)
    refused(path, words, format=form)


def test_a_declared_format_picks_a_folders_files(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder / "a.csv", GOOD)
    write(folder / "b.jsonl", lines([loan(99, last_paid="Dec-2017")]))
    assert staged(folder).accounting.rows_in == ROWS + 1
    assert staged(folder, format="jsonl").accounting.rows_in == 1
    with pytest.raises(TapeUnavailableError, match=r"no files named \*\.parquet"):
        staged(folder, format="parquet")


def test_one_export_in_two_formats_is_not_read_twice(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder / "2016-01.csv", GOOD)
    frame().write_parquet(folder / "2016-01.parquet")
    with pytest.raises(TapeUnavailableError, match=r"2016-01\.csv and 2016-01\.parquet: the same loans twice"):
        staged(folder)
    assert staged(folder, format="parquet").accounting.rows_in == ROWS


def test_the_performance_panel_comes_in_every_format_alike(tmp_path: Path) -> None:
    panel = pl.DataFrame(
        {
            "loan_id": list(range(1, ROWS + 1)),
            "month": [date(2016, 12, 31)] * ROWS,
            "days_past_due": [0.0, *[95.0] * (ROWS - 1)],
            "reported_on": [date(2017, 1, 5)] * ROWS,
        }
    )
    as_text = panel.with_columns(pl.col("month").dt.strftime("%Y-%m"), pl.col("days_past_due").cast(int))
    as_text.write_csv(tmp_path / "panel.csv")
    packed(tmp_path / "panel.zip", {"p.csv": (tmp_path / "panel.csv").read_bytes()})
    as_text.write_ndjson(tmp_path / "panel.jsonl")
    panel.write_parquet(tmp_path / "panel.parquet")
    write_deltalake(tmp_path / "panel", panel.to_arrow())
    write(tmp_path / "tape.csv", GOOD)
    found = []
    for name in ("panel.csv", "panel.zip", "panel.jsonl", "panel.parquet", "panel"):
        declared = {"path": str(tmp_path / name), "reported_on": "reported_on"}
        tape = {"path": str(tmp_path / "tape.csv"), "performance": declared, "as_of_columns": []}
        portfolio = spec(tape=tape, label=PANEL_LABEL)
        source = locate_tape(portfolio, override=None, simulated_folder=tmp_path / "none")
        staged_tape = stage_tape(portfolio, source, tmp_path / "staging")
        found.append([staged_tape.cohort(c).performance.rows() for c in staged_tape.cohorts])  # type: ignore[union-attr]
        assert staged_tape.performance_accounting is not None
        assert staged_tape.performance_accounting.rows_out == ROWS
    assert all(rows == found[0] for rows in found)
