"""Requests to a forge: JSON in and out, pages, what failed in words that help; and a rehearsal of them."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from reconciler.core.ports import SecretSource
from reconciler.errors import (
    Forbidden,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Unauthenticated,
    Unavailable,
    UsageError,
)
from reconciler.providers.http import HttpClient, trust

__all__ = ["Advice", "Calls", "Sent"]

_PAGE: Final = 100
_NEXT: Final = re.compile(r'<[^>]*>\s*;[^,]*\brel="?next\b')
_RATE: Final = re.compile(r"rate limit|abuse|too many", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about an answer that is a refusal, in the words of one forge."""

    token: str
    permission: str
    place: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that a rehearsal would have sent. There is no header in it, and so no token."""

    method: str
    url: str
    body: Mapping[str, Any] | None


class Calls:
    """Requests to the API at *url* with *token*.

    With *rehearse*, nothing that changes anything is sent but kept in
    ``sent``; without a token, reads are not sent either and find nothing.

    Raises `UsageError` for an address that would have the token travel in the clear.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        forge: str,
        headers: Mapping[str, str],
        advice: Advice,
        secrets: SecretSource,
        user_agent: str,
        rehearse: bool = False,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
            raise UsageError(
                f"{forge}: {parts.scheme}://{parts.hostname or ''} is no address of an API",
                hint="It looks like https://HOST/api/v3 (GitHub Enterprise) or https://HOST/api/v4.",
            )
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise UsageError(
                f"{forge}: the token would go to {parts.hostname} in the clear",
                hint="Use the forge's https:// address.",
            )
        self.url = url.rstrip("/")
        self.sent: list[Sent] = []
        self._advice = advice
        self._silent = rehearse and token is None
        self._rehearse = rehearse
        self._headers = dict(headers)
        if token is not None:
            secrets.learn(token)
            self._headers["authorization"] = f"Bearer {token}"
        self._client = HttpClient(
            self.url,
            None,
            platform=forge,
            sign_in=None,  # the token is not ours to renew
            explain=_words,
            is_own=lambda body: bool(_words(body)),
            secrets=secrets,
            user_agent=user_agent,
            concurrency=4,
            rate=None,
            timeout=30.0,
            verify=trust(None),
            clock=time.time,
            random=random.random,
        )

    async def close(self) -> None:
        """Give back connections."""
        await self._client.close()

    async def read(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """What a GET answers; None in a rehearsal without a token."""
        return (await self._call("GET", path, params=params))[0]

    async def pages(self, path: str, key: str = "", **params: str) -> list[Any]:
        """Every item of a listing; where it stands under *key* in an object, those."""
        found: list[Any] = []
        page = 1
        while True:
            body, headers = await self._call(
                "GET", path, params={**params, "per_page": str(_PAGE), "page": str(page)}
            )
            items = (body or {}).get(key, []) if key else (body or [])
            if not isinstance(items, list):
                raise Rejected(
                    f"{self._client.platform}: GET {path} answered no list", hint=self._advice.place
                )
            found += items
            # The address of the next page is not followed: it is the server's word where our token goes.
            if not items or not (_NEXT.search(headers.get("link", "")) or len(items) >= _PAGE):
                return found
            page += 1

    async def write(
        self, method: str, path: str, body: Mapping[str, Any], *, repeatable: bool = False
    ) -> Any:
        """What a request answers that changes something; None in a rehearsal."""
        return (await self._call(method, path, body=body, repeatable=repeatable))[0]

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        repeatable: bool | None = None,
    ) -> tuple[Any, Mapping[str, str]]:
        if self._rehearse and method != "GET":
            self.sent.append(Sent(method, self.url + path, body))
        if self._silent or (self._rehearse and method != "GET"):
            return None, {}
        try:
            answer = await self._client.request(
                method,
                path,
                params=params,
                body=None if body is None else json.dumps(body).encode(),
                headers=self._headers,
                repeatable=repeatable,
            )
        except ProviderError as error:
            error.hint = self._hint(error)
            raise
        try:
            return json.loads(answer.body or b"null"), answer.headers
        except ValueError as error:
            # A page that somebody on the way put there: what we asked for may have happened.
            kind = OutcomeUnknown if method == "POST" else Rejected
            raise kind(
                f"{self._client.platform}: {method} {path} answered something that is not JSON",
                hint=self._advice.place,
            ) from error

    def _hint(self, error: ProviderError) -> str:
        advice = self._advice
        match error:
            case Unauthenticated():
                return advice.token
            case Forbidden() if _RATE.search(str(error)):
                return "The forge limits how much a token may ask. Run the job again in some minutes."
            case Forbidden():
                return advice.permission
            case NotFound():
                return f"{advice.place} A forge also answers 404 for what a token may not see."
            case Unavailable(status=429):
                return (
                    "The forge asks to go slower, and was asked again as it wished. Run the job again later."
                )
            case Unavailable(status=0):
                return f"Check the network, the proxy and the address {self.url}."
            case Unavailable():
                return "The forge is in trouble. Run the job again later."
            case OutcomeUnknown():
                return "It may have been done or not. Run the same command again: it looks before it writes."
            case Rejected(status=422):
                return "The forge does not take what was sent; its reason stands above."
            case Rejected() if 300 <= error.status < 400:
                return "The repository was renamed or moved, or the address is not the API's. " + advice.place
        return advice.place


def _words(body: bytes) -> str:
    """What a forge says in an error: ``message`` and ``errors``, ``message`` or ``error``."""
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(told, Mapping):
        return ""
    more = told.get("errors")
    return "; ".join(
        filter(
            None,
            [
                _plain(told.get("message") or told.get("error")),
                *map(_plain, more if isinstance(more, list) else []),
            ],
        )
    )


def _plain(value: object) -> str:
    match value:
        case str():
            return value
        case Mapping():
            known = [value[key] for key in ("resource", "field", "code", "message") if value.get(key)]
            return (
                " ".join(map(_plain, known))
                if known
                else "; ".join(f"{k} {_plain(v)}" for k, v in value.items())
            )
        case list():
            return ", ".join(map(_plain, value))
    return ""
