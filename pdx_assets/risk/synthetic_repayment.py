"""What the simulated lender's borrowers repay, month by month on book, and what is reported of it when.

Paths of days past due, prepayment, cure and charge-off belong here, and the reporting faults (late and
withdrawn reports), which change what is first written of a path but never the path itself.

Whether a loan is 90 days past due within twelve months on book is drawn first, with exactly the loan's
true PD; the path is then filled in around it. Going the other way (a Markov chain with tuned rates)
would make the true PD something to estimate rather than something known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HORIZON = 12
CHARGE_OFF = 5  # buckets of 30 days past due: charged off at 150
_LONGEST_TERM = 36
LAST_AGE = _LONGEST_TERM + CHARGE_OFF

RUNNING, PREPAID, MATURED, CHARGED_OFF = range(4)

# Monthly chances of the bucket (0 to 5) a month later, by bucket now. A loan that never reaches 90 days
# past due has blips that cure; one that has been there falls back more easily.
_BLIP = np.array([[1, 0, 0, 0, 0, 0], [0.70, 0.15, 0.15, 0, 0, 0], [0.55, 0.25, 0.20, 0, 0, 0]])
_AFTER = np.array(
    [
        [0.75, 0.25, 0, 0, 0, 0],
        [0.30, 0.20, 0.50, 0, 0, 0],
        [0.20, 0.10, 0.20, 0.50, 0, 0],
        [0.07, 0, 0.05, 0.13, 0.75, 0],
        [0.03, 0, 0, 0.04, 0.08, 0.85],
    ]
)


def seasoning() -> np.ndarray:
    """Cumulative hazard by month on book, shape (37,): 0 up to month 2, exactly 1 at month 12.

    P(90 days past due by month k) = 1 - (1 - PD) ** seasoning[k]. The monthly hazard rises from month 3,
    peaks in month 7 and fades, the familiar shape of unsecured instalment vintages.
    """
    elapsed = np.maximum(np.arange(_LONGEST_TERM + 1) - 2.0, 0.0)
    hazard = elapsed * np.exp(-elapsed / 5)
    cumulated = np.cumsum(hazard)
    return cumulated / cumulated[HORIZON]


@dataclass(frozen=True)
class Paths:
    """Repayment of n loans by month on book (age 0 is the month of origination).

    Attributes:
        bucket: int8 (n, LAST_AGE + 1), days past due / 30 at the end of each month on book.
        end: int16 (n,), the last age with a row.
        ending: int8 (n,), how it ended: PREPAID, MATURED or CHARGED_OFF.
        bad_age: int16 (n,), first age at 90 days past due; 0 when never.
    """

    bucket: np.ndarray
    end: np.ndarray
    ending: np.ndarray
    bad_age: np.ndarray


def draw_paths(rng: np.random.Generator, true_pd: np.ndarray, term: np.ndarray) -> Paths:
    """Repayment paths with P(0 < bad_age <= 12) equal to ``true_pd``, loan by loan.

    Within the horizon prepayment competes only for loans that would not have turned bad in it (else it
    would lower the PD below the true one); after it, whichever comes first happens.
    """
    n = len(true_pd)
    # 1 - (1 - pd) ** s >= u exactly when s >= log(1 - u) / log(1 - pd).
    threshold = np.log1p(-rng.random(n)) / np.log1p(-true_pd)
    bad = np.searchsorted(seasoning(), threshold)
    bad = np.where(bad <= np.minimum(term, _LONGEST_TERM), bad, 0)
    blip_chance = 0.012 + 0.25 * true_pd
    prepay_chance = np.clip(0.020 - 0.08 * true_pd, 0.004, None)

    bucket = np.zeros((n, LAST_AGE + 1), dtype=np.int8)
    end, ending = np.zeros(n, dtype=np.int16), np.zeros(n, dtype=np.int8)
    blip, after = np.cumsum(_BLIP, axis=1), np.cumsum(_AFTER, axis=1)
    for age in range(1, LAST_AGE + 1):
        move, leave = rng.random(n), rng.random(n)
        now = bucket[:, age - 1].astype(np.int64)
        been_bad = (bad > 0) & (age > bad)
        usual = (move[:, None] > blip[np.minimum(now, 2), :-1]).sum(axis=1)
        usual = np.where(now == 0, move < blip_chance, usual)
        usual = np.where(age >= term, 0, usual)
        # Past its term a loan in arrears either pays up or rolls to charge-off.
        fallen = (move[:, None] > after[np.minimum(now, 4), :-1]).sum(axis=1)
        fallen = np.where(age > term, np.where((move < 0.1) | (now == 0), 0, now + 1), fallen)
        following = np.where(been_bad, fallen, usual)
        following = np.where(age == bad - 2, np.clip(following, 1, 2), following)
        following = np.where((age == bad - 1) & (bad > 0), 2, following)
        following = np.where((age == bad) & (bad > 0), 3, following)

        alive = ending == RUNNING
        free = (bad == 0) | (been_bad & (now == 0)) | ((bad > HORIZON) & (age < bad - 2))
        prepaid = alive & free & (now == 0) & (age < term) & (leave < prepay_chance)
        following = np.where(prepaid, 0, following)
        bad = np.where(prepaid & (age < bad), 0, bad)
        charged_off = alive & (following >= CHARGE_OFF)
        matured = alive & ~prepaid & (age >= term) & (following == 0)
        bucket[:, age] = np.where(alive, following, 0)
        for code, which in ((PREPAID, prepaid), (MATURED, matured), (CHARGED_OFF, charged_off)):
            ending[which], end[which] = code, age
    return Paths(bucket, end, ending, bad.astype(np.int16))


@dataclass(frozen=True)
class Reports:
    """What is first reported of each path, and when it is put right.

    Attributes:
        bucket: int8, shape of Paths.bucket; the same array where there are no faults.
        corrected_at: int16 (n,), age at whose month end wrong rows are reported again; 0 when never wrong.
    """

    bucket: np.ndarray
    corrected_at: np.ndarray


def draw_reports(
    rng: np.random.Generator, paths: Paths, true_pd: np.ndarray, *, late_share: float, revised_share: float
) -> Reports:
    """Late and withdrawn reports of 90 days past due.

    Late: a bad loan shows at most 60 days past due until 3 to 8 months after it reached 90. Withdrawn: a
    loan that was never bad is reported up to 120 days past due within its first year (payments booked
    to a wrong account), put right 2 to 6 months later; of all loans ever reported bad in the horizon
    about ``revised_share`` are such. So the last word of the tape always agrees with the truth.
    """
    n = len(true_pd)
    none = np.zeros(n, dtype=np.int16)
    if not late_share and not revised_share:
        return Reports(paths.bucket, none)
    pick, lag, first, length = rng.random(n), rng.integers(3, 9, n), rng.random(n), rng.integers(2, 7, n)
    age = np.arange(LAST_AGE + 1)[None, :]

    bad = paths.bad_age.astype(np.int64)[:, None]
    late = (paths.bad_age > 0) & (pick < late_share)
    hidden = late[:, None] & (age >= bad) & (age < bad + lag[:, None])
    bucket = np.where(hidden, np.minimum(paths.bucket, 2), paths.bucket)

    odds = np.divide(revised_share, 1 - revised_share) if revised_share < 1 else np.inf
    chance = np.minimum(odds * true_pd / (1 - true_pd), 1.0)
    alarm = (paths.bad_age == 0) & (paths.end >= 5) & (pick < chance)
    # The alarm needs a row of its own before the loan's last one, which is never wrong.
    latest = np.minimum(paths.end - 1, HORIZON)
    start = (3 + np.floor(first * (latest - 2))).astype(np.int64)[:, None]
    wrong = np.select([age == start - 2, age == start - 1, age == start], [1, 2, 3], 4)
    within = alarm[:, None] & (age >= start - 2) & (age < start + length[:, None]) & (age < paths.end[:, None])
    bucket = np.where(within, np.maximum(bucket, wrong), bucket).astype(np.int8)

    corrected = np.select([late, alarm], [paths.bad_age + lag, start[:, 0] + length], 0)
    return Reports(bucket, corrected.astype(np.int16))


def balance(amount: np.ndarray, rate: np.ndarray, term: np.ndarray, paid: np.ndarray) -> np.ndarray:
    """Outstanding principal of an annuity after ``paid`` instalments, in the unit of ``amount``.

    Args:
        rate: nominal annual rate, percent.
        paid: instalments paid; below 0 counts as none, above the term as all.
    """
    growth = 1 + rate / 1200
    paid = np.clip(paid, 0, term)
    left = amount * (growth**term - growth**paid) / (growth**term - 1)
    return np.round(left, 2)
