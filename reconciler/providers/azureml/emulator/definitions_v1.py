"""The v1 form of a definition: what azureml-core reads and writes, from and to a version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from reconciler.providers.azureml.emulator.answers import refused
from reconciler.providers.azureml.emulator.definitions import Build, VersionProperties
from reconciler.providers.azureml.emulator.store import Thing

__all__ = ["as_v1", "as_version", "read_v1"]

_NO_REGISTRY: Final = {"address": None, "username": None, "password": None, "registryIdentity": None}


def _plain(name: str) -> dict[str, Any]:
    """A definition in which nothing is said."""
    return {
        "name": name,
        "version": None,
        "environmentVariables": {},
        "python": {
            "userManagedDependencies": False,
            "interpreterPath": "python",
            "condaDependenciesFile": None,
            "baseCondaEnvironment": None,
            "condaDependencies": None,
        },
        "docker": {
            "enabled": False,
            "baseImage": None,
            "baseDockerfile": None,
            "buildContext": None,
            "sharedVolumes": True,
            "shmSize": "2g",
            "arguments": [],
            "baseImageRegistry": _NO_REGISTRY,
            "platform": {"os": "Linux", "architecture": "amd64"},
        },
        "spark": {"repositories": [], "packages": [], "precachePackages": True},
        "databricks": {
            "mavenLibraries": [],
            "pypiLibraries": [],
            "rcranLibraries": [],
            "jarLibraries": [],
            "eggLibraries": [],
        },
        "r": None,
        "inferencingStackVersion": None,
        "assetId": None,
    }


def _lowered(value: Any) -> Any:
    """A mapping whose keys begin with a small letter: those of a PUT come in both ways."""
    if not isinstance(value, Mapping):
        return value
    return {key[:1].lower() + key[1:]: inner for key, inner in value.items()}


def read_v1(name: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The definition that a client puts, whole. A password in it is not kept.

    Refuses two of base image, Dockerfile and build context.
    """
    found = _lowered(sent)
    plain = _plain(name)
    for key in ("environmentVariables", "r", "inferencingStackVersion"):
        if found.get(key) is not None:
            plain[key] = found[key]
    for part in ("python", "docker", "spark"):
        section = _lowered(found.get(part) or {})
        if not isinstance(section, dict):
            raise refused(400, f"{part} must be an object", "ValidationError")
        plain[part] = {**plain[part], **{key: value for key, value in section.items() if value is not None}}
    registry = _lowered(plain["docker"]["baseImageRegistry"])
    plain["docker"]["baseImageRegistry"] = {**_NO_REGISTRY, **registry, "password": None}
    given = [key for key in ("baseImage", "baseDockerfile", "buildContext") if plain["docker"][key]]
    if len(given) > 1:
        raise refused(400, f"{' and '.join(given)} exclude each other", "ValidationError")
    return plain


def as_version(definition: Mapping[str, Any], dockerfile_uri: str) -> VersionProperties:
    """The version that a v1 definition is seen as by v2; *dockerfile_uri* is where its Dockerfile was put."""
    docker, python = definition["docker"], definition["python"]
    conda = None if python["userManagedDependencies"] else python["condaDependencies"]
    context = docker["buildContext"]
    if context:
        return VersionProperties(
            build=Build(context["location"], context.get("dockerfilePath") or "Dockerfile")
        )
    if docker["baseDockerfile"]:
        return VersionProperties(build=Build(dockerfile_uri, "Dockerfile"))
    return VersionProperties(
        image=docker["baseImage"],
        conda_file=json.dumps(conda) if conda else None,
        os_type=docker["platform"]["os"],
    )


def as_v1(version: Thing, arm_id: str) -> dict[str, Any]:
    """The definition that a version is to v1: the one it was registered with, or what it says by itself."""
    known = version.secret.get("v1")
    found = known if known is not None else _derived(version)
    found["version"] = version.name
    found["assetId"] = f"azureml:/{arm_id}/environments/{version.parent}/versions/{version.name}"
    return dict(found)


def _derived(version: Thing) -> dict[str, Any]:
    properties = version.body["properties"]
    plain = _plain(version.parent)
    conda = properties["condaFile"]
    plain["python"]["userManagedDependencies"] = not conda
    plain["python"]["condaDependencies"] = json.loads(conda) if conda else None
    plain["docker"]["baseImage"] = properties.get("image")
    plain["docker"]["platform"]["os"] = properties["osType"]
    if "build" in properties:
        build = properties["build"]
        plain["docker"]["buildContext"] = {
            "locationType": "storageAccount",
            "location": build["contextUri"],
            "dockerfilePath": build["dockerfilePath"],
        }
    return plain
