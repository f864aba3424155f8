"""Group *monitoring*: drift of the production cohort against the champion's development window."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import asset_options
from pdx_assets.orchestration.checks import check_results, check_specs
from pdx_assets.orchestration.metadata import plotted, png, table
from pdx_assets.orchestration.partitions import production_months, shifted
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.catalogue import FEATURE_PSI, SCORE_PSI
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.model_checks import check_drift
from pdx_assets.stages.monitoring import measure_drift
from pdx_assets.stages.workspace import Workspace


def monitoring_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``drift``."""

    @dg.asset(
        name="drift",
        description="PSI of each feature and of the champion's score: development window against the month's loans.",
        partitions_def=production_months(spec),
        deps=[
            dg.AssetKey([spec.name, "production_scores"]),
            dg.AssetDep(dg.AssetKey([spec.name, "clean_features"]), partition_mapping=shifted(0, 0)),
        ],
        check_specs=check_specs(spec, "drift", FEATURE_PSI, SCORE_PSI),
        output_required=False,
        code_version="1",
        **asset_options(spec, "monitoring", kinds={"polars"}),
    )
    def drift(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        from pdx_assets.risk.plots import psi_bars

        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        try:
            document = measure_drift(ws, production)
        except DecisionError as error:
            context.log.warning(str(error))
            return
        values = {name: value for name, value in document["psi"].items() if value is not None}
        limits, reference = spec.checks, document["reference"]
        ranked = sorted(values.items(), key=lambda kv: (-kv[1], kv[0]))
        plot = psi_bars(list(values), list(values.values()), limits.psi_warning, limits.psi_alarm)
        metadata: dict[str, Any] = {
            "Compared": f"{document['loans']:,} loans of {document['production_month']} with the champion's "
            f"development window, {reference['first']} to {reference['last']} ({reference['loans']:,} loans)",
            "Thresholds": f"warning {limits.psi_warning:g}, alarm {limits.psi_alarm:g}",
            "Drifted most": table(["feature", "PSI", "level"], ([n, v, _level(v, spec)] for n, v in ranked[:10])),
            "All features": png(plot, "PSI by feature"),
            **plotted({"PSI of the score": document["score_psi"], "highest PSI": max(values.values(), default=0.0)}),
            "features above alarm": sum(v >= limits.psi_alarm for v in values.values()),
        }
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(document)),
            metadata=metadata,
            check_results=check_results(ws, production, check_drift(ws, production, document)),
        )

    return [drift]


def _level(psi: float, spec: PortfolioSpec) -> str:
    return "alarm" if psi >= spec.checks.psi_alarm else "warning" if psi >= spec.checks.psi_warning else ""
