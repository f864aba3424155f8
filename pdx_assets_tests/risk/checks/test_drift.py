"""PSI with a limit by chance: fires, stays quiet, does not apply; the simulations are in test_psi_simulation.py."""

from __future__ import annotations

import numpy as np
import pytest

from pdx_assets.risk.checks.drift import SCORE, Binned, draws_for, feature_psi, moved, score_psi
from pdx_assets.risk.metrics.stability import psi_by_chance
from pdx_assets.risk.spec import Checks

LIMITS = Checks()


def binned(name: str, reference: np.ndarray, current: np.ndarray) -> Binned:
    return Binned.of_numbers(name, reference, current)


@pytest.fixture
def month() -> dict[str, Binned]:
    rng = np.random.default_rng(1)
    made = {f"f{i}": binned(f"f{i}", rng.normal(size=6000), rng.normal(size=600)) for i in range(10)}
    made["shifted"] = binned("shifted", rng.normal(size=6000), rng.normal(0.6, size=600))
    made[SCORE] = binned(SCORE, rng.normal(size=6000), rng.normal(-0.6, size=600))
    return made


def test_a_feature_and_a_score_that_moved_fail(month: dict[str, Binned]) -> None:
    tested = moved(list(month.values()), LIMITS)
    features, score = feature_psi(LIMITS, tested), score_psi(LIMITS, tested)
    assert features.status == score.status == "failed"
    assert not features.blocks
    assert [row[0] for row in features.rows if row[-1] in ("warning", "alarm")] == ["shifted"]
    assert "shifted 0." in features.reason
    assert score.rows[0][0] == SCORE and len(score.rows) == 1


def test_features_that_did_not_move_are_quiet(month: dict[str, Binned]) -> None:
    still = [f for name, f in month.items() if name not in ("shifted", SCORE)]
    verdict = feature_psi(LIMITS, moved(still, LIMITS))
    assert verdict.status == "passed"
    assert len(verdict.rows) == 10


def test_beyond_the_customary_limit_but_not_beyond_chance_is_quiet() -> None:
    """A month of 60 loans: its PSI is above 0.10 by chance alone, which is what the customary limit cannot know."""
    rng = np.random.default_rng(3)
    tested = moved([binned(f"f{i}", rng.normal(size=2000), rng.normal(size=60)) for i in range(8)], LIMITS)
    assert max(m.psi or 0 for m in tested) > LIMITS.psi_warning
    verdict = feature_psi(LIMITS, tested)
    assert verdict.status == "passed"
    assert any(row[-1] == "chance may explain it" for row in verdict.rows)


def test_beyond_chance_but_too_small_to_matter_is_told_and_quiet() -> None:
    rng = np.random.default_rng(4)
    verdict = feature_psi(LIMITS, moved([binned("x", rng.normal(size=90_000), rng.normal(0.1, size=30_000))], LIMITS))
    assert verdict.status == "passed"
    assert verdict.rows[0][-1] == "moved"


def test_an_empty_month_does_not_apply() -> None:
    empty = binned("x", np.arange(100.0), np.empty(0))
    assert feature_psi(LIMITS, moved([empty], LIMITS)).status == "not_applicable"
    assert score_psi(LIMITS, moved([empty], LIMITS)).status == "not_applicable"


def test_a_constant_feature_never_moves_and_a_new_value_of_it_does() -> None:
    ones = np.ones(1000)
    still, broken = moved([binned("x", ones, ones[:100])], LIMITS), moved([binned("x", ones, ones[:100] * 2)], LIMITS)
    assert still[0].p == 1.0
    assert feature_psi(LIMITS, broken).status == "failed"


def test_both_laws_of_the_psi_agree_where_both_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from pdx_assets.risk.checks import drift

    rng = np.random.default_rng(6)
    sample = [binned("x", rng.normal(size=5000), rng.normal(0.15, size=500))]
    by_formula = moved(sample, LIMITS)[0]
    monkeypatch.setattr(drift, "WELL_FILLED", 1e9)
    drawn = moved(sample, LIMITS)[0]
    assert drawn.p == pytest.approx(by_formula.p, abs=0.015)
    assert drawn.limit == pytest.approx(by_formula.limit, rel=0.08)
    assert (by_formula.limit or 0) > psi_by_chance(5000, 500, 10)


def test_the_same_month_gets_the_same_verdict_twice(month: dict[str, Binned]) -> None:
    assert moved(list(month.values()), LIMITS) == moved(list(month.values()), LIMITS)


def test_draws_resolve_holms_first_step() -> None:
    for features in (1, 25, 400):
        assert 1 / (draws_for(features, 0.05) + 1) <= 0.05 / features / 10 or draws_for(features, 0.05) == 1999


def test_a_new_category_and_values_gone_missing_move_a_feature() -> None:
    before = ["a", "b", None, "b"] * 300
    now = [["a", "b", None, "b"] * 30, ["a", "b", None, "c"] * 30, [None, "b", None, "b"] * 30]
    made = [Binned.of_categories(f"f{i}", before, values) for i, values in enumerate(now)]
    verdict = feature_psi(LIMITS, moved(made, LIMITS))
    assert {row[0]: row[-1] for row in verdict.rows} == {"f0": "", "f1": "alarm", "f2": "alarm"}


def test_uneven_weights_widen_the_limit() -> None:
    rng = np.random.default_rng(8)
    before, now = rng.normal(size=3000), rng.normal(size=400)
    weights = [np.where(np.arange(n) % 20 == 0, 30.0, 1.0) for n in (3000, 400)]
    (plain,), (weighted,) = (
        moved([Binned.of_numbers("x", before, now, *w)], LIMITS) for w in ((None, None), tuple(weights))
    )
    assert (weighted.limit or 0) > 2 * (plain.limit or 0)
    assert (weighted.p or 0) > LIMITS.false_alarm_rate


def test_two_samples_may_have_weights_on_two_scales() -> None:
    """A window weighted by outcome to the size of its book, a month whose outcomes are to come at 1 a loan."""
    rng = np.random.default_rng(9)
    before, now = rng.normal(size=3000), rng.normal(0.1, size=500)
    weights = rng.choice([1.0, 10.0], 3000), np.ones(500)
    (one,) = moved([Binned.of_numbers("x", before, now, *weights)], LIMITS)
    (other,) = moved([Binned.of_numbers("x", before, now, weights[0] * 1000, weights[1])], LIMITS)
    assert other.p == pytest.approx(one.p, rel=1e-9) and other.psi == pytest.approx(one.psi, rel=1e-9)
    assert 0 < (one.p or 0) < 1


def test_weights_of_one_are_no_weights_to_the_bit() -> None:
    rng = np.random.default_rng(10)
    before, now = rng.normal(size=3000), rng.normal(0.2, size=500)
    ones = np.ones(3000, np.float32), np.ones(500, np.float32)
    assert moved([Binned.of_numbers("x", before, now, *ones)], LIMITS) == moved([binned("x", before, now)], LIMITS)
