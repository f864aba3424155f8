"""Labels as views of outcome events: every version of a loan's label, and the one that held on a day."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.outcomes.definitions import bad_events, flag_known, outcome_events, says_nothing
from pdx_assets.risk.outcomes.tables import LABEL_SCHEMA, horizon_ends
from pdx_assets.risk.spec import Condition, DaysPastDue, LastPaymentAndStatus, PortfolioSpec
from pdx_assets.risk.tape_rows import first_rule

if TYPE_CHECKING:
    from pdx_assets.risk.tape import CohortRows

LOAN = ["cohort", "loan_id"]


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
    column, since nobody could have read that column earlier. It is indeterminate too from the first day on where
    the definition has nothing to go by: a blank flag, no due date, a charge-off on a day the tape does not say.
    A ready flag is not known before its own known-from date. Without a
    horizon every label is known from the as-of date only: it is what the tape says then.
    """
    base = loans.select("cohort", "loan_id")
    first = spec.known_on(cohort)
    if first > as_of:
        return _sorted(base.with_columns(pl.lit("unknown").alias("status")))
    undecided, overruled = never_labelled(spec, loans), first_rule(spec, loans, _rules(spec)[1]).is_not_null()
    if spec.label.horizon_months is None:
        first = as_of
    base = base.with_columns(
        horizon_ends(spec, loans, as_of).alias("horizon_end"),
        undecided.alias("undecided"),
        (overruled & ~undecided).alias("overruled"),
        pl.lit(first).alias("first"),
    )
    untold = base.clear()
    if (told := flag_known(spec, events)) is not None:
        flagged = base.join(told, on=LOAN, how="left", maintain_order="left")
        is_untold = pl.col("told").is_null() & ~pl.col("undecided")
        untold = flagged.filter(is_untold).select(base.columns)
        base = flagged.filter(~is_untold).with_columns(pl.max_horizontal("first", "told").alias("first")).drop("told")
    within = events.filter(pl.col("event").is_in(bad_events(spec))).join(base, on=LOAN)
    within = within.filter((pl.col("event_date") <= pl.col("horizon_end")) & ~pl.col("undecided"))
    within = within.with_columns(pl.max_horizontal("known_from", "first").alias("known_from"))
    within = within.filter(pl.col("withdrawn_from").is_null() | (pl.col("withdrawn_from") > pl.col("known_from")))
    starts = base.filter(~pl.col("undecided")).select(*LOAN, pl.col("first").alias("day"), pl.lit(0).alias("step"))
    steps = pl.concat(
        [
            starts,
            within.select(*LOAN, pl.col("known_from").alias("day"), pl.lit(1).alias("step")),
            within.filter(pl.col("withdrawn_from").is_not_null()).select(
                *LOAN, pl.col("withdrawn_from").alias("day"), pl.lit(-1).alias("step")
            ),
        ]
    )
    versions = (
        steps.group_by(*LOAN, "day")
        .agg(pl.col("step").sum())
        .sort(*LOAN, "day")
        .with_columns((pl.col("step").cum_sum().over(LOAN) > 0).cast(pl.Int8).alias("label"))
        .filter((pl.col("label") != pl.col("label").shift(1)).fill_null(True).over(LOAN))
        .with_columns(
            pl.col("day").alias("known_from"),
            pl.col("day").shift(-1).over(LOAN).alias("superseded_from"),
            pl.when(pl.col("label") == 1).then(pl.lit("bad")).otherwise(pl.lit("good")).alias("status"),
        )
    )
    read_late = base.filter("overruled").select(LOAN)
    ended = versions.join(read_late, on=LOAN, how="semi").filter(pl.col("day") < as_of)
    ended = ended.with_columns(pl.min_horizontal("superseded_from", pl.lit(as_of)).alias("superseded_from"))
    versions = versions.join(read_late, on=LOAN, how="anti")
    neither = base.filter(pl.col("undecided") | pl.col("overruled")).with_columns(
        pl.lit("indeterminate").alias("status"),
        pl.when("undecided").then("first").otherwise(pl.lit(as_of)).alias("known_from"),
    )
    unknown = untold.select(*LOAN, pl.lit("unknown").alias("status"))
    return _sorted(pl.concat([versions, ended, neither, unknown], how="diagonal"))


def never_labelled(spec: PortfolioSpec, loans: pl.DataFrame) -> pl.Series:
    """Boolean per loan: neither bad nor good from the first day on, whatever becomes of it.

    By an indeterminate rule on an application-time column, or because the definition has nothing to go by.
    """
    return first_rule(spec, loans, _rules(spec)[0]).is_not_null() | says_nothing(spec, loans)


def labels_every_loan(spec: PortfolioSpec) -> bool:
    """Whether :func:`never_labelled` is false of every loan, by the declarations alone."""
    return not _rules(spec)[0] and isinstance(spec.label.definition, LastPaymentAndStatus | DaysPastDue)


def _rules(spec: PortfolioSpec) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """Indeterminate rules on application-time columns, and those on outcome columns."""
    late = tuple(r for r in spec.label.indeterminate if spec.columns[r.column].role == "outcome")
    return tuple(r for r in spec.label.indeterminate if r not in late), late


def cohort_labels(spec: PortfolioSpec, cohort: Month, rows: CohortRows, as_of: date) -> pl.DataFrame:
    """:func:`label_rows` of a cohort straight from its rows on a tape; nothing is stored."""
    events = outcome_events(spec, rows.loans, rows.performance, as_of)
    return label_rows(spec, cohort, rows.loans, events, as_of)


def label_view(labels: pl.DataFrame, on: date) -> pl.DataFrame:
    """Labels as they stood on a day: one row a loan.

    A loan without a version valid on that day has status ``unknown``, a null label and no dates.

    Args:
        labels: :func:`label_rows` of any number of cohorts.
        on: the day; versions with ``known_from <= on < superseded_from`` are valid.
    """
    holds = (pl.col("known_from") <= on) & (pl.col("superseded_from").is_null() | (pl.col("superseded_from") > on))
    valid = labels.filter(holds)
    others = labels.select(LOAN).unique().join(valid, on=LOAN, how="anti")
    return _sorted(pl.concat([valid, others.with_columns(pl.lit("unknown").alias("status"))], how="diagonal"))


def _sorted(rows: pl.DataFrame) -> pl.DataFrame:
    absent = [pl.lit(None, dtype=t).alias(n) for n, t in LABEL_SCHEMA.items() if n not in rows.columns]
    rows = rows.with_columns(absent).select(pl.col(n).cast(t) for n, t in LABEL_SCHEMA.items())
    return rows.sort("cohort", "loan_id", "known_from")
