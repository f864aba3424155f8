"""Figure 4: what a frozen model loses, period by period, after it is deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdx_assets.risk.experiment.names import SHORT
from pdx_assets.risk.experiment.stored import Stored, figure
from pdx_assets.risk.experiment.table import Cell, Table, count, metric, points, share, words
from pdx_assets.risk.metrics.auc_error import expected_error


@dataclass(frozen=True)
class Line:
    """One line of the figure, (p,) values each, None where not measured.

    Attributes:
        name: in the legend.
        otv: the AUC on OTV on which the first champion was deployed.
        auc: by production period.
        error: standard error of the frozen model's AUCs by Hanley and McNeil, by Kish's effective sizes where loans are
            weighted; None of the other lines.
    """

    name: str
    otv: float | None
    auc: tuple[float | None, ...]
    error: tuple[float | None, ...]

    @property
    def lost(self) -> tuple[float | None, ...]:
        """The share of the OTV AUC that is lost; negative where the model does better."""
        return lost(self.auc, self.otv)


def lost(values: Sequence[float | None], since: float | None) -> tuple[float | None, ...]:
    """The share of an AUC that later ones have lost, (n,); None where either is not known."""
    return tuple(None if v is None or not since else (since - v) / since for v in values)


def drop(stored: Stored) -> tuple[Line, ...]:
    """The frozen model, the champion of each period, and the paper's frozen model where it has the dataset."""
    decided = [stored.champion(month) or {} for month in stored.production]
    first = stored.champion(stored.p0)
    otv = first["otv_auc"] if first else None
    frozen = [line.get("baseline_production") for line in decided]
    name, n = f"frozen {stored.frozen_name or ''}".strip(), len(decided)
    lines = [
        Line(name, otv, tuple(figure(m) for m in frozen), tuple(_error(stored, m) for m in frozen)),
        Line("champion", otv, tuple(figure(line.get("production")) for line in decided), (None,) * n),
    ]
    if stored.paper:
        printed: tuple[float | None, ...] = (*stored.paper.baseline, *(None,) * n)
        algorithm = stored.paper.baseline_algorithm
        name = f"the paper's frozen {SHORT[algorithm]} FW"
        lines.append(Line(name, stored.paper.table_3[algorithm].otv[0], printed[:n], (None,) * n))
    return tuple(lines)


def _error(stored: Stored, metrics: Mapping[str, Any] | None) -> float | None:
    area = figure(metrics)
    if area is None or metrics is None:
        return None
    if not stored.is_weighted:
        return expected_error(area, metrics["n_bads"], metrics["n_loans"] - metrics["n_bads"])
    bads, goods = (metrics.get(f"effective_{of}") for of in ("bads", "goods"))
    return expected_error(area, bads, goods) if bads and goods and min(bads, goods) >= 1 else None


def figure_4(stored: Stored) -> Table:
    """The frozen model's AUC by period, its error, and what it lost since it was deployed; the champion's beside it."""
    unit = stored.periods.frequency
    frozen, champion, *papers = drop(stored)
    columns = ["period", unit, "loans", "bads", "frozen AUC", "standard error", "over OTV, points", "lost since OTV"]
    columns += ["lost since the first", "champion's AUC", "champion's lost since OTV"]
    columns += ["paper's frozen AUC", "paper's lost since OTV", "paper's lost since the first"] if papers else []
    since = lost(frozen.auc, _first(frozen.auc))
    rows: list[tuple[Cell, ...]] = []
    for i, month in enumerate(stored.production):
        line = stored.champion(month) or {}
        metrics = line.get("baseline_production") or line.get("production") or {}
        cells = [words(stored.name(month)), words(str(month))]
        cells += [count(metrics.get("n_loans")), count(metrics.get("n_bads"))]
        cells += [metric(frozen.auc[i]), metric(frozen.error[i]), points(frozen.auc[i], frozen.otv)]
        cells += [share(frozen.lost[i]), share(since[i]), metric(champion.auc[i]), share(champion.lost[i])]
        for paper in papers:
            cells += [metric(paper.auc[i]), share(paper.lost[i]), share(lost(paper.auc, _first(paper.auc))[i])]
        rows.append(tuple(cells))
    title = "Figure 4: what a frozen model loses in production"
    notes = (*stored.told, *_notes(stored, frozen, papers[0] if papers else None))
    return Table("figure_4", title, tuple(columns), tuple(rows), notes)


def _first(values: Sequence[float | None]) -> float | None:
    return next((v for v in values if v is not None), None)


def _notes(stored: Stored, frozen: Line, paper: Line | None) -> list[str]:
    notes = [
        "Frozen is the champion of the first period, used on. Lost: the share of the AUC on OTV on which it was "
        "deployed, or of the first period's; negative where it does better."
    ]
    if frozen.otv is not None and (said := _worst(stored, frozen)):
        notes.append(f"Here the {frozen.name}, deployed on an OTV AUC of {frozen.otv:.3f}, {said}")
    numbers = "Kish's effective sizes" if stored.is_weighted else "the numbers"
    notes.append(
        f"Standard error: of the frozen AUC, by Hanley and McNeil (1982) from {numbers} of bads and goods; twice that "
        "is chance."
    )
    if stored.paper and paper and (said := _worst(stored, paper)):
        claimed = round(100 * stored.paper.figure_4.reduction)
        notes.append(
            f"The paper tells of a {claimed} % reduction, not from which AUC to which. Its frozen model, deployed on "
            f"an OTV AUC of {paper.otv:.3f} (Table 3), {said}"
        )
    return notes


def _worst(stored: Stored, line: Line) -> str | None:
    """What a line lost by its last and by its worst period, since OTV and since its first."""
    names = [stored.name(month) for month in stored.production]
    since = lost(line.auc, _first(line.auc))
    known = [(n, a, b) for n, a, b in zip(names, line.lost, since, strict=True) if a is not None and b is not None]
    if len(known) < 2:
        return None
    last, worst = known[-1], max(known, key=lambda k: k[1])
    said = "has lost {:.1f} % of it by {} ({:.1f} % since the first period) and {:.1f} % by the worst, {} ({:.1f} %)."
    return said.format(100 * last[1], last[0], 100 * last[2], 100 * worst[1], worst[0], 100 * worst[2])
