"""Datastores, blobs, and what is uploaded there."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from reconciler.providers.azureml.emulator import Options

BLOCK = {"x-ms-blob-type": "BlockBlob"}


@pytest.fixture
def place(platform: Any) -> Any:
    """Account, container and a SAS of the default datastore."""
    _, store = platform.ask("GET", "datastores/workspaceblobstore")
    body = {"expirableSecret": True, "expireAfterHours": 1}
    _, secret = platform.ask("POST", "datastores/workspaceblobstore/listSecrets", body)
    assert secret["secretsType"] == "Sas"
    properties = store["properties"]
    return properties["accountName"], properties["containerName"], secret["sasToken"]


def test_a_workspace_has_two_datastores_and_one_of_them_is_the_default(platform: Any) -> None:
    """Both in its own account."""
    _, listed = platform.ask("GET", "datastores")
    assert [one["name"] for one in listed["value"]] == ["workspaceblobstore", "workspaceartifactstore"]
    _, default = platform.ask("GET", "datastores", params={"isDefault": "true"})
    assert [one["name"] for one in default["value"]] == ["workspaceblobstore"]
    status, one = platform.ask("GET", "datastores/workspaceblobstore")
    assert (status, one["properties"]["datastoreType"], one["properties"]["endpoint"]) == (
        200,
        "AzureBlob",
        "core.windows.net",
    )
    status, workspace = platform.ask("GET", "")
    assert workspace["properties"]["storageAccount"].endswith(one["properties"]["accountName"])
    assert platform.ask("GET", "datastores/other")[0] == 404
    assert platform.ask("POST", "datastores/other/listSecrets")[0] == 404


@pytest.mark.parametrize("address", ["host", "path"])
def test_a_blob_is_put_read_and_described(platform: Any, place: Any, address: str) -> None:
    """Under the account's own host, and below a path of the platform."""
    account, container, sas = place
    base = {
        "host": f"https://{account}.blob.core.windows.net/{container}",
        "path": f"/_blob/{account}/{container}",
    }[address]
    url = f"{base}/LocalUpload/0f/ctx/Docker%20file?{sas}"

    def ask(method: str, url: str = url, **more: Any) -> Any:
        return platform.send(method, url, token="", **more)

    missing = ask("HEAD")
    assert (missing.status_code, missing.headers["x-ms-error-code"]) == (404, "BlobNotFound")
    assert ask("PUT", content=b"FROM x", headers=BLOCK).status_code == 201
    named = {"x-ms-meta-name": "env", "x-ms-meta-upload_status": "completed"}
    assert ask("PUT", f"{url}&comp=metadata", headers=named).status_code == 200
    head, get = ask("HEAD"), ask("GET")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "6")
    assert (get.status_code, get.content, get.headers["content-type"]) == (
        200,
        b"FROM x",
        "application/octet-stream",
    )
    for found in (head, get, ask("GET", f"{url}&comp=metadata")):
        assert {key: value for key, value in found.headers.items() if key.startswith("x-ms-meta-")} == named
        assert found.headers["content-md5"] == base64.b64encode(hashlib.md5(b"FROM x").digest()).decode()
    part = ask("GET", headers={"x-ms-range": "bytes=1-3"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"ROM", "bytes 1-3/6")
    assert ask("GET", headers={"range": "bytes=6-"}).status_code == 416
    listed = ask("GET", f"{base}?restype=container&comp=list&prefix=LocalUpload/&{sas}")
    assert "<Name>LocalUpload/0f/ctx/Docker file</Name>" in listed.text


def test_a_blob_can_be_put_only_when_there_is_none(platform: Any, place: Any) -> None:
    """If-None-Match: *."""
    account, container, sas = place
    url = f"/_blob/{account}/{container}/x?{sas}"
    once = {**BLOCK, "if-none-match": "*"}
    assert platform.send("PUT", url, content=b"1", headers=once).status_code == 201
    refused = platform.send("PUT", url, content=b"2", headers=once)
    assert (refused.status_code, refused.headers["x-ms-error-code"]) == (409, "BlobAlreadyExists")
    assert platform.send("GET", url).content == b"1"
    assert platform.send("PUT", url, content=b"2", headers=BLOCK).status_code == 201


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({}, "", "UnsupportedHeader"),
        (BLOCK, "&comp=block&blockid=x", "UnsupportedHeader"),
        ({**BLOCK, "content-md5": "x"}, "", "Md5Mismatch"),
    ],
)
def test_a_blob_that_is_put_in_another_way_is_refused(
    platform: Any, place: Any, headers: dict[str, str], query: str, code: str
) -> None:
    """Whole, or not at all."""
    account, container, sas = place
    response = platform.send(
        "PUT", f"/_blob/{account}/{container}/x?{sas}{query}", content=b"1", headers=headers
    )
    assert (response.status_code, response.headers["x-ms-error-code"]) == (400, code)


def test_a_signature_covers_one_container_for_some_time(platform: Any, place: Any) -> None:
    """403 otherwise: elsewhere, altered, too late, for what it does not allow, or none."""
    account, container, sas = place

    def status(
        account: str = account, container: str = container, sas: str = sas, method: str = "GET"
    ) -> int:
        return int(platform.send(method, f"/_blob/{account}/{container}/x?{sas}", token="").status_code)

    assert status() == 404
    wrong = [
        status(account="other"),
        status(container="other"),
        status(sas=sas.replace("sp=rcwl", "sp=rcwld")),
        status(sas=sas.replace("2026", "2027")),
        status(sas=""),
        status(sas="sig=x"),
        status(method="DELETE"),
    ]
    platform.wait(3599)
    assert (wrong, status()) == ([403] * 7, 404)
    platform.wait(1)
    assert status() == 403


def signed(method: str, path: str, account: str, key: str, headers: dict[str, str], query: str = "") -> str:
    """Authorization as the storage service documents it, for a request with these headers and no body."""
    lines = [method, *[""] * 11]
    lines += sorted(f"{name}:{value}" for name, value in headers.items() if name.startswith("x-ms-"))
    resource = f"/{account}{path}" + "".join(f"\n{name}:{value}" for name, value in sorted(parse_qsl(query)))
    digest = hmac.digest(base64.b64decode(key), "\n".join([*lines, resource]).encode(), "sha256")
    return f"SharedKey {account}:{base64.b64encode(digest).decode()}"


def test_a_datastore_may_tell_the_key_of_its_account(new_platform: Callable[..., Any]) -> None:
    """Each request is signed with it then, of its path as the client sees it."""
    platform = new_platform(options=Options(datastore_tells="key"))
    _, store = platform.ask("GET", "datastores/workspaceblobstore")
    status, secret = platform.ask("POST", "datastores/workspaceblobstore/listSecrets")
    account, container = store["properties"]["accountName"], store["properties"]["containerName"]
    assert (status, secret["secretsType"]) == (200, "AccountKey")
    headers = {"x-ms-date": "Sun, 01 Mar 2026 08:00:00 GMT", "x-ms-version": "2021-08-06", **BLOCK}
    for prefix, host in ((f"/_blob/{account}", ""), ("", f"https://{account}.blob.core.windows.net")):
        path = f"{prefix}/{container}/a%20b"
        authorization = signed("PUT", path, account, secret["key"], headers)
        done = platform.send(
            "PUT", f"{host}{path}", headers={**headers, "authorization": authorization}, token=""
        )
        assert done.status_code == 201
        wrong = authorization[:-3] + "AA="
        refused = platform.send("PUT", f"{host}{path}", headers={**headers, "authorization": wrong}, token="")
        assert refused.status_code == 403


def test_a_pending_upload_has_a_place_of_its_own(platform: Any) -> None:
    """Written by the address that leads here, and named by the one that the world knows."""
    body = {"pendingUploadType": "TemporaryBlobReference"}
    status, told = platform.ask("POST", "codes/c/versions/1/startPendingUpload", body)
    reference = told["blobReferenceForConsumption"]
    parts = urlsplit(reference["credential"]["sasUri"])
    account, container = parts.path.split("/")[2:4]
    assert (status, reference["blobUri"]) == (200, f"https://{account}.blob.core.windows.net/{container}")
    url = f"{parts.scheme}://{parts.netloc}{parts.path}/Dockerfile?{parts.query}"
    assert platform.send("PUT", url, content=b"FROM x", headers=BLOCK, token="").status_code == 201
    again = platform.ask("POST", "codes/c/versions/1/startPendingUpload", body)[1]
    assert again["pendingUploadId"] != told["pendingUploadId"]
    assert again["blobReferenceForConsumption"]["blobUri"] != reference["blobUri"]


class TestAssets:
    @pytest.mark.parametrize("family", ["codes", "data", "models", "components"])
    def test_they_are_put_read_listed_and_cannot_be_changed(self, platform: Any, family: str) -> None:
        """Apart from what is said about them."""
        properties = {"codeUri": "https://x.example.com/c", "properties": {"hash_sha256": "0f"}}
        status, made = platform.ask("PUT", f"{family}/c/versions/1", {"properties": properties})
        assert (status, made["type"].rsplit("/", 2)[1:]) == (201, [family, "versions"])
        assert platform.ask("GET", f"{family}/c/versions/1") == (200, made)
        told = {**properties, "description": "d"}
        status, changed = platform.ask("PUT", f"{family}/c/versions/1", {"properties": told})
        assert (status, changed["properties"]["description"]) == (200, "d")
        other = {"properties": {"codeUri": "https://x.example.com/other"}}
        assert platform.ask("PUT", f"{family}/c/versions/1", other)[0] == 409
        platform.ask("PUT", f"{family}/c/versions/2", other)
        assert platform.names(f"{family}/c/versions") == ["2", "1"]
        assert platform.names(f"{family}/c/versions", hash="0f", hashVersion="1") == ["1"]
        assert platform.names(family) == ["c"]
        assert platform.ask("GET", f"{family}/c")[1]["properties"]["latestVersion"] == "2"
        assert platform.ask("DELETE", f"{family}/c/versions/1")[0] == 200
        assert platform.ask("DELETE", f"{family}/c/versions/1")[0] == 204
        assert platform.ask("GET", f"{family}/c/versions/1")[0] == 404

    def test_a_connection_keeps_its_credentials_to_itself(self, platform: Any) -> None:
        """They are taken, not told; 200 for a new one."""
        properties = {"category": "PythonFeed", "target": "https://pypi.example.com", "authType": "PAT"}
        body = {"properties": {**properties, "credentials": {"pat": "s3cr3t"}}}
        status, made = platform.ask("PUT", "connections/feed", body)
        assert (status, made["properties"]) == (200, properties)
        assert platform.ask("GET", "connections/feed") == (200, made)
        assert platform.names("connections") == ["feed"]
        assert platform.ask("PUT", "connections/feed", {"properties": {"target": "x"}})[0] == 200
        assert platform.ask("DELETE", "connections/feed")[0] == 200
        assert platform.ask("DELETE", "connections/feed")[0] == 204
        assert platform.ask("GET", "connections/feed")[0] == 404
