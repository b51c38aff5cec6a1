"""What the wires of EnvHub and api-service say: paths, envelope, answers; not what to do with them.

Source of every fact, unless a comment names another: the Go sources of
AEnvironment, v0.1.0 to v0.1.6 and the newer EnvHub that we call ``next``, and
its Python client 0.1.7. Answer structs are tolerant: unknown keys are
ignored, so that a newer server can be read.
"""

from __future__ import annotations

from typing import Any, Final, Literal
from urllib.parse import quote

from msgspec import DecodeError, Raw, Struct

__all__ = [
    "ENVIRONMENTS",
    "ENVIRONMENTS_REDIRECTED",
    "INSTANCES",
    "SERVICES",
    "UNREADABLE",
    "Envelope",
    "EnvironmentEntry",
    "Existence",
    "InstanceEntry",
    "Profile",
    "ServiceEntry",
    "environment_path",
    "listing_path",
    "service_path",
]

Profile = Literal["v0.1", "next"]

ENVIRONMENTS: Final = "/env/"
ENVIRONMENTS_REDIRECTED: Final = "/env"
"""v0.1 redirects it to `ENVIRONMENTS`, ``next`` answers it: that tells one from the other."""
SERVICES: Final = "/env-service"
INSTANCES: Final = "/env-instance"

UNREADABLE: Final = (DecodeError, UnicodeDecodeError)
"""What decoding raises for a body that is no such thing; text that is not UTF-8, msgspec leaves to Python."""


def environment_path(name: str, version: str, call: str = "") -> str:
    """Where a version of an environment is; *call* is asked of it besides: ``exists``, ``release``."""
    path = f"/env/{quote(name, safe='')}/{quote(version, safe='')}"
    return f"{path}/{call}" if call else path


def service_path(name: str) -> str:
    """Where a service is."""
    return f"{SERVICES}/{quote(name, safe='')}"


def listing_path(base: str, environment: str = "*") -> str:
    """The list of all services or instances, or of those of one environment.

    api-service looks at the name alone: those of its other versions are in it.
    """
    return f"{base}/{quote(environment, safe='*')}/list"


class Envelope(Struct):
    """What each answer of both comes in. ``code`` is 0, or repeats the HTTP status."""

    success: bool
    code: int = 0
    message: str = ""
    data: Raw = Raw(b"null")


class Existence(Struct):
    """Whether a record is there: the one call that tells that from a store in trouble."""

    exists: bool


class EnvironmentEntry(Struct):
    """An environment in an answer: snake_case, its status a number, what was never set null."""

    name: str
    version: str
    id: str = ""
    description: str = ""
    tags: list[str] | None = None
    code_url: str = ""
    status: int = 0
    artifacts: list[dict[str, Any]] | None = None
    build_config: dict[str, Any] | None = None
    test_config: dict[str, Any] | None = None
    deploy_config: dict[str, Any] | None = None
    created_at: str = ""
    updated_at: str = ""


class _Named(Struct):
    """What lists say of the environment of a service or an instance."""

    name: str = ""
    version: str = ""
    artifacts: list[dict[str, Any]] | None = None


class ServiceEntry(Struct):
    """A service in an answer. Which environment it is of, only lists and the answer to its creation say."""

    id: str
    env: _Named | None = None
    status: str = ""
    replicas: int = 0
    available_replicas: int = 0
    service_url: str = ""
    owner: str = ""
    environment_variables: dict[str, str] | None = None
    pvc_name: str = ""
    created_at: str = ""
    updated_at: str = ""


class InstanceEntry(Struct):
    """An instance in a list. ``ttl`` is a Go duration, empty for one that lives until it is deleted."""

    id: str
    env: _Named | None = None
    status: str = ""
    created_at: str = ""
    ttl: str = ""
    owner: str = ""
