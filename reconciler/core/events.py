"""What happens during a run, as values: the engine tells, a reporter shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from reconciler.core.model import ResourceAddress, Verb

__all__ = [
    "Event",
    "Note",
    "RollbackStarted",
    "RunEnded",
    "RunStarted",
    "StepDone",
    "StepFailed",
    "StepSkipped",
    "StepStarted",
]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins; ``steps`` is how many there are."""

    run: str
    steps: int


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step, or (``reverse``) its rollback, is about to call the platform."""

    step: int
    address: ResourceAddress
    verb: Verb
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step is done and read back. ``seconds`` is how long it took."""

    step: int
    address: ResourceAddress
    verb: Verb
    remote_id: str
    seconds: float
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step failed. ``uncertain``: nobody can say now whether it happened."""

    step: int
    address: ResourceAddress
    verb: Verb
    error: str
    hint: str = ""
    uncertain: bool = False
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """A step was never started."""

    step: int
    address: ResourceAddress
    verb: Verb
    why: str


@dataclass(frozen=True, slots=True)
class RollbackStarted:
    """The run failed; ``steps`` done steps are taken back, newest first."""

    steps: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know that is no step: waiting, settling, retrying."""

    text: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run is over. ``counts``: how many steps ended how."""

    run: str
    outcome: str
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


Event = RunStarted | StepStarted | StepDone | StepFailed | StepSkipped | RollbackStarted | Note | RunEnded
