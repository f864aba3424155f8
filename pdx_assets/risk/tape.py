"""A portfolio's tape: where it is, what is in it, and an account of every row.

The whole tape is read once, checked, and staged: a folder named by the tape's fingerprint, with the
accepted loans, the rejected rows and the performance rows by cohort. Reading and checking are in
tape_csv.py, tape_rows.py and tape_staging.py; this module is what the other stages import.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month, Periods
from pdx_assets.risk.errors import TapeUnavailableError
from pdx_assets.risk.locks import one_at_a_time
from pdx_assets.risk.spec import PerformancePanel, PortfolioSpec
from pdx_assets.risk.spec_file import expand_variables
from pdx_assets.risk.tape_accounting import RowAccounting, accounts, loan_counts

# Raise when staged folders written before cannot be read as if written now.
STAGING_VERSION = 1
_SUMMARY = "staged.json"
REJECTED_SCHEMA = {
    "cohort": pl.String,
    "source_file": pl.String,
    "source_row": pl.Int64,
    "reason": pl.String,
    "row": pl.String,
}
PERFORMANCE_SCHEMA = {
    "loan_id": pl.String,
    "month": pl.Date,
    "days_past_due": pl.Int32,
    "status": pl.String,
    "reported_on": pl.Date,
}


@dataclass(frozen=True)
class TapeSource:
    """The files of a tape, in reading order."""

    loans: tuple[Path, ...]
    performance: tuple[Path, ...] = ()


@dataclass(frozen=True)
class CohortRows:
    """One cohort of a staged tape.

    Attributes:
        loans: ``cohort``, ``loan_id``, ``source_file``, ``source_row`` (line from 1), then every tape
            column as received (String, blank is null), in the tape's order of files and lines.
        rejected: ``cohort``, ``source_file``, ``source_row``, ``reason``, ``row`` (JSON text).
        performance: ``loan_id``, ``month`` (last day), ``days_past_due``, ``status`` (null where none is
            declared), ``reported_on``, corrections appended, in the tape's order; None where the portfolio
            has no performance panel.
        accounting: of the loan rows.
        performance_accounting: of the performance rows whose loan is in this cohort.
    """

    loans: pl.DataFrame
    rejected: pl.DataFrame
    performance: pl.DataFrame | None
    accounting: RowAccounting
    performance_accounting: RowAccounting | None = None


@dataclass(frozen=True)
class StagedTape:
    """A tape that was read and checked. Cohorts are read from disk when asked for."""

    folder: Path
    fingerprint: str
    as_of: date
    cohorts: tuple[Month, ...]
    accounting: RowAccounting
    performance_accounting: RowAccounting | None
    _summary: dict[str, Any] = field(repr=False, compare=False)

    @property
    def unassigned(self) -> pl.DataFrame:
        """Rejected rows that belong to no cohort (no readable origination date, or one out of range)."""
        return self._rejected().filter(pl.col("cohort").is_null())

    def loan_counts(self) -> dict[Month, int]:
        """Loans kept of every cohort, in order, without reading them."""
        counts = self._summary["by_cohort"]
        return {c: int(counts.get(str(c), {}).get("loans", {}).get("rows_out", 0)) for c in self.cohorts}

    def cohort(self, cohort: Month) -> CohortRows:
        """The rows of one cohort; empty tables for a month in which nothing was originated."""
        key = str(cohort)
        counts = self._summary["by_cohort"].get(key, {})
        schema = {"cohort": pl.String, "loan_id": pl.String, "source_file": pl.String, "source_row": pl.Int64}
        schema |= dict.fromkeys((c for c in self._summary["columns"] if c not in schema), pl.String)
        performance = None
        if self.performance_accounting is not None:
            performance = _read_parts(self.folder / "performance" / key, PERFORMANCE_SCHEMA)
        return CohortRows(
            loans=_read_parts(self.folder / "loans" / key, schema),
            rejected=self._rejected().filter(pl.col("cohort") == key),
            performance=performance,
            accounting=RowAccounting(**counts.get("loans", {})),
            performance_accounting=None
            if self.performance_accounting is None
            else RowAccounting(**counts.get("performance", {})),
        )

    def _rejected(self) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "rejected.parquet")


def _read_parts(folder: Path, schema: dict[str, Any]) -> pl.DataFrame:
    empty = pl.DataFrame(schema=schema)
    parts = sorted(folder.glob("*.parquet"))
    # Files of one tape may differ in columns: what a file lacks is missing on its rows.
    return pl.concat([empty, *(pl.read_parquet(part) for part in parts)], how="diagonal").select(list(schema))


def performance_panel(spec: PortfolioSpec) -> PerformancePanel | None:
    """The declared panel, or for a simulated lender the one it writes."""
    if spec.tape.performance is None and spec.tape.simulated is not None:
        return PerformancePanel.model_validate(
            {"path": "performance", "status": "status", "reported_on": "reported_on"}
        )
    return spec.tape.performance


def locate_tape(spec: PortfolioSpec, *, override: str | None, simulated_folder: Path) -> TapeSource:
    """The files a portfolio's loans and performance rows are read from.

    Args:
        spec: the portfolio.
        override: a path to use in place of ``tape.path``; environment variables are expanded.
        simulated_folder: where the simulated lender's export lies, for a portfolio that has one.

    A path is a file, a glob pattern, or a folder (its ``*.csv`` and ``*.csv.gz``, by name). A folder with
    a ``loans`` folder in it is an export like the simulated lender's: ``loans`` and ``performance``.

    Raises:
        TapeUnavailableError: nothing is there.
        SpecError: the path needs an environment variable that is not set.
    """
    where = f"portfolio {spec.name}: tape.path"
    text = override or spec.tape.path
    if text:
        path = Path(expand_variables(text, where=where)).expanduser()
        export = path if (path / "loans").is_dir() else None
        loans = _files(path / "loans" if export else path, spec)
    else:
        export = simulated_folder
        loans = _files(simulated_folder / "loans", spec)
    panel = performance_panel(spec)
    if panel is None:
        return TapeSource(loans)
    if export is not None:
        return TapeSource(loans, _files(export / "performance", spec))
    declared = Path(expand_variables(panel.path, where=f"portfolio {spec.name}: tape.performance.path"))
    return TapeSource(loans, _files(declared.expanduser(), spec))


def _files(path: Path, spec: PortfolioSpec) -> tuple[Path, ...]:
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.name.endswith((".csv", ".csv.gz")) and p.is_file())
    elif path.exists():
        found = [path]
    else:
        found = sorted(p for p in _matching(path) if p.is_file())
    if not found:
        what = "has no *.csv or *.csv.gz files" if path.is_dir() else "does not exist"
        raise TapeUnavailableError(
            f"The tape of portfolio {spec.name} is not there: {path} {what}.",
            expected="a CSV file, a folder of them, or a glob pattern that matches some",
            remedy="give the path with --tape, or mend tape.path",
        )
    return tuple(found)


def _matching(pattern: Path) -> Iterator[Path]:
    parts = pattern.parts
    first = next((i for i, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts) - 1)
    return Path(*parts[:first]).glob(str(Path(*parts[first:])))


def file_names(source: TapeSource) -> dict[Path, str]:
    """How messages and ``source_file`` call each file: relative to the deepest folder all share."""
    paths = [*source.loans, *source.performance]
    parent = Path(os.path.commonpath([p.absolute().parent for p in paths]))
    return {p: p.absolute().relative_to(parent).as_posix() for p in paths}


def fingerprint(spec: PortfolioSpec, source: TapeSource) -> str:
    """sha256 (hex) over the files' names and bytes and the declarations that change how rows are read.

    Raises:
        TapeUnavailableError: a file cannot be read.
    """
    reading = {
        "staging_version": STAGING_VERSION,
        "columns": {n: c.model_dump(mode="json", exclude={"description"}) for n, c in spec.columns.items()},
        "loan_id": spec.loan_id.model_dump(mode="json"),
        "exclusions": [rule.model_dump(mode="json") for rule in spec.exclusions],
        "label": spec.label.model_dump(mode="json", exclude={"name"}),
        "tape": spec.tape.model_dump(mode="json", exclude={"path", "simulated"}),
        "simulated": spec.tape.simulated is not None,
        "frequency": spec.windows.frequency,
    }
    if spec.sampling_weights is not None:
        reading["sampling_weights"] = spec.sampling_weights.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(reading, sort_keys=True).encode())
    names = file_names(source)
    for kind in (source.loans, source.performance):
        for path in kind:
            try:
                with path.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise TapeUnavailableError(
                    f"{path}: cannot be read: {error.strerror or error}", remedy="make the file readable"
                ) from error
            digest.update(f"\x1f{names[path]}\x1f{content}".encode())
        digest.update(b"\x1e")
    return digest.hexdigest()


def stage_tape(spec: PortfolioSpec, source: TapeSource, folder: Path) -> StagedTape:
    """Read and check the tape, or open it where the same tape was staged before.

    Args:
        folder: holds one sub-folder per fingerprint. A sub-folder appears whole or not at all, so a
            reader never meets half of one; leftovers of a killed process are ignored and replaced.

    Raises:
        TapeError: the tape's structure is not what the spec declares, or more rows are rejected than
            ``tape.reject_tolerance`` allows; names file, line, column and value.
        TapeUnavailableError: a file is missing, unreadable or changed while being read.
    """
    mark = fingerprint(spec, source)
    final = folder / mark
    if (staged := _open_staged(final)) is not None:
        return staged
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / ".lock"):
        if (staged := _open_staged(final)) is not None:
            return staged
        # Under the lock nobody is writing these: they were left by a process that was killed.
        for leftover in (*folder.glob(f".{mark}.*.partial"), *([final] if final.exists() else [])):
            shutil.rmtree(leftover)
        work = folder / f".{mark}.{os.getpid()}.partial"
        work.mkdir()
        try:
            before = _stamps(source)
            summary = _write_staging(spec, source, work)
            if _stamps(source) != before:
                raise TapeUnavailableError(
                    f"The tape of portfolio {spec.name} changed while it was being read.",
                    remedy="run again once the export is complete",
                )
            (work / _SUMMARY).write_text(json.dumps({"fingerprint": mark, **summary}), encoding="utf-8")
            work.rename(final)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            # A file system without locks can let a second process finish first: its result is the same.
            if (staged := _open_staged(final)) is not None:
                return staged
            raise
    staged = _open_staged(final)
    assert staged is not None
    return staged


def _open_staged(final: Path) -> StagedTape | None:
    try:
        summary = json.loads((final / _SUMMARY).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    performance = summary["performance"]
    found = sorted(key for key, counts in summary["by_cohort"].items() if "loans" in counts)
    return StagedTape(
        folder=final,
        fingerprint=summary["fingerprint"],
        as_of=date.fromisoformat(summary["as_of"]),
        # A month in which nothing was originated is a cohort without loans, not a missing one.
        cohorts=Periods(summary["frequency"]).span(Month.parse(found[0]), Month.parse(found[-1])) if found else (),
        accounting=RowAccounting(**summary["loans"]),
        performance_accounting=None if performance is None else RowAccounting(**performance),
        _summary=summary,
    )


def _stamps(source: TapeSource) -> list[tuple[int, int]]:
    try:
        found = [path.stat() for path in (*source.loans, *source.performance)]
    except OSError as error:
        raise TapeUnavailableError(f"The tape went away while it was being read: {error}") from error
    return [(stat.st_size, stat.st_mtime_ns) for stat in found]


def _write_staging(spec: PortfolioSpec, source: TapeSource, work: Path) -> dict[str, Any]:
    """Fill an empty folder; the summary returned completes it."""
    from pdx_assets.risk.tape_performance import judge_panel, spread_panel
    from pdx_assets.risk.tape_staging import stage_loans

    names = file_names(source)
    declared = performance_panel(spec)
    panel = None
    if declared is not None and source.performance:
        panel = judge_panel(spec, declared, {p: names[p] for p in source.performance}, work)
    loans = stage_loans(spec, {p: names[p] for p in source.loans}, work, panel.as_of if panel else None)
    total, by_cohort = accounts(loan_counts(loans.index, loans.rejected), loans.written)
    summary = {key: {"loans": vars(counts)} for key, counts in by_cohort.items()}
    rejected, performance = loans.rejected, None
    if panel is not None:
        share = sum(total.rejected.values()) / total.rows_in
        table, wrong, written = spread_panel(spec, panel, loans.index, loans.as_of, work, share)
        performance, by_cohort = accounts(table, written)
        for key, counts in by_cohort.items():
            summary.setdefault(key, {})["performance"] = vars(counts)
        rejected = rejected + wrong
    place = {name: i for i, name in enumerate(names.values())}
    rejected = sorted(rejected, key=lambda row: (place[row["source_file"]], row["source_row"]))
    rows = [{name: row[name] for name in REJECTED_SCHEMA} for row in rejected]
    pl.DataFrame(rows, schema=REJECTED_SCHEMA).write_parquet(work / "rejected.parquet")
    return {
        "frequency": spec.windows.frequency,
        "as_of": loans.as_of.isoformat(),
        "columns": loans.columns,
        "loans": vars(total),
        "performance": None if performance is None else vars(performance),
        "by_cohort": summary,
    }
