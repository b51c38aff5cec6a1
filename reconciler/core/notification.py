"""Who is told of drift, and how: what a stack's ``[[notify]]`` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Notification"]


@dataclass(frozen=True, slots=True)
class Notification:
    """One ``[[notify]]``.

    ``name`` tells it from the others, and is what is remembered of it.
    ``url`` and ``token`` are secret references. ``project`` is a repository,
    as ``OWNER/NAME`` (GitHub) or as a path or id (GitLab), ``endpoint`` the
    address of the API that it is on.
    """

    name: str
    kind: Literal["webhook", "slack", "github", "gitlab"]
    url: Mapping[str, Any] | None = None
    token: Mapping[str, Any] | None = None
    endpoint: str = ""
    project: str = ""
    labels: tuple[str, ...] = ()

    @property
    def is_issue(self) -> bool:
        """Whether it keeps an issue, which stays until it is closed."""
        return self.kind in ("github", "gitlab")
