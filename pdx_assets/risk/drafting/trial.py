"""A draft tried on its tape: rows that would be rejected, loans and bads in each window of the first month, leaks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.leaks.on_tape import judge_tape
from pdx_assets.risk.outcomes import cohort_labels
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape import StagedTape, locate_tape, stage_tape
from pdx_assets.risk.window_counts import CohortLabels, Counts
from pdx_assets.risk.windows import development_months, otv_months


@dataclass(frozen=True)
class TriedWindow:
    """Some months of the first production month's plan, and their labels as known on the as-of date."""

    name: str
    months: tuple[Month, ...]
    counts: Counts


@dataclass(frozen=True)
class Trial:
    """What reading the whole tape by a spec gives.

    Attributes:
        rejected: rows set aside, by reason.
        windows: development, OTV and production of the first production month, as known on the as-of date.
        measurable: production months whose own labels are known.
        leaks: features that seem to know the outcome, with what gave them away.
    """

    rejected: dict[str, int]
    windows: tuple[TriedWindow, ...]
    measurable: tuple[Month, ...]
    leaks: dict[str, str]


def try_draft(spec: PortfolioSpec, folder: Path) -> Trial:
    """Read the tape by the spec, as ``pdx run`` will.

    Args:
        folder: scratch space; the caller removes it.

    Raises:
        TapeError: what ``pdx run`` would fail with.
    """
    tape = stage_tape(spec, locate_tape(spec, override=None, simulated_folder=folder), folder)
    p0 = spec.p0
    windows = {
        "development": development_months(spec, "fixed_window", p0),
        "OTV": otv_months(spec, p0),
        "production": (p0,),
    }
    later = [m for m in tape.cohorts if m >= p0 and spec.known_on(m) <= tape.as_of]
    return Trial(
        rejected=dict(tape.accounting.rejected),
        windows=tuple(TriedWindow(name, months, _counts(spec, tape, months)) for name, months in windows.items()),
        measurable=tuple(later),
        leaks=_leaks(spec, tape),
    )


def _leaks(spec: PortfolioSpec, tape: StagedTape) -> dict[str, str]:
    if not any(spec.known_on(cohort) <= tape.as_of for cohort in tape.cohorts):
        return {}
    found = judge_tape(spec, tape, seed=0)["features"]
    return {judged["feature"]: judged["reason"] for judged in found if judged["flagged"]}


def _counts(spec: PortfolioSpec, tape: StagedTape, months: tuple[Month, ...]) -> Counts:
    labels = (cohort_labels(spec, month, tape.cohort(month), tape.as_of) for month in months)
    return sum((CohortLabels(rows).on(tape.as_of) for rows in labels), Counts())
