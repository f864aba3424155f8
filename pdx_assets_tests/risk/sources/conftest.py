"""One PostgreSQL server for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pdx_assets_tests.risk.sources.postgres import PASSWORD, Server, postgres, why_not


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    with postgres() as running:
        yield running


@pytest.fixture
def book(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server with an empty database, and its password in the environment."""
    monkeypatch.setenv("PDX_TEST_PG_PASSWORD", PASSWORD)
    server.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return server
