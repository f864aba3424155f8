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


def cut_off_for(approval_rate: float, pd: np.ndarray) -> float:
    """The PD at or below which ``approval_rate`` of the loans lie (lower empirical quantile)."""
    ordered = np.sort(pd.astype(np.float64))
    # Shares are compared as they are written: 0.55 * 100 is 55.000000000000007, and its ceiling one loan too many.
    shares = np.arange(1, len(ordered) + 1) / len(ordered)
    return float(ordered[np.searchsorted(shares, approval_rate)])


def at_cut_off(pd: np.ndarray, cut_off: float) -> dict[str, float | None]:
    """Approval rate at a cut-off, and the bad rate the model itself expects among the approved."""
    approved = pd.astype(np.float64) <= cut_off
    expected = float(pd[approved].astype(np.float64).mean()) if approved.any() else None
    return {"approval_rate": float(approved.mean()) if len(pd) else None, "expected_bad_rate": expected}
