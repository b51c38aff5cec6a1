"""What ``list`` and ``show`` share: everything there is of a kind, from its three sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.model import Path
from reconciler.engine.inventory import Entry

__all__ = ["gather"]


def gather(session: Session, kind: str) -> tuple[list[Entry], Callable[[Path, Any], bool]]:
    """The inventory of *kind*, and what says whether a live value may be shown."""
    specs = session.specs()

    async def work() -> tuple[list[Entry], Callable[[Path, Any], bool]]:
        with Progress(session.output) as progress:
            async with session.stack(progress) as stack:
                return await stack.inventory(kind, specs), stack.shown

    return session.undisturbed(lambda: run_async(work()))
