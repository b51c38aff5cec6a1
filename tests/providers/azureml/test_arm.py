"""Requests to the resource manager: what each error means, where pages may lead, how long operations end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from loopback import failing, run
from workspaces import (
    REGISTRY,
    WORKSPACE,
    Said,
    address,
    container_body,
    listed,
    live,
    missing,
    page,
    refusal,
    scripted,
    version_body,
    wanted,
    workspace,
)

from reconciler.core.model import Verb
from reconciler.errors import (
    AlreadyExists,
    Forbidden,
    InUse,
    ListingIncomplete,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Unauthenticated,
    Unavailable,
)
from reconciler.providers.azureml.arm import is_own
from reconciler.providers.emulator import Fault

LIST = "GET /environments"
FIXED = "Environment lab with version 1 is already registered and cannot be changed."


# --- errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "hint"),
    [
        (refusal(400, "bad", inner="BadArgument"), Rejected, ""),
        (refusal(400, "The name begins with a reserved prefix."), Rejected, "Choose another name"),
        (refusal(400, FIXED), AlreadyExists, ""),
        (refusal(401, "old", "ExpiredAuthenticationToken"), Unauthenticated, "is `cloud` right"),
        (refusal(403, "no", "AuthorizationFailed"), Forbidden, "the role AzureML Data Scientist"),
        (missing(), NotFound, ""),
        (refusal(404, "x", "ResourceNotFound"), Rejected, "check `workspace` and `resource_group`"),
        (refusal(404, "x", "ResourceGroupNotFound"), Rejected, "Check `resource_group`"),
        (refusal(404, "x", "SubscriptionNotFound"), Rejected, "Check `subscription_id`"),
        (Said(b"<html>gateway</html>", 404), Rejected, "not the platform's own answer"),
        (refusal(405, "no"), Rejected, "does not offer this call"),
        (refusal(409, FIXED, inner="Conflict"), AlreadyExists, ""),
        (
            refusal(409, "register first", "MissingSubscriptionRegistration"),
            Rejected,
            "az provider register --namespace Microsoft.MachineLearningServices",
        ),
        (refusal(409, "locked", "ScopeLocked"), Forbidden, "A lock on the workspace"),
        (refusal(412, "changed"), InUse, "Make the plan again"),
        (refusal(429, "slow down", retry_after="0.01"), Unavailable, "lower max_concurrency"),
        (refusal(500, "oh", retry_after="0.01"), Unavailable, "try again later"),
        (refusal(503, "oh", retry_after="0.01"), Unavailable, "try again later"),
        (Said(b"<html>", 301, {"location": "https://elsewhere.example.com"}), Rejected, "leads elsewhere"),
    ],
)
def test_each_error_says_what_to_do(
    tmp_path: Path, answer: Said, kind: type[ProviderError], hint: str
) -> None:
    """By its status, and by the code that the service hides in it."""

    async def check() -> None:
        async with scripted(tmp_path, {LIST: answer}) as (_, provider):
            error = await failing(listed(provider))
            assert type(error) is kind
            assert error.status == answer.status
            assert hint in error.hint
            assert bool(error.hint) == bool(hint)
            assert error.call == f"GET {WORKSPACE}/environments"

    run(check())


@pytest.mark.parametrize("status", [400, 401, 403, 409, 412, 429, 500, 502, 503, 504])
def test_each_error_of_a_write_is_told_on_the_embedded_platform(tmp_path: Path, status: int) -> None:
    """One that may have happened is unknown; every other is known not to have."""
    trouble = Fault(on="PUT *", status=status, retry_after=0)

    async def check() -> None:
        async with workspace(tmp_path, trouble) as (_, provider):
            error = await failing(provider.create(address("lab"), wanted(), key="k"))
            assert error.status == status
            assert isinstance(error, OutcomeUnknown) == (status >= 500)
            assert str(status) in str(error)
            assert error.hint or isinstance(error, OutcomeUnknown | Rejected | AlreadyExists)
            assert await provider.read("environment", "lab") is None

    run(check())


def test_the_services_own_words_and_code_are_shown(tmp_path: Path) -> None:
    """With the id under which the service knows the request."""
    answer = refusal(400, "condaFile is wrong", inner="BadArgument", x_ms_request_id="req-1")

    async def check() -> None:
        async with scripted(tmp_path, {LIST: answer}) as (_, provider):
            error = await failing(listed(provider))
            assert str(error).endswith("answered 400: BadArgument: condaFile is wrong (request req-1)")
            assert error.request_id == "req-1"

    run(check())


def test_what_says_a_workspace_is_gone_says_nothing_of_an_environment(tmp_path: Path) -> None:
    """A mistyped workspace must not make every environment look deleted."""
    gone = refusal(404, "The Resource was not found.", "ResourceNotFound")
    routes = {"GET /environments/lab": gone, "GET /environments/lab/versions": gone}

    async def check() -> None:
        async with scripted(tmp_path, routes) as (_, provider):
            error = await failing(provider.read("environment", "lab"))
            assert isinstance(error, Rejected)
        async with scripted(tmp_path, {}) as (_, provider):
            assert await provider.read("environment", "lab") is None

    run(check())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"error":{}}', b'{"error":{"code":1}}'])
def test_a_404_of_nobody_is_not_the_services(body: bytes) -> None:
    """A page of something on the way proves nothing gone."""
    assert not is_own(body)


def test_a_throttled_request_is_sent_again(tmp_path: Path) -> None:
    """429 had no effect, whatever it was."""
    throttled = Fault(on="* /subscriptions/*", every=2, status=429, retry_after=0)

    async def check() -> None:
        async with workspace(tmp_path, throttled) as (watched, provider):
            await provider.create(address("lab"), wanted(), key="k")
            assert (await live(provider)).id == "lab"
            assert len(watched.calls) > 5

    run(check())


# --- pages ---------------------------------------------------------------------------------------------

NEXT = f"{WORKSPACE}/environments?api-version=2025-12-01&$skip=abc&listViewType=All"


def test_pages_are_followed_as_they_are_linked(tmp_path: Path) -> None:
    """The token of the link is not ours to make; an empty or null link is the end."""
    routes = {
        LIST: [
            page(container_body("a"), link=f"http://embedded:80{NEXT}"),
            page(container_body("b"), link=""),
        ],
        "GET /environments/a/versions": {"value": [version_body(name="a")], "nextLink": None},
        "GET /environments/b/versions": page(version_body(name="b")),
    }

    async def check() -> None:
        async with scripted(tmp_path, routes) as (watched, provider):
            assert sorted(await listed(provider)) == ["a", "b"]
            first, second = (one for one in watched.asked if str(one) == LIST)
            assert first.query == {"api-version": "2025-12-01", "listViewType": "All"}
            assert second.query == {"api-version": "2025-12-01", "$skip": "abc", "listViewType": "All"}

    run(check())


@pytest.mark.parametrize(
    "link",
    [
        f"https://evil.example.com{NEXT}",
        f"http://embedded:8080{NEXT}",
        f"https://embedded{NEXT}",
        "//evil.example.com/x",
        "file:///etc/passwd",
    ],
)
def test_our_token_goes_to_no_other_host(tmp_path: Path, link: str) -> None:
    """Not even where a listing says that it goes on there."""

    async def check() -> None:
        async with scripted(tmp_path, {LIST: page(link=link)}) as (watched, provider):
            error = await failing(listed(provider))
            assert isinstance(error, ListingIncomplete)
            assert "goes on at another host" in str(error)
            assert watched.calls == [LIST]

    run(check())


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        (page(link=f"http://embedded{NEXT}"), "has pages that go round in a circle"),
        (Said(b"not json"), "did not answer with a whole list"),
        ({"items": []}, "did not answer with a whole list"),
        (page({"name": "a"}), "shows a container that cannot be understood"),
        (page(container_body("a"), container_body("a")), "lists a twice"),
    ],
)
def test_a_listing_that_is_not_whole_is_no_listing(tmp_path: Path, answers: Any, what: str) -> None:
    """Nothing is decided on it."""

    async def check() -> None:
        async with scripted(tmp_path, {LIST: answers}) as (_, provider):
            error = await failing(listed(provider))
            assert isinstance(error, ListingIncomplete)
            assert what in str(error)

    run(check())


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (page({"name": "1"}), "shows a version that cannot be understood"),
        (page(version_body("1"), version_body("1")), "lists version 1 twice"),
    ],
)
def test_a_listing_of_versions_is_whole_too(tmp_path: Path, body: Any, what: str) -> None:
    """As that of containers."""
    routes = {LIST: page(container_body()), "GET /environments/lab/versions": body}

    async def check() -> None:
        async with scripted(tmp_path, routes) as (_, provider):
            error = await failing(listed(provider))
            assert isinstance(error, ListingIncomplete)
            assert what in str(error)

    run(check())


def test_a_version_of_a_strange_shape_is_an_error_when_somebody_looks(tmp_path: Path) -> None:
    """It may not be anybody's here; who compares it is told."""
    routes = {
        LIST: page(container_body()),
        "GET /environments/lab/versions": page(version_body("1", tags=["not", "a", "table"])),
    }

    async def check() -> None:
        async with scripted(tmp_path, routes) as (_, provider):
            found = (await listed(provider))["lab"]
            with pytest.raises(ListingIncomplete, match=re.escape("lab:1 cannot be understood")):
                found.attributes.values_  # noqa: B018 - that is where it is read

    run(check())


# --- long operations -----------------------------------------------------------------------------------

OPERATION = "http://embedded/subscriptions/s/providers/x/mfeOperationsStatus/1?api-version=2025-12-01"
STATUS = "GET /subscriptions/s/providers/x/mfeOperationsStatus/1"
PUT = "PUT /environments/lab/versions/1"


@pytest.mark.parametrize(
    ("begun", "states"),
    [
        (
            Said({}, 201, {"Azure-AsyncOperation": OPERATION, "x-ms-async-operation-timeout": "PT1H"}),
            [{"status": "Updating"}, {"status": "Succeeded"}],
        ),
        (Said(b"null", 202, {"Location": OPERATION}), [Said(b"", 202), Said(b"", 202), Said(b"", 200)]),
        (Said({}, 201, {"Location": OPERATION}), []),
    ],
)
def test_a_registry_is_waited_for(tmp_path: Path, begun: Said, states: list[Any]) -> None:
    """By either of ARM's two ways; a Location of what was made at once is no operation."""
    routes = {"GET /environments/lab": missing(), PUT: begun, STATUS: states or missing()}

    async def check() -> None:
        async with scripted(tmp_path, routes, registry="shared") as (watched, provider):
            assert await provider.create(address("lab"), wanted(), key="k") == "lab"
            assert watched.calls == [
                "GET /environments/lab",
                PUT,
                *[STATUS] * len(states),
            ]
            assert provider.call(Verb.UPDATE, "environment", "lab").startswith(f"PUT {REGISTRY}/")

    run(check())


@pytest.mark.parametrize(
    ("state", "kind", "what"),
    [
        ({"status": "Failed", "error": {"message": "no image"}}, Rejected, "ended as Failed: no image"),
        ({"status": "Canceled"}, Rejected, "ended as Canceled"),
        (Said(b"?"), OutcomeUnknown, "tells nothing of its state"),
        (missing(), OutcomeUnknown, "cannot be watched any more"),
        (refusal(500, "oh", retry_after="0.01"), OutcomeUnknown, "cannot be watched: "),
    ],
)
def test_an_operation_that_does_not_end_well_says_so(
    tmp_path: Path, state: Any, kind: type[ProviderError], what: str
) -> None:
    """One whose end nobody saw may have happened."""
    begun = Said({}, 201, {"Azure-AsyncOperation": OPERATION})
    routes = {"GET /environments/lab": missing(), PUT: begun, STATUS: state}

    async def check() -> None:
        async with scripted(tmp_path, routes, registry="shared") as (_, provider):
            error = await failing(provider.create(address("lab"), wanted(), key="k"))
            assert type(error) is kind
            assert what in str(error)

    run(check())


def test_an_operation_is_not_watched_elsewhere(tmp_path: Path) -> None:
    """Our token would go there."""
    begun = Said({}, 201, {"Azure-AsyncOperation": "https://evil.example.com/operation"})
    routes = {"GET /environments/lab": missing(), PUT: begun}

    async def check() -> None:
        async with scripted(tmp_path, routes, registry="shared") as (watched, provider):
            error = await failing(provider.create(address("lab"), wanted(), key="k"))
            assert isinstance(error, OutcomeUnknown)
            assert "another host, evil.example.com" in str(error)
            assert len(watched.calls) == 2

    run(check())
