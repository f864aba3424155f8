"""PDX_ALERTS and its variables: what they make, what is refused, and that secrets are not printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdx_assets.alerts.channels.smtp import EmailChannel
from pdx_assets.alerts.channels.webhook import WebhookChannel
from pdx_assets.alerts.settings import AlertSettings
from pdx_assets.risk.errors import AlertError

GOOD = {
    "PDX_ALERTS": "log, Email,webhook,sns,log",
    "PDX_ALERTS_SMTP_HOST": "mail.lender.example",
    "PDX_ALERTS_EMAIL_FROM": "pdx@lender.example",
    "PDX_ALERTS_EMAIL_TO": "risk@lender.example, ops@lender.example",
    "PDX_ALERTS_SMTP_USER": "pdx",
    "PDX_ALERTS_SMTP_PASSWORD": "hunter2",
    "PDX_ALERTS_WEBHOOK_URL": "https://hooks.slack.example/services/T0/B0/secret-token",
    "PDX_ALERTS_SNS_TOPIC": "arn:aws:sns:eu-west-1:123456789012:pdx-alerts",
}


def settings(monkeypatch: pytest.MonkeyPatch, **changes: str) -> AlertSettings:
    for name, value in (GOOD | changes).items():
        monkeypatch.setenv(name, value)
    return AlertSettings.from_environment()


def test_nothing_set_means_nobody_is_alerted_and_nothing_is_written(tmp_path: Path) -> None:
    found = AlertSettings.from_environment()
    assert (found.channels, found.level, found.ui) == ((), "info", "http://127.0.0.1:3000")
    assert not (tmp_path / "home").exists()


def test_every_channel_is_made_once_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = settings(monkeypatch, PDX_ALERTS_LEVEL="warning", PDX_DAGSTER_UI="https://dagster.example/")
    assert [c.name for c in found.channels] == ["log", "email", "webhook", "sns"]
    email = found.channels[1]
    assert isinstance(email, EmailChannel)
    assert (email.port, email.security, email.password) == (587, "starttls", "hunter2")
    assert email.recipients == ("risk@lender.example", "ops@lender.example")
    assert [c.target for c in found.channels][2:] == ["hooks.slack.example", GOOD["PDX_ALERTS_SNS_TOPIC"]]
    assert (found.level, found.ui) == ("warning", "https://dagster.example")
    assert found.outbox == tmp_path / "home" / "alerts.db"


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch)
    assert isinstance(found.channels[2], WebhookChannel) and "secret-token" in found.channels[2].url
    printed = repr(found) + str(found) + " ".join(c.target for c in found.channels)
    assert "hunter2" not in printed
    assert "secret-token" not in printed


@pytest.mark.parametrize(("security", "port"), [("tls", 465), ("none", 25), ("STARTTLS", 587)])
def test_the_port_follows_from_the_security(monkeypatch: pytest.MonkeyPatch, security: str, port: int) -> None:
    email = settings(
        monkeypatch, PDX_ALERTS_SMTP_SECURITY=security, PDX_ALERTS_SMTP_USER="", PDX_ALERTS_SMTP_PASSWORD=""
    ).channels[1]
    assert isinstance(email, EmailChannel)
    assert (email.port, email.user, email.password) == (port, None, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PDX_ALERTS": "log,pager"}, "PDX_ALERTS names 'pager'; expected some of log,email,webhook,sns"),
        ({"PDX_ALERTS_LEVEL": "loud"}, "PDX_ALERTS_LEVEL is 'loud'; expected info | warning | error"),
        ({"PDX_ALERTS_SMTP_HOST": ""}, "PDX_ALERTS_SMTP_HOST is not set; expected the name of a mail server"),
        ({"PDX_ALERTS_EMAIL_TO": "risk"}, "PDX_ALERTS_EMAIL_TO holds 'risk'; expected an e-mail address"),
        ({"PDX_ALERTS_EMAIL_TO": ","}, "PDX_ALERTS_EMAIL_TO names nobody"),
        ({"PDX_ALERTS_EMAIL_FROM": "@"}, "PDX_ALERTS_EMAIL_FROM holds '@'"),
        ({"PDX_ALERTS_SMTP_PORT": "smtp"}, "PDX_ALERTS_SMTP_PORT is 'smtp'; expected a number from 1 to 65535"),
        ({"PDX_ALERTS_SMTP_PORT": "70000"}, "PDX_ALERTS_SMTP_PORT is '70000'"),
        ({"PDX_ALERTS_SMTP_PASSWORD": ""}, "PDX_ALERTS_SMTP_PASSWORD is not set; expected user and password"),
        ({"PDX_ALERTS_SMTP_USER": ""}, "PDX_ALERTS_SMTP_USER is not set"),
        ({"PDX_ALERTS_SMTP_SECURITY": "ssl"}, "PDX_ALERTS_SMTP_SECURITY is 'ssl'; expected starttls | tls | none"),
        ({"PDX_ALERTS_SMTP_SECURITY": "none"}, "sends the password in the clear"),
        ({"PDX_ALERTS_WEBHOOK_URL": ""}, "PDX_ALERTS_WEBHOOK_URL is not set"),
        ({"PDX_ALERTS_WEBHOOK_URL": "file:///etc/secret-token"}, "PDX_ALERTS_WEBHOOK_URL is not such an address"),
        ({"PDX_ALERTS_WEBHOOK_URL": "https://"}, "PDX_ALERTS_WEBHOOK_URL is not such an address"),
        ({"PDX_ALERTS_WEBHOOK_URL": "https://[secret-token"}, "PDX_ALERTS_WEBHOOK_URL is not such an address"),
        ({"PDX_ALERTS_SNS_TOPIC": "pdx-alerts"}, "PDX_ALERTS_SNS_TOPIC is 'pdx-alerts'; expected the ARN of a topic"),
        ({"PDX_ALERTS_SNS_TOPIC": GOOD["PDX_ALERTS_SNS_TOPIC"] + ".fifo"}, "FIFO"),
    ],
)
def test_a_mistake_is_told_in_words(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], said: str) -> None:
    with pytest.raises(AlertError) as failure:
        settings(monkeypatch, **changes)
    text = str(failure.value)
    assert said in text
    assert "pdx alert-test" in text
    assert "hunter2" not in text and "secret-token" not in text


def test_all_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_ALERTS", "email,webhook,sns")
    with pytest.raises(AlertError) as failure:
        AlertSettings.from_environment()
    for name in ("SMTP_HOST", "EMAIL_FROM", "EMAIL_TO", "WEBHOOK_URL", "SNS_TOPIC"):
        assert f"- PDX_ALERTS_{name} is not set" in str(failure.value)


def test_what_a_channel_needs_is_not_asked_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_ALERTS", "log")
    monkeypatch.setenv("PDX_ALERTS_SMTP_PORT", "wrong")
    assert [c.name for c in AlertSettings.from_environment().channels] == ["log"]
