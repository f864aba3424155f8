"""Group *challengers*: studies at anchors, and a bundle or a tombstone per recipe and production month."""

import traceback
from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import TRAINING_POOL, asset_options
from pdx_assets.orchestration.checks import check_results, check_specs
from pdx_assets.orchestration.lineage import COLUMN_LINEAGE, COLUMN_SCHEMA, inputs_lineage, inputs_schema
from pdx_assets.orchestration.metadata import plotted, samples_table, sketch, table
from pdx_assets.orchestration.partitions import production_months, shifted
from pdx_assets.orchestration.resources import MlflowTracker, TrackedRun
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks import catalogue
from pdx_assets.risk.checks.base import judged
from pdx_assets.risk.errors import PdxError, TrainingError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.spec import AlgorithmName, PortfolioSpec, Strategy
from pdx_assets.stages.blends import BLEND_VERSION
from pdx_assets.stages.challengers import (
    TRAINING_VERSION,
    Trained,
    bury,
    challenge,
    learned_from,
    load_bundle,
    tune_month,
)
from pdx_assets.stages.windows import window
from pdx_assets.stages.workspace import Workspace

# A failure that may pass (memory, a lost disk) is worth a second try; one that is the data's own fault is not.
TRAINING_ATTEMPTS = 2
TRAINED = catalogue.TRAINED.code

KINDS: dict[AlgorithmName, str] = {
    "logistic_regression": "scikitlearn",
    "random_forest": "scikitlearn",
    "xgboost": "xgboost",
    "neural_network": "pytorch",
    "blend": "onnx",
}


def challenger_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``tuning_<algorithm>`` and ``challenger_<strategy>_<algorithm>``; the blend is made of others, and not tuned."""
    return [_tuning_asset(spec, algorithm) for algorithm in spec.tuned_algorithms] + [
        _challenger_asset(spec, strategy, algorithm) for algorithm in spec.algorithms for strategy in spec.strategies
    ]


def _tuning_asset(spec: PortfolioSpec, algorithm: AlgorithmName) -> dg.AssetsDefinition:
    reach = max(profile.retune_every for profile in spec.tuning.profiles.values())

    @dg.asset(
        name=f"tuning_{algorithm}",
        description=f"Optuna study of {algorithm.replace('_', ' ')} on ITV ({spec.tuning.objective}), one for each "
        "distinct development window of the month's anchor; other months point to their anchor's.",
        partitions_def=production_months(spec),
        deps=[
            dg.AssetDep(dg.AssetKey([spec.name, f"window_{s}"]), partition_mapping=shifted(-(reach - 1), 0))
            for s in spec.strategies
        ],
        code_version=TRAINING_VERSION,
        pool=TRAINING_POOL,
        **asset_options(spec, "challengers", kinds={"optuna", KINDS[algorithm]}),
    )
    def tuning(context: dg.AssetExecutionContext, mlflow: MlflowTracker) -> dg.MaterializeResult:
        ws = Workspace.of(spec)
        with mlflow.run(context, spec.name) as tracked:
            last_attempt = context.retry_number + 1 >= TRAINING_ATTEMPTS
            try:
                document = tune_month(ws, algorithm, Month.parse(context.partition_key), last_attempt=last_attempt)
            except PdxError:
                raise
            except Exception as error:
                context.log.error(traceback.format_exc())
                raise dg.RetryRequested(max_retries=TRAINING_ATTEMPTS - 1) from error
            studies = document["studies"]
            for strategy, study in studies.items():
                if "failed" in study:
                    tracked.failed = True
                    tracked.log(**{f"{strategy}_failed": study["failed"][:250]})
                else:
                    tracked.log(metrics={f"{strategy}_best_{study['objective']}": study["best_value"]})
            url = tracked.url
        # Strategies that share a development window share a study: shown once.
        distinct = {study.get("study", strategy): study for strategy, study in studies.items()}
        return dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256({s: study.get("study") for s, study in studies.items()})),
            metadata={
                "Anchor": f"{document['anchor']}: the month whose studies this month uses",
                "Studies": table(
                    [
                        "tuned for",
                        "window",
                        "trials",
                        f"best {spec.tuning.objective.upper()} on ITV",
                        "best parameters",
                    ],
                    (
                        [
                            s["tuned_for"],
                            s["strategy"].replace("_", " "),
                            len(s.get("trials", [])),
                            s.get("best_value"),
                            _best(s),
                        ]
                        for s in distinct.values()
                    ),
                ),
                "MLflow run": dg.MetadataValue.url(url),
                "training_seconds": round(document["seconds"], 3),
            },
        )

    return tuning


def _best(study: dict[str, Any]) -> str:
    if "failed" in study:
        return f"failed: {study['failed']}"
    return ", ".join(f"{name} {_short(value)}" for name, value in study["best_params"].items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _challenger_asset(spec: PortfolioSpec, strategy: Strategy, algorithm: AlgorithmName) -> dg.AssetsDefinition:
    name = f"challenger_{strategy}_{algorithm}"

    @dg.asset(
        name=name,
        description=f"{_made(strategy, algorithm)}: a pointer to its bundle (one ONNX graph, preprocessing included), "
        "or a tombstone with the reason.",
        partitions_def=production_months(spec),
        deps=[dg.AssetKey([spec.name, source]) for source in _sources(spec, strategy, algorithm)],
        check_specs=check_specs(spec, name, catalogue.TRAINED),
        code_version=BLEND_VERSION if algorithm == "blend" else TRAINING_VERSION,
        pool=TRAINING_POOL,
        **asset_options(spec, "challengers", kinds={"onnx", KINDS[algorithm]}),
    )
    def challenger(context: dg.AssetExecutionContext, mlflow: MlflowTracker) -> dg.MaterializeResult:
        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        with mlflow.run(context, spec.name) as tracked:
            trained = _train_or_bury(context, ws, strategy, algorithm, production)
            _track(tracked, trained)
            url = tracked.url
        return _result(ws, trained, url)

    return challenger


def _made(strategy: Strategy, algorithm: AlgorithmName) -> str:
    window = strategy.replace("_", " ")
    if algorithm == "blend":
        return f"The mean log-odds of the month's other models of the {window}"
    return f"The {algorithm.replace('_', ' ')} trained on the {window}"


def _sources(spec: PortfolioSpec, strategy: Strategy, algorithm: AlgorithmName) -> list[str]:
    if algorithm == "blend":
        return [f"challenger_{strategy}_{member}" for member in spec.tuned_algorithms]
    return [f"window_{strategy}", f"tuning_{algorithm}"]


def _train_or_bury(
    context: dg.AssetExecutionContext,
    ws: Workspace,
    strategy: Strategy,
    algorithm: AlgorithmName,
    production: Month,
) -> Trained:
    try:
        return challenge(ws, strategy, algorithm, production)
    except TrainingError as error:
        return bury(ws, strategy, algorithm, production, str(error))
    except PdxError:
        # A missing window or study is not the model's failure: the step fails and says what to materialize.
        raise
    except Exception as error:
        context.log.error(traceback.format_exc())
        if context.retry_number + 1 < TRAINING_ATTEMPTS:
            raise dg.RetryRequested(max_retries=TRAINING_ATTEMPTS - 1) from error
        return bury(ws, strategy, algorithm, production, f"{type(error).__name__}: {error}")


def _track(tracked: TrackedRun, trained: Trained) -> None:
    pointer = trained.pointer
    if trained.is_tombstone:
        tracked.failed = True
        tracked.log(tombstone=pointer["reason"][:250])
        return
    for part in ("train", "itv"):
        tracked.log(metrics={f"{part}_{k}": v for k, v in pointer["metrics"][part].items()})
    tracked.log(params=pointer["params"], bundle_sha256=pointer["bundle_sha256"], trained_for=pointer["trained_for"])


def _result(ws: Workspace, trained: Trained, url: str) -> dg.MaterializeResult:
    pointer = trained.pointer
    link: dict[str, Any] = {"MLflow run": dg.MetadataValue.url(url), "training_seconds": round(trained.seconds, 3)}
    if trained.is_tombstone:
        return dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(pointer)),
            metadata={"Tombstone": pointer["reason"], **link},
            check_results=_checked(ws, pointer, failed=True, reason=pointer["reason"]),
        )
    train, itv = pointer["metrics"]["train"], pointer["metrics"]["itv"]
    inputs = load_bundle(ws, pointer["bundle_sha256"]).manifest["selected"]
    is_new = pointer["trained_for"] == pointer["production_month"]
    metadata: dict[str, Any] = {
        "Trained for": pointer["trained_for"]
        + ("" if is_new else ", and in use since: nothing was trained this month"),
        "Metrics": samples_table({"train": train, "ITV": itv}),
        # Drawn in the model's own month; a month that points to an earlier model shows its metrics only.
        **(_pictures(ws, pointer) if is_new else {}),
        **_ingredients(pointer),
        "Most important inputs": table(["model input", "importance"], list(pointer["importances"].items())[:15]),
        **plotted({"AUC on ITV": itv["auc"], "KS on ITV": itv["ks"]}),
        COLUMN_SCHEMA: inputs_schema(inputs),
        COLUMN_LINEAGE: inputs_lineage(ws.spec, inputs),
        "bundle_sha256": pointer["bundle_sha256"],
        **link,
    }
    return dg.MaterializeResult(
        data_version=dg.DataVersion(pointer["bundle_sha256"]),
        metadata=metadata,
        check_results=_checked(ws, pointer, failed=False, reason=f"AUC on ITV {itv['auc']:.4f}"),
    )


def _ingredients(pointer: dict[str, Any]) -> dict[str, Any]:
    if "members" in pointer:
        return {"Members": table(["member's bundle"], ([digest] for digest in pointer["members"]))}
    params = pointer["params"].items()
    return {"Parameters": table(["parameter", "tuned value"], ([name, _short(value)] for name, value in params))}


def _checked(ws: Workspace, pointer: dict[str, Any], *, failed: bool, reason: str) -> list[dg.AssetCheckResult]:
    return check_results(ws, Month.parse(pointer["production_month"]), [judged(catalogue.TRAINED, failed, reason)])


def _pictures(ws: Workspace, pointer: dict[str, Any]) -> dict[str, Any]:
    from pdx_assets.risk.sketches import roc_and_calibration_sketch

    itv = learned_from(ws, window(ws, pointer["strategy"], Month.parse(pointer["production_month"]))).itv
    pd = load_bundle(ws, pointer["bundle_sha256"]).predict_pd(itv.matrix)
    # No large picture beside it: 0.37 s each, eight a month.
    drawn = sketch(roc_and_calibration_sketch(itv.label, pd, itv.weight), "ROC, calibration on ITV")
    return {"ROC and calibration": drawn}
