"""The small portfolio under real servers: a module they can import, a free port, and questions over GraphQL."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

LOCATION = """
import dagster as dg
from pdx_assets.definitions import build_definitions
from pdx_assets_tests.small_portfolio import small_spec

defs = dg.Definitions.merge(
    build_definitions(small_spec(algorithms=["logistic_regression"])), dg.Definitions(executor=dg.in_process_executor)
)
"""
MODULE = "small_location"


def put_location(folder: Path, patch: pytest.MonkeyPatch, text: str = LOCATION) -> str:
    """Write the module where the servers find it; its name."""
    (folder / f"{MODULE}.py").write_text(text, encoding="utf-8")
    patch.setenv("PYTHONPATH", f"{folder}:{Path(__file__).parents[2]}")
    return MODULE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, query: str, **variables: Any) -> Any:
    """The data of a GraphQL answer."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        said = json.loads(answer.read())
    assert "errors" not in said, said["errors"]
    return said["data"]


def wait_for_location(port: int, *, seconds: float = 120) -> None:
    """Wait until the webserver answers and has loaded the portfolio."""
    query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if ask(port, query)["repositoriesOrError"].get("nodes"):
                return
        except OSError:
            pass
        time.sleep(1)
    raise AssertionError("the portfolio was not loaded in time")
