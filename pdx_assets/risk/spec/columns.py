"""Declarations of columns: roles and types, the loan's identity, features made of others, outliers."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pdx_assets.risk.spec.base import Declared

Role = Literal["id", "borrower", "date", "feature", "price", "outcome", "protected", "weight", "ignore"]
Dtype = Literal["number", "category", "date", "text"]

_DAY_DIRECTIVES = re.compile(r"%-?[dejDFxs]")

MONTHS_IN = {"years": 12, "months": 1}
"""Named groups of ``extract`` that make a duration, and how many months each is."""


def absent(value: object) -> bool:
    """For ``exclude_if``: a key not used leaves the hashes of a spec as they were before the key existed."""
    return not value


def names_a_day(date_format: str) -> bool:
    """Whether a strptime format says the day, not the month only."""
    return _DAY_DIRECTIVES.search(date_format) is not None


class Column(Declared):
    """One column of the tape."""

    role: Role
    dtype: Dtype = "number"
    unit: str | None = Field(None, description="USD, months, percent, ...: shown in the UI")
    description: str = ""
    format: str | tuple[str, ...] | None = Field(
        None, description="strptime format of a date, such as %b-%Y, or a list: the first that fits is taken"
    )
    two_digit_years_from: int | None = Field(
        None,
        ge=1900,
        le=2000,
        exclude_if=lambda year: year is None,
        description="of %y: the first of the hundred years that two digits can mean",
    )
    extract: str | None = Field(None, description="regular expression whose first group is the value")
    replace: dict[str, str | float | None] = Field(
        default_factory=dict, description="exact cell values to replace before parsing"
    )
    optional: bool = Field(False, description="may be absent from the tape: then it is missing on every row")

    @field_validator("extract")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                found = re.compile(value)
            except re.error as error:
                raise ValueError(f"{value!r} is not a regular expression: {error}") from error
            named = found.groups == len(found.groupindex) and set(found.groupindex) <= set(MONTHS_IN)
            if found.groups != 1 and not (found.groups and named):
                raise ValueError(
                    f"{value!r} has {found.groups} groups, expected exactly one in parentheses, "
                    "or for a duration in months (?P<years>...) and (?P<months>...)"
                )
        return value

    @model_validator(mode="after")
    def _date_has_format(self) -> Column:
        if self.dtype == "date" and not self.formats:
            raise ValueError("a date column needs a format, such as '%b-%Y' for Dec-2011")
        if self.duration_groups and self.dtype != "number":
            raise ValueError(f"a duration is a number of months, but dtype is {self.dtype!r}")
        if self.two_digit_years_from is not None and not any("%y" in f for f in self.formats):
            raise ValueError("two_digit_years_from is for a format with two-digit years, %y")
        if len({names_a_day(f) for f in self.formats}) > 1:
            raise ValueError(f"of the formats {list(self.formats)} some say the day and some only the month")
        return self

    @property
    def formats(self) -> tuple[str, ...]:
        """The declared formats, in the order in which they are tried."""
        return (self.format,) if isinstance(self.format, str) else self.format or ()

    @property
    def duration_groups(self) -> dict[str, int]:
        """Group number of ``extract`` by unit of a duration; empty where ``extract`` has a plain group."""
        found = re.compile(self.extract).groupindex if self.extract is not None else {}
        return dict(found) if set(found) <= set(MONTHS_IN) else {}


class LoanId(Declared):
    """Where the loan's identity comes from.

    ``derive_from`` names application-time columns; the id is a hash of them plus an ordinal for exact
    repeats. With both, the column wins where it is filled in.
    """

    column: str | None = None
    derive_from: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> LoanId:
        if self.column is None and not self.derive_from:
            raise ValueError("name the id column, or the application-time columns to derive_from")
        return self


class Ratio(Declared):
    """A feature made of two others: numerator / denominator, missing where the denominator is not above 0."""

    numerator: str
    denominator: str
    description: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The columns it is made of."""
        return (self.numerator, self.denominator)


class Scale(Declared):
    """A number's place on a published scale."""

    column: str
    low: float
    high: float

    @model_validator(mode="after")
    def _ascending(self) -> Scale:
        if not self.low < self.high:
            raise ValueError(f"the scale goes from {self.low} to {self.high}, expected low below high")
        return self


class Derived(Declared):
    """A feature worked out from columns and declared constants, by exactly one rule.

    ``difference: [a, b]`` is a - b, where b is a column or a number; ``scale`` is (column - low) / (high - low).
    Constants are declared, never learned from the data: a minimum or mean taken over the file would tell a
    loan of one month something about the loans of later ones.
    """

    difference: tuple[str, str | float] | None = None
    scale: Scale | None = None
    description: str = ""

    @model_validator(mode="after")
    def _one_rule(self) -> Derived:
        if (self.difference is None) == (self.scale is None):
            raise ValueError("give either difference or scale")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """The columns it is made of."""
        if self.scale is not None:
            return (self.scale.column,)
        return tuple(part for part in self.difference or () if isinstance(part, str))


class Outliers(Declared):
    """Bounds of a number, learned from train, at which a model's input stops: the narrower where both are given."""

    z_score: float | None = Field(None, gt=0, description="standard deviations from the mean")
    iqr: float | None = Field(
        None, gt=0, description="interquartile ranges below the first and above the third quartile"
    )

    @model_validator(mode="after")
    def _some_bound(self) -> Outliers:
        if self.z_score is None and self.iqr is None:
            raise ValueError("give z_score, iqr or both")
        return self


class SamplingWeights(Declared):
    """Weights of a tape that is a sample drawn by outcome (case-control): loans of the book to one in the sample."""

    column: str = Field(description="column the sample was drawn by, such as the final status")
    values: dict[str, float] = Field(min_length=1, description="weight of the loans that hold each value")
    files: str | None = Field(None, description="pattern of the names of the files that are samples; others weigh 1")

    @field_validator("values")
    @classmethod
    def _above_zero(cls, value: dict[str, float]) -> dict[str, float]:
        wrong = {key: weight for key, weight in value.items() if not 0 < weight < float("inf")}
        if wrong:
            raise ValueError(f"weights {wrong}, expected numbers above 0")
        return value
