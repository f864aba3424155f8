"""Tapes from databases: PostgreSQL for real, and SQLite. Months, marks, reading only, and what failures say."""

from __future__ import annotations

import sqlite3
import traceback
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pdx_assets.risk.calendar import Month, Periods
from pdx_assets.risk.errors import SpecError, TapeError, TapeUnavailableError
from pdx_assets.risk.sources.database import DatabaseSession, DatabaseSource, as_month
from pdx_assets.risk.sources.landing import Landed, land
from pdx_assets.risk.spec import SqlSource
from pdx_assets.risk.tape import locate_tape, stage_tape
from pdx_assets_tests.risk.small_tape import PANEL_LABEL
from pdx_assets_tests.risk.sources import same_loans
from pdx_assets_tests.risk.sources.postgres import PASSWORD, Server
from pdx_assets_tests.risk.sources.same_loans import SQL_BY_MONTH, SQL_COLUMNS, SQL_TABLE

CHANGES = "SELECT to_char(opened, 'YYYY-MM') AS month, max(updated) AS mark FROM book GROUP BY 1"
MONTHS = Periods("month").span(Month(2015, 12), Month(2016, 6))
WHOLE = f"SELECT {SQL_COLUMNS} FROM book ORDER BY number"


def source(url: str, query: str = SQL_BY_MONTH, changes: str | None = None) -> DatabaseSource:
    return DatabaseSource(SqlSource(url=url, query=query, changes=changes), where="tape.sql", months=MONTHS)


def landed(of: DatabaseSource, folder: Path) -> Landed:
    return land(of, folder, fresh_seconds=0)


def names(found: Landed) -> list[str]:
    return [name for _, name in found.files]


@pytest.fixture
def filled(book: Server) -> Server:
    loans = same_loans.rows()
    insert = f"INSERT INTO book ({SQL_COLUMNS}) VALUES ({', '.join(['%s'] * len(loans[0]))})"
    book.execute(SQL_TABLE, insert, rows=[tuple(loan.values()) for loan in loans])
    return book


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pieces that were queried for."""
    found: list[str] = []
    original = DatabaseSession.fetch

    def noted(self: DatabaseSession, piece: Any, target: Path) -> bool:
        found.append(piece.name)
        return original(self, piece, target)

    monkeypatch.setattr(DatabaseSession, "fetch", noted)
    return found


def test_a_month_without_rows_has_no_file(filled: Server, tmp_path: Path, asked: list[str]) -> None:
    found = landed(source(filled.url()), tmp_path)
    assert names(found) == [f"2016-{m:02d}.parquet" for m in range(1, 5)]
    assert asked == [f"{m}.parquet" for m in MONTHS]


def test_only_months_whose_mark_moved_are_read_again(filled: Server, tmp_path: Path, asked: list[str]) -> None:
    marked = source(filled.url(), changes=CHANGES)
    first = landed(marked, tmp_path)
    assert asked == ["2016-01.parquet", "2016-02.parquet", "2016-03.parquet", "2016-04.parquet"]
    asked.clear()
    assert landed(marked, tmp_path) == first and asked == []
    filled.execute("UPDATE book SET state = 'Late', updated = 2 WHERE number = 6")
    second = landed(marked, tmp_path)
    assert asked == ["2016-02.parquet"] and second.folder != first.folder
    filled.execute("DELETE FROM book WHERE opened = '2016-04-01'")
    assert names(landed(marked, tmp_path)) == ["2016-01.parquet", "2016-02.parquet", "2016-03.parquet"]


def test_marks_serve_a_query_that_is_read_whole_too(filled: Server, tmp_path: Path, asked: list[str]) -> None:
    marked = source(filled.url(), WHOLE, CHANGES)
    landed(marked, tmp_path)
    landed(marked, tmp_path)
    assert asked == ["query.parquet"]
    filled.execute("UPDATE book SET updated = 2")
    landed(marked, tmp_path)
    assert asked == ["query.parquet"] * 2


def test_the_same_rows_are_the_same_bytes(filled: Server, tmp_path: Path) -> None:
    assert (
        landed(source(filled.url()), tmp_path / "a").folder.name
        == landed(source(filled.url()), tmp_path / "b").folder.name
    )


def test_postgresql_refuses_to_be_written_to(filled: Server, tmp_path: Path) -> None:
    filled.execute(
        "CREATE FUNCTION gone() RETURNS integer LANGUAGE sql AS 'DELETE FROM book; SELECT 1'",
    )
    with pytest.raises(TapeUnavailableError, match="read-only transaction"):
        landed(source(filled.url(), "SELECT gone() AS number ORDER BY 1"), tmp_path)
    assert names(landed(source(filled.url(), WHOLE), tmp_path)) == ["query.parquet"]


def test_all_months_are_of_one_moment(filled: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loan that moves from a month not yet read to one already read is not lost."""
    original = DatabaseSession.fetch

    def moved(self: DatabaseSession, piece: Any, target: Path) -> bool:
        read = original(self, piece, target)
        if piece.name == "2016-01.parquet":
            filled.execute("UPDATE book SET opened = '2016-01-01' WHERE number = 16")
        return read

    monkeypatch.setattr(DatabaseSession, "fetch", moved)
    portfolio = same_loans.spec(sql={"url": filled.url(), "query": SQL_BY_MONTH, "changes": CHANGES})
    found = locate_tape(portfolio, override=None, simulated_folder=tmp_path, landing=tmp_path / "landing")
    assert stage_tape(portfolio, found, tmp_path / "staging").accounting.rows_out == 16


def test_the_performance_panel_comes_from_a_query_too(filled: Server, tmp_path: Path) -> None:
    filled.execute(
        "CREATE TABLE panel (loan integer, day date, late integer)",
        "INSERT INTO panel SELECT n, date '2016-12-31', 95 FROM generate_series(1, 16) n",
    )
    declared = {
        "sql": {"url": filled.url(), "query": "SELECT * FROM panel ORDER BY loan, day"},
        "loan_id": "loan",
        "month": "day",
        "days_past_due": "late",
    }
    portfolio = same_loans.spec(
        sql={"url": filled.url(), "query": WHOLE}, performance=declared, as_of_columns=[], as_of="2018-01-31"
    ).model_copy(update={"label": type(same_loans.spec(path="x").label).model_validate(PANEL_LABEL)})
    found = locate_tape(portfolio, override=None, simulated_folder=tmp_path, landing=tmp_path / "landing")
    tape = stage_tape(portfolio, found, tmp_path / "staging")
    assert tape.performance_accounting is not None and tape.performance_accounting.rows_out == 16
    assert set(tape.cohort(tape.cohorts[0]).performance["month"]) == {date(2016, 12, 31)}  # type: ignore[index]
    with pytest.raises(TapeError, match=r"first at performance/query\.parquet record 1"):
        odd = declared | {"sql": {"url": filled.url(), "query": "SELECT n AS loan, date '2016-12-31' AS day, "
                                  "-1 AS late FROM generate_series(1, 16) n ORDER BY 1"}}  # fmt: skip
        panel = type(portfolio.tape.performance).model_validate(odd)  # type: ignore[union-attr, arg-type]
        other = portfolio.model_copy(update={"tape": portfolio.tape.model_copy(update={"performance": panel})})
        found = locate_tape(
            other, override=None, simulated_folder=tmp_path, landing=tmp_path / "landing", look_again=True
        )
        stage_tape(other, found, tmp_path / "staging")


# What failures say ------------------------------------------------------------------------------------------------


def whole_story(error: BaseException) -> str:
    """The message and everything a log would show with it."""
    return "".join(traceback.format_exception(error))


def test_a_wrong_password_is_unavailable_and_not_shown(
    filled: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(source(filled.url(), WHOLE), tmp_path)
    monkeypatch.setenv("PDX_TEST_PG_PASSWORD", "hunter2@/:%")
    monkeypatch.setattr("pdx_assets.risk.sources.database._ATTEMPTS", 1)
    with pytest.raises(TapeUnavailableError, match="password authentication failed") as caught:
        landed(source(filled.url(), WHOLE), tmp_path)
    story = whole_story(caught.value)
    assert "hunter2" not in story and "tape.sql.url" in story and "127.0.0.1" in story


def test_a_whole_address_from_the_environment_is_not_shown(
    filled: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urllib.parse import quote

    monkeypatch.setenv("LOANS_DB", filled.url(password=quote(PASSWORD, safe="")))
    assert names(landed(source("${LOANS_DB}", WHOLE), tmp_path)) == ["query.parquet"]
    monkeypatch.setenv("LOANS_DB", f"postgresql+psycopg2://owner:hunter2@127.0.0.1:{filled.port}/nowhere")
    monkeypatch.setattr("pdx_assets.risk.sources.database._ATTEMPTS", 1)
    with pytest.raises(TapeUnavailableError) as caught:
        landed(source("${LOANS_DB}", WHOLE), tmp_path)
    assert "hunter2" not in whole_story(caught.value)
    monkeypatch.setenv("LOANS_DB", "hunter2 is no address")
    with pytest.raises(SpecError, match=r"tape\.sql\.url is not a database address") as spec_error:
        source("${LOANS_DB}", WHOLE)
    assert "hunter2" not in whole_story(spec_error.value)


def test_a_wrong_query_and_a_server_that_is_gone_are_unavailable(
    filled: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TapeUnavailableError, match='relation "bok" does not exist'):
        landed(source(filled.url(), "SELECT * FROM bok ORDER BY 1"), tmp_path)
    monkeypatch.setattr("pdx_assets.risk.sources.database._ATTEMPTS", 1)
    with pytest.raises(TapeUnavailableError, match="refused"):
        landed(source("postgresql+psycopg2://owner@127.0.0.1:9/loans", WHOLE), tmp_path)
    slow = SqlSource(url=filled.url(), query="SELECT pg_sleep(30), 1 AS x ORDER BY 2", timeout_seconds=1)
    with pytest.raises(TapeUnavailableError, match="statement timeout"):
        landed(DatabaseSource(slow, where="tape.sql", months=()), tmp_path)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("SELECT 1 AS x", "two columns"),
        ("SELECT NULL AS month, 1 AS mark", "month None"),
        ("SELECT 'July' AS month, 1 AS mark", "month 'July'"),
        ("SELECT '2016-01' AS month, 1 AS mark UNION ALL SELECT '2016-01-31', 2", "a second row for month"),
    ],
)
def test_changes_that_would_lose_rows_are_refused(changes: str, words: str, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "a.db").close()
    with pytest.raises(TapeError, match=words):
        landed(source(f"sqlite:///{tmp_path}/a.db", "SELECT 1 AS number ORDER BY 1", changes), tmp_path / "landing")


def test_sqlite_is_read_only_and_not_made_where_it_is_not(tmp_path: Path) -> None:
    with pytest.raises(TapeUnavailableError, match="unable to open database file"):
        landed(source(f"sqlite:///{tmp_path}/gone.db", WHOLE), tmp_path / "landing")
    assert not (tmp_path / "gone.db").exists()
    with sqlite3.connect(tmp_path / "book.db") as link:
        link.execute("CREATE TABLE book (number, opened)")
        link.executemany(
            "INSERT INTO book VALUES (?, ?)", [(1, "2016-01-05"), (2.5, "2016-01-31"), ("x", "2016-02-01")]
        )
    link.close()
    query = "SELECT number, opened FROM book WHERE opened >= :month_start AND opened < :next_month_start ORDER BY 1"
    found = landed(source(f"sqlite:///{tmp_path}/book.db", query), tmp_path / "landing")
    assert names(found) == ["2016-01.parquet", "2016-02.parquet"]
    hidden = DatabaseSource(
        SqlSource(url=f"sqlite:///{tmp_path}/book.db", query="WITH x AS (SELECT 1) DELETE FROM book -- ORDER BY"),
        where="tape.sql",
        months=(),
    )
    with pytest.raises(TapeUnavailableError, match="readonly"):
        landed(hidden, tmp_path / "landing")


def test_names_given_twice_and_no_rows_at_all(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "a.db").close()
    url = f"sqlite:///{tmp_path}/a.db"
    with pytest.raises(TapeError, match=r"columns twice: \['x'\]"):
        landed(source(url, "SELECT 1 AS x, 2 AS x ORDER BY 1"), tmp_path / "landing")
    portfolio = same_loans.spec(sql={"url": url, "query": "SELECT 1 AS number WHERE 0 ORDER BY 1"})
    found = locate_tape(portfolio, override=None, simulated_folder=tmp_path, landing=tmp_path / "landing")
    with pytest.raises(TapeError, match=r"query\.parquet: the schema lacks"):
        stage_tape(portfolio, found, tmp_path / "staging")


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"tape\.sql\.url: the driver of oracle\+nodriver is not installed"):
        landed(source("oracle+nodriver://me@host/x", WHOLE), tmp_path)


@pytest.mark.parametrize(
    ("value", "month"),
    [
        ("2016-07", "2016-07"),
        (" 2016-07-31 10:00", "2016-07"),
        (date(2016, 7, 3), "2016-07"),
        (None, None),
        ("", None),
        (201607, None),
    ],
)
def test_a_month_is_told_in_several_ways(value: object, month: str | None) -> None:
    assert as_month(value) == month
