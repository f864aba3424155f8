"""Alerts to test with, and a clock that is set by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pdx_assets.alerts.message import Message
from pdx_assets.alerts.model import Alert

NOON = 1_750_000_000.0

CHECK = Alert(
    key="check/demo/drift/psi/2024-05/run-1/1",
    kind="failed_check",
    severity="error",
    portfolio="demo",
    title="psi failed on drift",
    text="PSI of the score is 0.31, alarm at 0.25.\nWhat to do: see docs/runbook.md",
    occurred=NOON,
    asset="drift",
    month="2024-05",
    link="http://127.0.0.1:3000/assets/demo/drift?view=checks&checkDetail=psi",
    topic="check/demo/drift/psi/2024-05",
)


def check_alert(run: int, **changes: Any) -> Alert:
    """The check failing again in another run."""
    return replace(CHECK, key=f"{CHECK.topic}/run-{run}/{run}", occurred=NOON + run, **changes)


def run_alert(number: int, **changes: Any) -> Alert:
    return replace(
        CHECK,
        key=f"run/{number}",
        kind="failed_run",
        title="run of champion failed",
        text=f"champion: run {number} was killed",
        topic=None,
        occurred=NOON + number,
        **changes,
    )


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


class Mailbox:
    """A channel that keeps what it is sent, or fails as told."""

    def __init__(self, name: str = "log") -> None:
        self.name, self.target = name, "a list"
        self.messages: list[Message] = []
        self.error: Exception | None = None

    def send(self, message: Message) -> str:
        if self.error is not None:
            raise self.error
        self.messages.append(message)
        return "kept"
