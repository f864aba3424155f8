"""``pdx replay``: the clock stepped month by month, and the running sensor left to do the rest."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pdx_assets.commands.options import FirstMonth, PortfolioName, TapePath, tape_place


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(replay)


def replay(
    portfolio: PortfolioName,
    first: FirstMonth = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="YYYY-MM", help="Last production month; default the last that can be decided."),
    ] = None,
    tape: TapePath = None,
    profile: Annotated[
        Literal["quick", "standard", "paper", "paper_size"] | None,
        typer.Option(help="How much tuning, as in `pdx run`."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, as in `pdx run`; one per PDX_HOME.", min=0)] = None,
    port: Annotated[int, typer.Option(help="Port of the Dagster webserver, to watch it from.")] = 3000,
) -> None:
    """Live through past months: webserver and daemon run, and the sensor alone decides each month as it comes.

    For every month the clock of this PDX_HOME is set to its last day; the tape then shows what was there and
    known on that day. Exit code 0: all months decided and measured; 1: something was given up after three tries.
    """
    from dataclasses import replace

    from rich.console import Console

    from pdx_assets.cli import open_workspace
    from pdx_assets.orchestration.replay import live_through, months_to_replay
    from pdx_assets.stages.rests_on import require_unchanged
    from pdx_assets.stages.workspace import Workspace

    ws = open_workspace(portfolio)
    tape = tape_place(tape)
    ws = replace(ws, asked=ws.settings.settle(portfolio, profile=profile, seed=seed, tape=tape))
    require_unchanged(ws)
    console = Console(highlight=False)
    with console.status(f"Reading the tape of {portfolio} ..."):
        months = months_to_replay(ws, first, last)
    ws.settings.pin(portfolio, profile=profile, seed=seed, tape=tape)
    console.print(f"[bold]{portfolio}[/]: living through {months[0]} to {months[-1]}, home {ws.settings.home}")
    live_through(Workspace.of(ws.spec), months, port=port, report=lambda line: console.print(line, markup=False))
