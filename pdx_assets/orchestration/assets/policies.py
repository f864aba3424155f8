"""Group *monitoring*, for people: what other policies would have made of the same models and scores."""

from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import asset_options
from pdx_assets.orchestration.metadata import percent, png, table
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.simulation import Compared
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.simulation import comparison_document, picture, simulate, usable_policies
from pdx_assets.stages.workspace import Workspace

COMPARISON_VERSION = "2"


def policy_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``policy_comparison``."""

    @dg.asset(
        name="policy_comparison",
        description="The months decided so far, decided again under every policy the portfolio has the settings for, "
        "from the same models and scores: realized AUC, changes of champion, regret. Nothing is trained, and the "
        "record is not touched.",
        deps=[dg.AssetKey([spec.name, "champion"]), dg.AssetKey([spec.name, "production_performance"])],
        code_version=COMPARISON_VERSION,
        **asset_options(spec, "monitoring", kinds={"markdown"}),
    )
    def policy_comparison() -> dg.MaterializeResult:
        ws = Workspace.of(spec)
        found = simulate(ws, usable_policies(spec), score_missing=True)
        best = next((c.best_recipe for c in found if c.best_recipe), None)
        metadata: dict[str, Any] = {
            "Policies": _ranking(found),
            "Changes and regret": _changes(found),
            "Lending: at the approval rate": _lending(found),
            "AUC by month": png(picture(ws, found), "AUC by production month under each policy"),
            "In charge": f"the {spec.decision.policy} policy",
            "Months with known labels": f"{found[0].realized.measured} of {found[0].realized.months}",
        }
        if best:
            metadata["Best recipe in hindsight"] = best.replace("_", " ")
        return dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(comparison_document(ws, found))), metadata=metadata
        )

    return [policy_comparison]


# Four or five short columns each: of more the asset's page cuts off the last.
def _ranking(found: list[Compared]) -> dg.TableMetadataValue:
    rows = [[_spoken(c), c.realized.mean_production_auc, c.difference_shown, c.p_shown] for c in found]
    return table(["policy", "mean AUC", "difference [95 %]", "p"], rows)


def _changes(found: list[Compared]) -> dg.TableMetadataValue:
    rows = [[_spoken(c), c.realized.champion_changes, c.realized.recipe_changes, c.regret] for c in found]
    return table(["policy", "of champion", "of recipe", "regret"], rows)


def _lending(found: list[Compared]) -> dg.TableMetadataValue:
    rows = []
    for c in found:
        own = c.realized
        shares = [percent(own.mean_capture_rate), own.observed_to_expected, percent(own.bad_rate_approved)]
        rows.append([_spoken(c), own.mean_ks, *shares, own.profit_per_loan])
    return table(["policy", "KS", "capture", "O/E", "bad rate", "profit"], rows)


def _spoken(compared: Compared) -> str:
    return compared.realized.policy.replace("_", " ")
