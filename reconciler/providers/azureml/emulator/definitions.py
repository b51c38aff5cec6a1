"""What the body of an environment or of a version may say, and what the service makes of it."""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from reconciler.providers.azureml.emulator.answers import refused
from reconciler.providers.azureml.emulator.conda import parse_conda, spell_conda

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")

_RESERVED: Final = ("azureml", "microsoft")

_Words = dict[str, str | None]


class Described(Struct, rename="camel"):
    """What can be changed of a container and of a version alike."""

    description: str | None = None
    tags: _Words | None = None
    properties: _Words | None = None
    is_archived: bool | None = None

    def shown(self) -> dict[str, Any]:
        """How it is answered, apart from ``isArchived``."""
        return {
            "description": self.description,
            "tags": self.tags or {},
            "properties": self.properties or {},
        }


class Build(Struct, rename="camel"):
    context_uri: str
    dockerfile_path: str | None = None


class _Endpoint(Struct):
    path: str
    port: int


class _Inference(Struct, rename="camel", omit_defaults=True):
    liveness_route: _Endpoint | None = None
    readiness_route: _Endpoint | None = None
    scoring_route: _Endpoint | None = None
    startup_route: _Endpoint | None = None


class VersionProperties(Described, rename="camel", kw_only=True):
    """``properties`` of a version, as a client sends it; what the server sets is ignored."""

    image: str | None = None
    build: Build | None = None
    conda_file: str | None = None
    inference_config: _Inference | None = None
    os_type: Literal["Linux", "Windows"] | None = None
    auto_rebuild: Literal["Disabled", "OnBaseImageUpdate"] | None = None
    is_anonymous: bool | None = None
    stage: str | None = None


class _ContainerBody(Struct):
    properties: Described


class _VersionBody(Struct):
    properties: VersionProperties


CONTAINER: Final = msgspec.json.Decoder(_ContainerBody)
VERSION: Final = msgspec.json.Decoder(_VersionBody)


def check_name(name: str) -> None:
    """Refuse a name that an environment of a user cannot have."""
    if name.lower().startswith(_RESERVED):
        raise refused(
            400,
            f"Environment name {name} is reserved: it starts with 'AzureML' or 'Microsoft'.",
            "ReservedName",
        )
    check_pattern("Environment", name)


def check_pattern(what: str, name: str) -> None:
    """Refuse a name that nothing can have."""
    if not _NAME.fullmatch(name):
        raise refused(
            400, f"{what} name {name} is invalid: it must match ^{_NAME.pattern}$", "ValidationError"
        )


class Definition:
    """The part of a version that never changes: as it is answered, and in a form to compare.

    Refuses an image beside a build context, and a definition with neither.
    """

    __slots__ = ("digest", "shown")

    def __init__(self, sent: VersionProperties) -> None:
        conda = parse_conda(sent.conda_file or "")
        if sent.image and sent.build is not None:
            raise refused(400, "image and build exclude each other", "ValidationError")
        if sent.build is not None and conda is not None:
            raise refused(400, "condaFile goes with image, not with build", "ValidationError")
        if not sent.image and sent.build is None:
            raise refused(400, "one of image and build is required", "ValidationError")
        shown: dict[str, Any] = {
            "isAnonymous": bool(sent.is_anonymous),
            "environmentType": "UserCreated",
        }
        if sent.image:
            shown["image"] = sent.image
        shown["condaFile"] = spell_conda(conda)
        if sent.build is not None:
            if not sent.build.context_uri:
                raise refused(400, "build.contextUri is required", "ValidationError")
            dockerfile = sent.build.dockerfile_path or "Dockerfile"
            shown["build"] = {"contextUri": sent.build.context_uri, "dockerfilePath": dockerfile}
        shown["osType"] = sent.os_type or "Linux"
        if sent.inference_config is not None:
            shown["inferenceConfig"] = msgspec.to_builtins(sent.inference_config)
        if sent.auto_rebuild is not None:
            shown["autoRebuild"] = sent.auto_rebuild
        self.shown = shown
        compared = {**shown, "condaFile": conda, "autoRebuild": sent.auto_rebuild or "Disabled"}
        # Read and not spelled: the order of keys, and how a number is written, are no change.
        self.digest = json.dumps(compared, sort_keys=True, default=str)
