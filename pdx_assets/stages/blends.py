"""The blend of a strategy's challengers: made from stored bundles, content-addressed by them, never trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError, TrainingError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.stages.challengers import find_pointer, learned_from, load_bundle
from pdx_assets.stages.windows import otv_loans
from pdx_assets.stages.workspace import Workspace

if TYPE_CHECKING:
    from pdx_assets.risk.models.matrix import Sample
    from pdx_assets.risk.window_loans import Development

# Raised whenever the same members would give another blend.
BLEND_VERSION = "1"
LIBRARIES = ("numpy", "onnx", "onnxruntime")
FEWEST = 2


def members(ws: Workspace, strategy: str, production: Month) -> list[dict[str, Any]]:
    """Pointers and tombstones of a strategy's other challengers of a production month, in declared order.

    Raises:
        HomeError: one of them never ran.
    """
    found = {a: find_pointer(ws, strategy, a, production) for a in ws.spec.tuned_algorithms}
    missing = [f"challenger_{strategy}_{a}" for a, pointer in found.items() if pointer is None]
    if missing:
        raise HomeError(
            f"The blend of {strategy} for {production} lacks {', '.join(missing)}.",
            expected="a model or a tombstone of each",
            remedy=f"materialize the challengers of {production}",
        )
    return [pointer for pointer in found.values() if pointer is not None]


def blend(
    ws: Workspace, strategy: str, pointers: Sequence[Mapping[str, Any]], month: Month
) -> tuple[dict[str, Any], float]:
    """The blend of some models of one strategy and month: made, or found where it was made before.

    Needs nothing stored but the bundles and the window they learned from, so that models of months without assets can
    be blended too.

    Args:
        pointers: of the members, in order; tombstones are left out.
        month: the production month the members were made for.

    Returns:
        The stored document, as of every trained model and with ``members``, their digests; and the seconds spent.

    Raises:
        TrainingError: fewer than two models are left; or the parity gate refused.
        HomeError: the members learned from different windows.
    """
    models = [p for p in pointers if p.get("status", "bundle") == "bundle"]
    if len(models) < FEWEST:
        failed = [p["algorithm"] for p in pointers if p not in models]
        raise TrainingError(
            f"The blend of {strategy} for {month} has {len(models)} of {len(pointers)} members; "
            f"tombstones: {', '.join(failed) or 'none'}.",
            expected=f"at least {FEWEST}",
            remedy="see why the others failed",
        )
    digests = [p["bundle_sha256"] for p in models]
    what = {
        "algorithm": "blend",
        "members": digests,
        "code": {"blend": BLEND_VERSION, **{name: version(name) for name in LIBRARIES}},
    }
    key = document_sha256(what)
    return ws.made_once("trained", key, lambda: _blend(ws, strategy, digests, month, key))


def _blend(
    ws: Workspace, strategy: str, digests: Sequence[str], month: Month, key: str
) -> tuple[dict[str, Any], float]:
    from pdx_assets.risk.metrics.summary import evaluate
    from pdx_assets.risk.models.blend import build_blend

    bundles = [load_bundle(ws, digest) for digest in digests]
    windows = {bundle.manifest["window_sha256"] for bundle in bundles}
    if len(windows) > 1:
        raise HomeError(
            f"The members of the blend of {strategy} for {month} learned from {len(windows)} different windows.",
            expected="challengers of one strategy and month, made from one state of the tape",
            remedy=f"materialize the challengers of {month} again",
        )
    (window_sha256,) = windows
    manifest = ws.lake.get_document("windows", window_sha256)
    data = learned_from(ws, manifest)
    start = perf_counter()
    written = {
        "portfolio": ws.spec.name,
        "trained_for": str(month),
        "window_sha256": window_sha256,
        "first_cohort": manifest["development"]["first"],
        # It draws nothing.
        "seed": None,
    }
    # Metrics are those of the members' mean, which the parity gate holds the graph against.
    metrics = {
        part: evaluate(sample.label, _mean(bundles, sample), sample.weight)
        for part, sample in (("train", data.train), ("itv", data.itv))
    }
    bundle = build_blend(bundles, manifest={**written, "metrics": metrics}, parity=_parity(ws, manifest, data))
    seconds = perf_counter() - start
    ws.lake.put_bundle(bundle.digest, bundle.files)
    document = {
        "bundle_sha256": bundle.digest,
        "algorithm": "blend",
        "trained_for": str(month),
        "last_cohort": bundle.manifest["last_cohort"],
        "last_event": bundle.manifest["last_event"],
        "params": {},
        "members": list(digests),
        "metrics": metrics,
        "importances": dict(list(bundle.manifest["importances"].items())[:30]),
    }
    ws.lake.put_document("trained", key, document)
    return document, seconds


def _mean(bundles: Sequence[Any], sample: Sample) -> Any:
    from pdx_assets.risk.models.blend import mean_log_odds

    return mean_log_odds([bundle.predict_pd(sample.matrix) for bundle in bundles])


def _parity(ws: Workspace, manifest: Mapping[str, Any], data: Development) -> Sample:
    from pdx_assets.risk.window_loans import to_sample

    # A window that reaches up to the decision date has no OTV.
    return to_sample(ws.spec, otv_loans(ws, manifest)) if manifest.get("otv") else data.itv
