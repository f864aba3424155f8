"""Writing a staged tape: all files in bounded memory, then what needs the whole tape at once.

Two passes over spooled batches: the first judges rows one by one, the second knows every id and the
as-of date. Memory holds one batch and a narrow index of all rows, never the tape. Loan rows belong
here; performance rows are in tape_performance.py.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pdx_assets.risk.columns import require_expressions
from pdx_assets.risk.errors import TapeError
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape_csv import open_csv
from pdx_assets.risk.tape_records import SOURCE_ROW, BadLine
from pdx_assets.risk.tape_rows import NOTE, VERDICTS, judge_rows, require_header

DUPLICATE = "duplicate loan id"
AFTER_AS_OF = "dated after the as-of date"
UNBORN = "originated after the as-of date"

# Batches are gathered to about this many bytes before they are split by cohort, so that a monthly
# export of sixty small files does not become thousands of tiny ones.
GATHER_BYTES = 128 << 20
_LONELY_GAP = timedelta(days=366)
_LONELY_SHARE, _LONELY_ROWS = 0.001, 100
# Rejected rows kept in memory however small the tolerance: some MB.
_MANY = 10_000

# One rejected row: the columns of the rejected table, and "detail" for messages.
RejectedRow = dict[str, Any]


@dataclass(frozen=True)
class StagedLoans:
    """What staging the loan rows gave beside ``loans/<cohort>/*.parquet``.

    Attributes:
        index: one row a record: ``_id``, ``_cohort``, ``_reason``, ``_excluded``, ``_indeterminate``, ...
        rejected: the rejected rows, malformed lines first.
        columns: the tape's columns, in order of first appearance.
        as_of: the as-of date.
        written: loans written, by cohort.
    """

    index: pl.DataFrame
    rejected: list[RejectedRow]
    columns: list[str]
    as_of: date
    written: Counter[str]


def stage_loans(spec: PortfolioSpec, files: dict[Path, str], work: Path, panel_as_of: date | None) -> StagedLoans:
    """Write ``loans/<cohort>/*.parquet`` under an empty folder.

    Args:
        files: the loan files in reading order, with the name each is called by.
        panel_as_of: latest day of the performance panel: the as-of date where nothing else gives one.

    Raises:
        TapeError: see :func:`pdx_assets.risk.tape.stage_tape`.
    """
    require_expressions(spec)
    spool = work / "spool"
    spool.mkdir()
    index, malformed, names = _judge_all(spec, files, spool)
    called = shortened(files)
    if not index.height and not malformed:
        raise TapeError(
            f"{called}: a header and no loans.", expected="at least one loan", remedy="export the file again"
        )
    as_of: date | None = None
    if index.height:
        index, as_of = _judge_whole_tape(spec, index, panel_as_of)
    # Before the rejected rows are gathered: a tape read by the wrong spec rejects all of them.
    wrong = [as_wrong_rows(malformed)]
    if index.height:
        renamed = index.rename({"_reason": "reason", "_detail": "detail"})
        wrong.append(renamed.filter(pl.col("reason").is_not_null()).select(wrong[0].columns))
    rows_in = index.height + len(malformed)
    reject_beyond_tolerance(f"loan rows of {called}", rows_in, pl.concat(wrong), spec.tape.reject_tolerance)
    if as_of is None:
        raise TapeError(
            f"{called}: no as-of date: no outcome column or performance row holds a date.",
            expected="a date in " + (", ".join(spec.tape.as_of_columns) or "tape.as_of_columns"),
            remedy="declare tape.as_of, the day the tape was drawn",
        )
    rejected, written = _spread(spool, index, work / "loans")
    shutil.rmtree(spool)
    return StagedLoans(index, malformed + rejected, names, as_of, written)


def shortened(files: dict[Path, str]) -> str:
    """The files' names for a message: the first three, and how many more."""
    names = list(files.values())
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more files" if len(names) > 3 else "")


def _judge_all(
    spec: PortfolioSpec, files: dict[Path, str], spool: Path
) -> tuple[pl.DataFrame, list[RejectedRow], list[str]]:
    """Spool every batch; the index has one narrow row for each spooled one, in the same order."""
    indexes: list[pl.DataFrame] = []
    rejected: list[RejectedRow] = []
    columns: dict[str, None] = {}
    for path, name in files.items():
        file = open_csv(path, name)
        require_header(spec, file)
        columns |= dict.fromkeys(file.columns)
        for batch in file.batches():
            rejected += [bad_line(line, name) for line in batch.bad]
            stop_early(f"lines of {name}", file.lines - 1, rejected, spec.tape.reject_tolerance)
            if not batch.frame.height:
                continue
            judged = judge_rows(spec, batch.frame, name).with_columns(pl.lit(name).alias("source_file"))
            judged.drop(VERDICTS).write_parquet(spool / f"{len(indexes):06d}.parquet", compression="lz4")
            indexes.append(judged.select("source_file", SOURCE_ROW, *VERDICTS, pl.lit(len(indexes)).alias("_batch")))
    return pl.concat(indexes) if indexes else pl.DataFrame(), rejected, list(columns)


def bad_line(line: BadLine, name: str) -> RejectedRow:
    """A malformed line as a row of the rejected table."""
    note = sum(bool(cell.strip()) for cell in line.text.split(",")) <= 2
    return {
        "cohort": None,
        "source_file": name,
        "source_row": line.line,
        "reason": NOTE if note else line.reason,
        "row": json.dumps({"line": line.text}, ensure_ascii=False),
        "detail": line.detail or line.text[:60],
        "line": True,
    }


def _judge_whole_tape(
    spec: PortfolioSpec, index: pl.DataFrame, panel_as_of: date | None
) -> tuple[pl.DataFrame, date | None]:
    """Ordinals of derived ids, duplicates, and dates the tape cannot know."""
    ok = pl.col("_reason").is_null()
    ordinal = pl.int_range(1, pl.len() + 1).over("_id", ok)
    index = index.with_columns(
        pl.when(ok & pl.col("_derived") & (ordinal > 1))
        .then(pl.col("_id") + "-" + ordinal.cast(pl.String))
        .otherwise(pl.col("_id"))
        .alias("_id")
    )
    repeated = pl.int_range(pl.len()).over("_id", ok) > 0
    index = _against(index, ok & repeated, DUPLICATE, pl.col("_id"))
    declared = spec.tape.as_of
    as_of = declared or latest_supported(index.filter(ok)["_seen"]) or panel_as_of
    if as_of is None:
        return index, None
    index = _against(index, ok & (pl.col("_latest") > as_of), AFTER_AS_OF, pl.col("_latest").cast(pl.String))
    # New loans can be later than the latest outcome, but by over a year only through a typing error:
    # their cohort would lie beyond every partition and be lost from sight.
    limit = declared or as_of + _LONELY_GAP
    born = (pl.col("_cohort") + "-01").str.to_date("%Y-%m-%d")
    index = _against(index, ok & (born > limit), UNBORN, pl.col("_cohort"))
    beyond = pl.col("_reason") == UNBORN
    return index.with_columns(pl.when(~beyond.fill_null(False)).then("_cohort").alias("_cohort")), as_of


def _against(index: pl.DataFrame, failing: pl.Expr, reason: str, detail: pl.Expr) -> pl.DataFrame:
    return index.with_columns(
        pl.when(failing).then(pl.lit(reason)).otherwise("_reason").alias("_reason"),
        pl.when(failing).then(detail).otherwise("_detail").alias("_detail"),
    )


def latest_supported(days: pl.Series) -> date | None:
    """The latest date, unless it stands alone long after all others; None without any.

    One payment dated 2091 for 2019 would make every label of the tape look mature. So among at least 100
    dated rows, dates on at most one row in a thousand that lie over a year after the next earlier date
    are not believed.
    """
    counts = days.alias("day").drop_nulls().value_counts().sort("day", descending=True)
    if not counts.height:
        return None
    found: list[date] = counts["day"].to_list()
    at_or_after: list[int] = counts["count"].cum_sum().to_list()
    believed = found[0]
    if at_or_after[-1] < _LONELY_ROWS:
        return believed
    for i in range(len(found) - 1):
        if at_or_after[i] > max(1, _LONELY_SHARE * at_or_after[-1]):
            break
        if found[i] - found[i + 1] > _LONELY_GAP:
            believed = found[i + 1]
    return believed


def _spread(spool: Path, index: pl.DataFrame, loans: Path) -> tuple[list[RejectedRow], Counter[str]]:
    """Spooled batches with their final verdicts, by cohort; the rejected rows, and loans written."""
    rejected: list[RejectedRow] = []

    def accepted() -> Iterator[pl.DataFrame]:
        for part, verdicts in zip(sorted(spool.iterdir()), index.partition_by("_batch"), strict=True):
            batch = pl.read_parquet(part)
            reason, excluded = verdicts["_reason"], verdicts["_excluded"]
            rejected.extend(_rejected_rows(batch.filter(reason.is_not_null()), verdicts.filter(reason.is_not_null())))
            # A tape's own column called loan_id is the declared id: one column holds both.
            batch = batch.with_columns(verdicts["_cohort"].alias("cohort"), verdicts["_id"].alias("loan_id"))
            leading = ["cohort", "loan_id", "source_file", SOURCE_ROW]
            batch = batch.select(*leading, pl.exclude(leading))
            yield batch.filter(reason.is_null() & excluded.is_null())

    written = write_by_cohort(accepted(), loans)
    return rejected, written


def _rejected_rows(batch: pl.DataFrame, verdicts: pl.DataFrame) -> Iterator[RejectedRow]:
    keep = ("_cohort", "_reason", "_detail")
    for row, (cohort, reason, detail) in zip(
        batch.iter_rows(named=True), verdicts.select(keep).iter_rows(), strict=True
    ):
        file, line = row.pop("source_file"), row.pop(SOURCE_ROW)
        yield {
            "cohort": cohort,
            "source_file": file,
            "source_row": line,
            "reason": reason,
            "row": json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False),
            "detail": detail,
            "line": False,
        }


def write_by_cohort(frames: Iterable[pl.DataFrame], folder: Path) -> Counter[str]:
    """Write frames to ``folder/<cohort>/<number>.parquet``, in order, a bounded number of bytes at a time.

    Returns:
        rows written by cohort.
    """
    written: Counter[str] = Counter()
    waiting: list[pl.DataFrame] = []
    size, number = 0, 0

    def flush() -> None:
        nonlocal waiting, size, number
        if waiting:
            together = pl.concat(waiting, how="diagonal")
            for key, part in together.partition_by("cohort", as_dict=True, maintain_order=True).items():
                target = folder / str(key[0])
                target.mkdir(parents=True, exist_ok=True)
                part.write_parquet(target / f"{number:06d}.parquet")
                written[str(key[0])] += part.height
        waiting, size, number = [], 0, number + 1

    for frame in frames:
        if frame.height:
            waiting.append(frame)
            # polars' estimate leaves out the 16 bytes each text cell has beside its letters: most of a wide tape.
            size += int(frame.estimated_size()) + 16 * frame.height * frame.width
        if size >= GATHER_BYTES:
            flush()
    flush()
    return written


def as_wrong_rows(rejected: Sequence[RejectedRow]) -> pl.DataFrame:
    """Where, why and what: the part of rejected rows that messages show."""
    schema = {"source_file": pl.String, SOURCE_ROW: pl.Int64, "reason": pl.String, "detail": pl.String}
    return pl.DataFrame([{name: row[name] for name in schema} for row in rejected], schema=schema)


def stop_early(what: str, rows_in: int, rejected: Sequence[RejectedRow], allowed: float) -> None:
    """Refuse a hopeless tape before its rejected rows fill the memory."""
    if len(rejected) > max(_MANY, allowed * rows_in):
        reject_beyond_tolerance(what, rows_in, as_wrong_rows(rejected), allowed)


def reject_beyond_tolerance(what: str, rows_in: int, wrong: pl.DataFrame, allowed: float) -> None:
    """Refuse a tape with too many wrong rows.

    Args:
        what: the rows, in words, with the file names.
        wrong: ``source_file``, ``source_row``, ``reason``, ``detail`` of each wrong row.
        allowed: share of rows that may be rejected.

    Raises:
        TapeError: the rejected share is above ``allowed``; each reason with its first file, line and value.
    """
    if wrong.height <= allowed * rows_in:
        return
    reasons = wrong.group_by("reason", maintain_order=True).agg(pl.len().alias("n"), pl.all().first())
    lines = []
    for row in reasons.sort("n", descending=True, maintain_order=True).iter_rows(named=True):
        got = f" (got {row['detail']!r})" if row["detail"] else ""
        lines.append(f"  {row['n']} x {row['reason']}; first at {row['source_file']} line {row[SOURCE_ROW]}{got}")
    raise TapeError(
        f"{wrong.height} of {rows_in} {what} ({wrong.height / rows_in:.1%}) are rejected:\n" + "\n".join(lines),
        expected=f"at most {allowed:.1%} rejected (tape.reject_tolerance)",
        remedy="mend the lines named, correct the column declarations, or raise the tolerance",
    )
