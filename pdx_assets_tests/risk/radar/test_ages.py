"""On which days a month is estimated, for months and for quarters, with and without arrears."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pdx_assets
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.radar.ages import ages, day_at, has_arrears, reached
from pdx_assets.risk.spec_file import load_spec
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

DEFS = Path(pdx_assets.__file__).parent / "defs"


def test_a_delay_moves_every_day() -> None:
    attributes = small_attributes()
    attributes["label"] |= {"reporting_delay_days": 10}
    attributes["windows"] |= {"gap": 13, "first_production": "2022-08"}
    spec = small_spec(label=attributes["label"], windows=attributes["windows"])
    assert day_at(spec, Month(2022, 8), 6) == date(2023, 3, 10)
    assert reached(spec, Month(2022, 8), date(2023, 3, 9)) == (0, 3)


def test_a_quarter_is_estimated_from_its_last_day_on() -> None:
    spec = load_spec(DEFS / "sba" / "defs.yaml")
    horizon = spec.label.horizon_months
    assert spec.windows.frequency == "quarter" and horizon is not None
    assert ages(spec) == tuple(horizon * step // 4 for step in range(4))
    assert day_at(spec, Month(2001, 1), 0) == date(2001, 3, 31)


def test_a_ready_flag_has_no_arrears() -> None:
    spec = load_spec(DEFS / "two_wheeler_twin" / "defs.yaml")
    assert not has_arrears(spec)
    assert ages(spec) == (0,)
