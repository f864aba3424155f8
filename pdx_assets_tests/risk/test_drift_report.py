"""Evidently's page: self-contained, about the columns asked for, and not upset by what real columns hold."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from pdx_assets.risk.drift_report import drift_report
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
