"""Webhooks: generic JSON, and text as Slack takes it.

Source: Slack, "Sending messages using incoming webhooks" and "Formatting text
for app surfaces": ``&``, ``<`` and ``>`` are control characters, and a text may
have 40,000 characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from reconciler.notify.news import News
from reconciler.providers.http import HttpClient

__all__ = ["send", "slack", "webhook"]

_MOST_NAMED: Final = 20


async def send(client: HttpClient, path: str, body: dict[str, Any]) -> None:
    """POST *body*."""
    await client.request("POST", path or "/", body=json.dumps(body, ensure_ascii=False).encode())


def webhook(news: News) -> dict[str, Any]:
    """The transitions, what is open, and the whole report."""
    return {
        "format_version": 1,
        "event": "drift",
        "stack": news.stack,
        "new": list(news.new),
        "settled": list(news.settled),
        "open": list(news.open),
        "report": dict(news.report),
    }


def slack(news: News) -> dict[str, Any]:
    """A message: what is new, what is settled."""
    lines = [f"*{_escaped(news.title)}*", *_named("New", news.new), *_named("Settled", news.settled)]
    return {"text": "\n".join(lines)}


def _named(title: str, drifts: tuple[str, ...]) -> Iterator[str]:
    for drift in drifts[:_MOST_NAMED]:
        yield f"• {title}: {_escaped(drift)}"
    if len(drifts) > _MOST_NAMED:
        yield f"• {title}: {len(drifts) - _MOST_NAMED} more"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
