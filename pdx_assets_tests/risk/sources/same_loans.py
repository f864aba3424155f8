"""One small book, typed, and the CSV that a plain export of it is."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets_tests.risk import small_tape

FIRST = date(2016, 1, 1)


def rows(count: int = 16) -> list[dict[str, Any]]:
    """Loans 1..count, four a month, in the order of their months."""
    found = []
    for i in range(count):
        month = i // 4 + 1
        found.append(
            {
                "number": i + 1,
                "opened": date(2016, month, 1),
                "amount": Decimal("1000.50") + i,
                "income": 20000.0 if i % 3 else 0.1 + 0.2,
                "term": " 36 months",
                "first_credit": date(2010, 1 + i % 12, 1),
                "purpose": 'café, "bar"' if i % 4 == 0 else None,
                "last_paid": date(2017, 12, 1) if i % 5 else None,
                "state": "Current",
                "note": "two\nlines" if i == 7 else None,
                "is_joint": i % 2 == 0,
                "seen_at": datetime(2018, 1, 2, 3, 4, 5),
            }
        )
    return found


def as_csv(loans: list[dict[str, Any]]) -> bytes:
    """Written by hand, not by the code under test: what the docs say the text of each value is."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(list(loans[0]))
    for loan in loans:
        writer.writerow(
            [
                str(loan["number"]),
                f"{loan['opened']:%b-%Y}",
                str(loan["amount"]).removesuffix("0"),
                "20000" if loan["income"] == 20000.0 else "0.30000000000000004",
                loan["term"],
                f"{loan['first_credit']:%b-%Y}",
                loan["purpose"] or "",
                f"{loan['last_paid']:%b-%Y}" if loan["last_paid"] else "",
                loan["state"],
                loan["note"] or "",
                "true" if loan["is_joint"] else "false",
                "2018-01-02 03:04:05",
            ]
        )
    return stream.getvalue().encode()


def as_frame(loans: list[dict[str, Any]]) -> pl.DataFrame:
    """With the dtypes a database or a data frame would have."""
    frame = pl.DataFrame(loans, schema_overrides={"number": pl.Int64, "amount": pl.Decimal(12, 2), "note": pl.String})
    return frame.with_columns(pl.col("purpose").cast(pl.Categorical))


def as_records(loans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As a JSON export has them: numbers are numbers, dates text, and what is missing null or not there."""
    found = []
    for loan in loans:
        record = {**loan, "amount": float(loan["amount"]), "seen_at": str(loan["seen_at"])}
        for name in ("opened", "first_credit", "last_paid"):
            record[name] = None if loan[name] is None else f"{loan[name]:%b-%Y}"
        found.append(record)
    return found


def spec(**tape: Any) -> PortfolioSpec:
    """The small spec reading from the given place."""
    attributes = {**small_tape.ATTRIBUTES, "tape": {**small_tape.ATTRIBUTES["tape"], **tape}}
    if "path" not in tape and ("sql" in tape or "http" in tape):
        del attributes["tape"]["path"]
    return PortfolioSpec.model_validate(attributes)


SQL_TABLE = """CREATE TABLE book (number integer, opened date, amount numeric(12, 2), income double precision,
    term text, first_credit date, purpose text, last_paid date, state text, note text, is_joint boolean,
    seen_at timestamp, updated integer DEFAULT 1)"""
SQL_COLUMNS = "number, opened, amount, income, term, first_credit, purpose, last_paid, state, note, is_joint, seen_at"
SQL_BY_MONTH = (
    f"SELECT {SQL_COLUMNS} FROM book WHERE opened >= :month_start AND opened < :next_month_start ORDER BY number"
)
