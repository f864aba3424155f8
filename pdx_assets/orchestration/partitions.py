"""The two partition definitions, and the edges between them (supersets: the manifests are the truth)."""

from __future__ import annotations

import warnings
from datetime import date

import dagster as dg

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.spec import PAPER_STRATEGIES, PortfolioSpec
from pdx_assets.risk.windows import known_cohorts


def cohort_months(spec: PortfolioSpec) -> dg.TimeWindowPartitionsDefinition:
    """From the tape's first cohort to the current month."""
    return _months(spec, spec.first_cohort)


def production_months(spec: PortfolioSpec) -> dg.TimeWindowPartitionsDefinition:
    """From p0 to the current month."""
    return _months(spec, spec.p0)


def _months(spec: PortfolioSpec, first: Month) -> dg.TimeWindowPartitionsDefinition:
    # end_offset=1: the current month exists while it runs; its loans are scored before it is over.
    return dg.TimeWindowPartitionsDefinition(
        start=str(first), fmt="%Y-%m", cron_schedule=spec.periods.cron(), end_offset=1
    )


def shifted(first: int, last: int) -> dg.TimeWindowPartitionMapping:
    """Periods p+first .. p+last of the upstream asset."""
    with warnings.catch_warnings():
        # The parameter is "beta" in 1.13 and without it the months before a tape's start are an error;
        # Dagster warns once an edge, 120 times a load.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.TimeWindowPartitionMapping(
            start_offset=first, end_offset=last, allow_nonexistent_upstream_partitions=True
        )


def window_edge(spec: PortfolioSpec, strategy: str) -> dg.TimeWindowPartitionMapping:
    """Development and OTV cohorts of a strategy; growing and fixed windows reach back to the tape's start."""
    plan = spec.windows
    first = -(plan.gap + plan.otv + plan.development) if strategy == "rolling_window" else -_all_so_far(spec)
    if strategy in PAPER_STRATEGIES:
        return shifted(first, -(plan.gap + 1))
    return shifted(first, -1 if strategy == "immature_cohorts" else -_youngest_known(spec))


def _youngest_known(spec: PortfolioSpec) -> int:
    """Periods back to the youngest cohort that a decision date can know, at any time of the year."""
    months = spec.periods.span(spec.p0, spec.periods.shift(spec.p0, 47))
    return min(len(spec.periods.span(known_cohorts(spec, p)[-1], p)) - 1 for p in months)


def _all_so_far(spec: PortfolioSpec) -> int:
    """Periods that reach the tape's first cohort from any partition of the next ten years.

    Not a round thousand: Dagster steps through each of them, on every edge, in every step.
    """
    last = max(Month.of(date.today()) + 120, spec.p0)
    return len(spec.periods.span(spec.first_cohort, last))
