"""LoanMatrix and Sample: what a frame becomes, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from pdx_assets.risk.errors import CleaningError, TrainingError
from pdx_assets.risk.models.matrix import LoanMatrix, Sample

FRAME = pl.DataFrame(
    {
        "income": pl.Series([1.5, None, float("nan")], dtype=pl.Float32),
        "loans": pl.Series([1, 2, None], dtype=pl.Int64),
        "purpose": ["car", None, "car"],
        "never": pl.Series([None, None, None], dtype=pl.String),
    }
)


def test_null_and_nan_are_missing_and_names_keep_the_order_asked_for() -> None:
    got = LoanMatrix.from_frame(FRAME, ["loans", "income"], ["never", "purpose"])
    np.testing.assert_array_equal(got.numbers, np.array([[1, 1.5], [2, np.nan], [np.nan, np.nan]], np.float32))
    assert got.categories.tolist() == [["", "car"], ["", ""], ["", "car"]]
    assert got.numbers.dtype == np.float32 and got.numbers.flags.c_contiguous
    assert (got.number_names, got.category_names) == (("loans", "income"), ("never", "purpose"))


def test_equal_categories_share_one_object() -> None:
    got = LoanMatrix.from_frame(FRAME, [], ["purpose"])
    assert got.categories[0, 0] is got.categories[2, 0]
    assert got.numbers.shape == (3, 0)


def test_a_frame_without_rows_keeps_its_shape() -> None:
    got = LoanMatrix.from_frame(FRAME.clear(), ["income"], ["purpose"])
    assert (len(got), got.numbers.shape, got.categories.shape) == (0, (0, 1), (0, 1))


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e39])
def test_what_overflows_float32_is_refused_by_name_and_row(value: float) -> None:
    frame = pl.DataFrame({"income": [1.0, value]})
    with pytest.raises(CleaningError, match=r"'income' is infinite on row 1"):
        LoanMatrix.from_frame(frame, ["income"], [])


def test_a_missing_input_is_named() -> None:
    with pytest.raises(CleaningError, match=r"\['dti', 'grade'\]"):
        LoanMatrix.from_frame(FRAME, ["income", "dti"], ["grade"])


def test_select_takes_by_name_and_refuses_unknown_names() -> None:
    got = LoanMatrix.from_frame(FRAME, ["income", "loans"], ["purpose", "never"])
    assert got.select(["income", "loans"], ["purpose", "never"]) is got
    swapped = got.select(["loans"], ["never", "purpose"])
    assert swapped.numbers[:2, 0].tolist() == [1, 2]
    assert swapped.categories[0].tolist() == ["", "car"]
    with pytest.raises(CleaningError, match="dti"):
        got.select(["dti"], [])


def test_rows_by_mask_and_slice() -> None:
    got = LoanMatrix.from_frame(FRAME, ["loans"], ["purpose"])
    assert got.rows(np.array([True, False, True])).categories.tolist() == [["car"], ["car"]]
    assert len(got.rows(slice(1, None))) == 2


def test_a_matrix_refuses_other_shapes_types_and_orders() -> None:
    none = np.empty((2, 0), object)
    with pytest.raises(CleaningError, match="shape"):
        LoanMatrix(np.zeros((2, 2), np.float32), none, ("a",), ())
    with pytest.raises(CleaningError, match="float64"):
        LoanMatrix(np.zeros((2, 1)), none, ("a",), ())
    with pytest.raises(CleaningError, match="order"):
        LoanMatrix(np.zeros((2, 2), np.float32, order="F"), none, ("a", "b"), ())
    with pytest.raises(CleaningError, match="str objects"):
        LoanMatrix(np.zeros((2, 0), np.float32), np.array([["a"], ["b"]]), (), ("a",))


def test_a_sample_wants_labels_of_0_and_1_and_positive_weights() -> None:
    matrix = LoanMatrix.from_frame(FRAME, ["income"], [])
    label = np.array([0, 1, 0], np.int8)
    for wrong in (np.array([0, 1, 2]), np.array([0, 1]), np.array([0, 1, np.nan])):
        with pytest.raises(TrainingError, match="Labels"):
            Sample(matrix, wrong)
    for weight in ([1, 0, 1], [1, -1, 1], [1, np.nan, 1], [1, 1]):
        with pytest.raises(TrainingError, match="Weights"):
            Sample(matrix, label, np.array(weight, np.float32))


def test_weights_are_normalized_to_mean_1() -> None:
    matrix = LoanMatrix.from_frame(FRAME, ["income"], [])
    label = np.array([0, 1, 0], np.int8)
    assert Sample(matrix, label).normalized_weight().tolist() == [1, 1, 1]
    assert Sample(matrix, label, np.array([1, 2, 3], np.float32)).normalized_weight().tolist() == [0.5, 1, 1.5]


def test_importing_the_models_imports_no_heavy_library() -> None:
    heavy = "{'sklearn', 'xgboost', 'torch', 'optuna', 'onnx', 'onnxruntime', 'dagster', 'mlflow', 'pandas'}"
    code = (
        "import sys, pkgutil, importlib, pdx_assets.risk.models as m, pdx_assets.risk.bundle\n"
        "for found in pkgutil.iter_modules(m.__path__): importlib.import_module(f'{m.__name__}.{found.name}')\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
