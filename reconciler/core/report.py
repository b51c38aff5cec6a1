"""What came of something, as values: a run, a comparison, a settlement. Renderers read these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from reconciler.core.acceptance import Acceptance
from reconciler.core.attributes import Attributes
from reconciler.core.model import (
    Action,
    FieldChange,
    Path,
    Plan,
    Remote,
    ResourceAddress,
    Source,
    Step,
)

__all__ = [
    "DriftReport",
    "Drifted",
    "Outcome",
    "PastRun",
    "PastStep",
    "Pending",
    "RunReport",
    "Settlement",
    "Unread",
]


_LAST_FIRST: Final = ("not_rolled_back", "rolled_back", "uncertain", "failed", "done")
"""What may become of one step, one after another: the later, the nearer to the front."""
_COUNTED: Final = ("done", "failed", "uncertain", "rolled_back", "not_rolled_back", "not_started")


@dataclass(slots=True)
class Outcome:
    """How each step of a run ended, by number. Filled in while it runs.

    ``done`` steps are in effect; ``uncertain`` ones may be; ``rolled_back``
    ones were, and are no longer; ``not_rolled_back`` ones should not be.
    ``errors`` and ``remedies`` say why, and what a person can do.
    """

    done: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    uncertain: set[int] = field(default_factory=set)
    not_started: set[int] = field(default_factory=set)
    rolled_back: set[int] = field(default_factory=set)
    not_rolled_back: set[int] = field(default_factory=set)
    errors: dict[int, str] = field(default_factory=dict)
    remedies: dict[int, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Every step is done and stayed."""
        return not (
            self.failed or self.uncertain or self.not_started or self.rolled_back or self.not_rolled_back
        )

    @property
    def is_rolled_back(self) -> bool:
        """Nothing of the plan is left in effect, for certain."""
        return not (self.done or self.uncertain or self.not_rolled_back)

    def of(self, number: int) -> str:
        """How one step ended, in one word of `counts`: the last that became of it."""
        return next((name for name in _LAST_FIRST if number in getattr(self, name)), "not_started")

    def counts(self) -> dict[str, int]:
        """How many steps ended how, each counted once, without the zeros."""
        every = set().union(*(getattr(self, name) for name in (*_LAST_FIRST, "not_started")))
        found = Counter(map(self.of, every))
        return {name: found[name] for name in _COUNTED if found[name]}


@dataclass(frozen=True, slots=True)
class RunReport:
    """What an apply came to. ``outcome``: applied, rolled back, failed, interrupted, or open.

    A run is *open* when nobody can say yet what became of a step, or when its
    end could not be written down; the next command that takes the lock
    settles it. ``error`` says what was in the way.
    """

    run: str
    plan: Plan
    outcome: str
    steps: Outcome
    error: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What was found out about a dead run: a line for each open step.

    ``resumable`` says that steps of its plan are left, and that they can be
    carried out as they were reviewed.
    """

    run: str
    command: str
    findings: tuple[str, ...]
    conflicts: tuple[str, ...] = ()
    resumable: bool = False


@dataclass(frozen=True, slots=True)
class Drifted:
    """One managed resource that is not as we applied it: fields, or the whole object gone.

    Each field's cause is `Cause.DRIFT`, `Cause.BOTH` where the specs want yet
    another value by now, or `Cause.SPEC` where they want the one that is live.
    ``accepted`` says by which decision a field may differ. ``changed_by`` and
    ``changed_at`` are what the platform says of the last change, or empty.
    """

    address: ResourceAddress
    fields: tuple[FieldChange, ...]
    gone: bool = False
    live: Remote | None = None
    changed_by: str = ""
    changed_at: str = ""
    accepted: Mapping[Path, Acceptance] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Pending:
    """One resource whose specs are ahead of the last apply, and what an apply would do to it."""

    address: ResourceAddress
    action: Action
    fields: tuple[FieldChange, ...] = ()
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read, and why: a resource, or (``address`` None) what else there is of a kind."""

    platform: str
    kind: str
    why: str
    address: ResourceAddress | None = None


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What differs from the state on the platforms, and how many resources were compared.

    ``day`` is the one (UTC, ISO 8601) on which acceptances were looked at.
    ``pending`` is None when the specs could not be read.
    """

    checked: int
    drifted: tuple[Drifted, ...]
    unmanaged: tuple[tuple[str, Remote], ...] = ()
    warnings: tuple[str, ...] = ()
    pending: tuple[Pending, ...] | None = ()
    unread: tuple[Unread, ...] = ()
    day: str = ""


@dataclass(frozen=True, slots=True)
class PastStep:
    """One step of a past run. ``before`` is the object as the step found it."""

    step: Step
    outcome: str
    error: str = ""
    remedy: str = ""
    remote_id: str = ""
    before: Attributes | None = None


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run as its journal tells it. Times are RFC 3339, UTC; ``ended`` is empty while it is open."""

    id: str
    command: str
    who: str
    started: str
    ended: str
    outcome: str
    digest: str
    revision: str
    steps: tuple[PastStep, ...] = ()
    edited: tuple[str, ...] = ()
