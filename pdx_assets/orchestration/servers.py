"""``pdx ui``: Dagster's webserver and daemon, and MLflow's page, on one PDx home, bound to loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from pdx_assets.orchestration.home import prepare_home
from pdx_assets.risk.errors import HomeError
from pdx_assets.settings import Settings


def serve(settings: Settings, *, host: str, port: int, mlflow_port: int) -> None:
    """Run the servers until interrupted; all of them stop together.

    Raises:
        HomeError: a port is taken, or a server stopped by itself.
    """
    if settings.mlflow_uri.startswith(("http://", "https://")):
        mlflow_port = 0  # a server has a page of its own, and MLflow's page cannot be put before it
    for wanted in (port, mlflow_port):
        if wanted:
            _require_free(host, wanted)
    prepare_home(settings)
    environment = {**os.environ, "PDX_HOME": str(settings.home), "DAGSTER_HOME": str(settings.dagster_home)}
    environment.setdefault("PDX_DAGSTER_UI", f"http://{host}:{port}")
    if mlflow_port:
        environment.setdefault("PDX_MLFLOW_UI", f"http://{host}:{mlflow_port}")
        # Its usage reports go out to the network, and its job runner is a process of 260 MB for other uses of MLflow.
        environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    target = ["-w", str(_workspace(settings.dagster_home))]
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
    ports = {"Dagster": port} | ({"MLflow": mlflow_port} if mlflow_port else {})
    _tell(f"Starting on {settings.home} ...")
    _supervise(commands, environment, settings.home / "logs", host=host, ports=ports)


def _workspace(folder: Path) -> Path:
    """What the servers load: the location is called pdx, as `dagster dev` and the Docker image call it."""
    path = folder / "workspace.yaml"
    text = "load_from:\n  - python_module:\n      module_name: pdx_assets.definitions\n      location_name: pdx\n"
    path.write_text(text, encoding="utf-8")
    return path


def _supervise(
    commands: dict[str, list[str]], environment: dict[str, str], logs: Path, *, host: str, ports: dict[str, int]
) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    # A process started in the background by a script ignores SIGINT, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    with contextlib.ExitStack() as stack:
        servers: dict[str, subprocess.Popen[bytes]] = {}
        awaited = dict(ports)
        try:
            for name, command in commands.items():
                log = stack.enter_context((logs / f"{name}.log").open("ab"))
                servers[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603
            while True:
                for name, server in servers.items():
                    if server.poll() is not None:
                        raise HomeError(
                            f"{name} stopped with exit code {server.returncode}.", remedy=f"read {logs / name}.log"
                        )
                for name in [n for n, port in awaited.items() if _listens(host, port)]:
                    _tell(f"{name:<8} http://{f'[{host}]' if ':' in host else host}:{awaited.pop(name)}")
                    if not awaited:
                        _tell("Stop with Ctrl-C.")
                time.sleep(0.5)
        except KeyboardInterrupt:
            return
        finally:
            _stop(servers)


def _listens(host: str, port: int) -> bool:
    # Not an HTTP request: a proxy from the environment would answer it.
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _stop(servers: dict[str, subprocess.Popen[bytes]]) -> None:
    for server in servers.values():
        if server.poll() is None:
            server.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 20
    for server in servers.values():
        try:
            server.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


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
