"""What ``[platforms.NAME]`` says for Azure Machine Learning, once it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

__all__ = ["CLOUDS", "EMBEDDED_PLACE", "Cloud", "Settings"]


class Cloud(NamedTuple):
    """Where one of the vendor's clouds is: ARM, whose scope is its address, and who gives tokens for it."""

    endpoint: str
    authority: str
    storage: str


CLOUDS: Final[Mapping[str, Cloud]] = MappingProxyType(
    {
        "AzureCloud": Cloud(
            "https://management.azure.com", "https://login.microsoftonline.com", "core.windows.net"
        ),
        "AzureUSGovernment": Cloud(
            "https://management.usgovcloudapi.net",
            "https://login.microsoftonline.us",
            "core.usgovcloudapi.net",
        ),
        "AzureChinaCloud": Cloud(
            "https://management.chinacloudapi.cn",
            "https://login.chinacloudapi.cn",
            "core.chinacloudapi.cn",
        ),
    }
)

EMBEDDED_PLACE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "subscription_id": "00000000-0000-4000-8000-000000000001",
        "resource_group": "embedded",
        "workspace": "embedded",
    }
)
"""The workspace that an embedded platform is born with."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``[platforms.NAME]``, checked. Ids of identities and secrets are references still.

    ``endpoint`` is ARM's address, that of the cloud when the file names none.
    One of ``workspace`` and ``registry`` is set. ``authority`` None means the
    cloud's own; ``tenant_id``, ``client_id``, ``client_secret`` and
    ``federated_token_file`` None mean the vendors' variables.
    """

    endpoint: str
    subscription_id: str
    resource_group: str
    workspace: str | None = None
    registry: str | None = None
    cloud: Literal["AzureCloud", "AzureUSGovernment", "AzureChinaCloud"] = "AzureCloud"
    api_version: str = "2025-12-01"
    auth: Literal["client-secret", "workload-identity", "managed-identity", "azure-cli", "azure-identity"] = (
        "client-secret"
    )
    tenant_id: dict[str, Any] | str | None = None
    client_id: dict[str, Any] | str | None = None
    client_secret: dict[str, Any] | None = None
    federated_token_file: str | None = None
    authority: str | None = None
    versions: Literal["auto", "hash", "explicit"] = "auto"
    destroy: Literal["archive", "delete"] = "archive"
    datastore: str = "workspaceblobstore"
    blob_endpoint: str | None = None
    ca_file: str | None = None
    timeout_seconds: float = 60.0
    max_concurrency: int | None = None
    requests_per_second: float | None = None
    patience_seconds: float | None = None
    faults: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_embedded(self) -> bool:
        """Whether the platform runs in this process."""
        return self.endpoint == "embedded"
