"""A window plan that fits the months of a tape: D, O, G, p0 and the first cohort.

Enough bads for a contest come first, then production months to look at, then a longer development window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pdx_assets.risk.calendar import Frequency, Month, Periods, known_on

# A contest needs 30 (decision.min_bads); counts vary from month to month.
WANTED_BADS = 45
_LONGEST_OTV: dict[Frequency, int] = {"month": 6, "quarter": 4}
_USUAL_OTV: dict[Frequency, int] = {"month": 3, "quarter": 2}
_LONGEST_DEVELOPMENT = 12
# Months before the first in which this share of loans had been made are strays, or too thin to learn from.
_STRAY_SHARE = 0.002


@dataclass(frozen=True)
class WindowPlan:
    """Windows in periods, as a spec declares them.

    Attributes:
        last_known: the last cohort whose labels the tape knows; None when there is none.
        measured: production periods whose own labels are known.
        problem: why the plan cannot be run or held a contest on; empty when it can.
        why: what it rests on, a line each.
    """

    frequency: Frequency
    development: int
    otv: int
    gap: int
    first_production: Month
    first_cohort: Month
    last_known: Month | None
    measured: int
    problem: str
    why: tuple[str, ...]


def plan_windows(
    loans: Mapping[Month, int], bads: Mapping[Month, float] | None, as_of: date, horizon: int
) -> WindowPlan:
    """The plan for a book.

    Args:
        loans: by month of origination; at least one month.
        bads: by month, roughly; None when no label was found.
        as_of: nothing later was observed.
        horizon: of the label, months on book.
    """
    first, last = _first_cohort(loans), max(loans)
    monthly = _plan(bads, as_of, horizon, first, last, "month")
    if bads is None or not monthly.problem:
        return monthly
    quarterly = _plan(bads, as_of, horizon, first, last, "quarter")
    return monthly if quarterly.problem else quarterly


def _plan(
    bads: Mapping[Month, float] | None,
    as_of: date,
    horizon: int,
    first: Month,
    last: Month,
    frequency: Frequency,
) -> WindowPlan:
    periods = Periods(frequency)
    start = periods.of(first.first_day)
    if start < first:
        start = periods.shift(start, 1)
    span = [m for m in periods.span(start, periods.of(last.first_day)) if periods.last_day(m) <= _seen(last, as_of)]
    known = [m for m in span if known_on(m, horizon, periods) <= as_of]
    gap = math.ceil(horizon / periods.months)
    count = len(known)
    problem = ""
    needed = _otv(known, bads, periods)
    otv = needed or _LONGEST_OTV[frequency]
    if not count:
        problem = f"no label is known yet: the last cohort that is must lie {horizon} months before {as_of}"
    elif needed is None:
        problem = f"even {otv} {frequency}s together hold fewer than 30 bads: no contest can be held"
    room = count - gap - otv
    measured = min(12, max(3, count // 4), max(1, room - 3)) if room > 1 else 1
    development = max(1, min(_LONGEST_DEVELOPMENT, room - measured))
    if room < 2 and not problem:
        problem = (
            f"{count} {frequency}s have known labels, and one of development, {otv} of OTV, a gap of {gap} and one "
            f"of production need {gap + otv + 2}: shorten the label's horizon or bring a longer tape"
        )
    # A long book need not be replayed from its first month on.
    p0 = periods.shift(start, gap + otv + development)
    if count:
        p0 = max(p0, periods.shift(known[-1], 1 - measured))
        measured = len([m for m in known if m >= p0])
    unit = f"{frequency}s"
    why = (
        f"the tape holds {len(span)} whole {unit} of loans from {start} on, and knows the labels of {count}"
        + (f", to {known[-1]}" if known else ""),
        f"gap {gap} {unit}: a label takes {horizon} months to be known",
        f"OTV {otv} {unit}: {_bads_in(known, bads, periods, otv)}; a contest needs 30 bads",
        f"development {development} {unit} leave {measured} {unit} of production that can be measured",
    )
    return WindowPlan(frequency, development, otv, gap, p0, start, known[-1] if known else None, measured, problem, why)


def _seen(last: Month, as_of: date) -> date:
    """The last day of the tape: the last month is whole when something is known of a later one."""
    return last.last_day if as_of >= last.last_day else last.first_day - timedelta(days=1)


def _first_cohort(loans: Mapping[Month, int]) -> Month:
    total, before = sum(loans.values()), 0
    for month in sorted(loans):
        if before + loans[month] > _STRAY_SHARE * total:
            return month
        before += loans[month]
    return min(loans)


def _by_period(periods: Periods, period: Month, counts: Mapping[Month, float]) -> float:
    return sum(counts.get(period + i, 0) for i in range(periods.months))


def _otv(known: list[Month], bads: Mapping[Month, float] | None, periods: Periods) -> int | None:
    """Periods of OTV that usually hold enough bads for a contest; None when even the longest does not."""
    usual = _USUAL_OTV[periods.frequency]
    if bads is None:
        return usual
    recent = known[-24 // periods.months :]
    for otv in range(1, _LONGEST_OTV[periods.frequency] + 1):
        if otv < usual and len(known) > 12 // periods.months:
            continue
        if _worst(recent, bads, periods, otv) >= WANTED_BADS:
            return otv
    longest = _LONGEST_OTV[periods.frequency]
    return longest if _worst(recent, bads, periods, longest) >= 30 else None


def _worst(known: list[Month], bads: Mapping[Month, float], periods: Periods, otv: int) -> float:
    """Bads in a poor window of so many periods: the lower quarter of those that the tape has."""
    each = [_by_period(periods, m, bads) for m in known]
    windows = sorted(sum(each[i : i + otv]) for i in range(max(1, len(each) - otv + 1)))
    return windows[len(windows) // 4]


def _bads_in(known: list[Month], bads: Mapping[Month, float] | None, periods: Periods, otv: int) -> str:
    if bads is None or not known:
        return "its bads are not counted yet"
    each = [_by_period(periods, m, bads) for m in known[-24 // periods.months :]]
    return f"about {otv * sum(each) / len(each):,.0f} bads lately"
