"""One portfolio: all its declarations together, and what must agree between them."""

from __future__ import annotations

import re
from datetime import date

from pydantic import Field, field_validator, model_validator

from pdx_assets.risk.calendar import Month, Periods, decision_date, known_on
from pdx_assets.risk.spec.base import Condition, Declared, LocatedError
from pdx_assets.risk.spec.columns import Column, Derived, LoanId, Outliers, Ratio, Role, SamplingWeights, absent
from pdx_assets.risk.spec.experiment import Experiment
from pdx_assets.risk.spec.label import NOT_KNOWABLE, DaysPastDue, Label, ReadyFlag
from pdx_assets.risk.spec.leaks import Leaks
from pdx_assets.risk.spec.method import (
    PAPER_STRATEGIES,
    AlgorithmName,
    Checks,
    Decision,
    Profile,
    ProfileName,
    Strategy,
    Tuning,
    Windows,
)
from pdx_assets.risk.spec.simulated import SimulatedLender
from pdx_assets.risk.spec.tape import Tape

NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}\Z")  # $ would let a trailing newline through

# Keys of a label definition that name a date column.
_DATES = ("last_payment", "date", "known_from", "due", "repaid")


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
    derived: dict[str, Derived] = Field(default_factory=dict, exclude_if=absent)
    outliers: dict[str, Outliers] = Field(default_factory=dict, exclude_if=absent)
    use_price: bool = Field(False, description="let columns of role price in as features")
    exclusions: tuple[Condition, ...] = ()
    sampling_weights: SamplingWeights | None = Field(
        None,
        # What was hashed of a portfolio without it stays as it was.
        exclude_if=lambda declared: declared is None,
        description="for a tape that is a sample drawn by outcome",
    )
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
    leaks: Leaks = Leaks()
    experiment: Experiment = Experiment()

    @field_validator("name")
    @classmethod
    def _safe_name(cls, value: str) -> str:
        if not NAME.match(value):
            raise ValueError(f"got {value!r}, expected lower-case letters, digits and underscores, at most 40")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> PortfolioSpec:
        self._roles_agree()
        self._references_exist()
        self._features_agree()
        for field in ("strategies", "algorithms"):
            values = getattr(self, field)
            if len(set(values)) != len(values) or not values:
                raise LocatedError(f"{field} is {list(values)}, expected each at most once and at least one", field)
        if "blend" in self.algorithms[:2]:
            raise LocatedError(
                f"algorithms is {list(self.algorithms)}, expected blend after at least two others: it combines them",
                "algorithms",
            )
        if "fixed_window" not in self.strategies:
            raise LocatedError(
                "strategies lack fixed_window: it is the baseline every champion is compared with", "strategies"
            )
        self._plan_is_possible()
        self._strategies_are_possible()
        self._recipes_exist()
        return self

    def _recipes_exist(self) -> None:
        rules = self.decision
        named: list[tuple[str | None, tuple[str, ...]]] = [(rules.always, ("decision", "always"))]
        if rules.evidence is not None:
            first = Month.parse(rules.evidence.first_month)
            at: tuple[str, ...] = ("decision", "evidence", "first_month")
            if first <= self.first_cohort:
                raise LocatedError(f"{first} has no loans before it: the tape begins {self.first_cohort}", *at)
            if self.periods.of(first.first_day) != first:
                raise LocatedError(f"got {first}, expected the first month of a {self.windows.frequency}", *at)
            at = ("decision", "evidence", "first_recipe")
            named.append((rules.evidence.first_recipe, at))
            if (rules.evidence.first_recipe or "").startswith("fixed_window "):
                raise LocatedError("fixed_window is never refitted, so it has no record to be judged by", *at)
        for recipe, where in named:
            strategy, _, algorithm = (recipe or "").partition(" ")
            if recipe and (strategy not in self.strategies or algorithm not in self.algorithms):
                raise LocatedError(
                    f"got {recipe!r}, expected one of the strategies {', '.join(self.strategies)} and one of the "
                    f"algorithms {', '.join(self.algorithms)}",
                    *where,
                )

    def _roles_agree(self) -> None:
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
        if self.sampling_weights is not None and self.named("weight"):
            raise LocatedError(
                f"column {self.named('weight')[0]!r} has role weight already: give one of the two", "sampling_weights"
            )

    def _features_agree(self) -> None:
        self._leaks_are_features()
        if not self.feature_columns:
            raise LocatedError("no column has role feature: a model needs something to learn from", "columns")
        for name in self.outliers:
            if name not in self.number_features:
                raise LocatedError(
                    f"outliers names {name!r}, expected a number feature: {', '.join(self.number_features)}",
                    *("outliers", name),
                )
        both = sorted(set(self.ratios) & set(self.derived))
        if both:
            raise LocatedError(f"{both[0]!r} is declared under ratios already", "derived", both[0])

    def _references_exist(self) -> None:
        wanted = self._references()
        missing = [(column, at) for column, at in wanted if column not in self.columns]
        if missing:
            listed = ", ".join(f"{column!r} ({'.'.join(map(str, at))})" for column, at in missing)
            raise LocatedError(f"not declared under columns: {listed}", *missing[0][1])
        for name, at in wanted:
            column = self.columns[name]
            where = ".".join(map(str, at))
            if at[0] in ("ratios", "derived") and column.role not in ("feature", "price"):
                raise LocatedError(f"{where} uses {name!r} of role {column.role}, expected a feature", *at)
            if at[0] in ("ratios", "derived") and column.dtype not in ("number", "date"):
                raise LocatedError(f"{where} uses {name!r} of dtype {column.dtype}, expected a number", *at)
            if at[0] == "exclusions" and column.role == "outcome":
                raise LocatedError(
                    f"{where} uses the outcome column {name!r}: a loan would be dropped for what happened to it later, "
                    "in months that could not know; use label.indeterminate, which takes effect once it is known",
                    *at,
                )
            if at[:2] == ("loan_id", "derive_from") and column.role == "outcome":
                raise LocatedError(f"{where} uses the outcome column {name!r}: the id would change as loans age", *at)
            if at[:2] in (("tape", "as_of_columns"), ("label", "definition")):
                _check_outcome(name, column, at)
        has_panel = self.tape.performance is not None or isinstance(self.tape.simulated, SimulatedLender)
        if isinstance(self.label.definition, DaysPastDue) and not has_panel:
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
        if self.sampling_weights is not None:
            found.append((self.sampling_weights.column, ("sampling_weights", "column")))
        if self.loan_id.column:
            found.append((self.loan_id.column, ("loan_id", "column")))
        found += [(c, ("label", "definition", key)) for key, c in self.label.references.items()]
        for name, ratio in self.ratios.items():
            found.append((ratio.numerator, ("ratios", name, "numerator")))
            found.append((ratio.denominator, ("ratios", name, "denominator")))
        for name, derived in self.derived.items():
            if derived.scale is not None:
                found.append((derived.scale.column, ("derived", name, "scale", "column")))
            for i, part in enumerate(derived.difference or ()):
                if isinstance(part, str):
                    found.append((part, ("derived", name, "difference", i)))
        return found

    def _leaks_are_features(self) -> None:
        both = sorted(set(self.leaks.accepted) & set(self.leaks.banned))
        if both:
            raise LocatedError(f"{', '.join(both)}: both accepted and banned, expected one of them", "leaks", "banned")
        for field, names in (("accepted", self.leaks.accepted), ("banned", self.leaks.banned)):
            for name in names:
                column = self.columns.get(name)
                role = column.role if column else "feature" if name in self.made_features else "not declared"
                if role not in ("feature", "price") or (column and column.dtype == "text"):
                    raise LocatedError(
                        f"leaks.{field} names {name!r}, {'dtype text' if column and column.dtype == 'text' else role}: "
                        "expected a column of role feature or price, or a feature made of some",
                        *("leaks", field, name),
                    )

    def _plan_is_possible(self) -> None:
        plan, periods = self.windows, self.periods
        p0 = Month.parse(plan.first_production)
        too_late = self._not_knowable()
        if too_late and not self.hindsight:
            raise LocatedError(too_late, "windows", "gap")
        if self.hindsight and not too_late:
            raise LocatedError(
                "every label of this plan is known on its decision date: results would be marked for nothing",
                *("label", "accepts_labels_not_knowable_in_time"),
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

    def _strategies_are_possible(self) -> None:
        beyond = [s for s in self.strategies if s not in PAPER_STRATEGIES]
        if beyond and self.hindsight:
            raise LocatedError(
                f"{', '.join(beyond)}: learns from all that a decision date knows, and here labels nobody could know "
                "are accepted: leave it out",
                "strategies",
            )
        if self.learns_from_immature and isinstance(self.label.definition, ReadyFlag):
            raise LocatedError(
                "immature_cohorts needs to know when a loan turned bad, and a ready flag says only whether: leave it "
                "out, or declare a definition with dates",
                "strategies",
            )

    def _not_knowable(self) -> str | None:
        """Which cohort's labels the plan needs before they are known; None where there is no such cohort."""
        plan, periods, horizon = self.windows, self.periods, self.label.horizon_months
        if horizon is None:
            return "the label is ever, which no decision date knows"
        gap_months = plan.gap * periods.months
        # Four years hold every length of month: a delay of 30 days fits most months and not a February.
        for production in periods.span(self.p0, self.p0 + 47):
            last_otv = periods.shift(production, -(plan.gap + 1))
            known = self.known_on(last_otv)
            if gap_months < horizon or known > decision_date(production):
                return (
                    f"windows.gap is {gap_months} months but the label needs {horizon} months and "
                    f"{self.label.reporting_delay_days} days: cohort {periods.spoken(last_otv)} is known on {known}, "
                    f"after the decision date {decision_date(production)} of {periods.spoken(production)}. "
                    "Widen the gap; to repeat published work in hindsight all the same, "
                    "label.accepts_labels_not_knowable_in_time"
                )
        return None

    @property
    def learns_from_immature(self) -> bool:
        """Whether a strategy learns from cohorts that are only partly observed."""
        return "immature_cohorts" in self.strategies

    @property
    def hindsight(self) -> bool:
        """Whether windows use labels nobody could know on the decision date, as the spec accepts in so many words."""
        return self.label.accepts_labels_not_knowable_in_time

    @property
    def marks(self) -> dict[str, str]:
        """What every document of the portfolio's results has to say of it, by key."""
        return {"hindsight": NOT_KNOWABLE} if self.hindsight else {}

    def known_on(self, cohort: Month) -> date:
        """The first day on which every label of ``cohort`` is known (design: *known*).

        Without a horizon, the first day on which a look at the tape gives every loan of it a label.
        """
        return known_on(cohort, self.label.horizon_months or 0, self.periods, self.label.reporting_delay_days)

    def named(self, role: Role) -> list[str]:
        """Columns of a role, in declared order."""
        return [name for name, column in self.columns.items() if column.role == role]

    @property
    def is_weighted(self) -> bool:
        """Whether loans have sample weights, by a column or by a rule: clean_features then has ``weight``."""
        return bool(self.named("weight")) or self.sampling_weights is not None

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
        """Tape columns a model may learn from, in declared order; prices only when let in, banned ones never."""
        roles = ("feature", "price") if self.use_price else ("feature",)
        return [
            name
            for name, column in self.columns.items()
            if column.role in roles and column.dtype != "text" and name not in self.leaks.banned
        ]

    @property
    def number_features(self) -> list[str]:
        """Numeric model features of clean_features: numbers, dates as days, ratios, derived."""
        numbers = [c for c in self.feature_columns if self.columns[c].dtype in ("number", "date")]
        # What is made of a price is a price: it comes in and stays out with it. So with a banned column.
        allowed = {name: made for name, made in self.made_features.items() if name not in self.leaks.banned}
        return numbers + [name for name, made in allowed.items() if set(made.parts) <= set(numbers)]

    @property
    def made_features(self) -> dict[str, Ratio | Derived]:
        """Ratios and derived features by name, whether or not their columns are let in."""
        return {**self.ratios, **self.derived}

    @property
    def category_features(self) -> list[str]:
        return [c for c in self.feature_columns if self.columns[c].dtype == "category"]

    @property
    def tuned_algorithms(self) -> tuple[AlgorithmName, ...]:
        """Those that learn, and so have studies, in declared order: all but the blend, whose members they are."""
        return tuple(name for name in self.algorithms if name != "blend")

    def profile(self, name: ProfileName) -> Profile:
        return self.tuning.profiles[name]


def _check_outcome(name: str, column: Column, at: tuple[int | str, ...]) -> None:
    """A column that the label or the as-of date is read from has a role and a type that suit."""
    where, key = ".".join(map(str, at)), at[-1]
    if key in ("due", "term_days"):
        # The terms of a loan are known when it is granted: they may be features.
        if column.role not in ("feature", "price", "outcome"):
            raise LocatedError(f"{where} uses {name!r} of role {column.role}, expected a feature or an outcome", *at)
    elif column.role != "outcome":
        # As a feature it would tell the model what it is asked to predict.
        raise LocatedError(f"{where} uses {name!r} of role {column.role}, expected an outcome", *at)
    if (at[:2] == ("tape", "as_of_columns") or key in _DATES) and column.dtype != "date":
        raise LocatedError(f"{where} uses {name!r} of dtype {column.dtype}, expected a date", *at)
    if key == "term_days" and column.dtype != "number":
        raise LocatedError(f"{where} uses {name!r} of dtype {column.dtype}, expected a number", *at)
