"""Declarations of the label: which outcome event makes a loan bad, and within how many months on book.

A label definition is a versioned object: its version is part of what windows hash, so a changed meaning
gives another label. What each means is in risk/outcomes/, one module a kind.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pdx_assets.risk.spec.base import Condition, Declared

NOT_KNOWABLE = (
    "Labels were not knowable in time: windows take them as they stand at the tape's as-of date, "
    "so no lender could have had these models when the loans were made."
)


class DaysPastDue(Declared):
    """Bad when the performance panel shows ``threshold`` days past due within the horizon."""

    kind: Literal["days_past_due"]
    # Windows were hashed before definitions had versions: the first one is left out of what is hashed.
    version: Literal[1] = Field(1, exclude_if=lambda version: version == 1)
    threshold: int = Field(90, ge=1)


class LastPaymentAndStatus(Declared):
    """Days past due inferred from the last payment's month and the final status."""

    kind: Literal["last_payment_and_status"]
    version: Literal[1] = Field(1, exclude_if=lambda version: version == 1)
    threshold: int = Field(90, ge=1, description="days past due")
    status: str
    bad_status: str = Field(description="regular expression searched in the status")
    paid_off_status: str | None = Field(None, description="regular expression: the loan was repaid")
    last_payment: str


class ChargedOff(Declared):
    """Bad when charged off within the horizon of origination, by the date of charge-off, the status or both."""

    kind: Literal["charged_off"]
    version: Literal[1] = 1
    date: str | None = Field(None, description="column with the day of charge-off")
    status: str | None = Field(None, description="column with the final status: where it is declared, it decides")
    bad_status: str | None = Field(None, description="regular expression searched in the status: charged off")

    @model_validator(mode="after")
    def _says_who(self) -> ChargedOff:
        if self.date is None and self.status is None:
            raise ValueError("give date, the column with the day of charge-off, or status, or both")
        if (self.status is None) != (self.bad_status is None):
            raise ValueError("status and bad_status go together: the column, and what it says of a charged-off loan")
        return self


class ReadyFlag(Declared):
    """Bad when a column says so: the label comes ready with the tape."""

    kind: Literal["ready_flag"]
    version: Literal[1] = 1
    flag: str = Field(description="column that says bad or good")
    bad: str = Field(description="regular expression the whole cell must match: bad")
    good: str = Field(description="regular expression the whole cell must match: good")
    known_from: str | None = Field(None, description="column with the day the flag was known from")

    @field_validator("bad", "good", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"YAML read this as {value}: put it in quotes, as it is written on the tape")
        return str(value) if isinstance(value, int) else value


class RepaymentDates(Declared):
    """Days past due of a short loan, by the day it was due and the day it was repaid."""

    kind: Literal["repayment_dates"]
    version: Literal[1] = 1
    threshold: int = Field(ge=1, description="days past due")
    due: str | None = Field(None, description="column with the day the loan is due")
    term_days: str | None = Field(None, description="else: column with the days from origination to that day")
    repaid: str = Field(description="column with the day it was repaid; blank: not yet")

    @model_validator(mode="after")
    def _due_by_one(self) -> RepaymentDates:
        if (self.due is None) == (self.term_days is None):
            raise ValueError("give either due, the column with the day, or term_days, the column with the days")
        return self


Definition = Annotated[
    DaysPastDue | LastPaymentAndStatus | ChargedOff | ReadyFlag | RepaymentDates, Field(discriminator="kind")
]


class Label(Declared):
    """A view of the outcome events at a horizon of months on book."""

    name: str
    horizon_months: int | None = Field(ge=1, le=120, description="null: ever, as of the tape's as-of date")
    reporting_delay_days: int = Field(0, ge=0, le=366, description="days from an event to the lender knowing of it")
    definition: Definition
    indeterminate: tuple[Condition, ...] = ()
    accepts_labels_not_knowable_in_time: bool = Field(
        False,
        # What was hashed of a label before this key was there stays as it was.
        exclude_if=lambda accepted: not accepted,
        description="windows may use labels nobody could know on the decision date; marked wherever results are shown",
    )

    @property
    def horizon(self) -> str:
        """In words."""
        return "ever" if self.horizon_months is None else f"{self.horizon_months} months on book"

    @property
    def outcome_dates(self) -> tuple[str, ...]:
        """Columns the definition reads days from on which something happened to the loan."""
        rule = self.definition
        if isinstance(rule, LastPaymentAndStatus):
            return (rule.last_payment,)
        if isinstance(rule, RepaymentDates):
            return (rule.repaid,)
        named = rule.date if isinstance(rule, ChargedOff) else rule.known_from if isinstance(rule, ReadyFlag) else None
        return (named,) if named else ()

    @property
    def patterns(self) -> dict[str, str]:
        """The definition's regular expressions, by key."""
        rule = self.definition
        found = {key: getattr(rule, key, None) for key in ("bad_status", "paid_off_status", "bad", "good")}
        return {key: pattern for key, pattern in found.items() if pattern is not None}

    @property
    def references(self) -> dict[str, str]:
        """The columns the definition names, by key."""
        keys = ("status", "last_payment", "date", "flag", "known_from", "due", "term_days", "repaid")
        found = {key: getattr(self.definition, key, None) for key in keys}
        return {key: column for key, column in found.items() if column is not None}

    @model_validator(mode="after")
    def _horizon_suits(self) -> Label:
        if self.horizon_months is None and not self.accepts_labels_not_knowable_in_time:
            raise ValueError(
                "horizon_months is null, so bad means ever: no decision date can know that. Give a number of months, "
                "or say accepts_labels_not_knowable_in_time: true"
            )
        rule = self.definition
        if self.horizon_months is not None and isinstance(rule, ChargedOff) and rule.date is None:
            raise ValueError(
                "definition.status alone does not say when a loan was charged off: give definition.date, or "
                "horizon_months: null for ever"
            )
        return self

    @model_validator(mode="after")
    def _patterns_compile(self) -> Label:
        for key, pattern in self.patterns.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"definition.{key}: {pattern!r} is not a regular expression: {error}") from error
        return self
