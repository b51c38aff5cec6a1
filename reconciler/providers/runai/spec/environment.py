"""A Run:ai environment, as a spec says it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from reconciler.core.ports import Ask, Place
from reconciler.core.reading import Table, nearest, refuse
from reconciler.providers.runai import api
from reconciler.providers.runai.kinds import PLAIN_FIELDS
from reconciler.providers.runai.spec.compute import ComputeFields
from reconciler.providers.runai.spec.image import Image
from reconciler.providers.runai.spec.scope import Scoped
from reconciler.providers.runai.spec.tools import InferenceEndpoint, ReadinessProbe, ToolEntry
from reconciler.providers.runai.spec.variables import Variable
from reconciler.providers.runai.spec.words import Conflict, Text, UnixId, Values, marking, translated

_FRAMEWORK_WORDS = {
    "tensorflow": "TF",
    "tensor-flow": "TF",
    "tf": "TF",
    "pytorch": "PyTorch",
    "torch": "PyTorch",
    "mpi": "MPI",
    "xgboost": "XGBoost",
}


_FRAMEWORKS = ("MPI", "PyTorch", "TensorFlow", "XGBoost")


_UID_WORDS = {
    "from-the-image": "image",
    "from-image": "image",
    "idp": "idp-token",
    "from-idp-token": "idp-token",
    "from-the-idp-token": "idp-token",
}


_PULL_WORDS = {
    "always": "Always",
    "never": "Never",
    "if-not-present": "IfNotPresent",
    "ifnotpresent": "IfNotPresent",
}


_SECCOMP_WORDS = {"runtime-default": "RuntimeDefault", "unconfined": "Unconfined", "localhost": "Localhost"}


_UID_SOURCES = ("image", "idp-token", "custom")


_ARCHITECTURES = ("standard", "distributed")


_TYPES = ("workspace", "training", "inference", "distributed")


PullPolicy = Annotated[
    Literal["Always", "Never", "IfNotPresent"], translated(_PULL_WORDS, api.IMAGE_PULL_POLICIES)
]


Framework = Annotated[
    Literal["MPI", "PyTorch", "TF", "XGBoost"], translated(_FRAMEWORK_WORDS, api.DIST_FRAMEWORKS, _FRAMEWORKS)
]


UidSource = Annotated[Literal["image", "idp-token", "custom"], translated(_UID_WORDS, _UID_SOURCES)]


Seccomp = Annotated[
    Literal["RuntimeDefault", "Unconfined", "Localhost"],
    translated(_SECCOMP_WORDS, api.SECCOMP_PROFILE_TYPES),
]


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


WorkloadType = Annotated[Literal["workspace", "training", "inference", "distributed"], translated({}, _TYPES)]


Architecture = Annotated[Literal["standard", "distributed"], translated({}, _ARCHITECTURES)]


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

    image: Image = Field(description="Container image.")
    image_pull_policy: PullPolicy = Field("IfNotPresent", description="When the image is pulled.")
    workload_types: list[WorkloadType] | WorkloadTypes = Field(
        default_factory=lambda: WorkloadTypes(workspace=True, training=True),
        description="workspace, training, inference, distributed: a list, or a table of booleans.",
    )
    workload_architecture: Architecture | None = Field(None, description="standard or distributed.")
    distributed_framework: Framework | None = Field(
        None, description="MPI, PyTorch, TensorFlow or XGBoost; needed when distributed."
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
        if self.compute is not None:
            yield from self.compute.limits_too_low(("compute",))

    def _workload_conflicts(self) -> Iterator[Conflict]:
        fields = ("workload_types", "workload_architecture", "distributed_framework")
        distributed = "distributed" in self.types
        if self.workload_architecture == "standard" and distributed:
            yield Conflict(fields, "a standard architecture is not distributed", "Remove one of the two.")
        if distributed and self.framework is None:
            yield Conflict(
                fields,
                "distributed workloads need a framework",
                'Add `distributed_framework = "PyTorch"` (or MPI, TensorFlow, XGBoost).',
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
        for name in marking(titles):
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
        for name in marking(self.environment_variables or ()):
            yield Conflict(
                ("environment_variables",),
                f"{name!r} cannot name an environment variable",
                "No `$` in front.",
                ("environment_variables", name),
            )

    def asks(self, platform: str) -> Iterator[Ask]:
        """The keys of credentials of this stack that it refers to."""
        for name, one in (self.environment_variables or {}).items():
            if one.credential is not None and one.key is not None:
                path = ("environment_variables", name, "key")
                yield Ask(f"{platform}.credential.{one.credential}", one.key, path)

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
