"""The ``pdx`` command: run, results, ui; others are in commands/."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pdx_assets import __version__
from pdx_assets.commands import (
    alerts,
    experiment,
    governance,
    leaks,
    new,
    radar,
    replay,
    sample,
    simulate,
    waive,
    windows,
)
from pdx_assets.commands.options import FirstMonth, PortfolioName, TapePath, tape_place
from pdx_assets.risk.errors import PdxError, SpecError
from pdx_assets.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from pdx_assets.orchestration.runner import Outcome, Task
    from pdx_assets.risk.calendar import Month
    from pdx_assets.stages.workspace import Workspace

DEFS = Path(__file__).parent / "defs"

app = typer.Typer(
    name="pdx",
    help="Keep probability-of-default models healthy after launch: champion and challengers, month by month.\n\n"
    "Everything is written under PDX_HOME (default .pdx in the working directory).\n\n"
    "Start with:  pdx run demo --profile quick   then   pdx results demo   then   pdx ui",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

alerts.register(app)


def main() -> None:
    """Entry point: a PdxError is told in its own words, without a traceback."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    try:
        app()
    except PdxError as error:
        Console(stderr=True).print(Panel(Text(str(error)), title="pdx cannot go on", border_style="red"))
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("\nInterrupted. Nothing is lost: the same command resumes.")
        sys.exit(130)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"pdx {__version__}")
        raise typer.Exit


@app.command()
def run(
    portfolio: PortfolioName,
    first: FirstMonth = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="YYYY-MM", help="Last production month; default the last whose labels are known."),
    ] = None,
    tape: TapePath = None,
    profile: Annotated[
        Literal["quick", "standard", "paper", "paper_size"] | None,
        typer.Option(
            help="How much tuning: quick (a look), standard (the default), paper (every month tuned anew), "
            "paper_size (tuned once, on a sample: for books of hundreds of thousands of loans)."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the split and of every draw; one per PDX_HOME.", min=0)
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; default one per core.", min=1)] = None,
    reports: Annotated[
        bool, typer.Option("--reports", help="Write an Evidently drift report of each month too, some 10 s each.")
    ] = False,
) -> None:
    """Materialize everything for some production months, through Dagster; resumes where it stopped.

    Months are decided in order, so months from the portfolio's first one to --from are made as well where
    they are missing. Exit code 0: all done; 1: something failed (what, and what to do, is printed).
    """
    from dataclasses import replace

    from rich.markup import escape

    from pdx_assets.orchestration.alerting import alerting
    from pdx_assets.orchestration.runner import months_to_run, plan
    from pdx_assets.risk.spec import NOT_KNOWABLE
    from pdx_assets.stages.rests_on import require_unchanged
    from pdx_assets.stages.tape import no_weights_told, whole_tape

    ws = open_workspace(portfolio)
    tape = tape_place(tape)
    # Pinned only once the tape is read and the months are possible: a mistyped path must not be remembered.
    ws = replace(ws, asked=ws.settings.settle(portfolio, profile=profile, seed=seed, tape=tape))

    require_unchanged(ws)
    console = _console()
    with console.status(f"Reading the tape of {portfolio} ..."):
        # Whoever runs a month wants the loans of now, not those of the sensor's last look.
        whole_tape(ws, look_again=True)
        months = months_to_run(ws, first, last)
        ws.settings.pin(portfolio, profile=profile, seed=seed, tape=tape)
        ws = open_workspace(portfolio)
        tasks = plan(ws, months, reports=reports)
    console.print(
        f"[bold]{portfolio}[/]: production months {months[0]} to {months[-1]}, profile {ws.pinned.profile}, "
        f"seed {ws.pinned.seed}, {len(tasks)} runs to make, home {ws.settings.home}"
    )
    if ws.spec.hindsight:
        console.print(f"[yellow]{NOT_KNOWABLE}[/]")
    if unweighted := no_weights_told(ws):
        console.print(f"[yellow]{escape(unweighted)}[/]")
    if first and str(months[0]) != first:
        console.print(f"Months are decided in order: starting at {months[0]}, the portfolio's first production month.")
    if not tasks:
        console.print("Everything is up to date.")
        if _tell_problems(ws, months, console):
            raise typer.Exit(1)
        return
    with alerting(ws.settings, [portfolio]):
        outcomes = _with_progress(ws, tasks, workers or os.cpu_count() or 1)
    failures = [o for o in outcomes if o.error is not None]
    if failures or len(outcomes) < len(tasks):
        for error, keys in _by_error(failures).items():
            more = f" and {len(keys) - 2} more" if len(keys) > 2 else ""
            console.print(f"[red]{', '.join(keys[:2])}{more} failed:[/]\n{error}", highlight=False)
        console.print(f"{len(failures)} runs failed, {len(tasks) - len(outcomes)} were not started because of them.")
        raise typer.Exit(1)
    if _tell_problems(ws, months, console):
        raise typer.Exit(1)
    console.print(f"Done. See [bold]pdx results {portfolio}[/] and [bold]pdx ui[/].")


def _by_error(failures: list[Outcome]) -> dict[str, list[str]]:
    """Tasks by what stopped them: a flagged feature stops the windows of every month with the same words."""
    found: dict[str, list[str]] = {}
    for outcome in failures:
        found.setdefault(str(outcome.error), []).append(outcome.task.key)
    return found


@app.command()
def results(
    portfolio: PortfolioName,
    form: Annotated[
        Literal["table", "json", "csv"],
        typer.Option("--format", help="table: the paper's Table 6; json: everything; csv: one line a model and month."),
    ] = "table",
    branch: Annotated[str, typer.Option(help="Branch of decisions: main, or one made by `pdx redecide`.")] = "main",
) -> None:
    """Every model and champion with its metrics: on train, ITV, OTV, and in production once known."""
    from pdx_assets.results import as_csv, as_json, as_table, collect

    ws = open_workspace(portfolio)
    warn_of_changes(ws)
    found = collect(ws, branch)
    if form == "json":
        typer.echo(as_json(found))
    elif form == "csv":
        typer.echo(as_csv(found), nl=False)
    else:
        console = _console()
        table = as_table(found)
        # Squeezed into 80 columns a twelve-month table loses digits; lines that wrap lose nothing.
        console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
        console.print(table, crop=False)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the Dagster webserver.")] = 3000,
    mlflow_port: Annotated[
        int, typer.Option(help="Port of the MLflow page that runs link to; 0: do not start it.")
    ] = 5050,
    reports_port: Annotated[
        int, typer.Option(help="Port of the drift reports that materializations link to; 0: do not serve them.")
    ] = 5051,
    host: Annotated[
        str, typer.Option(help="Address to listen on; anything but loopback is open to the network.")
    ] = "127.0.0.1",
) -> None:
    """Dagster's webserver and daemon (with MLflow's page and the drift reports) on this PDX_HOME, until Ctrl-C."""
    from pdx_assets.orchestration.servers import serve

    serve(Settings.from_environment(), host=host, port=port, mlflow_port=mlflow_port, reports_port=reports_port)


def _tell_problems(ws: Workspace, months: tuple[Month, ...], console: Console) -> bool:
    """Print tombstones, and months with nobody sound in charge; whether there are such months."""
    from pdx_assets.risk.policy import in_charge_problem
    from pdx_assets.stages.record import find_decision

    unsound = False
    for decision in filter(None, (find_decision(ws, month) for month in months)):
        for who, why in decision["contest"]["failed"].items():
            console.print(f"[yellow]{decision['production_month']}  {who} left a tombstone:[/] {why}")
        problem = in_charge_problem(decision)
        if problem:
            console.print(f"[red]{decision['production_month']}  {problem}[/]")
            unsound = True
    return unsound


def open_workspace(portfolio: str) -> Workspace:
    """A portfolio of defs/ in the PDx home of the environment.

    Raises:
        SpecError: there is no such portfolio, or its YAML is wrong.
    """
    from pdx_assets.risk.spec import NAME
    from pdx_assets.risk.spec_file import load_spec
    from pdx_assets.stages.workspace import Workspace

    path = DEFS / portfolio / "defs.yaml"
    if not NAME.match(portfolio) or not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in DEFS.glob("*/defs.yaml")))
        raise SpecError(f"There is no portfolio {portfolio!r}.", expected=f"one of: {known}")
    spec = load_spec(path)
    if spec.name != portfolio:
        raise SpecError(f"{path} declares name {spec.name!r}.", expected=f"the folder's name, {portfolio!r}")
    return Workspace.of(spec)


def warn_of_changes(ws: Workspace) -> None:
    """Say on stderr where the YAML is no longer what the home's results were made under."""
    from pdx_assets.stages.rests_on import changed_since

    changed = changed_since(ws)
    if changed:
        typer.echo(f"{changed} What follows was made under the earlier declarations.", err=True)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _with_progress(ws: Workspace, tasks: list[Task], workers: int) -> list[Outcome]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from pdx_assets.orchestration.runner import run_tasks
    from pdx_assets.stages.record import find_decision
    from pdx_assets.stages.windows import bads_told

    console = _console()
    names = {
        "cohort": "cohorts read",
        "window": "windows",
        "study": "studies run",
        "train": "challengers trained",
        "decide": "champions decided",
        "measure": "months measured",
    }
    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {
            stage: progress.add_task(text, total=sum(t.stage == stage for t in tasks))
            for stage, text in names.items()
            if any(t.stage == stage for t in tasks)
        }

        def report(outcome: Outcome) -> None:
            task = outcome.task
            progress.advance(bars[task.stage])
            if outcome.error is not None:
                progress.console.print(f"[red]{task.key} failed[/]")
            elif task.stage == "window":
                progress.console.print(f"{task.month}  {'windows':<10}  {bads_told(ws, task.month)}")
            elif task.stage == "decide":
                decision = find_decision(ws, task.month) or {}
                verdict, reason = decision.get("decision", ""), decision.get("reason", "")
                progress.console.print(f"{task.month}  {verdict:<10}  {reason}")

        return run_tasks(ws, tasks, workers=workers, report=report)


new.register(app)
sample.register(app)
experiment.register(app)
waive.register(app)
governance.register(app)
replay.register(app)
windows.register(app)
leaks.register(app)
simulate.register(app)
radar.register(app)

if __name__ == "__main__":
    main()
