"""What a spec may say for Run:ai, and the canonical attributes that it means.

Everything that the vendor's guide lets a person set in an environment, in the
words of the guide, of the API in snake_case, or both. Imported only when a
file has to be checked.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from reconciler.core.attributes import ID, LOOKUP, REF, SECRET
from reconciler.core.ports import Draft, Fact, Place, Problem, SpecReading
from reconciler.core.reading import Table, nearest, read, refuse
from reconciler.providers.runai import api
from reconciler.providers.runai.kinds import COMPUTE_FIELDS, PLAIN_FIELDS
from reconciler.providers.runai.quantity import canonical_quantity, quantity_bytes

__all__ = ["MODELS", "read_spec"]

Values = dict[str, Any]

# --- words ---


def _word(text: Any) -> Any:
    """A word of a guide, as it can be looked up: ``External URL`` is ``external-url``."""
    if not isinstance(text, str):
        return text
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", text.strip())
    return re.sub(r"[\s_/-]+", "-", spaced).lower()


def _translated(words: Mapping[str, str], allowed: Iterable[str]) -> Any:
    """A validator that turns the friendly *words* into the *allowed* ones."""
    known = tuple(allowed)

    def translate(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value in known:
            return value
        found = words.get(_word(value), _word(value))
        if found in known:
            return found
        meant = nearest(_word(value), {*known, *words})
        hint = f"Did you mean {meant!r}? " if meant else ""
        raise refuse(f"{value!r} is not allowed here", f"{hint}Allowed: {', '.join(known)}.")

    return BeforeValidator(translate)


_TOOL_WORDS = {
    "jupyter": "jupyter-notebook",
    "jupyterlab": "jupyter-notebook",
    "jupyter-lab": "jupyter-notebook",
    "notebook": "jupyter-notebook",
    "tensor-board": "tensorboard",
    "vscode": "visual-studio-code",
    "vs-code": "visual-studio-code",
    "code-server": "visual-studio-code",
    "r-studio": "rstudio",
    "ml-flow": "mlflow",
    "py-charm": "pycharm",
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
    "py-torch": "PyTorch",
    "torch": "PyTorch",
    "mpi": "MPI",
    "xgboost": "XGBoost",
    "xg-boost": "XGBoost",
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
_SCOPES = ("tenant", "cluster", "department", "project")
_UID_SOURCES = ("image", "idp-token", "custom")
_TYPES = ("workspace", "training", "inference", "distributed")

Name = Annotated[str, Field(min_length=1, max_length=253)]
Text = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
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


def _quantity(text: Any) -> Any:
    if isinstance(text, str) and quantity_bytes(text.strip()) is None:
        raise refuse(
            f"{text!r} is no amount of memory",
            "Write a number and a unit: 64Gi or 1Ti (powers of 1024), 128G or 1T (powers of 1000).",
        )
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise refuse(f"`{text}` has no unit", f'Write it with one, in quotes: "{text}Gi".')
    return canonical_quantity(text.strip()) if isinstance(text, str) else text


Quantity = Annotated[str, BeforeValidator(_quantity)]


def _command(value: Any) -> Any:
    """The wire has one string; a list is joined as a shell would read it."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return shlex.join(value)
    return value


Command = Annotated[str, BeforeValidator(_command), Field(min_length=1)]


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
        if not all(part.isdecimal() for part in parts):
            raise refuse(f"{value!r} is no list of group ids", "Write [100, 2000].")
        return [int(part) for part in parts]
    return value


# --- environment variables ---


class EnvironmentVariable(Table):
    """One environment variable, by its source."""

    value: str | None = Field(None, description="The value; empty means: filled in at submission.")
    instructions: str | None = Field(None, description="Shown to whoever fills the value in.")
    credential: Text | None = Field(None, description="Name of a credential of this stack.")
    credential_id: Text | None = Field(
        None, description="Id of a credential that this stack does not manage."
    )
    config_map: str | None = Field(
        None, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", description="Config map."
    )
    key: Text | None = Field(None, description="Key inside the credential or config map.")
    pod_field: Text | None = Field(None, description="Field of the pod, such as metadata.name.")
    exclude: Literal[True] | None = Field(
        None, description="Leave out a variable that policy defaults define."
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return {"value": "true" if value else "false"}
        if isinstance(value, int):
            return {"value": str(value)}
        if isinstance(value, str):
            return {"value": value}
        if isinstance(value, float):
            raise refuse("a number with a point has several spellings", "Put it in quotes.")
        if isinstance(value, dict) and value.keys() & {"env", "file", "command"}:
            raise refuse(
                "Run:ai shows the values of environment variables to everybody who may see the environment",
                'Put the secret into a credential (kind = "credential") and refer to it: '
                '{ credential = "NAME", key = "KEY" }.',
            )
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [
            name
            for name in ("value", "credential", "credential_id", "config_map", "pod_field", "exclude")
            if getattr(self, name) is not None
        ]
        if len(sources) > 1:
            raise refuse(f"{' and '.join(sources)} exclude each other", "Keep one of them.")
        if not sources and self.instructions is None:
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
            return {"exclude": True}
        if self.credential is not None:
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


# --- tools ---

_ALL_TOOLS = (*api.INTERNAL_TOOL_TYPES, *api.EXTERNAL_TOOL_TYPES)


class Tool(Table):
    """A tool and how it is reached. A bare name stands for the tool's usual connection and port."""

    type: Annotated[str, _translated(_TOOL_WORDS, _ALL_TOOLS)] = Field(
        description="jupyter, tensorboard, vscode, rstudio, mlflow, pycharm, matlab, chatbot-ui, custom; "
        "wandb and comet are external."
    )
    name: Text | None = Field(None, description="Shown to users; unique in the environment.")
    connection: Annotated[
        Literal["external-url", "node-port", "load-balancer"] | None,
        _translated({"nodeport": "node-port"}, ("external-url", "node-port", "load-balancer")),
    ] = Field(None, description="How the tool is reached.")
    container_port: Port | None = Field(None, description="The port that the tool listens on.")
    custom: bool = Field(
        False, description="External URL or node port: given by the user, not made by the platform."
    )
    url: Text | None = Field(None, description="A custom external URL, or the address of an external tool.")

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

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


class InferenceEndpoint(Table):
    """Where an inference workload serves."""

    protocol: Literal["http", "grpc"] = Field("http", description="Protocol of the endpoint.")
    serving_port: Port = Field(description="The container port that serves.")
    name: Text = Field("endpoint", description="Name of its connection on the platform.")
    type: Literal["custom", "chatbot-ui"] = Field("custom", description="Tool type of its connection.")


class ReadinessProbe(Table):
    """An HTTP request that says when the container is ready. Times are in seconds."""

    path: str | None = Field(None, pattern=r"^(/[a-zA-Z0-9\-_./]*)?$", description="Path of the request.")
    port: Port | None = Field(None, description="Port of the request.")
    host: str | None = Field(None, description="Host of the request; the pod when absent.")
    scheme: Literal["HTTP", "HTTPS"] = Field("HTTP", description="Scheme of the request.")
    initial_delay_seconds: int | None = Field(None, ge=0)
    period_seconds: int | None = Field(None, ge=1)
    timeout_seconds: int | None = Field(None, ge=1)
    success_threshold: int | None = Field(None, ge=1)
    failure_threshold: int | None = Field(None, ge=1)


# --- what all assets share ---


class Scoped(Table):
    """Where an asset is placed."""

    name: Name | None = Field(None, description="Its name on the platform, when not that of the spec.")
    description: Annotated[str, Field(min_length=1, max_length=250)] | None = Field(
        None, description="At most 250 characters."
    )
    scope: Scope = Field(description="tenant, cluster, department or project.")
    scope_id: str | int | None = Field(None, description="Id of the cluster, department or project.")
    scope_name: Text | None = Field(None, description="Its name; turned into the id when planning.")
    cluster: Text | None = Field(
        None, description="Name or id of the cluster that `scope_name` is in, when the name is there twice."
    )

    @model_validator(mode="after")
    def _place(self) -> Self:
        if self.scope_id is not None and self.scope_name is not None:
            raise refuse("`scope_id` and `scope_name` exclude each other", "Keep one of them.")
        if self.scope == "tenant":
            if self.scope_id is not None or self.scope_name is not None:
                raise refuse("the tenant has no id and no name", "Remove `scope_id` and `scope_name`.")
        elif self.scope != "cluster" and self.scope_id is None and self.scope_name is None:
            raise refuse(
                f"which {self.scope}? `scope_id` or `scope_name` is missing",
                f'Add `scope_name = "…"` with the name of the {self.scope}, or its `scope_id`.',
            )
        if self.scope == "project" and self.scope_id is not None and not str(self.scope_id).isdecimal():
            raise refuse(
                f"{self.scope_id!r} is no project id: Run:ai numbers its projects",
                "Give the number, or the project's name as `scope_name`.",
            )
        return self

    def placed(self, place: Place) -> Values:
        """Name, description and scope, as the attributes hold them."""
        values: Values = {"name": self.name or place.name}
        if self.description is not None:
            values["description"] = self.description
        values["scope"] = self.scope
        if self.scope == "tenant":
            return values
        if self.scope_id is not None:
            values["scope_id"] = str(self.scope_id)
        else:
            wanted: Values = {"kind": self.scope, "name": self.scope_name}
            if self.cluster is not None and self.scope != "cluster":
                wanted["cluster"] = self.cluster
            elif self.scope == "cluster":
                wanted["name"] = self.scope_name or self.cluster
            values["scope_id"] = {LOOKUP: wanted}
        return values


# --- compute ---


class ExtendedResource(Table):
    """An amount of a resource that is neither GPU, CPU nor memory."""

    resource: Text
    quantity: Quantity
    exclude: bool | None = None


class ComputeFields(Table):
    """GPU, CPU and memory. A fraction of one GPU is a ``gpu_portion``."""

    gpu: Annotated[int, Field(ge=0)] | None = Field(None, description="Whole GPU devices.")
    gpu_request_type: Literal["portion", "memory"] | None = Field(
        None, description="How a part of a GPU is asked for."
    )
    gpu_portion: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="Share of one GPU.")
    gpu_portion_limit: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Most of one GPU."
    )
    gpu_memory: Quantity | None = Field(None, description="GPU memory.")
    gpu_memory_limit: Quantity | None = Field(None, description="Most GPU memory.")
    cpu_cores: Annotated[float, Field(ge=0)] | None = Field(None, description="CPU cores.")
    cpu_cores_limit: Annotated[float, Field(ge=0)] | None = Field(None, description="Most CPU cores.")
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
                (one.model_dump(exclude_none=True) for one in self.extended_resources),
                key=lambda one: str(one["resource"]),
            )
        return values

    def facts(self, at: tuple[str, ...]) -> tuple[Fact, ...]:
        """What a policy may limit."""
        found: list[Fact] = []
        if self.gpu is not None:
            found.append(Fact("gpus", self.gpu, (*at, "gpu")))
        found += [
            Fact("cpu_cores", cores, (*at, name))
            for name in ("cpu_cores", "cpu_cores_limit")
            if (cores := getattr(self, name)) is not None
        ]
        for name in ("memory", "memory_limit"):
            if (text := getattr(self, name)) is not None:
                amount = quantity_bytes(text) or Fraction(0)
                found.append(Fact("memory_gb", float(amount / 2**30), (*at, name)))
        return tuple(found)


class Compute(Scoped, ComputeFields):
    """A compute asset of its own."""


# --- environment ---


class WorkloadTypes(Table):
    """The table form of ``workload_types``."""

    workspace: bool = False
    training: bool = False
    inference: bool = False
    distributed: bool = False
    dist_framework: Framework | None = Field(None, alias="distFramework")

    @model_validator(mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        if isinstance(value, list):
            table: Values = {}
            for item in value:
                word = _word(item)
                if word not in _TYPES:
                    meant = nearest(str(word), _TYPES)
                    hint = f"Did you mean {meant!r}? " if meant else ""
                    raise refuse(f"{item!r} is no workload type", f"{hint}Allowed: {', '.join(_TYPES)}.")
                table[word] = True
            return table
        return value


class Environment(Scoped):
    """A Run:ai environment."""

    image: Text = Field(description="Container image.")
    image_pull_policy: PullPolicy = Field("IfNotPresent", description="When the image is pulled.")
    workload_types: WorkloadTypes = Field(
        default_factory=lambda: WorkloadTypes(workspace=True, training=True),
        description="workspace, training, inference, distributed: a list, or a table of booleans.",
    )
    workload_architecture: Annotated[Literal["standard", "distributed"] | None, BeforeValidator(_word)] = (
        Field(None, description="standard or distributed.")
    )
    distributed_framework: Framework | None = Field(
        None, description="MPI, PyTorch, TF or XGBoost; needed when distributed."
    )
    inference_endpoint: InferenceEndpoint | None = Field(None, description="Where inference serves.")
    tools: list[Tool] | None = Field(None, description="Tools, by name or as tables.")
    command: Command | None = Field(None, description="Instead of the image's entry point.")
    args: Command | None = Field(None, description="Arguments of the command.")
    environment_variables: dict[str, EnvironmentVariable] | None = Field(None, description="By name.")
    working_dir: Text | None = Field(None, description="Working directory.")
    uid_gid_source: UidSource | None = Field(None, description="image, idp-token or custom.")
    run_as_uid: int | None = Field(None, ge=0, description="With a custom source.")
    run_as_gid: int | None = Field(None, ge=0, description="With a custom source.")
    supplemental_groups: Annotated[list[int], BeforeValidator(_groups)] | None = Field(
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

    @model_validator(mode="after")
    def _fits(self) -> Self:
        types = self.workload_types
        distributed = types.distributed or self.workload_architecture == "distributed"
        if self.workload_architecture == "standard" and types.distributed:
            raise refuse("a standard architecture is not distributed", "Remove one of the two.")
        framework = self.distributed_framework or types.dist_framework
        if distributed and framework is None:
            raise refuse(
                "distributed workloads need a framework",
                'Add `distributed_framework = "PyTorch"` (or MPI, TF, XGBoost).',
            )
        if framework is not None and not distributed:
            raise refuse(
                f"the framework {framework} is for distributed workloads only",
                'Add "distributed" to `workload_types`, or remove the framework.',
            )
        source = self.uid_gid_source or "image"
        if source == "image":
            for name in ("run_as_uid", "run_as_gid", "supplemental_groups", "override_uid_gid_in_workspace"):
                if getattr(self, name):
                    raise refuse(
                        f"`{name}` has no effect while uid and gid come from the image",
                        'Add `uid_gid_source = "custom"`.',
                    )
        if self.tty and not self.stdin:
            raise refuse("`tty` needs `stdin`", "Add `stdin = true`.")
        titles = [tool.title for tool in self.tools or ()]
        for title in titles:
            if titles.count(title) > 1:
                raise refuse(f"two tools are called {title!r}", "Give one of them a `name` of its own.")
        if self.inference_endpoint is not None and self.inference_endpoint.name in titles:
            raise refuse(
                f"the endpoint and a tool are both called {self.inference_endpoint.name!r}", "Rename one."
            )
        for name in self.environment_variables or ():
            if not re.fullmatch(r"[^=\s\x00]+", name):
                raise refuse(f"{name!r} cannot name an environment variable", "No blanks and no `=`.")
        return self

    def canonical(self, place: Place) -> Values:
        """The attributes of the environment."""
        values = self.placed(place)
        types = self.workload_types
        wanted = {name for name in _TYPES if getattr(types, name)}
        if self.workload_architecture == "distributed":
            wanted.add("distributed")
        values["workload_types"] = sorted(wanted)
        if framework := self.distributed_framework or types.dist_framework:
            values["distributed_framework"] = framework
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


class SecretReference(Table):
    """Where a secret comes from: an environment variable, a file, or a command's output."""

    env: Text | None = Field(None, description="Name of an environment variable.")
    file: Text | None = Field(None, description="Path of a file, from the stack's directory.")
    command: list[str] | None = Field(
        None, min_length=1, description="A program and its arguments; no shell."
    )

    @model_validator(mode="before")
    @classmethod
    def _reference(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise refuse(
                "a secret must not stand in a spec",
                'Refer to it: { env = "NAME" }, { file = "PATH" } or { command = ["pass", "show", "NAME"] }.',
            )
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, name) is not None for name in ("env", "file", "command")) != 1:
            raise refuse("a secret has one source", "Give one of `env`, `file` and `command`.")
        return self

    def canonical(self) -> Values:
        """As the attributes hold it."""
        return {SECRET: self.model_dump(exclude_none=True)}


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
    "ngc": "ngc-api-key",
}


class Credential(Scoped):
    """A Run:ai credential. Its secret values are references, never values."""

    type: Annotated[str, _translated(_CREDENTIAL_WORDS, _CREDENTIAL_FIELDS)] = Field(
        description="generic-secret, docker-registry, access-key, password or ngc-api-key."
    )
    data: Annotated[dict[str, SecretReference], Field(min_length=1)] | None = Field(
        None, description="generic-secret: each key with the reference of its value."
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

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wanted = _CREDENTIAL_FIELDS[self.type]
        every = {name for names in _CREDENTIAL_FIELDS.values() for name in names}
        given = {name for name in every if getattr(self, name) is not None}
        if self.existing_secret_name is not None:
            if self.type == "ngc-api-key":
                raise refuse("an NGC key cannot come from an existing secret", "Give `ngc_api_key`.")
            if given:
                names = ", ".join(sorted(given))
                raise refuse(f"`existing_secret_name` and {names} exclude each other", "Keep one of them.")
            return self
        for name in sorted(given - set(wanted)):
            raise refuse(f"a credential of type {self.type} has no `{name}`", f"It has: {', '.join(wanted)}.")
        for name in wanted:
            if name not in given:
                raise refuse(f"a credential of type {self.type} needs `{name}`", f"Add `{name} = …`.")
        return self

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
        return SpecReading(problems=tuple(_placed_at(problem, table) for problem in problems))
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
    if not _USUAL_NAME.fullmatch(name):
        warnings.append(f"the name {name!r} has characters other than A-Z a-z 0-9 . _ - and blanks")
    return SpecReading(tuple(drafts), (), tuple(warnings))


_ABOUT = re.compile(r"`([a-z_]+)`")


def _placed_at(problem: Problem, table: Mapping[str, Any]) -> Problem:
    """A problem of a table as a whole, put at the field that its text names first."""
    for name in _ABOUT.findall(problem.summary):
        if name in table and not problem.path:
            return Problem((name,), problem.summary, problem.hint)
    return problem


def schema(kind: str) -> Values:
    """JSON Schema of the table of *kind*."""
    model: type[BaseModel] = MODELS[kind]
    return model.model_json_schema()
