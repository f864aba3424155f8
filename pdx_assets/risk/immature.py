"""Windows of partly observed cohorts: what a manifest says of them, their firewall, and the loans back from it.

The firewall of such a window is about events, since its youngest labels are years away: nothing that happened,
or became known, after the decision date. What a loan seen so far teaches is exposure.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import FirewallError, TrainingError
from pdx_assets.risk.exposure import (
    LOAN,
    bads_sha256,
    clock,
    exposure,
    last_reported,
    recency,
    seen_events,
    standing,
)
from pdx_assets.risk.hashing import content_sha256, document_sha256
from pdx_assets.risk.outcomes import bad_events
from pdx_assets.risk.spec import PortfolioSpec

# Raised whenever the same loans, seen on the same day, would be learned from otherwise.
EXPOSURE_VERSION = "2"


def describe(
    spec: PortfolioSpec,
    months: tuple[Month, ...],
    loans: pl.DataFrame,
    events: pl.DataFrame,
    undecided: pl.DataFrame,
    features: Mapping[Month, str],
    *,
    on: date,
) -> dict[str, Any]:
    """The development part of a manifest: what each cohort had shown by the decision date, and the common clock.

    Args:
        months: the window's cohorts.
        loans: ``cohort``, ``loan_id``, ``application_date`` (and ``weight``) of clean_features.
        events: outcome events of those cohorts, all versions.
        undecided: ``cohort``, ``loan_id`` of loans that never get a label.
        features: content hash of clean_features by cohort.
        on: the decision date.

    Returns:
        As of a window of known labels, by cohort and together, where a bad is a loan that turned bad so far and a
        good one that stands; besides ``months_seen``, the most months on book seen, ``bads_sha256``
        (exposure.bads_sha256), and ``clock`` (u_0 .. u_H, null where nobody was seen through the horizon).

    Raises:
        FirewallError: an event of a later day would be learned from.
    """
    keys = [str(m) for m in months]
    loans = loans.filter(pl.col("cohort").is_in(keys))
    events = events.filter(pl.col("cohort").is_in(keys))
    rows = seen_loans(spec, loans, events, undecided, on=on)
    check_seen(rows, events.filter(pl.col("event").is_in(bad_events(spec))), on=on)
    by_month = {k[0]: part for k, part in rows.partition_by("cohort", as_dict=True).items()}
    events_of = {k[0]: part for k, part in events.partition_by("cohort", as_dict=True).items()}
    all_of = dict(loans.group_by("cohort").len().iter_rows())
    described = []
    for key, month in zip(keys, months, strict=True):
        part = by_month.get(key, rows.clear())
        described.append(
            {
                "cohort": key,
                **_counts(part, all_of.get(key, 0)),
                "months_seen": int(part["month"].to_numpy().max(initial=0)),
                "features_sha256": features[month],
                "labels_sha256": content_sha256(part.select("loan_id", "bad", "month")),
                "bads_sha256": bads_sha256(spec, events_of.get(key, events.clear()), on),
            }
        )
    half_life = spec.windows.half_life_months
    hashed: list[Any] = [[r["cohort"], r["features_sha256"], r["labels_sha256"]] for r in described]
    hashed += [{"half_life_months": half_life}] if half_life else []
    return {
        "sha256": document_sha256(hashed),
        "first": keys[0],
        "last": keys[-1],
        **_counts(rows, loans.height),
        "last_event": str(_last_day(spec, events, on)),
        "clock": _clock(spec, rows),
        **({"half_life_months": half_life} if half_life else {}),
        "months": described,
    }


def seen_loans(
    spec: PortfolioSpec, loans: pl.DataFrame, events: pl.DataFrame, undecided: pl.DataFrame, *, on: date
) -> pl.DataFrame:
    """``cohort``, ``loan_id``, ``bad``, ``month`` (and ``weight``) of the loans that can get a label, sorted."""
    kept = loans.join(undecided, on=LOAN, how="anti")
    rows = standing(spec, kept.select(*LOAN, pl.col("application_date").alias("originated")), events, on=on)
    weights = [c for c in ("weight",) if c in kept.columns]
    return rows.join(kept.select(*LOAN, *weights), on=LOAN, how="left").sort(LOAN)


def check_seen(rows: pl.DataFrame, bads: pl.DataFrame, *, on: date) -> None:
    """The firewall: of every loan about to be learned from as bad, that was known on the decision date.

    Compares the loans with the events themselves, not with what was filtered from them.

    Args:
        rows: :func:`seen_loans`.
        bads: ``cohort``, ``loan_id``, ``event_date``, ``known_from`` of the events that make a loan bad.

    Raises:
        FirewallError: naming cohort, count and day.
    """
    known = bads.select(*LOAN, pl.max_horizontal("known_from", "event_date").alias("day"))
    first = known.group_by(LOAN).agg(pl.col("day").min())
    leaks = rows.filter("bad").join(first, on=LOAN, how="left").filter(~(pl.col("day") <= on).fill_null(False))
    if leaks.height == 0:
        return
    found = leaks.group_by("cohort").agg(pl.len().alias("rows"), pl.col("day").max()).sort("cohort")
    listed = "; ".join(
        f"{cohort}: {count} of its loans" + (f", the last known from {day}" if day else ", by no event at all")
        for cohort, count, day in found.iter_rows()
    )
    raise FirewallError(
        f"Bad loans that nobody knew of on the decision date {on}: {listed}.",
        expected=f"events that had happened and were known on or before {on}",
        remedy="correct the known-from dates of the tape's outcomes",
    )


def exposed_loans(
    spec: PortfolioSpec,
    features: pl.DataFrame,
    events: pl.DataFrame,
    undecided: pl.DataFrame,
    *,
    on: date,
    half_life_months: int | None = None,
) -> pl.DataFrame:
    """Loans as a weighted classifier learns from them: clean_features, ``label`` and ``weight`` = exposure.

    The exposure multiplies a sample weight, and with a half-life the recency of the loan's cohort. A loan seen too
    briefly to say anything is left out.

    Args:
        features: clean_features of the window's cohorts.
        events, undecided: as in :func:`describe`.
        half_life_months: as the window's manifest has it; None: all cohorts weigh alike.

    Raises:
        TrainingError: no bad loan yet, or none seen through the horizon.
    """
    rows = seen_loans(spec, features, events, undecided, on=on)
    sampled = rows["weight"].to_numpy() if "weight" in rows.columns else None
    bad, month = rows["bad"].to_numpy(), rows["month"].to_numpy()
    assert spec.label.horizon_months is not None
    weight = exposure(bad, month, clock(bad, month, spec.label.horizon_months, sampled))
    if sampled is not None:
        weight = weight * sampled
    if half_life_months is not None:
        born = {c: Month.parse(c).ordinal for c in rows["cohort"].unique().to_list()}
        months = rows["cohort"].replace_strict(born, return_dtype=pl.Int64).to_numpy()
        weight = weight * recency(months, on, half_life_months)
    exposed = rows.select(
        *LOAN, pl.col("bad").cast(pl.Int8).alias("label"), pl.Series("weight", weight.astype("float32"))
    ).filter(pl.col("weight") > 0)
    return features.drop("weight", strict=False).join(exposed, on=LOAN, how="inner").sort(LOAN)


def _counts(rows: pl.DataFrame, loans: int) -> dict[str, Any]:
    bads = int(rows["bad"].sum())
    return {
        "loans": loans,
        "bads": bads,
        "goods": rows.height - bads,
        "indeterminate": loans - rows.height,
        "bad_rate": bads / rows.height if rows.height else None,
    }


def _clock(spec: PortfolioSpec, rows: pl.DataFrame) -> list[float] | None:
    weight = rows["weight"].to_numpy() if "weight" in rows.columns else None
    assert spec.label.horizon_months is not None
    try:
        found = clock(rows["bad"].to_numpy(), rows["month"].to_numpy(), spec.label.horizon_months, weight)
    except TrainingError:
        return None
    return [float(u) for u in found]


def _last_day(spec: PortfolioSpec, events: pl.DataFrame, on: date) -> date:
    """The last day anything was learned of: that a loan still stood is learned too."""
    delay = spec.label.reporting_delay_days
    reported = last_reported(on, delay).last_day + timedelta(days=delay)
    known: date | None = seen_events(events, on)["known_from"].max()  # type: ignore[assignment]
    return max(reported, known) if known else reported
