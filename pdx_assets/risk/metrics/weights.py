"""What sample weights cost: the number of unweighted loans that would tell as much.

Per class, because the few bads decide how wide an interval is: pooled, the weights of many goods would hide that three
bads carry most of their class; and in a case-control sample, where a good stands for many and a bad for itself, would
make the bad rate look several times less certain than it is.
"""

from __future__ import annotations

import math
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


@dataclass(frozen=True, slots=True)
class ClassWeights:
    """Sums of weights and of squared weights of each class: all that effective sizes need, and they add up.

    Attributes:
        bads, goods: sum of the weights; counts where loans are not weighted.
        bad_squares, good_squares: sum of the squared weights.
    """

    bads: float
    goods: float
    bad_squares: float
    good_squares: float

    @classmethod
    def of(cls, label: ArrayLike, weight: ArrayLike | None = None) -> ClassWeights:
        """Of loans: ``label`` (n,) 1 bad, 0 good; ``weight`` (n,) or None.

        Raises:
            PdxError: a label that is neither 0 nor 1, shapes that differ, or wrong weights.
        """
        bads, goods = _by_class(label, weight)
        return cls(float(bads.sum()), float(goods.sum()), float((bads**2).sum()), float((goods**2).sum()))

    def __add__(self, other: ClassWeights) -> ClassWeights:
        return ClassWeights(
            self.bads + other.bads,
            self.goods + other.goods,
            self.bad_squares + other.bad_squares,
            self.good_squares + other.good_squares,
        )

    @property
    def weight(self) -> float:
        """Of both classes."""
        return self.bads + self.goods

    @property
    def bad_rate(self) -> float | None:
        """Weighted; None without weight."""
        return self.bads / self.weight if self.weight > 0 else None

    @property
    def sizes(self) -> EffectiveSizes:
        """Kish's, of each class."""
        return EffectiveSizes(_size(self.bads, self.bad_squares), _size(self.goods, self.good_squares))

    def burdens(self, larger: ClassWeights | None = None) -> tuple[float, float]:
        """Sum w^2 / sum w of bads and of goods: the loans of the book that one loan of the class stands for.

        The weight of a class over its Kish size. A class without loans has that of ``larger``, a sample this one is
        part of, and where nobody has one, that of the other class.
        """
        own = [_burden(self.bads, self.bad_squares), _burden(self.goods, self.good_squares)]
        if larger is not None:
            whole = _burden(larger.bads, larger.bad_squares), _burden(larger.goods, larger.good_squares)
            own = [mine or of_all for mine, of_all in zip(own, whole, strict=True)]
        return own[0] or own[1], own[1] or own[0]

    def rate_size(self, larger: ClassWeights | None = None) -> float:
        """Loans of an unweighted sample in which a bad rate of this size would be as uncertain; 0 without weight.

        W / ((1 - p) u_b + p u_g), with W the weight, p the bad rate and u the :meth:`burdens`: the n for which
        p (1 - p) / n is the linearized variance of the weighted bad rate, (sum w^2 (y - p)^2) / W^2, which is
        p^2 (1 - p)^2 (1 / n_b + 1 / n_g) in Kish sizes. The number of loans where all weigh the same. Source: Kish
        1965, Survey Sampling, section 11.7; Särndal, Swensson and Wretman 1992, Model Assisted Survey Sampling,
        section 5.5.
        """
        rate = self.bad_rate
        if rate is None:
            return 0.0
        of_bads, of_goods = self.burdens(larger)
        # Apart, so that equal weights give the count itself and not the last bit beside it.
        burden = of_bads if of_bads == of_goods else (1 - rate) * of_bads + rate * of_goods
        return self.weight / burden


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

    Args:
        label: (n,) 1 bad, 0 good.
        weight: (n,) or None.

    Raises:
        PdxError: a label that is neither 0 nor 1, shapes that differ, or wrong weights.
    """
    bads, goods = _by_class(label, weight)
    return EffectiveSizes(bads=_kish(bads), goods=_kish(goods))


def _by_class(label: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats]:
    """Weights of bads and of goods, each ascending, so that a sum is the same in any row order."""
    labels = np.asarray(label)
    wrong = int(np.count_nonzero((labels != 0) & (labels != 1)))
    if wrong:
        raise PdxError(f"{wrong} of {labels.size} labels are neither 0 nor 1.", expected="1 (bad) or 0 (good)")
    weights = checked_weight(weight, labels.shape)
    if weights is None:
        weights = np.ones(labels.shape)
    return np.sort(weights[labels == 1]), np.sort(weights[labels == 0])


def _size(weight: float, squares: float) -> float:
    size = weight**2 / squares if squares > 0 else 0.0
    # Loans that weigh the same are as many as they are: a last bit less would be one too few for a contest.
    return float(round(size)) if math.isclose(size, round(size), rel_tol=1e-12) else size


def _burden(weight: float, squares: float) -> float:
    return squares / weight if weight > 0 else 0.0


def _kish(weight: Floats) -> float:
    largest = float(weight.max(initial=0.0))
    if largest == 0:
        return 0.0
    # Sorted, so that the sum is the same in any row order; scaled, so that squares cannot overflow.
    scaled = np.sort(weight) / largest
    return float(scaled.sum()) ** 2 / float((scaled**2).sum())
