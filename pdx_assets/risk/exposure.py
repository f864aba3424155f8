"""What a decision date has seen of each loan: a discrete-time hazard model's target and weight, one row a loan.

Cohorts that are only partly observed teach too: a loan contributes the months on book seen so far. Which
cohorts a window takes is windows.py's business; the algorithms are those of models/, unchanged.

The model. Loan *i* has the hazard h_k(x) of turning bad in month on book *k*, having stood until then, and
1 - h_k(x) = S(x) ** (u_k - u_{k-1}): one survival S(x) over the horizon, spread over the months by a common
clock u that runs from 0 to 1 (proportional hazards in grouped time). So the PD within the horizon, one minus
the product of the monthly survivals, is p(x) = 1 - S(x).

Its likelihood, loan by loan. A loan seen to stand through month *k* contributes u_k log(1 - p): exactly a
good loan of weight u_k. A loan that turned bad in month *e* contributes log(S ** u_{e-1} - S ** u_e), which for
small p is log p plus a term in *e* alone: a bad loan of weight 1. So a weighted classifier of loans fits the
hazard model, with a matrix of loans x inputs and no loan-months; on complete cohorts it is the ordinary fit.

Sources: Prentice and Gloeckler 1978, doi:10.2307/2529588 (grouped-time proportional hazards); Singer and
Willett 1993, doi:10.3102/10769986018002155 (discrete time); Nelson 1972, doi:10.1080/00401706.1972.10488991
(the clock: a cumulative hazard).
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.hashing import content_sha256
from pdx_assets.risk.outcomes import bad_events
from pdx_assets.risk.spec import PortfolioSpec

LOAN = ["cohort", "loan_id"]


def months_seen(originated: Month, on: date, reporting_delay_days: int = 0) -> int:
    """Whole months on book whose events were reported by a day: the last *k* with the end of month
    ``originated`` + *k*, plus the delay, on or before it; 0 when not even the first was."""
    return max(last_reported(on, reporting_delay_days).ordinal - originated.ordinal, 0)


def last_reported(on: date, reporting_delay_days: int = 0) -> Month:
    """The last month whose events were all reported by a day."""
    return Month.of(on - timedelta(days=reporting_delay_days) + timedelta(days=1)) - 1


def seen_events(events: pl.DataFrame, on: date) -> pl.DataFrame:
    """Outcome events that had happened and were known on a day, and had not been taken back by then."""
    return events.filter(
        (pl.col("known_from") <= on)
        & (pl.col("event_date") <= on)
        & (pl.col("withdrawn_from").is_null() | (pl.col("withdrawn_from") > on))
    )


def bads_sha256(spec: PortfolioSpec, events: pl.DataFrame, on: date) -> str | None:
    """Hash of the loans of a cohort that a day had seen turn bad, and of when; None where there were none.

    With the day itself it settles how all loans of the cohort stood (:func:`standing`). Pay-offs do not, nor does what
    happened after the horizon: an old cohort changes no more.
    """
    bads = seen_events(events, on).filter(pl.col("event").is_in(bad_events(spec)))
    delay = timedelta(days=spec.label.reporting_delay_days)
    ends = {c: spec.known_on(Month.parse(c)) - delay for c in bads["cohort"].unique().to_list()}
    within = bads.filter(pl.col("event_date") <= pl.col("cohort").replace_strict(ends, return_dtype=pl.Date))
    first = within.group_by("loan_id").agg(pl.col("event_date").min())
    return content_sha256(first.sort("loan_id")) if first.height else None


def standing(spec: PortfolioSpec, loans: pl.DataFrame, events: pl.DataFrame, *, on: date) -> pl.DataFrame:
    """How each loan stood on a decision date: months on book seen, and whether it turned bad in them.

    Args:
        loans: ``cohort``, ``loan_id``, ``originated`` (Date); determinate loans only.
        events: outcome events of those loans (outcomes.outcome_events), all versions.
        on: the decision date. Events known later, or taken back by then, are not seen.

    Returns:
        ``cohort``, ``loan_id``, ``bad`` (Boolean), ``month`` (Int32: the month on book in which it turned bad,
        else the last one seen, at most the horizon), sorted by loan. A loan paid off early goes on standing: it
        is good, not censored when paid off. Nor is it seen further than its cohort, though it can no longer turn
        bad: of a young cohort only such loans would then weigh in full, and all of them are good. Likewise a loan
        known to have turned bad in a month that is not reported whole has stood until then: of that month only bad
        loans would count.
    """
    horizon = spec.label.horizon_months
    assert horizon is not None, "refused by the spec"
    ordinal = pl.col("originated").dt.year().cast(pl.Int32) * 12 + pl.col("originated").dt.month().cast(pl.Int32) - 1
    base = loans.select(*LOAN, ordinal.alias("born"))
    ages = {
        born: min(months_seen(Month.from_ordinal(born), on, spec.label.reporting_delay_days), horizon)
        for born in base["born"].unique().to_list()
    }
    base = base.with_columns(pl.col("born").replace_strict(ages, return_dtype=pl.Int32).alias("seen"))
    held = seen_events(events, on).join(base.select(*LOAN, "born", "seen"), on=LOAN, how="inner")
    when = pl.col("event_date").dt.year().cast(pl.Int32) * 12 + pl.col("event_date").dt.month().cast(pl.Int32) - 1
    aged = held.with_columns((when - pl.col("born")).clip(lower_bound=1).alias("age"))
    bad = aged.filter((pl.col("event").is_in(bad_events(spec))) & (pl.col("age") <= pl.col("seen")))
    bad = bad.group_by(LOAN).agg(pl.col("age").min().alias("bad_age"))
    return (
        base.join(bad, on=LOAN, how="left")
        .select(
            *LOAN,
            pl.col("bad_age").is_not_null().alias("bad"),
            pl.coalesce("bad_age", "seen").cast(pl.Int32).alias("month"),
        )
        .sort(LOAN)
    )


def clock(bad: np.ndarray, month: np.ndarray, horizon: int, weight: np.ndarray | None = None) -> np.ndarray:
    """The common clock u_0 .. u_H of the hazard model, shape (horizon + 1,): 0, non-decreasing, 1.

    The cumulative hazard by month on book of all loans together (a life table), as a share of that over the
    horizon: u_k = sum_{j<=k} -log(1 - h_j) / sum_{j<=H} -log(1 - h_j), with h_j the (weighted) share turning
    bad in month j of the loans still standing and seen in it.

    Args:
        bad: (n,) whether the loan turned bad.
        month: (n,) the month on book it did, or the last one seen.
        weight: (n,) sample weights, or None.

    Raises:
        TrainingError: nobody was seen through the horizon, or nobody turned bad: the clock has no end.
    """
    w = np.ones(len(month)) if weight is None else np.asarray(weight, np.float64)
    last = np.bincount(month, weights=w, minlength=horizon + 1)
    turned = np.bincount(month[bad], weights=w[bad], minlength=horizon + 1)
    # At risk in month k: everyone whose last month seen is k or later.
    at_risk = last[::-1].cumsum()[::-1]
    if at_risk[horizon] == 0 or not bad.any():
        longest = int(month.max()) if len(month) else 0
        raise TrainingError(
            f"{int(bad.sum())} of {len(month)} loans turned bad, and the longest seen has {longest} months on book.",
            expected=f"bad loans, and loans seen through all {horizon} months of the horizon",
            remedy="begin production later, or let the window reach further back",
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        hazard = np.where(at_risk > 0, turned / at_risk, 0.0)
    steps = -np.log1p(-np.minimum(hazard, 1 - 1e-12))
    steps[0] = 0.0
    return np.cumsum(steps) / steps.sum()


def exposure(bad: np.ndarray, month: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Weight of each loan in the fit, shape (n,): 1 for a bad loan, u at the last month seen for another.

    A loan of weight 0 was seen too briefly to say anything, and must be left out of the fit.
    """
    return np.where(bad, 1.0, u[month])


def recency(cohort: np.ndarray, on: date, half_life_months: int) -> np.ndarray:
    """Weight of each loan by its age, shape (n,): halved with every half-life from its cohort to the decision date.

    A hazard model takes every cohort alike, however old. Where what makes loans bad changes, its oldest cohorts teach
    what is no longer so, and there are more of them every year; a window that ends at an age forgets all at once.
    Source: exponential forgetting, as in Widmer and Kubat 1996, doi:10.1007/BF00116900, and Gama et al. 2014,
    doi:10.1145/2523813, section 3.1.2.

    Args:
        cohort: (n,) ordinal of each loan's (first) month.
    """
    return 0.5 ** ((Month.of(on).ordinal - cohort) / half_life_months)
