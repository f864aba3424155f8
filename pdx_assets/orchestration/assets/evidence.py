"""Group *decision*: the record of the recipes, on which a change of recipe rests."""

from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import TRAINING_POOL, asset_options
from pdx_assets.orchestration.metadata import plotted, png, table
from pdx_assets.orchestration.partitions import production_months, window_edge
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.evidence.paired import TWO_SIDED_95, mean_level
from pdx_assets.risk.evidence.record import MonthEvidence
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.as_of import recipes
from pdx_assets.stages.evidence import make_record, record_in
from pdx_assets.stages.workspace import Workspace

RECORD_VERSION = "1"


def evidence_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``recipe_record``, where the portfolio declares ``decision.evidence``."""
    if spec.decision.evidence is None:
        return []
    earlier = window_edge(spec, "immature_cohorts")

    @dg.asset(
        name="recipe_record",
        description="What each recipe's models were worth on the cohorts that came after them: every matured cohort, "
        "scored by the models built at its own decision date, labels as known on this month's. Models as of months "
        "before the first production month are trained here.",
        partitions_def=production_months(spec),
        deps=[
            dg.AssetDep(dg.AssetKey([spec.name, upstream]), partition_mapping=earlier)
            for upstream in (
                *("clean_features", "labels", "outcomes"),
                *(f"challenger_{s}_{a}" for s, a in recipes(spec)),
            )
        ],
        code_version=RECORD_VERSION,
        pool=TRAINING_POOL,
        **asset_options(spec, "decision", kinds={"json"}),
    )
    def recipe_record(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        document, seconds = make_record(ws, production)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(document)),
            metadata={**_metadata(document, record_in(document)), "training_seconds": round(seconds, 3)},
        )

    return [recipe_record]


def _metadata(document: dict[str, Any], record: tuple[MonthEvidence, ...]) -> dict[str, Any]:
    from pdx_assets.risk.plots import auc_by_month

    names = sorted({name for month in record for name in month.areas})
    levels = {name: level for name in names if (level := mean_level(record, name)) is not None}
    ranked = sorted(levels, key=lambda name: -levels[name].estimate)
    rows = [
        [
            name.replace("_", " "),
            levels[name].estimate,
            levels[name].estimate - TWO_SIDED_95 * levels[name].standard_error,
            levels[name].estimate + TWO_SIDED_95 * levels[name].standard_error,
            levels[name].months,
            f"{levels[name].bads:,.0f}",
        ]
        for name in ranked
    ]
    failed = [[m["cohort"], who.replace("_", " "), why] for m in document["months"] for who, why in m["failed"].items()]
    months = [str(m.cohort) for m in record]
    drawn = {name: [m.areas.get(name) for m in record] for name in ranked[:6]}
    title = "AUC on each matured cohort, by the models of before it"
    return {
        "Labels as known on": document["known_on"],
        "Matured cohorts": f"{len(months)}" + (f", {months[0]} to {months[-1]}" if months else ""),
        "Record of each recipe": table(["recipe", "mean AUC", "from", "to", "cohorts", "bads"], rows),
        "AUC by cohort": png(auc_by_month(months, drawn, title=title), title),
        **({"Without a model": table(["cohort", "recipe", "why"], failed)} if failed else {}),
        **plotted({f"record AUC {name.replace('_', ' ')}": levels[name].estimate for name in ranked[:6]}),
    }
