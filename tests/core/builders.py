"""Values of the core with everything filled in that a test does not care about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.core.attributes import Attributes, canonical, digest
from reconciler.core.model import (
    FieldChange,
    Lifecycle,
    Path,
    Remote,
    Resource,
    ResourceAddress,
    ResourceState,
    Source,
)
from reconciler.core.ports import ResourceKind

BOX = ResourceKind(
    "box",
    ("name",),
    immutable=frozenset({"shape"}),
    defaults={"colour": "white", "labels": {}, "parts": []},
)
KEY = ResourceKind(
    "key",
    ("name",),
    immutable=frozenset({"secret", "shape"}),
    write_only=frozenset({"secret", "pin"}),
    unreadable="the platform never shows the secret",
)
KINDS: Mapping[str, ResourceKind] = {"box": BOX, "key": KEY}


def address(text: str) -> ResourceAddress:
    """``box.lab`` on the platform ``t``, or a whole address."""
    return ResourceAddress.parse(text if text.count(".") > 1 else f"t.{text}")


def addresses(texts: Iterable[str]) -> tuple[ResourceAddress, ...]:
    """Several of them, sorted."""
    return tuple(sorted(map(address, texts)))


def wish(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    needs: Iterable[str] = (),
    line: int = 1,
    **lifecycle: Any,
) -> Resource:
    """What a spec wants."""
    where = address(name)
    values = {"name": where.name, **(attributes or {})}
    file = f"{where.name}.toml"
    return Resource(where, Attributes(values), Source(file, line), addresses(needs), Lifecycle(**lifecycle))


def memory(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    remote_id: str = "1",
    needs: Iterable[str] = (),
    **more: Any,
) -> ResourceState:
    """What the state remembers."""
    where = address(name)
    values = {"name": where.name, **(attributes or {})}
    return ResourceState(where, remote_id, Attributes(values), depends_on=addresses(needs), **more)


def sight(
    name: str, attributes: Mapping[str, Any] | None = None, *, remote_id: str = "1", **more: Any
) -> Remote:
    """What the platform shows."""
    where = address(name)
    values = Attributes({"name": where.name, **(attributes or {})})
    kind = KINDS[where.kind]
    wire = digest(canonical(values.values_))
    return Remote(where.kind, remote_id, kind.identity_of(values), values, **{"wire_digest": wire, **more})


def spelled(path: Path) -> str:
    """``parts.0.size``."""
    return ".".join(map(str, path))


def field_line(field: FieldChange) -> str:
    """One field of a change as a line of text."""
    end = " forces replacement" if field.forces_replace else ""
    if field.sensitive:
        assert (field.before, field.after) == (None, None), "a sensitive change carries values"
        return f"{spelled(field.path)}: secret ({field.cause}){end}"
    before, after = (json.dumps(value, ensure_ascii=False) for value in (field.before, field.after))
    return f"{spelled(field.path)}: {before} -> {after} ({field.cause}){end}"
