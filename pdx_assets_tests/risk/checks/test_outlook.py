"""The check of what is to come: fires on either figure, is quiet within its limits, and does not ask too early."""

from __future__ import annotations

import pytest

from pdx_assets.risk.checks.outlook import Expected, expected_performance
from pdx_assets.risk.spec import Checks

GOOD, USUAL = Expected(0.72, 0.68, 0.76), Expected(0.081, 0.065, 0.097)


def verdict(
    auc: Expected | None = GOOD, bad_rate: Expected = USUAL, *, otv: float | None = 0.73, bads: float = 60.0
) -> tuple[str, str]:
    kinds = {"confidence": (auc, bad_rate), "combined": (auc, bad_rate)}
    found = expected_performance(
        Checks(), promised_auc=otv, mean_pd=0.08, bads=bads, auc=auc, bad_rate=bad_rate, kinds=kinds
    )
    assert found.severity == "warn"
    return found.status, found.reason


def test_quiet_where_the_limits_are_within_reach() -> None:
    status, reason = verdict()
    assert status == "passed"
    assert "limit 0.700" in reason


@pytest.mark.parametrize(
    ("auc", "otv", "status"),
    [
        (Expected(0.66, 0.62, 0.699), 0.73, "failed"),
        (Expected(0.66, 0.62, 0.701), 0.73, "passed"),
        (Expected(0.52, 0.49, 0.549), None, "failed"),  # below the floor, whatever OTV was
        (Expected(0.54, 0.49, 0.551), None, "passed"),
    ],
)
def test_fires_when_the_upper_end_of_the_auc_is_below_its_limit(auc: Expected, otv: float | None, status: str) -> None:
    assert verdict(auc, otv=otv)[0] == status


def test_fires_when_the_bad_rate_is_surely_above_what_the_pds_allow() -> None:
    assert verdict(bad_rate=Expected(0.11, 0.0881, 0.13))[0] == "failed"
    assert verdict(bad_rate=Expected(0.11, 0.0879, 0.13))[0] == "passed"
    assert "at least 8.9 %" in verdict(bad_rate=Expected(0.11, 0.089, 0.13))[1]


def test_not_asked_of_a_handful_of_bads() -> None:
    assert verdict(None)[0] == "not_applicable"
    assert verdict(bads=9.4) == ("not_applicable", "9.4 bads are expected; 10 are needed")
