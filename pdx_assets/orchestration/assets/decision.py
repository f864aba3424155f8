"""Group *decision*: otv_scores, and the champion as a fold over recorded decisions."""

import os
from typing import Any

import dagster as dg

from pdx_assets.orchestration.assets.common import asset_options, monthly
from pdx_assets.orchestration.checks import check_results, check_specs
from pdx_assets.orchestration.metadata import (
    champion_pictures,
    models_table,
    months_and_loans,
    percent,
    plotted,
    recipe,
    table,
)
from pdx_assets.orchestration.partitions import production_months, shifted
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.catalogue import CUT_OFF_SHIFT, OTV_DISCRIMINATION, SOMEONE_IN_CHARGE
from pdx_assets.risk.errors import MissingMonthError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.policy import DECISION_VERSION
from pdx_assets.risk.spec import PAPER_STRATEGIES, PortfolioSpec
from pdx_assets.stages import decision as stage
from pdx_assets.stages.model_checks import check_decision
from pdx_assets.stages.record import decisions
from pdx_assets.stages.workspace import Workspace

IN_CHARGE = SOMEONE_IN_CHARGE.code


def wait_for_earlier_months(error: MissingMonthError) -> dg.RetryRequested:
    """Ask for another try: months launched at once may finish out of order; bounded, then the step fails."""
    tries = int(os.environ.get("PDX_WAIT_TRIES", "30"))
    seconds = float(os.environ.get("PDX_WAIT_SECONDS", "10"))
    request = dg.RetryRequested(max_retries=tries, seconds_to_wait=seconds)
    request.__cause__ = error
    return request


def decision_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """``otv_scores`` and ``champion``."""
    options = asset_options(spec, "decision", kinds={"json"})
    partitions = production_months(spec)
    kept = shifted(-(spec.decision.keep_months - 1), 0)

    @dg.asset(
        name="otv_scores",
        description="Every candidate's metrics on the common out-of-time window, over the stored per-loan PDs.",
        partitions_def=partitions,
        deps=[
            dg.AssetKey([spec.name, "window_fixed_window"]),
            *(
                dg.AssetDep(dg.AssetKey([spec.name, f"challenger_{s}_{a}"]), partition_mapping=kept)
                for a in spec.algorithms
                for s in spec.strategies
                if s in PAPER_STRATEGIES
            ),
        ],
        code_version="1",
        **options,
    )
    def otv_scores(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        try:
            document, seconds = stage.measure_otv(ws, production)
        except MissingMonthError as error:
            raise wait_for_earlier_months(error) from error
        models = [
            (pointer, document["metrics"][pointer["bundle_sha256"]])
            for pointer in stage.pointers(ws, production)
            if pointer.get("bundle_sha256") in document["metrics"]
        ]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(document)),
            metadata={
                "OTV": months_and_loans(document["otv"]),
                "Models of the month": models_table(models),
                "Models measured": f"{len(document['metrics'])}, those kept of earlier months among them",
                **plotted({f"AUC {' '.join(recipe(who))}": metrics["auc"] for who, metrics in models}),
                "scoring_seconds": round(seconds, 3),
            },
        )

    @dg.asset(
        name="champion",
        description=f"Who is in charge of the production month, why, and against whom ({spec.decision.policy} policy). "
        "A recorded decision stands: a revised tape never rewrites it.",
        partitions_def=partitions,
        deps=[
            dg.AssetKey([spec.name, "otv_scores"]),
            *([dg.AssetKey([spec.name, "recipe_record"])] if spec.decision.evidence else []),
            dg.AssetDep(dg.AssetKey([spec.name, "champion"]), partition_mapping=shifted(-1, -1)),
        ],
        check_specs=check_specs(spec, "champion", SOMEONE_IN_CHARGE, OTV_DISCRIMINATION, CUT_OFF_SHIFT),
        code_version=str(DECISION_VERSION),
        freshness_policy=monthly(spec),
        **options,
    )
    def champion(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        ws, production = Workspace.of(spec), Month.parse(context.partition_key)
        try:
            document, is_new = stage.decide(ws, production)
        except MissingMonthError as error:
            raise wait_for_earlier_months(error) from error
        return dg.MaterializeResult(
            data_version=dg.DataVersion(document_sha256(document)),
            metadata=_decision_metadata(ws, document, is_new),
            check_results=check_results(ws, production, check_decision(ws, production, document)),
        )

    return [otv_scores, champion]


def _decision_metadata(ws: Workspace, document: dict[str, Any], is_new: bool) -> dict[str, Any]:
    won, lost, contest = document["champion"], document["incumbent"], document["contest"]
    metadata: dict[str, Any] = {
        "Decision": document["decision"].replace("_", " "),
        "Champion": _named(won) if won else "nobody: the month is vacant",
        "Reason": document["reason"],
        "Contest on OTV": f"{contest['otv_months'][0]} to {contest['otv_months'][-1]}: {contest['bads']:,} bads, "
        f"{contest['goods']:,} goods",
        "Contestants": _contest_table(document),
        **({"Proposal waiting": document["proposal"]["sha256"]} if document.get("proposal") else {}),
        **({"Evidence": _records_table(document["evidence"])} if document.get("evidence") else {}),
        "At the cut-off": _cut_off_table(document["at_cut_off"]),
        **_history(ws, document["production_month"]),
        "Recorded": "by this run" if is_new else "before this run; it stands",
        **plotted({f"{document['metric'].upper()} on OTV": won["score"] if won else None}),
        "decision_sha256": document_sha256(document),
    }
    if lost and not won:
        metadata["Was in charge"] = _named(lost)
    return metadata | ({"bundle_sha256": won["bundle_sha256"]} if won else {})


def _named(candidate: dict[str, Any]) -> str:
    return f"{' '.join(recipe(candidate))} of {candidate['trained_for']}"


def _contest_table(document: dict[str, Any]) -> dg.TableMetadataValue:
    won, lost = ((document[who] or {}).get("bundle_sha256") for who in ("champion", "incumbent"))
    contestants = {c["bundle_sha256"]: c for c in document["contest"]["challengers"]}
    contestants |= {lost: document["incumbent"]} if lost else {}
    # A model rolled back to need not have been in the contest.
    if won:
        contestants.setdefault(won, document["champion"])
    unscored = document["contest"].get("unscored", {})

    def role(sha: str) -> str:
        known = {lost: "incumbent", won: "champion"}.get(sha, "")
        return f"{known} could not be scored".strip() if sha in unscored else known

    rows: list[list[Any]] = [
        [*recipe(c), c["trained_for"], c["score"], role(sha)]
        for sha, c in sorted(contestants.items(), key=lambda item: -(item[1]["score"] or -1.0))
    ]
    on_otv = set(contestants)
    rows += [
        [*recipe(c), c["trained_for"], None, "not on OTV"]
        for c in document["contest"].get("refits", ())
        if c["bundle_sha256"] not in on_otv
    ]
    rows += [
        [*(part.replace("_", " ") for part in name.split()), "", None, "tombstone"]
        for name in document["contest"]["failed"]
    ]
    return table(["window", "algorithm", "trained for", f"OTV {document['metric'].upper()}", "role"], rows)


def _records_table(evidence: dict[str, Any]) -> dg.TableMetadataValue:
    """Each recipe's record, and what it was found to differ by from the one in charge."""
    compared = {
        c["recipe"]: c
        for name in ("decay", "contest")
        for c in (evidence["findings"].get(name) or {"compared": ()})["compared"]
    }
    rows = []
    for name, held in sorted(evidence["records"].items(), key=lambda item: -item[1]["auc"]):
        found = compared.get(name) or {"difference": None, "corrected_p_value": None}
        gained = (found["difference"] or {"estimate": None})["estimate"]
        record = [held["auc"], *held["interval"], held["months"], round(held["bads"])]
        role = "in charge before" if name == evidence["recipe"] else ""
        rows.append([*(p.replace("_", " ") for p in name.split()), *record, gained, found["corrected_p_value"], role])
    heads = ["AUC on record", "from", "to", "months", "bads", "gain", "corrected p", "role"]
    return table(["window", "algorithm", *heads], rows)


def _cut_off_table(effect: dict[str, Any]) -> dg.TableMetadataValue:
    cut_off = percent(effect["cut_off"]) or "not set"
    rows = [
        [who, *(percent((effect[when] or {}).get(rate)) for rate in ("approval_rate", "expected_bad_rate"))]
        for who, when in (("incumbent", "before"), ("champion", "after"))
    ]
    return table([f"approved below a PD of {cut_off}", "approval rate", "expected bad rate"], rows)


def _history(ws: Workspace, until: str) -> dict[str, Any]:
    history = [d for d in decisions(ws) if d["production_month"] <= until]
    recipes = [" ".join(recipe(d["champion"])) if d["champion"] else None for d in history]
    return champion_pictures([d["production_month"] for d in history], recipes)
