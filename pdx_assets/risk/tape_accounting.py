"""The account of a tape's rows: every row in is a row out, rejected with a reason, or excluded by a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from pdx_assets.risk.errors import TapeError


@dataclass(frozen=True)
class RowAccounting:
    """What became of every row: ``rows_in == rows_out + rejected + excluded``.

    Attributes:
        rows_in: records and malformed lines of the tape; blank lines are no rows.
        rows_out: rows that became loans.
        rejected: reason to count of rows set aside because they are wrong.
        excluded: rule to count of rows left out by the portfolio's declared exclusions.
        indeterminate: rule to count of loans (still among ``rows_out``) whose label is left undecided.
    """

    rows_in: int = 0
    rows_out: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    excluded: dict[str, int] = field(default_factory=dict)
    indeterminate: dict[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        return self.rows_in == self.rows_out + sum(self.rejected.values()) + sum(self.excluded.values())


def loan_counts(index: pl.DataFrame, rejected: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows by cohort, reason and rule, from the judged records and the lines that are no records."""
    lines = pl.DataFrame({"_reason": [r["reason"] for r in rejected if r["line"]]}, schema={"_reason": pl.String})
    counts = [lines.group_by("_reason").len()]
    if index.height:
        index = index.rename({"_cohort": "cohort"})
        counts.append(index.group_by("cohort", "_reason", "_excluded", "_indeterminate").len())
    return pl.concat(counts, how="diagonal")


def accounts(counts: pl.DataFrame, written: Mapping[str, int]) -> tuple[RowAccounting, dict[str, RowAccounting]]:
    """The whole tape's accounting and each cohort's.

    Args:
        counts: rows by cohort, reason and rule: what was judged.
        written: rows by cohort in the staged tables: what came of it. Counted apart, so that an account
            that balances says something.
    """
    cohorts: list[str] = counts["cohort"].drop_nulls().unique().sort().to_list() if "cohort" in counts.columns else []
    each = {key: _account(counts.filter(pl.col("cohort") == key), written.get(key, 0)) for key in cohorts}
    return _account(counts, sum(written.values())), each


def _account(counts: pl.DataFrame, rows_out: int) -> RowAccounting:
    rejected: Counter[str] = Counter()
    excluded: Counter[str] = Counter()
    undecided: Counter[str] = Counter()
    rows_in = 0
    for row in counts.iter_rows(named=True):
        rows_in += row["len"]
        if row["_reason"] is not None:
            rejected[row["_reason"]] += row["len"]
        elif row.get("_excluded") is not None:
            excluded[row["_excluded"]] += row["len"]
        elif row.get("_indeterminate") is not None:
            undecided[row["_indeterminate"]] += row["len"]
    account = RowAccounting(rows_in, rows_out, *(dict(sorted(c.items())) for c in (rejected, excluded, undecided)))
    if not account.balances:
        raise TapeError(
            f"The rows do not add up: {account}.",
            expected="rows in = rows out + rejected + excluded",
            remedy="this is a fault in PDx: report it with the tape's header",
        )
    return account
