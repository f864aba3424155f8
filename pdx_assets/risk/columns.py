"""A declared column's cells, as received, turned into typed values.

tape.py uses this to find cells that do not parse and cleaning.py to make features, so that a row the
tape accepted can never fail in cleaning. Nothing here knows about roles, portfolios or files.
"""

from __future__ import annotations

import polars as pl

from pdx_assets.risk.errors import SpecError
from pdx_assets.risk.spec import Column, PortfolioSpec
from pdx_assets.risk.spec.columns import names_a_day

# Float32 ends at 3.4e38; features must survive the narrowing.
_LARGEST = 3.0e38
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_GROUPED = r"^[-+]?\d{1,3}(,\d{3})+(\.\d+)?$"


def stripped(cells: pl.Series) -> pl.Series:
    """Cells without surrounding white space; blank cells are missing."""
    if cells.null_count() == cells.len():
        return cells.cast(pl.String)
    return cells.cast(pl.String).str.strip_chars().replace("", None)


def texts(cells: pl.Series, column: Column) -> pl.Series:
    """Cells after the declared ``replace`` and ``extract``; String, null where missing or not matched."""
    found = stripped(cells)
    if column.replace:
        old = [key.strip() for key in column.replace]
        new = [None if v is None else str(v) for v in column.replace.values()]
        # A declared "" stands for the blank cell, which is null by now.
        if "" in old:
            blank = new[old.index("")]
            found = found if blank is None else found.fill_null(blank)
        found = found.replace(old, new)
    if column.extract is not None:
        found = found.str.extract(column.extract, 1).str.strip_chars().replace("", None)
    return found


def numbers(cells: pl.Series, column: Column) -> pl.Series:
    """Float64 values; null where missing or not a number.

    Read as numbers: ``7500``, ``7500.0``, ``1e3``, ``$60,000.00``, and ``13.5%`` where the declared unit
    is percent (the value is then 13.5). Not read as numbers: ``nan``, ``inf``, ``12,5``, ``n/a``.
    """
    found = texts(cells, column)
    if found.null_count() == found.len():
        return found.cast(pl.Float64)
    values = found.cast(pl.Float64, strict=False)
    if values.null_count() > found.null_count():
        # Regular expressions over every cell of a wide tape cost more than reading it: only where needed.
        plain = found.str.replace(r"^([-+]?)[$€£]\s*", "${1}")
        if column.unit == "percent":
            plain = plain.str.replace(r"\s*%$", "")
        ungrouped = plain.str.replace_all(",", "", literal=True)
        plain = plain.zip_with(~plain.str.contains(_GROUPED).fill_null(False), ungrouped)
        values = values.fill_null(plain.cast(pl.Float64, strict=False))
    sane = values.is_finite() & (values.abs() < _LARGEST)
    return values if sane.all() else values.set(~sane.fill_null(True), None)


def days(cells: pl.Series, column: Column) -> pl.Series:
    """Dates; null where missing, of none of the declared formats, or outside the years 1900 to 2100.

    A format without a day, such as ``%b-%Y``, gives the month's first day; a time of day is left out. Of
    several formats the first that fits a cell is taken. Two-digit years are those from 1970 to 2069, or the
    hundred years from ``two_digit_years_from``.
    """
    found = texts(cells, column)
    if found.null_count() == found.len():
        return found.cast(pl.Date, strict=False)
    values = _days_by(found, column.formats[0] if column.formats else "%Y-%m-%d", column)
    for pattern in column.formats[1:]:
        if values.null_count() > found.null_count():
            values = values.fill_null(_days_by(found, pattern, column))
    return values


def _days_by(found: pl.Series, pattern: str, column: Column) -> pl.Series:
    if not names_a_day(pattern):
        found, pattern = "01 " + found, "%d " + pattern
    # Python writes fractions of a second .%f; the engine that parses writes %.f.
    parsed = found.str.strptime(pl.Date, pattern.replace(".%f", "%.f"), strict=False)
    if column.two_digit_years_from is not None and "%y" in pattern:
        first, year = column.two_digit_years_from, parsed.dt.year()
        parsed = parsed.dt.offset_by("100y").zip_with((year < first).fill_null(False), parsed)
        parsed = parsed.dt.offset_by("-100y").zip_with((year >= first + 100).fill_null(False), parsed)
    sane = parsed.dt.year().is_between(_FIRST_YEAR, _LAST_YEAR)
    return parsed if sane.all() else parsed.set(~sane.fill_null(True), None)


def names_no_day(column: Column) -> bool:
    """Whether a date column says the month only."""
    return not any(names_a_day(pattern) for pattern in column.formats or ("%Y-%m-%d",))


def parsed(cells: pl.Series, column: Column) -> pl.Series:
    """Values of the column's declared dtype."""
    if column.dtype == "number":
        return numbers(cells, column)
    if column.dtype == "date":
        return days(cells, column)
    return texts(cells, column)


def unparsed(cells: pl.Series, column: Column) -> pl.Series:
    """Boolean: the cell holds something, no declared replacement makes it missing, and it does not parse."""
    filled = texts(cells, column.model_copy(update={"extract": None}))
    return filled.is_not_null() & parsed(cells, column).is_null()


def require_expressions(spec: PortfolioSpec) -> None:
    """Every regular expression of a spec works in the engine that runs it.

    The spec is validated with Python's engine; polars' (Rust's) has no look-around or back-references.

    Raises:
        SpecError: naming the declaration and the engine's complaint.
    """
    patterns = {f"columns.{name}.extract": c.extract for name, c in spec.columns.items()}
    patterns |= {f"rule {rule.name}": rule.matches for rule in (*spec.exclusions, *spec.label.indeterminate)}
    patterns |= {f"label.definition.{field}": pattern for field, pattern in spec.label.patterns.items()}
    if spec.tape.performance is not None:
        for field in ("charged_off_status", "paid_off_status"):
            patterns[f"tape.performance.{field}"] = getattr(spec.tape.performance, field)
    for where, pattern in patterns.items():
        if pattern is None:
            continue
        try:
            pl.Series(["x"]).str.contains(pattern)
        except pl.exceptions.ComputeError as error:
            raise SpecError(
                f"{where}: {pattern!r} is not a regular expression PDx can run: {str(error).splitlines()[0]}",
                expected="Rust regular expression syntax: no look-around, no back-references",
            ) from error
