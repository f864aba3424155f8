"""moto's real HTTP server on loopback: S3, SNS and SQS as far as PDx uses them."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def moto_endpoint() -> Iterator[str]:
    """A server with nothing in it; its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        # moto keeps what it holds in the process: a queue of an earlier test handed a later one its messages.
        urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"", timeout=30).close()
        yield endpoint
    finally:
        server.stop()
