"""How well PDs rank bads above goods: metrics of the ranking alone, and of the riskiest share.

None of them looks at how large a PD is; that is calibration.py. A tie at a cut is split in proportion.
Every metric is None unless both classes carry weight: on one class it is undefined or says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pdx_assets.risk.metrics.score_table import Floats, LoanMetric, ScoreTable, checked_share, tabulate

TOP_SHARE = 0.3
"""The riskiest three deciles, the cut of the paper's 3DCR (Table 3) and F1."""


@dataclass(frozen=True, slots=True, eq=False)
class RocPoints:
    """The ROC curve from (0, 0) to (1, 1), one more point than there are distinct PDs.

    Attributes:
        fpr: share of the goods with a PD at or above the threshold, (k + 1,), ascending.
        tpr: share of the bads, (k + 1,), ascending.
        threshold: descending, the first is infinity.
    """

    fpr: Floats
    tpr: Floats
    threshold: Floats


@LoanMetric
def auc(table: ScoreTable) -> float | None:
    """Area under the ROC curve.

    P(PD of a bad > PD of a good) + P(equal) / 2, over weighted pairs: the Mann-Whitney U over the number
    of pairs. In [0, 1]; 0.5 is a coin, 1 separates. Source: the PDx paper, section 4.2; Mann and Whitney
    1947, doi:10.1214/aoms/1177730491; Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    if not table.has_both_classes:
        return None
    below = np.cumsum(table.goods) - table.goods
    # Not a dot product: BLAS may add in another order on another machine.
    pairs = float((table.bads * (below + table.goods / 2)).sum())
    return pairs / (table.total_bads * table.total_goods)


@LoanMetric
def gini(table: ScoreTable) -> float | None:
    """Gini coefficient (accuracy ratio, Somers' D of the PD given the label): 2 AUC - 1.

    In [-1, 1]; 0 is a coin. Source: Engelmann, Hayden and Tasche 2003, "Testing rating accuracy", Risk
    16(1); BCBS Working Paper 14 (2005), chapter III.
    """
    area = auc.of_table(table)
    return None if area is None else 2 * area - 1


@LoanMetric
def ks(table: ScoreTable) -> float | None:
    """Kolmogorov-Smirnov statistic: max over t of |TPR(t) - FPR(t)|.

    In [0, 1]; two-sided, so an upside-down ranking is not 0. Source: the PDx paper, section 4.2; BCBS
    Working Paper 14 (2005), chapter III.
    """
    if not table.has_both_classes:
        return None
    bads, goods = np.cumsum(table.bads), np.cumsum(table.goods)
    return float(np.abs(bads / bads[-1] - goods / goods[-1]).max())


@LoanMetric
def capture_rate(table: ScoreTable, share: float = TOP_SHARE) -> float | None:
    """Share of all bads among the riskiest ``share`` of the loans; 3DCR at the default 0.3.

    bads(top) / bads, the top being ``share`` of the total weight. In [0, 1]; a coin gives ``share``. The
    same number as :func:`recall`. Source: the PDx paper, section 4.2 and Table 3.

    Raises:
        PdxError: ``share`` is not in (0, 1].
    """
    captured = _captured_bads(table, share)
    return None if captured is None else captured / table.total_bads


@LoanMetric
def recall(table: ScoreTable, share: float = TOP_SHARE) -> float | None:
    """TP / (TP + FN) when the riskiest ``share`` is called bad; in [0, 1].

    Source: the PDx paper, section 4.2 ("Recall as 3 decile capture rate").

    Raises:
        PdxError: ``share`` is not in (0, 1].
    """
    return capture_rate.of_table(table, share)


@LoanMetric
def precision(table: ScoreTable, share: float = TOP_SHARE) -> float | None:
    """TP / (TP + FP) when the riskiest ``share`` is called bad: the bad rate among them; in [0, 1].

    Source: the PDx paper, section 4.2.

    Raises:
        PdxError: ``share`` is not in (0, 1].
    """
    captured = _captured_bads(table, share)
    return None if captured is None else captured / (share * float(table.weight.sum()))


@LoanMetric
def f1(table: ScoreTable, share: float = TOP_SHARE) -> float | None:
    """Harmonic mean of precision and recall when the riskiest ``share`` is called bad.

    2 P R / (P + R) = 2 TP / (share * loans + bads). In [0, 1); at most 2 b / (b + share) where the bad
    rate b is below ``share``, so compare it only at equal bad rates. Source: the PDx paper, section 4.2,
    which leaves the cut open; its figures fit the top 30 % and nothing else.

    Raises:
        PdxError: ``share`` is not in (0, 1].
    """
    captured = _captured_bads(table, share)
    return None if captured is None else 2 * captured / (share * float(table.weight.sum()) + table.total_bads)


@LoanMetric
def average_precision(table: ScoreTable) -> float | None:
    """Area under the precision-recall curve, as a sum of steps.

    Sum over thresholds t, descending, of (R(t) - R(before)) P(t), tied PDs being one threshold. In (0, 1];
    a coin gives the bad rate. Not the trapezoid, which interpolates too kindly: Davis and Goadrich 2006,
    doi:10.1145/1143844.1143874.
    """
    if not table.has_both_classes:
        return None
    bads = table.bads[::-1]
    taken = np.cumsum(table.weight[::-1])
    return float((bads * (np.cumsum(bads) / taken)).sum()) / table.total_bads


def roc_points(label: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> RocPoints | None:
    """The ROC curve's corners, one for each distinct PD; None on one class.

    Args:
        label: (n,) 1 bad, 0 good.
        pd: (n,) in [0, 1].
        weight: (n,) or None.

    Source: Fawcett 2006, doi:10.1016/j.patrec.2005.10.010.
    """
    table = tabulate(label, pd, weight)
    if not table.has_both_classes:
        return None
    bads, goods = np.cumsum(table.bads[::-1]), np.cumsum(table.goods[::-1])
    return RocPoints(
        fpr=np.concatenate(([0.0], goods / goods[-1])),
        tpr=np.concatenate(([0.0], bads / bads[-1])),
        threshold=np.concatenate(([np.inf], table.pd[::-1])),
    )


def _captured_bads(table: ScoreTable, share: float) -> float | None:
    share = checked_share(share, "share")
    if not table.has_both_classes:
        return None
    taken = np.concatenate(([0.0], np.cumsum(table.weight[::-1])))
    bads = np.concatenate(([0.0], np.cumsum(table.bads[::-1])))
    # Linear between two distinct PDs: that is what splitting a tie in proportion means.
    return float(np.interp(share * taken[-1], taken, bads))
