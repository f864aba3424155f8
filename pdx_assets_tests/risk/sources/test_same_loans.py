"""The same loans from every kind of source are the same bytes in raw_loans."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from pdx_assets.lake import Lake
from pdx_assets.risk.hashing import content_sha256
from pdx_assets.settings import Settings
from pdx_assets.stages.tape import open_tape, raw_loans
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.risk.sources import same_loans
from pdx_assets_tests.risk.sources.postgres import Server
from pdx_assets_tests.risk.sources.same_loans import SQL_BY_MONTH, SQL_COLUMNS, SQL_TABLE, as_csv, as_frame, as_records
from pdx_assets_tests.risk.sources.servers import Answer, api, s3

LOANS = same_loans.rows()
# Where a loan was read from differs by its nature; everything else must not.
PLACE = ("source_file", "source_row")
Declared = dict[str, Any]


def workspace(home: Path, **tape: Any) -> Workspace:
    settings = Settings(home, str(home / "lake"), f"sqlite:///{home}/mlflow.db", "http://x", "http://y")
    return Workspace(same_loans.spec(**tape), settings)


def table(ws: Workspace) -> dict[str, tuple[str, list[str]]]:
    """Hash and columns of every month of raw_loans as it is in the lake."""
    tape = open_tape(ws)
    found = {}
    for cohort in tape.cohorts:
        # As the IO manager writes what the asset returns.
        ws.lake.write_month("raw_loans", cohort, raw_loans(ws, cohort).loans)
        month = Lake(ws.settings.lake, "small").scan_months("raw_loans", [cohort]).collect().drop(*PLACE, "cohort")
        found[str(cohort)] = (content_sha256(month), sorted(month.columns))
    assert tape.accounting.rows_in == tape.accounting.rows_out == len(LOANS)
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, list[str]]]:
    home = tmp_path_factory.mktemp("csv")
    (home / "tape.csv").write_bytes(as_csv(LOANS))
    found = table(workspace(home, path=str(home / "tape.csv")))
    assert len(found) == 4
    return found


def lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def by_month() -> dict[str, list[dict[str, Any]]]:
    return {f"2016-{m:02d}": [loan for loan in LOANS if loan["opened"].month == m] for m in range(1, 5)}


def gz(folder: Path) -> Declared:
    (folder / "tape.csv.gz").write_bytes(gzip.compress(as_csv(LOANS)))
    return {"path": str(folder / "tape.csv.gz")}


def zip_of_one(folder: Path) -> Declared:
    with zipfile.ZipFile(folder / "tape.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/LoanStats", as_csv(LOANS))
    return {"path": str(folder / "tape.zip")}


def zip_of_months(folder: Path) -> Declared:
    with zipfile.ZipFile(folder / "tape.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "loans by month")
        for month, loans in by_month().items():
            archive.writestr(f"{month}.csv", as_csv(loans))
    return {"path": str(folder / "*.zip")}


def parquet(folder: Path) -> Declared:
    as_frame(LOANS).write_parquet(folder / "tape.parquet")
    return {"path": str(folder / "tape.parquet")}


def parquet_with_other_types(folder: Path) -> Declared:
    frame = as_frame(LOANS).with_columns(
        pl.col("number").cast(pl.Float64),  # what pandas makes of whole numbers beside a missing one
        pl.col("amount").cast(pl.Float64),
        pl.col("opened").cast(pl.Datetime("ns")),
        pl.col("seen_at").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Kolkata"),
        pl.col("purpose").cast(pl.String).cast(pl.Binary),
    )
    frame.write_parquet(folder / "tape.parquet", row_group_size=5)
    return {"path": str(folder / "tape.parquet"), "format": "parquet"}


def folder_of_mixed_formats(folder: Path) -> Declared:
    place = folder / "mixed"
    place.mkdir()
    for i, (month, loans) in enumerate(by_month().items()):
        if i % 4 == 0:
            as_frame(loans).write_parquet(place / f"{month}.parquet")
        elif i % 4 == 1:
            (place / f"{month}.csv").write_bytes(as_csv(loans))
        elif i % 4 == 2:
            (place / f"{month}.jsonl.gz").write_bytes(gzip.compress(lines(as_records(loans))))
        else:
            with zipfile.ZipFile(place / f"{month}.zip", "w") as archive:
                archive.writestr(f"{month}.csv", as_csv(loans))
    (place / "notes.txt").write_text("not read")
    return {"path": str(place)}


def delta(folder: Path) -> Declared:
    write_deltalake(folder / "table", as_frame(LOANS).with_columns(pl.col("purpose").cast(pl.String)).to_arrow())
    return {"path": str(folder / "table")}


def delta_by_month(folder: Path) -> Declared:
    """Partitioned by the origination date, written backwards, one month replaced: old files lie about."""
    frame = as_frame(LOANS).with_columns(pl.col("purpose").cast(pl.String))
    stale = frame.filter(pl.col("opened").dt.month() == 3).with_columns(state=pl.lit("Gone"))
    for month in (4, 2, 1):
        part = frame.filter(pl.col("opened").dt.month() == month)
        write_deltalake(folder / "table", part.to_arrow(), mode="append", partition_by=["opened"])
    write_deltalake(folder / "table", stale.to_arrow(), mode="append")
    part = frame.filter(pl.col("opened").dt.month() == 3).to_arrow()
    write_deltalake(folder / "table", part, mode="overwrite", predicate="opened = '2016-03-01'")
    return {"path": str(folder / "table")}


def json_lines(folder: Path) -> Declared:
    (folder / "tape.jsonl").write_bytes(lines(as_records(LOANS)))
    return {"path": str(folder / "tape.jsonl")}


def json_lines_without_nulls(folder: Path) -> Declared:
    records = [{k: v for k, v in record.items() if v is not None} for record in as_records(LOANS)]
    # Keys that the first record lacks are found further down.
    (folder / "tape").write_bytes(gzip.compress(b"\xef\xbb\xbf" + lines(records)))
    return {"path": str(folder / "tape")}


def sqlite(folder: Path) -> Declared:
    """SQLite has no dates: it gives the text that was put in."""
    with sqlite3.connect(folder / "book.db") as link:
        link.execute(SQL_TABLE.replace(" date", " text").replace("timestamp", "text").replace("boolean", "text"))
        records = [{**r, "is_joint": "true" if r["is_joint"] else "false"} for r in as_records(LOANS)]
        marks = ", ".join("?" * len(records[0]))
        link.executemany(
            f"INSERT INTO book ({SQL_COLUMNS}) VALUES ({marks})", [tuple(record.values()) for record in records]
        )
    link.close()
    query = f"SELECT {SQL_COLUMNS} FROM book ORDER BY number"
    return {"sql": {"url": f"sqlite:///{folder}/book.db", "query": query}}


LOCAL: dict[str, Callable[[Path], Declared]] = {
    "csv.gz": gz,
    "zip of one file": zip_of_one,
    "zip of months": zip_of_months,
    "parquet": parquet,
    "parquet with other types": parquet_with_other_types,
    "folder of mixed formats": folder_of_mixed_formats,
    "delta": delta,
    "delta by month": delta_by_month,
    "json lines": json_lines,
    "json lines without nulls, gzip, no suffix": json_lines_without_nulls,
    "sqlite": sqlite,
}


@pytest.mark.parametrize("kind", LOCAL)
def test_from_this_machine(kind: str, tmp_path: Path, expected: dict[str, Any]) -> None:
    assert table(workspace(tmp_path / "home", **LOCAL[kind](tmp_path))) == expected


@pytest.mark.parametrize("kind", ["csv", "parquet", "delta by month", "zip of months"])
def test_from_an_object_store(
    kind: str, tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3(monkeypatch) as bucket:
        if kind == "csv":
            for month, loans in by_month().items():
                bucket.put(f"books/{month}.csv", as_csv(loans))
            bucket.put("books/notes.txt", b"not read")
            bucket.put("books/old/2015-01.csv", b"not read either")
            path = "s3://loans/books/"
        elif kind == "parquet":
            for month, loans in by_month().items():
                as_frame(loans).write_parquet(tmp_path / "part.parquet")
                bucket.put(f"books/2016/{month}/part.parquet", (tmp_path / "part.parquet").read_bytes())
            path = "s3://loans/books/**/*.parquet"
        else:
            local = Path(LOCAL[kind](tmp_path)["path"])
            if kind == "delta by month":
                for file in (f for f in local.rglob("*") if f.is_file()):
                    bucket.put(f"table/{file.relative_to(local).as_posix()}", file.read_bytes())
                path = "s3://loans/table"
            else:
                bucket.put("tape.zip", (tmp_path / "tape.zip").read_bytes())
                path = "s3://loans/tape.zip"
        assert table(workspace(tmp_path / "home", path=path)) == expected


def filled(book: Server) -> None:
    marks = ", ".join(["%s"] * len(LOANS[0]))
    insert = f"INSERT INTO book ({SQL_COLUMNS}) VALUES ({marks})"
    book.execute(SQL_TABLE, insert, rows=[tuple(loan.values()) for loan in LOANS])


@pytest.mark.parametrize("query", [f"SELECT {SQL_COLUMNS} FROM book ORDER BY number;", SQL_BY_MONTH])
def test_from_postgresql(query: str, book: Server, tmp_path: Path, expected: dict[str, Any]) -> None:
    filled(book)
    assert table(workspace(tmp_path, sql={"url": book.url(), "query": query})) == expected


@pytest.mark.parametrize("paging", ["none", "next link", "link header", "page", "cursor", "page by month"])
def test_from_an_api(paging: str, tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOANS_API_TOKEN", "t0ken")
    everything = as_records(LOANS)
    for record in everything:
        record["opened"], record["seen_at"] = str(record["opened"]), str(record["seen_at"])
    size = 5

    def answer(path: str, parameters: dict[str, str], headers: dict[str, str]) -> Answer:
        if headers.get("authorization") != "Bearer t0ken":
            return Answer({"error": "who are you"}, 401)
        wanted = everything
        if "month" in parameters:
            month = int(parameters["month"][5:]) if parameters["month"].startswith("2016-") else 0
            wanted = [r for r, loan in zip(everything, LOANS, strict=True) if loan["opened"].month == month]
        if paging == "none":
            return Answer(wanted)
        at = int(parameters.get("page", parameters.get("cursor", "0")) or 0)
        page, more = wanted[at * size : (at + 1) * size], (at + 1) * size < len(wanted)
        body = {"data": {"items": page, "next": f"/loans?page={at + 1}" if more else None, "cursor": at + 1}}
        if not more:
            del body["data"]["cursor"]
        return Answer(body, headers={"Link": f'<{host.url}/loans?page={at + 1}>; rel="next"'} if more else {})

    kinds: dict[str, Any] = {
        "none": None,
        "next link": {"kind": "next_link", "path": "data.next"},
        "link header": {"kind": "next_link"},
        "page": {"kind": "page", "first": 0},
        "page by month": {"kind": "page", "first": 0},
        "cursor": {"kind": "cursor", "path": "data.cursor"},
    }
    with ExitStack() as stack:
        host = stack.enter_context(api(answer))
        declared = {
            "url": f"{host.url}/loans",
            "records": None if paging == "none" else "data.items",
            "paging": kinds[paging],
            "auth": {"variable": "LOANS_API_TOKEN"},
            "month_parameter": "month" if paging == "page by month" else None,
        }
        assert table(workspace(tmp_path, http=declared)) == expected
