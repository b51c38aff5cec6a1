"""A platform without its pen: what a command gets that must not be able to write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from reconciler.core.attributes import Attributes
from reconciler.core.model import Remote, Resource, Verb
from reconciler.core.ports import Reader, Resolution, ResourceKind

__all__ = ["ReadOnly"]


class ReadOnly:
    """A `Reader` over another, with the methods of a `Reader` and no others.

    What it is over may well be a `Provider`. Whoever holds this has no name
    by which to call `create`, `update`, `delete` or `restore`: the methods of
    reading are taken once, and the platform itself is kept nowhere.
    """

    __slots__ = ("_call", "_find", "_kinds", "_list", "_name", "_patience", "_place", "_read", "_resolve")

    def __init__(self, platform: Reader) -> None:
        self._name, self._kinds, self._patience = platform.name, platform.kinds, platform.patience
        self._list, self._read, self._find = platform.list, platform.read, platform.find
        self._resolve, self._place, self._call = platform.resolve, platform.place, platform.call

    @property
    def name(self) -> str:
        """See `Reader.name`."""
        return self._name

    @property
    def kinds(self) -> Mapping[str, ResourceKind]:
        """See `Reader.kinds`."""
        return self._kinds

    @property
    def patience(self) -> float:
        """See `Reader.patience`."""
        return self._patience

    def list(self, kind: str, *, usage: bool = False) -> AsyncIterator[Remote]:
        """See `Reader.list`."""
        return self._list(kind, usage=usage)

    async def read(self, kind: str, remote_id: str, *, usage: bool = False) -> Remote | None:
        """See `Reader.read`."""
        return await self._read(kind, remote_id, usage=usage)

    async def find(self, kind: str, attributes: Attributes) -> Remote | None:
        """See `Reader.find`."""
        return await self._find(kind, attributes)

    async def resolve(self, resources: Sequence[Resource]) -> Resolution:
        """See `Reader.resolve`."""
        return await self._resolve(resources)

    async def place(self, attributes: Attributes) -> str:
        """See `Reader.place`."""
        return await self._place(attributes)

    def call(self, verb: Verb, kind: str, remote_id: str, attributes: Attributes | None = None) -> str:
        """See `Reader.call`."""
        return self._call(verb, kind, remote_id, attributes)
