"""Build contexts into blob storage: where the vendor's client puts them, once, whole, never by mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, unquote

import pytest
from azure.storage.blob import ContainerClient
from loopback import failing, run
from workspaces import (
    Said,
    Scripted,
    Watched,
    address,
    container_body,
    context,
    missing,
    page,
    refusal,
    served_by,
    settings,
    version_body,
    wanted,
)

from reconciler.core.attributes import Attributes
from reconciler.errors import Forbidden, NotFound, ReconcilerError, Rejected
from reconciler.providers.azureml.context import open_context
from reconciler.providers.azureml.provider import AzuremlProvider
from reconciler.providers.azureml.shared_key import signed

HOST = "acct.blob.core.windows.net"
CONTAINER = "azureml-blobstore-1111"
STORE = "/datastores/workspaceblobstore"
KEY = "dGhpcyBpcyBmYWtlIGtleQ=="
SAS = "sv=2021-06-08&se=2026-01-01T00%3A00%3A00Z&sr=c&sp=racwl&sig=abc%2Bdef%3D"


def datastore(**more: Any) -> dict[str, Any]:
    """A datastore as the service shows it."""
    said = {
        "datastoreType": "AzureBlob",
        "accountName": "acct",
        "containerName": CONTAINER,
        "endpoint": "core.windows.net",
        "protocol": "https",
    }
    return {"name": "workspaceblobstore", "properties": {**said, **more}}


class Storage:
    """A workspace by hand, and the blobs of its storage account, as far as an upload needs them."""

    def __init__(self, routes: Mapping[str, Any], *, refuse: str = "") -> None:
        self.blobs: dict[str, bytes] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.order: list[str] = []
        self.params: list[dict[str, str]] = []
        self.refuse = refuse
        self._arm = Scripted(routes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Blobs at the host of the account; all else at the resource manager."""
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        if headers["host"] != HOST:
            await self._arm(scope, receive, send)
            return
        body = (await receive())["body"]
        status, found = self._answer(scope, headers, body)
        pairs = [(f"x-ms-meta-{key}".encode(), value.encode()) for key, value in found.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": self.refuse.encode() if status > 299 else b""})

    def _answer(self, scope: Any, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        name = unquote(scope["path"]).removeprefix(f"/{CONTAINER}/LocalUpload/")
        query = {key: one[-1] for key, one in parse_qs(scope["query_string"].decode()).items()}
        self.params.append({**query, "authorization": headers.get("authorization", "")})
        assert headers["x-ms-version"]
        if self.refuse and scope["method"] == "PUT":
            return 403, {}
        if scope["method"] == "HEAD":
            return (200, self.metadata.get(name, {})) if name in self.blobs else (404, {})
        if query.get("comp") == "metadata":
            sent = {key[10:]: value for key, value in headers.items() if key.startswith("x-ms-meta-")}
            self.metadata[name] = sent
            self.order.append("metadata")
            return 200, {}
        assert headers["x-ms-blob-type"] == "BlockBlob"
        self.blobs[name] = body
        self.order.append(name)
        return 201, {}


ROUTES: dict[str, Any] = {
    f"GET {STORE}": datastore(),
    f"POST {STORE}/listSecrets": {"secretsType": "Sas", "sasToken": SAS},
    "GET /environments/lab": missing(),
    "PUT /environments/lab/versions/1": Said({}, 201),
}
MANIFEST = {"directory": "docker/train"}


def write_context(stack: Path) -> str:
    """A build context; the part of its address that says what is in it."""
    (stack / "docker/train/wheels").mkdir(parents=True, exist_ok=True)
    (stack / "docker/train/Dockerfile").write_bytes(b"FROM python:3.11\nCOPY wheels wheels\n")
    (stack / "docker/train/wheels/my lib-1.0.whl").write_bytes(b"PK wheel")
    (stack / "docker/train/a.txt").write_bytes(b"a")
    return f"{open_context(MANIFEST, stack).digest()}/train"


def built(uri: str, **more: Any) -> Attributes:
    """An environment of a local build context."""
    build = {"context_uri": uri, "dockerfile": "Dockerfile"}
    return wanted(image=None, conda=None, build=build, **{"context": MANIFEST, **more})


def address_of(named: str) -> str:
    """Where a context goes."""
    return f"https://{HOST}/{CONTAINER}/LocalUpload/{named}/"


def storing(
    stack: Path, routes: Mapping[str, Any] | None = None, *, refuse: str = "", **table: Any
) -> tuple[Storage, Any]:
    """A storage account, and the provider that uploads there."""
    storage = Storage({**ROUTES, **(routes or {})}, refuse=refuse)
    return storage, served_by(storage, stack, **table)


def test_a_context_is_uploaded_before_the_version_is_made(tmp_path: Path) -> None:
    """Every file under the address; the last is marked when all are there. Then the version names it."""
    named = write_context(tmp_path)
    storage, opened = storing(tmp_path)

    async def check() -> None:
        async with opened as (watched, provider):
            await provider.create(address("lab"), built(address_of(named)), key="k")
            assert storage.blobs == {
                f"{named}/Dockerfile": b"FROM python:3.11\nCOPY wheels wheels\n",
                f"{named}/a.txt": b"a",
                f"{named}/wheels/my lib-1.0.whl": b"PK wheel",
            }
            last = f"{named}/wheels/my lib-1.0.whl"
            assert storage.order[-2:] == [last, "metadata"]
            assert storage.metadata == {last: {"name": "lab", "version": "1", "upload_status": "completed"}}
            assert watched.calls[-1] == "PUT /environments/lab/versions/1"
            build = watched.asked[-1].properties["build"]
            assert build == {"contextUri": address_of(named), "dockerfilePath": "Dockerfile"}

    run(check())


def test_the_same_content_is_sent_once(tmp_path: Path) -> None:
    """Also where another environment, or the vendor's client, sent it."""
    named = write_context(tmp_path)
    routes = {"GET /environments/two": missing(), "PUT /environments/two/versions/1": Said({}, 201)}
    storage, opened = storing(tmp_path, routes)

    async def check() -> None:
        async with opened as (watched, provider):
            await provider.create(address("lab"), built(address_of(named)), key="k")
            storage.order.clear()
            await provider.create(address("two"), built(address_of(named), name="two"), key="k")
            assert storage.order == []
            assert watched.calls.count(f"POST {STORE}/listSecrets") == 1
            assert watched.calls.count(f"GET {STORE}") == 1

    run(check())


def test_an_upload_that_broke_off_is_made_whole(tmp_path: Path) -> None:
    """Without the mark on its last file it is sent again."""
    named = write_context(tmp_path)
    storage, opened = storing(tmp_path)
    storage.blobs[f"{named}/wheels/my lib-1.0.whl"] = b"half"

    async def check() -> None:
        async with opened as (_, provider):
            await provider.create(address("lab"), built(address_of(named)), key="k")
            assert storage.blobs[f"{named}/wheels/my lib-1.0.whl"] == b"PK wheel"
            assert len(storage.blobs) == 3

    run(check())


def test_a_context_of_single_files_is_uploaded(tmp_path: Path) -> None:
    """Text of the spec and files of the stack."""
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/x.whl").write_bytes(b"PK")
    manifest = {"files": {"Dockerfile": {"text": "FROM x\n"}, "wheels/x.whl": {"path": "dist/x.whl"}}}
    named = f"{open_context(manifest, tmp_path).digest()}/context"
    storage, opened = storing(tmp_path)

    async def check() -> None:
        async with opened as (_, provider):
            attributes = built(address_of(named), context=manifest)
            await provider.create(address("lab"), attributes, key="k")
            assert storage.blobs == {f"{named}/Dockerfile": b"FROM x\n", f"{named}/wheels/x.whl": b"PK"}

    run(check())


def test_a_context_that_changed_since_the_plan_is_not_sent(tmp_path: Path) -> None:
    """Its address would lie: nothing is written anywhere."""
    named = write_context(tmp_path)
    storage, opened = storing(tmp_path)
    (tmp_path / "docker/train/a.txt").write_bytes(b"b")

    async def check() -> None:
        async with opened as (watched, provider):
            error = await failing(provider.create(address("lab"), built(address_of(named)), key="k"))
            assert isinstance(error, Rejected)
            assert "the build context of lab changed since the plan was made" in str(error)
            assert storage.order == []
            assert watched.writes == []

    run(check())


def test_a_file_that_changes_while_it_is_sent_marks_nothing(tmp_path: Path) -> None:
    """What is at an address is what its hash says, for everybody who wants that."""
    named = write_context(tmp_path)

    class Busy(Storage):
        """A storage account; while it is asked, somebody saves a file."""

        def _answer(self, scope: Any, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
            if scope["method"] == "HEAD":
                (tmp_path / "docker/train/a.txt").write_bytes(b"not reviewed")
            return super()._answer(scope, headers, body)

    storage = Busy(ROUTES)

    async def check() -> None:
        async with served_by(storage, tmp_path) as (watched, provider):
            error = await failing(provider.create(address("lab"), built(address_of(named)), key="k"))
            assert isinstance(error, Rejected)
            assert "the build context of lab changed since the plan was made" in str(error)
            assert storage.metadata == {}
            assert b"not reviewed" not in storage.blobs.values()
            assert "PUT /environments/lab/versions/1" not in watched.writes

    run(check())


def test_a_context_that_is_gone_is_named(tmp_path: Path) -> None:
    """With where it was looked for."""
    _, opened = storing(tmp_path)

    async def check() -> None:
        async with opened as (watched, provider):
            with pytest.raises(ReconcilerError, match="there is no 'docker/train'"):
                await provider.create(address("lab"), built(address_of("0a1b/train")), key="k")
            assert watched.writes == []

    run(check())


def test_an_address_of_another_datastore_is_refused(tmp_path: Path) -> None:
    """A saved plan knows the datastore of its day."""
    write_context(tmp_path)
    _, opened = storing(tmp_path)

    async def check() -> None:
        async with opened as (_, provider):
            uri = f"https://other.blob.core.windows.net/{CONTAINER}/LocalUpload/1/train/"
            error = await failing(provider.create(address("lab"), built(uri), key="k"))
            assert isinstance(error, Rejected)
            assert error.hint.startswith("The plan was made with another datastore.")

    run(check())


def test_a_version_that_exists_needs_no_upload(tmp_path: Path) -> None:
    """Going back works without the files of that day; and an address without a manifest is taken as it is."""
    uri = address_of("0a1b/train")
    routes = {
        "GET /environments/lab": container_body(latest="1", isArchived=True),
        "GET /environments/lab/versions": page(),
        "GET /environments/lab/versions/1": version_body(
            "1", image=None, build={"contextUri": uri, "dockerfilePath": "Dockerfile"}, isArchived=True
        ),
        "PUT /environments/lab": Said({}, 200),
        "PUT /environments/lab/versions/2": Said({}, 201),
        "GET /environments/lab/versions/2": [missing(), version_body("2")],
    }
    storage, opened = storing(tmp_path, routes)

    async def check() -> None:
        async with opened as (_, provider):
            await provider.create(address("lab"), built(uri), key="k")
            await provider.create(address("lab"), built(uri, version="2", context=None), key="k")
            assert storage.params == []

    run(check())


# --- the datastore and its secret ----------------------------------------------------------------------


def opening(tmp_path: Path, secret: Any, **more: Any) -> list[dict[str, str]]:
    """The parameters and the token of each request for a blob, given this secret."""
    named = write_context(tmp_path)
    storage, opened = storing(tmp_path, {f"POST {STORE}/listSecrets": secret}, **more)

    async def check() -> list[dict[str, str]]:
        async with opened as (_, provider):
            await provider.create(address("lab"), built(address_of(named)), key="k")
            return storage.params

    return run(check())


def test_a_signature_of_the_datastore_opens_it(tmp_path: Path) -> None:
    """As it was given, and without our token."""
    for params in opening(tmp_path, {"secretsType": "Sas", "sasToken": f"?{SAS}"}):
        assert params["sig"] == "abc+def="
        assert params["sp"] == "racwl"
        assert params["authorization"] == ""


class Signing(BaseHTTPRequestHandler):
    """Remembers the headers of what it is asked."""

    seen: ClassVar[list[tuple[str, str, dict[str, str]]]] = []

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.command, self.path, headers))
        self.send_response(200 if "comp=metadata" in self.path else 201)
        self.send_header("etag", '"1"')
        self.send_header("last-modified", "Thu, 09 Mar 2023 00:34:25 GMT")
        self.end_headers()

    do_PUT = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def test_an_account_key_signs_as_the_vendor_does() -> None:
    """Header for header what the vendor's own library sends is what we make of the same request."""
    Signing.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Signing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/acct/{CONTAINER}"
        with ContainerClient.from_container_url(
            url, credential={"account_name": "acct", "account_key": KEY}
        ) as client:
            blob = client.get_blob_client("LocalUpload/1/my lib-1.0+cu.whl")
            blob.upload_blob(b"content", overwrite=True)
            blob.set_blob_metadata({"upload_status": "completed"})
        server.shutdown()
    assert len(Signing.seen) == 2
    for (method, target, headers), body in zip(Signing.seen, (b"content", b""), strict=True):
        path, _, query = target.partition("?")
        date = parsedate_to_datetime(headers["x-ms-date"])
        ours = signed(
            "acct",
            KEY,
            method=method,
            path=path,
            params=dict(parse_qsl(query)),
            headers={key: one for key, one in headers.items() if key.startswith("x-ms-")},
            body=body if "content-type" in headers else None,
            content_type=headers.get("content-type", ""),
            now=date.timestamp(),
        )
        assert ours["authorization"] == headers["authorization"]
        assert ours["x-ms-date"] == headers["x-ms-date"]


def test_an_account_key_opens_the_datastore(tmp_path: Path) -> None:
    """By a signature of each request, not by our token."""
    for params in opening(tmp_path, {"secretsType": "AccountKey", "key": KEY}):
        assert "sig" not in params
        assert params["authorization"].startswith("SharedKey acct:")


@pytest.mark.parametrize("secret", [{"secretsType": "None"}, {"secretsType": "ServicePrincipal"}])
def test_a_datastore_of_identities_is_opened_by_our_own(tmp_path: Path, secret: dict[str, str]) -> None:
    """A token for storage, and no signature."""
    for params in opening(tmp_path, secret):
        assert "sig" not in params
        assert params["authorization"] == "Bearer token-1"


@pytest.mark.parametrize("cloud", ["AzureCloud", "AzureUSGovernment", "AzureChinaCloud"])
def test_a_token_for_storage_is_for_the_same_service_in_every_cloud(tmp_path: Path, cloud: str) -> None:
    """Its name does not change with the cloud, as that of the resource manager does."""
    named = write_context(tmp_path)
    storage = Storage({**ROUTES, f"POST {STORE}/listSecrets": {"secretsType": "None"}})

    async def check() -> None:
        async with served_by(storage, tmp_path, cloud=cloud) as (watched, provider):
            await provider.create(address("lab"), built(address_of(named)), key="k")
            forms = [parse_qs(one.body.decode()) for one in watched.asked if "oauth2" in one.path]
            assert forms[-1]["scope"] == ["https://storage.azure.com/.default"]

    run(check())


def test_secrets_of_the_datastore_are_kept_out_of_every_text(tmp_path: Path) -> None:
    """The key, the signature, the whole token."""
    named = write_context(tmp_path)
    secret = {"secretsType": "Sas", "sasToken": SAS}

    async def check() -> None:
        surroundings = context(tmp_path, {})
        storage = Watched(Storage({**ROUTES, f"POST {STORE}/listSecrets": secret}))
        provider = AzuremlProvider.open(settings(), surroundings, storage)
        await provider.create(address("lab"), built(address_of(named)), key="k")
        await provider.close()
        assert surroundings.secrets.mask(f"{SAS} abc+def=") == "(secret) (secret)"

    run(check())


def test_a_storage_account_that_lets_nobody_in_says_so(tmp_path: Path) -> None:
    """In its own words, with what may be wrong, and without the signature."""
    named = write_context(tmp_path)
    refuse = "<Error><Code>AuthorizationFailure</Code><Message>Not authorized.\nRequestId:1</Message></Error>"
    _, opened = storing(tmp_path, refuse=refuse)

    async def check() -> None:
        async with opened as (_, provider):
            error = await failing(provider.create(address("lab"), built(address_of(named)), key="k"))
            assert isinstance(error, Forbidden)
            assert "answered 403: AuthorizationFailure: Not authorized." in str(error)
            assert "sig" not in str(error)
            assert "Storage Blob Data Contributor" in error.hint

    run(check())


@pytest.mark.parametrize(
    ("answer", "kind", "what"),
    [
        (datastore(datastoreType="AzureDataLakeGen2"), Rejected, "is no blob container, but AzureData"),
        (datastore(accountName=None), Rejected, "is no blob container"),
        (missing("Could not find datastore"), NotFound, "Could not find datastore"),
        (refusal(403, "no", "AuthorizationFailed"), Forbidden, "AuthorizationFailed"),
    ],
)
def test_a_datastore_that_is_none_is_named(tmp_path: Path, answer: Any, kind: Any, what: str) -> None:
    """Before anything is sent there."""
    named = write_context(tmp_path)
    _, opened = storing(tmp_path, {f"GET {STORE}": answer})

    async def check() -> None:
        async with opened as (_, provider):
            error = await failing(provider.create(address("lab"), built(address_of(named)), key="k"))
            assert isinstance(error, kind)
            assert what in str(error)

    run(check())


def test_uploads_at_once_ask_for_one_secret(tmp_path: Path) -> None:
    """However many environments are made at the same time."""
    named = write_context(tmp_path)
    routes = {f"GET /environments/e{n}": missing() for n in range(5)}
    routes |= {f"PUT /environments/e{n}/versions/1": Said({}, 201) for n in range(5)}
    _, opened = storing(tmp_path, routes)

    async def check() -> None:
        async with opened as (watched, provider):
            await asyncio.gather(
                *(
                    provider.create(address(f"e{n}"), built(address_of(named), name=f"e{n}"), key="k")
                    for n in range(5)
                )
            )
            assert watched.calls.count(f"POST {STORE}/listSecrets") == 1
            assert watched.calls.count(f"GET {STORE}") == 1

    run(check())
