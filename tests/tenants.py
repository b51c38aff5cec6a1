"""Run:ai tenants to test the provider with: the embedded one, and one that answers what a test says."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loopback import NOW, Reply, Request, Server, refusal, serving

from reconciler.core.model import Remote, ResourceAddress
from reconciler.core.ports import PlatformContext
from reconciler.engine.secrets import Secrets
from reconciler.providers.runai.plugin import PLUGIN
from reconciler.providers.runai.provider import RunaiProvider
from reconciler.providers.runai.settings_model import read_settings

ENVIRONMENTS = "/api/v1/asset/environment"
COMPUTE = "/api/v1/asset/compute"
CREDENTIALS = "/api/v1/asset/credentials"
SEGMENTS = ["generic-secret", "docker-registry", "access-key", "password", "ngc-api-key"]
EAST = "3f1b7c2e-9a54-4d0e-8c61-2b7e5d90a111"
WEST = "8d52a6f0-1c3b-4e97-b5a8-6f04c9e7d222"
KEY = {"RUNAI_CLIENT_ID": "embedded", "RUNAI_CLIENT_SECRET": "embedded"}


def context(directory: Path, environment: Mapping[str, str] = KEY, **more: Any) -> PlatformContext:
    """What a plugin is given to open a platform."""
    wanted = {
        "platform": "runai",
        "directory": directory,
        "stack": directory,
        "secrets": Secrets(directory, environment),
        "clock": lambda: NOW,
        "new_id": lambda: str(uuid.uuid4()),
        "random": lambda: 0.0,
        "parallelism": 10,
        "user_agent": "reconciler/test",
        **more,
    }
    return PlatformContext(**wanted)


def opened(directory: Path, environment: Mapping[str, str] = KEY, **table: Any) -> RunaiProvider:
    """The provider for ``[platforms.runai]`` with *table*."""
    found, problems = read_settings({"endpoint": "embedded", **table})
    assert problems == ()
    provider = PLUGIN.open(found, context(directory, environment))
    assert isinstance(provider, RunaiProvider)
    return provider


def address(name: str, kind: str = "environment") -> ResourceAddress:
    """``runai.KIND.NAME``."""
    return ResourceAddress("runai", kind, name)


# --- a tenant by hand ----------------------------------------------------------------------------------

TOKEN = {"accessToken": "token-1", "expiresIn": 3600}


def answer(body: Any, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, body if isinstance(body, bytes) else json.dumps(body).encode())


class Tenant(Server):
    """A Run:ai that answers what a test says, path by path; the last answer of a path again and again."""

    def __init__(self, routes: Mapping[str, Any]) -> None:
        super().__init__([])
        defaults = {"POST /api/v1/token": TOKEN}
        self.routes = {
            route: list(found) if isinstance(found, list) else [found]
            for route, found in {**defaults, **routes}.items()
        }

    def next_answer(self, request: Request) -> Reply | str:
        """The next answer of the path."""
        answers = self.routes.get(f"{request.method} {urlsplit(request.target).path}")
        if answers is None:
            return refusal(404, "Resource id not found.")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return found if isinstance(found, Reply | str) else answer(found)

    @property
    def calls(self) -> list[str]:
        """What it was asked, sign-ins apart."""
        return [call for call in self.asked if "/token" not in call]

    def sent(self, number: int = -1) -> Any:
        """The JSON of a request."""
        return json.loads(self.requests[number].body)


@asynccontextmanager
async def tenant(
    directory: Path, routes: Mapping[str, Any], environment: Mapping[str, str] = KEY, **table: Any
) -> AsyncIterator[tuple[Tenant, RunaiProvider]]:
    """A tenant with these answers, and the provider for it."""
    async with serving(server=Tenant(routes)) as server:
        assert isinstance(server, Tenant)
        provider = opened(directory, environment, endpoint=server.url, **table)
        try:
            yield server, provider
        finally:
            await provider.close()


def asset(name: str = "lab", **more: Any) -> dict[str, Any]:
    """An environment as Run:ai shows it; *more* goes into its meta, ``spec`` into its spec."""
    spec = more.pop("spec", {})
    return {
        "meta": {
            "name": name,
            "scope": "tenant",
            "id": f"id-{name}",
            "kind": "environment",
            "tenantId": 1001,
            "createdBy": "a@example.com",
            "createdAt": "2026-03-01T08:15:30.123456Z",
            "updatedBy": "a@example.com",
            "updatedAt": "2026-03-01T08:15:30.123456Z",
            **more,
        },
        "spec": {"image": "python:3.11", **spec},
    }


async def listed(provider: RunaiProvider, kind: str = "environment", **more: Any) -> list[Remote]:
    """All there is."""
    return [remote async for remote in provider.list(kind, **more)]
