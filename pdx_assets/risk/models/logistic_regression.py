"""Logistic regression: an L1 fit selects the variables, an L2 fit on those is the model (appendix A.1).

Both minimize ``mean(weight * log loss) + l1 * |w|_1 + l2 / 2 * |w|_2^2`` with a free intercept; the paper
prints squared error there, which is its slip: the model it describes is the logistic one. Both are solved
here by (proximal) Newton steps over blocks of rows, because scikit-learn's fast L1 solver copies the
matrix to float64; the tests hold the two against each other. Gradients are float64, so the optimum is
exact; the Hessian is float32, which only decides the step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.models.base import Design, Fitted, Params, shares, sigmoid
from pdx_assets.risk.models.preprocessing import moments

if TYPE_CHECKING:
    from pdx_assets.risk.models.onnx_graph import Graph

BLOCK = 4096
MAX_STEPS = 60
# Largest component of the mean loss's gradient at the optimum, per standard deviation of input.
TOLERANCE = 1e-7
# l1 as a fraction of the smallest penalty that removes every variable: carries over between windows.
# Below 0.05 the 100-odd bads of an ITV sample reward noise (seen on LendingClub cohorts up to 2010-09).
L1_FRACTIONS = (0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05)


@dataclass(frozen=True, eq=False)
class FittedLogisticRegression:
    """Coefficients on standardized numbers, float64."""

    selected: tuple[int, ...]
    importances: np.ndarray
    coefficients: np.ndarray
    intercept: float

    def predict_pd(self, X: np.ndarray) -> np.ndarray:
        log_odds = np.empty(len(X), np.float64)
        for start in range(0, len(X), BLOCK):
            block = X[start : start + BLOCK].astype(np.float64)
            log_odds[start : start + BLOCK] = block @ self.coefficients + self.intercept
        return sigmoid(log_odds)

    def add_to(self, graph: Graph, columns: str) -> str:
        weights = graph.constant(self.coefficients[:, None])
        product = graph.add("MatMul", graph.cast(columns, np.float64), weights)
        return graph.pd_from_log_odds(graph.add("Add", product, graph.constant(np.array([self.intercept]))))


@dataclass(eq=False)
class _Loss:
    """Mean weighted log loss over some columns of a design, with intercept last: theta = (w, b)."""

    design: Design
    columns: np.ndarray

    def at(self, theta: np.ndarray) -> float:
        total = 0.0
        for start in range(0, len(self.design.label), BLOCK):
            log_odds = self._block(start).astype(np.float64) @ theta[:-1] + theta[-1]
            total += self._sum(log_odds, start)
        return total / len(self.design.label)

    def derivatives(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Loss, gradient [m + 1] and Hessian [m + 1, m + 1]."""
        m = len(self.columns)
        total, gradient, hessian = 0.0, np.zeros(m + 1), np.zeros((m + 1, m + 1))
        for start in range(0, len(self.design.label), BLOCK):
            stop = start + BLOCK
            block = self._block(start)
            wide = block.astype(np.float64)
            log_odds = wide @ theta[:-1] + theta[-1]
            total += self._sum(log_odds, start)
            pd = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
            weight = self.design.weight[start:stop].astype(np.float64)
            residual = weight * (pd - self.design.label[start:stop])
            gradient[:-1] += residual @ wide
            gradient[-1] += residual.sum()
            curvature = weight * pd * (1 - pd)
            scaled = block * np.sqrt(curvature).astype(np.float32)[:, None]
            hessian[:-1, :-1] += scaled.T @ scaled
            hessian[:-1, -1] += curvature @ wide
            hessian[-1, -1] += curvature.sum()
        hessian[-1, :-1] = hessian[:-1, -1]
        n = len(self.design.label)
        return total / n, gradient / n, hessian / n

    def _block(self, start: int) -> np.ndarray:
        block = self.design.X[start : start + BLOCK]
        return block if len(self.columns) == block.shape[1] else block[:, self.columns]

    def _sum(self, log_odds: np.ndarray, start: int) -> float:
        sign = 1 - 2 * self.design.label[start : start + BLOCK].astype(np.float64)
        return float(self.design.weight[start : start + BLOCK] @ np.logaddexp(0, sign * log_odds))


def _start(design: Design, m: int) -> np.ndarray:
    theta = np.zeros(m + 1)
    rate = float(np.average(design.label, weights=design.weight))
    theta[-1] = np.log(rate / (1 - rate))
    return theta


def _descend(loss: _Loss, theta: np.ndarray, step: np.ndarray, value: float, slope: float, penalty: Any) -> np.ndarray:
    """The first of theta + step, + step / 2, ... that lowers the penalized loss enough (Armijo)."""
    for halving in range(30):
        candidate = theta + step * 0.5**halving
        if loss.at(candidate) + penalty(candidate[:-1]) <= value + 1e-4 * 0.5**halving * slope + 1e-14:
            return candidate
    return theta


def fit_l2(design: Design, columns: np.ndarray, l2: float) -> np.ndarray:
    """theta [m + 1] of the ridge fit, intercept last and not penalized.

    Raises:
        TrainingError: no optimum within 60 Newton steps.
    """
    loss = _Loss(design, columns)
    theta = _start(design, len(columns))
    ridge = np.append(np.full(len(columns), l2), 0.0)
    slack = np.inf
    for _ in range(MAX_STEPS):
        value, gradient, hessian = loss.derivatives(theta)
        gradient = gradient + ridge * theta
        slack = float(np.abs(gradient).max())
        if slack <= TOLERANCE:
            return theta
        # 1e-12 keeps an input whose curvature vanished in float32 from making the system singular.
        step = -np.linalg.solve(hessian + np.diag(ridge + 1e-12), gradient)
        value += 0.5 * float(ridge @ theta**2)
        theta = _descend(loss, theta, step, value, float(gradient @ step), lambda w: 0.5 * l2 * float(w @ w))
    raise _did_not_converge("L2", l2, slack)


def fit_l1(design: Design, l1: float) -> np.ndarray:
    """theta [m + 1] of the lasso fit over all columns, intercept last and not penalized.

    Raises:
        TrainingError: no optimum within 60 proximal Newton steps.
    """
    m = design.X.shape[1]
    loss = _Loss(design, np.arange(m))
    theta = _start(design, m)
    slack = np.inf
    for _ in range(MAX_STEPS):
        value, gradient, hessian = loss.derivatives(theta)
        w, g = theta[:-1], gradient[:-1]
        # The subgradient of smallest size: 0 at the optimum.
        away = np.where(w != 0, np.abs(g + l1 * np.sign(w)), np.maximum(np.abs(g) - l1, 0))
        slack = max(float(away.max()), abs(float(gradient[-1])))
        # Ten times looser than the ridge fit: only which weights are 0 is used.
        if slack <= 10 * TOLERANCE:
            return theta
        step = _lasso_step(hessian, gradient, theta, l1)
        value += l1 * float(np.abs(w).sum())
        slope = float(gradient @ step) + l1 * float(np.abs(w + step[:-1]).sum() - np.abs(w).sum())
        theta = _descend(loss, theta, step, value, slope, lambda v: l1 * float(np.abs(v).sum()))
    raise _did_not_converge("L1", l1, slack)


def _lasso_step(hessian: np.ndarray, gradient: np.ndarray, theta: np.ndarray, l1: float) -> np.ndarray:
    """Minimizer d of g'd + d'Hd / 2 + l1 |w + d|_1, by coordinate descent on the Hessian."""
    m = len(theta) - 1
    diagonal = np.maximum(np.diag(hessian), 1e-12)
    step = np.zeros(m + 1)
    slope = gradient.copy()  # of the quadratic part at the current step
    active = np.arange(m + 1)
    for sweep in range(500):
        largest = 0.0
        for i in active:
            now = theta[i] + step[i]
            target = now - slope[i] / diagonal[i]
            if i < m:
                target = np.sign(target) * max(abs(target) - l1 / diagonal[i], 0.0)
            change = target - now
            if change != 0:
                step[i] += change
                slope += hessian[:, i] * change
                largest = max(largest, abs(change) * diagonal[i])
        # Between full sweeps only weights that are not 0 are visited: the others rarely move.
        full = len(active) == m + 1
        if largest <= 0.1 * TOLERANCE:
            if full:
                break
            active = np.arange(m + 1)
        elif full or sweep % 20 == 19:
            active = np.append(np.flatnonzero(theta[:-1] + step[:-1]), m) if full else np.arange(m + 1)
    return step


def _did_not_converge(penalty: str, size: float, slack: float) -> TrainingError:
    return TrainingError(
        f"The logistic regression's {penalty} fit did not converge in {MAX_STEPS} steps (penalty {size:.3g}).",
        expected=f"a gradient of at most {TOLERANCE:.0e}, got {slack:.2e}",
        remedy="check for inputs with extreme values; raise the penalty",
    )


@dataclass(eq=False)
class _Prepared:
    train: Design
    itv: Design
    chosen: dict[float, np.ndarray] = field(default_factory=dict)
    """l1 -> positions of the selected columns: each penalty is solved once in a study."""

    def fit(self, params: Params, *, seed: int, draft: bool = False) -> FittedLogisticRegression:
        del seed, draft  # nothing is drawn: the problem is convex
        columns = self._select(float(params["l1"]))
        theta = fit_l2(self.train, columns, float(params["l2"]))
        weight = self.train.uneven_weight
        spread = np.array([moments(self.train.X[:, c], weight)[1] for c in columns])
        importances = shares(np.abs(theta[:-1]) * spread)
        return FittedLogisticRegression(tuple(int(c) for c in columns), importances, theta[:-1], float(theta[-1]))

    def itv_pd(self, fitted: Fitted) -> np.ndarray:
        return fitted.predict_pd(self.itv.take(fitted.selected).X)

    def _select(self, fraction: float) -> np.ndarray:
        if fraction not in self.chosen:
            m = self.train.X.shape[1]
            start = _start(self.train, m)
            _, gradient, _ = _Loss(self.train, np.arange(m)).derivatives(start)
            theta = fit_l1(self.train, fraction * float(np.abs(gradient[:-1]).max()))
            self.chosen[fraction] = np.flatnonzero(theta[:-1])
        if not len(self.chosen[fraction]):
            raise TrainingError(
                f"The L1 fit at {fraction} of the largest useful penalty kept no variable.",
                expected="at least one variable that goes with the label",
                remedy="check the labels and features of the window; lower l1",
            )
        return self.chosen[fraction]


@dataclass(frozen=True)
class LogisticRegression:
    """Appendix A.1. Parameters: l1 (fraction of the largest useful penalty), l2 (per loan)."""

    name: str = "logistic_regression"
    standardize: bool = True
    library: str = "numpy"
    defaults: Params = field(default_factory=lambda: {"l1": 0.1, "l2": 0.003})

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {
            "l1": trial.suggest_categorical("l1", list(L1_FRACTIONS)),
            "l2": trial.suggest_float("l2", 1e-3, 3e-2, log=True),
        }

    def prepare(self, train: Design, itv: Design, *, seed: int) -> _Prepared:
        del seed
        return _Prepared(train, itv)
