"""Access tokens of Run:ai: which call gives them, how long they are good for, what a failure says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from loopback import NOW, Reply, failing, refusal, run, serving
from tenants import (
    ENVIRONMENTS,
    TOKEN,
    Tenant,
    answer,
    context,
    listed,
    opened,
    tenant,
)

from reconciler.errors import (
    Forbidden,
    ProviderError,
    Rejected,
    Unauthenticated,
)
from reconciler.providers.runai.plugin import PLUGIN
from reconciler.providers.runai.settings_model import read_settings

V1, V2 = "POST /api/v1/token", "POST /api/v2/token"
OAUTH = {"access_token": "token-2", "token_type": "Bearer", "expires_in": 3600}
EMPTY = {f"GET {ENVIRONMENTS}": {"entries": []}}
SECRET = {"RUNAI_CLIENT_ID": "reconciler", "RUNAI_CLIENT_SECRET": "s3cr3t-value/+ä"}


def shown(server: Tenant) -> list[str]:
    """Each call, with the token it showed."""
    return [
        f"{one.method} {urlsplit(one.target).path} {one.headers.get('authorization', '')}".strip()
        for one in server.requests
    ]


@pytest.mark.parametrize(
    ("token_api", "routes", "calls"),
    [
        ("auto", {V1: TOKEN, V2: OAUTH}, [V1, f"GET {ENVIRONMENTS} Bearer token-1"]),
        ("auto", {V1: refusal(404), V2: OAUTH}, [V1, V2, f"GET {ENVIRONMENTS} Bearer token-2"]),
        ("auto", {V1: refusal(405), V2: OAUTH}, [V1, V2, f"GET {ENVIRONMENTS} Bearer token-2"]),
        ("auto", {V1: Reply(404, b"<html>"), V2: OAUTH}, [V1, V2, f"GET {ENVIRONMENTS} Bearer token-2"]),
        ("v1", {V1: TOKEN, V2: OAUTH}, [V1, f"GET {ENVIRONMENTS} Bearer token-1"]),
        ("v2", {V1: TOKEN, V2: OAUTH}, [V2, f"GET {ENVIRONMENTS} Bearer token-2"]),
    ],
)
def test_a_token_is_fetched_the_way_the_tenant_has_it(
    tmp_path: Path, token_api: str, routes: dict[str, Any], calls: list[str]
) -> None:
    """The first call, the second, or the second where the first is not there."""

    async def check() -> None:
        async with tenant(tmp_path, {**EMPTY, **routes}, SECRET, token_api=token_api) as (server, provider):
            await listed(provider)
        assert shown(server) == calls

    run(check())


def test_both_token_calls_are_spelled_as_the_vendor_spells_them(tmp_path: Path) -> None:
    """JSON for the first, a form for the second, whatever is in the secret."""

    async def check() -> None:
        routes = {**EMPTY, V1: refusal(404), V2: OAUTH}
        async with tenant(tmp_path, routes, SECRET) as (server, provider):
            await listed(provider)
        first, second = server.requests[:2]
        assert (json.loads(first.body), first.headers["content-type"]) == (
            {
                "grantType": "client_credentials",
                "clientID": "reconciler",
                "clientSecret": "s3cr3t-value/+ä",
            },
            "application/json",
        )
        assert (parse_qs(second.body.decode()), second.headers["content-type"]) == (
            {
                "grant_type": ["client_credentials"],
                "client_id": ["reconciler"],
                "client_secret": ["s3cr3t-value/+ä"],
            },
            "application/x-www-form-urlencoded",
        )

    run(check())


def test_a_tenant_without_the_first_call_is_asked_for_it_once(tmp_path: Path) -> None:
    """The second is used from then on."""

    async def check() -> None:
        routes = {
            V1: refusal(404),
            V2: OAUTH,
            f"GET {ENVIRONMENTS}": [refusal(401), {"entries": []}],
        }
        async with tenant(tmp_path, routes, SECRET) as (server, provider):
            await listed(provider)
        assert shown(server) == [
            V1,
            V2,
            f"GET {ENVIRONMENTS} Bearer token-2",
            V2,
            f"GET {ENVIRONMENTS} Bearer token-2",
        ]

    run(check())


WRONG = "Check the client id and secret of this platform in reconciler.toml."
NO_TENANT = "Is `endpoint` the address of a Run:ai tenant?"


@pytest.mark.parametrize(
    ("token_api", "routes", "kind", "text", "hint"),
    [
        pytest.param(
            "auto",
            {V1: refusal(400, "Invalid credentials")},
            Unauthenticated,
            f"runai: {V1} answered 400: Invalid credentials",
            WRONG,
            id="wrong key, first call",
        ),
        pytest.param(
            "auto",
            {V1: refusal(422, "Invalid credentials")},
            Unauthenticated,
            f"runai: {V1} answered 422: Invalid credentials",
            WRONG,
            id="wrong key, as a validation error",
        ),
        pytest.param(
            "auto",
            {V1: refusal(401, "no")},
            Unauthenticated,
            f"runai: {V1} answered 401: no",
            WRONG,
            id="wrong key, 401",
        ),
        pytest.param(
            "v2",
            {V2: Reply(401, b'{"error":"invalid_client","error_description":"bad credentials"}')},
            Unauthenticated,
            f"runai: {V2} answered 401: invalid_client: bad credentials",
            WRONG,
            id="wrong key, second call",
        ),
        pytest.param(
            "v2",
            {V2: Reply(400, b'{"error":"invalid_request"}')},
            Unauthenticated,
            f"runai: {V2} answered 400: invalid_request",
            WRONG,
            id="OAuth2 alone",
        ),
        pytest.param(
            "v1",
            {V1: refusal(404), V2: OAUTH},
            Unauthenticated,
            f"runai has no such token call: {V1} answered 404",
            'Try token_api = "v2".',
            id="the first is asked for and is not there",
        ),
        pytest.param(
            "v2",
            {V1: TOKEN, V2: refusal(405)},
            Unauthenticated,
            f"runai has no such token call: {V2} answered 405",
            NO_TENANT,
            id="the second is asked for and is not there",
        ),
        pytest.param(
            "auto",
            {V1: refusal(404), V2: refusal(404)},
            Unauthenticated,
            f"runai has no such token call: {V2} answered 404",
            NO_TENANT,
            id="neither is there",
        ),
        pytest.param(
            "auto",
            {V1: answer({"token": "x"})},
            Unauthenticated,
            f"runai: {V1} answered without a token",
            NO_TENANT,
            id="no token in the answer",
        ),
        pytest.param(
            "auto",
            {V1: answer({"accessToken": None})},
            Unauthenticated,
            f"runai: {V1} answered without a token",
            NO_TENANT,
            id="a null token",
        ),
        pytest.param(
            "auto",
            {V1: answer({"accessToken": ""})},
            Unauthenticated,
            f"runai: {V1} answered without a token",
            NO_TENANT,
            id="an empty token",
        ),
        pytest.param(
            "auto",
            {V1: answer(b"<html>Sign in</html>")},
            Unauthenticated,
            f"runai: {V1} answered without a token",
            NO_TENANT,
            id="a page",
        ),
        pytest.param(
            "auto",
            {V1: answer(b'{"accessToken":"\xe4"}')},
            Unauthenticated,
            f"runai: {V1} answered without a token",
            NO_TENANT,
            id="another encoding",
        ),
        pytest.param(
            "auto",
            {V1: refusal(403, "not from here")},
            Forbidden,
            f"runai: {V1} answered 403: not from here",
            "The access key needs a role that permits this.",
            id="forbidden",
        ),
        pytest.param(
            "auto",
            {V1: refusal(302, "", location="https://login.example")},
            Rejected,
            f"runai: {V1} answered 302",
            "The address leads elsewhere: `endpoint` has to be the platform's own.",
            id="a redirect to a login page",
        ),
    ],
)
def test_a_sign_in_that_fails_says_why(
    tmp_path: Path, token_api: str, routes: dict[str, Any], kind: type[ProviderError], text: str, hint: str
) -> None:
    """One line, what to do, and nothing of the secret."""

    async def check() -> None:
        async with tenant(tmp_path, {**EMPTY, **routes}, SECRET, token_api=token_api) as (server, provider):
            error = await failing(listed(provider))
        assert (type(error), str(error), error.hint, error.platform, server.calls) == (
            kind,
            text,
            hint,
            "runai",
            [],
        )

    run(check())


def test_a_token_call_that_fails_for_a_moment_is_repeated(tmp_path: Path) -> None:
    """It changes nothing."""

    async def check() -> None:
        routes = {**EMPTY, V1: [refusal(503, retry_after="0.01"), TOKEN]}
        async with tenant(tmp_path, routes, SECRET) as (server, provider):
            await listed(provider)
        assert shown(server) == [V1, V1, f"GET {ENVIRONMENTS} Bearer token-1"]

    run(check())


def test_the_secret_is_never_in_an_error(tmp_path: Path) -> None:
    """Even when the platform repeats it, raw or encoded."""
    secret = SECRET["RUNAI_CLIENT_SECRET"]

    async def check() -> None:
        encoded = base64.b64encode(secret.encode()).decode()
        routes = {V1: refusal(400, f"unknown {secret} or {encoded}")}
        async with tenant(tmp_path, routes, SECRET) as (_, provider):
            error = await failing(listed(provider))
        assert str(error) == f"runai: {V1} answered 400: unknown (secret) or (secret)"

    run(check())


MISSING = (
    "Set RUNAI_CLIENT_ID and RUNAI_CLIENT_SECRET to those of an access key, or name others in "
    "[platforms.runai]."
)


@pytest.mark.parametrize(
    ("environment", "table", "text"),
    [
        ({}, {}, "runai: the environment variable RUNAI_CLIENT_ID is not set"),
        ({"RUNAI_CLIENT_ID": "a"}, {}, "runai: the environment variable RUNAI_CLIENT_SECRET is not set"),
        ({}, {"client_id": "a"}, "runai: the environment variable RUNAI_CLIENT_SECRET is not set"),
        (
            {},
            {"client_id": "a", "client_secret": {"env": "MY_SECRET"}},
            "runai: the environment variable MY_SECRET is not set",
        ),
        (
            {},
            {"client_id": "a", "client_secret": {"file": "nowhere"}},
            "runai: the secret file nowhere cannot be read: No such file or directory",
        ),
    ],
)
def test_missing_credentials_are_named(
    tmp_path: Path, environment: dict[str, str], table: dict[str, Any], text: str
) -> None:
    """Before anything is sent."""

    async def check() -> None:
        async with tenant(tmp_path, EMPTY, environment, **table) as (server, provider):
            error = await failing(listed(provider))
        assert (type(error), str(error), error.hint, server.requests) == (
            Unauthenticated,
            text,
            MISSING,
            [],
        )

    run(check())


@pytest.mark.parametrize(
    "table",
    [
        {"client_id": "reconciler", "client_secret": {"env": "OTHER"}},
        {"client_id": {"env": "NAME"}, "client_secret": {"file": "secret.txt"}},
        {"client_id": "reconciler", "client_secret": {"command": ["echo", "s3cr3t-value"]}},
    ],
)
def test_credentials_come_from_where_the_stack_says(tmp_path: Path, table: dict[str, Any]) -> None:
    """A variable of another name, a file, a command."""
    (tmp_path / "secret.txt").write_text("s3cr3t-value\n")

    async def check() -> None:
        environment = {"OTHER": "s3cr3t-value", "NAME": "reconciler"}
        async with tenant(tmp_path, EMPTY, environment, **table) as (server, provider):
            await listed(provider)
        sent = server.sent(0)
        assert (sent["clientID"], sent["clientSecret"]) == ("reconciler", "s3cr3t-value")

    run(check())


def jwt(**claims: Any) -> str:
    """An unsigned token with these claims, in the alphabet of URLs and without padding."""
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{middle}.sig"


@pytest.mark.parametrize(
    ("token", "good_for"),
    [
        pytest.param({"accessToken": "opaque", "expiresIn": 600}, 540, id="expiresIn"),
        pytest.param({"accessToken": jwt(exp=NOW + 9000), "expiresIn": 600}, 540, id="expiresIn wins"),
        pytest.param({"accessToken": jwt(exp=NOW + 600)}, 540, id="exp"),
        pytest.param({"accessToken": jwt(exp=NOW + 7600, iat=NOW + 7000)}, 540, id="a server ahead of us"),
        pytest.param({"accessToken": jwt(exp=NOW - 6400, iat=NOW - 7000)}, 540, id="a server behind us"),
        pytest.param({"accessToken": jwt(exp=NOW - 5)}, 3540, id="an end in our past"),
        pytest.param({"accessToken": "opaque"}, 3540, id="nothing says"),
        pytest.param({"accessToken": "a.b.c"}, 3540, id="no JSON inside"),
        pytest.param({"accessToken": jwt(sub="x")}, 3540, id="no exp"),
        pytest.param(
            {"accessToken": f"e30.{base64.b64encode(b'[1]').decode()}.s"}, 3540, id="no object inside"
        ),
        pytest.param({"accessToken": "opaque", "expiresIn": "600"}, 3540, id="text"),
        pytest.param({"accessToken": "opaque", "expiresIn": 0}, 3540, id="zero"),
        pytest.param({"accessToken": "opaque", "expiresIn": 20}, 10, id="a short one"),
    ],
)
def test_a_token_is_used_as_long_as_it_is_good(tmp_path: Path, token: dict[str, Any], good_for: int) -> None:
    """By what the answer says, else the token by the server's own clock, else an hour."""
    now = [NOW]

    async def check() -> None:
        async with serving(server=Tenant({**EMPTY, V1: token})) as server:
            found, _ = read_settings({"endpoint": server.url})
            provider = PLUGIN.open(found, context(tmp_path, SECRET, clock=lambda: now[0]))
            counts = []
            for moment in (0, good_for - 1, good_for + 1):
                now[0] = NOW + moment
                assert [one async for one in provider.list("environment")] == []
                counts.append(server.asked.count(V1))
            await provider.close()
        assert counts == [1, 1, 2]

    run(check())


def test_the_embedded_platform_needs_no_credentials(tmp_path: Path) -> None:
    """It is born with a key of its own."""

    async def check() -> None:
        provider = opened(tmp_path, {})
        assert len(await listed(provider)) == 6
        await provider.close()

    run(check())
