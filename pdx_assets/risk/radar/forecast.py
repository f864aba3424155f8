"""A month's estimates as they are told: with intervals that the radar's own record has widened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pdx_assets.risk.radar.arrears import Seen
from pdx_assets.risk.radar.combined import Month, Outlooks, outlooks
from pdx_assets.risk.radar.confidence import Calibration, Estimate, Outlook
from pdx_assets.risk.radar.track_record import TrackRecord, distrust, track_record

Kind = Literal["confidence", "arrears", "combined"]
Figure = Literal["auc", "bad_rate"]
KINDS: tuple[Kind, ...] = ("confidence", "arrears", "combined")
FIGURES: tuple[Figure, ...] = ("auc", "bad_rate")


@dataclass(frozen=True, slots=True)
class Matured:
    """An earlier month whose labels are known: what was estimated at the same age, without a record, and what came."""

    outlooks: Outlooks
    auc: float | None
    bad_rate: float | None


@dataclass(frozen=True, slots=True)
class Told:
    """One estimate as told: ``low`` and ``high`` are its 90 % interval, ``record`` why they are no nearer."""

    value: float
    standard_error: float
    low: float
    high: float
    record: TrackRecord


@dataclass(frozen=True, slots=True)
class Forecast:
    """Everything told of a month on one day.

    Attributes:
        raw: the estimates without a record: what a later month's record is made of.
        told: by kind and figure; absent where there is no such estimate.
    """

    raw: Outlooks
    told: dict[tuple[Kind, Figure], Told]


def forecast(month: Month, calibration: Calibration, seen: Seen | None, past: Sequence[Matured]) -> Forecast:
    """The three estimates of a month's AUC and bad rate, with what the months before say of such estimates.

    The record of the confidence estimate widens the calibration before it is combined, the bad rate's its level and
    the AUC's its slope; the combined interval is the wider of that one and of what its own record asks for.

    Args:
        month: the month's own loans.
        calibration: from other months (combined.calibrated).
        seen: how the month's loans stand; None where none of them can have been seen.
        past: the matured months before it, in order, as estimated at the same age.
    """
    raw = outlooks(month, calibration, seen)
    records = {(k, f): track_record([(figure(m.outlooks, k, f), getattr(m, f)) for m in past]) for k, f in _ALL}
    level, slope = (
        distrust(figure(raw, "confidence", f), records["confidence", f].widening) for f in ("bad_rate", "auc")
    )
    trusted = outlooks(month, calibration, seen, calibration.widened(level, slope)).combined
    told: dict[tuple[Kind, Figure], Told] = {}
    for kind, name in _ALL:
        estimate, record = figure(raw, kind, name), records[kind, name]
        if estimate is None:
            continue
        value, error = estimate.value, record.widening * estimate.standard_error
        if kind == "combined" and (wary := _of(trusted, name)) is not None:
            value, error = wary.value, max(error, wary.standard_error)
        low, high = Estimate(value, error, 0.0).interval()
        told[kind, name] = Told(value, error, low, high, record)
    return Forecast(raw, told)


def figure(found: Outlooks, kind: Kind, name: Figure) -> Estimate | None:
    """One estimate of one kind, where there is one."""
    outlook: Outlook | None = getattr(found, kind)
    return None if outlook is None else _of(outlook, name)


def _of(outlook: Outlook, name: Figure) -> Estimate | None:
    found: Estimate | None = getattr(outlook, name)
    return found


_ALL: tuple[tuple[Kind, Figure], ...] = tuple((k, f) for k in KINDS for f in FIGURES)
