"""Files that people have already: the YAML of the vendor's command line, the JSON of its first SDK.

Each becomes fields of a spec, so that what a spec may say and what such a file
may say are checked in one place. Source: vendor clients azure-ai-ml 1.35.2 and
azureml-core 1.61.0.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from typing import Any, Final

from reconciler.core.reading import nearest
from reconciler.errors import ReconcilerError
from reconciler.providers.azureml.context import within
from reconciler.providers.azureml.documents import Document, DocumentBroken, read_json, read_yaml
from reconciler.providers.azureml.spec.requirements import without_comment
from reconciler.providers.azureml.spec.words import Flaw, Values

__all__ = ["Existing", "open_document", "read_existing", "v1_fields"]


@dataclass(slots=True)
class Existing:
    """Fields of a spec out of another file, ``from_yaml`` or ``from_v1``; what is wrong in words.

    ``said`` is where that file says each field.
    """

    key: str
    name: str
    fields: Values = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)

    def place(self, name: str) -> str:
        """Where the file says the field *name*, in words for a sentence to begin with."""
        return self.said.get(name, self.name)


def open_document(path: str, stack: FilePath, read: Callable[[bytes], Document]) -> Document | Flaw:
    """What the file at *path* of the stack says, or what is wrong, with the place in words."""
    try:
        return read(within(path, stack).read_bytes())
    except ReconcilerError as error:
        return Flaw((), str(error), error.hint)
    except OSError as error:
        return Flaw((), f"{path} cannot be read: {error.strerror}", "Check that it is a file.")
    except DocumentBroken as error:
        line, column = error.place
        return Flaw((), f"{path} line {line}, column {column}: {error.summary}", error.hint)


def read_existing(key: str, path: str, stack: FilePath) -> Existing:
    """The fields in the file at *path*, which is what *key* says."""
    found = Existing(key, path)
    document = open_document(path, stack, read_yaml if key == "from_yaml" else read_json)
    if isinstance(document, Flaw):
        found.flaws.append(document)
    elif not isinstance(document.value, dict):
        found.flaws.append(Flaw((), f"{path}: there is no table in it", "Name the file of an environment."))
    elif key == "from_yaml":
        _of_yaml(found, document)
    else:
        fields, flaws = v1_fields(document.value)
        found.fields = {name: value for name, (value, _) in fields.items()}
        found.said = {name: f"{path}, {where}" for name, (_, where) in fields.items()}
        found.flaws += [Flaw((), f"{path}: {summary}", hint) for _, summary, hint in flaws]
    return found


_YAML_KEYS: Final = (
    "name",
    "version",
    "description",
    "tags",
    "properties",
    "image",
    "build",
    "conda_file",
    "os_type",
    "inference_config",
    "datastore",
)


def _of_yaml(found: Existing, document: Document) -> None:
    """Fields of a file for ``az ml environment create``; its paths are from its own directory."""
    folder = PurePosixPath(found.name).parent

    def at(*path: str) -> str:
        place = document.places.get(path)
        return found.name if place is None else f"{found.name} line {place[0]}, column {place[1]}"

    table = document.value
    if "channels" in table or "dependencies" in table:
        found.flaws.append(
            Flaw(
                (),
                f"{found.name} is a conda file",
                f'Name it in `conda_file = "{found.name}"`, with an `image`.',
            )
        )
        return
    for key, value in table.items():
        if key == "$schema" or value is None:
            continue
        if key not in _YAML_KEYS:
            meant = nearest(key, _YAML_KEYS)
            hint = f"Did you mean `{meant}`?" if meant else f"Known here: {', '.join(_YAML_KEYS)}."
            found.flaws.append(Flaw((), f"{at(key)}: unknown key `{key}`", hint))
            continue
        if key == "conda_file":
            key = "conda" if isinstance(value, dict) else key
            value = _joined(folder, value)
            found.said[key] = at("conda_file")
        elif key == "build" and isinstance(value, dict) and "path" in value:
            value = {**value, "path": _joined(folder, value["path"])}
        elif key == "datastore" and isinstance(value, str):
            value = value.removeprefix("azureml:").rpartition("/")[2]
        found.fields[key] = value
        found.said.setdefault(key, at(key))


def _joined(folder: PurePosixPath, path: Any) -> Any:
    is_path = isinstance(path, str) and "://" not in path
    return posixpath.normpath(folder / path) if is_path else path


# --- v1 ---

_Fields = dict[str, tuple[Any, str]]

_EXAMPLE: Final = {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
"""A variable that the v1 SDK puts into every definition."""
_USUAL_SHM: Final = "2g"

_V1_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "": (
        "name",
        "version",
        "environmentVariables",
        "python",
        "docker",
        "spark",
        "databricks",
        "r",
        "inferencingStackVersion",
        "assetId",
    ),
    "python": (
        "userManagedDependencies",
        "interpreterPath",
        "condaDependenciesFile",
        "baseCondaEnvironment",
        "condaDependencies",
    ),
    "docker": (
        "enabled",
        "baseImage",
        "baseDockerfile",
        "buildContext",
        "sharedVolumes",
        "shmSize",
        "arguments",
        "gpuSupport",
        "baseImageRegistry",
        "platform",
    ),
    "docker.baseImageRegistry": ("address", "username", "password", "registryIdentity"),
    "docker.buildContext": ("locationType", "location", "dockerfilePath"),
    "docker.platform": ("os", "architecture"),
    "spark": ("repositories", "packages", "precachePackages"),
}
"""The keys of each table of a v1 definition: the SDK writes camelCase, and sends some in PascalCase."""


def v1_fields(definition: Mapping[str, Any]) -> tuple[_Fields, list[Flaw]]:
    """Fields of a spec that say what a v1 *definition* does, each with where it says so; and what is wrong.

    Left out is what the service does not look at: the conda dependencies of
    user-managed ones, the interpreter of all others, defaults, and the
    version, which was the service's to choose.
    """
    flaws: list[Flaw] = []

    def table(value: Any, where: str) -> Values:
        if not isinstance(value, Mapping):
            if value is not None:
                flaws.append(Flaw((), f"`{where}` must be a table", "Write the file with the SDK again."))
            return {}
        known = _V1_KEYS[where]
        by_lower = {key.lower(): key for key in known}
        found: Values = {}
        for key, inner in value.items():
            if (name := by_lower.get(str(key).lower())) is None:
                shown = f"{where}.{key}" if where else key
                meant = nearest(str(key), known)
                hint = f"Did you mean `{meant}`?" if meant else f"Known there: {', '.join(known)}."
                flaws.append(Flaw((), f"unknown key `{shown}`", hint))
            elif inner is not None:
                found[name] = inner
        return found

    top = table(definition, "")
    fields: _Fields = {}
    if "name" in top:
        fields["name"] = (top["name"], "name")
    variables = top.get("environmentVariables")
    if variables and variables != _EXAMPLE:
        fields["environment_variables"] = (variables, "environmentVariables")
    fields |= _of_docker(top, table)
    fields |= _of_python(table(top.get("python"), "python"))
    spark = table(top.get("spark"), "spark")
    if spark.get("repositories") or spark.get("packages"):
        fields["spark"] = (spark, "spark")
    if isinstance(top.get("databricks"), Mapping) and any(top["databricks"].values()):
        fields["databricks"] = (top["databricks"], "databricks")
    for key, name in (("r", "r"), ("inferencingStackVersion", "inferencing_stack_version")):
        if key in top:
            fields[name] = (top[key], key)
    return fields, flaws


def _of_docker(top: Values, table: Callable[[Any, str], Values]) -> _Fields:
    docker = table(top.get("docker"), "docker")
    fields: _Fields = {}
    for key, name, usual in (
        ("baseImage", "image", None),
        ("arguments", "docker_arguments", []),
        ("shmSize", "shm_size", _USUAL_SHM),
        ("sharedVolumes", "shared_volumes", True),
        ("gpuSupport", "gpu_support", False),
    ):
        if key in docker and docker[key] != usual:
            fields[name] = (docker[key], f"docker.{key}")
    if docker.get("baseDockerfile"):
        fields["dockerfile"] = ({"text": docker["baseDockerfile"]}, "docker.baseDockerfile")
    if context := table(docker.get("buildContext"), "docker.buildContext"):
        build = {
            "path": context.get("location"),
            "dockerfile_path": context.get("dockerfilePath", "Dockerfile"),
        }
        fields["build"] = (build, "docker.buildContext")
    registry = docker.get("baseImageRegistry")
    if isinstance(registry, str):  # what an old guide tells people to assign
        registry = {"address": registry}
    registry = table(registry, "docker.baseImageRegistry")
    if registry:
        named = {"registryIdentity": "registry_identity"}
        said = {named.get(key, key): value for key, value in registry.items()}
        fields["base_image_registry"] = (said, "docker.baseImageRegistry")
    for key, inner in table(docker.get("platform"), "docker.platform").items():
        fields["os_type" if key == "os" else key] = (inner, f"docker.platform.{key}")
    return fields


def _of_python(python: Values) -> _Fields:
    fields: _Fields = {}
    if python.get("userManagedDependencies"):
        fields["user_managed_dependencies"] = (True, "python.userManagedDependencies")
        if python.get("interpreterPath", "python") != "python":
            fields["interpreter_path"] = (python["interpreterPath"], "python.interpreterPath")
        return fields
    for key, name in (
        ("condaDependencies", "conda"),
        ("condaDependenciesFile", "conda_file"),
        ("baseCondaEnvironment", "base_conda_environment"),
    ):
        if key in python and not (name == "conda_file" and "conda" in fields):
            value = _without_comments(python[key]) if name == "conda" else python[key]
            fields[name] = (value, f"python.{key}")
    return fields


def _without_comments(conda: Any) -> Any:
    """A conda definition whose pip lines are requirements: the SDK copies those of a file as they stand."""
    if not isinstance(conda, Mapping) or not isinstance(items := conda.get("dependencies"), list):
        return conda

    def cleaned(item: Any) -> Any:
        if not isinstance(item, Mapping) or not isinstance(lines := item.get("pip"), list):
            return item
        found = [without_comment(line) if isinstance(line, str) else line for line in lines]
        return {**item, "pip": [line for line in found if line != ""]}

    return {**conda, "dependencies": [cleaned(item) for item in items]}
