"""An Azure ML environment, as a spec says it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from reconciler.core.reading import Table, refuse
from reconciler.providers.azureml.spec.secrets import secret_in, secret_named
from reconciler.providers.azureml.spec.words import (
    Conflict,
    Image,
    Label,
    Name,
    Port,
    Positive,
    Text,
    Values,
    Version,
    marking,
    spelled,
)
from reconciler.providers.images import registry_of

DEFINING: Final = ("image", "base_image", "build", "dockerfile")
"""What an environment is made of; the first that is there says where a complaint belongs."""
FROM_FILES: Final = ("from_yaml", "from_v1")
PACKAGES: Final = ("conda_file", "conda", "python", "packages", "channels", "pip", "pip_requirements")

CANNOT_CARRY: Final[Mapping[str, tuple[str, tuple[Any, ...]]]] = MappingProxyType(
    {
        "interpreter_path": (
            "Nearest: the absolute path in the job's command, or `ENV PATH=…` in a Dockerfile.",
            ("python",),
        ),
        "base_conda_environment": (
            "Nearest: a Dockerfile that begins with the image and activates that environment.",
            (),
        ),
        "spark": (
            'Nearest: the Spark job: `conf["spark.jars.packages"]`, `conf["spark.jars.repositories"]`, '
            "`jars`, `py_files`.",
            (),
        ),
        "databricks": ("Nearest: the libraries of the cluster, or of the job that runs there.", ()),
        "r": ("Nearest: an image with R, or r-base and the packages out of conda-forge.", ()),
        "inferencing_stack_version": (
            'Nearest: the package "azureml-inference-server-http", and `inference_config`.',
            (),
        ),
        "docker_arguments": ("Nearest: `resources.docker_args` of the job.", ()),
        "shm_size": ("Nearest: `resources.shm_size` of the job.", ()),
        "shared_volumes": ("Nearest: the mounts of the job.", (True,)),
        "docker_enabled": ("Every environment is a container: remove it.", (True,)),
        "gpu_support": ("Nearest: a base image with CUDA in it.", (False,)),
        "architecture": ("Azure ML builds for amd64 only: remove it.", ("amd64",)),
        "datastore": (
            "Nearest: `datastore` of the platform in reconciler.toml, where all contexts go.",
            ("workspaceblobstore",),
        ),
    }
)
"""What the vendor's guides let a person set and a v2 environment has no place for.

By name: the nearest thing, and the values that say nothing.
"""


class Route(Table):
    """One route of an inference server."""

    path: str = Field(pattern=r"^/", description="Path of the request.")
    port: Port = Field(description="Port of the request.")


class InferenceConfig(Table):
    """The routes of an image with an inference server of its own."""

    liveness_route: Route | None = Field(None, description="Whether the server lives.")
    readiness_route: Route | None = Field(None, description="Whether it takes requests.")
    scoring_route: Route | None = Field(None, description="Where it scores.")
    startup_route: Route | None = Field(None, description="Whether it has started.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise refuse("there is no route in it", "Add `scoring_route = { path = …, port = … }`.")
        return self


def _context_path(text: str) -> str:
    if "://" not in text:
        return text
    if secret_in(text) or urlsplit(text).query:
        raise refuse(
            "a signature or credentials do not belong into the address of a build context",
            "Give the address without them: the workspace reads its own storage by its identity.",
        )
    if not text.startswith("https://"):
        raise refuse("a build context is a directory of the stack, or an https address", "Write https://.")
    is_git = text.partition("#")[0].endswith(".git") or "#" in text
    return text if is_git or text.endswith("/") else f"{text}/"


class Build(Table):
    """A Docker build context."""

    path: Annotated[
        Text, BeforeValidator(lambda value: _context_path(value) if isinstance(value, str) else value)
    ] = Field(description="A directory of the stack, or the address of one that is uploaded already.")
    dockerfile_path: Text = Field("Dockerfile", description="The Dockerfile, from that directory.")


def _build(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _dockerfile(text: str) -> str:
    if "\n" in text:
        raise refuse(
            "this is a Dockerfile, not the path of one", "Write { text = … }, or put it into a file."
        )
    return text


class DockerfileText(Table):
    """A Dockerfile that stands in the spec."""

    text: Text = Field(description="What is in it.")


class Registry(Table):
    """The registry that a base image is in."""

    address: Text = Field(description="Its address, such as registry.example.com.")
    password: Any = Field(None, description="Refused: a connection keeps it.")
    username: Any = Field(None, description="Refused: a connection keeps it.")
    registry_identity: Any = Field(None, description="Refused: the compute has its own.")

    @field_validator("password", "username")
    @classmethod
    def _without_credentials(cls, value: Any, info: ValidationInfo) -> Any:
        # Of the two, the password is said; it is the first, and not there when it was refused.
        if value is not None and (info.field_name == "password" or "password" in info.data):
            raise refuse(
                "the credentials of a registry do not belong into an environment",
                "Give the workspace a connection of the category ContainerRegistry to that registry, or the "
                "managed identity of the compute the right to pull; here, write the address alone.",
            )
        return value

    @field_validator("registry_identity")
    @classmethod
    def _without_identity(cls, value: Any) -> Any:
        if value is not None:
            raise refuse(
                "a v2 environment has no identity for its registry",
                "Give the managed identity of the compute the right to pull, and remove this.",
            )
        return value


def _registry(value: Any) -> Any:
    return {"address": value} if isinstance(value, str) else value


class Environment(Table):
    """An Azure ML environment."""

    name: Name | None = Field(None, description="Its name in the workspace, when not that of the spec.")
    version: Version | None = Field(None, description="Its version; chosen by the platform when absent.")
    description: str | None = Field(None, description="Changed in place.")
    tags: dict[str, Label] | None = Field(None, description="Changed in place.")
    properties: dict[str, Label] | None = Field(None, description="Written when the version is made.")
    stage: Text | None = Field(None, description="Such as Development or Production.")
    keep_versions: Positive | None = Field(
        None, description="How many versions stay; older ones that nothing uses are archived."
    )
    image: Image | None = Field(None, description="Base image.")
    base_image: Image | None = Field(None, description="Another name of `image`.")
    base_image_registry: (
        Annotated[Registry, BeforeValidator(_registry, json_schema_input_type=str | Registry)] | None
    ) = Field(None, description="Address of the registry that the image is in.")
    conda_file: Text | None = Field(None, description="A conda file of the stack.")
    conda: dict[str, Any] | None = Field(None, description="What a conda file would say.")
    python: Annotated[str, Field(pattern=r"^\d+(\.\d+){1,2}$")] | None = Field(
        None, description="Version of Python."
    )
    packages: list[Text] | None = Field(None, description="conda packages.")
    channels: list[Text] | None = Field(None, description="conda channels; conda-forge when absent.")
    pip: list[Text] | None = Field(None, description="pip requirements.")
    pip_requirements: Text | None = Field(None, description="A requirements file of the stack.")
    user_managed_dependencies: bool | None = Field(
        None, description="Whether the image has all that is needed."
    )
    build: Annotated[Build, BeforeValidator(_build, json_schema_input_type=str | Build)] | None = Field(
        None, description="A build context, instead of an image."
    )
    dockerfile: Annotated[Text, AfterValidator(_dockerfile)] | DockerfileText | None = Field(
        None, description="A single Dockerfile, instead of an image: its path, or { text = … }."
    )
    wheels: list[Text] | None = Field(None, min_length=1, description="Wheels of the stack to install.")
    environment_variables: dict[str, Any] | None = Field(
        None, description="Only with `wheels`, whose Dockerfile takes them."
    )
    inference_config: InferenceConfig | None = Field(None, description="Routes of an inference server.")
    os_type: Annotated[Literal["Linux", "Windows"], spelled("Linux", "Windows")] = Field(
        "Linux", description="Linux or Windows."
    )
    auto_rebuild: Annotated[
        Literal["Disabled", "OnBaseImageUpdate"], spelled("Disabled", "OnBaseImageUpdate")
    ] = Field("Disabled", description="Disabled or OnBaseImageUpdate.")
    from_yaml: Text | None = Field(
        None, description="A file for the vendor's v2 command line; what the spec says goes before it."
    )
    from_v1: Text | None = Field(
        None, description="A definition of the vendor's v1 SDK; what the spec says goes before it."
    )

    @property
    def full_image(self) -> str | None:
        """The image with its registry."""
        image = self.image if self.image is not None else self.base_image
        if image is None or self.base_image_registry is None:
            return image
        address = self.base_image_registry.address.rstrip("/")
        return image if image.startswith(f"{address}/") else f"{address}/{image}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables as texts; `conflicts` has looked at them."""
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in (self.environment_variables or {}).items()
        }

    def conflicts(self) -> Iterator[Conflict]:
        """What does not go together, and what is missing."""
        yield from self._source_conflicts()
        yield from self._package_conflicts()
        yield from self._registry_conflicts()
        yield from self._variable_conflicts()
        for field in ("tags", "properties"):
            for path in marking(getattr(self, field) or {}, (field,)):
                yield Conflict((field,), f"{path[-1]!r} cannot be a key", "No `$` in front.", path)
        if self.wheels and self.os_type == "Windows":
            yield Conflict(("wheels", "os_type"), "wheels are installed on Linux only", "Write a Dockerfile.")

    def _source_conflicts(self) -> Iterator[Conflict]:
        given = [name for name in DEFINING if getattr(self, name) is not None]
        every = (*DEFINING, *FROM_FILES)
        if len(given) > 1:
            names = " and ".join(f"`{name}`" for name in given)
            yield Conflict(
                every,
                f"{names} exclude each other",
                "Keep one; a Dockerfile names its image in FROM.",
                (given[1],),
            )
        if not given:
            yield Conflict(
                every,
                "`image` is missing",
                "Add `image = …`, or `build = …` with the directory of a Dockerfile: there is no default.",
            )

    def _package_conflicts(self) -> Iterator[Conflict]:
        given = [name for name in PACKAGES if getattr(self, name) is not None]
        whole = [name for name in ("conda_file", "conda") if name in given]
        built = next((name for name in ("build", "dockerfile") if getattr(self, name) is not None), None)
        if built and (given or self.wheels):
            name = given[0] if given else "wheels"
            yield Conflict(
                (name, built),
                f"`{name}` does not go with `{built}`: into what it builds, Azure ML installs nothing",
                "Put the step into the Dockerfile: `RUN conda env update -f …`, `RUN pip install …`.",
            )
        elif whole and len(given) > 1:
            other = next(name for name in given if name != whole[0])
            yield Conflict(
                (other, whole[0]),
                f"`{whole[0]}` and `{other}` exclude each other",
                f"Write it into what `{whole[0]}` says, or list all packages here.",
            )
        elif self.user_managed_dependencies and given:
            yield Conflict(
                (given[0], "user_managed_dependencies"),
                f"`{given[0]}` has no effect when the dependencies are user-managed: the image has them",
                "Remove one of the two.",
            )
        elif given and not whole and not self.wheels and self.python is None:
            named = [
                re.split(r"[\s=<>!~\[]", one.rpartition("::")[2], maxsplit=1)[0]
                for one in self.packages or ()
            ]
            if "python" not in named:
                yield Conflict(
                    (*given, "python"),
                    "which Python? `python` is missing",
                    'Add `python = "3.12"`: conda would take whichever is newest.',
                )
        if (
            not whole
            and self.python is not None
            and any(re.match(r"python\b(?![-\w.])", one) for one in self.packages or ())
        ):
            yield Conflict(("packages", "python"), "`python` is in `packages`, too", "Keep one of them.")

    def _registry_conflicts(self) -> Iterator[Conflict]:
        if self.base_image_registry is None:
            return
        address = self.base_image_registry.address
        image = self.image or self.base_image
        if not re.fullmatch(r"[\w.-]+(:\d+)?(/[\w.-]+)*/?", address):
            yield Conflict(
                ("base_image_registry",),
                f"{address[:60]!r} is no address of a registry",
                "Write registry.example.com.",
            )
        elif image is None:
            yield Conflict(
                ("base_image_registry", "image"), "`base_image_registry` goes with `image`", "Remove it."
            )
        elif registry_of(image) not in ("", address.partition("/")[0]):
            yield Conflict(
                ("base_image_registry", "image"),
                f"{image} names a registry already, {registry_of(image)}",
                "Keep one of the two.",
            )

    def _variable_conflicts(self) -> Iterator[Conflict]:
        if not self.environment_variables:
            return
        field = "environment_variables"
        if not self.wheels:
            yield Conflict(
                (field, "wheels"),
                "an environment of Azure ML has no environment variables",
                "Nearest: `environment_variables` of jobs and deployments, or `ENV` in a Dockerfile. "
                f'To leave them out here: ignore = ["{field}"] in its [on.…] table.',
            )
            return
        for name, value in self.environment_variables.items():
            path = (field, name)
            if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                yield Conflict((field,), f"{name!r} cannot name a variable of an image", "Rename it.", path)
            elif not isinstance(value, str | bool) and type(value) is not int:
                yield Conflict(
                    (field,),
                    "a variable of an image is text",
                    "Give what is secret to jobs and deployments.",
                    path,
                )
            elif isinstance(value, str) and ("\n" in value or "\r" in value):
                yield Conflict((field,), "a variable of an image has one line", "Write it on one line.", path)
            elif isinstance(value, str) and (secret := secret_named(name, value)):
                yield Conflict(
                    (field,),
                    f"{secret} would be kept in the image",
                    "Give it to jobs and deployments, out of a key vault.",
                    path,
                )

    def inference(self) -> Values | None:
        """The routes, as the attributes hold them."""
        return None if self.inference_config is None else self.inference_config.model_dump(exclude_none=True)
