"""Alerts in words: one by itself, or many in one message, since nobody reads three hundred."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pdx_assets.alerts.model import KIND_WORDS, SEVERITIES, Alert, Severity

TEXT_LIMIT = 2000  # characters; Slack refuses a block over 3,000
LISTED = 20  # alerts named in a message about many

# An exception may quote the address of a database or a store, with its password: ://user:password@
_PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)[^/\s@]*:[^/\s]*@")


@dataclass(frozen=True)
class Message:
    """What a channel sends.

    Attributes:
        subject: one line.
        paragraphs: plain text.
        id: the same for the same alerts, so that a receiver can know a message sent twice.
        attributes: kind, severity, portfolio, month where the alerts share it; for filters at the receiver.
    """

    subject: str
    severity: Severity
    paragraphs: tuple[str, ...]
    id: str
    link: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of it as plain text, without the subject."""
        return "\n\n".join([*self.paragraphs, *([self.link] if self.link else [])])


def message_of(alerts: Sequence[Alert], *, ui: str) -> Message:
    """One message for one or many alerts.

    Args:
        ui: address of the Dagster UI, which a message about many links to.
    """
    key = hashlib.sha256("\0".join(a.key for a in alerts).encode()).hexdigest()[:32]
    return _about_one(alerts[0], key) if len(alerts) == 1 else _about_many(alerts, key, ui)


def trial_message(*, now: float, ui: str) -> Message:
    """What ``pdx alert-test`` sends."""
    return Message(
        subject="[PDx] Test of this alert channel",
        severity="info",
        paragraphs=(f"Nothing happened: pdx alert-test was run, {_time(now)}. Alerts will arrive here.",),
        id=hashlib.sha256(f"test {now}".encode()).hexdigest()[:32],
        link=ui,
        attributes={"kind": "test", "severity": "info"},
    )


def without_passwords(text: str) -> str:
    """The text with ``user:password`` taken out of every address in it."""
    return _PASSWORD_IN_ADDRESS.sub("***@", text)


def _about_one(alert: Alert, key: str) -> Message:
    where = " ".join(filter(None, (alert.portfolio, alert.month)))
    facts = [
        KIND_WORDS[alert.kind][0],
        alert.severity,
        *([f"asset {alert.asset}"] if alert.asset else []),
        *([f"month {alert.month}"] if alert.month else []),
        _time(alert.occurred),
    ]
    return Message(
        subject=_one_line(f"[PDx] {where}: {alert.title}"),
        severity=alert.severity,
        paragraphs=(_shown(alert.text), ", ".join(facts)),
        id=key,
        link=alert.link,
        attributes=_shared([alert]),
    )


def _about_many(alerts: Sequence[Alert], key: str, ui: str) -> Message:
    worst_first = sorted(alerts, key=lambda a: (-SEVERITIES.index(a.severity), a.occurred))
    counts = Counter(a.kind for a in alerts)
    summary = ", ".join(f"{n} {KIND_WORDS[kind][n > 1]}" for kind, n in counts.most_common())
    portfolios = ", ".join(sorted({a.portfolio for a in alerts}))
    lines = [
        _one_line(f"- {a.severity}: {' '.join(filter(None, (a.portfolio, a.month)))}: {a.title}. {_shown(a.text)}")[
            :300
        ]
        for a in worst_first[:LISTED]
    ]
    rest = len(alerts) - len(lines)
    times = [a.occurred for a in alerts]
    return Message(
        subject=_one_line(f"[PDx] {portfolios}: {len(alerts)} alerts: {summary}"),
        severity=worst_first[0].severity,
        paragraphs=(
            f"Between {_time(min(times))} and {_time(max(times))}, the most severe first:",
            "\n".join(lines),
            *([f"And {rest} more."] if rest else []),
        ),
        id=key,
        link=ui,
        attributes=_shared(alerts),
    )


def _shared(alerts: Sequence[Alert]) -> dict[str, str]:
    values = {name: {getattr(a, name) for a in alerts} for name in ("kind", "severity", "portfolio", "month")}
    return {name: str(found.pop()) for name, found in values.items() if len(found) == 1 and None not in found}


def _shown(text: str) -> str:
    text = without_passwords(text.strip())
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]} ... ({len(text):,} characters)"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
