"""``pdx ui``: Dagster's webserver and daemon, MLflow's page and the reports, on one PDx home, bound to loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pdx_assets.orchestration.home import prepare_home
from pdx_assets.orchestration.resources import make_tracking_database
from pdx_assets.risk.errors import HomeError
from pdx_assets.settings import Settings


def serve(settings: Settings, *, host: str, port: int, mlflow_port: int, reports_port: int) -> None:
    """Run the servers until interrupted; all of them stop together.

    Raises:
        HomeError: a port is taken, or a server stopped by itself.
    """
    servers = started(settings, host=host, port=port, mlflow_port=mlflow_port, reports_port=reports_port)
    with contextlib.suppress(KeyboardInterrupt), servers as up:
        told = False
        while True:
            up.check()
            if not up.awaited and not told:
                _tell("Stop with Ctrl-C.")
                told = True
            time.sleep(0.5)


@contextlib.contextmanager
def started(
    settings: Settings,
    *,
    host: str,
    port: int,
    mlflow_port: int = 0,
    reports_port: int = 0,
    module: str = "pdx_assets.definitions",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Servers]:
    """The servers, stopped together at the end; SIGINT and SIGTERM raise KeyboardInterrupt meanwhile.

    Args:
        module: where the definitions are.
        environment: variables for the servers, beside those of this process.

    Raises:
        HomeError: a port is taken.
    """
    if settings.mlflow_uri.startswith(("http://", "https://")):
        mlflow_port = 0  # a server has a page of its own, and MLflow's page cannot be put before it
    for wanted in (port, mlflow_port, reports_port):
        if wanted:
            _require_free(host, wanted)
    prepare_home(settings)
    variables = {**os.environ, "PDX_HOME": str(settings.home), "DAGSTER_HOME": str(settings.dagster_home)}
    variables.setdefault("PDX_DAGSTER_UI", f"http://{host}:{port}")
    variables |= environment or {}
    if mlflow_port:
        variables.setdefault("PDX_MLFLOW_UI", f"http://{host}:{mlflow_port}")
        # Its usage reports go out to the network, and its job runner is a process of 260 MB for other uses of MLflow.
        # Its page would make the tables as well, and a kill among its migrations would leave half of them.
        make_tracking_database(settings.mlflow_uri, str(settings.home / "mlflow-artifacts"))
        variables |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    if reports_port:
        variables.setdefault("PDX_REPORTS_UI", f"http://{host}:{reports_port}")
    target = ["-w", str(_workspace(settings.dagster_home, module))]
    commands = {
        "dagster-webserver": [_script("dagster-webserver"), "-h", host, "-p", str(port), *target],
        "dagster-daemon": [_script("dagster-daemon"), "run", *target],
    }
    if mlflow_port:
        commands["mlflow"] = [
            *(_script("mlflow"), "server", "--host", host, "--port", str(mlflow_port), "--workers", "1"),
            *("--backend-store-uri", settings.mlflow_uri),
            *("--default-artifact-root", str(settings.home / "mlflow-artifacts")),
        ]
    if reports_port:
        settings.reports.mkdir(parents=True, exist_ok=True)
        commands["reports"] = [
            *(sys.executable, "-m", "http.server", str(reports_port)),
            *("--bind", host, "--directory", str(settings.reports)),
        ]
    wanted_ports = {"Dagster": port, "MLflow": mlflow_port, "reports": reports_port}
    ports = {name: number for name, number in wanted_ports.items() if number}
    _tell(f"Starting on {settings.home} ...")
    # A process started in the background by a script ignores SIGINT, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    servers = Servers(settings.home / "logs", host, ports)
    try:
        servers.start(commands, variables)
        yield servers
    finally:
        servers.stop()


def _workspace(folder: Path, module: str) -> Path:
    """What the servers load: the location is called pdx, as `dagster dev` and the Docker image call it."""
    path = folder / "workspace.yaml"
    text = f"load_from:\n  - python_module:\n      module_name: {module}\n      location_name: pdx\n"
    path.write_text(text, encoding="utf-8")
    return path


class Servers:
    """Server processes and the ports not heard from yet (``awaited``)."""

    def __init__(self, logs: Path, host: str, ports: Mapping[str, int]) -> None:
        self.logs, self.host, self.awaited = logs, host, dict(ports)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, commands: Mapping[str, list[str]], environment: Mapping[str, str]) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        for name, command in commands.items():
            with (self.logs / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603

    def check(self) -> None:
        """Tell of servers that listen by now.

        Raises:
            HomeError: one stopped by itself.
        """
        for name, server in self._processes.items():
            if server.poll() is not None:
                raise HomeError(
                    f"{name} stopped with exit code {server.returncode}.", remedy=f"read {self.logs / name}.log"
                )
        for name in [n for n, port in self.awaited.items() if _listens(self.host, port)]:
            host = f"[{self.host}]" if ":" in self.host else self.host
            _tell(f"{name:<8} http://{host}:{self.awaited.pop(name)}")

    def pid(self, name: str) -> int:
        """The process of a server."""
        return self._processes[name].pid

    def stop(self) -> None:
        for server in self._processes.values():
            if server.poll() is None:
                server.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 20
        for server in self._processes.values():
            try:
                server.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _listens(host: str, port: int) -> bool:
    # Not an HTTP request: a proxy from the environment would answer it.
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _interrupt(_signum: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _script(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise HomeError(
                f"Port {port} on {host} cannot be used: {error.strerror}.",
                remedy="choose another with --port / --mlflow-port, or stop what holds it",
            ) from error
