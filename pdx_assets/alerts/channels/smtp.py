"""Channel *email*: one mail to all recipients, through an SMTP server."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Literal

from pdx_assets.alerts.channels.base import TIMEOUT_SECONDS, in_words
from pdx_assets.alerts.message import Message
from pdx_assets.risk.errors import AlertError

# starttls: upgraded before anything is said; tls: from the first byte; none: in the clear.
Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True)
class EmailChannel:
    """An SMTP server, with a login or without."""

    host: str
    port: int
    security: Security
    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT_SECONDS
    name: str = "email"

    @property
    def target(self) -> str:
        return f"{', '.join(self.recipients)} by {self.host}:{self.port}"

    def send(self, message: Message) -> str:
        try:
            with self._connection() as server:
                if self.security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.user is not None:
                    server.login(self.user, self.password or "")
                refused = server.send_message(self._mail(message))
        except smtplib.SMTPRecipientsRefused as error:
            raise AlertError(
                f"{self.host}:{self.port} refused every recipient: {_refusals(error.recipients)}."
            ) from error
        except smtplib.SMTPResponseException as error:
            raise AlertError(
                f"{self.host}:{self.port} answered {error.smtp_code} {_decoded(error.smtp_error)}."
            ) from error
        except smtplib.SMTPException as error:
            raise AlertError(f"{self.host}:{self.port}: {error}.") from error
        except OSError as error:
            raise AlertError(f"{self.host}:{self.port} cannot be reached: {in_words(error)}.") from error
        return "accepted" if not refused else f"accepted, but not for {_refusals(refused)}"

    def _connection(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, self.port, timeout=self.timeout)

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail["Date"] = formatdate()
        # The same for the same alerts: a mail sent again after a kill is known as such by most mailboxes.
        mail["Message-ID"] = f"<{message.id}@pdx>"
        # Tells out-of-office replies to stay away (RFC 3834).
        mail["Auto-Submitted"] = "auto-generated"
        for name, value in message.attributes.items():
            mail[f"X-PDx-{name.title()}"] = value
        mail.set_content(message.text)
        return mail


def _refusals(refused: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{who} ({code} {_decoded(why)})" for who, (code, why) in refused.items())


def _decoded(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
