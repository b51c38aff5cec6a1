"""What the Run:ai wire says: paths, enumerations and bodies, and nothing about what to do with them.

Source of every fact, unless a docstring names another: the OpenAPI document
of the Run:ai API 1.224 (control plane 2.24) and the models of ``runapy``
1.224.0, which agree. The environment calls are the same from 1.218 on.

Request structs are strict: an unknown key, a wrong type, a value outside
its limits is a ``msgspec.ValidationError`` whose text names the place and
never a value, except for a value that is not in an enumeration. Optional
fields that may be ``null`` on the wire default to None, because null and
absent mean the same there; the few that may be absent but not null default
to ``UNSET``. Either is left out again on encoding, while ``false`` and
``[]`` are kept: that is how the platform echoes what it was sent.

Answer structs are tolerant: unknown keys are ignored and enumerations are
plain strings, so that a newer control plane can be read.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple, get_args
from uuid import UUID

from msgspec import UNSET, DecodeError, Meta, Raw, Struct, UnsetType, field

__all__ = [
    "ACCESS_RULES",
    "CAPABILITIES",
    "CLUSTERS",
    "COMPUTE",
    "CONNECTION_TYPES",
    "CREDENTIALS",
    "CREDENTIAL_KINDS",
    "DEPARTMENTS",
    "DIST_FRAMEWORKS",
    "ENVIRONMENTS",
    "EXTERNAL_TOOL_TYPES",
    "IMAGE_PULL_POLICIES",
    "INTERNAL_TOOL_TYPES",
    "PROBE_SCHEMES",
    "PROJECTS",
    "REPLICA_TYPES",
    "SCOPES",
    "SECCOMP_PROFILE_TYPES",
    "SERVING_PROTOCOLS",
    "SPEC_FIELDS",
    "TEMPLATES",
    "TOKEN_V1",
    "TOKEN_V2",
    "UID_GID_SOURCES",
    "UNREADABLE",
    "WORKLOADS",
    "WORKLOAD_TYPES",
    "AccessKeyCreationRequest",
    "AccessKeySpec",
    "Asset",
    "AssetCreationMeta",
    "AssetMeta",
    "AssetUpdateMeta",
    "ComputeCreationRequest",
    "ComputeSpec",
    "ComputeUpdateRequest",
    "ConfigMapReference",
    "Connection",
    "CredentialKind",
    "CredentialReference",
    "CredentialUpdateMeta",
    "CredentialUpdateRequest",
    "DockerRegistryCreationRequest",
    "DockerRegistrySpec",
    "EnvironmentCreationRequest",
    "EnvironmentSpec",
    "EnvironmentUpdateRequest",
    "EnvironmentVariable",
    "ExtendedResource",
    "ExternalToolInfo",
    "ExternalUrlInfo",
    "GenericSecretCreationRequest",
    "GenericSecretSpec",
    "HttpGet",
    "InternalToolInfo",
    "KeyValuePair",
    "NgcApiKeyCreationRequest",
    "NgcApiKeySpec",
    "NodePortInfo",
    "PasswordCreationRequest",
    "PasswordSpec",
    "PodFieldReference",
    "Probe",
    "ProbeHandler",
    "Probes",
    "ServingPortInfo",
    "WorkloadSupportedTypes",
]

# Paths, below the tenant's base URL.

TOKEN_V1: Final = "/api/v1/token"  # noqa: S105  # a path
TOKEN_V2: Final = "/api/v2/token"  # noqa: S105  # a path
ENVIRONMENTS: Final = "/api/v1/asset/environment"
COMPUTE: Final = "/api/v1/asset/compute"
CREDENTIALS: Final = "/api/v1/asset/credentials"
TEMPLATES: Final = "/api/v1/asset/workload-template"
CLUSTERS: Final = "/api/v1/clusters"
DEPARTMENTS: Final = "/api/v1/org-unit/departments"
PROJECTS: Final = "/api/v1/org-unit/projects"
WORKLOADS: Final = "/api/v1/workloads"
ACCESS_RULES: Final = "/api/v1/authorization/me/access-rules"

# Enumerations. Each is written once, as a type; the tuple beside it is for those who list or test.

Scope = Literal["system", "tenant", "cluster", "department", "project"]
ImagePullPolicy = Literal["Always", "Never", "IfNotPresent"]
UidGidSource = Literal["fromTheImage", "fromIdpToken", "custom"]
SeccompProfileType = Literal["RuntimeDefault", "Unconfined", "Localhost"]
DistFramework = Literal["MPI", "PyTorch", "TF", "XGBoost"]
InternalToolType = Literal[
    "jupyter-notebook",
    "pycharm",
    "visual-studio-code",
    "tensorboard",
    "rstudio",
    "mlflow",
    "custom",
    "matlab",
    "chatbot-ui",
]
ExternalToolType = Literal["wandb", "comet"]
ConnectionType = Literal["LoadBalancer", "NodePort", "ExternalUrl", "ServingPort"]
ServingProtocol = Literal["http", "grpc"]
ProbeScheme = Literal["HTTP", "HTTPS"]
Capability = Literal[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETGID",
    "SETFCAP",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
]

SCOPES: Final[tuple[str, ...]] = get_args(Scope)
IMAGE_PULL_POLICIES: Final[tuple[str, ...]] = get_args(ImagePullPolicy)
UID_GID_SOURCES: Final[tuple[str, ...]] = get_args(UidGidSource)
SECCOMP_PROFILE_TYPES: Final[tuple[str, ...]] = get_args(SeccompProfileType)
DIST_FRAMEWORKS: Final[tuple[str, ...]] = get_args(DistFramework)
INTERNAL_TOOL_TYPES: Final[tuple[str, ...]] = get_args(InternalToolType)
EXTERNAL_TOOL_TYPES: Final[tuple[str, ...]] = get_args(ExternalToolType)
CONNECTION_TYPES: Final[tuple[str, ...]] = get_args(ConnectionType)
SERVING_PROTOCOLS: Final[tuple[str, ...]] = get_args(ServingProtocol)
PROBE_SCHEMES: Final[tuple[str, ...]] = get_args(ProbeScheme)
CAPABILITIES: Final[tuple[str, ...]] = get_args(Capability)
WORKLOAD_TYPES: Final = ("Workspace", "Training", "Distributed", "Inference")
"""Values of the query ``complyToWorkloadType``."""
REPLICA_TYPES: Final = ("Worker", "Master")
"""Values of the query ``complyToReplicaType``."""


class CredentialKind(NamedTuple):
    """One of the five kinds of credential.

    ``segment`` is the last part of its path; ``kind`` the value of
    ``meta.kind`` and the key in the list of all kinds; ``deleted`` the status
    of a successful DELETE (204 comes without a body); ``keeps`` the spec
    fields that are no secret.
    """

    segment: str
    kind: str
    deleted: int
    keeps: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where this kind is listed and created; one object is one segment below."""
        return f"{CREDENTIALS}/{self.segment}"


CREDENTIAL_KINDS: Final = (
    CredentialKind("generic-secret", "genericSecret", 204, ("existingSecretName",)),
    CredentialKind("docker-registry", "dockerRegistry", 202, ("existingSecretName", "url", "user")),
    CredentialKind("access-key", "accessKey", 202, ("existingSecretName", "accessKeyId")),
    CredentialKind("password", "password", 202, ("existingSecretName", "user")),
    CredentialKind("ngc-api-key", "ngcApiKey", 204, ()),
)

UNREADABLE: Final = (DecodeError, UnicodeDecodeError)
"""What decoding raises for a body that is no such thing; text that is not UTF-8, msgspec leaves to Python."""

# Limits. Regular expressions end in \Z: $ would let a line end through.

Text = Annotated[str, Meta(min_length=1)]
Description = Annotated[str, Meta(min_length=1, max_length=250)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
PositiveCount = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Amount = Annotated[float, Meta(ge=0)]
Quantity = Annotated[str, Meta(pattern=r"^([+]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)\Z")]
ConfigMapName = Annotated[str, Meta(min_length=1, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z")]
ProbePath = Annotated[str, Meta(pattern=r"^(/[a-zA-Z0-9\-_./]*)?\Z")]
NgcKey = Annotated[str, Meta(min_length=1, pattern=r"^[-._A-Za-z0-9]+\Z")]


class _Request(Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Base of what a client sends."""


class WorkloadSupportedTypes(_Request):
    """Which workloads may use the environment. Cannot be changed after creation."""

    workspace: bool | None = None
    training: bool | None = None
    inference: bool | None = None
    distributed: bool | None = None
    dist_framework: DistFramework | None = None


class AssetCreationMeta(_Request, kw_only=True):
    """``meta`` of a create request, the same for every kind of asset.

    ``scope`` decides which of the three ids is needed. ``autoDelete`` is
    meant for the vendor's own use; ``private`` is new in 1.224.
    """

    name: Text
    description: Description | None = None
    scope: Scope
    cluster_id: UUID | None = None
    department_id: Text | None = None
    project_id: Int32 | None = None
    auto_delete: bool | None = None
    workload_supported_types: WorkloadSupportedTypes | None = None
    private: bool | None = None


class AssetUpdateMeta(_Request):
    """``meta`` of an update request: all that can be changed in place."""

    name: Text
    description: Description | None = None


class CredentialReference(_Request):
    """A key of a credential asset, by the id of the asset."""

    asset_id: UUID | None = None
    key: Text | None = None


class ConfigMapReference(_Request):
    """A key of a Kubernetes config map, by the name of the map."""

    name: ConfigMapName | None = None
    key: Text | None = None


class PodFieldReference(_Request):
    """A field of the pod, such as ``metadata.name``."""

    path: Text | None = None


class EnvironmentVariable(_Request):
    """One environment variable; at most one of its four sources is set.

    The models let ``name`` be absent, the prose of the document demands it;
    so do we. ``credential`` and ``description`` are new in 1.220,
    ``configMap`` and ``podFieldRef`` in 1.221. GET answers ``value`` in clear.
    """

    name: Text
    value: str | None = None
    credential: CredentialReference | None = None
    config_map: ConfigMapReference | None = None
    pod_field_ref: PodFieldReference | None = None
    exclude: bool | None = None
    description: str | None = None


class NodePortInfo(_Request):
    """``isCustomPort`` says that whoever submits the workload gives the number; it is not kept here."""

    is_custom_port: bool | UnsetType = UNSET


class ExternalUrlInfo(_Request):
    """``isCustomUrl`` false means that the platform makes the address."""

    is_custom_url: bool | UnsetType = UNSET
    external_url: Text | None = None


class ServingPortInfo(_Request):
    """The protocol of an inference endpoint."""

    protocol: ServingProtocol | None = None


class InternalToolInfo(_Request):
    """A tool that runs in the container."""

    tool_type: InternalToolType
    connection_type: ConnectionType
    container_port: Port
    node_port_info: NodePortInfo | None = None
    external_url_info: ExternalUrlInfo | None = None
    serving_port_info: ServingPortInfo | None = None


class ExternalToolInfo(_Request):
    """A service outside the cluster. ``externalUrl`` may contain ``${VARIABLE}``."""

    tool_type: ExternalToolType
    external_url: Text


class Connection(_Request):
    """A tool and how it is reached. ``name`` is unique inside one environment."""

    name: Text
    is_external: bool | UnsetType = UNSET
    internal_tool_info: InternalToolInfo | None = None
    external_tool_info: ExternalToolInfo | None = None


class HttpGet(_Request):
    """The request a probe makes. No ``scheme`` means HTTP."""

    path: ProbePath | None = None
    port: Port | None = None
    host: str | None = None
    scheme: ProbeScheme | None = None


class ProbeHandler(_Request):
    """What a probe does; an HTTP request is all it can do."""

    http_get: HttpGet | UnsetType = UNSET


class Probe(_Request):
    """Times are in seconds."""

    initial_delay_seconds: Count | None = None
    period_seconds: PositiveCount | None = None
    timeout_seconds: PositiveCount | None = None
    success_threshold: PositiveCount | None = None
    failure_threshold: PositiveCount | None = None
    handler: ProbeHandler | None = None


class Probes(_Request):
    """Only readiness exists."""

    readiness: Probe | None = None


class EnvironmentSpec(_Request):
    """``spec`` of an environment, the same in create, update and answer: 23 fields, none required.

    ``command`` and ``args`` are one string each. ``supplementalGroups`` are
    ids joined by commas, and ``""`` means the image's own groups.
    """

    image: Text | None = None
    image_pull_policy: ImagePullPolicy | None = None
    command: Text | None = None
    args: Text | None = None
    working_dir: Text | None = None
    environment_variables: list[EnvironmentVariable] | None = None
    connections: list[Connection] | UnsetType = UNSET
    uid_gid_source: UidGidSource | None = None
    run_as_uid: Int64 | None = None
    run_as_gid: Int64 | None = None
    supplemental_groups: str | None = None
    override_uid_gid_in_workspace: bool | UnsetType = UNSET
    capabilities: list[Capability] | None = None
    seccomp_profile_type: SeccompProfileType | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    create_home_dir: bool | None = None
    host_ipc: bool | None = None
    host_network: bool | None = None
    stdin: bool | None = None
    tty: bool | None = None
    probes: Probes | None = None


SPEC_FIELDS: Final[tuple[str, ...]] = EnvironmentSpec.__struct_encode_fields__
"""The names of the 23 spec fields as the wire spells them."""


class EnvironmentCreationRequest(_Request):
    """Body of ``POST`` on environments."""

    meta: AssetCreationMeta
    spec: EnvironmentSpec


class EnvironmentUpdateRequest(_Request):
    """Body of ``PUT`` on an environment."""

    meta: AssetUpdateMeta
    spec: EnvironmentSpec


class ExtendedResource(_Request):
    """An amount of a resource that is neither GPU, CPU nor memory."""

    resource: Text | None = None
    quantity: Quantity | None = None
    exclude: bool | None = None


class ComputeSpec(_Request):
    """``spec`` of a compute asset. ``cpuCore*`` count cores, ``gpuPortion*`` are shares of one device."""

    cpu_core_limit: Amount | None = None
    cpu_core_request: Amount | None = None
    cpu_memory_limit: Quantity | None = None
    cpu_memory_request: Quantity | None = None
    extended_resources: list[ExtendedResource] | None = None
    gpu_devices_request: Count | None = None
    gpu_memory_limit: Quantity | None = None
    gpu_memory_request: Quantity | None = None
    gpu_portion_limit: Amount | None = None
    gpu_portion_request: Amount | None = None
    gpu_request_type: Literal["portion", "memory"] | None = None
    large_shm_request: bool | None = None


class ComputeCreationRequest(_Request):
    """Body of ``POST`` on compute assets. ``spec`` has to be there and may be null."""

    meta: AssetCreationMeta
    spec: ComputeSpec | None


class ComputeUpdateRequest(_Request):
    """Body of ``PUT`` on a compute asset."""

    meta: AssetUpdateMeta
    spec: ComputeSpec | None


class KeyValuePair(_Request):
    """One entry of a generic secret. ``value`` is a secret."""

    key: Text
    value: str | None = None


class GenericSecretSpec(_Request):
    """Inline pairs, or the name of a Kubernetes secret that exists."""

    existing_secret_name: Text | None = None
    key_value_pairs: list[KeyValuePair] | None = None


class DockerRegistrySpec(_Request):
    """Login of an image registry. ``password`` is a secret."""

    existing_secret_name: Text | None = None
    user: Text | None = None
    password: Text | None = None
    url: Text | None = None


class AccessKeySpec(_Request):
    """Key of an object store. ``secretAccessKey`` is a secret."""

    existing_secret_name: Text | None = None
    access_key_id: Text | None = None
    secret_access_key: Text | None = None


class PasswordSpec(_Request):
    """User and password, git's among others. ``password`` is a secret."""

    existing_secret_name: Text | None = None
    user: Text | None = None
    password: Text | None = None


class NgcApiKeySpec(_Request):
    """Key of NVIDIA's registry; a secret, and the one name the wire spells in snake case."""

    ngc_api_key: NgcKey = field(name="ngc_api_key")


class GenericSecretCreationRequest(_Request):
    """Body of ``POST`` on generic secrets."""

    meta: AssetCreationMeta
    spec: GenericSecretSpec


class DockerRegistryCreationRequest(_Request):
    """Body of ``POST`` on docker registries."""

    meta: AssetCreationMeta
    spec: DockerRegistrySpec


class AccessKeyCreationRequest(_Request):
    """Body of ``POST`` on access keys."""

    meta: AssetCreationMeta
    spec: AccessKeySpec


class PasswordCreationRequest(_Request):
    """Body of ``POST`` on passwords."""

    meta: AssetCreationMeta
    spec: PasswordSpec


class NgcApiKeyCreationRequest(_Request):
    """Body of ``POST`` on NGC keys."""

    meta: AssetCreationMeta
    spec: NgcApiKeySpec


class CredentialUpdateMeta(_Request):
    """All that can be changed in a credential."""

    description: Description | None = None


class CredentialUpdateRequest(_Request):
    """Body of ``PUT`` on any credential. A new secret value is a new credential."""

    meta: CredentialUpdateMeta | UnsetType = UNSET


class AssetMeta(Struct, omit_defaults=True, kw_only=True, rename="camel"):
    """``meta`` of an answer.

    Times are RFC 3339. The server fills in the ids above the asset's own
    scope, and ``projectName`` in project scope. ``updateCount`` is new in
    1.221; it and ``updatedAt`` are the only marks of a version.
    """

    name: str
    description: str | None = None
    scope: str
    cluster_id: str | None = None
    department_id: str | None = None
    project_id: int | None = None
    auto_delete: bool | None = None
    workload_supported_types: Raw | UnsetType = UNSET
    private: bool | None = None
    id: str
    kind: str
    tenant_id: int | None = None
    created_by: str
    created_at: str
    updated_by: str
    updated_at: str
    deleted_at: str | None = None
    deleted_by: str | None = None
    project_name: str | None = None
    update_count: int | None = None


class Asset(Struct, omit_defaults=True, kw_only=True, rename="camel"):
    """Any asset in an answer. ``clusterInfo`` is sent with credentials only."""

    meta: AssetMeta
    spec: Raw
    cluster_info: Raw | UnsetType = UNSET
