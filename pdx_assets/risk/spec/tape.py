"""Declarations of the tape: where loans and repayment rows come from, and the simulated lender's parameters."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pdx_assets.risk.spec.base import Declared, month_text
from pdx_assets.risk.spec.source import HttpSource, SqlSource, TapeFormat, without_secrets


class Drift(Declared):
    """How the simulated lender's world changes; every switch is off at its default."""

    covariate: float = Field(0.0, ge=0, description="shift of applicant quality, standard deviations a year")
    concept: float = Field(0.0, ge=0, description="rotation of the true weights, radians a year")
    shock_month: str | None = Field(None, description="month from which a sudden shock holds")
    shock_log_odds: float = Field(0.0, description="what the shock adds to every loan's log-odds of default")

    _check_month = field_validator("shock_month", mode="before")(lambda v: v if v is None else month_text(v))


class Faults(Declared):
    """What goes wrong in the simulated lender's export; every switch is off at its default."""

    label_delay_days: int = Field(0, ge=0, description="days between a missed payment's month end and its report")
    late_share: float = Field(0.0, ge=0, le=1, description="share of bad loans reported months late")
    revised_share: float = Field(0.0, ge=0, le=1, description="share of bad loans withdrawn later as an error")
    dirty_share: float = Field(0.0, ge=0, le=1, description="share of loan rows written malformed")
    leaks: tuple[Literal["rewritten_term", "post_outcome_balance", "outcome_flag"], ...] = ()


class SimulatedLender(Declared):
    """Parameters of risk/synthetic.py."""

    seed: int = 0
    first_month: str = "2021-01"
    months: int = Field(60, ge=2, le=1200)
    loans_per_month: int = Field(800, ge=1, le=1_000_000)
    bad_rate: float = Field(0.08, gt=0, lt=1, description="share of loans bad within twelve months, at the start")
    drift: Drift = Drift()
    faults: Faults = Faults()

    _check_month = field_validator("first_month", mode="before")(month_text)


class PerformancePanel(Declared):
    """Monthly repayment rows beside the loan rows: one row a loan and month on book, corrections appended."""

    path: str = ""
    sql: SqlSource | None = None
    http: HttpSource | None = None
    format: TapeFormat = "auto"
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

    _check_path = field_validator("path")(without_secrets)

    @model_validator(mode="after")
    def _has_source(self) -> PerformancePanel:
        one_place(self)
        return self


class Tape(Declared):
    """Where loans are read from. ``${NAME}`` and ``${NAME:-default}`` take environment variables."""

    path: str = ""
    sql: SqlSource | None = None
    http: HttpSource | None = None
    simulated: SimulatedLender | None = None
    format: TapeFormat = "auto"
    refresh_minutes: float | None = Field(
        None, ge=0, description="a place that is not a file is not asked again within; default 5, or 60 if read whole"
    )
    first_cohort: str = Field(description="first cohort month of the portfolio: where its partitions start")
    as_of: date | None = Field(None, description="nothing after this day was observed")
    as_of_columns: tuple[str, ...] = Field((), description="else: the latest date in these outcome columns")
    performance: PerformancePanel | None = None
    reject_tolerance: float = Field(0.01, ge=0, le=1, description="share of rows that may be rejected")

    _check_month = field_validator("first_cohort", mode="before")(month_text)
    _check_path = field_validator("path")(without_secrets)

    @model_validator(mode="after")
    def _has_source(self) -> Tape:
        if self.simulated is None:
            one_place(self, " or parameters of a simulated lender")
        return self


def one_place(source: Tape | PerformancePanel, otherwise: str = "") -> None:
    """Exactly one of the places rows can come from is declared.

    Raises:
        ValueError: none is, or several.
    """
    given = [name for name in ("path", "sql", "http") if getattr(source, name)]
    if len(given) != 1:
        raise ValueError(f"got {' and '.join(given) or 'no place to read from'}, give a path, sql or http{otherwise}")
