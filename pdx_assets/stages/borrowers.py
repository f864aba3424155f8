"""Differences of recipes by bootstrap over borrowers: where borrowers came back, or the measure is money."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.evidence.bootstrap import BorrowerMonth, clustered_difference
from pdx_assets.risk.evidence.money import money_difference
from pdx_assets.risk.evidence.paired import Difference
from pdx_assets.risk.seeds import seed_from
from pdx_assets.stages.scores import pds_of
from pdx_assets.stages.windows import known_cohort
from pdx_assets.stages.workspace import Workspace


def clustered_differences(
    ws: Workspace,
    record: Mapping[str, Any],
    recipe: str,
    challengers: Sequence[str],
    *,
    margin: float,
    months: Collection[Month] | None = None,
) -> dict[str, Difference]:
    """Each challenger's difference against a recipe, its error by bootstrap over borrowers.

    Args:
        record: the stored ``recipe_record`` of a production month; its models' scores are stored.
        margin: AUC.
        months: of the record; default all.

    Returns:
        By challenger; empty where no borrower has two loans among the record's: DeLong's error holds then.
    """
    kept = [m for m in record["months"] if m["evidence"] is not None]
    kept = [m for m in kept if months is None or Month.parse(m["cohort"]) in months]
    if not kept or not challengers:
        return {}
    loans = _loans(ws, record, kept)
    if not pl.concat(rows["borrower_hash"] for rows in loans.values()).is_duplicated().any():
        return {}
    found = {}
    for challenger in challengers:
        months_of_both = _of_both(ws, kept, loans, challenger, recipe)
        seed = seed_from(ws.spec.name, ws.pinned.seed, "borrowers", record["production_month"], challenger, recipe)
        difference = clustered_difference(months_of_both, seed=seed, margin=margin)
        if difference is not None:
            found[challenger] = difference
    return found


def money_differences(
    ws: Workspace, record: Mapping[str, Any], recipe: str, challengers: Sequence[str], *, margin: float
) -> dict[str, Difference]:
    """Each challenger's money a loan against a recipe's, over the record's months that both have.

    Args:
        record: as of :func:`clustered_differences`.
        margin: money a loan.
    """
    economics = ws.spec.decision.economics
    assert economics is not None, "the spec refuses contests by money without it"
    kept = [m for m in record["months"] if m["evidence"] is not None]
    loans = _loans(ws, record, kept)
    found = {}
    for challenger in challengers:
        seed = seed_from(ws.spec.name, ws.pinned.seed, "money", record["production_month"], challenger, recipe)
        months = _of_both(ws, kept, loans, challenger, recipe)
        difference = money_difference(months, economics, ws.spec.decision.cut_off, seed=seed, margin=margin)
        if difference is not None:
            found[challenger] = difference
    return found


def _loans(ws: Workspace, record: Mapping[str, Any], months: Sequence[Mapping[str, Any]]) -> dict[str, pl.DataFrame]:
    """By cohort its loans with the labels that the record's decision date knew."""
    on = decision_date(Month.parse(record["production_month"]))
    return {m["cohort"]: known_cohort(ws, Month.parse(m["cohort"]), on, "borrower_hash") for m in months}


def _of_both(
    ws: Workspace,
    record: Sequence[Mapping[str, Any]],
    loans: Mapping[str, pl.DataFrame],
    challenger: str,
    recipe: str,
) -> list[BorrowerMonth]:
    """The record's months in which both recipes have a model."""
    held, found = ws.lake.contents("clean_features"), []
    for month in record:
        new, old = (month["bundles"].get(name) for name in (challenger, recipe))
        if new is None or old is None:
            continue
        rows, cohort = loans[month["cohort"]], Month.parse(month["cohort"])
        pds = pds_of(ws, (new, old), {cohort: held[cohort].sha256}, rows)
        weight = rows["weight"].to_numpy() if "weight" in rows.columns else None
        borrower = rows["borrower_hash"].to_numpy()
        found.append(BorrowerMonth(cohort, rows["label"].to_numpy(), borrower, pds[new], pds[old], weight))
    return found
