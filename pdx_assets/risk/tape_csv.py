"""One CSV file of a tape: can it be read, what is its header, which reader does it need.

Everything wrong with the file as a whole is found here, before a row is read. Its records come from
tape_records.py; what a cell means is columns.py's business, which row is acceptable tape_rows.py's.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pdx_assets.risk.errors import TapeError, TapeUnavailableError
from pdx_assets.risk.tape_records import (
    ByteSource,
    CsvBatch,
    counted_batches,
    damaged_stream,
    lines_are_records,
    open_bytes,
    plain_batches,
)

_NOT_CSV = {
    b"PK\x03\x04": ("a zip archive in a zip archive", "unpack it"),
    b"PAR1": ("a Parquet file in a zip archive", "unpack it"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "export the sheet as CSV"),
    b"%PDF": ("a PDF document", "ask for the CSV export"),
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8: iconv -f UTF-16 -t UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "save it as UTF-8: iconv -f UTF-16 -t UTF-8"),
}


@dataclass(frozen=True)
class CsvFile:
    """A CSV file whose header was read; ``plain`` when a record's line can be computed."""

    path: ByteSource
    name: str
    columns: tuple[str, ...]
    second_line: tuple[str, ...]
    plain: bool
    lines: int
    header: str = "line 1"

    @property
    def rows(self) -> int:
        return max(0, self.lines - 1)

    def batches(self) -> Iterator[CsvBatch]:
        """Records in file order; blank lines are not records.

        Raises:
            TapeError: a record longer than any sensible row.
        """
        if self.lines <= 1:
            return
        if self.plain:
            yield from plain_batches(self.path, self.name, self.columns, self.lines)
        else:
            yield from counted_batches(self.path, self.columns)


def open_csv(path: ByteSource, name: str) -> CsvFile:
    """Survey a file: compression, encoding, header, and whether its records can be read the fast way.

    Args:
        path: the file, plain or gzip-compressed (told by its first bytes, not its name).
        name: how messages and ``source_file`` call it.

    Raises:
        TapeUnavailableError: the file cannot be opened.
        TapeError: it is empty, truncated, not CSV, or its header is unusable.
    """
    try:
        with path.open("rb") as stream:
            first = stream.read(8)
    except (EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise damaged_stream(name, 0, error) from error
    except OSError as error:
        raise TapeUnavailableError(
            f"{name}: cannot be opened: {error.strerror or error}", remedy=f"make {path} readable"
        ) from error
    for magic, (what, remedy) in _NOT_CSV.items():
        if first.startswith(magic):
            raise TapeError(f"{name} is {what}.", expected="CSV text in UTF-8, plain or gzip", remedy=remedy)
    lines, quoted, clean = _survey(path, name)
    header, second = _first_lines(path, name)
    columns = _columns(header, name)
    plain = clean and (not quoted or lines_are_records(path, len(columns), lines))
    return CsvFile(path, name, columns, second, plain, lines)


def _survey(path: ByteSource, name: str) -> tuple[int, bool, bool]:
    """Physical lines, whether there is any quote, and whether bytes and line ends need no special care."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, quoted, clean, last, carriage = 0, False, True, b"\n", 0
    try:
        with open_bytes(path) as stream:
            while chunk := stream.read(1 << 20):
                lines += chunk.count(b"\n")
                quoted = quoted or b'"' in chunk
                clean = clean and b"\0" not in chunk
                carriage += chunk.count(b"\r") - chunk.count(b"\r\n")
                carriage -= last == b"\r" and chunk[:1] == b"\n"
                last = chunk[-1:]
                if clean and not (chunk.isascii() and not decoder.getstate()[0]):
                    try:
                        decoder.decode(chunk)
                    except UnicodeDecodeError:
                        clean = False
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise damaged_stream(name, lines, error) from error
    clean = clean and not decoder.getstate()[0]
    # A carriage return alone ends a line for some readers and not for others: left to the counting one.
    return lines + carriage + (last not in b"\r\n"), quoted, clean and not carriage


def _first_lines(path: ByteSource, name: str) -> tuple[list[str], tuple[str, ...]]:
    with open_bytes(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        first, second = text.readline(1 << 22), text.readline(1 << 22)
    if not first.strip() and not second.strip():
        raise TapeError(
            f"{name} is empty.", expected="a header line and loans", remedy="export the file again, or remove it"
        )
    if "\0" in first:
        raise TapeError(
            f"{name}: line 1 holds NUL bytes; it looks like UTF-16 without a mark.",
            expected="CSV text in UTF-8",
            remedy="save it as UTF-8: iconv -f UTF-16 -t UTF-8",
        )
    if first.lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
        raise TapeError(
            f"{name} is a web page or XML: {first.strip()[:60]!r}.",
            expected="CSV text",
            remedy="the download probably asked for a login: fetch the file again",
        )
    if first.count('"') % 2:
        raise TapeError(f"{name}: line 1: a quote in the header is never closed.", expected="a header on one line")
    header = next(csv.reader([first]), [])
    if len(header) == 1:
        for delimiter, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
            if delimiter in first:
                raise TapeError(
                    f"{name}: line 1 separates its {first.count(delimiter) + 1} fields by {called}.",
                    expected="commas",
                    remedy="export the file with commas between fields",
                )
    return header, tuple(next(csv.reader([second]), []))


def _columns(header: list[str], name: str) -> tuple[str, ...]:
    columns = [cell.strip() for cell in header]
    for column in columns:
        try:
            column.encode()
        except UnicodeEncodeError as error:
            raise TapeError(
                f"{name}: line 1 is not UTF-8: {column.encode('utf-8', 'backslashreplace').decode()!r}.",
                expected="UTF-8",
                remedy="convert it, for instance: iconv -f WINDOWS-1252 -t UTF-8",
            ) from error
    # Exports of data frames leave their index without a name.
    columns = [column or f"unnamed_{i}" for i, column in enumerate(columns, start=1)]
    repeated = {c: [i for i, x in enumerate(columns, start=1) if x == c] for c in columns if columns.count(c) > 1}
    if repeated:
        which = "; ".join(f"{c!r} at positions {places}" for c, places in repeated.items())
        raise TapeError(
            f"{name}: line 1 repeats column names: {which}.",
            expected="each name once",
            remedy="rename or remove one of them",
        )
    return tuple(columns)
