"""Drift that a stack has agreed to live with, until a day that it names.

An acceptance is a decision of people, written down in ``reconciler.toml`` and
reviewed like a spec: which field of which resource, why, who answers for it,
and when it has to be looked at again. It never covers an object that is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from reconciler.core.model import Path, ResourceAddress, dotted

__all__ = ["Acceptance", "covering", "idle"]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One ``[[accept_drift]]``.

    ``address`` is an address or a glob over addresses, ``fields`` are paths
    with dots or globs over such. ``expires`` is the last day (UTC, ISO 8601)
    on which it holds.
    """

    address: str
    fields: tuple[str, ...]
    reason: str
    owner: str
    expires: str

    def holds(self, today: str) -> bool:
        """Whether it is still in force on *today*, a day as ISO 8601 text."""
        return today <= self.expires

    def covers(self, address: ResourceAddress, path: Path) -> bool:
        """Whether it is about this field: the field that it names, or anything inside it."""
        if not self.concerns(address):
            return False
        places = {dotted(path[: length + 1]) for length in range(len(path))}
        return any(fnmatchcase(place, _literal(field)) for place in places for field in self.fields)

    def concerns(self, address: ResourceAddress) -> bool:
        """Whether it is about this resource at all."""
        return fnmatchcase(str(address), self.address)

    def __str__(self) -> str:
        return f"[[accept_drift]] {self.address} {', '.join(self.fields)}"


def _literal(glob: str) -> str:
    """*glob* with brackets that mean themselves: in a path they number the elements of a list."""
    return glob.replace("[", "[[]")


def covering(acceptances: Sequence[Acceptance], address: ResourceAddress, path: Path) -> Acceptance | None:
    """The acceptance of this field, which may have expired; None when there is none."""
    about = [one for one in acceptances if one.covers(address, path)]
    # The one that holds longest decides: of two entries the newer is the decision of today.
    return max(about, key=lambda one: one.expires, default=None)


def idle(
    acceptances: Iterable[Acceptance],
    drifted: Iterable[tuple[ResourceAddress, Path]],
    unread: Iterable[ResourceAddress],
) -> list[Acceptance]:
    """The acceptances that no drift needs, as far as that can be seen: entries to remove."""
    found, hidden = list(drifted), list(unread)
    return [
        one
        for one in acceptances
        if not any(one.covers(address, path) for address, path in found)
        and not any(map(one.concerns, hidden))
    ]
