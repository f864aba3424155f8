"""``pdx simulate``: what other policies would have made of the same models and scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pdx_assets.commands.options import PortfolioName

if TYPE_CHECKING:
    from pdx_assets.risk.simulation import Compared
    from pdx_assets.risk.spec import PortfolioSpec


def register(app: typer.Typer) -> None:
    """Add the command to ``pdx``."""
    app.command()(simulate)


def simulate(
    portfolio: PortfolioName,
    policies: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME...",
            help="never, always, paper, paper_with_memory, evidence; default all that the portfolio's YAML has the "
            "settings for.",
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="NAME", help="Policy the others are compared with; default paper.")
    ] = None,
    approval_rate: Annotated[
        float | None,
        typer.Option(help="Share of each month's loans approved, for bad rate and profit.", min=0.01, max=1.0),
    ] = None,
    score: Annotated[
        bool,
        typer.Option("--score", help="Score what a policy needs and nobody scored yet; without it that is an error."),
    ] = False,
    form: Annotated[Literal["table", "json"], typer.Option("--format", help="json: one object a policy.")] = "table",
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a PNG: AUC by month under each policy.", dir_okay=False)
    ] = None,
) -> None:
    """Fold the stored models and scores under several policies: realized AUC, changes of champion, regret.

    Nothing is trained, and the record is not touched. Figures are means over production months whose labels are
    known, never of loans of different months together. Differences have 95 % bootstrap intervals over the loans
    within each month.
    """
    import json

    from pdx_assets.cli import open_workspace, warn_of_changes
    from pdx_assets.files import write_whole
    from pdx_assets.stages import simulation

    ws = open_workspace(portfolio)
    warn_of_changes(ws)
    names = tuple(n.strip() for n in policies.split(",") if n.strip()) if policies else None
    found = simulation.simulate(
        ws,
        names or simulation.usable_policies(ws.spec),  # type: ignore[arg-type]
        approval_rate=approval_rate,
        reference=reference,  # type: ignore[arg-type]
        score_missing=score,
    )
    if plot is not None:
        write_whole(plot, simulation.picture(ws, found))
        typer.echo(f"Picture in {plot}.", err=True)
    if form == "json":
        typer.echo(json.dumps([{**c.document(), **ws.spec.marks} for c in found], indent=1, allow_nan=False))
    else:
        _print_table(ws.spec, found)


def _print_table(spec: PortfolioSpec, found: list[Compared]) -> None:
    from rich.console import Console
    from rich.table import Table

    has_money = any(c.realized.profit_per_loan is not None for c in found)
    table = Table(title=f"{spec.name}: policies over {found[0].realized.measured} production months with known labels")
    table.add_column("policy")
    heads = ["AUC", "difference [95 %]", "p", "KS", "capture", "O/E", "bad rate", *(["profit"] if has_money else [])]
    for head in (*heads, "changes", "of recipe", "regret"):
        table.add_column(head, justify="right")
    for c in found:
        own = c.realized
        money = [_shown(own.profit_per_loan)] if has_money else []
        rates = [_percent(own.mean_capture_rate), _shown(own.observed_to_expected, 2), _percent(own.bad_rate_approved)]
        changes = [str(own.champion_changes), str(own.recipe_changes)]
        regret = f"{c.regret:+.4f}" if c.regret is not None else ""
        difference = "reference" if c.difference is None else c.difference_shown
        table.add_row(
            own.policy, _shown(own.mean_production_auc), difference, c.p_shown, _shown(own.mean_ks), *rates,
            *money, *changes, regret,
        )  # fmt: skip
    console = Console(highlight=False)
    console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table, crop=False)
    for mark in spec.marks.values():
        console.print(f"[yellow]{mark}[/]")
    console.print(
        "p: month-stratified paired test against the reference, two-sided, over borrowers where some came back."
    )
    best = next((c.best_recipe for c in found if c.best_recipe), None)
    if best:
        console.print(f"Regret: AUC behind the best recipe in hindsight, {best.replace('_', ' ')}, always in charge.")


def _shown(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
