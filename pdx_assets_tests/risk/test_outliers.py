"""Outlier bounds: learned from train alone, carried in the bundle, the same in library and graph."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from pdx_assets.risk.bundle import build_bundle
from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.models.preprocessing import Preprocessing, bounds_of
from pdx_assets.risk.models.training import train
from pdx_assets.risk.models.tuning import tune
from pdx_assets.risk.spec import Outliers
from pdx_assets_tests.risk.model_samples import ALGORITHMS, MANIFEST, matrix, sample
from pdx_assets_tests.small_portfolio import small_spec

RULES = {"income": Outliers(z_score=2, iqr=1.5), "debt": Outliers(iqr=1.0)}


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=60),
    z=st.none() | st.floats(0.5, 4),
    iqr=st.floats(0.5, 4),
)
def test_bounds_against_scipy(values: list[float], z: float | None, iqr: float) -> None:
    here = np.array([*values, np.nan], np.float32)
    low, high = bounds_of(here, Outliers(z_score=z, iqr=iqr))
    inside = np.isnan(here) | ((here >= low) & (here <= high))
    present = here[:-1].astype(np.float64)
    spread = stats.iqr(present)
    expected = np.ones(len(present), bool)
    slack = 1e-4 * (1 + np.abs(present).max())
    if spread > 0:
        first, third = np.percentile(present, [25, 75])
        expected &= (present >= first - iqr * spread) & (present <= third + iqr * spread)
    if z is not None and present.std() > 0:
        expected &= np.abs(stats.zscore(present)) <= z
    # Of values within float32's resolution of a bound either answer is right.
    clear = (np.abs(present - low) > slack) & (np.abs(present - high) > slack)
    np.testing.assert_array_equal(inside[:-1][clear], expected[clear])


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 5)), min_size=2, max_size=30))
def test_a_loan_of_weight_k_counts_as_k_loans(loans: list[tuple[int, int]]) -> None:
    values, times = (np.array(column) for column in zip(*loans, strict=True))
    rule = Outliers(z_score=1.5, iqr=1.0)
    weighted = bounds_of(values.astype(np.float32), rule, times.astype(np.float32))
    repeated = np.repeat(values, times).astype(np.float32)
    assert weighted == pytest.approx(bounds_of(repeated, rule, np.ones(len(repeated), np.float32)), rel=1e-6, abs=1e-6)


def test_a_column_of_mostly_one_value_has_no_iqr_to_go_by() -> None:
    values = np.array([0] * 90 + [5] * 10, np.float32)
    assert bounds_of(values, Outliers(iqr=1.5)) == (-np.inf, np.inf)
    low, high = bounds_of(values, Outliers(z_score=2, iqr=1.5))
    assert (low, high) == pytest.approx((0.5 - 3, 0.5 + 3))
    assert bounds_of(np.array([np.nan], np.float32), Outliers(z_score=2, iqr=1)) == (-np.inf, np.inf)


def test_values_outside_stop_at_the_bound_and_missing_stays_missing() -> None:
    train_loans = matrix(4000, 1)
    learned = Preprocessing.fit(train_loans, standardize=False, outliers=RULES)
    low, high = bounds_of(train_loans.numbers[:, 0], RULES["income"])
    later = train_loans.rows(slice(0, 4))
    numbers = later.numbers.copy()
    numbers[:, 0] = [low - 1e5, high + 1e5, np.nan, (low + high) / 2]
    design = learned.transform(LoanMatrix(numbers, later.categories, later.number_names, later.category_names))
    names = [column.name for column in learned.columns]
    assert design[:, names.index("income")].tolist() == [low, high, 0, (low + high) / 2]
    assert design[:, names.index("income is missing")].tolist() == [0, 0, 1, 0]


def test_nothing_of_later_loans_moves_a_bound_or_a_mean() -> None:
    learned = Preprocessing.fit(matrix(3000, 1), standardize=True, outliers=RULES)
    assert learned.bounds is not None and learned.mean is not None and learned.std is not None
    before = [learned.bounds.copy(), learned.mean.copy(), learned.std.copy()]
    wild = matrix(500, 2)
    learned.transform(
        LoanMatrix(wild.numbers * np.float32(1e6), wild.categories, wild.number_names, wild.category_names)
    )
    for kept, now in zip(before, (learned.bounds, learned.mean, learned.std), strict=True):
        np.testing.assert_array_equal(kept, now)
    # Standardized by what was held, or a fat finger would still decide the scale.
    held = np.clip(matrix(3000, 1).numbers[:, 0].astype(np.float64), *learned.bounds[:, 0])
    assert learned.std[0] == pytest.approx(np.nan_to_num(held).std(), rel=1e-5)


def test_without_a_declaration_nothing_changes() -> None:
    plain, none = (Preprocessing.fit(matrix(800, 3), standardize=True, outliers=o) for o in (None, {}))
    assert plain.bounds is None and none.bounds is None and "bounds" not in plain.as_dict()
    np.testing.assert_array_equal(plain.transform(matrix(50, 4)), none.transform(matrix(50, 4)))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_bundle_holds_values_at_the_same_bounds(algorithm: str) -> None:
    learned_from, itv, otv = sample(1500, 1), sample(500, 2), sample(400, 3)
    numbers = otv.matrix.numbers.copy()
    # Values far outside, in both directions, and just at a bound.
    numbers[:60, 0] *= np.float32(1e4)
    numbers[60:120, 1] -= np.float32(50)
    numbers[120:130, 0] = bounds_of(learned_from.matrix.numbers[:, 0], RULES["income"])[1]
    loans = LoanMatrix(numbers, otv.matrix.categories, otv.matrix.number_names, otv.matrix.category_names)
    model = train(algorithm, learned_from, itv, {}, seed=5, outliers=RULES)
    bundle = build_bundle(model, manifest=MANIFEST, parity=loans)
    assert bundle.parity is not None and bundle.parity.max_pd_difference <= 1e-6
    bounds = bundle.manifest["preprocessing"]["bounds"]
    assert set(bounds) == {"income", "debt"} and set(bounds["income"]) == {"lowest", "highest"}
    json.dumps(bounds, allow_nan=False)
    # What lies outside scores as what lies at the bound.
    held = numbers.copy()
    for j, name in enumerate(("income", "debt")):
        held[:, j] = np.clip(held[:, j], np.float32(bounds[name]["lowest"]), np.float32(bounds[name]["highest"]))
    at_bound = LoanMatrix(held, loans.categories, loans.number_names, loans.category_names)
    np.testing.assert_array_equal(bundle.predict_pd(loans), bundle.predict_pd(at_bound))
    without = build_bundle(train(algorithm, learned_from, itv, {}, seed=5), manifest=MANIFEST, parity=loans)
    assert "bounds" not in without.manifest["preprocessing"] and without.digest != bundle.digest


def test_a_study_obeys_them() -> None:
    study: dict[str, Any] = {"objective": "composite", "trials": 2, "seed": 1}
    learned_from, itv = sample(900, 1), sample(400, 2)
    narrow = tune("xgboost", learned_from, itv, **study, outliers={"debt": Outliers(z_score=0.01)})
    assert narrow.best_value < tune("xgboost", learned_from, itv, **study).best_value


def test_declared_for_what_is_no_number() -> None:
    with pytest.raises(TrainingError, match="'height'"):
        Preprocessing.fit(matrix(100, 1), standardize=False, outliers={"height": Outliers(iqr=1.5)})
    with pytest.raises(ValidationError, match="outliers names 'purpose', expected a number feature: amount, "):
        small_spec(outliers={"purpose": {"iqr": 1.5}})
    with pytest.raises(ValidationError, match="give z_score, iqr or both"):
        Outliers()
    assert small_spec(outliers={"amount_to_income": {"iqr": 1.5}}).outliers["amount_to_income"].iqr == 1.5
