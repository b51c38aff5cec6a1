"""What the embedded platforms share: where they keep things, how they answer, how they fail.

An embedded platform is a vendor's API as an ASGI app: inside our own process
behind an ASGI transport, or on a port. This module knows no vendor. It has

- ``Store``: a SQLite file that survives a killed process and is shared by
  two living ones;
- ``Call``, ``Answer``, ``Endpoint``: one request handled by one function that
  never awaits, so that within a process requests follow one another;
- ``Fault``, ``Faults``: misbehaviour on demand, told as rules.

What an API looks like, what it stores and what its errors say belongs to the
platform's own ``emulator`` module.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import re
import sqlite3
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "LONGEST_LAG",
    "Answer",
    "Call",
    "DroppedConnection",
    "Effect",
    "Endpoint",
    "Fault",
    "Faults",
    "Handler",
    "Refuse",
    "Store",
    "Transaction",
]

LONGEST_LAG: Final = 3600.0
"""Seconds a list answer may lag at most. What was replaced or deleted longer ago need not be kept."""

Row = tuple[Any, ...]


class Transaction:
    """One write request: all of it, or nothing. Made by ``Store.write``."""

    __slots__ = ("_db", "_lock")

    def __init__(self, db: sqlite3.Connection, lock: threading.RLock) -> None:
        self._db = db
        self._lock = lock

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        try:
            # IMMEDIATE takes the write lock before the first read: what the request decides from
            # cannot be changed by another process before it is written.
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        return self._db

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            try:
                # A disk that is full may have made SQLite roll back by itself, or have failed the commit.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            finally:
                self._lock.release()


class Store:
    """A SQLite database, in the file *path*, or in memory when it is None.

    Every write request is one transaction, so a process that is killed in the
    middle leaves nothing of it behind. Any number of threads and processes
    may use one file at once; a writer waits up to *patience* seconds for
    another one and then raises ``sqlite3.OperationalError``. Nothing is
    flushed to the disk on purpose: a computer that loses power may lose the
    last requests, and what an emulator holds can be made again.

    The file is created readable and writable by its owner only, its directory
    is created when missing. SQLite puts two more files beside it while it is
    open.
    """

    def __init__(self, path: Path | None, *, patience: float = 10.0) -> None:
        self.path = path
        self._lock = threading.RLock()
        if path is None:
            name = ":memory:"
        else:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its side files the mode of this one, so it has to be right before SQLite sees it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            name = os.fspath(path)
        self._db = sqlite3.connect(name, timeout=patience, isolation_level=None, check_same_thread=False)
        # Who embeds a platform lets go of it when the command is over, and owes it nothing more.
        self._close = weakref.finalize(self, self._db.close)
        try:
            if path is not None:
                self._write_ahead(patience)
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute("PRAGMA cache_size=-32000")  # KiB: a list of 10,000 objects stays in memory
        except BaseException:
            self._close()
            raise

    def _write_ahead(self, patience: float) -> None:
        # Of two processes that turn a new file to WAL at the same time the loser is told "locked" at once:
        # SQLite does not wait for a lock that it could only get by giving up its own.
        deadline = time.monotonic() + patience
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
            else:
                return

    def install(
        self, name: str, version: int, schema: Iterable[str], born: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Make sure that the tables of the platform *name* are there, and its first objects.

        In one transaction, and only the first time: of two processes that
        start together, one installs. Raises ValueError when the tables are of
        another *version*.
        """
        with self.write() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS installed (name TEXT PRIMARY KEY, version INTEGER NOT NULL)"
            )
            found = db.execute("SELECT version FROM installed WHERE name = ?", (name,)).fetchone()
            if found is None:
                for statement in schema:
                    db.execute(statement)
                born(db)
                db.execute("INSERT INTO installed VALUES (?, ?)", (name, version))
            elif found[0] != version:
                raise ValueError(
                    f"{self.path}: the embedded {name} in this file has format {found[0]}, this program "
                    f"writes format {version}; delete the file to start with an empty platform"
                )

    def write(self) -> Transaction:
        """``with store.write() as db:`` runs the block as one transaction, rolled back when it raises.

        Must not be entered again inside the block.
        """
        return Transaction(self._db, self._lock)

    def rows(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        """The result of one SELECT, as of one moment."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> Row | None:
        """The first row of a SELECT, or None."""
        with self._lock:
            # Typed Any by the standard library; a row, because no row factory is set.
            found: Row | None = self._db.execute(sql, values).fetchone()
        return found

    def close(self) -> None:
        """Give the file back. Closing twice is harmless."""
        with self._lock:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


class Answer(NamedTuple):
    """A whole response. ``body`` is JSON unless *headers* say otherwise; 204 has none."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)

    async def send(self, send: Send) -> None:
        """Send it as an ASGI response, with its length."""
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))] if self.status != 204 else []
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Call:
    """One request, read to its end.

    ``params`` are the named parts of the path. ``lag`` and ``hide`` are what
    a fault wants of a list: show nothing younger than ``lag`` seconds, and
    leave out the last ``hide`` entries. Answers about one object ignore both.
    """

    __slots__ = ("_scope", "body", "hide", "lag", "params")

    def __init__(self, scope: Scope, body: bytes) -> None:
        self._scope = scope
        self.body = body
        self.params: dict[str, str] = scope["path_params"]
        effect: Effect | None = scope.get(_EFFECT)
        self.lag = effect.lag if effect else 0.0
        self.hide = effect.hide if effect else 0

    @property
    def query(self) -> dict[str, str]:
        """The decoded query, empty values included; of a name that is given twice, the last value."""
        raw: bytes = self._scope["query_string"]
        return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True)) if raw else {}

    @property
    def origin(self) -> str:
        """The platform's address as this caller knows it: scheme, host, and the path it is mounted at."""
        host = self.header(b"host").decode("latin-1")
        return f"{self._scope['scheme']}://{host}{self._scope.get('root_path', '')}"

    @property
    def path(self) -> str:
        """The decoded path, without what the platform is mounted at."""
        path: str = self._scope["path"]
        return path.removeprefix(self._scope.get("root_path", ""))

    @property
    def method(self) -> str:
        """``GET`` and the like."""
        method: str = self._scope["method"]
        return method

    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        """Every header, its name in lower case."""
        found: Iterable[tuple[bytes, bytes]] = self._scope["headers"]
        return found

    def header(self, name: bytes) -> bytes:
        """The value of a header, empty when it is not there. *name* is in lower case."""
        for key, value in self._scope["headers"]:
            if key == name:
                found: bytes = value
                return found
        return b""


Handler = Callable[[Call], Answer]
"""Does what one request asks, at once: it never awaits."""

Refuse = Callable[[int, str], Answer]
"""How a platform spells an error: status and message to answer."""


class Endpoint:
    """One path of a platform as an ASGI app: a handler for each method, 405 for the others."""

    def __init__(self, handlers: Mapping[str, Handler], refuse: Refuse) -> None:
        self._handlers = dict(handlers)
        self._refuse = refuse
        self._allow = ", ".join(sorted(handlers)).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            return
        handler = self._handlers.get(scope["method"])
        if handler is None:
            refused = self._refuse(405, f"{scope['method']} is not allowed here")
            await refused._replace(headers=(*refused.headers, (b"allow", self._allow))).send(send)
        else:
            await handler(Call(scope, body)).send(send)


async def _body(receive: Receive) -> bytes | None:
    """The request's body, or None when the client went away before it was complete."""
    message = await receive()
    if not message.get("more_body", False):
        return message.get("body", b"") if message["type"] == "http.request" else None
    parts = [message.get("body", b"")]
    while message.get("more_body", False):
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Embedded:
    """The app of an embedded platform, and what signs in there, in words for whoever is to use it."""

    app: ASGIApp
    sign_in: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class DroppedConnection(ConnectionError):
    """A fault cut the connection: no answer will come, and the caller cannot know what happened."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule of misbehaviour.

    ``on`` is ``"METHOD /path"``: a method or ``*``, then a path in which
    ``*`` stands for any text, slashes included, ``?`` for one character and
    ``[..]`` for one of a set. The query does not count.

    When, of the calls that ``on`` matches: those whose number is in ``nth``
    (the first is 1), or each ``every``-th, or a share ``rate`` of them drawn
    at random; without any of the three, all.

    What: wait ``latency`` seconds first. Then answer ``status`` instead of
    doing anything, with ``retry_after`` seconds as Retry-After and with
    ``message``; or ``drop`` the connection ``"before"`` or ``"after"`` the
    effect; or answer properly, except that a list does not show changes
    younger than ``lag`` seconds yet and lacks its last ``hide`` entries,
    while a read of one object sees all.

    Raises ValueError for a rule that cannot mean anything.
    """

    on: str
    nth: tuple[int, ...] | None = None
    every: int | None = None
    rate: float | None = None
    latency: float = 0.0
    status: int | None = None
    retry_after: float | None = None
    message: str = ""
    drop: Literal["before", "after"] | None = None
    lag: float = 0.0
    hide: int = 0

    def __post_init__(self) -> None:
        method, _, path = self.on.partition(" ")
        whens = (self.nth, self.every, self.rate)
        for is_wrong, complaint in (
            (
                not re.fullmatch(r"\*|[A-Z]+", method) or not re.match(r"[/*]", path),
                'on must be "METHOD /path", for example "POST /api/v1/things" or "* /api/*"',
            ),
            (sum(when is not None for when in whens) > 1, "give one of nth, every and rate"),
            (self.nth is not None and (not self.nth or min(self.nth) < 1), "nth must name calls, from 1 on"),
            (self.every is not None and self.every < 1, "every must be at least 1"),
            (self.rate is not None and not 0 <= self.rate <= 1, "rate must be between 0 and 1"),
            (not 0 <= self.latency < math.inf, "latency must be a number of seconds"),
            (
                self.status is not None and not 400 <= self.status <= 599,
                "status must be between 400 and 599",
            ),
            (self.status is not None and self.drop is not None, "give status or drop, not both"),
            (
                self.status is None and (self.retry_after is not None or bool(self.message)),
                "retry_after and message need a status",
            ),
            (
                self.retry_after is not None and not 0 <= self.retry_after < math.inf,
                "retry_after must be a number of seconds",
            ),
            (self.drop not in (None, "before", "after"), 'drop must be "before" or "after"'),
            (not 0 <= self.lag <= LONGEST_LAG, f"lag must be between 0 and {LONGEST_LAG:g} seconds"),
            (self.hide < 0, "hide must not be negative"),
            (
                not (self.latency or self.status or self.drop or self.lag or self.hide),
                "give one of latency, status, drop, lag and hide",
            ),
        ):
            if is_wrong:
                raise ValueError(f'fault "{self.on}": {complaint}')

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> Self:
        """The rule that a TOML table spells, its keys being the names of the fields.

        Raises ValueError for an unknown key, a wrong type, and what the class refuses.
        """
        on = table.get("on")
        if not isinstance(on, str):
            raise ValueError('a fault needs on = "METHOD /path"')  # noqa: TRY004  # a value of a file
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in _FAULT_KEYS:
                raise ValueError(f'fault "{on}": unknown key {key!r}; known are {", ".join(_FAULT_KEYS)}')
            fits, wanted = _FAULT_KEYS[key]
            if not fits(value):
                raise ValueError(f'fault "{on}": {key} must be {wanted}')
            values[key] = tuple(value) if isinstance(value, list) else value
        return cls(**values)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)  # a bool is an int to Python only


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_whole(value)


def _are_whole(value: object) -> bool:
    return isinstance(value, list) and all(_is_whole(element) for element in value)


_FAULT_KEYS: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "on": (_is_text, "a string"),
    "nth": (_are_whole, "a list of whole numbers"),
    "every": (_is_whole, "a whole number"),
    "rate": (_is_number, "a number"),
    "latency": (_is_number, "a number"),
    "status": (_is_whole, "a whole number"),
    "retry_after": (_is_number, "a number"),
    "message": (_is_text, "a string"),
    "drop": (_is_text, "a string"),
    "lag": (_is_number, "a number"),
    "hide": (_is_whole, "a whole number"),
}


@dataclass(frozen=True, slots=True)
class Effect:
    """What the rules that fire want of one call; the fields are those of ``Fault``."""

    latency: float = 0.0
    status: int | None = None
    retry_after: float | None = None
    message: str = ""
    drop: Literal["before", "after"] | None = None
    lag: float = 0.0
    hide: int = 0


_NOTHING: Final = Effect()
_EFFECT: Final = "reconciler.effect"
"""Key of the ASGI scope under which the effect travels to ``Call``."""


class Faults:
    """Rules and how far each of them has counted.

    The same rules, *seed* and calls give the same faults: each rule draws
    from a random sequence of its own. Not safe for several threads.
    """

    def __init__(self, rules: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self.rules = tuple(rules)
        self._counts = [0] * len(self.rules)
        self._dice = [random.Random(f"{seed}.{n}") for n in range(len(self.rules))]  # noqa: S311  # no secret
        self._patterns = [
            (method, re.compile(translate(path)))
            for method, _, path in (rule.on.partition(" ") for rule in self.rules)
        ]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many calls each rule's ``on`` has matched, fired or not, in the order of the rules."""
        return tuple(self._counts)

    def strike(self, method: str, path: str) -> Effect:
        """Count the call and say what is to happen to it.

        Of several rules that fire, latencies add up, the longest lag and the
        largest hide hold, and the first with a status or a drop decides that.
        """
        firing = [rule for n, rule in enumerate(self.rules) if self._fires(n, method, path)]
        if not firing:
            return _NOTHING
        failing = next((rule for rule in firing if rule.status or rule.drop), firing[0])
        return Effect(
            latency=sum(rule.latency for rule in firing),
            status=failing.status,
            retry_after=failing.retry_after,
            message=failing.message,
            drop=failing.drop,
            lag=max(rule.lag for rule in firing),
            hide=max(rule.hide for rule in firing),
        )

    def _fires(self, n: int, method: str, path: str) -> bool:
        wanted, pattern = self._patterns[n]
        if wanted not in ("*", method) or not pattern.match(path):
            return False
        self._counts[n] += 1
        rule = self.rules[n]
        if rule.nth is not None:
            return self._counts[n] in rule.nth
        if rule.every is not None:
            return self._counts[n] % rule.every == 0
        if rule.rate is not None:
            return self._dice[n].random() < rule.rate
        return True

    def around(
        self,
        app: ASGIApp,
        *,
        refuse: Refuse,
        cut_connections: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> ASGIApp:
        """*app* with these faults.

        *refuse* spells the platform's errors. A dropped connection raises
        ``DroppedConnection`` out of the app; with *cut_connections*, for an
        app that a server runs, it promises an answer and does not complete
        it, upon which the server closes the socket (uvicorn logs that).
        """

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            path: str = scope["path"]
            effect = self.strike(scope["method"], path.removeprefix(scope.get("root_path", "")))
            if effect.latency:
                await sleep(effect.latency)
            if effect.status is not None or effect.drop == "before":
                # Read all the same: closing a socket with a request half read resets it, and what the
                # client sees of the end would vary.
                await _body(receive)
            if effect.status is not None:
                await _refusal(effect, effect.status, refuse).send(send)
                return
            if effect.lag or effect.hide:
                scope[_EFFECT] = effect
            if not effect.drop:
                await app(scope, receive, send)
                return
            if effect.drop == "after":
                await app(scope, receive, _swallow)
            if not cut_connections:
                raise DroppedConnection(
                    f"connection lost {effect.drop} the effect of {scope['method']} {path}"
                )
            headers = [(b"content-type", b"application/json"), (b"content-length", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

        return faulty


def _refusal(effect: Effect, status: int, refuse: Refuse) -> Answer:
    message = effect.message
    if not message:
        try:
            message = HTTPStatus(status).phrase
        except ValueError:  # not a registered status; the rule wants it all the same
            message = f"status {status}"
    answer = refuse(status, message)
    if effect.retry_after is None:
        return answer
    return answer._replace(headers=(*answer.headers, (b"retry-after", f"{effect.retry_after:g}".encode())))


async def _swallow(message: Message) -> None:
    """An ASGI send whose client is gone."""
