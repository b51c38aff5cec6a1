"""Embedded platforms behind a real socket, for the vendors' own clients."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import uvicorn

from reconciler.providers.emulator import Fault, Faults, Store
from reconciler.providers.runai import emulator as runai_emulator


class Front:
    """One server for all tests: each platform has a path of its own, where it is mounted."""

    def __init__(self) -> None:
        self.url = ""
        self.apps: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        mount = scope["path"].split("/")[1]
        await self.apps[mount]({**scope, "root_path": f"/{mount}"}, receive, send)

    def mount(self, app: Any) -> str:
        """The address under which *app* answers from now on."""
        name = f"platform{len(self.apps)}"
        self.apps[name] = app
        return f"{self.url}/{name}"


@pytest.fixture(scope="session")
def front() -> Iterator[Front]:
    """A uvicorn in a thread, for the whole session: stopping one takes it longer than a test."""
    front = Front()
    # Named as TCP, or asyncio does not switch Nagle's algorithm off and every answer waits 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # from here on a client may connect; it waits until the server is up
        front.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(front, lifespan="off", ws="none", log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield front
        server.should_exit = True
        thread.join()


@dataclass(frozen=True)
class Served:
    """A platform that answers at ``url``."""

    url: str
    store: Store
    faults: Faults


@pytest.fixture
def serve_runai(front: Front) -> Iterator[Callable[..., Served]]:
    """Serves a new Run:ai, on the real clock, with these faults and options."""
    with ExitStack() as running:

        def serve(faults: Sequence[Fault] = (), options: runai_emulator.Options | None = None) -> Served:
            store = running.enter_context(Store(None))
            app = runai_emulator.build_app(
                store,
                clock=lambda: datetime.now(UTC),
                new_id=lambda: str(uuid.uuid4()),
                options=options or runai_emulator.Options(),
            )
            rules = Faults(faults)
            faulty = rules.around(app, refuse=runai_emulator.refuse, cut_connections=True)
            return Served(front.mount(faulty), store, rules)

        yield serve
