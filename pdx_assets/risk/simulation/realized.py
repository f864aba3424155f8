"""One policy followed through the production months: what its champions were worth on the months' own loans.

Everything is measured month by month and averaged over months. A policy puts another model in charge in
another month, so PDs of different months are not on one scale: an AUC over all loans together would compare
a loan of March under one model with a loan of May under another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pdx_assets.risk.metrics.summary import evaluate
from pdx_assets.risk.spec import Economics


@dataclass(frozen=True, eq=False)
class MonthOfPolicy:
    """A production month under one policy.

    Attributes:
        production: the month, ``YYYY-MM``.
        bundle_sha256, recipe: the champion; None where the month is vacant.
        verdict: of the policy.
        label: (n,) 1 bad, 0 good, of the month's own loans; None where they are not known yet.
        pd: (n,) the champion's PDs of them, in the same order; None where there are no labels or no champion.
        weight: (n,) or None.
        borrower: (n,) a hash of each loan's borrower, or None.
    """

    production: str
    bundle_sha256: str | None
    recipe: str | None
    verdict: str
    label: np.ndarray | None = None
    pd: np.ndarray | None = None
    weight: np.ndarray | None = None
    borrower: np.ndarray | None = None


@dataclass(frozen=True)
class Followed:
    """The months of one policy, in order."""

    policy: str
    months: tuple[MonthOfPolicy, ...]


@dataclass(frozen=True)
class Realized:
    """What a policy came to.

    Attributes:
        policy: its name.
        months: production months decided; ``measured``: those with known labels and a champion.
        mean_production_auc, mean_ks, mean_capture_rate: means over the measured months in which each is defined.
        observed_to_expected: bads over the sum of PDs, all measured months together; 1 is calibrated.
        bad_rate_approved: share of bads among the loans with the lowest PDs of each month, approved up to the
            given rate; all months together.
        profit_per_loan: of all loans applied for: what the approved ones bring, over all loans; None where the
            portfolio declares no economics.
        champion_changes: months whose champion is another model than the month before's.
        recipe_changes: those among them whose recipe is another.
        auc_by_month: None where it is not known or undefined.
    """

    policy: str
    months: int
    measured: int
    mean_production_auc: float | None
    mean_ks: float | None
    mean_capture_rate: float | None
    observed_to_expected: float | None
    bad_rate_approved: float | None
    profit_per_loan: float | None
    champion_changes: int
    recipe_changes: int
    auc_by_month: dict[str, float | None]


def realize(followed: Followed, *, approval_rate: float, economics: Economics | None = None) -> Realized:
    """Measure one policy.

    Args:
        approval_rate: share of each month's loans approved, by weight, lowest PDs first.
        economics: what a good and a bad approved loan bring.
    """
    months = followed.months
    known = [m for m in months if m.label is not None and m.pd is not None and m.label.size]
    found = {m.production: evaluate(m.label, m.pd, m.weight) for m in known}  # type: ignore[arg-type]
    approved = [_approved(m, approval_rate) for m in known]
    bads, goods = sum(a.bads for a in approved), sum(a.goods for a in approved)
    loans, expected = sum(a.loans for a in approved), sum(a.expected for a in approved)
    profit = None
    if economics is not None and loans:
        profit = (goods * economics.gain_of_good - bads * economics.loss_of_bad) / loans
    return Realized(
        policy=followed.policy,
        months=len(months),
        measured=len(known),
        mean_production_auc=_mean(f["auc"] for f in found.values()),
        mean_ks=_mean(f["ks"] for f in found.values()),
        mean_capture_rate=_mean(f["capture_rate_top3_deciles"] for f in found.values()),
        observed_to_expected=sum(a.observed for a in approved) / expected if expected else None,
        bad_rate_approved=bads / (bads + goods) if bads + goods else None,
        profit_per_loan=profit,
        champion_changes=_changes([m.bundle_sha256 for m in months]),
        recipe_changes=_changes([m.recipe for m in months]),
        auc_by_month={m.production: _auc(found.get(m.production)) for m in months},
    )


@dataclass(frozen=True)
class _Approved:
    """Weights of a month: all loans, bads and goods approved, bads there were and bads expected."""

    loans: float
    bads: float
    goods: float
    observed: float
    expected: float


def _approved(month: MonthOfPolicy, rate: float) -> _Approved:
    """A loan on the border, or a tie across it, is approved in part: the rate is met exactly in every month."""
    assert month.label is not None and month.pd is not None
    label = month.label.astype(np.float64)
    pd = month.pd.astype(np.float64)
    weight = np.ones(pd.size) if month.weight is None else month.weight.astype(np.float64)
    distinct, place = np.unique(pd, return_inverse=True)
    mass = np.bincount(place, weights=weight, minlength=distinct.size)
    bad_mass = np.bincount(place, weights=weight * label, minlength=distinct.size)
    before = np.cumsum(mass) - mass
    total = float(mass.sum())
    taken = np.clip((rate * total - before) / mass, 0.0, 1.0)
    bads = float((taken * bad_mass).sum())
    return _Approved(
        loans=total,
        bads=bads,
        goods=float((taken * mass).sum()) - bads,
        observed=float(bad_mass.sum()),
        expected=float((distinct * mass).sum()),
    )


def _changes(values: Sequence[str | None]) -> int:
    """How often somebody took over from somebody else; a vacant month in between is passed over."""
    held = [v for v in values if v is not None]
    return sum(a != b for a, b in pairwise(held))


def _mean(values: Iterable[float | int | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _auc(metrics: dict[str, float | int | None] | None) -> float | None:
    return None if metrics is None else metrics["auc"]
