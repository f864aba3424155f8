"""A SQL database: what one SELECT gives, whole or month by month, read in a transaction that cannot write.

Rows land as Parquet of text, with a note of which columns are dates: their declared format is applied when the
file is read (tape_parquet.py), like that of any typed file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pdx_assets.risk.calendar import Month, Periods
from pdx_assets.risk.errors import PdxError, SpecError, TapeError, TapeUnavailableError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.sources.landing import Before, Piece
from pdx_assets.risk.sources.secrets import called, expand_url, redacted
from pdx_assets.risk.spec import SqlSource
from pdx_assets.risk.tape_parquet import TEMPORAL
from pdx_assets.risk.tape_text import cell_text

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

_BATCH = 20_000
_ATTEMPTS = 3
_WHOLE = "query.parquet"


class DatabaseSource:
    """A declared query.

    Args:
        declared: the declaration; variables in its address are filled in here.
        where: its place in the portfolio's YAML.
        months: the months to ask for where the query is monthly and nothing tells which have rows.

    Raises:
        SpecError: a variable is not set, the address is none, or its driver is not installed.
    """

    def __init__(self, declared: SqlSource, *, where: str, months: Sequence[Month]) -> None:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        self.declared, self.where, self.months = declared, f"{where}.url", tuple(months)
        text, self.secrets = expand_url(declared.url, where=self.where)
        try:
            self.url = make_url(text)
        except (ArgumentError, ValueError):
            raise SpecError(
                f"{self.where} is not a database address.",
                expected="such as postgresql+psycopg2://user@host:5432/loans",
            ) from None  # the library's message quotes the address
        self.secrets = (*self.secrets, *([str(self.url.password)] if self.url.password else []))
        self.called = called(self.url.render_as_string(hide_password=True))
        asked = [declared.query, declared.changes, self.url.render_as_string(hide_password=True)]
        self.identity = document_sha256(asked)

    @contextmanager
    def session(self) -> Iterator[DatabaseSession]:
        from sqlalchemy.exc import SQLAlchemyError

        engine = self._engine()
        try:
            with self._connected(engine) as connection:
                yield DatabaseSession(self, connection)
        except SQLAlchemyError as error:
            raise TapeUnavailableError(
                f"{self.called} cannot be read: {self._told(error)}",
                expected="a database that answers, lets this user in, and knows the query",
                remedy=f"look at {self.where}, the user's rights, and the query",
            ) from None  # the driver's own error may quote the address
        finally:
            engine.dispose()

    def _told(self, error: Exception) -> str:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        return redacted(" ".join(line.strip() for line in lines[:4]) or type(error).__name__, self.secrets)

    def _engine(self) -> Engine:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import NoSuchModuleError
        from sqlalchemy.pool import NullPool

        options: dict[str, Any] = {"poolclass": NullPool, "hide_parameters": True}
        backend = self.url.get_backend_name()
        if backend == "sqlite":
            options["creator"] = lambda: _read_only_sqlite(self.url)
        elif backend == "postgresql" and self.url.get_driver_name() == "psycopg2":
            timeout = self.declared.timeout_seconds * 1000
            options["connect_args"] = {"connect_timeout": 10, "options": f"-c statement_timeout={timeout}"}
        try:
            return create_engine(self.url, **options)
        except (NoSuchModuleError, ImportError):
            raise SpecError(
                f"{self.where}: the driver of {self.url.drivername} is not installed.",
                expected="a driver SQLAlchemy knows, such as psycopg2 for PostgreSQL",
                remedy="install it beside PDx; for PostgreSQL: pip install 'pdx-assets[postgres]'",
            ) from None

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        connection = _with_tries(engine)
        try:
            if engine.dialect.name == "postgresql":
                # One moment for all months, and a server that refuses to write.
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection
        finally:
            # Whatever a database without read-only transactions was made to do is undone.
            connection.rollback()
            connection.close()


def _with_tries(engine: Engine) -> Connection:
    import time

    from sqlalchemy.exc import OperationalError

    for attempt in range(_ATTEMPTS):
        try:
            return engine.connect()
        except OperationalError:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.5 * 2**attempt)
    raise AssertionError("unreachable")


def _read_only_sqlite(url: URL) -> Any:
    import sqlite3

    # SQLAlchemy would make an empty database where there is none.
    connection = sqlite3.connect(f"file:{quote(url.database or '')}?mode=ro", uri=True, timeout=30)
    connection.execute("PRAGMA query_only = ON")
    return connection


class DatabaseSession:
    """One transaction: what there is, then its rows."""

    def __init__(self, source: DatabaseSource, connection: Connection) -> None:
        self.source, self.connection, self.base = source, connection, source.called

    def pieces(self, _before: Before, /) -> Sequence[Piece]:
        """One piece, or one a month; marked by what the ``changes`` query says."""
        declared = self.source.declared
        changes = None if declared.changes is None else self._changes(declared.changes)
        if not declared.is_monthly:
            return [Piece(_WHOLE, None if changes is None else document_sha256(changes), None)]
        marks = dict.fromkeys(map(str, self.source.months)) if changes is None else changes
        return [Piece(f"{month}.parquet", mark, Month.parse(month)) for month, mark in sorted(marks.items())]

    def _changes(self, query: str) -> dict[str, str | None]:
        from sqlalchemy import text

        result = self.connection.execute(text(query))
        if len(result.keys()) != 2:
            raise TapeError(
                f"{self.source.called}: the changes query gives {list(result.keys())}.",
                expected="two columns: the month, such as 2016-07 or a date in it, and a mark",
            )
        found: dict[str, str | None] = {}
        for month, mark in result:
            key = as_month(month)
            if key is None or key in found:
                what = "a second row for month" if key else "month"
                raise TapeError(
                    f"{self.source.called}: the changes query gives {what} {month!r}.",
                    expected="one row a month, such as 2016-07; rows without a month would never be read",
                    remedy="correct the changes query, or leave rows without a date out of it and of the query",
                )
            # A month whose mark is null is read each time.
            found[key] = cell_text(mark)
        return found

    def fetch(self, piece: Piece, target: Path) -> bool:
        """The query's rows, in its order; a month without rows has no file."""
        from sqlalchemy import Date, bindparam, text

        statement = text(self.source.declared.query)
        if piece.key is not None:
            bounds = {"month_start": piece.key.first_day, "next_month_start": (piece.key + 1).first_day}
            statement = statement.bindparams(*(bindparam(name, day, type_=Date) for name, day in bounds.items()))
        result = self.connection.execute(statement, execution_options={"stream_results": True, "yield_per": _BATCH})
        columns = list(result.keys())
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise TapeError(
                f"{self.source.called}: the query names columns twice: {twice}.",
                expected="each name once",
                remedy="rename them with AS",
            )
        rows = _write(result.partitions(), columns, target)
        if rows == 0 and piece.key is not None:
            target.unlink()
            return False
        return True


def _write(batches: Iterator[Sequence[Any]], columns: list[str], target: Path) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.string()) for name in columns])
    kinds: list[set[str]] = [set() for _ in columns]
    rows = 0
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in batches:
            cells = list(zip(*batch, strict=True))
            for seen, column in zip(kinds, cells, strict=True):
                seen.update(map(_kind, {type(value) for value in column}))
            texts = [pa.array([cell_text(value) for value in column], pa.string()) for column in cells]
            writer.write_table(pa.table(texts, schema=schema))
            rows += len(batch)
        temporal = {
            name: seen.pop()
            for name, seen in zip(columns, (k - {""} for k in kinds), strict=True)
            if len(seen) == 1 and seen <= {"date", "datetime"}
        }
        writer.add_key_value_metadata({TEMPORAL.decode(): json.dumps(temporal, sort_keys=True)})
    return rows


def _kind(kind: type) -> str:
    if kind is type(None):
        return ""
    if issubclass(kind, datetime):
        return "datetime"
    return "date" if issubclass(kind, date) else "text"


def as_month(value: Any) -> str | None:
    """``2016-07`` of a month's text, a date in it, or its text; None where it is none of them."""
    try:
        if isinstance(value, date):
            return str(Month.of(value))
        text = str(value).strip()
        return str(Month.of(date.fromisoformat(text[:10])) if len(text) >= 10 else Month.parse(text))
    except (ValueError, PdxError):
        return None


def months_until_today(first: Month) -> tuple[Month, ...]:
    """Every calendar month from the first cohort to the current one (UTC)."""
    return Periods("month").span(first, Month.of(datetime.now(UTC).date()))
