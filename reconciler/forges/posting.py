"""One comment for each stack on a request, whatever happens; and which plan was approved there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from reconciler.errors import OutcomeUnknown, ReconcilerError
from reconciler.forges.model import Comment, Forge, Merged
from reconciler.forges.reviewed import Reviewed

__all__ = ["Approved", "approved", "outdate", "post"]

_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Approved:
    """A plan that may be applied: what was reviewed, by whom it was let through, and where."""

    reviewed: Reviewed
    merged: Merged
    by: str


async def post(
    forge: Forge, number: int, marker: str, body: str, says_the_same: Callable[[str, str], bool]
) -> tuple[Comment, str]:
    """Have *body*, which begins with the line *marker*, on request *number* as our one comment with it.

    A comment is left as it is when it *says_the_same*: an approval counts for
    as long as the text that was approved stays.

    Gives the comment, and what was done: ``created``, ``updated`` or
    ``unchanged``. Comments of others are left alone, whatever is in them.
    More of our own (two jobs at once, say) become a line that says where the
    plan is. A comment that may have been written or not is looked for.
    """
    account = await forge.account()  # before anything is written that could not be found again
    comment: Comment | None = None
    done = "unchanged"
    for tried in range(1, _TRIES + 1):
        ours = await _ours(forge, number, marker)
        if ours:
            comment = ours[-1]
            if _same(comment.body, body) or says_the_same(comment.body, body):
                done = "created" if tried > 1 else "unchanged"
            else:
                comment, done = await forge.edit(number, comment, body), "updated"
            for old in ours[:-1]:
                await _end(forge, number, marker, old, "The plan is in a later comment.")
            break
        try:
            comment, done = await forge.comment(number, body), "created"
            break
        except OutcomeUnknown:
            if tried == _TRIES:
                raise
    assert comment is not None
    if comment.author and comment.author != account:
        await forge.remove(number, comment)
        raise ReconcilerError(
            f"the token writes as {comment.author}, and not as {account}",
            hint=f"The comment was removed: it would not be found again. Give --account '{comment.author}'.",
        )
    return comment, done


async def outdate(forge: Forge, number: int, marker: str, why: str) -> int:
    """Make our comments with *marker* a line that says *why* no plan is there; how many were changed."""
    return sum([await _end(forge, number, marker, one, why) for one in await _ours(forge, number, marker)])


async def approved(
    forge: Forge, merged: Merged, marker: str, stack: str, merged_by: Sequence[str]
) -> Approved:
    """The plan of *stack* that was approved on *merged*.

    It is the one in our own newest comment with *marker*; it is of the last
    commit of the branch; and somebody who may write to the repository, and
    did not write the request, approved it after the comment got its present
    text, while nobody else asks for changes. In the place of an approval
    counts a merge after that by one of *merged_by*.

    Raises `ReconcilerError` that says which of these does not hold.
    """
    where = f"request {merged.number}"
    ours = await _ours(forge, merged.number, marker)
    if not ours:
        raise ReconcilerError(
            f"{where} has no plan of the stack {stack!r} by {await forge.account()}",
            hint="Nothing was reviewed. Look at a plan, and apply it with `apply --expect sha256:…`.",
        )
    reviewed = Reviewed.in_text(ours[-1].body)
    # Who reviews reads the one, and we the other.
    if reviewed is None or reviewed.stack != stack or reviewed.digest not in ours[-1].body:
        raise ReconcilerError(
            f"the comment on {where} holds no plan: it was made outdated, or somebody edited it",
            hint="Look at a plan, and apply it with `reconciler apply --expect sha256:…`.",
        )
    if reviewed.head != merged.head:
        raise ReconcilerError(
            f"the plan on {where} is of commit {reviewed.head[:12] or '(unknown)'}, "
            f"and {merged.head[:12]} was merged",
            hint="What was pushed last was never planned. Look at a plan, and apply it with `--expect`.",
        )
    edited = ours[-1].edited
    if merged.merged_by in merged_by and _later(merged.merged_at, edited):
        return Approved(reviewed, merged, merged.merged_by)
    words = await forge.approvals(merged)
    against = [one.by for one in words if not one.approves]
    if against:
        raise ReconcilerError(
            f"{', '.join(against)} asked for changes on {where}",
            hint="Nothing is applied until that is taken back, or somebody applies with `--expect sha256:…`.",
        )
    of_head = [one for one in words if one.commit in ("", merged.head)]
    # Not the same second: nobody has read it in that.
    in_time = [one.by for one in of_head if _later(one.at, edited)]
    if not in_time:
        late = f": {', '.join(one.by for one in words)} did so before" if words else ""
        raise ReconcilerError(
            f"nobody approved the plan on {where} as it stands there since {edited}{late}",
            hint="An approval counts when it is of the last commit, later than the comment's last change, "
            "and by somebody else than the author who may write to the repository. See docs/review.md.",
        )
    return Approved(reviewed, merged, in_time[-1])


async def _ours(forge: Forge, number: int, marker: str) -> Sequence[Comment]:
    """Our own comments that begin with *marker*, oldest first."""
    account = await forge.account()
    return [one for one in await forge.comments(number) if one.author == account and _begins(one, marker)]


def _later(one: str, other: str) -> bool:
    """Whether *one* is later than *other*, both RFC 3339; False where either cannot be read."""
    try:
        first, second = (datetime.fromisoformat(text) for text in (one, other))
    except ValueError:
        return False
    # A server may have a time zone of its own; what names none is UTC.
    return (first if first.tzinfo else first.replace(tzinfo=UTC)) > (
        second if second.tzinfo else second.replace(tzinfo=UTC)
    )


def _begins(comment: Comment, marker: str) -> bool:
    # Only at the very beginning: a quotation of the comment, or a plan of another stack, is not it.
    return comment.body.lstrip().split("\n", 1)[0].rstrip() == marker


def _same(there: str, wanted: str) -> bool:
    return there.replace("\r\n", "\n").strip() == wanted.strip()


async def _end(forge: Forge, number: int, marker: str, comment: Comment, why: str) -> bool:
    body = f"{marker}\n_This plan is outdated._ {why}\n"
    if _same(comment.body, body):
        return False
    await forge.edit(number, comment, body)
    return True
