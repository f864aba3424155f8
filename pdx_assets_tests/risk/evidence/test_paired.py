"""The month-stratified test: its formula, its level over simulated months, common months only."""

from __future__ import annotations

import numpy as np
import pytest

from pdx_assets.risk.evidence.paired import mean_level, stratified_difference
from pdx_assets_tests.risk.evidence.records import drawn, stated


def test_weights_are_pairs_and_variances_add_up() -> None:
    months = [
        stated(0, {"a": 0.70, "b": 0.60}, error=0.02, correlation=0.5, bads=50),
        stated(1, {"a": 0.64, "b": 0.66}, error=0.04, correlation=0.0, bads=150),
    ]
    found = stratified_difference(months, "a", "b")
    assert found is not None
    assert found.estimate == pytest.approx(0.25 * 0.10 + 0.75 * -0.02)
    variances = (2 * 0.02**2 * 0.5, 2 * 0.04**2)
    assert found.standard_error == pytest.approx(np.sqrt(0.25**2 * variances[0] + 0.75**2 * variances[1]))
    assert (found.months, found.bads) == (2, 200)
    turned = stratified_difference(months[::-1], "b", "a")
    assert turned is not None
    assert turned.estimate == pytest.approx(-found.estimate) and turned.p_value == pytest.approx(1 - found.p_value)
    low, high = found.interval
    assert high - low == pytest.approx(2 * 1.96 * found.standard_error, rel=1e-3)


def test_a_recipe_does_not_differ_from_itself() -> None:
    months = [drawn(k, {"a b": 0.5, "c d": 0.7}) for k in range(3)]
    found = stratified_difference(months, "a b", "a b")
    assert found is not None
    assert (found.estimate, found.standard_error, found.p_value, found.between_months) == (0.0, 0.0, 1.0, 0.0)


def test_only_common_months_count() -> None:
    months = [stated(0, {"a": 0.9}), stated(1, {"a": 0.6, "b": 0.6}), stated(2, {"b": 0.1})]
    found = stratified_difference(months, "a", "b")
    assert found is not None and found.months == 1 and found.estimate == 0.0
    assert found.between_months is None
    assert stratified_difference(months[::2], "a", "b") is None
    level = mean_level(months, "a")
    assert level is not None and level.months == 2
    assert mean_level(months, "c") is None


def test_a_margin_asks_for_more() -> None:
    months = [stated(k, {"a": 0.66, "b": 0.64}) for k in range(20)]
    plain, beyond = (stratified_difference(months, "a", "b", margin=m) for m in (0.0, 0.02))
    assert plain is not None and beyond is not None
    assert plain.p_value < 0.01 and beyond.p_value == pytest.approx(0.5)


def test_months_of_another_level_do_not_matter() -> None:
    """Every PD of one month doubled and of another halved: within months nothing moves, pooled all would."""
    months = [stated(0, {"a": 0.7, "b": 0.6}), stated(1, {"a": 0.5, "b": 0.6})]
    found = stratified_difference(months, "a", "b")
    assert found is not None and found.estimate == pytest.approx(0.0)


def test_of_equal_recipes_one_in_twenty_is_called() -> None:
    """400 records of six months: the test at 5 % holds its level, and sees a truly better recipe."""
    called = {"equal": 0, "better": 0}
    for record in range(400):
        months = [drawn(record * 10 + k, {"a": 0.6, "b": 0.6, "c": 2.5}, bads=25, goods=120) for k in range(6)]
        for name, recipe in (("equal", "b"), ("better", "c")):
            found = stratified_difference(months, recipe, "a")
            assert found is not None
            called[name] += found.p_value <= 0.05
    # Binomial(400, 0.05): 99.9 % lie within 6 and 36.
    assert 6 <= called["equal"] <= 36
    assert called["better"] > 350


def test_the_scatter_of_months_agrees_where_months_differ_by_chance_alone() -> None:
    ratios = []
    for record in range(60):
        months = [drawn(record * 100 + k, {"a": 0.6, "b": 0.8}, bads=40, goods=200) for k in range(20)]
        found = stratified_difference(months, "a", "b")
        assert found is not None and found.between_months is not None
        ratios.append(found.between_months / found.standard_error)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.08)
