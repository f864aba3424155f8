"""Group *tape*: from files to raw_loans, clean_features, outcomes and labels of one cohort."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import NotYetKnownError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.outcomes import label_rows, outcome_events
from pdx_assets.risk.tape import CohortRows, StagedTape, TapeSource, locate_tape, stage_tape
from pdx_assets.stages.workspace import Workspace

# Raised whenever reading, cleaning or labelling would give other rows from the same tape.
TAPE_VERSION = "1"


def open_tape(ws: Workspace) -> StagedTape:
    """The portfolio's tape, read and checked once per content; a simulated lender writes its tape first."""
    simulated = ws.settings.simulated(ws.spec.name)
    if ws.spec.tape.simulated is not None and not ws.pinned.tape:
        from pdx_assets.risk.synthetic import write_simulated_tape

        with ws.only_one("simulated-tape"):
            write_simulated_tape(ws.spec.tape.simulated, simulated)
    source = locate_tape(ws.spec, override=ws.pinned.tape, simulated_folder=simulated)
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
    """What the cohort tables depend on: the tape's bytes, the declarations, and the code that reads them."""
    declared = ws.spec.model_dump(mode="json", include={"tape", "loan_id", "columns", "ratios", "exclusions", "label"})
    return document_sha256([TAPE_VERSION, open_tape(ws).fingerprint, declared, ws.spec.use_price])


def raw_loans(ws: Workspace, cohort: Month) -> CohortRows:
    """The cohort as received, with its row accounting; rejected rows are kept with their reason.

    Raises:
        NotYetKnownError: the tape has no such cohort (yet).
    """
    tape = open_tape(ws)
    if cohort not in tape.cohorts:
        raise NotYetKnownError(
            f"The tape has no loans of {cohort}.",
            expected=f"a cohort of {tape.cohorts[0]}..{tape.cohorts[-1]}",
            remedy="add the month to the tape, or choose another partition",
        )
    rows = tape.cohort(cohort)
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


def outcomes(ws: Workspace, cohort: Month, loans: pl.DataFrame) -> pl.DataFrame:
    """The cohort's outcome events so far, with the dates they were known from."""
    tape = open_tape(ws)
    return outcome_events(ws.spec, loans, tape.cohort(cohort).performance, tape.as_of)


def labels(ws: Workspace, cohort: Month, loans: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """The cohort's label rows; null and 'unknown' until the horizon has passed on the tape."""
    return label_rows(ws.spec, cohort, loans, events, open_tape(ws).as_of)


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
