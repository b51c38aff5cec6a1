"""GPU, CPU and memory."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from reconciler.core.ports import Fact
from reconciler.core.reading import Table, refuse
from reconciler.providers.quantity import quantity_bytes
from reconciler.providers.runai.facts import amount_facts
from reconciler.providers.runai.kinds import COMPUTE_FIELDS
from reconciler.providers.runai.spec.scope import Scoped
from reconciler.providers.runai.spec.words import Amount, Conflict, Count, Quantity, Share, Text, Values


class ExtendedResource(Table):
    """An amount of a resource that is neither GPU, CPU nor memory."""

    resource: Text
    quantity: Quantity
    exclude: bool = False


def _whole_gpus(value: Any) -> Any:
    if isinstance(value, float) and not value.is_integer():
        part = f"`gpu_portion = {value}`" if 0 < value < 1 else "`gpu_portion`, of one device only"
        raise refuse(f"`gpu` counts whole devices, not {value}", f"Write a whole number, or {part}.")
    return value


def _cores(value: Any) -> Any:
    """Cores, as a number: what Kubernetes writes as ``500m`` is refused with what it comes to."""
    if isinstance(value, str) and value.strip().endswith("m") and (found := quantity_bytes(value.strip())):
        raise refuse(f"{value!r} is text, and cores are a number", f"Write {float(found):g}, without quotes.")
    return value


Devices = Annotated[Count, BeforeValidator(_whole_gpus, json_schema_input_type=Count)]


Cores = Annotated[Amount, BeforeValidator(_cores, json_schema_input_type=Amount)]


class ComputeFields(Table):
    """GPU, CPU and memory. A fraction of one GPU is a ``gpu_portion``."""

    gpu: Devices | None = Field(None, description="Whole GPU devices.")
    gpu_request_type: Literal["portion", "memory"] | None = Field(
        None, description="How a part of a GPU is asked for."
    )
    gpu_portion: Share | None = Field(None, description="Share of one GPU.")
    gpu_portion_limit: Share | None = Field(None, description="Most of one GPU.")
    gpu_memory: Quantity | None = Field(None, description="GPU memory.")
    gpu_memory_limit: Quantity | None = Field(None, description="Most GPU memory.")
    cpu_cores: Cores | None = Field(None, description="CPU cores.")
    cpu_cores_limit: Cores | None = Field(None, description="Most CPU cores.")
    memory: Quantity | None = Field(None, description='Memory, such as "64Gi".')
    memory_limit: Quantity | None = Field(None, description="Most memory.")
    large_shm: bool | None = Field(None, description="A large /dev/shm.")
    extended_resources: list[ExtendedResource] | None = Field(None, description="Other resources.")

    def amounts(self) -> Values:
        """As the attributes hold them."""
        values: Values = {}
        for name in COMPUTE_FIELDS:
            value = getattr(self, name)
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if value is not None:
                values[name] = value
        if self.extended_resources is not None:
            values["extended_resources"] = sorted(
                (one.model_dump(exclude_defaults=True) for one in self.extended_resources),
                key=lambda one: str(one["resource"]),
            )
        return values

    def limits_too_low(self, at: tuple[str, ...]) -> Iterator[Conflict]:
        """Limits below what is asked for. No workload would start with them."""
        for name in ("gpu_portion", "gpu_memory", "cpu_cores", "memory"):
            asked, limit = getattr(self, name), getattr(self, f"{name}_limit")
            if asked is not None and limit is not None and _amount(limit) < _amount(asked):
                fields = at or (f"{name}_limit", name)
                summary = f"`{name}_limit` is {_shown(limit)}, less than `{name}`, which is {_shown(asked)}"
                hint = f"Raise `{name}_limit`, or ask for less."
                yield Conflict(fields, summary, hint, (*at, f"{name}_limit"))

    def facts(self, at: tuple[str, ...]) -> tuple[Fact, ...]:
        """What a policy may limit."""
        # As the table has them, not as `amounts`: a place in the file is that of the table's own order.
        return tuple(amount_facts(self.model_dump(), at))


def _amount(value: float | str) -> Fraction:
    found = quantity_bytes(value) if isinstance(value, str) else Fraction(value)
    return found or Fraction(0)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


class Compute(Scoped, ComputeFields):
    """A compute asset of its own."""

    def conflicts(self) -> Iterator[Conflict]:
        """See `Scoped.conflicts`."""
        yield from super().conflicts()
        yield from self.limits_too_low(())
