"""Declarations of the label: which outcome event makes a loan bad, and within how many months on book."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pdx_assets.risk.spec.base import Condition, Declared


class DaysPastDue(Declared):
    """Bad when the performance panel shows ``threshold`` days past due within the horizon."""

    kind: Literal["days_past_due"]
    threshold: int = Field(90, ge=1)


class LastPaymentAndStatus(Declared):
    """Days past due inferred from the last payment's month and the final status (outcomes.py says how)."""

    kind: Literal["last_payment_and_status"]
    threshold: int = Field(90, ge=1, description="days past due")
    status: str
    bad_status: str = Field(description="regular expression searched in the status")
    paid_off_status: str | None = Field(None, description="regular expression: the loan was repaid")
    last_payment: str


class Label(Declared):
    """A view of the outcome events at a horizon of months on book."""

    name: str
    horizon_months: int = Field(ge=1, le=120)
    reporting_delay_days: int = Field(0, ge=0, le=366, description="days from an event to the lender knowing of it")
    definition: Annotated[DaysPastDue | LastPaymentAndStatus, Field(discriminator="kind")]
    indeterminate: tuple[Condition, ...] = ()
