"""The sockets: what the core and the engine need of the world, as protocols.

Whoever implements one keeps the contract in its docstring; `reconciler.testing`
holds a suite for each that says so in tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from reconciler.core.attributes import Attributes
from reconciler.core.events import Event
from reconciler.core.model import (
    LockInfo,
    Path,
    Remote,
    Removal,
    Resource,
    ResourceAddress,
    Stamp,
    State,
    Verb,
)

__all__ = [
    "Archive",
    "Ask",
    "Describer",
    "Draft",
    "Exporter",
    "Fact",
    "Journal",
    "Lock",
    "Place",
    "PlatformContext",
    "Problem",
    "Provider",
    "ProviderPlugin",
    "Reader",
    "Readiness",
    "Refusal",
    "Reporter",
    "Resolution",
    "ResourceKind",
    "RunSummary",
    "SecretSource",
    "SpecReading",
    "SpecWriting",
    "StateBackend",
    "Surplus",
    "Traffic",
]

Reporter = Callable[[Event], None]
"""Takes each event as it happens. Must be quick and must not raise."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a change of an object cannot be made at all, and what to do instead."""

    summary: str
    hint: str


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """What the core has to know of one kind of object of one vendor.

    ``identity``: attributes that together name an object among its kind on
    the platform. ``immutable``: attributes whose change needs a new object.
    ``defaults``: what absence means, where the vendor documents it.
    ``write_only``: attributes that the platform never shows; they hold secrets
    and are compared by keyed hash. ``unreadable`` says, for kinds with
    ``write_only`` attributes, why a deleted object may not come back whole.

    ``local``: attributes that the platform does not keep: what apply needs out
    of the stack's directory, and wishes about how; remembered, and never
    compared with what is live. ``versioned``: attributes whose change makes a
    new version of the object, which keeps its id. ``additive``: tables in
    which a key can be set and changed, but taken out only with a new object.
    ``late``: attributes that creation cannot give every value:
    `Readiness.await_ready` does, once the object is there and known.
    ``final``: values after which nothing about the object can be changed.
    ``removal``: what a platform does instead of deleting.
    ``facts`` gives what a policy may limit of an object with such attributes.

    ``plain``: those of ``write_only`` that hold no secret, and are shown to
    people. ``parting``: those of ``local`` that, when they are set, make the
    removal of an object final, and why; `Provider.delete` is told of them.
    ``refuses`` says of the attributes *before* and *after* a change, as far as
    we know them, why it cannot be made, not even by a new object.
    """

    name: str
    identity: tuple[str, ...]
    immutable: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    write_only: frozenset[str] = frozenset()
    unreadable: str = ""
    local: frozenset[str] = frozenset()
    versioned: frozenset[str] = frozenset()
    additive: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    final: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    removal: Removal = Removal.DELETE
    facts: Callable[[Mapping[str, Any]], Iterable[Fact]] = field(
        default=lambda attributes: (), compare=False, repr=False
    )
    plain: frozenset[str] = frozenset()
    parting: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refuses: Callable[[Mapping[str, Any], Mapping[str, Any]], Refusal | None] = field(
        default=lambda before, after: None, compare=False, repr=False
    )

    def identity_of(self, attributes: Attributes) -> tuple[str, ...]:
        """The natural key that these attributes give an object."""
        values = attributes.values_
        return tuple(str(values.get(key) or "") for key in self.identity)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a policy may limit: ``gpus``, 4, and where a spec, or an attribute, says it."""

    name: str
    value: Any
    path: Path


@dataclass(frozen=True, slots=True)
class Ask:
    """A reference to a *key* inside another resource, by the address of that, and where the spec says it."""

    address: str
    key: str
    path: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of a spec's table (or, with an address, of a resource)."""

    path: Path
    summary: str
    hint: str = ""
    address: ResourceAddress | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """One resource that a spec's table gives: its kind and canonical attributes.

    A table with problems gives what is sound in it, to be looked at beside the
    other specs. ``is_sure`` is false where a problem leaves open which object
    that is. ``keys`` are what an `Ask` for something inside it may name; None
    when only the platform knows.
    """

    kind: str
    attributes: Mapping[str, Any]
    facts: tuple[Fact, ...] = ()
    is_sure: bool = True
    keys: tuple[str, ...] | None = None
    asks: tuple[Ask, ...] = ()


@dataclass(frozen=True, slots=True)
class SpecReading:
    """What a provider makes of one spec's table: drafts, or problems, or both.

    ``files`` are those besides the spec that it was made from (a conda file,
    say), and those that it looked for in vain: when one of them changes, the
    spec counts as changed.
    """

    drafts: tuple[Draft, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    files: tuple[FilePath, ...] = ()


@dataclass(frozen=True, slots=True)
class SpecWriting:
    """The table of a spec that a provider makes of an object's attributes.

    ``to_fill`` are places of secret references that nobody can know: what
    stands there is a name that a person gives a meaning. ``left_out`` are
    fields that a spec cannot say, each with why.

    ``chosen`` are fields that need not be said, since the platform chooses the
    same by itself (a version's number): what a spec that says them has to say.
    ``said_by`` names the fields that may say an attribute, where that is more
    than the field of its name: all of them have to follow when it changes.
    """

    table: Mapping[str, Any]
    to_fill: tuple[Path, ...] = ()
    left_out: tuple[Problem, ...] = ()
    chosen: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    said_by: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a spec is placed: the platform's name, the address name, the stack's directory.

    ``folder`` is that of the spec's file: files that it names are relative to it.
    ``ignored`` are the fields that the spec leaves out there: what of them stands
    in other files that it names may be left out as well.
    """

    platform: str
    name: str
    directory: FilePath
    folder: FilePath
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Surplus:
    """An object of a resource, besides its own, that its spec wants removed, and why: an old version."""

    address: ResourceAddress
    remote: Remote
    reason: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """Resources with every ``$lookup`` replaced by what it stands for, or what could not be found."""

    resources: tuple[Resource, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    surplus: tuple[Surplus, ...] = ()


class Reader(Protocol):
    """What can be asked of a platform without changing it. Every method may raise `ProviderError`."""

    @property
    def name(self) -> str:
        """The platform's name in ``reconciler.toml``."""

    @property
    def kinds(self) -> Mapping[str, ResourceKind]:
        """The kinds that this provider knows, by name, in the order in which to create them."""

    def list(self, kind: str, *, usage: bool = False) -> AsyncIterator[Remote]:
        """Every object of *kind* that exists, in one or few calls: complete, or an exception.

        With *usage*, each says what uses it.
        """

    async def read(self, kind: str, remote_id: str, *, usage: bool = False) -> Remote | None:
        """The object with this id by the platform's surest call; None when it does not exist."""

    async def find(self, kind: str, attributes: Attributes) -> Remote | None:
        """The object with the natural identity that *attributes* give it; None when there is none."""

    async def resolve(self, resources: Sequence[Resource]) -> Resolution:
        """Turn names into ids, by listings, and say which older objects the specs want removed."""

    async def place(self, attributes: Attributes) -> str:
        """Where an object with these attributes stands, in words for people: ``project vision``."""

    @property
    def patience(self) -> float:
        """Seconds that a write may take to show in `read`."""

    def call(self, verb: Verb, kind: str, remote_id: str, attributes: Attributes | None = None) -> str:
        """The request that *verb* would be, for a person: ``DELETE /api/v1/asset/environment/9d4f…``.

        *attributes* are the object's, where they are known: where it is may
        depend on them.
        """


@runtime_checkable
class Describer(Protocol):
    """What a platform may know besides about one object, and what is too dear to ask of each in a listing."""

    async def describe(self, remote: Remote) -> Mapping[str, Any]:
        """More for `Remote.details`: whether its image is built, say. What is not known is said so."""


class Provider(Reader, Protocol):
    """A platform that we may change.

    Writes send what is managed, keep what is not, and raise `OutcomeUnknown`
    when no answer says whether they happened: the engine settles that by
    reading. They never repeat a request that may have had its effect.
    Attributes come in with references resolved to ids and with the values of
    secrets in the place of their markers.
    """

    async def create(self, address: ResourceAddress, attributes: Attributes, *, key: str) -> str:
        """Make the object and return its id. *key* is unique to this step of this run."""

    async def update(
        self, address: ResourceAddress, remote_id: str, attributes: Attributes, *, previous: Remote
    ) -> None:
        """Write the managed *attributes* over *previous*, the object as it was just read.

        A managed attribute that is None is cleared.
        """

    async def delete(
        self, address: ResourceAddress, remote_id: str, *, parting: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Remove the object. One that is gone already is success.

        *parting* is what `ResourceKind.parting` names, where it is set.
        """

    async def close(self) -> None:
        """Give back connections. Nothing is asked of it afterwards."""


@runtime_checkable
class Archive(Protocol):
    """What a platform needs besides for kinds whose removal is to archive."""

    async def restore(self, address: ResourceAddress, remote_id: str) -> None:
        """Take the object out of the archive, as it was. One that is not in it is success."""


@runtime_checkable
class Readiness(Protocol):
    """What a platform needs besides for objects that work only a while after they are there."""

    async def await_ready(self, address: ResourceAddress, remote_id: str, attributes: Attributes) -> None:
        """Return when the object, just written with *attributes*, works, and is late in nothing.

        Raises `WriteNotApplied` when it does not in time: it is there then,
        and known to us.
        """


class SecretSource(Protocol):
    """Where secret references are resolved, and where known values are kept out of every text."""

    def value(self, reference: Mapping[str, Any]) -> str:
        """The value behind ``{"env": …}``, ``{"file": …}`` or ``{"command": […]}``.

        Raises `SecretUnavailable`.
        """

    def learn(self, value: str) -> None:
        """Keep *value* (an access token, say) out of every text from now on."""

    def mask(self, text: str) -> str:
        """*text* with every known secret value replaced by ``(secret)``."""


@dataclass(slots=True)
class Traffic:
    """How many requests were sent to a platform, and how many of them it answered with "go slower"."""

    calls: int = 0
    throttled: int = 0


@dataclass(frozen=True, slots=True)
class PlatformContext:
    """What a plugin gets to open a platform besides its settings.

    ``directory`` is where an embedded platform may keep its file, ``stack``
    where the specs are, and what they name files relative to. ``clock``
    gives Unix time in seconds, ``new_id`` a new UUID, ``random`` a number in
    [0, 1) for jitter. ``traffic`` is where requests are counted.
    """

    platform: str
    directory: FilePath
    stack: FilePath
    secrets: SecretSource
    clock: Callable[[], float]
    new_id: Callable[[], str]
    random: Callable[[], float]
    parallelism: int
    user_agent: str
    traffic: Traffic = field(default_factory=Traffic)


class ProviderPlugin(Protocol):
    """The code for one vendor: what ``discover()`` finds.

    Importing the module that holds a plugin must be cheap; what reads specs
    or talks HTTP is imported inside the methods.
    """

    @property
    def name(self) -> str:
        """``runai``: what ``provider = "…"`` names."""

    @property
    def kinds(self) -> Mapping[str, ResourceKind]:
        """As `Reader.kinds`."""

    def read_settings(self, table: Mapping[str, Any]) -> tuple[Any, tuple[Problem, ...]]:
        """The settings in ``[platforms.NAME]``, and what is wrong with them."""

    def spec_fields(self, kind: str) -> frozenset[str]:
        """The keys that a spec of *kind* may have for this provider."""

    def read_spec(self, kind: str, table: Mapping[str, Any], place: Place) -> SpecReading:
        """What one spec's table (shared fields and the platform's own, merged) asks for."""

    def write_spec(
        self, kind: str, attributes: Mapping[str, Any], place: Place, settings: Any = None
    ) -> SpecWriting:
        """The way back of `read_spec`: the table that gives these attributes, without what is usual.

        *attributes* are live ones, or those of a record; references to objects
        of the stack may be ``$ref`` or ``$id``. *settings* are the platform's,
        or None for the usual ones. What `read_spec` makes of the table means
        the same, but for what is ``left_out``, for secrets, and for what the
        platform chooses.
        """

    def spec_schema(self, kind: str) -> Mapping[str, Any]:
        """JSON Schema of that table."""

    def settings_schema(self) -> Mapping[str, Any]:
        """JSON Schema of ``[platforms.NAME]``."""

    def open(self, settings: Any, context: PlatformContext) -> Provider:
        """The platform behind these settings. Sends nothing yet."""

    def embedded(self, settings: Any, context: PlatformContext, *, served: bool = False) -> Any:
        """The vendor's API as an ASGI application, when ``endpoint = "embedded"``; else None.

        *served* says that a server runs it, so that connections can be cut.
        """


@runtime_checkable
class Exporter(Protocol):
    """What a plugin has besides when its vendor's tools read files.

    ``formats`` are the names of the formats, and what each is.
    """

    @property
    def formats(self) -> Mapping[str, str]:
        """As above."""

    def export(self, form: str, kind: str, attributes: Mapping[str, Any]) -> Mapping[str, bytes]:
        """The files, by name, that hold an object with these attributes.

        Raises `UsageError` for a kind that the format has no form for.
        """


class Lock(Protocol):
    """A lock that is held."""

    @property
    def info(self) -> LockInfo:
        """Who holds it: us."""

    def check(self) -> None:
        """Raise `LockLost` when it was broken. Called before every write that matters."""


class Journal(Protocol):
    """One run's record, append-only."""

    async def append(self, record: Any) -> None:
        """Return when *record* is on stable storage. Many at once cost one sync."""

    def write(self, record: Any) -> None:
        """Add *record* in order; durable no later than the next `append`, `flush` or `close`."""

    async def flush(self) -> None:
        """Return when all that was added is on stable storage."""

    async def close(self) -> None:
        """Make everything durable and let go of the file."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One past or open run as ``history`` shows it. Times are RFC 3339, UTC.

    ``base_serial`` is that of the state that it began on, ``serial`` that of
    the state that it left; None where that is not known, or not yet.
    """

    id: str
    command: str
    who: str
    started: str
    ended: str
    outcome: str
    digest: str
    revision: str
    counts: Mapping[str, int]
    base_serial: int | None = None
    serial: int | None = None


class StateBackend(Protocol):
    """What must survive a crash: the state, the journals, the lock. `BackendContract` tests it."""

    def lock(
        self, command: str, *, timeout: float, waiting: Callable[[str], None]
    ) -> AbstractContextManager[Lock]:
        """Hold the stack for ourselves.

        Waits up to *timeout* seconds, telling *waiting* about the holder
        once, then raises `LockHeld`.
        """

    def reading(self, *, timeout: float, waiting: Callable[[str], None]) -> AbstractContextManager[None]:
        """Hold off writers while something is read. Readers do not hinder each other."""

    def load(self) -> State:
        """The state as it was last committed. Raises `StateUnreadable` rather than guess."""

    def commit(self, state: State, *, expected: Stamp, lock: Lock) -> None:
        """Make *state* the stored one: all or nothing, durable on return.

        Raises `StateMoved`, and changes nothing, when what is stored is not
        *expected*.
        """

    def stored_stamp(self) -> Stamp:
        """The stamp of the stored state, or `NO_STAMP`. Raises `StateUnreadable`."""

    def restore(self, state: State, *, lock: Lock) -> None:
        """Make *state* the stored one whatever is stored, readable or not. A repair."""

    def begin(self, run: str, lock: Lock) -> Journal:
        """Start the journal of a new run."""

    def resume(self, run: str, lock: Lock) -> Journal:
        """Go on with the journal of a dead run; a torn last record is cut off."""

    def seal(self, run: str, lock: Lock) -> None:
        """The journal of *run* is closed: from here on it is history."""

    def open_run(self) -> str | None:
        """The run whose journal was never closed, if any."""

    def records(self, run: str) -> Iterable[Any]:
        """The records of a run, in order, without a torn last one."""

    def runs(self) -> Sequence[RunSummary]:
        """All runs, newest first: in the order in which they changed the state, which no clock tells."""

    def unlock(self, lock_id: str) -> tuple[LockInfo, bool | None]:
        """Break the lock with this id; returns its holder, and whether that process seems alive.

        Raises `StateError` when there is no such lock.
        """
