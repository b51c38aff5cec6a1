"""Azure ML workspaces to test the provider with: the embedded one, and one that answers what a test says."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from reconciler.core.attributes import LOOKUP, Attributes
from reconciler.core.model import Lifecycle, Remote, Resource, ResourceAddress, Source
from reconciler.core.ports import PlatformContext
from reconciler.engine.secrets import Secrets
from reconciler.providers.azureml.emulator.app import create_app
from reconciler.providers.azureml.emulator.options import Options
from reconciler.providers.azureml.plugin import PLUGIN
from reconciler.providers.azureml.provider import AzuremlProvider
from reconciler.providers.azureml.settings import EMBEDDED_PLACE, Settings
from reconciler.providers.emulator import Fault

SUBSCRIPTION = EMBEDDED_PLACE["subscription_id"]
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/embedded"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/embedded"
REGISTRY = f"{GROUP}/providers/Microsoft.MachineLearningServices/registries/shared"


@dataclass(frozen=True)
class Asked:
    """One request. ``path`` is below the workspace, or the registry, where it is about something there."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def properties(self) -> dict[str, Any]:
        """``properties`` of the JSON that was sent."""
        found = json.loads(self.body)["properties"]
        assert isinstance(found, dict)
        return found


@dataclass
class Watched:
    """An ASGI application that remembers what it was asked."""

    app: Any
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Remember, and pass on."""
        message = await receive()
        path = unquote(scope["path"])
        for root in (WORKSPACE, REGISTRY):
            if path.lower().startswith(root.lower()):
                path = path[len(root) :] or "/"
        self.asked.append(
            Asked(
                scope["method"],
                path,
                {key: one[-1] for key, one in parse_qs(scope["query_string"].decode(), True).items()},
                {key.decode(): value.decode() for key, value in scope["headers"]},
                message.get("body", b""),
            )
        )

        async def again() -> Any:
            return message

        await self.app(scope, again, send)

    @property
    def calls(self) -> list[str]:
        """Methods and paths, sign-ins apart."""
        return [str(one) for one in self.asked if "oauth2" not in one.path]

    @property
    def writes(self) -> list[str]:
        """Those of them that change something."""
        return [call for call in self.calls if not call.startswith(("GET", "HEAD"))]

    def last(self, call: str) -> Asked:
        """The newest request of a method and path."""
        return [one for one in self.asked if str(one) == call][-1]


@dataclass(frozen=True)
class Said:
    """An answer by hand."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


TOKEN = {"token_type": "Bearer", "expires_in": 3599, "access_token": "token-1"}


class Scripted:
    """An ASGI application that answers what a test says; the last answer of a call again and again."""

    def __init__(self, routes: Mapping[str, Any]) -> None:
        self._routes = {route: list(one) if isinstance(one, list) else [one] for route, one in routes.items()}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer the next in line for this method and path, below the workspace or whole."""
        path = unquote(scope["path"])
        short = path.replace(WORKSPACE, "").replace(REGISTRY, "") or "/"
        if path.endswith("/oauth2/v2.0/token") and f"POST {path}" not in self._routes:
            answer = Said(TOKEN)
        else:
            method = scope["method"]
            answers = self._routes.get(f"{method} {short}", self._routes.get(f"{method} {path}"))
            found = missing() if answers is None else answers[0]
            if answers is not None and len(answers) > 1:
                answers.pop(0)
            if isinstance(found, type) and issubclass(found, Exception):
                raise found
            answer = found if isinstance(found, Said) else Said(found)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = [(key.lower().encode(), value.encode()) for key, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def refusal(status: int, message: str, code: str = "UserError", inner: str = "", **headers: str) -> Said:
    """An error as the service spells it."""
    error: dict[str, Any] = {"code": code, "message": message, "details": []}
    if inner:
        error["additionalInfo"] = [{"type": "InnerError", "info": {"value": {"code": inner}}}]
    return Said({"error": error}, status, {key.replace("_", "-"): one for key, one in headers.items()})


def missing(message: str = "No environment exists for name: x") -> Said:
    """The service's 404."""
    return refusal(404, message, inner="NotFoundError")


def page(*entries: Any, link: str | None = None) -> dict[str, Any]:
    """One page of a listing."""
    return {"value": list(entries)} | ({} if link is None else {"nextLink": link})


def context(directory: Path, environment: Mapping[str, str], **more: Any) -> PlatformContext:
    """What a plugin is given to open a platform."""
    wanted = {
        "platform": "azureml",
        "directory": directory,
        "stack": directory,
        "secrets": Secrets(directory, environment),
        "clock": time.time,
        "new_id": lambda: str(uuid.uuid4()),
        "random": lambda: 0.0,
        "parallelism": 10,
        "user_agent": "reconciler/test",
        **more,
    }
    return PlatformContext(**wanted)


def settings(**table: Any) -> Settings:
    """``[platforms.azureml]`` with *table*."""
    found, problems = PLUGIN.read_settings({"endpoint": "embedded", "patience_seconds": 0.2, **table})
    assert problems == ()
    return msgspec.convert(found, Settings)


@asynccontextmanager
async def served_by(
    app: Any, directory: Path, environment: Mapping[str, str] | None = None, **table: Any
) -> AsyncIterator[tuple[Watched, AzuremlProvider]]:
    """A provider whose platform is *app*, in this process, and what it asks."""
    watched = Watched(app)
    provider = AzuremlProvider.open(settings(**table), context(directory, environment or {}), watched)
    try:
        yield watched, provider
    finally:
        await provider.close()


@asynccontextmanager
async def workspace(
    directory: Path, *faults: Fault, options: Options | None = None, **table: Any
) -> AsyncIterator[tuple[Watched, AzuremlProvider]]:
    """The embedded workspace, its provider, and what that asks."""
    app = create_app(
        directory / "azureml.sqlite",
        clock=lambda: datetime.now(UTC),
        new_id=lambda: str(uuid.uuid4()),
        options=options or Options(),
        faults=faults,
    )
    async with served_by(app, directory, **table) as both:
        yield both


def scripted(
    directory: Path, routes: Mapping[str, Any], environment: Mapping[str, str] | None = None, **table: Any
) -> Any:
    """A workspace that answers what *routes* say, its provider, and what that asks."""
    return served_by(Scripted(routes), directory, environment, **table)


# --- objects -------------------------------------------------------------------------------------------


def address(name: str) -> ResourceAddress:
    """``azureml.environment.NAME``."""
    return ResourceAddress("azureml", "environment", name)


def wanted(name: str = "lab", version: Any = "1", **more: Any) -> Attributes:
    """An environment of an image and a conda file, as a spec reads."""
    return Attributes(
        {
            "name": name,
            "version": version,
            "image": "python:3.11",
            "conda": {"channels": ["conda-forge"], "dependencies": ["python=3.11", {"pip": ["torch==2.2"]}]},
            "build": None,
            "inference_config": None,
            "os_type": "Linux",
            "auto_rebuild": "Disabled",
            "description": "for tests",
            "tags": {"team": "vision"},
            **more,
        }
    )


LATEST = {LOOKUP: {"version": ""}}
"""A version that the platform's strategy has to say."""


def resource(name: str = "lab", version: Any = LATEST, ignore: Sequence[str] = (), **more: Any) -> Resource:
    """A spec, read."""
    return Resource(
        address(name),
        wanted(name, version, **more),
        Source(f"{name}.toml", 1),
        lifecycle=Lifecycle(ignore_changes=tuple(ignore)),
    )


async def made(provider: AzuremlProvider, name: str = "lab", version: str = "1", **more: Any) -> Remote:
    """Create an environment; what it is then."""
    remote_id = await provider.create(address(name), wanted(name, version, **more), key="test.1")
    return await live(provider, remote_id)


async def moved(provider: AzuremlProvider, name: str = "lab", version: str = "2", **more: Any) -> Remote:
    """Bring an environment to another version, of another image unless *more* says one."""
    more.setdefault("image", f"python:3.1{version}")
    attributes = wanted(name, version, **more)
    await provider.update(address(name), name, attributes, previous=await live(provider, name))
    return await live(provider, name)


async def live(provider: AzuremlProvider, remote_id: str = "lab", **more: Any) -> Remote:
    """What is there."""
    found = await provider.read("environment", remote_id, **more)
    assert found is not None
    return found


async def listed(provider: AzuremlProvider, **more: Any) -> dict[str, Remote]:
    """All there is but the vendor's, by id."""
    found = [one async for one in provider.list("environment", **more)]
    assert len({one.id for one in found}) == len(found)
    return {one.id: one for one in found if not one.foreign}


def version_body(number: str = "1", name: str = "lab", created: str = "", **more: Any) -> dict[str, Any]:
    """A version as the service shows it; *more* goes into its properties."""
    return {
        "id": f"{WORKSPACE}/environments/{name}/versions/{number}",
        "name": number,
        "type": "Microsoft.MachineLearningServices/workspaces/environments/versions",
        "properties": {
            "description": None,
            "tags": {},
            "properties": {},
            "isArchived": False,
            "isAnonymous": False,
            "environmentType": "UserCreated",
            "image": "python:3.11",
            "condaFile": "",
            "osType": "Linux",
            **more,
        },
        "systemData": {
            "createdAt": created or f"2023-03-09T00:34:{int(number):02}.128396+00:00",
            "createdBy": "Firstname Lastname",
        },
    }


def container_body(name: str = "lab", latest: str = "1", **more: Any) -> dict[str, Any]:
    """A container as the service shows it."""
    return {
        "id": f"{WORKSPACE}/environments/{name}",
        "name": name,
        "type": "Microsoft.MachineLearningServices/workspaces/environments",
        "properties": {
            "description": "",
            "tags": {},
            "properties": {},
            "isArchived": False,
            "latestVersion": latest,
            "nextVersion": "2023-03-09-00-34-26-0000000",
            **more,
        },
        "systemData": {"createdAt": "2023-03-09T00:34:00+00:00"},
    }
