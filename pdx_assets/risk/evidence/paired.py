"""Is one recipe better than another? The paired test over months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pdx_assets.risk.checks.chance import above
from pdx_assets.risk.evidence.record import MonthEvidence, bads_of, shared

TWO_SIDED_95 = 1.959963984540054
ONE_SIDED_95 = 1.6448536269514722


@dataclass(frozen=True)
class Difference:
    """AUC(recipe) - AUC(other) over the months both were measured in.

    Attributes:
        estimate: in [-1, 1].
        standard_error: of the estimate given the months and the models; 0 where they rank alike.
        months, bads: months compared on, and their effective bads.
        p_value: one-sided, of a true difference of at most the margin.
        between_months: the standard error by the scatter of the months' own differences instead, which also holds
            what training a model adds; None with one month. Told, not tested with: with few months it is noise.
    """

    estimate: float
    standard_error: float
    months: int
    bads: float
    p_value: float
    between_months: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Two-sided 95 %, by the normal law."""
        reach = TWO_SIDED_95 * self.standard_error
        return self.estimate - reach, self.estimate + reach

    @property
    def two_sided(self) -> float:
        """P-value of no difference either way, whatever the margin; 1 where the two rank alike."""
        return min(1.0, 2 * above(abs(self.estimate), self.standard_error))

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"interval": list(self.interval)}


@dataclass(frozen=True)
class Level:
    """A recipe's mean AUC over months, weighted like a :class:`Difference`; ``bads`` and ``goods`` effective ones."""

    estimate: float
    standard_error: float
    months: int
    bads: float
    goods: float


def stratified_difference(
    months: Sequence[MonthEvidence], recipe: str, other: str, *, margin: float = 0.0
) -> Difference | None:
    """The month-stratified paired test.

    Each month's AUC difference, weighted by its bads x goods: the chance that a random bad ranks above a random good
    of the *same* month under one recipe, less the same under the other. Its variance is the sum of the months' DeLong
    variances, each times its weight squared, over the square of the summed weights. The weights are class sizes and
    so do not depend on the scores; weights by inverse variance would favour months in which the two happen to agree.
    PDs of different months are never ranked against each other: that would reward a recipe for guessing the level of
    the month. Where the two have different months only those both have are compared.

    Assumptions: months hold different loans of different borrowers (else bootstrap.py); the months are those there
    were, not a sample of months; the sum of many bads is normal (``min_bads`` sees to it). The models are given: what
    is tested is that the recipe's models *were* better, and that it makes better ones this month is an extrapolation
    which no test of the past can take away.

    Returns:
        None without a month in common.

    Sources: van Elteren 1960, Bulletin de l'Institut International de Statistique 37 (a rank test summed over
    strata); Janes and Pepe 2009, doi:10.1093/biomet/asp002 (the AUC within strata); DeLong as in delong.py; Dawid
    1984, doi:10.2307/2981683 (judging by forecasts made before).
    """
    common = shared(months, (recipe, other))
    if not common:
        return None
    estimate, error = _weighted(
        common, [m.areas[recipe] - m.areas[other] for m in common], [m.variance(recipe, other) for m in common]
    )
    return Difference(
        estimate,
        error,
        len(common),
        bads_of(common),
        above(estimate - margin, error),
        _between(common, [m.areas[recipe] - m.areas[other] for m in common], estimate),
    )


def mean_level(months: Sequence[MonthEvidence], recipe: str) -> Level | None:
    """A recipe's AUC within months, with the same weights; None without a month."""
    own = shared(months, (recipe,))
    if not own:
        return None
    estimate, error = _weighted(own, [m.areas[recipe] for m in own], [m.variance(recipe) for m in own])
    return Level(estimate, error, len(own), bads_of(own), sum(m.goods for m in own))


def _pairs(months: Sequence[MonthEvidence]) -> np.ndarray:
    weight = np.array([m.bads * m.goods for m in months])
    return weight / weight.sum()


def _weighted(
    months: Sequence[MonthEvidence], values: Sequence[float], variances: Sequence[float]
) -> tuple[float, float]:
    share = _pairs(months)
    return float(share @ np.asarray(values)), float(np.sqrt(share**2 @ np.asarray(variances)))


def _between(months: Sequence[MonthEvidence], values: Sequence[float], mean: float) -> float | None:
    if len(months) < 2:
        return None
    share = _pairs(months)
    scatter = share**2 @ (np.asarray(values) - mean) ** 2
    return float(np.sqrt(scatter * len(months) / (len(months) - 1)))
