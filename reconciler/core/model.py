"""The words of the project, as values.

A value is frozen and whole; a change makes a new value. The tables of
``docs/design.md`` use exactly these names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from reconciler.core.attributes import Attributes
from reconciler.errors import UsageError

__all__ = [
    "NO_STAMP",
    "Action",
    "Cause",
    "Change",
    "FieldChange",
    "Holder",
    "Lifecycle",
    "LockInfo",
    "Manner",
    "Move",
    "Path",
    "Phase",
    "Plan",
    "Remote",
    "Removal",
    "Resource",
    "ResourceAddress",
    "ResourceState",
    "Reversal",
    "Source",
    "SpecSet",
    "Stamp",
    "State",
    "Step",
    "Surroundings",
    "UsedBy",
    "Verb",
    "dotted",
]

Path = tuple[str | int, ...]
"""Where a value stands inside attributes: ``("tools", "Jupyter", "container_port")``."""


def dotted(path: Path) -> str:
    """A path as people write it: ``tools.Jupyter.container_port``, ``extended_resources[0].quantity``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not text:
            text = part
        else:
            plain = part.replace("_", "a").replace("-", "a").isalnum()
            text += f".{part}" if plain else f".{json.dumps(part, ensure_ascii=False)}"
    return text


class ResourceAddress(NamedTuple):
    """``PLATFORM.KIND.NAME``: the only key anywhere.

    Platform and kind are words without a dot; the name is the rest, dots
    included. A tuple, because a hundred thousand of them are hashed and
    sorted in one plan.
    """

    platform: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.platform}.{self.kind}.{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that *text* spells. Raises `UsageError` when it spells none."""
        parts = text.split(".", 2)
        if len(parts) != 3 or not all(parts):
            raise UsageError(
                f"{text!r} is not an address",
                hint="An address is PLATFORM.KIND.NAME, such as runai.environment.llm-train.",
            )
        return cls(*parts)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a resource is written down: a file relative to the stack, and a line from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What a spec's ``[lifecycle]`` asks for."""

    prevent_destroy: bool = False
    create_before_destroy: bool = False
    adopt: bool = False
    ignore_changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """A spec as it is to be on one platform: *desired*.

    ``attributes`` holds the managed fields and nothing else. ``depends_on``
    is what must exist before it, sorted: what the spec names itself and what
    its attributes refer to.
    """

    address: ResourceAddress
    attributes: Attributes
    source: Source
    depends_on: tuple[ResourceAddress, ...] = ()
    lifecycle: Lifecycle = Lifecycle()


@dataclass(frozen=True, slots=True)
class Move:
    """One ``[[moved]]``: what had the address *old* has the address *new* now."""

    old: ResourceAddress
    new: ResourceAddress


@dataclass(frozen=True, slots=True)
class SpecSet:
    """All that one stack wishes.

    ``digest`` is over the bytes of the files, ``revision`` the git revision
    they were read at (with ``+`` behind it when files differ from it), or
    empty outside git.
    """

    resources: tuple[Resource, ...]
    digest: str
    revision: str = ""
    moves: tuple[Move, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def empty(cls) -> SpecSet:
        """The wish for nothing at all: its plan is ``destroy``."""
        return cls(resources=(), digest="")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which state: its lineage (made once, with the first state) and how often it was committed."""

    lineage: str
    serial: int


NO_STAMP = Stamp(lineage="", serial=0)
"""The stamp of a state that was never committed."""


@dataclass(frozen=True, slots=True)
class ResourceState:
    """What we last applied for one address: *prior*.

    ``attributes`` are the managed fields as they were written, with ids in
    the place of references. ``secrets`` maps the path of each secret inside
    them to a keyed hash of the value that was sent. ``wire_digest`` is the
    digest of the bytes in which the platform last showed the object to us:
    when it shows the same bytes again, nothing moved; other bytes alone mean
    nothing. ``protected`` is ``prevent_destroy``, which outlives its file.
    ``deposed`` are ids of older objects that a replacement has yet to remove.
    """

    address: ResourceAddress
    remote_id: str
    attributes: Attributes
    secrets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    depends_on: tuple[ResourceAddress, ...] = ()
    protected: bool = False
    wire_digest: str = ""
    deposed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """What we remember of a stack.

    ``last_run`` is the run whose journal is folded in. ``secret_key`` (hex) is
    the key of the hashes in `ResourceState.secrets`; it says nothing about a
    secret by itself.
    """

    stack: str
    stamp: Stamp = NO_STAMP
    last_run: str = ""
    secret_key: str = ""
    resources: Mapping[ResourceAddress, ResourceState] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class UsedBy:
    """Something on the platform that uses an object: ``workspace lab-1 (Running)``.

    ``active`` says that it runs or may start again, so that taking the object
    away matters to somebody.
    """

    kind: str
    name: str
    status: str = ""
    active: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" ({self.status})" if self.status else "")


@dataclass(frozen=True, slots=True)
class Remote:
    """An object as a platform shows it: *live*.

    ``attributes`` is everything we know how to compare, managed or not.
    ``identity`` is the natural key among objects of its kind. ``version`` is
    the platform's own version marker, where it has one. ``foreign`` marks what
    belongs to the vendor: seen, never touched. ``details`` are for people
    (who made it and when), ``used_by`` is None when nobody asked. ``unkept``
    names what is in it that an update of ours would lose.
    """

    kind: str
    id: str
    identity: tuple[str, ...]
    attributes: Attributes
    version: str = ""
    wire_digest: str = ""
    foreign: bool = False
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    used_by: tuple[UsedBy, ...] | None = None
    unkept: Callable[[], tuple[str, ...]] = field(default=tuple, compare=False, repr=False)


class Action(StrEnum):
    """What is to happen to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    ADOPT = "adopt"
    FORGET = "forget"
    MOVE = "move"  # the same object under a new address
    RECORD = "record"  # nothing on the platform or for people; what we remember of it changes


class Manner(StrEnum):
    """What an action comes to on a platform that never changes or never deletes."""

    PLAIN = ""
    NEW_VERSION = "new version"  # the object stays, and gets one version more
    ARCHIVE = "archive"  # it is put away, and can be had back


class Removal(StrEnum):
    """What becomes of an object that is not wanted any more."""

    DELETE = "delete"  # it is gone; made again, it has another id
    ARCHIVE = "archive"  # it is put away under its id, and can be restored
    FORGET = "forget"  # the platform removes nothing: we let go of it, and it stays


class Cause(StrEnum):
    """Who made a field differ."""

    SPEC = "spec"  # you changed it
    DRIFT = "drift"  # somebody changed it outside
    BOTH = "both"  # both did, differently
    REFERENCE = "reference"  # the id of another resource changes with this plan


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of one resource. ``before`` is what is live, ``after`` what will be.

    None is absence. A sensitive change carries no values at all.
    """

    path: Path
    before: Any
    after: Any
    cause: Cause = Cause.SPEC
    sensitive: bool = False
    forces_replace: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource and why, for people.

    ``reason`` explains the action in a few words, ``manner`` says where it is
    not what its name says. ``risks`` are what a reviewer must not miss, worst
    first. ``irreversible`` says why it cannot be taken back, or is empty.
    """

    address: ResourceAddress
    action: Action
    reason: str
    fields: tuple[FieldChange, ...] = ()
    source: Source | None = None
    remote_id: str = ""
    moved_from: ResourceAddress | None = None
    risks: tuple[str, ...] = ()
    irreversible: str = ""
    used_by: tuple[UsedBy, ...] = ()
    manner: Manner = Manner.PLAIN


class Verb(StrEnum):
    """What a step does; `RECORD` and `FORGET` touch nothing but the state."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RECORD = "record"
    FORGET = "forget"


class Phase(StrEnum):
    """No step starts before every step of an earlier phase is done.

    So nothing is taken away while something that was to be added may yet
    fail. A replacement takes away and adds; what waits for one goes with it.
    """

    CONSTRUCTIVE = "constructive"
    REPLACING = "replacing"
    DESTRUCTIVE = "destructive"


class Reversal(StrEnum):
    """How a step is taken back."""

    DELETE = "delete"  # remove what it made
    RESTORE = "restore"  # write the old values back
    RECREATE = "recreate"  # make it again; it gets a new id
    UNARCHIVE = "unarchive"  # take it out of the archive
    RECALL = "recall"  # remember what we remembered before
    NONE = "none"  # it cannot be


@dataclass(frozen=True, slots=True)
class Step:
    """One thing for the machine to do.

    ``attributes`` are the managed fields to write, or what a delete takes with
    the object (`ResourceKind.parting`); ``fingerprint`` is that of
    the live object it was planned on (empty where none is expected or where
    an earlier step of the same plan writes the object). ``waits`` are numbers
    of steps that must be done first. ``depends_on``, ``protected`` go into
    the state with it. ``deposes`` marks a create that leaves the old object
    (``remote_id``) to a later delete, that delete, and the record that
    somebody else removed it. ``moved_from`` is the
    address that the state knew the object by.
    """

    number: int
    verb: Verb
    address: ResourceAddress
    reversal: Reversal
    phase: Phase = Phase.CONSTRUCTIVE
    attributes: Attributes | None = None
    remote_id: str = ""
    fingerprint: str = ""
    waits: tuple[int, ...] = ()
    depends_on: tuple[ResourceAddress, ...] = ()
    protected: bool = False
    deposes: bool = False
    moved_from: ResourceAddress | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered changes and steps, and all that they were computed from.

    A value, never a flag: who has the plan has everything that apply needs.
    ``partial`` says in words what ``--target`` and ``--exclude`` left out.
    ``refusals`` are thresholds and policies that forbid it as it stands.
    ``undoes`` is the run that it takes back; such a plan, like that of a
    destroy, does not come from the specs. ``config_digest`` is over the bytes
    of ``reconciler.toml``: platforms and policy decide on every plan.
    """

    stack: str
    base: Stamp
    specs_digest: str
    revision: str
    changes: tuple[Change, ...] = ()
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    tool: str = ""
    destroy: bool = False
    undoes: str = ""
    config_digest: str = ""

    @property
    def is_empty(self) -> bool:
        """Nothing changes on any platform (the state may still learn something)."""
        return not self.changes


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a plan was made beside: nothing that apply needs, all that it takes to show whole objects.

    ``providers`` names the provider of each platform. ``prior`` is what the
    state knows, under the addresses that the plan uses: also of the resources
    that stay as they are, which are in no change.
    """

    providers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    prior: Mapping[ResourceAddress, ResourceState] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, so that others can tell whether it is alive.

    ``started`` is the kernel's start time of the process, so that a reused
    process id is not mistaken for it.
    """

    who: str
    host: str
    pid: int
    boot: str
    started: str


@dataclass(frozen=True, slots=True)
class LockInfo:
    """Who holds the lock, for what, since when (RFC 3339, UTC)."""

    id: str
    holder: Holder
    command: str
    since: str

    def __str__(self) -> str:
        by = self.holder
        return f"{by.who}@{by.host} (process {by.pid}, {self.command}, since {self.since}, id {self.id})"
