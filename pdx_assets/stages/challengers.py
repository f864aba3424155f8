"""Group *challengers*: studies at anchors, and one bundle or tombstone a recipe and production month.

Both are content-addressed: a study or a model is made once from what it depends on, whichever month or
process asks first, so months can run in any order and at the same time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pdx_assets.risk import lineage
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import PdxError, TrainingError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.immature import EXPOSURE_VERSION
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import PAPER_STRATEGIES, AlgorithmName, Strategy
from pdx_assets.risk.window_loans import Development
from pdx_assets.risk.windows import canonical_strategy, identity, trained_for
from pdx_assets.stages.made import keep_made_from
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.rests_on import require_unchanged
from pdx_assets.stages.windows import development, require_no_leaks, window, window_or_make
from pdx_assets.stages.workspace import Workspace

if TYPE_CHECKING:
    from pdx_assets.risk.bundle import Bundle

log = logging.getLogger(__name__)

# Raised whenever the same window, parameters and seed would give another model.
TRAINING_VERSION = "2"
# The same for windows with weights; apart, so that raising it leaves the models of other portfolios alone.
WEIGHTS_VERSION = "2"
LIBRARIES = ("numpy", "scikit-learn", "xgboost", "torch", "optuna", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Trained:
    """What one challenger step did.

    Attributes:
        pointer: the stored document: a bundle's digest and metrics, or a tombstone's reason.
        seconds: time spent in the training libraries by this call; 0 when the model was there already.
    """

    pointer: dict[str, Any]
    seconds: float

    @property
    def is_tombstone(self) -> bool:
        return self.pointer["status"] == "tombstone"


def anchor_of(ws: Workspace, production: Month) -> Month:
    """The month whose study a production month uses: p0, then every ``retune_every`` periods."""
    return lineage.anchor_of(ws.spec, ws.profile.retune_every, production)


def own_studies(ws: Workspace, production: Month) -> tuple[Strategy, ...]:
    """Strategies whose study a month runs itself: none between anchors, one where the windows coincide.

    After p0 the fixed window's is not among them: its study is that of p0.
    """
    if anchor_of(ws, production) != production:
        return ()
    if production == ws.spec.p0:
        return ("fixed_window", *(s for s in ws.spec.strategies if s not in PAPER_STRATEGIES))
    return tuple(s for s in ws.spec.strategies if s != "fixed_window")


def study_ahead(ws: Workspace, strategy: Strategy, algorithm: AlgorithmName, production: Month) -> float:
    """Run one study before ``tuning_<algorithm>`` asks for it; seconds spent, 0 when it was there or failed.

    A study that fails is run again by the asset, which records the reason.
    """
    try:
        return _study(ws, strategy, algorithm, anchor_of(ws, production))[1]
    except TrainingError as error:
        log.warning("the study of %s %s for %s failed: %s", strategy, algorithm, production, error)
        return 0.0


def tune_month(
    ws: Workspace, algorithm: AlgorithmName, production: Month, *, last_attempt: bool = True
) -> dict[str, Any]:
    """The studies ``tuning_<algorithm>`` of a production month uses, one for each distinct development window.

    A study that fails is recorded with its reason, and only the challengers that need it leave tombstones.

    Args:
        last_attempt: record any failure of a library as well, rather than raise it for another try.
    """
    require_unchanged(ws)
    anchor = anchor_of(ws, production)
    studies: dict[str, Any] = {}
    seconds = 0.0
    for strategy in ws.spec.strategies:
        try:
            studies[strategy], spent = _study(ws, strategy, algorithm, anchor)
        except TrainingError as error:
            studies[strategy], spent = _failed_study(strategy, anchor, str(error)), 0.0
        except PdxError:
            # A missing window is not the study's failure: the step fails and says what to materialize.
            raise
        except Exception as error:
            if not last_attempt:
                raise
            log.exception("the study of %s %s for %s failed", strategy, algorithm, anchor)
            studies[strategy], spent = _failed_study(strategy, anchor, f"{type(error).__name__}: {error}"), 0.0
        seconds += spent
    document = {"algorithm": algorithm, "production_month": str(production), "anchor": str(anchor), "studies": studies}
    ws.lake.put_document(f"tuning_{algorithm}", str(production), document)
    keep_made_from(ws, f"tuning_{algorithm}", production)
    return {**document, "seconds": seconds}


def _failed_study(strategy: Strategy, anchor: Month, reason: str) -> dict[str, Any]:
    return {"failed": reason, "tuned_for": str(anchor), "strategy": strategy}


def _study(ws: Workspace, strategy: Strategy, algorithm: AlgorithmName, anchor: Month) -> tuple[dict[str, Any], float]:
    month = trained_for(ws.spec, strategy, anchor)
    return study_on(ws, window_or_make(ws, canonical_strategy(ws.spec, strategy, month), month), algorithm)


def study_on(ws: Workspace, manifest: Mapping[str, Any], algorithm: AlgorithmName) -> tuple[dict[str, Any], float]:
    """The study of a window, run where nobody ran it; seconds spent."""
    name, month = manifest["strategy"], Month.parse(manifest["production_month"])
    seed = seed_from(ws.spec.name, month, name, algorithm, ws.pinned.seed, "tuning")
    what: dict[str, Any] = {
        "window": identity(manifest, "development"),
        "algorithm": algorithm,
        "objective": ws.spec.tuning.objective,
        "trials": ws.profile.trials,
        "seed": seed,
        "inputs": _inputs(ws),
        "code": _code(ws, name),
        **_outliers(ws),
    }
    if ws.profile.max_loans is not None:
        what["max_loans"] = ws.profile.max_loans
    key = document_sha256(what)
    return ws.made_once("studies", key, lambda: _tune(ws, manifest, what, key))


def _tune(
    ws: Workspace, manifest: Mapping[str, Any], what: Mapping[str, Any], key: str
) -> tuple[dict[str, Any], float]:
    from pdx_assets.risk.models.tuning import tune

    data = learned_from(ws, manifest, most=ws.profile.max_loans)
    start = perf_counter()
    study = tune(
        what["algorithm"],
        data.train,
        data.itv,
        objective=what["objective"],
        trials=what["trials"],
        seed=what["seed"],
        outliers=ws.spec.outliers,
    )
    seconds = perf_counter() - start
    document = {
        "study": key,
        "algorithm": what["algorithm"],
        "tuned_for": manifest["production_month"],
        "strategy": manifest["strategy"],
        "objective": what["objective"],
        "depends_on": what,
        "best_value": study.best_value,
        "best_params": study.best_params,
        "trials": study.trials,
    }
    ws.lake.put_document("studies", key, document)
    return document, seconds


def challenge(ws: Workspace, strategy: Strategy, algorithm: AlgorithmName, production: Month) -> Trained:
    """Train (or find) one recipe's model of a production month, and store the pointer to it.

    Raises:
        TrainingError: the model cannot be had; :func:`bury` then leaves the tombstone.
    """
    require_unchanged(ws)
    month = trained_for(ws.spec, strategy, production)
    if strategy == "fixed_window" and (production != month or find_decision(ws, month)):
        # Trained once at p0: a tape revised since then must not make a new baseline.
        baseline = find_pointer(ws, strategy, algorithm, month)
        if baseline is not None:
            return Trained(_point(ws, strategy, algorithm, production, baseline), 0.0)
    if algorithm == "blend":
        return _challenge_blend(ws, strategy, production, month)
    name = canonical_strategy(ws.spec, strategy, production)
    manifest = window(ws, strategy, production)
    study = ws.lake.get_document(f"tuning_{algorithm}", str(production))["studies"][strategy]
    if "failed" in study:
        raise TrainingError(f"Its study of {study['tuned_for']} failed: {study['failed']}")
    found, seconds = model_of(ws, manifest, name, algorithm, month, study)
    pointer = {**found, "strategy": strategy, "study": study["study"], "status": "bundle"}
    return Trained(_point(ws, strategy, algorithm, production, pointer), seconds)


def model_of(
    ws: Workspace,
    manifest: Mapping[str, Any],
    name: Strategy,
    algorithm: AlgorithmName,
    month: Month,
    study: Mapping[str, Any],
) -> tuple[dict[str, Any], float]:
    """The stored document of a model, trained where nobody trained it; seconds spent."""
    seed = seed_from(ws.spec.name, month, name, algorithm, ws.pinned.seed)
    what: dict[str, Any] = {
        "window": identity(manifest, "development"),
        "algorithm": algorithm,
        "params": study["best_params"],
        "seed": seed,
        "inputs": _inputs(ws),
        "code": _code(ws, name),
        **_outliers(ws),
    }
    key = document_sha256(what)
    return ws.made_once("trained", key, lambda: _train(ws, manifest, what, month, key))


def _challenge_blend(ws: Workspace, strategy: Strategy, production: Month, month: Month) -> Trained:
    # blends.py reads stored models by functions of this module.
    from pdx_assets.stages.blends import blend, members

    found, seconds = blend(ws, strategy, members(ws, strategy, production), month)
    pointer = {**found, "strategy": strategy, "status": "bundle"}
    return Trained(_point(ws, strategy, "blend", production, pointer), seconds)


def bury(ws: Workspace, strategy: Strategy, algorithm: AlgorithmName, production: Month, reason: str) -> Trained:
    """Leave a tombstone: the contest goes on without this recipe."""
    pointer = {
        "status": "tombstone",
        "strategy": strategy,
        "algorithm": algorithm,
        "trained_for": str(trained_for(ws.spec, strategy, production)),
        "reason": reason,
    }
    return Trained(_point(ws, strategy, algorithm, production, pointer), 0.0)


def find_pointer(ws: Workspace, strategy: str, algorithm: str, production: Month) -> dict[str, Any] | None:
    """The stored pointer or tombstone of a recipe's production month; None when it never ran."""
    return ws.lake.find_document(f"challenger_{strategy}_{algorithm}", str(production))


def load_bundle(ws: Workspace, digest: str) -> Bundle:
    """A stored model, its digest checked."""
    from pdx_assets.risk.bundle import Bundle

    return Bundle.from_files(ws.lake.get_bundle(digest), digest)


def _train(
    ws: Workspace, manifest: Mapping[str, Any], what: Mapping[str, Any], month: Month, key: str
) -> tuple[dict[str, Any], float]:
    from pdx_assets.risk.bundle import build_bundle
    from pdx_assets.risk.metrics.summary import evaluate
    from pdx_assets.risk.models.training import train
    from pdx_assets.risk.window_loans import to_sample
    from pdx_assets.stages.windows import otv_loans

    data = learned_from(ws, manifest)
    start = perf_counter()
    model = train(what["algorithm"], data.train, data.itv, what["params"], seed=what["seed"], outliers=ws.spec.outliers)
    seconds = perf_counter() - start
    metrics = {
        part: evaluate(sample.label, model.predict_pd(sample.matrix), sample.weight)
        for part, sample in (("train", data.train), ("itv", data.itv))
    }
    window_ = manifest["development"]
    # window_<strategy> is made anew when the tape is revised; what this model learned from must stay findable.
    window_sha256 = document_sha256(what["window"])
    ws.lake.create_document("windows", window_sha256, manifest)
    bundle = build_bundle(
        model,
        manifest={
            "portfolio": ws.spec.name,
            "algorithm": what["algorithm"],
            "trained_for": str(month),
            "window_sha256": window_sha256,
            "first_cohort": window_["first"],
            "last_cohort": window_["last"],
            "last_event": window_["last_event"],
            "seed": what["seed"],
            "metrics": metrics,
        },
        # A strategy that learns up to the decision date has no OTV.
        parity=to_sample(ws.spec, otv_loans(ws, manifest)) if manifest["otv"] else data.itv,
    )
    ws.lake.put_bundle(bundle.digest, bundle.files)
    document = {
        "bundle_sha256": bundle.digest,
        "algorithm": what["algorithm"],
        "trained_for": str(month),
        "last_cohort": window_["last"],
        "last_event": window_["last_event"],
        "params": what["params"],
        "metrics": metrics,
        "importances": dict(sorted(model.importances.items(), key=lambda kv: (-kv[1], kv[0]))[:30]),
    }
    ws.lake.put_document("trained", key, document)
    return document, seconds


def learned_from(ws: Workspace, manifest: Mapping[str, Any], *, most: int | None = None) -> Development:
    """Train and ITV of a window (or a sample of at most ``most`` loans), built once in a process for all algorithms.

    Raises:
        TrainingError: a side has only bads or only goods.
    """
    return _assembled(ws, _Window(document_sha256(identity(manifest, "development")), manifest), most)


@dataclass(frozen=True)
class _Window:
    """A manifest known by what its development window holds."""

    sha256: str
    manifest: Mapping[str, Any] = field(compare=False)


@lru_cache(maxsize=3)
def _assembled(ws: Workspace, window_: _Window, most: int | None) -> Development:
    # A window made before its features were judged must not slip through.
    require_no_leaks(ws)
    # Built once for all algorithms of a month: three strategies, three matrices.
    data = development(ws, window_.manifest, most=most)
    for part, sample in (("train", data.train), ("ITV", data.itv)):
        bads = int(sample.label.sum())
        if bads in (0, len(sample.label)):
            raise TrainingError(
                f"{part} of window_{window_.manifest['strategy']} of {window_.manifest['production_month']} has {bads} "
                f"bads among {len(sample.label)} loans.",
                expected="both bad and good loans",
                remedy="widen windows.development",
            )
    return data


def _point(
    ws: Workspace, strategy: Strategy, algorithm: AlgorithmName, production: Month, pointer: Mapping[str, Any]
) -> dict[str, Any]:
    document = {**pointer, "strategy": strategy, "production_month": str(production)}
    ws.lake.put_document(f"challenger_{strategy}_{algorithm}", str(production), document)
    keep_made_from(ws, f"challenger_{strategy}_{algorithm}", production)
    return document


def _inputs(ws: Workspace) -> dict[str, list[str]]:
    return {"numbers": ws.spec.number_features, "categories": ws.spec.category_features}


def _outliers(ws: Workspace) -> dict[str, Any]:
    """Nothing where none are declared, so that models of before the key existed are found again."""
    declared = {name: rule.model_dump(mode="json") for name, rule in ws.spec.outliers.items()}
    return {"outliers": declared} if declared else {}


def _code(ws: Workspace, strategy: Strategy) -> dict[str, str]:
    is_exposed = strategy == "immature_cohorts"
    weights = {"weights": WEIGHTS_VERSION} if ws.spec.is_weighted or is_exposed else {}
    weights |= {"exposure": EXPOSURE_VERSION} if is_exposed else {}
    return {"training": TRAINING_VERSION, **weights, **{name: version(name) for name in LIBRARIES}}
