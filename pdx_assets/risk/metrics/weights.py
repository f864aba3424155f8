"""What sample weights cost: the number of unweighted loans that would tell as much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.score_table import Floats, checked_weight


@dataclass(frozen=True, slots=True)
class EffectiveSizes:
    """Kish's effective size of each class, in loans."""

    bads: float
    goods: float


def effective_size(weight: ArrayLike) -> float:
    """Kish's effective sample size: (sum w)^2 / sum w^2.

    From 1 (one loan has all the weight) to n (equal weights); 0 without weight. The scale of the weights
    does not matter. Source: Kish 1965, Survey Sampling, section 11.7.

    Raises:
        PdxError: weights that are negative or not finite.
    """
    weights = checked_weight(weight, np.asarray(weight).shape)
    assert weights is not None
    return _kish(weights)


def effective_sizes(label: ArrayLike, weight: ArrayLike | None = None) -> EffectiveSizes:
    """Kish's effective size of bads and of goods; their counts when there are no weights.

    Per class, because the few bads decide how wide an interval is: pooled, the weights of many goods would
    hide that three bads carry most of their class.

    Args:
        label: (n,) 1 bad, 0 good.
        weight: (n,) or None.

    Raises:
        PdxError: a label that is neither 0 nor 1, shapes that differ, or wrong weights.
    """
    labels = np.asarray(label)
    wrong = int(np.count_nonzero((labels != 0) & (labels != 1)))
    if wrong:
        raise PdxError(f"{wrong} of {labels.size} labels are neither 0 nor 1.", expected="1 (bad) or 0 (good)")
    weights = checked_weight(weight, labels.shape)
    if weights is None:
        return EffectiveSizes(bads=float((labels == 1).sum()), goods=float((labels == 0).sum()))
    return EffectiveSizes(bads=_kish(weights[labels == 1]), goods=_kish(weights[labels == 0]))


def _kish(weight: Floats) -> float:
    largest = float(weight.max(initial=0.0))
    if largest == 0:
        return 0.0
    # Sorted, so that the sum is the same in any row order; scaled, so that squares cannot overflow.
    scaled = np.sort(weight) / largest
    return float(scaled.sum()) ** 2 / float((scaled**2).sum())
