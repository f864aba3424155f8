"""Labelled loans weighted so that they look like the month's applicants.

When applicants change and what is true of them does not (covariate shift), the loans a score was calibrated on stand
for the month's once each is weighted by how much denser the month is where it lies. That ratio of densities is the
odds of a classifier that tells the month's loans from the labelled ones. Only the applications are looked at.

Sources: Shimodaira 2000, doi:10.1016/S0378-3758(00)00115-4 (weighting); Bickel, Brückner and Scheffer 2009, Journal of
Machine Learning Research 10, 2137-2155 (the ratio from a classifier); Sugiyama, Suzuki and Kanamori 2012,
doi:10.1017/CBO9781139035613.
"""

from __future__ import annotations

import numpy as np

from pdx_assets.risk.metrics.calibration import logit
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.radar.confidence import Floats

MOST = 20_000
"""Loans of each side the classifier learns from, at most; all are weighted."""
FURTHEST = 10.0
"""No loan counts for more than so many, or for less than one in so many: a far ratio is mostly noise."""
FEWEST = 50
"""With fewer loans on either side nothing can be told."""
_FOLDS = 5
_PENALTY = 0.1
_RARE = 0.01


def importance_weights(
    reference: LoanMatrix, reference_pd: Floats, month: LoanMatrix, month_pd: Floats
) -> tuple[Floats, float]:
    """Weights of the labelled loans, (n,), of mean 1, and by how much the month can be told from them.

    The classifier is a penalized logistic regression on the features and the score's log-odds; a loan's odds come
    from the four fifths that do not hold it. Where those predictions tell the two apart no better than their sizes
    do, all weights are 1: weighting by noise costs precision and mends nothing.

    Returns:
        weights; log loss saved against the sizes alone, nats a loan, at most 0 where nothing can be told.
    """
    from sklearn.linear_model import LogisticRegression

    n, total = len(reference), len(reference) + len(month)
    if min(n, len(month)) < FEWEST:
        return np.ones(n), 0.0
    kept = np.concatenate([_even(n), n + _even(len(month))])
    is_month = (np.arange(total) >= n).astype(np.int8)
    design = _design(reference, reference_pd, month, month_pd)
    fold = np.zeros(total, np.int64)
    fold[kept] = np.arange(len(kept)) % _FOLDS
    odds = np.zeros(total)
    for k in range(_FOLDS):
        learned = kept[fold[kept] != k]
        asked = fold == k
        # The loans the classifier was not offered are all in the first fold.
        model = LogisticRegression(C=_PENALTY, max_iter=200)
        model.fit(design[learned], is_month[learned])
        odds[asked] = model.decision_function(design[asked])
    share = float(is_month[kept].mean())
    told = _log_loss(odds[kept], is_month[kept])
    saved = float(-(share * np.log(share) + (1 - share) * np.log1p(-share)) - told)
    if saved <= 0:
        return np.ones(n), saved
    ratio = np.exp(odds[:n] - np.log(share / (1 - share)))
    ratio = np.clip(ratio, 1 / FURTHEST, FURTHEST)
    return ratio / ratio.mean(), saved


def _even(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MOST)).astype(np.int64))


def _log_loss(odds: Floats, label: np.ndarray) -> float:
    return float(np.logaddexp(0.0, np.where(label == 1, -odds, odds)).mean())


def _design(reference: LoanMatrix, reference_pd: Floats, month: LoanMatrix, month_pd: Floats) -> np.ndarray:
    """Standardized numbers with flags where missing, levels, and the score: float32 (n + m, k)."""
    numbers = np.concatenate([reference.numbers, month.numbers])
    scores = logit(np.concatenate([reference_pd, month_pd]))
    columns = [_standardized(scores)]
    for j in range(numbers.shape[1]):
        values = numbers[:, j].astype(np.float64)
        missing = np.isnan(values)
        if missing.all():
            continue
        columns.append(_standardized(np.where(missing, np.median(values[~missing]), values)))
        if missing.any():
            columns.append(_standardized(missing.astype(np.float64)))
    for j in range(reference.categories.shape[1]):
        values, where = np.unique(
            np.concatenate([reference.categories[:, j], month.categories[:, j]]).astype(str), return_inverse=True
        )
        shares = np.bincount(where) / len(where)
        columns += [_standardized((where == k).astype(np.float64)) for k in range(len(values)) if shares[k] >= _RARE]
    return np.column_stack(columns).astype(np.float32)


def _standardized(values: Floats) -> Floats:
    spread = float(values.std())
    if spread == 0:
        return np.zeros(len(values))
    found: Floats = np.clip((values - values.mean()) / spread, -4.0, 4.0)
    return found
