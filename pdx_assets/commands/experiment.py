"""``pdx experiment``: the paper's Tables 2 to 8 and Figure 4 from a portfolio's stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pdx_assets.commands.options import PortfolioName


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(experiment)


def experiment(
    portfolio: PortfolioName,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; default PDX_HOME/experiments/<portfolio>.", file_okay=False)
    ] = None,
    form: Annotated[
        Literal["markdown", "json"] | None,
        typer.Option(
            "--format", help="Print the page or all tables, values in full; a folder is then written only with --out."
        ),
    ] = None,
) -> None:
    """The paper's Tables 2 to 8 and Figure 4 for a portfolio: README.md, a CSV a table, and a PNG.

    Every figure is a stored result of `pdx run`; nothing is trained. A month not measured yet is blank. A portfolio
    that mirrors one of the paper's datasets gets the paper's figures beside its own.
    """
    from pdx_assets.cli import open_workspace, warn_of_changes
    from pdx_assets.files import write_folder_whole
    from pdx_assets.risk.experiment.render import as_json
    from pdx_assets.stages.experiment import FIGURE, experiment_files, page
    from pdx_assets.stages.experiment import experiment as read

    ws = open_workspace(portfolio)
    warn_of_changes(ws)
    found = read(ws)
    if form == "json":
        typer.echo(as_json(found.document))
    elif form == "markdown":
        typer.echo(page(ws, found), nl=False)
    if form is None or out is not None:
        folder = out or ws.settings.experiment(portfolio)
        files = experiment_files(ws, found)
        write_folder_whole(folder, files, mark=FIGURE)
        typer.echo(f"{len(files)} files in {folder}: {', '.join(files)}", err=form is not None)
