"""What talks on a loopback port: a server by hand, a proxy, an authority, clients that are watched."""

from __future__ import annotations

import asyncio
import json
import selectors
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme
from runai.api_client import ApiClient
from runai.configuration import Configuration
from runai.runai_client import RunaiClient

from reconciler.engine.secrets import Secrets
from reconciler.errors import ProviderError
from reconciler.providers.http import HttpClient, Token

T = TypeVar("T")

NOW = 1_750_000_000.0
"""What the client's clock says."""


# --- a server by hand ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """What the server was asked."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """A whole answer, or less than one.

    ``missing`` is a number of bytes that are promised and never sent;
    ``hold`` an event to wait for before answering; ``then_close`` ends the
    connection after the answer without having said so.
    """

    status: int = 200
    body: bytes = b'{"ok":true}'
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    missing: int = 0
    hold: asyncio.Event | None = None
    then_close: bool = False


CUT = "cut"
"""The request is read, and the connection closed without a word."""
NEVER = "never"
"""The request is read, and nothing ever comes."""
TRICKLE = "trickle"
"""An answer that begins, and then gives a byte now and then for ever."""


def refusal(status: int, message: str = "no", **headers: str) -> Reply:
    """An error in the platform's own words."""
    body = json.dumps({"code": status, "message": message}).encode()
    return Reply(status, body, tuple((name.replace("_", "-"), value) for name, value in headers.items()))


class Server:
    """HTTP/1.1 on a loopback port. Answers in the order given, the last answer again and again."""

    def __init__(self, answers: Iterable[Reply | str]) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0
        self.port = 0
        self.scheme = "http"
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """Methods and targets, in order."""
        return [f"{one.method} {one.target}" for one in self.requests]

    async def was_asked(self, times: int) -> None:
        """Wait until so many requests have arrived."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.requests) >= times)

    def next_answer(self, request: Request) -> Reply | str:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                async with self._news:
                    self._news.notify_all()
                try:
                    if not await self._answer(self.next_answer(request), writer):
                        return
                finally:
                    self.at_once -= 1
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, answer: Reply | str, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection stays."""
        if answer == CUT:
            return False
        if answer == NEVER:
            await asyncio.Event().wait()
        if answer == TRICKLE:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        assert isinstance(answer, Reply)
        if answer.hold is not None:
            await answer.hold.wait()
        lines = [f"HTTP/1.1 {answer.status} Some Reason"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        lines.append(f"content-length: {len(answer.body) + answer.missing}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body)
        await writer.drain()
        return not answer.missing and not answer.then_close

    async def stop(self) -> None:
        """End every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


_TLS_HELLO = b"\x16"
"""How a client begins that wants TLS."""


async def _read(reader: asyncio.StreamReader) -> Request | None:
    start = await reader.read(1)
    if start in (b"", _TLS_HELLO):
        return None
    head = start + await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body)


@asynccontextmanager
async def serving(
    *answers: Reply | str,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    server: Server | None = None,
) -> AsyncIterator[Server]:
    """A server with these answers."""
    served = server or Server(answers)

    listener = await asyncio.start_server(served.accept, host, port, ssl=tls)
    served.port = listener.sockets[0].getsockname()[1]
    served.scheme = "http" if tls is None else "https"
    try:
        yield served
    finally:
        listener.close()
        await served.stop()
        await listener.wait_closed()


# --- a client whose waits are written down -------------------------------------------------------------


def explain(body: bytes) -> str:
    """What may be shown of an error: its message."""
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("message", "")) if isinstance(found, dict) else ""


def is_own(body: bytes) -> bool:
    """The platform repeats the status."""
    return b'"code"' in body


@dataclass
class Lab:
    """Makes clients. ``waits`` are the seconds that they slept; they do not really."""

    secrets: Secrets
    waits: list[float] = field(default_factory=list)
    now: float = NOW
    on_wait: Callable[[], Awaitable[None]] | None = None

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self.on_wait is not None:
            await self.on_wait()

    @asynccontextmanager
    async def client(self, url: str, **more: Any) -> AsyncIterator[HttpClient]:
        """A client for *url*, closed at the end."""
        wanted: dict[str, Any] = {
            "platform": "runai",
            "sign_in": None,
            "explain": explain,
            "is_own": is_own,
            "secrets": self.secrets,
            "user_agent": "reconciler/test",
            "concurrency": 4,
            "rate": None,
            "timeout": 10.0,
            "clock": lambda: self.now,
            "random": lambda: 1.0,
            "sleep": self._sleep,
            **more,
        }
        client = HttpClient(url, wanted.pop("transport", None), **wanted)
        try:
            yield client
        finally:
            await client.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it, not for ever."""

    async def bounded() -> T:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(bounded())


async def failing(work: Awaitable[Any]) -> ProviderError:
    """The error that *work* ends in."""
    with pytest.raises(ProviderError) as caught:
        await work
    return caught.value


class Keys:
    """A ``sign_in`` that gives ``token-1``, ``token-2``, … each for an hour, and counts."""

    def __init__(self, clock: Callable[[], float] = lambda: NOW, lifetime: float = 3600.0) -> None:
        self.given = 0
        self.clock = clock
        self.lifetime = lifetime

    async def __call__(self, client: HttpClient) -> Token:
        self.given += 1
        number = self.given
        await asyncio.sleep(0)
        return Token(f"token-{number}", self.clock() + self.lifetime)


# --- time that passes by itself ---


class Timeless(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next thing that waits for it."""

    def __init__(self) -> None:
        self.now = 0.0
        loop = self

        class Jumping(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> Any:
                found = super().select(0)
                if not found and timeout:
                    loop.now += timeout
                return found

        super().__init__(Jumping())

    def time(self) -> float:
        return self.now


def timeless(work: Callable[[Timeless], Coroutine[Any, Any, T]]) -> T:
    """Run *work* on a loop of its own, in no time."""
    loop = Timeless()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work(loop))


# --- TLS ---


@dataclass(frozen=True)
class Authority:
    """Somebody's own certificate authority. ``file`` is what its clients trust."""

    ca: trustme.CA
    file: Path

    def server(self, *names: str) -> ssl.SSLContext:
        """TLS of a server with a certificate for *names*."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        return context


# --- proxies ---


@dataclass
class Proxy:
    """A forward proxy that tunnels whatever it is asked for to one port. ``asked`` are its first lines."""

    to: int
    asked: list[str] = field(default_factory=list)
    port: int = 0
    refuses: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """Listen."""
        tasks: set[asyncio.Task[Any]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await self._serve(reader, writer)
            except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
                pass
            finally:
                tasks.discard(task)
                writer.close()

        listener = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await listener.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first = head.split(b"\r\n")[0].decode()
        self.asked.append(first)
        if self.refuses:
            writer.write(f"HTTP/1.1 {self.refuses}\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        if first.startswith("CONNECT"):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            back.write(head)
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            back.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()


# --- the vendor's client ---


@contextmanager
def runapy(url: str, **more: Any) -> Iterator[RunaiClient]:
    """The vendor's own client at *url*; without retries, unless asked otherwise."""
    configuration = Configuration(
        client_id="embedded",
        client_secret="embedded",
        runai_base_url=url,
        **{"retry_enabled": False, **more},
    )
    client = RunaiClient(ApiClient(configuration))
    try:
        yield client
    finally:
        client.close()
