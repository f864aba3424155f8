"""Arguments and options that several commands take, in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

PortfolioName = Annotated[str, typer.Argument(help="A folder under pdx_assets/defs, such as demo or lendingclub.")]
FirstMonth = Annotated[
    str | None,
    typer.Option("--from", metavar="YYYY-MM", help="First production month; default the portfolio's p0."),
]
TapePath = Annotated[
    str | None,
    typer.Option(help="File, folder, glob or s3:// address to read loans from; remembered."),
]
