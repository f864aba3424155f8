"""``PDX_ALERTS`` and what goes with it -> channels. Credentials come from the environment only, and are not printed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import cast, get_args
from urllib.parse import urlsplit

from pdx_assets.alerts.channels.base import Channel
from pdx_assets.alerts.channels.log import LogChannel
from pdx_assets.alerts.channels.smtp import EmailChannel, Security
from pdx_assets.alerts.channels.sns import SnsChannel
from pdx_assets.alerts.channels.webhook import WebhookChannel
from pdx_assets.alerts.model import SEVERITIES, Severity
from pdx_assets.risk.errors import AlertError
from pdx_assets.settings import Settings

PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
LOOPBACK = ("localhost", "127.0.0.1", "::1")

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")


@dataclass(frozen=True)
class AlertSettings:
    """Where alerts go.

    Attributes:
        channels: in the order of ``PDX_ALERTS``; none where it is not set.
        level: alerts below it are not told.
        ui: address of the Dagster UI, for links.
        outbox: the file that remembers what was told.
    """

    channels: tuple[Channel, ...]
    level: Severity
    ui: str
    outbox: Path

    @classmethod
    def from_environment(cls) -> AlertSettings:
        """Read and check everything.

        Raises:
            AlertError: variables are missing or wrong; all of them in one error, secrets not quoted.
        """
        home = Settings.from_environment().home
        read = _Reader()
        makers: dict[str, Callable[[], Channel]] = {
            "log": lambda: LogChannel(home / "logs" / "alerts.log"),
            "email": lambda: _email(read),
            "webhook": lambda: _webhook(read),
            "sns": lambda: _sns(read),
        }
        names = wanted()
        unknown = [n for n in names if n not in makers]
        if unknown:
            read.wrong("PDX_ALERTS", f"names {', '.join(map(repr, unknown))}", f"some of {','.join(makers)}")
        channels = tuple(makers[n]() for n in names if n in makers)
        level = read.one_of("PDX_ALERTS_LEVEL", SEVERITIES, "info")
        ui = (os.environ.get("PDX_DAGSTER_UI") or "http://127.0.0.1:3000").rstrip("/")
        read.complain()
        return cls(channels, cast(Severity, level), ui, home / "alerts.db")


def wanted() -> list[str]:
    """Names in ``PDX_ALERTS``, each once, not checked."""
    return list(dict.fromkeys(n.strip() for n in os.environ.get("PDX_ALERTS", "").lower().split(",") if n.strip()))


class _Reader:
    """Reads variables and collects what is wrong with them, so that all of it is told at once."""

    def __init__(self) -> None:
        self._problems: list[str] = []

    def wrong(self, name: str, got: str, expected: str) -> None:
        self._problems.append(f"{name} {got}; expected {expected}")

    def get(self, name: str, expected: str) -> str:
        value = os.environ.get(name, "").strip()
        if not value:
            self.wrong(name, "is not set", expected)
        return value

    def one_of(self, name: str, values: tuple[str, ...], default: str) -> str:
        value = os.environ.get(name, "").strip().lower() or default
        if value not in values:
            self.wrong(name, f"is {value!r}", " | ".join(values))
            return default
        return value

    def complain(self) -> None:
        if self._problems:
            raise AlertError(
                "Alerts are not set up as PDX_ALERTS asks:\n" + "\n".join(f"- {p}" for p in self._problems),
                remedy="correct these variables, then send a test with: pdx alert-test",
            )


def _email(read: _Reader) -> EmailChannel:
    host = read.get("PDX_ALERTS_SMTP_HOST", "the name of a mail server")
    security = cast(Security, read.one_of("PDX_ALERTS_SMTP_SECURITY", get_args(Security), "starttls"))
    sender = _address(read, "PDX_ALERTS_EMAIL_FROM", read.get("PDX_ALERTS_EMAIL_FROM", "an e-mail address"))
    to = read.get("PDX_ALERTS_EMAIL_TO", "e-mail addresses, separated by commas")
    recipients = tuple(_address(read, "PDX_ALERTS_EMAIL_TO", a.strip()) for a in to.split(",") if a.strip())
    if to and not recipients:
        read.wrong("PDX_ALERTS_EMAIL_TO", "names nobody", "e-mail addresses, separated by commas")
    user, password = (os.environ.get(f"PDX_ALERTS_SMTP_{part}") or None for part in ("USER", "PASSWORD"))
    if (user is None) != (password is None):
        missing = "PDX_ALERTS_SMTP_USER" if user is None else "PDX_ALERTS_SMTP_PASSWORD"
        read.wrong(missing, "is not set", "user and password, or neither of them")
    if password is not None and security == "none" and host not in LOOPBACK:
        read.wrong(
            "PDX_ALERTS_SMTP_SECURITY",
            "is 'none', which sends the password in the clear",
            "starttls | tls with a login",
        )
    return EmailChannel(host, _port(read, security), security, sender, recipients, user, password)


def _port(read: _Reader, security: Security) -> int:
    value = os.environ.get("PDX_ALERTS_SMTP_PORT", "").strip()
    if not value:
        return PORTS[security]
    if not value.isdecimal() or not 0 < int(value) < 65536:
        read.wrong("PDX_ALERTS_SMTP_PORT", f"is {value!r}", "a number from 1 to 65535")
        return PORTS[security]
    return int(value)


def _address(read: _Reader, name: str, value: str) -> str:
    address = parseaddr(value)[1]
    if value and ("@" not in address[1:-1] or any(c.isspace() for c in address)):
        read.wrong(name, f"holds {value!r}", "an e-mail address, such as risk@lender.example")
    return value


def _webhook(read: _Reader) -> WebhookChannel:
    expected = "an address that starts with https:// (or http://)"
    url = read.get("PDX_ALERTS_WEBHOOK_URL", expected)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not any(c.isspace() for c in url)
    except ValueError:
        usable = False
    if url and not usable:
        read.wrong("PDX_ALERTS_WEBHOOK_URL", "is not such an address (not shown: it is a secret)", expected)
    return WebhookChannel(url)


def _sns(read: _Reader) -> SnsChannel:
    expected = "the ARN of a topic, arn:aws:sns:REGION:ACCOUNT:NAME"
    topic = read.get("PDX_ALERTS_SNS_TOPIC", expected)
    if topic and not _TOPIC.fullmatch(topic):
        read.wrong("PDX_ALERTS_SNS_TOPIC", f"is {topic!r}", expected)
    elif topic.endswith(".fifo"):
        read.wrong("PDX_ALERTS_SNS_TOPIC", "is a FIFO topic, which cannot reach people", "a standard topic")
    return SnsChannel(topic)
