"""Access keys and access tokens: both token calls, and who a bearer token belongs to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from reconciler.providers.emulator import Answer, Call, Handler, Store
from reconciler.providers.runai import api
from reconciler.providers.runai.emulator.answers import Refused, encode, refuse


def add_access_key(store: Store, *, client_id: str, client_secret: str) -> None:
    """Let this access key in, or give it a new secret. The store keeps a hash.

    The store must have been given to ``build_app`` before.
    """
    with store.write() as db:
        db.execute(
            "INSERT OR REPLACE INTO runai_access_key VALUES (?, ?)", (client_id, hashed(client_secret))
        )


Checked = Callable[[Call, str], Answer]
"""A handler that is told who calls: the client id of the token."""


_GRANTS_V1: Final = {
    "client_credentials": ("clientid", "clientsecret"),
    "app_token": ("appid", "appsecret"),
}
"""The two fields, in lower case, that each supported grant type is made of."""


def hashed(secret: str) -> str:
    """What is stored of the secret of an access key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _from_base64(data: bytes) -> bytes:
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))


def _oauth2_error(status: int, error: str, description: str) -> Answer:
    return Answer(status, encode({"error": error, "error_description": description}))


class Tokens:
    """The token calls, and the check of every other call's token."""

    def __init__(self, store: Store, clock: Callable[[], datetime], *, lifetime: int) -> None:
        self._store = store
        self._clock = clock
        self._lifetime = lifetime
        found = store.row("SELECT value FROM runai_setting WHERE name = 'signing_key'")
        assert found is not None
        self._signing_key = str(found[0]).encode()
        self._known = lru_cache(maxsize=1000)(self._verified)

    def checked(self, handle: Checked) -> Handler:
        """*handle*, asked only on behalf of a caller with a token that is good now."""

        def checked(call: Call) -> Answer:
            try:
                return handle(call, self._caller(call.header(b"authorization")))
            except Refused as refused:
                return refused.answer

        return checked

    def _caller(self, authorization: bytes) -> str:
        """The client id that the bearer token was issued to. Refuses what is not, or no longer, a token."""
        client_id, expires = self._known(authorization)
        if self._clock().timestamp() >= expires:
            raise Refused(401, "Token is expired.", "ask for a new access token")
        return client_id

    def _verified(self, authorization: bytes) -> tuple[str, int]:
        """Client id and end of a token, in seconds since 1970. Refuses what is no token of ours."""
        scheme, _, token = authorization.partition(b" ")
        signed, _, signature = token.rpartition(b".")
        if scheme.lower() != b"bearer" or not signed:
            raise Refused(401, "Unauthorized", "Authorization: Bearer <access token> is needed")
        if not hmac.compare_digest(signature, self._signature(signed)):
            raise Refused(401, "Issuer is not familiar.", "the access token was not issued here")
        claims = msgspec.json.decode(_from_base64(signed.partition(b".")[2]))
        return claims["sub"], claims["exp"]

    def _signature(self, signed: bytes) -> bytes:
        return _base64(hmac.digest(self._signing_key, signed, "sha256"))

    def _access_token(self, client_id: str) -> str:
        """A signed JWT. Its middle part has neither ``-`` nor ``_``: runapy decodes it as plain base64."""
        issued = int(self._clock().timestamp())
        expires = issued + self._lifetime
        claims = json.dumps({"iss": "embedded", "sub": client_id, "iat": issued, "exp": expires})
        # In base64, of all printable ASCII characters only these can become one of the two.
        claims = re.sub("[>?~]", lambda found: f"\\u{ord(found[0]):04x}", claims)
        signed = b".".join((_base64(b'{"alg":"HS256","typ":"JWT"}'), _base64(claims.encode("ascii"))))
        return b".".join((signed, self._signature(signed))).decode()

    def _knows(self, client_id: str, client_secret: str) -> bool:
        found = self._store.row("SELECT secret_hash FROM runai_access_key WHERE client_id = ?", (client_id,))
        return found is not None and hmac.compare_digest(str(found[0]), hashed(client_secret))

    def v1(self, call: Call) -> Answer:
        """Keys are read without regard to case: the sources spell them in three ways."""
        try:
            sent = msgspec.json.decode(call.body, type=dict[str, Any])
        except (*api.UNREADABLE, RecursionError) as error:
            return refuse(400, "The body is not a JSON object", str(error))
        fields = {name.lower(): value for name, value in sent.items()}
        grant = fields.get("granttype")
        if not isinstance(grant, str) or grant not in _GRANTS_V1:
            return refuse(400, "Invalid request", f"grantType: one of {', '.join(_GRANTS_V1)}")
        client_id, client_secret = (fields.get(name) for name in _GRANTS_V1[grant])
        if not isinstance(client_id, str) or not isinstance(client_secret, str):
            return refuse(400, "Required parameter is missing", f"{grant} needs an id and a secret")
        if not self._knows(client_id, client_secret):
            return refuse(400, "Invalid credentials", "no access key with this id and secret")
        token = self._access_token(client_id)
        return Answer(200, encode({"accessToken": token, "expiresIn": self._lifetime}))

    def v2(self, call: Call) -> Answer:
        """The OAuth2 spelling, whose errors have OAuth2's shape."""
        fields = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        grant = fields.get("grant_type")
        if grant is None:
            return _oauth2_error(400, "invalid_request", "grant_type is missing")
        if grant != "client_credentials":
            return _oauth2_error(400, "unsupported_grant_type", "only client_credentials is supported")
        if not self._knows(fields.get("client_id", ""), fields.get("client_secret", "")):
            return _oauth2_error(401, "invalid_client", "no access key with this id and secret")
        token = self._access_token(fields["client_id"])
        lifetime = self._lifetime
        return Answer(200, encode({"access_token": token, "token_type": "Bearer", "expires_in": lifetime}))
