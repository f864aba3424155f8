"""Real servers on loopback: SMTP, HTTP, and moto's SNS and SQS."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from pdx_assets_tests.moto_endpoint import moto_endpoint


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Mails:
    """What an SMTP server took."""

    port: int
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    over_tls: list[bool] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if address in self.refused:
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.taken.append((list(envelope.rcpt_tos), mail))
        self.over_tls.append(session.ssl is not None)
        return "250 taken"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"hunter2", handled=False)


@contextmanager
def smtp_server(certificate: Path | None = None, *, login: bool = False) -> Iterator[Mails]:
    """An SMTP server; with a certificate it offers STARTTLS, and refuses to go on without."""
    mails = Mails(free_port())
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    controller = Controller(
        mails,
        hostname="127.0.0.1",
        port=mails.port,
        tls_context=context,
        require_starttls=context is not None,
        authenticator=mails.authenticate,
        auth_required=login,
        auth_require_tls=context is not None,
    )
    controller.start()
    try:
        yield mails
    finally:
        controller.stop()


def self_signed(folder: Path) -> Path:
    """A certificate of 127.0.0.1, with its key, in one file."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path


@dataclass
class Hooks:
    """What an HTTP listener was sent, and what it answers."""

    port: int = 0
    status: int = 200
    posts: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    gets: int = 0

    def url(self, path: str = "/services/T0/B0/secret-token") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def http_listener() -> Iterator[Hooks]:
    """A listener for webhooks."""
    hooks = Hooks()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hooks.posts.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(hooks.status)
            if hooks.status // 100 == 3:
                self.send_header("Location", hooks.url("/login"))
            self.end_headers()

        def do_GET(self) -> None:
            hooks.gets += 1
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hooks.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hooks
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class Topic:
    """An SNS topic, and the queue that is subscribed to it."""

    arn: str
    queue: str
    endpoint: str

    def delivered(self) -> list[dict[str, Any]]:
        """Notifications that reached the queue, taken out of it."""
        import boto3

        client = boto3.client("sqs", region_name="eu-west-1", endpoint_url=self.endpoint)
        found: list[dict[str, Any]] = []
        while True:
            messages = client.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return found
            for message in messages:
                found.append(json.loads(message["Body"]))
                client.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


@contextmanager
def sns_topic(name: str = "pdx-alerts") -> Iterator[Topic]:
    """moto's server with a topic and a queue; the environment must hold (any) AWS credentials."""
    import boto3

    with moto_endpoint() as endpoint:
        sns, sqs = (boto3.client(s, region_name="eu-west-1", endpoint_url=endpoint) for s in ("sns", "sqs"))
        arn = sns.create_topic(Name=name)["TopicArn"]
        queue = sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=attributes["QueueArn"])
        yield Topic(arn, queue, endpoint)
