"""What stands around environments, on the embedded Azure ML: storage, jobs, images, registries."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from loopback import run
from workspaces import (
    WORKSPACE,
    Said,
    address,
    container_body,
    listed,
    live,
    made,
    missing,
    moved,
    refusal,
    resource,
    scripted,
    version_body,
    workspace,
)

from reconciler.core.attributes import LOOKUP
from reconciler.core.ports import Describer
from reconciler.providers.azureml.context import open_context
from reconciler.providers.azureml.emulator.options import Options
from reconciler.providers.azureml.provider import AzuremlProvider

MANIFEST = {"directory": "docker/train"}


def write_context(stack: Path) -> str:
    """A build context, and how a spec names it."""
    (stack / "docker/train").mkdir(parents=True, exist_ok=True)
    (stack / "docker/train/Dockerfile").write_bytes(b"FROM python:3.11\n")
    (stack / "docker/train/my file.txt").write_bytes(b"a")
    return f"{open_context(MANIFEST, stack).digest()}/train"


async def built(provider: AzuremlProvider, stack: Path) -> None:
    """Make an environment of a local build context, as a plan and its apply do."""
    build = {"context_uri": {LOOKUP: {"context": write_context(stack)}}, "dockerfile": "Dockerfile"}
    spec = resource(image=None, conda=None, build=build, context=MANIFEST)
    (found,) = (await provider.resolve([spec])).resources
    await provider.create(address("lab"), found.attributes, key="k")
    assert (await live(provider)).attributes["build"] == found.attributes["build"]


@pytest.mark.parametrize("tells", ["sas", "key"])
def test_a_build_context_arrives(tmp_path: Path, tells: Literal["sas", "key"]) -> None:
    """By a signature of the datastore's, and by its key; the second time nothing is sent."""

    async def check() -> None:
        async with workspace(tmp_path, options=Options(datastore_tells=tells)) as (watched, provider):
            await built(provider, tmp_path)
            sent = [call for call in watched.calls if call.startswith("PUT /azureml-blobstore-")]
            assert len(sent) == 3
            watched.asked.clear()
            await provider.delete(address("lab"), "lab")
            build = {"context_uri": {LOOKUP: {"context": write_context(tmp_path)}}, "dockerfile": "Other"}
            spec = resource(image=None, conda=None, build=build, context=MANIFEST)
            (found,) = (await provider.resolve([spec])).resources
            assert found.attributes["version"] == "2"
            await provider.create(address("lab"), found.attributes, key="k")
            assert [call for call in watched.writes if "blobstore" in call and "PUT" in call] == []

    run(check())


async def use(provider: AzuremlProvider, name: str, environment: str) -> None:
    """Start a job."""
    body = {"jobType": "Command", "command": "true", "environmentId": environment, "computeId": "c"}
    await provider._arm.put(f"{WORKSPACE}/jobs/{name}", {"properties": body})


def test_jobs_hold_the_versions_that_they_use(tmp_path: Path) -> None:
    """Old versions are put away but for those that a job runs with; the environment knows its users."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            for version in "234":
                await moved(provider, version=version)
            await use(provider, "j1", "azureml:lab:2")
            found = await provider.resolve([resource(image="python:3.14", keep_versions=1)])
            assert [one.remote.id for one in found.surplus] == ["lab:3", "lab:1"]
            assert len(found.warnings) == 1
            assert "version 2 is beyond keep_versions, and stays: job j1 (" in found.warnings[0]
            (user,) = (await live(provider, usage=True)).used_by or ()
            assert (user.kind, user.name, user.active) == ("job", "j1", True)
            assert user.status.endswith(", version 2")

    run(check())


def test_a_listing_for_people_tells_who_and_when(tmp_path: Path) -> None:
    """And which versions there are."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await moved(provider)
            await provider.delete(address("lab"), "lab:1")
            details = (await listed(provider, usage=True))["lab"].details
            assert details["versions"] == "2, 1 (archived)"
            assert details["created_at"]
            assert details["created_by"]
            assert "not_seen" not in details

    run(check())


# --- images --------------------------------------------------------------------------------------------


async def build_of(provider: AzuremlProvider) -> str:
    """What is said of the image of ``lab``."""
    assert isinstance(provider, Describer)
    return str((await provider.describe(await live(provider)))["build"])


def test_an_image_is_told_of(tmp_path: Path) -> None:
    """There is none to build, it is built at need, or it is there under its name."""

    async def check() -> None:
        async with workspace(tmp_path, options=Options(build_seconds=0.0)) as (watched, provider):
            await made(provider, conda=None)
            assert await build_of(provider) == "none: the image is used as it is"
            await moved(provider, version="2")
            said = await build_of(provider)
            assert said == "not built yet: that is done when a job or a deployment first needs it"
            assert not any("POST" in call for call in watched.writes if "oauth2" not in call)
            await provider.delete(address("lab"), "lab")
            await provider.delete(address("lab"), "lab:1")
        async with workspace(tmp_path / "two", options=Options(build_seconds=0.0)) as (_, provider):
            await built(provider, tmp_path / "two")
            assert "/azureml/azureml_" in await build_of(provider)

    (tmp_path / "two").mkdir()
    run(check())


@pytest.mark.parametrize("service", ["missing", "gone"])
def test_a_workspace_without_the_older_service_says_so(
    tmp_path: Path, service: Literal["missing", "gone"]
) -> None:
    """What is not known is no error."""

    async def check() -> None:
        async with workspace(tmp_path, options=Options(environment_service=service)) as (_, provider):
            await made(provider)
            assert (await build_of(provider)).startswith("unknown: ")

    run(check())


IMAGE = f"/environment/v1.0{WORKSPACE}/environments/lab/versions/1/image".replace(WORKSPACE, "")
PARTS: dict[str, Any] = {
    "GET /environments/lab": container_body(),
    "GET /environments/lab/versions": {"value": [version_body("1")]},
    "GET /environments/lab/versions/1": version_body("1", condaFile='{"dependencies": ["python"]}'),
    "GET /": {"properties": {"discoveryUrl": "https://eastus.api.example.com/discovery"}},
    "GET /discovery": {"experimentation": "https://eastus.api.example.com", "history": "x"},
}
SECRET = {"address": "reg.example.com", "username": "robot", "password": "registry-password"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {
                "imageExistsInRegistry": True,
                "dockerImage": {"name": "azureml/azureml_1", "registry": SECRET},
            },
            "reg.example.com/azureml/azureml_1",
        ),
        (
            {
                "imageExistsInRegistry": True,
                "dockerImage": {"name": "azureml/azureml_1", "registry": {"address": None}},
            },
            "azureml/azureml_1",
        ),
        ({"imageExistsInRegistry": True, "dockerImage": None}, "built"),
        (
            {"imageExistsInRegistry": False},
            "not built yet: that is done when a job or a deployment first needs it",
        ),
        (missing(), "unknown: the v1 environment service does not know this version"),
        (refusal(410, "gone"), "unknown: the v1 environment service does not know this version"),
        (refusal(400, "no"), "unknown: the v1 environment service answered 400"),
        (Said(b"?"), "unknown: the v1 environment service answered something else"),
    ],
)
def test_what_the_older_service_says_is_put_into_words(tmp_path: Path, answer: Any, said: str) -> None:
    """At its own host, with our token; the credentials that it sends along go nowhere."""
    routes = {**PARTS, f"GET {IMAGE}": answer}

    async def check() -> None:
        async with scripted(tmp_path, routes) as (watched, provider):
            assert await build_of(provider) == said
            hosts = {one.path: (one.headers["host"], "authorization" in one.headers) for one in watched.asked}
            assert hosts["/discovery"] == ("eastus.api.example.com", False)
            details = str(await provider.describe(await live(provider)))
            assert "registry-password" not in details
            assert "robot" not in details
            assert sum(one.path == "/discovery" for one in watched.asked) == 1

    run(check())


@pytest.mark.parametrize(
    "more",
    [
        {"GET /": {"properties": {"discoveryUrl": None}}},
        {"GET /": {"properties": {"discoveryUrl": "http://eastus.api.example.com/discovery"}}},
        {"GET /": refusal(403, "no", "AuthorizationFailed")},
        {"GET /discovery": {"experimentation": "http://eastus.api.example.com"}},
        {"GET /discovery": {"history": "https://eastus.api.example.com"}},
        {"GET /discovery": missing()},
        {"GET /discovery": Said(b"?")},
    ],
)
def test_our_token_is_shown_to_no_service_in_clear(tmp_path: Path, more: dict[str, Any]) -> None:
    """One that is not named, or not by https, is as good as none."""

    async def check() -> None:
        async with scripted(tmp_path, {**PARTS, **more}) as (watched, provider):
            assert (await build_of(provider)).startswith("unknown: ")
            shown = [one for one in watched.asked if "authorization" in one.headers]
            assert {one.headers["host"] for one in shown} == {"embedded"}

    run(check())


# --- registries ----------------------------------------------------------------------------------------


def test_environments_of_a_registry_live_as_those_of_a_workspace(tmp_path: Path) -> None:
    """Made, changed in place, moved on, archived, restored: each write is waited for."""
    registry = {"registry": "embedded-registry"}

    async def check() -> None:
        async with workspace(tmp_path, options=Options(operation_seconds=0.01), **registry) as (_, provider):
            first = await made(provider)
            assert first.attributes["tags"] == {"team": "vision"}
            await moved(provider)
            assert (await listed(provider))["lab"].attributes["version"] == "2"
            await provider.delete(address("lab"), "lab")
            assert await provider.read("environment", "lab") is None
            await provider.restore(address("lab"), "lab")
            assert (await live(provider)).attributes["version"] == "2"
            assert await build_of(provider) == "unknown: a registry has none"

    run(check())
