"""Books whose true PDs are known, and samples drawn from them by outcome: what benchmarks/case_control.py measures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from benchmarks.simulated_drift import demo_spec
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.metrics.summary import evaluate
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import Drift, Faults
from pdx_assets.risk.synthetic import simulate


@dataclass(frozen=True, eq=False)
class Population:
    """The lender's loans: what is true of them and what two models say.

    Attributes:
        true_pd: (n,).
        pd, other: (n,) PDs of the model measured, and of a rival with more noise.
        large: (n,) whether the loan's amount is above the median: what the third design samples by.
        edges: PDs that part ``pd`` into quarters.
        matrix: the demo's model inputs.
    """

    true_pd: np.ndarray
    pd: np.ndarray
    other: np.ndarray
    large: np.ndarray
    edges: tuple[float, ...]
    matrix: LoanMatrix

    def __len__(self) -> int:
        return len(self.true_pd)

    def truth(self, pd: np.ndarray | None = None) -> dict[str, Any]:
        """Metrics of ``pd`` (default the model's) over all outcomes these loans can have."""
        return expected(self.true_pd, self.pd if pd is None else pd)


def expected(true_pd: np.ndarray, pd: np.ndarray) -> dict[str, Any]:
    """All metrics of PDs, every loan a bad of weight ``true_pd`` and a good of the rest."""
    label = np.repeat([1, 0], len(true_pd))
    return evaluate(label, np.tile(pd, 2), np.concatenate((true_pd, 1 - true_pd)))


@dataclass(frozen=True)
class Design:
    """Probabilities to be sampled: of bads and goods, each (small, large)."""

    name: str
    bads: tuple[float, float]
    goods: tuple[float, float]

    def draw(self, label: np.ndarray, large: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Which loans are kept, (n,) bool, and the weights of those."""
        share = np.where(label == 1, np.array(self.bads)[large.astype(int)], np.array(self.goods)[large.astype(int)])
        kept = rng.random(len(label)) < share
        return kept, 1 / share[kept]


WHOLE = Design("the whole book", (1.0, 1.0), (1.0, 1.0))
DESIGNS = (
    Design("goods 1 in 2", (1.0, 1.0), (0.5, 0.5)),
    Design("goods 1 in 10", (1.0, 1.0), (0.1, 0.1)),
    Design("bads 1/1 or 1/2, goods 1/3 or 1/15 by amount", (1.0, 0.5), (1 / 3, 1 / 15)),
)


@lru_cache(maxsize=2)
def population(months: int = 10, loans: int = 4000) -> Population:
    """The demo lender's loans of some months, without drift and faults."""
    spec = demo_spec()
    assert spec.tape.simulated is not None
    lender = spec.tape.simulated.model_copy(
        update={"months": months, "loans_per_month": loans, "drift": Drift(), "faults": Faults()}
    )
    book = simulate(lender)
    true_pd = book.truth["true_pd"].to_numpy()
    # As text, the way an export is read.
    features = clean_features(spec, book.loans.with_columns(pl.all().cast(pl.String)))
    matrix = LoanMatrix.from_frame(features, spec.number_features, spec.category_features)
    rng = np.random.default_rng(seed_from("case control", "noise"))
    log_odds = np.log(true_pd / (1 - true_pd))
    off = [-0.6 + 0.85 * log_odds + scale * rng.standard_normal(len(true_pd)) for scale in (0.4, 0.8)]
    pd, other = (1 / (1 + np.exp(-x)) for x in off)
    amount = book.loans["amount"].to_numpy()
    edges = tuple(float(e) for e in np.quantile(pd, (0.25, 0.5, 0.75)))
    return Population(true_pd, pd, other, amount > np.median(amount), edges, matrix)


def draw_book(of: Population, loans: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places of ``loans`` loans in the population, and outcomes from their true PDs."""
    rows = rng.integers(0, len(of), loans)
    return rows, (rng.random(loans) < of.true_pd[rows]).astype(np.int8)
