"""What chance alone can do: exact tails, Jeffreys' test, and many tests at once.

No thresholds and no verdicts here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given.

    Calling those at or below a level keeps the chance of any false call at or below that level, however the tests
    depend on each other. Šidák's step would gain 3 % of a level at best and needs independence, which features of
    one applicant do not have. Source: Holm 1979, "A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6(2), https://www.jstor.org/stable/4615733.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def same_share(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """Exact two-sided p-value that two samples have one share: twice the smaller hypergeometric tail, at most 1.

    Holds for the rarest event and the smallest cohort. Source: Fisher 1935, doi:10.2307/2342435.

    Args:
        hits: events among ``n`` rows.
        other_hits: events among ``other_n`` rows.
    """
    total, events = n + other_n, hits + other_hits
    low, high = max(0, events - other_n), min(n, events)
    counts = np.arange(low, high + 1, dtype=np.float64)
    mass = np.exp(
        _log_choose(events, counts) + _log_choose(total - events, n - counts) - _log_choose(total, np.asarray(n))
    )
    lower, upper = float(mass[: hits - low + 1].sum()), float(mass[hits - low :].sum())
    return min(1.0, 2 * min(lower, upper))


def jeffreys(bads: float, loans: float, pd: float) -> float:
    """P(true bad rate <= PD) given the bads observed: small when the PD is too low.

    The posterior of the bad rate under Jeffreys' prior is Beta(bads + 1/2, loans - bads + 1/2). Source: ECB,
    "Instructions for reporting the validation results of internal models" (February 2019), section 2.5.3.1, PD
    back-testing using a Jeffreys test.

    Args:
        bads, loans: counts, or effective ones where loans are weighted.
        pd: in [0, 1].
    """
    from scipy.special import betainc

    return float(betainc(bads + 0.5, loans - bads + 0.5, pd))


def above(difference: float, standard_error: float) -> float:
    """One-sided normal p-value of a difference above 0; without any error it is certain."""
    from scipy.special import ndtr

    if standard_error <= 0:
        return 0.0 if difference > 0 else 1.0
    return float(ndtr(-difference / standard_error))


def _log_choose(n: float, k: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import gammaln

    found: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found
