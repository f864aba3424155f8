"""``pdx alert-test``: does every configured channel reach its people?"""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("alert-test")(alert_test)


def alert_test() -> None:
    """Send a test message to every channel in PDX_ALERTS, and say what each of them answered.

    Exit code 0: all took it; 1: one did not, or none is configured.
    """
    from pdx_assets.alerts.delivery import try_channels
    from pdx_assets.alerts.settings import AlertSettings
    from pdx_assets.risk.errors import AlertError

    settings = AlertSettings.from_environment()
    if not settings.channels:
        raise AlertError(
            "PDX_ALERTS is not set, so nobody is alerted.",
            expected="some of log,email,webhook,sns",
            remedy="set PDX_ALERTS and the variables of its channels; docs/runbook.md lists them",
        )
    failed = False
    for channel, (answer, problem) in zip(
        settings.channels, try_channels(settings.channels, ui=settings.ui).values(), strict=True
    ):
        failed = failed or problem is not None
        outcome = answer if problem is None else f"FAILED: {problem}"
        typer.echo(f"{channel.name:<8} {channel.target}: {outcome}")
    if failed:
        raise typer.Exit(1)
