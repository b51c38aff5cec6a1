"""The kinds of AEnvironment objects, and their attributes in one form for specs and answers alike.

Canonical attributes use the words of specs. Of an environment:

=============================================  =======================================================
``name version description code_url``          text; a description only where the server keeps one
``status``                                     its name, ``Ready``; the wire has numbers in answers
``tags``                                       list of text, in order
``image``                                      ``content`` of the first artifact of type ``image``
``image_id``                                   ``id`` of that artifact, when it has one
``artifacts``                                  all others, in order, each ``id``, ``type``, ``content``
``build_config test_config deploy_config``     tables as the wire has them, in its own spelling
=============================================  =======================================================

Of a service:

=============================================  =======================================================
``name``                                       its id, and its name inside the cluster
``environment``                                the id of its environment: ``NAME@VERSION``
``replicas port``                              numbers
``environment_variables``                      by name, text
``image``                                      that of its environment; not shown by the platform
``owner storage_name``                         text
``mount_path storage_size cpu_request …``      as sent; not shown by the platform
``delete_storage ready_timeout``               for us alone
=============================================  =======================================================

Absent, null and empty mean the same in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from reconciler.core.model import Removal
from reconciler.core.ports import Refusal, ResourceKind
from reconciler.providers.aenvironment.facts import environment_facts, service_facts

__all__ = [
    "ENVIRONMENT",
    "IMAGE",
    "KINDS",
    "RESOURCES",
    "SERVICE",
    "STATUSES",
    "environment_id",
    "parts_of",
]

IMAGE: Final = "image"
"""The type of the artifact that containers run. The first one of it counts, in this spelling only."""

STATUSES: Final = (
    "Init",
    "Pending",
    "Creating",
    "Created",
    "Testing",
    "Verified",
    "Ready",
    "Released",
    "Failed",
)
"""By number, as answers have them."""

RESOURCES: Final = (
    "cpu_request",
    "cpu_limit",
    "memory_request",
    "memory_limit",
    "ephemeral_storage_request",
    "ephemeral_storage_limit",
)
"""Amounts that a service is created with, each a field of the same name on the wire."""

_UNSEEN: Final = frozenset({"image", "mount_path", "storage_size", *RESOURCES})


def environment_id(name: str, version: str) -> str:
    """How api-service calls an environment, and so do we."""
    return f"{name}@{version}"


def parts_of(remote_id: str) -> tuple[str, str]:
    """Name and version of an environment, from its id."""
    name, _, version = remote_id.rpartition("@")
    return name, version


def _refuses_environment(before: Mapping[str, Any], after: Mapping[str, Any]) -> Refusal | None:
    if before.get("code_url") and "code_url" in after and not after["code_url"]:
        return Refusal(
            "EnvHub cannot clear `code_url`, only replace it",
            "Give it a value again, or leave it out where somebody else sets it: "
            'ignore_changes = ["code_url"] in [lifecycle].',
        )
    return None


def _refuses_service(before: Mapping[str, Any], after: Mapping[str, Any]) -> Refusal | None:
    """A volume is used again as it is: a new size would be sent, ignored, and never noticed."""
    old, new = before.get("storage_size"), after.get("storage_size")
    if not old or not new or old == new or before.get("storage_name") != after.get("storage_name"):
        return None
    return Refusal(
        f"the size of its storage cannot change: it is {old}, and the spec wants {new}",
        f'Write storage_size = "{old}" again. For a volume of another size give it a new `storage_name`; '
        "what is in the old one stays there.",
    )


ENVIRONMENT: Final = ResourceKind(
    name="environment",
    identity=("name", "version"),
    defaults=MappingProxyType(
        {
            "status": "Ready",
            "tags": [],
            "artifacts": [],
            "build_config": {},
            "test_config": {},
            "deploy_config": {},
        }
    ),
    removal=Removal.FORGET,
    final=MappingProxyType({"status": "Released"}),
    refuses=_refuses_environment,
    facts=environment_facts,
)

SERVICE: Final = ResourceKind(
    name="service",
    identity=("name",),
    immutable=frozenset(
        {
            "name",
            "environment",
            "port",
            "owner",
            "storage_name",
            "storage_size",
            "mount_path",
            *RESOURCES,
        }
    ),
    defaults=MappingProxyType({"replicas": 1, "environment_variables": {}}),
    write_only=_UNSEEN,
    plain=_UNSEEN,
    additive=frozenset({"environment_variables"}),
    late=frozenset({"replicas"}),  # to api-service, 0 at creation means 1
    local=frozenset({"delete_storage", "ready_timeout"}),
    parting=MappingProxyType({"delete_storage": "its storage goes with it, and all that is in it"}),
    refuses=_refuses_service,
    facts=service_facts,
)

KINDS: Final[Mapping[str, ResourceKind]] = MappingProxyType(
    {kind.name: kind for kind in (ENVIRONMENT, SERVICE)}
)
