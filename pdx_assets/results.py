"""What was decided and how it went, read back from the lake: JSON, CSV, and the paper's Table 6."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.experiment.names import DECLARED, SHORT
from pdx_assets.risk.spec import NOT_KNOWABLE
from pdx_assets.stages.challengers import find_pointer
from pdx_assets.stages.record import MAIN_BRANCH, decisions
from pdx_assets.stages.workspace import Workspace

if TYPE_CHECKING:
    from rich.table import Table

CSV_METRICS = ("auc", "ks", "f1", "capture_rate_top3_deciles", "n_loans", "bad_rate")


def collect(ws: Workspace, branch: str = MAIN_BRANCH) -> dict[str, Any]:
    """Every model and every champion of a portfolio, with the metrics measured so far.

    ``hindsight`` is there, with what it means, where the spec accepts labels not knowable in time.
    ``baseline_production`` is the champion of p0, frozen: the fixed-window model a lender without PDx would
    still use; null when p0 found none.

    Raises:
        HomeError: nothing has been decided in this home, or there is no such branch.
    """
    decided = decisions(ws, branch)
    if not decided:
        raise HomeError(
            f"{ws.settings.home} holds no decision of {ws.spec.name}.",
            remedy=f"pdx run {ws.spec.name}, or point PDX_HOME to the home that holds it",
        )
    models: list[dict[str, Any]] = []
    champions: list[dict[str, Any]] = []
    first = decided[0]["champion"] if decided[0]["production_month"] == str(ws.spec.p0) else None
    baseline = first["bundle_sha256"] if first else None
    for decision in decided:
        key = decision["production_month"]
        otv = (ws.lake.find_document("otv_scores", key) or {}).get("metrics", {})
        realized = (ws.lake.find_document("production_performance", key) or {}).get("metrics", {})
        for strategy in ws.spec.strategies:
            for algorithm in ws.spec.algorithms:
                pointer = find_pointer(ws, strategy, algorithm, Month.parse(key))
                if pointer is not None:
                    models.append(_model(key, pointer, otv, realized))
        if branch != MAIN_BRANCH:
            realized = realized | (ws.lake.find_document(f"branch_performance/{branch}", key) or {})
        champions.append(_champion(decision, realized, baseline))
    return {"portfolio": ws.spec.name, "branch": branch, **ws.spec.marks, "models": models, "champions": champions}


def _model(key: str, pointer: Mapping[str, Any], otv: Mapping[str, Any], realized: Mapping[str, Any]) -> dict[str, Any]:
    digest = pointer.get("bundle_sha256", "")
    metrics = pointer.get("metrics") or {}
    return {
        "production_month": key,
        "strategy": pointer["strategy"],
        "algorithm": pointer["algorithm"],
        "trained_for": pointer["trained_for"],
        "bundle_sha256": digest or None,
        "train": metrics.get("train"),
        "itv": metrics.get("itv"),
        "otv": otv.get(digest),
        "production": realized.get(digest),
        "tombstone": pointer.get("reason"),
    }


def _champion(decision: Mapping[str, Any], realized: Mapping[str, Any], baseline: str | None) -> dict[str, Any]:
    champion = decision["champion"] or {}
    digest = champion.get("bundle_sha256")
    return {
        "production_month": decision["production_month"],
        "strategy": champion.get("strategy"),
        "algorithm": champion.get("algorithm"),
        "trained_for": champion.get("trained_for"),
        "bundle_sha256": digest,
        "decision": decision["decision"],
        "reason": decision["reason"],
        "otv_auc": champion.get("score"),
        "production": realized.get(digest) if digest else None,
        "baseline_production": realized.get(baseline) if baseline else None,
    }


def as_json(results: Mapping[str, Any]) -> str:
    return json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False)


def as_csv(results: Mapping[str, Any]) -> str:
    """One line a model and month; metrics as ``<set>_<metric>`` columns.

    In hindsight there is a last column more, ``labels_not_knowable_in_time``, true on every line.
    """
    sets = ("train", "itv", "otv", "production")
    marks = {c["production_month"]: c["bundle_sha256"] for c in results["champions"]}
    head = ["production_month", "strategy", "algorithm", "trained_for", "bundle_sha256", "is_champion"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    marked = "hindsight" in results
    names = [f"{s}_{m}" for s in sets for m in CSV_METRICS]
    writer.writerow([*head, *names, *(["labels_not_knowable_in_time"] if marked else [])])
    for model in results["models"]:
        is_champion = model["bundle_sha256"] is not None and model["bundle_sha256"] == marks[model["production_month"]]
        values = [(model[s] or {}).get(m) for s in sets for m in CSV_METRICS]
        writer.writerow([*(model[c] for c in head[:-1]), is_champion, *values, *([True] if marked else [])])
    return out.getvalue()


def as_table(results: Mapping[str, Any]) -> Table:
    """The paper's Table 6: production AUC by recipe and month, the champion marked.

    A champion that was trained in an earlier month is marked on that recipe's row only if the month's
    own model is the same bundle; its own row is at the bottom.
    """
    from rich import box
    from rich.table import Table

    champions = results["champions"]
    months = [c["production_month"] for c in champions]
    branch = "" if results["branch"] == MAIN_BRANCH else f", branch {results['branch']}"
    hindsight = "hindsight" in results
    table = Table(
        title=f"{results['portfolio']}{branch}: AUC in production, month by month; * the champion"
        + ("; LABELS NOT KNOWABLE IN TIME" if hindsight else ""),
        caption="FW fixed window, FO fixed origin, RW rolling window; LR logistic regression, RF random forest,\n"
        f"XGB XGBoost, NN neural network{_also(results)}. Baseline: the first month's champion, frozen."
        + (f"\n[bold]{NOT_KNOWABLE}[/]" if hindsight else ""),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for month in months:
        # Year over month: twelve of them fit into 105 columns of a terminal.
        table.add_column(month.replace("-", "\n"), justify="right", no_wrap=True)
    table.add_column("\nmean", justify="right", no_wrap=True)
    marks = {c["production_month"]: c["bundle_sha256"] for c in champions}
    cells = {(m["strategy"], m["algorithm"], m["production_month"]): m for m in results["models"]}
    recipes = list(dict.fromkeys((m["strategy"], m["algorithm"]) for m in results["models"]))
    for i, (strategy, algorithm) in enumerate(recipes):
        own = [cells.get((strategy, algorithm, month)) for month in months]
        texts = [_cell(model, marks) for model in own]
        last = i + 1 == len(recipes) or recipes[i + 1][0] != strategy
        mean = _mean([(m or {}).get("production") for m in own])
        table.add_row(_short(strategy, algorithm), *texts, mean, end_section=last)
    realized = [c["production"] for c in champions]
    baseline = [c["baseline_production"] for c in champions]
    table.add_row("[bold]champion[/]", *(f"[bold]{_auc(r)}[/]" for r in realized), f"[bold]{_mean(realized)}[/]")
    models = (
        _short(c["strategy"], c["algorithm"]).replace(" ", "\n") if c["bundle_sha256"] else "-" for c in champions
    )
    table.add_row("  model", *models)
    table.add_row("  made for", *((c["trained_for"] or "").replace("-", "\n") for c in champions))
    ordered = [c["decision"] == "rolled_back" for c in champions]
    if any(ordered):
        table.add_row("  rolled back", *("[yellow]yes[/]" if order else "" for order in ordered))
    table.add_row("baseline", *(_auc(r) for r in baseline), _mean(baseline))
    gains = [_difference(r, b) for r, b in zip(realized, baseline, strict=True)]
    known = [g for g in gains if g is not None]
    table.add_row("gain", *(_signed(g) for g in gains), _signed(sum(known) / len(known) if known else None))
    return table


def _also(results: Mapping[str, Any]) -> str:
    used = {model[of] for model in results["models"] for of in ("strategy", "algorithm")}
    return "".join(f",\n{text}" for name, text in DECLARED.items() if name in used)


def _short(strategy: str, algorithm: str) -> str:
    return f"{SHORT[strategy]} {SHORT[algorithm]}"


def _cell(model: Mapping[str, Any] | None, marks: Mapping[str, str | None]) -> str:
    if model is None:
        return ""
    if model["tombstone"]:
        return "[red]failed[/]"
    text = _auc(model["production"])
    if text and marks[model["production_month"]] == model["bundle_sha256"]:
        return f"[bold green]*{text}[/]"
    return text


def _auc(metrics: Mapping[str, Any] | None) -> str:
    return "" if not metrics or metrics.get("auc") is None else f"{metrics['auc']:.3f}"


def _mean(metrics: list[Mapping[str, Any] | None]) -> str:
    values = [m["auc"] for m in metrics if m and m.get("auc") is not None]
    return f"{sum(values) / len(values):.4f}" if values else ""


def _difference(ours: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> float | None:
    if not ours or not theirs or ours.get("auc") is None or theirs.get("auc") is None:
        return None
    return float(ours["auc"] - theirs["auc"])


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"
