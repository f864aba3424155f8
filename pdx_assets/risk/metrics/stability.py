"""Whether today's applicants look like the development window's: the population stability index (PSI).

Of a number (a feature or the PD itself) or of a category. The bins are a property of the reference alone,
so they are made once (NumberBins, CategoryBins) and a current month is compared again and again.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.score_table import Floats, checked_weight

FLOOR = 1e-4
"""A share below this counts as this, in both samples: an empty bin cannot make the PSI infinite."""

RARE_SHARE = 0.01
"""Categories under 1 % of the reference are one bin, as models see them as one category, ``Others``."""


@dataclass(frozen=True, slots=True, eq=False)
class NumberBins:
    """Bins of a number made from the quantiles of a reference sample.

    Attributes:
        edges: ascending; bin i holds (edges[i-1], edges[i]], open at both ends. Missing is a bin of its own.
        shares: of the reference's weight in each bin, missing last, (len(edges) + 2,).
    """

    edges: Floats
    shares: Floats

    @classmethod
    def of(cls, reference: ArrayLike, weight: ArrayLike | None = None, *, bins: int = 10) -> NumberBins:
        """Bins that part the reference into ``bins`` of about equal weight.

        A value that holds more than a bin's worth gets a bin to itself, so a feature that is 0 for most
        loans, or constant, still shows when it moves.

        Args:
            reference: (n,) values; NaN is missing.
            weight: (n,) or None.
            bins: at least 2.

        Raises:
            PdxError: fewer than 2 bins, or wrong weights.
        """
        if bins < 2:
            raise PdxError(f"bins is {bins}.", expected="at least 2")
        values, weights = _numbers(reference, weight)
        present = ~np.isnan(values)
        distinct, inverse = np.unique(values[present], return_inverse=True)
        at = _sums(inverse, weights[present], distinct.size)
        distinct, at = distinct[at > 0], at[at > 0]
        if not distinct.size:
            edges = np.empty(0)
        else:
            # Tolerant of rounding in the running sum: 3/10 of the weight is reached at 0.3 - 1e-12 too.
            reached = np.cumsum(at) / at.sum() + 1e-12
            quantiles = distinct[np.searchsorted(reached, np.arange(1, bins) / bins)]
            heavy = distinct[at / at.sum() > 1 / bins]
            edges = np.unique(np.concatenate((quantiles, heavy, np.nextafter(heavy, -np.inf))))
            if distinct[-1] not in heavy:
                edges = edges[edges < distinct[-1]]
        made = cls(edges=edges, shares=np.empty(0))
        return cls(edges=edges, shares=made.shares_of(reference, weight))

    def shares_of(self, values: ArrayLike, weight: ArrayLike | None = None) -> Floats:
        """Shares of the weight of ``values`` (n,) in each bin, missing last; all 0 without weight."""
        numbers, weights = _numbers(values, weight)
        bin_of = np.where(np.isnan(numbers), self.edges.size + 1, np.searchsorted(self.edges, numbers, side="left"))
        return _shares(_sums(bin_of, weights, self.edges.size + 2))

    def psi(self, current: ArrayLike, weight: ArrayLike | None = None) -> float | None:
        """PSI of ``current`` (n,) against the reference; see :func:`psi`."""
        return psi(self.shares, self.shares_of(current, weight))


@dataclass(frozen=True, slots=True, eq=False)
class CategoryBins:
    """Bins of a category made from a reference sample.

    Attributes:
        categories: those with at least ``rare_share`` of the reference, sorted, each a bin; then follow
            the bin of all others (rare or never seen) and the bin of missing values.
        shares: of the reference's weight in each bin, (len(categories) + 2,).
    """

    categories: tuple[str, ...]
    shares: Floats

    @classmethod
    def of(
        cls,
        reference: Sequence[str | None] | NDArray[np.object_],
        weight: ArrayLike | None = None,
        *,
        rare_share: float = RARE_SHARE,
    ) -> CategoryBins:
        """Bins of the reference's categories.

        Args:
            reference: (n,) values; None and '' are missing.
            weight: (n,) or None.
            rare_share: categories under this share of the reference are binned together.

        Raises:
            PdxError: wrong weights.
        """
        values, codes = _codes(reference)
        at = _shares(_sums(codes, _weights(weight, codes.size), len(values)))
        common = [v for v, share in zip(values, at, strict=True) if v and share > 0 and share >= rare_share]
        made = cls(categories=tuple(sorted(common)), shares=np.empty(0))
        return cls(categories=made.categories, shares=made.shares_of(reference, weight))

    def shares_of(self, values: Sequence[str | None] | NDArray[np.object_], weight: ArrayLike | None = None) -> Floats:
        """Shares of the weight of ``values`` (n,) in each bin; all 0 without weight."""
        found, codes = _codes(values)
        place = {category: i for i, category in enumerate(self.categories)}
        others, missing = len(place), len(place) + 1
        bin_of = np.array([place.get(v, others) if v else missing for v in found], dtype=np.intp)
        return _shares(_sums(bin_of[codes], _weights(weight, codes.size), missing + 1))

    def psi(self, current: Sequence[str | None] | NDArray[np.object_], weight: ArrayLike | None = None) -> float | None:
        """PSI of ``current`` (n,) against the reference; see :func:`psi`."""
        return psi(self.shares, self.shares_of(current, weight))


def psi(reference: ArrayLike, current: ArrayLike) -> float | None:
    """Population stability index between the shares of two samples in the same bins.

    Sum over bins of (c - r) ln(c / r), the symmetric Kullback-Leibler divergence. At least 0; by custom
    below 0.10 is little change and above 0.25 a significant one, whatever the sample sizes: compare with
    :func:`psi_by_chance`. Smoothing: a share below 0.0001 counts as 0.0001 on both sides and nothing is
    renormalized, so bins that are empty or tiny in both samples add nothing. None when either is empty.

    Args:
        reference: (k,) shares, adding to 1, or all 0 for an empty sample.
        current: (k,) the same.

    Raises:
        PdxError: different numbers of bins.

    Source: Kullback and Leibler 1951, doi:10.1214/aoms/1177729694; thresholds and their weakness:
    Yurdakul and Naranjo 2020, "Statistical properties of the population stability index", Journal of Risk
    Model Validation 14(4); reporting: ECB instructions for the validation results of IRB models (2019).
    """
    r, c = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if r.shape != c.shape:
        raise PdxError(f"The samples have {r.shape} and {c.shape} bins.", expected="the same bins for both")
    if not r.sum() > 0 or not c.sum() > 0:
        return None
    r, c = np.maximum(r, FLOOR), np.maximum(c, FLOOR)
    return float(((c - r) * np.log(c / r)).sum())


def psi_by_chance(n_reference: float, n_current: float, bins: int) -> float:
    """The PSI to expect when nothing has changed: (bins - 1) (1 / n_reference + 1 / n_current).

    A month of 100 loans in 10 bins has about 0.09 from chance alone, so a fixed threshold of 0.10 says
    nothing there. With weights give Kish effective sizes. Source: PSI (1/n + 1/m)^-1 is about chi-square
    with bins - 1 degrees of freedom, Yurdakul and Naranjo 2020 (see :func:`psi`).
    """
    return (bins - 1) * (1 / n_reference + 1 / n_current)


def _numbers(values: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats]:
    numbers = np.asarray(values).astype(np.float64)
    return numbers, _weights(weight, numbers.size)


def _weights(weight: ArrayLike | None, size: int) -> Floats:
    weights = checked_weight(weight, (size,))
    return np.ones(size) if weights is None else weights


def _sums(bin_of: NDArray[np.intp], weight: Floats, size: int) -> Floats:
    if not weight.size or (weight == weight[0]).all():
        return np.bincount(bin_of, minlength=size) * (weight[0] if weight.size else 1.0)
    # Sorted within a bin, so that the sums are the same bits in any row order.
    order = np.lexsort((weight, bin_of))
    return np.bincount(bin_of[order], weights=weight[order], minlength=size).astype(np.float64)


def _shares(sums: Floats) -> Floats:
    total = float(sums.sum())
    return sums / total if total > 0 else np.zeros_like(sums)


def _codes(values: Iterable[Hashable]) -> tuple[list[str], NDArray[np.intp]]:
    """Distinct values as text (missing is '') and each row's place among them."""
    place: dict[str, int] = {}
    texts = (v if type(v) is str else "" if v is None or v != v else str(v) for v in values)
    codes = np.fromiter((place.setdefault(text, len(place)) for text in texts), dtype=np.intp)
    return list(place), codes
