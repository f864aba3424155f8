"""What every channel is."""

from __future__ import annotations

from typing import Protocol

from pdx_assets.alerts.message import Message

TIMEOUT_SECONDS = 10.0


class Channel(Protocol):
    """One way out.

    Neither its repr nor an error it raises may hold a password or a webhook's address: both end up in logs.
    """

    @property
    def name(self) -> str:
        """As in ``PDX_ALERTS``."""
        ...

    @property
    def target(self) -> str:
        """Where messages go, in words that may be printed."""
        ...

    def send(self, message: Message) -> str:
        """Send, and say what the other side answered.

        Raises:
            AlertError: it did not take the message, with the reason in words that may be printed.
        """
        ...


def in_words(error: OSError) -> str:
    """A network failure without the address it may quote."""
    return f"{type(error).__name__}: {error.strerror}" if error.strerror else type(error).__name__
