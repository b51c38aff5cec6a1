"""GitHub, on github.com and on Enterprise servers, by its REST API.

Source: GitHub's REST documents, API version 2022-11-28 (issue comments, check
runs, commit statuses, pulls, reviews, collaborators).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from reconciler.core.ports import SecretSource
from reconciler.errors import Forbidden, NotFound, OutcomeUnknown, UsageError
from reconciler.forges.calls import Advice, Calls, Sent
from reconciler.forges.model import Approval, Comment, Mark, Merged

__all__ = ["API", "GitHub"]

API: Final = "https://api.github.com"

_HEADERS: Final = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
_ADVICE: Final = Advice(
    token="GH_TOKEN or GITHUB_TOKEN is not accepted: it is expired, or of another server.",  # noqa: S106 - no token
    permission="The token may not do this. In a workflow, give the job `permissions:` with "
    "`pull-requests: write` and `checks: write`; a pull request from a fork gets a token that only reads.",
    place="Check --repository OWNER/NAME, --number and --api-url.",
)
_LONGEST_DESCRIPTION: Final = 140
_WRITES: Final = frozenset({"admin", "maintain", "write"})
_DECIDES: Final = frozenset({"APPROVED", "CHANGES_REQUESTED", "DISMISSED"})
"""The states of a review that replace what the same person said before; COMMENTED does not."""


class GitHub:
    """A `Forge`: the repository ``OWNER/NAME`` behind the API at *url*.

    *account* is the login that the token writes as; without it the forge is
    asked. The token of an app may not ask: then it is *app*'s.
    """

    name = "GitHub"

    def __init__(
        self,
        url: str,
        repository: str,
        token: str | None,
        *,
        account: str | None,
        app: str = "",
        secrets: SecretSource,
        user_agent: str,
        rehearse: bool = False,
    ) -> None:
        owner, _, name = repository.partition("/")
        if not owner or not name or "/" in name:
            raise UsageError(f"{repository!r} is no repository of GitHub", hint="It is OWNER/NAME.")
        self._repository = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}"
        self._account = account
        self._app = app
        self._calls = Calls(
            url,
            token,
            forge="GitHub",
            headers=_HEADERS,
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
        """See `Forge.account`. Raises `UsageError` when nobody says it."""
        if self._account is None:
            try:
                self._account = _login(await self._calls.read("/user"))
            except Forbidden as error:
                if not self._app:
                    raise UsageError(
                        "the token is that of an app, which cannot be asked for its account",
                        hint="Name it with --account, such as --account 'my-app[bot]'.",
                    ) from error
                self._account = self._app
        return self._account

    # --- comments ---

    async def comments(self, number: int) -> Sequence[Comment]:
        """See `Forge.comments`."""
        return [
            _comment(one) for one in await self._calls.pages(f"{self._repository}/issues/{number}/comments")
        ]

    async def comment(self, number: int, body: str) -> Comment:
        """See `Forge.comment`."""
        return _comment(
            await self._calls.write("POST", f"{self._repository}/issues/{number}/comments", {"body": body})
        )

    async def edit(self, number: int, comment: Comment, body: str) -> Comment:
        """See `Forge.edit`."""
        path = f"{self._repository}/issues/comments/{comment.id}"
        return _comment(await self._calls.write("PATCH", path, {"body": body}, repeatable=True))

    async def remove(self, number: int, comment: Comment) -> None:
        """See `Forge.remove`."""
        await self._calls.write(
            "DELETE", f"{self._repository}/issues/comments/{comment.id}", {}, repeatable=True
        )

    # --- marks ---

    async def mark(self, commit: str, mark: Mark) -> str:
        """A check run; where the token is none of an app, a commit status. See `Forge.mark`."""
        try:
            await self._check_run(commit, mark)
        except (Forbidden, NotFound):
            try:
                await self._status(commit, mark)
            except (Forbidden, NotFound):
                return ""
            return "commit status"
        return "check run"

    async def _check_run(self, commit: str, mark: Mark) -> None:
        runs = f"{self._repository}/check-runs"
        body: dict[str, Any] = {
            "name": mark.name,
            "head_sha": commit,
            "external_id": mark.digest,
            "status": "completed",
            "conclusion": "success",
            "output": {"title": mark.title, "summary": f"Digest `{mark.digest}`"},
        }
        if mark.link:
            body["details_url"] = mark.link
        ours = await self._own_check_run(commit, mark.name)
        if ours is not None:
            await self._calls.write("PATCH", f"{runs}/{ours}", body, repeatable=True)
            return
        try:
            await self._calls.write("POST", runs, body)
        except OutcomeUnknown:
            if await self._own_check_run(commit, mark.name) is None:
                await self._calls.write("POST", runs, body)

    async def _own_check_run(self, commit: str, name: str) -> int | None:
        """The id of our check run of that name; None when there is none."""
        path = f"{self._repository}/commits/{commit}/check-runs"
        account = await self.account()
        for run in await self._calls.pages(path, "check_runs", check_name=name):
            if f"{(run.get('app') or {}).get('slug')}[bot]" == account:
                return int(run["id"])
        return None

    async def _status(self, commit: str, mark: Mark) -> None:
        account = await self.account()
        wanted = {"state": "success", "context": mark.name, "description": mark.line(_LONGEST_DESCRIPTION)}
        # Newest first; a status is never changed, and a commit takes no more than 1,000 of them.
        for one in await self._calls.pages(f"{self._repository}/commits/{commit}/statuses"):
            if one.get("context") == mark.name and _login(one.get("creator")) == account:
                if all(one.get(key) == value for key, value in wanted.items()):
                    return
                break
        link = {"target_url": mark.link} if mark.link else {}
        # Said twice, the second is what counts, and it is the same.
        await self._calls.write(
            "POST", f"{self._repository}/statuses/{commit}", {**wanted, **link}, repeatable=True
        )

    # --- requests ---

    async def merged_by_commit(self, commit: str) -> Sequence[Merged]:
        """See `Forge.merged_by_commit`."""
        found = await self._calls.pages(f"{self._repository}/commits/{commit}/pulls")
        numbers = [
            one["number"] for one in found if one.get("merged_at") and one.get("merge_commit_sha") == commit
        ]
        merged = [await self.merged(number) for number in numbers]
        return [one for one in merged if one is not None]

    async def merged(self, number: int) -> Merged | None:
        """See `Forge.merged`."""
        pull = await self._calls.read(f"{self._repository}/pulls/{number}")
        if not pull or not pull.get("merged_at"):
            return None
        return Merged(
            number=int(pull["number"]),
            url=str(pull["html_url"]),
            head=str(pull["head"]["sha"]),
            author=_login(pull.get("user")),
            merged_by=_login(pull.get("merged_by")),
            merged_at=str(pull["merged_at"]),
        )

    async def approvals(self, merged: Merged) -> Sequence[Approval]:
        """See `Forge.approvals`. The author's own word does not count."""
        last: dict[str, Mapping[str, Any]] = {}
        for review in await self._calls.pages(f"{self._repository}/pulls/{merged.number}/reviews"):
            if review.get("state") in _DECIDES:
                last[_login(review.get("user"))] = review  # oldest first, so the last one stays
        return [
            Approval(
                by=login,
                at=str(review.get("submitted_at") or ""),
                commit=str(review.get("commit_id") or ""),
                approves=review["state"] == "APPROVED",
            )
            for login, review in last.items()
            if review["state"] != "DISMISSED"
            and login not in ("", merged.author)
            and await self._may_write(login)
        ]

    async def _may_write(self, login: str) -> bool:
        try:
            known = await self._calls.read(
                f"{self._repository}/collaborators/{quote(login, safe='')}/permission"
            )
        except NotFound:
            return False
        return known.get("permission") in _WRITES


def _login(user: Any) -> str:
    return str((user or {}).get("login") or "")


def _comment(one: Any) -> Comment:
    one = one or {}
    return Comment(
        id=str(one.get("id") or ""),
        author=_login(one.get("user")),
        body=str(one.get("body") or ""),
        edited=str(one.get("updated_at") or ""),
        url=str(one.get("html_url") or ""),
    )
