"""Group *monitoring*: what a month's champion will turn out to have done, told before the month's labels exist.

Everything an estimate of a day uses was known on that day: labels of cohorts before the decision, the month's own
events by their known-from dates, and the record of months that had matured. So it is the same whenever it is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pdx_assets.lake import MonthContent
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import NotYetKnownError, ScoreError, TrainingError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.radar import combined
from pdx_assets.risk.radar.ages import day_at, reached
from pdx_assets.risk.radar.arrears import Seen
from pdx_assets.risk.radar.confidence import Estimate, Outlook
from pdx_assets.risk.radar.forecast import KINDS, Forecast, Matured, Told, forecast
from pdx_assets.risk.radar.track_record import MONTHS
from pdx_assets.stages.made import keep_estimate
from pdx_assets.stages.radar_loans import RadarLoans, champion, load, realized, reference_cohorts, seen_at
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.rests_on import require_unchanged
from pdx_assets.stages.tape import open_tape
from pdx_assets.stages.workspace import Workspace

KIND = "performance_estimate"
# Raised whenever the same loans, scores and events would give another estimate.
RADAR_VERSION = "1"


def estimate_performance(ws: Workspace, production: Month, on: date | None = None) -> dict[str, Any]:
    """AUC and bad rate to come of the month's champion, at every age the month has reached, stored.

    Args:
        on: nothing known later is used; default the tape's as-of date, which is never after today.

    Returns:
        ``estimates``, one a day, the newest last, by kind and figure; ``realized`` once the labels are known, else
        None; ``reason`` in words where nothing can be estimated, else None.

    Raises:
        NotYetKnownError: the month has not ended, or its loans are not there.
        DecisionError: nobody is in charge of it.
    """
    require_unchanged(ws)
    as_of = open_tape(ws).as_of
    day = min(on, as_of) if on else as_of
    spec = ws.spec
    grown = reached(spec, production, day)
    if not grown or production not in ws.lake.contents("clean_features"):
        raise NotYetKnownError(
            f"The loans of {production} are not all there on {day}.",
            expected=f"a day from {day_at(spec, production, 0)} on, and clean_features of {production}",
            remedy="wait for the month to end, or materialize its cohort job",
        )
    digest = champion(ws, production)["bundle_sha256"]
    document: dict[str, Any] = {"production_month": str(production), "bundle_sha256": digest, "reason": None}
    try:
        loaded = load(ws, production)
    except TrainingError as error:
        found: dict[str, Any] = {"estimates": [], "realized": None, "reason": error.got}
        document |= found
    else:
        held = _held(ws)
        raws = {m: raw(ws, m, day, held) for m in _record_months(ws, production) if spec.known_on(m) <= day}
        made = [
            (age, _forecast(ws, loaded, age, _matured(ws, raws, day_at(spec, production, age), age))) for age in grown
        ]
        _keep_raw(ws, production, day, held, loaded, [(age, f) for age, (f, _) in made])
        document |= loaded.described | {
            "estimates": [_estimates(ws, production, age, f, seen) for age, (f, seen) in made],
            "realized": realized(ws, loaded) if _is_matured(ws, production, day) else None,
        }
    if on is None or day == as_of:
        ws.lake.put_document(KIND, str(production), document)
        keep_estimate(ws, production, len(grown))
    return document


def estimates_so_far(ws: Workspace, last: Month | None = None) -> list[dict[str, Any]]:
    """The stored documents of all production months up to one, in order."""
    stored = ws.lake.documents(KIND)
    return [stored[key] for key in sorted(stored) if last is None or Month.parse(key) <= last]


def _record_months(ws: Workspace, production: Month) -> tuple[Month, ...]:
    """Earlier months that may have matured by the month's oldest age, as many as a record looks back on; none in
    hindsight, where nothing is known of them before the tape's own day."""
    spec = ws.spec
    if spec.hindsight:
        return ()
    back = MONTHS + -(-(spec.label.horizon_months or 0) // spec.periods.months) + 1
    first = max(spec.p0, spec.periods.shift(production, -back))
    months = spec.periods.span(first, spec.periods.shift(production, -1))
    return tuple(m for m in months if (find_decision(ws, m) or {}).get("champion"))


def _forecast(ws: Workspace, loaded: RadarLoans, age: int, past: Sequence[Matured]) -> tuple[Forecast, Seen | None]:
    seen = seen_at(ws, loaded, age)
    return forecast(loaded.own, loaded.reference.calibration, seen, past), seen


def _is_matured(ws: Workspace, production: Month, day: date) -> bool:
    return production in ws.lake.contents("labels") and ws.spec.known_on(production) <= day


Held = Mapping[str, Mapping[Month, MonthContent]]


def _held(ws: Workspace) -> Held:
    return {layer: ws.lake.contents(layer) for layer in ("clean_features", "labels", "outcomes")}


def raw(ws: Workspace, production: Month, day: date, held: Held) -> dict[str, Any] | None:
    """A month's estimates without a record, at the ages reached on a day, and what came of it: records are made of it.

    Made once from what it rests on, whichever month asks first. None where nothing could be estimated, or the
    champion of then can score no more: its month is then left out of the record.
    """
    stored = ws.lake.find_document("radar", str(production))
    if stored is not None and stored["inputs"] == _inputs(ws, production, day, held):
        return stored
    try:
        loaded = load(ws, production)
    except (TrainingError, ScoreError):
        return None
    made = [(age, _forecast(ws, loaded, age, ())[0]) for age in reached(ws.spec, production, day)]
    return _keep_raw(ws, production, day, held, loaded, made)


def _keep_raw(
    ws: Workspace, production: Month, day: date, held: Held, loaded: RadarLoans, made: Sequence[tuple[int, Forecast]]
) -> dict[str, Any]:
    document = {
        "production_month": str(production),
        "inputs": _inputs(ws, production, day, held),
        "realized": realized(ws, loaded) if _is_matured(ws, production, day) else None,
        "ages": {str(age): {kind: _as_document(getattr(f.raw, kind)) for kind in KINDS} for age, f in made},
    }
    ws.lake.put_document("radar", str(production), document)
    return document


def _inputs(ws: Workspace, production: Month, day: date, held: Held) -> str:
    digest = champion(ws, production)["bundle_sha256"]
    cohorts, seed = reference_cohorts(ws, production)
    contents = [[at[c].sha256 if c in at else None for at in held.values()] for c in (*cohorts, production)]
    matured = _is_matured(ws, production, day)
    return document_sha256([RADAR_VERSION, digest, seed, len(reached(ws.spec, production, day)), matured, contents])


def _matured(ws: Workspace, raws: Mapping[Month, dict[str, Any] | None], day: date, age: int) -> list[Matured]:
    """The record on a day: months whose labels were known then, as estimated at the same age."""
    found = []
    for month, document in raws.items():
        if document is None or document["realized"] is None or ws.spec.known_on(month) > day:
            continue
        outlooks = document["ages"].get(str(age))
        if outlooks is not None:
            made = combined.Outlooks(*(_outlook(outlooks[kind]) for kind in KINDS))  # type: ignore[arg-type]
            found.append(Matured(made, **document["realized"]))
    return found


def _as_document(outlook: Outlook | None) -> dict[str, Any] | None:
    if outlook is None:
        return None
    estimates = {"auc": outlook.auc, "bad_rate": outlook.bad_rate}
    parts = {
        name: None if e is None else {"value": e.value, "standard_error": e.standard_error, "noise": e.noise}
        for name, e in estimates.items()
    }
    return {**parts, "bads": outlook.bads}


def _outlook(document: Mapping[str, Any] | None) -> Outlook | None:
    if document is None:
        return None
    area = document["auc"]
    return Outlook(None if area is None else Estimate(**area), Estimate(**document["bad_rate"]), document["bads"])


def _estimates(ws: Workspace, production: Month, age: int, made: Forecast, seen: Seen | None) -> dict[str, Any]:
    told: dict[str, dict[str, Any]] = {}
    for (kind, name), one in made.told.items():
        told.setdefault(kind, {})[name] = _told(one)
    return {
        "months_after": age,
        "as_of": day_at(ws.spec, production, age).isoformat(),
        "clock": seen.share if seen is not None else 0.0,
        "bads_so_far": int(seen.bad.sum()) if seen is not None else 0,
        "bads_expected": made.raw.combined.bads,
        **told,
    }


def _told(one: Told) -> dict[str, Any]:
    record = one.record
    return {
        "value": one.value,
        "standard_error": one.standard_error,
        "low": one.low,
        "high": one.high,
        "record": {
            "months": record.months,
            "covered": record.covered,
            "bias": record.bias,
            "widening": record.widening,
        },
    }
