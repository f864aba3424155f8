"""Both sources in one estimate: other months' calibration, and the month's own loans as they age.

Their two estimates of one figure must not be averaged: both hold the same noise of who turns bad. What is independent
are two measurements of the score's calibration, one by other loans and one by the month's own, and these are weighted
by their precision (Bayes' rule with normal errors); the rest is counted as in arrears.py. A calibration whose record
is poor is widened first (track_record.py), and so weighs less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdx_assets.risk.metrics.calibration import logit
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.radar.arrears import Seen, baseline, by_arrears, with_prior
from pdx_assets.risk.radar.confidence import Calibration, Floats, Outlook, by_confidence, calibrate
from pdx_assets.risk.radar.importance import importance_weights


@dataclass(frozen=True, eq=False)
class Labelled:
    """Loans of other months whose outcome is known and that the champion did not learn from.

    Attributes:
        matrix: their features.
        pd: (n,) the champion's scores.
        bad: (n,).
        month: (n,) month on book in which a bad one turned bad; not looked at of others.
        weight: (n,) sample weights or None.
    """

    matrix: LoanMatrix
    pd: Floats
    bad: NDArray[np.bool_]
    month: NDArray[np.int32]
    weight: Floats | None = None


@dataclass(frozen=True, eq=False)
class Month:
    """A month's own loans: features, scores, sample weights or None."""

    matrix: LoanMatrix
    pd: Floats
    weight: Floats | None = None


@dataclass(frozen=True, eq=False)
class Reference:
    """How a score is calibrated on labelled loans weighted towards a month's.

    Attributes:
        effective_loans: Kish's size of the weighted loans.
        told: log loss saved in telling the month from them (importance.py).
    """

    calibration: Calibration
    effective_loans: float
    told: float


def calibrated(labelled: Labelled, month: Month) -> Reference:
    """The champion's calibration for a month, from labelled loans of others."""
    importance, told = importance_weights(labelled.matrix, labelled.pd, month.matrix, month.pd)
    prior = Calibration.unsure(float(logit(month.pd).mean()))
    found = calibrate(labelled.pd, labelled.bad, prior=prior, weight=labelled.weight, importance=importance)
    return Reference(found, float(importance.sum() ** 2 / (importance**2).sum()), told)


def clock_of(labelled: Labelled, horizon: int) -> Floats:
    """How bads of the champion's labelled loans spread over the months on book (arrears.baseline).

    Raises:
        TrainingError: none of them turned bad.
    """
    prior = Calibration.unsure(float(logit(labelled.pd).mean()))
    pds = calibrate(labelled.pd, labelled.bad, prior=prior, weight=labelled.weight).pds(labelled.pd)
    return baseline(pds, labelled.bad, labelled.month, horizon, labelled.weight)


@dataclass(frozen=True, slots=True)
class Outlooks:
    """The three estimates of a month on one day; ``arrears`` is None while no clock has passed."""

    confidence: Outlook
    arrears: Outlook | None
    combined: Outlook


def outlooks(month: Month, calibration: Calibration, seen: Seen | None, trusted: Calibration | None = None) -> Outlooks:
    """All three estimates.

    Args:
        calibration: from other months (:func:`calibrated`).
        seen: how the month's loans stand; None on the day its last loan is made.
        trusted: the calibration that is combined, where the record widens it.
    """
    confidence = by_confidence(month.pd, calibration, month.weight)
    if seen is None or seen.share <= 0:
        return Outlooks(confidence, None, confidence)
    both = with_prior(month.pd, seen, trusted or calibration, month.weight)
    return Outlooks(confidence, by_arrears(month.pd, seen, month.weight), both)
