"""The records of one Parquet file as text; a file of a Delta table is one, with its partition values beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pdx_assets.risk.errors import TapeError, TapeUnavailableError
from pdx_assets.risk.tape_records import SOURCE_ROW, CsvBatch, typed_batch
from pdx_assets.risk.tape_text import as_text

# File metadata under which the landing of a database says which text columns are dates: risk/sources/database.py.
TEMPORAL = b"pdx_temporal"
_CELLS = 2_000_000


@dataclass(frozen=True)
class TablePart:
    """A file of a table that keeps some columns outside its files.

    Attributes:
        path: the Parquet file.
        columns: the table's columns, in order.
        values: of the columns the file does not hold, as text; null is missing.
    """

    path: Path
    columns: tuple[str, ...]
    values: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file whose schema was read; ``source_row`` of its records counts from 1."""

    path: Path
    name: str
    columns: tuple[str, ...]
    rows: int
    formats: Mapping[str, str]
    values: Mapping[str, str | None] = field(default_factory=dict)
    temporal: Mapping[str, str] = field(default_factory=dict)
    header: str = "the schema"
    second_line: tuple[str, ...] = ()

    def batches(self) -> Iterator[CsvBatch]:
        """Records in file order; a row without any value is none.

        Raises:
            TapeError: the data are damaged, or of a type that has no text.
        """
        import pyarrow as pa

        place = 1
        with _opened(self.path, self.name) as file:
            size = max(1_000, _CELLS // max(1, len(self.columns)))
            # Threads would hold several row groups in memory at once.
            batches = file.iter_batches(batch_size=size, use_threads=False)
            while True:
                try:
                    batch = next(batches, None)
                    if batch is None:
                        return
                    # Text that is not UTF-8 would fail somewhere later, without a name.
                    batch.validate(full=True)
                    frame = self._as_text(pl.DataFrame(pl.from_arrow(batch)))
                except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
                    raise _damaged(self.name, f"after record {place - 1}: {_first_line(error)}") from error
                rows = pl.Series(SOURCE_ROW, np.arange(place, place + frame.height, dtype=np.int64))
                place += frame.height
                yield typed_batch(self.columns, frame, rows)

    def _as_text(self, frame: pl.DataFrame) -> pl.DataFrame:
        cells = {}
        for name in self.columns:
            form = self.formats.get(name)
            if name not in frame.columns:
                value = self.values.get(name)
                cells[name] = pl.Series(name, [value], dtype=pl.String).new_from_index(0, frame.height)
                continue
            column = frame[name]
            if form and self.temporal.get(name) == "date":
                column = column.str.to_date("%Y-%m-%d")
            elif form and self.temporal.get(name) == "datetime":
                column = column.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us")
            cells[name] = as_text(column, form)
        return pl.DataFrame(cells, height=frame.height)


def open_parquet(path: Path, name: str, formats: Mapping[str, str], part: TablePart | None = None) -> ParquetFile:
    """Read a file's schema.

    Args:
        formats: declared formats of date columns, by name.
        part: what its table says of it.

    Raises:
        TapeUnavailableError: the file cannot be opened.
        TapeError: it is truncated or damaged, or names a column twice.
    """
    with _opened(path, name) as file:
        held = list(file.schema_arrow.names)
        rows = file.metadata.num_rows
        temporal = json.loads((file.metadata.metadata or {}).get(TEMPORAL, b"{}"))
    twice = sorted({column for column in held if held.count(column) > 1})
    if twice:
        raise TapeError(
            f"{name}: the schema repeats column names: {twice}.",
            expected="each name once",
            remedy="rename or remove one of them",
        )
    if part is None:
        return ParquetFile(path, name, tuple(held), rows, formats, temporal=temporal)
    return ParquetFile(path, name, part.columns, rows, formats, dict(part.values), temporal)


def _opened(path: Path, name: str) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path, coerce_int96_timestamp_unit="us", page_checksum_verification=True)
    except pa.ArrowInvalid as error:
        raise _damaged(name, _first_line(error)) from error
    except OSError as error:
        # Arrow tells a damaged footer by the same class as a file that is not there.
        if error.errno is None:
            raise _damaged(name, _first_line(error)) from error
        raise TapeUnavailableError(
            f"{name}: cannot be opened: {error.strerror}", remedy=f"make {path} readable"
        ) from error


def _damaged(name: str, what: str) -> TapeError:
    return TapeError(
        f"{name}: the Parquet data are damaged or end early: {what}",
        expected="a complete Parquet file",
        remedy="fetch or export the file again",
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
