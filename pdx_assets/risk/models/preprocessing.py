"""Preprocessing, learned from train only and carried inside the model (the paper's section 4.1).

Declared outliers are held at bounds; missing numbers become 0 and get a flag column; categories held by
under 1 % of train, by weight, become ``Others``; categories are one-hot; numbers are standardized, and held
within 4 standard deviations, where the algorithm wants it. Flags and one-hot columns
stay 0/1: standardizing a rare one would turn a single loan into an input of 100 standard deviations.
The ONNX counterpart is ``onnx_graph.preprocess``; both do the same float32 operations in the same order,
so that no loan crosses a tree's threshold on the way into a bundle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.models.matrix import LoanMatrix

if TYPE_CHECKING:
    from pdx_assets.risk.spec import Outliers

OTHERS = "Others"
RARE_SHARE = 0.01
# Rows at a time: blocks of a few MiB, so that no temporary is of the matrix's own size.
BLOCK = 8192
# Standard deviations at which a standardized number stops: one income of 6 million is 100 of them, and a
# weighted sum would follow it anywhere. Trees need none.
CLIP = np.float32(4)


@dataclass(frozen=True)
class DesignColumn:
    """One column of the design matrix: a number, a number's missing flag, or one level of a category."""

    kind: Literal["number", "flag", "level"]
    source: str
    level: str = ""

    @property
    def name(self) -> str:
        """What people read: ``annual_inc``, ``annual_inc is missing``, ``purpose = car``."""
        if self.kind == "number":
            return self.source
        if self.kind == "flag":
            return f"{self.source} is missing"
        return f"{self.source} = {self.level or '(missing)'}"


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What was learned from train.

    Attributes:
        numbers: names of the numeric inputs, in the matrix's order.
        categories: names of the category inputs, in the matrix's order.
        levels: for each category, the levels kept (sorted; '' is missing). All else is ``Others``.
        mean: float32 [k], or None where the algorithm takes numbers as they are.
        std: float32 [k], or None likewise.
        columns: the design columns that vary in train: numbers, then flags, then levels.
        bounds: float32 [2, k], the lowest and highest value of each number, infinite where none is declared;
            None where no number has bounds. Missing stays missing.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    mean: np.ndarray | None
    std: np.ndarray | None
    columns: tuple[DesignColumn, ...]
    bounds: np.ndarray | None = None

    @classmethod
    def fit(
        cls,
        matrix: LoanMatrix,
        *,
        standardize: bool,
        outliers: Mapping[str, Outliers] | None = None,
        weight: np.ndarray | None = None,
    ) -> Preprocessing:
        """Learn from the train loans.

        Means, standard deviations, bounds and shares of categories are by ``weight`` (n,), so that a sample drawn by
        outcome is seen as the book it was drawn from: penalties and the hold at 4 standard deviations are in those
        units.

        Args:
            outliers: by number, how its bounds are found (see :func:`bounds_of`).

        A column that does not vary in train is left out: nothing can be learned from it, and a weight
        drawn at random for it would act on the first loan that differs.

        Raises:
            TrainingError: no loans, or no column varies.
        """
        if not len(matrix):
            raise TrainingError("The train sample has no loans.", expected="loans with known labels")
        columns: list[DesignColumn] = []
        flags: list[DesignColumn] = []
        mean = np.zeros(len(matrix.number_names), np.float32)
        std = np.ones(len(matrix.number_names), np.float32)
        bounds = _all_bounds(matrix, outliers or {}, weight)
        for j, name in enumerate(matrix.number_names):
            values = matrix.numbers[:, j].copy()
            missing = np.isnan(values)
            if bounds is not None:
                np.clip(values, bounds[0, j], bounds[1, j], out=values)
            values[missing] = 0
            if values.min() < values.max():
                columns.append(DesignColumn("number", name))
                mean[j], std[j] = moments(values, weight)
            if missing.any() and not missing.all():
                flags.append(DesignColumn("flag", name))
        levels = []
        for j, name in enumerate(matrix.category_names):
            counts, total = _held(matrix.categories[:, j].tolist(), weight)
            # A level really called Others joins the collected ones: one column cannot mean two things.
            kept = sorted(v for v, count in counts.items() if count >= RARE_SHARE * total and v != OTHERS)
            levels.append(tuple(kept))
            held = [*kept, OTHERS] if len(kept) < len(counts) else kept
            if len(held) > 1:
                flags.extend(DesignColumn("level", name, level) for level in held)
        columns += flags
        if not columns:
            raise TrainingError(
                "No input varies over the train loans.",
                expected="at least one input with two different values",
                remedy="check clean_features of the development months",
            )
        if standardize:
            # A spread below float32's resolution would divide by 0.
            std = np.where(std > 0, std, np.float32(1)).astype(np.float32)
            return cls(matrix.number_names, matrix.category_names, tuple(levels), mean, std, tuple(columns), bounds)
        return cls(matrix.number_names, matrix.category_names, tuple(levels), None, None, tuple(columns), bounds)

    def transform(self, matrix: LoanMatrix, columns: Sequence[DesignColumn] | None = None) -> np.ndarray:
        """float32 [n, m] in C order: the given design columns (default all), in the given order."""
        columns = self.columns if columns is None else columns
        matrix = matrix.select(self.numbers, self.categories)
        design = np.empty((len(matrix), len(columns)), np.float32)
        for start in range(0, len(matrix), BLOCK):
            stop = start + BLOCK
            for place, values in self._block(matrix, columns, start, stop):
                design[start:stop, place] = values
        return design

    def _block(
        self, matrix: LoanMatrix, columns: Sequence[DesignColumn], start: int, stop: int
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Places in the design and their values [block, places], kind by kind."""
        numbers = matrix.numbers[start:stop]
        place = [i for i, c in enumerate(columns) if c.kind == "number"]
        source = [self.numbers.index(columns[i].source) for i in place]
        values = numbers[:, source]
        if self.bounds is not None:
            np.clip(values, self.bounds[0, source], self.bounds[1, source], out=values)
        values[np.isnan(values)] = 0
        if self.mean is not None and self.std is not None:
            # Values near float32's end overflow on the way and are held at the limit all the same.
            with np.errstate(over="ignore"):
                values -= self.mean[source]
                values /= self.std[source]
            np.clip(values, -CLIP, CLIP, out=values)
        yield place, values
        place = [i for i, c in enumerate(columns) if c.kind == "flag"]
        yield place, np.isnan(numbers[:, [self.numbers.index(columns[i].source) for i in place]])
        for j, name in enumerate(self.categories):
            place = [i for i, c in enumerate(columns) if c.kind == "level" and c.source == name]
            if place:
                code = self.level_code(name)
                others = len(self.levels[j])
                cells = matrix.categories[start:stop, j].tolist()
                codes = np.fromiter((code.get(cell, others) for cell in cells), np.int64, len(cells))
                yield place, codes[:, None] == np.array([code.get(columns[i].level, others) for i in place])

    def level_code(self, category: str) -> dict[str, int]:
        """Kept level -> its code; every other value has the next code, that of ``Others``."""
        kept = self.levels[self.categories.index(category)]
        return {level: code for code, level in enumerate(kept)}

    def as_dict(self) -> dict[str, Any]:
        """For the bundle's manifest: plain JSON values."""
        flagged = [c.source for c in self.columns if c.kind == "flag"]
        described: dict[str, Any] = {
            "missing_numbers": 0,
            "flagged": flagged,
            "rare_share": RARE_SHARE,
            "others": OTHERS,
            "levels": {name: list(kept) for name, kept in zip(self.categories, self.levels, strict=True)},
            "standardized": None,
            "clip": None if self.mean is None else float(CLIP),
        }
        if self.mean is not None and self.std is not None:
            described["standardized"] = {
                name: {"mean": float(m), "std": float(s)}
                for name, m, s in zip(self.numbers, self.mean, self.std, strict=True)
            }
        if self.bounds is not None:
            described["bounds"] = {
                name: {"lowest": float(low), "highest": float(high)}
                for name, low, high in zip(self.numbers, *self.bounds, strict=True)
                if np.isfinite(low) or np.isfinite(high)
            }
        return described


def bounds_of(values: np.ndarray, rule: Outliers, weight: np.ndarray | None = None) -> tuple[np.float32, np.float32]:
    """The lowest and highest value that is no outlier, the narrower of the declared bounds.

    Args:
        values: float32 [n], the train loans' values, NaN where missing; missing ones are left out.
        rule: mean -+ ``z_score`` standard deviations; first and third quartile -+ ``iqr`` interquartile ranges
            (Tukey 1977, *Exploratory Data Analysis*, section 2C).
        weight: (n,), or None for equal weights; weighted quartiles are values of the sample, without interpolation.

    An interquartile range of 0 says nothing about spread: with half of the loans at one value every other
    would be an outlier. That bound is left out then, and both where no value is there.
    """
    present = ~np.isnan(values)
    here, low, high = values[present].astype(np.float64), -np.inf, np.inf
    by = None if weight is None else weight[present].astype(np.float64)
    if rule.z_score is not None and len(here):
        mean = np.average(here, weights=by)
        reach = rule.z_score * np.sqrt(np.average((here - mean) ** 2, weights=by))
        low, high = mean - reach, mean + reach
    if rule.iqr is not None and len(here):
        if by is None:
            first, third = np.quantile(here, (0.25, 0.75))
        else:
            first, third = np.quantile(here, (0.25, 0.75), weights=by, method="inverted_cdf")
        if third > first:
            reach = rule.iqr * (third - first)
            low, high = max(low, first - reach), min(high, third + reach)
    return np.float32(low), np.float32(high)


def _all_bounds(matrix: LoanMatrix, outliers: Mapping[str, Outliers], weight: np.ndarray | None) -> np.ndarray | None:
    absent = sorted(set(outliers) - set(matrix.number_names))
    if absent:
        raise TrainingError(
            f"Outliers are declared for {absent}, which are no numbers of the matrix.",
            expected=f"some of {list(matrix.number_names)}",
        )
    if not outliers:
        return None
    bounds = np.full((2, len(matrix.number_names)), np.inf, np.float32)
    bounds[0] = -np.inf
    for name, rule in outliers.items():
        j = matrix.number_names.index(name)
        bounds[:, j] = bounds_of(matrix.numbers[:, j], rule, weight)
    return bounds


def moments(values: np.ndarray, weight: np.ndarray | None) -> tuple[float, float]:
    """Mean and standard deviation of a column (n,), by weight where there is one."""
    if weight is None:
        return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    wide = values.astype(np.float64)
    mean = float(np.average(wide, weights=weight))
    return mean, float(np.sqrt(np.average((wide - mean) ** 2, weights=weight)))


def _held(cells: list[str], weight: np.ndarray | None) -> tuple[Mapping[str, float], float]:
    """Weight, or number, of the loans that hold each level; and of all."""
    if weight is None:
        return Counter(cells), len(cells)
    levels, codes = np.unique(np.array(cells, object).astype(str), return_inverse=True)
    held = np.bincount(codes, weights=weight.astype(np.float64), minlength=len(levels))
    return dict(zip(levels.tolist(), held.tolist(), strict=True)), float(held.sum())
