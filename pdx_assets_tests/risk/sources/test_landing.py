"""Landing: whole or not at all, nothing fetched twice, and never an old tape passed off as today's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pdx_assets.risk.errors import TapeUnavailableError
from pdx_assets.risk.sources.landing import Before, Landed, Piece, land


@dataclass
class Shelf:
    """A source in memory: name to content; the mark of a name is its content's length unless given."""

    held: dict[str, bytes]
    marked: bool = True
    fails_at: str | None = None
    identity: str = "shelf"
    called: str = "the shelf"
    base: str = "shelf://x"
    fetched: list[str] = field(default_factory=list)
    looks: int = 0

    @contextmanager
    def session(self) -> Iterator[Shelf]:
        self.looks += 1
        yield self

    def pieces(self, _before: Before, /) -> Sequence[Piece]:
        return [Piece(name, str(len(content)) if self.marked else None, name) for name, content in self.held.items()]

    def fetch(self, piece: Piece, target: Path) -> bool:
        if piece.name == self.fails_at:
            target.write_bytes(b"half of")
            raise TapeUnavailableError("the line went dead")
        self.fetched.append(piece.name)
        target.write_bytes(self.held[piece.name])
        if not self.held[piece.name]:
            target.unlink()
        return bool(self.held[piece.name])


def contents(landed: Landed) -> dict[str, bytes]:
    return {name: path.read_bytes() for path, name in landed.files}


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def test_only_what_changed_is_fetched_again_and_what_is_gone_goes(tmp_path: Path) -> None:
    shelf = Shelf({"a": b"1", "b/c": b"22", "d": b"333"})
    first = land(shelf, tmp_path, fresh_seconds=0)
    assert contents(first) == shelf.held and shelf.fetched == ["a", "b/c", "d"]
    shelf.fetched.clear()
    shelf.held = {"a": b"1", "b/c": b"4444", "e": b"5"}
    second = land(shelf, tmp_path, fresh_seconds=0)
    assert contents(second) == shelf.held and shelf.fetched == ["b/c", "e"]
    assert contents(first)["d"] == b"333", "whoever still reads the one before can"
    shelf.held = {"a": b"0"}
    shelf.held["f"] = b"new"
    land(shelf, tmp_path, fresh_seconds=0)
    assert not first.folder.exists() and second.folder.exists()


def test_the_same_content_stays_the_very_same_files(tmp_path: Path) -> None:
    shelf = Shelf({"a": b"1"}, marked=False)
    first = land(shelf, tmp_path, fresh_seconds=0)
    stamp = first.files[0][0].stat()
    again = land(shelf, tmp_path, fresh_seconds=0)
    assert shelf.fetched == ["a", "a"], "without a mark only reading tells"
    assert again == first and again.files[0][0].stat().st_mtime_ns == stamp.st_mtime_ns


def test_a_source_is_not_asked_again_within_its_interval(tmp_path: Path) -> None:
    shelf = Shelf({"a": b"1"})
    land(shelf, tmp_path, fresh_seconds=60)
    shelf.held["a"] = b"22"
    assert contents(land(shelf, tmp_path, fresh_seconds=60)) == {"a": b"1"} and shelf.looks == 1
    assert contents(land(shelf, tmp_path, fresh_seconds=0)) == {"a": b"22"} and shelf.looks == 2
    shelf.identity = "declared otherwise"
    shelf.fetched.clear()
    land(shelf, tmp_path, fresh_seconds=60)
    assert shelf.fetched == ["a"], "another declaration is another source"
    current = json.loads((tmp_path / "current.json").read_text())
    current["checked"] = time.time() + 9_999
    (tmp_path / "current.json").write_text(json.dumps(current))
    land(shelf, tmp_path, fresh_seconds=60)
    assert shelf.looks == 4, "a clock that was set back does not stop looking"


def test_a_failure_leaves_what_was_there_and_is_told(tmp_path: Path) -> None:
    shelf = Shelf({"a": b"1"})
    first = land(shelf, tmp_path, fresh_seconds=0)
    before = visible(tmp_path)
    shelf.held, shelf.fails_at = {"a": b"22", "b": b"3"}, "b"
    with pytest.raises(TapeUnavailableError, match="the line went dead"):
        land(shelf, tmp_path, fresh_seconds=0)
    assert visible(tmp_path) == before and contents(first) == {"a": b"1"}
    assert not list(tmp_path.glob(".*.partial"))
    shelf.fails_at = None
    assert contents(land(shelf, tmp_path, fresh_seconds=0)) == shelf.held


def test_nothing_at_all_is_not_a_tape(tmp_path: Path) -> None:
    with pytest.raises(TapeUnavailableError, match="the shelf gave no records at all"):
        land(Shelf({"a": b""}), tmp_path, fresh_seconds=0)
    assert visible(tmp_path) == []
    empty_month = Shelf({"a": b"", "b": b"1"})
    assert contents(land(empty_month, tmp_path, fresh_seconds=0)) == {"b": b"1"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x"])
def test_a_name_cannot_leave_the_landing(name: str, tmp_path: Path) -> None:
    with pytest.raises(TapeUnavailableError, match="is no name for a file"):
        land(Shelf({name: b"1"}), tmp_path / "landing", fresh_seconds=0)
    assert not (tmp_path / "x").exists()


KILLED = """
import sys, time
from pathlib import Path
from pdx_assets.risk.sources.landing import land
from pdx_assets_tests.risk.sources.test_landing import Shelf

class Slow(Shelf):
    def fetch(self, piece, target):
        if piece.name == "b":
            target.write_bytes(b"half of")
            print("halfway", flush=True)
            time.sleep(600)
        return super().fetch(piece, target)

land(Slow({"a": b"new", "b": b"new"}), Path(sys.argv[1]), fresh_seconds=0)
"""


def test_a_killed_download_leaves_nothing_visible(tmp_path: Path) -> None:
    shelf = Shelf({"a": b"1"})
    first = land(shelf, tmp_path, fresh_seconds=0)
    before = visible(tmp_path)
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline().strip() == "halfway"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(30)
    worker.stdout.close()
    assert visible(tmp_path) == before and contents(first) == {"a": b"1"}
    shelf.held = {"a": b"new", "b": b"new"}
    assert contents(land(shelf, tmp_path, fresh_seconds=0)) == shelf.held
    assert not list(tmp_path.glob(".*.partial")), "the next one cleans up"
