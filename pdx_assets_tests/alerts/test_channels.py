"""Each channel against a real server, and against one that is not there, hangs, or says no."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from pdx_assets.alerts.channels.log import LogChannel
from pdx_assets.alerts.channels.smtp import EmailChannel
from pdx_assets.alerts.channels.sns import SnsChannel
from pdx_assets.alerts.channels.webhook import WebhookChannel, slack_json
from pdx_assets.alerts.message import message_of
from pdx_assets.risk.errors import AlertError
from pdx_assets_tests.alerts.samples import CHECK, check_alert
from pdx_assets_tests.alerts.servers import free_port, http_listener, self_signed, smtp_server, sns_topic

UI = "http://127.0.0.1:3000"
MESSAGE = message_of([CHECK], ui=UI)
SUBJECT = "[PDx] demo 2024-05: psi failed on drift"


def email(port: int, **changes: object) -> EmailChannel:
    settings = {"security": "none", "sender": "pdx@lender.example", "recipients": ("risk@lender.example",), **changes}
    return EmailChannel("127.0.0.1", port, **settings)  # type: ignore[arg-type]


# --- email ------------------------------------------------------------------------------------------


def test_a_mail_arrives_at_every_recipient() -> None:
    with smtp_server() as server:
        said = email(server.port, recipients=("risk@lender.example", "ops@lender.example")).send(MESSAGE)
    assert said == "accepted"
    [(recipients, mail)] = server.taken
    assert recipients == ["risk@lender.example", "ops@lender.example"]
    assert mail["Subject"] == SUBJECT
    assert mail["X-PDx-Severity"] == "error"
    assert mail["Message-ID"] == f"<{MESSAGE.id}@pdx>"
    text = mail.get_content()
    for part in ("PSI of the score is 0.31", "docs/runbook.md", "asset drift", "2025-06-15 15:06 UTC", CHECK.link):
        assert str(part) in text


def test_a_mail_goes_by_starttls_with_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with smtp_server(certificate, login=True) as server:
        email(server.port, security="starttls", user="pdx", password="hunter2").send(MESSAGE)
    assert server.logins == [("pdx", "hunter2")]
    assert server.over_tls == [True]


def test_a_server_nobody_vouches_for_gets_neither_mail_nor_password(tmp_path: Path) -> None:
    with (
        smtp_server(self_signed(tmp_path), login=True) as server,
        pytest.raises(AlertError, match="cannot be reached: SSLCertVerificationError"),
    ):
        email(server.port, security="starttls", user="pdx", password="hunter2").send(MESSAGE)
    assert (server.logins, server.taken) == ([], [])


def test_a_wrong_password_is_told_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with smtp_server(certificate, login=True) as server, pytest.raises(AlertError, match="answered 535") as failure:
        email(server.port, security="starttls", user="pdx", password="wrong-one").send(MESSAGE)
    assert "wrong-one" not in str(failure.value)
    assert server.taken == []


def test_a_server_without_starttls_gets_no_mail() -> None:
    with smtp_server() as server, pytest.raises(AlertError, match="STARTTLS"):
        email(server.port, security="starttls").send(MESSAGE)
    assert server.taken == []


def test_one_refused_recipient_does_not_keep_the_mail_from_the_others() -> None:
    with smtp_server() as server:
        server.refused = {"left@lender.example"}
        said = email(server.port, recipients=("left@lender.example", "risk@lender.example")).send(MESSAGE)
        assert said == "accepted, but not for left@lender.example (550 5.1.1 nobody of that name)"
        assert server.taken[0][0] == ["risk@lender.example"]
        with pytest.raises(AlertError, match="refused every recipient"):
            email(server.port, recipients=("left@lender.example",)).send(MESSAGE)


# --- webhook ----------------------------------------------------------------------------------------


def test_a_webhook_gets_slack_shaped_json() -> None:
    with http_listener() as hooks:
        assert WebhookChannel(hooks.url()).send(MESSAGE) == "answered 200 OK"
    [(path, kind, body)] = hooks.posts
    assert (path, kind) == ("/services/T0/B0/secret-token", "application/json")
    assert body["text"].startswith(f":red_circle: {SUBJECT}\nPSI of the score is 0.31")
    assert body["text"].endswith(f"<{CHECK.link}|Open in Dagster>")
    assert [b["type"] for b in body["blocks"]] == ["header", "section", "section", "section"]
    assert body["blocks"][0]["text"] == {"type": "plain_text", "text": SUBJECT}


def test_a_loan_file_cannot_call_a_slack_channel() -> None:
    body = slack_json(message_of([check_alert(1, text="line 7: <!channel> & <http://evil|click>")], ui=UI))
    for text in (body["text"], body["blocks"][1]["text"]["text"]):
        assert "&lt;!channel&gt; &amp; &lt;http://evil|click&gt;" in text


def test_long_texts_fit_into_slacks_limits() -> None:
    body = slack_json(message_of([check_alert(1, text="&" * 50_000, title="t" * 400)], ui=UI))
    assert len(body["blocks"][0]["text"]["text"]) <= 150
    assert all(len(b["text"]["text"]) <= 3000 for b in body["blocks"])


@pytest.mark.parametrize("status", [302, 403, 404, 500])
def test_a_webhook_that_says_no_is_a_failure_without_its_address(status: int) -> None:
    """A redirected POST becomes a GET, which a login page answers with 200."""
    with http_listener() as hooks:
        hooks.status = status
        with pytest.raises(AlertError, match=f"127.0.0.1 answered {status}") as failure:
            WebhookChannel(hooks.url()).send(MESSAGE)
    assert hooks.gets == 0
    assert "secret-token" not in f"{failure.value!r} {failure.value.__context__!s}"


# --- SNS --------------------------------------------------------------------------------------------


def test_a_topic_hands_it_to_its_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    with sns_topic() as topic:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", topic.endpoint)
        assert SnsChannel(topic.arn).send(MESSAGE).startswith("message ")
        wordy = message_of([check_alert(1, title="dérive 📈 " * 40)], ui=UI)
        SnsChannel(topic.arn).send(wordy)
        first, second = topic.delivered()
        assert first["TopicArn"] == topic.arn
        assert first["Subject"] == SUBJECT
        assert "PSI of the score is 0.31" in first["Message"] and str(CHECK.link) in first["Message"]
        assert {n: a["Value"] for n, a in first["MessageAttributes"].items()} == {
            "kind": "failed_check",
            "severity": "error",
            "portfolio": "demo",
            "month": "2024-05",
        }
        assert len(second["Subject"]) < 100 and second["Subject"].isascii()
        with pytest.raises(AlertError, match="NotFound"):
            SnsChannel("arn:aws:sns:eu-west-1:123456789012:other").send(MESSAGE)


def test_a_topic_without_credentials_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(AlertError, match="Unable to locate credentials"):
        SnsChannel("arn:aws:sns:eu-west-1:123456789012:pdx").send(MESSAGE)


# --- log --------------------------------------------------------------------------------------------


def test_the_log_has_one_line_a_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    channel = LogChannel(tmp_path / "logs" / "alerts.log")
    with caplog.at_level("INFO"):
        for _ in range(2):
            channel.send(MESSAGE)
    lines = channel.path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert f"ERROR   {SUBJECT} | PSI of the score is 0.31" in lines[0]
    assert [r.levelname for r in caplog.records] == ["ERROR", "ERROR"]


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file", encoding="utf-8")
    with pytest.raises(AlertError, match="cannot be written"):
        LogChannel(tmp_path / "logs" / "alerts.log").send(MESSAGE)


# --- nobody there -----------------------------------------------------------------------------------


def test_a_closed_port_is_a_failure_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{port}")
    for channel, words in (
        (email(port), "ConnectionRefusedError"),
        (WebhookChannel(f"http://127.0.0.1:{port}/secret-token"), "ConnectionRefusedError"),
        (SnsChannel("arn:aws:sns:eu-west-1:123456789012:pdx"), "Could not connect"),
    ):
        with pytest.raises(AlertError, match=words) as failure:
            channel.send(MESSAGE)
        assert "secret-token" not in str(failure.value)


def test_a_server_that_never_answers_does_not_hold_us_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        port = silent.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{port}")
        for channel in (
            email(port, timeout=0.5),
            WebhookChannel(f"http://127.0.0.1:{port}/secret-token", timeout=0.5),
            SnsChannel("arn:aws:sns:eu-west-1:123456789012:pdx", timeout=0.5),
        ):
            start = time.monotonic()
            with pytest.raises(AlertError):
                channel.send(MESSAGE)
            assert time.monotonic() - start < 5
