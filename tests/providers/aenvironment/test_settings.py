"""``[platforms.NAME]`` of AEnvironment, what becomes of it, and its page in the documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import rtoml
from hubs import context, opened
from pydantic import BaseModel

from reconciler.core.ports import Exporter
from reconciler.errors import UsageError
from reconciler.providers import discover
from reconciler.providers.aenvironment.plugin import PLUGIN
from reconciler.providers.aenvironment.settings import Settings
from reconciler.providers.aenvironment.settings_model import SettingsModel, read_settings
from reconciler.providers.aenvironment.spec import MODELS
from reconciler.providers.aenvironment.spec.environment import Artifact, Compute
from reconciler.providers.aenvironment.spec.rules import POD_TEMPLATES
from reconciler.providers.settings import is_private

PAGE = (Path(__file__).parents[3] / "docs" / "aenvironment.md").read_text()


def wrong(**table: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Where a table is wrong, and how. Each problem says what to do."""
    _, problems = read_settings(table)
    assert all(one.hint for one in problems)
    return [(one.path, one.summary) for one in problems]


def test_the_plugin_is_found_and_exports() -> None:
    """By the name that reconciler.toml gives."""
    plugin = discover()["aenvironment"]
    assert plugin is PLUGIN
    assert isinstance(plugin, Exporter)
    assert list(plugin.kinds) == ["environment", "service"]
    with pytest.raises(UsageError):
        plugin.export("aenv", "service", {})


def test_settings_have_their_defaults() -> None:
    """The model, which is imported only to check, and the value that is kept agree."""
    found, problems = read_settings({"endpoint": "embedded"})
    assert (problems, Settings(**found)) == ((), Settings("embedded"))


@pytest.mark.parametrize(
    "address",
    [
        "https://envhub.example.com",
        "http://envhub.example.com:8083",
        "https://example.com/aenv/hub",
        "http://[::1]:8083",
    ],
)
def test_an_address_may_have_a_port_and_a_path(address: str) -> None:
    """Without a key http is what EnvHub itself speaks; a slash at the end means nothing."""
    found, problems = read_settings({"endpoint": f"{address}/", "api_service": address})
    assert (problems, found["endpoint"], found["api_service"]) == ((), address, address)


@pytest.mark.parametrize(
    "address",
    ["envhub.example.com", "ftp://example.com", "https://", "https://a b", "https://a?b", "http://a:0", ""],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """For either server."""
    said = "this is no address of a server"
    assert wrong(endpoint=address) == [(("endpoint",), said)]
    assert wrong(endpoint="embedded", api_service=address) == [(("api_service",), said)]


def test_a_key_never_crosses_the_network_in_clear() -> None:
    """Of either server; this very machine is no network."""
    key = {"env": "KEY"}
    said = "the API key would cross the network in clear"
    assert wrong(endpoint="http://a.example.com", api_key=key) == [(("endpoint",), said)]
    assert wrong(endpoint="https://a.example.com", api_service="http://a.example.com", api_key=key) == [
        (("api_service",), said)
    ]
    assert wrong(endpoint="http://127.0.0.1:80", api_service="http://localhost", api_key=key) == []
    assert [is_private(one) for one in ("embedded", "https://a", "http://a", "http://[::1]")] == [
        True,
        True,
        False,
        True,
    ]


def test_limits_are_looked_at() -> None:
    """Each number has its range; faults and a second address are not for every platform."""
    assert [path for path, _ in wrong(endpoint="embedded", timeout_seconds=0, ready_timeout_seconds=-1)] == [
        ("timeout_seconds",),
        ("ready_timeout_seconds",),
    ]
    assert wrong(endpoint="https://a.example.com", faults=[{"on": "GET *", "status": 503}]) == [
        (("faults",), "`faults` are for an embedded platform only")
    ]
    assert wrong(endpoint="embedded", faults=[{"on": 5}])[0][0] == ("faults", 0)
    assert wrong(endpoint="embedded", api_service="https://a.example.com") == [
        (("api_service",), "an embedded platform has an api-service of its own")
    ]


def test_opening_sends_nothing(tmp_path: Path) -> None:
    """Not even where nobody answers."""
    provider = opened(context(tmp_path), endpoint="http://127.0.0.1:1", api_service="http://127.0.0.1:1")
    assert (provider.name, provider.patience) == ("aenv", 30.0)
    assert opened(context(tmp_path), patience_seconds=1.5).patience == 1.5


@pytest.mark.parametrize(
    "model", [*MODELS.values(), SettingsModel, Compute, Artifact], ids=lambda model: model.__name__
)
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    """docs/aenvironment.md names each field that a file may have."""
    assert {name for name in model.model_fields if not re.search(rf"\b{name}\b", PAGE)} == set()


def test_the_page_tells_the_truth() -> None:
    """Its TOML is TOML, and the pod templates that it names are those."""
    for block in re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        rtoml.loads(block)
    assert "dualContainer" in POD_TEMPLATES and "`dualContainer`" in PAGE
