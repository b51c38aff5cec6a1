"""Images of versions, by the v1 environment service where a workspace still offers it.

The newer API says nothing of images. Whether the older service answers is
found out when somebody asks, and its absence is an answer, never an error: a
plan does not depend on it. A build is never started from here, and the v1
service shows the state and the log of a build only to who started it.

Source: vendor client azureml-core 1.61.0, traced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from reconciler.errors import NotFound, ProviderError, Rejected
from reconciler.providers.azureml import api
from reconciler.providers.azureml.arm import Arm
from reconciler.providers.http import HttpClient

__all__ = ["Builds"]

_GONE: Final = (404, 410)
_SERVICE: Final = "experimentation"
"""Under which name the discovery service knows the environment service."""

_details = msgspec.json.Decoder(api.ImageDetails)


class Builds:
    """What the v1 service of one workspace says. *connect* makes a client for its host."""

    def __init__(self, arm: Arm, root: api.Root, *, connect: Callable[[str], HttpClient]) -> None:
        self._arm = arm
        self._root = root
        self._connect = connect
        self._service: HttpClient | None = None
        self._host = ""
        self._absent = "a registry has none" if root.is_registry else ""
        self._asking = asyncio.Lock()

    async def close(self) -> None:
        """Give back connections."""
        if self._service is not None:
            await self._service.close()

    async def image(self, name: str, number: str, *, is_built_at_once: bool) -> str:
        """In words, the image of a version.

        *is_built_at_once* says that the build begins when a version is made,
        and not when a job first needs it.
        """
        service = await self._found()
        if service is None:
            return f"unknown: {self._absent}"
        path = (
            f"{urlsplit(self._host).path.rstrip('/')}/environment/v1.0{self._root.path}"
            f"/environments/{quote(name, safe='')}/versions/{quote(number, safe='')}/image"
        )
        try:
            said = _details.decode((await service.request("GET", path)).body)
        except (NotFound, Rejected) as error:
            if error.status not in _GONE:
                return f"unknown: the v1 environment service answered {error.status}"
            return "unknown: the v1 environment service does not know this version"
        except ProviderError as error:
            return f"unknown: {error}"
        except api.UNREADABLE:
            return "unknown: the v1 environment service answered something else"
        if not said.image_exists_in_registry:
            return (
                "not there: its build runs still, or failed; the studio has the log"
                if is_built_at_once
                else "not built yet: that is done when a job or a deployment first needs it"
            )
        image = said.docker_image
        if image is None or not image.name:
            return "built"
        address = image.registry.address if image.registry is not None else None
        return f"{address}/{image.name}" if address else image.name

    async def _found(self) -> HttpClient | None:
        """A client for the service; None, with why in ``_absent``, where there is none."""
        async with self._asking:
            if self._service is None and not self._absent:
                try:
                    self._host = await self._discover()
                except (ProviderError, *api.UNREADABLE) as error:
                    self._absent = (
                        f"the v1 services of this workspace cannot be found ({type(error).__name__})"
                    )
                else:
                    if self._host:
                        self._service = self._connect(self._host)
                    else:
                        self._absent = "this workspace offers no v1 environment service"
            return self._service

    async def _discover(self) -> str:
        """The address of the environment service; empty when the workspace has none.

        Asked of the address that the workspace itself names, without a token.
        Only https is good enough for one, or the host that has it anyway.
        """
        workspace = msgspec.json.decode(await self._arm.get(self._root.path), type=api.WorkspaceEntry)
        url = workspace.properties.discovery_url
        if not url or not self._arm.may_know(url):
            return ""
        discovery = self._connect(url)
        try:
            answer = await discovery.request("GET", url, signed=False)
        finally:
            await discovery.close()
        hosts: Mapping[str, object] = api.tables.decode(answer.body)
        host = hosts.get(_SERVICE)
        return host if isinstance(host, str) and self._arm.may_know(host) else ""
