"""PSI of features and of the score, with a limit that knows how large the samples are.

How a false alarm is kept rare, and why so. The customary limits of 0.10 and 0.25 say nothing about chance: a month of
100 loans in 10 bins has a PSI of 0.09 when nothing moved, and with 25 features some are above 0.10 nearly every month.
So a feature is called only if its PSI is beyond ``psi_warning`` *and* beyond chance at ``false_alarm_rate`` over all
features and the score of the month jointly:

* The null hypothesis is that the month's loans and the development window's are one population. Under it, which loans
  are the month's is a draw without replacement from both samples together: a permutation test, exact for every
  feature whatever its ties, its rare categories and its missing values.
* For that the bins of the test are made from both samples together. Bins of the reference alone, which the customary
  PSI has, flatter it: a category that reached 1 % in the reference by luck is rarer in the month. With 1,200 loans
  against 100 that alone took false alarms from 5 % to over 6 %.
* Where every bin expects ``WELL_FILLED`` loans of the month, PSI / (1/n + 1/m) is chi-square with (bins - 1) degrees
  of freedom. Elsewhere its law is drawn: ``draws_for`` permutations of the bin counts, by the multivariate
  hypergeometric. Equal values count against the alarm.
* Over features Holm's step (chance.py): features of one applicant depend on each other, and Holm's needs no
  independence. A joint permutation of rows (Westfall and Young) would gain a little power from that dependence and
  cost a pass over all rows for every draw.

Loans are taken as independent of each other. Sample weights enter by Kish's effective sizes of the two samples, counts
rounded: over bads and goods together, since a month's labels are not known yet, which is Rao and Scott's first-order
correction with one design effect for all bins. The bins of both samples together count each by its effective size, so
that weights on two scales (a sample drawn by outcome, and a month whose outcomes are to come) do not make one sample
vanish.

Sources: Yurdakul and Naranjo 2020, "Statistical properties of the population stability index", Journal of Risk Model
Validation 14(4), for the law of the PSI; Patefield 1981, doi:10.2307/2346669, for the permutation law of a table with
fixed margins; Holm 1979, https://www.jstor.org/stable/4615733; Rao and Scott 1981, "The analysis of categorical data
from complex sample surveys", Journal of the American Statistical Association 76(374).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdx_assets.risk.checks.base import Cell, Check, Verdict, judged, not_applicable
from pdx_assets.risk.checks.catalogue import FEATURE_PSI, SCORE_PSI
from pdx_assets.risk.checks.chance import holm
from pdx_assets.risk.metrics.score_table import Floats
from pdx_assets.risk.metrics.stability import FLOOR, CategoryBins, NumberBins, psi
from pdx_assets.risk.metrics.weights import effective_size
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import Checks

WELL_FILLED = 20.0
"""Loans of the month expected in a bin, from which on the chi-square law of the PSI is good enough."""

SCORE = "score of the champion"
"""Name of the score among the features: no column of a tape is called so."""


@dataclass(frozen=True, slots=True, eq=False)
class Binned:
    """One feature, or the score, of two samples.

    Attributes:
        psi: the customary index, in the reference's bins; None where a sample is empty.
        reference, current: shares of the two samples in bins of both together, (k,).
        n_reference, n_current: loans, or Kish's effective sizes where they are weighted.
    """

    name: str
    psi: float | None
    reference: Floats
    current: Floats
    n_reference: float
    n_current: float

    @classmethod
    def of_numbers(
        cls, name: str, reference: Floats, current: Floats, before: Floats | None = None, now: Floats | None = None
    ) -> Binned:
        """Of a number.

        Args:
            reference, current: (n,) and (m,) values; NaN is missing.
            before, now: their weights, or None.
        """
        both = NumberBins.of(np.concatenate((reference, current)), _joined(before, now))
        index = NumberBins.of(reference, before).psi(current, now)
        shares = both.shares_of(reference, before), both.shares_of(current, now)
        return cls(name, index, *shares, _size(reference.size, before), _size(current.size, now))

    @classmethod
    def of_categories(
        cls,
        name: str,
        reference: Sequence[str | None],
        current: Sequence[str | None],
        before: Floats | None = None,
        now: Floats | None = None,
    ) -> Binned:
        """Of a category; None and '' are missing. Arguments as of :meth:`of_numbers`."""
        both = CategoryBins.of([*reference, *current], _joined(before, now))
        index = CategoryBins.of(reference, before).psi(current, now)
        shares = both.shares_of(reference, before), both.shares_of(current, now)
        return cls(name, index, *shares, _size(len(reference), before), _size(len(current), now))


@dataclass(frozen=True, slots=True)
class Moved:
    """A feature's PSI and what chance has to say about it.

    Attributes:
        psi: the customary index; None where a sample is empty.
        limit: the PSI that chance alone exceeds with a probability of ``false_alarm_rate`` over the number of
            features: about what it takes to be called. (Of the test's bins, so the last digits may differ.)
        p: p-value after Holm's step over the month.
    """

    name: str
    psi: float | None
    limit: float | None
    p: float | None


def moved(features: Sequence[Binned], limits: Checks) -> list[Moved]:
    """PSI, limit and family-wise p-value of every feature of a month, and of its score, in the order given."""
    level = limits.false_alarm_rate / max(len(features), 1)
    draws = draws_for(len(features), limits.false_alarm_rate)
    known = [i for i, f in enumerate(features) if f.psi is not None]
    chances = {i: _chance(features[i], level, draws) for i in known}
    adjusted = dict(zip(known, holm([chances[i][0] for i in known]), strict=True))
    return [
        Moved(f.name, f.psi, chances[i][1] if i in chances else None, adjusted.get(i)) for i, f in enumerate(features)
    ]


def draws_for(features: int, level: float) -> int:
    """Permutations enough that the smallest p-value is a tenth of what Holm's first step asks for; at least 1,999."""
    return max(1999, math.ceil(10 * features / level) - 1)


def feature_psi(limits: Checks, month: Sequence[Moved]) -> Verdict:
    """Whether a feature moved beyond chance and beyond ``psi_warning``.

    A mean that moved by d standard deviations has a PSI of about d^2. The smallest shift this is meant to catch, in a
    month of 800 loans against twelve such months: 0.4 standard deviations of one feature (PSI 0.16), or one row in ten
    turned missing of a feature that was nearly always there.

    Args:
        month: :func:`moved`; the score among them is looked at by :func:`score_psi`.
    """
    return _judge(FEATURE_PSI, limits, [m for m in month if m.name != SCORE])


def score_psi(limits: Checks, month: Sequence[Moved]) -> Verdict:
    """Whether the champion's score moved beyond chance and beyond ``psi_warning``; see :func:`feature_psi`."""
    return _judge(SCORE_PSI, limits, [m for m in month if m.name == SCORE])


def _judge(check: Check, limits: Checks, of: list[Moved]) -> Verdict:
    measured = [(m.name, m.psi, m.limit, m.p) for m in of if m.psi is not None]
    if not measured:
        return not_applicable(check, "no sample to compare: the month or the development window is empty")
    ranked = sorted(measured, key=lambda m: (-m[1], m[0]))
    rows: list[tuple[Cell, ...]] = []
    called = []
    for name, value, limit, p in ranked:
        beyond_chance = p is not None and p <= limits.false_alarm_rate
        word = ""
        if beyond_chance:
            word = "moved" if value < limits.psi_warning else "warning" if value < limits.psi_alarm else "alarm"
        elif value >= limits.psi_warning:
            word = "chance may explain it"
        if word in ("warning", "alarm"):
            called.append(f"{name} {value:.3f}")
        rows.append((name, round(value, 4), round(limit or 0.0, 4), round(p or 0.0, 4), word))
    name, highest = ranked[0][:2]
    return judged(
        check,
        bool(called),
        f"moved beyond chance and beyond {limits.psi_warning:g}: {', '.join(called)}"
        if called
        else f"none moved beyond chance and beyond {limits.psi_warning:g}; highest {name} {highest:.3f}",
        numbers={"highest PSI": highest, "called": len(called)},
        columns=("feature", "PSI", "limit by chance", "p over all features", "level"),
        rows=rows,
    )


def _chance(of: Binned, level: float, draws: int) -> tuple[float, float]:
    """p-value of one PSI by itself, and the PSI whose p-value is ``level``."""
    from scipy.special import chdtrc, chdtri

    n, m = round(of.n_reference), round(of.n_current)
    value = psi(of.reference, of.current)
    pooled = np.rint(of.reference * n) + np.rint(of.current * m)
    pooled = pooled[pooled > 0]
    if pooled.size < 2 or value is None:
        return 1.0, 0.0
    noise = 1 / n + 1 / m
    if pooled.min() * m / pooled.sum() >= WELL_FILLED:
        degrees = pooled.size - 1
        return float(chdtrc(degrees, value / noise)), float(chdtri(degrees, level) * noise)
    drawn = _drawn_psi(pooled.astype(np.int64), m, draws, seed_from("psi", of.name, n, m))
    # An equal PSI counts: drawn values repeat, and rounding must not make them differ.
    reached = int((drawn >= value - 1e-12).sum())
    return (reached + 1) / (draws + 1), float(np.quantile(drawn, 1 - level, method="higher"))


def _joined(before: Floats | None, now: Floats | None) -> Floats | None:
    """Weights of both samples, each adding up to its effective size."""
    if before is None or now is None:
        return None
    return np.concatenate([w * (effective_size(w) / w.sum(dtype=np.float64)) if w.size else w for w in (before, now)])


def _size(loans: int, weight: Floats | None) -> float:
    return float(loans) if weight is None else effective_size(weight)


def _drawn_psi(pooled: NDArray[np.int64], m: int, draws: int, seed: int) -> Floats:
    """The PSI of draws of ``m`` loans from the pooled counts against the rest, (draws,)."""
    m = min(m, int(pooled.sum()) - 1)
    current = np.random.default_rng(seed).multivariate_hypergeometric(pooled, m, size=draws, method="marginals")
    c = np.maximum(current / m, FLOOR)
    r = np.maximum((pooled - current) / (int(pooled.sum()) - m), FLOOR)
    found: Floats = ((c - r) * np.log(c / r)).sum(axis=1)
    return found
