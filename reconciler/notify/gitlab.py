"""An issue on GitLab, of its cloud or an own server.

Source: GitLab's REST documents, "Issues API" and "Notes API" (v4): a project
is named by its id or its path, URL-encoded; an issue by its ``iid``; a token
of any kind is taken as a bearer token.
"""

from __future__ import annotations

from urllib.parse import quote

from reconciler.notify import issue
from reconciler.notify.news import News
from reconciler.providers.http import HttpClient

__all__ = ["tell"]


async def tell(client: HttpClient, project: str, labels: tuple[str, ...], news: News) -> None:
    """Open the stack's issue, bring it up to date, or close it."""
    issues = f"/projects/{quote(project, safe='')}/issues"
    number = await issue.found(
        client, issues, {"state": "opened"}, marker=news.marker, text="description", number="iid"
    )
    text = {"title": news.title, "description": issue.body(news)}
    if number is None:
        if news.open:
            await client.request("POST", issues, body=issue.encoded({**text, "labels": ",".join(labels)}))
        return
    state = {} if news.open else {"state_event": "close"}
    await client.request("PUT", f"{issues}/{number}", body=issue.encoded({**text, **state}))
    if news.new or news.settled:
        note = {"body": issue.comment(news)}
        await client.request("POST", f"{issues}/{number}/notes", body=issue.encoded(note))
