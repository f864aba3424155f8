"""``pdx rollback``, ``lift``, ``approve``, ``reject``, ``redecide``: people's orders, and decisions made anew."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pdx_assets.commands.options import PortfolioName
from pdx_assets.risk.errors import PdxError

if TYPE_CHECKING:
    from pdx_assets.stages.governance import Recorded
    from pdx_assets.stages.workspace import Workspace

Reason = Annotated[str, typer.Option(help="Why, in words that an auditor understands later; recorded for good.")]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who gives the order; default the user of this machine.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``pdx``."""
    app.command()(rollback)
    app.command()(lift)
    app.command()(redecide)
    app.command()(approve)
    app.command()(reject)


def rollback(
    portfolio: PortfolioName,
    to: Annotated[
        str,
        typer.Option(
            metavar="BUNDLE", help="Digest of a model that was champion or challenger, or its first characters."
        ),
    ],
    reason: Reason,
    by: By = None,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="YYYY-MM",
            help="First production month to obey; default the first one without production scores.",
        ),
    ] = None,
) -> None:
    """Put an earlier model in charge, at once and until it is lifted; who, when and why are recorded.

    It takes effect at the first production month that has no production scores yet: loans that are scored
    stay scored. From there on every month's decision is 'rolled_back'. Contests are still held and recorded,
    and decide nothing. `pdx lift` ends it. Digests: `pdx results PORTFOLIO --format json`.
    """
    from pdx_assets.cli import open_workspace
    from pdx_assets.risk.calendar import Month
    from pdx_assets.risk.events import named
    from pdx_assets.stages.governance import roll_back

    ws = open_workspace(portfolio)
    done = roll_back(ws, to, by=by or _user(), reason=reason, start=Month.parse(first) if first else None)
    assert done.event.bundle is not None
    typer.echo(
        f"Event {done.event.sequence}: {portfolio} is rolled back to {named(done.event.bundle)} "
        f"from production month {done.event.takes_effect} on, until it is lifted."
    )
    _tell(ws, done)


def lift(portfolio: PortfolioName, reason: Reason, by: By = None) -> None:
    """End a rollback: the policy decides again, with the model rolled back to as incumbent.

    It takes effect at the first production month that has no production scores yet. Months decided under
    the rollback stay as they are.
    """
    from pdx_assets.cli import open_workspace
    from pdx_assets.stages import governance

    ws = open_workspace(portfolio)
    done = governance.lift(ws, by=by or _user(), reason=reason)
    typer.echo(
        f"Event {done.event.sequence}: the rollback of {portfolio} is lifted; from production month "
        f"{done.event.takes_effect} on the {ws.spec.decision.policy} policy decides."
    )
    _tell(ws, done)


def approve(
    portfolio: PortfolioName,
    proposal: Annotated[str, typer.Option(metavar="HASH", help="Hash of the proposal, or its first characters.")],
    reason: Reason,
    by: By = None,
) -> None:
    """Approve the change that the newest decision proposes; who, when and why are recorded.

    It takes effect at the first production month that has no production scores yet. Until then, and while a second
    person's approval is needed, the incumbent stays in charge.
    """
    _answer(portfolio, proposal, "approve", by, reason)


def reject(
    portfolio: PortfolioName,
    proposal: Annotated[str, typer.Option(metavar="HASH", help="Hash of the proposal, or its first characters.")],
    reason: Reason,
    by: By = None,
) -> None:
    """Reject the change that the newest decision proposes; a later month's contest may propose it again."""
    _answer(portfolio, proposal, "reject", by, reason)


def _answer(portfolio: str, proposal: str, kind: Literal["approve", "reject"], by: str | None, reason: str) -> None:
    from pdx_assets.cli import open_workspace
    from pdx_assets.risk.events import named
    from pdx_assets.stages import governance

    ws = open_workspace(portfolio)
    done = governance.answer(ws, proposal, kind=kind, by=by or _user(), reason=reason)
    event = done.event
    if event.bundle is None:
        typer.echo(f"Event {event.sequence}: the proposal is rejected; who is in charge does not change.")
    elif event.decides:
        typer.echo(
            f"Event {event.sequence}: {named(event.bundle)} is approved; it is in charge of {portfolio} from "
            f"production month {event.takes_effect} on."
        )
    else:
        typer.echo(f"Event {event.sequence}: recorded; a second, different person must approve {named(event.bundle)}.")
    _tell(ws, done)


def redecide(
    portfolio: PortfolioName,
    branch: Annotated[str, typer.Option(metavar="NAME", help="Name of the new branch; a branch is written once.")],
    first: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="YYYY-MM", help="First month to decide again; earlier ones are taken over from main."
        ),
    ] = None,
    by: By = None,
) -> None:
    """Decide the recorded months again from today's models and scores, on a branch of its own.

    For a tape that was revised: who would have been in charge? The branch main, which says who was, is not
    touched. Nothing is trained: run `pdx run PORTFOLIO` on the revised tape first. Events are obeyed as on
    main. See the branch with `pdx results PORTFOLIO --branch NAME`.
    """
    from pdx_assets.cli import open_workspace
    from pdx_assets.risk.calendar import Month
    from pdx_assets.stages import branches
    from pdx_assets.stages.record import decisions

    ws = open_workspace(portfolio)
    made = branches.redecide(ws, branch, by=by or _user(), first=Month.parse(first) if first else None)
    main = {d["production_month"]: _digest(d) for d in decisions(ws)}
    for document in made:
        same = _digest(document) == main[document["production_month"]]
        typer.echo(
            f"{document['production_month']}  {document['decision']:<11}  {'as on main' if same else 'not main'}  "
            f"{document['reason']}"
        )
    typer.echo(f"Branch {branch} has {len(made)} months. See `pdx results {portfolio} --branch {branch}`.")


def _tell(ws: Workspace, done: Recorded) -> None:
    if done.overruled:
        typer.echo(
            f"Decided before, and not scored yet: {', '.join(map(str, done.overruled))}. Their decisions are made "
            f"again when champion is materialized (`pdx run {ws.spec.name} --to {done.overruled[-1]}`)."
        )


def _digest(decision: Mapping[str, Any]) -> str | None:
    return (decision["champion"] or {}).get("bundle_sha256")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise PdxError("This machine does not say who its user is.", remedy="give --by NAME") from error
