"""The embedded AEnvironment behind real sockets, and the vendor's clients in processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from reconciler.providers.aenvironment.emulator import Options, create_app
from reconciler.providers.emulator import Store

HERE = Path(__file__).parent
API_PORT = 8080
"""Where the vendor's command line looks for an api-service, whatever it is told."""
OFFSET = os.getpid() % 200
"""Test processes side by side each have addresses of their own; this one begins here."""


class Apps:
    """What answers at an address, exchanged for each test: stopping a server takes longer than one."""

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@contextmanager
def listening(host: str, port: int) -> Iterator[tuple[str, Apps]]:
    """A uvicorn in a thread."""
    apps = Apps()
    # Named as TCP, or asyncio does not switch Nagle's algorithm off and every answer waits 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()  # from here on a client may connect; it waits until the server is up
        server = uvicorn.Server(uvicorn.Config(apps, lifespan="off", ws="none", log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://{host}:{listener.getsockname()[1]}", apps
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def hub_server() -> Iterator[tuple[str, Apps]]:
    """Where an EnvHub answers: any port."""
    with listening("127.0.0.1", 0) as found:
        yield found


@pytest.fixture(scope="session")
def api_server() -> Iterator[tuple[str, Apps]]:
    """Where an api-service answers: the port that the command line insists on, at an address of our own."""
    complaints = []
    with ExitStack() as running:
        for n in (*range(OFFSET, 200), *range(OFFSET)):
            try:
                found = running.enter_context(listening(f"127.0.41.{n + 1}", API_PORT))
            except OSError as error:
                complaints.append(f"127.0.41.{n + 1}: {error}")
            else:
                yield found
                return
    pytest.fail(
        f"The vendor's aenv talks to port {API_PORT} only, and that cannot be bound at any of "
        f"{len(complaints)} loopback addresses ({complaints[0]}). Free it: see who listens with "
        f"`ss -ltnp 'sport = :{API_PORT}'`."
    )


class Clients:
    """The process with the vendor's Python clients."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, url: str, client: str, method: str, **arguments: Any) -> Any:
        """What a method of a client answers. Raises `VendorError` with what it raised."""
        request = {"url": url, "client": client, "method": method, "arguments": arguments}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process of the vendor's clients has ended; its complaint is above"
        told = json.loads(line)
        if "error" in told:
            raise VendorError(told["error"], told["text"])
        return told["answer"]


class VendorError(Exception):
    """The client raised: name of the class, and text."""


def environment(home: Path) -> dict[str, str]:
    """Variables for a process of the vendor: a home of its own, no proxy, nothing of the developer's."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "TMPDIR")}
    return {**kept, "HOME": str(home), "NO_PROXY": "*", "COLUMNS": "1000", "PYTHONIOENCODING": "utf-8"}


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Started once: it takes a second."""
    home = tmp_path_factory.mktemp("vendor")
    command = [sys.executable, str(HERE / "vendor.py")]
    with subprocess.Popen(
        command, env=environment(home), cwd=home, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield Clients(process)
        assert process.stdin is not None
        process.stdin.close()


@dataclass(frozen=True)
class Served:
    """A platform, and the vendor's clients at it."""

    hub_url: str
    api_url: str
    store: Store
    home: Path
    clients: Clients

    def hub(self, method: str, **arguments: Any) -> Any:
        """A call of the vendor's EnvHub client."""
        return self.clients.ask(self.hub_url, "hub", method, **arguments)

    def scheduler(self, method: str, **arguments: Any) -> Any:
        """A call of the vendor's api-service client; models come back as JSON."""
        return self.clients.ask(self.api_url, "scheduler", method, **arguments)

    def load(self, model: str, answer: Any) -> Any:
        """*answer* through a model of the SDK."""
        return self.clients.ask("", "model", model, **answer)

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The vendor's command line, its output in pipes."""
        command = [str(Path(sys.executable).with_name("aenv")), *arguments]
        return subprocess.run(
            command,
            cwd=cwd or self.home,
            env={**environment(self.home), "AENV_SYSTEM_URL": self.api_url.rpartition(":")[0]},
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )

    def aenv(self, *arguments: str, cwd: Path | None = None) -> str:
        """Standard output of the command line, which has to succeed."""
        done = self.run(*arguments, cwd=cwd)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def serve(
    hub_server: tuple[str, Apps], api_server: tuple[str, Apps], clients: Clients, tmp_path: Path
) -> Iterator[Callable[..., Served]]:
    """Serves a new platform, on the real clock, each of its two servers at an address of its own."""
    stores = []

    def start(options: Options | None = None, storage: str = "local") -> Served:
        store = Store(None)
        stores.append(store)
        for (_, apps), part in ((hub_server, "hub"), (api_server, "api-service")):
            apps.app = create_app(
                store,
                clock=lambda: datetime.now(UTC),
                new_id=lambda: str(uuid.uuid4()),
                options=options or Options(),
                part=part,
            )
        settings = {
            "hub_config": {"hub_backend": hub_server[0], "api_key": "", "timeout": 30},
            "storage_config": {"type": storage, "custom": {"prefix": str(tmp_path / "pushed")}},
        }
        home = tmp_path / "home"
        (home / ".aenv").mkdir(parents=True)
        (home / ".aenv" / "cli_config.json").write_text(json.dumps(settings))
        return Served(hub_server[0], api_server[0], store, home, clients)

    yield start
    for store in stores:
        store.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()
