"""How the radar has done: coverage and bias over the months that have matured, and what that does to its intervals.

Only months whose labels were known on the day of the estimate count, each with the estimate that was made at the same
age with what was known then. An interval is never narrowed by its record, only widened: a lucky year proves little.

Sources: Gneiting, Balabdaoui and Raftery 2007, doi:10.1111/j.1467-9868.2007.00587.x (calibration of predictive
distributions); Papadopoulos et al. 2002, doi:10.1007/3-540-36755-1_29 (intervals scaled by normalized past errors).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdx_assets.risk.radar.confidence import Estimate

PRIOR_MONTHS = 6
"""Months of perfectly sized errors that the record is joined with: one bad month does not triple an interval."""
MONTHS = 24
"""The record looks back at most this many matured months."""


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """What came of past estimates of one kind.

    Attributes:
        months: matured months with an estimate and a realized figure.
        covered: of them, those whose interval, as estimated without a record, held it.
        bias: mean of realized less estimated; None without months.
        widening: how many times as wide the interval becomes, at least 1.
    """

    months: int
    covered: int
    bias: float | None
    widening: float


def track_record(past: Sequence[tuple[Estimate | None, float | None]]) -> TrackRecord:
    """The record of (estimate, realized) of past months, the newest last.

    The widening is the root mean square of the standardized errors, (realized - estimated) / standard error, of the
    last ``MONTHS`` months and ``PRIOR_MONTHS`` more of size 1; at least 1. A bias of one standard error thus widens
    by up to 1.41, whatever its sign: the record says that something is missing, not what the next month will do.
    """
    known = [(e, r) for e, r in past if e is not None and r is not None and e.standard_error > 0][-MONTHS:]
    if not known:
        return TrackRecord(0, 0, None, 1.0)
    errors = np.array([realized - e.value for e, realized in known])
    sizes = np.array([e.standard_error for e, _ in known])
    covered = sum(low <= realized <= high for (low, high), realized in ((e.interval(), r) for e, r in known))
    widening = np.sqrt((PRIOR_MONTHS + ((errors / sizes) ** 2).sum()) / (PRIOR_MONTHS + len(known)))
    return TrackRecord(len(known), covered, float(errors.mean()), max(1.0, float(widening)))


def distrust(estimate: Estimate | None, widening: float) -> float:
    """How many times as large a calibration's standard error must be for the whole interval to be so much wider.

    The noise of who turns bad is what it is: what the record adds is put down to the calibration.
    """
    if estimate is None or widening <= 1.0:
        return 1.0
    own = estimate.standard_error**2 - estimate.noise**2
    if own <= 0:
        return 1.0
    return float(np.sqrt(((widening * estimate.standard_error) ** 2 - estimate.noise**2) / own))
