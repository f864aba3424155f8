"""Where PDx keeps things: Delta tables by month, immutable documents, and bundles; a folder or s3://.

Storage only. No credit risk and no Dagster: stages/ decides what is written, orchestration/ when.
Layout under one portfolio: ``tables/<layer>``, ``documents/<kind>/<key>.json``, ``bundles/<digest>/``.
"""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError, PdxError
from pdx_assets.risk.hashing import content_sha256

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)

# Delta forgets by default: after 40 days the old log could not be read and version 0 was gone. An
# auditor asks for ten years.
TABLE_PROPERTIES = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
    # deltalake's default of 100 made opening a table with 60 commits cost 15 ms; with a checkpoint every 10, as
    # Delta itself has it, it is 4 ms however old the table.
    "delta.checkpointInterval": "10",
}
CONTENT = "content_sha256"
COMMIT_ATTEMPTS = 12

# What Lake.documents has read in this process, by place: the store's stamp of it, and the document.
_read: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}

_SAFE_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=-]*(/[A-Za-z0-9][A-Za-z0-9_.=-]*)*")


@dataclass(frozen=True)
class MonthContent:
    """What a table holds for one month: the hash of its rows, and how many."""

    sha256: str
    rows: int


class Lake:
    """Tables, documents and bundles of one portfolio.

    Args:
        root: a folder, or an ``s3://bucket/prefix`` URL (credentials from the environment).
        portfolio: name of the portfolio, already validated by its spec.
    """

    def __init__(self, root: str | Path, portfolio: str) -> None:
        self.is_remote = str(root).startswith("s3://")
        self.root = f"{str(root).rstrip('/')}/{portfolio}"
        self._objects_store: Any = None

    # --- tables ---------------------------------------------------------------------------------

    def table_path(self, layer: str) -> str:
        return f"{self.root}/tables/{_checked(layer)}"

    def _table(self, layer: str, version: int | None = None) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self.table_path(layer), version=version)
        except TableNotFoundError:
            return None

    def version(self, layer: str) -> int | None:
        """The table's newest version; None when it does not exist yet."""
        table = self._table(layer)
        return None if table is None else table.version()

    def write_month(self, layer: str, month: Month, frame: pl.DataFrame) -> MonthContent:
        """Replace one month of a table, atomically; the hash of its rows travels with them.

        The hash is a partition value, so data and hash become visible in the same commit: a kill
        between two writes cannot leave one without the other.
        """
        content = MonthContent(content_sha256(frame), frame.height)
        if self.contents(layer).get(month) == content:
            return content
        frame = frame.with_columns(pl.lit(str(month)).alias("cohort"), pl.lit(content.sha256).alias(CONTENT))
        self._replace(layer, frame, by=("cohort", CONTENT), predicate=f"cohort = '{month}'")
        if frame.height == 0:
            # A month without loans has no file in the table, and must not look like a missing month.
            self.put_document("empty_months", f"{layer}/{month}", {CONTENT: content.sha256})
        return content

    def write_where(self, layer: str, frame: pl.DataFrame, *, by: Sequence[str], predicate: str) -> None:
        """Replace the rows matching ``predicate`` with ``frame``, in one commit."""
        self._replace(layer, frame, by=by, predicate=predicate)

    def _replace(self, layer: str, frame: pl.DataFrame, *, by: Sequence[str], predicate: str) -> None:
        from deltalake import DeltaTable, write_deltalake

        path = self.table_path(layer)
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())

        def commit() -> None:
            # Two processes creating a table by their first write both believe to have written version 0.
            DeltaTable.create(
                path,
                schema=arrow.schema,
                mode="ignore",
                partition_by=list(by),
                configuration=TABLE_PROPERTIES,
            )
            write_deltalake(path, arrow, mode="overwrite", predicate=predicate, schema_mode="merge")

        _retry_conflicts(commit, what=path)

    def contents(self, layer: str, version: int | None = None) -> dict[Month, MonthContent]:
        """What the table holds, by month, read from its log alone."""
        return self._contents(layer, self._table(layer, version))

    def _contents(self, layer: str, table: DeltaTable | None) -> dict[Month, MonthContent]:
        found: dict[Month, MonthContent] = {}
        if table is not None:
            actions = pl.DataFrame(table.get_add_actions(flatten=True))
            if actions.height:
                grouped = actions.group_by("partition.cohort", f"partition.{CONTENT}").agg(pl.col("num_records").sum())
                found = {Month.parse(m): MonthContent(sha, rows) for m, sha, rows in grouped.iter_rows()}
        for key in self.keys(f"empty_months/{layer}"):
            month = Month.parse(key)
            if month not in found:
                document = self.get_document("empty_months", f"{layer}/{key}")
                found[month] = MonthContent(document[CONTENT], 0)
        return found

    def scan_months(
        self,
        layer: str,
        months: Iterable[Month],
        *,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """The rows of some months, lazily, months and columns pruned at the scan.

        Raises:
            HomeError: a month is not in the table; all missing months are named.
        """
        months = list(months)
        table = self._table(layer, version)
        have = self._contents(layer, table)
        missing = [str(m) for m in months if m not in have]
        if missing or table is None:
            raise HomeError(
                f"{layer} lacks {', '.join(missing)}.",
                expected=f"months {months[0]}..{months[-1]}",
                remedy=f"materialize {layer} for the months named",
            )
        frame = pl.scan_delta(table).filter(pl.col("cohort").is_in([str(m) for m in months])).drop(CONTENT)
        return frame if columns is None else frame.select(columns)

    def scan_table(self, layer: str, *, version: int | None = None) -> pl.LazyFrame:
        """The whole table, lazily; filters on its partition columns prune files."""
        return pl.scan_delta(self.table_path(layer), version=version)

    def partitions(self, layer: str, *columns: str) -> set[tuple[str, ...]]:
        """The distinct partition values a table holds, read from its log alone."""
        table = self._table(layer)
        if table is None:
            return set()
        actions = pl.DataFrame(table.get_add_actions(flatten=True))
        return set(actions.select(f"partition.{c}" for c in columns).unique().iter_rows()) if actions.height else set()

    # --- documents ------------------------------------------------------------------------------

    @property
    def _objects(self) -> Any:
        if self._objects_store is None:
            from obstore.store import LocalStore, from_url

            if self.is_remote:
                self._objects_store = from_url(self.root)
            else:
                self._objects_store = LocalStore(Path(self.root), automatic_cleanup=False, mkdir=True)
        return self._objects_store

    def put_document(self, kind: str, key: str, document: Mapping[str, Any]) -> None:
        """Write or replace a document, atomically."""
        self._objects.put(f"documents/{_checked(kind)}/{_checked(key)}.json", _pretty(document))

    def create_document(self, kind: str, key: str, document: Mapping[str, Any]) -> bool:
        """Write a document unless one is there; whether this call wrote it.

        The store itself refuses a second writer (a hard link on a disk, a conditional put on S3), so
        that of two processes deciding the same month exactly one is recorded.
        """
        from obstore.exceptions import AlreadyExistsError

        try:
            self._objects.put(f"documents/{_checked(kind)}/{_checked(key)}.json", _pretty(document), mode="create")
        except AlreadyExistsError:
            return False
        return True

    def get_document(self, kind: str, key: str) -> dict[str, Any]:
        """A stored document.

        Raises:
            HomeError: there is none.
        """
        document = self.find_document(kind, key)
        if document is None:
            raise HomeError(f"{kind} has no {key}.", remedy=f"materialize {kind} for {key.split('/')[-1]}")
        return document

    def find_document(self, kind: str, key: str) -> dict[str, Any] | None:
        """A stored document, or None."""
        data = self._find_bytes(f"documents/{_checked(kind)}/{_checked(key)}.json")
        return None if data is None else json.loads(data)

    def keys(self, kind: str) -> list[str]:
        """Keys of the documents of a kind, sorted."""
        prefix = f"documents/{_checked(kind)}/"
        names = [entry["path"] for batch in self._objects.list(prefix) for entry in batch]
        return sorted(n.removeprefix(prefix).removesuffix(".json") for n in names if n.endswith(".json"))

    def documents(self, kind: str) -> dict[str, dict[str, Any]]:
        """Every document of a kind, by key; what this process has read before and nobody replaced is not read again.

        A sensor looks at thousands of small documents every minute; one listing tells which of them are new.
        """
        prefix = f"documents/{_checked(kind)}/"
        found = {}
        for entry in (entry for batch in self._objects.list(prefix) for entry in batch):
            path = entry["path"]
            if path.endswith(".json"):
                at, stamp = f"{self.root}/{path}", (entry["e_tag"], entry["last_modified"], entry["size"])
                if at not in _read or _read[at][0] != stamp:
                    _read[at] = (stamp, json.loads(bytes(self._objects.get(path).bytes())))
                found[path.removeprefix(prefix).removesuffix(".json")] = _read[at][1]
        return found

    def _find_bytes(self, path: str) -> bytes | None:
        try:
            return bytes(self._objects.get(path).bytes())
        except FileNotFoundError:
            return None

    # --- bundles --------------------------------------------------------------------------------

    def put_bundle(self, digest: str, files: Mapping[str, bytes]) -> None:
        """Store a model's files under its digest; the manifest goes last, so a half-written one has none."""
        for name in sorted(files, key=lambda n: (n == "manifest.json", n)):
            self._objects.put(f"bundles/{_checked(digest)}/{_checked(name)}", files[name])

    def get_bundle(self, digest: str) -> dict[str, bytes]:
        """A model's files as stored; ``Bundle.from_files`` checks them against the digest.

        Raises:
            HomeError: there is no such bundle.
        """
        prefix = f"bundles/{_checked(digest)}/"
        names = [entry["path"] for batch in self._objects.list(prefix) for entry in batch]
        files = {name.removeprefix(prefix): bytes(self._objects.get(name).bytes()) for name in sorted(names)}
        if "manifest.json" not in files:
            raise HomeError(f"there is no bundle {digest}.", remedy="materialize the challenger that points to it")
        return files


def _pretty(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _checked(key: str) -> str:
    """A key that cannot leave its folder."""
    if not _SAFE_KEY.fullmatch(key) or ".." in key:
        raise PdxError(f"{key!r} is not a storage key.", expected="letters, digits, _ . = - and single slashes")
    return key


def _retry_conflicts(commit: Callable[[], None], *, what: str) -> None:
    from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

    for attempt in range(COMMIT_ATTEMPTS):
        try:
            return commit()
        except (CommitFailedError, TableNotFoundError, DeltaError) as error:
            # A conflict is another process committing first; anything else would fail again just the same.
            conflict = isinstance(error, CommitFailedError | TableNotFoundError) or "version" in str(error).lower()
            if not conflict or attempt == COMMIT_ATTEMPTS - 1:
                raise
            log.info("commit to %s conflicted (attempt %d): %s", what, attempt + 1, error)
            # Jitter only spreads the retries; no result depends on it.
            time.sleep(random.uniform(0.02, 0.1) * 2 ** min(attempt, 5))  # noqa: S311
    return None
