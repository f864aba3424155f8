"""Which reader a file of a tape needs. What a file holds decides, its name only whether a folder's file is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from pdx_assets.risk.errors import TapeError, TapeUnavailableError
from pdx_assets.risk.spec import PerformancePanel, PortfolioSpec, TapeFormat
from pdx_assets.risk.tape_csv import open_csv
from pdx_assets.risk.tape_jsonl import open_jsonl
from pdx_assets.risk.tape_parquet import TablePart, open_parquet
from pdx_assets.risk.tape_records import ByteSource, CsvBatch, open_bytes
from pdx_assets.risk.tape_zip import members

# By format, the names a folder's files may have; a zip archive may hold CSV or JSON lines.
SUFFIXES: dict[TapeFormat, tuple[str, ...]] = {
    "csv": (".csv", ".csv.gz", ".zip"),
    "jsonl": (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".zip"),
    "parquet": (".parquet",),
}
SUFFIXES["auto"] = tuple(dict.fromkeys(suffix for suffixes in SUFFIXES.values() for suffix in suffixes))
_WORDS = {"csv": "CSV", "jsonl": "JSON lines", "parquet": "Parquet"}


class TapeFile(Protocol):
    """A file whose structure was read and whose records can be.

    Attributes:
        name: how messages and ``source_file`` call it.
        columns: its columns, in order.
        second_line: cells of its second line, where it is text with a header.
        rows: records, roughly: what a share of rejected ones is a share of.
        header: where its column names are, for messages.
    """

    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def second_line(self) -> tuple[str, ...]: ...
    @property
    def rows(self) -> int: ...
    @property
    def header(self) -> str: ...
    def batches(self) -> Iterator[CsvBatch]:
        """Records in file order, in bounded batches."""
        ...


def loan_formats(spec: PortfolioSpec) -> dict[str, str]:
    """Declared formats of the loan rows' date columns."""
    dates = {name: column.formats for name, column in spec.columns.items() if column.dtype == "date"}
    # Of several formats the first: a typed date is written as the tape says it first.
    return {name: formats[0] for name, formats in dates.items() if formats}


def panel_formats(panel: PerformancePanel) -> dict[str, str]:
    """Declared formats of the performance rows' date columns."""
    found = {panel.month: panel.month_format}
    return found if panel.reported_on is None else found | {panel.reported_on: panel.reported_format}


def open_files(
    path: Path,
    name: str,
    declared: TapeFormat = "auto",
    formats: Mapping[str, str] | None = None,
    part: TablePart | None = None,
) -> Iterator[TapeFile]:
    """What can be read in one file: itself, or the files of an archive.

    Args:
        name: how messages and ``source_file`` call it.
        declared: ``tape.format``.
        formats: declared formats of date columns, by name.
        part: what a table's log says of the file.

    Raises:
        TapeUnavailableError: the file cannot be opened.
        TapeError: it is none that PDx reads, or not of the declared format.
    """
    kind = _kind(path, name)
    if kind == "zip":
        for member in members(path, name):
            yield _open_text(member, f"{name}/{member.member}", declared)
    elif kind == "parquet":
        if declared not in ("auto", "parquet", "delta"):
            raise _other_format(name, "a Parquet file", declared)
        yield open_parquet(path, name, formats or {}, part)
    elif declared in ("parquet", "delta"):
        raise _other_format(name, "no Parquet file", declared)
    else:
        yield _open_text(path, name, declared)


def _kind(path: Path, name: str) -> str:
    try:
        with path.open("rb") as stream:
            first = stream.read(4)
    except OSError as error:
        raise TapeUnavailableError(
            f"{name}: cannot be opened: {error.strerror or error}", remedy=f"make {path} readable"
        ) from error
    if first in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    return "parquet" if first == b"PAR1" else "text"


def _open_text(path: ByteSource, name: str, declared: TapeFormat) -> TapeFile:
    if declared in ("parquet", "delta"):
        raise _other_format(name, "in a zip archive", declared)
    if declared == "jsonl" or (declared == "auto" and _is_json(path, name)):
        return open_jsonl(path, name)
    return open_csv(path, name)


def _is_json(path: ByteSource, name: str) -> bool:
    """Whether the text begins with an object, as no line of column names does."""
    if name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        return True
    try:
        with open_bytes(path) as stream:
            return stream.read(256).lstrip().startswith(b"{")
    except Exception as error:
        # Damaged from its first bytes on: the reader of CSV tells how.
        if isinstance(error, MemoryError):
            raise
        return False


def _other_format(name: str, what: str, declared: TapeFormat) -> TapeError:
    return TapeError(
        f"{name} is {what}, and `format` says {declared}.",
        expected=_WORDS.get(declared, declared),
        remedy="correct or remove `format`, or give the other file",
    )
