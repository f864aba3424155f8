"""The network: three hidden layers of 150, ReLU, dropout 0.10 on the first and third, Adam (appendix A.4)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pdx_assets.risk.models.base import Design, Fitted, Params, shares, sigmoid
from pdx_assets.risk.models.preprocessing import moments

if TYPE_CHECKING:
    from pdx_assets.risk.models.onnx_graph import Graph

HIDDEN = 150
DROPOUT = 0.10
MAX_EPOCHS = 30
# An epoch takes at most this many loans, drawn anew: on 350,000 loans the fit stops within a few passes.
EPOCH_LOANS = 65536
# Epochs without a better ITV log loss before the fit stops; the best epoch's weights are kept.
PATIENCE = 4
BLOCK = 16384
# Train loans whose gradients give the importances.
IMPORTANCE_LOANS = 2048


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """torch on one thread with its own random stream; all as before afterwards.

    On one thread every operation used here is deterministic. ``torch.use_deterministic_algorithms`` would add
    nothing but the import of torch's compiler, as ``torch.optim.Adam`` does.
    """
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@dataclass(frozen=True, eq=False)
class FittedNeuralNetwork:
    """Weights [out, in] and biases of the four layers, float32."""

    selected: tuple[int, ...]
    importances: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    def predict_pd(self, X: np.ndarray) -> np.ndarray:
        import torch

        log_odds = np.empty(len(X), np.float64)
        with _reproducible(0), torch.inference_mode():
            # float64 arithmetic on the float32 weights: the order of a float32 sum differs between torch
            # and onnxruntime, and could swap two loans whose PDs are nearly equal.
            layers = [(torch.from_numpy(w).double(), torch.from_numpy(b).double()) for w, b in self.layers]
            for start in range(0, len(X), BLOCK):
                values = torch.from_numpy(X[start : start + BLOCK]).double()
                for weight, bias in layers[:-1]:
                    values = torch.relu(torch.nn.functional.linear(values, weight, bias))
                values = torch.nn.functional.linear(values, *layers[-1])
                log_odds[start : start + BLOCK] = values[:, 0].numpy()
        return sigmoid(log_odds)

    def add_to(self, graph: Graph, columns: str) -> str:
        values = graph.cast(columns, np.float64)
        for i, (weight, bias) in enumerate(self.layers):
            wide = [graph.cast(graph.constant(a), np.float64) for a in (weight, bias)]
            values = graph.add("Gemm", values, *wide, transB=1)
            if i < len(self.layers) - 1:
                values = graph.add("Relu", values)
        return graph.pd_from_log_odds(values)


def _network(inputs: int) -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, 1),
    )


def _adam(network: Any, learning_rate: float, weight_decay: float) -> Callable[[], None]:
    """A function that takes one Adam step on the network's gradients.

    torch's own Adam through its functional form: making a ``torch.optim.Adam`` imports torch's compiler and
    sympy, 2.5 s and 71 MiB in each process that trains (torch 2.13).
    """
    import torch
    from torch.optim.adam import adam

    weights = list(network.parameters())
    means, squares = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    steps = [torch.tensor(0.0) for _ in weights]

    def step() -> None:
        with torch.no_grad():
            adam(
                weights,
                [w.grad for w in weights],
                means,
                squares,
                [],
                steps,
                foreach=False,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=learning_rate,
                weight_decay=weight_decay,
                eps=1e-8,
                maximize=False,
            )

    return step


def _log_loss(log_odds: Any, label: Any, weight: Any) -> Any:
    from torch.nn import functional

    return functional.binary_cross_entropy_with_logits(log_odds, label, weight=weight)


@dataclass(eq=False)
class _Prepared:
    train: Design
    itv: Design

    def fit(self, params: Params, *, seed: int, draft: bool = False) -> FittedNeuralNetwork:
        import torch

        del draft
        with _reproducible(seed):
            network = _network(self.train.X.shape[1])
            rate = float(np.average(self.train.label, weights=self.train.weight))
            # Starting at the bad rate saves the epochs that would only learn it.
            torch.nn.init.constant_(network[-1].bias, float(np.log(rate / (1 - rate))))
            best = self._descend(network, params)
            network.load_state_dict(best)
            importances = self._importances(network)
            linear = [m for m in network if isinstance(m, torch.nn.Linear)]
            layers = tuple((m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy()) for m in linear)
        return FittedNeuralNetwork(tuple(range(self.train.X.shape[1])), importances, layers)

    def itv_pd(self, fitted: Fitted) -> np.ndarray:
        return fitted.predict_pd(self.itv.X)

    def _descend(self, network: Any, params: Params) -> dict[str, Any]:
        """Weights of the epoch with the lowest ITV log loss."""
        import torch

        X, label, weight = (torch.from_numpy(a) for a in (self.train.X, self.train.label, self.train.weight))
        step = _adam(network, float(params["learning_rate"]), float(params["weight_decay"]))
        size = int(params["batch_size"])
        best, lowest, since = copy.deepcopy(network.state_dict()), np.inf, 0
        for _ in range(MAX_EPOCHS):
            network.train()
            order = torch.randperm(len(X))[:EPOCH_LOANS]
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                network.zero_grad()
                log_odds = network(X[batch])[:, 0]
                _log_loss(log_odds, label[batch].float(), weight[batch]).backward()
                step()
            loss = self._itv_loss(network)
            if loss < lowest - 1e-6:
                best, lowest, since = copy.deepcopy(network.state_dict()), loss, 0
            else:
                since += 1
                if since >= PATIENCE:
                    break
        return best

    def _itv_loss(self, network: Any) -> float:
        import torch

        network.eval()
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(self.itv.label), BLOCK):
                part = slice(start, start + BLOCK)
                log_odds = network(torch.from_numpy(self.itv.X[part]))[:, 0]
                label, weight = torch.from_numpy(self.itv.label[part]), torch.from_numpy(self.itv.weight[part])
                total += float(_log_loss(log_odds, label.float(), weight)) * len(label)
        return total / len(self.itv.label)

    def _importances(self, network: Any) -> np.ndarray:
        """Mean |d log-odds / d input| times the input's spread, over evenly spaced train loans, by weight."""
        import torch

        network.eval()
        step = max(1, len(self.train.X) // IMPORTANCE_LOANS)
        sample = torch.from_numpy(self.train.X[::step].copy()).requires_grad_()
        (gradient,) = torch.autograd.grad(network(sample).sum(), sample)
        if self.train.uneven_weight is None:
            spread = self.train.X[::step].std(axis=0, dtype=np.float64)
            return shares(gradient.abs().mean(dim=0).numpy() * spread)
        weight = self.train.weight[::step].astype(np.float64)
        spread = np.array([moments(column, weight)[1] for column in self.train.X[::step].T])
        return shares(np.average(gradient.abs().numpy(), axis=0, weights=weight) * spread)


@dataclass(frozen=True)
class NeuralNetwork:
    """Appendix A.4. Parameters: Adam's learning rate, weight decay, loans a batch."""

    name: str = "neural_network"
    standardize: bool = True
    library: str = "torch"
    defaults: Params = field(default_factory=lambda: {"learning_rate": 1e-3, "weight_decay": 1e-3, "batch_size": 512})

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 3e-4, 3e-3, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-5, 2e-3, log=True),
            "batch_size": trial.suggest_categorical("batch_size", [256, 512]),
        }

    def prepare(self, train: Design, itv: Design, *, seed: int) -> _Prepared:
        del seed
        return _Prepared(train, itv)
