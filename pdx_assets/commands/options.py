"""Arguments and options that several commands take, in the same words."""

from __future__ import annotations

from pathlib import Path
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
TapeOnce = Annotated[
    str | None,
    typer.Option(help="File, folder, glob or s3:// address to read loans from instead of the YAML's path; not kept."),
]


def tape_place(tape: str | None) -> str | None:
    """A ``--tape`` that holds from any working directory; an address stays as it is."""
    return tape if tape is None or "://" in tape else str(Path(tape).expanduser().resolve())
