"""An AEnvironment environment, as a spec says it: in TOML, in ``config.json``, or in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.core.model import Path
from reconciler.core.ports import Fact, Place
from reconciler.core.reading import Table, nearest, refuse
from reconciler.providers.aenvironment.facts import environment_facts
from reconciler.providers.aenvironment.kinds import IMAGE, STATUSES
from reconciler.providers.aenvironment.spec.document import DEPLOY_KEYS, SERVICE_KEYS, Document, wire_key
from reconciler.providers.aenvironment.spec.service import ServiceFields
from reconciler.providers.aenvironment.spec.words import Amount, Finding, Text, Version

__all__ = ["IN_FILE", "Compute", "Environment", "facts", "status_named"]


def status_named(text: str) -> str | None:
    """The status of this name: EnvHub does not tell capitals, and takes any other word for Init."""
    return next((one for one in STATUSES if one.lower() == text.strip().lower()), None)


def wrong_status(text: str) -> tuple[str, str]:
    """What to say of a *text* that names no status."""
    meant = nearest(text, STATUSES)
    hint = f"Did you mean {meant!r}? " if meant else ""
    return f"{text!r} is no status: EnvHub would take it for Init", f"{hint}Known: {', '.join(STATUSES)}."


def _status(text: str) -> str:
    found = status_named(text)
    if found is None:
        raise refuse(*wrong_status(text))
    return found


def _tags(value: Any) -> Any:
    """A table, as other platforms have their tags, is a list of ``KEY=VALUE`` here."""
    if isinstance(value, dict) and all(isinstance(one, str | int) for one in value.values()):
        return [f"{key}={_text(one)}" for key, one in value.items()]
    return value


def _text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _variable(value: Any) -> Any:
    match value:
        case bool() | str() | int():
            return _text(value)
        case float():
            raise refuse(
                "a number with a point has several spellings", "Put the one that is meant in quotes."
            )
        case {"env": _} | {"file": _} | {"command": _}:
            raise refuse(
                "EnvHub and api-service log the values of variables, and show them to whoever asks",
                "Let the program in the container fetch the secret, or have a pod template of the cluster "
                'mount it. Leave the shared table out there: ignore = ["environment_variables"].',
            )
        case dict():
            raise refuse(
                "AEnvironment knows variables with a value only",
                'Write it as text, or leave the shared table out there: ignore = ["environment_variables"].',
            )
    raise refuse("the value of a variable is text", "Write it as one text, in quotes.")


Variable = Annotated[str, BeforeValidator(_variable, json_schema_input_type=str | int | bool)]
Status = Annotated[str, AfterValidator(_status)]


def _cores(value: Any) -> Any:
    """Cores as other platforms have them, a number; or as text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else value


Cores = Annotated[Amount, BeforeValidator(_cores, json_schema_input_type=float | str)]

_ELSEWHERE = ("gpu", "gpu_portion", "gpu_memory", "large_shm", "extended_resources")


IN_FILE: Final[Mapping[str, Path]] = {
    "description": ("description",),
    "tags": ("tags",),
    "status": ("status",),
    "code_url": ("codeUrl",),
    "image": ("artifacts",),
    "artifacts": ("artifacts",),
    "build_config": ("buildConfig",),
    "test_config": ("testConfig",),
    "deploy_config": ("deployConfig",),
    "environment_variables": ("deployConfig", "environmentVariables"),
}
"""Where config.json says what a field of a spec says: where a spec ignores that, it is left out there."""


class Artifact(Table):
    """One artifact. Of type ``image``, its content is what containers run."""

    id: str = ""
    type: Text
    content: str


class Compute(Table):
    """CPU, memory and storage of services, and of instances where the cluster scales by itself."""

    cpu_cores: Cores | None = Field(None, description="Cores: deployConfig.cpu.")
    cpu: Cores | None = Field(None, description="The same, in the words of config.json.")
    memory: Amount | None = Field(None, description='Memory, such as "4Gi": deployConfig.memory.')
    storage: Amount | None = Field(None, description="Ephemeral storage: deployConfig.ephemeralStorage.")


def _compute(value: Any) -> Any:
    if isinstance(value, dict):
        for key in value:
            if key in _ELSEWHERE or key.endswith("_limit"):
                raise refuse(
                    f"AEnvironment cannot carry `compute.{key}`",
                    "Leave the shared table out there and give one of its own: "
                    'ignore = ["compute"] in [on.PLATFORM], and [on.PLATFORM.compute] with `cpu_cores`, '
                    "`memory` and `storage`.",
                )
    return value


class Environment(Table):
    """An AEnvironment environment."""

    name: Text | None = Field(None, description="Its name in EnvHub, when not that of the spec.")
    version: Version | None = Field(None, description="Its version; with the name it is its identity.")
    config: Text | None = Field(
        None, description="Path of the project's config.json, from the folder of the spec."
    )
    description: str | None = Field(None, description="For people; only newer EnvHubs keep it.")
    tags: Annotated[list[str], BeforeValidator(_tags, json_schema_input_type=list[str] | dict[str, str])] | (
        None
    ) = Field(None, description="Words, or a table that becomes KEY=VALUE.")
    status: Status | None = Field(None, description=f"{', '.join(STATUSES)}; Ready at creation when absent.")
    release: bool = Field(False, description="Release it: it can never be changed again.")
    code_url: Text | None = Field(None, description="Where its code is. Can be replaced, not cleared.")
    image: Text | None = Field(None, description="Container image: the first artifact of type image.")
    artifacts: list[Artifact] | None = Field(None, description="All artifacts.")
    build_config: dict[str, Any] | None = Field(None, description="buildConfig, as it is.")
    test_config: dict[str, Any] | None = Field(None, description="testConfig, as it is.")
    deploy_config: dict[str, Any] | None = Field(
        None, description="deployConfig; its known keys in snake_case or as they are."
    )
    environment_variables: dict[str, Variable] | None = Field(
        None, description="By name, text: deployConfig.environmentVariables."
    )
    compute: Annotated[Compute, BeforeValidator(_compute, json_schema_input_type=Compute)] | None = Field(
        None, description="CPU, memory and storage."
    )
    service: ServiceFields | None = Field(None, description="A service of this environment, beside it.")

    def lay_over(self, document: Document, place: Place) -> None:
        """Put what the spec says over what config.json says."""
        if self.name is not None:
            document.put(("name",), self.name, ("name",))
        elif "name" not in document.values:
            document.put(("name",), place.name, ("name",))
        for field, key in (
            ("version", "version"),
            ("description", "description"),
            ("tags", "tags"),
            ("status", "status"),
            ("code_url", "codeUrl"),
            ("build_config", "buildConfig"),
            ("test_config", "testConfig"),
        ):
            if (value := getattr(self, field)) is not None:
                document.put((key,), value, (field,))
        if self.artifacts is not None:
            listed = [one.model_dump() for one in self.artifacts]
            document.put(("artifacts",), listed, ("artifacts",))
        if self.image is not None:
            document.put(("artifacts",), _with_image(document.values, self.image), ("image",), short=True)
        for path, value, said in self._deployment():
            document.put(("deployConfig", *path), value, said)

    def _deployment(self) -> Iterator[tuple[Path, Any, Path]]:
        """What the spec says of deployConfig: a path in there, the value, and where it is said."""
        for key, value in (self.deploy_config or {}).items():
            wire, said = wire_key(key, DEPLOY_KEYS), ("deploy_config", key)
            if wire == "service" and isinstance(value, Mapping):
                for inner, item in value.items():
                    yield (wire, wire_key(inner, SERVICE_KEYS)), item, (*said, inner)
            elif wire == "environmentVariables" and isinstance(value, Mapping):
                for inner, item in value.items():
                    yield (wire, inner), item, (*said, inner)
            else:
                yield (wire,), value, said
        for name, value in (self.environment_variables or {}).items():
            yield ("environmentVariables", name), value, ("environment_variables", name)
        for field, key in (
            ("cpu_cores", "cpu"),
            ("cpu", "cpu"),
            ("memory", "memory"),
            ("storage", "ephemeralStorage"),
        ):
            if self.compute is not None and (value := getattr(self.compute, field)) is not None:
                yield (key,), value, ("compute", field)

    def conflicts(self) -> Iterator[Finding]:
        """What does not go together in this table."""
        if self.release and self.status not in (None, "Released"):
            yield Finding(
                ("status",),
                f"`release` makes the status Released, and `status` says {self.status}",
                "Remove one.",
            )
        compute = self.compute
        if compute is not None and compute.cpu is not None and compute.cpu_cores is not None:
            yield Finding(("compute", "cpu"), "`cpu` and `cpu_cores` are the same", "Keep one of them.")


def _with_image(values: Mapping[str, Any], image: str) -> list[Any]:
    """The artifacts of *values* with this *image* in the place of theirs."""
    artifacts = values.get("artifacts")
    listed = list(artifacts) if isinstance(artifacts, list) else []
    for number, one in enumerate(listed):
        if isinstance(one, Mapping) and one.get("type") == IMAGE:
            return [*listed[:number], {**one, "content": image}, *listed[number + 1 :]]
    return [{"id": "", "type": IMAGE, "content": image}, *listed]


def facts(document: Document, attributes: Mapping[str, Any]) -> Iterator[Fact]:
    """What a policy may limit, where the spec says it."""
    for fact in environment_facts(attributes):
        wire: Path = ("artifacts",) if fact.name == "image" else ("deployConfig", *fact.path[1:])
        yield Fact(fact.name, fact.value, document.problem(Finding(wire, "")).path)
