"""Group *monitoring*, for people: the paper's tables and its Figure 4, from this portfolio's results."""

from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import asset_options
from pdx_assets.orchestration.metadata import png
from pdx_assets.risk.experiment.render import as_markdown
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.experiment import experiment
from pdx_assets.stages.workspace import Workspace

EXPERIMENT_VERSION = "1"


def experiment_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``experiment_tables``."""

    @dg.asset(
        name="experiment_tables",
        description="Tables 2 to 8 and Figure 4 of the paper for this portfolio, from stored results; a month not "
        "measured yet is blank. The paper's own figures beside them where the portfolio mirrors one of its datasets.",
        # Everything else the tables show is upstream of these two.
        deps=[dg.AssetKey([spec.name, "champion"]), dg.AssetKey([spec.name, "production_performance"])],
        code_version=EXPERIMENT_VERSION,
        **asset_options(spec, "monitoring", kinds={"markdown"}),
    )
    def experiment_tables() -> dg.MaterializeResult:
        found = experiment(Workspace.of(spec))
        metadata: dict[str, Any] = {"Real or simulated": dg.MetadataValue.md("\n\n".join(found.stored.told))}
        for table in found.tables:
            if table.key == "figure_4":
                metadata["Figure 4, drawn"] = png(found.figure, table.title)
            metadata[table.title] = dg.MetadataValue.md(as_markdown(table))
        return dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(found.document)),
            metadata={**metadata, "production_months": len(found.stored.champions)},
        )

    return [experiment_tables]
