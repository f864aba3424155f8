"""``pdx alert-test`` as a process: its exit code and what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pdx_assets_tests.alerts.servers import free_port, http_listener, smtp_server, sns_topic

PDX = [sys.executable, "-m", "pdx_assets.cli"]


def alert_test(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PDX, "alert-test"],
        env={
            **os.environ,
            "COLUMNS": "200",
            "TERM": "dumb",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_channel_is_tried_and_reported(tmp_path: Path) -> None:
    with smtp_server() as mails, http_listener() as hooks, sns_topic() as topic:
        environment = {
            "PDX_ALERTS": "log,email,webhook,sns",
            "PDX_ALERTS_SMTP_HOST": "127.0.0.1",
            "PDX_ALERTS_SMTP_PORT": str(mails.port),
            "PDX_ALERTS_SMTP_SECURITY": "none",
            "PDX_ALERTS_EMAIL_FROM": "PDx <pdx@lender.example>",
            "PDX_ALERTS_EMAIL_TO": "risk@lender.example",
            "PDX_ALERTS_WEBHOOK_URL": hooks.url(),
            "PDX_ALERTS_SNS_TOPIC": topic.arn,
            "AWS_ENDPOINT_URL_SNS": topic.endpoint,
        }
        good = alert_test(**environment)
        assert good.returncode == 0, good.stdout + good.stderr
        assert [line.split()[0] for line in good.stdout.splitlines()] == ["log", "email", "webhook", "sns"]
        for words in ("alerts.log: written", "accepted", "answered 200 OK", f"{topic.arn}: message "):
            assert words in good.stdout
        subject = "[PDx] Test of this alert channel"
        assert [mail["Subject"] for _, mail in mails.taken] == [subject]
        assert [body["blocks"][0]["text"]["text"] for _, _, body in hooks.posts] == [subject]
        assert [m["Subject"] for m in topic.delivered()] == [subject]

        # Tried again, however often: a test is not an event.
        nowhere = f"http://127.0.0.1:{free_port()}/services/secret-token"
        bad = alert_test(**(environment | {"PDX_ALERTS_WEBHOOK_URL": nowhere}))
        assert bad.returncode == 1
        assert "webhook  127.0.0.1: FAILED: 127.0.0.1 cannot be reached: ConnectionRefusedError" in bad.stdout
        assert len(mails.taken) == 2, "the others are tried all the same"
        assert "secret-token" not in good.stdout + good.stderr + bad.stdout + bad.stderr


def test_a_mistake_is_told_in_words() -> None:
    for environment, words in (
        ({}, ("PDX_ALERTS is not set, so nobody is alerted", "docs/runbook.md")),
        ({"PDX_ALERTS": "email"}, ("PDX_ALERTS_SMTP_HOST is not set", "PDX_ALERTS_EMAIL_TO is not set")),
    ):
        ended = alert_test(**environment)
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr
        for word in words:
            assert word in ended.stderr
