"""The contract of providers, kept by AEnvironment's: for each kind, on each server, and over a socket."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hubs import context, opened

import reconciler.testing.contracts
from reconciler.core.attributes import ID, Attributes
from reconciler.errors import Rejected
from reconciler.providers.aenvironment import PLUGIN
from reconciler.providers.aenvironment.provider import AenvironmentProvider
from reconciler.testing import ProviderContract


@pytest.fixture(scope="module")
def served_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded platform on a port, below a path of its own."""
    directory = tmp_path_factory.mktemp("served")
    (directory / "reconciler.toml").write_text(
        '[stack]\nname = "test"\n[platforms.aenv]\nprovider = "aenvironment"\nendpoint = "embedded"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "serve", "--port", "0", "--json"],
        cwd=directory,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate()


class AenvironmentContract(ProviderContract):
    """Each promise of a provider, on the released servers, on newer ones, and over a socket."""

    plugin = PLUGIN

    @pytest.fixture(params=["v0.1", "next", "served"])
    def provider(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[AenvironmentProvider]:
        """Opened, and closed on the loop that its connections belong to."""
        table: dict[str, Any] = {"profile": request.param}
        if request.param == "served":
            url = request.getfixturevalue("served_url")
            table = {"endpoint": url, "api_service": url}
        self.run = f"{os.getpid()}-{next(_NUMBERS)}"
        with asyncio.Runner() as runner:
            monkeypatch.setattr(reconciler.testing.contracts, "_run", runner.run)
            provider = opened(context(tmp_path), **table)
            yield provider
            runner.run(provider.close())


_NUMBERS = iter(range(10**6))


class TestEnvironmentContract(AenvironmentContract):
    """Environments: what nobody can delete, so each test has a version of its own."""

    kind = "environment"
    clear = "tags"
    change: ClassVar[dict[str, Any]] = {
        "tags": ["gpu"],
        "image": "registry.example.com/demo:2",
        "deploy_config": {"cpu": "2"},
        "status": "Testing",
        "code_url": "https://git.example.com/demo",
    }

    def attributes(self, name: str) -> Attributes:
        """A whole one."""
        return Attributes(
            {
                "name": name,
                "version": f"1.{self.run}",
                "status": "Ready",
                "tags": ["linux"],
                "image": "registry.example.com/demo:1",
                "artifacts": [{"id": "7", "type": "data", "content": "x"}],
                "build_config": {"dockerfile": "D", "n": 1.5, "deep": {"list": [1, None, True]}},
                "test_config": {"script": ""},
                "deploy_config": {"cpu": "1", "environmentVariables": {"A": "ä"}},
            }
        )

    def test_what_does_not_exist_is_read_as_none(self, provider: AenvironmentProvider) -> None:
        """Absence is an answer, confirmed by `exists`."""

        async def check() -> None:
            assert await provider.read("environment", "nothing@1") is None
            assert await provider.find("environment", self.attributes("nothing")) is None

        reconciler.testing.contracts._run(check())

    def test_deleting_what_is_gone_is_success(self, provider: AenvironmentProvider) -> None:
        """Here nothing is ever deleted: asked to, the provider says so, and sends nothing."""

        async def check() -> None:
            live = await self._made(provider, "one")
            with pytest.raises(Rejected, match="EnvHub deletes nothing"):
                await provider.delete(self._address(provider, "one"), live.id)
            assert await provider.read("environment", live.id) == live

        reconciler.testing.contracts._run(check())


class TestServiceContract(AenvironmentContract):
    """Services."""

    kind = "service"
    change: ClassVar[dict[str, Any]] = {
        "replicas": 3,
        "environment_variables": {"A": "2", "B": "new"},
    }

    @pytest.fixture(autouse=True)
    def cleared(self, provider: AenvironmentProvider) -> Iterator[None]:
        """None of a test's services is left on the server that all of them share."""
        yield
        run = reconciler.testing.contracts._run

        async def remove() -> None:
            for remote in [one async for one in provider.list("service")]:
                await provider.delete(self._address(provider, remote.id), remote.id)

        run(remove())

    def attributes(self, name: str) -> Attributes:
        """Of an environment that every platform has."""
        return Attributes(
            {
                "name": name,
                "environment": {ID: "terminal@1.1.0"},
                "replicas": 2,
                "port": 9000,
                "owner": "team",
                "environment_variables": {"A": "1"},
                "cpu_request": "500m",
                "memory_limit": "4Gi",
            }
        )

    def test_a_name_that_is_taken_is_refused(self, provider: AenvironmentProvider) -> None:
        """By the controller, whose answer api-service hides in a 500."""
        super().test_a_name_that_is_taken_is_refused(provider)
