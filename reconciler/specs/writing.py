"""TOML for specs: new files for what is captured or imported, and live values for files that people keep.

New files are tomli-w's; in files that exist only tomlkit changes anything,
since it keeps comments, order and blanks of all the rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from reconciler.core.model import ResourceAddress
from reconciler.core.plaintext import suspicions
from reconciler.errors import ReconcilerError
from reconciler.specs.folder import CONTROL

__all__ = ["file_stem", "imported_text", "plain_secrets_in", "spec_text", "updated_text"]

_USUAL_KIND: Final = "environment"


def file_stem(name: str, taken: Collection[str]) -> str:
    """A file's name, without ``.toml``, for a spec called *name*; none of *taken* (in small letters)."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "spec"
    stem, number = plain, 1
    while stem.lower() in taken or stem == "reconciler":
        number += 1
        stem = f"{plain}-{number}"
    return stem


def spec_text(table: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """The TOML of *table*, with *comments* in front, a paragraph each."""
    import tomli_w

    # A comment may hold no control character.
    lines = (CONTROL.sub("\ufffd", line) for text in comments for line in text.splitlines())
    head = "".join(f"# {line}\n" for line in lines)
    text = tomli_w.dumps(table, multiline_strings=True)
    return f"{head}\n{text}" if head else text


def imported_text(
    address: ResourceAddress,
    stem: str,
    table: Mapping[str, Any],
    *,
    placed: Iterable[str],
    adopt: bool = False,
    ignored: Sequence[str] = (),
) -> str:
    """The file ``STEM.toml`` for *address*: what is *placed* stands below the platform, the rest on top.

    With *adopt*, an object that cannot be compared whole is taken over all the same. What is
    *ignored* is left as it is on the platform, whatever the table means by saying nothing of it.
    """
    here = [key for key in placed if key in table]
    on = {key: table[key] for key in here if not (key == "name" and table[key] == address.name)}
    document: dict[str, Any] = {}
    if address.kind != _USUAL_KIND:
        document["kind"] = address.kind
    if address.name != stem:
        document["name"] = address.name
    document |= {key: value for key, value in table.items() if key not in here}
    lifecycle = {
        **({"adopt": True} if adopt else {}),
        **({"ignore_changes": list(ignored)} if ignored else {}),
    }
    if lifecycle:
        document["lifecycle"] = lifecycle
    document["on"] = {address.platform: on}
    return spec_text(document)


def plain_secrets_in(table: Mapping[str, Any], allowed: Iterable[str]) -> dict[str, str]:
    """The fields of *table* in which a likely secret stands in plain text, each with where and why.

    Not those that a glob of *allowed* names: see ``not_secret``.
    """
    globs = tuple(allowed)
    found: dict[str, str] = {}
    for one in suspicions(table):
        name = ".".join(map(str, one.path))
        if one.path[-1] != "access_key_id" and not any(fnmatchcase(name, glob) for glob in globs):
            found.setdefault(str(one.path[0]), f"{name}: {one.why}")
    return found


def updated_text(text: str, platform: str, changes: Mapping[str, Any]) -> str:
    """The spec *text* with *changes* of fields written in: a value, or None for a field to take out.

    Each is changed where it stands, below the platform first. What stands for
    several platforms is left, and overridden for this one; what does not stand
    here needs no taking out. Raises `ReconcilerError` where that cannot be said.
    """
    import tomlkit

    document = tomlkit.parse(text)
    placements: Any = document.get("on", {})
    own: Any = placements.get(platform)
    shared = len(placements) > 1
    for key, value in changes.items():
        if isinstance(own, MutableMapping) and key in own:
            _put(own, key, value)
        elif key in document and not shared:
            _put(document, key, value)
        elif value is None:
            if key in document:
                raise ReconcilerError(
                    f"`{key}` stands for several platforms: it cannot be taken out for {platform} alone",
                    hint="Change it by hand; nothing was written.",
                )
        elif isinstance(own, MutableMapping):
            own[key] = _item(value)
        else:
            raise ReconcilerError(f"there is no [on.{platform}] to write `{key}` into")
    return tomlkit.dumps(document)


def _put(table: MutableMapping[str, Any], key: str, value: Any) -> None:
    """Make *key* of *table* say *value*, with as little of it changed as can be."""
    if value is None:
        del table[key]
        return
    known = table[key]
    if isinstance(value, Mapping) and isinstance(known, MutableMapping):
        for name in [name for name in known if name not in value]:
            del known[name]
        for name, inner in value.items():
            if name not in known:
                known[name] = _item(inner)
            elif _plain(known[name]) != inner:
                _put(known, name, inner)
    else:
        table[key] = _item(value)


def _plain(item: Any) -> Any:
    return item.unwrap() if hasattr(item, "unwrap") else item


def _item(value: Any) -> Any:
    """*value* for a document: a table on one line, since it stands among others."""
    import tomlkit

    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        for key, inner in value.items():
            table[key] = _item(inner)
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        for inner in value:
            array.append(_item(inner))
        return array
    return tomlkit.item(value)
