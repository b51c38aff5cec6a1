"""Requests to the resource manager: pages, long operations, errors in our words."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from reconciler.errors import (
    AlreadyExists,
    Forbidden,
    ListingIncomplete,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Unavailable,
)
from reconciler.providers.azureml import api
from reconciler.providers.azureml.auth import SignInFailed
from reconciler.providers.http import Answer, HttpClient

__all__ = ["Arm", "explain", "is_own", "origin"]

_PROVIDER: Final = "Microsoft.MachineLearningServices"
_LONGEST_PAUSE: Final = 30.0
_LONGEST_OPERATION: Final = 1800.0
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")
_CODE = re.compile(r"answered \d+: (\w+): ")
_FIXED = "already registered and cannot be changed"
"""How the service says that a definition is immutable; whether with 400 or 409 is not documented."""
_ABOVE: Final = frozenset(
    {"ResourceNotFound", "ResourceGroupNotFound", "SubscriptionNotFound", "InvalidSubscriptionId"}
)
"""Codes of a 404 that say that the workspace itself is not there: they prove no environment gone."""

_page = msgspec.json.Decoder(api.Page)
_operation = msgspec.json.Decoder(api.Operation)


class Arm:
    """Requests about one workspace or registry. Every method may raise `ProviderError`."""

    def __init__(
        self,
        client: HttpClient,
        base_url: str,
        *,
        api_version: str,
        new_id: Callable[[], str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.platform = client.platform
        self.api_version = api_version
        self._client = client
        self._origin = origin(base_url)
        self._new_id = new_id
        self._sleep = sleep

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """The body of what is there."""
        return (await self._request("GET", path, params)).body

    async def found(self, path: str) -> bytes | None:
        """The body of what is there; None when it is not."""
        try:
            return await self.get(path)
        except NotFound:
            return None

    async def post(self, path: str, body: Any) -> bytes:
        """The answer to a question that has to be put as a POST, and may be put twice."""
        return (await self._request("POST", path, body=body, repeatable=True)).body

    async def put(self, path: str, body: Any) -> Answer:
        """Write it, and wait until that is done."""
        return await self._done(await self._request("PUT", path, body=body), f"PUT {path}")

    async def delete(self, path: str) -> None:
        """Remove it, and wait until that is done."""
        await self._done(await self._request("DELETE", path), f"DELETE {path}")

    async def pages(self, path: str, params: Mapping[str, str]) -> AsyncIterator[list[msgspec.Raw]]:
        """The entries of a listing, page by page. Raises `ListingIncomplete` for one that has no end."""
        answer = await self._request("GET", path, params)
        seen: set[str] = set()
        while True:
            try:
                page = _page.decode(answer.body)
            except api.UNREADABLE as error:
                raise self.not_whole(path, "did not answer with a whole list") from error
            yield page.value
            link = page.next_link
            if not link:
                return
            if link in seen:
                raise self.not_whole(path, "has pages that go round in a circle")
            seen.add(link)
            if not self._is_ours(link):
                # Our token goes with it: to nobody but the platform.
                raise self.not_whole(path, f"goes on at another host, {urlsplit(link).hostname}")
            answer = await self._request("GET", link, None)

    def not_whole(self, path: str, what: str) -> ListingIncomplete:
        """The listing at *path* cannot be used."""
        call = f"GET {path}"
        return ListingIncomplete(
            f"{self.platform}: {call} {what}",
            platform=self.platform,
            call=call,
            hint="Nothing was decided. Try again; if it stays so, the API is not the one we know.",
        )

    def may_know(self, url: str) -> bool:
        """Whether our token may go to an address that the platform itself named."""
        return urlsplit(url).scheme == "https" or self._is_ours(url)

    def _is_ours(self, url: str) -> bool:
        return origin(url) == self._origin

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        body: Any = None,
        repeatable: bool | None = None,
    ) -> Answer:
        query: dict[str, str] | None = {"api-version": self.api_version, **(params or {})}
        if "api-version" in parse_qs(urlsplit(path).query):
            query = None  # a link, which is followed as it is
        try:
            return await self._client.request(
                method,
                path,
                params=query,
                body=None if body is None else msgspec.json.encode(body),
                headers={"x-ms-client-request-id": self._new_id()},
                repeatable=repeatable,
            )
        except ProviderError as error:
            told = _in_our_words(error)
            if told is error:
                raise
            raise told from error

    # --- long operations ---

    async def _done(self, answer: Answer, call: str) -> Answer:
        """*answer*, once the operation that it began has ended. Registries have such, workspaces do not.

        Source: vendor client azure-ai-ml 1.35.2; ARM's rules for long operations.
        """
        watched = answer.headers.get("azure-asyncoperation")
        link = watched or (answer.headers.get("location") if answer.status == 202 else None)
        if not link:
            return answer
        if not self._is_ours(link):
            raise self._unsettled(call, f"is to be watched at another host, {urlsplit(link).hostname}")
        deadline = time.monotonic() + _seconds(answer.headers.get("x-ms-async-operation-timeout", ""))
        pause = 0.2
        while True:
            wait = answer.headers.get("retry-after", "")
            await self._sleep(min(_LONGEST_PAUSE, float(wait)) if wait.isdigit() else pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                answer = await self._request("GET", link)
            except NotFound as error:
                raise self._unsettled(call, "cannot be watched any more") from error
            except (Unavailable, Rejected) as error:
                raise self._unsettled(call, f"cannot be watched: {error}") from error
            if watched is None:
                if answer.status != 202:
                    return answer
            elif (state := self._state(call, answer)) is not None:
                return state
            if time.monotonic() >= deadline:
                raise self._unsettled(call, "has not ended in its time")

    def _state(self, call: str, answer: Answer) -> Answer | None:
        """*answer* when the operation it tells of has ended well, None while it runs."""
        try:
            operation = _operation.decode(answer.body)
        except api.UNREADABLE as error:
            raise self._unsettled(call, "tells nothing of its state") from error
        if operation.status == "Succeeded":
            return answer
        if operation.status in ("Failed", "Canceled"):
            why = (operation.error or {}).get("message", "")
            raise Rejected(
                f"{self.platform}: {call} was accepted, and ended as {operation.status}"
                + (f": {why}" if isinstance(why, str) and why else ""),
                platform=self.platform,
                call=call,
                status=answer.status,
            )
        return None

    def _unsettled(self, call: str, what: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self.platform}: {call} was accepted, and {what}", platform=self.platform, call=call
        )


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address: two that differ in these are not the same platform."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)


def _seconds(duration: str) -> float:
    """The seconds of an ISO 8601 duration such as ``PT30M``; a fair time when there is none."""
    found = _DURATION.fullmatch(duration)
    if found is None or not any(found.groups()):
        return _LONGEST_OPERATION
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def explain(body: bytes) -> str:
    """What an error answer says, its code before its words."""
    error = api.error_of(body)
    if error is None:
        return ""
    return ": ".join(filter(None, ("" if error.code == "UserError" else error.code, error.message)))


def is_own(body: bytes) -> bool:
    """Whether a 404 with this body says that the thing asked for is not there.

    That of a workspace, a group or a subscription which is not there proves
    no environment gone.
    """
    error = api.error_of(body)
    return error is not None and error.code not in _ABOVE


def _in_our_words(error: ProviderError) -> ProviderError:
    """*error* of the HTTP client as the kind of error that Azure means, with what to do about it."""
    if isinstance(error, SignInFailed):
        return error
    found = _CODE.search(str(error))
    code = found[1] if found is not None else ""
    kind: type[ProviderError] = type(error)
    hint = error.hint
    match error.status:
        case 401:
            hint = f"{error.hint} And is `cloud` right?"
        case 403:
            hint = (
                "Give the identity the role AzureML Data Scientist on the workspace (on a registry: "
                "AzureML Registry User), which may write environments; for a plan Reader is enough."
            )
        case 404 if code == "ResourceNotFound":
            hint = "There is no such workspace or registry: check `workspace` and `resource_group`."
        case 404 if code == "ResourceGroupNotFound":
            hint = "Check `resource_group` and `subscription_id`."
        case 404 if code in _ABOVE:
            hint = "Check `subscription_id`, and whether the identity may see that subscription."
        case 409 if code == "MissingSubscriptionRegistration":
            kind = Rejected
            hint = (
                "The subscription does not know the service yet. Register it once: "
                f"az provider register --namespace {_PROVIDER}"
            )
        case 409 if code == "ScopeLocked":
            kind = Forbidden
            hint = "A lock on the workspace or its group forbids writing. Remove it: az lock list."
        case 400 if _FIXED in str(error):
            kind = AlreadyExists
        case 400 if "reserved" in str(error):
            hint = "Names that begin with AzureML or Microsoft are the vendor's. Choose another name."
        case 412:
            hint = "Something changed it at the same time. Make the plan again."
        case 405:
            hint = "The service does not offer this call."
    if kind is type(error) and hint == error.hint:
        return error
    return kind(
        str(error),
        platform=error.platform,
        call=error.call,
        status=error.status,
        request_id=error.request_id,
        hint=hint,
    )
