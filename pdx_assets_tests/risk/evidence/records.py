"""Months of evidence for tests: drawn loans, or areas given outright."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.evidence.record import MonthEvidence, MonthRecord, month_evidence

FIRST = Month(2015, 1)


def drawn(
    seed: int, signal: Mapping[str, float], *, bads: int = 60, goods: int = 500, cohort: Month = FIRST
) -> MonthEvidence:
    """A month in which each recipe sees the truth with noise; a higher signal is a better recipe."""
    rng = np.random.default_rng(seed)
    label = np.repeat([1, 0], [bads, goods])
    truth = rng.normal(size=label.size) + 0.9 * label
    pds = {
        name: 1 / (1 + np.exp(-(strength * truth + rng.normal(size=label.size)))) for name, strength in signal.items()
    }
    record = MonthRecord(cohort, label, None, pds, dict.fromkeys(signal, date(2014, 12, 31)))
    found = month_evidence(record)
    assert found is not None
    return found


def stated(
    k: int, areas: Mapping[str, float], *, error: float = 0.03, correlation: float = 0.8, bads: float = 100.0
) -> MonthEvidence:
    """Month ``FIRST`` + k with these AUCs, all of one standard error and correlation."""
    n = len(areas)
    covariance = error**2 * (correlation + (1 - correlation) * np.eye(n))
    return MonthEvidence(FIRST + k, bads, 1000.0, dict(areas), tuple(tuple(map(float, row)) for row in covariance))
