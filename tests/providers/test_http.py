"""The HTTP client against real sockets: what is sent, what is repeated, what is said, and what never is."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import json
import logging
import re
import socket
import ssl
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import (
    CUT,
    NEVER,
    NOW,
    TRICKLE,
    Authority,
    Keys,
    Lab,
    Proxy,
    Reply,
    Request,
    Server,
    Timeless,
    failing,
    refusal,
    run,
    serving,
    timeless,
)

from reconciler.engine.secrets import Secrets
from reconciler.errors import (
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
from reconciler.providers.http import (
    ATTEMPTS,
    LONGEST_WAIT,
    Answer,
    HttpClient,
    Token,
    embedded_transport,
    trust,
)

PATH = "/api/things"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Clients with no secrets yet."""
    return Lab(Secrets(tmp_path, {}))


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no authority of the developer's own."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


# --- what is sent --------------------------------------------------------------------------------------


def test_a_request_is_sent_as_it_was_meant(lab: Lab) -> None:
    """Method, path, query, body, type, user agent and what is accepted."""

    async def check() -> None:
        async with serving(Reply()) as server, lab.client(server.url) as client:
            assert await client.get(PATH, {"name": "a b&c", "scope": "tenant"}) == b'{"ok":true}'
            await client.request("PUT", PATH, body=b"{}")
            await client.request("POST", PATH, body=b"a=b", content_type="application/x-www-form-urlencoded")
        keep = ("user-agent", "accept", "content-type", "authorization", "host")
        assert [
            (one.method, one.target, one.body, {k: v for k, v in one.headers.items() if k in keep})
            for one in server.requests
        ] == [
            ("GET", f"{PATH}?name=a+b%26c&scope=tenant", b"", common(server)),
            ("PUT", PATH, b"{}", {**common(server), "content-type": "application/json"}),
            ("POST", PATH, b"a=b", {**common(server), "content-type": "application/x-www-form-urlencoded"}),
        ]

    def common(server: Server) -> dict[str, str]:
        host = f"127.0.0.1:{server.port}"
        return {"user-agent": "reconciler/test", "accept": "application/json", "host": host}

    run(check())


@pytest.mark.parametrize("prefix", ["", "/", "/runai", "/a/b/"])
def test_the_address_may_have_a_path(lab: Lab, prefix: str) -> None:
    """A prefix goes in front of every path, with one slash between."""

    async def check() -> None:
        async with serving(Reply()) as server, lab.client(server.url + prefix) as client:
            await client.get(PATH)
        assert server.asked == [f"GET {prefix.rstrip('/')}{PATH}"]

    run(check())


@pytest.mark.parametrize("part", ["a%2Fb", "a%3Fb%23c", "100%25", "%20", "%C3%A9", "plain-1.2_3~"])
def test_an_encoded_id_arrives_as_it_was_encoded(lab: Lab, part: str) -> None:
    """Neither decoded nor encoded again: a slash in an id is not a path."""

    async def check() -> None:
        async with serving(Reply()) as server, lab.client(server.url + "/runai") as client:
            await client.request("DELETE", f"{PATH}/{part}")
        assert server.asked == [f"DELETE /runai{PATH}/{part}"]

    run(check())


def test_an_ipv6_address_is_spoken_to(lab: Lab) -> None:
    """With brackets in the address, and a port."""

    async def check() -> None:
        async with (
            serving(Reply(), host="::1") as server,
            lab.client(f"http://[::1]:{server.port}/runai") as client,
        ):
            await client.get(PATH)
        assert (server.asked, server.requests[0].headers["host"]) == (
            [f"GET /runai{PATH}"],
            f"[::1]:{server.port}",
        )

    run(check())


def test_headers_go_both_ways(lab: Lab) -> None:
    """Those that a platform asks for, and those that it answers with; none of them is shown."""

    async def check() -> None:
        reply = Reply(headers=(("Location", "/operations/1"), ("X-Ms-Meta-State", "done")))
        async with serving(reply) as server, lab.client(server.url) as client:
            answer = await client.request("PUT", PATH, headers={"x-ms-version": "2021-08-06"})
            assert server.requests[0].headers["x-ms-version"] == "2021-08-06"
            assert answer.headers["location"] == "/operations/1"
            assert answer.headers["x-ms-meta-state"] == "done"
            assert "operations" not in repr(answer)

    run(check())


@pytest.mark.parametrize("name", ["x-request-id", "x-ms-request-id", "x-ms-correlation-request-id"])
def test_the_servers_id_for_a_request_is_told(lab: Lab, name: str) -> None:
    """Under whichever name it comes: it is what a support desk asks for."""

    async def check() -> None:
        reply = Reply(400, b"{}", ((name, "req-7"),))
        async with serving(reply) as server, lab.client(server.url) as client:
            error = await failing(client.get(PATH))
            assert error.request_id == "req-7"
            assert "(request req-7)" in str(error)

    run(check())


def test_another_host_is_asked_by_its_whole_address(lab: Lab) -> None:
    """As a token call needs it; without our token."""

    async def check() -> None:
        async with serving(Reply()) as here, serving(Reply()) as there:
            async with lab.client(here.url, sign_in=Keys()) as client:
                await client.request("GET", f"{there.url}/token", signed=False)
            assert (here.asked, there.asked) == ([], ["GET /token"])
            assert "authorization" not in there.requests[0].headers

    run(check())


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "[fe80::1]"])
def test_what_only_this_machine_can_ask_is_asked_without_a_proxy(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Itself, and the metadata service of its cloud: a proxy that cannot be used does not matter there."""
    monkeypatch.setenv("HTTP_PROXY", "ftp://proxy.example.com")

    async def check() -> None:
        async with lab.client(f"http://{host}"):
            pass
        with pytest.raises(Rejected, match="proxy"):
            async with lab.client("http://198.51.100.1"):
                pass

    run(check())


def test_a_compressed_answer_is_read(lab: Lab) -> None:
    """As any answer."""

    async def check() -> None:
        reply = Reply(body=gzip.compress(b"[1]"), headers=(("content-encoding", "gzip"),))
        async with serving(reply) as server, lab.client(server.url) as client:
            assert await client.get(PATH) == b"[1]"

    run(check())


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_is_an_answer(lab: Lab, status: int) -> None:
    """With its status and its body."""

    async def check() -> None:
        body = b"" if status == 204 else b"[]"
        async with serving(Reply(status, body)) as server, lab.client(server.url) as client:
            assert await client.request("DELETE", PATH) == Answer(status, body)

    run(check())


# --- what is said about errors -------------------------------------------------------------------------

ERRORS = [
    (400, Rejected),
    (401, Unauthenticated),
    (402, Rejected),
    (403, Forbidden),
    (404, NotFound),
    (405, Rejected),
    (409, AlreadyExists),
    (412, InUse),
    (413, Rejected),
    (415, Rejected),
    (422, Rejected),
    (429, Unavailable),
    (500, (Unavailable, OutcomeUnknown)),
    (501, (Rejected, OutcomeUnknown)),
    (502, (Unavailable, OutcomeUnknown)),
    (503, (Unavailable, OutcomeUnknown)),
    (504, (Unavailable, OutcomeUnknown)),
    (520, (Unavailable, OutcomeUnknown)),
    (599, (Rejected, OutcomeUnknown)),
    (301, Rejected),
    (304, Rejected),
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_each_status_has_its_error(lab: Lab, status: int, kind: Any, method: str) -> None:
    """Which says platform, call, status, request id and the server's own words."""
    if isinstance(kind, tuple):
        kind = kind[0] if method == "GET" else kind[1]

    async def check() -> None:
        reply = refusal(status, "the platform's words", x_request_id="req-7")
        if status == 304:
            reply = Reply(status, b"", reply.headers)
        async with serving(reply) as server, lab.client(server.url) as client:
            error = await failing(client.request(method, PATH))
        words = "" if status == 304 else ": the platform's words"
        assert (type(error), error.platform, error.call, error.status, error.request_id, str(error)) == (
            kind,
            "runai",
            f"{method} {PATH}",
            status,
            "req-7",
            f"runai: {method} {PATH} answered {status}{words} (request req-7)",
        )

    run(check())


HTML = b"<html><body><h1>404 page not found</h1>nginx/1.25 secret-path</body></html>"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(
            b'{"code":400,"message":"bad\\u001b[31m red\\r\\nline"}', ": bad [31m red line", id="control"
        ),
        pytest.param(b'{"code":400,"message":"a\\u202eb\\u2066c\\u2028d"}', ": a b c d", id="direction"),
        pytest.param(json.dumps({"message": "x" * 5000}).encode(), ": " + "x" * 299 + "…", id="long"),
        pytest.param(json.dumps({"message": "y" * 300}).encode(), ": " + "y" * 300, id="just fits"),
        pytest.param(b'{"message":"no","spec":{"password":"hunter2hunter2"}}', ": no", id="other fields"),
        pytest.param(HTML, "", id="HTML"),
        pytest.param(b"", "", id="empty"),
        pytest.param(b"\xff\xfe\x00", "", id="not text"),
        pytest.param(b"[1, 2]", "", id="no object"),
        pytest.param(b'{"message": "cut off', "", id="torn"),
        pytest.param(b'{"message":"   "}', "", id="blank"),
    ],
)
def test_the_servers_words_are_vetted(lab: Lab, body: bytes, shown: str) -> None:
    """One line, short, without what a terminal would obey, and nothing else of the body."""

    async def check() -> None:
        async with serving(Reply(400, body)) as server, lab.client(server.url) as client:
            assert str(await failing(client.get(PATH))) == f"runai: GET {PATH} answered 400{shown}"

    run(check())


SECRETS = [
    "hunter2hunter2",
    'with "quotes" and \\ backslash',
    "-----BEGIN KEY-----\nAAAA\nBBBB\n-----END KEY-----",
    "tab\tand bell\x07 inside",
    "ümläut-pässword",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_the_server_repeats_is_masked(lab: Lab, secret: str) -> None:
    """In its words and in the request id, also one of several lines."""
    lab.secrets.learn(secret)

    async def check() -> None:
        message = f"keyValuePairs[0].value: {secret} is not allowed"
        request_id = "id-" + (secret if secret.isascii() and secret.isprintable() else "x")
        async with (
            serving(refusal(400, message, x_request_id=request_id)) as server,
            lab.client(server.url) as client,
        ):
            error = await failing(client.request("POST", PATH, body=b"{}"))
        text = f"{error} {error.hint} {error.request_id}"
        assert "keyValuePairs[0].value: (secret) is not allowed" in text
        for piece in (secret, " ".join(secret.split()), secret.split("\n")[0]):
            assert piece not in text

    run(check())


def test_a_secret_is_masked_before_the_text_is_cut(lab: Lab) -> None:
    """A secret on the edge leaves no half behind."""
    lab.secrets.learn("s3cret-" + "q" * 40)

    async def check() -> None:
        message = "x" * 280 + "s3cret-" + "q" * 40
        async with serving(refusal(400, message)) as server, lab.client(server.url) as client:
            assert "s3cret" not in str(await failing(client.get(PATH)))

    run(check())


def test_headers_are_never_quoted(lab: Lab) -> None:
    """Neither the location of a redirect nor any other; the request id alone, vetted."""

    async def check() -> None:
        reply = refusal(
            302,
            "moved",
            location="https://elsewhere.example/?token=abc",
            x_secret="abc",
            x_request_id="r" * 999,
        )
        async with serving(reply) as server, lab.client(server.url) as client:
            error = await failing(client.get(PATH))
        assert "example" not in f"{error} {error.hint}"
        assert "abc" not in f"{error} {error.hint}"
        assert len(error.request_id) == 300

    run(check())


@pytest.mark.parametrize("body", [HTML, b"", b"404 page not found", b'{"message":"no Route matched"}'])
def test_a_404_of_something_on_the_way_proves_nothing_gone(lab: Lab, body: bytes) -> None:
    """A gateway that lost its way must not make an object look deleted."""

    async def check() -> None:
        async with serving(Reply(404, body)) as server, lab.client(server.url) as client:
            error = await failing(client.get(PATH))
        assert (type(error), error.status) == (Rejected, 404)
        assert "not the platform's own answer" in error.hint

    run(check())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_is_not_followed(lab: Lab, status: int, method: str) -> None:
    """The token would go where nobody configured it to go."""

    async def check() -> None:
        async with serving(Reply()) as other:
            away = refusal(status, "", location=f"{other.url}/stolen")
            async with serving(away) as server, lab.client(server.url, sign_in=Keys()) as client:
                error = await failing(client.request(method, PATH))
            assert (len(server.requests), other.requests) == (1, [])
            assert "`endpoint` has to be the platform's own" in error.hint

    run(check())


# --- what is repeated ----------------------------------------------------------------------------------

BACKOFF = [0.25, 0.5, 1.0, 2.0]
"""The waits of four retries, when chance is at its end."""

UNDECODABLE = Reply(body=b"not gzip at all", headers=(("content-encoding", "gzip"),))
TROUBLES = [
    pytest.param(refusal(500), id="500"),
    pytest.param(refusal(502), id="502"),
    pytest.param(refusal(503), id="503"),
    pytest.param(refusal(504), id="504"),
    pytest.param(refusal(524), id="a proxy's 524"),
    pytest.param(CUT, id="no answer"),
    pytest.param(Reply(body=b'{"entries":[', missing=50), id="cut off in the middle of a body"),
    pytest.param(Reply(status=202, body=b"", missing=5), id="cut off before the body"),
    pytest.param(UNDECODABLE, id="not what the header says"),
]


@pytest.mark.parametrize("trouble", [*TROUBLES, pytest.param(refusal(429), id="429")])
def test_a_read_is_repeated_until_it_is_answered(lab: Lab, trouble: Reply | str) -> None:
    """With waits that double."""

    async def check() -> None:
        async with serving(trouble, trouble, Reply(body=b"[7]")) as server, lab.client(server.url) as client:
            assert await client.get(PATH) == b"[7]"
        assert (server.asked, lab.waits) == ([f"GET {PATH}"] * 3, BACKOFF[:2])

    run(check())


@pytest.mark.parametrize("trouble", [*TROUBLES, pytest.param(refusal(429), id="429")])
def test_a_read_is_given_up_in_the_end(lab: Lab, trouble: Reply | str) -> None:
    """After a few attempts, with the last answer as the error."""

    async def check() -> None:
        async with serving(trouble) as server, lab.client(server.url) as client:
            error = await failing(client.get(PATH))
        assert (type(error), len(server.requests), lab.waits) == (Unavailable, ATTEMPTS, BACKOFF)
        assert error.hint

    run(check())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_write_that_may_have_happened_is_never_repeated(
    lab: Lab, trouble: Reply | str, method: str
) -> None:
    """The server sees it once, and whoever asked is told that nobody knows."""

    async def check() -> None:
        async with serving(trouble) as server, lab.client(server.url) as client:
            error = await failing(client.request(method, PATH, body=b'{"name":"a"}'))
        assert (type(error), server.asked, lab.waits) == (OutcomeUnknown, [f"{method} {PATH}"], [])
        assert (error.platform, error.call) == ("runai", f"{method} {PATH}")

    run(check())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_write_is_repeated_after_429(lab: Lab, method: str) -> None:
    """Refused for its rate, it had no effect."""

    async def check() -> None:
        slow = refusal(429, retry_after="3")
        async with serving(slow, slow, Reply(202)) as server, lab.client(server.url) as client:
            await client.request(method, PATH, body=b"{}")
        assert (server.asked, lab.waits) == ([f"{method} {PATH}"] * 3, [3.0, 3.0])
        assert {one.body for one in server.requests} == {b"{}"}

    run(check())


@pytest.mark.parametrize(
    "status", [status for status, kind in ERRORS if kind is not Unavailable and status < 500]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refusal_is_not_repeated(lab: Lab, status: int, method: str) -> None:
    """It would be refused again."""

    async def check() -> None:
        async with serving(refusal(status, retry_after="1")) as server, lab.client(server.url) as client:
            await failing(client.request(method, PATH))
        assert (len(server.requests), lab.waits) == (1, [])

    run(check())


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_refused_connection_is_tried_again(lab: Lab, method: str) -> None:
    """Nothing was sent, so a write is safe too: it arrives once, when the server is back."""

    async def check() -> None:
        port = free_port()
        server = Server([Reply(202)])
        started: list[Any] = []

        async def start() -> None:
            if len(lab.waits) == 2:
                back = serving(port=port, server=server)
                started.append(back)
                await back.__aenter__()

        lab.on_wait = start
        async with lab.client(f"http://127.0.0.1:{port}") as client:
            await client.request(method, PATH, body=b"{}")
        await started[0].__aexit__(None, None, None)
        assert (server.asked, lab.waits) == ([f"{method} {PATH}"], BACKOFF[:2])

    run(check())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_platform_that_nobody_reaches_is_named(lab: Lab, method: str) -> None:
    """With its address, the reason, and what to look at; it certainly did not happen."""

    async def check() -> None:
        port = free_port()
        async with lab.client(f"http://127.0.0.1:{port}/runai") as client:
            error = await failing(client.request(method, PATH))
        assert (type(error), str(error), error.call, error.hint, len(lab.waits)) == (
            Unavailable,
            f"runai (127.0.0.1:{port}): cannot connect: Connection refused",
            f"{method} {PATH}",
            "Check `endpoint` in reconciler.toml, the network and the proxy.",
            ATTEMPTS - 1,
        )

    run(check())


def test_a_name_that_does_not_resolve_says_so(lab: Lab) -> None:
    """As far as the resolver tells."""

    async def check() -> None:
        async with lab.client("https://tenant.invalid") as client:
            error = await failing(client.request("POST", PATH))
        assert isinstance(error, Unavailable)
        assert re.match(r"runai \(tenant\.invalid\): cannot connect: \w", str(error))

    run(check())


@pytest.mark.parametrize("address", ["https://a..example", "https://" + "x" * 70 + ".example"])
def test_an_address_that_cannot_be_is_an_error_of_ours(lab: Lab, address: str) -> None:
    """Not an internal one, and not a write whose outcome is unknown."""

    async def check() -> None:
        async with lab.client(address) as client:
            error = await failing(client.request("POST", PATH))
        assert isinstance(error, Rejected | Unavailable)
        assert "endpoint" in error.hint

    run(check())


@pytest.mark.parametrize(
    "address", ["https://tenant.example:no", "https://tenant.example:99999", "http://[::1"]
)
def test_an_address_that_is_none_is_refused_at_once(lab: Lab, address: str) -> None:
    """Before anything is sent."""

    async def check() -> None:
        async with lab.client(address):
            pass

    with pytest.raises(Rejected, match="runai: its address cannot be used") as caught:
        run(check())
    assert caught.value.hint == "Check `endpoint` in reconciler.toml."


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own time is that of Tokyo."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("0.5", 0.5, id="a fraction"),
        pytest.param(" 12 ", 12.0, id="blanks"),
        pytest.param(
            format_datetime(dt.datetime.fromtimestamp(NOW + 42, dt.UTC), usegmt=True), 42.0, id="a date"
        ),
        pytest.param(
            format_datetime(dt.datetime.fromtimestamp(NOW - 42, dt.UTC), usegmt=True), 0.25, id="past"
        ),
        pytest.param(
            dt.datetime.fromtimestamp(NOW + 42, dt.UTC).strftime("%A, %d-%b-%y %H:%M:%S GMT"),
            42.0,
            id="an old date",
        ),
        pytest.param(dt.datetime.fromtimestamp(NOW + 42, dt.UTC).ctime(), 42.0, id="the oldest date"),
        pytest.param("3600", LONGEST_WAIT, id="too long"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT, id="a date too far"),
        pytest.param("1e999", LONGEST_WAIT, id="endless"),
        pytest.param("0", 0.25, id="nothing"),
        pytest.param("-5", 0.25, id="less than nothing"),
        pytest.param("nan", 0.25, id="not a number"),
        pytest.param("soon", 0.25, id="a word"),
        pytest.param("Mon, 99 Foo 2020 00:00:00 GMT", 0.25, id="no date"),
        pytest.param("", 0.25, id="empty"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.usefixtures("far_from_utc")
def test_retry_after_is_honoured_within_reason(lab: Lab, header: str, waited: float, status: int) -> None:
    """In seconds or as a date; what makes no sense counts as not said."""

    async def check() -> None:
        async with (
            serving(refusal(status, retry_after=header), Reply()) as server,
            lab.client(server.url) as client,
        ):
            await client.get(PATH)
        assert lab.waits == [pytest.approx(waited)]

    run(check())


def test_the_error_of_a_busy_platform_says_when_to_come_back(lab: Lab) -> None:
    """For whoever decides what to do next; and how to ask less often."""

    async def check() -> None:
        async with serving(refusal(429, retry_after="90")) as server, lab.client(server.url) as client:
            error = await failing(client.get(PATH))
        assert isinstance(error, Unavailable)
        assert error.retry_after == 90.0
        assert "max_concurrency" in error.hint

    run(check())


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_backoff_has_jitter(lab: Lab, chance: float, factor: float) -> None:
    """So that many clients do not come back at the same time."""

    async def check() -> None:
        async with serving(refusal(503)) as server, lab.client(server.url, random=lambda: chance) as client:
            await failing(client.get(PATH))
        assert lab.waits == [wait * factor for wait in BACKOFF]

    run(check())


@given(header=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
@settings(max_examples=150, deadline=None)
def test_no_retry_after_breaks_anything(header: str) -> None:
    """Whatever a server writes there, the wait is between nothing and the longest."""
    waits: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        first = not waits
        headers = [(b"retry-after", header.encode())] if first else []
        await send({"type": "http.response.start", "status": 503 if first else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"[]"})

    async def check() -> None:
        lab = Lab(Secrets(Path(), {}), waits)
        async with lab.client("http://embedded", transport=embedded_transport(app)) as client:
            await client.get(PATH)

    asyncio.run(check())
    assert len(waits) == 1
    assert 0 < waits[0] <= LONGEST_WAIT


# --- connections ---------------------------------------------------------------------------------------


def test_a_connection_is_used_again(lab: Lab) -> None:
    """One after the other, requests share one."""

    async def check() -> None:
        async with serving(Reply()) as server, lab.client(server.url) as client:
            for _ in range(5):
                await client.get(PATH)
        assert (len(server.requests), server.connections) == (5, 1)

    run(check())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_connection_that_the_server_gave_up_is_not_written_to(lab: Lab, method: str) -> None:
    """An idle one is closed by every server some day: a write goes out on a new one, once."""

    async def check() -> None:
        gone = Reply(then_close=True)
        async with serving(gone, gone, Reply(202)) as server, lab.client(server.url) as client:
            await client.get(PATH)
            await asyncio.sleep(0.05)  # the end of the connection arrives
            await client.request(method, PATH, body=b"{}")
        assert (server.asked, server.connections, lab.waits) == ([f"GET {PATH}", f"{method} {PATH}"], 2, [])

    run(check())


def test_a_write_on_a_connection_that_dies_under_it_is_not_doubled(lab: Lab) -> None:
    """The race that cannot be won: the server closes when the request is on its way. It is sent once."""

    async def check() -> None:
        async with serving(Reply(), CUT, Reply(202)) as server, lab.client(server.url) as client:
            await client.get(PATH)
            error = await failing(client.request("POST", PATH, body=b"{}"))
        assert (type(error), server.asked) == (OutcomeUnknown, [f"GET {PATH}", f"POST {PATH}"])

    run(check())


def test_no_more_requests_are_under_way_than_the_platform_takes(lab: Lab) -> None:
    """Whatever the engine's own parallelism is."""

    async def check() -> None:
        gate = asyncio.Event()
        async with (
            serving(Reply(hold=gate)) as server,
            lab.client(server.url, concurrency=3) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(12):
                tasks.create_task(client.get(PATH))
            await server.was_asked(3)
            await asyncio.sleep(0.05)  # room for a fourth to show itself
            assert server.at_once == 3
            gate.set()
        assert (len(server.requests), server.most_at_once, server.connections) == (12, 3, 3)

    run(check())


def test_who_waits_before_a_retry_takes_no_place(lab: Lab) -> None:
    """While one request waits for the platform to recover, another goes through."""

    async def check() -> None:
        waiting, go_on = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            waiting.set()
            await go_on.wait()

        lab.on_wait = wait
        async with (
            serving(refusal(503), Reply()) as server,
            lab.client(server.url, concurrency=1) as client,
            asyncio.TaskGroup() as tasks,
        ):
            slow = tasks.create_task(client.get(PATH))
            await waiting.wait()
            assert await client.get("/other") == b'{"ok":true}'
            assert not slow.done()
            go_on.set()
        assert server.asked == [f"GET {PATH}", "GET /other", f"GET {PATH}"]

    run(check())


def test_a_request_that_is_cancelled_leaves_the_client_whole(lab: Lab) -> None:
    """Its place and its connection are given back, and a later answer is not taken for another's."""

    async def check() -> None:
        gate = asyncio.Event()
        late = Reply(body=b"late", hold=gate)
        async with (
            serving(late, Reply(body=b"mine")) as server,
            lab.client(server.url, concurrency=1) as client,
        ):
            task = asyncio.create_task(client.get(PATH))
            await server.was_asked(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gate.set()
            assert await client.get("/mine") == b"mine"
        assert (server.asked, server.connections) == ([f"GET {PATH}", "GET /mine"], 2)

    run(check())


def test_a_slow_read_is_asked_again(lab: Lab) -> None:
    """When no answer comes in time."""

    async def check() -> None:
        async with serving(NEVER, Reply()) as server, lab.client(server.url, timeout=0.25) as client:
            await client.get(PATH)
        assert (len(server.requests), lab.waits) == (2, BACKOFF[:1])

    run(check())


def test_a_slow_write_is_not_sent_again(lab: Lab) -> None:
    """It may be happening at this moment."""

    async def check() -> None:
        async with serving(NEVER) as server, lab.client(server.url, timeout=0.25) as client:
            error = await failing(client.request("POST", PATH, body=b"{}"))
        assert (type(error), str(error), len(server.requests)) == (
            OutcomeUnknown,
            f"runai: POST {PATH}: no answer in time",
            1,
        )

    run(check())


def test_an_answer_that_never_ends_is_given_up(lab: Lab) -> None:
    """A byte now and then keeps no command alive for ever."""

    async def check() -> None:
        async with serving(TRICKLE) as server, lab.client(server.url, timeout=0.1) as client:
            error = await failing(client.request("DELETE", PATH))
        assert (type(error), len(server.requests)) == (OutcomeUnknown, 1)

    run(check())


# --- time that passes by itself ------------------------------------------------------------------------


class App:
    """A platform in this process that notes when it was asked, and takes its time."""

    def __init__(self, loop: Timeless, seconds: float = 0.0) -> None:
        self.loop = loop
        self.seconds = seconds
        self.times: list[float] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.times.append(round(self.loop.now, 3))
        await asyncio.sleep(self.seconds)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[]"})


@pytest.mark.parametrize(
    ("rate", "times"),
    [
        (4.0, [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]),
        (0.5, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
        (1000.0, [0.0, 0.001, 0.002, 0.003, 0.004, 0.005]),
        (None, [0.0] * 6),
    ],
)
def test_the_rate_is_kept_from_the_first_second_on(lab: Lab, rate: float | None, times: list[float]) -> None:
    """Also when everything wants to start at once."""

    async def check(loop: Timeless) -> None:
        app = App(loop)
        transport = embedded_transport(app)
        async with (
            lab.client("http://embedded", transport=transport, rate=rate, concurrency=10) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(6):
                tasks.create_task(client.get(PATH))
        assert app.times == pytest.approx(times, abs=0.0011)

    timeless(check)


def test_retries_are_kept_to_the_rate_too(lab: Lab) -> None:
    """A platform in trouble is not asked more often than a healthy one."""
    asked: list[float] = []

    async def check(loop: Timeless) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            asked.append(round(loop.now, 3))
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async with lab.client("http://embedded", transport=embedded_transport(app), rate=2.0) as client:
            await failing(client.get(PATH))

    timeless(check)
    assert asked == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0], abs=0.0011)


def test_an_embedded_platform_is_not_waited_for_longer_than_another(lab: Lab) -> None:
    """The timeout holds without a socket."""

    async def check(loop: Timeless) -> None:
        app = App(loop, seconds=3600.0)
        async with lab.client("http://embedded", transport=embedded_transport(app), timeout=60.0) as client:
            assert isinstance(await failing(client.request("POST", PATH)), OutcomeUnknown)
            assert round(loop.now) == 60
            assert isinstance(await failing(client.get(PATH)), Unavailable)
        assert len(app.times) == 1 + ATTEMPTS

    timeless(check)


def test_an_embedded_platform_gets_no_more_at_once_than_it_takes(lab: Lab) -> None:
    """There is no pool of connections to hold anything back."""

    async def check(loop: Timeless) -> None:
        app = App(loop, seconds=1.0)
        transport = embedded_transport(app)
        async with (
            lab.client("http://embedded", transport=transport, concurrency=2) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(6):
                tasks.create_task(client.get(PATH))
        assert app.times == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]

    timeless(check)


def test_waits_are_real_when_nobody_says_otherwise(lab: Lab) -> None:
    """The client's own sleep is the loop's."""
    asked: list[float] = []

    async def check(loop: Timeless) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            asked.append(round(loop.now, 3))
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async with lab.client(
            "http://embedded", transport=embedded_transport(app), sleep=asyncio.sleep
        ) as client:
            await failing(client.get(PATH))

    timeless(check)
    assert asked == pytest.approx([0.0, 0.25, 0.75, 1.75, 3.75], abs=0.0011)


# --- tokens --------------------------------------------------------------------------------------------


class Guarded(Server):
    """Answers 401 unless the token is one of ``valid``."""

    def __init__(self, *valid: str) -> None:
        super().__init__([Reply(202)])
        self.valid = set(valid)

    def next_answer(self, request: Request) -> Reply | str:
        known = request.headers.get("authorization", "") in {f"Bearer {one}" for one in self.valid}
        return super().next_answer(request) if known else refusal(401, "Token is expired.")

    @property
    def tokens(self) -> list[str]:
        """What each request showed."""
        return [one.headers.get("authorization", "").removeprefix("Bearer ") for one in self.requests]


def test_one_token_serves_all(lab: Lab) -> None:
    """Requests at the same time wait for one and the same; later ones use it."""

    async def check() -> None:
        keys = Keys()
        async with (
            serving(server=Guarded("token-1")) as server,
            lab.client(server.url, sign_in=keys, concurrency=8) as client,
        ):
            await asyncio.gather(*(client.get(PATH) for _ in range(8)))
            await client.request("POST", PATH)
        assert isinstance(server, Guarded)
        assert (keys.given, server.tokens) == (1, ["token-1"] * 9)

    run(check())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_token_that_is_refused_is_renewed_once(lab: Lab, method: str) -> None:
    """Who is turned away at the door did nothing inside: the request is sent again, a write too."""

    async def check() -> None:
        keys = Keys()
        async with (
            serving(server=Guarded("token-2")) as server,
            lab.client(server.url, sign_in=keys) as client,
        ):
            await client.request(method, PATH, body=b"{}")
        assert isinstance(server, Guarded)
        assert (server.tokens, lab.waits) == (["token-1", "token-2"], [])

    run(check())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_platform_that_takes_no_token_ends_it(lab: Lab, method: str) -> None:
    """After one renewal, not for ever."""

    async def check() -> None:
        keys = Keys()
        async with serving(server=Guarded()) as server, lab.client(server.url, sign_in=keys) as client:
            error = await failing(client.request(method, PATH))
        assert (type(error), error.status, keys.given, len(server.requests)) == (Unauthenticated, 401, 2, 2)
        assert error.hint == "Check the credentials of this platform in reconciler.toml."

    run(check())


def test_many_refused_at_once_renew_once(lab: Lab) -> None:
    """Whoever hears it late takes the token that another fetched meanwhile."""

    async def check() -> None:
        keys = Keys()
        server = Guarded("token-2")
        async with serving(server=server), lab.client(server.url, sign_in=keys, concurrency=6) as client:
            await asyncio.gather(*(client.get(PATH) for _ in range(6)))
        assert (keys.given, sorted(server.tokens)) == (2, ["token-1"] * 6 + ["token-2"] * 6)

    run(check())


def test_a_late_401_does_not_throw_a_new_token_away(lab: Lab) -> None:
    """The refusal is about the old one."""

    async def check() -> None:
        keys = Keys()
        gate = asyncio.Event()
        server = Guarded("token-2")

        def answer(request: Request) -> Reply | str:
            found = Guarded.next_answer(server, request)
            if isinstance(found, Reply) and found.status == 401 and request.target == "/late":
                return Reply(found.status, found.body, found.headers, hold=gate)
            return found

        server.next_answer = answer  # type: ignore[method-assign]
        async with serving(server=server), lab.client(server.url, sign_in=keys) as client:
            late = asyncio.create_task(client.get("/late"))
            await server.was_asked(1)
            await client.get("/early")
            gate.set()
            await late
            await client.get("/after")
        assert (keys.given, server.tokens) == (2, ["token-1", "token-1", "token-2", "token-2", "token-2"])

    run(check())


@pytest.mark.parametrize(
    ("lifetime", "after", "given"),
    [
        pytest.param(3600.0, 3539.0, 1, id="more than a minute left"),
        pytest.param(3600.0, 3541.0, 2, id="less than a minute left"),
        pytest.param(3600.0, 9999.0, 2, id="long gone"),
        pytest.param(30.0, 14.0, 1, id="a short one, first half"),
        pytest.param(30.0, 16.0, 2, id="a short one, second half"),
        pytest.param(0.0, 0.0, 3, id="one that is over as it comes"),
    ],
)
def test_a_token_is_renewed_before_its_end(lab: Lab, lifetime: float, after: float, given: int) -> None:
    """A minute before, or at half the life of a short one: never one for each request."""

    async def check() -> None:
        keys = Keys(lambda: lab.now, lifetime)
        async with serving(Reply()) as server, lab.client(server.url, sign_in=keys) as client:
            await client.get(PATH)
            await client.get(PATH)
            assert keys.given == (1 if lifetime else 2)
            lab.now += after
            await client.get(PATH)
        assert (keys.given, len(server.requests)) == (given, 3)

    run(check())


def test_a_sign_in_that_fails_fails_all_who_wait_for_it(lab: Lab) -> None:
    """Once, not one after the other; and the next request tries again."""

    async def check() -> None:
        tries = 0

        async def sign_in(client: HttpClient) -> Token:
            nonlocal tries
            tries += 1
            await asyncio.sleep(0.01)
            if tries == 1:
                raise Unavailable("the token call is down", platform="runai")
            return Token("token", NOW + 3600)

        async with serving(Reply()) as server, lab.client(server.url, sign_in=sign_in) as client:
            errors = await asyncio.gather(*(failing(client.get(PATH)) for _ in range(5)))
            assert ({str(error) for error in errors}, tries, server.requests) == (
                {"the token call is down"},
                1,
                [],
            )
            await client.get(PATH)
        assert (tries, len(server.requests)) == (2, 1)

    run(check())


def test_a_sign_in_that_is_cancelled_leaves_it_to_the_next(lab: Lab) -> None:
    """Who waited for it signs in."""

    async def check() -> None:
        tries = 0

        async def sign_in(client: HttpClient) -> Token:
            nonlocal tries
            tries += 1
            if tries == 1:
                await asyncio.Event().wait()
            return Token("token", NOW + 3600)

        async with serving(Reply()) as server, lab.client(server.url, sign_in=sign_in) as client:
            first = asyncio.create_task(client.get("/first"))
            await asyncio.sleep(0)
            second = asyncio.create_task(client.get("/second"))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == b'{"ok":true}'
        assert (tries, server.asked) == (2, ["GET /second"])

    run(check())


@pytest.mark.parametrize("value", ["", "two\nlines", "blank inside", "ünicode", "nul\x00"])
def test_a_token_that_no_header_can_hold_is_refused(lab: Lab, value: str) -> None:
    """And not shown."""

    async def check() -> None:
        async def sign_in(client: HttpClient) -> Token:
            return Token(value, NOW + 3600)

        async with serving(Reply()) as server, lab.client(server.url, sign_in=sign_in) as client:
            error = await failing(client.request("POST", PATH))
        assert (type(error), str(error), server.requests) == (
            Unauthenticated,
            "runai gave an access token that cannot be sent",
            [],
        )

    run(check())


# --- what is never said --------------------------------------------------------------------------------


def spoken(error: BaseException) -> str:
    """Everything that anybody could print of an error."""
    return "\n".join([str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)])


@pytest.mark.parametrize(
    "answer", [refusal(403, "token-1 may not"), refusal(500), CUT, UNDECODABLE, Reply(body=b"x", missing=1)]
)
def test_no_error_holds_the_token(lab: Lab, answer: Reply | str, caplog: pytest.LogCaptureFixture) -> None:
    """Not in its text, its representation, its traceback or a log, even of the libraries below."""
    caplog.set_level(logging.DEBUG)
    token = "bearer-0123456789abcdef"

    async def sign_in(client: HttpClient) -> Token:
        return Token(token, NOW + 3600)

    async def check() -> None:
        if isinstance(answer, Reply) and answer.status == 403:
            reply: Reply | str = refusal(403, f"{token} may not")
        else:
            reply = answer
        async with serving(reply) as server, lab.client(server.url, sign_in=sign_in) as client:
            for method in ("GET", "POST"):
                text = spoken(await failing(client.request(method, PATH, body=b'{"password":"hunter22"}')))
                assert token not in text
                assert "hunter22" not in text
        assert server.requests[0].headers["authorization"] == f"Bearer {token}"

    run(check())
    assert token not in caplog.text
    assert "hunter22" not in caplog.text


def test_what_holds_a_secret_does_not_show_it() -> None:
    """Neither a token nor an answer, which may hold one."""
    assert repr(Token("bearer-0123456789", 1.0)) == "Token(expires=1.0)"
    assert repr(Answer(200, b'{"accessToken":"bearer-0123456789"}')) == "Answer(status=200)"


# --- TLS -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests: keys take time to make."""
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return Authority(ca, file)


def test_an_own_authority_is_trusted_by_ca_file(lab: Lab, authority: Authority) -> None:
    """And the connection is encrypted, kept and used again."""

    async def check() -> None:
        async with (
            serving(Reply(), tls=authority.server("127.0.0.1")) as server,
            lab.client(server.url, verify=trust(str(authority.file))) as client,
        ):
            await client.get(PATH)
            await client.request("POST", PATH, body=b"{}")
        assert (server.asked, server.connections) == ([f"GET {PATH}", f"POST {PATH}"], 1)

    run(check())


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_an_own_authority_is_trusted_by_the_environment(
    lab: Lab, authority: Authority, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE names the file, SSL_CERT_DIR a directory of such under their hashes."""
    if variable == "SSL_CERT_FILE":
        monkeypatch.setenv(variable, str(authority.file))
    else:
        context = ssl.create_default_context(cafile=str(authority.file))
        assert context.cert_store_stats()["x509_ca"] >= 1
        (tmp_path / f"{subject_hash(authority.file)}.0").symlink_to(authority.file)
        monkeypatch.setenv(variable, str(tmp_path))

    async def check() -> None:
        async with (
            serving(Reply(), tls=authority.server("127.0.0.1")) as server,
            lab.client(server.url, verify=trust(None)) as client,
        ):
            await client.get(PATH)

    run(check())


def subject_hash(file: Path) -> str:
    """The name under which OpenSSL looks for a certificate in a directory."""
    done = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(file)], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_ca_file_comes_on_top_of_the_environments(
    lab: Lab, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are trusted."""
    other = trustme.CA()
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    other.issue_cert("127.0.0.1").configure_cert(theirs)

    async def check() -> None:
        for tls in (theirs, authority.server("127.0.0.1")):
            async with (
                serving(Reply(), tls=tls) as server,
                lab.client(server.url, verify=trust(str(authority.file))) as client,
            ):
                await client.get(PATH)

    run(check())


def test_the_systems_authorities_are_trusted() -> None:
    """Those that people install for the whole machine, and the public ones, when nothing else is said."""
    context = trust(None)
    system = ssl.create_default_context()
    have = {cert["serialNumber"] for cert in context.get_ca_certs()}
    assert {cert["serialNumber"] for cert in system.get_ca_certs()} <= have
    assert len(have) > 50


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_authority_is_named_and_not_asked_again(
    lab: Lab, authority: Authority, method: str
) -> None:
    """Nothing was sent, nothing changes by waiting, and the hint says what to do."""

    async def check() -> None:
        async with (
            serving(Reply(), tls=authority.server("127.0.0.1")) as server,
            lab.client(server.url, verify=trust(None)) as client,
        ):
            error = await failing(client.request(method, PATH))
        assert (type(error), server.requests, lab.waits) == (Unavailable, [], [])
        start = f"runai (127.0.0.1:{server.port}): its certificate is not trusted: "
        assert re.fullmatch(re.escape(start) + ".*(local issuer|self.signed).*", str(error))
        assert error.hint == "Name the certificate of your own authority with `ca_file` or SSL_CERT_FILE."

    run(check())


def test_a_certificate_for_another_name_is_named(lab: Lab, authority: Authority) -> None:
    """No authority would help: the hint does not ask for one."""

    async def check() -> None:
        async with (
            serving(Reply(), tls=authority.server("other.example")) as server,
            lab.client(server.url, verify=trust(str(authority.file))) as client,
        ):
            error = await failing(client.get(PATH))
        assert "its certificate is not trusted: IP address mismatch" in str(error)
        assert error.hint == "Is `endpoint` the name that the certificate is for, and is the clock right?"
        assert lab.waits == []

    run(check())


def test_https_to_a_port_that_speaks_http_says_so(lab: Lab) -> None:
    """A frequent mistake with a server on a port of one's own."""

    async def check() -> None:
        async with serving(Reply()) as server, lab.client(f"https://127.0.0.1:{server.port}") as client:
            error = await failing(client.request("POST", PATH))
        assert isinstance(error, Unavailable)
        assert re.match(r".*: cannot connect: TLS failed: [a-z ]+$", str(error))

    run(check())


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), ("no certificate", "it holds no certificate in PEM form")],
)
@pytest.mark.parametrize("by", ["ca_file", "SSL_CERT_FILE"])
def test_a_file_of_authorities_that_holds_none_is_named(
    tmp_path: Path, content: str | None, why: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of trusting nobody without a word."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    if by == "SSL_CERT_FILE":
        monkeypatch.setenv(by, str(file))
    with pytest.raises(ProviderError) as caught:
        trust(str(file) if by == "ca_file" else None)
    assert str(caught.value) == f"the authorities in {by} ({file}) cannot be used: {why}"


# --- proxies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_https_goes_through_the_proxy_in_a_tunnel(
    lab: Lab, authority: Authority, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy learns the name of the platform, and nothing of what is said."""

    async def check() -> None:
        async with (
            serving(Reply(), tls=authority.server("tenant.example")) as server,
            Proxy(server.port).running() as proxy,
        ):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
            async with lab.client("https://tenant.example", verify=trust(str(authority.file))) as client:
                await client.request("POST", PATH, body=b"{}")
                await client.get(PATH)
        assert (proxy.asked, server.asked) == (
            ["CONNECT tenant.example:443 HTTP/1.1"],
            [f"POST {PATH}", f"GET {PATH}"],
        )

    run(check())


def test_http_goes_through_its_own_proxy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is for http."""

    async def check() -> None:
        async with serving(Reply()) as server, Proxy(server.port).running() as proxy:
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
            async with lab.client("http://tenant.example") as client:
                await client.get(PATH)
        assert proxy.asked == [f"GET http://tenant.example{PATH} HTTP/1.1"]

    run(check())


@pytest.mark.parametrize(
    ("exceptions", "is_proxied"),
    [("other.example", True), ("tenant.localhost", False), (".localhost", False), ("*", False)],
)
def test_no_proxy_is_honoured(
    lab: Lab, exceptions: str, is_proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name, a domain, or all."""

    async def check() -> None:
        async with serving(Reply()) as server, Proxy(server.port).running() as proxy:
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("NO_PROXY", exceptions)
            monkeypatch.setattr(socket, "getaddrinfo", loopback(socket.getaddrinfo))
            async with lab.client(f"http://tenant.localhost:{server.port}") as client:
                await client.get(PATH)
        assert (bool(proxy.asked), server.asked) == (is_proxied, server.asked)
        assert len(server.asked) == 1

    run(check())


def loopback(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """A resolver that knows every name below localhost, as not every system's does."""

    def found(host: Any, *more: Any, **rest: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        here = "127.0.0.1" if isinstance(name, str) and name.endswith(".localhost") else host
        return resolve(here, *more, **rest)

    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_is_never_asked_through_a_proxy(
    lab: Lab, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its http would carry the client secret across the network, to a machine that means itself by it."""

    async def check() -> None:
        listen = "::1" if host == "[::1]" else "127.0.0.1"
        async with serving(Reply(), host=listen) as server, Proxy(1).running() as proxy:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            async with lab.client(f"http://{host}:{server.port}") as client:
                await client.get(PATH)
        assert (proxy.asked, len(server.asked)) == ([], 1)

    run(check())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_proxy_that_refuses_is_quoted(lab: Lab, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its status; its password is not, and nothing reached the platform."""

    async def check() -> None:
        async with Proxy(1, refuses="407 Proxy Authentication Required").running() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2hunter2@127.0.0.1:{proxy.port}")
            async with lab.client("https://tenant.example") as client:
                error = await failing(client.request(method, PATH))
        assert (type(error), str(error)) == (
            Unavailable,
            "runai (tenant.example): cannot connect: the proxy answered 407 Proxy Authentication Required",
        )
        assert "hunter2" not in spoken(error)

    run(check())


@pytest.mark.parametrize(
    "proxy", ["socks5://user:hunter2hunter2@127.0.0.1:1", "ftp://proxy:1", "http://proxy:port"]
)
def test_a_proxy_that_cannot_be_used_is_said_at_once(
    lab: Lab, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as an internal error, and without its password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    async def check() -> None:
        async with lab.client("https://tenant.example"):
            pass

    with pytest.raises(Rejected) as caught:
        run(check())
    assert str(caught.value) == "runai: the proxy that the environment names cannot be used"
    assert "hunter2" not in str(caught.value) + caught.value.hint


# --- the embedded transport ----------------------------------------------------------------------------


def test_an_embedded_platform_sees_what_a_served_one_sees(lab: Lab) -> None:
    """Method, path, query, headers and body, as a server would hand them to it."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        headers = dict(scope["headers"])
        seen.append(
            (
                scope["type"],
                scope["method"],
                scope["path"],
                scope["raw_path"],
                scope["query_string"],
                headers[b"authorization"],
                headers[b"content-type"],
                message,
            )
        )
        await send({"type": "http.response.start", "status": 202, "headers": [(b"x-request-id", b"r")]})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async def check() -> None:
        transport = embedded_transport(app)
        async with lab.client("http://embedded", transport=transport, sign_in=Keys()) as client:
            answer = await client.request("PUT", "/a%2Fb", params={"n": "x y"}, body=b"{}")
        assert answer == Answer(202, b"one two")

    run(check())
    body = {"type": "http.request", "body": b"{}", "more_body": False}
    assert seen == [
        ("http", "PUT", "/a/b", b"/a%2Fb", b"n=x+y", b"Bearer token-1", b"application/json", body)
    ]


@pytest.mark.parametrize(("method", "kind"), [("GET", Unavailable), ("POST", OutcomeUnknown)])
def test_an_embedded_platform_that_drops_the_connection_is_like_a_real_one(
    lab: Lab, method: str, kind: type[ProviderError]
) -> None:
    """A read is repeated, a write is in doubt."""
    calls = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        raise ConnectionError("cut")

    async def check() -> None:
        async with lab.client("http://embedded", transport=embedded_transport(app)) as client:
            assert type(await failing(client.request(method, PATH))) is kind

    run(check())
    assert calls == (ATTEMPTS if method == "GET" else 1)


def test_proxies_and_authorities_are_nothing_to_an_embedded_platform(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works with an environment in which nothing else would."""
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    app_calls: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        app_calls.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[]"})

    async def check() -> None:
        async with lab.client("http://embedded", transport=embedded_transport(app)) as client:
            await client.get(PATH)

    run(check())
    assert app_calls == [PATH]
