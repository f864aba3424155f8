"""What every declaration has in common: strictness, errors with a place, months as text, rules on columns."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pdx_assets.risk.calendar import Month


class LocatedError(ValueError):
    """A contradiction between parts of a spec; ``at`` is the path to the part whose line to show."""

    def __init__(self, message: str, *at: int | str) -> None:
        super().__init__(message)
        self.at = at


class Declared(BaseModel):
    """Base of all declarations: an unknown key is an error, and a spec cannot change under a reader."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def month_text(value: Any) -> Any:
    """Validator (before) of a month written as YYYY-MM."""
    # YAML reads 2016-07 as a string but 2016-07-01 as a date: say so rather than guess.
    if isinstance(value, date):
        raise ValueError(f"got the day {value}, expected a month such as {value:%Y-%m}")
    if isinstance(value, Month):
        return str(value)
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", value):
        raise ValueError(f"got {value!r}, expected a month YYYY-MM such as 2016-07")
    return value


class Condition(Declared):
    """A named rule on one tape column, compared as text (or as numbers for min and max)."""

    name: str
    column: str
    equals: str | None = None
    one_of: tuple[str, ...] | None = None
    matches: str | None = Field(None, description="regular expression searched in the cell")
    is_missing: bool | None = None
    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _exactly_one_test(self) -> Condition:
        tests = ("equals", "one_of", "matches", "is_missing", "below", "above")
        given = [t for t in tests if getattr(self, t) is not None]
        if len(given) != 1:
            raise ValueError(f"rule {self.name!r} has {given or 'no test'}, expected exactly one of {', '.join(tests)}")
        return self
