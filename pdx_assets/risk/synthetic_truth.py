"""What the simulated books without a repayment panel share: true PDs of a given AUC and bad rate, and draws.

What applicants look like, and what makes them risky, is each simulator's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdx_assets.risk.synthetic_applicants import expected_auc


@dataclass(frozen=True)
class Axes:
    """Scale of the two axes of risk, taken once from a reference population.

    Both come out with mean 0 and variance 1 there, and uncorrelated: turning the weights from one to the
    other changes who is risky, not how spread the risks are.
    """

    first_mean: float
    first_sd: float
    second_mean: float
    second_sd: float
    overlap: float

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> Axes:
        a, b = (first - first.mean()) / first.std(), (second - second.mean()) / second.std()
        return cls(*(float(v) for v in (first.mean(), first.std(), second.mean(), second.std(), np.mean(a * b))))

    def index(self, first: np.ndarray, second: np.ndarray, angle: float) -> np.ndarray:
        """Risk index (n,), higher is riskier, of raw axes (n,) with the weights turned by ``angle`` radians."""
        a = (first - self.first_mean) / self.first_sd
        b = ((second - self.second_mean) / self.second_sd - self.overlap * a) / np.sqrt(1 - self.overlap**2)
        return np.asarray(np.cos(angle) * a + np.sin(angle) * b)


def true_pds(index: np.ndarray, *, bad_rate: float, auc: float) -> np.ndarray:
    """PDs (n,) that rise with the index, with a given mean and a given expected AUC.

    The log-odds are linear in the index; intercept and slope are solved on these very loans. An AUC beyond
    what the index can give (too few loans, ties) ends at the steepest slope tried, 50.
    """
    from scipy.optimize import brentq

    def with_slope(slope: float) -> np.ndarray:
        reach = 60.0 + slope * float(np.abs(index).max())
        at = brentq(lambda intercept: expit(intercept + slope * index).mean() - bad_rate, -reach, reach, xtol=1e-11)
        return expit(at + slope * index)

    steepest = 50.0
    if expected_auc(with_slope(steepest)) <= auc:
        return with_slope(steepest)
    return with_slope(brentq(lambda slope: expected_auc(with_slope(slope)) - auc, 0.0, steepest, xtol=1e-9))


def draw_bads(rng: np.random.Generator, true_pd: np.ndarray) -> np.ndarray:
    """Boolean (n,): who turns bad, each with exactly its PD, and as many as the PDs add up to, to the next loan.

    Systematic sampling over a random order (Madow 1949, doi:10.1214/aoms/1177729988): a month's bad rate is
    then the declared one, not the declared one give or take two points.
    """
    order = rng.permutation(len(true_pd))
    passed = np.floor(rng.random() + np.concatenate(([0.0], np.cumsum(true_pd[order]))))
    bad = np.zeros(len(true_pd), dtype=bool)
    bad[order] = np.diff(passed) > 0
    return bad


def shared_out(total: int, weights: np.ndarray) -> np.ndarray:
    """``total`` loans over months in proportion to weights (m,), whole, exact in sum, at least one a month.

    Largest remainders; of equal ones the earlier month's.
    """
    spare = total - len(weights)
    exact = spare * weights / weights.sum()
    whole = np.floor(exact).astype(np.int64)
    left = spare - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:left]] += 1
    return np.asarray(whole + 1)


def pick(rng: np.random.Generator, shares: np.ndarray, count: int) -> np.ndarray:
    """``count`` positions drawn in proportion to ``shares`` (k,)."""
    return np.asarray(rng.choice(len(shares), count, p=shares / shares.sum()))


def expit(x: np.ndarray) -> np.ndarray:
    """Log-odds to shares."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -500, 500))))
