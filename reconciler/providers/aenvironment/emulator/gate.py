"""Who may call the api-service and how often; what its calls share: the environment, the selection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from reconciler.providers.aenvironment.emulator.answers import Refused, microseconds, refuse
from reconciler.providers.aenvironment.emulator.environments import Environment, load
from reconciler.providers.emulator import Answer, Call, Handler


class Gate:
    """Tokens and the rate limit. One for each process, like the limit itself."""

    def __init__(self, clock: Callable[[], datetime], *, tokens: Sequence[str] | None, qps: int) -> None:
        self._clock = clock
        self._tokens = tokens
        self._qps = qps
        self._left = float(qps)
        self._counted = microseconds(clock())

    def checked(self, handle: Handler) -> Handler:
        """*handle*, for callers with a token, if one is needed."""

        def checking(call: Call) -> Answer:
            if self._tokens is not None:
                _check_token(call.header(b"authorization").decode("latin-1"), self._tokens)
            return handle(call)

        return checking

    def limited(self, handle: Handler) -> Handler:
        """*handle*, checked, and not more often than the limit allows."""

        def limiting(call: Call) -> Answer:
            now = microseconds(self._clock())
            passed = max(0, now - self._counted)  # a clock may be set back
            self._left = min(self._qps, self._left + passed * self._qps / 1_000_000)
            self._counted = now
            if self._left < 1:
                return refuse(429, "Too many requests")
            self._left -= 1
            return handle(call)

        return self.checked(limiting)


def _check_token(header: str, tokens: Sequence[str]) -> None:
    if not header:
        raise Refused(401, "Missing Authorization header")
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" or not token:
        raise Refused(401, "Authorization header format should be Bearer <token>")
    if not tokens:
        # The api-service asks EnvHub about the token, and EnvHub has no such path.
        raise Refused(
            401, "Token validation failed: request failed with status: 404, body: 404 page not found"
        )
    if token not in tokens:
        raise Refused(401, "Invalid token")


def environment_of(db: sqlite3.Connection, body: dict[str, Any]) -> Environment:
    """The environment that a body names as ``name@version``.

    Refused with 400 when it does not, with 500 when EnvHub does not find it.
    """
    env_name = body.get("envName", "")
    if not env_name:
        raise Refused(
            400,
            "Invalid request parameters: Key: 'EnvName' Error:Field validation for 'EnvName' failed on the "
            "'required' tag",
        )
    parts = env_name.split("@")
    if len(parts) != 2 or not all(parts):
        raise Refused(400, f"Invalid EnvName format: {env_name}")
    environment = None if "/" in env_name else load(db, *parts)
    if environment is None:
        said = refuse(404, "Environment not found").body.decode()
        raise Refused(500, f"Failed to find environment: request failed with status: 404, body: {said}")
    return environment


def selected(call: Call) -> str | None:
    """Name of the environment whose instances or services a list is about, None for all.

    The version that may follow it is ignored.
    """
    selection = call.params["selection"]
    if selection == "*":
        selection = call.query.get("envName", "")
    return selection.partition("@")[0] or None


_NO_TIME: Final = "0001-01-01T00:00:00Z"


def skeleton(name: str, version: str) -> dict[str, object]:
    """The environment in a list: its name and version, and Go's zeros."""
    return {
        "id": "",
        "name": name,
        "description": "",
        "version": version,
        "tags": None,
        "code_url": "",
        "status": 0,
        "artifacts": None,
        "build_config": None,
        "test_config": None,
        "deploy_config": None,
        "created_at": _NO_TIME,
        "updated_at": _NO_TIME,
    }
