"""A label definition's declaration -> the events it reads off the tape. Each kind has a module of its own."""

from __future__ import annotations

from datetime import date

import polars as pl

from pdx_assets.risk.outcomes.charged_off import CHARGED_OFF, UNDATED, from_charge_off
from pdx_assets.risk.outcomes.days_past_due import from_performance
from pdx_assets.risk.outcomes.last_payment import from_last_payment
from pdx_assets.risk.outcomes.ready_flag import FLAGGED_BAD, FLAGGED_GOOD, flags, from_flag
from pdx_assets.risk.outcomes.repayment_dates import due_days, from_repayment
from pdx_assets.risk.outcomes.tables import EVENT_SCHEMA, on_the_tape
from pdx_assets.risk.spec import ChargedOff, LastPaymentAndStatus, PortfolioSpec, ReadyFlag, RepaymentDates


def bad_events(spec: PortfolioSpec) -> tuple[str, ...]:
    """Names of the events the portfolio's label looks for, such as ``dpd90``."""
    rule = spec.label.definition
    if isinstance(rule, ChargedOff):
        # Ever charged off needs no day.
        return (CHARGED_OFF,) if spec.label.horizon_months is not None else (CHARGED_OFF, UNDATED)
    return (FLAGGED_BAD,) if isinstance(rule, ReadyFlag) else (f"dpd{rule.threshold}",)


def outcome_events(
    spec: PortfolioSpec, loans: pl.DataFrame, performance: pl.DataFrame | None, as_of: date
) -> pl.DataFrame:
    """Outcome events of a cohort's loans, as known on the as-of date.

    Args:
        loans: raw_loans of the cohort.
        performance: the cohort's panel rows (tape.py's CohortRows), corrections appended.
        as_of: nothing dated or known later is returned.

    Returns:
        ``cohort``, ``loan_id``, ``event``, ``event_date``, ``known_from``, ``withdrawn_from`` (null: it
        still stands), sorted by loan, date and known-from. Which events there are depends on the label
        definition: see the function of its kind.
    """
    rule = spec.label.definition
    if isinstance(rule, LastPaymentAndStatus):
        events = from_last_payment(spec, rule, loans)
    elif isinstance(rule, ChargedOff):
        events = from_charge_off(spec, rule, loans, as_of)
    elif isinstance(rule, ReadyFlag):
        events = from_flag(spec, rule, loans, as_of)
    elif isinstance(rule, RepaymentDates):
        events = from_repayment(spec, rule, loans)
    else:
        events = from_performance(spec, rule, loans, performance, as_of)
    events = events.filter(on_the_tape(as_of))
    return events.select(pl.col(n).cast(t) for n, t in EVENT_SCHEMA.items()).sort(
        "cohort", "loan_id", "event_date", "known_from", "event"
    )


def says_nothing(spec: PortfolioSpec, loans: pl.DataFrame) -> pl.Series:
    """Boolean per loan: the definition can call it neither bad nor good, whatever becomes of it."""
    rule = spec.label.definition
    if isinstance(rule, ReadyFlag):
        return flags(spec, rule, loans).is_null()
    if isinstance(rule, RepaymentDates):
        return due_days(spec, rule, loans).is_null()
    return pl.Series([False]).new_from_index(0, loans.height)


def undated(spec: PortfolioSpec, events: pl.DataFrame) -> pl.DataFrame:
    """Loans (``cohort``, ``loan_id``) that turned bad on a day nobody can say, where the label asks for the day."""
    nobody_can_say = (pl.col("event") == UNDATED) & (UNDATED not in bad_events(spec))
    return events.filter(nobody_can_say).select("cohort", "loan_id")


def flag_known(spec: PortfolioSpec, events: pl.DataFrame) -> pl.DataFrame | None:
    """For a ready flag, ``cohort``, ``loan_id`` and ``told``, the day it was known from; None for other kinds."""
    if not isinstance(spec.label.definition, ReadyFlag):
        return None
    flagged = events.filter(pl.col("event").is_in([FLAGGED_BAD, FLAGGED_GOOD]))
    return flagged.select("cohort", "loan_id", pl.col("known_from").alias("told"))
