"""AUCs of several models on the same loans, and how they vary together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.auc_error import placements
from pdx_assets.risk.metrics.score_table import Floats, checked
from pdx_assets.risk.metrics.weights import effective_sizes


def delong(label: ArrayLike, pds: ArrayLike, weight: ArrayLike | None = None) -> tuple[Floats, Floats] | None:
    """The AUCs of k models on the same n loans and their covariance, by DeLong's placements.

    The covariance is that of the bads' placements over their number less one, plus the same of the goods: with V_ri
    the share of goods that model r ranks below bad i, cov(r, s) = sum_i (V_ri - A_r)(V_si - A_s) / (b (b - 1)) + the
    goods' part. O(k n log n): two sorts and two searches a model, no pairs. With weights the placements, their
    covariance and the class sizes (Kish's) are weighted, as in :func:`pdx_assets.risk.metrics.auc_error.auc_estimate`,
    which is the case k = 2. Models that rank every loan alike get the very same numbers, so that their difference
    and its variance are 0 and not a rounding error.

    Assumptions: loans are independent given the models (borrowers who come back: bootstrap.py); the models are given,
    so that the scatter of training is not in it.

    Args:
        label: (n,) 1 bad, 0 good.
        pds: (n, k) in [0, 1].
        weight: (n,) or None.

    Returns:
        AUCs (k,) and covariance (k, k); None with fewer than two effective bads or goods.

    Raises:
        PdxError: labels, PDs or weights that cannot be.

    Source: DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595; the order n log n: Sun and Xu 2014,
    doi:10.1109/LSP.2014.2337313.
    """
    columns = np.asarray(pds)
    if columns.ndim != 2 or columns.shape[1] == 0:
        raise PdxError(f"PDs of shape {columns.shape}.", expected="(loans, models), at least one model")
    loans = [checked(label, columns[:, j], weight) for j in range(columns.shape[1])]
    bad, _, weights = loans[0]
    sizes = effective_sizes(bad, weights)
    if min(sizes.bads, sizes.goods) < 2:
        return None
    w = np.ones(bad.size) if weights is None else weights
    made: dict[bytes, int] = {}
    distinct: list[tuple[Floats, Floats]] = []
    place = []
    for _, pd, _ in loans:
        of_bads, of_goods = placements(bad, pd, w)
        key = of_bads.tobytes() + of_goods.tobytes()
        if key not in made:
            made[key] = len(distinct)
            distinct.append((of_bads, of_goods))
        place.append(made[key])
    areas, of_bads = _moments([b for b, _ in distinct], w[bad])
    _, of_goods = _moments([g for _, g in distinct], w[~bad])
    covariance = of_bads / (sizes.bads - 1) + of_goods / (sizes.goods - 1)
    return areas[place], covariance[np.ix_(place, place)]


def _moments(values: Sequence[Floats], weight: Floats) -> tuple[Floats, Floats]:
    """Weighted means (m,) and covariance about them (m, m)."""
    stacked, total = np.vstack(values), weight.sum()
    means = (stacked * weight).sum(axis=1) / total
    centred = stacked - means[:, None]
    spread = (centred * weight) @ centred.T / total
    return means, (spread + spread.T) / 2
