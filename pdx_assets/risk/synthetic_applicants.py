"""Who applies to the simulated lender, what their application says, and their true PD.

Borrowers, application columns and the true log-odds belong here. What happens to a loan once granted is
in synthetic_repayment.py; the book as a whole and its files are in synthetic.py.

The true PD is an exact function of application-time columns as they are exported (rounded, with their
missing values), so that nothing but noise stands between a perfect model and the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.seeds import seed_from

# The standard deviation of the true log-odds. With a normal index the AUC of the truth would be about
# Phi(SLOPE / sqrt 2) = 0.75; the index has a long bad tail, which makes it 0.76: what a very good
# application scorecard reaches.
SLOPE = 0.95

_REGIONS = {"north": 0.21, "south": 0.19, "east": 0.17, "west": 0.16, "central": 0.14, "coast": 0.08}
_REGIONS |= {"highlands": 0.044, "islands": 0.006}
_AGE_BANDS = ((25.0, "18-24"), (35.0, "25-34"), (50.0, "35-49"), (65.0, "50-64"), (np.inf, "65+"))


@dataclass(frozen=True)
class Traits:
    """What a borrower carries from one application to the next; arrays of one length.

    ``quality``, ``affluence`` and ``stability`` are latent and about standard normal; ``age`` and
    ``history`` are years at the first application; ``region`` is a position in the list of regions.
    """

    quality: np.ndarray
    affluence: np.ndarray
    stability: np.ndarray
    age: np.ndarray
    history: np.ndarray
    region: np.ndarray

    def take(self, rows: np.ndarray) -> Traits:
        return Traits(**{name: values[rows] for name, values in vars(self).items()})

    def join(self, other: Traits) -> Traits:
        return Traits(**{n: np.concatenate([v, getattr(other, n)]) for n, v in vars(self).items()})


def draw_borrowers(rng: np.random.Generator, count: int, shift: float) -> Traits:
    """``count`` borrowers who apply for the first time; ``shift`` lowers their mean quality (in sd)."""
    quality = rng.standard_normal(count) - shift
    affluence = 0.35 * quality + 0.94 * rng.standard_normal(count)
    stability = 0.30 * quality + 0.95 * rng.standard_normal(count)
    age = np.clip(20.0 + rng.gamma(3.0, 6.5, count), 20.0, 82.0)
    history = (age - 18.0) * rng.beta(2.2, 2.2, count)
    region = _pick(rng, np.broadcast_to(np.array(list(_REGIONS.values())), (count, len(_REGIONS))))
    return Traits(quality, affluence, stability, age, history, region)


def draw_applications(
    rng: np.random.Generator, who: Traits, years_later: np.ndarray, month: Month, shift: float
) -> pl.DataFrame:
    """Application columns, one row a borrower of ``who``, in order of application date.

    Args:
        years_later: years since each borrower's first application.
        shift: how far applicant quality has drifted (sd); also moves the channel mix to mobile.

    Returns:
        Every column of the tape but loan_id, borrower_id and previous_loans; null where missing.
        Column ``applicant`` is the row of ``who``.
    """
    n = len(years_later)
    order = rng.permutation(n)
    who, years_later = who.take(order), years_later[order]

    def noise(scale: float) -> np.ndarray:
        return scale * rng.standard_normal(n)

    age, history = who.age + years_later, who.history + years_later
    # People change between applications: nine tenths of the variance of quality persist.
    quality = 0.95 * who.quality + noise(0.31)
    affluence, stability = who.affluence, who.stability

    income = np.exp(10.5 + 0.42 * affluence + 0.10 * stability + 0.20 * np.log(age / 40) + noise(0.15))
    income = np.round(np.clip(income, 9_000, 450_000), -2)
    employment = np.clip(np.exp(1.2 + 0.7 * stability + noise(0.35)), 0.1, age - 17.5)
    score = np.clip(652 + 46 * quality + 1.5 * (history - 10) + noise(30), 300, 850)
    utilisation = 100 * _expit(-0.35 - 0.75 * quality - 0.15 * affluence + noise(0.9))
    inquiries = rng.poisson(np.exp(-0.35 - 0.30 * quality + noise(0.35)))
    delinquencies = np.minimum(rng.poisson(np.exp(-2.1 - 0.75 * quality + noise(0.5))), 12)
    long_ago = rng.random(n) < _expit(-1.9 - 0.6 * quality)
    since = np.where(delinquencies > 0, rng.integers(1, 24, n), rng.integers(24, 85, n))
    since = np.where((delinquencies > 0) | long_ago, since.astype(float), np.nan)
    dti = np.clip(100 * _expit(-1.6 - 0.25 * quality - 0.30 * affluence + noise(0.5)), 0.5, 65)
    savings = np.exp(6.6 + 0.7 * affluence + 0.35 * quality + noise(1.0))
    savings = np.where(rng.random(n) < _expit(-2.0 - 0.5 * affluence), 0.0, savings)
    amount = np.exp(8.2 + 0.45 * np.log(income / 42_000) + noise(0.5))
    amount = np.clip(np.round(amount / 50) * 50, 500, 40_000)
    size = np.log(amount / 4_000)
    term = np.array([12, 24, 36])[_pick_logits(rng, -0.9 * size, 0.4 + 0 * size, 0.1 + 0.9 * size)]

    home = _pick_logits(rng, 0.9 - 0.03 * (age - 38), 0.55 * affluence + 0.02 * (age - 38), -0.7 + 0.05 * (age - 45))
    home = np.where(rng.random(n) < 0.06 * (age < 32) + 0.015, 3, home)
    home = np.where(rng.random(n) < 0.004, 4, home)
    purpose = _pick_logits(rng, *(base + 0 * size for base in (1.3, 0.2, 0.1, -0.3, -0.5, -1.0, -2.9, -3.2)))
    channel = _pick_logits(
        rng,
        0.9 + 0.15 * affluence,
        0.7 - 0.02 * (age - 40) + 1.5 * shift,
        -0.2 - 0.35 * quality,
        -0.8 - 0.15 * quality,
        -1.4 + 0.03 * (age - 40),
        -3.6 + 0.02 * (age - 40),
        -4.2 + 0 * age,
    )
    work = _pick_logits(
        rng, 1.6 + 0 * age, 0.1 + 0.1 * affluence, 0.0 + 0.25 * stability, (age - 64) / 2, -2.6 - stability
    )

    # The price is another model's output: a generic scorecard of three bureau columns, and haggling.
    rate = 9 + 8 * _expit((640 - score) / 45) + 0.03 * utilisation + 0.5 * inquiries + 1.2 * (term == 36)
    rate = np.clip(rate + noise(1.0), 6.0, 34.9)

    thin = rng.random(n) < np.where(history < 1.5, 0.30, 0.004)
    days = np.sort(rng.integers(0, month.last_day.day, n))
    opened = month.ordinal - np.round(history * 12).astype(np.int64)
    first_of_month = np.array(month.first_day, dtype="datetime64[D]")
    return pl.DataFrame(
        {
            "applicant": order,
            "application_date": first_of_month + days,
            "amount": amount.astype(np.int64),
            "term_months": term,
            "annual_income": income.astype(np.int64),
            "employment_years": _gaps(np.round(employment, 1), rng.random(n) < np.where(work == 1, 0.15, 0.025)),
            "employment_type": np.array(["salaried", "self_employed", "public_sector", "retired", "other"])[work],
            "debt_to_income": np.round(dti, 2),
            "bureau_score": _gaps(np.round(score), thin),
            "revolving_utilisation": _gaps(np.round(utilisation, 1), thin | (rng.random(n) < 0.04)),
            "inquiries_6m": np.minimum(inquiries, 15),
            "delinquencies_2y": delinquencies,
            "months_since_delinquency": since,
            "public_records": np.minimum(rng.poisson(np.exp(-2.9 - 0.6 * quality)), 5),
            "open_accounts": 1 + rng.poisson(np.exp(1.3 + 0.25 * np.log1p(history) + 0.08 * affluence)),
            "oldest_account_date": (opened - 1970 * 12).astype("datetime64[M]").astype("datetime64[D]"),
            "savings_balance": np.round(savings, 2),
            "home_ownership": np.array(["rent", "mortgage", "own", "family", "other"])[home],
            "purpose": np.array(_PURPOSES)[purpose],
            "region": np.array(list(_REGIONS))[who.region],
            "channel": np.array(_CHANNELS)[channel],
            "age_band": np.select([age < end for end, _ in _AGE_BANDS], [name for _, name in _AGE_BANDS], "65+"),
            "annual_rate": np.round(rate, 2),
        },
        nan_to_null=True,
    ).cast({"bureau_score": pl.Int64, "months_since_delinquency": pl.Int64})


_PURPOSES = ("debt_consolidation", "car", "home_improvement", "medical", "business", "education", "moving", "wedding")
_CHANNELS = ("web", "mobile_app", "broker", "partner", "branch", "call_centre", "kiosk")


def risk_indices(loans: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The two axes of the plane in which the true weights rotate, each of shape (n,), higher is riskier.

    The first is a bureau-heavy view of risk (score, utilisation, delinquencies, term), the second a
    means-heavy one (income, employment, savings, inquiries, channel). Both bend and interact, mildly
    enough that a logistic regression is a decent first approximation. Over the reference population
    each has mean 0 and variance 1, and they do not correlate.
    """
    bureau, means = _raw_indices(loans)
    scale = _reference().scale
    first = (bureau - scale.bureau_mean) / scale.bureau_sd
    second = (means - scale.means_mean) / scale.means_sd
    return first, (second - scale.overlap * first) / np.sqrt(1 - scale.overlap**2)


def true_log_odds(loans: pl.DataFrame, *, bad_rate: float, angle: float, shock: float) -> np.ndarray:
    """True log-odds of 90 days past due within twelve months on book, of shape (n,).

    Args:
        loans: application columns, previous_loans included.
        bad_rate: mean PD of the reference population, held at every angle (and so is the AUC of the
            truth), so that concept drift alone changes who is risky and not how many.
        angle: how far the weights have rotated, in radians.
        shock: added to every loan's log-odds.
    """
    first, second = risk_indices(loans)
    intercept, slope = _link(bad_rate, angle)
    return intercept + slope * (np.cos(angle) * first + np.sin(angle) * second) + shock


def _raw_indices(loans: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    def column(name: str, missing: float = 0.0) -> np.ndarray:
        return loans[name].cast(pl.Float64).fill_null(missing).to_numpy()

    def among(name: str, *values: str) -> np.ndarray:
        return loans[name].is_in(values).to_numpy().astype(float)

    score = (column("bureau_score", 620.0) - 655) / 55
    utilisation = column("revolving_utilisation", 55.0) / 100
    inquiries = np.minimum(column("inquiries_6m"), 6)
    late = np.minimum(column("delinquencies_2y"), 4)
    recent = column("months_since_delinquency", 999.0) < 12
    debt = (column("debt_to_income") - 17) / 8
    burden = np.log(column("amount") / column("annual_income")) + 2.3
    income = np.log(column("annual_income") / 38_000)
    employment = np.log(column("employment_years", 2.0) + 0.5)
    savings = np.log1p(column("savings_balance"))
    long_term = column("term_months") == 36
    returning = np.minimum(column("previous_loans"), 2)
    tenant = among("home_ownership", "rent", "family", "other")

    bureau = (
        -0.55 * score
        + 0.30 * late
        + 0.25 * recent
        + 1.2 * np.maximum(utilisation - 0.5, 0)
        + 0.30 * long_term
        + 0.12 * column("public_records")
        - 0.30 * returning
        + 0.30 * np.maximum(debt, 0) * (score < 0)
        + 0.45 * (utilisation > 0.75) * (inquiries >= 2)
    )
    means = (
        -0.60 * income
        - 0.30 * employment
        - 0.07 * savings
        + 0.16 * inquiries
        + 0.35 * burden
        + 0.40 * among("channel", "broker", "partner")
        + 0.35 * among("purpose", "business", "medical")
        + 0.25 * among("employment_type", "self_employed", "other")
        + 0.12 * debt**2 / (1 + 0.2 * debt**2)
        + 0.40 * np.maximum(burden, 0) * tenant
    )
    return bureau, means


@dataclass(frozen=True)
class _Scale:
    bureau_mean: float
    bureau_sd: float
    means_mean: float
    means_sd: float
    overlap: float


@dataclass(frozen=True)
class _Reference:
    scale: _Scale
    first: np.ndarray
    second: np.ndarray


@lru_cache(maxsize=1)
def _reference() -> _Reference:
    """The population that fixes the scale of the truth: first-time applicants without any drift.

    Its seed is a constant of this module: every lender of every seed lives in the same world.
    """
    rng = np.random.default_rng(seed_from("simulated lender", "reference population"))
    count = 12_000
    who = draw_borrowers(rng, count, 0.0)
    loans = draw_applications(rng, who, np.zeros(count), Month(2021, 1), 0.0)
    bureau, means = _raw_indices(loans.with_columns(previous_loans=pl.lit(0)))
    first = (bureau - bureau.mean()) / bureau.std()
    second = (means - means.mean()) / means.std()
    overlap = float(np.mean(first * second))
    scale = _Scale(float(bureau.mean()), float(bureau.std()), float(means.mean()), float(means.std()), overlap)
    return _Reference(scale, first, (second - overlap * first) / np.sqrt(1 - overlap**2))


def expected_auc(true_pd: np.ndarray) -> float:
    """The AUC a model that knew the true PD would have on average over outcomes drawn from it.

    No score can expect more: ranking by the true PD is the Neyman-Pearson ordering. Computed exactly,
    as the AUC of ``true_pd`` with each loan a bad of weight PD and a good of weight 1 - PD.
    """
    values, position = np.unique(true_pd, return_inverse=True)
    bad = np.bincount(position, true_pd, len(values))
    good = np.bincount(position, 1 - true_pd, len(values))
    below = np.cumsum(good) - good
    return float(np.sum(bad * (below + good / 2)) / (bad.sum() * good.sum()))


@lru_cache(maxsize=4096)
def _link(bad_rate: float, angle: float) -> tuple[float, float]:
    """Intercept and slope of the log-odds at an angle.

    Solved on the reference population: its mean PD is ``bad_rate``, and its expected AUC that of angle 0
    with SLOPE. Without the second, the AUC would sag by 0.03 over a quarter turn, since the means-heavy
    axis has the shorter bad tail, and decay of the truth would pass for decay of the models.
    """
    reference = _reference()
    index = np.cos(angle) * reference.first + np.sin(angle) * reference.second

    def intercept(slope: float) -> float:
        at = float(np.log(bad_rate / (1 - bad_rate)))
        for _ in range(8):
            pd = _expit(at + slope * index)
            at -= float((pd.mean() - bad_rate) / (pd * (1 - pd)).mean())
        return at

    def auc(slope: float) -> float:
        return expected_auc(_expit(intercept(slope) + slope * index))

    if angle == 0:
        return intercept(SLOPE), SLOPE
    at, slope = _link(bad_rate, 0.0)
    target = expected_auc(_expit(at + slope * reference.first))
    before, now = SLOPE, SLOPE * 1.05
    missed_before, missed = auc(before) - target, auc(now) - target
    for _ in range(4):  # secant steps: the AUC is nearly linear in the slope here
        if abs(missed) < 1e-7 or missed == missed_before:
            break
        before, now, missed_before = now, now - missed * (now - before) / (missed - missed_before), missed
        missed = auc(now) - target
    return intercept(now), now


def _expit(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _gaps(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.where(where, np.nan, values)


def _pick(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """One position a row of ``weights`` (n, k), in proportion to them."""
    cumulated = np.cumsum(weights, axis=1)
    return (rng.random(len(weights))[:, None] * cumulated[:, -1:] > cumulated[:, :-1]).sum(axis=1)


def _pick_logits(rng: np.random.Generator, *logits: np.ndarray) -> np.ndarray:
    return _pick(rng, np.exp(np.stack(logits, axis=1)))
