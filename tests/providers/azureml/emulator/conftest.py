"""The embedded Azure ML, asked over HTTP inside the process, on a clock that moves when it is moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.providers.azureml.emulator import Options, Workspace, build_app, refuse
from reconciler.providers.emulator import Fault, Faults, Store

START = datetime(2026, 3, 1, 8, 0, 0, 123, tzinfo=UTC)
WORKSPACE = Workspace()
GROUP = f"/subscriptions/{WORKSPACE.subscription}/resourceGroups/{WORKSPACE.resource_group}"
WS = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE.name}"
VERSION = "2025-12-01"
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "embedded",
    "client_secret": "embedded",
    "scope": "https://management.azure.com/.default",
}


class Platform:
    """A client that is signed in."""

    def __init__(self, store: Store, *, options: Options | None = None, faults: Sequence[Fault] = ()) -> None:
        self.store = store
        self.now = START
        self.ids = 0
        app = build_app(store, clock=self.clock, new_id=self.new_id, options=options or Options())
        self.app = Faults(faults).around(app, refuse=refuse)
        self.token = ""
        self.sign_in()

    def clock(self) -> datetime:
        return self.now

    def new_id(self) -> str:
        self.ids += 1
        return f"00000000-0000-4000-8000-{self.ids:012d}"

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def sign_in(self, **fields: str) -> tuple[int, dict[str, Any]]:
        """Ask for a token, and use it from now on when there is one."""
        response = self.send("POST", "/embedded/oauth2/v2.0/token", data={**CREDENTIALS, **fields})
        answer = response.json()
        self.token = answer.get("access_token", self.token)
        return response.status_code, answer

    def send(self, method: str, path: str, *, token: str | None = None, **more: Any) -> httpx.Response:
        """The answer; a path that starts with no slash is one below the workspace."""
        bearer = self.token if token is None else token
        headers = {**({"authorization": f"Bearer {bearer}"} if bearer else {}), **more.pop("headers", {})}

        async def run() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self.app), base_url="https://azureml"
            ) as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(run())

    def ask(
        self, method: str, path: str, json: Any = None, *, params: dict[str, Any] | None = None, **more: Any
    ) -> tuple[int, Any]:
        """Status and body of a call below the workspace, or of a whole address."""
        whole = path if path.startswith(("/", "https:")) else f"{WS}/{path}".rstrip("/")
        if "?" not in whole:
            more["params"] = {"api-version": VERSION, **(params or {})}
        if json is not None:
            more["json"] = json
        response = self.send(method, whole, **more)
        return response.status_code, response.json() if response.content else None

    def make(self, name: str, version: str = "1", **properties: Any) -> dict[str, Any]:
        """A version that was put, an image when nothing else is said."""
        wanted = {"image": "example.com/base:1", **properties}
        status, body = self.ask("PUT", f"environments/{name}/versions/{version}", {"properties": wanted})
        assert status == 201, body
        return dict(body)

    def names(self, path: str, **params: Any) -> list[str]:
        """The names in a list, over all its pages, without what the workspace is born with."""
        status, body = self.ask("GET", path, params=params)
        found: list[str] = []
        while True:
            assert status == 200, body
            found += [one["name"] for one in body["value"] if not one["name"].startswith("AzureML-")]
            if "nextLink" not in body:
                return found
            status, body = self.ask("GET", body["nextLink"])


@pytest.fixture
def new_platform() -> Iterator[Callable[..., Platform]]:
    """Makes platforms, each new, in memory or in a file; with ``options`` and ``faults``."""
    stores: list[Store] = []

    def make(file: Path | None = None, **more: Any) -> Platform:
        stores.append(Store(file))
        return Platform(stores[-1], **more)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def platform(new_platform: Callable[..., Platform]) -> Platform:
    return new_platform()
