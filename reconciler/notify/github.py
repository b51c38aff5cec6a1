"""An issue on GitHub, of its cloud or an own server.

Source: GitHub's REST documents, "Issues" and "Issue comments" (API version
2022-11-28): listings have at most 100 entries a page and contain pull
requests, which have a ``pull_request`` of their own.
"""

from __future__ import annotations

from reconciler.notify import issue
from reconciler.notify.news import News
from reconciler.providers.http import HttpClient

__all__ = ["tell"]


async def tell(client: HttpClient, repository: str, labels: tuple[str, ...], news: News) -> None:
    """Open the stack's issue, bring it up to date, or close it."""
    issues = f"/repos/{repository}/issues"
    number = await issue.found(
        client, issues, {"state": "open"}, marker=news.marker, text="body", number="number"
    )
    text = {"title": news.title, "body": issue.body(news)}
    if number is None:
        if news.open:
            await client.request("POST", issues, body=issue.encoded({**text, "labels": list(labels)}))
        return
    state = {} if news.open else {"state": "closed", "state_reason": "completed"}
    await client.request("PATCH", f"{issues}/{number}", body=issue.encoded({**text, **state}))
    if news.new or news.settled:
        note = {"body": issue.comment(news)}
        await client.request("POST", f"{issues}/{number}/comments", body=issue.encoded(note))
