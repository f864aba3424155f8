"""The check of what is to come: a champion expected to fail is told months before its labels tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdx_assets.risk.checks.base import Cell, Verdict, judged, not_applicable, percent
from pdx_assets.risk.checks.catalogue import EXPECTED_PERFORMANCE
from pdx_assets.risk.metrics.auc_error import MIN_CLASS
from pdx_assets.risk.spec import Checks


@dataclass(frozen=True, slots=True)
class Expected:
    """An estimate with its 90 % interval."""

    value: float
    low: float
    high: float


def expected_performance(
    limits: Checks,
    *,
    promised_auc: float | None,
    mean_pd: float,
    bads: float,
    auc: Expected | None,
    bad_rate: Expected,
    kinds: Mapping[str, tuple[Expected | None, Expected | None]],
) -> Verdict:
    """Whether the month's AUC or bad rate is expected beyond the limits it will be held to once its labels are known.

    The AUC: the upper end of its interval is below the AUC the champion was put in charge with less ``auc_drop``, or
    below ``otv_auc_floor``. The bad rate: the lower end is above the mean PD by more than ``calibration_tolerance``. So
    at a limit exactly, one end of a 90 % interval, a false warning comes in one month of twenty for each.

    Args:
        promised_auc: the champion's recorded AUC on OTV, else that of its recipe's record; None where there is neither.
        mean_pd: of the champion on the month's loans, as scored.
        bads: expected.
        auc, bad_rate: the combined estimates of the newest day.
        kinds: by kind of estimate its AUC and bad rate, for the table.
    """
    if auc is None or bads < MIN_CLASS:
        return not_applicable(EXPECTED_PERFORMANCE, f"{bads:.1f} bads are expected; {MIN_CLASS} are needed")
    floor = max(limits.otv_auc_floor, (promised_auc or 0.0) - limits.auc_drop)
    ceiling = mean_pd * (1 + limits.calibration_tolerance)
    told = []
    if auc.high < floor:
        told.append(f"an AUC of {auc.value:.3f}, at most {auc.high:.3f}, is expected; the limit is {floor:.3f}")
    if bad_rate.low > ceiling:
        told.append(
            f"a bad rate of {percent(bad_rate.value)}, at least {percent(bad_rate.low)}, is expected; the PDs allow "
            f"{percent(ceiling)}"
        )
    calm = (
        f"expected: AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}, limit {floor:.3f}), bad rate "
        f"{percent(bad_rate.value)} ({percent(bad_rate.low)} to {percent(bad_rate.high)}, limit {percent(ceiling)})"
    )
    return judged(
        EXPECTED_PERFORMANCE,
        bool(told),
        "; ".join(told) or calm,
        numbers={"expected AUC": auc.value, "expected bad rate": bad_rate.value, "least AUC": floor},
        columns=("estimate", "AUC", "bad rate"),
        rows=[(kind, _told(area), _told(rate, as_share=True)) for kind, (area, rate) in kinds.items()],
    )


def _told(one: Expected | None, *, as_share: bool = False) -> Cell:
    if one is None:
        return None
    if as_share:
        return f"{percent(one.value)} ({percent(one.low)} to {percent(one.high)})"
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
