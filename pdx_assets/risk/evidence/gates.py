"""Gates: whether a model may take over from the incumbent, one question each. Pure verdicts; nothing is measured here
that needs a store.

A gate whose question cannot be asked (no labelled loans that neither was fitted on, no protected attribute) passes and
says so: the recipe's record speaks for the refit then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import ArrayLike

from pdx_assets.risk.checks.chance import jeffreys
from pdx_assets.risk.evidence.paired import ONE_SIDED_95
from pdx_assets.risk.metrics.auc_error import MIN_CLASS, AucEstimate
from pdx_assets.risk.metrics.calibration import calibration_table
from pdx_assets.risk.metrics.stability import NumberBins
from pdx_assets.risk.spec import Evidence

DISCRIMINATION = "discrimination"
CALIBRATION = "calibration"
SCORE_PSI = "score_psi"
APPROVAL_RATE = "approval_rate"
EQUAL_OPPORTUNITY = "equal_opportunity"

ONE_SIDED_LEVEL = 0.05


@dataclass(frozen=True)
class Gate:
    """One question about a model.

    Attributes:
        value: what was measured, in the unit of ``limit``; None where the question cannot be asked.
        told: in words.
    """

    name: str
    passed: bool
    value: float | None
    limit: float
    told: str

    def document(self) -> dict[str, Any]:
        return asdict(self)


def discrimination(rules: Evidence, difference: AucEstimate | None) -> Gate:
    """Not inferior: the one-sided 95 % lower bound of AUC(refit) - AUC(incumbent) is above -``refit_margin``.

    The burden lies with the refit, so that a wide error keeps it waiting; on fewer than ``MIN_CLASS`` bads or goods,
    where no error is known, it is not asked. Source: CPMP/EWP/482/99, "Points to consider on switching between
    superiority and non-inferiority" (EMA 2000), section IV.2.

    Args:
        difference: on loans that neither was fitted on; None where there are none.
    """
    limit = -rules.refit_margin
    if difference is None or min(difference.bads, difference.goods) < MIN_CLASS:
        return _not_asked(
            DISCRIMINATION, limit, f"fewer than {MIN_CLASS} bads or goods that neither model was fitted on"
        )
    bound = difference.value - ONE_SIDED_95 * difference.standard_error
    told = f"AUC {difference.value:+.4f} against the incumbent, 95 % sure of more than {bound:+.4f}"
    return Gate(DISCRIMINATION, bound > limit, bound, limit, told)


def calibration(rules: Evidence, label: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> Gate:
    """The bad rate is within ``calibration_tolerance`` of the mean PD (relative), or off it by chance.

    Both ways, by Jeffreys' test (checks/chance.py) one-sided at 5 %: PDs too low lose money, too high ones business.

    Args:
        label: (n,) 1 bad, 0 good: loans the model has not learned from.
        pd: (n,) the refit's.
        weight: (n,) or None.
    """
    limit = rules.calibration_tolerance
    bands = calibration_table(label, pd, weight, bands=1)
    if not bands or bands[0].test_size < MIN_CLASS or bands[0].mean_pd <= 0:
        return _not_asked(CALIBRATION, limit, f"fewer than {MIN_CLASS} labelled loans that the model has not seen")
    total = bands[0]
    off = total.bad_rate / total.mean_pd - 1
    too_low = jeffreys(total.bad_rate * total.test_size, total.test_size, total.mean_pd)
    chance = too_low if off > 0 else 1 - too_low
    told = f"{total.bad_rate:.2%} bad, mean PD {total.mean_pd:.2%}: {off:+.0%} (p {chance:.3f})"
    return Gate(CALIBRATION, abs(off) <= limit or chance > ONE_SIDED_LEVEL, off, limit, told)


def score_psi(rules: Evidence, incumbent_pd: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> Gate:
    """PSI of the refit's PDs against the incumbent's on the same recent applications is at most ``max_score_psi``.

    Args:
        incumbent_pd, pd: (n,) of one cohort; labels are not needed.
        weight: (n,) or None.
    """
    found = NumberBins.of(incumbent_pd, weight).psi(pd, weight)
    if found is None:
        return _not_asked(SCORE_PSI, rules.max_score_psi, "no applications to compare on")
    return Gate(
        SCORE_PSI, found <= rules.max_score_psi, found, rules.max_score_psi, f"PSI {found:.3f} against the incumbent"
    )


def approval_rate(rules: Evidence, before: float | None, after: float | None) -> Gate:
    """The share approved at the cut-off moves by at most ``max_approval_rate_change``, up or down.

    Args:
        before, after: of the incumbent and of the refit on the same recent applications; None without a cut-off.
    """
    limit = rules.max_approval_rate_change
    if before is None or after is None:
        return _not_asked(APPROVAL_RATE, limit, "no cut-off, or no applications")
    told = f"approves {after:.1%}, the incumbent {before:.1%}"
    return Gate(APPROVAL_RATE, abs(after - before) <= limit, after - before, limit, told)


def equal_opportunity(rules: Evidence, before: float | None, after: float | None) -> Gate:
    """The equal-opportunity difference (metrics/fairness.py) rises by at most ``max_equal_opportunity_change``.

    Args:
        before, after: of the incumbent and of the refit on the same labelled loans; None where undefined.
    """
    limit = rules.max_equal_opportunity_change
    if before is None or after is None:
        return _not_asked(EQUAL_OPPORTUNITY, limit, "no group is declared, or too few goods in one")
    told = f"difference {after:.3f}, the incumbent's {before:.3f}"
    return Gate(EQUAL_OPPORTUNITY, after - before <= limit, after - before, limit, told)


def closed(gates: Sequence[Gate]) -> list[Gate]:
    """The gates that were not passed."""
    return [gate for gate in gates if not gate.passed]


def told(gates: Sequence[Gate]) -> str:
    """All gates in one sentence."""
    return "; ".join(f"{g.name.replace('_', ' ')} {'passed' if g.passed else 'FAILED'} ({g.told})" for g in gates)


def _not_asked(name: str, limit: float, why: str) -> Gate:
    return Gate(name, True, None, limit, f"not asked: {why}")
