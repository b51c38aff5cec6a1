"""Build contexts into blob storage: where the vendor's client puts them, once for each content.

The address of a context holds the hash of its content, so what is there need
not be sent again. That it is there whole is said by metadata of its last file,
which is written when all others are. Source: vendor client azure-ai-ml 1.35.2.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from reconciler.core.ports import SecretSource
from reconciler.errors import ListingIncomplete, NotFound, ProviderError, Rejected
from reconciler.providers.azureml import api
from reconciler.providers.azureml.arm import Arm
from reconciler.providers.azureml.context import ContextFile, open_context
from reconciler.providers.azureml.conversion import context_address
from reconciler.providers.azureml.environments import gathered
from reconciler.providers.azureml.shared_key import signed
from reconciler.providers.http import HttpClient

__all__ = ["Uploads", "explain_blob"]

_ROOM: Final = "LocalUpload"
_VERSION: Final = "2021-08-06"
_BYTES: Final = "application/octet-stream"
_SECRET_SECONDS: Final = 3600
_SHORTEST_LEFT: Final = 600.0
_DONE: Final = "completed"
_MOST_AT_ONCE: Final = 4
_XML = re.compile(rb"<(Code|Message)>([^<]*)</\1>")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where uploads go: ``base`` as it stands in addresses; ``path``, below ``prefix``, as it is asked."""

    base: str
    prefix: str
    path: str
    account: str
    client: HttpClient


@dataclass(frozen=True, slots=True)
class _Pass:
    """What opens the container: a shared access signature, the key of the account, or else our own token."""

    until: float
    params: Mapping[str, str] = field(default_factory=dict)
    key: str = ""


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
        sums: dict[str, bytes] = {}
        if context.digest(sums) != hashed:
            raise self._changed(name)
        prefix = f"{place.path}/{_ROOM}/{uri.removeprefix(start)}"
        *others, last = context.files
        if await self._is_whole(place, prefix + quote(last.name)):
            return
        room = asyncio.Semaphore(_MOST_AT_ONCE)

        async def send(file: ContextFile) -> None:
            async with room:
                content = await asyncio.to_thread(file.read)
                if hashlib.sha256(content).digest() != sums[file.name]:
                    # Marked as whole, it would be what everybody gets who wants that hash.
                    raise self._changed(name)
                await self._put(place, prefix + quote(file.name), content)

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

    def _changed(self, name: str) -> Rejected:
        return Rejected(
            f"{self._arm.platform}: the build context of {name} changed since the plan was made",
            platform=self._arm.platform,
            hint="No version was made. Make the plan again.",
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
        secret = await self._opened()
        every = {"x-ms-version": _VERSION, **headers}
        if secret.key:
            every = signed(
                place.account,
                secret.key,
                method=method,
                path=f"{place.prefix}{path}",
                params=params,
                headers=every,
                body=body,
                content_type=_BYTES,
                now=self._clock(),
            )
        try:
            answer = await place.client.request(
                method,
                path,
                params={**params, **secret.params},
                headers=every,
                body=body,
                content_type=_BYTES,
                repeatable=True,  # the same bytes at the same place
                signed=not (secret.params or secret.key),
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
        prefix = urlsplit(asked).path.rstrip("/")
        return _Place(base, prefix, f"/{said.container_name}", said.account_name, self._connect(asked))

    async def _opened(self) -> _Pass:
        async with self._asking:
            if self._pass is None or self._pass.until - self._clock() < _SHORTEST_LEFT:
                self._pass = await self._secret()
            return self._pass

    async def _secret(self) -> _Pass:
        body = await self._arm.post(
            f"{self._path}/listSecrets", {"expirableSecret": True, "expireAfterHours": 1}
        )
        until = self._clock() + _SECRET_SECONDS
        try:
            secret = msgspec.json.decode(body, type=api.StoreSecret)
        except api.UNREADABLE:
            secret = api.StoreSecret("None")
        if secret.secrets_type == "Sas" and secret.sas_token:
            params = dict(parse_qsl(secret.sas_token.removeprefix("?"), keep_blank_values=True))
            self._secrets.learn(secret.sas_token)
            self._secrets.learn(params.get("sig", ""))
            return _Pass(until, params)
        if secret.secrets_type == "AccountKey" and secret.key:
            self._secrets.learn(secret.key)
            return _Pass(until, key=secret.key)
        return _Pass(until)  # it lets in identities


def explain_blob(body: bytes) -> str:
    """What an error of the blob service says."""
    found = dict(_XML.findall(body))
    parts = [found.get(name, b"").decode("utf-8", "replace") for name in (b"Code", b"Message")]
    return ": ".join(filter(None, (parts[0], parts[1].partition("\n")[0])))
