"""How much one column alone says, against scikit-learn's AUC."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pdx_assets.risk.drafting.profiles import profile
from pdx_assets.risk.drafting.relations import SUSPICIOUS, TELLS, strength

N = 6000


@pytest.fixture
def book() -> tuple[np.random.Generator, np.ndarray, pl.Series]:
    rng = np.random.default_rng(5)
    return rng, rng.random(N) < 0.1, pl.Series([date(2017, 1, 1)] * N)


def test_agrees_with_the_auc_of_a_number(book: tuple[np.random.Generator, np.ndarray, pl.Series]) -> None:
    from sklearn.metrics import roc_auc_score

    rng, bad, issued = book
    score = np.round(rng.standard_normal(N) + 1.2 * bad, 4)
    column = profile("x", pl.Series(score).cast(pl.String))
    assert strength(column, pl.Series(bad), issued) == pytest.approx(roc_auc_score(bad, score), abs=0.015)
    reverse = profile("x", pl.Series(-score).cast(pl.String))
    assert strength(reverse, pl.Series(bad), issued) == pytest.approx(roc_auc_score(bad, score), abs=0.015)


def test_noise_says_nothing(book: tuple[np.random.Generator, np.ndarray, pl.Series]) -> None:
    rng, bad, issued = book
    number = profile("x", pl.Series(rng.standard_normal(N)).cast(pl.String))
    level = profile("x", pl.Series(rng.integers(0, 60, N)).cast(pl.String) + "a")
    for column in (number, level):
        assert (strength(column, pl.Series(bad), issued) or 1) < 0.62 < SUSPICIOUS


def test_blank_for_unpaid_loans_tells(book: tuple[np.random.Generator, np.ndarray, pl.Series]) -> None:
    rng, bad, issued = book
    paid = [
        None if b else str(date(2017, 2, 1) + timedelta(days=int(k)))
        for b, k in zip(bad, rng.integers(0, 9, N), strict=True)
    ]
    assert (strength(profile("x", pl.Series(paid)), pl.Series(bad), issued) or 0) > TELLS


def test_loans_too_young_to_tell_are_left_out(book: tuple[np.random.Generator, np.ndarray, pl.Series]) -> None:
    _, bad, issued = book
    column = profile("x", pl.Series(["1" if b else "0" for b in bad]))
    young = pl.Series(bad).set(pl.Series(np.arange(N) >= 200), None)
    assert strength(column, young, issued) is None
    assert (strength(column, pl.Series(bad), issued) or 0) == 1
