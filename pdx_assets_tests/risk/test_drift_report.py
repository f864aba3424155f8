"""Evidently's page: self-contained, about the columns asked for, and not upset by what real columns hold."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from pdx_assets.risk.drift_report import MAX_LOANS, drift_report, thinned
from pdx_assets.risk.errors import PdxError


def sample(loans: int, seed: int, shift: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    numbers = {"income": rng.normal(shift, 1, loans), "never": [None] * loans}
    holes = [None if i % 7 == 0 else v for i, v in enumerate(rng.normal(size=loans).tolist())]
    return pl.DataFrame(
        {**numbers, "score": holes, "purpose": rng.choice(["car", "home", None], loans).tolist()},
        schema={"income": pl.Float32, "never": pl.Float32, "score": pl.Float32, "purpose": pl.String},
    )


def test_the_page_stands_alone_and_names_what_drifted() -> None:
    page = drift_report(
        sample(600, 1), sample(300, 2, shift=1.5), numbers=["income", "never", "score"], categories=["purpose"],
        title="Book <A>: loans of 2024-03",
    )  # fmt: skip
    assert "Book &lt;A&gt;: loans of 2024-03" in page
    for name in ("income", "score", "purpose"):
        assert name in page
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', page)
    assert loaded == [], "something would be fetched from the network"


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(PdxError, match="current sample has 0 loans"):
        drift_report(sample(10, 1), sample(10, 1).clear(), numbers=["income"], categories=[], title="")
    with pytest.raises(PdxError, match=r"lacks \['age'\]"):
        drift_report(sample(10, 1), sample(10, 1), numbers=["age"], categories=[], title="")


def test_a_weighted_sample_is_there_in_proportion_to_its_weight() -> None:
    loans = pl.DataFrame({"income": np.arange(50_000), "weight": np.where(np.arange(50_000) % 5 == 0, 16.0, 1.0)})
    plain, weighted = thinned(loans), thinned(loans, "weight")
    assert plain.height == 16_667 and weighted.height == MAX_LOANS
    assert (weighted["weight"] == 16).mean() == pytest.approx(0.8, abs=0.01)
    assert weighted["income"].is_sorted()
    assert weighted["income"].mean() == pytest.approx(25_000, rel=0.01)
    small = loans.head(10)
    assert thinned(small)["income"].to_list() == small["income"].to_list()
    assert thinned(small.with_columns(weight=pl.lit(3.0)), "weight")["income"].to_list() == small["income"].to_list()


def test_a_report_of_weighted_loans_is_of_the_book() -> None:
    """The sample's riskier half stands for a tenth of the book; the month is the book itself."""
    rng = np.random.default_rng(2)
    income = np.concatenate([rng.normal(0, 1, 2000), rng.normal(3, 1, 2000)])
    sampled = pl.DataFrame({"income": income, "weight": np.repeat([9.0, 1.0], 2000)})
    book = pl.DataFrame({"income": np.concatenate([rng.normal(0, 1, 3600), rng.normal(3, 1, 400)]), "weight": 1.0})
    found = []
    for weight in (None, "weight"):
        page = drift_report(sampled, book, numbers=["income"], categories=[], title="t", weight=weight)
        found.append("Dataset Drift is NOT detected" in page)
    assert found == [False, True]
