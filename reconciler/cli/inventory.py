"""What ``list``, ``show`` and ``export`` share: everything there is of a kind, from its three sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.model import Path, ResourceAddress
from reconciler.engine.inventory import Entry, described, find_entry
from reconciler.errors import UsageError

__all__ = ["gather", "known_kind"]


def gather(
    session: Session, kind: str, *, about: ResourceAddress | None = None
) -> tuple[list[Entry], Callable[[Path, Any], bool]]:
    """The inventory of *kind*, and what says whether a live value may be shown.

    The one entry *about* something has all that its platform knows.
    """
    specs = session.specs()

    async def work() -> tuple[list[Entry], Callable[[Path, Any], bool]]:
        with Progress(session.output) as progress:
            async with session.stack(progress) as stack:
                entries = await stack.inventory(kind, specs)
                one = None if about is None else find_entry(entries, about)
                if one is not None:
                    whole = await described(stack.providers[one.platform], one)
                    entries = [whole if entry is one else entry for entry in entries]
                return entries, stack.shown

    return session.undisturbed(lambda: run_async(work()))


def known_kind(session: Session, address: ResourceAddress) -> None:
    """Raise `UsageError` unless the stack has the platform of *address*, and that the kind."""
    platforms = session.config.settings.platforms
    if address.platform not in platforms:
        raise UsageError(
            f"there is no platform {address.platform!r}", hint=f"This stack has: {', '.join(platforms)}."
        )
    kinds = session.config.plugin(address.platform).kinds
    if address.kind not in kinds:
        raise UsageError(
            f"{address.platform} has no kind {address.kind!r}", hint=f"It has: {', '.join(kinds)}."
        )
