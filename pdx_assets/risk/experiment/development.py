"""Tables 3 and 5: the models of development, on train, ITV and OTV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.experiment.names import CUT, SHORT
from pdx_assets.risk.experiment.stored import SPLITS, Stored, figure, slips
from pdx_assets.risk.experiment.table import Cell, Table, count, metric, words
from pdx_assets.risk.metrics.auc_error import expected_error

METRICS = {"auc": "AUC", "ks": "KS", "f1": "F1", "capture_rate_top3_deciles": "3DCR"}
MOVING = ("fixed_origin", "rolling_window")
PARTS = ("train", "itv", "otv")
FAILED = "failed"
FEW = 30
"""Bads below which a table warns; a contest needs as many (decision.min_bads)."""
CHOSEN = "Bold: in charge of the period."


def table_3(stored: Stored) -> Table:
    """AUC, KS, F1 and 3DCR of the baseline models on ITV and OTV of p0."""
    columns = ["source", "model", *(f"{name} {part}" for name in METRICS.values() for part in ("ITV", "OTV"))]
    rows: list[tuple[Cell, ...]] = []
    for algorithm in stored.algorithms:
        model = stored.model(stored.p0, "fixed_window", algorithm)
        chosen = stored.is_champion(model, stored.p0)
        values = [figure(model[part], name) if model else None for name in METRICS for part in ("itv", "otv")]
        failed = model is not None and model["tombstone"]
        cells = [words(FAILED)] * len(values) if failed else [metric(v, chosen=chosen) for v in values]
        rows.append((words(stored.portfolio), words(SHORT[algorithm], chosen=chosen), *cells))
    if stored.paper:
        for algorithm, printed in stored.paper.table_3.items():
            values = [v for pair in zip(printed.itv, printed.otv, strict=True) for v in pair]
            chosen = stored.paper.production.champion[0].startswith(f"{SHORT[algorithm]} ")
            cells = [metric(v, chosen=chosen) for v in values]
            rows.append((words("the paper"), words(SHORT[algorithm], chosen=chosen), *cells))
    few = [
        f"{SPLITS[name]} has {split.bads} bads: an AUC of 0.7 on so few has a standard error of "
        f"{expected_error(0.7, split.bads, split.loans - split.bads):.2f}."
        for name in ("itv", "otv")
        if (split := stored.splits.get(name)) is not None and 0 < split.bads < FEW
    ]
    notes = (*stored.told, CUT, CHOSEN, *few, stored.legend, *_tombstones(stored, [stored.p0], ("fixed_window",)))
    return Table("table_3", "Table 3: baseline models in development", tuple(columns), tuple(rows), notes)


def table_5(stored: Stored) -> Table:
    """AUC of the challengers on train, ITV and OTV, for each decided production period."""
    parts = ("train", "ITV", "OTV")
    unit = stored.periods.frequency
    moving = (*MOVING, *(s for s in stored.strategies if s not in ("fixed_window", *MOVING)))
    columns = ["source", f"{unit} - 1", unit, "model", *(f"{SHORT[s]} {p}" for s in moving for p in parts), "champion"]
    rows: list[tuple[Cell, ...]] = []
    decided = [m for m in stored.production if stored.champion(m)]
    for month in decided:
        for algorithm in stored.algorithms:
            models = {s: stored.model(month, s, algorithm) for s in moving}
            own = [s for s, model in models.items() if _is_in_charge(stored, model, month)]
            cells = [c for s, model in models.items() for c in _development(model, chosen=s in own)]
            when = (count(stored.number(month) - 1), words(str(month)), words(SHORT[algorithm]))
            rows.append((words(stored.portfolio), *when, *cells, words(" = ".join(SHORT[s] for s in own))))
    if stored.paper:
        for number, by_algorithm in stored.paper.table_5.items():
            for algorithm, printed in by_algorithm.items():
                cells = [metric(v) for s in MOVING for v in printed[s]]  # type: ignore[index]
                cells += [metric(None)] * (len(parts) * (len(moving) - len(MOVING)))
                when = (count(number), words(None), words(SHORT[algorithm]))
                rows.append((words("the paper"), *when, *cells, words(None)))
    notes = [
        *stored.told,
        f"Rows are the {unit}s decided so far. {CHOSEN} In others an earlier model was kept.",
        stored.legend,
    ]
    notes += _tombstones(stored, decided, moving)
    if stored.paper:
        only = "" if stored.paper.table_5 else "The paper prints this table for P2P alone."
        notes += [*([only] if only else []), *slips(stored, "table_5")]
    return Table("table_5", "Table 5: AUC of challengers in development", tuple(columns), tuple(rows), tuple(notes))


def _is_in_charge(stored: Stored, model: Mapping[str, Any] | None, month: Month) -> bool:
    # At p0 the champion goes by the fixed window's name, and is the model of the other strategies too.
    champion = stored.champion(month)
    return bool(model and champion and model["bundle_sha256"] and model["bundle_sha256"] == champion["bundle_sha256"])


def _development(model: Mapping[str, Any] | None, *, chosen: bool) -> list[Cell]:
    if model is not None and model["tombstone"]:
        return [words(FAILED)] * len(PARTS)
    return [metric(figure(model[part]) if model else None, chosen=chosen) for part in PARTS]


def _tombstones(stored: Stored, months: list[Month], strategies: tuple[str, ...]) -> list[str]:
    """A note for each recipe and month without a model, with the reason."""
    notes = []
    for month in months:
        for strategy in strategies:
            for algorithm in stored.algorithms:
                model = stored.model(month, strategy, algorithm)
                if model is not None and model["tombstone"]:
                    who = f"{SHORT[algorithm]} {SHORT[strategy]} of {stored.name(month)}"
                    notes.append(f"Failed: {who} left a tombstone: {model['tombstone']}")
    return notes
