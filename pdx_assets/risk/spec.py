"""What a portfolio declares, validated.

Only declarations live here; spec_file.py reads them from YAML. What they mean is in the module of the
stage that obeys them: tape.py, cleaning.py, outcomes.py, windows.py, models/, policy.py.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pdx_assets.risk.calendar import Frequency, Month, Periods, decision_date, known_on

Role = Literal["id", "borrower", "date", "feature", "price", "outcome", "protected", "weight", "ignore"]
Dtype = Literal["number", "category", "date", "text"]
Strategy = Literal["fixed_window", "fixed_origin", "rolling_window"]
AlgorithmName = Literal["logistic_regression", "random_forest", "xgboost", "neural_network"]
PolicyName = Literal["paper"]
ProfileName = Literal["quick", "standard", "paper"]

NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}\Z")  # $ would let a trailing newline through


class LocatedError(ValueError):
    """A contradiction between parts of a spec; ``at`` is the path to the part whose line to show."""

    def __init__(self, message: str, *at: int | str) -> None:
        super().__init__(message)
        self.at = at


class Declared(BaseModel):
    """Base of all declarations: an unknown key is an error, and a spec cannot change under a reader."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _month(value: Any) -> Any:
    # YAML reads 2016-07 as a string but 2016-07-01 as a date: say so rather than guess.
    if isinstance(value, date):
        raise ValueError(f"got the day {value}, expected a month such as {value:%Y-%m}")
    if isinstance(value, Month):
        return str(value)
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", value):
        raise ValueError(f"got {value!r}, expected a month YYYY-MM such as 2016-07")
    return value


class Column(Declared):
    """One column of the tape."""

    role: Role
    dtype: Dtype = "number"
    unit: str | None = Field(None, description="USD, months, percent, ...: shown in the UI")
    description: str = ""
    format: str | None = Field(None, description="strptime format of a date, such as %b-%Y")
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
        if self.dtype == "date" and not self.format:
            raise ValueError("a date column needs a format, such as '%b-%Y' for Dec-2011")
        return self


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


class Drift(Declared):
    """How the simulated lender's world changes; every switch is off at its default."""

    covariate: float = Field(0.0, ge=0, description="shift of applicant quality, standard deviations a year")
    concept: float = Field(0.0, ge=0, description="rotation of the true weights, radians a year")
    shock_month: str | None = Field(None, description="month from which a sudden shock holds")
    shock_log_odds: float = Field(0.0, description="what the shock adds to every loan's log-odds of default")

    _check_month = field_validator("shock_month", mode="before")(lambda v: v if v is None else _month(v))


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

    _check_month = field_validator("first_month", mode="before")(_month)


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
    simulated: SimulatedLender | None = None
    format: Literal["csv"] = "csv"
    first_cohort: str = Field(description="first cohort month of the portfolio: where its partitions start")
    as_of: date | None = Field(None, description="nothing after this day was observed")
    as_of_columns: tuple[str, ...] = Field((), description="else: the latest date in these outcome columns")
    performance: PerformancePanel | None = None
    reject_tolerance: float = Field(0.01, ge=0, le=1, description="share of rows that may be rejected")

    _check_month = field_validator("first_cohort", mode="before")(_month)

    @model_validator(mode="after")
    def _has_source(self) -> Tape:
        if not self.path and self.simulated is None:
            raise ValueError("give a path, or parameters of a simulated lender")
        return self


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


class Windows(Declared):
    """The window plan, in periods; every bound inclusive (windows.py)."""

    frequency: Frequency = "month"
    development: int = Field(ge=1, description="D")
    otv: int = Field(ge=1, description="O")
    gap: int = Field(ge=0, description="G, between OTV and production, exclusive; at least the horizon")
    first_production: str = Field(description="p0")

    _check_month = field_validator("first_production", mode="before")(_month)


class Ratio(Declared):
    """A feature made of two others: numerator / denominator, missing where the denominator is not above 0."""

    numerator: str
    denominator: str
    description: str = ""


class Profile(Declared):
    """How much work a run spends on tuning."""

    trials: int = Field(ge=1, description="Optuna trials per study")
    retune_every: int = Field(ge=1, description="periods between anchors; 1 is the paper's way")


def _default_profiles() -> dict[ProfileName, Profile]:
    return {
        "quick": Profile(trials=4, retune_every=12),
        "standard": Profile(trials=20, retune_every=12),
        "paper": Profile(trials=30, retune_every=1),
    }


class Tuning(Declared):
    """Optuna on ITV, at anchors."""

    objective: Literal["auc", "composite"] = "auc"
    profiles: dict[ProfileName, Profile] = Field(default_factory=_default_profiles)

    @field_validator("profiles")
    @classmethod
    def _undeclared_stay(cls, value: dict[ProfileName, Profile]) -> dict[ProfileName, Profile]:
        return {**_default_profiles(), **value}


class CutOff(Declared):
    """The PD above which an application is declined.

    Either ``pd``, or ``approval_rate``: then the first decision fixes the PD that approves that share
    of its OTV loans, records it, and later decisions carry it on.
    """

    pd: float | None = Field(None, gt=0, lt=1)
    approval_rate: float | None = Field(None, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_of(self) -> CutOff:
        if (self.pd is None) == (self.approval_rate is None):
            raise ValueError("give either pd or approval_rate")
        return self


class Decision(Declared):
    """How the champion is chosen, and how long models are kept to compete again."""

    policy: PolicyName = "paper"
    metric: Literal["auc"] = "auc"
    min_bads: int = Field(30, ge=1)
    min_goods: int = Field(30, ge=1)
    cut_off: CutOff = CutOff(approval_rate=0.8)
    max_approval_rate_change: float = Field(0.05, gt=0, le=1, description="at the cut-off, as a share; 1: no limit")
    max_expected_bad_rate_change: float = Field(0.01, gt=0, le=1, description="at the cut-off, as a share; 1: no limit")
    keep_months: int = Field(12, ge=1, description="periods a bundle is scored on, the one it was trained for included")


class Checks(Declared):
    """Thresholds of the checks (risk/checks/), and the limits drawn into the drift picture."""

    psi_warning: float = Field(0.10, gt=0, description="PSI from which a shift beyond chance fails its check")
    psi_alarm: float = Field(0.25, gt=0, description="PSI from which it is called an alarm")
    false_alarm_rate: float = Field(0.05, gt=0, lt=1, description="of a check and month in which nothing happened")
    reference_cohorts: int = Field(12, ge=1, description="earlier cohorts a new one is compared with, at most")
    min_reference_cohorts: int = Field(3, ge=1, description="with fewer, such a check does not apply")
    max_rejected_share: float = Field(0.10, ge=0, le=1, description="of a cohort's rows; above it the month is blocked")
    volume_score: float = Field(3.5, gt=0, description="robust z-score of a cohort's loans: beyond it, odd")
    volume_extreme: float = Field(4.0, gt=1, description="factor off the median: odd and beyond it, blocked")
    missing_shift: float = Field(0.05, ge=0, le=1, description="move of a feature's missing share")
    novelty_share: float = Field(0.01, ge=0, le=1, description="share of a category never seen before")
    bad_rate_shift: float = Field(0.25, ge=0, description="relative move of a newly known bad rate")
    otv_auc_floor: float = Field(0.55, ge=0, le=1, description="AUC of the champion on OTV")
    auc_drop: float = Field(0.03, ge=0, le=1, description="from OTV to production")
    calibration_tolerance: float = Field(0.10, ge=0, description="relative excess of bad rate over PD")


class PortfolioSpec(Declared):
    """One loan book: one schema, one label, one window plan."""

    name: str = Field(description="lower-case letters, digits and underscores; prefix of every asset key")
    title: str = ""
    description: str = ""
    owners: tuple[str, ...] = Field((), description="e-mail addresses, or team:name")
    tape: Tape
    loan_id: LoanId
    columns: dict[str, Column]
    ratios: dict[str, Ratio] = Field(default_factory=dict)
    use_price: bool = Field(False, description="let columns of role price in as features")
    exclusions: tuple[Condition, ...] = ()
    label: Label
    windows: Windows
    strategies: tuple[Strategy, ...] = ("fixed_window", "fixed_origin", "rolling_window")
    algorithms: tuple[AlgorithmName, ...] = (
        "logistic_regression",
        "random_forest",
        "xgboost",
        "neural_network",
    )
    tuning: Tuning = Tuning()
    decision: Decision = Decision()
    checks: Checks = Checks()

    @field_validator("name")
    @classmethod
    def _safe_name(cls, value: str) -> str:
        if not NAME.match(value):
            raise ValueError(f"got {value!r}, expected lower-case letters, digits and underscores, at most 40")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> PortfolioSpec:
        dates = self.named("date")
        if len(dates) != 1:
            raise LocatedError(
                f"columns of role date: {dates}, expected exactly one, the origination date", "columns", *dates[1:2]
            )
        if self.columns[dates[0]].dtype != "date":
            raise LocatedError(
                f"column {dates[0]!r} has role date but dtype {self.columns[dates[0]].dtype!r}, expected 'date'",
                *("columns", dates[0], "dtype"),
            )
        singles: tuple[Role, ...] = ("id", "borrower", "weight")
        for role in singles:
            if len(self.named(role)) > 1:
                raise LocatedError(
                    f"columns of role {role}: {self.named(role)}, expected at most one", "columns", self.named(role)[1]
                )
        self._references_exist()
        if not self.feature_columns:
            raise LocatedError("no column has role feature: a model needs something to learn from", "columns")
        if "fixed_window" not in self.strategies:
            raise LocatedError(
                "strategies lack fixed_window: it is the baseline every champion is compared with", "strategies"
            )
        for field in ("strategies", "algorithms"):
            values = getattr(self, field)
            if len(set(values)) != len(values) or not values:
                raise LocatedError(f"{field} is {list(values)}, expected each at most once and at least one", field)
        self._plan_is_possible()
        return self

    def _references_exist(self) -> None:
        wanted = self._references()
        missing = [(column, at) for column, at in wanted if column not in self.columns]
        if missing:
            listed = ", ".join(f"{column!r} ({'.'.join(map(str, at))})" for column, at in missing)
            raise LocatedError(f"not declared under columns: {listed}", *missing[0][1])
        for name, at in wanted:
            column = self.columns[name]
            where = ".".join(map(str, at))
            if at[0] == "ratios" and column.role not in ("feature", "price"):
                raise LocatedError(f"{where} uses {name!r} of role {column.role}, expected a feature", *at)
            if at[0] == "ratios" and column.dtype not in ("number", "date"):
                raise LocatedError(f"{where} uses {name!r} of dtype {column.dtype}, expected a number", *at)
            if at[0] == "exclusions" and column.role == "outcome":
                raise LocatedError(
                    f"{where} uses the outcome column {name!r}: a loan would be dropped for what happened to it later, "
                    "in months that could not know; use label.indeterminate, which takes effect once it is known",
                    *at,
                )
            if at[:2] == ("loan_id", "derive_from") and column.role == "outcome":
                raise LocatedError(f"{where} uses the outcome column {name!r}: the id would change as loans age", *at)
            if at[:2] in (("tape", "as_of_columns"), ("label", "definition")) and column.role != "outcome":
                # As a feature it would tell the model what it is asked to predict.
                raise LocatedError(f"{where} uses {name!r} of role {column.role}, expected an outcome", *at)
            if (at[:2] == ("tape", "as_of_columns") or at[-1] == "last_payment") and column.dtype != "date":
                raise LocatedError(f"{where} uses {name!r} of dtype {column.dtype}, expected a date", *at)
        if isinstance(self.label.definition, DaysPastDue) and self.tape.performance is None and not self.tape.simulated:
            raise LocatedError(
                "a days_past_due label needs tape.performance, the monthly repayment rows", "label", "definition"
            )

    def _references(self) -> list[tuple[str, tuple[int | str, ...]]]:
        """Every column named outside ``columns``, with the path to where."""
        found: list[tuple[str, tuple[int | str, ...]]] = []
        found += [(c, ("tape", "as_of_columns", i)) for i, c in enumerate(self.tape.as_of_columns)]
        found += [(r.column, ("exclusions", i, "column")) for i, r in enumerate(self.exclusions)]
        found += [(r.column, ("label", "indeterminate", i, "column")) for i, r in enumerate(self.label.indeterminate)]
        found += [(c, ("loan_id", "derive_from", i)) for i, c in enumerate(self.loan_id.derive_from)]
        if self.loan_id.column:
            found.append((self.loan_id.column, ("loan_id", "column")))
        rule = self.label.definition
        if isinstance(rule, LastPaymentAndStatus):
            found.append((rule.status, ("label", "definition", "status")))
            found.append((rule.last_payment, ("label", "definition", "last_payment")))
        for name, ratio in self.ratios.items():
            found.append((ratio.numerator, ("ratios", name, "numerator")))
            found.append((ratio.denominator, ("ratios", name, "denominator")))
        return found

    def _plan_is_possible(self) -> None:
        plan, periods = self.windows, self.periods
        gap_months = plan.gap * periods.months
        p0 = Month.parse(plan.first_production)
        # Four years hold every length of month: a delay of 30 days fits most months and not a February.
        for production in periods.span(p0, p0 + 47):
            last_otv = periods.shift(production, -(plan.gap + 1))
            known = self.known_on(last_otv)
            if gap_months < self.label.horizon_months or known > decision_date(production):
                raise LocatedError(
                    f"windows.gap is {gap_months} months but the label needs {self.label.horizon_months} months and "
                    f"{self.label.reporting_delay_days} days: cohort {last_otv} is known on {known}, "
                    f"after the decision date {decision_date(production)}",
                    *("windows", "gap"),
                )
        for field, month in (
            ("windows.first_production", p0),
            ("tape.first_cohort", Month.parse(self.tape.first_cohort)),
        ):
            if periods.of(month.first_day) != month:
                raise LocatedError(
                    f"{field} is {month}, expected the first month of a {plan.frequency}", *field.split(".")
                )
        needed = periods.shift(p0, -(plan.gap + plan.otv + plan.development))
        if needed < Month.parse(self.tape.first_cohort):
            earliest = periods.shift(Month.parse(self.tape.first_cohort), plan.gap + plan.otv + plan.development)
            raise LocatedError(
                f"the first development window starts {needed}, before the first cohort {self.tape.first_cohort}: "
                f"first_production can be {earliest} at the earliest",
                *("windows", "first_production"),
            )

    def known_on(self, cohort: Month) -> date:
        """The first day on which every label of ``cohort`` is known (design: *known*)."""
        return known_on(cohort, self.label.horizon_months, self.periods, self.label.reporting_delay_days)

    def named(self, role: Role) -> list[str]:
        """Columns of a role, in declared order."""
        return [name for name, column in self.columns.items() if column.role == role]

    @property
    def periods(self) -> Periods:
        return Periods(self.windows.frequency)

    @property
    def p0(self) -> Month:
        return Month.parse(self.windows.first_production)

    @property
    def first_cohort(self) -> Month:
        return Month.parse(self.tape.first_cohort)

    @property
    def origination_column(self) -> str:
        return self.named("date")[0]

    @property
    def feature_columns(self) -> list[str]:
        """Tape columns a model may learn from, in declared order; prices only when let in."""
        roles = ("feature", "price") if self.use_price else ("feature",)
        return [name for name, column in self.columns.items() if column.role in roles and column.dtype != "text"]

    @property
    def number_features(self) -> list[str]:
        """Numeric model features of clean_features: numbers, dates as days, ratios."""
        numbers = [c for c in self.feature_columns if self.columns[c].dtype in ("number", "date")]
        # A ratio of a price is a price: it comes in and stays out with it.
        return numbers + [name for name, r in self.ratios.items() if {r.numerator, r.denominator} <= set(numbers)]

    @property
    def category_features(self) -> list[str]:
        return [c for c in self.feature_columns if self.columns[c].dtype == "category"]

    def profile(self, name: ProfileName) -> Profile:
        return self.tuning.profiles[name]
