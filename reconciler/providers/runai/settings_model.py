"""What ``[platforms.NAME]`` may say for Run:ai. Imported only to check a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.core.ports import Problem
from reconciler.core.reading import SecretReference, Table, read, refuse
from reconciler.providers.runai.spec.words import Text
from reconciler.providers.settings import sound_address, sound_fault

__all__ = ["SettingsModel", "read_settings"]


def _endpoint(text: str) -> str:
    return sound_address(
        text,
        wrong="this is no address of a tenant",
        hint='Give "https://TENANT.run.ai", or "embedded".',
        credentials="`client_id` and `client_secret`",
        secret="the client secret",  # noqa: S106 - what it is called
        embedded=True,
    )


def _client_id(value: Any) -> Any:
    if not isinstance(value, str | dict) or value == "":
        raise refuse("`client_id` is text in quotes, or a reference", 'Such as { env = "RUNAI_CLIENT_ID" }.')
    return value


class SettingsModel(Table):
    """``[platforms.NAME]`` with ``provider = "runai"``."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = Field(
        description='The tenant\'s address, "https://TENANT.run.ai", or "embedded".'
    )
    client_id: Annotated[SecretReference | str, BeforeValidator(_client_id)] | None = Field(
        None, description="Id of the access key."
    )
    client_secret: SecretReference | None = Field(
        None, description="Secret of the access key, by reference; RUNAI_CLIENT_SECRET when absent."
    )
    token_api: Literal["auto", "v1", "v2"] = Field(
        "auto", description="Which token call: v1, v2, or v1 and v2 where the tenant has no v1."
    )
    ca_file: Text | None = Field(None, description="Certificates of your own authority, PEM.")
    timeout_seconds: float = Field(
        60.0, gt=0, allow_inf_nan=False, description="How long one answer may take."
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
    if model.faults and model.endpoint != "embedded":
        problems = (Problem(("faults",), "`faults` are for an embedded platform only", "Remove them."),)
    return model.model_dump(), problems
