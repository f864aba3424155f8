"""Real servers on loopback that tapes are read from: moto's S3, and a JSON API."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pdx_assets_tests.moto_endpoint import moto_endpoint


@dataclass
class Bucket:
    """A bucket of moto's server, and what the server was asked for."""

    name: str
    endpoint: str
    client: Any
    asked: list[tuple[str, str]] = field(default_factory=list)

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)


@contextmanager
def s3(monkeypatch: pytest.MonkeyPatch, name: str = "loans") -> Iterator[Bucket]:
    """moto's server with one bucket; the environment leads to it, every request is noted."""
    import boto3

    for key, value in {
        "AWS_ACCESS_KEY_ID": "AKIATESTONLY",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t-for-tests",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(key, value)
    with moto_endpoint() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        client = boto3.client("s3", region_name="eu-west-1", endpoint_url=endpoint)
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield Bucket(name, endpoint, client)


@dataclass
class Answer:
    """What an API answers one request with."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


@dataclass
class Api:
    """A server's address and what it was asked: path, parameters, headers."""

    url: str = ""
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]


@contextmanager
def api(answer: Callable[[str, dict[str, str], dict[str, str]], Answer]) -> Iterator[Api]:
    """A server that answers GET by a function of path, parameters and headers."""
    found = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            parameters = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.asked.append((parts.path, parameters, headers))
            said = answer(parts.path, parameters, headers)
            body = json.dumps(said.body).encode() if said.raw is None else said.raw
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
