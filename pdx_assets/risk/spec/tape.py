"""Declarations of the tape: where loans and repayment rows come from."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pdx_assets.risk.spec.base import Declared, month_text
from pdx_assets.risk.spec.simulated import Simulated


class PerformancePanel(Declared):
    """Monthly repayment rows beside the loan rows: one row a loan and month on book, corrections appended."""

    path: str
    loan_id: str = "loan_id"
    month: str = "month"
    month_format: str = "%Y-%m"
    days_past_due: str = "days_past_due"
    status: str | None = Field(None, description="column that says how the loan stands at the month's end")
    charged_off_status: str = Field("(?i)charged.?off", description="regular expression searched in status")
    paid_off_status: str = Field(
        "(?i)paid.?(off|in.full)|fully.?paid|prepaid|matured", description="regular expression searched in status"
    )
    reported_on: str | None = Field(None, description="day the row was known from; default the month's last day")
    reported_format: str = "%Y-%m-%d"


class Tape(Declared):
    """Where loans are read from. ``${NAME}`` and ``${NAME:-default}`` take environment variables."""

    path: str = ""
    simulated: Simulated | None = None
    format: Literal["csv"] = "csv"
    first_cohort: str = Field(description="first cohort month of the portfolio: where its partitions start")
    as_of: date | None = Field(None, description="nothing after this day was observed")
    as_of_columns: tuple[str, ...] = Field((), description="else: the latest date in these outcome columns")
    performance: PerformancePanel | None = None
    reject_tolerance: float = Field(0.01, ge=0, le=1, description="share of rows that may be rejected")

    _check_month = field_validator("first_cohort", mode="before")(month_text)

    @model_validator(mode="after")
    def _has_source(self) -> Tape:
        if not self.path and self.simulated is None:
            raise ValueError("give a path, or parameters of a simulated lender")
        return self
