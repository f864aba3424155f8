"""The loans an estimate of one month rests on: its own, and the labelled ones that calibrate its champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import DecisionError, TrainingError
from pdx_assets.risk.exposure import months_seen, standing
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.radar import combined
from pdx_assets.risk.radar.ages import day_at, has_arrears
from pdx_assets.risk.radar.arrears import Seen
from pdx_assets.risk.radar.confidence import Floats
from pdx_assets.risk.window_loans import in_time_validation, labelled
from pdx_assets.risk.windows import labels_day, otv_months
from pdx_assets.stages.monitoring import champion_and_window
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.scores import ensure_scores, read_scores
from pdx_assets.stages.workspace import Workspace

REFERENCE_COHORTS = 12
LOAN = ["cohort", "loan_id"]


@dataclass(frozen=True, eq=False)
class RadarLoans:
    """Everything an estimate of one month rests on, at whatever age.

    Attributes:
        own: the month's loans, in the order of ``loans`` (cohort, loan_id, application_date).
        reference: how the champion is calibrated.
        clock: of its labelled loans; None where arrears cannot be followed.
        clock_bads: bads behind it.
        described: what the stored document says of all this.
    """

    production: Month
    own: combined.Month
    loans: pl.DataFrame
    reference: combined.Reference
    clock: Floats | None
    clock_bads: float
    described: dict[str, Any]


def champion(ws: Workspace, production: Month) -> dict[str, Any]:
    """The month's recorded champion.

    Raises:
        DecisionError: nobody is in charge of the month.
    """
    decision = find_decision(ws, production)
    if decision is None or decision["champion"] is None:
        raise DecisionError(f"Nobody is in charge of {production}.", remedy=f"materialize champion for {production}")
    found: dict[str, Any] = decision["champion"]
    return found


def load(ws: Workspace, production: Month) -> RadarLoans:
    """The loans of a month and of its champion's reference, scored, and the calibration made of them.

    Raises:
        DecisionError: nobody is in charge of the month.
        ScoreError: the champion cannot score them.
        TrainingError: there are no loans, or no bads and goods to calibrate on.
    """
    spec, digest = ws.spec, champion(ws, production)["bundle_sha256"]
    cohorts, seed = reference_cohorts(ws, production)
    held = ws.lake.contents("clean_features")
    cohorts = tuple(c for c in cohorts if c in held)
    if not cohorts or not held[production].rows:
        raise TrainingError(
            f"{production} has {held[production].rows} loans, and its champion {len(cohorts)} labelled cohorts it did "
            "not learn from.",
            expected="loans, and labelled cohorts",
        )
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
    return RadarLoans(production, own, loans.select(*LOAN, "application_date"), reference, clock, bads, described)


def reference_cohorts(ws: Workspace, production: Month) -> tuple[tuple[Month, ...], int | None]:
    """Cohorts whose labels calibrate the champion, and the split's seed where only their ITV loans may.

    Those after the last it learned from, up to the end of OTV(p); of a champion that has seen OTV, the borrowers of
    its newest cohorts with known labels that it was not fitted on.
    """
    spec = ws.spec
    last = Month.parse(champion(ws, production)["last_cohort"])
    later = spec.periods.span(spec.periods.shift(last, 1), otv_months(spec, production)[-1])
    if later:
        return later[-REFERENCE_COHORTS:], None
    _, window = champion_and_window(ws, production)
    learned = [Month.parse(m["cohort"]) for m in window["development"]["months"]]
    known = [c for c in learned if spec.known_on(c) <= decision_date(production)]
    return tuple(known[-REFERENCE_COHORTS:]), int(window["split"]["seed"])


def _turned(ws: Workspace, past: pl.DataFrame, cohorts: Sequence[Month], on: date) -> np.ndarray:
    """Month on book in which each labelled bad turned bad, (n,); the horizon's last where no event says."""
    horizon = int(ws.spec.label.horizon_months or 0)
    stood = _standing(ws, past, cohorts, on)
    return np.where(stood["bad"].to_numpy(), stood["month"].to_numpy(), horizon).astype(np.int32)


def _standing(ws: Workspace, loans: pl.DataFrame, cohorts: Sequence[Month], on: date) -> pl.DataFrame:
    events = ws.lake.scan_months("outcomes", list(cohorts)).collect()
    asked = loans.select(*LOAN, pl.col("application_date").alias("originated"))
    return loans.select(LOAN).join(standing(ws.spec, asked, events, on=on), on=LOAN, how="left", maintain_order="left")


def seen_at(ws: Workspace, loaded: RadarLoans, age: int) -> Seen | None:
    """How the month's loans stood at an age, by what was known then; None where arrears cannot be followed."""
    if loaded.clock is None:
        return None
    on, horizon = day_at(ws.spec, loaded.production, age), int(ws.spec.label.horizon_months or 0)
    stood = _standing(ws, loaded.loans, [loaded.production], on)
    delay = ws.spec.label.reporting_delay_days
    ages = [min(months_seen(Month.of(day), on, delay), horizon) for day in loaded.loans["application_date"]]
    return Seen(stood["bad"].to_numpy(), np.array(ages, np.int32), loaded.clock, loaded.clock_bads)


def realized(ws: Workspace, loaded: RadarLoans) -> dict[str, float | None] | None:
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


def _matrix(ws: Workspace, loans: pl.DataFrame) -> LoanMatrix:
    return LoanMatrix.from_frame(loans, ws.spec.number_features, ws.spec.category_features)


def _floats(loans: pl.DataFrame, column: str) -> Floats:
    found: Floats = loans[column].cast(pl.Float64).to_numpy()
    return found


def _weight(loans: pl.DataFrame) -> Floats | None:
    return _floats(loans, "weight") if "weight" in loans.columns else None
