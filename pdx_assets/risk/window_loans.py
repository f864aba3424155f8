"""A window's loans as models learn from them: labels joined, and the two sides of the development window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from pdx_assets.risk.outcomes import label_view
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import PortfolioSpec

if TYPE_CHECKING:
    from pdx_assets.risk.models.matrix import Sample

ITV_SHARE = 0.25  # the paper's 75/25 split of the development window into train and ITV (its section 4.4)


def in_time_validation(borrower_hash: np.ndarray, seed: int) -> np.ndarray:
    """Which loans are on the ITV side: shape (n,), bool.

    By a hash of the borrower, so that a borrower is on the same side in every month and every window.
    """
    found: np.ndarray = _uniform(borrower_hash, seed) < ITV_SHARE
    return found


def study_sample(borrower_hash: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Which loans a study of at most ``most`` loans takes: shape (n,), bool.

    By a hash of the borrower other than the split's: a borrower's loans are all in it or all out, and both
    sides of the split keep their shares. All loans where there are no more than ``most``.
    """
    if len(borrower_hash) <= most:
        return np.ones(len(borrower_hash), bool)
    place = _uniform(borrower_hash, seed_from("study sample", seed))
    # Strictly below: a borrower whose loans straddle the limit stays out.
    found: np.ndarray = place < np.partition(place, most)[most]
    return found


def _uniform(borrower_hash: np.ndarray, seed: int) -> np.ndarray:
    """float64 in [0, 1) for each hash; the finalizer of splitmix64 (doi:10.1145/2714064.2660195) stirs the seed in."""
    with np.errstate(over="ignore"):
        z = borrower_hash.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    found: np.ndarray = (z >> np.uint64(11)).astype(np.float64) / 2.0**53
    return found


@dataclass(frozen=True)
class Development:
    """The two sides of a development window, ready to learn from."""

    train: Sample
    itv: Sample


def split_development(
    spec: PortfolioSpec, manifest: Mapping[str, Any], rows: pl.DataFrame, *, most: int | None = None
) -> Development:
    """Train and ITV of labelled loans (:func:`labelled`, or immature.exposed_loans), or of a sample of them."""
    seed = manifest["split"]["seed"]
    if most is not None:
        rows = rows.filter(study_sample(rows["borrower_hash"].to_numpy(), most, seed))
    itv = in_time_validation(rows["borrower_hash"].to_numpy(), seed)
    return Development(train=to_sample(spec, rows.filter(~itv)), itv=to_sample(spec, rows.filter(itv)))


def labelled(features: pl.DataFrame, labels: pl.DataFrame, *, on: date) -> pl.DataFrame:
    """Features joined with the labels valid on a day; indeterminate loans left out; a fixed row order."""
    view = label_view(labels, on).filter(pl.col("label").is_not_null()).select("cohort", "loan_id", "label")
    return features.join(view, on=["cohort", "loan_id"], how="inner").sort("cohort", "loan_id")


def to_sample(spec: PortfolioSpec, rows: pl.DataFrame) -> Sample:
    """A model's view of labelled loans."""
    from pdx_assets.risk.models.matrix import LoanMatrix, Sample

    matrix = LoanMatrix.from_frame(rows, spec.number_features, spec.category_features)
    weight = rows["weight"].to_numpy().astype(np.float32) if "weight" in rows.columns else None
    return Sample(matrix, rows["label"].to_numpy().astype(np.int8), weight)
