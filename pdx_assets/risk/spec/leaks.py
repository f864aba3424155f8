"""Declarations for the leak sentinel: what a person decided about suspicious features, and its limits."""

from __future__ import annotations

from pydantic import Field, field_validator

from pdx_assets.risk.spec.base import Declared


class Leaks(Declared):
    """Features accepted or banned by a person, with the reason, and limits of the judgement (risk/leaks/)."""

    accepted: dict[str, str] = Field(default_factory=dict, description="flagged, and used all the same: why")
    banned: dict[str, str] = Field(default_factory=dict, description="never a feature: why")
    false_alarm_rate: float = Field(0.02, gt=0, lt=1, description="chance that any clean feature is flagged")
    max_auc: float = Field(0.75, gt=0.5, le=1, description="of one feature alone, out of time")
    max_auc_later_date: float = Field(0.65, gt=0.5, le=1, description="of a date after the application")
    max_odds_ratio: float = Field(6.0, gt=1, description="of missing, zero or equal to another column, by outcome")
    max_odds_ratio_rounding: float = Field(3.0, gt=1, description="of a divisor, a last digit or decimals, by outcome")
    pure_odds_ratio: float = Field(20.0, gt=1, description="of one value against all others")
    max_power_change: float = Field(0.15, gt=0, lt=0.5, description="of the AUC, from development to out of time")
    min_bads: int = Field(10, ge=2, description="bads, and goods, below which a test is not made")

    @field_validator("accepted", "banned")
    @classmethod
    def _with_a_reason(cls, value: dict[str, str]) -> dict[str, str]:
        silent = [name for name, reason in value.items() if not reason.strip()]
        if silent:
            raise ValueError(f"no reason for {', '.join(silent)}, expected one in words that an auditor understands")
        return value
