"""The contract of providers, kept by Run:ai's: for each kind, in this process, over a socket and over TLS."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme
from tenants import (
    EAST,
    address,
    opened,
)

import reconciler.testing.contracts
from reconciler.core.attributes import Attributes
from reconciler.providers.runai import PLUGIN
from reconciler.providers.runai.provider import RunaiProvider
from reconciler.testing import ProviderContract


@contextmanager
def served(directory: Path, *flags: str) -> Iterator[str]:
    """``reconciler serve`` in a process of its own; its address."""
    (directory / "reconciler.toml").write_text(
        '[stack]\nname = "test"\n[platforms.runai]\nprovider = "runai"\nendpoint = "embedded"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "serve", "--port", "0", "--json", *flags],
        cwd=directory,
        env={**os.environ, "RUNAI_CLIENT_ID": "", "RUNAI_CLIENT_SECRET": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield json.loads(line)["url"]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def served_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded platform on a port."""
    with served(tmp_path_factory.mktemp("served")) as url:
        yield url


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """One that speaks https, and the file of its authority."""
    directory = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(directory / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(directory / "cert.pem"))
    with served(directory, "--tls-cert", "cert.pem", "--tls-key", "key.pem") as url:
        yield url, directory / "ca.pem"


async def _remove_everything(provider: RunaiProvider, kind: str) -> None:
    found = [remote async for remote in provider.list(kind) if not remote.foreign]
    for remote in found:
        await provider.delete(address(remote.identity[-1], kind), remote.id)


class RunaiContract(ProviderContract):
    """Each promise of a provider, inside this process and over a socket."""

    plugin = PLUGIN

    @pytest.fixture(params=["embedded", "served"])
    def provider(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[RunaiProvider]:
        """Opened, and closed on the loop that its connections belong to."""
        table = {}
        if request.param == "served":
            table["endpoint"] = request.getfixturevalue("served_url")
        elif request.param == "https":
            table["endpoint"], authority = request.getfixturevalue("tls_url")
            table["ca_file"] = str(authority)
        with asyncio.Runner() as runner:
            monkeypatch.setattr(reconciler.testing.contracts, "_run", runner.run)
            provider = opened(tmp_path, **table)
            yield provider
            runner.run(_remove_everything(provider, self.kind))
            runner.run(provider.close())


class TestEnvironmentContract(RunaiContract):
    """Environments."""

    kind = "environment"
    change: ClassVar[dict[str, Any]] = {
        "image": "python:3.12",
        "command": "sh",
        "environment_variables": {"A": "2", "B": {"value": "", "instructions": "fill in"}},
        "run_as_non_root": True,
    }
    clear = "command"

    @pytest.fixture(params=["embedded", "served", "https"])
    def provider(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[RunaiProvider]:
        """Over TLS as well."""
        yield from RunaiContract.provider.__wrapped__(  # type: ignore[attr-defined]
            self, request, tmp_path, monkeypatch
        )

    def attributes(self, name: str) -> Attributes:
        """One with tools and variables, in a project."""
        return Attributes(
            {
                "name": name,
                "description": "for tests",
                "scope": "project",
                "scope_id": "4501234",
                "workload_types": ["training", "workspace"],
                "image": "python:3.11",
                "image_pull_policy": "IfNotPresent",
                "environment_variables": {"A": "1"},
                "tools": {
                    "Jupyter": {
                        "type": "jupyter-notebook",
                        "connection": "external-url",
                        "container_port": 8888,
                    }
                },
                "capabilities": ["CHOWN"],
                "uid_gid_source": "custom",
                "run_as_uid": 1000,
                "supplemental_groups": [100, 200],
            }
        )


class TestComputeContract(RunaiContract):
    """Compute assets."""

    kind = "compute"
    change: ClassVar[dict[str, Any]] = {"gpu": 4, "memory": "128Gi", "large_shm": True}
    clear = "memory"

    def attributes(self, name: str) -> Attributes:
        """One on a cluster."""
        return Attributes(
            {"name": name, "scope": "cluster", "scope_id": EAST, "gpu": 2, "cpu_cores": 8, "memory": "64Gi"}
        )


CREDENTIAL_FIELDS: dict[str, dict[str, Any]] = {
    "generic-secret": {"keys": ["token"], "data": {"token": "s3cr3t-value"}},
    "docker-registry": {"url": "https://images.example.com", "user": "u", "password": "s3cr3t-value"},
    "access-key": {"access_key_id": "AKID", "secret_access_key": "s3cr3t-value"},
    "password": {"user": "u", "password": "s3cr3t-value"},
    "ngc-api-key": {"ngc_api_key": "s3cr3tValue"},
}


class CredentialContract(RunaiContract):
    """Credentials, whose description alone can change."""

    kind = "credential"
    type: str
    change: ClassVar[dict[str, Any]] = {"description": "another"}
    clear = "description"

    def attributes(self, name: str) -> Attributes:
        """One of its type in a department."""
        return Attributes(
            {
                "name": name,
                "description": "for tests",
                "scope": "department",
                "scope_id": "4500001",
                "type": self.type,
                **CREDENTIAL_FIELDS[self.type],
            }
        )


class TestGenericSecretContract(CredentialContract):
    """Generic secrets."""

    type = "generic-secret"


class TestDockerRegistryContract(CredentialContract):
    """Logins to image registries."""

    type = "docker-registry"


class TestAccessKeyContract(CredentialContract):
    """Access keys."""

    type = "access-key"


class TestPasswordContract(CredentialContract):
    """User names and passwords."""

    type = "password"


class TestNgcApiKeyContract(CredentialContract):
    """NGC keys."""

    type = "ngc-api-key"
