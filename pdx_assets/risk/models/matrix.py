"""LoanMatrix and Sample: loans as arrays, as every algorithm and every bundle takes them.

Only containers and their checks live here; what is learned from them is in preprocessing.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pdx_assets.risk.errors import CleaningError, TrainingError


@dataclass(frozen=True, eq=False)
class LoanMatrix:
    """Model inputs of n loans.

    Attributes:
        numbers: float32 [n, k], C order, NaN where missing, never infinite.
        categories: str objects [n, c], '' where missing.
        number_names: the k columns of ``numbers``.
        category_names: the c columns of ``categories``.
    """

    numbers: np.ndarray
    categories: np.ndarray
    number_names: tuple[str, ...]
    category_names: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.numbers)
        wanted = {"numbers": (n, len(self.number_names)), "categories": (n, len(self.category_names))}
        for name, shape in wanted.items():
            got = getattr(self, name).shape
            if got != shape:
                raise CleaningError(f"A loan matrix's {name} have shape {got}.", expected=f"{shape}: loans x names")
        if self.numbers.dtype != np.float32 or not self.numbers.flags.c_contiguous:
            raise CleaningError(
                f"A loan matrix's numbers are {self.numbers.dtype} in another order than C.",
                expected="float32, C order",
            )
        if self.categories.dtype != object:
            raise CleaningError(f"A loan matrix's categories are {self.categories.dtype}.", expected="str objects")

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, numbers: Sequence[str], categories: Sequence[str]) -> LoanMatrix:
        """The named columns of a frame; null becomes NaN or ''.

        Raises:
            CleaningError: a column is missing, or a number is infinite (or overflows float32).
        """
        absent = [name for name in (*numbers, *categories) if name not in frame.columns]
        if absent:
            raise CleaningError(
                f"The features lack the model inputs {absent}.",
                expected=f"all of {len(numbers) + len(categories)} inputs",
                remedy="materialize clean_features of these cohorts with the model's spec",
            )
        values = np.empty((frame.height, len(numbers)), np.float32)
        for j, name in enumerate(numbers):
            # Out of float32's range is caught below as infinite; numpy's warning would only repeat it.
            with np.errstate(over="ignore"):
                values[:, j] = frame[name].cast(pl.Float64).to_numpy().astype(np.float32)
            if np.isinf(values[:, j]).any():
                row = int(np.isinf(values[:, j]).argmax())
                raise CleaningError(
                    f"Feature {name!r} is infinite on row {row} (value {frame[name][row]}).",
                    expected="a number in float32's range, or missing",
                    remedy="correct the column's declaration so that such cells are rejected or missing",
                )
        texts = np.empty((frame.height, len(categories)), object)
        for j, name in enumerate(categories):
            column = frame[name].cast(pl.String).fill_null("")
            vocabulary = column.unique().sort()
            # One str object a level, not one a loan: 60 bytes a cell would be many times the matrix.
            codes = column.cast(pl.Enum(vocabulary)).to_physical().to_numpy()
            texts[:, j] = np.array(vocabulary.to_list(), object)[codes]
        return cls(values, texts, tuple(numbers), tuple(categories))

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, index: np.ndarray | slice) -> LoanMatrix:
        """Some of the loans, by position, slice or mask."""
        numbers = np.ascontiguousarray(self.numbers[index])
        return LoanMatrix(numbers, self.categories[index], self.number_names, self.category_names)

    def select(self, numbers: Sequence[str], categories: Sequence[str]) -> LoanMatrix:
        """The named columns in the given order; itself when nothing changes.

        Raises:
            CleaningError: a name is not in the matrix.
        """
        if tuple(numbers) == self.number_names and tuple(categories) == self.category_names:
            return self
        absent = sorted({*numbers} - {*self.number_names} | {*categories} - {*self.category_names})
        if absent:
            raise CleaningError(f"The loan matrix lacks the inputs {absent}.", expected="every input of the model")
        k = [self.number_names.index(name) for name in numbers]
        c = [self.category_names.index(name) for name in categories]
        # Not numbers[:, k]: that gives Fortran order.
        return LoanMatrix(
            np.take(self.numbers, np.array(k, np.intp), axis=1),
            self.categories[:, c],
            tuple(numbers),
            tuple(categories),
        )


@dataclass(frozen=True, eq=False)
class Sample:
    """Loans with known labels.

    Attributes:
        matrix: the loans' inputs.
        label: int8 [n], 1 = bad.
        weight: float32 [n], positive, or None for equal weights; any scale, training normalizes to mean 1.
    """

    matrix: LoanMatrix
    label: np.ndarray
    weight: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.matrix)
        if self.label.shape != (n,) or not np.isin(self.label, (0, 1)).all():
            raise TrainingError(
                f"Labels of shape {self.label.shape} with values {np.unique(self.label)[:5].tolist()}.",
                expected=f"0 or 1 for each of {n} loans",
                remedy="keep only loans whose label is known and determinate",
            )
        if self.weight is not None and (
            self.weight.shape != (n,) or not np.isfinite(self.weight).all() or not (self.weight > 0).all()
        ):
            raise TrainingError(
                f"Weights of shape {self.weight.shape} that are not all positive and finite.",
                expected=f"a positive weight for each of {n} loans",
            )

    def __len__(self) -> int:
        return len(self.matrix)

    @property
    def bads(self) -> int:
        return int(self.label.sum())

    @property
    def uneven_weight(self) -> np.ndarray | None:
        """The weights, or None where all loans weigh the same: what is learned is then what no weights give."""
        if self.weight is None or self.weight.min(initial=np.inf) == self.weight.max(initial=-np.inf):
            return None
        return self.weight

    def normalized_weight(self) -> np.ndarray:
        """float32 [n] weights with mean 1, so that penalties and leaf sizes mean the same on any scale."""
        if self.weight is None:
            return np.ones(len(self), np.float32)
        return (self.weight / self.weight.mean(dtype=np.float64)).astype(np.float32)
