"""Group *monitoring*, for people: one page on a portfolio, who has been in charge and how it went."""

from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import asset_options
from pdx_assets.orchestration.metadata import champion_pictures, png, recipe, table
from pdx_assets.results import collect
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.spec import NOT_KNOWABLE, PortfolioSpec
from pdx_assets.stages.made import keep_overview
from pdx_assets.stages.tape import open_tape
from pdx_assets.stages.workspace import Workspace

OVERVIEW_VERSION = "1"


def overview_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``overview``."""

    @dg.asset(
        name="overview",
        description=f"{spec.title or spec.name} at a glance: its tape, its plan, every champion so far and how it did "
        "against the baseline.",
        deps=[dg.AssetKey([spec.name, "champion"]), dg.AssetKey([spec.name, "production_performance"])],
        code_version=OVERVIEW_VERSION,
        **asset_options(spec, "monitoring", kinds={"markdown"}),
    )
    def overview() -> dg.MaterializeResult:
        ws = Workspace.of(spec)
        champions = collect(ws)["champions"]
        keep_overview(ws, Month.parse(champions[-1]["production_month"]))
        return dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(champions)), metadata=_page(ws, champions)
        )

    return [overview]


def _page(ws: Workspace, champions: list[dict[str, Any]]) -> dict[str, Any]:
    from pdx_assets.risk.plots import auc_by_month

    months = [c["production_month"] for c in champions]
    recipes = [" ".join(recipe(c)) if c["bundle_sha256"] else None for c in champions]
    realized, baseline = (
        [(c[name] or {}).get("auc") for c in champions] for name in ("production", "baseline_production")
    )
    title = "AUC by production month" + (", labels not knowable in time" if ws.spec.hindsight else "")
    rows = (
        [c["production_month"], who, c["trained_for"], c["decision"].replace("_", " "), c["otv_auc"], ours, theirs]
        for c, who, ours, theirs in zip(champions, recipes, realized, baseline, strict=True)
    )
    header = ["month", "champion", "trained for", "decision", "OTV AUC", "realized AUC", "baseline's AUC"]
    return {
        "Portfolio": dg.MetadataValue.md(_words(ws)),
        **champion_pictures(months, recipes),
        "AUC by month": png(auc_by_month(months, {"baseline": baseline}, champion=realized, title=title), title),
        "Decisions": table(header, reversed(list(rows))),
    }


def _words(ws: Workspace) -> str:
    spec, tape, plan = ws.spec, open_tape(ws), ws.spec.windows
    account = tape.accounting
    return "\n".join(
        [
            f"**{spec.title or spec.name}**: {spec.description}",
            "",
            f"- tape: {account.rows_out:,} loans of {tape.cohorts[0]} to {tape.cohorts[-1]}, as of {tape.as_of}",
            f"- label: {spec.label.name}, {spec.label.horizon}",
            *([f"- **{NOT_KNOWABLE}**"] if spec.hindsight else []),
            f"- plan: development {plan.development}, OTV {plan.otv}, gap {plan.gap} {plan.frequency}s; "
            f"p0 {plan.first_production}",
            f"- policy: {spec.decision.policy}, on {spec.decision.metric.upper()}; profile {ws.pinned.profile}, "
            f"seed {ws.pinned.seed}",
        ]
    )
