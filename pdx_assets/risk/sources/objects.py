"""An object store: an object, the objects of a folder, a pattern, or a Delta table at an ``s3://`` address.

Endpoint and credentials come from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ...). Objects
whose ETag and size stand are not fetched again.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from pdx_assets.risk.errors import TapeError, TapeUnavailableError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.sources.landing import Before, Piece, link
from pdx_assets.risk.sources.secrets import aws_secrets, redacted
from pdx_assets.risk.tape_delta import LOG, delta_parts

_WILD = set("*?[")
RETRIES = {"max_retries": 4}  # with back-off, by the store's client


class ObjectSource:
    """What lies at an ``s3://bucket/key`` address.

    Args:
        url: with its variables filled in.
        suffixes: names of a folder's objects that are read.
    """

    def __init__(self, url: str, suffixes: tuple[str, ...]) -> None:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        self.called, self.bucket, self.key, self.suffixes = url, bucket, key.strip("/"), suffixes
        self.identity = document_sha256([url, suffixes, os.environ.get("AWS_ENDPOINT_URL", "")])

    @contextmanager
    def session(self) -> Iterator[ObjectSession]:
        from obstore.exceptions import BaseError

        try:
            yield ObjectSession(self)
        except (BaseError, FileNotFoundError, PermissionError) as error:
            shown = " ".join(line.strip() for line in redacted(error, aws_secrets()).splitlines()[:4]).strip()
            raise TapeUnavailableError(
                f"{self.called} cannot be read: {shown or type(error).__name__}",
                expected="an address this machine can reach and is let into",
                remedy="look at the bucket's name, AWS_ENDPOINT_URL, and the credentials in the environment",
            ) from None  # the store's own error may quote the request


class ObjectSession:
    """One look at the store: a listing, then the objects as they were in it."""

    def __init__(self, source: ObjectSource) -> None:
        from datetime import timedelta

        from obstore.store import S3Store

        self.source, self.base = source, source.called
        self._held: dict[str, Path] = {}
        retry: Any = {**RETRIES, "retry_timeout": timedelta(seconds=60)}
        self._store: Any = S3Store(
            source.bucket,
            retry_config=retry,
            client_options={
                "connect_timeout": "10s",
                "timeout": "600s",
                # Whoever names an http:// endpoint means it.
                "allow_http": os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"),
            },
        )

    def pieces(self, before: Before, /) -> Sequence[Piece]:
        found = self._found(before)
        if not found:
            raise TapeUnavailableError(
                f"{self.source.called}: nothing is there that could be read.",
                expected=f"an object, a folder with *{', *'.join(self.source.suffixes)}, a pattern, or a Delta table",
                remedy="mend the address",
            )
        return found

    def _found(self, before: Before) -> list[Piece]:
        key = self.source.key
        if _WILD & set(key):
            fixed = _before_wildcards(key)
            entries = self._listed(fixed)
            return [_piece(e, fixed) for e in entries if _matches(e["path"], key)]
        if key.lower().endswith(self.source.suffixes) and (entry := self._head(key)):
            return [_piece(entry, str(PurePosixPath(key).parent))]
        entries = self._listed(key)
        if any(entry["path"].startswith(f"{key}/loans/".lstrip("/")) for entry in entries):
            # An export with loans and performance in it: risk/tape_location.py asks for the other one.
            key = f"{key}/loans".lstrip("/")
            self.base = f"s3://{self.source.bucket}/{key}"
            entries = [entry for entry in entries if entry["path"].startswith(f"{key}/")]
        log = f"{key}/{LOG}/".lstrip("/")
        if any(entry["path"].startswith(log) for entry in entries):
            return self._delta(entries, key, before)
        direct = [_piece(entry, key) for entry in entries]
        chosen = [p for p in direct if "/" not in p.name and p.name.lower().endswith(self.source.suffixes)]
        if chosen or entries:
            return chosen
        entry = self._head(key)
        return [_piece(entry, str(PurePosixPath(key).parent))] if entry else []

    def _listed(self, prefix: str) -> list[dict[str, Any]]:
        entries = [entry for batch in self._store.list(f"{prefix}/" if prefix else None) for entry in batch]
        # A folder made by hand in a console is an empty object named like it.
        return sorted((e for e in entries if not e["path"].endswith("/")), key=lambda entry: str(entry["path"]))

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._store.head(key)
        except FileNotFoundError:
            return None
        return found

    def _delta(self, entries: Sequence[dict[str, Any]], key: str, before: Before) -> list[Piece]:
        """The table's log, and the data files that its newest version in this listing is made of."""
        pieces = {piece.name: piece for piece in (_piece(entry, key) for entry in entries)}
        log = [piece for name, piece in pieces.items() if name.startswith(f"{LOG}/")]
        for piece in log:
            target = before.scratch / piece.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (landed := before.find(piece)) is not None:
                link(landed, target)
            else:
                self._download(piece, target)
                self._held[piece.name] = target
        active = [part.path.relative_to(before.scratch).as_posix() for part in delta_parts(before.scratch, {})]
        missing = [name for name in active if name not in pieces]
        if missing:
            raise TapeError(
                f"{self.source.called}: the Delta table's log names {missing[0]}, which is not there.",
                expected="every data file of the newest version",
                remedy="run again; a table that was vacuumed too early has lost rows",
            )
        return [*log, *(pieces[name] for name in active)]

    def fetch(self, piece: Piece, target: Path) -> bool:
        """The object as it was listed."""
        if piece.name in self._held:
            link(self._held[piece.name], target)
        else:
            self._download(piece, target)
        return True

    def _download(self, piece: Piece, target: Path) -> None:
        entry = piece.key
        # Only the very object that was listed: a listing and its objects are of one moment, or it fails.
        result = self._store.get(entry["path"], options={"if_match": entry["e_tag"]} if entry["e_tag"] else None)
        size = 0
        with target.open("wb") as stream:
            for chunk in result.stream():
                size += stream.write(chunk)
        if size != entry["size"]:
            raise TapeUnavailableError(
                f"{self.source.called}: {entry['path']} came with {size} of {entry['size']} bytes.", remedy="run again"
            )


def _piece(entry: dict[str, Any], base: str) -> Piece:
    name = str(entry["path"]).removeprefix(f"{base}/") if base not in ("", ".") else str(entry["path"])
    mark = entry["e_tag"] or str(entry["last_modified"])
    return Piece(name, f"{mark} {entry['size']}", entry)


def _before_wildcards(key: str) -> str:
    parts = key.split("/")
    first = next(i for i, part in enumerate(parts) if _WILD & set(part))
    return "/".join(parts[:first])


def _matches(path: str, pattern: str) -> bool:
    """Whether a key has the pattern's segments; ``**`` stands for any number of them."""

    def match(names: list[str], wanted: list[str]) -> bool:
        if not wanted:
            return not names
        if wanted[0] == "**":
            return any(match(names[i:], wanted[1:]) for i in range(len(names) + 1))
        return bool(names) and fnmatch.fnmatchcase(names[0], wanted[0]) and match(names[1:], wanted[1:])

    return match(path.split("/"), pattern.split("/"))
