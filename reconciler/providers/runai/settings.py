"""What ``[platforms.NAME]`` may say for Run:ai. Imported only to check a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from reconciler.core.ports import Problem
from reconciler.core.reading import Table, read, refuse
from reconciler.providers.emulator import Fault
from reconciler.providers.runai.spec import SecretReference

__all__ = ["SettingsModel", "read_settings"]


def _endpoint(text: str) -> str:
    if text == "embedded":
        return text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise refuse(f"{text!r} is no address", 'Give "https://TENANT.run.ai", or "embedded".')
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise refuse("the client secret would cross the network in clear", "Use https.")
    if parts.username or parts.password:
        raise refuse("credentials do not belong into an address", "Use `client_id` and `client_secret`.")
    return text.rstrip("/")


def _fault(table: dict[str, Any]) -> dict[str, Any]:
    try:
        Fault.from_table(table)
    except ValueError as error:
        raise refuse(str(error)) from error
    return table


class SettingsModel(Table):
    """``[platforms.NAME]`` with ``provider = "runai"``."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = Field(
        description='The tenant\'s address, "https://TENANT.run.ai", or "embedded".'
    )
    client_id: SecretReference | str | None = Field(None, description="Id of the access key.")
    client_secret: SecretReference | None = Field(
        None, description="Secret of the access key, by reference; RUNAI_CLIENT_SECRET when absent."
    )
    token_api: Literal["auto", "v1", "v2"] = Field(
        "auto", description="Which token call: v1, v2, or v1 and v2 where the tenant has no v1."
    )
    ca_file: str | None = Field(None, description="Certificates of your own authority, PEM.")
    timeout_seconds: float = Field(60.0, gt=0, description="How long one answer may take.")
    max_concurrency: int | None = Field(None, ge=1, le=256, description="Requests at once; 4 when absent.")
    requests_per_second: float | None = Field(None, gt=0, description="Limit of the request rate.")
    patience_seconds: float | None = Field(
        None, ge=0, description="How long a write may take to show; 30 when absent."
    )
    faults: list[Annotated[dict[str, Any], AfterValidator(_fault)]] = Field(
        default_factory=list, description="Misbehaviour of the embedded platform, to rehearse with."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.faults and self.endpoint != "embedded":
            raise refuse("`faults` are for an embedded platform only", "Remove them.")
        return self


def read_settings(table: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """The settings in *table* with every default, and what is wrong with it."""
    model, problems = read(SettingsModel, table)
    return ({} if model is None else model.model_dump()), problems
