"""What EnvHub knows of code and data: presigned addresses, the bucket behind them, and benchmark images.

The bucket is a third host in reality. Here it answers below ``/oss`` of the
EnvHub that signed, so that an address works wherever the EnvHub does.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote

from reconciler.providers.aenvironment.emulator.answers import done, microseconds, refuse
from reconciler.providers.aenvironment.emulator.store import find, keep, setting
from reconciler.providers.emulator import Answer, Call, Store

_LIFETIME: Final = 3600
"""Seconds an address is good for."""


_READABLE: Final = b"public-read-write"
"""The access list that uploads have to ask for: it is part of the signature."""


_XML: Final = ((b"content-type", b"application/xml"),)


class Archives:
    """The calls around archives of code."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], *, bucket: bool, images: dict[str, str]
    ) -> None:
        self._store = store
        self._clock = clock
        self._bucket = bucket
        self._images = images

    def sign(self, call: Call) -> Answer:
        """POST /env/{name}/{version}/sign: an address to write to, or with ``style=read`` to read from.

        The environment need not exist.
        """
        if not self._bucket:
            return refuse(503, "OSS storage is not configured")
        method = "GET" if call.query.get("style") == "read" else "PUT"
        name = f"{call.params['name']}-{call.params['version']}.tar"
        expires = str(microseconds(self._clock()) // 1_000_000 + _LIFETIME)
        with self._store.write() as db:
            signature = _signature(db, method, name, expires)
        host = call.header(b"host").decode("latin-1")
        return done(f"http://{host}/oss/aenv/{quote(name)}?Expires={expires}&Signature={signature}")

    def upload(self, call: Call) -> Answer:
        """PUT to a signed address."""
        with self._store.write() as db:
            if not self._is_signed(db, "PUT", call) or call.header(b"x-oss-object-acl") != _READABLE:
                return _DENIED
            keep(db, "archive", call.params["name"], call.body, microseconds(self._clock()))
        return Answer(200, b"", ())

    def download(self, call: Call) -> Answer:
        """GET from a signed address."""
        with self._store.write() as db:
            if not self._is_signed(db, "GET", call):
                return _DENIED
            content = find(db, "archive", call.params["name"])
        if content is None:
            return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>", _XML)
        return Answer(200, content, ((b"content-type", b"application/octet-stream"),))

    def data(self, call: Call) -> Answer:
        """GET /data: the image of one instance of a benchmark, or null."""
        scenario, instance = call.query.get("scenario"), call.query.get("instance")
        if not scenario or not instance:
            return refuse(400, "Invalid scenario or instance")
        image = self._images.get(instance) if scenario == "swebench" else None
        return done(image and {"image": image, "instance": instance})

    def _is_signed(self, db: sqlite3.Connection, method: str, call: Call) -> bool:
        expires, given = call.query.get("Expires", ""), call.query.get("Signature", "")
        wanted = _signature(db, method, call.params["name"], expires)
        is_alive = expires.isdecimal() and int(expires) > microseconds(self._clock()) // 1_000_000
        return is_alive and hmac.compare_digest(given.encode(), wanted.encode())


_DENIED: Final = Answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", _XML)


def _signature(db: sqlite3.Connection, method: str, name: str, expires: str) -> str:
    key = setting(db, "signing_key").encode()
    return hmac.new(key, f"{method}\n{name}\n{expires}".encode(), hashlib.sha256).hexdigest()
