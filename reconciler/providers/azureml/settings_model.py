"""What ``[platforms.NAME]`` may say for Azure Machine Learning. Imported only to check a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.core.ports import Problem
from reconciler.core.reading import SecretReference, Table, read, refuse
from reconciler.providers.azureml.settings import CLOUDS, EMBEDDED_PLACE
from reconciler.providers.azureml.spec.words import Text
from reconciler.providers.settings import sound_address, sound_fault

__all__ = ["SettingsModel", "read_settings"]


def _address(text: str, *, embedded: bool = False) -> str:
    return sound_address(
        text,
        wrong="this is no address",
        hint='Give an https address, such as "https://management.azure.com".',
        credentials="`client_id` and `client_secret`",
        secret="the access token",  # noqa: S106 - what it is called
        embedded=embedded,
    )


def _endpoint(text: str) -> str:
    return _address(text, embedded=True)


def _subscription(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise refuse(
            f"{text!r} is no id of a subscription: it is a UUID",
            "`az account show --query id` prints it.",
        ) from error


def _identity(value: Any) -> Any:
    if not isinstance(value, str | dict) or value == "":
        raise refuse("an id is text in quotes, or a reference", 'Such as { env = "AZURE_CLIENT_ID" }.')
    return value


Identity = Annotated[SecretReference | str, BeforeValidator(_identity)]
Address = Annotated[str, AfterValidator(_address)]


class SettingsModel(Table):
    """``[platforms.NAME]`` with ``provider = "azureml"``."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        None, description='"embedded", or the address of ARM; that of the cloud when absent.'
    )
    cloud: Literal["AzureCloud", "AzureUSGovernment", "AzureChinaCloud"] = Field(
        "AzureCloud", description="AzureCloud, AzureUSGovernment or AzureChinaCloud."
    )
    subscription_id: Annotated[str, AfterValidator(_subscription)] | None = Field(
        None, description="Id of the subscription."
    )
    resource_group: str | None = Field(
        None, pattern=r"^[-\w._()]{0,89}[-\w_()]$", description="The resource group."
    )
    workspace: str | None = Field(
        None, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$", description="The workspace."
    )
    registry: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9\-_]{2,32}$",
        description="A registry of shared environments, instead of a workspace.",
    )
    api_version: str = Field(
        "2025-12-01", pattern=r"^\d{4}-\d\d-\d\d(-[a-z]+)?$", description="Version of the REST API."
    )
    auth: Literal["client-secret", "workload-identity", "managed-identity", "azure-cli", "azure-identity"] = (
        Field(
            "client-secret",
            description="How to sign in; azure-identity is whatever the vendor's library of that name finds.",
        )
    )
    tenant_id: Identity | None = Field(None, description="The tenant; AZURE_TENANT_ID when absent.")
    client_id: Identity | None = Field(
        None, description="The application or identity; AZURE_CLIENT_ID when absent."
    )
    client_secret: SecretReference | None = Field(
        None, description="Secret of the application, by reference; AZURE_CLIENT_SECRET when absent."
    )
    federated_token_file: Text | None = Field(
        None, description="Token of a workload identity; AZURE_FEDERATED_TOKEN_FILE when absent."
    )
    authority: Address | None = Field(None, description="Who gives tokens, when not the cloud's own.")
    versions: Literal["auto", "hash", "explicit"] = Field(
        "auto",
        description="How versions are named: the next number, by the definition, or by the specs.",
    )
    destroy: Literal["archive", "delete"] = Field(
        "archive", description="What taking an environment away means."
    )
    datastore: Annotated[str, Field(pattern=r"^\w+$")] = Field(
        "workspaceblobstore", description="Where build contexts are uploaded."
    )
    blob_endpoint: Address | None = Field(
        None, description="Address of the blob service, when not that of the storage account."
    )
    ca_file: Text | None = Field(None, description="Certificates of your own authority, PEM.")
    timeout_seconds: float = Field(
        60.0, gt=0, allow_inf_nan=False, description="How long one answer may take."
    )
    max_concurrency: int | None = Field(None, ge=1, le=256, description="Requests at once; 5 when absent.")
    requests_per_second: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Limit of the request rate."
    )
    patience_seconds: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="How long a write may take to show; 60 when absent."
    )
    faults: list[Annotated[dict[str, Any], AfterValidator(sound_fault)]] = Field(
        default_factory=list, description="Misbehaviour of the embedded platform, to rehearse with."
    )


_OF_AUTH: Mapping[str, frozenset[str]] = {
    "client-secret": frozenset({"tenant_id", "client_id", "client_secret", "authority"}),
    "workload-identity": frozenset({"tenant_id", "client_id", "federated_token_file", "authority"}),
    "managed-identity": frozenset({"client_id"}),
    "azure-cli": frozenset({"tenant_id"}),
    "azure-identity": frozenset({"authority"}),
}
"""Which settings each way to sign in has."""


def read_settings(table: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """The settings in *table* with every default, and what is wrong with it."""
    model, problems = read(SettingsModel, table)
    if model is None:
        return {}, problems
    settings = model.model_dump()
    if settings["endpoint"] is None:
        settings["endpoint"] = CLOUDS[model.cloud].endpoint
    if settings["endpoint"] == "embedded":
        place = {key: value for key, value in EMBEDDED_PLACE.items() if settings[key] is None}
        if model.registry is not None:
            place.pop("workspace", None)
        settings |= place
    return settings, (*problems, *_conflicts(model, settings))


def _conflicts(model: SettingsModel, settings: Mapping[str, Any]) -> Iterator[Problem]:
    """What does not go together, and what is missing."""
    if settings["endpoint"] != "embedded":
        if model.faults:
            yield Problem(("faults",), "`faults` are for an embedded platform only", "Remove them.")
        for name in ("subscription_id", "resource_group"):
            if settings[name] is None:
                yield Problem((name,), f"`{name}` is missing", f'Add `{name} = "…"`.')
        if model.workspace is None and model.registry is None:
            summary = "`workspace` is missing"
            yield Problem(("workspace",), summary, 'Add `workspace = "…"`; or `registry = "…"`.')
    if model.workspace is not None and model.registry is not None:
        summary = "`workspace` and `registry` exclude each other"
        yield Problem(("registry",), summary, "Make two platforms of them, each with a name of its own.")
    every = frozenset[str]().union(*_OF_AUTH.values())
    for name in sorted(every - _OF_AUTH[model.auth]):
        if getattr(model, name) is not None:
            fits = " or ".join(f'"{auth}"' for auth, names in _OF_AUTH.items() if name in names)
            yield Problem((name,), f"{model.auth} has no `{name}`", f"Remove it, or write `auth = {fits}`.")
