"""The text a typed cell becomes: the same as in a CSV export of the same table, so that a loan has one spelling.

Parquet, Delta, SQL and JSON hold typed values; everything after reading works on text as received. A value
has one text whatever type held it:

- a number: plain digits, no exponent, no zeros behind the last digit that counts, no ``.0``. 7500, 7500.0
  and the decimal 7500.00 are ``7500``; a float is the shortest text that reads back as it. NaN is blank.
- a date: in the declared ``format`` of its column, else ``2016-01-31``. A moment likewise, else
  ``2016-01-31 08:30:00`` with the fraction where there is one; one with a time zone is told in UTC.
- ``true`` and ``false``; text as it is; bytes as the UTF-8 text they are, else ``\\x`` and hexadecimal.
- a list or a record: its JSON.
- null is blank.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl

_MOMENT = "%Y-%m-%d %H:%M:%S%.6f"
_NO_FRACTION = r"\.000000$"


def as_text(cells: pl.Series, date_format: str | None = None) -> pl.Series:
    """Cells of any dtype as text (String); ``date_format`` is the declared strptime format of a date column."""
    dtype = cells.dtype
    if dtype.is_numeric():
        return _numbers(cells)
    if isinstance(dtype, pl.Datetime):
        moments = cells if dtype.time_zone is None else cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        if date_format:
            return moments.dt.strftime(date_format)
        return moments.dt.strftime(_MOMENT).str.replace(_NO_FRACTION, "")
    if dtype == pl.Date:
        return cells.dt.strftime(date_format or "%Y-%m-%d")
    if dtype == pl.Time:
        return cells.dt.strftime("%H:%M:%S%.6f").str.replace(_NO_FRACTION, "")
    if dtype == pl.Duration:
        return cells.dt.to_string("iso")
    if dtype == pl.Binary or dtype.is_nested() or dtype == pl.Object:
        return pl.Series(cells.name, [cell_text(value) for value in cells.to_list()], dtype=pl.String)
    return cells.cast(pl.String)


def _numbers(cells: pl.Series) -> pl.Series:
    if cells.dtype.is_integer():
        return cells.cast(pl.String)
    if cells.dtype.is_float():
        cells = cells.fill_nan(None)
    found = cells.cast(pl.String)
    exponents = found.str.contains("e", literal=True).fill_null(False)
    if exponents.any():
        plain = [number_text(Decimal(text)) for text in found.filter(exponents)]
        found = found.scatter(exponents.arg_true(), plain)
    found = found.str.replace(r"\.0*$", "").str.replace(r"(\.\d*[1-9])0+$", "${1}")
    return found.replace("-0", "0")


def number_text(value: Decimal) -> str:
    """Plain digits of a finite number."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def cell_text(value: Any) -> str | None:
    """One value as text, as :func:`as_text` writes a column of them; dates in ISO form."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _number_cell(value)
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(UTC).replace(tzinfo=None)
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes_cell(bytes(value))
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=cell_text)
    return str(value)


def _number_cell(value: float | Decimal) -> str | None:
    if value != value:  # NaN is what a data frame writes for missing
        return None
    if value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return number_text(value if isinstance(value, Decimal) else Decimal(repr(value)))


def _bytes_cell(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "\\x" + value.hex()
