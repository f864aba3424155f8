"""Group *production*: the champion's scores, and what came of them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import asset_options
from pdx_assets.orchestration.checks import check_results, check_specs
from pdx_assets.orchestration.metadata import (
    models_table,
    percent,
    plotted,
    png,
    recipe,
    samples_table,
    sketch,
    table,
)
from pdx_assets.orchestration.partitions import production_months, shifted
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.catalogue import AUC_DECAY, CALIBRATION, CHAMPION_AGAINST_BASELINE
from pdx_assets.risk.errors import DecisionError, NotYetKnownError
from pdx_assets.risk.hashing import content_sha256, document_sha256
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages import production as stage
from pdx_assets.stages.decision import pointers
from pdx_assets.stages.model_checks import check_performance
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.scores import read_scores
from pdx_assets.stages.workspace import Workspace


def production_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``production_scores`` and ``production_performance``."""
    partitions = production_months(spec)
    same_month = shifted(0, 0)

    @dg.asset(
        name="production_scores",
        description="PD of each loan originated in the month, by the month's champion; earlier versions stay readable.",
        partitions_def=partitions,
        deps=[
            dg.AssetKey([spec.name, "champion"]),
            dg.AssetDep(dg.AssetKey([spec.name, "clean_features"]), partition_mapping=same_month),
        ],
        io_manager_key="tables",
        output_required=False,
        code_version="1",
        **asset_options(spec, "production", kinds={"onnx", "deltalake"}),
    )
    def production_scores(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        try:
            scores, decision, seconds = stage.production_scores(ws, production)
        except (NotYetKnownError, DecisionError) as error:
            # Not yet on the tape, or nobody in charge: skipped; the champion's own check says so loudly.
            context.log.warning(str(error))
            return
        champion = decision["champion"]
        mean_pd = stage.mean_pd(ws, production, scores)
        yield dg.MaterializeResult(
            value=scores,
            data_version=dg.DataVersion(content_sha256(scores)),
            metadata={
                "Champion": f"{' '.join(recipe(champion))} of {champion['trained_for']}",
                "Mean PD": percent(mean_pd),
                **plotted({"mean_pd": mean_pd}),
                "scoring_seconds": round(seconds, 3),
            },
        )

    @dg.asset(
        name="production_performance",
        description="How the champion, every fresh challenger and the baseline really did, once the month's own labels "
        "are known (the paper's Tables 6 to 8).",
        partitions_def=partitions,
        deps=[
            dg.AssetKey([spec.name, "champion"]),
            *(dg.AssetKey([spec.name, f"challenger_{s}_{a}"]) for a in spec.algorithms for s in spec.strategies),
            *(
                dg.AssetDep(dg.AssetKey([spec.name, layer]), partition_mapping=same_month)
                for layer in ("clean_features", "labels")
            ),
        ],
        check_specs=check_specs(spec, "production_performance", AUC_DECAY, CALIBRATION, CHAMPION_AGAINST_BASELINE),
        output_required=False,
        code_version="1",
        **asset_options(spec, "production", kinds={"json"}),
    )
    def production_performance(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        try:
            document, seconds = stage.measure_production(ws, production)
        except NotYetKnownError as error:
            context.log.warning(str(error))
            return
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(document)),
            metadata={**_performance_metadata(ws, production, document), "scoring_seconds": round(seconds, 3)},
            check_results=check_results(ws, production, check_performance(ws, production)),
        )

    return [production_scores, production_performance]


def _performance_metadata(ws: Workspace, production: Month, document: dict[str, Any]) -> dict[str, Any]:
    from pdx_assets.risk.plots import roc_and_calibration
    from pdx_assets.risk.sketches import roc_and_calibration_sketch

    models = [
        (pointer, document["metrics"][pointer["bundle_sha256"]])
        for pointer in pointers(ws, production)
        if pointer.get("bundle_sha256") in document["metrics"]
    ]
    digest = document["champion"]
    models_of_month = {"All models of the month": models_table(models, **({digest: "champion"} if digest else {}))}
    if not digest:
        return {"Champion": "nobody was in charge", **models_of_month}
    if digest in document["unscored"]:
        return {"Champion": f"could not be scored: {document['unscored'][digest]}", **models_of_month}
    who, champion = find_decision(ws, production), document["metrics"][digest]
    assert who is not None
    cohort = {production: ws.lake.contents("clean_features")[production].sha256}
    scored = stage.realized(ws, production).join(read_scores(ws, [digest], cohort), on=["cohort", "loan_id"])
    label, pd = scored["label"].to_numpy(), scored["pd"].to_numpy()
    weight = scored["weight"].to_numpy() if "weight" in scored.columns else None
    title = f"Champion of {production}, realized{', labels not knowable in time' if ws.spec.hindsight else ''}"
    fairness = {
        f"Goods approved, by {column}": table(
            ["group", "share of goods approved"],
            ([group, percent(v)] for group, v in found["approval_of_goods"].items()),
        )
        for column, found in document["equal_opportunity"].items()
    }
    return {
        "Champion": f"{' '.join(recipe(who['champion']))} of {who['champion']['trained_for']}",
        "Champion, realized": samples_table({str(production): champion}),
        "ROC and calibration": sketch(roc_and_calibration_sketch(label, pd, weight), title),
        "ROC and calibration, large": png(roc_and_calibration(label, pd, title, weight), title),
        **models_of_month,
        **fairness,
        **plotted({f"champion_{name}": champion[name] for name in ("auc", "ks", "bad_rate")}),
        **plotted(
            {
                f"equal opportunity difference, {c}": found["difference"]
                for c, found in document["equal_opportunity"].items()
            }
        ),
    }
