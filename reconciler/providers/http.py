"""The one HTTP client: authentication, timeouts, retries, rate, errors in our words, nothing secret.

Retry policy
    A request that changes nothing is repeated after 429, 500, 502, 503, 504,
    520 to 530 (proxies) and after a lost connection, up to `ATTEMPTS` times, with exponential
    backoff and jitter; ``Retry-After`` is honoured up to `LONGEST_WAIT`.
    A request that changes something is repeated only when it certainly had no
    effect: the connection was never made, or the answer was 429, or 401 with
    a token that could be renewed. Anything else without a clear answer is
    `OutcomeUnknown`, and whoever asked has to look.

Errors name the method, the path, the status, the server's own words (vetted
by the caller, shortened and masked here) and its request id. They never quote
a header or a body. A 404 that is not the platform's own (a gateway's page,
say) is no `NotFound`: it proves nothing gone.

Proxies are those of ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``; what
listens on this machine, or only for it, is never asked through one.

The only file besides ``state/backends/http.py`` that knows httpx.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final

# httpx imports its own command line, and with it click, rich and pygments, which
# doubles the time it takes; None makes that import fail, and httpx goes on without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is Python's own mark for this
import httpx  # noqa: E402 - after the line that makes it quick

from reconciler.core.ports import SecretSource, Traffic  # noqa: E402 - as above
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
_LONGEST_CONNECT: Final = 10.0
_LONGEST_IDLE: Final = 4.0
"""Seconds after which we close an idle connection: before common servers do (uvicorn after 5), because
a write that meets a connection which is just being closed has an unknown outcome."""
_RENEW_BEFORE: Final = 60.0
_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504, *range(520, 531)})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_UNSENDABLE = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    UnicodeError,
)
_TOKEN = re.compile(r"[!-~]+")
_REQUEST_IDS: Final = ("x-request-id", "x-ms-request-id", "x-ms-correlation-request-id")
"""Where servers say by which id they know a request."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
"""What moves a cursor, or changes the direction of text: a terminal would obey it."""
_LONGEST_MESSAGE: Final = 300
_UNKNOWN_AUTHORITY: Final = frozenset({18, 19, 20, 21})
"""OpenSSL's codes for a chain that ends nowhere we trust, as against a certificate that is wrong itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. The names of its headers are in small letters."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. ``expires`` is Unix time in seconds, by our own clock."""

    value: str = field(repr=False)
    expires: float


class HttpClient:
    """Requests to one platform.

    *sign_in* fetches a new access token by means of this client; None when
    the platform wants none. *explain* takes the body of an error answer and
    gives what may be shown of it; *is_own* says whether such a body is the
    platform's own and not that of something on the way. *means* takes status
    and body of an error answer and gives the status that it means, where a
    platform answers with another. *hints* say what a person can do about an
    error, by what its status means: who is let in, and by what, differs from
    one platform to another. *concurrency* and *rate* (requests a second, None
    for no limit) are the platform's, whatever the engine's parallelism is.
    *timeout* bounds one answer as a whole, in seconds. Every attempt is counted in *traffic*.

    Raises `Rejected` for an address, or a proxy in the environment, that
    nothing can be sent to.
    """

    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None,
        *,
        platform: str,
        sign_in: Callable[[HttpClient], Awaitable[Token]] | None,
        explain: Callable[[bytes], str],
        is_own: Callable[[bytes], bool],
        means: Callable[[int, bytes], int] = lambda status, body: status,
        hints: Mapping[int, str] = MappingProxyType({}),
        secrets: SecretSource,
        user_agent: str,
        concurrency: int,
        rate: float | None,
        timeout: float,
        verify: ssl.SSLContext | bool = True,
        clock: Callable[[], float],
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        traffic: Traffic | None = None,
    ) -> None:
        self.platform = platform
        self._sign_in = sign_in
        self._explain = explain
        self._is_own = is_own
        self._means = means
        self._hints = hints
        self._secrets = secrets
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._traffic = traffic if traffic is not None else Traffic()
        self._token: Token | None = None
        self._renew_at = 0.0
        self._signing_in = asyncio.Lock()
        self._sign_ins = 0
        self._sign_in_error: ProviderError | None = None
        self._room = asyncio.Semaphore(concurrency)
        self._rate = rate
        self._limiter: Any = None
        connect = min(timeout, _LONGEST_CONNECT)
        self._longest = timeout if transport is not None else connect + timeout
        url = _address(base_url, platform)
        try:
            self._client = httpx.AsyncClient(
                base_url=url,
                transport=transport,
                verify=verify,
                timeout=httpx.Timeout(timeout, connect=connect, pool=None),
                limits=httpx.Limits(
                    max_connections=concurrency,
                    max_keepalive_connections=concurrency,
                    keepalive_expiry=_LONGEST_IDLE,
                ),
                headers={"user-agent": user_agent, "accept": "application/json"},
                follow_redirects=False,
                trust_env=not _is_here(url.host),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            # Not quoted: the address of a proxy may hold a password.
            raise Rejected(
                f"{platform}: the proxy that the environment names cannot be used",
                platform=platform,
                hint="HTTPS_PROXY, HTTP_PROXY or ALL_PROXY: only http:// and https:// proxies are supported.",
            ) from error

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
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        signed: bool = True,
    ) -> Answer:
        """Send a request and return its answer when it is 2xx.

        *path* may be a whole address: the token call of another host, the next
        page of a listing. A *signed* request carries our token, so whoever
        gives an address has seen that it is the platform's own. *repeatable*
        says that sending it twice does no harm; a GET is, unless told
        otherwise. Raises the `ProviderError` that fits the answer.
        """
        if repeatable is None:
            repeatable = method == "GET"
        renewed = False
        attempt = 0
        while True:
            attempt += 1
            sent = {} if body is None else {"content-type": content_type}
            sent.update(headers or {})
            token = await self._current_token() if signed else None
            if token is not None:
                sent["authorization"] = f"Bearer {token.value}"
            outcome = await self._once(method, path, params, body, sent, repeatable)
            if isinstance(outcome, Answer):
                return outcome
            error, wait = outcome
            if isinstance(error, Unauthenticated) and token is not None and not renewed:
                renewed = True
                if self._token is token:  # else somebody was told before us, and has a new one already
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
            self._traffic.calls += 1
            try:
                # httpx bounds each read; a server that sends a byte now and then would hold us for ever.
                async with asyncio.timeout(self._longest):
                    response = await self._client.request(
                        method, path, params=params, content=body, headers=headers
                    )
            except _NOT_SENT as error:
                return self._unreachable(call, error)
            except _UNSENDABLE:
                # Not quoted: what cannot be spelled may be a header.
                return Rejected(
                    f"{self.platform}: {call} cannot be sent",
                    platform=self.platform,
                    call=call,
                    hint="Check `endpoint` in reconciler.toml.",
                ), None
            except (TimeoutError, httpx.TimeoutException):
                return self._unanswered(call, "no answer in time", repeatable)
            except httpx.TransportError:
                return self._unanswered(call, "the connection was lost before the answer", repeatable)
            except httpx.DecodingError:
                return self._unanswered(call, "the answer cannot be decoded", repeatable)
        if response.status_code == 429:
            self._traffic.throttled += 1
        if response.is_success:
            return Answer(response.status_code, response.content, dict(response.headers))
        return self._refused(call, response, repeatable)

    async def _limited(self) -> None:
        assert self._rate is not None
        if self._limiter is None:
            from aiolimiter import AsyncLimiter

            # One at a time: a bucket of many lets twice the rate through in its first second.
            self._limiter = AsyncLimiter(1, 1 / self._rate)
        await self._limiter.acquire()

    # --- tokens ---

    async def _current_token(self) -> Token | None:
        if self._sign_in is None:
            return None
        if self._token is not None and self._clock() < self._renew_at:
            return self._token
        while True:
            seen = self._sign_ins
            async with self._signing_in:
                if self._sign_ins == seen:
                    return await self._renew(self._sign_in)
                # What came of it while we waited in line is true of us too: asking again, one after the
                # other, would take everybody's retries in a row. Of a cancelled one nothing came.
                if self._sign_in_error is not None:
                    raise self._sign_in_error
                if self._token is not None:
                    return self._token

    async def _renew(self, sign_in: Callable[[HttpClient], Awaitable[Token]]) -> Token:
        self._token = self._sign_in_error = None
        try:
            token = await sign_in(self)
            if not _TOKEN.fullmatch(token.value):
                raise Unauthenticated(
                    f"{self.platform} gave an access token that cannot be sent", platform=self.platform
                )
        except ProviderError as error:
            self._sign_in_error = error
            raise
        finally:
            self._sign_ins += 1
        self._secrets.learn(token.value)
        self._token = token
        # A token that lives for less than a minute or two is used for half of its life.
        left = token.expires - self._clock()
        self._renew_at = token.expires - min(_RENEW_BEFORE, left / 2)
        return token

    # --- errors ---

    def _unreachable(self, call: str, error: Exception) -> tuple[ProviderError, float | None]:
        where = f"{self.platform} ({self._client.base_url.netloc.decode()})"
        refused = _untrusted(error)
        if refused is None:
            why = f"cannot connect{self._vetted(_reason(error))}"
            hint = "Check `endpoint` in reconciler.toml, the network and the proxy."
        else:
            why = f"its certificate is not trusted: {self._vetted(refused.verify_message)}"
            hint = (
                "Name the certificate of your own authority with `ca_file` or SSL_CERT_FILE."
                if refused.verify_code in _UNKNOWN_AUTHORITY
                else "Is `endpoint` the name that the certificate is for, and is the clock right?"
            )
        wrong = Unavailable(f"{where}: {why}", platform=self.platform, call=call, hint=hint)
        return wrong, 0.0 if refused is None else None

    def _unanswered(self, call: str, why: str, repeatable: bool) -> tuple[ProviderError, float | None]:
        text = f"{self.platform}: {call}: {why}"
        if repeatable:
            hint = "The platform or the network is in trouble; try again later."
            return Unavailable(text, platform=self.platform, call=call, hint=hint), 0.0
        return OutcomeUnknown(text, platform=self.platform, call=call), None

    def _refused(
        self, call: str, response: httpx.Response, repeatable: bool
    ) -> tuple[ProviderError, float | None]:
        status = response.status_code
        named = (response.headers.get(name) for name in _REQUEST_IDS)
        request_id = self._vetted(next(filter(None, named), ""))
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
        status = self._means(status, response.content)
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
                hint = self._hints.get(401, "Check the credentials of this platform in reconciler.toml.")
                return Unauthenticated(summary, hint=hint, **where), None
            case 403:
                hint = self._hints.get(403, "These credentials need a role that permits this.")
                return Forbidden(summary, hint=hint, **where), None
            case 404 if self._is_own(response.content):
                return NotFound(summary, **where), None
            case 409:
                return AlreadyExists(summary, **where), None
            case 412:
                return InUse(summary, **where), None
            case _ if status >= 500 and not repeatable:
                return OutcomeUnknown(summary, **where), None
            case 404:
                hint = "This is not the platform's own answer. Check `endpoint`, and what stands before it."
                return Rejected(summary, hint=hint, **where), None
            case _ if 300 <= status < 400:
                hint = "The address leads elsewhere: `endpoint` has to be the platform's own."
                return Rejected(summary, hint=hint, **where), None
        return Rejected(summary, **where), None

    def _vetted(self, text: str) -> str:
        # Masked before and after: a secret of many lines is known with its line ends, and whole.
        mask = self._secrets.mask
        text = mask(_CONTROL.sub(" ", mask(text))).strip()
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
        date = parsedate_to_datetime(text)
        # The oldest form of a date names no zone: HTTP's is always UTC, and not that of this machine.
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def _address(text: str, platform: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        why = str(error)
    else:
        if url.port is None or 0 < url.port < 65536:
            return url
        why = f"there is no port {url.port}"
    raise Rejected(
        f"{platform}: its address cannot be used: {why}",
        platform=platform,
        hint="Check `endpoint` in reconciler.toml.",
    )


def _is_here(host: str) -> bool:
    """Whether *host* is this machine, or answers to it alone (a cloud's metadata service).

    A proxy would look for it on its own.
    """
    try:
        address = ip_address(host)
        return address.is_loopback or address.is_link_local
    except ValueError:
        return host == "localhost"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """*error* and what led to it; of several tries the first."""
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        yield error
        error = error.__cause__ or error.__context__


def _untrusted(error: Exception) -> ssl.SSLCertVerificationError | None:
    return next((one for one in _causes(error) if isinstance(one, ssl.SSLCertVerificationError)), None)


def _reason(error: Exception) -> str:
    """Why there is no connection, after a colon; empty when nobody says."""
    if isinstance(error, httpx.ProxyError):
        return f": the proxy answered {error}"
    if isinstance(error, httpx.ConnectTimeout):
        return ": no answer in time"
    for one in _causes(error):
        match one:
            case ssl.SSLError(reason=str(reason)):
                return f": TLS failed: {reason.replace('_', ' ').lower()}"
            case ssl.SSLError():  # its errno is one of TLS, not of the system
                return ": TLS failed: the other side ended it"
            case socket.gaierror(strerror=str(text)):
                return f": {text}"
            case OSError(errno=int(number)):
                return f": {os.strerror(number)}"
    return ""


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


def trust(ca_file: str | None) -> ssl.SSLContext:
    """What TLS trusts: ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, or else the system's authorities and the
    public ones; and those in *ca_file*. Raises `ProviderError` for a file that holds none.
    """
    name = f"SSL_CERT_FILE ({os.environ.get('SSL_CERT_FILE')})"
    try:
        context = httpx.create_ssl_context()
        context.load_default_certs()
        if ca_file is not None:
            name = f"ca_file ({ca_file})"
            context.load_verify_locations(cafile=ca_file)
    except OSError as error:  # an SSLError is one
        no_certificate = isinstance(error, ssl.SSLError) or error.errno is None
        why = "it holds no certificate in PEM form" if no_certificate else os.strerror(error.errno or 0)
        raise ProviderError(f"the authorities in {name} cannot be used: {why}") from error
    return context
