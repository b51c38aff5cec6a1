"""Build contexts into blob storage: where the vendor's client puts them, once for each content.

The address of a context holds the hash of its content, so what is there need
not be sent again. That it is there whole is said by metadata of its last file,
which is written when all others are. Source: vendor client azure-ai-ml 1.35.2.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import msgspec

from reconciler.core.ports import SecretSource
from reconciler.errors import ListingIncomplete, NotFound, ProviderError, Rejected
from reconciler.providers.azureml import api
from reconciler.providers.azureml.arm import Arm
from reconciler.providers.azureml.context import ContextFile, open_context
from reconciler.providers.azureml.conversion import context_address
from reconciler.providers.azureml.environments import gathered
from reconciler.providers.http import HttpClient

__all__ = ["Uploads", "explain_blob"]

_ROOM: Final = "LocalUpload"
_VERSION: Final = "2021-08-06"
_SAS_VERSION: Final = "2020-10-02"
_SAS_SECONDS: Final = 3600
_SHORTEST_LEFT: Final = 600.0
_DONE: Final = "completed"
_MOST_AT_ONCE: Final = 4
_XML = re.compile(rb"<(Code|Message)>([^<]*)</\1>")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where uploads go: ``base`` as it stands in addresses, ``path`` as it is asked."""

    base: str
    path: str
    account: str
    container: str
    client: HttpClient


@dataclass(frozen=True, slots=True)
class _Pass:
    """What opens the container: parameters of a shared access signature, or our own token without any."""

    params: Mapping[str, str]
    until: float


class Uploads:
    """Uploads into one datastore, which is asked for when it is first needed.

    *connect* makes the client for the blob service at an address.
    """

    def __init__(
        self,
        arm: Arm,
        root: api.Root,
        *,
        datastore: str,
        suffix: str,
        blob_endpoint: str | None,
        connect: Callable[[str], HttpClient],
        stack: Path,
        secrets: SecretSource,
        clock: Callable[[], float],
    ) -> None:
        self._arm = arm
        self._root = root
        self._path = f"{root.path}/datastores/{quote(datastore, safe='')}"
        self._datastore = datastore
        self._suffix = suffix
        self._endpoint = blob_endpoint
        self._connect = connect
        self._stack = stack
        self._secrets = secrets
        self._clock = clock
        self._place: _Place | None = None
        self._pass: _Pass | None = None
        self._asking = asyncio.Lock()

    async def close(self) -> None:
        """Give back connections."""
        if self._place is not None:
            await self._place.client.close()

    async def address(self, named: str) -> str:
        """The full address of the context ``HASH/DIRECTORY``."""
        place = await self._found()
        return f"{place.base}/{_ROOM}/{quote(named, safe='/')}/"

    async def ensure(self, uri: str, manifest: Mapping[str, Any] | None, *, name: str, version: str) -> None:
        """See to it that the context of *manifest* is at *uri*, whole.

        Without a manifest the address came from elsewhere, and stands for
        itself. Raises `Rejected` when the files are not those that the address
        was made of, and `ReconcilerError` when they are not there.
        """
        if manifest is None:
            return
        place = await self._found()
        start = f"{place.base}/{_ROOM}/"
        if not uri.startswith(start):
            raise Rejected(
                f"{self._arm.platform}: the build context of {name} does not go to {self._datastore}",
                platform=self._arm.platform,
                hint="The plan was made with another datastore. Make it again.",
            )
        context = open_context(manifest, self._stack)
        hashed = uri.removeprefix(start).partition("/")[0]
        if context.digest() != hashed:
            raise Rejected(
                f"{self._arm.platform}: the build context of {name} changed since the plan was made",
                platform=self._arm.platform,
                hint="Nothing was written. Make the plan again.",
            )
        prefix = f"{place.path}/{_ROOM}/{uri.removeprefix(start)}"
        *others, last = context.files
        if await self._is_whole(place, prefix + quote(last.name)):
            return
        room = asyncio.Semaphore(_MOST_AT_ONCE)

        async def send(file: ContextFile) -> None:
            async with room:
                await self._put(place, prefix + quote(file.name), await asyncio.to_thread(file.read))

        await gathered([send(file) for file in others])
        await send(last)
        await self._ask(
            place,
            "PUT",
            prefix + quote(last.name),
            {"comp": "metadata"},
            {"x-ms-meta-name": name, "x-ms-meta-version": version, "x-ms-meta-upload_status": _DONE},
            b"",
        )

    async def _is_whole(self, place: _Place, path: str) -> bool:
        try:
            headers = await self._ask(place, "HEAD", path, {}, {}, None)
        except NotFound:
            return False
        return headers.get("x-ms-meta-upload_status") == _DONE

    async def _put(self, place: _Place, path: str, content: bytes) -> None:
        await self._ask(place, "PUT", path, {}, {"x-ms-blob-type": "BlockBlob"}, content)

    async def _ask(
        self,
        place: _Place,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Mapping[str, str]:
        key = await self._opened(place)
        try:
            answer = await place.client.request(
                method,
                path,
                params={**params, **key.params},
                headers={"x-ms-version": _VERSION, **headers},
                body=body,
                content_type="application/octet-stream",
                repeatable=True,  # the same bytes at the same place
                signed=not key.params,
            )
        except NotFound:
            raise
        except ProviderError as error:
            if error.status != 403:
                raise
            hint = (
                f"The datastore {self._datastore} does not let this identity in: is its firewall open to "
                "this machine, and has the identity the role Storage Blob Data Contributor?"
            )
            raise type(error)(
                str(error), platform=error.platform, call=error.call, status=403, hint=hint
            ) from error
        return answer.headers

    # --- the datastore and its secret ---

    async def _found(self) -> _Place:
        async with self._asking:
            if self._place is None:
                self._place = self._placed(await self._arm.get(self._path))
            return self._place

    def _placed(self, body: bytes) -> _Place:
        try:
            said = msgspec.json.decode(body, type=api.Datastore).properties
        except api.UNREADABLE as error:
            raise ListingIncomplete(
                f"{self._arm.platform}: the datastore {self._datastore} cannot be understood",
                platform=self._arm.platform,
                hint="Nothing was decided. The API may be newer than this program.",
            ) from error
        if said.datastore_type != "AzureBlob" or not said.account_name or not said.container_name:
            raise Rejected(
                f"{self._arm.platform}: the datastore {self._datastore} is no blob container, but "
                f"{said.datastore_type}",
                platform=self._arm.platform,
                hint="Name one that is, as `datastore` of this platform.",
            )
        host = f"{said.protocol or 'https'}://{said.account_name}.blob.{said.endpoint or self._suffix}"
        base = context_address(f"{host}/{said.container_name}").rstrip("/")
        asked = self._endpoint or host
        return _Place(
            base, f"/{said.container_name}", said.account_name, said.container_name, self._connect(asked)
        )

    async def _opened(self, place: _Place) -> _Pass:
        async with self._asking:
            if self._pass is None or self._pass.until - self._clock() < _SHORTEST_LEFT:
                self._pass = await self._secret(place)
            return self._pass

    async def _secret(self, place: _Place) -> _Pass:
        body = await self._arm.post(
            f"{self._path}/listSecrets", {"expirableSecret": True, "expireAfterHours": 1}
        )
        until = self._clock() + _SAS_SECONDS
        try:
            secret = msgspec.json.decode(body, type=api.StoreSecret)
        except api.UNREADABLE:
            secret = api.StoreSecret("None")
        if secret.secrets_type == "Sas" and secret.sas_token:
            params = dict(parse_qsl(secret.sas_token.removeprefix("?"), keep_blank_values=True))
            self._secrets.learn(secret.sas_token)
        elif secret.secrets_type == "AccountKey" and secret.key:
            self._secrets.learn(secret.key)
            params = _signature(place, secret.key, self._clock())
        else:
            return _Pass({}, until)  # it lets in identities
        if "sig" in params:
            self._secrets.learn(params["sig"])
        return _Pass(params, until)


def _signature(place: _Place, key: str, now: float) -> dict[str, str]:
    """A shared access signature for the container, made with the account's key.

    Source: the vendor's documentation of service signatures, version 2020-10-02.
    """
    ends = datetime.fromtimestamp(now + _SAS_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    permissions, resource = "racwl", "c"
    fields = [
        permissions,
        "",  # from when: at once
        ends,
        f"/blob/{place.account}/{place.container}",
        "",  # stored policy
        "",  # addresses
        "https",
        _SAS_VERSION,
        resource,
        *[""] * 6,  # snapshot, and headers of answers
    ]
    secret = base64.b64decode(key)
    signed = hmac.new(secret, "\n".join(fields).encode(), hashlib.sha256).digest()
    return {
        "sv": _SAS_VERSION,
        "sr": resource,
        "sp": permissions,
        "se": ends,
        "spr": "https",
        "sig": base64.b64encode(signed).decode(),
    }


def explain_blob(body: bytes) -> str:
    """What an error of the blob service says."""
    found = dict(_XML.findall(body))
    parts = [found.get(name, b"").decode("utf-8", "replace") for name in (b"Code", b"Message")]
    return ": ".join(filter(None, (parts[0], parts[1].partition("\n")[0])))
