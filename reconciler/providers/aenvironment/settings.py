"""What ``[platforms.NAME]`` says for AEnvironment, once it is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """``[platforms.NAME]``, checked. The key is a reference still.

    ``api_service`` is None where there is none: then the platform has
    environments only.
    """

    endpoint: str
    api_service: str | None = None
    api_key: dict[str, Any] | None = None
    profile: Literal["auto", "v0.1", "next"] = "auto"
    ca_file: str | None = None
    timeout_seconds: float = 60.0
    ready_timeout_seconds: int = 300
    max_concurrency: int | None = None
    requests_per_second: float | None = None
    patience_seconds: float | None = None
    faults: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_embedded(self) -> bool:
        """Whether the platform runs in this process."""
        return self.endpoint == "embedded"
