"""What is guessed of a label, and what the guesses of different kinds have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from pdx_assets.risk.drafting.profiles import Profile
from pdx_assets.risk.drafting.roles import Roles


@dataclass(frozen=True)
class LabelGuess:
    """A label that the tape seems to allow.

    Attributes:
        kind: of the definition; empty when nothing tells how a loan ended.
        definition: its keys and values beside the kind.
        name, horizon_months: of the label.
        why: evidence, a line each.
        decide: what a person has to decide, a line each.
        bad: a row of the sample each: ended badly, did not, or null where it is too early to say. Rough.
        within: the same within the horizon; None: as ``bad``.
        outcomes: columns it reads that must have role outcome.
    """

    kind: str = ""
    definition: dict[str, Any] = field(default_factory=dict)
    name: str = "bad"
    horizon_months: int = 12
    why: tuple[str, ...] = ()
    decide: tuple[str, ...] = ()
    bad: pl.Series | None = field(default=None, repr=False)
    within: pl.Series | None = field(default=None, repr=False)
    outcomes: tuple[str, ...] = ()


def dates_named(roles: Roles, pattern: re.Pattern[str]) -> list[Profile]:
    """Columns of dates, but the origination date, whose name fits."""
    origination = roles.origination
    return [p for n, p in roles.profiles.items() if p.dtype == "date" and n != origination and pattern.search(p.words)]


def originated(roles: Roles) -> pl.Series:
    """Origination dates."""
    assert roles.origination is not None
    return roles.profiles[roles.origination].values


def month_numbers(days: pl.Series) -> pl.Series:
    """Months since year 0: differences count months."""
    return days.dt.year() * 12 + days.dt.month().cast(pl.Int32)


def alternatives(levels: list[str]) -> str:
    """A regular expression, in Python and in Rust, found in each of the levels."""
    needed = [one for one in levels if not any(other != one and other in one for other in levels)]
    return "|".join(re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", level.strip()) for level in needed)
