"""What happened to each loan, when, and from when it was known; and labels as views of it.

Events and labels are bitemporal: a row says from which day it was known and, where a correction took it
back, until which. So what a decision date could know is a filter, never a guess. Windows and their
firewall (windows.py) read these dates; nothing here looks at features.
"""

from __future__ import annotations

import math
from datetime import date, timedelta

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.spec import DaysPastDue, LastPaymentAndStatus, PortfolioSpec
from pdx_assets.risk.tape import performance_panel
from pdx_assets.risk.tape_rows import first_rule

EVENT_SCHEMA = {
    "cohort": pl.String,
    "loan_id": pl.String,
    "event": pl.String,
    "event_date": pl.Date,
    "known_from": pl.Date,
    "withdrawn_from": pl.Date,
}
LABEL_SCHEMA = {
    "cohort": pl.String,
    "loan_id": pl.String,
    "label": pl.Int8,
    "status": pl.String,
    "known_from": pl.Date,
    "superseded_from": pl.Date,
}


def bad_event(spec: PortfolioSpec) -> str:
    """Name of the event the portfolio's label looks for, such as ``dpd90``."""
    return f"dpd{spec.label.definition.threshold}"


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
        still stands), sorted by loan, date and known-from.

    Events by label definition:

    * ``last_payment_and_status``: see :func:`_from_last_payment`.
    * ``days_past_due``: see :func:`_from_performance`.
    """
    if isinstance(spec.label.definition, LastPaymentAndStatus):
        events = _from_last_payment(spec, spec.label.definition, loans)
    else:
        events = _from_performance(spec, spec.label.definition, loans, performance, as_of)
    events = events.filter((pl.col("event_date") <= as_of) & (pl.col("known_from") <= as_of))
    return events.select(pl.col(n).cast(t) for n, t in EVENT_SCHEMA.items()).sort(
        "cohort", "loan_id", "event_date", "known_from", "event"
    )


def _from_last_payment(spec: PortfolioSpec, rule: LastPaymentAndStatus, loans: pl.DataFrame) -> pl.DataFrame:
    """The LendingClub rule: days past due inferred from the last payment's month and the final status.

    A loan last paid *m* months after its month of issue (0 when it never paid) whose final status is
    charged off, in default or late missed its next instalment in month *m* + 1 and is 90 days past due in
    month *m* + 4; in general *m* + 1 + threshold / 30, rounded up. The event is dated the last day of
    that month, and known from that day plus the label's reporting delay. So "bad within 12 months" means
    *m* <= 8. ``Does not meet the credit policy. Status:`` in front of a status changes nothing, since the
    status is searched, not compared. ``paid_off`` is dated the last day of the last payment's month.

    Limits: one late snapshot shows a loan's end, not its path. A loan that was 90 days past due and
    recovered is not seen as bad; a last payment that was only partial, or a recovery after charge-off,
    makes the event look later than it was; a loan late at the as-of date counts from its own last
    payment, and only once the 90 days have passed by then.
    """
    issued = _months(columns.days(_cells(loans, spec.origination_column), spec.columns[spec.origination_column]))
    paid = _months(columns.days(_cells(loans, rule.last_payment), spec.columns[rule.last_payment]))
    status = columns.texts(_cells(loans, rule.status), spec.columns[rule.status])
    on_book = pl.Series((paid - issued).fill_null(0).clip(lower_bound=0))
    base = loans.select("cohort", "loan_id").with_columns(
        issued.alias("issued"), on_book.alias("m"), paid.is_not_null().alias("paid"), status.alias("status")
    )
    missed = 1 + math.ceil(rule.threshold / 30)
    bad = base.filter(pl.col("status").str.contains(rule.bad_status).fill_null(False)).with_columns(
        pl.lit(bad_event(spec)).alias("event"),
        _month_end(pl.col("issued") + pl.col("m") + missed).alias("event_date"),
    )
    kinds = [bad]
    if rule.paid_off_status is not None:
        repaid = pl.col("status").str.contains(rule.paid_off_status).fill_null(False) & pl.col("paid")
        kinds.append(
            base.filter(repaid).with_columns(
                pl.lit("paid_off").alias("event"), _month_end(pl.col("issued") + pl.col("m")).alias("event_date")
            )
        )
    delay = timedelta(days=spec.label.reporting_delay_days)
    return pl.concat(kinds).with_columns(
        (pl.col("event_date") + delay).alias("known_from"), pl.lit(None, dtype=pl.Date).alias("withdrawn_from")
    )


def _from_performance(
    spec: PortfolioSpec, rule: DaysPastDue, loans: pl.DataFrame, performance: pl.DataFrame | None, as_of: date
) -> pl.DataFrame:
    """Events read off the performance panel: past due by the threshold, charged off, paid off.

    For one loan and month the report with the latest day holds from that day on (the later row of two
    from one day). An event is dated the month's last day and stands from the report that shows it until
    the report that takes it back. Charge-off and payoff come from the panel's status column, if declared.
    """
    if performance is None or not performance.height:
        return pl.DataFrame(schema=EVENT_SCHEMA)
    known = performance.filter((pl.col("reported_on") <= as_of) & (pl.col("month") <= as_of))
    shows = {f"dpd{rule.threshold}": pl.col("days_past_due") >= rule.threshold}
    panel = performance_panel(spec)
    if panel is not None and panel.status is not None:
        shows["charged_off"] = pl.col("status").str.contains(panel.charged_off_status).fill_null(False)
        shows["paid_off"] = pl.col("status").str.contains(panel.paid_off_status).fill_null(False)
    events = pl.concat([_spells(known, test).with_columns(pl.lit(e).alias("event")) for e, test in shows.items()])
    return events.join(loans.select("cohort", "loan_id"), on="loan_id", how="inner")


def _spells(known: pl.DataFrame, shows: pl.Expr) -> pl.DataFrame:
    """From when until when reports of a month showed something: ``loan_id``, ``event_date``, ``known_from``,
    ``withdrawn_from``.

    Months that add nothing, because an earlier month's event is known no later and was never taken back,
    are left out: the first event standing on a day is the first that was known on that day.
    """
    known = known.with_columns(shows.alias("shown"))
    # Nearly all loans never show it: only months that ever did need a history.
    by_month = ["loan_id", "month"]
    spells = (
        known.join(known.filter("shown").select(by_month).unique(), on=by_month, how="semi", maintain_order="left")
        .unique([*by_month, "reported_on"], keep="last", maintain_order=True)
        .sort(*by_month, "reported_on")
        .filter((pl.col("shown") != pl.col("shown").shift(1)).fill_null(True).over(by_month))
        .with_columns(pl.col("reported_on").shift(-1).over(by_month).alias("withdrawn_from"))
        .filter("shown")
        # A report ahead of the month's end tells of it no earlier than it happens.
        .with_columns(pl.max_horizontal("reported_on", "month").alias("known_from"))
        .filter(pl.col("withdrawn_from").is_null() | (pl.col("withdrawn_from") > pl.col("known_from")))
        .sort(*by_month, "known_from")
    )
    standing = pl.when(pl.col("withdrawn_from").is_null()).then("known_from")
    earlier = standing.cum_min().forward_fill().shift(1).over("loan_id")
    return spells.filter(earlier.is_null() | (pl.col("known_from") < earlier)).select(
        "loan_id", pl.col("month").alias("event_date"), "known_from", "withdrawn_from"
    )


def label_rows(
    spec: PortfolioSpec, cohort: Month, loans: pl.DataFrame, events: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    """Every version of every label of a cohort, as known on the as-of date.

    Args:
        cohort: the partition.
        loans: its raw_loans.
        events: its :func:`outcome_events`.
        as_of: the tape's as-of date.

    Returns:
        ``cohort``, ``loan_id``, ``label`` (Int8: 1 bad, 0 good, null), ``status``, ``known_from``,
        ``superseded_from`` (null: it still holds), sorted by loan and known-from.

    A loan is bad when the label's event stands within the horizon, counted in months on book from the
    loan's month of origination. Before :meth:`PortfolioSpec.known_on` the cohort's labels are unknown: one
    row a loan with status ``unknown``, null label and no dates, never "good". The first version is known
    from that day; an event known later supersedes it, and so does a withdrawal. A loan for which a
    declared indeterminate rule holds has status ``indeterminate`` and a null label whatever happened: from
    that day on by a rule on an application-time column, and only from the as-of date by a rule on an outcome
    column, since nobody could have read that column earlier.
    """
    base = loans.select("cohort", "loan_id")
    first = spec.known_on(cohort)
    if first > as_of:
        return _labels(base.with_columns(pl.lit("unknown").alias("status")))
    day = columns.days(_cells(loans, spec.origination_column), spec.columns[spec.origination_column])
    ends = _month_end(_months(day) + spec.label.horizon_months)
    late = tuple(r for r in spec.label.indeterminate if spec.columns[r.column].role == "outcome")
    early = tuple(r for r in spec.label.indeterminate if r not in late)
    undecided, overruled = (first_rule(spec, loans, rules).is_not_null() for rules in (early, late))
    base = base.with_columns(
        ends.alias("horizon_end"), undecided.alias("undecided"), (overruled & ~undecided).alias("overruled")
    )
    within = events.filter(pl.col("event") == bad_event(spec)).join(base, on=["cohort", "loan_id"])
    within = within.filter((pl.col("event_date") <= pl.col("horizon_end")) & ~pl.col("undecided"))
    within = within.with_columns(pl.max_horizontal("known_from", pl.lit(first)).alias("known_from"))
    within = within.filter(pl.col("withdrawn_from").is_null() | (pl.col("withdrawn_from") > pl.col("known_from")))
    starts = base.filter(~pl.col("undecided")).select(
        "cohort", "loan_id", pl.lit(first).alias("day"), pl.lit(0).alias("step")
    )
    steps = pl.concat(
        [
            starts,
            within.select("cohort", "loan_id", pl.col("known_from").alias("day"), pl.lit(1).alias("step")),
            within.filter(pl.col("withdrawn_from").is_not_null()).select(
                "cohort", "loan_id", pl.col("withdrawn_from").alias("day"), pl.lit(-1).alias("step")
            ),
        ]
    )
    loan = ["cohort", "loan_id"]
    versions = (
        steps.group_by(*loan, "day")
        .agg(pl.col("step").sum())
        .sort(*loan, "day")
        .with_columns((pl.col("step").cum_sum().over(loan) > 0).cast(pl.Int8).alias("label"))
        .filter((pl.col("label") != pl.col("label").shift(1)).fill_null(True).over(loan))
        .with_columns(
            pl.col("day").alias("known_from"),
            pl.col("day").shift(-1).over(loan).alias("superseded_from"),
            pl.when(pl.col("label") == 1).then(pl.lit("bad")).otherwise(pl.lit("good")).alias("status"),
        )
    )
    read_late = base.filter("overruled").select(loan)
    ended = versions.join(read_late, on=loan, how="semi").filter(pl.col("day") < as_of)
    ended = ended.with_columns(pl.min_horizontal("superseded_from", pl.lit(as_of)).alias("superseded_from"))
    versions = versions.join(read_late, on=loan, how="anti")
    neither = base.filter(pl.col("undecided") | pl.col("overruled")).with_columns(
        pl.lit("indeterminate").alias("status"),
        pl.when("undecided").then(pl.lit(first)).otherwise(pl.lit(as_of)).alias("known_from"),
    )
    return _labels(pl.concat([versions, ended, neither], how="diagonal"))


def label_view(labels: pl.DataFrame, on: date) -> pl.DataFrame:
    """Labels as they stood on a day: one row a loan.

    A loan without a version valid on that day has status ``unknown``, a null label and no dates.

    Args:
        labels: :func:`label_rows` of any number of cohorts.
        on: the day; versions with ``known_from <= on < superseded_from`` are valid.
    """
    holds = (pl.col("known_from") <= on) & (pl.col("superseded_from").is_null() | (pl.col("superseded_from") > on))
    valid = labels.filter(holds)
    loan = ["cohort", "loan_id"]
    others = labels.select(loan).unique().join(valid, on=loan, how="anti")
    return _labels(pl.concat([valid, others.with_columns(pl.lit("unknown").alias("status"))], how="diagonal"))


def _labels(rows: pl.DataFrame) -> pl.DataFrame:
    absent = [pl.lit(None, dtype=t).alias(n) for n, t in LABEL_SCHEMA.items() if n not in rows.columns]
    rows = rows.with_columns(absent).select(pl.col(n).cast(t) for n, t in LABEL_SCHEMA.items())
    return rows.sort("cohort", "loan_id", "known_from")


def _cells(loans: pl.DataFrame, name: str) -> pl.Series:
    if name in loans.columns:
        return loans[name]
    return pl.Series(name, [None], dtype=pl.String).new_from_index(0, loans.height)


def _months(days: pl.Series) -> pl.Series:
    """Month ordinals (Int32), as in calendar.Month."""
    return days.dt.year() * 12 + days.dt.month().cast(pl.Int32) - 1


def _month_end(ordinals: pl.Expr | pl.Series) -> pl.Expr:
    """Last day of a month given by its ordinal."""
    months = pl.lit(ordinals) if isinstance(ordinals, pl.Series) else ordinals
    return pl.date(months // 12, months % 12 + 1, 1).dt.month_end()
