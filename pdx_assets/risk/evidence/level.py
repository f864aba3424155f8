"""How a year's chance of error is spent, over its contests and its challengers.

Of the yearly level, ``CONTEST_SHARE`` goes to the contests of recipes, in equal parts, and the rest to the tests of
every period that may demote a recipe for decay. Within each, Holm's step over the challengers. By Bonferroni's
inequality the chance of any false change by a test within any twelve months is then at most the yearly level, however
the tests depend on each other. They depend strongly (each contest sees the last one's months again), so that the true
chance is lower; a group-sequential boundary (Lan and DeMets 1983, doi:10.1093/biomet/70.3.659) would give some of
that back, but needs a last look and a known information at each, and a portfolio has neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdx_assets.risk.checks.chance import holm

CONTEST_SHARE = 0.8


@dataclass(frozen=True)
class Spending:
    """One family of tests.

    Attributes:
        yearly_level: of all families together.
        share: of it that this family may spend.
        tests_a_year: contests, or periods, that fall into any twelve months at most.
    """

    yearly_level: float
    share: float
    tests_a_year: int

    def corrected(self, p_values: Mapping[str, float]) -> dict[str, float]:
        """P-values corrected for the challengers, for the year's tests and for the share.

        Calling those at or below ``yearly_level`` spends the family's share of it in a year, and no more.
        """
        factor, adjusted = self.tests_a_year / self.share, holm(list(p_values.values()))
        return {who: min(1.0, p * factor) for who, p in zip(p_values, adjusted, strict=True)}


def of_contests(yearly_level: float, contest_every: int, months_a_period: int) -> Spending:
    """The contests' part.

    Args:
        contest_every: periods between contests.
        months_a_period: 1, or 3 of a quarterly portfolio.
    """
    return Spending(yearly_level, CONTEST_SHARE, -(-12 // (contest_every * months_a_period)))


def of_decay(yearly_level: float, months_a_period: int) -> Spending:
    """The part of the tests for decay, one a period."""
    return Spending(yearly_level, 1 - CONTEST_SHARE, -(-12 // months_a_period))
