"""``pdx sample``: a simulated loan file to try PDx on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pdx_assets.risk.errors import HomeError


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(sample)


def sample(
    kind: Annotated[Literal["digital"], typer.Argument(help="digital: small loans of 15 to 90 days, 18 months.")],
    out: Annotated[Path, typer.Option(help="The CSV file to write; gzip where it ends in .gz.")],
    loans: Annotated[int, typer.Option(help="Loans a month, on average.", min=50)] = 1000,
    seed: Annotated[int, typer.Option(help="Another seed, another book.", min=0)] = 0,
) -> None:
    """Write a simulated loan file: no borrower in it is real.

    Its columns are those of public files of such lenders. docs/new_book.md takes it from file to champion.
    """
    import gzip

    from pdx_assets.risk.synthetic_digital import simulate_digital

    if kind == "digital":
        book = simulate_digital(seed=seed, loans_per_month=loans)
    data = book.loans.write_csv().encode()
    try:
        out.write_bytes(gzip.compress(data, mtime=0) if out.suffix == ".gz" else data)
    except OSError as error:
        raise HomeError(f"{out} cannot be written: {error.strerror or error}", remedy="choose another --out") from error
    typer.echo(f"Wrote {out}: {book.loans.height:,} simulated loans, as of {book.as_of}.")
