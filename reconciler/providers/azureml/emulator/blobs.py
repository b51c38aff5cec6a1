"""The blob storage behind a workspace: enough to upload a build context, and to look at it.

An account answers under its own name, ``ACCOUNT.blob.SUFFIX``, and under the
path ``/_blob/ACCOUNT`` of the platform. A caller shows a SAS, or signs with
the key of the account; both are made here and checked here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final
from urllib.parse import quote, urlencode, urlsplit
from xml.sax.saxutils import escape

from reconciler.providers.azureml.emulator.store import Platform, guid
from reconciler.providers.emulator import Answer, Call, Handler

__all__ = ["Blobs", "Keys", "keep"]

_API: Final = b"2021-08-06"

_SIGNED: Final = (
    b"content-encoding",
    b"content-language",
    b"content-length",
    b"content-md5",
    b"content-type",
    b"date",
    b"if-modified-since",
    b"if-match",
    b"if-none-match",
    b"if-unmodified-since",
    b"range",
)
"""Headers that a signature covers, in this order."""

_NEEDS: Final = {"GET": "r", "HEAD": "r", "PUT": "w", "DELETE": "d"}

_XML: Final = '<?xml version="1.0" encoding="utf-8"?>'

_RANGE: Final = re.compile(rb"bytes=([0-9]+)-([0-9]*)")


class Keys:
    """The keys of storage accounts, and the shared access signatures made with them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def account_key(self, account: str) -> str:
        """The key of an account; it is worked out, and not stored."""
        return base64.b64encode(bytes.fromhex(self._platform.signature(f"account {account}"))).decode()

    def uri(self, account: str, container: str) -> str:
        """The address of a container as the rest of the world knows it."""
        return f"https://{account}.blob.{self._platform.options.storage_suffix}/{container}"

    def sas(self, account: str, container: str, *, hours: int, may: str = "rcwl") -> str:
        """A token for one container."""
        now = self._platform.clock()
        fields = {
            "sv": _API.decode(),
            "spr": "https",
            "st": f"{now - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}",
            "se": f"{now + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}",
            "sr": "c",
            "sp": may,
        }
        return urlencode({**fields, "sig": self._signature(account, container, fields)})

    def _signature(self, account: str, container: str, fields: Mapping[str, str]) -> str:
        text = "\n".join(
            [account, container, *(fields.get(name, "") for name in ("sv", "st", "se", "sr", "sp"))]
        )
        return base64.b64encode(bytes.fromhex(self._platform.signature(text))).decode()

    def may(self, call: Call, account: str, container: str) -> bool:
        """Whether the caller may do this to something in the container."""
        query = call.query
        if "sig" not in query:
            return self._is_signed(call, account)
        now = f"{self._platform.clock():%Y-%m-%dT%H:%M:%SZ}"
        return (
            hmac.compare_digest(query["sig"], self._signature(account, container, query))
            and query.get("st", "") <= now < query.get("se", "")
            and _NEEDS.get(call.method, "-") in query.get("sp", "")
        )

    def _is_signed(self, call: Call, account: str) -> bool:
        scheme, _, shown = call.header(b"authorization").decode("latin-1").partition(" ")
        name, _, signature = shown.partition(":")
        if scheme != "SharedKey" or name != account:
            return False
        headers = dict(call.headers)
        length = headers.get(b"content-length", b"")
        lines = [call.method.encode()]
        lines += [
            b"" if name == b"content-length" and length == b"0" else headers.get(name, b"")
            for name in _SIGNED
        ]
        lines += sorted(b"%b:%b" % (name, value) for name, value in call.headers if name.startswith(b"x-ms-"))
        query = sorted(f"\n{name.lower()}:{value}" for name, value in call.query.items())
        path = quote(call.path, safe="/-_.~!$&'()*+,;=:@")
        # Under its own host an account is not in the path, below a prefix it is. A client signs what it sees.
        mount = urlsplit(call.origin).path
        for seen in {mount + path, path.removeprefix(f"/_blob/{account}")}:
            resource = f"/{account}{seen}"
            text = b"\n".join([*lines, f"{resource}{''.join(query)}".encode()])
            made = base64.b64encode(hmac.digest(base64.b64decode(self.account_key(account)), text, "sha256"))
            if hmac.compare_digest(made.decode(), signature):
                return True
        return False


def keep(
    db: sqlite3.Connection, address: tuple[str, str, str], content: bytes, now: int, kind: str, metadata: str
) -> None:
    """Store a blob under account, container and name, whatever was there."""
    db.execute(
        "INSERT OR REPLACE INTO azureml_blob VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*address, kind, now, metadata, content),
    )


class Blobs:
    """Answers what is asked of blobs."""

    def __init__(self, platform: Platform, keys: Keys) -> None:
        self._platform = platform
        self._keys = keys

    @property
    def handlers(self) -> dict[str, Handler]:
        """Who answers which method."""
        return {
            method: self._checked(handle)
            for method, handle in {
                "GET": self._get,
                "HEAD": self._get,
                "PUT": self._put,
                "DELETE": self._delete,
            }.items()
        }

    def _checked(self, handle: Handler) -> Handler:
        def checked(call: Call) -> Answer:
            if not call.params["container"]:
                return _error(400, "InvalidUri", "The requested URI does not represent any resource.")
            if self._keys.may(call, call.params["account"], call.params["container"]):
                return handle(call)
            return _error(
                403,
                "AuthenticationFailed",
                "Server failed to authenticate the request. Make sure the Authorization header is formed"
                " correctly including the signature.",
            )

        return checked

    def _address(self, call: Call) -> tuple[str, str, str]:
        return call.params["account"], call.params["container"], call.params["name"]

    def _get(self, call: Call) -> Answer:
        if call.query.get("comp") == "list":
            return self._list(call)
        found = self._platform.store.row(
            "SELECT kind, modified, metadata, content FROM azureml_blob"
            " WHERE account = ? AND container = ? AND name = ?",
            self._address(call),
        )
        if found is None:
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        kind, modified, metadata, content = found
        headers = (
            *_labels(modified, content),
            (b"content-type", kind.encode("latin-1")),
            (b"accept-ranges", b"bytes"),
            (b"x-ms-blob-type", b"BlockBlob"),
            *((f"x-ms-meta-{name}".encode(), value.encode()) for name, value in json.loads(metadata).items()),
        )
        if call.query.get("comp") == "metadata":
            return Answer(200, b"", headers)
        wanted = _RANGE.fullmatch(call.header(b"x-ms-range") or call.header(b"range"))
        if wanted is None or call.method == "HEAD":
            return Answer(200, content, headers)
        first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
        if first >= len(content):
            return _error(416, "InvalidRange", "The range is invalid for the current size of the resource.")
        part = content[first : last + 1]
        span = f"bytes {first}-{first + len(part) - 1}/{len(content)}".encode()
        return Answer(206, part, (*headers, (b"content-range", span)))

    def _list(self, call: Call) -> Answer:
        account, container, _ = self._address(call)
        prefix = call.query.get("prefix", "")
        rows = self._platform.store.rows(
            "SELECT name, modified, length(content) FROM azureml_blob"
            " WHERE account = ? AND container = ? AND substr(name, 1, ?) = ? ORDER BY name",
            (account, container, len(prefix), prefix),
        )
        blobs = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_date(modified)}</Last-Modified>"
            f"<Content-Length>{length}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
            for name, modified, length in rows
        )
        text = (
            f'{_XML}<EnumerationResults ContainerName="{escape(container)}">'
            f"<Prefix>{escape(prefix)}</Prefix><Blobs>{blobs}</Blobs><NextMarker /></EnumerationResults>"
        )
        return Answer(200, text.encode(), ((b"content-type", b"application/xml"), (b"x-ms-version", _API)))

    def _put(self, call: Call) -> Answer:
        if call.query.get("restype") == "container":
            return Answer(201, b"", ((b"x-ms-version", _API),))
        what = call.query.get("comp", "")
        if what == "metadata":
            return self._put_metadata(call)
        if what or call.header(b"x-ms-blob-type") != b"BlockBlob":
            return _error(400, "UnsupportedHeader", "Only whole block blobs can be put here.")
        address = self._address(call)
        digest = call.header(b"content-md5")
        if digest and digest != _md5(call.body):
            return _error(400, "Md5Mismatch", "The MD5 value specified did not match the body.")
        kind = call.header(b"x-ms-blob-content-type") or b"application/octet-stream"
        now = self._platform.now()
        with self._platform.store.write() as db:
            exists = db.execute(
                "SELECT 1 FROM azureml_blob WHERE account = ? AND container = ? AND name = ?", address
            ).fetchone()
            if exists and call.header(b"if-none-match") == b"*":
                return _error(409, "BlobAlreadyExists", "The specified blob already exists.")
            keep(db, address, call.body, now, kind.decode("latin-1"), _metadata(call))
        return Answer(201, b"", _labels(now, call.body))

    def _put_metadata(self, call: Call) -> Answer:
        now = self._platform.now()
        with self._platform.store.write() as db:
            done = db.execute(
                "UPDATE azureml_blob SET metadata = ?, modified = ?"
                " WHERE account = ? AND container = ? AND name = ? RETURNING content",
                (_metadata(call), now, *self._address(call)),
            ).fetchall()
        if not done:
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        return Answer(200, b"", _labels(now, done[0][0]))

    def _delete(self, call: Call) -> Answer:
        with self._platform.store.write() as db:
            gone = db.execute(
                "DELETE FROM azureml_blob WHERE account = ? AND container = ? AND name = ?",
                self._address(call),
            ).rowcount
        if not gone:
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        return Answer(202, b"", ((b"x-ms-version", _API),))


def _metadata(call: Call) -> str:
    found = {
        name.removeprefix(b"x-ms-meta-").decode("latin-1"): value.decode("latin-1")
        for name, value in call.headers
        if name.startswith(b"x-ms-meta-")
    }
    return json.dumps(found, sort_keys=True)


def _md5(content: bytes) -> bytes:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest())


def _date(moment: int) -> str:
    return format_datetime(datetime.fromtimestamp(moment // 10_000_000, UTC), usegmt=True)


def _labels(modified: int, content: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"etag", b'"0x%X"' % modified),
        (b"last-modified", _date(modified).encode()),
        (b"content-md5", _md5(content)),
        (b"x-ms-request-id", guid(f"blob {modified}").encode()),
        (b"x-ms-version", _API),
    )


def _error(status: int, code: str, message: str) -> Answer:
    text = f"{_XML}<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(
        status,
        text.encode(),
        ((b"content-type", b"application/xml"), (b"x-ms-error-code", code.encode()), (b"x-ms-version", _API)),
    )
