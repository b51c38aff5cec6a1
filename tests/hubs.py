"""The embedded AEnvironment to test with: asked over HTTP inside the process, its clock standing still."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from reconciler.core.ports import PlatformContext
from reconciler.engine.secrets import Secrets
from reconciler.providers.aenvironment.emulator import Options, Part, create_app, refuse
from reconciler.providers.aenvironment.plugin import PLUGIN
from reconciler.providers.aenvironment.provider import AenvironmentProvider
from reconciler.providers.aenvironment.settings_model import read_settings
from reconciler.providers.emulator import Fault, Faults, Store

START = datetime(2026, 3, 16, 5, 13, 6, 123456, tzinfo=UTC)
BORN = ["browser-0.4.2", "notes-2.0.1", "terminal-1.0.0", "terminal-1.1.0"]
"""Keys of the environments that every platform starts with."""


class Platform:
    """Both servers behind one address, or one of them."""

    def __init__(
        self,
        store: Store,
        *,
        options: Options | None = None,
        faults: Sequence[Fault] = (),
        part: Part = "both",
    ) -> None:
        self.store = store
        self.now = START
        self.ids = 0
        app = create_app(store, clock=self.clock, new_id=self.new_id, options=options or Options(), part=part)
        self.app = Faults(faults).around(app, refuse=refuse)

    def clock(self) -> datetime:
        return self.now

    def new_id(self) -> str:
        self.ids += 1
        return f"00000000-0000-4000-8000-{self.ids:012d}"

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request; redirects are not followed."""

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://aenv.example.com") as client:
                return await client.request(method, path, **more)

        return asyncio.run(run())

    def ask(self, method: str, path: str, json: Any = None, **more: Any) -> tuple[int, Any]:
        """Status and decoded body."""
        response = self.send(method, path, **({} if json is None else {"json": json}), **more)
        return response.status_code, response.json() if response.content else None

    def data(self, method: str, path: str, json: Any = None, **more: Any) -> Any:
        """What is in the envelope of success."""
        status, body = self.ask(method, path, json, **more)
        assert (status, {**body, "data": ...}) == (
            200,
            {"success": True, "code": 0, "message": "", "data": ...},
        ), body
        return body["data"]

    def add(self, name: str = "demo-env", version: str = "1.2.3", **fields: Any) -> None:
        """An environment with an image."""
        image = {"id": "", "type": "image", "content": f"registry.example.com/{name}:{version}"}
        sent = {"name": name, "version": version, "status": "Ready", "artifacts": [image], **fields}
        assert self.data("POST", "/env/", sent) is True

    def read(self, name: str = "demo-env", version: str = "1.2.3") -> dict[str, Any]:
        return dict(self.data("GET", f"/env/{name}/{version}"))

    def keys(self) -> list[str]:
        """Keys of the environments in the list, without those it was born with."""
        return [found["id"] for found in self.data("GET", "/env/") if found["id"] not in BORN]


def error(status: int, message: str) -> tuple[int, dict[str, Any]]:
    """What `Platform.ask` answers when the platform refuses."""
    return status, {"success": False, "code": status, "message": message, "data": None}


# --- our own provider ---


def context(directory: Path, environment: Mapping[str, str] | None = None, **more: Any) -> PlatformContext:
    """What a plugin is given to open a platform."""
    wanted: dict[str, Any] = {
        "platform": "aenv",
        "directory": directory,
        "stack": directory,
        "secrets": Secrets(directory, environment or {}),
        "clock": START.timestamp,
        "new_id": lambda: str(uuid.uuid4()),
        "random": lambda: 0.0,
        "parallelism": 10,
        "user_agent": "reconciler/test",
        **more,
    }
    return PlatformContext(**wanted)


def opened(where: PlatformContext, **table: Any) -> AenvironmentProvider:
    """The provider for ``[platforms.aenv]`` with *table*; embedded when nothing else is said."""
    found, problems = read_settings({"endpoint": "embedded", **table})
    assert problems == ()
    provider = PLUGIN.open(found, where)
    assert isinstance(provider, AenvironmentProvider)
    return provider
