"""Tables 6 to 8 and 4: every recipe and the champion in production, and the champion against a frozen model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.experiment.development import CHOSEN, FAILED, METRICS
from pdx_assets.risk.experiment.names import CUT, SHORT, period_name
from pdx_assets.risk.experiment.stored import PERIODS, Stored, figure, slips
from pdx_assets.risk.experiment.table import Cell, Table, metric, points, words


def production_tables(stored: Stored) -> tuple[Table, ...]:
    """AUC of every recipe by production period, twelve periods a table; the paper's beside the first."""
    months = stored.production
    return tuple(_block(stored, months[i : i + PERIODS], first=i == 0) for i in range(0, len(months), PERIODS))


def _block(stored: Stored, months: Sequence[Month], *, first: bool) -> Table:
    rows = _own_rows(stored, months)
    notes = [*stored.told, f"A {stored.periods.frequency} that is not measured yet is blank. {CHOSEN}", stored.legend]
    notes.append("The frozen model, over which the champion's difference is told, is the champion of the first period.")
    paper = stored.paper if first else None
    if paper:
        rows += _paper_rows(stored)
        notes += slips(stored, "production")
    number = f"Table {stored.paper.production.table}" if stored.paper else "Tables 6 to 8"
    key = number.lower().replace(" ", "_")
    if not first:
        key += f"_{stored.name(months[0])}_to_{stored.name(months[-1])}".lower()
    title = f"{number}: AUC in production, {stored.periods.frequency} by {stored.periods.frequency}"
    title += "" if first else f", {stored.name(months[0])} to {stored.name(months[-1])}"
    columns = ("source", "model", *(stored.name(m) for m in months))
    return Table(key, title, columns, tuple(rows), tuple(notes))


def _own_rows(stored: Stored, months: Sequence[Month]) -> list[tuple[Cell, ...]]:
    source = words(stored.portfolio)
    rows: list[tuple[Cell, ...]] = [(source, words(stored.periods.frequency), *(words(str(m)) for m in months))]
    for strategy in stored.strategies:
        for algorithm in stored.algorithms:
            own = [stored.model(m, strategy, algorithm) for m in months]
            cells = [_auc(model, stored.is_champion(model, m)) for model, m in zip(own, months, strict=True)]
            rows.append((source, words(f"{SHORT[strategy]} {SHORT[algorithm]}"), *cells))
    lines = [stored.champion(m) for m in months]
    realized = [figure(c["production"]) if c else None for c in lines]
    frozen = [figure(c["baseline_production"]) if c else None for c in lines]
    differences = [points(ours, theirs) for ours, theirs in zip(realized, frozen, strict=True)]
    rows.append((source, words("champion"), *(words(stored.champion_name(m)) for m in months)))
    rows.append((source, words("champion's AUC"), *(metric(v, chosen=True) for v in realized)))
    rows.append((source, words("frozen model's AUC"), *(metric(v) for v in frozen)))
    rows.append((source, words("champion over frozen, points"), *differences))
    return rows


def _auc(model: Mapping[str, Any] | None, chosen: bool) -> Cell:
    if model is not None and model["tombstone"]:
        return words(FAILED)
    return metric(figure(model["production"]) if model else None, chosen=chosen)


def _paper_rows(stored: Stored) -> list[tuple[Cell, ...]]:
    assert stored.paper is not None
    paper, source = stored.paper, words("the paper")
    rows: list[tuple[Cell, ...]] = []
    if paper.first_production:
        first = Month.parse(paper.first_production)
        step = 3 if paper.frequency == "quarter" else 1
        rows.append((source, words(paper.frequency), *(words(str(first + step * i)) for i in range(PERIODS))))
    chosen = [name.split() for name in paper.production.champion]
    for strategy, by_algorithm in paper.production.auc.items():
        for algorithm, values in by_algorithm.items():
            cells = [metric(v, chosen=chosen[i] == _printed(algorithm, strategy, i)) for i, v in enumerate(values)]
            rows.append((source, words(f"{SHORT[strategy]} {SHORT[algorithm]}"), *cells))
    names = [name.replace(" M", f" {paper.frequency[0].upper()}") for name in paper.production.champion]
    rows.append((source, words("champion"), *(words(name) for name in names)))
    gains = [Cell(v / 100, "points") for v in paper.production.over_baseline]
    rows.append((source, words("champion over frozen, points"), *gains))
    return rows


def _printed(algorithm: str, strategy: str, i: int) -> list[str]:
    # The paper writes M for its quarters too. A champion kept from an earlier period has no cell of its own, but for
    # the fixed window's, which is one model throughout.
    made_for = 1 if strategy == "fixed_window" else i + 1
    return [SHORT[algorithm], SHORT[strategy], f"M{made_for}"]


def table_4(stored: Stored) -> Table:
    """The frozen model against the champion in the twelfth period, or the last one measured, and on average."""
    rows: list[tuple[Cell, ...]] = []
    source = words(stored.portfolio)
    measured = _measured(stored)
    if measured:
        month = measured[-1]
        ours, frozen = _both(stored, month)
        rows += _compared(source, f"{stored.name(month)} ({month})", stored, month, ours, frozen)
        average = f"mean of {len(measured)} {stored.periods.frequency}{'s' if len(measured) > 1 else ''}"
        pairs = [_both(stored, m) for m in measured]
        rows += _compared(source, average, stored, None, _mean([a for a, _ in pairs]), _mean([b for _, b in pairs]))
    if stored.paper:
        printed, twelfth = stored.paper.table_4, period_name(PERIODS, stored.paper.frequency)
        algorithm = stored.paper.production.champion[0].split()[0]
        who = words("the paper"), words(twelfth)
        rows.append((*who, words(f"frozen {algorithm} FW"), *(metric(v) for v in printed.frozen)))
        rows.append((*who, words("champion"), *(metric(v) for v in printed.champion)))
        as_printed = [Cell(v / 100, "points") for v in printed.difference]
        rows.append((*who, words("difference as printed, points"), *as_printed))
    notes = [*stored.told, CUT, stored.legend]
    if not measured:
        notes.append("No production period is measured yet.")
    elif stored.number(measured[-1]) < PERIODS:
        last = stored.name(measured[-1])
        twelfth = period_name(PERIODS, stored.periods.frequency)
        notes.append(f"{twelfth}, the paper's, is not measured yet: {last} is the last that is.")
    notes += slips(stored, "table_4")
    columns = ("source", "period", "model", *METRICS.values())
    return Table("table_4", "Table 4: champion and frozen model in production", columns, tuple(rows), tuple(notes))


def _measured(stored: Stored) -> list[Month]:
    """Periods up to the twelfth in which champion and frozen model were both measured."""
    found = []
    for month in stored.production[:PERIODS]:
        line = stored.champion(month)
        if line and figure(line["production"]) is not None and figure(line["baseline_production"]) is not None:
            found.append(month)
    return found


def _both(stored: Stored, month: Month) -> tuple[list[float | None], list[float | None]]:
    line = stored.champion(month) or {}
    ours, frozen = ([figure(line[part], name) for name in METRICS] for part in ("production", "baseline_production"))
    return ours, frozen


def _mean(months: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Mean of each metric; None where it is undefined in some month, so that both models are of the same months."""
    columns = zip(*months, strict=True)
    return [None if None in values else sum(v for v in values if v is not None) / len(values) for values in columns]


def _compared(
    source: Cell,
    period: str,
    stored: Stored,
    month: Month | None,
    ours: Sequence[float | None],
    frozen: Sequence[float | None],
) -> list[tuple[Cell, ...]]:
    who = f"champion {stored.champion_name(month)}" if month else "champion"
    differences = [points(a, b) for a, b in zip(ours, frozen, strict=True)]
    return [
        (source, words(period), words(f"frozen {stored.frozen_name or ''}".strip()), *(metric(v) for v in frozen)),
        (source, words(period), words(who), *(metric(v) for v in ours)),
        (source, words(period), words("difference, points"), *differences),
    ]
