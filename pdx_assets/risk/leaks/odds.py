"""Odds ratios by outcome: how much oftener something holds for bads than for goods, and whether chance explains it.

The question is never whether the odds differ (of honest features they do), but whether they differ by more than a
limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdx_assets.risk.leaks.tally import Floats

FEW = 10.0
"""With fewer loans in a cell the normal approximation of a log odds ratio is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Odds:
    """How often something holds, by class.

    Attributes:
        bads, goods: shares for which it holds.
        ratio: odds among bads over odds among goods, half a loan added to each cell (Haldane 1940).
        chance: probability of a ratio as far from 1 if the true one were at the limit (or 1 / limit).
    """

    bads: float
    goods: float
    ratio: float
    chance: float

    @property
    def distance(self) -> float:
        """The ratio or its inverse, whichever is above 1."""
        return max(self.ratio, 1 / self.ratio)


def odds_beyond(hits: Floats, sizes: Floats, limit: float) -> Odds:
    """The odds ratio of something that holds for ``hits`` of ``sizes`` loans, goods first, against a limit.

    With ten loans in every cell by the normal approximation of the log odds ratio (Woolf 1955,
    doi:10.1111/j.1469-1809.1955.tb01348.x). Else exactly: given how many hits there are, those among bads follow
    Fisher's noncentral hypergeometric law with the limit as odds ratio (Fisher 1935, doi:10.2307/2342435), effective
    counts rounded to whole ones.

    Args:
        hits, sizes: (2,) effective goods and bads.
        limit: above 1; the side is the observed one.
    """
    from scipy.special import ndtr

    hits = np.minimum(hits, sizes)
    misses = sizes - hits
    half = np.array([hits + 0.5, misses + 0.5])
    log_ratio = float(np.log(half[0, 1] / half[1, 1] / (half[0, 0] / half[1, 0])))
    ratio, shares = float(np.exp(log_ratio)), hits / np.maximum(sizes, np.finfo(float).tiny)
    if min(hits.min(), misses.min()) >= FEW:
        error = float(np.sqrt((1 / np.array([hits, misses])).sum()))
        chance = float(ndtr(-(abs(log_ratio) - np.log(limit)) / error))
    else:
        chance = _tail(np.rint(hits), np.rint(sizes), limit if ratio > 1 else 1 / limit)
    return Odds(float(shares[1]), float(shares[0]), ratio, chance)


def _tail(hits: Floats, sizes: Floats, odds: float) -> float:
    """P(as many hits among bads, or more), for odds above 1; or fewer, below 1: (2,) whole goods and bads."""
    from scipy.special import gammaln

    def log_choose(n: float, k: Floats) -> Floats:
        found: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        return found

    together = hits.sum()
    counts = np.arange(max(0.0, together - sizes[0]), min(sizes[1], together) + 1)
    mass = log_choose(sizes[1], counts) + log_choose(sizes[0], together - counts) + counts * np.log(odds)
    mass = np.exp(mass - mass.max())
    beyond = counts >= hits[1] if odds > 1 else counts <= hits[1]
    return float(mass[beyond].sum() / mass.sum())


def within_strata(hits: Floats, misses: Floats) -> float | None:
    """Mantel and Haenszel's odds ratio: bads against goods compared within strata only.

    Args:
        hits, misses: (2, strata) effective goods and bads.

    Returns:
        Infinite where only one side occurs; None where no stratum has a hit of one class and a miss of the other.

    Source: Mantel and Haenszel 1959, doi:10.1093/jnci/22.4.719.
    """
    size = np.maximum(hits.sum(axis=0) + misses.sum(axis=0), np.finfo(float).tiny)
    above = float((hits[1] * misses[0] / size).sum())
    below = float((hits[0] * misses[1] / size).sum())
    if above == 0 and below == 0:
        return None
    return above / below if below > 0 else float("inf")
