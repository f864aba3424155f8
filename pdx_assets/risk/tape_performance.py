"""The performance panel of a tape: what each loan's days past due were, month by month, and when that was known.

Several rows for one loan and month are corrections: the later report holds from its day on
(outcomes/). Which of them count is not decided here; rows are only read, checked and put by cohort.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.errors import TapeError
from pdx_assets.risk.spec import Column, PerformancePanel, PortfolioSpec
from pdx_assets.risk.tape_csv import CsvFile, open_csv
from pdx_assets.risk.tape_records import SOURCE_ROW
from pdx_assets.risk.tape_staging import (
    AFTER_AS_OF,
    RejectedRow,
    as_wrong_rows,
    bad_line,
    latest_supported,
    reject_beyond_tolerance,
    shortened,
    stop_early,
    write_by_cohort,
)

UNKNOWN_LOAN = "performance: loan not on the tape"
OF_REJECTED_LOAN = "loan rejected or excluded"
_OUT = ("loan_id", "month", "days_past_due", "status", "reported_on")
_KEEP = (*_OUT, "_reason", "_detail", "source_file", SOURCE_ROW)


@dataclass(frozen=True)
class Panel:
    """A panel read and checked row by row: spooled batches, malformed lines, and the latest day reported."""

    spool: Path
    malformed: list[RejectedRow]
    as_of: date | None
    rows: int
    files: str


def judge_panel(spec: PortfolioSpec, panel: PerformancePanel, files: dict[Path, str], work: Path) -> Panel:
    """Read the panel's files once.

    Raises:
        TapeError: a file is not a CSV with the panel's columns.
    """
    spool = work / "panel"
    spool.mkdir()
    malformed: list[RejectedRow] = []
    reported: list[pl.Series] = []
    number = rows = 0
    for path, name in files.items():
        file = open_csv(path, name)
        _require_header(panel, file)
        for batch in file.batches():
            malformed += [bad_line(line, name) for line in batch.bad]
            stop_early(f"lines of {name}", file.lines - 1, malformed, spec.tape.reject_tolerance)
            if not batch.frame.height:
                continue
            judged = _judge(spec, panel, batch.frame).with_columns(pl.lit(name).alias("source_file"))
            judged.select(_KEEP).write_parquet(spool / f"{number:06d}.parquet", compression="lz4")
            number, rows = number + 1, rows + judged.height
            reported.append(judged.filter(pl.col("_reason").is_null())["reported_on"])
    for row in malformed:
        row["reason"] = f"performance: {row['reason']}"
    as_of = latest_supported(pl.concat(reported)) if reported else None
    return Panel(spool, malformed, as_of, rows + len(malformed), shortened(files))


def _require_header(panel: PerformancePanel, file: CsvFile) -> None:
    wanted = [panel.loan_id, panel.month, panel.days_past_due]
    wanted += [column for column in (panel.reported_on, panel.status) if column]
    missing = [column for column in wanted if column not in file.columns]
    if missing:
        raise TapeError(
            f"{file.name}: line 1 lacks the performance columns {missing}; it has {list(file.columns)[:12]}.",
            expected=f"{wanted}",
            remedy="export them, or declare the names they have under tape.performance",
        )


def _cell_rule(**declared: Any) -> Column:
    return Column.model_validate({"role": "outcome", **declared})


def _judge(spec: PortfolioSpec, panel: PerformancePanel, records: pl.DataFrame) -> pl.DataFrame:
    month_column = _cell_rule(dtype="date", format=panel.month_format)
    report_column = _cell_rule(dtype="date", format=panel.reported_format)
    due_column = _cell_rule(dtype="number")
    loan = columns.stripped(records[panel.loan_id])
    month = columns.days(records[panel.month], month_column).dt.month_end()
    due = columns.numbers(records[panel.days_past_due], due_column)
    due = due.set(((due < 0) | (due != due.floor()) | (due > 99_999)).fill_null(False), None)
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, records.height)
    if panel.reported_on is None:
        reported, told = month + timedelta(days=spec.label.reporting_delay_days), nothing
    else:
        told = records[panel.reported_on]
        reported = columns.days(told, report_column)
    checks = (
        (loan.is_null(), "performance: no loan id", loan),
        (month.is_null(), f"performance: {panel.month}: not a month {panel.month_format}", records[panel.month]),
        (due.is_null(), f"performance: {panel.days_past_due}: not whole days from 0 on", records[panel.days_past_due]),
        (reported.is_null(), f"performance: {panel.reported_on}: not a date {panel.reported_format}", told),
        (reported < month.dt.month_start(), "performance: reported before its month", told),
    )
    reason, detail = nothing.alias("_reason"), nothing.alias("_detail")
    for failing, why, cells in checks:
        fresh = failing.fill_null(False) & reason.is_null()
        if fresh.any():
            reason, detail = reason.set(fresh, why), cells.zip_with(fresh, detail).alias("_detail")
    return records.select(SOURCE_ROW).with_columns(
        loan.alias("loan_id"),
        month.alias("month"),
        due.cast(pl.Int32).alias("days_past_due"),
        (nothing if panel.status is None else columns.stripped(records[panel.status])).alias("status"),
        reported.alias("reported_on"),
        reason,
        detail,
    )


def spread_panel(
    spec: PortfolioSpec, panel: Panel, loans: pl.DataFrame, as_of: date, work: Path, loans_rejected: float
) -> tuple[pl.DataFrame, list[RejectedRow], Counter[str]]:
    """Write ``performance/<cohort>/*.parquet``.

    Args:
        loans: the loans' index: ``_id``, ``_cohort``, ``_reason``, ``_excluded``.
        loans_rejected: share of loan rows rejected: their performance rows are orphans in proportion.

    Returns:
        counts of rows (``cohort``, ``reason``, ``excluded``, ``len``), null reason and excluded for
        accepted ones; the rejected rows; and the rows written by cohort.

    Raises:
        TapeError: more rows are wrong than the tolerance allows.
    """
    owners = loans.with_columns((pl.col("_reason").is_null() & pl.col("_excluded").is_null()).alias("_accepted"))
    owners = owners.filter(pl.col("_id").is_not_null()).select(loan_id="_id", cohort="_cohort", accepted="_accepted")
    # The accepted row of a duplicated id is the loan; its twins were rejected.
    owners = owners.sort("accepted", descending=True, maintain_order=True).unique("loan_id", keep="first")
    counts: list[pl.DataFrame] = []
    rejected = list(panel.malformed)
    called, allowed = f"performance rows of {panel.files}", spec.tape.reject_tolerance + loans_rejected
    verdict = (
        pl.when(pl.col("_reason").is_not_null())
        .then("_reason")
        .when(pl.col("accepted").is_null())
        .then(pl.lit(UNKNOWN_LOAN))
        .when(pl.col("accepted") & (pl.col("month").dt.strftime("%Y-%m") < pl.col("cohort")))
        .then(pl.lit("performance: before origination"))
        .when(pl.col("reported_on") > as_of)
        .then(pl.lit(f"performance: {AFTER_AS_OF}"))
        .alias("_reason")
    )

    def accepted() -> Iterator[pl.DataFrame]:
        for part in sorted(panel.spool.iterdir()):
            rows = pl.read_parquet(part).join(owners, on="loan_id", how="left", maintain_order="left")
            rows = rows.with_columns(verdict)
            orphan = pl.col("_reason").is_null() & ~pl.col("accepted")
            rows = rows.with_columns(pl.when(orphan).then(pl.lit(OF_REJECTED_LOAN)).alias("_excluded"))
            counts.append(rows.group_by("cohort", "_reason", "_excluded").len())
            rejected.extend(_rejected_rows(rows.filter(pl.col("_reason").is_not_null())))
            stop_early(called, panel.rows, rejected, allowed)
            good = pl.col("_reason").is_null() & pl.col("_excluded").is_null()
            yield rows.filter(good).select("cohort", *_OUT)

    written = write_by_cohort(accepted(), work / "performance")
    shutil.rmtree(panel.spool)
    malformed = pl.DataFrame({"_reason": [row["reason"] for row in panel.malformed]}, schema={"_reason": pl.String})
    counts.append(malformed.group_by("_reason").len())
    table = pl.concat(counts, how="diagonal").group_by("cohort", "_reason", "_excluded").agg(pl.col("len").sum())
    reject_beyond_tolerance(called, int(table["len"].sum()), as_wrong_rows(rejected), allowed)
    return table, rejected, written


def _rejected_rows(rows: pl.DataFrame) -> Iterator[RejectedRow]:
    for row in rows.iter_rows(named=True):
        cells = {name: row[name] for name in _OUT if row[name] is not None}
        yield {
            "cohort": row["cohort"],
            "source_file": row["source_file"],
            "source_row": row[SOURCE_ROW],
            "reason": row["_reason"],
            "row": json.dumps(cells, ensure_ascii=False, default=str),
            "detail": row["_detail"] or row["loan_id"],
            "line": False,
        }
