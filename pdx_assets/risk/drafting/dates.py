"""The strptime format of a column of dates, inferred from its cells.

Formats are tried, not deduced: the one that reads most cells wins. 3/4/2017 leaves day and month open; a cell
such as 28/4/2017 decides, else another column of the same file written in the same way does (roles.py asks),
else it is said to be ambiguous.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.spec import Column

# Cells of which this share reads are dates; the rest would be rejected row by row.
ENOUGH = 0.98
_TRIED = 40

_DAY_FIRST = ("%d-%m-%Y", "%d/%m/%Y", "%d.%m.%Y", "%d %m %Y", "%d-%m-%y", "%d/%m/%y", "%d.%m.%y")
_MONTH_FIRST = tuple(f.replace("%d", "%D").replace("%m", "%d").replace("%D", "%m") for f in _DAY_FIRST)
_DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", *_DAY_FIRST, *_MONTH_FIRST),
    *("%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%d %b %Y", "%d %b %y", "%d%b%Y", "%b %d, %Y", "%b %d %Y", "%Y-%b-%d"),
)
_MONTHS = ("%b-%Y", "%b-%y", "%b %Y", "%b/%Y", "%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y")
_ZONES = {r"Z$": "Z", r" UTC$": " UTC", r"\d [-+]\d\d:?\d\d$": " %z", r":\d\d(\.\d+)?[-+]\d\d:?\d\d$": "%z"}
# Plain digits are numbers far more often than days: they must look like days of the last century or this one.
_COMPACT = {r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])": "%Y%m%d"}


@dataclass(frozen=True)
class DateFormat:
    """How dates are written.

    Attributes:
        format: strptime.
        share: of the filled cells that read.
        other: the format that reads them just as well with day and month exchanged; None when decided.
    """

    format: str
    share: float
    other: str | None = None

    @property
    def names_no_day(self) -> bool:
        return columns.names_no_day(as_column(self.format))


def as_float(value: Any) -> float:
    """A statistic of a series as a number; 0 where there is none."""
    return float(value or 0)


def as_column(pattern: str) -> Column:
    """A column of dates of a format, for reading them."""
    return Column(role="ignore", dtype="date", format=pattern)


def infer_format(cells: pl.Series) -> DateFormat | None:
    """The format that reads at least :data:`ENOUGH` of the filled cells; None where none does.

    Args:
        cells: texts as received, blanks null.
    """
    counts = cells.drop_nulls().value_counts(sort=True)
    values, weight = counts.to_series(0), counts.to_series(1)
    if not values.len():
        return None
    few = _spread(values, _TRIED)
    found = [(p, _share(values, weight, p)) for p in _candidates(few) if _share(few, None, p) >= ENOUGH / 2]
    found = [(p, share) for p, share in found if share >= ENOUGH]
    if not found:
        return None
    best, share = max(found, key=lambda pair: pair[1])
    other = exchanged(best)
    tied = other is not None and any(p == other and s == share for p, s in found)
    if tied and other is not None and (settled := _by_constant_day(values, best, other)) is not None:
        return DateFormat(settled, share)
    return DateFormat(best, share, other if tied else None)


def exchanged(pattern: str) -> str | None:
    """A numeric format with day and month exchanged; None where the order is not in doubt."""
    for first, second in zip(_DAY_FIRST, _MONTH_FIRST, strict=True):
        for one, two in ((first, second), (second, first)):
            if pattern == one or pattern.startswith((one + " ", one + "T")):
                return two + pattern[len(one) :]
    return None


def _candidates(few: pl.Series) -> list[str]:
    """Formats worth trying: hundreds of combinations of day, time and zone are told apart by their signs first."""
    cells = few.to_list()
    shaped = [c for c in cells if re.search(r"\d", c) and re.search(r"[-/. ,A-Za-z]", c)]
    if len(shaped) < ENOUGH / 2 * len(cells):
        return [p for shape, p in _COMPACT.items() if all(re.fullmatch(shape, c) for c in cells)]
    timed = next((c for c in shaped if ":" in c), None)
    if timed is None:
        return [*_DAYS, *_MONTHS]
    # A T stands between day and time, not in a month's name: those are written with blanks or dashes.
    between = "T" if re.search(r"\dT\d", timed) else " "
    hours = "%I:%M" if re.search(r"[ap]m", timed, re.IGNORECASE) else "%H:%M"
    seconds = ":%S%.f" if re.search(r"\d:\d\d:\d", timed) else ""
    half = " %p" if hours.startswith("%I") else ""
    zone = next((z for sign, z in _ZONES.items() if re.search(sign, timed)), "")
    return [day + between + hours + seconds + half + zone for day in _DAYS]


def _share(values: pl.Series, weight: pl.Series | None, pattern: str) -> float:
    read = columns.days(values, as_column(pattern)).is_not_null()
    if weight is None:
        return as_float(read.mean())
    return as_float((read * weight).sum()) / as_float(weight.sum())


def _spread(values: pl.Series, count: int) -> pl.Series:
    return values.gather_every(max(1, values.len() // count)).head(count)


def _by_constant_day(values: pl.Series, one: str, two: str) -> str | None:
    """Of two readings, the one under which the day never changes and the month does: a monthly export."""
    for pattern, against in ((one, two), (two, one)):
        days, months = (columns.days(values, as_column(p)) for p in (pattern, against))
        if days.dt.day().n_unique() == 1 and months.dt.day().n_unique() > 2:
            return pattern
    return None


def first_year(cells: pl.Series, pattern: str) -> int | None:
    """The first of the hundred years that two digits mean; None where the usual reading (1970 to 2069) will do.

    The years of a column leave a gap on the circle of 100: they start after the widest.
    """
    if "%y" not in pattern:
        return None
    read = columns.days(cells, as_column(pattern)).drop_nulls()
    years = sorted(set((read.dt.year() % 100).to_list()))
    if len(years) < 2:
        return None
    gaps = [(after - before) % 100 for before, after in zip(years, [*years[1:], years[0]], strict=True)]
    start = years[(gaps.index(max(gaps)) + 1) % len(years)]
    # From 70 on the usual reading is right; below, when no year has to be read as one of the century before.
    wraps = start > years[0] or years[-1] > 69
    return 1900 + start if start <= 69 and wraps else None
