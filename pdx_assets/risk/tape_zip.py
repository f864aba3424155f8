"""The files in a zip archive, read without unpacking it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pdx_assets.risk.errors import TapeError

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")


@dataclass(frozen=True)
class ZipMember:
    """One file in an archive; opens like a path."""

    archive: Path
    member: str

    def open(self, mode: str = "rb") -> IO[bytes]:
        """The member's bytes."""
        assert mode == "rb"
        # The member keeps the archive's file open until it is closed itself.
        with zipfile.ZipFile(self.archive) as archive:
            return archive.open(self.member)


def members(path: Path, name: str) -> list[ZipMember]:
    """The files of an archive that may be a tape's, by name: the only one, or those with a suffix PDx reads.

    Raises:
        TapeError: no zip archive after all, a damaged or encrypted one, a workbook, or nothing to read in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [info for info in archive.infolist() if not info.is_dir() and not _is_litter(info.filename)]
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise TapeError(
            f"{name}: the zip archive is damaged or ends early: {error}",
            expected="a complete zip archive",
            remedy="fetch it again; `unzip -t` tells whether it is whole",
        ) from error
    names = {info.filename for info in entries}
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise TapeError(
            f"{name} is a workbook or another office document.",
            expected="CSV text",
            remedy="export the sheet as CSV",
        )
    chosen = entries if len(entries) == 1 else [i for i in entries if i.filename.lower().endswith(_SUFFIXES)]
    if not chosen:
        raise TapeError(
            f"{name}: the zip archive has no file to read; it holds {sorted(names)[:6]}.",
            expected=f"one file, or some named *{', *'.join(_SUFFIXES)}",
            remedy="pack the loans as CSV or JSON lines",
        )
    locked = [info.filename for info in chosen if info.flag_bits & 1]
    if locked:
        raise TapeError(
            f"{name}: {locked[0]} is encrypted.", expected="an archive without password", remedy="unpack it first"
        )
    unknown = [info.filename for info in chosen if info.compress_type not in _METHODS]
    if unknown:
        raise TapeError(
            f"{name}: {unknown[0]} is compressed by a method PDx does not know.",
            expected="an archive made by zip",
            remedy="unpack it first",
        )
    # A name that is in an archive twice is the later one to every reader.
    return [ZipMember(path, member) for member in sorted({info.filename for info in chosen})]


def _is_litter(filename: str) -> bool:
    """What a Mac or a version control puts beside the files."""
    return filename.startswith("__MACOSX/") or filename.rsplit("/", 1)[-1].startswith(".")
