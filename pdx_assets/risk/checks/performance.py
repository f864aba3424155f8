"""Checks of what came true: bad rates as they become known, ranking, calibration, champion against baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

from numpy.typing import ArrayLike

from pdx_assets.risk.checks.base import Verdict, judged, not_applicable, percent
from pdx_assets.risk.checks.catalogue import (
    AUC_DECAY,
    BAD_RATE_SHIFT,
    CALIBRATION,
    CHAMPION_AGAINST_BASELINE,
    OTV_DISCRIMINATION,
)
from pdx_assets.risk.checks.chance import above, holm, jeffreys, same_share
from pdx_assets.risk.metrics.auc_error import MIN_CLASS, AucEstimate
from pdx_assets.risk.metrics.calibration import Band, calibration_table
from pdx_assets.risk.metrics.weights import ClassWeights
from pdx_assets.risk.spec import Checks

BANDS = 10


def bad_rate_shift(
    limits: Checks,
    bads: int | None,
    goods: int | None,
    earlier: Sequence[tuple[str, int, int]],
    *,
    weight: ClassWeights | None = None,
    earlier_weights: Mapping[str, ClassWeights] | None = None,
) -> Verdict:
    """Whether a newly known cohort's bad rate is ``bad_rate_shift`` off that of the cohorts before it, beyond chance.

    The move is relative (0.25: a rate of 8 % that becomes 10 %), up or down: a fall is as likely a broken feed as good
    news. Chance is Fisher's exact test, two-sided, at ``false_alarm_rate``. Where loans are weighted, the rates are
    weighted, and the test is on ``ClassWeights.rate_size`` loans at those rates, rounded.

    Args:
        bads, goods: of the cohort, in rows; None while its labels are not known.
        earlier: (cohort, bads, goods) of the cohorts before it that are known, in order.
        weight: of the cohort's labelled loans; None where loans are not weighted.
        earlier_weights: the same by earlier cohort.
    """
    if bads is None or goods is None:
        return not_applicable(BAD_RATE_SHIFT, "the cohort's labels are not known yet")
    trailing = [e for e in earlier if e[1] + e[2]][-limits.reference_cohorts :]
    if len(trailing) < limits.min_reference_cohorts or not bads + goods:
        few = "no labelled loan" if not bads + goods else f"{len(trailing)} known cohorts before it"
        return not_applicable(BAD_RATE_SHIFT, f"{few}; {limits.min_reference_cohorts} cohorts are needed")
    past_bads = sum(b for _, b, _ in trailing)
    past_loans = sum(b + g for _, b, g in trailing)
    now, past = bads / (bads + goods), past_bads / past_loans
    tested = (bads, bads + goods, past_bads, past_loans)
    rates = {month: b / (b + g) for month, b, g in trailing}
    if weight is not None and earlier_weights is not None:
        before = reduce(add, (earlier_weights[month] for month, _, _ in trailing))
        now, past = weight.bad_rate or 0.0, before.bad_rate or 0.0
        rates = {month: earlier_weights[month].bad_rate or 0.0 for month in rates}
        tested = (*_as_counts(weight, before), *_as_counts(before, weight))
    p = same_share(*tested)
    failed = p <= limits.false_alarm_rate and abs(now - past) >= limits.bad_rate_shift * past
    return judged(
        BAD_RATE_SHIFT,
        failed,
        f"bad rate {percent(now)} of {bads + goods:,} loans, {percent(past)} of {trailing[0][0]} to {trailing[-1][0]} "
        f"(p {p:.3f}; limit a change by {percent(limits.bad_rate_shift)} of it)",
        numbers={"bad rate": now, "bad rate before": past, "p": p},
        columns=("cohort", "bads", "loans", "bad rate"),
        rows=[(month, b, b + g, percent(rates[month])) for month, b, g in reversed(trailing)],
    )


ON_OTV, ON_RECORD = "on OTV", "on its recipe's record"
"""Where the AUC that a champion was put in charge with was measured: what has seen OTV has none on it."""


def otv_discrimination(limits: Checks, promised: AucEstimate | None, where: str = ON_OTV) -> Verdict:
    """Whether the champion's AUC on OTV, or else on its recipe's record, reaches ``otv_auc_floor``.

    A floor, not a test: below it a model is not worth having whatever the sample says. The standard error tells how
    sure the figure is.

    Args:
        promised: of the champion; None where nobody is in charge or it could not be measured.
        where: that was.
    """
    if promised is None:
        return not_applicable(OTV_DISCRIMINATION, "nobody is in charge, or OTV has too few bads or goods")
    return judged(
        OTV_DISCRIMINATION,
        promised.value < limits.otv_auc_floor,
        f"AUC {where} {_told(promised)}, floor {limits.otv_auc_floor:g}",
        numbers={f"AUC {where}": promised.value, f"standard error of the AUC {where}": promised.standard_error},
    )


def auc_decay(
    limits: Checks, promised: AucEstimate | None, realized: AucEstimate | None, where: str = ON_OTV
) -> Verdict:
    """Whether the champion's realized AUC is ``auc_drop`` or more below its AUC on OTV, beyond chance.

    A champion that has seen OTV is held to its recipe's record instead. Two samples of different loans, so the squared
    standard errors add; one-sided at ``false_alarm_rate``. The champion was chosen for the highest AUC of several, so
    that figure is a little flattered and some drop is its return to the truth: the reason for ``auc_drop`` beside the
    test.

    Args:
        promised: the champion on the OTV it was decided on, or its recipe's earlier models on their record.
        realized: the champion on the month's own loans.
        where: ``promised`` was measured.
    """
    few = _too_few(promised, realized)
    if promised is None or realized is None or few:
        return not_applicable(AUC_DECAY, few)
    drop = promised.value - realized.value
    error = (promised.standard_error**2 + realized.standard_error**2) ** 0.5
    p = above(drop, error)
    return judged(
        AUC_DECAY,
        drop >= limits.auc_drop and p <= limits.false_alarm_rate,
        f"realized AUC {_told(realized)}, {where} {_told(promised)}: a drop of {drop:+.3f} (p {p:.3f}, limit "
        f"{limits.auc_drop:g})",
        numbers={"drop of AUC": drop, "standard error of the drop": error, "p": p},
    )


def champion_against_baseline(limits: Checks, difference: AucEstimate | None, *, same: bool = False) -> Verdict:
    """Whether the champion ranks the month's loans worse than the baseline does, beyond chance.

    Paired (DeLong): both on the same loans. One-sided at ``false_alarm_rate``.

    Args:
        difference: AUC(champion) - AUC(baseline); None where one could not be measured.
        same: the champion is the baseline still.
    """
    if same:
        return not_applicable(CHAMPION_AGAINST_BASELINE, "the champion is the baseline")
    few = _too_few(difference)
    if difference is None or few:
        return not_applicable(CHAMPION_AGAINST_BASELINE, few)
    p = above(-difference.value, difference.standard_error)
    return judged(
        CHAMPION_AGAINST_BASELINE,
        p <= limits.false_alarm_rate,
        f"realized AUC of the champion less the baseline's: {difference.value:+.3f} (standard error "
        f"{difference.standard_error:.3f}, p of being worse {p:.3f})",
        numbers={"AUC gain over baseline": difference.value, "standard error of the gain": difference.standard_error},
    )


def calibration(limits: Checks, label: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> Verdict:
    """Whether realized bad rates exceed the PDs by ``calibration_tolerance`` or more, beyond chance.

    Jeffreys' test (chance.py) of the mean PD, over all loans and in ten score bands, one-sided: too low a PD is what
    harms. The ECB tests each grade by itself; here Holm's step over bands and total keeps false alarms of a month at
    ``false_alarm_rate``. The tolerance is relative (0.10: a PD of 10 % and 11 % bad); 0 leaves the test alone.

    Args:
        label: (n,) 1 bad, 0 good.
        pd: (n,) the champion's.
        weight: (n,) or None; enters by the bands' ``test_size``.
    """
    overall = calibration_table(label, pd, weight, bands=1)
    if not overall or overall[0].test_size < MIN_CLASS:
        return not_applicable(CALIBRATION, f"fewer than {MIN_CLASS} labelled loans with a PD")
    named: list[tuple[str, Band]] = [("all loans", overall[0])]
    bands = calibration_table(label, pd, weight, bands=BANDS)
    named += [(f"{percent(b.pd_from)} to {percent(b.pd_to)}", b) for b in bands]
    chances = holm([jeffreys(b.bad_rate * b.test_size, b.test_size, b.mean_pd) for _, b in named])
    called = [
        (name, b)
        for (name, b), p in zip(named, chances, strict=True)
        if p <= limits.false_alarm_rate and b.bad_rate >= (1 + limits.calibration_tolerance) * b.mean_pd
    ]
    told = "; ".join(f"{name}: {percent(b.bad_rate)} bad, PD {percent(b.mean_pd)}" for name, b in called)
    total = overall[0]
    return judged(
        CALIBRATION,
        bool(called),
        f"PDs too low: {told}" if called else f"{percent(total.bad_rate)} bad, mean PD {percent(total.mean_pd)}",
        numbers={"bad rate over PD": total.bad_rate / total.mean_pd if total.mean_pd > 0 else None, "p": chances[0]},
        columns=("PD", "loans", "mean PD", "bad rate", "p over all bands"),
        rows=[
            (name, b.n_loans, percent(b.mean_pd), percent(b.bad_rate), round(p, 4))
            for (name, b), p in zip(named, chances, strict=True)
        ],
    )


def _as_counts(weight: ClassWeights, other: ClassWeights) -> tuple[int, int]:
    """Bads and loans of an unweighted sample that would tell as much of the bad rate."""
    size = weight.rate_size(weight + other)
    loans = max(round(size), 1)
    return min(round(size * (weight.bad_rate or 0.0)), loans), loans


def _too_few(*estimates: AucEstimate | None) -> str:
    if any(e is None for e in estimates):
        return "a model could not be measured"
    if any(min(e.bads, e.goods) < MIN_CLASS for e in estimates if e is not None):
        return f"fewer than {MIN_CLASS} bads or goods"
    return ""


def _told(estimate: AucEstimate) -> str:
    return f"{estimate.value:.3f} ± {estimate.standard_error:.3f}"
