"""What the simulated-drift experiment was made to show: gains, the bound, and their intervals over lenders.

The experiment itself, and what its worlds and measures mean, is in simulated_drift.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

TRUTH = "true PD"
MEASURES = ("realized", "expected")


@dataclass(frozen=True)
class Mean:
    """A mean over lenders with its two-sided 95 % t interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Mean:
        from scipy.stats import t

        x = np.asarray(values, np.float64)
        half = t.ppf((1 + confidence) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
        return cls(float(x.mean()), float(x.mean() - half), float(x.mean() + half))

    def covers(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def by_lender(results: pl.DataFrame, world: str, model: str, against: str, measure: str) -> np.ndarray:
    """Each lender's mean over the months of one model's AUC minus another's, by seed, shape (seeds,)."""
    rows = results.filter(world=world)
    pair = rows.filter(model=model).join(rows.filter(model=against), on=["seed", "production_month"], suffix="_other")
    difference = (pl.col(measure) - pl.col(f"{measure}_other")).mean()
    return pair.group_by("seed").agg(difference.alias("difference")).sort("seed")["difference"].to_numpy()


def gain(results: pl.DataFrame, world: str, measure: str) -> np.ndarray:
    return by_lender(results, world, "champion", "baseline", measure)


def order_effect(results: pl.DataFrame, measure: str) -> Mean:
    """What the order of months adds to the gain without drift: stable minus shuffled, paired by lender.

    Not stable's interval against shuffled's mean: that mean is an estimate from as many lenders, with a noise of
    its own, and two such estimates of one number miss each other's 95 % interval one time in six.
    """
    return Mean.over(gain(results, "stable", measure) - gain(results, "shuffled", measure))


def excess_over_truth(results: pl.DataFrame) -> dict[str, Mean]:
    """By model, its realized AUC minus the true PD's; a 90 % interval, so that ``low`` is the one-sided 95 % bound.

    Worlds share their lenders, so each lender's worlds are averaged first.
    """
    names = results["world"].unique(maintain_order=True)
    each = {
        model: [by_lender(results, world, model, TRUTH, "realized") for world in names]
        for model in results["model"].unique().sort()
        if model != TRUTH
    }
    return {model: Mean.over(np.mean(of_worlds, axis=0), 0.90) for model, of_worlds in each.items()}


def largest_expected_excess(results: pl.DataFrame) -> float:
    """The largest expected AUC of any model in any month minus the true PD's of that month."""
    truth = results.filter(model=TRUTH)
    models = results.filter(pl.col("model") != TRUTH)
    pair = models.join(truth, on=["world", "seed", "production_month"], suffix="_truth")
    return float((pair["expected"] - pair["expected_truth"]).to_numpy().max())


@dataclass(frozen=True)
class Claim:
    """One thing the experiment was made to show; decided before any result was seen."""

    says: str
    found: str
    holds: bool


def claims(results: pl.DataFrame) -> list[Claim]:
    """The claims that the worlds in ``results`` can decide."""
    present, found = set(results["world"]), []
    for world in [w for w in ("drift", "strong") if w in present]:
        for measure in MEASURES:
            of = Mean.over(gain(results, world, measure))
            found.append(Claim(f"{world}: the champion gains on the baseline, {measure}", str(of), of.low > 0))
    if {"stable", "shuffled"} <= present:
        for measure in MEASURES:
            of = order_effect(results, measure)
            says = f"stable: it gains what more data alone brings, {measure} (difference)"
            found.append(Claim(says, str(of), of.covers(0)))
    for model, of in excess_over_truth(results).items():
        says = f"{model} does not beat the true PD beyond noise, realized"
        found.append(Claim(says, f"{of.mean:+.4f}, one-sided bound {of.low:+.4f}", of.low <= 0))
    most = largest_expected_excess(results)
    found.append(Claim("no model of any month beats the true PD, expected", f"at most {most:+.4f}", most <= 1e-12))
    return found
