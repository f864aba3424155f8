"""Declarations of promotion on evidence and of approval by people; the rules are in risk/evidence/ and risk/policy/."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from pdx_assets.risk.spec.base import Declared, month_text

_RECIPE = re.compile(r"[a-z][a-z0-9_]* [a-z][a-z0-9_]*")


def recipe_text(value: Any) -> Any:
    """Validator (before) of a recipe written as ``strategy algorithm``."""
    if value is not None and (not isinstance(value, str) or not _RECIPE.fullmatch(value)):
        raise ValueError(f"got {value!r}, expected 'strategy algorithm' such as 'rolling_window xgboost'")
    return value


class Evidence(Declared):
    """What a change of recipe must show, and the gates a refit must pass (policy ``evidence``)."""

    first_month: str = Field(description="the first as-of month: the oldest cohort recipes are compared on")
    every: int = Field(1, ge=1, description="periods between as-of months before p0")
    yearly_level: float = Field(0.05, gt=0, lt=1, description="chance of any false change of recipe in a year")
    contest_every: int = Field(3, ge=1, description="periods between contests of recipes, counted from p0")
    # What was hashed of a portfolio before there was money stays as it was.
    measure: Literal["auc", "money"] = Field(
        "auc", exclude_if=lambda measure: measure == "auc", description="what contests of recipes are decided by"
    )
    margin: float = Field(0.0, ge=0, description="AUC, or money a loan applied for, by which a recipe must be better")
    cool_down: int = Field(3, ge=0, description="periods after a change of recipe without another")
    first_recipe: str | None = Field(None, description="in charge from the start, unless another is shown to be better")
    min_bads: int = Field(100, ge=10, description="of a record, effective ones where loans are weighted")
    refit_margin: float = Field(0.05, gt=0, lt=0.5, description="AUC a refit may be worse by, one-sided 95 %")
    calibration_tolerance: float = Field(0.25, gt=0, description="bad rate off the mean PD, relative")
    max_score_psi: float = Field(0.25, gt=0, description="PSI of a refit's PDs against the incumbent's")
    max_approval_rate_change: float = Field(0.10, gt=0, le=1, description="at the cut-off, as a share")
    max_equal_opportunity_change: float = Field(0.05, gt=0, le=1, description="rise of the difference, as a share")

    _check_month = field_validator("first_month", mode="before")(month_text)
    _check_recipe = field_validator("first_recipe", mode="before")(recipe_text)

    @model_validator(mode="after")
    def _margin_is_of_its_measure(self) -> Evidence:
        if self.measure == "auc" and self.margin >= 0.5:
            raise ValueError(f"margin is {self.margin:g}, expected an AUC below 0.5, or measure: money")
        return self

    @property
    def auc_margin(self) -> float:
        """Of comparisons that are by AUC whatever contests are decided by, such as decay."""
        return self.margin if self.measure == "auc" else 0.0


class Approval(Declared):
    """Whether people decide about a change of recipe or model that the policy proposes."""

    required: bool
    two_people: bool = Field(False, description="two different people must approve")
