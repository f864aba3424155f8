"""The records of one file of JSON lines, plain or gzip: an object a line. A line that is none costs one row."""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from pdx_assets.risk.errors import TapeError
from pdx_assets.risk.tape_records import (
    NOT_UTF8,
    SOURCE_ROW,
    BadLine,
    ByteSource,
    CsvBatch,
    damaged_stream,
    open_bytes,
    typed_batch,
)
from pdx_assets.risk.tape_text import cell_text

NOT_JSON = "not JSON"
NOT_OBJECT = "not a JSON object"
KEY_TWICE = "key given twice"

_LONGEST = 16 << 20
_BATCH = 20_000


@dataclass(frozen=True)
class JsonLinesFile:
    """A file whose keys were gathered; ``source_row`` of a record is its line."""

    path: ByteSource
    name: str
    columns: tuple[str, ...]
    rows: int
    header: str = "every record"
    second_line: tuple[str, ...] = ()

    def batches(self) -> Iterator[CsvBatch]:
        """Records in file order; blank lines are not records."""
        rows: list[list[str | None]] = []
        numbers: list[int] = []
        bad: list[BadLine] = []
        for number, record in _records(self.path, self.name):
            if isinstance(record, BadLine):
                bad.append(record)
            else:
                rows.append([cell_text(record.get(name)) for name in self.columns])
                numbers.append(number)
            if len(rows) >= _BATCH:
                yield self._batch(rows, numbers, bad)
                rows, numbers, bad = [], [], []
        yield self._batch(rows, numbers, bad)

    def _batch(self, rows: list[list[str | None]], numbers: list[int], bad: list[BadLine]) -> CsvBatch:
        cells = zip(*rows, strict=True) if rows else [()] * len(self.columns)
        frame = pl.DataFrame([pl.Series(n, c, dtype=pl.String) for n, c in zip(self.columns, cells, strict=True)])
        return typed_batch(self.columns, frame, pl.Series(SOURCE_ROW, numbers, dtype=pl.Int64), bad)


def open_jsonl(path: ByteSource, name: str) -> JsonLinesFile:
    """Survey a file: its keys, in order of first appearance, and its lines.

    Raises:
        TapeError: it is empty, truncated, or no line of it is a JSON object.
    """
    columns: dict[str, None] = {}
    lines, first = 0, None
    for _, record in _records(path, name):
        lines += 1
        if isinstance(record, BadLine):
            first = first or record
        else:
            columns |= dict.fromkeys(record)
    if not lines:
        raise TapeError(f"{name} is empty.", expected="a JSON object a line", remedy="export the file again")
    if not columns:
        what = f"line {first.line} is {first.text[:60]!r}" if first else "its objects are empty"
        raise TapeError(
            f"{name}: no line holds a JSON object with keys: {what}.",
            expected="JSON lines: a whole object on every line",
            remedy="one array of objects becomes lines by: jq -c '.[]'",
        )
    return JsonLinesFile(path, name, tuple(columns), lines)


def _records(path: ByteSource, name: str) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    number = 0
    try:
        with open_bytes(path) as stream:
            while raw := stream.readline(_LONGEST):
                number += 1
                if len(raw) == _LONGEST and not raw.endswith(b"\n"):
                    raise TapeError(
                        f"{name}: line {number} is longer than 16 MB.",
                        expected="JSON lines: an object a line",
                        remedy="one array of objects becomes lines by: jq -c '.[]'",
                    )
                if raw.strip():
                    yield number, _parsed(raw, number)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise damaged_stream(name, number, error) from error


class _TwiceError(ValueError):
    """An object names a key twice: one of the two values would be lost."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError(next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i])))
    return found


def _parsed(raw: bytes, number: int) -> dict[str, Any] | BadLine:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        shown = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
        return BadLine(number, NOT_UTF8, f"byte 0x{raw[error.start]:02x}", shown, separated=False)
    shown = text.rstrip("\r\n").replace("\0", "\\0")
    try:
        record = json.loads(text, object_pairs_hook=_once)
    except _TwiceError as error:
        return BadLine(number, KEY_TWICE, str(error), shown, separated=False)
    except (ValueError, RecursionError) as error:
        return BadLine(number, NOT_JSON, str(error), shown, separated=False)
    if not isinstance(record, dict):
        return BadLine(number, NOT_OBJECT, "", shown, separated=False)
    return record
