"""Group *windows*: one manifest per strategy and production month."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import asset_options
from pdx_assets.orchestration.checks import check_results, check_specs
from pdx_assets.orchestration.lineage import COLUMN_LINEAGE, COLUMN_SCHEMA, inputs_lineage, inputs_schema
from pdx_assets.orchestration.metadata import months_and_loans, percent, plotted, table
from pdx_assets.orchestration.partitions import production_months, window_edge
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.base import Check, Verdict, judged, not_applicable
from pdx_assets.risk.checks.catalogue import LABEL_FIREWALL, LEAKS
from pdx_assets.risk.errors import FirewallError, LeakError, NotYetKnownError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.spec import NOT_KNOWABLE, PortfolioSpec, Strategy
from pdx_assets.risk.windows import MANIFEST_VERSION, WEIGHTED
from pdx_assets.stages.leaks import current_rows
from pdx_assets.stages.windows import make_window
from pdx_assets.stages.workspace import Workspace

WHAT = {
    "fixed_window": "the development months stay those of the first production month",
    "fixed_origin": "the development window keeps its start and grows",
    "rolling_window": "the development window moves with the production month",
    "all_known": "every cohort whose labels are known on the decision date",
    "immature_cohorts": "every cohort before the production month, each as far as it was seen on the decision date",
}


def window_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``window_<strategy>`` for every declared strategy."""
    return [_window_asset(spec, strategy) for strategy in spec.strategies]


def _window_asset(spec: PortfolioSpec, strategy: Strategy) -> dg.AssetsDefinition:
    plan, is_immature = spec.windows, strategy == "immature_cohorts"

    @dg.asset(
        name=f"window_{strategy}",
        description=f"Manifest of the {strategy.replace('_', ' ')}: {WHAT[strategy]}. D={plan.development}, "
        f"O={plan.otv}, G={plan.gap}. Names months, content hashes, bads and the decision date; nothing known after "
        "it may be in.",
        partitions_def=production_months(spec),
        deps=[
            dg.AssetDep(dg.AssetKey([spec.name, layer]), partition_mapping=window_edge(spec, strategy))
            for layer in ("clean_features", "labels", *(("outcomes", "raw_loans") if is_immature else ()))
        ],
        check_specs=check_specs(spec, f"window_{strategy}", *_checks(strategy)),
        output_required=False,
        code_version=str(MANIFEST_VERSION),
        **asset_options(spec, "windows", kinds={"json"}),
    )
    def window(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        try:
            manifest = make_window(ws, strategy, production)
        except NotYetKnownError as error:
            context.log.warning(str(error))
            return
        except FirewallError as error:
            yield from check_results(ws, production, [judged(LABEL_FIREWALL, True, error.got)])
            raise
        except LeakError:
            yield from check_results(ws, production, _leaks(ws, strategy))
            raise
        hashed = {k: v for k, v in manifest.items() if k != "tables"}
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(hashed)),
            metadata={**_window_metadata(manifest), **_leaks_metadata(ws, strategy)},
            check_results=check_results(ws, production, [_firewall(manifest), *_leaks(ws, strategy)]),
        )

    return window


def _checks(strategy: Strategy) -> tuple[Check, ...]:
    # Features are judged once, on the first window: shown where every portfolio has one.
    return (LABEL_FIREWALL, LEAKS) if strategy == "fixed_window" else (LABEL_FIREWALL,)


def _leaks(ws: Workspace, strategy: Strategy) -> list[Verdict]:
    """The verdict on the portfolio's features; none where they are shown elsewhere."""
    if strategy != "fixed_window":
        return []
    found = current_rows(ws)
    if not found:
        return [not_applicable(LEAKS, f"the first window, of {ws.spec.p0}, cannot be made: nothing is judged yet")]
    opened = [row for row in found if row["status"] == "open"]
    flagged = sum(row["flagged"] for row in found)
    told = "; ".join(f"{row['feature']}: {row['reason']}" for row in opened)
    decided = f", {flagged} flagged and accepted in the YAML" if flagged else ", none flagged"
    return [
        judged(
            LEAKS,
            bool(opened),
            told or f"{len(found)} features judged{decided}",
            numbers={"features judged": len(found), "features flagged": flagged, "open flags": len(opened)},
            columns=LEAK_COLUMNS,
            rows=_leak_rows(found),
        )
    ]


LEAK_COLUMNS = ("feature", "status", "suspicion", "AUC alone, out of time", "in time", "reason")


def _leak_rows(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    keys = ("feature", "status", "suspicion", "auc_oot", "auc_in_time", "reason")
    return [tuple(row[key] for key in keys) for row in found]


def _leaks_metadata(ws: Workspace, strategy: Strategy) -> dict[str, Any]:
    found = current_rows(ws) if strategy == "fixed_window" else []
    if not found:
        return {}
    names = [row["feature"] for row in found]
    return {
        "Leaks: every feature alone": table(LEAK_COLUMNS, _leak_rows(found)),
        COLUMN_SCHEMA: inputs_schema(names),
        COLUMN_LINEAGE: inputs_lineage(ws.spec, names),
    }


def _firewall(manifest: dict[str, Any]) -> Verdict:
    if manifest["label"].get("hindsight"):
        return not_applicable(LABEL_FIREWALL, NOT_KNOWABLE)
    parts = (manifest["development"], manifest["otv"])
    latest = max((p["last_event"] for p in parts if p and p["last_event"]), default="")
    told = "the latest label was known from" if manifest["otv"] else "nothing was seen after"
    return judged(LABEL_FIREWALL, False, f"{told} {latest}; decision date {manifest['decision_date']}")


def _weighted(month: dict[str, Any], shown: list[str]) -> list[str | None]:
    return [percent(month[w]) if w == "weighted_bad_rate" else f"{month[w]:,.1f}" for w in shown]


def _window_metadata(manifest: dict[str, Any]) -> dict[str, Any]:
    counted = ("cohort", "loans", "bads", "goods", "indeterminate")
    parts = {"Development": manifest["development"], **({"OTV": manifest["otv"]} if manifest["otv"] else {})}
    metadata: dict[str, Any] = {"Decision date": manifest["decision_date"], "Label": manifest["label"]["name"]}
    metadata |= {"Hindsight": NOT_KNOWABLE} if manifest["label"].get("hindsight") else {}
    metadata |= {name: months_and_loans(part) for name, part in parts.items()}
    if manifest["waived"]:
        waived = ([w["cohort"], w["check"], w["by"], w["at"][:10], w["reason"]] for w in manifest["waived"])
        metadata["Used under a waiver"] = table(["cohort", "check", "waived by", "on", "reason"], waived)
    for name, part in parts.items():
        shown = [w for w in WEIGHTED if w in part]
        seen = ["months_seen"] if "clock" in part else []
        rows = (
            [*(m[c] for c in (*counted, *seen)), percent(m["bad_rate"]), *_weighted(m, shown)] for m in part["months"]
        )
        heads = [*counted, *seen, "bad rate", *shown]
        metadata[f"{name} by cohort"] = table([h.replace("_", " ") for h in heads], rows)
    if manifest["development"].get("clock"):
        shares = enumerate(manifest["development"]["clock"])
        heads = ["month on book", "share of the horizon's hazard"]
        metadata["Clock"] = table(heads, ([k, percent(u)] for k, u in shares))
    for name, part in parts.items():
        prefix = name.lower()
        rate = part.get("weighted_bad_rate", part["bad_rate"])
        metadata |= {f"{prefix}_loans": part["loans"], **plotted({f"{prefix}_bad_rate": rate})}
        metadata[f"{prefix}_sha256"] = part["sha256"]
    return metadata
