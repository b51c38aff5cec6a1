"""The contract of providers, kept by Azure ML's: in this process, over a socket, and in a registry."""

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
from workspaces import address, context, settings, wanted

import reconciler.testing.contracts
from reconciler.core.attributes import Attributes
from reconciler.providers.azureml.plugin import PLUGIN
from reconciler.providers.azureml.provider import AzuremlProvider
from reconciler.testing import ProviderContract


@pytest.fixture(scope="module")
def served_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded Azure ML on a port, in a process of its own."""
    directory = tmp_path_factory.mktemp("served")
    (directory / "reconciler.toml").write_text(
        '[stack]\nname = "test"\n[platforms.azureml]\nprovider = "azureml"\nendpoint = "embedded"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "serve", "--port", "0", "--json"],
        cwd=directory,
        env=os.environ | {"AZURE_CLIENT_SECRET": ""},
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


async def _remove_everything(provider: AzuremlProvider) -> None:
    found = [remote async for remote in provider.list("environment") if not remote.foreign]
    for remote in found:
        await provider.delete(address(remote.id), remote.id)


class TestEnvironmentContract(ProviderContract):
    """Environments, whose change is a new version."""

    kind = "environment"
    plugin = PLUGIN
    change: ClassVar[dict[str, Any]] = {
        "version": "2",
        "image": "python:3.12",
        "conda": {"dependencies": ["python=3.12"]},
        "tags": {"team": "speech"},
        "stage": "Production",
    }
    clear = "stage"

    @pytest.fixture(params=["embedded", "served"])
    def provider(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[AzuremlProvider]:
        """Opened, and closed on the loop that its connections belong to. Each test starts with nothing."""
        table: dict[str, Any] = {"destroy": "delete", "patience_seconds": 5}
        if request.param == "served":
            url = request.getfixturevalue("served_url")
            place = settings()
            table |= {
                "endpoint": url,
                "authority": url,
                "tenant_id": "embedded",
                "client_id": "embedded",
                "client_secret": {"env": "AZURE_CLIENT_SECRET"},
                "subscription_id": place.subscription_id,
                "resource_group": place.resource_group,
                "workspace": place.workspace,
            }
        checked, problems = PLUGIN.read_settings({"endpoint": "embedded", **table})
        assert problems == ()
        with asyncio.Runner() as runner:
            monkeypatch.setattr(reconciler.testing.contracts, "_run", runner.run)
            provider = PLUGIN.open(checked, context(tmp_path, {"AZURE_CLIENT_SECRET": "embedded"}))
            assert isinstance(provider, AzuremlProvider)
            yield provider
            runner.run(_remove_everything(provider))
            runner.run(provider.close())

    def attributes(self, name: str) -> Attributes:
        """One of an image and a conda file."""
        return wanted(name)


class TestWordsContract(TestEnvironmentContract):
    """What is changed in place."""

    change: ClassVar[dict[str, Any]] = {"description": "another", "tags": {}, "properties": {"a": "1"}}
    clear = "description"
