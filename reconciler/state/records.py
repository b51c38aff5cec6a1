"""The records of a journal: what a run intended, and what came of it.

Plain values, written and read by `reconciler.state.journal`, folded into a
state by `reconciler.state.replay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from reconciler.core.attributes import Attributes
from reconciler.core.model import Holder, Plan, ResourceAddress, ResourceState, Stamp

__all__ = [
    "Begun",
    "Closed",
    "Done",
    "Edited",
    "Failed",
    "Intended",
    "Planned",
    "PreImage",
    "Record",
    "RollbackBegun",
    "UndoFailed",
    "Undoing",
    "Undone",
]


@dataclass(frozen=True, slots=True)
class Begun:
    """A run begins. Small on purpose: it is all that ``history`` reads of a run, with the last record.

    ``lineage`` and ``secret_key`` are those of the state that the run will
    commit: a first run makes them.
    """

    run: str
    command: str
    base: Stamp
    lineage: str
    secret_key: str
    holder: Holder
    started: str
    digest: str = ""
    revision: str = ""
    on_failure: str = "rollback"


@dataclass(frozen=True, slots=True)
class Planned:
    """The whole plan that the run carries out, and what the state knew of the resources in it."""

    plan: Plan
    before: tuple[ResourceState, ...] = ()


@dataclass(frozen=True, slots=True)
class PreImage:
    """An object as it was before a step wrote to it."""

    id: str
    attributes: Attributes
    version: str = ""


@dataclass(frozen=True, slots=True)
class Intended:
    """Step *step* is about to call the platform. Durable before the call.

    ``secrets`` are the keyed hashes of the secrets that it is about to send.
    """

    step: int
    key: str
    before: PreImage | None = None
    secrets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Done:
    """Step *step* happened and was read back. ``settled`` says how a later run found that out, if one did."""

    step: int
    remote_id: str
    wire_digest: str = ""
    settled: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Step *step* did not happen. ``settled`` says how a later run found that out, if one did."""

    step: int
    error: str
    settled: str = ""


@dataclass(frozen=True, slots=True)
class RollbackBegun:
    """From here on, done steps are taken back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Undoing:
    """The inverse of step *step* is about to call the platform. Durable before the call."""

    step: int
    key: str


@dataclass(frozen=True, slots=True)
class Undone:
    """Step *step* is taken back; ``remote_id`` is the id of a re-created object, else empty."""

    step: int
    remote_id: str = ""
    settled: str = ""


@dataclass(frozen=True, slots=True)
class UndoFailed:
    """Step *step* is still in effect; a person has to act. ``remedy`` is the call that would.

    ``instead`` is the id of the object that stays in the place of the one
    that the step took away, where there is one.
    """

    step: int
    error: str
    remedy: str = ""
    settled: str = ""
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Edited:
    """A state edit by hand: records put and addresses removed."""

    put: tuple[ResourceState, ...] = ()
    removed: tuple[ResourceAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Closed:
    """The run is over, and the state of *serial* holds what came of it."""

    outcome: str
    ended: str
    serial: int
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


Record = (
    Begun
    | Planned
    | Intended
    | Done
    | Failed
    | RollbackBegun
    | Undoing
    | Undone
    | UndoFailed
    | Edited
    | Closed
)
