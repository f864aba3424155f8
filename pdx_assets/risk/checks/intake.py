"""Checks of a cohort as received: are all rows accounted for, and are there as many as to be expected?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from pdx_assets.risk.checks.base import Verdict, judged, not_applicable, percent
from pdx_assets.risk.checks.catalogue import COHORT_VOLUME, ROW_ACCOUNTING
from pdx_assets.risk.spec import Checks
from pdx_assets.risk.tape_accounting import RowAccounting

MIN_REJECTED = 10
"""So few rejected rows are no reason to stop a cohort, however small it is."""

USUAL_NOISE = 0.05
"""A cohort's size is never foreseen better than to 5 %: equal counts by accident must not make a limit of 0."""

MAD_TO_SD = 1.4826


def row_accounting(limits: Checks, loans: RowAccounting, performance: RowAccounting | None = None) -> Verdict:
    """Whether rows in = rows out + rejected + excluded, and the share rejected is within the limit.

    The tape's own tolerance is about all cohorts together; here one cohort is looked at, so that a bad export of one
    month does not hide among a hundred good ones. The share counts from ``MIN_REJECTED`` rejected rows.

    Args:
        loans: the account of the cohort's loan rows.
        performance: that of its performance rows, where there is a panel.
    """
    accounts = {"loan": loans, "performance": performance}
    wrong = [f"{kind} rows do not balance" for kind, account in accounts.items() if account and not account.balances]
    rejected = sum(loans.rejected.values())
    share = rejected / loans.rows_in if loans.rows_in else 0.0
    if rejected >= MIN_REJECTED and share > limits.max_rejected_share:
        worst = max(loans.rejected, key=lambda reason: loans.rejected[reason])
        wrong.append(
            f"{percent(share)} of {loans.rows_in:,} rows were rejected, more than "
            f"{percent(limits.max_rejected_share)}; most of them for: {worst}"
        )
    rows: list[tuple[str, int]] = [("read from the tape", loans.rows_in)]
    rows += [(f"rejected: {reason}", -count) for reason, count in sorted(loans.rejected.items())]
    rows += [(f"excluded: {rule}", -count) for rule, count in sorted(loans.excluded.items())]
    rows.append(("loans kept", loans.rows_out))
    return judged(
        ROW_ACCOUNTING,
        bool(wrong),
        "; ".join(wrong) or f"{loans.rows_in:,} rows in, {loans.rows_out:,} loans kept, {rejected:,} rejected",
        numbers={"rejected share": share},
        columns=("rows", "count"),
        rows=rows,
    )


def cohort_volume(limits: Checks, loans: int, earlier: Sequence[tuple[str, int]]) -> Verdict:
    """Whether a cohort is about as large as those before it.

    The modified z-score of ln(loans) against the trailing cohorts' median, its scale 1.4826 times their median
    absolute deviation with the cohort's own counting noise and ``USUAL_NOISE`` added in squares. So one earlier
    month that went wrong, or a quiet August, does not set the scale, and a small lender's scatter is not news.
    Beyond ``volume_score`` it is a warning; beyond it and by more than the factor ``volume_extreme`` off the
    median, the month is blocked: half a file, or a file loaded twenty times. Source: Iglewicz and Hoaglin 1993,
    How to Detect and Handle Outliers, who give the limit 3.5.

    Args:
        loans: kept rows of the cohort.
        earlier: (cohort, kept rows) of the cohorts before it, in order.
    """
    trailing = [(month, count) for month, count in earlier if count > 0][-limits.reference_cohorts :]
    if len(trailing) < limits.min_reference_cohorts:
        return not_applicable(
            COHORT_VOLUME, f"{len(trailing)} cohorts before it, fewer than the {limits.min_reference_cohorts} needed"
        )
    middle = median(count for _, count in trailing)
    logs = [math.log(count + 0.5) for _, count in trailing]
    centre = median(logs)
    spread = MAD_TO_SD * median(abs(value - centre) for value in logs)
    scale = math.sqrt(spread**2 + 1 / middle + USUAL_NOISE**2)
    z = (math.log(loans + 0.5) - centre) / scale
    ratio = loans / middle
    odd = abs(z) > limits.volume_score
    extreme = odd and not 1 / limits.volume_extreme <= ratio <= limits.volume_extreme
    compared = f"{loans:,} loans, {ratio:.2f} times the median {middle:,.0f} of {trailing[0][0]} to {trailing[-1][0]}"
    return judged(
        COHORT_VOLUME,
        odd,
        f"{compared} (robust z {z:+.1f}, limit {limits.volume_score:g}; blocking beyond a factor of "
        f"{limits.volume_extreme:g})",
        numbers={"loans against median": ratio, "robust z of loans": z},
        columns=("cohort", "loans"),
        rows=trailing[::-1],
        severity="error" if extreme or not odd else "warn",
    )
