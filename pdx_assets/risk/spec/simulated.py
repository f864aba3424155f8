"""Declarations of simulated books: one class a simulator, told apart by ``kind``.

What they mean is in risk/synthetic.py and the module of each simulator.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.spec.base import Declared, month_text


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
    """Parameters of risk/synthetic_lender.py; the kind where none is given."""

    # Left out of what is hashed: specs were hashed before there were several kinds.
    kind: Literal["lender"] = Field("lender", exclude_if=lambda kind: kind == "lender")
    seed: int = 0
    first_month: str = "2021-01"
    months: int = Field(60, ge=2, le=1200)
    loans_per_month: int = Field(800, ge=1, le=1_000_000)
    bad_rate: float = Field(0.08, gt=0, lt=1, description="share of loans bad within twelve months, at the start")
    drift: Drift = Drift()
    faults: Faults = Faults()

    _check_month = field_validator("first_month", mode="before")(month_text)


class Stretch(Declared):
    """Consecutive months of a simulated book with one total of loans and one bad rate."""

    months: int = Field(ge=1, le=240)
    loans: int = Field(ge=1, le=10_000_000, description="over all its months, exactly")
    bad_rate: float = Field(gt=0, lt=1, description="of every month, to the nearest loan")

    @model_validator(mode="after")
    def _some_a_month(self) -> Stretch:
        if self.loans < self.months:
            raise ValueError(f"{self.loans} loans in {self.months} months, expected at least one a month")
        return self


class TwoWheelerTwin(Declared):
    """Parameters of risk/synthetic_two_wheeler.py: vehicle loans in the schema of the LTFS competition."""

    kind: Literal["two_wheeler_twin"]
    seed: int = 0
    first_month: str = "2017-01"
    stretches: tuple[Stretch, ...] = Field(min_length=1, description="one after another from first_month")
    observed_months: int = Field(3, ge=1, le=60, description="months on book of the last cohort on the as-of date")
    auc: float = Field(0.73, gt=0.5, lt=0.95, description="expected AUC of the true PD in the first month")
    auc_loss: float = Field(0.0, ge=0, le=0.2, description="what the true PD's AUC loses a year")
    concept: float = Field(0.0, ge=0, description="rotation of the true weights, radians a year")
    covariate: float = Field(0.0, ge=0, description="shift of applicant quality, standard deviations a year")

    _check_month = field_validator("first_month", mode="before")(month_text)

    @model_validator(mode="after")
    def _auc_stays_above_half(self) -> TwoWheelerTwin:
        years = sum(s.months for s in self.stretches) / 12
        if self.auc - self.auc_loss * years <= 0.5:
            raise ValueError(
                f"an AUC of {self.auc} that loses {self.auc_loss} a year is below 0.5 after {years:.1f} years"
            )
        return self


class RetailBank(Declared):
    """Parameters of risk/synthetic_retail_bank.py: personal loans of a bank's own customers."""

    kind: Literal["retail_bank"]
    seed: int = 0
    first_month: str = "2020-01"
    months: int = Field(39, ge=2, le=1200)
    loans: int = Field(10_000, ge=2, le=8_000_000, description="over all months, exactly")
    bad_rate: float = Field(0.185, gt=0, lt=1, description="share of loans in default within twelve months")
    auc: float = Field(0.85, gt=0.5, lt=0.99, description="expected AUC of the true PD, every month")
    concept: float = Field(0.0, ge=0, description="rotation of the true weights, radians a year")
    covariate: float = Field(0.0, ge=0, description="shift of applicant quality, standard deviations a year")
    typing_errors: float = Field(0.0, ge=0, le=0.1, description="share of incomes and debts with a digit too many")

    _check_month = field_validator("first_month", mode="before")(month_text)

    @model_validator(mode="after")
    def _some_a_month(self) -> RetailBank:
        if self.loans < self.months:
            raise ValueError(f"{self.loans} loans in {self.months} months, expected at least one a month")
        return self


class PeerToPeerTwin(Declared):
    """Parameters of risk/synthetic_p2p.py: a book with LendingClub's published schema, at its size."""

    kind: Literal["p2p_twin"]
    seed: int = 0
    loans_per_month: dict[str, int] = Field(description="loans by month of issue, consecutive months")
    bad_rates: dict[str, float] = Field(
        description="share of loans bad within twelve months, by month; in a straight line between the months given"
    )
    snapshot: str = Field(description="month at whose end status and payments are as the file shows them")
    auc: float = Field(0.72, gt=0.5, lt=0.95, description="expected AUC of the true PD, every month")
    drift: Drift = Drift()
    scale: float = Field(1.0, gt=0, le=1, description="share of loans_per_month that is drawn, at least one loan")

    _check_month = field_validator("snapshot", mode="before")(month_text)

    @field_validator("loans_per_month", "bad_rates", mode="before")
    @classmethod
    def _months(cls, value: Any) -> Any:
        return {month_text(key): amount for key, amount in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _consistent(self) -> PeerToPeerTwin:
        if not self.loans_per_month or not self.bad_rates:
            raise ValueError("loans_per_month and bad_rates need at least one month each")
        months = self.months
        if [m.ordinal for m in months] != list(range(months[0].ordinal, months[-1].ordinal + 1)):
            raise ValueError(f"loans_per_month skips months between {months[0]} and {months[-1]}")
        if min(self.loans_per_month.values()) < 1:
            raise ValueError("loans_per_month has a month without loans")
        wrong = {month: rate for month, rate in self.bad_rates.items() if not 0 < rate < 1}
        if wrong:
            raise ValueError(f"bad_rates are shares between 0 and 1, got {wrong}")
        if Month.parse(self.snapshot) < months[-1]:
            raise ValueError(f"snapshot {self.snapshot} comes before the last month of issue {months[-1]}")
        return self

    @property
    def months(self) -> tuple[Month, ...]:
        """Months of issue, in order."""
        return tuple(sorted(Month.parse(key) for key in self.loans_per_month))


def _kind(value: Any) -> Any:
    # A spec written before there were several kinds names none.
    found = value.get("kind", "lender") if isinstance(value, dict) else getattr(value, "kind", None)
    return found if isinstance(found, str) else None


Simulated = Annotated[
    Annotated[SimulatedLender, Tag("lender")]
    | Annotated[TwoWheelerTwin, Tag("two_wheeler_twin")]
    | Annotated[RetailBank, Tag("retail_bank")]
    | Annotated[PeerToPeerTwin, Tag("p2p_twin")],
    Discriminator(_kind),
]
