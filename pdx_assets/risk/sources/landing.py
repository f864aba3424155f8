"""Landing: what a distant place holds, as files under the home, whole or not at all.

``<folder>/<snapshot>/`` holds the files of one look, named by their content; ``current.json`` says which
snapshot holds, and the mark of every piece: a piece whose mark stands is not fetched again. A killed landing
leaves a hidden folder that the next one removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pdx_assets.risk.errors import TapeUnavailableError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.locks import one_at_a_time

_CURRENT = "current.json"


@dataclass(frozen=True)
class Piece:
    """One file a source can give.

    Attributes:
        name: its path below the landing, with slashes.
        mark: what stays the same as long as the content does; None where only reading it can tell.
        key: what the source calls it.
    """

    name: str
    mark: str | None
    key: Any


@dataclass(frozen=True)
class Before:
    """What a session may use of the last landing, and where it may put what it needs on the way."""

    scratch: Path
    folder: Path
    files: Mapping[str, Mapping[str, Any]]

    def find(self, piece: Piece) -> Path | None:
        """The piece as landed before, if its mark stands."""
        known = self.files.get(piece.name)
        if known is None or piece.mark is None or known["mark"] != piece.mark or known["sha256"] is None:
            return None
        return self.folder / piece.name


class Session(Protocol):
    """A source while it is being read: of one moment, where the source can give that.

    ``base`` is the address that was read, known once the pieces are.
    """

    base: str

    def pieces(self, before: Before, /) -> Sequence[Piece]:
        """Everything there is.

        Raises:
            TapeUnavailableError: it cannot be told.
        """
        ...

    def fetch(self, piece: Piece, target: Path) -> bool:
        """Write one piece to a file; False, and no file, where there is nothing in it."""
        ...


class RemoteSource(Protocol):
    """A place to read from. ``called`` is its name in messages, ``identity`` a hash of its declaration."""

    called: str
    identity: str

    def session(self) -> AbstractContextManager[Session]: ...


@dataclass(frozen=True)
class Landed:
    """Files as landed.

    Attributes:
        folder: the snapshot.
        files: every file and its path below the snapshot, by name.
        base: the address they came from.
    """

    folder: Path
    files: tuple[tuple[Path, str], ...]
    base: str


def land(source: RemoteSource, folder: Path, *, fresh_seconds: float) -> Landed:
    """The source's files as of now, or as of at most ``fresh_seconds`` ago.

    Args:
        folder: of this source alone.

    Raises:
        TapeUnavailableError: the source could not be read. What was landed before stays, and is not passed off
            as what is there today.
    """
    current = _read(folder, source)
    if current is not None and 0 <= time.time() - current["checked"] < fresh_seconds:
        return _landed(folder, current)
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / ".lock"):
        waited_for, current = current, _read(folder, source)
        if current is not None and current != waited_for and time.time() - current["checked"] < fresh_seconds:
            return _landed(folder, current)
        # Under the lock nobody is writing these: they were left by a process that was killed.
        for leftover in folder.glob(".*.partial"):
            shutil.rmtree(leftover)
        work, scratch = (folder / f".{os.getpid()}.{what}.partial" for what in ("work", "scratch"))
        try:
            for new in (work, scratch):
                new.mkdir()
            found = _fetch_all(source, folder, work, scratch, current)
        finally:
            for done in (work, scratch):
                shutil.rmtree(done, ignore_errors=True)
        return _landed(folder, found)


def _fetch_all(
    source: RemoteSource, folder: Path, work: Path, scratch: Path, current: dict[str, Any] | None
) -> dict[str, Any]:
    known = {} if current is None else current["files"]
    before = Before(scratch, folder / ("" if current is None else current["snapshot"]), known)
    files: dict[str, dict[str, Any]] = {}
    started = time.time()
    with source.session() as session:
        for piece in session.pieces(before):
            target = work / piece.name
            if not target.resolve().is_relative_to(work.resolve()):
                raise TapeUnavailableError(
                    f"{source.called}: {piece.name!r} is no name for a file.", expected="names without .."
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            if (landed := before.find(piece)) is not None:
                link(landed, target)
                digest = known[piece.name]["sha256"]
            else:
                digest = _sha256(target) if session.fetch(piece, target) else None
            files[piece.name] = {"mark": piece.mark, "sha256": digest}
        base = session.base
    held = {name: entry["sha256"] for name, entry in sorted(files.items()) if entry["sha256"] is not None}
    if not held:
        raise TapeUnavailableError(
            f"{source.called} gave no records at all.",
            expected="at least one loan",
            remedy="look whether the address, the query and the months asked for are right",
        )
    snapshot = document_sha256(held)[:32]
    # The same content as before stays the very files it was: nothing is read anew.
    if not (folder / snapshot).exists():
        work.rename(folder / snapshot)
    previous = None if current is None else current["snapshot"]
    if previous == snapshot and current is not None:
        previous = current["previous"]
    found = {
        "identity": source.identity,
        "snapshot": snapshot,
        "previous": previous,
        "checked": started,
        "base": base,
        "files": files,
    }
    new = scratch / _CURRENT
    new.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    new.replace(folder / _CURRENT)
    # The one before may still be being read by another process.
    for old in folder.iterdir():
        if old.is_dir() and not old.name.startswith(".") and old.name not in (snapshot, previous):
            shutil.rmtree(old, ignore_errors=True)
    return found


def _read(folder: Path, source: RemoteSource) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / _CURRENT).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return found if found["identity"] == source.identity and (folder / found["snapshot"]).is_dir() else None


def _landed(folder: Path, current: dict[str, Any]) -> Landed:
    root = folder / current["snapshot"]
    names = sorted(name for name, entry in current["files"].items() if entry["sha256"] is not None)
    return Landed(root, tuple((root / name, name) for name in names), current["base"])


def link(old: Path, new: Path) -> None:
    """The same file under another name, or a copy of it."""
    try:
        os.link(old, new)
    except OSError:  # a file system without hard links
        shutil.copy2(old, new)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
