"""A year's tests together spend no more than the year's level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdx_assets.risk.evidence.level import of_contests, of_decay


@given(st.integers(1, 24), st.sampled_from([1, 3]))
def test_contests_and_periods_of_any_twelve_months_are_counted(every: int, months_a_period: int) -> None:
    found = of_contests(0.05, every, months_a_period)
    held = [m for m in range(0, 600, every * months_a_period)]
    assert found.tests_a_year == max(sum(start <= m < start + 12 for m in held) for start in range(100))
    assert of_decay(0.05, months_a_period).tests_a_year == 12 // months_a_period
    shares = [s.share for s in (found, of_decay(0.05, months_a_period))]
    assert sum(shares) == pytest.approx(1.0)


def test_corrected_p_values_are_holms_times_the_years_tests_over_the_share() -> None:
    found = of_contests(0.05, 3, 1).corrected({"a": 0.001, "b": 0.5, "c": 0.004})
    assert found == pytest.approx({"a": 0.001 * 3 * 4 / 0.8, "b": 1.0, "c": 0.004 * 2 * 4 / 0.8})
    assert of_decay(0.05, 1).corrected({"a": 0.0004}) == pytest.approx({"a": 0.0004 * 12 / 0.2})


def test_independent_years_without_any_difference_call_at_most_the_level() -> None:
    """4 contests and 12 looks for decay of 8 challengers: the worst case for Bonferroni is independence."""
    rng = np.random.default_rng(0)
    contests, decay, years, false = of_contests(0.2, 3, 1), of_decay(0.2, 1), 2000, 0
    for _ in range(years):
        corrected = [
            min(spending.corrected(dict(enumerate(rng.uniform(size=8)))).values())  # type: ignore[arg-type]
            for spending in [contests] * 4 + [decay] * 12
        ]
        false += min(corrected) <= 0.2
    # 1 - prod of (1 - level): a little under 0.2; three standard errors are 0.027.
    assert 0.15 < false / years < 0.2 + 0.027
