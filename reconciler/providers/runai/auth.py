"""Access tokens for Run:ai, by the client credentials of an access key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from reconciler.core.ports import SecretSource
from reconciler.errors import NotFound, Rejected, SecretUnavailable, Unauthenticated
from reconciler.providers.http import HttpClient, Token
from reconciler.providers.runai import api
from reconciler.providers.runai.plugin import Settings

__all__ = ["SignIn"]

_EMBEDDED_KEY: Final = "embedded"
"""Id and secret of the access key that an embedded platform is born with."""
_LIFETIME: Final = 3600.0
_tables = msgspec.json.Decoder(dict[str, Any])


class SignIn:
    """Fetches access tokens by the client credentials of an access key.

    v1 ``client_credentials`` works from 2.20 on, v2 from 2.24; newest
    documentation shows v2 only. ``auto`` asks v1, and v2 for good once v1 is
    not there (404, 405).
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
            except NotFound:
                missing = True
            except Rejected as error:
                missing = error.status == 405
                if not missing:
                    raise _wrong_key(error) from error
            if self._settings.token_api == "v1":  # noqa: S105 - a version
                raise Unauthenticated(
                    f"{client.platform} has no {api.TOKEN_V1}", hint='Try token_api = "v2".'
                )
            self._use_v2 = True
        try:
            return await self._v2(client, client_id, client_secret)
        except Rejected as error:
            raise _wrong_key(error) from error

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
        answer = await client.request(
            "POST", api.TOKEN_V1, body=msgspec.json.encode(body), repeatable=True, signed=False
        )
        return self._token(client.platform, answer.body, "accessToken", "expiresIn")

    async def _v2(self, client: HttpClient, client_id: str, client_secret: str) -> Token:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        answer = await client.request(
            "POST",
            api.TOKEN_V2,
            body=urlencode(form).encode(),
            content_type="application/x-www-form-urlencoded",
            repeatable=True,
            signed=False,
        )
        return self._token(client.platform, answer.body, "access_token", "expires_in")

    def _token(self, platform: str, body: bytes, name: str, lifetime: str) -> Token:
        try:
            answer = _tables.decode(body)
            value = str(answer[name])
        except (msgspec.DecodeError, KeyError) as error:
            raise Unauthenticated(f"{platform}: the token call answered without a token") from error
        seconds = answer.get(lifetime)
        if isinstance(seconds, int | float) and seconds > 0:
            return Token(value, self._clock() + seconds)
        return Token(value, _expiry(value) or self._clock() + _LIFETIME)


def _wrong_key(error: Rejected) -> Unauthenticated:
    return Unauthenticated(
        str(error),
        platform=error.platform,
        call=error.call,
        status=error.status,
        request_id=error.request_id,
        hint="Check the client id and secret of this platform in reconciler.toml.",
    )


def _expiry(token: str) -> float | None:
    """``exp`` of a JWT, unverified: it only says when to ask for the next one."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None
