"""The records of one CSV file with their exact lines, in bounded batches; two readers, one result.

Arrow reads plain files. A record-by-record reader takes those with line breaks inside quotes, stray
quotes, NUL bytes or bytes that are not UTF-8, where a record's line has to be counted, not computed, and
one bad byte must cost one row. Which of them a file needs is decided in tape_csv.py.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol, cast

import numpy as np
import polars as pl

from pdx_assets.risk.errors import TapeError

SOURCE_ROW = "source_row"
WRONG_WIDTH = "wrong number of fields"
UNCLOSED = "quote never closed"
NOT_UTF8 = "not UTF-8"
NUL_BYTE = "NUL byte"

_BLOCK = 16 << 20
_SLOW_BATCH = 20_000
# A quoted cell of more lines than this is a stray quote, not a comment.
_LONGEST_RECORD = 1_000


class ByteSource(Protocol):
    """What can be opened for its bytes, again and again: a path, or a file in an archive."""

    def open(self, mode: Any = "rb", /) -> Any:
        """A stream of bytes."""
        ...


@dataclass(frozen=True)
class BadLine:
    """A line that is no record: its number from 1, why, what was seen, and its text.

    ``separated``: its cells would be separated by commas, so that few of them make it a note.
    """

    line: int
    reason: str
    detail: str
    text: str
    separated: bool = True


@dataclass(frozen=True)
class CsvBatch:
    """Consecutive records: ``frame`` has ``source_row`` (Int64, line in the file from 1) and the file's columns."""

    frame: pl.DataFrame
    bad: tuple[BadLine, ...]


def plain_batches(path: ByteSource, name: str, columns: tuple[str, ...], lines: int) -> Iterator[CsvBatch]:
    """Records of a file in which every record is one line, by Arrow."""
    import pyarrow as pa

    bad: deque[tuple[int, str, str]] = deque()
    with open_bytes(path) as stream:
        reader = _arrow_reader(stream, [f"c{i}" for i in range(len(columns))], bad)
        position = 2
        try:
            for batch in reader:
                # Rows handed out skip the numbers of the bad ones, which the parser met before.
                bad_lines = np.array([line for line, _, _ in bad], dtype=np.int64)
                candidates = np.arange(position, position + batch.num_rows + len(bad_lines), dtype=np.int64)
                rows = np.setdiff1d(candidates, bad_lines, assume_unique=True)[: batch.num_rows]
                position = int(rows[-1]) + 1 if len(rows) else position
                frame = pl.DataFrame(pl.from_arrow(batch))
                frame.columns = list(columns)
                seen = _taken(bad, position)
                yield CsvBatch(_finished(columns, frame, pl.Series(SOURCE_ROW, rows)), seen)
        except pa.ArrowInvalid as error:
            raise TapeError(f"{name}: after line {position}: {error}", expected="records of at most 16 MB") from error
    if rest := _taken(bad, lines + 1):
        yield CsvBatch(_finished(columns, *_no_rows(columns)), rest)


def counted_batches(path: ByteSource, columns: tuple[str, ...]) -> Iterator[CsvBatch]:
    """Records of any file, one by one, with their lines counted."""
    with open_bytes(path) as stream:
        # Surrogates carry the bytes that are not UTF-8 to the record they are in.
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        lines = enumerate(text, start=1)
        next(lines)
        rows: list[list[str]] = []
        numbers: list[int] = []
        bad: list[BadLine] = []
        for number, record in _records(lines, len(columns)):
            if isinstance(record, BadLine):
                bad.append(record)
            else:
                rows.append(record)
                numbers.append(number)
            if len(rows) >= _SLOW_BATCH:
                yield _counted(columns, rows, numbers, bad)
                rows, numbers, bad = [], [], []
        yield _counted(columns, rows, numbers, bad)


def _counted(columns: tuple[str, ...], rows: list[list[str]], numbers: list[int], bad: list[BadLine]) -> CsvBatch:
    if not rows:
        return CsvBatch(_finished(columns, *_no_rows(columns)), tuple(bad))
    cells = zip(*rows, strict=True)
    frame = pl.DataFrame([pl.Series(n, c, dtype=pl.String) for n, c in zip(columns, cells, strict=True)])
    return CsvBatch(_finished(columns, frame, pl.Series(SOURCE_ROW, numbers, dtype=pl.Int64)), tuple(bad))


def _no_rows(columns: tuple[str, ...]) -> tuple[pl.DataFrame, pl.Series]:
    empty = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return empty, pl.Series(SOURCE_ROW, [], dtype=pl.Int64)


def _finished(columns: tuple[str, ...], frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    if not frame.height:
        return frame.with_columns(rows).select(SOURCE_ROW, *columns)
    cells = pl.all()
    blank = cells.str.strip_chars() == ""
    frame = frame.with_columns(pl.when(~blank).then(cells)).with_columns(rows)
    return frame.select(SOURCE_ROW, *columns).filter(~pl.all_horizontal(pl.col(c).is_null() for c in columns))


def lines_are_records(path: ByteSource, width: int, lines: int) -> bool:
    """Whether Arrow finds one record on every line: then no quoted cell spans lines."""
    import pyarrow as pa

    bad: deque[tuple[int, str, str]] = deque()
    if lines <= 1:
        return True
    try:
        with open_bytes(path) as stream:
            reader = _arrow_reader(stream, [f"c{i}" for i in range(width)], bad, only_first=True)
            rows = sum(batch.num_rows for batch in reader)
    except pa.ArrowInvalid:
        return False
    return rows + len(bad) + 1 == lines and not any('"' in text for _, _, text in bad)


def _arrow_reader(
    stream: IO[bytes], names: list[str], bad: deque[tuple[int, str, str]], *, only_first: bool = False
) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    def collect(row: Any) -> str:
        bad.append((row.number, f"{row.actual_columns} instead of {row.expected_columns}", row.text))
        return "skip"

    return arrow_csv.open_csv(
        pa.PythonFile(stream, mode="r"),
        # Arrow numbers bad rows only when it reads in one thread.
        read_options=arrow_csv.ReadOptions(block_size=_BLOCK, use_threads=False, column_names=names, skip_rows=1),
        parse_options=arrow_csv.ParseOptions(
            newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=collect
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            null_values=[],
            include_columns=names[:1] if only_first else None,
        ),
    )


def _taken(bad: deque[tuple[int, str, str]], before: int) -> tuple[BadLine, ...]:
    """Bad lines ahead of a line number, removed from the queue; blank ones are no lines at all."""
    found = []
    while bad and bad[0][0] < before:
        line, detail, text = bad.popleft()
        if text.strip():
            found.append(BadLine(line, WRONG_WIDTH, detail, text.rstrip("\r\n")))
    return tuple(found)


def _records(lines: Iterator[tuple[int, str]], width: int) -> Iterator[tuple[int, list[str] | BadLine]]:
    """Records with the line each starts on; a stray quote costs its own line, not the lines after it."""
    waiting: deque[tuple[int, str]] = deque()

    def pulled(taken: list[tuple[int, str]]) -> Iterator[str]:
        while len(taken) < _LONGEST_RECORD:
            item = waiting.popleft() if waiting else next(lines, None)
            if item is None:
                return
            taken.append(item)
            yield item[1]

    while True:
        taken: list[tuple[int, str]] = []
        try:
            record = next(csv.reader(pulled(taken)), None)
        except csv.Error:
            # A cell beyond the reader's limit of 128 kB: what a quote that is never closed makes of a tape.
            record, stray = None, True
        else:
            stray = record is not None and _stray_quote(record, taken, width)
        if not taken:
            return
        number, line = taken[0]
        if stray:
            waiting.extendleft(reversed(taken[1:]))
            yield number, BadLine(number, UNCLOSED, "", _printable(line))
        elif record:
            yield number, _judged(record, number, "".join(t for _, t in taken), width)


def _stray_quote(record: list[str], taken: list[tuple[int, str]], width: int) -> bool:
    if not any('"' in line for _, line in taken):
        return False
    if _still_open([line for _, line in taken]):
        return True
    if len(taken) == 1:
        return False
    if len(record) != width or not _well_quoted([line for _, line in taken]):
        return True
    # A quote that was not meant swallows whole records, or the end of one and the start of the next: then
    # the cell has a record's worth of commas for each line break. Comments of that shape are rarer.
    merged = any(cell.count(",") == cell.count("\n") * (width - 1) > 6 for cell in record)
    return merged or any(_is_record(line, width) for _, line in taken[1:-1])


def _still_open(lines: list[str]) -> bool:
    try:
        return len(list(csv.reader([*lines, "still open?"]))) == 1
    except csv.Error:
        return True


def _well_quoted(lines: list[str]) -> bool:
    """Nothing follows a closing quote but a comma or the line's end."""
    try:
        next(csv.reader(lines, strict=True))
    except csv.Error:
        return False
    return True


def _is_record(line: str, width: int) -> bool:
    cells = next(csv.reader([line]), [])
    if len(cells) != width or not any(cell.strip() for cell in cells):
        return False
    return line.count('"') % 2 == 0 and not _still_open([line])


def _judged(record: list[str], number: int, text: str, width: int) -> list[str] | BadLine:
    if "\0" in text:
        return BadLine(number, NUL_BYTE, "", _printable(text))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return BadLine(number, NOT_UTF8, f"byte 0x{ord(text[error.start]) & 0xFF:02x}", _printable(text))
    if len(record) != width:
        if not any(cell.strip() for cell in record):
            return [""] * width
        return BadLine(number, WRONG_WIDTH, f"{len(record)} instead of {width}", _printable(text))
    return record


def _printable(text: str) -> str:
    return text.rstrip("\r\n").encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def typed_batch(
    columns: tuple[str, ...], frame: pl.DataFrame, rows: pl.Series, bad: Sequence[BadLine] = ()
) -> CsvBatch:
    """A batch of records that came typed and are text now, with the rules of a CSV file for blank and NUL."""
    found = list(bad)
    nul = frame.select(pl.any_horizontal(pl.all().str.contains("\0", literal=True)).fill_null(False)).to_series()
    if frame.height and nul.any():
        for row, cells in zip(rows.filter(nul), frame.filter(nul).iter_rows(named=True), strict=True):
            text = json.dumps({k: v for k, v in cells.items() if v is not None}, ensure_ascii=False)
            found.append(BadLine(row, NUL_BYTE, "", text, separated=False))
        frame, rows = frame.filter(~nul), rows.filter(~nul)
    return CsvBatch(_finished(columns, frame, rows), tuple(sorted(found, key=lambda line: line.line)))


def damaged_stream(name: str, line: int, error: Exception) -> TapeError:
    """The error for compressed data that cannot be read to their end."""
    is_member = isinstance(error, zipfile.BadZipFile) or ".zip/" in name
    kind, tool = ("zip", "unzip -t") if is_member else ("gzip", "gzip -t")
    return TapeError(
        f"{name}: the {kind} data are damaged or end early, after line {line}: {error}",
        expected=f"a complete {kind} file",
        remedy=f"fetch or export the file again; `{tool}` tells whether it is whole",
    )


def open_bytes(path: ByteSource) -> IO[bytes]:
    """The file's bytes, decompressed, without a UTF-8 byte order mark."""
    with path.open("rb") as peek:
        zipped = peek.read(2) == b"\x1f\x8b"
    # The caller closes it.
    stream = cast(IO[bytes], path.open("rb"))
    if zipped:
        stream = cast(IO[bytes], _Unzipped(stream))
    try:
        if stream.read(3) != b"\xef\xbb\xbf":
            stream.seek(0)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        stream.seek(0)
    return stream


class _Unzipped(gzip.GzipFile):
    """Closes the compressed stream with itself."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(fileobj=stream, mode="rb")
        self._stream = stream

    def close(self) -> None:
        super().close()
        self._stream.close()
