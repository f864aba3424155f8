"""Group *windows*: manifests from the tables as they are now, and loans back from a manifest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.cleaning import loan_weights
from pdx_assets.risk.errors import HomeError, WindowError
from pdx_assets.risk.immature import exposed_loans
from pdx_assets.risk.maturity import decidable_months
from pdx_assets.risk.outcomes import cohort_labels, labels_every_loan, never_labelled, require_horizon
from pdx_assets.risk.spec import PAPER_STRATEGIES, Strategy
from pdx_assets.risk.window_counts import CohortLabels, WindowCount, count_windows
from pdx_assets.risk.window_loans import Development, labelled, split_development
from pdx_assets.risk.windows import (
    Cohorts,
    as_of_months,
    assemble_development,
    build_manifest,
    canonical_strategy,
    development_months,
    known_part,
    labels_day,
    otv_months,
)
from pdx_assets.stages import rests_on
from pdx_assets.stages.leaks import find_judgement, refuse_open_leaks
from pdx_assets.stages.made import keep_window
from pdx_assets.stages.tape import open_tape
from pdx_assets.stages.waivers import gates
from pdx_assets.stages.workspace import Workspace


def make_window(ws: Workspace, strategy: Strategy, production: Month) -> dict[str, Any]:
    """Build and store the manifest of ``window_<strategy>`` at a production month.

    Raises:
        LeakError: a feature seems to know the outcome, and nobody has accepted or banned it.
        WindowError: see :func:`pdx_assets.risk.windows.build_manifest`.
    """
    rests_on.require_unchanged(ws)
    # The first thing that a seed decides: from here on the home holds this seed and no other.
    ws.settings.pin(ws.spec.name)
    otv = otv_months(ws.spec, production) if strategy in PAPER_STRATEGIES else ()
    manifest = _manifest(ws, strategy, production, {*development_months(ws.spec, strategy, production), *otv})
    if production == ws.spec.p0 and manifest["otv"]:
        refuse_open_leaks(ws, manifest)
    else:
        require_no_leaks(ws)
    ws.lake.put_document(f"window_{strategy}", str(production), manifest)
    keep_window(ws, strategy, production, manifest)
    return manifest


def as_of_window(ws: Workspace, strategy: Strategy, month: Month) -> dict[str, Any]:
    """The manifest of what a recipe would have learned from at a month: before p0 made afresh, and not an asset.

    Raises:
        WindowError: the tape does not reach back far enough.
    """
    if month >= ws.spec.p0:
        return window_or_make(ws, strategy, month)
    name = canonical_strategy(ws.spec, strategy, month)
    months = as_of_months(ws.spec, strategy, month)
    return _manifest(ws, name, month, months, development=months)


def _manifest(
    ws: Workspace,
    strategy: Strategy,
    production: Month,
    months: Iterable[Month],
    development: tuple[Month, ...] | None = None,
) -> dict[str, Any]:
    versions = {layer: ws.lake.version(layer) for layer in ("clean_features", "labels")}
    if strategy == "immature_cohorts":
        versions |= {layer: ws.lake.version(layer) for layer in ("outcomes", "raw_loans")}
    cohorts = _cohorts(ws, sorted(months), versions)
    manifest = build_manifest(ws.spec, strategy, production, cohorts, seed=ws.pinned.seed, development=development)
    # Table versions say where to read; they depend on the order months were written in, so no hash covers them.
    manifest["tables"] = versions
    return manifest


def require_no_leaks(ws: Workspace) -> None:
    """Refuse to go on while a feature of the portfolio is flagged and nobody has decided about it.

    Judged on the first window, which is made where it is not there as today's declarations want it. Where it cannot
    be made nothing is judged: no month is decided before *p0*.

    Raises:
        LeakError: see :func:`pdx_assets.stages.leaks.refuse_open_leaks`.
    """
    first = ws.lake.find_document("window_fixed_window", str(ws.spec.p0))
    if first is not None and find_judgement(ws, first) is not None:
        return refuse_open_leaks(ws, first)
    with contextlib.suppress(WindowError):
        make_window(ws, "fixed_window", ws.spec.p0)
    return None


def window(ws: Workspace, strategy: Strategy, production: Month) -> dict[str, Any]:
    """A stored manifest.

    Raises:
        HomeError: it was not materialized yet.
    """
    return ws.lake.get_document(f"window_{strategy}", str(production))


def bads_told(ws: Workspace, production: Month) -> str:
    """The bads of a production month's stored windows, in words, before anything learns from them."""
    found = {s: ws.lake.find_document(f"window_{s}", str(production)) for s in ws.spec.strategies}
    made = {s: manifest for s, manifest in found.items() if manifest is not None}
    # At p0 the paper's strategies have one window, which goes by the fixed window's name.
    own = [s for s in made if s not in PAPER_STRATEGIES or (s == "fixed_window") == (production == ws.spec.p0)]
    said = [f"{s.replace('_', ' ')} {made[s]['development']['bads']:,}" for s in own]
    otv = next((m["otv"] for m in made.values() if m["otv"]), None)
    return f"bads: {', '.join(said)}" + (f"; OTV {otv['bads']:,} of {otv['loans']:,} loans" if otv else "")


def window_or_make(ws: Workspace, strategy: Strategy, production: Month) -> dict[str, Any]:
    """A stored manifest, or a fresh one where there is none: an anchor may be needed before its own run."""
    return ws.lake.find_document(f"window_{strategy}", str(production)) or make_window(ws, strategy, production)


def development(ws: Workspace, manifest: Mapping[str, Any], *, most: int | None = None) -> Development:
    """The loans of a manifest's development window, or a sample of at most ``most``, as train and ITV."""
    if manifest["strategy"] != "immature_cohorts":
        features, labels = _read(ws, manifest, "development")
        return assemble_development(ws.spec, manifest, features, labels, most=most)
    months, versions = _unchanged(ws, manifest, "development"), manifest["tables"]
    features = ws.lake.scan_months("clean_features", months, version=versions["clean_features"]).collect()
    events, undecided = _outcomes(ws, months, versions)
    on = labels_day(ws.spec, Month.parse(manifest["production_month"]))
    half_life = manifest["development"].get("half_life_months")
    rows = exposed_loans(ws.spec, features, events, undecided, on=on, half_life_months=half_life)
    return split_development(ws.spec, manifest, rows, most=most)


def known_cohort(ws: Workspace, cohort: Month, on: date, *columns: str) -> pl.DataFrame:
    """The loans of a cohort whose labels a day knew: ``cohort``, ``loan_id``, ``label``, ``weight`` where loans are
    weighted, and other columns of clean_features."""
    wanted = ["cohort", "loan_id", *columns, *(["weight"] if ws.spec.is_weighted else [])]
    features = ws.lake.scan_months("clean_features", [cohort], columns=wanted).collect()
    return labelled(features, ws.lake.scan_months("labels", [cohort]).collect(), on=on)


def otv_loans(ws: Workspace, manifest: Mapping[str, Any]) -> pl.DataFrame:
    """The labelled loans of a manifest's OTV window: clean_features columns plus ``label``."""
    features, labels = _read(ws, manifest, "otv")
    return labelled(features, labels, on=labels_day(ws.spec, Month.parse(manifest["production_month"])))


def known_loans(ws: Workspace, cohorts: Iterable[Month], on: date, what: str) -> tuple[dict[str, Any], pl.DataFrame]:
    """What some cohorts hold, as a part of a manifest says it, and their loans with the labels known on a day.

    Args:
        on: the decision date.
        what: for whom, as errors name it.

    Raises:
        WindowError: see :func:`pdx_assets.risk.windows.known_part`.
    """
    months = sorted(set(cohorts))
    versions = {layer: ws.lake.version(layer) for layer in ("clean_features", "labels")}
    part = known_part(ws.spec, months, _cohorts(ws, months, versions), on=on, what=what)
    tables = [ws.lake.scan_months(layer, months, version=versions[layer]).collect() for layer in versions]
    return part, labelled(tables[0], tables[1], on=on)


def plan_counts(ws: Workspace, first: str | None, last: str | None) -> list[WindowCount]:
    """Bads in the windows of some production months, counted from the tape; nothing is stored.

    Args:
        first, last: production months; by default from p0 to the last whose OTV labels are known.

    Raises:
        HomeError: the range is empty, or no month of it can be decided on the tape.
    """
    spec, opened = ws.spec, open_tape(ws)
    decidable = decidable_months(spec, opened.cohorts, opened.as_of, ws.settings.today)
    months = [p for p in decidable if (not first or p >= Month.parse(first)) and (not last or p <= Month.parse(last))]
    if not months:
        raise HomeError(
            f"No production month of {spec.name} from {first or spec.p0} to {last or 'the last'} can be decided.",
            expected=f"months of {decidable[0]}..{decidable[-1]}"
            if decidable
            else f"an as-of date of "
            f"{spec.known_on(otv_months(spec, spec.p0)[-1])} or later; the tape's is {opened.as_of}",
            remedy="choose months in that range, or a tape with later outcomes",
        )
    wanted = {m for p in months for s in spec.strategies for m in development_months(spec, s, p)}
    wanted |= {m for p in months for m in otv_months(spec, p)}
    labelled_cohorts = {m: _labels_of(ws, m) for m in opened.cohorts if m in wanted}
    return count_windows(spec, labelled_cohorts, months)


def _labels_of(ws: Workspace, cohort: Month) -> CohortLabels:
    opened = open_tape(ws)
    rows = opened.cohort(cohort)
    require_horizon(ws.spec, rows.loans)
    labels = cohort_labels(ws.spec, cohort, rows, opened.as_of)
    if not ws.spec.is_weighted:
        return CohortLabels(labels)
    weights = rows.loans.select("loan_id", loan_weights(ws.spec, rows.loans).alias("weight"))
    return CohortLabels(labels, weights)


def _read(ws: Workspace, manifest: Mapping[str, Any], part: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    months, versions = _unchanged(ws, manifest, part), manifest["tables"]
    features = ws.lake.scan_months("clean_features", months, version=versions["clean_features"])
    labels = ws.lake.scan_months("labels", months, version=versions["labels"])
    return features.collect(), labels.collect()


def _outcomes(
    ws: Workspace, months: Sequence[Month], versions: Mapping[str, int | None]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Outcome events of some cohorts, and the loans that never get a label."""
    events = ws.lake.scan_months("outcomes", months, version=versions["outcomes"]).collect()
    keys = ["cohort", "loan_id"]
    if labels_every_loan(ws.spec):
        return events, events.select(keys).clear()
    loans = ws.lake.scan_months("raw_loans", months, version=versions["raw_loans"]).collect()
    return events, loans.filter(never_labelled(ws.spec, loans)).select(keys)


def _unchanged(ws: Workspace, manifest: Mapping[str, Any], part: str) -> list[Month]:
    """The months of a part, whose features are still those the manifest names."""
    rows = manifest[part]["months"]
    months = [Month.parse(r["cohort"]) for r in rows]
    versions = manifest["tables"]
    held = ws.lake.contents("clean_features", versions["clean_features"])
    changed = [r["cohort"] for r in rows if held[Month.parse(r["cohort"])].sha256 != r["features_sha256"]]
    if changed:
        raise HomeError(
            f"clean_features version {versions['clean_features']} holds other rows than the manifest of "
            f"{manifest['production_month']} says, for {', '.join(changed)}.",
            remedy=f"materialize window_{manifest['strategy']} for {manifest['production_month']} again",
        )
    return months


def _cohorts(ws: Workspace, months: Iterable[Month], versions: Mapping[str, int | None]) -> Cohorts:
    held = ws.lake.contents("clean_features", versions["clean_features"])
    labelled_months = ws.lake.contents("labels", versions["labels"])
    months = list(months)
    is_immature = "outcomes" in versions
    here = [m for m in months if m in held and m in labelled_months]
    refused, waived = gates(ws, months)
    if not here:
        empty = pl.DataFrame(schema={"cohort": pl.String, "loan_id": pl.String, "status": pl.String})
        return Cohorts({}, empty, empty, refused, waived=waived)
    keys = ["cohort", "loan_id", *(["weight"] if ws.spec.is_weighted else [])]
    keys += ["application_date"] if is_immature else []
    events, undecided = _outcomes(ws, here, versions) if is_immature else (None, None)
    return Cohorts(
        features={m: held[m].sha256 for m in here},
        labels=ws.lake.scan_months("labels", here, version=versions["labels"]).collect(),
        loans=ws.lake.scan_months("clean_features", here, columns=keys, version=versions["clean_features"]).collect(),
        refused=refused,
        events=events,
        undecided=undecided,
        waived=waived,
    )
