"""The one HTTP client: authentication, timeouts, retries, rate, errors in our words, nothing secret.

Retry policy
    A request that changes nothing is repeated after 429, 500, 502, 503, 504
    and after a lost connection, up to `ATTEMPTS` times, with exponential
    backoff and full jitter; ``Retry-After`` is honoured up to `LONGEST_WAIT`.
    A request that changes something is repeated only when it certainly had no
    effect: the connection was never made, or the answer was 429, or 401 with
    a token that could be renewed. Anything else without a clear answer is
    `OutcomeUnknown`, and whoever asked has to look.

Errors name the method, the path, the status, the server's own words (vetted
by the caller, shortened and masked here) and its request id. They never quote
a header or a body.

The only file besides ``state/backends/http.py`` that knows httpx.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

# httpx imports its own command line, and with it click, rich and pygments, which
# doubles the time it takes; None makes that import fail, and httpx goes on without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is Python's own mark for this
import httpx  # noqa: E402 - after the line that makes it quick

from reconciler.core.ports import SecretSource  # noqa: E402 - as above
from reconciler.errors import (  # noqa: E402 - as above
    AlreadyExists,
    Forbidden,
    InUse,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Unauthenticated,
    Unavailable,
)

__all__ = ["ATTEMPTS", "LONGEST_WAIT", "Answer", "HttpClient", "Token", "embedded_transport", "trust"]

if sys.modules.get("httpx._main") is None:
    sys.modules.pop("httpx._main", None)

ATTEMPTS: Final = 5
LONGEST_WAIT: Final = 60.0
_FIRST_WAIT: Final = 0.25
_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LONGEST_MESSAGE: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. ``expires`` is Unix time in seconds."""

    value: str
    expires: float


class HttpClient:
    """Requests to one platform.

    *sign_in* fetches a new access token by means of this client; None when
    the platform wants none. *explain* takes the body of an error answer and
    gives what may be shown of it. *concurrency* and *rate* (requests a
    second, None for no limit) are the platform's, whatever the engine's
    parallelism is.
    """

    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None,
        *,
        platform: str,
        sign_in: Callable[[HttpClient], Awaitable[Token]] | None,
        explain: Callable[[bytes], str],
        secrets: SecretSource,
        user_agent: str,
        concurrency: int,
        rate: float | None,
        timeout: float,
        verify: ssl.SSLContext | bool = True,
        clock: Callable[[], float],
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.platform = platform
        self._sign_in = sign_in
        self._explain = explain
        self._secrets = secrets
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._token: Token | None = None
        self._signing_in = asyncio.Lock()
        self._room = asyncio.Semaphore(concurrency)
        self._rate = rate
        self._limiter: Any = None
        self._client = httpx.AsyncClient(
            base_url=base_url,
            transport=transport,
            verify=verify if transport is None else True,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0), pool=None),
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            headers={"user-agent": user_agent, "accept": "application/json"},
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Give back connections."""
        await self._client.aclose()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """The body of the answer to a GET. Raises `ProviderError`."""
        return (await self.request("GET", path, params=params)).body

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        repeatable: bool | None = None,
        signed: bool = True,
    ) -> Answer:
        """Send a request and return its answer when it is 2xx.

        *repeatable* says that sending it twice does no harm; a GET is, unless
        told otherwise. Raises the `ProviderError` that fits the answer.
        """
        if repeatable is None:
            repeatable = method == "GET"
        renewed = False
        attempt = 0
        while True:
            attempt += 1
            headers = {} if body is None else {"content-type": content_type}
            if signed and self._sign_in is not None:
                headers["authorization"] = f"Bearer {(await self._current_token()).value}"
            outcome = await self._once(method, path, params, body, headers, repeatable)
            if isinstance(outcome, Answer):
                return outcome
            error, wait = outcome
            if isinstance(error, Unauthenticated) and signed and self._sign_in is not None and not renewed:
                renewed = True
                self._token = None
                continue
            if wait is None or attempt >= ATTEMPTS:
                raise error
            await self._sleep(wait if wait > 0 else self._backoff(attempt))

    def _backoff(self, attempt: int) -> float:
        return min(LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempt - 1)) * (0.5 + self._random() / 2)

    async def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        headers: dict[str, str],
        repeatable: bool,
    ) -> Answer | tuple[ProviderError, float | None]:
        """One attempt: an answer, or an error with the seconds to wait (0: backoff) or None to give up."""
        call = f"{method} {path}"
        async with self._room:
            if self._rate is not None:
                await self._limited()
            try:
                response = await self._client.request(
                    method, path, params=params, content=body, headers=headers
                )
            except _NOT_SENT as error:
                return self._unreachable(call, error)
            except httpx.TimeoutException:
                return self._unanswered(call, "no answer in time", repeatable)
            except httpx.TransportError:
                return self._unanswered(call, "the connection was lost before the answer", repeatable)
            except httpx.InvalidURL as error:
                return Rejected(f"{self.platform}: the address is no URL", call=call, hint=str(error)), None
        if response.is_success:
            return Answer(response.status_code, response.content)
        return self._refused(call, response, repeatable)

    async def _limited(self) -> None:
        if self._limiter is None:
            from aiolimiter import AsyncLimiter

            rate = self._rate or 1.0
            self._limiter = AsyncLimiter(max(1.0, rate), max(1.0, rate) / rate)
        await self._limiter.acquire()

    # --- tokens ---

    async def _current_token(self) -> Token:
        if self._token is None or self._token.expires - self._clock() < 60:
            async with self._signing_in:
                if self._token is None or self._token.expires - self._clock() < 60:
                    assert self._sign_in is not None
                    self._token = await self._sign_in(self)
                    self._secrets.learn(self._token.value)
        return self._token

    # --- errors ---

    def _unreachable(self, call: str, error: Exception) -> tuple[ProviderError, float | None]:
        why, hint = "cannot connect", "Check `endpoint` in reconciler.toml, the network and the proxy."
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            why = "its certificate is not trusted"
            hint = "Name the certificate of your own authority with `ca_file` or SSL_CERT_FILE."
        host = self._client.base_url.host
        wrong = Unavailable(f"{self.platform} ({host}): {why}", platform=self.platform, call=call, hint=hint)
        return wrong, None if "certificate" in why else 0.0

    def _unanswered(self, call: str, why: str, repeatable: bool) -> tuple[ProviderError, float | None]:
        if repeatable:
            return Unavailable(f"{self.platform}: {call}: {why}", platform=self.platform, call=call), 0.0
        return OutcomeUnknown(f"{self.platform}: {call}: {why}", platform=self.platform, call=call), None

    def _refused(
        self, call: str, response: httpx.Response, repeatable: bool
    ) -> tuple[ProviderError, float | None]:
        status = response.status_code
        request_id = self._vetted(response.headers.get("x-request-id", ""))
        words = self._vetted(self._explain(response.content))
        summary = f"{self.platform}: {call} answered {status}" + (f": {words}" if words else "")
        if request_id:
            summary += f" (request {request_id})"
        where: dict[str, Any] = {
            "platform": self.platform,
            "call": call,
            "status": status,
            "request_id": request_id,
        }
        wait = _retry_after(response.headers.get("retry-after", ""), self._clock())
        if status in _TRANSIENT:
            if repeatable or status == 429:
                slow = "The platform asks to go slower: lower max_concurrency or set requests_per_second."
                error = Unavailable(
                    summary,
                    retry_after=wait,
                    hint=slow if status == 429 else "The platform is in trouble; try again later.",
                    **where,
                )
                return error, min(LONGEST_WAIT, wait) if wait is not None else 0.0
            return OutcomeUnknown(summary, retry_after=wait, **where), None
        match status:
            case 401:
                hint = "Check the client id and secret of this platform in reconciler.toml."
                return Unauthenticated(summary, hint=hint, **where), None
            case 403:
                return Forbidden(
                    summary, hint="The access key needs a role that permits this.", **where
                ), None
            case 404:
                return NotFound(summary, **where), None
            case 409:
                return AlreadyExists(summary, **where), None
            case 412:
                return InUse(summary, **where), None
            case _ if status >= 500 and not repeatable:
                return OutcomeUnknown(summary, **where), None
        return Rejected(summary, **where), None

    def _vetted(self, text: str) -> str:
        text = self._secrets.mask(_CONTROL.sub(" ", text)).strip()
        return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def _retry_after(text: str, now: float) -> float | None:
    """Seconds to wait, from a ``Retry-After`` of either form; None when there is none that can be read."""
    text = text.strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError):
        return None


class _Embedded(httpx.AsyncBaseTransport):
    """Requests to an ASGI application in this process. A connection that it drops breaks like a real one.

    httpx has one too, which looks for an optional package at each request and
    so takes three times as long.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        url = request.url
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 0),
        }
        status = 0
        headers: list[tuple[bytes, bytes]] = []
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], message.get("headers", [])
            else:
                parts.append(message.get("body", b""))

        try:
            await self._app(scope, receive, send)
        except ConnectionError as error:
            raise httpx.ReadError(str(error), request=request) from error
        return httpx.Response(status, headers=headers, content=b"".join(parts), request=request)


def embedded_transport(app: Any) -> httpx.AsyncBaseTransport:
    """The transport to an embedded platform."""
    return _Embedded(app)


def trust(ca_file: str | None) -> ssl.SSLContext | bool:
    """What TLS trusts: the system's and ``SSL_CERT_FILE``'s authorities, and those in *ca_file*."""
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=ca_file)
    return context
