"""Signing in to Azure in each way, in each cloud: what is asked of whom, and what is never shown."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from loopback import NOW, failing, run
from workspaces import Said, Scripted, Watched, context, page, refusal, settings

from reconciler.errors import ProviderError, Unauthenticated
from reconciler.providers.azureml.auth import SignIn
from reconciler.providers.azureml.provider import AzuremlProvider
from reconciler.providers.http import HttpClient, embedded_transport

KEY = {"AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "client-1", "AZURE_CLIENT_SECRET": "s3cr3t-value"}
PLACE = {
    "endpoint": "https://management.azure.com",
    "subscription_id": "00000000-0000-4000-8000-000000000001",
}
PLACE |= {"resource_group": "embedded", "workspace": "embedded"}
TENANT = "POST /tenant-1/oauth2/v2.0/token"
LIST = "GET /environments"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def signing_in(
    directory: Path,
    routes: Mapping[str, Any],
    environment: Mapping[str, str] = KEY,
    clock: Clock | None = None,
    **table: Any,
) -> AsyncIterator[tuple[Watched, HttpClient, Any]]:
    """A client that signs in as the settings say, whoever is asked for tokens in this process."""
    watched = Watched(Scripted({LIST: page(), **routes}))
    surroundings = context(directory, environment, clock=clock or Clock())
    chosen = settings(**{**PLACE, "patience_seconds": None, **table})

    def connect(url: str, sign_in: Any = None) -> HttpClient:
        return HttpClient(
            url,
            embedded_transport(watched),
            platform="azureml",
            sign_in=sign_in,
            explain=lambda body: body.decode("utf-8", "replace"),
            is_own=lambda body: True,
            secrets=surroundings.secrets,
            user_agent="test",
            concurrency=4,
            rate=None,
            timeout=5,
            clock=surroundings.clock,
            random=lambda: 0.0,
        )

    sign_in = SignIn(chosen, surroundings.secrets, surroundings.clock, connect=connect)
    client = connect(chosen.endpoint, sign_in)
    try:
        yield watched, client, surroundings
    finally:
        await client.close()


def form(watched: Watched) -> dict[str, str]:
    """What was sent for a token."""
    body = next(one.body for one in watched.asked if one.path.endswith("/oauth2/v2.0/token"))
    return {key: one[-1] for key, one in parse_qs(body.decode(), strict_parsing=True).items()}


@pytest.mark.parametrize(
    ("cloud", "endpoint", "authority"),
    [
        ("AzureCloud", "https://management.azure.com", "login.microsoftonline.com"),
        ("AzureUSGovernment", "https://management.usgovcloudapi.net", "login.microsoftonline.us"),
        ("AzureChinaCloud", "https://management.chinacloudapi.cn", "login.chinacloudapi.cn"),
    ],
)
def test_a_client_secret_signs_in_without_any_extra(
    tmp_path: Path, cloud: str, endpoint: str, authority: str
) -> None:
    """One form to the authority of the cloud, for the resource manager of that cloud."""

    async def check() -> None:
        async with signing_in(tmp_path, {}, cloud=cloud, endpoint=None) as (watched, client, _):
            await client.get("/environments")
            assert [str(one) for one in watched.asked] == [TENANT, LIST]
            assert watched.asked[0].headers["host"] == authority
            assert "https://" + watched.asked[1].headers["host"] == endpoint
            assert form(watched) == {
                "grant_type": "client_credentials",
                "client_id": "client-1",
                "client_secret": "s3cr3t-value",
                "scope": f"{endpoint}/.default",
            }
            assert watched.asked[1].headers["authorization"] == "Bearer token-1"
            assert "authorization" not in watched.asked[0].headers

    run(check())


def test_settings_go_before_the_vendors_variables(tmp_path: Path) -> None:
    """Ids as text or by reference, the secret by reference alone."""
    environment = {**KEY, "MY_TENANT": "tenant-2", "MY_SECRET": "other-secret"}
    table = {
        "tenant_id": {"env": "MY_TENANT"},
        "client_id": "client-2",
        "client_secret": {"env": "MY_SECRET"},
        "authority": "https://login.example.com",
    }

    async def check() -> None:
        async with signing_in(tmp_path, {}, environment, **table) as (watched, client, _):
            await client.get("/environments")
            assert str(watched.asked[0]) == "POST /tenant-2/oauth2/v2.0/token"
            assert watched.asked[0].headers["host"] == "login.example.com"
            assert (form(watched)["client_id"], form(watched)["client_secret"]) == (
                "client-2",
                "other-secret",
            )

    run(check())


@pytest.mark.parametrize("name", sorted(KEY))
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    """With the variable, and the setting that would stand for it."""
    less = {key: value for key, value in KEY.items() if key != name}

    async def check() -> None:
        async with signing_in(tmp_path, {}, less) as (watched, client, _):
            error = await failing(client.get("/environments"))
            assert isinstance(error, Unauthenticated)
            assert name in str(error)
            assert error.hint.startswith(f"Set {name}, or say `{name.removeprefix('AZURE_').lower()}`")
            assert watched.asked == []

    run(check())


@pytest.mark.parametrize("status", [400, 401])
def test_a_secret_that_is_refused_is_told_as_such(tmp_path: Path, status: int) -> None:
    """In the words of the authority, and never as an object that is not there."""
    refused = Said({"error": "invalid_client", "error_description": "AADSTS7000215: s3cr3t-value"}, status)

    async def check() -> None:
        async with signing_in(tmp_path, {TENANT: refused}) as (_, client, _):
            error = await failing(client.get("/environments"))
            assert isinstance(error, Unauthenticated)
            assert "AADSTS7000215" in str(error)
            assert "s3cr3t-value" not in str(error)
            assert "AZURE_CLIENT_SECRET" in error.hint

    run(check())


@pytest.mark.parametrize("status", [403, 404, 405, 410])
def test_an_authority_that_is_none_proves_nothing_gone(tmp_path: Path, status: int) -> None:
    """The read that needed a token must not take its 404 for its own."""
    routes = {TENANT: refusal(status, "no such tenant")}
    environment = {**KEY}

    async def check() -> None:
        watched = Watched(Scripted(routes))
        provider = AzuremlProvider.open(
            settings(tenant_id="tenant-1", client_id="c", client_secret={"env": "AZURE_CLIENT_SECRET"}),
            context(tmp_path, environment),
            watched,
        )
        error = await failing(provider.read("environment", "lab"))
        await provider.close()
        assert isinstance(error, Unauthenticated)
        assert "AZURE_TENANT_ID" in error.hint

    run(check())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"access_token": ""}', b'{"access_token": 1}'])
def test_an_answer_without_a_token_is_none(tmp_path: Path, body: bytes) -> None:
    """Whatever else it is."""

    async def check() -> None:
        async with signing_in(tmp_path, {TENANT: Said(body)}) as (_, client, _):
            error = await failing(client.get("/environments"))
            assert isinstance(error, Unauthenticated)
            assert "without a token" in str(error)

    run(check())


@pytest.mark.parametrize(
    ("answer", "kept", "renewed"),
    [
        ({"expires_in": 3599}, 3298, 3300),
        ({"expires_in": "3599"}, 3298, 3300),
        ({"expires_on": str(int(NOW) + 1000)}, 699, 701),
        ({"expires_in": 86399}, 86000, 86100),
        ({"expires_in": 100}, 24, 27),
        ({}, 3299, 3301),
        ({"expiresOn": datetime.fromtimestamp(NOW + 1000).isoformat(" ")}, 699, 701),  # noqa: DTZ006 - as az has it
    ],
)
def test_a_token_is_renewed_five_minutes_before_its_end(
    tmp_path: Path, answer: dict[str, Any], kept: float, renewed: float
) -> None:
    """Whichever way the end is said; one that lives shorter is used for a part of its life."""
    clock = Clock()
    tokens = [Said({"access_token": f"token-{n}", **answer}) for n in range(3)]

    async def check() -> None:
        async with signing_in(tmp_path, {TENANT: tokens}, clock=clock) as (watched, client, _):
            for after, asked in ((0.0, 1), (kept, 1), (renewed, 2)):
                clock.now = NOW + after
                await client.get("/environments")
                assert sum(one.path.endswith("/token") for one in watched.asked) == asked

    run(check())


def test_what_was_given_is_kept_out_of_every_text(tmp_path: Path) -> None:
    """Tokens, secrets, assertions."""
    (tmp_path / "assertion").write_text("eyJ.assertion.x\n")
    table = {"auth": "workload-identity", "federated_token_file": str(tmp_path / "assertion")}

    async def check() -> None:
        async with signing_in(tmp_path, {}, **table) as (_, client, surroundings):
            await client.get("/environments")
            told = surroundings.secrets.mask("token-1 eyJ.assertion.x")
            assert told == "(secret) (secret)"

    run(check())


# --- workload identity ---------------------------------------------------------------------------------


def test_a_workload_shows_the_token_of_its_cluster(tmp_path: Path) -> None:
    """Read anew each time: the cluster writes it anew."""
    file = tmp_path / "assertion"
    environment = {**KEY, "AZURE_FEDERATED_TOKEN_FILE": str(file)}
    clock = Clock()

    async def check() -> None:
        async with signing_in(tmp_path, {}, environment, clock, auth="workload-identity") as (
            watched,
            client,
            _,
        ):
            file.write_text("assertion-1\n")
            await client.get("/environments")
            assert form(watched) == {
                "grant_type": "client_credentials",
                "client_id": "client-1",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": "assertion-1",
                "scope": "https://management.azure.com/.default",
            }
            file.write_text("assertion-2\n")
            clock.now += 86400
            watched.asked.clear()
            await client.get("/environments")
            assert form(watched)["client_assertion"] == "assertion-2"
            file.unlink()
            clock.now += 86400
            error = await failing(client.get("/environments"))
            assert isinstance(error, Unauthenticated)
            assert "No such file" in str(error)

    run(check())


# --- managed identity ----------------------------------------------------------------------------------

NOWHERE = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET")


@pytest.mark.parametrize(
    ("surroundings", "client", "path", "query", "header"),
    [
        (
            {},
            None,
            "/metadata/identity/oauth2/token",
            {"api-version": "2018-02-01"},
            ("metadata", "true"),
        ),
        (
            {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:9"},
            "client-9",
            "/metadata/identity/oauth2/token",
            {"api-version": "2018-02-01", "client_id": "client-9"},
            ("metadata", "true"),
        ),
        (
            {"IDENTITY_ENDPOINT": "http://127.0.0.1:9/msi/token", "IDENTITY_HEADER": "header-key"},
            "client-9",
            "/msi/token",
            {"api-version": "2019-08-01", "client_id": "client-9"},
            ("x-identity-header", "header-key"),
        ),
        (
            {"MSI_ENDPOINT": "http://127.0.0.1:9/aml/token", "MSI_SECRET": "msi-key"},
            "client-9",
            "/aml/token",
            {"api-version": "2017-09-01", "clientid": "client-9"},
            ("secret", "msi-key"),
        ),
    ],
)
def test_a_machine_signs_in_by_what_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    surroundings: dict[str, str],
    client: str | None,
    path: str,
    query: dict[str, str],
    header: tuple[str, str],
) -> None:
    """A virtual machine, an app service, a compute of Azure ML: each in its own way."""
    for name in (*NOWHERE, "AZURE_POD_IDENTITY_AUTHORITY_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    answer = {"access_token": "machine-token", "expires_on": str(int(NOW) + 3600), "token_type": "Bearer"}

    async def check() -> None:
        more = {} if client is None else {"client_id": client}
        routes = {f"GET {path}": answer}
        async with signing_in(tmp_path, routes, {}, auth="managed-identity", **more) as (watched, one, _):
            await one.get("/environments")
            asked = watched.asked[0]
            assert str(asked) == f"GET {path}"
            assert asked.query == {"resource": "https://management.azure.com", **query}
            assert asked.headers[header[0]] == header[1]
            assert "authorization" not in asked.headers
            assert watched.asked[1].headers["authorization"] == "Bearer machine-token"

    run(check())


def test_a_machine_without_an_identity_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the metadata service does."""
    for name in NOWHERE:
        monkeypatch.delenv(name, raising=False)
    refused = Said({"error": "invalid_request", "error_description": "Identity not found"}, 400)

    async def check() -> None:
        routes = {"GET /metadata/identity/oauth2/token": refused}
        async with signing_in(tmp_path, routes, {}, auth="managed-identity") as (_, client, _):
            error = await failing(client.get("/environments"))
            assert isinstance(error, Unauthenticated)
            assert "Identity not found" in str(error)
            assert error.hint.startswith("Has this machine a managed identity?")

    run(check())


# --- the Azure CLI -------------------------------------------------------------------------------------


def install(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called ``az``, the first on the path."""
    program = directory / "az"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("tenant", [None, "tenant-7"])
def test_a_person_signs_in_by_the_azure_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tenant: str | None
) -> None:
    """For the tenant that is named, else for that of the subscription."""
    answer = json.dumps({"accessToken": "cli-token", "expires_on": int(NOW) + 3600, "tokenType": "Bearer"})
    install(tmp_path, f"echo \"$@\" > {tmp_path}/asked\necho '{answer}'", monkeypatch)

    async def check() -> None:
        more = {} if tenant is None else {"tenant_id": tenant}
        async with signing_in(tmp_path, {}, {}, auth="azure-cli", **more) as (watched, client, _):
            await client.get("/environments")
            assert watched.asked[0].headers["authorization"] == "Bearer cli-token"

    run(check())
    which = f"--tenant {tenant}" if tenant else f"--subscription {PLACE['subscription_id']}"
    asked = (tmp_path / "asked").read_text().strip()
    command = "account get-access-token --output json --resource https://management.azure.com"
    assert asked == f"{command} {which}"


def test_a_cli_that_gives_no_token_is_not_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may say what it was given. Without any, that is said."""
    install(tmp_path, "echo top-secret >&2; exit 1", monkeypatch)

    async def check() -> ProviderError:
        async with signing_in(tmp_path, {}, {}, auth="azure-cli") as (_, client, _):
            return await failing(client.get("/environments"))

    error = run(check())
    assert isinstance(error, Unauthenticated)
    assert "it ended with exit code 1" in str(error)
    assert "top-secret" not in str(error)
    assert error.hint.startswith("Sign in first: az login.")
    monkeypatch.setenv("PATH", "")
    assert "it is not installed" in str(run(check()))


# --- the vendor's library ------------------------------------------------------------------------------


def test_the_vendors_library_is_asked_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it finds: here a client secret in its own variables, which no authority takes."""
    for name, value in {**KEY, "AZURE_TENANT_ID": "not a tenant"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")

    async def check() -> None:
        async with signing_in(tmp_path, {}, {}, auth="azure-identity") as (watched, client, _):
            error = await failing(client.get("/environments"))
            assert isinstance(error, Unauthenticated)
            assert "azure-identity gives no token" in str(error)
            assert "s3cr3t-value" not in str(error)
            assert watched.asked == []

    run(check())


def test_the_token_of_the_vendors_library_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the Azure CLI, as far as this machine has any; for the cloud of the platform."""
    answer = {"accessToken": "cli-token", "expires_on": int(NOW) + 3600, "expiresOn": "2099-01-01 00:00:00"}
    install(tmp_path, f"echo '{json.dumps(answer)}'", monkeypatch)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")

    async def check() -> None:
        async with signing_in(tmp_path, {}, {}, auth="azure-identity") as (watched, client, _):
            await client.get("/environments")
            assert watched.asked[0].headers["authorization"] == "Bearer cli-token"

    run(check())


def test_an_extra_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what installs it."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)

    async def check() -> None:
        async with signing_in(tmp_path, {}, {}, auth="azure-identity") as (_, client, _):
            error = await failing(client.get("/environments"))
            assert isinstance(error, Unauthenticated)
            assert error.hint.startswith("pip install 'reconciler[azure]'")

    run(check())
