"""What is true of the peer-to-peer twin's loans: the probability of being bad within twelve months.

Log-odds are a line through an index of what the file shows. The index turns, month by month, from one
direction towards another at right angles to it (drift.concept), so that a model left alone loses power
while a fresh one keeps it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import PeerToPeerTwin
from pdx_assets.risk.synthetic_applicants import expected_auc
from pdx_assets.risk.synthetic_p2p_applicants import draw_applications
from pdx_assets.risk.synthetic_p2p_columns import MARGINALS, STATES

_REFERENCE_MONTH = Month(2016, 6)
_REFERENCE_LOANS = 40_000
_FIRST = {
    "fico_range_low": -0.45,
    "annual_inc": -0.18,
    "dti": 0.28,
    "revol_util": 0.06,
    "inq_last_6mths": 0.20,
    "acc_open_past_24mths": 0.28,
    "mort_acc": -0.18,
    "loan_amnt": 0.22,
    "mo_sin_old_rev_tl_op": -0.14,
    "bc_open_to_buy": -0.20,
    "percent_bc_gt_75": 0.12,
    "tot_hi_cred_lim": -0.14,
    "mths_since_recent_inq": -0.12,
    "delinq_2yrs": 0.10,
    "pub_rec": 0.08,
}
_SECOND = {
    "open_il_24m": 0.26,
    "total_bal_il": 0.22,
    "total_bc_limit": -0.28,
    "all_util": 0.28,
    "mo_sin_rcnt_tl": -0.22,
    "num_actv_rev_tl": 0.24,
    "total_acc": -0.22,
    "revol_bal": 0.22,
    "num_tl_op_past_12m": 0.18,
    "avg_cur_bal": -0.20,
    "pct_tl_nvr_dlq": -0.22,
    "tot_coll_amt": 0.18,
    "emp_length": -0.16,
    "num_rev_accts": -0.14,
}


def true_pds(twin: PeerToPeerTwin, month: Month, applications: pl.DataFrame) -> np.ndarray:
    """float64 [n]: their mean is the declared bad rate of the month, before a shock."""
    rate, angle = bad_rate(twin, month), twin.drift.concept * _years(twin, month)
    reference = _reference()
    index = reference.index(applications, angle)
    log_odds = _slope(round(rate, 4), round(angle, 6), twin.auc) * index
    at = intercept(log_odds, rate)
    if twin.drift.shock_month is not None and not month < Month.parse(twin.drift.shock_month):
        at += twin.drift.shock_log_odds
    return _expit(at + log_odds)


def risk_index(applications: pl.DataFrame) -> np.ndarray:
    """Standard scores, (n,), of the index where it starts: what the platform's own grades are made from."""
    return _reference().index(applications, 0.0)


def covariate_shift(twin: PeerToPeerTwin, month: Month) -> float:
    """Standard deviations by which applicants are worse than in the first month."""
    return twin.drift.covariate * _years(twin, month)


def bad_rate(twin: PeerToPeerTwin, month: Month) -> float:
    """The declared share bad within twelve months, in a straight line between the months given."""
    knots = sorted((Month.parse(key).ordinal, rate) for key, rate in twin.bad_rates.items())
    return float(np.interp(month.ordinal, [k for k, _ in knots], [rate for _, rate in knots]))


def intercept(log_odds: np.ndarray, rate: float) -> float:
    """What has to be added to log-odds for their mean PD to be ``rate`` (Newton steps)."""
    at = float(np.log(rate / (1 - rate))) - float(log_odds.mean())
    for _ in range(50):
        pd = _expit(at + log_odds)
        step = float((pd.mean() - rate) / (pd * (1 - pd)).mean())
        at -= float(np.clip(step, -1, 1))
        if abs(step) < 1e-12:
            break
    return at


def _years(twin: PeerToPeerTwin, month: Month) -> float:
    return (month.ordinal - twin.months[0].ordinal) / 12


class _Reference:
    """A population without drift: it fixes the scales of columns and of both directions of the index."""

    def __init__(self) -> None:
        rng = np.random.default_rng(seed_from("peer-to-peer twin", "reference population"))
        people = draw_applications(rng, _REFERENCE_LOANS, _REFERENCE_MONTH, 0.0)
        self.scales: dict[str, tuple[float, float]] = {}
        for name in {*_FIRST, *_SECOND}:
            values = _transformed(people, name)
            self.scales[name] = float(np.nanmean(values)), float(np.nanstd(values))
        raw_first, raw_second = self._raw(people)
        self.centre = float(raw_first.mean()), float(raw_second.mean())
        self.spread = float(raw_first.std()), float(raw_second.std())
        self.overlap = 0.0
        first, second = self._directions(people)
        self.overlap = float(np.mean(first * second))
        self.people = people

    def index(self, applications: pl.DataFrame, angle: float) -> np.ndarray:
        first, second = self._directions(applications)
        found: np.ndarray = np.cos(angle) * first + np.sin(angle) * second
        return found

    def _directions(self, people: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        raw_first, raw_second = self._raw(people)
        first = (raw_first - self.centre[0]) / self.spread[0]
        second = (raw_second - self.centre[1]) / self.spread[1]
        return first, (second - self.overlap * first) / np.sqrt(1 - self.overlap**2)

    def _raw(self, people: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        def is_in(column: str, *levels: str) -> np.ndarray:
            return people[column].is_in(levels).to_numpy().astype(np.float64)

        score = {name: self._score(people, name) for name in self.scales}
        rents = is_in("home_ownership", "RENT")
        worse = [state for i, state in enumerate(STATES) if i % 4 == 3]
        first = sum((weight * score[name] for name, weight in _FIRST.items()), np.zeros(people.height))
        first += 0.35 * is_in("term", " 60 months") + 0.10 * rents
        first += 0.30 * is_in("purpose", "small_business", "medical", "moving", "renewable_energy")
        first += 0.15 * people["emp_length"].is_null().to_numpy() + 0.12 * is_in("addr_state", *worse)
        # What a sum cannot say: debt weighs on tenants, enquiries on low scores.
        first += 0.30 * np.maximum(score["dti"], 0) * rents
        first += 0.24 * np.maximum(-score["fico_range_low"], 0) * np.maximum(score["inq_last_6mths"], 0)
        second = sum((weight * score[name] for name, weight in _SECOND.items()), np.zeros(people.height))
        second += 0.30 * is_in("verification_status", "Verified") - 0.25 * is_in("purpose", "credit_card")
        second += 0.30 * is_in("application_type", "Joint App")
        second += 0.26 * np.maximum(score["all_util"], 0) * np.maximum(score["open_il_24m"], 0)
        return first, second

    def _score(self, people: pl.DataFrame, name: str) -> np.ndarray:
        mean, spread = self.scales[name]
        score = np.clip((_transformed(people, name) - mean) / spread, -4, 4)
        score[np.isnan(score)] = 0
        return score


@lru_cache(maxsize=1)
def _reference() -> _Reference:
    return _Reference()


@lru_cache(maxsize=4096)
def _slope(rate: float, angle: float, auc: float) -> float:
    """Slope at which the expected AUC of the reference population is ``auc``."""
    from scipy.optimize import brentq

    index = _reference().index(_reference().people, angle)

    def missed(slope: float) -> float:
        log_odds = slope * index
        return expected_auc(_expit(intercept(log_odds, rate) + log_odds)) - auc

    return float(brentq(missed, 0.05, 8.0, xtol=1e-7))


def _transformed(people: pl.DataFrame, name: str) -> np.ndarray:
    values = people[name].to_numpy().astype(np.float64)
    is_money = name not in MARGINALS or MARGINALS[name].is_money
    return np.log1p(values) if is_money else values


def _expit(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
