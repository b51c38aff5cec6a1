"""What travels from the command line to a command, and the exit codes that come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.cli.output import Output
from reconciler.errors import (
    LimitErrors,
    ListingIncomplete,
    LockHeld,
    PlanAltered,
    PlanRefused,
    PlanStale,
    ReconcilerError,
    SpecErrors,
    UsageError,
)

__all__ = ["Context", "Exit", "exit_code"]


class Exit:
    """The exit codes, the same over all verbs."""

    DONE: Final = 0
    ERROR: Final = 1
    CHANGES: Final = 2
    REFUSED: Final = 3
    LOCKED: Final = 4
    STALE: Final = 5
    ROLLED_BACK: Final = 6
    BROKEN: Final = 7
    INCOMPLETE: Final = 8
    USAGE: Final = 64
    INTERRUPTED: Final = 130
    NOBODY_READS: Final = 141
    TERMINATED: Final = 143


_CODES: Final[tuple[tuple[type[ReconcilerError], int], ...]] = (
    (UsageError, Exit.USAGE),
    (LockHeld, Exit.LOCKED),
    (PlanRefused, Exit.REFUSED),
    (PlanStale, Exit.STALE),
    (PlanAltered, Exit.STALE),
    (ListingIncomplete, Exit.INCOMPLETE),
)


def exit_code(error: ReconcilerError, verb: str) -> int:
    """The exit code of *verb* when it ends with *error*."""
    if isinstance(error, LimitErrors):
        # Seen in `validate` or `plan`, a broken limit is an error; where it stops an apply, a refusal.
        return Exit.REFUSED if verb == "apply" else Exit.ERROR
    if isinstance(error, SpecErrors):
        return Exit.ERROR
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.ERROR)


@dataclass
class Context:
    """One command's surroundings: what the flags say that all commands have, and the verb."""

    output: Output
    chdir: str | None = None
    debug: bool = False
    verb: str = ""
