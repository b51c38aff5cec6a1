"""What goes for every request: addresses, versions of the API, headers, limits, faults, files."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.providers.azureml.emulator import Options, Registry, Workspace, create_app
from reconciler.providers.emulator import DroppedConnection, Fault

SUB = "00000000-0000-4000-8000-000000000001"
GROUP = f"/subscriptions/{SUB}/resourceGroups/embedded"
ML = "providers/Microsoft.MachineLearningServices"


def test_every_version_of_the_api_is_accepted_and_none_is_not(platform: Any) -> None:
    """400 without."""
    for version in ("2022-05-01", "2023-04-01-preview", "2099-12-31"):
        assert platform.ask("GET", "environments", params={"api-version": version})[0] == 200
    response = platform.send("GET", f"{GROUP}/{ML}/workspaces/embedded/environments")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "MissingApiVersionParameter")
    assert platform.ask("GET", "environments", params={"api-version": ""})[0] == 400


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (
            f"/subscriptions/{SUB[:-1]}2/resourceGroups/embedded/{ML}/workspaces/embedded",
            "SubscriptionNotFound",
        ),
        (f"/subscriptions/{SUB}/resourceGroups/other/{ML}/workspaces/embedded", "ResourceGroupNotFound"),
        (f"{GROUP}/{ML}/workspaces/other/environments", "ResourceNotFound"),
        (f"{GROUP}/{ML}/registries/other/environments", "ResourceNotFound"),
        (f"{GROUP}/{ML}/workspaces/embedded/nothing", "NotFound"),
        (f"{GROUP}/{ML}/computes/x", "NotFound"),
        ("/subscriptions", "NotFound"),
        ("/nothing", "NotFound"),
        ("/", "NotFound"),
    ],
)
def test_what_is_not_there_is_not_there(platform: Any, path: str, code: str) -> None:
    """404, in the resource manager's own shape."""
    status, body = platform.ask("GET", path)
    assert (status, body["error"]["code"], sorted(body["error"])) == (404, code, ["code", "message"])


def test_an_address_fits_in_any_case_up_to_the_workspace(platform: Any) -> None:
    """Behind it names count."""
    platform.make("env")
    odd = f"/SUBSCRIPTIONS/{SUB.upper()}/resourcegroups/Embedded/{ML.upper()}/Workspaces/EMBEDDED"
    status, body = platform.ask("GET", f"{odd}/Environments/env/Versions/1")
    assert (status, body["id"]) == (200, f"{GROUP}/{ML}/workspaces/embedded/environments/env/versions/1")
    assert platform.ask("GET", f"{odd}/environments/Env/versions/1")[0] == 404


def test_there_are_the_workspaces_and_registries_that_are_wanted(new_platform: Callable[..., Any]) -> None:
    """Each with environments of its own."""
    one, two = Workspace(name="one"), Workspace(SUB, "second", "two", "westeurope")
    other = Workspace("11111111-0000-4000-8000-000000000001", "rg", "three")
    platform = new_platform(
        options=Options(workspaces=(one, two, other), registries=(Registry("reg", SUB, "second"),))
    )

    def names(path: str) -> list[str]:
        status, body = platform.ask("GET", f"{path}/workspaces")
        assert status == 200
        return [workspace["name"] for workspace in body["value"]]

    assert names(f"/subscriptions/{SUB}/{ML}") == ["one", "two"]
    assert names(f"/subscriptions/{SUB}/resourceGroups/second/{ML}") == ["two"]
    assert names(f"/subscriptions/{other.subscription}/{ML}") == ["three"]
    address = f"/subscriptions/{SUB}/resourceGroups/second/{ML}"
    body = {"properties": {"image": "example.com/base:1"}}
    assert platform.ask("PUT", f"{address}/workspaces/two/environments/env/versions/1", body)[0] == 201
    assert platform.ask("GET", f"{address}/registries/reg/environments/env/versions/1")[0] == 404
    assert platform.ask("GET", f"{GROUP}/{ML}/workspaces/one/environments/env/versions/1")[0] == 404


def test_a_workspace_says_what_belongs_to_it(platform: Any) -> None:
    """What a client reads of it."""
    status, body = platform.ask("GET", "")
    properties = body["properties"]
    assert (status, body["name"], body["location"], properties["v1LegacyMode"]) == (
        200,
        "embedded",
        "eastus",
        False,
    )
    assert uuid.UUID(properties["workspaceId"])
    assert properties["discoveryUrl"] == "https://azureml/discovery"
    assert properties["containerRegistry"].startswith(
        f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/"
    )
    assert platform.ask("GET", f"{GROUP}/{ML}/workspaces") == (200, {"value": [body]})


def test_answers_carry_the_usual_headers(platform: Any) -> None:
    """Whose budget it was, what to name in a ticket; where a thing is; never an ETag."""
    path = f"{GROUP}/{ML}/workspaces/embedded/environments/env/versions/1?api-version=2025-12-01"
    body = {"properties": {"image": "example.com/base:1"}}
    put, get = platform.send("PUT", path, json=body), platform.send("GET", path)
    missing, gone = platform.send("GET", path.replace("/1?", "/2?")), platform.send("DELETE", path)
    assert put.headers["location"] == f"https://azureml{path}"
    assert put.headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"
    assert get.headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"
    assert gone.headers["x-ms-ratelimit-remaining-subscription-deletes"] == "199"
    kinds = [one.headers["x-ms-response-type"] for one in (put, get, missing, gone)]
    assert kinds == ["standard", "standard", "error", "standard"]
    ids = {one.headers["x-ms-correlation-request-id"] for one in (put, get, missing, gone)}
    assert len(ids) == 4
    for one in (put, get, missing, gone):
        assert one.headers["cache-control"] == "no-cache"
        assert "x-ms-routing-request-id" in one.headers
        assert "x-request-time" in one.headers
        assert "etag" not in one.headers


def test_budgets_can_be_held_to(new_platform: Callable[..., Any]) -> None:
    """429 with Retry-After when a bucket is empty; the other ones are not touched, and it fills again."""
    platform = new_platform(options=Options(throttle=True))
    path = f"{GROUP}/{ML}/workspaces/embedded/environments/env?api-version=2025-12-01"
    for _ in range(200):
        assert platform.send("PUT", path, json={"properties": {}}).status_code == 201
    refused = platform.send("PUT", path, json={"properties": {}})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"]["code"] == "SubscriptionRequestsThrottled"
    assert refused.headers["x-ms-ratelimit-remaining-subscription-writes"] == "0"
    assert platform.send("GET", path).status_code == 200
    platform.wait(0.2)
    assert platform.send("PUT", path, json={"properties": {}}).status_code == 201


def test_what_a_path_does_not_do_is_405(platform: Any) -> None:
    """There is no PATCH."""
    response = platform.send(
        "PATCH", f"{GROUP}/{ML}/workspaces/embedded/environments/env?api-version=1", json={}
    )
    assert (response.status_code, response.json()["error"]["code"], response.headers["allow"]) == (
        405,
        "MethodNotAllowed",
        "DELETE, GET, PUT",
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "TooManyRequests"), (503, "ServerBusy"), (412, "PreconditionFailed"), (418, "UnknownError")],
)
def test_faults_speak_like_the_resource_manager(
    new_platform: Callable[..., Any], status: int, code: str
) -> None:
    """With Retry-After when it is told."""
    platform = new_platform(
        faults=[Fault("PUT */environments/*", status=status, retry_after=7, message="no")]
    )
    response = platform.send("PUT", f"{GROUP}/{ML}/workspaces/embedded/environments/e?api-version=1", json={})
    assert (response.status_code, response.json(), response.headers["retry-after"]) == (
        status,
        {"error": {"code": code, "message": "no"}},
        "7",
    )


def test_a_connection_can_be_cut_after_the_effect(new_platform: Callable[..., Any]) -> None:
    """The version is there; nobody was told."""
    platform = new_platform(faults=[Fault("PUT *", drop="after")])
    with pytest.raises(DroppedConnection):
        platform.make("env")
    assert platform.ask("GET", "environments/env/versions/1")[0] == 200


def test_a_file_keeps_all_and_two_apps_share_it(tmp_path: Path) -> None:
    """As two processes do; a token of one is good for the other. Workspaces can be added."""
    options = [Options(), Options(workspaces=(Workspace(), Workspace(name="second")))]
    first, second = (
        create_app(
            tmp_path / "azureml.sqlite",
            clock=lambda: datetime.now(UTC),
            new_id=lambda: str(uuid.uuid4()),
            options=one,
        )
        for one in options
    )

    async def run(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.request(method, path, **more)

    form = {
        "grant_type": "client_credentials",
        "client_id": "embedded",
        "client_secret": "embedded",
        "scope": "https://management.azure.com/.default",
    }
    token = asyncio.run(run(first, "POST", "/embedded/oauth2/v2.0/token", data=form)).json()["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    path = f"{GROUP}/{ML}/workspaces/embedded/environments/env/versions/1?api-version=1"
    body = {"properties": {"image": "example.com/base:1"}}
    assert asyncio.run(run(first, "PUT", path, json=body, headers=headers)).status_code == 201
    assert asyncio.run(run(second, "GET", path, headers=headers)).status_code == 200
    other = path.replace("workspaces/embedded/", "workspaces/second/")
    assert asyncio.run(run(second, "PUT", other, json=body, headers=headers)).status_code == 201


def test_an_app_is_made_with_its_faults(tmp_path: Path) -> None:
    """Cut connections raise inside a process."""
    app = create_app(
        None, clock=lambda: datetime.now(UTC), new_id=lambda: "x", faults=[Fault("* *", drop="before")]
    )

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            await client.get("/discovery")

    with pytest.raises(DroppedConnection):
        asyncio.run(run())


def test_nothing_is_logged_and_no_secret_is_stored(
    new_platform: Callable[..., Any], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Not the client's secret, not the password of an image registry, not the key of an account."""
    caplog.set_level(logging.DEBUG)
    platform = new_platform(tmp_path / "azureml.sqlite", options=Options(datastore_tells="key"))
    platform.make("env", condaFile="dependencies: [pip]")
    ems = f"/environment/v1.0{GROUP}/{ML}/workspaces/embedded/environments/env/versions/1/image"
    registry = platform.send("GET", ems).json()["dockerImage"]["registry"]
    key = platform.ask("POST", "datastores/workspaceblobstore/listSecrets")[1]["key"]
    connection = {"properties": {"target": "x", "credentials": {"username": "u", "password": "s3cr3t-9"}}}
    assert "s3cr3t-9" not in str(platform.ask("PUT", "connections/c", connection))
    platform.store.close()
    assert registry["password"]
    assert [record for record in caplog.records if record.name.startswith("reconciler")] == []
    stored = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    for secret in (registry["password"], key, "s3cr3t-9", platform.token):
        assert secret.encode() not in stored
        assert secret not in caplog.text
