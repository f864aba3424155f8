"""Bundle x cohort -> one PD a loan, in float32; and what a cut-off does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pdx_assets.risk.errors import ScoreError

if TYPE_CHECKING:
    from pdx_assets.risk.bundle import Bundle
    from pdx_assets.risk.models.matrix import LoanMatrix

SCORE_SCHEMA = pl.Schema(
    {
        "cohort": pl.String,
        "features_sha256": pl.String,
        "bundle_sha256": pl.String,
        "loan_id": pl.String,
        "pd": pl.Float32,
    }
)


def score_cohort(
    bundle: Bundle, matrix: LoanMatrix, loan_ids: pl.Series, *, cohort: str, features_sha256: str
) -> pl.DataFrame:
    """Every loan's PD under one model, with :data:`SCORE_SCHEMA`.

    Raises:
        ScoreError: a PD is not a number in [0, 1].
    """
    pd = bundle.predict_pd(matrix)
    wrong = int((~((pd >= 0) & (pd <= 1))).sum())
    if wrong:
        raise ScoreError(
            f"Bundle {bundle.digest[:12]} gives {wrong} of {len(pd)} loans of {cohort} a PD outside [0, 1].",
            remedy="re-derive the bundle; do not deploy it",
        )
    return pl.DataFrame({"loan_id": loan_ids, "pd": pd.astype(np.float32)}).select(
        pl.lit(cohort).alias("cohort"),
        pl.lit(features_sha256).alias("features_sha256"),
        pl.lit(bundle.digest).alias("bundle_sha256"),
        "loan_id",
        "pd",
    )


def cut_off_for(approval_rate: float, pd: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The PD at or below which ``approval_rate`` of the loans lie, by weight (lower empirical quantile)."""
    order = np.argsort(pd, kind="stable")
    ordered = pd[order].astype(np.float64)
    if weight is None:
        # Shares are compared as they are written: 0.55 * 100 is 55.000000000000007, and its ceiling one loan too many.
        shares = np.arange(1, len(ordered) + 1) / len(ordered)
    else:
        running = np.cumsum(weight[order].astype(np.float64))
        shares = running / running[-1]
    return float(ordered[min(int(np.searchsorted(shares, approval_rate)), len(ordered) - 1)])


def at_cut_off(pd: np.ndarray, cut_off: float, weight: np.ndarray | None = None) -> dict[str, float | None]:
    """Approval rate at a cut-off, and the bad rate the model itself expects among the approved, both by weight."""
    pds = pd.astype(np.float64)
    weights = np.ones(len(pds)) if weight is None else weight.astype(np.float64)
    approved = weights * (pds <= cut_off)
    taken, total = float(approved.sum()), float(weights.sum())
    return {
        "approval_rate": taken / total if total else None,
        "expected_bad_rate": float(approved @ pds) / taken if taken else None,
    }
