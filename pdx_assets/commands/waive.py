"""``pdx waive`` and ``pdx waivers``: let a month pass although a blocking check failed, and say so."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from pdx_assets.commands.options import PortfolioName


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(waive)
    app.command()(waivers)


def waive(
    portfolio: PortfolioName,
    check: Annotated[str, typer.Option(help="Code of the check that failed, such as cohort_volume.")],
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="The cohort that windows refuse.")],
    reason: Annotated[str, typer.Option(help="Why the month may be used all the same; for whoever audits it.")],
    by: Annotated[str | None, typer.Option(help="Who answers for it; default the user logged in.")] = None,
) -> None:
    """Let a cohort be used although a blocking check failed; who, when and why are recorded for good.

    The waiver is for the verdict as it stands: if the tape changes and the check fails with other figures, windows
    refuse the month again. Exit code 1: there is nothing to waive, or the check cannot be waived.
    """
    from pdx_assets.cli import open_workspace
    from pdx_assets.risk.calendar import Month
    from pdx_assets.stages.waivers import waive as record

    waiver = record(open_workspace(portfolio), check, Month.parse(month), reason=reason, by=by or _user())
    typer.echo(f"Waived by {waiver['by']} at {waiver['at']}: {check} of {month} ({waiver['verdict']}).")
    typer.echo(f"The same command as before goes on from here: pdx run {portfolio}")


def waivers(portfolio: PortfolioName) -> None:
    """Every waiver of a portfolio: month, check, who, when, why, and the verdict it was for."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pdx_assets.cli import open_workspace
    from pdx_assets.stages.waivers import waivers as recorded

    found = recorded(open_workspace(portfolio))
    if not found:
        typer.echo(f"No waiver is recorded for {portfolio}.")
        return
    columns = ("month", "check", "by", "at", "reason", "verdict")
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for waiver in found:
        table.add_row(*(waiver[c] for c in columns))
    Console(highlight=False).print(table)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in a container, nor an environment that names one
        return ""
