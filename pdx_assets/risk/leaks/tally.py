"""A feature as a table: how often each of its distinct values occurs, by part of the loans and class.

Everything the sentinel asks of a feature is answered from this table, so that a column of 400,000 cells is gone
through once. Weights become effective counts here: a class of a part weighs as many loans as Kish's size says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Kind = Literal["number", "date", "category"]
Floats = NDArray[np.float64]

TRAIN, ITV, OTV, OTHER_OTV = range(4)
"""Parts of the loans; OTV in two halves, so that its own power can be measured without looking at itself."""

DEVELOPMENT, OUT_OF_TIME, ALL = (TRAIN, ITV), (OTV, OTHER_OTV), (TRAIN, ITV, OTV, OTHER_OTV)


@dataclass(frozen=True)
class Loans:
    """Part, class and weight of every loan.

    Attributes:
        part: (n,) TRAIN .. OTHER_OTV.
        bad: (n,) 1 bad, 0 good.
        cohort: (n,) number of the loan's cohort, from 0.
        weight: (n,) above 0, or None.
        total, squared: (4, 2) sums of the weights and of their squares, by part and class.
    """

    part: NDArray[np.int64]
    bad: NDArray[np.int64]
    cohort: NDArray[np.int64]
    weight: Floats | None
    total: Floats
    squared: Floats

    @classmethod
    def of(
        cls, part: NDArray[np.int64], bad: NDArray[np.int64], cohort: NDArray[np.int64], weight: Floats | None
    ) -> Loans:
        cell = part * 2 + bad
        total = np.bincount(cell, weight, minlength=8).astype(np.float64).reshape(4, 2)
        squared = total
        if weight is not None:
            squared = np.bincount(cell, weight**2, minlength=8).astype(np.float64).reshape(4, 2)
        return cls(part, bad, cohort, weight, total, squared)

    def scale(self, parts: Sequence[int]) -> Floats:
        """(2,) what turns a class's weight into effective loans: Kish's size is (sum w)^2 / sum w^2."""
        total, squared = self.total[list(parts)].sum(axis=0), self.squared[list(parts)].sum(axis=0)
        scale: Floats = np.divide(total, squared, out=np.zeros(2), where=squared > 0)
        return scale

    def sizes(self, parts: Sequence[int]) -> Floats:
        """(2,) effective goods and bads."""
        sizes: Floats = self.total[list(parts)].sum(axis=0) * self.scale(parts)
        return sizes

    def by_cohort(self, which: NDArray[np.bool_]) -> Floats:
        """(2, cohorts) effective goods and bads among some loans, cohort by cohort."""
        cohorts = int(self.cohort.max(initial=0)) + 1
        weight = None if self.weight is None else self.weight[which]
        cell = self.bad[which] * cohorts + self.cohort[which]
        found: Floats = np.bincount(cell, weight, minlength=2 * cohorts).reshape(2, cohorts) * self.scale(ALL)[:, None]
        return found


@dataclass(frozen=True)
class Tally:
    """Distinct values of one feature and what they weigh.

    Attributes:
        values: (m,) sorted: float64, or texts of a category.
        weight: (4, 2, m + 1) by part, class and value; the last is missing.
        code: (n,) position of each loan's value, m where it is missing.
    """

    name: str
    kind: Kind
    values: NDArray[np.float64] | NDArray[np.str_]
    weight: Floats
    code: NDArray[np.int64]
    loans: Loans

    @classmethod
    def of(cls, column: pl.Series, kind: Kind, loans: Loans) -> Tally:
        values, code = _coded(column, kind)
        size = len(values) + 1
        cell = (loans.part * 2 + loans.bad) * size + code
        counted = np.bincount(cell, loans.weight, minlength=8 * size).astype(np.float64)
        return cls(column.name, kind, values, counted.reshape(4, 2, size), code, loans)

    def effective(self, parts: Sequence[int] = ALL) -> Floats:
        """(2, m + 1) effective goods and bads by value, over some parts."""
        found: Floats = self.weight[list(parts)].sum(axis=0) * self.loans.scale(parts)[:, None]
        return found

    @property
    def numbers(self) -> Floats:
        return np.asarray(self.values, dtype=np.float64)


def _coded(column: pl.Series, kind: Kind) -> tuple[NDArray[np.float64] | NDArray[np.str_], NDArray[np.int64]]:
    if kind == "category":
        texts = column.cast(pl.String)
        levels = sorted(texts.drop_nulls().unique().to_list())
        code = texts.cast(pl.Enum(levels)).to_physical().cast(pl.Int64).fill_null(len(levels)).to_numpy()
        return np.array(levels, dtype=np.str_), code
    cells = column.fill_null(float("nan")).to_numpy() if column.dtype.is_float() else column.cast(pl.Float64).to_numpy()
    cells = np.where(np.isfinite(cells), cells, np.nan)
    found, code = np.unique(cells, return_inverse=True)
    # np.unique puts NaN last, once: exactly where missing belongs.
    values = found[:-1] if len(found) and np.isnan(found[-1]) else found
    return values.astype(np.float64), code.astype(np.int64)
