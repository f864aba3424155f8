"""``pdx radar``: what the champions are expected to have done, before their labels say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pdx_assets.commands.options import PortfolioName

if TYPE_CHECKING:
    from pdx_assets.stages.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``pdx``."""
    app.command()(radar)


def radar(
    portfolio: PortfolioName,
    form: Annotated[
        Literal["table", "json"], typer.Option("--format", help="table: each month's newest estimate; json: all.")
    ] = "table",
) -> None:
    """AUC and bad rate of each month's champion, estimated before the month's labels exist, with 90 % intervals.

    Each figure as estimated on the newest day the month has reached, from calibrated scores and the month's own
    arrears, beside what was realized. With `--format json` every day, both sources by themselves, and their record.
    Everything shown is stored by `pdx run`.
    """
    import json

    from pdx_assets.cli import open_workspace
    from pdx_assets.risk.errors import HomeError
    from pdx_assets.stages.radar import estimates_so_far

    ws = open_workspace(portfolio)
    found = estimates_so_far(ws)
    if not found:
        raise HomeError(
            f"{ws.settings.home} holds no estimate of {portfolio}.",
            remedy=f"pdx run {portfolio}, or point PDX_HOME to the home that holds it",
        )
    if form == "json":
        marked = [{**document, **ws.spec.marks} for document in found]
        typer.echo(json.dumps(marked, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _print_table(ws, found)


def _print_table(ws: Workspace, found: Sequence[Mapping[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pdx_assets.risk.spec import NOT_KNOWABLE

    table = Table(
        title=f"{ws.spec.name}: estimated before the labels, with 90 % intervals, and realized"
        + ("; LABELS NOT KNOWABLE IN TIME" if ws.spec.hindsight else ""),
        caption=NOT_KNOWABLE if ws.spec.hindsight else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("month", "on", "clock", "AUC", "realized", "bad rate", "realized", "record"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("month", "on") else "right")
    for document in found:
        table.add_row(*_row(document))
    console = Console(highlight=False)
    # Squeezed into a narrow terminal the figures lose digits; lines that wrap lose nothing.
    console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table, crop=False)


def _row(document: Mapping[str, Any]) -> list[str]:
    if not document["estimates"]:
        return [document["production_month"], "not estimated", "", "", "", "", "", document["reason"]]
    newest, realized = document["estimates"][-1], document["realized"] or {"auc": None, "bad_rate": None}
    both = newest["combined"]
    area, rate = both.get("auc"), both["bad_rate"]
    record = (area or rate)["record"]
    return [
        document["production_month"],
        newest["as_of"],
        f"{newest['clock']:.0%}",
        "" if area is None else f"{area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]".replace("[", r"\["),
        "" if realized["auc"] is None else f"{realized['auc']:.3f}",
        rf"{100 * rate['value']:.1f} % \[{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]",
        "" if realized["bad_rate"] is None else f"{100 * realized['bad_rate']:.1f} %",
        f"{record['covered']} of {record['months']} held" if record["months"] else "none yet",
    ]
