"""What a forge is to us: comments, marks on commits, requests to merge, and who approved them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Approval", "Comment", "Forge", "Mark", "Merged"]


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a pull or merge request.

    ``author`` is the login of an account. ``edited`` is when it got its
    present text, by the forge's own clock (RFC 3339, UTC).
    """

    id: str
    author: str
    body: str
    edited: str
    url: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What a commit is to carry: a check run, or a commit status. ``link`` may be empty."""

    name: str
    digest: str
    title: str
    link: str = ""

    def line(self, most: int) -> str:
        """It in one line of at most *most* characters; the digest is never cut."""
        text = f"{self.digest} {self.title}"
        return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Merged:
    """A pull or merge request that was merged. ``head`` is the last commit of its branch."""

    number: int
    url: str
    head: str
    author: str
    merged_by: str
    merged_at: str


@dataclass(frozen=True, slots=True)
class Approval:
    """What somebody who may write to the repository says of a request, last of all.

    ``commit`` is the one that was looked at; empty where the forge does not
    say. ``approves`` is False for changes that were asked for.
    """

    by: str
    at: str
    commit: str
    approves: bool


class Forge(Protocol):
    """One repository on one forge. Every call raises `ProviderError`, in the words of that forge."""

    name: str

    async def account(self) -> str:
        """The login under which we write."""

    async def comments(self, number: int) -> Sequence[Comment]:
        """Every comment of people and programs on a request, oldest first."""

    async def comment(self, number: int, body: str) -> Comment:
        """Write a comment. Raises `OutcomeUnknown` when it may be there or not."""

    async def edit(self, number: int, comment: Comment, body: str) -> Comment:
        """Give a comment another text."""

    async def remove(self, number: int, comment: Comment) -> None:
        """Take a comment away."""

    async def mark(self, commit: str, mark: Mark) -> str:
        """Put *mark* on a commit, once, and say in a word or two what it became; empty: not permitted."""

    async def merged_by_commit(self, commit: str) -> Sequence[Merged]:
        """The merged requests of which *commit* is what the target branch got."""

    async def merged(self, number: int) -> Merged | None:
        """A request by its number; None when it is not merged."""

    async def approvals(self, merged: Merged) -> Sequence[Approval]:
        """The last word of each person who may write to the repository, on that request."""

    async def close(self) -> None:
        """Give back connections."""
