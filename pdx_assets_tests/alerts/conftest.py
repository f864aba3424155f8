"""An environment in which nothing about alerts is set, and no proxy stands before loopback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith(("PDX_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PDX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTING")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret")
    # No look at a machine's role, which would wait for an address that is not there.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
