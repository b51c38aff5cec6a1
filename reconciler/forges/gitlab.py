"""GitLab, on gitlab.com and on a server of one's own, by its REST API, version 4.

Source: GitLab's REST documents (notes, commits, merge requests, merge request
approvals, project members).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from reconciler.core.ports import SecretSource
from reconciler.errors import Forbidden, Rejected, UsageError
from reconciler.forges.calls import Advice, Calls, Sent
from reconciler.forges.model import Approval, Comment, Mark, Merged

__all__ = ["API", "GitLab"]

API: Final = "https://gitlab.com/api/v4"

_ADVICE: Final = Advice(
    token="GITLAB_TOKEN is not accepted: it is expired or revoked, or of another server.",  # noqa: S106 - no token
    permission="The token may not do this. It is a project access token of the role Developer with the "
    "scope `api`; for pipelines of merge requests the variable must not be protected.",
    place="Check --repository (id or GROUP/NAME), --number and --api-url, which ends in /api/v4.",
)
_LONGEST_DESCRIPTION: Final = 255
_APPROVED: Final = "approved this merge request"
_UNAPPROVED: Final = "unapproved this merge request"


class GitLab:
    """A `Forge`: the project *repository* (its id, or ``GROUP/NAME``) behind the API at *url*."""

    name = "GitLab"

    def __init__(
        self,
        url: str,
        repository: str,
        token: str | None,
        *,
        account: str | None,
        secrets: SecretSource,
        user_agent: str,
        rehearse: bool = False,
    ) -> None:
        if not re.fullmatch(r"[0-9]+|[^/\s]+(/[^/\s]+)+", repository):
            raise UsageError(f"{repository!r} is no project of GitLab", hint="It is an id, or GROUP/NAME.")
        self._project = f"/projects/{quote(repository, safe='')}"
        self._account = account
        self._calls = Calls(
            url,
            token,
            forge="GitLab",
            headers={},
            advice=_ADVICE,
            secrets=secrets,
            user_agent=user_agent,
            rehearse=rehearse,
        )

    @property
    def sent(self) -> Sequence[Sent]:
        """What a rehearsal would have sent."""
        return self._calls.sent

    async def close(self) -> None:
        """See `Forge.close`."""
        await self._calls.close()

    async def account(self) -> str:
        """See `Forge.account`."""
        if self._account is None:
            self._account = _username(await self._calls.read("/user"))
        return self._account

    # --- comments ---

    async def comments(self, number: int) -> Sequence[Comment]:
        """See `Forge.comments`."""
        return [_comment(one) for one in await self._notes(number) if not one.get("system")]

    async def _notes(self, number: int) -> list[Any]:
        return await self._calls.pages(
            f"{self._project}/merge_requests/{number}/notes", sort="asc", order_by="created_at"
        )

    async def comment(self, number: int, body: str) -> Comment:
        """See `Forge.comment`."""
        path = f"{self._project}/merge_requests/{number}/notes"
        return _comment(await self._calls.write("POST", path, {"body": body}))

    async def edit(self, number: int, comment: Comment, body: str) -> Comment:
        """See `Forge.edit`."""
        path = f"{self._project}/merge_requests/{number}/notes/{comment.id}"
        return _comment(await self._calls.write("PUT", path, {"body": body}, repeatable=True))

    async def remove(self, number: int, comment: Comment) -> None:
        """See `Forge.remove`."""
        path = f"{self._project}/merge_requests/{number}/notes/{comment.id}"
        await self._calls.write("DELETE", path, {}, repeatable=True)

    # --- marks ---

    async def mark(self, commit: str, mark: Mark) -> str:
        """A commit status. See `Forge.mark`."""
        text = mark.line(_LONGEST_DESCRIPTION)
        link = {"target_url": mark.link} if mark.link else {}
        body = {"state": "success", "name": mark.name, "description": text, **link}
        try:
            if not await self._has_status(commit, mark.name, text):
                await self._calls.write("POST", f"{self._project}/statuses/{commit}", body, repeatable=True)
        except Forbidden:
            return ""
        except Rejected:
            # GitLab makes states, not texts: it refuses a success where there is one, be it that of an
            # earlier plan or ours, whose answer was lost.
            if not await self._has_status(commit, mark.name, text):
                return ""
        return "commit status"

    async def _has_status(self, commit: str, name: str, text: str) -> bool:
        account = await self.account()
        path = f"{self._project}/repository/commits/{commit}/statuses"
        return any(
            (one.get("name"), one.get("description"), _username(one.get("author"))) == (name, text, account)
            for one in await self._calls.pages(path, name=name)
        )

    # --- requests ---

    async def merged_by_commit(self, commit: str) -> Sequence[Merged]:
        """See `Forge.merged_by_commit`."""
        found = await self._calls.pages(f"{self._project}/repository/commits/{commit}/merge_requests")
        numbers = [one["iid"] for one in found if one.get("state") == "merged" and commit in _landed(one)]
        merged = [await self.merged(number) for number in numbers]
        return [one for one in merged if one is not None]

    async def merged(self, number: int) -> Merged | None:
        """See `Forge.merged`."""
        request = await self._calls.read(f"{self._project}/merge_requests/{number}")
        if not request or request.get("state") != "merged":
            return None
        return Merged(
            number=int(request["iid"]),
            url=str(request["web_url"]),
            head=str(request["sha"]),
            author=_username(request.get("author")),
            # Servers before 14.7 know it as merged_by.
            merged_by=_username(request.get("merge_user") or request.get("merged_by")),
            merged_at=str(request.get("merged_at") or ""),
        )

    async def approvals(self, merged: Merged) -> Sequence[Approval]:
        """See `Forge.approvals`. The author's own word does not count.

        Only those who may (Developer and above) can approve there. An
        approval says neither when nor of what; the notes that GitLab itself
        writes say when.
        """
        told = await self._calls.read(f"{self._project}/merge_requests/{merged.number}/approvals")
        approving = {_username(one.get("user")) for one in (told or {}).get("approved_by") or []}
        when: dict[str, str] = {}
        for note in await self._notes(merged.number):
            if note.get("system") and note.get("body") in (_APPROVED, _UNAPPROVED):
                when[_username(note.get("author"))] = (
                    str(note["created_at"]) if note["body"] == _APPROVED else ""
                )
        return [
            Approval(by=login, at=at, commit="", approves=True)
            for login, at in when.items()
            if at and login in approving and login != merged.author
        ]


def _landed(request: Mapping[str, Any]) -> set[Any]:
    """The commits under which a merged request may be on its target branch."""
    merge, squash = request.get("merge_commit_sha"), request.get("squash_commit_sha")
    # Where neither was made, the branch was fast-forwarded to the last commit of the request.
    return {merge, squash} - {None} or {request.get("sha")}


def _username(user: Any) -> str:
    return str((user or {}).get("username") or "")


def _comment(one: Any) -> Comment:
    one = one or {}
    return Comment(
        id=str(one.get("id") or ""),
        author=_username(one.get("author")),
        body=str(one.get("body") or ""),
        edited=str(one.get("updated_at") or ""),
        url="",
    )
