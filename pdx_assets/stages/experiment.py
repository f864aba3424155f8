"""The paper's tables for one portfolio: collected from the lake, nothing made anew, and put into a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from pdx_assets.results import collect
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.experiment.drop import drop
from pdx_assets.risk.experiment.origin import Source, columns, told
from pdx_assets.risk.experiment.paper import paper_dataset
from pdx_assets.risk.experiment.render import as_csv, as_document, as_markdown
from pdx_assets.risk.experiment.stored import Split, SplitName, Stored
from pdx_assets.risk.experiment.table import Table
from pdx_assets.risk.experiment.tables import tables
from pdx_assets.stages.workspace import Workspace

FIGURE = "figure_4.png"
PAGE = "README.md"


@dataclass(frozen=True)
class Experiment:
    """A portfolio's stored results and the tables made of them."""

    stored: Stored
    tables: tuple[Table, ...]

    @property
    def document(self) -> dict[str, Any]:
        """Everything but the picture, as plain data: what the data version is taken of."""
        return as_document(self.stored.portfolio, self.tables)

    @cached_property
    def figure(self) -> bytes:
        """Figure 4, PNG."""
        from pdx_assets.risk.plots import production_drop

        lines = {line.name: (line.auc, line.lost, line.error) for line in drop(self.stored)}
        title = "AUC in production, and what is lost of it"
        title += "; labels not knowable in time" if self.stored.hindsight else ""
        return production_drop([self.stored.name(m) for m in self.stored.production], lines, title)


def experiment(ws: Workspace) -> Experiment:
    """Tables 2 to 8 and Figure 4 from what the home holds.

    Raises:
        HomeError: nothing has been decided yet.
    """
    stored = read_stored(ws)
    return Experiment(stored, tables(stored))


def read_stored(ws: Workspace) -> Stored:
    """A portfolio's results as the tables want them.

    Raises:
        HomeError: nothing has been decided yet.
    """
    found = collect(ws)
    spec, key = ws.spec, str(ws.spec.p0)
    first = [m for m in found["models"] if m["production_month"] == key]
    window = ws.lake.find_document("window_fixed_window", key)
    source = _source(ws, window)
    paper = paper_dataset(spec.experiment.paper_dataset) if spec.experiment.paper_dataset else None
    return Stored(
        portfolio=spec.name,
        periods=spec.periods,
        p0=spec.p0,
        strategies=spec.strategies,
        algorithms=spec.algorithms,
        models=found["models"],
        champions=found["champions"],
        columns=len(spec.columns),
        features=_features(ws),
        splits=_splits(first, window, spec.p0),
        told=told(spec, source, paper),
        origin=columns(spec, source),
        paper=paper,
        is_weighted=spec.is_weighted and source.is_weighted,
        hindsight=spec.hindsight,
    )


def _features(ws: Workspace) -> int | None:
    """How many features p0's studies chose from; None where all of them failed."""
    for algorithm in ws.spec.tuned_algorithms:
        document = ws.lake.find_document(f"tuning_{algorithm}", str(ws.spec.p0)) or {"studies": {}}
        for study in document["studies"].values():
            if "depends_on" in study:
                return sum(len(names) for names in study["depends_on"]["inputs"].values())
    return None


def _splits(models: Sequence[Mapping[str, Any]], window: Mapping[str, Any] | None, p0: Month) -> dict[SplitName, Split]:
    """Counts of p0's splits, as every model measured on them counted them."""
    spans = (
        {part: f"{window[part]['first']} to {window[part]['last']}" for part in ("development", "otv")}
        if window
        else {}
    )
    months = {"train": "development", "itv": "development", "otv": "otv"}
    found: dict[SplitName, Split] = {}
    names: tuple[SplitName, ...] = ("train", "itv", "otv", "production")
    for name in names:
        metrics = next((m[name] for m in models if m[name]), None)
        if metrics is not None:
            span = str(p0) if name == "production" else spans.get(months[name], "")
            found[name] = Split(span, metrics["n_loans"], metrics["n_bads"], metrics["bad_rate"])
    return found


def _source(ws: Workspace, window: Mapping[str, Any] | None) -> Source:
    """The file p0's first development cohort was read from, as its rows say."""
    given = bool(ws.pinned.tape)
    cohort = Month.parse(window["development"]["first"]) if window else None
    if cohort is None or cohort not in ws.lake.contents("raw_loans"):
        return Source(None, given, None)
    rows = ws.lake.scan_months("raw_loans", [cohort], columns=["source_file"])
    files = rows.select(pl.col("source_file").unique().sort()).collect()["source_file"].to_list()
    account = ws.lake.find_document("accounting", str(cohort)) or {}
    # A folder's or a month's own file stands for the others of its tape.
    name = files[0].rsplit("/", 1)[-1] if files else None
    weighs = ws.spec.is_weighted and _has_weights(ws, cohort)
    return Source(name, given, account.get("as_of"), weighs)


def _has_weights(ws: Workspace, cohort: Month) -> bool:
    weights = ws.lake.scan_months("clean_features", [cohort], columns=["weight"]).collect()["weight"]
    return bool((weights != 1).any())


def made_with(ws: Workspace, found: Experiment) -> tuple[str, str]:
    """The two commands that make an experiment: its results, and its tables."""
    name, pinned = ws.spec.name, ws.pinned
    last = found.stored.champions[-1]["production_month"]
    tape = f" --tape {pinned.tape.rsplit('/', 1)[-1]}" if pinned.tape else ""
    seed = f" --seed {pinned.seed}" if pinned.seed else ""
    return f"pdx run {name} --profile {pinned.profile}{seed}{tape} --to {last}", f"pdx experiment {name}"


def page(ws: Workspace, found: Experiment) -> str:
    """The experiment as one Markdown page, the picture beside it."""
    spec, plan = ws.spec, ws.spec.windows
    run, make = made_with(ws, found)
    head = [
        f"# {spec.title or spec.name}: the paper's tables",
        "",
        *(f"- {sentence}" for sentence in found.stored.told),
        f"- Label: {spec.label.name}, {spec.label.horizon}. Plan, in {plan.frequency}s: "
        f"development {plan.development}, OTV {plan.otv}, gap {plan.gap}; first production {plan.first_production}.",
        "- Every figure is a stored result of the commands below; nothing is trained for a table. Each table is beside "
        "this page as CSV, with values in full.",
        "",
        "```console",
        f"$ {run}",
        f"$ {make}",
        "```",
    ]
    for table in found.tables:
        head += ["", f"## {table.title}", ""]
        head += [f"![{table.title}]({FIGURE})", ""] if table.key == "figure_4" else []
        head.append(as_markdown(table).rstrip("\n"))
    return "\n".join(head) + "\n"


def experiment_files(ws: Workspace, found: Experiment) -> dict[str, bytes]:
    """The folder of an experiment: its page, a CSV a table, and Figure 4."""
    texts = {PAGE: page(ws, found)} | {f"{table.key}.csv": as_csv(table, found.stored.origin) for table in found.tables}
    return {name: text.encode() for name, text in texts.items()} | {FIGURE: found.figure}
