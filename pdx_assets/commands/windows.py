"""``pdx windows``: bads in every window of a portfolio's plan, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pdx_assets.commands.options import FirstMonth, PortfolioName, TapeOnce, tape_place

if TYPE_CHECKING:
    from pdx_assets.risk.window_counts import WindowCount
    from pdx_assets.stages.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``pdx``."""
    app.command()(windows)


def windows(
    portfolio: PortfolioName,
    first: FirstMonth = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="YYYY-MM", help="Last production month; default the last whose OTV is known."),
    ] = None,
    tape: TapeOnce = None,
    form: Annotated[
        Literal["table", "json"], typer.Option("--format", help="table: p0 and the windows that matter; json: all.")
    ] = "table",
    every: Annotated[bool, typer.Option("--all", help="In the table, every window of every month.")] = False,
) -> None:
    """Months, loans, bads, goods and bad rate of each development and OTV window, counted from the tape.

    Nothing is trained or written to the tables. Windows with fewer bads than `decision.min_bads` are named (where
    loans are weighted by Kish's effective size, as in a contest): widen them in the YAML. The table shows p0, and of
    each kind of window the one with fewest bads.
    """
    from dataclasses import replace

    from pdx_assets.cli import open_workspace
    from pdx_assets.stages.tape import no_weights_told
    from pdx_assets.stages.windows import plan_counts

    ws = open_workspace(portfolio)
    ws = replace(ws, asked=ws.settings.settle(portfolio, profile=None, seed=None, tape=tape_place(tape)))
    found = plan_counts(ws, first, last)
    unweighted = no_weights_told(ws)
    if unweighted is not None:
        typer.echo(unweighted, err=True)
    if form == "json":
        _print_json(ws, found)
    else:
        _print_table(ws, found, every)


def _print_json(ws: Workspace, found: list[WindowCount]) -> None:
    import json

    rows = [{**_row(w), "too_few_bads": w.counts.effective_bads < ws.spec.decision.min_bads} for w in found]
    document: dict[str, Any] = {"portfolio": ws.spec.name, "label": ws.spec.label.name}
    document |= {"horizon": ws.spec.label.horizon, "hindsight": ws.spec.hindsight}
    document |= {"min_bads": ws.spec.decision.min_bads, "windows": rows}
    typer.echo(json.dumps(document, indent=1, allow_nan=False))


def _row(window: WindowCount) -> dict[str, Any]:
    counts = window.counts
    return {
        "production_month": str(window.production),
        "window": window.window,
        "first": str(window.first),
        "last": str(window.last),
        "loans": counts.loans,
        "bads": counts.bads,
        "effective_bads": counts.effective_bads,
        "goods": counts.goods,
        "indeterminate": counts.indeterminate,
        "unknown": counts.unknown,
        "bad_rate": counts.bad_rate,
        "missing": [str(m) for m in window.missing],
    }


def _print_table(ws: Workspace, found: list[WindowCount], every: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pdx_assets.risk.spec import NOT_KNOWABLE

    spec, console = ws.spec, Console(highlight=False)
    least = spec.decision.min_bads
    short = [w for w in found if w.counts.effective_bads < least]
    shown = found if every else _telling(found, ws)
    table = Table(
        title=f"{spec.name}: {spec.label.name} ({spec.label.horizon}), windows of {found[0].production} to "
        f"{found[-1].production}" + ("; LABELS NOT KNOWABLE IN TIME" if spec.hindsight else ""),
        caption="\n".join(
            [*(["Bad rates are weighted."] if spec.is_weighted else []), *([NOT_KNOWABLE] if spec.hindsight else [])]
        ),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("month", "window", "from", "to"):
        table.add_column(name, no_wrap=True)
    for name in ("loans", "bads", "goods", "no label", "bad rate"):
        table.add_column(name, justify="right", no_wrap=True)
    for w in shown:
        counts = w.counts
        rate = "" if counts.bad_rate is None else f"{100 * counts.bad_rate:.2f} %"
        bads = f"[bold red]{counts.bads:,}[/]" if counts.effective_bads < least else f"{counts.bads:,}"
        none = counts.indeterminate + counts.unknown
        cells = (f"{counts.loans:,}", bads, f"{counts.goods:,}", f"{none:,}" if none else "", rate)
        kind = "OTV" if w.window == "otv" else w.window.replace("_", " ")
        table.add_row(str(w.production), kind, str(w.first), str(w.last), *cells)
    # Squeezed into a narrow terminal the counts lose digits; lines that wrap lose nothing.
    console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table, crop=False)
    if short:
        listed = ", ".join(f"{w.window} of {w.production} ({_bads(w)})" for w in short[:6])
        more = f" and {len(short) - 6} more" if len(short) > 6 else ""
        console.print(
            f"[yellow]{len(short)} of {len(found)} windows have fewer than {least} bads: {listed}{more}. "
            "Widen windows.otv or windows.development in the YAML.[/]"
        )
    else:
        console.print(f"Each of the {len(found)} windows has {least} bads or more.")
    missing = sorted({m for w in found for m in w.missing})
    if missing:
        console.print(f"[yellow]{len(missing)} months are not on the tape: {', '.join(map(str, missing[:12]))}[/]")


def _bads(window: WindowCount) -> str:
    rows, effective = window.counts.bads, window.counts.effective_bads
    return f"{rows}" if rows == effective else f"{rows}, by weight as good as {effective:.1f}"


def _telling(found: list[WindowCount], ws: Workspace) -> list[WindowCount]:
    """The windows of p0, or of the first month asked for, and of each kind the one with fewest bads."""
    first = [w for w in found if w.production == found[0].production]
    kinds = [*ws.spec.strategies, "otv"]
    fewest = [
        min((w for w in found if w.window == k and w not in first), key=lambda w: w.counts.effective_bads, default=None)
        for k in kinds
    ]
    return [*first, *(w for w in fewest if w is not None)]
