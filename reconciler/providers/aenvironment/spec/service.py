"""A service of an environment, as a spec says it: beside its environment, or in a file of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.core.attributes import ID, REF
from reconciler.core.ports import Fact, Place
from reconciler.core.reading import Table, refuse
from reconciler.providers.aenvironment.facts import service_facts
from reconciler.providers.aenvironment.kinds import RESOURCES
from reconciler.providers.aenvironment.spec.words import (
    Amount,
    Finding,
    Port,
    Text,
    Values,
    service_name,
)
from reconciler.providers.quantity import canonical_quantity, quantity_bytes

__all__ = ["Service", "ServiceFields", "from_deployment"]

_AMOUNTS: Final = ("cpu", "memory", "ephemeral_storage")
_DEFAULTS: Final = ("1", "2Gi", "5Gi")
"""What the vendor's command line sends where config.json says nothing. Source: `aenv service create`."""


def _service_variable(value: Any) -> Any:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case {"env": _} | {"file": _} | {"command": _}:
            raise refuse(
                "api-service logs the values of variables, and shows them to whoever asks",
                "Let the program in the container fetch the secret, or have a pod template of the cluster "
                "mount it.",
            )
    raise refuse("the value of a variable is text", "Write it as one text, in quotes.")


Variable = Annotated[str, BeforeValidator(_service_variable, json_schema_input_type=str | int | bool)]


def _environment(text: str) -> str:
    name, at, version = text.partition("@")
    if at and (not name or not version or "@" in version):
        raise refuse(
            f"{text!r} names no environment",
            "Write NAME of a spec of this stack, or NAME@VERSION of another.",
        )
    return text


def _mount_path(text: str) -> str:
    if not re.fullmatch(r"/[^\s:]*", text):
        raise refuse(f"{text!r} is no path in a container", 'It begins with /, such as "/home/admin/data".')
    return text


class ServiceFields(Table):
    """A service, without the environment that it is of."""

    name: Text | None = Field(None, description="Its name in the cluster, when not that of the spec.")
    replicas: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None, description="How many copies run; 1 when absent."
    )
    environment_variables: dict[str, Variable] | None = Field(
        None, description="By name. Can be set and changed, not removed: that replaces the service."
    )
    port: Port | None = Field(None, description="Port of the container.")
    owner: Text | None = Field(None, description="Whose it is.")
    cpu: Amount | None = Field(None, description="Cores, as request and limit.")
    cpu_request: Amount | None = None
    cpu_limit: Amount | None = None
    memory: Amount | None = Field(None, description="Memory, as request and limit.")
    memory_request: Amount | None = None
    memory_limit: Amount | None = None
    ephemeral_storage: Amount | None = Field(None, description="Ephemeral storage, as request and limit.")
    ephemeral_storage_request: Amount | None = None
    ephemeral_storage_limit: Amount | None = None
    storage_size: Amount | None = Field(
        None, description="Size of a volume, which outlives the service. It can never change."
    )
    storage_name: Text | None = Field(
        None, description="Name of that volume; the environment's when absent. Equal names share one."
    )
    mount_path: Annotated[str, AfterValidator(_mount_path)] | None = Field(
        None, description="Where the volume is mounted; /home/admin/data when absent."
    )
    enable_storage: bool | None = Field(
        None, description="Whether there is a volume, where config.json says it too."
    )
    delete_storage: bool = Field(False, description="Delete the volume when the service is destroyed.")
    ready_timeout: Annotated[int, Field(ge=0, le=86400)] | None = Field(
        None, description="Seconds until it has to run; 0 does not wait. The platform's setting when absent."
    )

    def wanted(self, inherited: Mapping[str, Any], environment: str) -> Values:
        """The attributes, with what *inherited* says where this says nothing.

        *environment* is the name whose volume it shares by default, empty
        when that is not known yet.
        """
        values: Values = dict(inherited)
        for name in ("replicas", "environment_variables", "port", "owner", "mount_path", *RESOURCES):
            if (value := getattr(self, name)) is not None:
                mixed = name == "environment_variables" and name in values
                values[name] = {**values[name], **value} if mixed else value
        for name in _AMOUNTS:
            if (amount := getattr(self, name)) is not None:
                for end in ("request", "limit"):
                    if getattr(self, f"{name}_{end}") is None:
                        values[f"{name}_{end}"] = amount
        for name in ("storage_size", "storage_name"):
            if (value := getattr(self, name)) is not None:
                values[name] = value
        if self.enable_storage is False or "storage_size" not in values:
            for name in ("storage_size", "storage_name", "mount_path"):
                values.pop(name, None)
        elif environment:
            values.setdefault("storage_name", environment)
        if self.delete_storage:
            values["delete_storage"] = True
        if self.ready_timeout is not None:
            values["ready_timeout"] = self.ready_timeout
        return values

    def conflicts(self, values: Mapping[str, Any], name: str) -> Iterator[Finding]:
        """What does not go together in a service of this *name* with these attributes."""
        if why := service_name(name):
            yield Finding(
                ("name",),
                why,
                "Use a-z, 0-9 and -, a letter first and no - at the end, 63 characters at most: "
                "it becomes a name in the cluster's DNS.",
            )
        replicas = values.get("replicas", 1)
        if "storage_size" in values and replicas != 1:
            yield Finding(
                ("replicas",),
                f"storage goes with one replica, not with {replicas}: api-service refuses it",
                "Write 1, or give up the storage.",
            )
        if self.enable_storage and "storage_size" not in values:
            yield Finding(("enable_storage",), "storage needs a size", 'Add storage_size = "10Gi".')
        for field in ("storage_name", "mount_path", "delete_storage"):
            if getattr(self, field) and "storage_size" not in values:
                yield Finding((field,), f"`{field}` has no effect without storage", "Add `storage_size`.")
        for what in _AMOUNTS:
            asked, limit = (values.get(f"{what}_{end}") for end in ("request", "limit"))
            if asked and limit and (quantity_bytes(limit) or 0) < (quantity_bytes(asked) or 0):
                field = f"{what}_limit" if getattr(self, f"{what}_limit") else what
                yield Finding(
                    (field,),
                    f"the limit of {what} is {limit}, less than the {asked} that are asked for",
                    "Raise the limit, or ask for less.",
                )

    def facts(self, values: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[Fact]:
        """What a policy may limit, where the spec says it: by the short name of an amount, or by its own."""
        for fact in service_facts(values):
            key = str(fact.path[0])
            said = key if key in self.model_fields_set else key.rpartition("_")[0]
            yield Fact(fact.name, fact.value, (*at, said) if said in self.model_fields_set else at)


class Service(ServiceFields):
    """A service in a file of its own."""

    environment: Annotated[str, Field(min_length=1), AfterValidator(_environment)] = Field(
        description="Name of an environment of this stack, or NAME@VERSION of any other."
    )

    def reference(self, place: Place) -> Values:
        """The environment as the attributes hold it."""
        if "@" in self.environment:
            return {ID: self.environment}
        return {REF: f"{place.platform}.environment.{self.environment}"}


def from_deployment(deploy: Mapping[str, Any]) -> Values:
    """The attributes of a service that ``aenv service create`` makes of a ``deployConfig``.

    Its ``service`` block counts, or the same keys beside it where there is
    none; amounts by their old names, else by the short ones, else as the
    command line has them. Empty text is absence.
    """
    block = deploy.get("service") or deploy
    values: Values = {"replicas": block.get("replicas") or 1}
    if block.get("port"):
        values["port"] = block["port"]
    if block.get("enableStorage") and block.get("storageSize"):
        for key, name in (
            ("storageSize", "storage_size"),
            ("storageName", "storage_name"),
            ("mountPath", "mount_path"),
        ):
            if block.get(key):
                values[name] = canonical_quantity(block[key]) if name == "storage_size" else block[key]
    for name, short, default in zip(_AMOUNTS, ("cpu", "memory", "ephemeralStorage"), _DEFAULTS, strict=True):
        for end in ("Request", "Limit"):
            amount = deploy.get(f"{short}{end}") or deploy.get(short) or default
            values[f"{name}_{end.lower()}"] = canonical_quantity(amount)
    if deploy.get("environmentVariables"):
        values["environment_variables"] = dict(deploy["environmentVariables"])
    return values
