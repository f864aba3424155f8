"""``pdx leaks``: which features know the outcome, told from the tape before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pdx_assets.commands.options import PortfolioName, TapeOnce, tape_place

if TYPE_CHECKING:
    from rich.table import Table

    from pdx_assets.risk.spec import PortfolioSpec

STYLES = {"open": "bold red", "accepted": "yellow", "banned": "dim", "clean": ""}


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(leaks)


def leaks(
    portfolio: PortfolioName,
    tape: TapeOnce = None,
    form: Annotated[
        Literal["table", "json"],
        typer.Option(
            "--format", help="table: the most suspicious first; json: a list, each feature with its evidence."
        ),
    ] = "table",
) -> None:
    """Judge each feature alone: does it know the outcome? Reads the tape; trains nothing and writes no table.

    Judged on the development window and OTV of the first production month; where the tape lacks those, on every
    cohort whose labels are known. Status: open (flagged, and nobody decided), accepted or banned (in the YAML under
    leaks), clean. Exit code 0: no open flag; 1: at least one, and training stops until it is accepted or banned.
    """
    from dataclasses import replace

    from pdx_assets.cli import open_workspace
    from pdx_assets.risk.leaks.on_tape import judge_tape
    from pdx_assets.stages.leaks import rows_of
    from pdx_assets.stages.tape import open_tape

    ws = open_workspace(portfolio)
    ws = replace(ws, asked=ws.settings.settle(portfolio, profile=None, seed=None, tape=tape_place(tape)))
    document = judge_tape(ws.spec, open_tape(ws), seed=ws.pinned.seed)
    rows = rows_of(ws.spec, document)
    opened = sum(row["status"] == "open" for row in rows)
    if form == "json":
        marked = [{**row, **ws.spec.marks} for row in rows]
        typer.echo(json.dumps(marked, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _print(ws.spec, document, rows, opened)
    if opened:
        raise typer.Exit(1)


def _print(spec: PortfolioSpec, document: dict[str, Any], rows: Sequence[dict[str, Any]], opened: int) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    first, last = document["months"]
    plan = "the first window's" if document["as_planned"] else "every known cohort's"
    console.print(
        f"[bold]{spec.name}[/]: {len(rows)} features on {document['loans']:,} loans, {document['bads']:,} bads, {plan} "
        f"({first} to {last})"
    )
    for mark in spec.marks.values():
        console.print(f"[yellow]{mark}[/]")
    table = _table(rows)
    # As in `pdx results`: lines that wrap lose nothing, cells squeezed into 80 columns cannot be read.
    console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table, crop=False)
    if opened:
        console.print(
            f"[bold red]{opened} open.[/] Give such a column role outcome, or name it in the YAML under leaks: banned, "
            "or accepted with the reason why it is known in time. docs/runbook.md says how to judge."
        )
    else:
        console.print("No open flag.")


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("feature", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("suspicion", "AUC alone"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what gave it away, or came nearest to it", no_wrap=True)
    for row in rows:
        auc = "" if row["auc_oot"] is None else f"{row['auc_oot']:.3f}"
        words = row["reason"] if row["flagged"] or not row["evidence"] else row["evidence"][0]["words"]
        words += f" [{row['status']}: {row['decided']}]" if row["decided"] else ""
        cells = (row["feature"], row["status"], f"{row['suspicion']:.2f}", auc)
        table.add_row(*cells, words.replace("[", r"\["), style=STYLES[row["status"]])
    return table
