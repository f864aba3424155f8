"""A recalibrated model: a bundle's own graph, and two numbers that set its PDs right on recent loans.

The cheapest challenger: it ranks as the base does, and costs no training. Useful where a book's bad rate has moved
while who is riskier than whom has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdx_assets.risk.bundle import GIVEN, Bundle, combined_manifest, held_against, seal
from pdx_assets.risk.errors import TrainingError
from pdx_assets.risk.metrics.calibration import LOGIT_CLIP, calibration_intercept, calibration_slope
from pdx_assets.risk.models.base import sigmoid
from pdx_assets.risk.models.log_odds import include, log_odds, log_odds_in
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.models.onnx_graph import Graph, serialize

RECALIBRATED = "recalibrated"


@dataclass(frozen=True)
class Recalibration:
    """PD -> sigmoid(slope * logit(PD) + intercept), in float64; slope above 0, so that no two loans change places."""

    slope: float
    intercept: float

    def apply(self, pd: np.ndarray) -> np.ndarray:
        """float32 [n] PDs of float32 [n] PDs, which enter no nearer to 0 or 1 than ``LOGIT_CLIP``."""
        return sigmoid(self.slope * log_odds(pd, LOGIT_CLIP) + self.intercept)


def fit_recalibration(label: np.ndarray, pd: np.ndarray, weight: np.ndarray | None = None) -> Recalibration:
    """Slope and intercept of the weighted logistic regression of the label on logit(PD), by maximum likelihood.

    At its optimum the weighted mean PD is the weighted bad rate. Source: Cox 1958, doi:10.1093/biomet/45.3-4.562;
    as a correction of scores, Platt 1999, *Probabilistic outputs for support vector machines*, without its shrinkage.

    Args:
        label: int8 [n], 1 = bad.
        pd: float32 [n] of the base model.
        weight: float32 [n], positive, any scale; None for equal weights.

    Raises:
        TrainingError: one class only, PDs all equal or separating the classes, or a slope that is not above 0.
    """
    slope = calibration_slope(label, pd, weight)
    if slope is None:
        raise TrainingError(
            f"No slope can be fitted on {int(np.sum(label))} bads among {len(label)} loans.",
            expected="both classes, and PDs that differ and overlap",
            remedy="recalibrate on more cohorts",
        )
    if not slope > 0:
        raise TrainingError(
            f"The recalibration's slope is {slope:.4g}: on these loans a higher PD does not go with more bads.",
            expected="a slope above 0",
            remedy="train a new model: this one's ranking has gone, and recalibration keeps the ranking",
        )
    # With the slope at its optimum, the intercept that puts expected and observed bads equal is the optimum of both.
    turned = 1 / (1 + np.exp(-slope * log_odds(pd, LOGIT_CLIP)))
    intercept = calibration_intercept(label, turned, weight)
    assert intercept is not None, "both classes are there: the slope was fitted"
    return Recalibration(slope, intercept)


def build_recalibrated(
    base: Bundle, calibration: Sample, *, manifest: Mapping[str, Any], about: Mapping[str, Any]
) -> Bundle:
    """A bundle that is another one's graph, recalibrated on labelled loans.

    Args:
        base: the model.
        calibration: loans whose labels are known; parity is measured on them.
        manifest: as for ``build_bundle``: ``last_cohort`` and ``last_event`` are those of the calibration labels; the
            latest of theirs and the base's are written.
        about: plain JSON values about the calibration loans (cohorts, hashes), kept under ``calibration``.

    Raises:
        TrainingError: see :func:`fit_recalibration`.
        ParityError: as of ``build_bundle``.
        BundleError: the base is altered or cannot be built on, or the manifest lacks a key.
    """
    Bundle.from_files(base.files, base.digest)
    own = base.predict_pd(calibration.matrix)
    found = fit_recalibration(calibration.label, own, calibration.weight)
    graph = Graph()
    turned = graph.add(
        "Mul", log_odds_in(graph, include(graph, base.files["model.onnx"], "base_"), LOGIT_CLIP),
        graph.constant(np.array(found.slope)),
    )  # fmt: skip
    pd = graph.pd_from_log_odds(graph.add("Add", turned, graph.constant(np.array(found.intercept))))
    content = serialize(graph, pd, numbers=len(base.number_names), categories=len(base.category_names))
    latest = {key: max(manifest[key], base.manifest[key]) for key in ("last_cohort", "last_event") if key in manifest}
    added = {
        "algorithm": RECALIBRATED,
        "params": {"slope": found.slope, "intercept": found.intercept},
        "inputs": base.manifest["inputs"],
        "base": {"bundle_sha256": base.digest, **{k: base.manifest[k] for k in ("algorithm", "params", "trained_for")}},
        "calibration": {"loans": len(calibration), "bads": calibration.bads, **about},
        "selected": base.manifest["selected"],
        "importances": base.manifest["importances"],
    }
    bundle = seal(combined_manifest({**manifest, **latest}, added, required=GIVEN), content)
    return held_against(bundle, found.apply(own), calibration, what="recalibrated PDs of its base")
