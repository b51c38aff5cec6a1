"""What ``[platforms.NAME]`` may say for AEnvironment. Imported only to check a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from reconciler.core.ports import Problem
from reconciler.core.reading import SecretReference, Table, read
from reconciler.providers.aenvironment.spec.words import Text
from reconciler.providers.settings import is_private, sound_address, sound_fault

__all__ = ["SettingsModel", "read_settings"]


def _address(text: str, *, embedded: bool = False) -> str:
    return sound_address(
        text,
        wrong="this is no address of a server",
        hint='Give "https://HOST", or "http://HOST:PORT".',
        credentials="`api_key`",
        embedded=embedded,
    )


def _endpoint(text: str) -> str:
    return _address(text, embedded=True)


class SettingsModel(Table):
    """``[platforms.NAME]`` with ``provider = "aenvironment"``."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = Field(
        description='The address of EnvHub, with its path if it has one, or "embedded".'
    )
    api_service: Annotated[str, AfterValidator(_address)] | None = Field(
        None,
        description="The address of api-service, with its port. Without it there are no services, "
        "and nobody knows what uses an environment.",
    )
    api_key: SecretReference | None = Field(
        None, description="Bearer token for both, by reference; AENV_API_KEY when absent and set."
    )
    profile: Literal["auto", "v0.1", "next"] = Field(
        "auto", description="Which EnvHub: v0.1, next, or found by asking."
    )
    ca_file: Text | None = Field(None, description="Certificates of your own authority, PEM.")
    timeout_seconds: float = Field(
        60.0, gt=0, allow_inf_nan=False, description="How long one answer may take."
    )
    ready_timeout_seconds: int = Field(
        300, ge=0, le=86400, description="How long a service may take to run; 0 does not wait."
    )
    max_concurrency: int | None = Field(None, ge=1, le=256, description="Requests at once; 4 when absent.")
    requests_per_second: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Limit of the request rate."
    )
    patience_seconds: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="How long a write may take to show; 30 when absent."
    )
    faults: list[Annotated[dict[str, Any], AfterValidator(sound_fault)]] = Field(
        default_factory=list, description="Misbehaviour of the embedded platform, to rehearse with."
    )


def read_settings(table: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """The settings in *table* with every default, and what is wrong with it."""
    model, problems = read(SettingsModel, table)
    if model is None:
        return {}, problems
    if model.endpoint == "embedded":
        if model.api_service is not None:
            summary = "an embedded platform has an api-service of its own"
            problems = (Problem(("api_service",), summary, "Remove `api_service`."),)
    elif model.faults:
        problems = (Problem(("faults",), "`faults` are for an embedded platform only", "Remove them."),)
    if model.api_key is not None:
        for name in ("endpoint", "api_service"):
            address = getattr(model, name)
            if address is not None and not is_private(address):
                problems = (
                    *problems,
                    Problem((name,), "the API key would cross the network in clear", "Use https."),
                )
    return model.model_dump(), problems
