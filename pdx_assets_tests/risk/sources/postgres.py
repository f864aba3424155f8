"""A PostgreSQL server of a test's own: a cluster in a temporary folder, on loopback, stopped by its process id."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdx_assets_tests.alerts.servers import free_port

PASSWORD = "p@ss:w/rd %41"  # every sign that means something in an address


def binaries() -> Path | None:
    """The folder with initdb and postgres; None where no server is installed."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found and shutil.which("postgres") else None


def why_not() -> str | None:
    """Why no server can be started here."""
    if binaries() is None:
        return "no PostgreSQL server binaries (initdb, postgres) on this machine"
    if os.geteuid() == 0 and _ordinary_user() is None:
        return "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as"
    return None


def _ordinary_user() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


@dataclass
class Server:
    port: int

    def url(
        self, user: str = "owner", password: str | None = "${PDX_TEST_PG_PASSWORD}", database: str = "loans"
    ) -> str:
        login = user if password is None else f"{user}:{password}"
        return f"postgresql+psycopg2://{login}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, rows: Any = None) -> None:
        """As the owner, each statement; the last one for every row given."""
        import psycopg2

        with (
            psycopg2.connect(host="127.0.0.1", port=self.port, user="owner", password=PASSWORD, dbname="loans") as link,
            link.cursor() as cursor,
        ):
            for statement in statements[:-1] if rows else statements:
                cursor.execute(statement)
            if rows:
                cursor.executemany(statements[-1], rows)
        link.close()


@contextmanager
def postgres() -> Iterator[Server]:
    """A running server with a database ``loans``, owned by ``owner``, who needs the password."""
    bin_folder = binaries()
    assert bin_folder is not None
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = _ordinary_user()
        assert user is not None
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # A socket's path must be short; pytest's folders are only root's to enter.
    folder = Path(tempfile.mkdtemp(prefix="pdxpg-", dir="/tmp"))
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD + "\n")
        if as_user:
            for path in (folder, secret):
                os.chown(path, as_user["user"], as_user["group"])
        options: dict[str, Any] = {**as_user, "cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}}
        subprocess.run(
            [bin_folder / "initdb", "-D", folder / "data", "-U", "owner", "--auth=scram-sha-256", "-E", "UTF8",
             "--no-sync", f"--pwfile={secret}"],
            check=True, capture_output=True, timeout=120, **options,
        )  # fmt: skip
        server = Server(free_port())
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [bin_folder / "postgres", "-D", folder / "data", "-p", str(server.port), "-k", folder,
                 "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB"],
                stdout=log, stderr=log, **options,
            )  # fmt: skip
        try:
            _wait(server, process, folder / "log")
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg2

    deadline = time.monotonic() + 300
    while True:
        try:
            link = psycopg2.connect(
                host="127.0.0.1", port=server.port, user="owner", password=PASSWORD, dbname="postgres"
            )
            break
        except psycopg2.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.2)
    link.autocommit = True
    link.cursor().execute("CREATE DATABASE loans")
    link.close()
