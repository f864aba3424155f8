"""The picture of estimates and what came of them: drawn from one value a month, the same bytes each time."""

from __future__ import annotations

import pytest

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.radar.picture import estimates_by_month

MONTHS = ["2024-01", "2024-02", "2024-03"]
ESTIMATED = [(0.7, 0.65, 0.75), None, (0.72, 0.66, 0.78)]


def test_equal_numbers_are_equal_bytes_and_others_are_not() -> None:
    drawn = estimates_by_month(MONTHS, ESTIMATED, [0.69, 0.7, None], "AUC")
    assert drawn.startswith(b"\x89PNG")
    assert drawn == estimates_by_month(MONTHS, ESTIMATED, [0.69, 0.7, None], "AUC")
    assert drawn != estimates_by_month(MONTHS, ESTIMATED, [0.69, None, None], "AUC")
    assert estimates_by_month([], [], [], "AUC").startswith(b"\x89PNG")


def test_one_value_a_month() -> None:
    with pytest.raises(PdxError, match="3 estimates and 1 realized figures for 3 months"):
        estimates_by_month(MONTHS, ESTIMATED, [0.69], "AUC")
