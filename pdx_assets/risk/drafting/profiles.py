"""What one column holds: its dtype, how its values are written, and how they are spread."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.drafting.dates import ENOUGH, DateFormat, as_column, as_float, first_year, infer_format
from pdx_assets.risk.spec import Column, Dtype

_NOTHING = (
    "na",
    "n/a",
    "#n/a",
    "nan",
    "null",
    "none",
    "nil",
    "-",
    "--",
    "?",
    ".",
    "unknown",
    "missing",
    "not available",
)
_UNITS = {r"\s*months?": "months", r"\s*(?:days?|d)": "days", r"\s*(?:years?|yrs?)": "years", r"\s*weeks?": "weeks"}
_CODE = re.compile(
    r"(^|_)(code|zip|postcode|pincode|naics|sic|type|flag|class|branch|region|state|purpose)(_|$)|_id$|flag"
)
_MANY_LEVELS = 1_000


@dataclass(frozen=True)
class Profile:
    """One column of a sample.

    Attributes:
        dtype: as a spec would declare it; ``text`` for words that hardly repeat.
        filled: share of rows that hold something.
        distinct: different values among them.
        declared: how to read its cells (format, extract, replace, unit), as columns.py does.
        values: Float64, Date or String, null where missing; one a row of the sample.
        order: of dates, the format when day and month could be exchanged.
        note: what else a person should know.
    """

    name: str
    dtype: Dtype
    filled: float
    distinct: int
    declared: Column
    values: pl.Series = field(repr=False)
    dates: DateFormat | None = None
    note: str = ""

    @property
    def words(self) -> str:
        """The name as words joined by underscores: ``ChgOffDate`` is ``chg_off_date``."""
        return words(self.name)

    @property
    def empty(self) -> bool:
        return self.filled == 0

    @property
    def constant(self) -> bool:
        return self.distinct <= 1

    @property
    def unique(self) -> bool:
        """Hardly a value occurs twice."""
        filled = self.values.len() - self.values.null_count()
        return filled > 1 and self.distinct >= 0.99 * filled


def words(name: str) -> str:
    """A column's name in lower case, its words joined by underscores."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    split = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", split)
    return re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")


def profile(name: str, cells: pl.Series) -> Profile:
    """Look at one column's cells (String, as received)."""
    stripped = columns.stripped(cells)
    blank = _words_for_nothing(stripped)
    held = columns.texts(stripped, Column(role="ignore", dtype="text", replace=blank))
    filled = held.len() - held.null_count()
    plain = Profile(
        name,
        "category",
        filled / max(held.len(), 1),
        held.drop_nulls().n_unique(),
        Column(role="ignore", dtype="category"),
        held,
    )
    if not filled:
        return plain
    found = _as_date(plain, blank) or _as_number(plain, blank)
    if found is None:
        found = _as_text(plain)
    return found


def read_dates(given: Profile, dates: DateFormat) -> Profile:
    """The same column of dates read by another format."""
    declared = given.declared.model_copy(update={"format": dates.format})
    return replace(given, declared=declared, dates=dates, values=columns.days(_cells(given), declared))


def _cells(given: Profile) -> pl.Series:
    assert given.dates is not None
    return given.values.dt.strftime(given.dates.format)


def _words_for_nothing(cells: pl.Series) -> dict[str, str | float | None]:
    """Cells such as NA, where everything else is a number or a date."""
    low = cells.str.to_lowercase()
    found = cells.filter(low.is_in(_NOTHING)).unique().sort().to_list()
    return dict.fromkeys(found)


def _as_date(plain: Profile, blank: dict[str, str | float | None]) -> Profile | None:
    dates = infer_format(plain.values)
    if dates is None:
        return None
    since = first_year(plain.values, dates.format)
    declared = as_column(dates.format).model_copy(update={"replace": blank, "two_digit_years_from": since})
    values = columns.days(plain.values, declared)
    return replace(plain, dtype="date", declared=declared, values=values, dates=dates, note=_unread(dates.share))


def _as_number(plain: Profile, blank: dict[str, str | float | None]) -> Profile | None:
    held = plain.values.drop_nulls()
    declared = Column(role="ignore", replace=blank)
    if as_float(held.str.ends_with("%").mean()) > 0.5:
        declared = declared.model_copy(update={"unit": "percent"})
    for tail, unit in _UNITS.items():
        if held.str.contains(rf"^\d+{tail}$").all():
            declared = declared.model_copy(update={"unit": unit, "extract": r"(\d+)"})
    values = columns.numbers(plain.values, declared)
    share = 1 - (values.null_count() - plain.values.null_count()) / held.len()
    if share < ENOUGH:
        if as_float(held.str.contains(r"^-?\d{1,3}([. ]?\d{3})*,\d{1,2}$").mean()) > 0.5:
            return replace(
                _as_text(plain), note="numbers with decimal commas, which PDx does not read: export them with points"
            )
        return None
    whole = held.str.contains(r"^\d+$").all()
    leading_zero = whole and bool(held.str.contains(r"^0\d").any())
    most = _MANY_LEVELS if "code" in plain.words else 20
    codes = whole and plain.distinct <= most and bool(_CODE.search(plain.words)) and values.n_unique() > 2
    if leading_zero or codes or (whole and re.search(r"zip|postcode|pincode|naics", plain.words)):
        return replace(_as_text(plain), dtype="category", note="digits that name things, not amounts")
    return replace(plain, dtype="number", declared=declared, values=values, note=_unread(share))


def _as_text(plain: Profile) -> Profile:
    filled = plain.filled * plain.values.len()
    free = plain.distinct > _MANY_LEVELS or (plain.distinct > 50 and plain.distinct > 0.5 * filled)
    if not free:
        return plain
    return replace(plain, dtype="text", declared=Column(role="ignore", dtype="text"))


def _unread(share: float) -> str:
    return "" if share == 1 else f"{1 - share:.2%} of its cells do not read: those rows are rejected"
