"""Group *monitoring*: the gap radar, a champion's performance estimated before its labels exist."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import asset_options
from pdx_assets.orchestration.checks import check_results, check_specs
from pdx_assets.orchestration.metadata import percent, plotted, png, table
from pdx_assets.orchestration.partitions import production_months, shifted
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.catalogue import EXPECTED_PERFORMANCE
from pdx_assets.risk.errors import DecisionError, NotYetKnownError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.radar.forecast import KINDS
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.model_checks import check_estimate
from pdx_assets.stages.radar import estimate_performance, estimates_so_far
from pdx_assets.stages.workspace import Workspace


def radar_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``performance_estimate``."""

    @dg.asset(
        name="performance_estimate",
        description="AUC and bad rate of the month's champion, estimated before the month's labels exist: from "
        "calibrated scores, from the month's own arrears as it ages, and from both, with 90 % intervals.",
        partitions_def=production_months(spec),
        deps=[
            dg.AssetKey([spec.name, "champion"]),
            *(
                dg.AssetDep(dg.AssetKey([spec.name, layer]), partition_mapping=shifted(0, 0))
                for layer in ("clean_features", "outcomes")
            ),
        ],
        check_specs=check_specs(spec, "performance_estimate", EXPECTED_PERFORMANCE),
        output_required=False,
        code_version="1",
        **asset_options(spec, "monitoring", kinds={"scikitlearn"}),
    )
    def performance_estimate(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        try:
            document = estimate_performance(ws, production)
        except (NotYetKnownError, DecisionError) as error:
            context.log.warning(str(error))
            return
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(document)),
            metadata=_metadata(ws, production, document),
            check_results=check_results(ws, production, check_estimate(ws, production, document)),
        )

    return [performance_estimate]


def _metadata(ws: Workspace, production: Month, document: Mapping[str, Any]) -> dict[str, Any]:
    if not document["estimates"]:
        return {"Not estimated": document["reason"]}
    newest, reference, realized = document["estimates"][-1], document["reference"], document["realized"]
    days = [(e, kind) for e in document["estimates"] for kind in KINDS if kind in e]
    both = newest["combined"]
    return {
        "Expected": f"AUC {_auc(both.get('auc'))}, bad rate {_rate(both['bad_rate'])}, on {newest['as_of']}, with "
        f"{newest['bads_so_far']} of about {newest['bads_expected']:.0f} bads seen",
        **(
            {"Realized": f"AUC {realized['auc']:.3f}, bad rate {percent(realized['bad_rate'])}"}
            if _known(realized)
            else {}
        ),
        "As the month ages": table(
            ["on", "of the clock", "bads", "from", "AUC", "bad rate"],
            (
                [
                    e["as_of"],
                    percent(e["clock"]),
                    e["bads_so_far"],
                    kind,
                    _auc(e[kind].get("auc")),
                    _rate(e[kind]["bad_rate"]),
                ]
                for e, kind in days
            ),
        ),
        "Track record": table(
            ["on", "from", "figure", "months", "held", "bias", "intervals widened"],
            (
                [e["as_of"], kind, name.replace("_", " "), r["months"], r["covered"], r["bias"], r["widening"]]
                for e, kind in days
                for name, told in e[kind].items()
                for r in [told["record"]]
            ),
        ),
        "Calibrated on": f"{reference['loans']:,} loans of {reference['first']} to {reference['last']} "
        f"({reference['bads']:,} bads); weighted, they count for {reference['effective_loans']:,.0f}",
        **_pictures(ws, production),
        **plotted(
            {
                "expected AUC": both["auc"]["value"] if "auc" in both else None,
                "expected bad rate": both["bad_rate"]["value"],
                "share of the clock": newest["clock"],
            }
        ),
    }


def _pictures(ws: Workspace, production: Month) -> dict[str, Any]:
    from pdx_assets.risk.radar.picture import estimates_by_month

    so_far = [d for d in estimates_so_far(ws, production) if d["estimates"]]
    months = [d["production_month"] for d in so_far]
    found = {}
    for name, words in (("auc", "AUC"), ("bad_rate", "bad rate")):
        first = [d["estimates"][0]["confidence"].get(name) for d in so_far]
        intervals = [None if e is None else (e["value"], e["low"], e["high"]) for e in first]
        realized = [d["realized"][name] if d["realized"] else None for d in so_far]
        title = f"Estimated and realized {words}"
        found[title] = png(estimates_by_month(months, intervals, realized, words), title)
    return found


def _known(realized: Mapping[str, Any] | None) -> bool:
    return realized is not None and realized["auc"] is not None


def _auc(told: Mapping[str, Any] | None) -> str:
    return "" if told is None else f"{told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f})"


def _rate(told: Mapping[str, Any]) -> str:
    return f"{percent(told['value'])} ({percent(told['low'])} to {percent(told['high'])})"
