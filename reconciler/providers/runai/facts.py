"""What a policy may limit of Run:ai objects, read off their attributes.

The words are those of `reconciler.core.policy`. A spec's own table has the
same names in it, so one reading serves both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.core.ports import Fact

__all__ = ["amount_facts", "compute_facts", "environment_facts", "scope_facts"]

_COUNTED: Final = (
    ("gpus", "gpu"),
    ("gpus", "gpu_portion"),
    ("gpus", "gpu_portion_limit"),
    ("cpu_cores", "cpu_cores"),
    ("cpu_cores", "cpu_cores_limit"),
)


def scope_facts(values: Mapping[str, Any]) -> Iterator[Fact]:
    """Where it is."""
    if (scope := values.get("scope")) is not None:
        yield Fact("scope", scope, ("scope",))


def environment_facts(values: Mapping[str, Any]) -> Iterator[Fact]:
    """Where it is, and its image."""
    yield from scope_facts(values)
    if (image := values.get("image")) is not None:
        yield Fact("image", image, ("image",))


def compute_facts(values: Mapping[str, Any]) -> Iterator[Fact]:
    """Where it is, and how much it asks for."""
    yield from scope_facts(values)
    yield from amount_facts(values)


def amount_facts(values: Mapping[str, Any], at: tuple[str, ...] = ()) -> Iterator[Fact]:
    """GPUs, CPU cores and memory in a table that stands *at* that place of its spec."""
    for what, name in _COUNTED:
        if (amount := values.get(name)) is not None:
            yield Fact(what, amount, (*at, name))
    for name in ("memory", "memory_limit"):
        if (text := values.get(name)) is not None:
            yield Fact("memory_gb", _number(text, 2**30), (*at, name))
    for number, one in enumerate(values.get("extended_resources") or ()):
        if one["resource"].endswith("/gpu"):
            yield Fact("gpus", _number(one["quantity"]), (*at, "extended_resources", number, "quantity"))


def _number(quantity: str, unit: int = 1) -> float:
    from reconciler.providers.quantity import quantity_bytes  # a plan that checks no limit needs none

    return float((quantity_bytes(quantity) or 0) / unit)
