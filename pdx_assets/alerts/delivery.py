"""From the outbox to the channels. A channel that cannot be reached is a line in the log, never an exception."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pdx_assets.alerts.channels.base import Channel
from pdx_assets.alerts.message import Message, message_of, trial_message
from pdx_assets.alerts.outbox import FIRST_PAUSE, Due, Outbox
from pdx_assets.alerts.settings import AlertSettings
from pdx_assets.risk.errors import AlertError

if TYPE_CHECKING:
    Log = logging.Logger | logging.LoggerAdapter[logging.Logger]

# So many at once come one by one; more come in one message.
SINGLY = 5
CLAIMED = 500
# A sensor's evaluation is ended after 60 s, and two channels that hang for 10 s each must fit in.
BUDGET_SECONDS = 20.0


def deliver(outbox: Outbox, settings: AlertSettings, log: Log) -> dict[str, str]:
    """Tell what is due, channel by channel; what came of it in words, by channel."""
    deadline = time.monotonic() + BUDGET_SECONDS
    return {channel.name: _deliver(outbox, settings, channel, log, deadline) for channel in settings.channels}


def _deliver(outbox: Outbox, settings: AlertSettings, channel: Channel, log: Log, deadline: float) -> str:
    waiting = outbox.claim(channel.name, CLAIMED)
    batches = [[due] for due in waiting] if len(waiting) <= SINGLY else [waiting]
    told = 0
    while batches:
        if time.monotonic() > deadline:
            outbox.put_back(channel.name, _flat(batches), pause=0)
            return f"{told} told, the rest at the next tick"
        batch = batches.pop(0)
        answer, problem = attempt(channel, message_of([due.alert for due in batch], ui=settings.ui))
        if problem is None:
            outbox.sent(channel.name, batch)
            told += len(batch)
            log.info("Alerts: %d told by %s: %s", len(batch), channel.name, answer)
            continue
        given_up = outbox.failed(channel.name, batch, problem)
        # The others would wait for the same timeout, one after the other.
        outbox.put_back(channel.name, _flat(batches), pause=FIRST_PAUSE)
        log.warning("Alerts: %s failed, will be tried again: %s", channel.name, problem)
        if given_up:
            log.error("Alerts: %d given up on %s after too many tries; see alerts.db", given_up, channel.name)
        return f"{told} told, then: {problem}"
    return f"{told} told"


def attempt(channel: Channel, message: Message) -> tuple[str, str | None]:
    """Send: (the answer, None), or ('', what is wrong in words that may be printed)."""
    try:
        return channel.send(message), None
    except AlertError as error:
        return "", str(error)
    except Exception as error:  # whatever a library raises must not fail a run; its text may hold a secret
        return "", f"{type(error).__name__}, which is a defect of PDx or of the channel's library"


def try_channels(channels: Sequence[Channel], *, ui: str) -> dict[str, tuple[str, str | None]]:
    """Send a test message to each channel; answer and problem by channel (:func:`attempt`)."""
    message = trial_message(now=time.time(), ui=ui)
    return {channel.name: attempt(channel, message) for channel in channels}


def _flat(batches: Sequence[Sequence[Due]]) -> list[Due]:
    return [due for batch in batches for due in batch]
