"""Which version a wanted definition is: the one that is there, an old one, or the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from reconciler.core.attributes import LOOKUP
from reconciler.core.ports import Problem
from reconciler.providers.azureml.conversion import definition, definition_digest
from reconciler.providers.azureml.environments import Version, newest_active
from reconciler.providers.azureml.kinds import DEFINITION

__all__ = ["Strategy", "number_for", "surplus"]

Strategy = Literal["auto", "hash", "explicit"]

_HASH_LENGTH: Final = 12
_AT: Final = ("version",)


def number_for(
    wanted: Mapping[str, Any],
    versions: Sequence[Version],
    *,
    strategy: Strategy,
    ignored: Sequence[str] = (),
    archived: bool = False,
) -> str | Problem:
    """The version that an environment with the attributes *wanted* is to be, or why there is none.

    *versions* are all there are, of a container that is *archived* or not. A
    definition that is live already keeps its number; what counts as live of
    the fields *ignored* is left out. So does the one that was made last, and
    archived when a run was taken back: to try again makes no second version
    of it. A number that was ever given is never given to another definition.
    """
    live = None if archived else newest_active(versions)
    last = max(versions, key=lambda one: one.order, default=None)
    known = live if live is not None else last
    if known is not None and any(key in DEFINITION for key in ignored):
        seen = known.attributes
        wanted = {**wanted, **{key: seen.get(key) for key in ignored if key in DEFINITION}}
    if live is not None and "version" in ignored:
        if _same(live, wanted):
            return live.number
        return Problem(
            _AT,
            f"the definition differs from that of version {live.number}, which never changes, and "
            "ignore_changes leaves the version as it is",
            "Take version out of ignore_changes.",
        )
    said = wanted.get("version")
    if isinstance(said, str):
        return _as_said(said, wanted, versions)
    assert isinstance(said, Mapping) and LOOKUP in said, "a version is a text, or to be looked up"
    if strategy == "explicit":
        return Problem(
            _AT,
            'the spec has no `version`, and this platform has versions = "explicit"',
            'Add `version = "…"`, and raise it with each change of the definition.',
        )
    for one in (known, last):
        if one is not None and _same(one, wanted):
            return one.number
    if strategy == "hash":
        return _by_hash(wanted, versions)
    return str(max((int(one.number) for one in versions if one.number.isdecimal()), default=0) + 1)


def _same(version: Version, wanted: Mapping[str, Any]) -> bool:
    return definition(version.attributes) == definition(wanted)


def _as_said(said: str, wanted: Mapping[str, Any], versions: Sequence[Version]) -> str | Problem:
    there = next((one for one in versions if one.number == said), None)
    if there is None or _same(there, wanted):
        return said
    ours, theirs = definition(wanted), definition(there.attributes)
    differs = ", ".join(key for key in DEFINITION if ours[key] != theirs[key])
    return Problem(
        _AT,
        f"version {said} exists already, with another {differs}; a version never changes",
        "Raise `version`, or leave it out where the platform may count.",
    )


def _by_hash(wanted: Mapping[str, Any], versions: Sequence[Version]) -> str:
    """As many digits of the definition's digest as it takes to tell it from what is there."""
    digest = definition_digest(wanted)
    there = {one.number: one for one in versions}
    length = _HASH_LENGTH
    while length < len(digest) and (old := there.get(digest[:length])) is not None and not _same(old, wanted):
        length += _HASH_LENGTH
    return digest[:length]


def surplus(versions: Sequence[Version], coming: str, keep: int) -> list[Version]:
    """The active versions beyond the *keep* newest, the one that is *coming* counted as the first.

    Those newer than it are not among them: going back to an old version archives them with it.
    """
    there = next((one for one in versions if one.number == coming), None)
    older = [
        one
        for one in versions
        if not one.archived and one.number != coming and (there is None or one.order < there.order)
    ]
    older.sort(key=lambda one: one.order, reverse=True)
    return older[keep - 1 :] if keep > 0 else []
