"""Weights give back the book: samples drawn by outcome against the whole, where the truth is known.

The books and designs are defined in benchmarks/case_control_books.py, the measures in case_control.py. The slow tests
are that experiment at full size; the others run the same code on fewer replications. Each also shows that without
weights it would fail.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.case_control import METRICS, Agreement, Coverage, agreement, bootstrap_coverage, coverage, training
from benchmarks.case_control_books import DESIGNS, WHOLE, Design, population
from pdx_assets.risk.spec import AlgorithmName

BY_SAMPLE_SIZE = ("ks", "average_precision")
"""Larger in smaller samples, weighted or not (a maximum; a mean of running shares): by about 5 / goods here."""

UNTOUCHED = {"auc", "ks", "calibration_slope"}
"""What no sampling by outcome alone can move, or hardly."""

ONE_IN_TEN = DESIGNS[1]
CONSERVATIVE = ("Hanley and McNeil",)


def check_agreement(design: Design, replications: int) -> None:
    found = agreement(population(), design, replications=replications)
    assert set(found) == {*METRICS, "psi beyond chance"}
    by_outcome_alone = design.goods[0] == design.goods[1]
    for name, one in found.items():
        bias, error = Agreement.bias(one.weighted)
        # 20,000 loans, 92 % good: effective goods of the design.
        goods = 18_400 * 4 / (sum(1 / share for share in design.goods) * 2)
        allowed = 3 * error + (5 / goods if name in BY_SAMPLE_SIZE else 0)
        assert abs(bias) <= allowed, (name, bias, error)
        without, its_error = Agreement.bias(one.unweighted)
        if not (by_outcome_alone and name in UNTOUCHED):
            assert abs(without) > 3 * its_error, (name, without, its_error)


def is_nominal(one: Coverage, variant: str, *, below: bool = True, above: bool = True) -> bool:
    """Whether hits are where chance puts them, in 999 of 1,000."""
    low, high = binom.ppf([0.0005, 0.9995], one.of, one.nominal)
    return (not below or one.hits[variant] >= low) and (not above or one.hits[variant] <= high)


def check_coverage(design: Design, replications: int) -> None:
    found = coverage(population(), design, replications=replications)
    for what, one in found.items():
        if "false alarms" in what:
            assert is_nominal(one, "weighted", below=False), (what, one)
        else:
            assert is_nominal(one, "weighted", above=not any(name in what for name in CONSERVATIVE)), (what, one)
        if design is WHOLE:
            continue
        if "PD band" in what:
            assert one.share("unweighted") < 0.2
            assert not is_nominal(one, "pooled size", below=False), "classes pooled, intervals are far too wide"
        if "calibration" in what:
            assert one.share("unweighted") > 0.9
        if design is not DESIGNS[0] and ("bad rate (Fisher)" in what or "PSI" in what):
            assert one.share("unweighted") > 0.5, "months sampled otherwise than those before"


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_metrics_of_a_weighted_sample_are_those_of_the_book(design: Design) -> None:
    check_agreement(design, 60)


@pytest.mark.parametrize("design", [WHOLE, ONE_IN_TEN, DESIGNS[2]], ids=lambda design: design.name)
def test_intervals_and_tests_of_a_weighted_sample_hold(design: Design) -> None:
    check_coverage(design, 60)


def check_training(algorithm: AlgorithmName, trainings: int, allowed: float, loans: int = 16_000) -> None:
    """PDs learned from one good in ten: as the book's, within ``allowed`` in log odds beside sampling error."""
    found = training(population(), ONE_IN_TEN, algorithm, trainings=trainings, loans=loans)

    def less_book(variant: str, name: str) -> tuple[float, float]:
        return Agreement.bias(np.array([a[name] - b[name] for a, b in zip(found[variant], found["book"], strict=True)]))

    shift, error = less_book("weighted", "calibration_intercept")
    assert abs(shift) <= 3 * error + allowed, (shift, error)
    slope, error = less_book("weighted", "calibration_slope")
    assert abs(slope) <= 3 * error + 0.1, (slope, error)
    assert less_book("weighted", "auc")[0] > -0.02
    # Without weights a good is ten times rarer: ln 10 = 2.3.
    assert less_book("unweighted", "calibration_intercept")[0] == pytest.approx(-np.log(10), abs=0.15)


@pytest.mark.parametrize(
    ("algorithm", "allowed", "loans"), [("logistic_regression", 0.05, 16_000), ("xgboost", 0.15, 8000)]
)
def test_a_model_learns_the_books_pds_from_a_weighted_sample(
    algorithm: AlgorithmName, allowed: float, loans: int
) -> None:
    check_training(algorithm, 3, allowed, loans)


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_metrics_at_full_size(design: Design) -> None:
    check_agreement(design, 400)


@pytest.mark.slow
@pytest.mark.parametrize("design", [WHOLE, *DESIGNS], ids=lambda design: design.name)
def test_intervals_and_tests_at_full_size(design: Design) -> None:
    check_coverage(design, 400)


@pytest.mark.slow
def test_bootstrap_intervals_at_full_size() -> None:
    """Of 3DCR and Brier nominal; of average precision as short of it as on the whole book."""
    whole, sampled = (bootstrap_coverage(population(), share, replications=400) for share in (1.0, 0.1))
    for what, one in sampled.items():
        if "average precision" in what:
            assert one.share("weighted") >= whole[what].share("weighted") - 0.08
        else:
            assert is_nominal(one, "weighted")
        assert one.share("unweighted") < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "allowed"),
    [("logistic_regression", 0.03), ("xgboost", 0.15), ("random_forest", 0.15), ("neural_network", 0.15)],
)
def test_models_at_full_size(algorithm: AlgorithmName, allowed: float) -> None:
    check_training(algorithm, 20, allowed)
