"""What every embedded platform relies on: the store, the endpoint, the faults."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from reconciler.providers.emulator import (
    Answer,
    Call,
    DroppedConnection,
    Effect,
    Endpoint,
    Fault,
    Faults,
    Store,
)

COUNTER = ("CREATE TABLE counter (value INTEGER NOT NULL)",)


def zero(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO counter VALUES (0)")


def add_one(store: Store) -> None:
    with store.write() as db:
        (value,) = db.execute("SELECT value FROM counter").fetchone()
        db.execute("UPDATE counter SET value = ?", (value + 1,))


def process(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python process that runs *code* with a counting store on the file named by its first argument."""
    preamble = """
        import os, signal, sys
        from pathlib import Path
        from reconciler.providers.emulator import Store
        store = Store(Path(sys.argv[1]))
        store.install("test", 1, ["CREATE TABLE counter (value INTEGER NOT NULL)"],
                      lambda db: db.execute("INSERT INTO counter VALUES (0)"))
    """
    source = textwrap.dedent(preamble) + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-c", source, *arguments])


class TestStore:
    def test_what_one_store_wrote_another_on_the_same_file_reads(self, tmp_path: Path) -> None:
        """A second command finds what the first one made."""
        path = tmp_path / "runai.sqlite"
        with Store(path) as store:
            store.install("test", 1, COUNTER, zero)
            add_one(store)
        with Store(path) as store:
            assert store.rows("SELECT value FROM counter") == [(1,)]

    def test_two_open_stores_see_each_others_writes(self, tmp_path: Path) -> None:
        """The command and the server may run at the same time."""
        with Store(tmp_path / "s") as one, Store(tmp_path / "s") as other:
            one.install("test", 1, COUNTER, zero)
            add_one(one)
            add_one(other)
            assert one.row("SELECT value FROM counter") == (2,)

    def test_a_request_that_raises_leaves_nothing(self) -> None:
        """Also what it had written before it raised is gone, and the next request works."""
        with Store(None) as store:
            store.install("test", 1, COUNTER, zero)
            with pytest.raises(RuntimeError, match="in the middle"), store.write() as db:
                db.execute("UPDATE counter SET value = 7")
                raise RuntimeError("in the middle")
            add_one(store)
            assert store.row("SELECT value FROM counter") == (1,)

    def test_a_full_disk_fails_the_request_and_not_the_next_one(self) -> None:
        """What did not fit leaves nothing behind."""
        with Store(None) as store:
            store.install("test", 1, COUNTER, zero)
            (pages,) = store.rows("PRAGMA page_count")[0]
            store.rows(f"PRAGMA max_page_count={pages + 2}")
            with pytest.raises(sqlite3.OperationalError, match="full"), store.write() as db:
                db.execute("UPDATE counter SET value = 7")
                db.execute("INSERT INTO counter VALUES (zeroblob(1000000))")
            add_one(store)
            assert store.rows("SELECT value FROM counter") == [(1,)]

    def test_a_process_killed_in_the_middle_of_a_request_leaves_nothing(self, tmp_path: Path) -> None:
        """The request that was being written when the process died never happened."""
        path = tmp_path / "s"
        died = process(
            """
            with store.write() as db:
                db.execute("UPDATE counter SET value = 1")
            with store.write() as db:
                db.execute("UPDATE counter SET value = 2")
                db.execute("INSERT INTO counter VALUES (3)")
                os.kill(os.getpid(), signal.SIGKILL)
            """,
            str(path),
        ).wait()
        with Store(path) as store:
            assert (died, store.rows("SELECT value FROM counter")) == (-signal.SIGKILL, [(1,)])

    def test_processes_that_start_and_write_at_once_lose_nothing(self, tmp_path: Path) -> None:
        """They race for creating the file, for installing the tables and for every write."""
        path = tmp_path / "new" / "s"
        code = """
            for _ in range(100):
                with store.write() as db:
                    (value,) = db.execute("SELECT value FROM counter").fetchone()
                    db.execute("UPDATE counter SET value = ?", (value + 1,))
        """
        ended = [started.wait() for started in [process(code, str(path)) for _ in range(4)]]
        with Store(path) as store:
            assert (ended, store.rows("SELECT value FROM counter")) == ([0, 0, 0, 0], [(400,)])

    def test_a_store_opens_while_another_process_sets_the_file_up(self, tmp_path: Path) -> None:
        """SQLite answers "locked" at once to whoever comes second; the store tries again."""
        path = tmp_path / "s"
        opened: list[str] = []

        def open_store() -> None:
            with Store(path) as store:
                opened.append(store.rows("PRAGMA journal_mode")[0][0])

        first = sqlite3.connect(path, isolation_level=None)
        first.execute("BEGIN IMMEDIATE")
        second = threading.Thread(target=open_store)
        second.start()
        second.join(0.1)
        waiting = not opened
        first.execute("COMMIT")
        first.close()
        second.join()
        assert (waiting, opened) == (True, ["wal"])

    def test_threads_that_write_at_once_lose_nothing(self) -> None:
        """A test or a demonstration may write while the server runs in a thread."""
        with Store(None) as store:
            store.install("test", 1, COUNTER, zero)
            threads = [
                threading.Thread(target=lambda: [add_one(store) for _ in range(200)]) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert store.row("SELECT value FROM counter") == (800,)

    def test_a_writer_gives_up_when_another_never_ends(self, tmp_path: Path) -> None:
        """Nobody waits for ever behind a process that hangs in the middle of a request."""
        with Store(tmp_path / "s") as one, Store(tmp_path / "s", patience=0.01) as other:
            one.install("test", 1, COUNTER, zero)
            with (
                one.write(),
                pytest.raises(sqlite3.OperationalError, match="database is locked"),
                other.write(),
            ):
                raise AssertionError("two writers at once")
            add_one(other)
            assert one.row("SELECT value FROM counter") == (1,)

    def test_only_the_owner_may_read_the_files(self, tmp_path: Path) -> None:
        """The directory is made; the database and the two files SQLite puts beside it are private."""
        path = tmp_path / "a" / "b" / "s"
        before = os.umask(0)
        try:
            with Store(path) as store:
                store.install("test", 1, COUNTER, zero)
                modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
        finally:
            os.umask(before)
        assert modes == {"s": "0o600", "s-shm": "0o600", "s-wal": "0o600"}

    def test_the_first_objects_are_born_once(self, tmp_path: Path) -> None:
        """Installing again, in this process or another one, changes nothing."""
        with Store(tmp_path / "s") as store:
            store.install("test", 1, COUNTER, zero)
            store.install("test", 1, COUNTER, zero)
        with Store(tmp_path / "s") as store:
            store.install("test", 1, COUNTER, zero)
            assert store.rows("SELECT value FROM counter") == [(0,)]

    def test_several_platforms_may_share_a_store(self) -> None:
        """What is installed is told apart by name."""
        with Store(None) as store:
            store.install("test", 1, COUNTER, zero)
            store.install("other", 4, ["CREATE TABLE other (x)"], lambda db: None)
            assert store.rows("SELECT * FROM installed ORDER BY name") == [("other", 4), ("test", 1)]

    def test_tables_of_another_format_are_refused(self, tmp_path: Path) -> None:
        """The message names the file and says what to do."""
        with Store(tmp_path / "s") as store:
            store.install("test", 1, COUNTER, zero)
            with pytest.raises(ValueError) as caught:
                store.install("test", 2, COUNTER, zero)
        assert str(caught.value) == (
            f"{tmp_path / 's'}: the embedded test in this file has format 1, this program writes format 2; "
            "delete the file to start with an empty platform"
        )

    def test_a_birth_that_fails_installs_nothing(self) -> None:
        """There is no such thing as half a platform."""

        def stillborn(db: sqlite3.Connection) -> None:
            raise RuntimeError("not today")

        with Store(None) as store:
            with pytest.raises(RuntimeError, match="not today"):
                store.install("test", 1, COUNTER, stillborn)
            store.install("test", 1, COUNTER, zero)
            assert store.rows("SELECT value FROM counter") == [(0,)]


def refuse(status: int, message: str) -> Answer:
    return Answer(status, json.dumps({"oops": status, "why": message}).encode())


class Thing:
    """A platform with one path, which notes what reaches it."""

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.seen: list[tuple[float, int]] = []
        self.endpoint = Endpoint({"GET": self.read, "PUT": self.write, "DELETE": self.delete}, refuse)

    def read(self, call: Call) -> Answer:
        self.seen.append((call.lag, call.hide))
        return Answer(200, json.dumps({"effects": self.effects}).encode())

    def write(self, call: Call) -> Answer:
        self.effects.append(call.body.decode())
        return Answer(202, b'{"done":true}')

    def delete(self, call: Call) -> Answer:
        return Answer(204, b"")

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        scope["path_params"] = {}
        await self.endpoint(scope, receive, send)


def ask(app: Any, method: str, path: str = "/thing", **more: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://thing") as client:
            return await client.request(method, path, **more)

    return asyncio.run(run())


def told(response: httpx.Response) -> tuple[int, Any, dict[str, str]]:
    return response.status_code, response.json() if response.content else None, dict(response.headers)


def run_app(app: Any, messages: list[dict[str, Any]], **scope: Any) -> list[Any]:
    """What *app* sends when it receives these messages; those that it took are gone from the list."""
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    basis = {"type": "http", "method": "PUT", "path": "/thing", "query_string": b"", "headers": []}
    asyncio.run(app({**basis, **scope}, receive, send))
    return sent


class TestEndpoint:
    def test_an_answer_is_sent_with_type_and_length(self) -> None:
        """It is JSON."""
        assert told(ask(Thing().app, "PUT", content=b"x")) == (
            202,
            {"done": True},
            {"content-type": "application/json", "content-length": "13"},
        )

    def test_a_204_has_neither_body_nor_headers(self) -> None:
        """Not even a length."""
        assert told(ask(Thing().app, "DELETE")) == (204, None, {})

    def test_a_method_without_a_handler_is_refused_in_the_platforms_words(self) -> None:
        """The answer says which methods there are."""
        assert told(ask(Thing().app, "PATCH")) == (
            405,
            {"oops": 405, "why": "PATCH is not allowed here"},
            {"content-type": "application/json", "content-length": "49", "allow": "DELETE, GET, PUT"},
        )

    def test_a_body_in_pieces_is_read_whole(self) -> None:
        """Servers hand a long body over in several messages."""
        thing = Thing()
        pieces = [
            {"type": "http.request", "body": b"one ", "more_body": True},
            {"type": "http.request", "body": b"two ", "more_body": True},
            {"type": "http.request", "body": b"three", "more_body": False},
        ]
        run_app(thing.app, pieces)
        assert thing.effects == ["one two three"]

    @pytest.mark.parametrize("before", [[], [{"type": "http.request", "body": b"half", "more_body": True}]])
    def test_a_client_that_leaves_before_its_body_is_complete_changes_nothing(
        self, before: list[dict[str, Any]]
    ) -> None:
        """Half a request has no effect and no answer."""
        thing = Thing()
        assert (run_app(thing.app, [*before, {"type": "http.disconnect"}]), thing.effects) == ([], [])

    def test_a_call_knows_how_the_platform_is_addressed(self) -> None:
        """Also below a path that it is mounted at; headers are in lower case."""
        seen: list[tuple[Any, ...]] = []

        def read(call: Call) -> Answer:
            seen.append((call.method, call.origin, call.path, dict(call.headers)[b"x-of-mine"]))
            return Answer(200, b"{}")

        endpoint = Endpoint({"GET": read}, refuse)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await endpoint({**scope, "path_params": {}, "root_path": "/mount"}, receive, send)

        ask(app, "GET", "/mount/a%20b?c=d", headers={"X-Of-Mine": "e"})
        assert seen == [("GET", "http://thing/mount", "/a b", b"e")]

    def test_a_query_is_decoded(self) -> None:
        """Empty values count; of a name given twice the last one does; + is a space, %2C a comma."""
        queries: list[dict[str, str]] = []

        def read(call: Call) -> Answer:
            queries.append(call.query)
            return Answer(200, b"{}")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["path_params"] = {}
            await Endpoint({"GET": read}, refuse)(scope, receive, send)

        ask(app, "GET", "/thing?a=1&b=&a=2&c=x+y%2Cz&d=%C3%A9")
        ask(app, "GET", "/thing?")
        assert queries == [{"a": "2", "b": "", "c": "x y,z", "d": "é"}, {}]


ON = "PUT /thing"


class TestFault:
    def test_a_table_spells_a_fault(self) -> None:
        """Keys are the names of the fields."""
        table = {
            "on": "* /api/*",
            "nth": [1, 3],
            "latency": 0.5,
            "status": 503,
            "retry_after": 2,
            "message": "later",
        }
        assert Fault.from_table(table) == Fault(
            on="* /api/*", nth=(1, 3), latency=0.5, status=503, retry_after=2, message="later"
        )

    @pytest.mark.parametrize(
        ("table", "complaint"),
        [
            ({}, 'a fault needs on = "METHOD /path"'),
            ({"on": 4}, 'a fault needs on = "METHOD /path"'),
            (
                {"on": ON, "statsu": 500},
                "fault \"PUT /thing\": unknown key 'statsu'; known are on, nth, every, rate, latency, "
                "status, retry_after, message, drop, lag, hide",
            ),
            (
                {"on": "thing", "status": 500},
                'fault "thing": on must be "METHOD /path", for example "POST /api/v1/things" or "* /api/*"',
            ),
            (
                {"on": "put /thing", "status": 500},
                'fault "put /thing": on must be "METHOD /path", '
                'for example "POST /api/v1/things" or "* /api/*"',
            ),
            ({"on": ON, "status": "500"}, 'fault "PUT /thing": status must be a whole number'),
            ({"on": ON, "status": True}, 'fault "PUT /thing": status must be a whole number'),
            ({"on": ON, "status": 200}, 'fault "PUT /thing": status must be between 400 and 599'),
            ({"on": ON, "status": 500, "nth": 1}, 'fault "PUT /thing": nth must be a list of whole numbers'),
            (
                {"on": ON, "status": 500, "nth": [1.5]},
                'fault "PUT /thing": nth must be a list of whole numbers',
            ),
            ({"on": ON, "status": 500, "nth": []}, 'fault "PUT /thing": nth must name calls, from 1 on'),
            ({"on": ON, "status": 500, "nth": [1, 0]}, 'fault "PUT /thing": nth must name calls, from 1 on'),
            ({"on": ON, "status": 500, "every": 0}, 'fault "PUT /thing": every must be at least 1'),
            ({"on": ON, "status": 500, "rate": 1.1}, 'fault "PUT /thing": rate must be between 0 and 1'),
            (
                {"on": ON, "status": 500, "rate": 0.5, "every": 2},
                'fault "PUT /thing": give one of nth, every and rate',
            ),
            ({"on": ON, "latency": -1}, 'fault "PUT /thing": latency must be a number of seconds'),
            ({"on": ON, "latency": float("inf")}, 'fault "PUT /thing": latency must be a number of seconds'),
            ({"on": ON, "latency": "1s"}, 'fault "PUT /thing": latency must be a number'),
            ({"on": ON, "status": 500, "drop": "after"}, 'fault "PUT /thing": give status or drop, not both'),
            (
                {"on": ON, "latency": 1, "retry_after": 1},
                'fault "PUT /thing": retry_after and message need a status',
            ),
            (
                {"on": ON, "status": 429, "retry_after": -1},
                'fault "PUT /thing": retry_after must be a number of seconds',
            ),
            ({"on": ON, "drop": "during"}, 'fault "PUT /thing": drop must be "before" or "after"'),
            ({"on": ON, "lag": 3601}, 'fault "PUT /thing": lag must be between 0 and 3600 seconds'),
            ({"on": ON, "hide": -1}, 'fault "PUT /thing": hide must not be negative'),
            ({"on": ON}, 'fault "PUT /thing": give one of latency, status, drop, lag and hide'),
        ],
    )
    def test_a_table_that_cannot_mean_anything_is_refused(
        self, table: dict[str, object], complaint: str
    ) -> None:
        """The message names the rule and what to write instead."""
        with pytest.raises(ValueError) as caught:
            Fault.from_table(table)
        assert str(caught.value) == complaint


def struck(faults: Faults, calls: int, method: str = "PUT", path: str = "/thing") -> list[int | None]:
    return [faults.strike(method, path).status for _ in range(calls)]


class TestFaults:
    def test_nth_counts_the_calls_of_its_own_rule(self) -> None:
        """Calls that the rule is not about do not count."""
        faults = Faults([Fault(ON, nth=(1, 3), status=500)])
        other = faults.strike("GET", "/thing")
        assert (struck(faults, 4), other, faults.counts) == ([500, None, 500, None], Effect(), (4,))

    def test_every_fires_again_and_again(self) -> None:
        """The first time at the N-th call."""
        fired = struck(Faults([Fault(ON, every=3, status=500)]), 7)
        assert fired == [None, None, 500, None, None, 500, None]

    def test_a_rate_is_drawn_from_the_seed(self) -> None:
        """The same seed gives the same faults, another seed others; 0 is never and 1 always."""

        def drawn(seed: int, rate: float) -> list[int | None]:
            return struck(Faults([Fault(ON, rate=rate, status=500)], seed=seed), 200)

        fired = drawn(1, 0.25).count(500)
        assert (
            drawn(1, 0.25) == drawn(1, 0.25),
            drawn(1, 0.25) == drawn(2, 0.25),
            30 < fired < 70,
            set(drawn(1, 0)),
            set(drawn(1, 1)),
        ) == (True, False, True, {None}, {500})

    def test_a_rule_draws_alone(self) -> None:
        """Adding a rule does not change when the one before it fires, and it fires at other times."""
        rule, other = Fault(ON, rate=0.5, status=500), Fault(ON, rate=0.5, latency=1)
        both = Faults([rule, other])
        effects = [both.strike("PUT", "/thing") for _ in range(50)]
        alone = struck(Faults([rule]), 50)
        together = [bool(effect.latency) for effect in effects]
        assert [effect.status for effect in effects] == alone
        assert together != [status == 500 for status in alone]

    @pytest.mark.parametrize(
        ("on", "matching"),
        [
            ("PUT /thing", ["PUT /thing"]),
            ("* /thing", ["GET /thing", "PUT /thing"]),
            ("PUT /thing/*", ["PUT /thing/1", "PUT /thing/1/part"]),
            ("PUT /thing/?", ["PUT /thing/1"]),
            ("* *", ["GET /thing", "PUT /thing", "PUT /thing/1", "PUT /thing/1/part", "PUT /things"]),
        ],
    )
    def test_a_rule_matches_method_and_whole_path(self, on: str, matching: list[str]) -> None:
        """A star in the path crosses slashes; nothing matches the beginning only."""
        calls = ["GET /thing", "PUT /thing", "PUT /thing/1", "PUT /thing/1/part", "PUT /things"]
        faults = Faults([Fault(on, status=500)])
        assert [call for call in calls if faults.strike(*call.split(" ")).status] == matching

    def test_rules_that_fire_together_are_combined(self) -> None:
        """Latencies add up, the largest lag and hide hold, the first failure decides."""
        faults = Faults(
            [
                Fault(ON, latency=1, lag=5),
                Fault(ON, status=429, retry_after=3, message="slow down", hide=2),
                Fault(ON, drop="after", latency=2, lag=1, hide=1),
            ]
        )
        assert faults.strike("PUT", "/thing") == Effect(
            latency=3, status=429, retry_after=3, message="slow down", lag=5, hide=2
        )

    def test_no_rule_no_effect(self) -> None:
        """The app behaves as without faults."""
        thing = Thing()
        app = Faults().around(thing.app, refuse=refuse)
        assert (ask(app, "PUT", content=b"x").status_code, thing.effects) == (202, ["x"])

    def test_a_status_is_answered_instead_of_the_effect(self) -> None:
        """In the platform's words, with Retry-After."""
        thing = Thing()
        rule = Fault(ON, status=429, retry_after=7, message="too many")
        app = Faults([rule]).around(thing.app, refuse=refuse)
        assert (told(ask(app, "PUT", content=b"x")), thing.effects) == (
            (
                429,
                {"oops": 429, "why": "too many"},
                {"content-type": "application/json", "content-length": "32", "retry-after": "7"},
            ),
            [],
        )

    @pytest.mark.parametrize(("status", "message"), [(503, "Service Unavailable"), (599, "status 599")])
    def test_a_status_without_a_message_says_its_name(self, status: int, message: str) -> None:
        """Or its number, when it has no name."""
        app = Faults([Fault(ON, status=status)]).around(Thing().app, refuse=refuse)
        assert ask(app, "PUT").json() == {"oops": status, "why": message}

    def test_latency_comes_first(self) -> None:
        """The effect happens after the wait."""
        thing = Thing()
        events: list[tuple[float, list[str]]] = []

        async def sleep(seconds: float) -> None:
            events.append((seconds, list(thing.effects)))

        app = Faults([Fault(ON, latency=0.25)]).around(thing.app, refuse=refuse, sleep=sleep)
        status = ask(app, "PUT", content=b"x").status_code
        assert (status, events, thing.effects) == (202, [(0.25, [])], ["x"])

    @pytest.mark.parametrize(("drop", "effects"), [("before", []), ("after", ["x"])])
    def test_a_dropped_connection_raises_within_the_process(self, drop: Any, effects: list[str]) -> None:
        """Before the effect, or after it: the caller cannot tell."""
        thing = Thing()
        app = Faults([Fault(ON, drop=drop)]).around(thing.app, refuse=refuse)
        with pytest.raises(DroppedConnection) as caught:
            ask(app, "PUT", content=b"x")
        assert (str(caught.value), thing.effects) == (
            f"connection lost {drop} the effect of PUT /thing",
            effects,
        )

    @pytest.mark.parametrize("what", [{"status": 500}, {"drop": "before"}, {"drop": "after"}])
    def test_a_request_is_read_to_its_end_whatever_comes_of_it(self, what: dict[str, Any]) -> None:
        """A socket closed before that would be reset instead."""
        pieces: list[dict[str, Any]] = [
            {"type": "http.request", "body": b"x", "more_body": True},
            {"type": "http.request", "body": b"y", "more_body": False},
        ]
        faults = Faults([Fault(ON, **what)])
        run_app(faults.around(Thing().app, refuse=refuse, cut_connections=True), pieces)
        assert pieces == []

    def test_lag_and_hide_reach_the_platform_for_this_call_only(self) -> None:
        """The platform decides what they mean; the next call is not affected."""
        thing = Thing()
        app = Faults([Fault("GET /thing", nth=(1,), lag=1.5, hide=2)]).around(thing.app, refuse=refuse)
        statuses = [ask(app, "GET").status_code for _ in range(2)]
        assert (statuses, thing.seen) == ([200, 200], [(1.5, 2), (0.0, 0)])

    def test_a_rule_sees_the_path_below_the_mount(self) -> None:
        """Rules do not change when the platform is served under a prefix."""
        thing = Thing()
        app = Faults([Fault(ON, status=500)]).around(thing.app, refuse=refuse)
        message = {"type": "http.request", "body": b"x", "more_body": False}
        sent = run_app(app, [message], path="/runai/thing", root_path="/runai")
        assert (sent[0]["status"], thing.effects) == (500, [])

    def test_what_is_not_a_request_passes(self) -> None:
        """The server's own life-cycle messages are not faulty."""
        seen: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["type"])

        run_app(Faults([Fault("* *", drop="before")]).around(app, refuse=refuse), [], type="lifespan")
        assert seen == ["lifespan"]


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address at which uvicorn serves *app*."""
    # Named as TCP, or asyncio does not switch Nagle's algorithm off and every answer waits 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # from here on a client may connect; it waits until the server is up
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_config=None))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class TestServed:
    """Behind a real socket."""

    @pytest.mark.parametrize(("drop", "effects"), [("before", []), ("after", ["x"])])
    def test_a_dropped_connection_is_a_broken_socket(self, drop: Any, effects: list[str]) -> None:
        """The client gets no complete answer, and the next request on a new connection works."""
        thing = Thing()
        faults = Faults([Fault(ON, nth=(1,), drop=drop)])
        app = faults.around(thing.app, refuse=refuse, cut_connections=True)
        with served(app) as url, httpx.Client(base_url=url) as client:
            with pytest.raises(httpx.RemoteProtocolError) as caught:
                client.put("/thing", content=b"x")
            lost = list(thing.effects)
            after = told(client.get("/thing"))[:2]
        assert (lost, after) == (effects, (200, {"effects": effects}))
        assert str(caught.value) == (
            "peer closed connection without sending complete message body (received 0 bytes, expected 1)"
        )

    def test_the_connection_is_really_closed(self) -> None:
        """Seen from below HTTP: the end of the stream comes, not a wait."""
        app = Faults([Fault("* *", drop="before")]).around(Thing().app, refuse=refuse, cut_connections=True)
        with served(app) as url:
            host, port = url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=30) as raw:
                raw.sendall(b"GET /thing HTTP/1.1\r\nhost: x\r\n\r\n")
                received = b"".join(iter(lambda: raw.recv(4096), b""))
        head, _, body = received.partition(b"\r\n\r\n")
        assert (head.startswith(b"HTTP/1.1 200"), b"content-length: 1" in head, body) == (True, True, b"")
