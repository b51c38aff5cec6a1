"""What ``[platforms.NAME]`` may say for Azure ML."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest

from reconciler.providers.azureml.settings import Settings
from reconciler.providers.azureml.settings_model import read_settings

SUBSCRIPTION = "0b6a3f5e-77d1-4c57-9c0e-51a2d4f6b803"
WORKSPACE = f'subscription_id = "{SUBSCRIPTION}"\nresource_group = "ml"\nworkspace = "train"\n'


def read(text: str) -> tuple[dict[str, Any], list[tuple[tuple[str | int, ...], str]]]:
    """The settings, and what is wrong with them."""
    settings, problems = read_settings(tomllib.loads(text))
    return settings, [(problem.path, problem.summary) for problem in problems]


def settings(text: str) -> Settings:
    """As the provider gets them: out of the cache, which is JSON."""
    found, problems = read(text)
    assert problems == []
    return msgspec.convert(msgspec.json.decode(msgspec.json.encode(found)), Settings)


def test_an_embedded_platform_needs_nothing_else() -> None:
    """It is born with a workspace; a registry may stand in its place."""
    found = settings('endpoint = "embedded"')
    assert (found.is_embedded, found.workspace, found.registry, found.resource_group) == (
        True,
        "embedded",
        None,
        "embedded",
    )
    found = settings('endpoint = "embedded"\nregistry = "shared"')
    assert (found.workspace, found.registry) == (None, "shared")


CLOUDS = {
    "AzureCloud": "https://management.azure.com",
    "AzureUSGovernment": "https://management.usgovcloudapi.net",
    "AzureChinaCloud": "https://management.chinacloudapi.cn",
}


@pytest.mark.parametrize(("cloud", "endpoint"), CLOUDS.items())
def test_the_address_is_that_of_the_cloud(cloud: str, endpoint: str) -> None:
    """Unless the file gives another."""
    assert settings(f'{WORKSPACE}cloud = "{cloud}"').endpoint == endpoint
    assert settings(f'{WORKSPACE}cloud = "{cloud}"\nendpoint = "http://127.0.0.1:8080/"').endpoint == (
        "http://127.0.0.1:8080"
    )


def test_defaults_are_the_documented_ones() -> None:
    """What a file leaves out."""
    assert settings(WORKSPACE) == Settings(
        endpoint="https://management.azure.com",
        subscription_id=SUBSCRIPTION,
        resource_group="ml",
        workspace="train",
        registry=None,
        cloud="AzureCloud",
        api_version="2025-12-01",
        auth="client-secret",
        versions="auto",
        destroy="archive",
        datastore="workspaceblobstore",
        timeout_seconds=60.0,
    )


def test_every_setting_survives_the_cache_and_arrives() -> None:
    """As JSON and back, into what the provider takes."""
    found = settings(
        f"""
        subscription_id = "{SUBSCRIPTION.upper()}"
        resource_group = "ml.(x)_1"
        registry = "shared"
        cloud = "AzureChinaCloud"
        api_version = "2026-05-01-preview"
        tenant_id = "contoso.example"
        client_id = {{ env = "ID" }}
        client_secret = {{ command = ["pass", "show", "azure"] }}
        authority = "https://login.example.com/"
        versions = "hash"
        destroy = "delete"
        datastore = "mine"
        blob_endpoint = "https://blobs.example.com"
        ca_file = "authority.pem"
        timeout_seconds = 5
        max_concurrency = 8
        requests_per_second = 2.5
        patience_seconds = 0
        """
    )
    assert found == Settings(
        endpoint="https://management.chinacloudapi.cn",
        subscription_id=SUBSCRIPTION,
        resource_group="ml.(x)_1",
        registry="shared",
        cloud="AzureChinaCloud",
        api_version="2026-05-01-preview",
        auth="client-secret",
        tenant_id="contoso.example",
        client_id={"env": "ID", "file": None, "command": None},
        client_secret={"env": None, "file": None, "command": ["pass", "show", "azure"]},
        authority="https://login.example.com",
        versions="hash",
        destroy="delete",
        datastore="mine",
        blob_endpoint="https://blobs.example.com",
        ca_file="authority.pem",
        timeout_seconds=5.0,
        max_concurrency=8,
        requests_per_second=2.5,
        patience_seconds=0.0,
    )


WAYS = {
    "client-secret": 'tenant_id = "t"\nclient_id = "c"\nclient_secret = { env = "S" }',
    "workload-identity": 'tenant_id = "t"\nclient_id = "c"\nfederated_token_file = "/run/token"',
    "managed-identity": 'client_id = "c"',
    "azure-cli": 'tenant_id = "t"',
}


@pytest.mark.parametrize(("auth", "text"), WAYS.items())
def test_each_way_to_sign_in_has_its_settings(auth: str, text: str) -> None:
    """All of which the vendors' variables may give instead."""
    assert settings(f'{WORKSPACE}auth = "{auth}"\n{text}').auth == auth
    assert settings(f'{WORKSPACE}auth = "{auth}"').auth == auth


WRONG: dict[str, list[tuple[tuple[str, ...], str]]] = {
    "": [
        (("subscription_id",), "`subscription_id` is missing"),
        (("resource_group",), "`resource_group` is missing"),
        (("workspace",), "`workspace` is missing"),
    ],
    WORKSPACE + 'registry = "shared"': [(("registry",), "`workspace` and `registry` exclude each other")],
    WORKSPACE.replace(SUBSCRIPTION, "mine"): [
        (("subscription_id",), "'mine' is no id of a subscription: it is a UUID")
    ],
    WORKSPACE.replace("train", "x"): [(("workspace",), "'x' is not a valid `workspace`")],
    WORKSPACE + 'auth = "azure-cli"\nclient_secret = { env = "S" }': [
        (("client_secret",), "azure-cli has no `client_secret`")
    ],
    WORKSPACE + 'federated_token_file = "x"': [
        (("federated_token_file",), "client-secret has no `federated_token_file`")
    ],
    WORKSPACE + 'client_secret = "hunter2"': [(("client_secret",), "a secret must not stand here")],
    WORKSPACE + 'client_id = ""': [(("client_id",), "an id is text in quotes, or a reference")],
    WORKSPACE + 'api_version = "new"': [(("api_version",), "'new' is not a valid `api_version`")],
    WORKSPACE + 'endpoint = "management.azure.com"': [(("endpoint",), "this is no address")],
    WORKSPACE + 'endpoint = "http://management.azure.com"': [
        (("endpoint",), "the access token would cross the network in clear")
    ],
    WORKSPACE + 'blob_endpoint = "https://u:hunter2@x.example.com"': [
        (("blob_endpoint",), "credentials do not belong into an address")
    ],
    WORKSPACE + 'authority = "https://x.example.com/?a"': [(("authority",), "this is no address")],
    WORKSPACE + 'versions = "semver"': [(("versions",), "'semver' is not allowed here")],
    WORKSPACE + 'faults = [{ on = "GET *", status = 503 }]': [
        (("faults",), "`faults` are for an embedded platform only")
    ],
    'endpoint = "embedded"\nfaults = [{ on = "* *", rate = 2 }]': [
        (("faults", "0"), 'fault "* *": rate must be between 0 and 1')
    ],
    'endpoint = "embedded"\nhologram = true': [(("hologram",), "unknown key `hologram`")],
}


@pytest.mark.parametrize(("text", "said"), WRONG.items(), ids=range(len(WRONG)))
def test_what_no_setting_can_be_is_refused(text: str, said: list[tuple[tuple[str, ...], str]]) -> None:
    """With a place, and without a secret in the words."""
    _, problems = read(text)
    assert [(tuple(map(str, path)), summary) for path, summary in problems] == said
    assert "hunter2" not in str(problems)
