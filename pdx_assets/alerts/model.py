"""What happened, as a value. How it is worded for a person: message.py; how it gets there: channels/."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["failed_check", "failed_run", "promotion", "waiting_approval"]
# From the least to the most severe.
SEVERITIES = ("info", "warning", "error")
Severity = Literal["info", "warning", "error"]

KIND_WORDS: Mapping[Kind, tuple[str, str]] = {
    "failed_check": ("failed check", "failed checks"),
    "failed_run": ("failed run", "failed runs"),
    "promotion": ("promotion", "promotions"),
    "waiting_approval": ("waiting approval", "waiting approvals"),
}


@dataclass(frozen=True)
class Alert:
    """One thing a person should hear of.

    Attributes:
        key: identity of the event; the same key is told once per channel, ever.
        title: a few words, such as ``psi_score failed on drift``.
        text: what is wrong and what to do, as the check, the error or the decision says it.
        occurred: when, in seconds since 1970.
        asset, month: where in the portfolio, if at one place.
        link: the page in the Dagster UI that shows it.
        topic: what it is about, such as a check of a month. While it stands unresolved, the same words about the
            same topic are told once, however often they are said again; None: every event is told.
    """

    key: str
    kind: Kind
    severity: Severity
    portfolio: str
    title: str
    text: str
    occurred: float
    asset: str | None = None
    month: str | None = None
    link: str | None = None
    topic: str | None = None

    @property
    def words_sha256(self) -> str:
        """Hash of what a person would read: two alerts of a topic that differ in it are two pieces of news."""
        return hashlib.sha256("\0".join((self.severity, self.title, self.text)).encode()).hexdigest()


@dataclass(frozen=True)
class Resolved:
    """A topic is well again: what is said of it after ``occurred`` is news."""

    topic: str
    occurred: float


def decision_alert(document: Mapping[str, Any], *, link: str, now: float) -> Alert | None:
    """The promotion, demotion or proposal in a recorded decision; None where at most a refit took over.

    Args:
        document: a decision (:func:`pdx_assets.risk.policy.decision_document`), which holds no time of its own.
        now: when it was noticed, in seconds since 1970.
    """
    champion, proposal = document["champion"], document.get("proposal")
    if proposal is not None:
        candidate = proposal["candidate"]
        what = f"{candidate['strategy']} {candidate['algorithm']}".replace("_", " ")
        return Alert(
            key=decision_key(document["portfolio"], document["production_month"]),
            kind="waiting_approval",
            severity="warning",
            portfolio=document["portfolio"],
            title=f"{what} of {candidate['trained_for']} waits for approval",
            text=f"{proposal['reason']} Answer with `pdx approve {document['portfolio']} --proposal "
            f"{proposal['sha256'][:12]}`, or `pdx reject`.",
            occurred=now,
            asset="champion",
            month=document["production_month"],
            link=link,
        )
    if document["decision"] not in ("first", "promoted", "demoted") or champion is None:
        return None
    recipe = f"{champion['strategy']} {champion['algorithm']}".replace("_", " ")
    return Alert(
        key=decision_key(document["portfolio"], document["production_month"]),
        kind="promotion",
        # A recipe that decayed is something somebody must look into.
        severity="warning" if document["decision"] == "demoted" else "info",
        portfolio=document["portfolio"],
        title=f"{recipe} of {champion['trained_for']} is the champion",
        text=document["reason"],
        occurred=now,
        asset="champion",
        month=document["production_month"],
        link=link,
    )


def decision_key(portfolio: str, month: str) -> str:
    """A decision is recorded once, so its month identifies it."""
    return f"decision/{portfolio}/{month}"
