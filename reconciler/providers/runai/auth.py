"""Access tokens for Run:ai, by the client credentials of an access key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from reconciler.core.ports import SecretSource
from reconciler.errors import NotFound, ProviderError, Rejected, SecretUnavailable, Unauthenticated
from reconciler.providers.http import HttpClient, Token
from reconciler.providers.runai import api
from reconciler.providers.runai.settings import Settings

__all__ = ["HINTS", "SignIn"]

HINTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "Check the client id and secret of this platform in reconciler.toml.",
        403: "The access key needs a role that permits this.",
    }
)
"""What to do about an access key that is refused, and about one that may not."""


_EMBEDDED_KEY: Final = "embedded"
"""Id and secret of the access key that an embedded platform is born with."""
_LIFETIME: Final = 3600.0
_NO_SUCH_CALL: Final = (404, 405)
_WRONG_KEY: Final = (400, 422)
"""How v1 answers a wrong id or secret; 401 says it by itself."""
_tables = msgspec.json.Decoder(dict[str, Any])


class SignIn:
    """Fetches access tokens by the client credentials of an access key.

    v1 ``client_credentials`` works from 2.20 on, v2 from 2.24; newest
    documentation shows v2 only. ``auto`` asks v1, and v2 for good once v1 is
    not there (404, 405).

    Never raises `NotFound`: an absent token call says nothing about any
    object.
    """

    def __init__(self, settings: Settings, secrets: SecretSource, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._secrets = secrets
        self._clock = clock
        self._use_v2 = settings.token_api == "v2"  # noqa: S105 - a version

    async def __call__(self, client: HttpClient) -> Token:
        client_id, client_secret = self._key(client.platform)
        if not self._use_v2:
            try:
                return await self._v1(client, client_id, client_secret)
            except (NotFound, Rejected) as error:
                if error.status not in _NO_SUCH_CALL:
                    raise
                if self._settings.token_api == "v1":  # noqa: S105 - a version
                    raise _no_call(error, 'Try token_api = "v2".') from error
        try:
            token = await self._v2(client, client_id, client_secret)
        except (NotFound, Rejected) as error:
            if error.status not in _NO_SUCH_CALL:
                raise
            raise _no_call(error, "Is `endpoint` the address of a Run:ai tenant?") from error
        self._use_v2 = True
        return token

    def _key(self, platform: str) -> tuple[str, str]:
        settings = self._settings
        if settings.is_embedded and settings.client_secret is None:
            return _EMBEDDED_KEY, _EMBEDDED_KEY
        named = settings.client_id
        try:
            client_id = (
                named if isinstance(named, str) else self._secrets.value(named or {"env": "RUNAI_CLIENT_ID"})
            )
            secret = self._secrets.value(settings.client_secret or {"env": "RUNAI_CLIENT_SECRET"})
        except SecretUnavailable as error:
            raise Unauthenticated(
                f"{platform}: {error}",
                platform=platform,
                hint="Set RUNAI_CLIENT_ID and RUNAI_CLIENT_SECRET to those of an access key, or name "
                f"others in [platforms.{platform}].",
            ) from error
        return client_id, secret

    async def _v1(self, client: HttpClient, client_id: str, client_secret: str) -> Token:
        body = {"grantType": "client_credentials", "clientID": client_id, "clientSecret": client_secret}
        answer = await _ask(client, api.TOKEN_V1, msgspec.json.encode(body), "application/json")
        return self._token(client.platform, f"POST {api.TOKEN_V1}", answer, "accessToken", "expiresIn")

    async def _v2(self, client: HttpClient, client_id: str, client_secret: str) -> Token:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        answer = await _ask(
            client, api.TOKEN_V2, urlencode(form).encode(), "application/x-www-form-urlencoded"
        )
        return self._token(client.platform, f"POST {api.TOKEN_V2}", answer, "access_token", "expires_in")

    def _token(self, platform: str, call: str, body: bytes, name: str, lifetime: str) -> Token:
        try:
            answer = _tables.decode(body)
        except api.UNREADABLE:
            answer = {}
        value = answer.get(name)
        if not isinstance(value, str) or not value:
            raise Unauthenticated(
                f"{platform}: {call} answered without a token",
                platform=platform,
                call=call,
                hint="Is `endpoint` the address of a Run:ai tenant?",
            )
        seconds = answer.get(lifetime)
        if not isinstance(seconds, int | float) or seconds <= 0:
            seconds = _lifetime(value, self._clock()) or _LIFETIME
        return Token(value, self._clock() + seconds)


async def _ask(client: HttpClient, path: str, body: bytes, content_type: str) -> bytes:
    """The body of the answer to a token call. Raises `Unauthenticated` for a key that is refused."""
    try:
        answer = await client.request(
            "POST", path, body=body, content_type=content_type, repeatable=True, signed=False
        )
    except Rejected as error:
        if error.status not in _WRONG_KEY:
            raise
        raise _unauthenticated(error, str(error), HINTS[401]) from error
    return answer.body


def _no_call(error: ProviderError, hint: str) -> Unauthenticated:
    summary = f"{error.platform} has no such token call: {error.call} answered {error.status}"
    return _unauthenticated(error, summary, hint)


def _unauthenticated(error: ProviderError, summary: str, hint: str) -> Unauthenticated:
    return Unauthenticated(
        summary,
        platform=error.platform,
        call=error.call,
        status=error.status,
        request_id=error.request_id,
        hint=hint,
    )


def _lifetime(token: str, now: float) -> float | None:
    """Seconds that a JWT is good for, unverified: it only says when to ask for the next one.

    From ``iat`` to ``exp`` where both are there, because the server's clock
    may not be ours.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        seconds = float(claims["exp"]) - float(claims.get("iat", now))
    except (IndexError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return seconds if seconds > 0 else None
