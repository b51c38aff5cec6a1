"""What ``[platforms.NAME]`` may say for Run:ai."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest

from reconciler.providers.runai.settings import Settings
from reconciler.providers.runai.settings_model import read_settings

DEFAULTS: dict[str, Any] = {
    "endpoint": "embedded",
    "client_id": None,
    "client_secret": None,
    "token_api": "auto",
    "ca_file": None,
    "timeout_seconds": 60.0,
    "max_concurrency": None,
    "requests_per_second": None,
    "patience_seconds": None,
    "faults": [],
}


def read(text: str) -> tuple[dict[str, Any], list[tuple[tuple[str | int, ...], str]]]:
    """The settings, and what is wrong with them."""
    settings, problems = read_settings(tomllib.loads(text))
    return settings, [(problem.path, problem.summary) for problem in problems]


def test_an_endpoint_is_enough() -> None:
    """Everything else has a default."""
    assert read('endpoint = "embedded"') == (DEFAULTS, [])


def test_every_setting_survives_the_cache_and_arrives() -> None:
    """As JSON and back, into what the provider takes."""
    settings, problems = read(
        """
        endpoint = "https://tenant.run.ai/"
        client_id = { env = "RUNAI_CLIENT_ID" }
        client_secret = { command = ["pass", "show", "runai"] }
        token_api = "v2"
        ca_file = "authority.pem"
        timeout_seconds = 5
        max_concurrency = 8
        requests_per_second = 2.5
        patience_seconds = 0
        """
    )
    assert problems == []
    kept = msgspec.json.decode(msgspec.json.encode(settings))
    assert msgspec.convert(kept, Settings) == Settings(
        endpoint="https://tenant.run.ai",
        client_id={"env": "RUNAI_CLIENT_ID", "file": None, "command": None},
        client_secret={"env": None, "file": None, "command": ["pass", "show", "runai"]},
        token_api="v2",
        ca_file="authority.pem",
        timeout_seconds=5.0,
        max_concurrency=8,
        requests_per_second=2.5,
        patience_seconds=0.0,
    )


@pytest.mark.parametrize("endpoint", ["embedded", "https://tenant.run.ai", "http://127.0.0.1:8080/prefix"])
def test_an_address_is_taken_as_it_is(endpoint: str) -> None:
    """A prefix of the path, too; over plain HTTP only to this machine."""
    settings, problems = read(f'endpoint = "{endpoint}"')
    assert (settings["endpoint"], problems) == (endpoint, [])
    assert msgspec.convert(settings, Settings).is_embedded is (endpoint == "embedded")


NO_ADDRESS = "this is no address of a tenant"
ADDRESSES = {
    "": NO_ADDRESS,
    "tenant.run.ai": NO_ADDRESS,
    "Embedded": NO_ADDRESS,
    "ftp://tenant.run.ai": NO_ADDRESS,
    "https://": NO_ADDRESS,
    "https://[::1": NO_ADDRESS,
    "https://tenant.run.ai:port": NO_ADDRESS,
    "https://tenant.run.ai:99999": NO_ADDRESS,
    "https://tenant .run.ai": NO_ADDRESS,
    "https://tenant.run.ai/?tenant=1": NO_ADDRESS,
    "https://tenant.run.ai/#top": NO_ADDRESS,
    "http://tenant.run.ai": "the client secret would cross the network in clear",
    "http://localhost.example.com": "the client secret would cross the network in clear",
    "https://me:hunter@tenant.run.ai": "credentials do not belong into an address",
    "https://hunter@tenant.run.ai": "credentials do not belong into an address",
}


@pytest.mark.parametrize(("endpoint", "summary"), ADDRESSES.items(), ids=ADDRESSES)
def test_what_is_no_address_is_refused_without_showing_it(endpoint: str, summary: str) -> None:
    """It may hold a password."""
    assert read(f"endpoint = '{endpoint}'") == ({}, [(("endpoint",), summary)])


SETTINGS = {
    "client_id = ''": "`client_id` is text in quotes, or a reference",
    "client_id = 5": "`client_id` is text in quotes, or a reference",
    "client_secret = 'hunter'": "a secret must not stand here",
    "client_secret = 12345": "a secret must not stand here",
    "client_secret = ['hunter']": "a secret must not stand here",
    "client_secret = { env = 'A', file = 'b' }": "a secret has one source",
    "client_secret = { command = 'pass hunter' }": "`command` is a list: no shell reads it",
    "ca_file = ''": "`ca_file` must not be empty",
    "timeout_seconds = inf": "`timeout_seconds`: input should be a finite number",
    "patience_seconds = nan": "`patience_seconds`: input should be a finite number",
    "requests_per_second = inf": "`requests_per_second`: input should be a finite number",
    "max_concurrency = 257": "`max_concurrency` must be at most 256, not 257",
    "hologram = true": "unknown key `hologram`",
    "faults = [{ on = '* *', rate = 2 }]": 'fault "* *": rate must be between 0 and 1',
    "faults = [{ on = '* *', message = 2026-01-01 }]": 'fault "* *": message must be a string',
}


@pytest.mark.parametrize(("text", "summary"), SETTINGS.items(), ids=SETTINGS)
def test_what_no_setting_can_be_is_refused(text: str, summary: str) -> None:
    """With a place, and without a secret in the words."""
    settings, problems = read(f'endpoint = "embedded"\n{text}')
    assert settings == {}
    assert [found for _, found in problems] == [summary]
    assert problems[0][0][0] == text.split(" ")[0]


def test_faults_are_for_an_embedded_platform() -> None:
    """A real tenant has its own."""
    text = 'endpoint = "{}"\nfaults = [{{ on = "GET *", status = 503 }}]'
    settings, problems = read(text.format("embedded"))
    assert (settings["faults"], problems) == ([{"on": "GET *", "status": 503}], [])
    _, problems = read(text.format("https://tenant.run.ai"))
    assert problems == [(("faults",), "`faults` are for an embedded platform only")]
