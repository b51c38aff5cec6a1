"""What travels from the command line to a command, and the exit codes that come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.cli.output import Output

__all__ = ["Context", "Exit"]


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


@dataclass
class Context:
    """One command's surroundings: what the flags say that all commands have, and the verb."""

    output: Output
    chdir: str | None = None
    debug: bool = False
    verb: str = ""
