"""What a spec may say for Run:ai, and the canonical attributes that it means.

Everything that the vendor's guide lets a person set in an environment, in the
words of the guide, of the API in snake_case, or both. Imported only when a
file has to be checked.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator

from reconciler.core.attributes import ID, LOOKUP, REF, SECRET
from reconciler.core.ports import Draft, Fact, Place, Problem, SpecReading
from reconciler.core.reading import Table, nearest, read, refuse
from reconciler.providers.runai import api
from reconciler.providers.runai.kinds import COMPUTE_FIELDS, PLAIN_FIELDS
from reconciler.providers.runai.quantity import canonical_quantity, quantity_bytes

__all__ = ["MODELS", "read_spec"]

Values = dict[str, Any]

# --- words ---


def _spellings(text: str) -> tuple[str, str]:
    """How a word of a guide may be looked up: ``External URL`` and ``ExternalUrl`` as ``external-url``."""
    plain = re.sub(r"[\s_/-]+", "-", text.strip())
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", plain)
    return plain.lower(), spaced.lower()


def _translated(words: Mapping[str, str], allowed: Iterable[str]) -> Any:
    """A validator that turns the friendly *words* into the *allowed* ones."""
    known = tuple(allowed)

    def translate(value: Any) -> Any:
        if not isinstance(value, str) or value in known:
            return value
        spellings = _spellings(value)
        for word in spellings:
            if (found := words.get(word, word)) in known:
                return found
        meant = nearest(spellings[0], {*known, *words})
        hint = f"Did you mean {meant!r}? " if meant else ""
        raise refuse(f"{value!r} is not allowed here", f"{hint}Allowed: {', '.join(known)}.")

    return BeforeValidator(translate, json_schema_input_type=Literal[known] | str)


_TOOL_WORDS = {
    "jupyter": "jupyter-notebook",
    "jupyterlab": "jupyter-notebook",
    "jupyter-lab": "jupyter-notebook",
    "notebook": "jupyter-notebook",
    "vscode": "visual-studio-code",
    "vs-code": "visual-studio-code",
    "code-server": "visual-studio-code",
    "r-studio": "rstudio",
    "ml-flow": "mlflow",
    "tensor-board": "tensorboard",
    "weights-and-biases": "wandb",
    "weights-&-biases": "wandb",
    "w&b": "wandb",
    "comet-ml": "comet",
}
_TOOL_TITLES = {
    "jupyter-notebook": "Jupyter",
    "tensorboard": "TensorBoard",
    "visual-studio-code": "VS Code",
    "rstudio": "RStudio",
    "mlflow": "MLflow",
    "pycharm": "PyCharm",
    "matlab": "MATLAB",
    "chatbot-ui": "Chatbot UI",
    "custom": "Custom",
    "wandb": "Weights & Biases",
    "comet": "Comet",
}
_TOOL_PORTS = {
    "jupyter-notebook": 8888,
    "tensorboard": 6006,
    "visual-studio-code": 8080,
    "rstudio": 8787,
    "mlflow": 5000,
    "pycharm": 22,
    "matlab": 8888,
    "chatbot-ui": 3000,
}
_FRAMEWORK_WORDS = {
    "tensorflow": "TF",
    "tensor-flow": "TF",
    "tf": "TF",
    "pytorch": "PyTorch",
    "torch": "PyTorch",
    "mpi": "MPI",
    "xgboost": "XGBoost",
}
_UID_WORDS = {
    "from-the-image": "image",
    "from-image": "image",
    "idp": "idp-token",
    "from-idp-token": "idp-token",
    "from-the-idp-token": "idp-token",
}
_SCOPE_WORDS = {"account": "tenant"}
_PULL_WORDS = {
    "always": "Always",
    "never": "Never",
    "if-not-present": "IfNotPresent",
    "ifnotpresent": "IfNotPresent",
}
_SECCOMP_WORDS = {"runtime-default": "RuntimeDefault", "unconfined": "Unconfined", "localhost": "Localhost"}
_PROTOCOLS = ("http", "grpc")
_SCHEMES = ("HTTP", "HTTPS")
_CONNECTIONS = ("external-url", "node-port", "load-balancer")
_SCOPES = ("tenant", "cluster", "department", "project")
_UID_SOURCES = ("image", "idp-token", "custom")
_ARCHITECTURES = ("standard", "distributed")
_TYPES = ("workspace", "training", "inference", "distributed")

_LONGEST_NAME = 253
Name = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
Text = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
UnixId = Annotated[int, Field(ge=0, le=2**63 - 1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
PullPolicy = Annotated[
    Literal["Always", "Never", "IfNotPresent"], _translated(_PULL_WORDS, api.IMAGE_PULL_POLICIES)
]
Framework = Annotated[
    Literal["MPI", "PyTorch", "TF", "XGBoost"], _translated(_FRAMEWORK_WORDS, api.DIST_FRAMEWORKS)
]
Scope = Annotated[Literal["tenant", "cluster", "department", "project"], _translated(_SCOPE_WORDS, _SCOPES)]
UidSource = Annotated[Literal["image", "idp-token", "custom"], _translated(_UID_WORDS, _UID_SOURCES)]
Seccomp = Annotated[
    Literal["RuntimeDefault", "Unconfined", "Localhost"],
    _translated(_SECCOMP_WORDS, api.SECCOMP_PROFILE_TYPES),
]


def _quantity(value: Any) -> Any:
    if isinstance(value, str):
        if quantity_bytes(value.strip()) is None:
            raise refuse(
                f"{value!r} is no amount of memory",
                "Write a number and a unit: 64Gi or 1Ti (powers of 1024), 128G or 1T (powers of 1000).",
            )
        return canonical_quantity(value.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refuse(f"`{value}` has no unit", f'Write it with one, in quotes: "{value}Gi".')
    return value


Quantity = Annotated[str, BeforeValidator(_quantity)]


def _command(value: Any) -> Any:
    """The wire has one string; a list is joined as a shell would read it."""
    if not isinstance(value, list):
        return value
    if not all(isinstance(item, str) for item in value):
        raise refuse("every part of a command is text", "Put it in quotes.")
    return shlex.join(value)


Command = Annotated[
    str, BeforeValidator(_command, json_schema_input_type=str | list[str]), Field(min_length=1)
]


def _capability(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = value.strip().upper().removeprefix("CAP_")
    if name not in api.CAPABILITIES:
        meant = nearest(name, api.CAPABILITIES)
        raise refuse(
            f"{value!r} is no Linux capability that Run:ai knows",
            f"Did you mean {meant}?" if meant else f"Known: {', '.join(api.CAPABILITIES)}.",
        )
    return name


def _groups(value: Any) -> Any:
    """Ids as a list of numbers, or as the wire's text of numbers and commas."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not all(part.isascii() and part.isdecimal() for part in parts):
            raise refuse(f"{value!r} is no list of group ids", "Write [100, 2000].")
        return [int(part) for part in parts]
    return value


def _uuid(text: str) -> str:
    """An id that the platform spells as a UUID, in its own spelling."""
    try:
        return str(UUID(text))
    except ValueError as error:
        raise refuse(f"{text!r} is no id: Run:ai's are UUIDs", "Copy it from the platform.") from error


class Conflict(NamedTuple):
    """Fields that are sound one by one and do not go together.

    ``fields`` are all that it depends on; the first that the table has is its
    place, unless it has a ``path``.
    """

    fields: tuple[str, ...]
    summary: str
    hint: str
    path: tuple[str | int, ...] = ()


def _marking(names: Iterable[str]) -> Iterator[str]:
    """Those of *names* that would stand for something else as the key of a table of attributes."""
    return (name for name in names if name in (REF, ID, SECRET, LOOKUP))


# --- environment variables ---


def _only_true(value: bool) -> bool:
    if not value:
        raise refuse("`exclude` is true, or not there", "Remove it.")
    return value


class EnvironmentVariable(Table):
    """One environment variable, by its source."""

    value: str | None = Field(None, description="The value; empty means: filled in at submission.")
    instructions: str | None = Field(None, description="Shown to whoever fills the value in.")
    credential: Text | None = Field(None, description="Name of a credential of this stack.")
    credential_id: Annotated[str, AfterValidator(_uuid)] | None = Field(
        None, description="Id of a credential that this stack does not manage."
    )
    config_map: str | None = Field(
        None, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", description="Config map."
    )
    key: Text | None = Field(None, description="Key inside the credential or config map.")
    pod_field: Text | None = Field(None, description="Field of the pod, such as metadata.name.")
    exclude: Annotated[bool, AfterValidator(_only_true)] | None = Field(
        None, description="Leave out a variable that policy defaults define."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [
            name
            for name in ("value", "credential", "credential_id", "config_map", "pod_field", "exclude")
            if getattr(self, name) is not None
        ]
        if len(sources) > 1:
            raise refuse(f"{' and '.join(sources)} exclude each other", "Keep one of them.")
        if not sources and not self.instructions:
            raise refuse("this variable has no source", 'Give it a value: { value = "…" }.')
        keyed = {"credential", "credential_id", "config_map"} & set(sources)
        if keyed and self.key is None:
            raise refuse(f"`key` is missing beside `{sources[0]}`", f'{{ {sources[0]} = "…", key = "…" }}')
        if self.key is not None and not keyed:
            raise refuse("`key` belongs to a credential or config map", "Remove it.")
        return self

    def canonical(self, platform: str) -> Any:
        """As the attributes hold it; a value alone is the value."""
        table: Values
        if self.exclude:
            table = {"exclude": True}
        elif self.credential is not None:
            table = {"credential": {REF: f"{platform}.credential.{self.credential}"}, "key": self.key}
        elif self.credential_id is not None:
            table = {"credential": {ID: self.credential_id}, "key": self.key}
        elif self.config_map is not None:
            table = {"config_map": self.config_map, "key": self.key}
        elif self.pod_field is not None:
            table = {"pod_field": self.pod_field}
        elif not self.instructions:
            return self.value
        else:
            table = {"value": self.value or ""}
        if self.instructions:
            table["instructions"] = self.instructions
        return table


def _variable(value: Any) -> Any:
    """A value alone is a variable with that value."""
    match value:
        case bool():
            return {"value": "true" if value else "false"}
        case str() | int():
            return {"value": str(value)}
        case float():
            raise refuse("a number with a point has several spellings", "Put it in quotes.")
        case {"env": _} | {"file": _} | {"command": _}:
            raise refuse(
                "Run:ai shows the values of environment variables to everybody who may see the environment",
                'Put the secret into a credential (kind = "credential") and refer to it: '
                '{ credential = "NAME", key = "KEY" }.',
            )
        case dict():
            return value
    raise refuse("the value of a variable is text", "Put it in quotes.")


Variable = Annotated[
    EnvironmentVariable,
    BeforeValidator(_variable, json_schema_input_type=str | int | bool | EnvironmentVariable),
]


# --- tools ---

_ALL_TOOLS = (*api.INTERNAL_TOOL_TYPES, *api.EXTERNAL_TOOL_TYPES)


class Tool(Table):
    """A tool and how it is reached. A bare name stands for the tool's usual connection and port."""

    type: Annotated[str, _translated(_TOOL_WORDS, _ALL_TOOLS)] = Field(
        description="jupyter, tensorboard, vscode, rstudio, mlflow, pycharm, matlab, chatbot-ui, custom; "
        "wandb and comet are external."
    )
    name: Text | None = Field(None, description="Shown to users; unique in the environment.")
    connection: (
        Annotated[Literal["external-url", "node-port", "load-balancer"], _translated({}, _CONNECTIONS)] | None
    ) = Field(None, description="How the tool is reached.")
    container_port: Port | None = Field(None, description="The port that the tool listens on.")
    custom: bool | None = Field(
        None, description="External URL or node port: given by the user, not made by the platform."
    )
    url: Text | None = Field(None, description="A custom external URL, or the address of an external tool.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.type in api.EXTERNAL_TOOL_TYPES:
            if self.url is None:
                raise refuse(
                    f"{_TOOL_TITLES[self.type]} needs its `url`",
                    f'{{ type = "{self.type}", url = "https://…/${{WANDB_PROJECT}}" }}',
                )
            if self.connection is not None or self.container_port is not None or self.custom:
                raise refuse(
                    f"{_TOOL_TITLES[self.type]} runs outside: it has a `url`, no connection and no port",
                    "Remove `connection`, `container_port` and `custom`.",
                )
        else:
            if self.container_port is None and self.type not in _TOOL_PORTS:
                raise refuse(f"a {self.type} tool needs its `container_port`", "Add `container_port = …`.")
            if self.url is not None and self.connection not in (None, "external-url"):
                raise refuse(f"`url` goes with an external URL, not with {self.connection}", "Remove one.")
            if self.url is not None and self.custom is False:
                raise refuse("a `url` of your own is a custom one", "Remove `custom`, or `url`.")
            if self.custom and self.connection == "load-balancer":
                raise refuse("a load balancer has nothing custom", "Remove `custom`.")
        return self

    @property
    def title(self) -> str:
        """The name that users see."""
        return self.name or _TOOL_TITLES[self.type]

    def canonical(self) -> Values:
        """As the attributes hold it."""
        if self.type in api.EXTERNAL_TOOL_TYPES:
            return {"type": self.type, "url": self.url}
        table: Values = {
            "type": self.type,
            "connection": self.connection or "external-url",
            "container_port": self.container_port or _TOOL_PORTS[self.type],
        }
        if self.custom or self.url is not None:
            table["custom"] = True
        if self.url is not None:
            table["url"] = self.url
        return table


def _bare_tool(value: Any) -> Any:
    if isinstance(value, str):
        return {"type": value}
    if not isinstance(value, dict):
        raise refuse("a tool is a name in quotes, or a table", '"jupyter", or { type = "jupyter", … }')
    return value


ToolEntry = Annotated[Tool, BeforeValidator(_bare_tool, json_schema_input_type=str | Tool)]


class InferenceEndpoint(Table):
    """Where an inference workload serves."""

    protocol: Annotated[Literal["http", "grpc"], _translated({}, _PROTOCOLS)] = Field(
        "http", description="Protocol of the endpoint."
    )
    serving_port: Port = Field(description="The container port that serves.")
    name: Text = Field("endpoint", description="Name of its connection on the platform.")
    type: Literal["custom", "chatbot-ui"] = Field("custom", description="Tool type of its connection.")


class ReadinessProbe(Table):
    """An HTTP request that says when the container is ready. Times are in seconds."""

    path: str | None = Field(None, pattern=r"^(/[a-zA-Z0-9\-_./]*)?$", description="Path of the request.")
    port: Port | None = Field(None, description="Port of the request.")
    host: str | None = Field(None, description="Host of the request; the pod when absent.")
    scheme: Annotated[Literal["HTTP", "HTTPS"], _translated({"http": "HTTP", "https": "HTTPS"}, _SCHEMES)] = (
        Field("HTTP", description="Scheme of the request.")
    )
    initial_delay_seconds: Count | None = None
    period_seconds: Positive | None = None
    timeout_seconds: Positive | None = None
    success_threshold: Positive | None = None
    failure_threshold: Positive | None = None


# --- what all assets share ---


class Scoped(Table):
    """Where an asset is placed."""

    name: Name | None = Field(None, description="Its name on the platform, when not that of the spec.")
    description: Annotated[str, Field(min_length=1, max_length=250)] | None = Field(
        None, description="At most 250 characters."
    )
    scope: Scope = Field(description="tenant, cluster, department or project.")
    scope_id: Text | int | None = Field(None, description="Id of the cluster, department or project.")
    scope_name: Text | None = Field(None, description="Its name; turned into the id when planning.")
    cluster: Text | None = Field(
        None, description="Name or id of the cluster that `scope_name` is in, when the name is there twice."
    )

    def conflicts(self) -> Iterator[Conflict]:
        """What does not go together in this table."""
        ways = ("scope_id", "scope_name", "cluster")
        fields = ("scope", *ways)
        given = [name for name in ways if getattr(self, name) is not None]
        named = " and ".join(f"`{name}`" for name in given)
        if self.scope == "tenant":
            if given:
                yield Conflict(
                    fields, f"the tenant has no {named}", "Remove that, or choose another scope.", (given[0],)
                )
        elif len(given) > 1 and (self.scope == "cluster" or self.scope_id is not None):
            yield Conflict(fields, f"{named} exclude each other", "Keep one of them.", (given[0],))
        elif self.scope != "cluster" and self.scope_id is None and self.scope_name is None:
            yield Conflict(
                fields,
                f"which {self.scope}? `scope_id` or `scope_name` is missing",
                f'Add `scope_name = "…"` with the name of the {self.scope}, or its `scope_id`.',
            )
        elif self.scope_id is not None and self._scope_id() is None:
            kind = "Run:ai numbers its projects" if self.scope == "project" else "it is a UUID"
            yield Conflict(
                fields,
                f"{self.scope_id!r} is no id of a {self.scope}: {kind}",
                f"Give the id, or the name of the {self.scope} as `scope_name`.",
                ("scope_id",),
            )

    def _scope_id(self) -> str | None:
        """The id in the platform's own spelling, or None when it cannot be one."""
        text = str(self.scope_id)
        match self.scope:
            case "project":
                number = int(text) if re.fullmatch("[0-9]{1,10}", text) else -1
                return str(number) if 0 <= number < 2**31 else None
            case "cluster":
                try:
                    return str(UUID(text))
                except ValueError:
                    return None
        return text

    def placed(self, place: Place) -> Values:
        """Name, description and scope, as the attributes hold them."""
        values: Values = {"name": self.name or place.name}
        if self.description is not None:
            values["description"] = self.description
        values["scope"] = self.scope
        if self.scope == "tenant":
            return values
        if self.scope_id is not None:
            values["scope_id"] = self._scope_id()
            return values
        wanted: Values = {"kind": self.scope, "name": self.scope_name}
        if self.scope == "cluster":
            wanted["name"] = self.scope_name or self.cluster
        elif self.cluster is not None:
            wanted["cluster"] = self.cluster
        values["scope_id"] = {LOOKUP: wanted}
        return values


# --- compute ---


class ExtendedResource(Table):
    """An amount of a resource that is neither GPU, CPU nor memory."""

    resource: Text
    quantity: Quantity
    exclude: bool = False


class ComputeFields(Table):
    """GPU, CPU and memory. A fraction of one GPU is a ``gpu_portion``."""

    gpu: Count | None = Field(None, description="Whole GPU devices.")
    gpu_request_type: Literal["portion", "memory"] | None = Field(
        None, description="How a part of a GPU is asked for."
    )
    gpu_portion: Share | None = Field(None, description="Share of one GPU.")
    gpu_portion_limit: Share | None = Field(None, description="Most of one GPU.")
    gpu_memory: Quantity | None = Field(None, description="GPU memory.")
    gpu_memory_limit: Quantity | None = Field(None, description="Most GPU memory.")
    cpu_cores: Amount | None = Field(None, description="CPU cores.")
    cpu_cores_limit: Amount | None = Field(None, description="Most CPU cores.")
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

    def facts(self, at: tuple[str, ...]) -> tuple[Fact, ...]:
        """What a policy may limit."""
        found: list[Fact] = [
            Fact(what, amount, (*at, name))
            for what, name in (
                ("gpus", "gpu"),
                ("gpus", "gpu_portion"),
                ("gpus", "gpu_portion_limit"),
                ("cpu_cores", "cpu_cores"),
                ("cpu_cores", "cpu_cores_limit"),
            )
            if (amount := getattr(self, name)) is not None
        ]
        found += [
            Fact("memory_gb", _number(text, 2**30), (*at, name))
            for name in ("memory", "memory_limit")
            if (text := getattr(self, name)) is not None
        ]
        found += [
            Fact("gpus", _number(one.quantity), (*at, "extended_resources", number, "quantity"))
            for number, one in enumerate(self.extended_resources or ())
            if one.resource.endswith("/gpu")
        ]
        return tuple(found)


def _number(quantity: str, unit: int = 1) -> float:
    return float((quantity_bytes(quantity) or Fraction(0)) / unit)


class Compute(Scoped, ComputeFields):
    """A compute asset of its own."""


# --- environment ---


WorkloadType = Annotated[
    Literal["workspace", "training", "inference", "distributed"], _translated({}, _TYPES)
]
Architecture = Annotated[Literal["standard", "distributed"], _translated({}, _ARCHITECTURES)]
Groups = Annotated[list[UnixId], BeforeValidator(_groups, json_schema_input_type=str | list[int])]


class WorkloadTypes(Table):
    """The table form of ``workload_types``."""

    workspace: bool = False
    training: bool = False
    inference: bool = False
    distributed: bool = False
    dist_framework: Framework | None = Field(None, alias="distFramework")


class Environment(Scoped):
    """A Run:ai environment."""

    image: Text = Field(description="Container image.")
    image_pull_policy: PullPolicy = Field("IfNotPresent", description="When the image is pulled.")
    workload_types: list[WorkloadType] | WorkloadTypes = Field(
        default_factory=lambda: WorkloadTypes(workspace=True, training=True),
        description="workspace, training, inference, distributed: a list, or a table of booleans.",
    )
    workload_architecture: Architecture | None = Field(None, description="standard or distributed.")
    distributed_framework: Framework | None = Field(
        None, description="MPI, PyTorch, TF or XGBoost; needed when distributed."
    )
    inference_endpoint: InferenceEndpoint | None = Field(None, description="Where inference serves.")
    tools: list[ToolEntry] | None = Field(None, description="Tools, by name or as tables.")
    command: Command | None = Field(None, description="Instead of the image's entry point.")
    args: Command | None = Field(None, description="Arguments of the command.")
    environment_variables: dict[str, Variable] | None = Field(None, description="By name.")
    working_dir: Text | None = Field(None, description="Working directory.")
    uid_gid_source: UidSource | None = Field(None, description="image, idp-token or custom.")
    run_as_uid: UnixId | None = Field(None, description="With a custom source.")
    run_as_gid: UnixId | None = Field(None, description="With a custom source.")
    supplemental_groups: Groups | None = Field(
        None, description="Supplementary group ids; an empty list means the image's groups."
    )
    override_uid_gid_in_workspace: bool | None = Field(
        None, description="Whether users may change uid, gid and groups at submission."
    )
    capabilities: list[Annotated[str, BeforeValidator(_capability)]] | None = Field(
        None, description="Linux capabilities to add."
    )
    seccomp_profile_type: Seccomp | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    create_home_dir: bool | None = None
    host_ipc: bool | None = None
    host_network: bool | None = None
    stdin: bool | None = None
    tty: bool | None = None
    readiness_probe: ReadinessProbe | None = Field(None, description="When the container is ready.")
    compute: ComputeFields | None = Field(
        None, description="A compute asset of the same name and scope beside the environment."
    )

    @property
    def types(self) -> frozenset[str]:
        """The workload types, wherever they are said."""
        said = self.workload_types
        types: set[str]
        if isinstance(said, WorkloadTypes):
            types = {name for name in _TYPES if getattr(said, name)}
        else:
            types = set(said)
        return frozenset(types | ({"distributed"} if self.workload_architecture == "distributed" else set()))

    @property
    def framework(self) -> str | None:
        """The framework of distributed workloads, wherever it is said."""
        return self.distributed_framework or self._inner_framework

    @property
    def _inner_framework(self) -> str | None:
        said = self.workload_types
        return said.dist_framework if isinstance(said, WorkloadTypes) else None

    def conflicts(self) -> Iterator[Conflict]:
        """See `Scoped.conflicts`."""
        yield from super().conflicts()
        yield from self._workload_conflicts()
        yield from self._user_conflicts()
        if self.tty and not self.stdin:
            yield Conflict(("tty", "stdin"), "`tty` needs `stdin`", "Add `stdin = true`.")
        yield from self._name_conflicts()

    def _workload_conflicts(self) -> Iterator[Conflict]:
        fields = ("workload_types", "workload_architecture", "distributed_framework")
        distributed = "distributed" in self.types
        if self.workload_architecture == "standard" and distributed:
            yield Conflict(fields, "a standard architecture is not distributed", "Remove one of the two.")
        if distributed and self.framework is None:
            yield Conflict(
                fields,
                "distributed workloads need a framework",
                'Add `distributed_framework = "PyTorch"` (or MPI, TF, XGBoost).',
            )
        if not distributed and self.framework is not None:
            yield Conflict(
                (*reversed(fields),),
                f"the framework {self.framework} is for distributed workloads only",
                'Add "distributed" to `workload_types`, or remove the framework.',
            )
        inner = self._inner_framework
        if self.distributed_framework is not None and inner not in (None, self.distributed_framework):
            yield Conflict(
                (*reversed(fields),),
                f"two frameworks: {self.distributed_framework} here, {inner} in `workload_types`",
                "Keep one of them.",
            )

    def _user_conflicts(self) -> Iterator[Conflict]:
        if self.uid_gid_source not in (None, "image"):
            return
        for name in ("run_as_uid", "run_as_gid", "supplemental_groups", "override_uid_gid_in_workspace"):
            value = getattr(self, name)
            if value is not None and value is not False and value != []:
                yield Conflict(
                    (name, "uid_gid_source"),
                    f"`{name}` has no effect while uid and gid come from the image",
                    'Add `uid_gid_source = "custom"`.',
                )

    def _name_conflicts(self) -> Iterator[Conflict]:
        titles = [tool.title for tool in self.tools or ()]
        for name in _marking(titles):
            place: tuple[str | int, ...] = ("tools", titles.index(name))
            yield Conflict(("tools",), f"{name!r} cannot name a tool", "Give it another `name`.", place)
        for number, title in enumerate(titles):
            if title in titles[:number]:
                yield Conflict(
                    ("tools",),
                    f"two tools are called {title!r}",
                    "Give one of them a `name` of its own.",
                    ("tools", number),
                )
        if self.inference_endpoint is not None and self.inference_endpoint.name in titles:
            yield Conflict(
                ("inference_endpoint", "tools"),
                f"the endpoint and a tool are both called {self.inference_endpoint.name!r}",
                "Rename one.",
            )
        for name in self.environment_variables or ():
            if not re.fullmatch(r"[^=\s\x00-\x1f\x7f]+", name):
                yield Conflict(
                    ("environment_variables",),
                    f"{name!r} cannot name an environment variable",
                    "No blanks and no `=`.",
                    ("environment_variables", name),
                )
        for name in _marking(self.environment_variables or ()):
            yield Conflict(
                ("environment_variables",),
                f"{name!r} cannot name an environment variable",
                "No `$` in front.",
                ("environment_variables", name),
            )

    def canonical(self, place: Place) -> Values:
        """The attributes of the environment."""
        values = self.placed(place)
        values["workload_types"] = sorted(self.types)
        if self.framework is not None:
            values["distributed_framework"] = self.framework
        for name in PLAIN_FIELDS:
            if (value := getattr(self, name)) is not None:
                values[name] = value
        if self.uid_gid_source is not None:
            values["uid_gid_source"] = self.uid_gid_source
        if self.supplemental_groups is not None:
            values["supplemental_groups"] = self.supplemental_groups
        if self.capabilities is not None:
            values["capabilities"] = sorted(set(self.capabilities))
        if self.environment_variables is not None:
            values["environment_variables"] = {
                name: one.canonical(place.platform) for name, one in self.environment_variables.items()
            }
        if self.tools is not None:
            values["tools"] = {tool.title: tool.canonical() for tool in self.tools}
        if self.inference_endpoint is not None:
            values["inference_endpoint"] = self.inference_endpoint.model_dump()
        if self.readiness_probe is not None:
            values["readiness_probe"] = self.readiness_probe.model_dump(exclude_none=True)
        return values


# --- credentials ---

_REFERENCES = 'Refer to it: { env = "NAME" }, { file = "PATH" } or { command = ["pass", "show", "NAME"] }.'


class SecretReference(Table):
    """Where a secret comes from: an environment variable, a file, or a command's output."""

    env: Text | None = Field(None, description="Name of an environment variable.")
    file: Text | None = Field(None, description="Path of a file, from the stack's directory.")
    command: list[Text] | None = Field(
        None, min_length=1, description="A program and its arguments; no shell."
    )

    @model_validator(mode="before")
    @classmethod
    def _reference(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise refuse("a secret must not stand here", _REFERENCES)
        if isinstance(value.get("command"), str):
            raise refuse("`command` is a list: no shell reads it", '{ command = ["pass", "show", "NAME"] }')
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, name) is not None for name in ("env", "file", "command")) != 1:
            raise refuse("a secret has one source", "Give one of `env`, `file` and `command`.")
        return self

    def canonical(self) -> Values:
        """As the attributes hold it."""
        return {SECRET: self.model_dump(exclude_none=True)}


def _secrets(value: Any) -> Any:
    if not isinstance(value, dict):
        raise refuse("`data` is a table of secrets by their keys", f"Each one by reference. {_REFERENCES}")
    return value


_CREDENTIAL_FIELDS: Mapping[str, tuple[str, ...]] = {
    "generic-secret": ("data",),
    "docker-registry": ("url", "user", "password"),
    "access-key": ("access_key_id", "secret_access_key"),
    "password": ("user", "password"),
    "ngc-api-key": ("ngc_api_key",),
}
_CREDENTIAL_WORDS = {
    "generic": "generic-secret",
    "secret": "generic-secret",
    "docker": "docker-registry",
    "registry": "docker-registry",
    "git": "password",
    "username-password": "password",
    "username-&-password": "password",
    "username-and-password": "password",
    "ngc": "ngc-api-key",
}


class Credential(Scoped):
    """A Run:ai credential. Its secret values are references, never values."""

    type: Annotated[str, _translated(_CREDENTIAL_WORDS, _CREDENTIAL_FIELDS)] = Field(
        description="generic-secret, docker-registry, access-key, password or ngc-api-key."
    )
    data: Annotated[dict[str, SecretReference], BeforeValidator(_secrets), Field(min_length=1)] | None = (
        Field(None, description="generic-secret: each key with the reference of its value.")
    )
    url: Text | None = Field(None, description="docker-registry: address of the registry.")
    user: Text | None = Field(None, description="docker-registry, password: user name.")
    password: SecretReference | None = Field(None, description="docker-registry, password: reference.")
    access_key_id: Text | None = Field(None, description="access-key: id of the key.")
    secret_access_key: SecretReference | None = Field(None, description="access-key: reference.")
    ngc_api_key: SecretReference | None = Field(None, description="ngc-api-key: reference.")
    existing_secret_name: Text | None = Field(
        None, description="A labelled Kubernetes secret of the cluster, instead of values."
    )

    def conflicts(self) -> Iterator[Conflict]:
        """See `Scoped.conflicts`."""
        yield from super().conflicts()
        if "" in (self.data or {}):
            yield Conflict(("data",), "a key must not be empty", "Name it.", ("data", ""))
        for key in _marking(self.data or ()):
            yield Conflict(("data",), f"{key!r} cannot be a key", "No `$` in front.", ("data", key))
        wanted = _CREDENTIAL_FIELDS[self.type]
        every = dict.fromkeys(name for names in _CREDENTIAL_FIELDS.values() for name in names)
        given = [name for name in every if getattr(self, name) is not None]
        if self.existing_secret_name is not None:
            fields = ("existing_secret_name", "type", *every)
            if self.type == "ngc-api-key":
                yield Conflict(
                    fields, "an NGC key cannot come from an existing secret", "Give `ngc_api_key`."
                )
            elif given:
                names = ", ".join(f"`{name}`" for name in given)
                yield Conflict(
                    fields, f"`existing_secret_name` and {names} exclude each other", "Keep one of them."
                )
            return
        for name in given:
            if name not in wanted:
                yield Conflict(
                    (name, "type"),
                    f"a credential of type {self.type} has no `{name}`",
                    f"It has: {', '.join(wanted)}.",
                )
        for name in wanted:
            if name not in given:
                yield Conflict(
                    ("type", name), f"a credential of type {self.type} needs `{name}`", f"Add `{name} = …`."
                )

    def canonical(self, place: Place) -> Values:
        """The attributes of the credential."""
        values = self.placed(place)
        values["type"] = self.type
        for name in ("url", "user", "access_key_id", "existing_secret_name"):
            if (text := getattr(self, name)) is not None:
                values[name] = text
        for name in ("password", "secret_access_key", "ngc_api_key"):
            if (reference := getattr(self, name)) is not None:
                values[name] = reference.canonical()
        if self.data is not None:
            values["keys"] = sorted(self.data)
            values["data"] = {key: reference.canonical() for key, reference in self.data.items()}
        return values


MODELS: Mapping[str, type[Scoped]] = {
    "environment": Environment,
    "compute": Compute,
    "credential": Credential,
}

_USUAL_NAME = re.compile(r"[A-Za-z0-9 ._-]+")


def read_spec(kind: str, table: Mapping[str, Any], place: Place) -> SpecReading:
    """What one spec's table asks Run:ai for: an environment and perhaps a compute asset, or another kind."""
    found, problems = read(MODELS[kind], table)
    if found is None:
        return SpecReading(problems=(*problems, *_what_else(MODELS[kind], table, problems)))
    if conflicts := [_problem(one, table) for one in found.conflicts()]:
        return SpecReading(problems=tuple(conflicts))
    warnings: list[str] = []
    drafts: list[Draft] = []
    match found:
        case Environment():
            attributes = found.canonical(place)
            facts = [
                Fact("scope", found.scope, ("scope",)),
                Fact("image", found.image, ("image",)),
            ]
            drafts.append(Draft("environment", attributes, tuple(facts)))
            if found.compute is not None:
                shared: Values = {k: attributes[k] for k in ("name", "scope", "scope_id") if k in attributes}
                drafts.append(
                    Draft("compute", {**shared, **found.compute.amounts()}, found.compute.facts(("compute",)))
                )
            if "inference" in attributes["workload_types"] and found.inference_endpoint is None:
                warnings.append(
                    f"{place.name} is for inference and has no [inference_endpoint]; "
                    "Run:ai's own form demands one"
                )
        case Compute():
            facts = [Fact("scope", found.scope, ("scope",)), *found.facts(())]
            drafts.append(Draft("compute", {**found.placed(place), **found.amounts()}, tuple(facts)))
        case Credential():
            facts = [Fact("scope", found.scope, ("scope",))]
            drafts.append(Draft("credential", found.canonical(place), tuple(facts)))
    name = drafts[0].attributes["name"]
    if len(name) > _LONGEST_NAME:
        summary = f"the name has {len(name)} characters, more than {_LONGEST_NAME}"
        return SpecReading(problems=(Problem(("name",), summary, "Give it a shorter `name`."),))
    if not _USUAL_NAME.fullmatch(name):
        warnings.append(f"the name {name!r} has characters other than A-Z a-z 0-9 . _ - and blanks")
    return SpecReading(tuple(drafts), (), tuple(warnings))


def _problem(conflict: Conflict, table: Mapping[str, Any]) -> Problem:
    there = (name for name in conflict.fields if name in table)
    path = conflict.path or tuple(next(([name] for name in there), []))
    return Problem(path, conflict.summary, conflict.hint)


# What is assumed of a field that has to be there and is wrong or missing, to look at the others.
_ASSUMED: Mapping[str, str] = {"image": "image", "scope": "tenant", "type": "password"}


def _what_else(
    model: type[Scoped], table: Mapping[str, Any], problems: Iterable[Problem]
) -> Iterator[Problem]:
    """The conflicts among those fields of *table* that *problems* do not touch."""
    wrong = {str(problem.path[0]) for problem in problems if problem.path}
    sound = {key: value for key, value in table.items() if key not in wrong}
    assumed = {key: value for key, value in _ASSUMED.items() if key in wrong and key in model.model_fields}
    try:
        found = model.model_validate({**assumed, **sound})
    except ValidationError:
        return
    for conflict in found.conflicts():
        if wrong.isdisjoint(conflict.fields):
            yield _problem(conflict, table)


def schema(kind: str) -> Values:
    """JSON Schema of the table of *kind*."""
    model: type[BaseModel] = MODELS[kind]
    return model.model_json_schema()
