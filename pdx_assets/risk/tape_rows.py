"""Which rows of a tape are loans: types, dates, identity and rules, one batch of records at a time.

A row that fails gets a reason, never a repair. What needs the whole tape (duplicates, the as-of date)
is tape_staging.py's; reading files is tape_csv.py's.
"""

from __future__ import annotations

import difflib
import hashlib

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.errors import TapeError
from pdx_assets.risk.sampling import sampling_weights
from pdx_assets.risk.spec import ChargedOff, Column, Condition, LastPaymentAndStatus, PortfolioSpec, RepaymentDates
from pdx_assets.risk.tape_csv import CsvFile
from pdx_assets.risk.tape_records import SOURCE_ROW

NO_ORIGINATION = "no origination date"
TOO_EARLY = "originated before the first cohort"
NOTE = "note or footer line"
NO_ID = "no loan id"
PAID_BEFORE = "last payment before origination"
CHARGED_OFF_BEFORE = "charged off before origination"
REPAID_BEFORE = "repaid before origination"

# What the staged tables and the checks add beside the tape's own columns.
RESERVED = ("cohort", "source_file", SOURCE_ROW)
VERDICTS = ("_cohort", "_id", "_derived", "_reason", "_detail", "_excluded", "_indeterminate", "_latest", "_seen")


def require_header(spec: PortfolioSpec, file: CsvFile) -> None:
    """The file has the declared columns and none that PDx needs for itself.

    Raises:
        TapeError: every column that is missing, with the nearest name found.
    """
    needed = [name for name, column in spec.columns.items() if not column.optional]
    missing = [name for name in needed if name not in file.columns]
    if missing:
        if len(set(file.second_line) & set(needed)) > len(set(file.columns) & set(needed)):
            raise TapeError(
                f"{file.name}: line 1 is not the header, line 2 is.",
                expected=f"the column names on line 1, {missing[0]!r} among them",
                remedy="remove the lines above the header",
            )
        hints = []
        for name in missing:
            near = difflib.get_close_matches(name.lower(), {c.lower() for c in file.columns}, n=1, cutoff=0.7)
            found = next((c for c in file.columns if near and c.lower() == near[0]), None)
            hints.append(f"{name!r}" + (f" (there is {found!r})" if found else ""))
        raise TapeError(
            f"{file.name}: line 1 lacks {len(missing)} of {len(needed)} required columns: {', '.join(hints)}.",
            expected="every declared column that is not `optional: true`",
            remedy="export the missing columns, or declare them optional or under the name they have",
        )
    taken = [c for c in file.columns if c in (*RESERVED, *VERDICTS)]
    if "loan_id" in file.columns and spec.loan_id.column != "loan_id":
        taken.append("loan_id")
    if taken:
        raise TapeError(
            f"{file.name}: line 1 uses column names PDx needs for itself: {taken}.",
            expected=f"names other than {', '.join((*RESERVED, *VERDICTS))}; loan_id only for the declared id",
            remedy="rename them in the export",
        )


class _Verdicts:
    """The first reason against each row, and the offending cell."""

    def __init__(self, rows: int) -> None:
        self.reason = pl.Series("_reason", [None], dtype=pl.String).new_from_index(0, rows)
        self.detail = pl.Series("_detail", [None], dtype=pl.String).new_from_index(0, rows)

    def against(self, failing: pl.Series, reason: str, cells: pl.Series | None = None) -> None:
        failing = failing.fill_null(False)
        if not failing.any():
            return
        fresh = failing & self.reason.is_null()
        self.reason = self.reason.set(fresh, reason)
        if cells is not None:
            self.detail = cells.str.slice(0, 60).zip_with(fresh, self.detail).alias("_detail")


def judge_rows(spec: PortfolioSpec, records: pl.DataFrame, file: str = "") -> pl.DataFrame:
    """Records with a verdict each.

    Args:
        records: ``source_row`` and the tape's columns as received (String).
        file: name of the file they come from.

    Returns:
        the same rows and columns, and ``_cohort`` (partition key, null when unknown), ``_id`` (String),
        ``_derived`` (the id is a hash and needs an ordinal), ``_reason`` and ``_detail`` (null when
        accepted), ``_excluded`` and ``_indeterminate`` (name of the first rule that holds), ``_latest``
        (latest outcome date as written) and ``_seen`` (the same, a month counting as its last day).
    """
    rows = records.height
    verdicts = _Verdicts(rows)
    values: dict[str, pl.Series] = {}
    origination = _cells(records, spec.origination_column)
    filled = records.drop(SOURCE_ROW).select(pl.sum_horizontal(pl.all().is_not_null())).to_series()
    verdicts.against(columns.stripped(origination).is_null() & (filled <= 2), NOTE)
    verdicts.against(columns.texts(origination, spec.columns[spec.origination_column]).is_null(), NO_ORIGINATION)
    _check_types(spec, records, verdicts, values)
    day = values[spec.origination_column]
    key = _cohort_keys(spec, day)
    early = day < spec.first_cohort.first_day
    verdicts.against(early, f"{TOO_EARLY} {spec.first_cohort}", origination)
    key = key.set(early.fill_null(True), None)
    ids, derived = _identities(spec, records)
    verdicts.against(ids.is_null(), NO_ID)
    latest, seen = _outcome_dates(spec, values, rows)
    if spec.sampling_weights is not None:
        weights = sampling_weights(spec, records, pl.Series([file]).new_from_index(0, rows))
        drawn_by = spec.sampling_weights.column
        verdicts.against(weights.is_null(), f"{drawn_by}: no sampling weight", _cells(records, drawn_by))
    _check_order(spec, records, day, verdicts, values)
    return records.with_columns(
        key.alias("_cohort"),
        ids.alias("_id"),
        derived.alias("_derived"),
        verdicts.reason,
        verdicts.detail,
        first_rule(spec, records, spec.exclusions).alias("_excluded"),
        first_rule(spec, records, spec.label.indeterminate).alias("_indeterminate"),
        latest.alias("_latest"),
        seen.alias("_seen"),
    )


def _cells(records: pl.DataFrame, name: str) -> pl.Series:
    if name in records.columns:
        return records[name]
    return pl.Series(name, [None], dtype=pl.String).new_from_index(0, records.height)


def _check_types(spec: PortfolioSpec, records: pl.DataFrame, verdicts: _Verdicts, values: dict[str, pl.Series]) -> None:
    wanted = {*spec.tape.as_of_columns, *spec.label.outcome_dates, spec.origination_column}
    for name, column in spec.columns.items():
        cells = _cells(records, name)
        if column.role == "ignore" or (column.dtype in ("category", "text") and column.extract is None):
            continue
        if name not in wanted and cells.null_count() == cells.len() and column.role != "weight":
            continue
        found = columns.parsed(cells, column)
        if name in wanted:
            values[name] = found.alias(name)
        if found.null_count() > cells.null_count() or column.extract or column.replace:
            verdicts.against(columns.unparsed(cells, column), f"{name}: {_expected(column)}", cells)
        if column.role == "weight":
            verdicts.against(found.is_null() | (found <= 0), f"{name}: weight missing or not above 0", cells)


def _check_order(
    spec: PortfolioSpec, records: pl.DataFrame, day: pl.Series, verdicts: _Verdicts, values: dict[str, pl.Series]
) -> None:
    """Nothing happens to a loan before there is one."""
    definition = spec.label.definition
    if isinstance(definition, LastPaymentAndStatus):
        name, why = definition.last_payment, PAID_BEFORE
    elif isinstance(definition, ChargedOff) and definition.date is not None:
        name, why = definition.date, CHARGED_OFF_BEFORE
    elif isinstance(definition, RepaymentDates):
        name, why = definition.repaid, REPAID_BEFORE
    else:
        return
    happened = values.get(name)
    if happened is None:
        return
    if isinstance(definition, LastPaymentAndStatus) or any(
        columns.names_no_day(spec.columns[n]) for n in (name, spec.origination_column)
    ):
        happened, day = happened.dt.month_start(), day.dt.month_start()
    verdicts.against(happened < day, why, _cells(records, name))


def _expected(column: Column) -> str:
    if column.dtype == "number":
        return "not a number"
    if column.dtype == "date":
        return f"not a date {' or '.join(column.formats)}"
    return f"does not match {column.extract}"


def _cohort_keys(spec: PortfolioSpec, day: pl.Series) -> pl.Series:
    """Partition keys of origination dates: the period's first month."""
    truncated = day.dt.truncate(f"{spec.periods.months}mo")
    return truncated.dt.strftime("%Y-%m")


def _identities(spec: PortfolioSpec, records: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    ids = _cells(records, "" if spec.loan_id.column is None else spec.loan_id.column)
    ids = columns.stripped(ids)
    derived = ids.is_null()
    if not spec.loan_id.derive_from or not derived.any():
        return ids, pl.Series([False]).new_from_index(0, records.height)
    blank = records.filter(derived)
    canonical = [_canonical(_cells(blank, name), spec.columns[name]) for name in spec.loan_id.derive_from]
    joined = pl.DataFrame([s.fill_null("").alias(str(i)) for i, s in enumerate(canonical)]).select(
        pl.concat_str(pl.all(), separator="\x1f")
    )
    hashes = ["h" + hashlib.sha256(text.encode()).hexdigest()[:16] for text in joined.to_series()]
    ids = ids.scatter(derived.arg_true(), hashes)
    return ids, derived


def _canonical(cells: pl.Series, column: Column) -> pl.Series:
    """Text that stays the same when an export writes 7500 for 7500.0, so that the id does too."""
    if column.dtype == "number":
        return (columns.numbers(cells, column) * 1e6).round().cast(pl.Int64, strict=False).cast(pl.String)
    if column.dtype == "date":
        return columns.days(cells, column).dt.strftime("%Y-%m-%d")
    return columns.texts(cells, column)


def _outcome_dates(spec: PortfolioSpec, values: dict[str, pl.Series], rows: int) -> tuple[pl.Series, pl.Series]:
    names = [n for n in values if n != spec.origination_column]
    if not names:
        nothing = pl.Series([None], dtype=pl.Date).new_from_index(0, rows)
        return nothing, nothing
    written = pl.DataFrame([values[n] for n in names])
    seen = written.select(
        pl.col(n).dt.month_end() if columns.names_no_day(spec.columns[n]) else pl.col(n) for n in names
    )
    declared = [n for n in names if n in spec.tape.as_of_columns]
    latest = written.select(pl.max_horizontal(names)).to_series()
    if not declared:
        return latest, pl.Series([None], dtype=pl.Date).new_from_index(0, rows)
    return latest, seen.select(pl.max_horizontal(declared)).to_series()


def first_rule(spec: PortfolioSpec, records: pl.DataFrame, rules: tuple[Condition, ...]) -> pl.Series:
    """Name of the first declared rule that holds for each row; null where none does."""
    named = pl.Series([None], dtype=pl.String).new_from_index(0, records.height)
    for rule in rules:
        holds = rule_holds(rule, _cells(records, rule.column), spec.columns[rule.column])
        named = named.set(holds & named.is_null(), rule.name)
    return named


def rule_holds(rule: Condition, cells: pl.Series, column: Column) -> pl.Series:
    """Boolean per row; a missing cell satisfies no rule but ``is_missing: true``."""
    text = columns.stripped(cells)
    if rule.is_missing is not None:
        return text.is_null() if rule.is_missing else text.is_not_null()
    if rule.equals is not None:
        holds = text == rule.equals.strip()
    elif rule.one_of is not None:
        holds = text.is_in([value.strip() for value in rule.one_of])
    elif rule.matches is not None:
        holds = text.str.contains(rule.matches)
    elif rule.below is not None:
        holds = columns.numbers(cells, column) < rule.below
    else:
        assert rule.above is not None
        holds = columns.numbers(cells, column) > rule.above
    return holds.fill_null(False)
