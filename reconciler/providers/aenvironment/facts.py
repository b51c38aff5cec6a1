"""What a policy may limit of AEnvironment objects, read off their attributes.

The words are those of `reconciler.core.policy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.core.model import Path
from reconciler.core.ports import Fact
from reconciler.providers.quantity import quantity_bytes

__all__ = ["environment_facts", "service_facts"]

_CORES: Final = ("cpu_cores", 1)
_MEMORY: Final = ("memory_gb", 2**30)
_DEPLOYED: Final[Mapping[str, tuple[str, int]]] = {
    "cpu": _CORES,
    "cpuRequest": _CORES,
    "cpuLimit": _CORES,
    "memory": _MEMORY,
    "memoryRequest": _MEMORY,
    "memoryLimit": _MEMORY,
}
_SERVED: Final[Mapping[str, tuple[str, int]]] = {
    "cpu_request": _CORES,
    "cpu_limit": _CORES,
    "memory_request": _MEMORY,
    "memory_limit": _MEMORY,
}


def environment_facts(values: Mapping[str, Any]) -> Iterator[Fact]:
    """Its image, and the amounts that its services and instances are to have."""
    if image := values.get("image"):
        yield Fact("image", image, ("image",))
    yield from _amounts(values.get("deploy_config") or {}, _DEPLOYED, ("deploy_config",))


def service_facts(values: Mapping[str, Any]) -> Iterator[Fact]:
    """The amounts that it asks for."""
    yield from _amounts(values, _SERVED, ())


def _amounts(values: Mapping[str, Any], known: Mapping[str, tuple[str, int]], at: Path) -> Iterator[Fact]:
    for key, (name, unit) in known.items():
        amount = quantity_bytes(str(values.get(key) or ""))
        if amount is not None:
            yield Fact(name, float(amount / unit), (*at, key))
