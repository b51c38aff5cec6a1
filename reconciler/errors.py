"""The error tree. Everything this package raises on purpose is one of these.

    ReconcilerError
    ├── UsageError               the command line cannot be understood
    ├── SpecErrors               complaints about specs or reconciler.toml, all of them at once
    │   └── LimitErrors          nothing is wrong but the stack's own policy limits
    ├── SecretUnavailable        a secret reference cannot be resolved
    ├── StateError
    │   ├── StateUnreadable      empty, torn, altered, of another stack, of a newer format, lost
    │   ├── StateMoved           somebody committed in between
    │   ├── JournalUnreadable    a record before the last one is damaged
    │   ├── LockHeld             another process holds the lock
    │   └── LockLost             our lock was broken while we held it
    ├── PlanError
    │   ├── PlanImpossible       desired and live cannot be brought together as asked
    │   ├── PlanAltered          the plan's bytes are not what was written
    │   ├── PlanStale            the world moved since the plan was made
    │   └── PlanRefused          policy or threshold
    └── ProviderError            a platform did not do what was asked
        ├── Unauthenticated      401
        ├── Forbidden            403
        ├── Rejected             400, 422 and other answers that repeat themselves
        ├── NotFound             404 where something had to be there
        ├── AlreadyExists        409
        ├── InUse                412 and the like: something else needs the object
        ├── Unavailable          429, 5xx, no connection: it did not happen, later may work
        ├── OutcomeUnknown       the request went out and no answer came back
        ├── ListingIncomplete    we cannot see everything, so we decide nothing
        ├── WriteNotApplied      the platform said yes and the read-back says no
        ├── ObjectMoved          the object is not what the step was planned on
        └── NotReversible        the platform has no way back from what was done

A message says what happened; ``hint`` says what to do next. Neither ever
quotes a header, a credential or a body that was not vetted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AlreadyExists",
    "Complaint",
    "Forbidden",
    "InUse",
    "JournalUnreadable",
    "LimitErrors",
    "ListingIncomplete",
    "LockHeld",
    "LockLost",
    "NotFound",
    "NotReversible",
    "ObjectMoved",
    "OutcomeUnknown",
    "PlanAltered",
    "PlanError",
    "PlanImpossible",
    "PlanRefused",
    "PlanStale",
    "ProviderError",
    "ReconcilerError",
    "Rejected",
    "SecretUnavailable",
    "SpecErrors",
    "StateError",
    "StateMoved",
    "StateUnreadable",
    "Unauthenticated",
    "Unavailable",
    "UsageError",
    "WriteNotApplied",
]


class ReconcilerError(Exception):
    """Base of all. ``str()`` is the summary; ``hint`` what to do next, or empty."""

    def __init__(self, summary: str, *, hint: str = "") -> None:
        super().__init__(summary)
        self.hint = hint


class UsageError(ReconcilerError):
    """The command line cannot be understood."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong in one file of a stack.

    ``line`` and ``column`` count from 1 (columns in characters); 0 means that
    the complaint is about the file, or about the directory, as a whole.
    ``excerpt`` is the source line without its line end. ``limit`` marks a
    complaint of the stack's policy, as against a mistake. ``parts`` are what
    the summary is about, when that is several things.
    """

    summary: str
    file: str
    line: int = 0
    column: int = 0
    excerpt: str = ""
    hint: str = ""
    limit: bool = False
    parts: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """The summary with its parts, on one line."""
        return ": ".join(filter(None, (self.summary, "; ".join(self.parts))))


class SpecErrors(ReconcilerError):
    """What is wrong with the specs, all of it, sorted by place."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        # Two resources of one spec may meet the same mistake; it is one.
        self.complaints = tuple(
            sorted(dict.fromkeys(complaints), key=lambda c: (c.file, c.line, c.column, c.summary))
        )
        count = len(self.complaints)
        super().__init__(f"{count} problem{'' if count == 1 else 's'} in the specs")


class LimitErrors(SpecErrors):
    """Every complaint is the policy's; the specs are sound otherwise."""


class SecretUnavailable(ReconcilerError):
    """A secret reference cannot be resolved. Names the reference, never a value."""


class StateError(ReconcilerError):
    """Something about what must survive a crash."""


class StateUnreadable(StateError):
    """The state cannot be trusted. Nothing is decided without it."""


class StateMoved(StateError):
    """What is stored is not what we computed from; nothing was written."""


class JournalUnreadable(StateError):
    """A journal is damaged before its last record."""


class LockHeld(StateError):
    """Another process holds the lock. ``holder`` describes it in one line."""

    def __init__(self, summary: str, *, holder: str = "", hint: str = "") -> None:
        super().__init__(summary, hint=hint)
        self.holder = holder


class LockLost(StateError):
    """Somebody broke our lock. We may not write any more."""


class PlanError(ReconcilerError):
    """Something about a plan."""


class PlanImpossible(PlanError):
    """Desired and live cannot be brought together as asked."""


class PlanAltered(PlanError):
    """The bytes of a saved plan are not the ones that were written."""


class PlanStale(PlanError):
    """The world moved since the plan was made. ``moved`` says what, a line each."""

    def __init__(self, summary: str, *, moved: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(summary, hint=hint)
        self.moved = tuple(moved)


class PlanRefused(PlanError):
    """A policy or threshold forbids this plan. ``reasons`` says which, a line each."""

    def __init__(self, summary: str, *, reasons: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(summary, hint=hint)
        self.reasons = tuple(reasons)


class ProviderError(ReconcilerError):
    """A platform did not do what was asked.

    ``platform`` is the configured name; ``call`` is ``"METHOD /path"``;
    ``status`` the HTTP status, 0 when there was no answer; ``request_id``
    the server's own id for the request when it sent one.
    """

    def __init__(
        self,
        summary: str,
        *,
        platform: str = "",
        call: str = "",
        status: int = 0,
        request_id: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(summary, hint=hint)
        self.platform = platform
        self.call = call
        self.status = status
        self.request_id = request_id


class Unauthenticated(ProviderError):
    """The platform does not accept our credentials."""


class Forbidden(ProviderError):
    """The credentials are good, the role is not."""


class Rejected(ProviderError):
    """The platform refuses the request and would refuse it again."""


class NotFound(ProviderError):
    """Something that had to be there is not."""


class AlreadyExists(ProviderError):
    """The name is taken."""


class InUse(ProviderError):
    """Something else needs the object."""


class _Passing(ProviderError):
    """What waiting may cure. ``retry_after`` is in seconds, None when the platform named no time."""

    def __init__(
        self,
        summary: str,
        *,
        platform: str = "",
        call: str = "",
        status: int = 0,
        request_id: str = "",
        hint: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(
            summary, platform=platform, call=call, status=status, request_id=request_id, hint=hint
        )
        self.retry_after = retry_after


class Unavailable(_Passing):
    """It did not happen; later it may."""


class OutcomeUnknown(_Passing):
    """The request went out and no usable answer came back: it may have happened."""


class ListingIncomplete(ProviderError):
    """A listing cannot be proven complete."""


class WriteNotApplied(ProviderError):
    """The platform accepted a write, and reading it back shows something else."""


class ObjectMoved(ProviderError):
    """The object is not what the step was planned on; nothing was written to it."""


class NotReversible(ProviderError):
    """The platform has no way back from what was done."""
