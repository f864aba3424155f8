"""What a policy looks at and what it answers. No rule lives here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.evidence.gates import Gate
from pdx_assets.risk.evidence.paired import Difference
from pdx_assets.risk.evidence.record import MonthEvidence
from pdx_assets.risk.metrics.weights import EffectiveSizes

Verdict = Literal[
    "first", "promoted", "kept", "no_contest", "vacant", "rolled_back", "refitted", "recalibrated", "demoted"
]


@dataclass(frozen=True)
class Candidate:
    """A model in a contest.

    Attributes:
        bundle_sha256: digest of the model.
        strategy, algorithm: its recipe.
        trained_for: the production month it was trained for.
        last_cohort: the last cohort it learned from.
        score: the contest's metric on OTV(p), unrounded; None where it could not be measured.
    """

    bundle_sha256: str
    strategy: str
    algorithm: str
    trained_for: str
    last_cohort: str
    score: float | None

    @property
    def recipe(self) -> str:
        """In words, for reasons people read."""
        return self.recipe_name.replace("_", " ")

    @property
    def recipe_name(self) -> str:
        """As records and settings name it: ``strategy algorithm``."""
        return f"{self.strategy} {self.algorithm}"


@dataclass(frozen=True)
class Recalibrated:
    """The incumbent with its PDs set right: it ranks as before, under the recipe it had.

    Attributes:
        before, after: calibration of the incumbent and of this model, on held-out loans.
    """

    model: Candidate
    before: Gate
    after: Gate


@dataclass(frozen=True)
class Evidence:
    """What a month knows of its recipes.

    Attributes:
        record: the matured as-of months.
        gates: of every bundle that may take over, by digest, each against the incumbent.
        periods_since_change: of recipe; None where it never changed.
        contest_number: 0, 1, ... in a period that holds a contest of recipes; None in another.
        months_a_period: 1, or 3 of a quarterly portfolio.
        floor: AUC below which a champion is unfit (checks.otv_auc_floor).
        clustered: differences against the recipe in charge (or the declared first one) by bootstrap over borrowers, by
            challenger, where borrowers repeat; they stand in for DeLong's.
        clustered_latest: the same over the latest months, those of the test of decay.
        recalibrated: the incumbent recalibrated, where its refit does not take over and its PDs are off.
    """

    record: tuple[MonthEvidence, ...]
    gates: Mapping[str, tuple[Gate, ...]] = field(default_factory=dict)
    periods_since_change: int | None = None
    contest_number: int | None = None
    months_a_period: int = 1
    floor: float = 0.5
    clustered: Mapping[str, Difference] = field(default_factory=dict)
    clustered_latest: Mapping[str, Difference] = field(default_factory=dict)
    recalibrated: Recalibrated | None = None


@dataclass(frozen=True)
class Contest:
    """All that a policy may look at for one production month.

    Attributes:
        bads, goods: rows.
        effective: Kish's sizes of the two where loans are weighted; then the minima are of these.
        fresh: the month's challengers in Algorithm 1's order: algorithms as declared, strategies within.
        incumbent: the champion of p-1; None at p0 or when the month before was vacant.
        failed: recipes that left a tombstone, with the reason.
        unscored: contestants by digest whose bundle could not score OTV, with the reason.
        refits: the month's bundles of strategies that have seen OTV and are in no contest on it, without a score.
        retained: older challengers with their score on OTV(p), for ``paper_with_memory``.
        evidence: what the policy ``evidence`` looks at, where the portfolio declares it.
    """

    production_month: Month
    otv_months: tuple[Month, ...]
    bads: int
    goods: int
    fresh: tuple[Candidate, ...]
    incumbent: Candidate | None
    failed: Mapping[str, str]
    unscored: Mapping[str, str] = field(default_factory=dict)
    effective: EffectiveSizes | None = None
    refits: tuple[Candidate, ...] = ()
    retained: tuple[Candidate, ...] = ()
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Choice:
    """A policy's verdict, with its reason in words.

    Attributes:
        evidence: estimates, intervals, corrected p-values and gates behind it, JSON-able; of policy ``evidence``.
        proposal: the change that waits for people, where approval is required.
    """

    verdict: Verdict
    champion: Candidate | None
    reason: str
    evidence: Mapping[str, Any] | None = None
    proposal: Mapping[str, Any] | None = None
