"""Group *monitoring*: what a month's champion will turn out to have done, told before the month's labels exist.

Everything an estimate of a day uses was known on that day: labels of cohorts before the decision, the month's own
events by their known-from dates, and the record of months that had matured. So it is the same whenever it is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from pdx_assets.lake import MonthContent
from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import DecisionError, NotYetKnownError, ScoreError, TrainingError
from pdx_assets.risk.exposure import months_seen, standing
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.radar import combined
from pdx_assets.risk.radar.ages import day_at, has_arrears, reached
from pdx_assets.risk.radar.arrears import Seen
from pdx_assets.risk.radar.confidence import Estimate, Floats, Outlook
from pdx_assets.risk.radar.forecast import KINDS, Forecast, Matured, Told, forecast
from pdx_assets.risk.radar.track_record import MONTHS
from pdx_assets.risk.windows import in_time_validation, labelled, labels_day, otv_months
from pdx_assets.stages.made import keep_estimate
from pdx_assets.stages.monitoring import champion_and_window
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.scores import ensure_scores, read_scores
from pdx_assets.stages.tape import open_tape
from pdx_assets.stages.workspace import Workspace

KIND = "performance_estimate"
# Raised whenever the same loans, scores and events would give another estimate.
RADAR_VERSION = "1"
REFERENCE_COHORTS = 12
LOAN = ["cohort", "loan_id"]


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
    digest = _champion(ws, production)["bundle_sha256"]
    document: dict[str, Any] = {"production_month": str(production), "bundle_sha256": digest, "reason": None}
    try:
        loaded = _load(ws, production)
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
            "realized": _realized(ws, loaded) if _is_matured(ws, production, day) else None,
        }
    if on is None or day == as_of:
        ws.lake.put_document(KIND, str(production), document)
        keep_estimate(ws, production, len(grown))
    return document


def estimates_so_far(ws: Workspace, last: Month | None = None) -> list[dict[str, Any]]:
    """The stored documents of all production months up to one, in order."""
    stored = ws.lake.documents(KIND)
    return [stored[key] for key in sorted(stored) if last is None or Month.parse(key) <= last]


@dataclass(frozen=True, eq=False)
class _Loaded:
    """Everything an estimate of one month rests on, at whatever age."""

    production: Month
    own: combined.Month
    loans: pl.DataFrame
    reference: combined.Reference
    clock: Floats | None
    clock_bads: float
    described: dict[str, Any]


def _champion(ws: Workspace, production: Month) -> dict[str, Any]:
    decision = find_decision(ws, production)
    if decision is None or decision["champion"] is None:
        raise DecisionError(f"Nobody is in charge of {production}.", remedy=f"materialize champion for {production}")
    found: dict[str, Any] = decision["champion"]
    return found


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


def _reference_cohorts(ws: Workspace, production: Month) -> tuple[tuple[Month, ...], int | None]:
    """Cohorts whose labels calibrate the champion, and the split's seed where only their ITV loans may.

    Those after the last it learned from, up to the end of OTV(p); of a champion that has seen OTV, the borrowers of
    its newest cohorts with known labels that it was not fitted on.
    """
    spec = ws.spec
    last = Month.parse(_champion(ws, production)["last_cohort"])
    later = spec.periods.span(spec.periods.shift(last, 1), otv_months(spec, production)[-1])
    if later:
        return later[-REFERENCE_COHORTS:], None
    _, window = champion_and_window(ws, production)
    learned = [Month.parse(m["cohort"]) for m in window["development"]["months"]]
    known = [c for c in learned if spec.known_on(c) <= decision_date(production)]
    return tuple(known[-REFERENCE_COHORTS:]), int(window["split"]["seed"])


def _load(ws: Workspace, production: Month) -> _Loaded:
    spec, digest = ws.spec, _champion(ws, production)["bundle_sha256"]
    cohorts, seed = _reference_cohorts(ws, production)
    held = ws.lake.contents("clean_features")
    months = {c: held[c].sha256 for c in (*cohorts, production)}
    ensure_scores(ws, [digest], months).require_all()
    weight = ["weight"] if spec.is_weighted else []
    columns = [*LOAN, "borrower_hash", "application_date", *spec.number_features, *spec.category_features, *weight]
    features = ws.lake.scan_months("clean_features", [*cohorts, production], columns=columns).collect()
    scores = read_scores(ws, [digest], months).select(*LOAN, "pd")
    features = features.join(scores, on=LOAN).sort(LOAN)
    on = labels_day(spec, production)
    labels = ws.lake.scan_months("labels", list(cohorts)).collect()
    past = labelled(features.filter(pl.col("cohort") != str(production)), labels, on=on)
    if seed is not None:
        past = past.filter(in_time_validation(past["borrower_hash"].to_numpy(), seed))
    bads = int((past["label"] == 1).sum())
    if bads in (0, past.height):
        raise TrainingError(
            f"{bads} of {past.height} labelled loans that the champion of {production} did not learn from are bad.",
            expected="bads and goods",
            remedy="widen windows.otv",
        )
    loans = features.filter(cohort=str(production))
    own = combined.Month(_matrix(ws, loans), _floats(loans, "pd"), _weight(loans))
    month = _turned(ws, past, cohorts, on) if has_arrears(spec) else np.zeros(past.height, np.int32)
    other = combined.Labelled(
        _matrix(ws, past), _floats(past, "pd"), past["label"].to_numpy() == 1, month, _weight(past)
    )
    reference = combined.calibrated(other, own)
    clock = combined.clock_of(other, int(spec.label.horizon_months or 0)) if has_arrears(spec) else None
    described = {
        "loans": loans.height,
        "mean_pd": float(np.average(own.pd, weights=own.weight)),
        "reference": {
            "first": str(cohorts[0]),
            "last": str(cohorts[-1]),
            "loans": past.height,
            "bads": bads,
            "only_itv": seed is not None,
            "effective_loans": reference.effective_loans,
            "told_apart": reference.told,
            "level": float(reference.calibration.center[0]),
            "slope": float(reference.calibration.center[1]),
        },
    }
    return _Loaded(production, own, loans.select(*LOAN, "application_date"), reference, clock, bads, described)


def _turned(ws: Workspace, past: pl.DataFrame, cohorts: Sequence[Month], on: date) -> np.ndarray:
    """Month on book in which each labelled bad turned bad, (n,); the horizon's last where no event says."""
    horizon = int(ws.spec.label.horizon_months or 0)
    stood = _standing(ws, past, cohorts, on)
    return np.where(stood["bad"].to_numpy(), stood["month"].to_numpy(), horizon).astype(np.int32)


def _standing(ws: Workspace, loans: pl.DataFrame, cohorts: Sequence[Month], on: date) -> pl.DataFrame:
    events = ws.lake.scan_months("outcomes", list(cohorts)).collect()
    asked = loans.select(*LOAN, pl.col("application_date").alias("originated"))
    return loans.select(LOAN).join(standing(ws.spec, asked, events, on=on), on=LOAN, how="left", maintain_order="left")


def _seen(ws: Workspace, loaded: _Loaded, age: int) -> Seen | None:
    if loaded.clock is None:
        return None
    on, horizon = day_at(ws.spec, loaded.production, age), int(ws.spec.label.horizon_months or 0)
    stood = _standing(ws, loaded.loans, [loaded.production], on)
    delay = ws.spec.label.reporting_delay_days
    ages = [min(months_seen(Month.of(day), on, delay), horizon) for day in loaded.loans["application_date"]]
    return Seen(stood["bad"].to_numpy(), np.array(ages, np.int32), loaded.clock, loaded.clock_bads)


def _forecast(ws: Workspace, loaded: _Loaded, age: int, past: Sequence[Matured]) -> tuple[Forecast, Seen | None]:
    seen = _seen(ws, loaded, age)
    return forecast(loaded.own, loaded.reference.calibration, seen, past), seen


def _is_matured(ws: Workspace, production: Month, day: date) -> bool:
    return production in ws.lake.contents("labels") and ws.spec.known_on(production) <= day


def _realized(ws: Workspace, loaded: _Loaded) -> dict[str, float | None] | None:
    """AUC and bad rate by the month's labels as they first became known (newest ones in hindsight)."""
    labels = ws.lake.scan_months("labels", [loaded.production]).collect()
    on = date.max if ws.spec.hindsight else ws.spec.known_on(loaded.production)
    frame = loaded.loans.with_columns(pl.Series("pd", loaded.own.pd))
    if loaded.own.weight is not None:
        frame = frame.with_columns(pl.Series("weight", loaded.own.weight))
    known = labelled(frame, labels, on=on)
    if not known.height:
        return None
    label, weight = known["label"].to_numpy(), _weight(known)
    return {"auc": auc(label, known["pd"].to_numpy(), weight), "bad_rate": float(np.average(label, weights=weight))}


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
        loaded = _load(ws, production)
    except (TrainingError, ScoreError):
        return None
    made = [(age, _forecast(ws, loaded, age, ())[0]) for age in reached(ws.spec, production, day)]
    return _keep_raw(ws, production, day, held, loaded, made)


def _keep_raw(
    ws: Workspace, production: Month, day: date, held: Held, loaded: _Loaded, made: Sequence[tuple[int, Forecast]]
) -> dict[str, Any]:
    document = {
        "production_month": str(production),
        "inputs": _inputs(ws, production, day, held),
        "realized": _realized(ws, loaded) if _is_matured(ws, production, day) else None,
        "ages": {str(age): {kind: _as_document(getattr(f.raw, kind)) for kind in KINDS} for age, f in made},
    }
    ws.lake.put_document("radar", str(production), document)
    return document


def _inputs(ws: Workspace, production: Month, day: date, held: Held) -> str:
    digest = _champion(ws, production)["bundle_sha256"]
    cohorts, seed = _reference_cohorts(ws, production)
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


def _matrix(ws: Workspace, loans: pl.DataFrame) -> LoanMatrix:
    return LoanMatrix.from_frame(loans, ws.spec.number_features, ws.spec.category_features)


def _floats(loans: pl.DataFrame, column: str) -> Floats:
    found: Floats = loans[column].cast(pl.Float64).to_numpy()
    return found


def _weight(loans: pl.DataFrame) -> Floats | None:
    return _floats(loans, "weight") if "weight" in loans.columns else None
