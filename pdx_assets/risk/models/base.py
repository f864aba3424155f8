"""The protocol behind which the four algorithms stand, and what they share.

An algorithm sees a Design: preprocessed float32 columns, labels, weights of mean 1. ``prepare`` does once
what all trials of a study share (selection, binning); ``fit`` is one trial or the final model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pdx_assets.risk.errors import TrainingError

if TYPE_CHECKING:
    from pdx_assets.risk.models.onnx_graph import Graph

Params = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Design:
    """X float32 [n, m] in C order; label int8 [n]; weight float32 [n] with mean 1."""

    X: np.ndarray
    label: np.ndarray
    weight: np.ndarray

    @property
    def uneven_weight(self) -> np.ndarray | None:
        """The weights, or None where all loans weigh the same."""
        return self.weight if self.weight.min() < self.weight.max() else None

    def take(self, columns: Sequence[int]) -> Design:
        """The given columns; itself when that is all of them."""
        if len(columns) == self.X.shape[1]:
            return self
        # Not X[:, columns]: that gives Fortran order, and a second copy to undo it.
        return Design(np.take(self.X, columns, axis=1), self.label, self.weight)


class Fitted(Protocol):
    """A fitted model over the columns it selected.

    Attributes:
        selected: positions of its columns in the Design, ascending.
        importances: share of each selected column, in their order, summing to 1.
    """

    @property
    def selected(self) -> tuple[int, ...]: ...

    @property
    def importances(self) -> np.ndarray: ...

    def predict_pd(self, X: np.ndarray) -> np.ndarray:
        """float32 [n] PDs of X float32 [n, len(selected)] by the library that trained it."""
        ...

    def add_to(self, graph: Graph, columns: str) -> str:
        """Write itself behind ``columns`` (float32 [N, len(selected)]); the name of its PDs [N, 1]."""
        ...


class Prepared(Protocol):
    """What all trials of one study share."""

    def fit(self, params: Params, *, seed: int, draft: bool = False) -> Fitted:
        """One model; raises TrainingError when it does not converge or selects nothing.

        A draft is a trial's model: it may be cheaper as long as it ranks parameters alike.
        """
        ...

    def itv_pd(self, fitted: Fitted) -> np.ndarray:
        """float32 PDs of the ITV loans under a model that came from this object."""
        ...


class Algorithm(Protocol):
    """One learning algorithm.

    Attributes:
        name: as declared in the YAML.
        standardize: whether it wants standardized numbers.
        defaults: parameters that are sensible untuned; every study tries them first.
        library: the distribution whose version decides what a fit gives.
    """

    @property
    def name(self) -> str: ...

    @property
    def standardize(self) -> bool: ...

    @property
    def defaults(self) -> Params: ...

    @property
    def library(self) -> str: ...

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Parameters drawn from the search space by an ``optuna.Trial``."""
        ...

    def prepare(self, train: Design, itv: Design, *, seed: int) -> Prepared: ...


@contextmanager
def single_threaded() -> Iterator[None]:
    """BLAS on one thread: the order of a sum, and so a bundle's bytes, must not depend on the machine's load."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield


def shares(importances: np.ndarray) -> np.ndarray:
    """Importances scaled to sum to 1 (float64)."""
    values = np.asarray(importances, np.float64)
    total = values.sum()
    return values / total if total > 0 else values


def most_important(importances: np.ndarray, share: float, *, what: str) -> tuple[int, ...]:
    """Positions, ascending, of the fewest columns that together carry ``share`` of the importance.

    Raises:
        TrainingError: no column has any.
    """
    values = shares(importances)
    if not values.any():
        raise TrainingError(
            f"The first fit of {what} found nothing to split on.",
            expected="at least one input that goes with the label",
            remedy="check the labels and features of the window; with few bads, lengthen development",
        )
    # Stable, so that equal importances fall in the declared order.
    order = np.argsort(-values, kind="stable")
    count = int(np.searchsorted(np.cumsum(values[order]), share - 1e-12)) + 1
    chosen = [int(i) for i in order[:count] if values[i] > 0]
    return tuple(sorted(chosen))


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    """float32 PDs of log-odds, computed in float64: the last bit then agrees with the bundle's graph."""
    # Beyond 709 exp is infinite or 0, and the PD at its right limit.
    with np.errstate(over="ignore", under="ignore"):
        return (1 / (1 + np.exp(-log_odds.astype(np.float64)))).astype(np.float32)
