"""PSI of features and of the score, with a limit that knows how large the samples are.

How a false alarm is kept rare, and why so. The customary limits of 0.10 and 0.25 say nothing about chance: a month of
100 loans in 10 bins has a PSI of 0.09 when nothing moved, and with 25 features some are above 0.10 nearly every month.
So a feature is called only if its PSI is beyond ``psi_warning`` *and* beyond chance at ``false_alarm_rate`` over all
features and the score of the month jointly:

* The null hypothesis is that the month's loans and the development window's are one population. Under it, the bin
  counts of the month are a draw without replacement from both samples' together. The reference counts as a sample
  too: against 9,600 loans its noise is a tenth, against 1,000 it is most.
* Where every bin expects ``WELL_FILLED`` loans of the month, PSI / (1/n + 1/m) is chi-square with (bins - 1) degrees
  of freedom. Elsewhere (a rare category, a missing bin, a small month) its law is drawn: ``draws_for`` permutations of
  the bins, by the multivariate hypergeometric. Ties and discreteness need no correction: the bins are the same, the
  draws have them too, and an equal PSI counts against the alarm.
* Over features Holm's step (chance.py): features of one applicant depend on each other, and Holm's needs no
  independence. A joint permutation of rows (Westfall and Young) would gain a little power from that dependence and
  cost a pass over all rows for every draw; the bin counts here are all that is kept of a month.

Loans are taken as independent of each other. Sample weights enter by Kish's effective sizes, counts rounded.

Sources: Yurdakul and Naranjo 2020, "Statistical properties of the population stability index", Journal of Risk Model
Validation 14(4), for the law of the PSI; Fisher 1935 and Patefield 1981, doi:10.2307/2346669, for the permutation law
of a table with fixed margins; Holm 1979, https://www.jstor.org/stable/4615733.
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
from pdx_assets.risk.metrics.stability import FLOOR, psi
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import Checks

WELL_FILLED = 20.0
"""Loans of the month expected in a bin, from which on the chi-square law of the PSI is good enough."""

SCORE = "score"
"""Name of the score among the features."""


@dataclass(frozen=True, slots=True, eq=False)
class Binned:
    """One feature, or the score, of two samples in the same bins.

    Attributes:
        reference: shares of the development window, (k,), all 0 for an empty sample.
        current: shares of the month, (k,).
        n_reference, n_current: loans, or Kish's effective sizes where they are weighted.
    """

    name: str
    reference: Floats
    current: Floats
    n_reference: float
    n_current: float


@dataclass(frozen=True, slots=True)
class Moved:
    """A feature's PSI and what chance has to say about it.

    Attributes:
        psi: the index; None where a sample is empty.
        limit: the PSI beyond which a feature alone among the month's is called: chance's limit at
            ``false_alarm_rate`` over the number of features.
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
    index = [psi(f.reference, f.current) for f in features]
    known = [i for i, value in enumerate(index) if value is not None]
    chances = {i: _chance(features[i], index[i] or 0.0, level, draws) for i in known}
    adjusted = dict(zip(known, holm([chances[i][0] for i in known]), strict=True))
    return [
        Moved(f.name, index[i], chances[i][1] if i in chances else None, adjusted.get(i))
        for i, f in enumerate(features)
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


def _chance(of: Binned, value: float, level: float, draws: int) -> tuple[float, float]:
    """p-value of one PSI by itself, and the PSI whose p-value is ``level``."""
    from scipy.special import chdtrc, chdtri

    n, m = round(of.n_reference), round(of.n_current)
    pooled = np.rint(of.reference * n) + np.rint(of.current * m)
    pooled = pooled[pooled > 0]
    if pooled.size < 2:
        return 1.0, 0.0
    noise = 1 / n + 1 / m
    if pooled.min() * m / pooled.sum() >= WELL_FILLED:
        degrees = pooled.size - 1
        return float(chdtrc(degrees, value / noise)), float(chdtri(degrees, level) * noise)
    drawn = _drawn_psi(pooled.astype(np.int64), m, draws, seed_from("psi", of.name, n, m))
    # An equal PSI counts: drawn values repeat, and rounding must not make them differ.
    reached = int((drawn >= value - 1e-12).sum())
    return (reached + 1) / (draws + 1), float(np.quantile(drawn, 1 - level, method="higher"))


def _drawn_psi(pooled: NDArray[np.int64], m: int, draws: int, seed: int) -> Floats:
    """The PSI of draws of ``m`` loans from the pooled counts against the rest, (draws,)."""
    m = min(m, int(pooled.sum()) - 1)
    current = np.random.default_rng(seed).multivariate_hypergeometric(pooled, m, size=draws, method="marginals")
    c = np.maximum(current / m, FLOOR)
    r = np.maximum((pooled - current) / (int(pooled.sum()) - m), FLOOR)
    found: Floats = ((c - r) * np.log(c / r)).sum(axis=1)
    return found
