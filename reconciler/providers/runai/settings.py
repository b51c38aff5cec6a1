"""What ``[platforms.NAME]`` says for Run:ai, once it is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """``[platforms.NAME]``, checked. Ids and secrets are references still."""

    endpoint: str
    client_id: dict[str, Any] | str | None = None
    client_secret: dict[str, Any] | None = None
    token_api: Literal["auto", "v1", "v2"] = "auto"  # noqa: S105 - a version
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
