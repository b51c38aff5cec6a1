"""Who we are to the two servers, and what their errors mean."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from reconciler.core.ports import SecretSource
from reconciler.errors import SecretUnavailable
from reconciler.providers.aenvironment import api
from reconciler.providers.aenvironment.settings import Settings
from reconciler.providers.http import HttpClient, Token
from reconciler.providers.settings import is_private

__all__ = ["HINTS", "bearer", "explain", "is_own", "means"]

_KEY: Final[Mapping[str, Any]] = MappingProxyType({"env": "AENV_API_KEY"})
"""Where the vendor's own client looks for the key of api-service, too."""

HINTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "Set `api_key` of this platform in reconciler.toml, or AENV_API_KEY, to a key that is let in. "
        "AENV_API_KEY is sent by https or to this machine only.",
        403: "AEnvironment knows no roles. Either what stands before it refuses this, or its controller "
        "lacks the right in the cluster: the vendor's chart gives it those for pods, not for services.",
    }
)
"""What to do when somebody is not let in, or may not."""

_envelopes = msgspec.json.Decoder(api.Envelope)


def bearer(
    settings: Settings, address: str, secrets: SecretSource
) -> Callable[[HttpClient], Awaitable[Token]] | None:
    """What gives the Bearer token for *address*; None where there is none to send."""
    reference = settings.api_key
    if reference is None:
        if settings.is_embedded or not is_private(address):
            return None
        try:
            secrets.value(dict(_KEY))
        except SecretUnavailable:
            return None
        reference = dict(_KEY)
    said = {how: what for how, what in reference.items() if what is not None}

    async def sign_in(client: HttpClient) -> Token:
        return Token(secrets.value(said), math.inf)

    return sign_in


_CONTROLLERS: Final = re.compile(rb"status: (\d{3})")
"""What api-service says of an answer of its controller, whose errors it passes on as 500."""


def means(status: int, body: bytes) -> int:
    """The status that an error answer means.

    A 500 of api-service holds that of its controller in its text. A 403 in the envelope
    is about a released environment and no one's role. A 500 of EnvHub may be
    the loser of a race for one name.
    """
    if status == 500 and is_own(body):
        found = _CONTROLLERS.search(body)
        if found is not None:
            return int(found[1])
        return 409 if b"already exists" in body else status
    return 422 if status == 403 and is_own(body) else status


def explain(body: bytes) -> str:
    """What the envelope of an error says."""
    envelope = _envelope(body)
    return envelope.message if envelope is not None else ""


def is_own(body: bytes) -> bool:
    """Whether this is the envelope of AEnvironment, and not the page of something on the way."""
    return _envelope(body) is not None


def _envelope(body: bytes) -> api.Envelope | None:
    try:
        return _envelopes.decode(body)
    except api.UNREADABLE:
        return None
