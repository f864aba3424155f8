"""``pdx new``: a first draft of a portfolio from its tape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pdx_assets.risk.errors import HomeError, PdxError, SpecError

if TYPE_CHECKING:
    from pdx_assets.risk.drafting import Draft
    from pdx_assets.risk.spec import PortfolioSpec

FILE = "defs.yaml"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(new)


def new(
    portfolio: Annotated[str, typer.Argument(help="Its name: lower-case letters, digits, underscores.")],
    tape: Annotated[str, typer.Option(help="A file of loans on this machine, a folder of them, or a pattern.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite a portfolio of that name.")] = False,
) -> None:
    """Draft a portfolio from its tape: roles, dates, label and windows guessed, each with its evidence.

    Writes pdx_assets/defs/PORTFOLIO/defs.yaml and says what a person still has to decide. Exit code 0: the
    draft can be run once it was looked at; 1: nothing was written, or the draft needs a decision first.
    """
    from pdx_assets import cli
    from pdx_assets.files import write_whole
    from pdx_assets.risk.drafting import decisions, draft_portfolio, yaml_text
    from pdx_assets.risk.spec_file import load_spec

    target = cli.DEFS / _named(portfolio) / FILE
    if target.exists() and not force:
        raise SpecError(
            f"There is a portfolio {portfolio!r} already: {target}.",
            expected="a new name",
            remedy="choose another, or draft it anew with --force, which overwrites what is there",
        )
    if "://" in tape:
        raise SpecError(
            f"--tape is an address of {tape.partition('://')[0]}, and a draft is made from files on this machine.",
            expected="a file of loans, a folder or a pattern",
            remedy="fetch one file of it, draft from that, then write the address into the YAML (docs/portfolio.md)",
        )
    draft = draft_portfolio(portfolio, Path(tape).expanduser().resolve())
    text = yaml_text(draft)
    try:
        write_whole(target, text)
    except OSError as error:
        raise HomeError(
            f"{target} cannot be written: {error.strerror or error}",
            expected="PDx installed from a clone of its repository, where portfolios live in pdx_assets/defs",
            remedy="clone the repository, run make install in it, and use its pdx",
        ) from error
    shown = _shown(target)
    typer.echo(f"Wrote {shown}, from {draft.sample.total:,} rows.\n")
    _tell_guesses(draft)
    open_questions = decisions(text)
    if open_questions:
        typer.echo("\nTo decide, in that file:")
        for question in open_questions:
            typer.echo(f"  line {question.line:>4}  {question.text}")
    try:
        spec = load_spec(target)
    except SpecError as error:
        typer.echo(f"\nIt does not load before that is decided:\n{error}", err=True)
        raise typer.Exit(1) from error
    typer.echo("")
    needs_decision = _tell_windows(draft, spec)
    first = "decide about the features named" if needs_decision else f"look through {shown}"
    then = [f"pdx {command} {portfolio}" for command in ("leaks", "windows", "run", "results")]
    then[2] += " --profile quick"
    typer.echo("\n  ".join(["\nNext:", first, *then, "pdx ui"]))
    if needs_decision:
        raise typer.Exit(1)


def _named(portfolio: str) -> str:
    from pdx_assets.risk.spec import NAME

    if not NAME.match(portfolio):
        raise SpecError(
            f"{portfolio!r} cannot be a portfolio's name.",
            expected="lower-case letters, digits and underscores, a letter first, at most 40",
        )
    return portfolio


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _tell_guesses(draft: Draft) -> None:
    """The guesses a reader should check first, a line each."""
    roles = draft.roles
    lines = {
        "loan": draft.loan_id or f"a hash of {', '.join(draft.derive_from)}",
        "borrower": next(iter(roles.named("borrower")), "none found: each loan counts as a borrower of its own"),
        "origination": roles.origination or "",
        "label": f"{draft.label.name} ({draft.label.kind})" if draft.label.kind else "none found",
        "features": f"{len(roles.named('feature'))}",
        "price": ", ".join(roles.named("price")) or "none found",
        "outcomes": f"{len(roles.named('outcome'))}",
        "not used": f"{len(roles.named('ignore'))}",
    }
    for what, found in lines.items():
        typer.echo(f"  {what:<12} {found}")


def _tell_windows(draft: Draft, spec: PortfolioSpec) -> bool:
    """Loans and bads by window, and the rows that would be rejected; or why the tape cannot be read so.

    Returns:
        Whether training would stop until somebody decides about features.
    """
    from tempfile import TemporaryDirectory

    from pdx_assets.risk.drafting.trial import try_draft

    if not draft.sample.whole:
        typer.echo("The tape is large: `pdx run` reads all of it; bads in the YAML's comments are estimates.")
        return False
    try:
        with TemporaryDirectory() as folder:
            trial = try_draft(spec, Path(folder))
    except PdxError as error:
        typer.echo(f"Reading the whole tape by this draft fails; `pdx run` would say:\n{error}", err=True)
        raise typer.Exit(1) from error
    for reason, count in trial.rejected.items():
        typer.echo(f"{count:,} {'row' if count == 1 else 'rows'} would be rejected: {reason}")
    typer.echo("First production month   months              loans    bads  bad rate")
    for window in trial.windows:
        counts = window.counts
        rate = "" if counts.bad_rate is None else f"{counts.bad_rate:.1%}"
        span = str(window.months[0]) + ("" if len(window.months) == 1 else f" to {window.months[-1]}")
        typer.echo(f"  {window.name:<22} {span:<18} {counts.bads + counts.goods:>6,}  {counts.bads:>6,}  {rate:>8}")
    if trial.measurable:
        typer.echo(f"Production months with known labels: {trial.measurable[0]} to {trial.measurable[-1]}")
    otv = trial.windows[1].counts
    least = spec.decision.min_bads
    if otv.bads < least:
        typer.echo(f"Only {otv.bads} bads in OTV: with fewer than {least} no contest is held. Widen windows.otv.")
    if trial.leaks:
        typer.echo("\nThese features seem to know the outcome; training stops until you decide about each:")
        for name, reason in trial.leaks.items():
            typer.echo(f"  {name}: {reason}")
    return bool(trial.leaks)
