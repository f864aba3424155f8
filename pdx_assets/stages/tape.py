"""Group *tape*: from files to raw_loans, clean_features, outcomes and labels of one cohort."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.errors import NotYetKnownError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.outcomes import label_rows, outcome_events, require_horizon
from pdx_assets.risk.sampling import covers
from pdx_assets.risk.tape import CohortRows, StagedTape, TapeSource, locate_tape, stage_tape
from pdx_assets.risk.tape_clock import TapeOnDay, on_day
from pdx_assets.risk.tape_contents import CohortContent, bad_steps, label_steps, loans_sha256
from pdx_assets.stages.made import TAPE_VERSION, banned, keep_cohort, loans_of
from pdx_assets.stages.rests_on import require_unchanged
from pdx_assets.stages.workspace import Workspace


def open_tape(ws: Workspace) -> StagedTape:
    """The portfolio's tape, read and checked once per content, as it looked on the day the clock says."""
    tape = whole_tape(ws)
    return tape if ws.settings.as_of is None else on_day(tape, ws.spec, ws.settings.as_of)


def whole_tape(ws: Workspace, *, look_again: bool = False) -> StagedTape:
    """The portfolio's tape, whatever the clock says; a simulated lender writes its tape first.

    Args:
        look_again: ask a place that is not on this machine now, however lately it was asked.
    """
    # Kept in memory under one name for all days: stepping through years must not read the file again each time.
    ws = replace(ws, settings=replace(ws.settings, as_of=None), asked=ws.pinned)
    simulated = ws.settings.simulated(ws.spec.name)
    if ws.spec.tape.simulated is not None and not ws.pinned.tape:
        from pdx_assets.risk.synthetic import write_simulated_tape

        with ws.only_one("simulated-tape"):
            write_simulated_tape(ws.spec.tape.simulated, simulated)
    source = locate_tape(
        ws.spec,
        override=ws.pinned.tape,
        simulated_folder=simulated,
        landing=ws.settings.landing(ws.spec.name),
        look_again=look_again,
    )
    stamps = tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in (*source.loans, *source.performance))
    return _staged(ws, source, stamps)


@lru_cache(maxsize=8)
def _staged(ws: Workspace, source: TapeSource, _stamps: tuple[Any, ...]) -> StagedTape:
    # Size and time of change stand in for the content only within one process; across processes the
    # fingerprint is of the bytes.
    with ws.only_one("tape"):
        staged = stage_tape(ws.spec, source, ws.settings.staging(ws.spec.name))
        _keep_account(ws, staged)
    return staged


def no_weights_told(ws: Workspace) -> str | None:
    """That no loan of the tape is weighted although the portfolio says which files are samples, in words; or None.

    Incident: the published sample under another file name was read as the whole book, with PDs several times too high.
    """
    rule = ws.spec.sampling_weights
    if rule is None or rule.files is None:
        return None
    tape, names = open_tape(ws), set[str]()
    for cohort in tape.cohorts:
        found = tape.cohort(cohort).loans["source_file"].unique().to_list()
        if any(covers(rule.files, name) for name in found):
            return None
        names |= set(found)
    read = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        f"Every loan weighs 1: no file of the tape ({read}) is named as sampling_weights.files says, {rule.files!r}. "
        "Where it is such a sample all the same, bad rates and PDs are wrong: rename the file, or change the pattern."
    )


def _keep_account(ws: Workspace, tape: StagedTape) -> None:
    """The whole tape's row accounting, and the rejected rows that belong to no cohort, into the lake."""
    if ws.lake.find_document("tapes", tape.fingerprint) is not None:
        return
    lost = tape.unassigned.with_columns(pl.lit(tape.fingerprint).alias("tape_fingerprint"))
    ws.lake.write_where(
        "rejected_without_cohort",
        lost,
        by=("tape_fingerprint",),
        predicate=f"tape_fingerprint = '{tape.fingerprint}'",
    )
    span = {"first_cohort": str(tape.cohorts[0]), "last_cohort": str(tape.cohorts[-1])} if tape.cohorts else {}
    performance = asdict(tape.performance_accounting) if tape.performance_accounting else None
    ws.lake.create_document(
        "tapes",
        tape.fingerprint,
        {"as_of": tape.as_of.isoformat(), **span, **asdict(tape.accounting), "performance": performance},
    )


def tape_state(ws: Workspace) -> str:
    """What the cohort tables depend on: the tape's bytes seen, the declarations, and the code that reads them."""
    read_by = {"tape", "loan_id", "columns", "ratios", "derived", "exclusions", "label", "sampling_weights"}
    declared = ws.spec.model_dump(mode="json", include=read_by)
    tape = open_tape(ws)
    seen = [tape.day.isoformat()] if isinstance(tape, TapeOnDay) else []
    return document_sha256([TAPE_VERSION, tape.fingerprint, declared, ws.spec.use_price, *seen, *banned(ws)])


def raw_loans(ws: Workspace, cohort: Month) -> CohortRows:
    """The cohort as received, with its row accounting; rejected rows are kept with their reason.

    Raises:
        NotYetKnownError: the tape has no such cohort (yet).
    """
    require_unchanged(ws)
    tape = open_tape(ws)
    if cohort not in tape.cohorts:
        raise NotYetKnownError(
            f"The tape has no loans of {cohort}.",
            expected=f"a cohort of {tape.cohorts[0]}..{tape.cohorts[-1]}",
            remedy="add the month to the tape, or choose another partition",
        )
    rows = tape.cohort(cohort)
    keep_cohort(ws, "raw_loans", cohort, rows.loans, CohortContent(loans_sha256(ws.spec, rows)))
    ws.lake.write_month("rejected", cohort, rows.rejected)
    ws.lake.put_document(
        "accounting",
        str(cohort),
        {
            "tape_fingerprint": tape.fingerprint,
            "as_of": tape.as_of.isoformat(),
            **asdict(rows.accounting),
            "performance": asdict(rows.performance_accounting) if rows.performance_accounting else None,
            "blocking_failures": blocking_failures(rows),
        },
    )
    return rows


def blocking_failures(rows: CohortRows) -> list[str]:
    """Why windows must refuse the cohort: what its blocking check says, and what is stored with its accounting."""
    accounts = {"loan": rows.accounting, "performance": rows.performance_accounting}
    return [f"{kind} rows do not balance" for kind, account in accounts.items() if account and not account.balances]


def features(ws: Workspace, cohort: Month, loans: pl.DataFrame) -> pl.DataFrame:
    """What was known at application time, one row a loan."""
    require_unchanged(ws)
    rows = clean_features(ws.spec, loans)
    keep_cohort(ws, "clean_features", cohort, rows, CohortContent(loans_of(ws, cohort)))
    return rows


def outcomes(ws: Workspace, cohort: Month, loans: pl.DataFrame) -> pl.DataFrame:
    """The cohort's outcome events so far, with the dates they were known from.

    Raises:
        SpecError: the label's horizon ends before the loans can be past due.
    """
    require_unchanged(ws)
    require_horizon(ws.spec, loans)
    tape = open_tape(ws)
    events = outcome_events(ws.spec, loans, tape.cohort(cohort).performance, tape.as_of)
    rows = label_rows(ws.spec, cohort, loans, events, tape.as_of)
    seen = bad_steps(ws.spec, events) if ws.spec.learns_from_immature else ()
    keep_cohort(ws, "outcomes", cohort, events, CohortContent(loans_of(ws, cohort), label_steps(rows), seen))
    return events


def labels(ws: Workspace, cohort: Month, loans: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """The cohort's label rows; null and 'unknown' until the horizon has passed on the tape."""
    require_unchanged(ws)
    rows = label_rows(ws.spec, cohort, loans, events, open_tape(ws).as_of)
    keep_cohort(ws, "labels", cohort, rows, CohortContent(loans_of(ws, cohort), label_steps(rows)))
    return rows


def mark_done(ws: Workspace, cohort: Month) -> None:
    """Record that all four tables of a cohort reflect today's tape."""
    ws.lake.put_document("cohorts", str(cohort), {"tape_state": tape_state(ws)})


def pending(ws: Workspace, cohorts: tuple[Month, ...]) -> tuple[Month, ...]:
    """Cohorts on the tape whose tables do not reflect it yet."""
    state = tape_state(ws)
    on_tape = set(open_tape(ws).cohorts)
    done = {
        k for k in ws.lake.keys("cohorts") if (ws.lake.find_document("cohorts", k) or {}).get("tape_state") == state
    }
    return tuple(c for c in cohorts if c in on_tape and str(c) not in done)
