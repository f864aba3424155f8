"""Small simulated samples for the tests of models and bundles."""

from __future__ import annotations

import numpy as np

from pdx_assets.risk.models.matrix import LoanMatrix, Sample

ALGORITHMS = ("logistic_regression", "random_forest", "xgboost", "neural_network")

MANIFEST = {
    "portfolio": "demo",
    "trained_for": "2024-01",
    "window_sha256": "0" * 64,
    "last_cohort": "2022-12",
    "last_event": "2023-12-31",
    "seed": 7,
    "metrics": {"train": {"auc": 0.7}, "itv": {"auc": None}},
}


def matrix(loans: int, seed: int, *, missing: float = 0.1) -> LoanMatrix:
    """Four numbers (``income`` skewed, ``age`` never missing, ``constant`` always 3) and two categories."""
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal((loans, 4), dtype=np.float32)
    numbers[:, 0] = np.exp(10 + numbers[:, 0])
    numbers[:, 3] = 3
    numbers[:, :2][rng.random((loans, 2)) < missing] = np.nan
    purpose = np.array(["car", "house", "école", ""], object)[rng.choice(4, loans, p=[0.5, 0.3, 0.15, 0.05])]
    state = np.array([f"s{i:02d}" for i in range(30)], object)[np.minimum(rng.geometric(0.2, loans) - 1, 29)]
    return LoanMatrix(
        numbers,
        np.column_stack([purpose, state]).astype(object),
        ("income", "debt", "age", "constant"),
        ("purpose", "state"),
    )


def sample(loans: int, seed: int) -> Sample:
    """Bads at 15 %, by debt, age, the missing incomes and one purpose."""
    inputs = matrix(loans, seed)
    log_odds = -2.2 + 1.0 * np.nan_to_num(inputs.numbers[:, 1]) - 0.8 * inputs.numbers[:, 2]
    log_odds = log_odds + 0.9 * np.isnan(inputs.numbers[:, 0]) + 0.8 * (inputs.categories[:, 0] == "house")
    drawn = np.random.default_rng(seed + 1).random(loans)
    return Sample(inputs, (drawn < 1 / (1 + np.exp(-log_odds))).astype(np.int8))
