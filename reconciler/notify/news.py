"""What there is to tell: the transitions of a stack's drift, and where it stands now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["News"]


@dataclass(frozen=True, slots=True)
class News:
    """``new``, ``settled`` and ``open`` are drifts as people read them, sorted.

    ``id`` tells this stack from all others, for whoever keeps something about
    it. ``markdown`` and ``report`` are the whole comparison, masked.
    """

    stack: str
    id: str
    new: tuple[str, ...]
    settled: tuple[str, ...]
    open: tuple[str, ...]
    markdown: str
    report: Mapping[str, Any]

    @property
    def title(self) -> str:
        """One line, without values."""
        count = len(self.open)
        return f"Drift of the stack {self.stack}: " + (f"{count} open" if count else "settled")

    @property
    def marker(self) -> str:
        """What marks a text of ours for this stack, where people do not see it."""
        return f"<!-- reconciler-drift:{self.id} -->"
