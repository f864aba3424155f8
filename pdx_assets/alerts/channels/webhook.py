"""Channel *webhook*: JSON in the shape of Slack's incoming webhooks, which Mattermost and Rocket.Chat take as well.

Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and
https://docs.slack.dev/messaging/formatting-message-text (``& < >`` are escaped, or a loan file could call a channel).
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pdx_assets.alerts.channels.base import TIMEOUT_SECONDS, in_words
from pdx_assets.alerts.message import Message
from pdx_assets.risk.errors import AlertError

SIGNS = {"info": ":large_green_circle:", "warning": ":warning:", "error": ":red_circle:"}
BLOCK_LIMIT = 3000  # characters of a text block
HEADER_LIMIT = 150


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET, and the message is lost behind a 200."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True)
class WebhookChannel:
    """An address that takes a POST; whoever knows it may write there, so it is a secret."""

    url: str = field(repr=False)
    timeout: float = TIMEOUT_SECONDS
    name: str = "webhook"

    @property
    def target(self) -> str:
        return urlsplit(self.url).hostname or "?"

    def send(self, message: Message) -> str:
        body = json.dumps(slack_json(message)).encode()
        try:
            request = urllib.request.Request(  # noqa: S310 the settings let http and https in, nothing else
                self.url, data=body, headers={"Content-Type": "application/json", "User-Agent": "pdx-assets"}
            )
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=self.timeout) as answer:
                return f"answered {answer.status} {answer.reason}".strip()
        except urllib.error.HTTPError as error:
            raise AlertError(f"{self.target} answered {error.code} {error.reason}.") from None
        except urllib.error.URLError as error:
            why = in_words(error.reason) if isinstance(error.reason, OSError) else str(error.reason)
            raise AlertError(f"{self.target} cannot be reached: {why}.") from None
        except OSError as error:
            raise AlertError(f"{self.target} cannot be reached: {in_words(error)}.") from None
        # `from None` above and no text of these: they may quote the address.
        except (http.client.HTTPException, ValueError) as error:
            raise AlertError(
                f"{self.target} could not be asked: {type(error).__name__}.", remedy="look at PDX_ALERTS_WEBHOOK_URL"
            ) from None


def slack_json(message: Message) -> dict[str, Any]:
    """``text`` for notifications and for receivers without blocks, ``blocks`` for the channel."""
    link = f"\n<{message.link}|Open in Dagster>" if message.link else ""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(message.subject, HEADER_LIMIT)}},
        *(
            {"type": "section", "text": {"type": "mrkdwn", "text": _cut(_escaped(p), BLOCK_LIMIT)}}
            for p in message.paragraphs
        ),
    ]
    if message.link:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": link.strip()}})
    plain = "\n".join(_escaped(part) for part in (message.subject, *message.paragraphs))
    return {"text": f"{SIGNS[message.severity]} {plain}{link}", "blocks": blocks}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 4]} ..."
