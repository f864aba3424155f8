"""The metrics stored with every model and every month, computed in one pass."""

from __future__ import annotations

from numpy.typing import ArrayLike

from pdx_assets.risk.metrics import calibration, discrimination
from pdx_assets.risk.metrics.score_table import ScoreTable, tabulate
from pdx_assets.risk.metrics.weights import ClassWeights


def evaluate(label: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> dict[str, float | int | None]:
    """All metrics of PDs against labels, ready for JSON: plain numbers, None where undefined.

    Args:
        label: (n,) 1 bad, 0 good; n may be 0.
        pd: (n,) in [0, 1]; float32 is evaluated in float64.
        weight: (n,) or None.

    Returns:
        ``auc``, ``ks``, ``f1`` (at the riskiest 30 %), ``capture_rate_top3_deciles``,
        ``average_precision``, ``brier``, ``log_loss``, ``calibration_intercept``, ``calibration_slope``,
        ``n_loans``, ``n_bads`` (both counts of rows), ``bad_rate``, ``mean_pd`` (both weighted). Where loans are
        weighted also ``effective_bads`` and ``effective_goods``, Kish's sizes.

    Raises:
        PdxError: a label, PD or weight that cannot be; names how many.
    """
    return evaluate_table(tabulate(label, pd, weight))


def evaluate_table(table: ScoreTable) -> dict[str, float | int | None]:
    """As :func:`evaluate`, of a table already made."""
    total = float(table.weight.sum())
    return {
        "auc": discrimination.auc.of_table(table),
        "ks": discrimination.ks.of_table(table),
        "f1": discrimination.f1.of_table(table),
        "capture_rate_top3_deciles": discrimination.capture_rate.of_table(table),
        "average_precision": discrimination.average_precision.of_table(table),
        "brier": calibration.brier.of_table(table),
        "log_loss": calibration.log_loss.of_table(table),
        "calibration_intercept": calibration.calibration_intercept.of_table(table),
        "calibration_slope": calibration.calibration_slope.of_table(table),
        "n_loans": table.n_loans,
        "n_bads": table.n_bads,
        "bad_rate": table.total_bads / total if total else None,
        "mean_pd": float((table.pd * table.weight).sum()) / total if total else None,
        **_effective(table),
    }


def _effective(table: ScoreTable) -> dict[str, float]:
    sums = [table.total_bads, table.total_goods, float(table.bad_squares.sum()), float(table.good_squares.sum())]
    if sums[:2] == sums[2:]:
        return {}
    sizes = ClassWeights(*sums).sizes
    return {"effective_bads": sizes.bads, "effective_goods": sizes.goods}
