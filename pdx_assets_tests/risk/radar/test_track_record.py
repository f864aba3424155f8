"""The record: what it counts, how it widens, and that it changes nothing where there is none."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy.special import expit

from pdx_assets.risk.metrics.calibration import logit
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.radar.arrears import Seen
from pdx_assets.risk.radar.combined import Month, Outlooks
from pdx_assets.risk.radar.confidence import Calibration, Estimate, Outlook
from pdx_assets.risk.radar.forecast import Matured, forecast
from pdx_assets.risk.radar.track_record import MONTHS, PRIOR_MONTHS, distrust, track_record


def past(*errors: float, size: float = 0.02) -> list[tuple[Estimate | None, float | None]]:
    return [(Estimate(0.7, size, 0.01), 0.7 + e * size) for e in errors]


def test_no_months_no_record() -> None:
    assert track_record([]) == track_record([(None, 0.7), (Estimate(0.7, 0.02, 0.01), None)])
    assert track_record([]).widening == 1.0
    assert track_record([]).bias is None


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=40))
def test_coverage_bias_and_widening(errors: list[float]) -> None:
    found = track_record(past(*errors))
    kept = np.array(errors[-MONTHS:])
    assert found.months == len(kept)
    assert found.covered == (np.abs(kept) < 1.6448).sum() or (np.abs(np.abs(kept) - 1.6448) < 1e-3).any()
    assert found.bias == pytest.approx(0.02 * kept.mean(), abs=1e-12)
    expected = np.sqrt((PRIOR_MONTHS + (kept**2).sum()) / (PRIOR_MONTHS + len(kept)))
    assert found.widening == pytest.approx(max(1.0, expected))


def test_distrust_widens_the_whole_interval_by_as_much_as_asked() -> None:
    estimate = Estimate(0.7, 0.05, 0.03)
    factor = distrust(estimate, 1.5)
    own = 0.05**2 - 0.03**2
    assert np.sqrt(0.03**2 + factor**2 * own) == pytest.approx(1.5 * 0.05)
    assert distrust(estimate, 1.0) == distrust(None, 2.0) == 1.0


def month(seed: int) -> tuple[Month, Calibration, Seen]:
    rng = np.random.default_rng(seed)
    pd = expit(rng.normal(-2.3, 0.9, 800))
    matrix = LoanMatrix(np.zeros((800, 0), np.float32), np.empty((800, 0), object), (), ())
    clock = np.linspace(0, 1, 13)
    seen = Seen(rng.random(800) < 0.6 * pd, np.full(800, 6, np.int32), clock, 200.0)
    return Month(matrix, pd), Calibration(float(logit(pd).mean()), np.array([0.0, 1.0]), 0.01 * np.eye(2)), seen


def matured(off: float) -> Matured:
    estimate = Estimate(0.7, 0.03, 0.02)
    outlook = Outlook(estimate, Estimate(0.1, 0.01, 0.008), 80.0)
    return Matured(Outlooks(outlook, outlook, outlook), 0.7 + off * 0.03, 0.1)


def test_a_poor_record_widens_intervals_and_hands_the_month_to_its_own_arrears() -> None:
    own, line, seen = month(1)
    line = Calibration(line.origin, np.array([0.0, 2.0]), line.covariance)
    fresh = forecast(own, line, seen, [])
    poor = forecast(own, line, seen, [matured(-3.0)] * 12)
    assert fresh.raw == poor.raw, "what later months' records rest on does not depend on a record"
    confidence, after = fresh.told["confidence", "auc"], poor.told["confidence", "auc"]
    assert after.value == confidence.value
    assert after.high - after.low > 1.5 * (confidence.high - confidence.low)
    arrears = fresh.told["arrears", "auc"].value
    distance = [abs(f.told["combined", "auc"].value - arrears) for f in (fresh, poor)]
    assert distance[1] < 0.7 * distance[0]
    assert poor.told["combined", "auc"].standard_error > fresh.told["combined", "auc"].standard_error
    # The bad rate's record was perfect.
    assert poor.told["confidence", "bad_rate"] != after
    assert poor.told["confidence", "bad_rate"].standard_error == fresh.told["confidence", "bad_rate"].standard_error


def test_the_day_a_month_ends_both_sources_are_one() -> None:
    own, line, _ = month(2)
    found = forecast(own, line, None, [matured(2.0)] * 6)
    assert ("arrears", "auc") not in found.told
    for name in ("auc", "bad_rate"):
        assert found.told["combined", name] == found.told["confidence", name]  # type: ignore[index]
