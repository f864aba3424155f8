"""Group *monitoring*, for people: the drift report, in a job of its own since Evidently takes its time."""

from collections.abc import Iterator

import dagster as dg

from pdx_assets.orchestration.assets.common import asset_options
from pdx_assets.orchestration.metadata import plotted, png
from pdx_assets.orchestration.partitions import production_months, shifted
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.settings import Settings
from pdx_assets.stages.reports import psi_history, write_drift_report
from pdx_assets.stages.workspace import Workspace

REPORT_VERSION = "1"


def report_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``drift_report``."""

    @dg.asset(
        name="drift_report",
        description="Evidently's page on the month's loans against the champion's development window, features and "
        "score: one self-contained HTML file in the home.",
        partitions_def=production_months(spec),
        deps=[
            dg.AssetKey([spec.name, "drift"]),
            dg.AssetKey([spec.name, "champion"]),
            dg.AssetDep(dg.AssetKey([spec.name, "clean_features"]), partition_mapping=shifted(0, 0)),
        ],
        output_required=False,
        code_version=REPORT_VERSION,
        **asset_options(spec, "monitoring", kinds={"evidently"}),
    )
    def drift_report(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        from pdx_assets.risk.plots import psi_by_month

        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        try:
            report = write_drift_report(ws, production)
        except DecisionError as error:
            context.log.warning(str(error))
            return
        months, series = psi_history(ws, production)
        limits = spec.checks
        address = f"{Settings.from_environment().reports_ui}/{spec.name}/{report.path.name}"
        yield dg.MaterializeResult(
            metadata={
                "Report": dg.MetadataValue.url(address),
                "File": dg.MetadataValue.path(report.path),
                "Compared": f"{report.current:,} loans of {production} with {report.reference:,} of "
                f"{report.first} to {report.last}",
                "PSI by month": png(
                    psi_by_month(months, series, limits.psi_warning, limits.psi_alarm), "PSI by feature and month"
                ),
                **plotted({"PSI of the score": series["score"][-1] if months else None}),
            },
        )

    return [drift_report]
