"""Drift as Markdown, for an issue or a chat. Made from the view alone.

Names and values come from platforms, where anybody may have typed them: each
stands as code that it cannot get out of (see `reconciler.render.markup`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.render.characters import printable
from reconciler.render.difference import quoted
from reconciler.render.markup import code
from reconciler.render.text import acceptance_words

__all__ = ["MOST_BYTES", "drift_markdown"]

MOST_BYTES: Final = 60_000
"""The common forges end a text at 65,536 characters."""
_ROOM: Final = 400
"""How long one value may become."""
_SPARE: Final = 200
"""For the line that says how much is missing."""

View = Mapping[str, Any]


def drift_markdown(view: View, *, stack: str, max_bytes: int = MOST_BYTES) -> str:
    """The findings, what counts first, as much of them as *max_bytes* hold."""
    head = "".join(f"{line}\n" for line in _head(view, stack))
    blocks = ["".join(f"{line}\n" for line in _block(one)) for one in sorted(view["drift"], key=_rank)]
    blocks += ["".join(f"{line}\n" for line in _beside(view))]
    left = max_bytes - len(head.encode()) - _SPARE
    kept: list[str] = []
    for block in blocks:
        left -= len(block.encode())
        if left < 0:
            missing = len(blocks) - len(kept)
            kept.append(f"\n… and {missing} more, which `reconciler drift` shows.\n")
            break
        kept.append(block)
    return head + "".join(kept)


def _rank(one: View) -> tuple[bool, bool, str]:
    return (one["known"] or one["class"] == "accepted", one["class"] != "gone", one["address"])


def _head(view: View, stack: str) -> Iterator[str]:
    drift = view["drift"]
    quiet = sum(one["known"] or one["class"] == "accepted" for one in drift)
    yield f"## Drift of the stack {code(stack)}"
    yield ""
    unread = sum(one["address"] is not None for one in view["unread"])
    if not drift and not unread:
        yield f"No drift: all {view['checked']} resources are as last applied."
    else:
        besides = f", {quiet} of them known or accepted" if quiet else ""
        yield f"**{len(drift)} of {view['checked']} resources are not as last applied{besides}.**"
    for one in view["unread"]:
        what = code(one["address"] or f"{one['platform']}.{one['kind']}.*")
        yield f"\nCould not be read, and nothing is said of it: {what}: {code(one['why'], _ROOM)}"
    for text in view["warnings"]:
        yield f"\nWarning: {code(text, _ROOM)}"


def _block(one: View) -> Iterator[str]:
    since = f", known since {one['first_seen']}" if one.get("first_seen") else ""
    known = " (known)" if one["known"] else ""
    yield ""
    if one["gone"]:
        yield f"### {code(one['address'])} is gone from the platform{known}{since}"
        return
    yield f"### {code(one['address'])} was changed outside{known}{since}"
    yield ""
    if one["changed_at"] or one["changed_by"]:
        at = f" {code(one['changed_at'])}" if one["changed_at"] else ""
        by = f" by {code(one['changed_by'])}" if one["changed_by"] else ""
        yield f"Last changed{at}{by}."
        yield ""
    for change in one["fields"]:
        yield f"- {code(change['path'])}: {_change(change)}{_words(change)}"


def _change(change: View) -> str:
    if change["sensitive"]:
        return "changed (secret)"
    before, after = (
        code(quoted(change[side]), _ROOM) if change[side] is not None else "nothing"
        for side in ("before", "after")
    )
    return f"{before} → {after}"


def _words(change: View) -> str:
    words = ""
    if change["cause"] == "both":
        words = "; the specs want another value by now"
    elif change["cause"] == "spec":
        words = "; the specs say so by now"
    if change["accepted"] is not None:
        words += f"; {code(acceptance_words(change['accepted']), _ROOM)}"
    return words


def _beside(view: View) -> Iterator[str]:
    if view["pending"]:
        count = len(view["pending"])
        what = "1 resource in the specs differs" if count == 1 else f"{count} resources in the specs differ"
        yield f"\nPending: {what} from the last apply."
    if view["unmanaged"]:
        names = ", ".join(
            code(printable(f"{one['kind']} {one['name']}"), 80) for one in view["unmanaged"][:20]
        )
        more = f" and {len(view['unmanaged']) - 20} more" if len(view["unmanaged"]) > 20 else ""
        yield f"\nUnmanaged, named by no spec: {names}{more}."
