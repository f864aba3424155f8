"""Scores of a cohort, and what a cut-off does with them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.errors import ScoreError
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.scoring import SCORE_SCHEMA, at_cut_off, cut_off_for, score_cohort


class Stub:
    """A bundle whose PDs the test chooses."""

    digest = "d" * 64

    def __init__(self, pd: list[float]) -> None:
        self.pd = np.array(pd, dtype=np.float32)

    def predict_pd(self, matrix: LoanMatrix) -> np.ndarray:
        assert matrix.numbers.shape[0] == len(self.pd)
        return self.pd


def score(pd: list[float]) -> pl.DataFrame:
    frame = pl.DataFrame({"x": np.zeros(len(pd), dtype=np.float32)})
    ids = pl.Series("loan_id", [f"loan {i}" for i in range(len(pd))], dtype=pl.String)
    matrix = LoanMatrix.from_frame(frame, ["x"], [])
    return score_cohort(Stub(pd), matrix, ids, cohort="2016-07", features_sha256="f" * 64)


def test_a_score_row_says_which_model_cohort_content_and_loan() -> None:
    scores = score([0.0, 0.25, 1.0])
    assert scores.schema == SCORE_SCHEMA
    assert scores.row(1) == ("2016-07", "f" * 64, "d" * 64, "loan 1", 0.25)
    assert scores["pd"].to_list() == [0.0, 0.25, 1.0]
    assert score([]).schema == SCORE_SCHEMA


@pytest.mark.parametrize("wrong", [float("nan"), -0.01, 1.01, float("inf"), float("-inf")])
def test_a_pd_outside_0_and_1_is_refused(wrong: float) -> None:
    with pytest.raises(ScoreError, match=r"Bundle dddddddddddd gives 2 of 3 loans of 2016-07"):
        score([wrong, 0.5, wrong])


PDS = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60).map(lambda v: np.array(v, dtype=np.float32))


@settings(max_examples=150, deadline=None)
@given(PDS, st.integers(1, 99))
def test_the_cut_off_approves_the_share_and_no_loan_more(pd: np.ndarray, percent: int) -> None:
    """Incident: ceil(0.55 * 100) is 56, so that 56 of 100 loans were approved where 55 had been asked for."""
    cut_off = cut_off_for(percent / 100, pd)
    share = Fraction(percent, 100)
    n = len(pd)
    # By counting, in exact fractions: the smallest PD at or below which the share lies.
    enough = [v for v in pd.tolist() if Fraction(sum(w <= v for w in pd.tolist()), n) >= share]
    assert cut_off == min(enough)


def test_fifty_five_of_a_hundred() -> None:
    pd = np.arange(100, dtype=np.float32) / 128
    assert at_cut_off(pd, cut_off_for(0.55, pd))["approval_rate"] == 0.55


@settings(max_examples=60, deadline=None)
@given(PDS, st.floats(0, 1))
def test_approval_and_expected_bad_rate(pd: np.ndarray, cut_off: float) -> None:
    found = at_cut_off(pd, cut_off)
    approved = [v for v in pd.tolist() if v <= cut_off]
    assert found["approval_rate"] == pytest.approx(len(approved) / len(pd), abs=1e-15)
    if approved:
        assert found["expected_bad_rate"] == pytest.approx(sum(approved) / len(approved), abs=1e-12)
    else:
        assert found["expected_bad_rate"] is None


@settings(max_examples=100, deadline=None)
@given(PDS, st.integers(1, 99), st.integers(0, 2**32 - 1))
def test_a_weight_counts_as_so_many_loans(pd: np.ndarray, percent: int, seed: int) -> None:
    weight = np.random.default_rng(seed).integers(1, 4, len(pd))
    repeated = np.repeat(pd, weight)
    cut_off = cut_off_for(percent / 100, repeated)
    assert cut_off_for(percent / 100, pd, weight) == cut_off
    found, expected = at_cut_off(pd, cut_off, weight), at_cut_off(repeated, cut_off)
    assert found["approval_rate"] == pytest.approx(expected["approval_rate"], abs=1e-12)
    assert found["expected_bad_rate"] == pytest.approx(expected["expected_bad_rate"], abs=1e-12)


def test_nobody_to_approve() -> None:
    nobody = np.array([], dtype=np.float32)
    assert at_cut_off(nobody, 0.1) == {"approval_rate": None, "expected_bad_rate": None}


def test_the_cut_off_survives_the_document() -> None:
    """Recorded as JSON and carried on: the loan at the cut-off must stay approved."""
    import json

    pd = np.array([0.1, 0.2, 0.3], dtype=np.float32)
    cut_off = json.loads(json.dumps(cut_off_for(0.6, pd)))
    assert at_cut_off(pd, cut_off)["approval_rate"] == pytest.approx(2 / 3)
