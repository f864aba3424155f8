"""Preprocessing: learned from train only, and the same for every loan afterwards."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.models.preprocessing import BLOCK, CLIP, Preprocessing
from pdx_assets_tests.risk.model_samples import matrix


def loans(numbers: list[list[float]], categories: list[list[str]]) -> LoanMatrix:
    values = np.array(numbers, np.float32).reshape(len(numbers), -1)
    texts = np.empty((len(categories), len(categories[0]) if categories else 0), object)
    texts[:] = categories
    names = tuple(f"n{i}" for i in range(values.shape[1])), tuple(f"c{i}" for i in range(texts.shape[1]))
    return LoanMatrix(values, texts, *names)


def named(preprocessing: Preprocessing, inputs: LoanMatrix) -> dict[str, list[float]]:
    design = preprocessing.transform(inputs)
    return {column.name: design[:, i].tolist() for i, column in enumerate(preprocessing.columns)}


def test_missing_becomes_0_with_a_flag_where_train_had_any() -> None:
    nan = float("nan")
    train = loans([[1, 5], [nan, 7], [3, 6]], [[], [], []])
    learned = Preprocessing.fit(train, standardize=False)
    assert named(learned, train) == {"n0": [1, 0, 3], "n1": [5, 7, 6], "n0 is missing": [0, 1, 0]}
    # n1 was never missing in train: later it becomes 0, and there is no flag to set.
    assert named(learned, loans([[nan, nan]], [[]])) == {"n0": [0], "n1": [0], "n0 is missing": [1]}


def test_rare_and_unseen_levels_become_others() -> None:
    levels = ["a"] * 500 + ["b"] * 480 + ["c"] * 10 + ["d"] * 9 + [""] * 1
    train = loans([[]] * 1000, [[level] for level in levels])
    learned = Preprocessing.fit(train, standardize=False)
    assert [c.name for c in learned.columns] == ["c0 = a", "c0 = b", "c0 = c", "c0 = Others"]
    later = loans([[]] * 5, [["a"], ["d"], [""], ["never seen"], ["Others"]])
    assert learned.transform(later).tolist() == [[1, 0, 0, 0]] + [[0, 0, 0, 1]] * 4


def test_a_missing_category_is_a_level_when_frequent() -> None:
    learned = Preprocessing.fit(loans([[]] * 4, [[""], ["a"], ["a"], ["b"]]), standardize=False)
    assert [c.name for c in learned.columns] == ["c0 = (missing)", "c0 = a", "c0 = b"]
    # No loan of train was in Others: an unseen level is none of the levels.
    assert learned.transform(loans([[]], [["z"]])).tolist() == [[0, 0, 0]]


def test_a_level_called_others_joins_the_collected_ones() -> None:
    train = loans([[]] * 200, [["Others"]] * 100 + [["a"]] * 99 + [["rare"]])
    learned = Preprocessing.fit(train, standardize=False)
    assert [c.name for c in learned.columns] == ["c0 = a", "c0 = Others"]
    assert learned.transform(loans([[]] * 2, [["Others"], ["rare"]])).tolist() == [[0, 1], [0, 1]]


def test_what_does_not_vary_in_train_is_left_out() -> None:
    nan = float("nan")
    train = loans([[1, 2, nan], [1, 3, nan]], [["a", "x"], ["a", "y"]])
    learned = Preprocessing.fit(train, standardize=True)
    assert [c.name for c in learned.columns] == ["n1", "c1 = x", "c1 = y"]
    with pytest.raises(TrainingError, match="No input varies"):
        Preprocessing.fit(loans([[1], [1]], [["a"], ["a"]]), standardize=False)
    with pytest.raises(TrainingError, match="no loans"):
        Preprocessing.fit(train.rows(slice(0, 0)), standardize=False)


def test_standardized_numbers_against_numpy_in_float64() -> None:
    train = matrix(3000, 1)
    learned = Preprocessing.fit(train, standardize=True)
    design = learned.transform(train)
    for i, column in enumerate(learned.columns[:3]):
        filled = np.nan_to_num(train.numbers[:, i].astype(np.float64))
        expected = np.clip((filled - filled.mean()) / filled.std(), -CLIP, CLIP)
        np.testing.assert_allclose(design[:, i], expected, rtol=2e-5, atol=2e-5, err_msg=column.name)
    # Flags and levels stay 0/1.
    assert set(np.unique(design[:, 3:])) == {0.0, 1.0}


def test_trees_get_numbers_as_they_are() -> None:
    train = matrix(500, 2, missing=0)
    design = Preprocessing.fit(train, standardize=False).transform(train)
    np.testing.assert_array_equal(design[:, :3], train.numbers[:, :3])


def test_nothing_is_learned_from_the_loans_transformed() -> None:
    learned = Preprocessing.fit(matrix(500, 3), standardize=True)
    later = matrix(100, 4)
    together, alone = learned.transform(later), [learned.transform(later.rows(slice(i, i + 1))) for i in range(100)]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_blocks_do_not_show() -> None:
    learned = Preprocessing.fit(matrix(500, 3), standardize=True)
    later = matrix(2 * BLOCK + 5, 5)
    picked = np.array([0, BLOCK - 1, BLOCK, 2 * BLOCK, 2 * BLOCK + 4])
    np.testing.assert_array_equal(learned.transform(later)[picked], learned.transform(later.rows(picked)))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_columns_in_any_number_are_those_of_the_full_design(data: st.DataObject) -> None:
    learned = Preprocessing.fit(matrix(400, 6), standardize=data.draw(st.booleans()))
    later = matrix(50, data.draw(st.integers(0, 99)))
    chosen = data.draw(st.lists(st.sampled_from(range(len(learned.columns))), unique=True))
    part = learned.transform(later, [learned.columns[i] for i in chosen])
    np.testing.assert_array_equal(part, learned.transform(later)[:, chosen])
    assert np.isfinite(part).all() and part.dtype == np.float32 and part.flags.c_contiguous


def test_inputs_are_taken_by_name_and_the_description_is_json() -> None:
    learned = Preprocessing.fit(matrix(500, 3), standardize=True)
    later = matrix(10, 4)
    swapped = later.select(later.number_names[::-1], later.category_names[::-1])
    np.testing.assert_array_equal(learned.transform(later), learned.transform(swapped))
    described = json.loads(json.dumps(learned.as_dict(), allow_nan=False))
    assert described["flagged"] == ["income", "debt"]
    assert described["levels"]["purpose"] == ["", "car", "house", "école"]
    assert described["standardized"]["age"]["std"] == pytest.approx(1, abs=0.1)


def test_a_weight_of_3_is_the_loan_three_times() -> None:
    inputs = matrix(600, 5)
    times = np.random.default_rng(5).integers(1, 4, 600)
    weighted = Preprocessing.fit(inputs, standardize=True, weight=times.astype(np.float32))
    repeated = Preprocessing.fit(inputs.rows(np.repeat(np.arange(600), times)), standardize=True)
    assert weighted.mean is not None and repeated.mean is not None and weighted.std is not None
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-6)
    np.testing.assert_allclose(weighted.std, repeated.std, rtol=1e-6)
    assert weighted.levels == repeated.levels and weighted.columns == repeated.columns


def test_a_category_is_rare_by_weight() -> None:
    levels = ["a"] * 90 + ["b"] * 10
    train = loans([[]] * 100, [[level] for level in levels])
    weight = np.where(np.array(levels) == "a", 10, 0.5).astype(np.float32)
    assert Preprocessing.fit(train, standardize=False).levels == (("a", "b"),)
    assert Preprocessing.fit(train, standardize=False, weight=weight).levels == (("a",),), "5 of 905 is 0.6 %"
