"""Declarations of columns: roles and types, the loan's identity, ratios."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pdx_assets.risk.spec.base import Declared

Role = Literal["id", "borrower", "date", "feature", "price", "outcome", "protected", "weight", "ignore"]
Dtype = Literal["number", "category", "date", "text"]

_DAY_DIRECTIVES = re.compile(r"%-?[dejDFxs]")


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
                groups = re.compile(value).groups
            except re.error as error:
                raise ValueError(f"{value!r} is not a regular expression: {error}") from error
            if groups != 1:
                raise ValueError(f"{value!r} has {groups} groups, expected exactly one in parentheses")
        return value

    @model_validator(mode="after")
    def _date_has_format(self) -> Column:
        if self.dtype == "date" and not self.formats:
            raise ValueError("a date column needs a format, such as '%b-%Y' for Dec-2011")
        if self.two_digit_years_from is not None and not any("%y" in f for f in self.formats):
            raise ValueError("two_digit_years_from is for a format with two-digit years, %y")
        if len({names_a_day(f) for f in self.formats}) > 1:
            raise ValueError(f"of the formats {list(self.formats)} some say the day and some only the month")
        return self

    @property
    def formats(self) -> tuple[str, ...]:
        """The declared formats, in the order in which they are tried."""
        return (self.format,) if isinstance(self.format, str) else self.format or ()


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
