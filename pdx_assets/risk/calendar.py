"""Months, cohorts, decision dates, and when a cohort's label is known.

A period is one partition: a month, or a quarter named by its first month. All arithmetic on time lives
here; nothing else in PDx adds months to a date by hand.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import total_ordering
from typing import Literal

from pdx_assets.risk.errors import PdxError

Frequency = Literal["month", "quarter"]

_KEY = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@total_ordering
@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month; ``str(month)`` is its partition key ``YYYY-MM``."""

    year: int
    number: int

    @classmethod
    def parse(cls, key: str | Month) -> Month:
        """The month of a partition key.

        Raises:
            PdxError: the key is not ``YYYY-MM``.
        """
        if isinstance(key, Month):
            return key
        match = _KEY.fullmatch(key)
        if match is None:
            raise PdxError(f"{key!r} is not a month.", expected="YYYY-MM, such as 2016-07")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, day: date) -> Month:
        """The month a day lies in."""
        return cls(day.year, day.month)

    @classmethod
    def from_ordinal(cls, ordinal: int) -> Month:
        """Inverse of :attr:`ordinal`."""
        return cls(ordinal // 12, ordinal % 12 + 1)

    @property
    def ordinal(self) -> int:
        """Months since year 0: differences of ordinals count months."""
        return self.year * 12 + self.number - 1

    @property
    def first_day(self) -> date:
        return date(self.year, self.number, 1)

    @property
    def last_day(self) -> date:
        return date(self.year, self.number, calendar.monthrange(self.year, self.number)[1])

    def __add__(self, months: int) -> Month:
        return Month.from_ordinal(self.ordinal + months)

    def __sub__(self, months: int) -> Month:
        return Month.from_ordinal(self.ordinal - months)

    def __lt__(self, other: Month) -> bool:
        return self.ordinal < other.ordinal

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


def add_months(day: date, months: int) -> date:
    """The same day ``months`` later; the last day of a month maps to the last day of a month.

    So that "last day of the cohort plus H months" is a month end, whatever the month's length:
    2016-06-30 plus 12 is 2017-06-30, 2016-02-29 plus 12 is 2017-02-28, 2017-02-28 plus 12 is 2018-02-28.
    """
    month = Month.of(day) + months
    if day == Month.of(day).last_day:
        return month.last_day
    return date(month.year, month.number, min(day.day, month.last_day.day))


@dataclass(frozen=True, slots=True)
class Periods:
    """The partitions of a portfolio: months or quarters, and arithmetic in that unit."""

    frequency: Frequency = "month"

    @property
    def months(self) -> int:
        """Calendar months in one period."""
        return {"month": 1, "quarter": 3}[self.frequency]

    def of(self, day: date) -> Month:
        """The period a day lies in, named by its first month."""
        month = Month.of(day)
        return month - (month.number - 1) % self.months

    def shift(self, period: Month, count: int) -> Month:
        """``count`` periods later (earlier when negative)."""
        return period + count * self.months

    def span(self, first: Month, last: Month) -> tuple[Month, ...]:
        """Every period from ``first`` to ``last``, both inclusive; empty when ``last`` is earlier."""
        return tuple(Month.from_ordinal(o) for o in range(first.ordinal, last.ordinal + 1, self.months))

    def last_day(self, period: Month) -> date:
        return (period + (self.months - 1)).last_day

    def spoken(self, period: Month) -> str:
        """A period as people write it: ``2001-01``, of quarters ``2001-01 (2001Q1)``."""
        return f"{period} ({period.year}Q{period.number // 3 + 1})" if self.frequency == "quarter" else str(period)

    def cron(self) -> str:
        """The cron schedule whose ticks are the periods' first days."""
        return {"month": "0 0 1 * *", "quarter": "0 0 1 */3 *"}[self.frequency]


def decision_date(production: Month) -> date:
    """The day a production month's champion is decided: its first."""
    return production.first_day


def horizon_end(cohort: Month, horizon_months: int, periods: Periods) -> date:
    """The last day on which a loan of ``cohort`` can still turn bad within the horizon."""
    return add_months(periods.last_day(cohort), horizon_months)


def known_on(cohort: Month, horizon_months: int, periods: Periods, reporting_delay_days: int = 0) -> date:
    """The first day on which every label of ``cohort`` is known.

    A cohort is *known* at a production month when this day is on or before both the decision date and
    the tape's as-of date. For months, no delay and H months this is c + H + 1 <= p.
    """
    return horizon_end(cohort, horizon_months, periods) + timedelta(days=reporting_delay_days)
