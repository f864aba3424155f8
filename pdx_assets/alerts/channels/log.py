"""Channel *log*: a file in the home that a person can follow, and Python's log for whoever collects those."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from pdx_assets.alerts.channels.base import in_words
from pdx_assets.alerts.message import Message
from pdx_assets.risk.errors import AlertError

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogChannel:
    """Appends to ``path``, a message a line."""

    path: Path
    name: str = "log"

    @property
    def target(self) -> str:
        return str(self.path)

    def send(self, message: Message) -> str:
        line = " ".join(f"{message.subject} | {message.text}".split())
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message.severity.upper():<7} {line}\n")
        except OSError as error:
            raise AlertError(f"{self.path} cannot be written: {in_words(error)}.") from error
        log.log(LEVELS[message.severity], "%s", line)
        return "written"
