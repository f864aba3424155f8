"""A sample of a tape, as text: all of a small one; of a large one its head and rows spread evenly over the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pdx_assets.risk.errors import TapeError
from pdx_assets.risk.tape_formats import open_files
from pdx_assets.risk.tape_location import local_files
from pdx_assets.risk.tape_records import SOURCE_ROW

MOST = 100_000
_HEAD = 20_000


@dataclass(frozen=True)
class TapeSample:
    """Part of a tape.

    Attributes:
        path: what was asked for.
        rows: every column as received (String, blank is null); a column that a file lacks is null on its rows.
        total: rows of the whole tape.
        malformed: lines that are no rows.
        panel: a sample of the performance rows, where the path is an export with ``loans`` and ``performance``.
    """

    path: Path
    rows: pl.DataFrame
    total: int
    malformed: int
    panel: pl.DataFrame | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.rows.columns)

    @property
    def scale(self) -> float:
        """Rows of the tape a sampled row stands for."""
        return self.total / max(self.rows.height, 1)

    @property
    def whole(self) -> bool:
        return self.rows.height == self.total


def read_sample(path: Path, most: int = MOST) -> TapeSample:
    """The sample of a file, a folder of files, or an export with folders ``loans`` and ``performance``.

    Args:
        most: about how many rows to keep; fewer than twice as many are kept.

    Raises:
        TapeUnavailableError: nothing is there, or it cannot be read.
        TapeError: a file is none that PDx reads (tape_formats.py), or no file holds a row.
    """
    export = (path / "loans").is_dir()
    rows, total, malformed = _read(_found(path / "loans" if export else path), most)
    if not rows.height:
        raise TapeError(f"{path}: a header and no loans.", expected="at least one loan", remedy="export the file again")
    panel = None
    if export and (path / "performance").is_dir():
        panel, _, _ = _read(_found(path / "performance"), most)
    return TapeSample(path, rows, total, malformed, panel)


def _found(path: Path) -> tuple[Path, ...]:
    return local_files(path, "auto", {}, what="The tape").files


def _read(files: tuple[Path, ...], most: int) -> tuple[pl.DataFrame, int, int]:
    opened = [file for path in files for file in open_files(path, path.name)]
    every = max(1, sum(file.rows for file in opened) // most)
    kept: list[pl.DataFrame] = []
    seen = malformed = 0
    for file in opened:
        for batch in file.batches():
            malformed += len(batch.bad)
            position = pl.int_range(seen, seen + pl.len())
            seen += batch.frame.height
            near = (position < min(_HEAD, most)) | (position % every == 0) if every > 1 else pl.lit(value=True)
            kept.append(batch.frame.drop(SOURCE_ROW).filter(near))
    rows = pl.concat(kept, how="diagonal") if kept else pl.DataFrame()
    return rows, seen, malformed
