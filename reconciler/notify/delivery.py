"""From a `Notification` and `News` to requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from reconciler.core.notification import Notification
from reconciler.core.ports import SecretSource
from reconciler.errors import ProviderError, Rejected
from reconciler.notify import chat, github, gitlab
from reconciler.notify.news import News
from reconciler.providers.http import HttpClient, Token, trust

__all__ = ["Post", "deliver"]

_TIMEOUT: Final = 15.0
_LONGEST: Final = 60.0
"""Seconds that one notification may take in all, waits and repetitions included."""
_FOR_EVER: Final = 10.0**12


@dataclass(frozen=True, slots=True)
class Post:
    """What sending needs of the world."""

    secrets: SecretSource
    clock: Callable[[], float]
    random: Callable[[], float]
    user_agent: str


async def deliver(notification: Notification, news: News, post: Post) -> None:
    """Tell *news*. Raises `ProviderError` or `SecretUnavailable` when that failed, in part or whole."""
    match notification.kind:
        case "webhook" | "slack":
            assert notification.url is not None
            url = post.secrets.value(notification.url)
            parts = urlsplit(url)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            # Who knows the address of a hook can write to it.
            post.secrets.learn(path)
            base = f"{parts.scheme}://{parts.netloc}"
            body = chat.slack(news) if notification.kind == "slack" else chat.webhook(news)
            await _with(notification, base, post, lambda client: chat.send(client, path, body))
        case "github":
            await _with(
                notification,
                notification.endpoint,
                post,
                lambda client: github.tell(client, notification.project, notification.labels, news),
            )
        case "gitlab":
            await _with(
                notification,
                f"{notification.endpoint}/api/v4",
                post,
                lambda client: gitlab.tell(client, notification.project, notification.labels, news),
            )


async def _with(
    notification: Notification, base: str, post: Post, work: Callable[[HttpClient], Awaitable[None]]
) -> None:
    parts = urlsplit(base)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise Rejected("its address does not begin with https://", platform=notification.name)
    client = HttpClient(
        base,
        None,
        platform=notification.name,
        sign_in=_sign_in(notification, post),
        explain=_explained,
        is_own=lambda body: bool(_explained(body)),
        secrets=post.secrets,
        user_agent=post.user_agent,
        concurrency=1,
        rate=None,
        timeout=_TIMEOUT,
        verify=trust(None),
        clock=post.clock,
        random=post.random,
    )
    try:
        async with asyncio.timeout(_LONGEST):
            await work(client)
    except TimeoutError as error:
        raise ProviderError(
            f"{notification.name}: not done after {_LONGEST:g} s", platform=notification.name
        ) from error
    finally:
        await client.close()


def _sign_in(notification: Notification, post: Post) -> Callable[[HttpClient], Awaitable[Token]] | None:
    if notification.token is None:
        return None
    reference = notification.token

    async def sign_in(_: HttpClient) -> Token:
        return Token(post.secrets.value(reference), _FOR_EVER)

    return sign_in


def _explained(body: bytes) -> str:
    """What a forge says of an error: ``message`` (text, list or table) and ``errors``; GitLab's ``error``."""
    try:
        found: Any = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(found, dict):
        return ""
    parts = [found.get(key) for key in ("message", "error", "error_description")]
    details = found.get("errors")
    if isinstance(details, list):
        parts += [one.get("message") or one.get("code") for one in details if isinstance(one, dict)]
    return ": ".join(part if isinstance(part, str) else json.dumps(part) for part in parts if part)
