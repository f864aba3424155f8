"""The days on which a production month is estimated: when it ends, and at each quarter of the horizon after."""

from __future__ import annotations

from datetime import date, timedelta

from pdx_assets.risk.calendar import Month, add_months
from pdx_assets.risk.spec import PortfolioSpec, ReadyFlag

STEPS = 4


def has_arrears(spec: PortfolioSpec) -> bool:
    """Whether bads of a young cohort are seen as they happen: not with a ready flag, no horizon, or hindsight."""
    rule = spec.label.definition
    return spec.label.horizon_months is not None and not isinstance(rule, ReadyFlag) and not spec.hindsight


def ages(spec: PortfolioSpec) -> tuple[int, ...]:
    """Months after the month's end: 0, and with arrears a quarter, a half and three quarters of the horizon."""
    horizon = spec.label.horizon_months
    if horizon is None or not has_arrears(spec):
        return (0,)
    return tuple(sorted({horizon * step // STEPS for step in range(STEPS)}))


def day_at(spec: PortfolioSpec, production: Month, age: int) -> date:
    """The day of an estimate: that many months after the month's end, and the reporting delay."""
    return add_months(spec.periods.last_day(production), age) + timedelta(days=spec.label.reporting_delay_days)


def reached(spec: PortfolioSpec, production: Month, as_of: date) -> tuple[int, ...]:
    """The ages a month has reached on a day, in order; none before it has ended."""
    return tuple(age for age in ages(spec) if day_at(spec, production, age) <= as_of)
