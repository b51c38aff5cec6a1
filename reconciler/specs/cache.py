"""What a file's bytes came to last time, so that an unchanged file is not parsed and checked again.

One blob in the stack's ``.reconciler`` directory, keyed by the digest of each
file's bytes and of whatever else it was made from. It can be deleted at any
time; a damaged one is ignored: it begins with a digest of itself, because what
it says is planned without anybody looking at the file again. Only files
without a complaint are in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["Cache", "CachedResource", "CachedSpec"]


class CachedResource(msgspec.Struct, array_like=True, frozen=True):
    """One resource of one spec, attributes unread.

    ``identity`` is equal for two of the same object. ``keys`` and ``asks`` are
    those of its `Draft`.
    """

    platform: str
    kind: str
    name: str
    line: int
    attributes: msgspec.Raw
    depends_on: tuple[str, ...]
    lifecycle: tuple[bool, bool, bool, tuple[str, ...]]
    facts: tuple[tuple[str, Any, tuple[str | int, ...]], ...]
    identity: str
    keys: tuple[str, ...] | None
    asks: tuple[tuple[str, str, tuple[str | int, ...]], ...]


class CachedSpec(msgspec.Struct, array_like=True, frozen=True):
    """What one file gives.

    ``needs`` are other files that it was made from, with their digests; a file
    that would be used if it were there has the digest ``""``. ``files`` are
    the same for what is no spec: files and folders that a provider looked at.
    ``placed`` is false for a pattern, which is on no platform.
    """

    digest: str
    resources: tuple[CachedResource, ...]
    warnings: tuple[str, ...]
    needs: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    placed: bool


class _Blob(msgspec.Struct, array_like=True):
    version: str
    config_digest: str
    config: msgspec.Raw
    specs: dict[str, CachedSpec]


_decoder = msgspec.json.Decoder(_Blob)
_CHECKSUM: Final = 16


def _checksum(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM).digest()


class Cache:
    """The cache at *path*; entries of another *version* are not used."""

    def __init__(self, path: Path, version: str) -> None:
        self._path = path
        self._version = version
        self._blob = _Blob(version, "", msgspec.Raw(b"null"), {})
        with contextlib.suppress(OSError, msgspec.DecodeError):
            data = memoryview(path.read_bytes())
            if data[:_CHECKSUM] == _checksum(data[_CHECKSUM:]):
                blob = _decoder.decode(data[_CHECKSUM:])
                if blob.version == version:
                    self._blob = blob
        self._changed = False

    def config(self, digest: str) -> bytes | None:
        """What ``reconciler.toml`` of this digest came to, if known."""
        return bytes(self._blob.config) if self._blob.config_digest == digest else None

    def keep_config(self, digest: str, value: bytes) -> None:
        """Remember what ``reconciler.toml`` came to. Specs depend on it and are forgotten."""
        self._blob = _Blob(self._version, digest, msgspec.Raw(value), {})
        self._changed = True

    def spec(self, name: str, digest: str) -> CachedSpec | None:
        """What the file *name* of this digest came to, if known; its ``needs`` are not looked at here."""
        found = self._blob.specs.get(name)
        return found if found is not None and found.digest == digest else None

    def keep_specs(self, specs: dict[str, CachedSpec], *, changed: bool) -> None:
        """Remember these specs, and only these."""
        if changed or len(specs) != len(self._blob.specs):
            self._blob.specs = specs
            self._changed = True

    def save(self) -> None:
        """Write the cache if it changed. A directory that cannot be written to is no error."""
        if not self._changed:
            return
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        data = msgspec.json.encode(self._blob)
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileExistsError), (self._path.parent / ".gitignore").open("x") as file:
                file.write("*\n")
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as blob:
                blob.write(_checksum(data))
                blob.write(data)
            fresh.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
        self._changed = False
