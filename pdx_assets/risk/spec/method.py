"""Declarations of the method: windows, strategies, tuning, the decision and the limits of checks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from pdx_assets.risk.calendar import Frequency
from pdx_assets.risk.spec.base import Declared, month_text
from pdx_assets.risk.spec.columns import absent
from pdx_assets.risk.spec.evidence import Approval, Evidence, recipe_text

Strategy = Literal["fixed_window", "fixed_origin", "rolling_window", "all_known", "immature_cohorts"]
PAPER_STRATEGIES: tuple[Strategy, ...] = ("fixed_window", "fixed_origin", "rolling_window")
"""Those that leave OTV out of what they learn from; the others learn up to the decision date."""
AlgorithmName = Literal["logistic_regression", "random_forest", "xgboost", "neural_network", "blend"]
PolicyName = Literal["never", "always", "paper", "paper_with_memory", "evidence"]
ProfileName = Literal["quick", "standard", "paper", "paper_size"]
HALF_LIFE_MONTHS = 12
"""Measured by benchmarks/half_life.py: beside no forgetting it costs 0.002 AUC of a stable lender's XGBoost, nothing of
its logistic regression, and gains 0.02 to 0.06 where the true weights turn by 0.27 to 0.5 radians a year."""


class Windows(Declared):
    """The window plan, in periods; every bound inclusive (windows.py)."""

    frequency: Frequency = "month"
    development: int = Field(ge=1, description="D")
    otv: int = Field(ge=1, description="O")
    gap: int = Field(ge=0, description="G, between OTV and production, exclusive; at least the horizon")
    first_production: str = Field(description="p0")
    # Only one strategy reads it: the windows of homes made before it was there are not stale for it.
    half_life_months: int | None = Field(
        HALF_LIFE_MONTHS,
        ge=1,
        exclude_if=lambda months: months == HALF_LIFE_MONTHS,
        description="after which a cohort teaches immature_cohorts half as much; null: all alike",
    )

    _check_month = field_validator("first_production", mode="before")(month_text)


class Profile(Declared):
    """How much work a run spends on tuning."""

    trials: int = Field(ge=1, description="Optuna trials per study")
    retune_every: int = Field(ge=1, description="periods between anchors; 1 is the paper's way")
    max_loans: int | None = Field(
        None, ge=100, description="a study takes at most this many loans of its window, train and ITV together"
    )


def _default_profiles() -> dict[ProfileName, Profile]:
    return {
        "quick": Profile(trials=4, retune_every=12),
        "standard": Profile(trials=20, retune_every=12),
        "paper": Profile(trials=30, retune_every=1),
        # Tuned at p0 only: a century of months has no second anchor.
        "paper_size": Profile(trials=20, retune_every=1200, max_loans=50_000),
    }


class Tuning(Declared):
    """Optuna on ITV, at anchors."""

    objective: Literal["auc", "composite"] = "auc"
    profiles: dict[ProfileName, Profile] = Field(default_factory=_default_profiles)

    @field_validator("profiles")
    @classmethod
    def _undeclared_stay(cls, value: dict[ProfileName, Profile]) -> dict[ProfileName, Profile]:
        return {**_default_profiles(), **value}


class CutOff(Declared):
    """The PD above which an application is declined.

    Either ``pd``, or ``approval_rate``: then the first decision fixes the PD that approves that share
    of its OTV loans, records it, and later decisions carry it on.
    """

    pd: float | None = Field(None, gt=0, lt=1)
    approval_rate: float | None = Field(None, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_of(self) -> CutOff:
        if (self.pd is None) == (self.approval_rate is None):
            raise ValueError("give either pd or approval_rate")
        return self


class Economics(Declared):
    """What an approved loan brings, in one unit for both (an amount, or a share of the amount lent)."""

    gain_of_good: float = Field(gt=0, description="what a good loan earns")
    loss_of_bad: float = Field(gt=0, description="what a bad loan loses")


class Decision(Declared):
    """How the champion is chosen, and how long models are kept to compete again."""

    policy: PolicyName = "paper"
    metric: Literal["auc"] = "auc"
    min_bads: int = Field(30, ge=1)
    min_goods: int = Field(30, ge=1)
    cut_off: CutOff = CutOff(approval_rate=0.8)
    max_approval_rate_change: float = Field(0.05, gt=0, le=1, description="at the cut-off, as a share; 1: no limit")
    max_expected_bad_rate_change: float = Field(0.01, gt=0, le=1, description="at the cut-off, as a share; 1: no limit")
    keep_months: int = Field(12, ge=1, description="periods a bundle is scored on, the one it was trained for included")
    # What was hashed of a portfolio without these stays as it was.
    always: str | None = Field(None, exclude_if=absent, description="the recipe of policy always")
    evidence: Evidence | None = Field(None, exclude_if=absent)
    approval: Approval | None = Field(None, exclude_if=absent)
    economics: Economics | None = Field(
        None, exclude_if=absent, description="for `pdx simulate` and contests by money: what a loan brings"
    )

    _check_recipe = field_validator("always", mode="before")(recipe_text)

    @model_validator(mode="after")
    def _policy_has_its_settings(self) -> Decision:
        if self.policy == "evidence" and self.evidence is None:
            raise ValueError("policy is evidence, expected the block evidence with its first_month")
        if self.policy == "always" and self.always is None:
            raise ValueError("policy is always, expected always: the recipe, such as 'rolling_window xgboost'")
        if self.evidence is not None and self.evidence.measure == "money" and self.economics is None:
            raise ValueError("evidence.measure is money, expected economics: what a good and a bad loan bring")
        return self

    @property
    def needs_approval(self) -> bool:
        """Whether a change that the policy proposes waits for people."""
        return self.approval is not None and self.approval.required


class Checks(Declared):
    """Thresholds of the checks (risk/checks/), and the limits drawn into the drift picture."""

    psi_warning: float = Field(0.10, gt=0, description="PSI from which a shift beyond chance fails its check")
    psi_alarm: float = Field(0.25, gt=0, description="PSI from which it is called an alarm")
    false_alarm_rate: float = Field(0.05, gt=0, lt=1, description="of a check and month in which nothing happened")
    reference_cohorts: int = Field(12, ge=1, description="earlier cohorts a new one is compared with, at most")
    min_reference_cohorts: int = Field(3, ge=1, description="with fewer, such a check does not apply")
    max_rejected_share: float = Field(0.10, ge=0, le=1, description="of a cohort's rows; above it the month is blocked")
    volume_score: float = Field(3.5, gt=0, description="robust z-score of a cohort's loans: beyond it, odd")
    volume_extreme: float = Field(4.0, gt=1, description="factor off the median: odd and beyond it, blocked")
    missing_shift: float = Field(0.05, ge=0, le=1, description="move of a feature's missing share")
    novelty_share: float = Field(0.01, ge=0, le=1, description="share of a category never seen before")
    bad_rate_shift: float = Field(0.25, ge=0, description="relative move of a newly known bad rate")
    otv_auc_floor: float = Field(0.55, ge=0, le=1, description="AUC of the champion on OTV")
    auc_drop: float = Field(0.03, ge=0, le=1, description="from OTV to production")
    calibration_tolerance: float = Field(0.10, ge=0, description="relative excess of bad rate over PD")
