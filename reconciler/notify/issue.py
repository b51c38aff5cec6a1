"""The texts of an issue, and how one of ours is found again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from reconciler.errors import ProviderError
from reconciler.notify.news import News
from reconciler.providers.http import HttpClient

__all__ = ["PAGE", "body", "comment", "encoded", "found"]

PAGE: Final = 100
"""How many issues are asked for at once: the most that either forge gives."""
_MOST_PAGES: Final = 200
_MOST_NAMED: Final = 100


def body(news: News) -> str:
    """The issue's own text, with the mark to find it by."""
    return f"{news.marker}\n{news.markdown}"


def comment(news: News) -> str:
    """What has changed since the last time."""
    lines = [*_named("New", news.new), *_named("Settled", news.settled)]
    if not news.open:
        lines.append("Nothing is left: everything is as last applied, or accepted.")
    return "\n".join(lines)


def _named(title: str, drifts: tuple[str, ...]) -> Iterator[str]:
    for drift in drifts[:_MOST_NAMED]:
        yield f"- {title}: {_code(drift)}"
    if len(drifts) > _MOST_NAMED:
        yield f"- {title}: {len(drifts) - _MOST_NAMED} more"


def _code(text: str) -> str:
    """*text* as code that it cannot get out of, so that it mentions nobody and commands nothing."""
    inner = "".join(one if one.isalnum() or one in " -_.,:/=" else f"&#{ord(one)};" for one in text)
    return f"<code>{inner}</code>"


def encoded(value: dict[str, Any]) -> bytes:
    """*value* as a request's body."""
    return json.dumps(value, ensure_ascii=False).encode()


async def found(
    client: HttpClient, path: str, params: dict[str, str], *, marker: str, text: str, number: str
) -> int | None:
    """The number of the oldest open issue with *marker* in its *text*, over all pages."""
    mine: list[int] = []
    for page in range(1, _MOST_PAGES + 1):
        answer = await client.get(path, {**params, "per_page": str(PAGE), "page": str(page)})
        try:
            issues = json.loads(answer)
            mine += [
                one[number] for one in issues if marker in (one[text] or "") and "pull_request" not in one
            ]
        except (ValueError, TypeError, LookupError) as error:
            raise ProviderError(
                f"{client.platform}: GET {path} did not answer with a list of issues",
                platform=client.platform,
            ) from error
        if len(issues) < PAGE:
            return min(mine, default=None)
    raise ProviderError(f"{client.platform}: GET {path} does not come to an end", platform=client.platform)
