"""One request that has passed the door: who asks what, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciler.providers.azureml.emulator.store import Place, Principal
from reconciler.providers.emulator import Answer, Call

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request about something in a workspace or a registry. ``params`` are the named parts of its path."""

    call: Call
    who: Principal
    place: Place
    query: Mapping[str, str]
    params: Mapping[str, str]

    @property
    def author(self) -> tuple[str, str]:
        """Who it is to ``createdBy`` and ``createdByType``."""
        return self.who.object_id, "Application"

    @property
    def location(self) -> tuple[bytes, bytes]:
        """The header with which a PUT names what it made."""
        version = self.query.get("api-version", "")
        return b"location", f"{self.call.origin}{self.call.path}?api-version={version}".encode()


Room = Callable[[Ask], Answer]
"""Answers one kind of request."""


class Paths(Generic[T]):
    """A table of paths with named parts, such as ``jobs/{id}/cancel``. Fixed parts fit in any case."""

    def __init__(self, table: Mapping[str, T]) -> None:
        self._table: dict[int, list[tuple[list[str], T]]] = {}
        for path, entry in table.items():
            steps = path.split("/") if path else []
            self._table.setdefault(len(steps), []).append(
                ([step if step.startswith("{") else step.lower() for step in steps], entry)
            )

    def find(self, steps: list[str]) -> tuple[T, dict[str, str]] | None:
        """The entry that a path fits, and its named parts. An empty part fits nothing."""
        for wanted, entry in self._table.get(len(steps), ()):
            params: dict[str, str] = {}
            for want, step in zip(wanted, steps, strict=True):
                if want.startswith("{") and step:
                    params[want[1:-1]] = step
                elif want != step.lower():
                    break
            else:
                return entry, params
        return None
