"""The kinds of Run:ai objects, and their attributes in one form for specs and answers alike.

Canonical attributes use the words of specs. Of an environment:

=================================  ===================================================================
``name description``               text
``scope scope_id``                 ``tenant`` (no id), ``cluster``, ``department``, ``project``; id as text
``workload_types``                 sorted list of ``distributed inference training workspace``
``distributed_framework``          ``MPI PyTorch TF XGBoost``
``image image_pull_policy …``      the vendor's fields in snake_case
``environment_variables``          by name: the value; or a table with ``value`` and ``instructions``,
                                   ``credential`` and ``key``, ``config_map`` and ``key``, ``pod_field``,
                                   ``exclude``
``tools``                          by name: ``type``, ``connection``, ``container_port``, ``custom``,
                                   ``url``
``inference_endpoint``             ``protocol``, ``serving_port``, and ``name``, ``type`` of its connection
``uid_gid_source``                 ``image``, ``idp-token``, ``custom``
``supplemental_groups``            list of ids; absent and empty differ
``capabilities``                   sorted list
``readiness_probe``                table
=================================  ===================================================================

What absence means is in `ResourceKind.defaults` (Run:ai API 1.224; the prose
of its descriptions for ``imagePullPolicy`` and ``uidGidSource``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from reconciler.core.ports import ResourceKind
from reconciler.providers.runai.facts import compute_facts, environment_facts, scope_facts

__all__ = [
    "COMPUTE",
    "COMPUTE_FIELDS",
    "CREDENTIAL",
    "ENVIRONMENT",
    "KINDS",
    "PLAIN_FIELDS",
    "SCOPED",
    "pull_policy_for",
]

SCOPED: Final = frozenset({"scope", "scope_id"})

PLAIN_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "image": "image",
        "image_pull_policy": "imagePullPolicy",
        "command": "command",
        "args": "args",
        "working_dir": "workingDir",
        "run_as_uid": "runAsUid",
        "run_as_gid": "runAsGid",
        "override_uid_gid_in_workspace": "overrideUidGidInWorkspace",
        "seccomp_profile_type": "seccompProfileType",
        "run_as_non_root": "runAsNonRoot",
        "read_only_root_filesystem": "readOnlyRootFilesystem",
        "allow_privilege_escalation": "allowPrivilegeEscalation",
        "create_home_dir": "createHomeDir",
        "host_ipc": "hostIpc",
        "host_network": "hostNetwork",
        "stdin": "stdin",
        "tty": "tty",
    }
)
"""Attributes of an environment that are one field of its ``spec`` on the wire, with the same value."""

COMPUTE_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gpu": "gpuDevicesRequest",
        "gpu_request_type": "gpuRequestType",
        "gpu_portion": "gpuPortionRequest",
        "gpu_portion_limit": "gpuPortionLimit",
        "gpu_memory": "gpuMemoryRequest",
        "gpu_memory_limit": "gpuMemoryLimit",
        "cpu_cores": "cpuCoreRequest",
        "cpu_cores_limit": "cpuCoreLimit",
        "memory": "cpuMemoryRequest",
        "memory_limit": "cpuMemoryLimit",
        "large_shm": "largeShmRequest",
    }
)
"""Attributes of a compute asset that are one field of its ``spec`` on the wire."""

ENVIRONMENT: Final = ResourceKind(
    name="environment",
    identity=("scope", "scope_id", "name"),
    immutable=frozenset({"scope", "scope_id", "workload_types", "distributed_framework"}),
    defaults=MappingProxyType(
        {
            "workload_types": [],
            "environment_variables": {},
            "tools": {},
            "capabilities": [],
            "uid_gid_source": "image",
            "override_uid_gid_in_workspace": False,
            "host_ipc": False,
            "host_network": False,
        }
    ),
    facts=environment_facts,
)

COMPUTE: Final = ResourceKind(
    name="compute",
    identity=("scope", "scope_id", "name"),
    immutable=SCOPED,
    defaults=MappingProxyType({"extended_resources": [], "large_shm": False}),
    facts=compute_facts,
)

CREDENTIAL: Final = ResourceKind(
    name="credential",
    identity=("type", "scope", "scope_id", "name"),
    # PUT changes only the description, whatever the kind of credential.
    immutable=frozenset(
        {
            "name",
            "type",
            "scope",
            "scope_id",
            "keys",
            "data",
            "url",
            "user",
            "password",
            "access_key_id",
            "secret_access_key",
            "ngc_api_key",
            "existing_secret_name",
        }
    ),
    defaults=MappingProxyType({"keys": []}),
    write_only=frozenset({"data", "password", "secret_access_key", "ngc_api_key"}),
    unreadable="Run:ai never shows the secret: it comes back only while its reference gives the same value",
    facts=scope_facts,
)

KINDS: Final[Mapping[str, ResourceKind]] = MappingProxyType(
    {kind.name: kind for kind in (CREDENTIAL, COMPUTE, ENVIRONMENT)}
)


def pull_policy_for(image: Any) -> str:
    """What an absent ``imagePullPolicy`` means: ``Always`` for ``:latest`` and for no tag at all."""
    name = str(image or "").rpartition("/")[2]
    if "@" in name:
        return "IfNotPresent"
    tag = name.partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"
