"""A plan as Markdown, for a comment on a pull or merge request. Made from the view alone.

Names and values come from specs and from platforms, where others type them;
`markup` spells them. Comments are cut by the forges, so a text has a budget. What does not fit is
shortened, then grouped, then counted; the digest and what a plan takes away
are never left out.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from reconciler.render.characters import printable
from reconciler.render.difference import (
    SYMBOLS,
    destructive_first,
    gravest_first,
    is_grave,
    line_changes,
    notes,
    quoted,
    reads_better_by_line,
    symbol_of,
)
from reconciler.render.markup import code, fenced, fitting, html_code, prose
from reconciler.render.text import NO_CHANGES, summary_line
from reconciler.render.warnings import grouped

__all__ = ["LEAST_BYTES", "MOST_BYTES", "essence", "is_shortened", "markdown", "marker"]

MOST_BYTES: Final = 60_000
"""What fits into a comment on the common forges, which cut at 65,536 characters."""
LEAST_BYTES: Final = 2_000
"""Below this not even the digest and the counts are sure to fit."""

_TABLE: Final = "| change | object | risk | used by |\n|---|---|---|---|"
_LEAST_FOR_CHANGES: Final = 600
_FACTS: Final = re.compile(r"^(Digest `[^`]*`) · .*$", re.MULTILINE)
_SHORTENED: Final = "\n_Shortened to fit. The whole plan: `reconciler show PLANFILE`._\n"


def marker(stack: str) -> str:
    """The hidden line by which the comment on the plan of *stack* is found again."""
    name = quote(stack, safe="")
    if len(name) > 100:
        name = f"{name[:60]}.{hashlib.sha256(stack.encode()).hexdigest()[:16]}"
    return f"<!-- reconciler:plan:{name} -->"


def markdown(view: Mapping[str, Any], *, max_bytes: int = MOST_BYTES) -> str:
    """The plan in *view* in at most *max_bytes* bytes of UTF-8.

    *max_bytes* is at least `LEAST_BYTES`. Changes that take something away or
    cannot be taken back each have a row; when there are too many even for
    that, they are counted by kind and named as far as there is room, and the
    text says how many more there are.
    """
    changes = sorted(view["changes"], key=destructive_first)
    page = _Page(view, changes, _groups(changes))
    for text in page.versions():
        if len(text.encode()) <= max_bytes:
            return text
    start = page.head(brief=True)
    room = max_bytes - len((start + _SHORTENED).encode())
    for risks in (page.risks(), page.risks(others=False), page.risks(others=False, room=160)):
        left = room - len(risks.encode())
        if left >= _LEAST_FOR_CHANGES:
            return start + risks + page.as_many_as_fit(left) + _SHORTENED
    return start + page.named(room) + _SHORTENED


def essence(text: str) -> str:
    """What *text*, which `markdown` made, says of a plan: without the commit and the state it was made at."""
    return _FACTS.sub(r"\1", text)


def is_shortened(text: str) -> bool:
    """Whether *text*, which `markdown` made, leaves out something of its plan."""
    return text.endswith(_SHORTENED)


def _cut(text: str, most: int | None) -> str:
    return text if most is None or len(text) <= most else f"{text[: most - 1]}…"


def _things(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


# --- what is said of a change ---


@dataclass(frozen=True, slots=True)
class _Group:
    """Changes of which the same is to be said, and what that is: a sign and a text for each row."""

    changes: tuple[Mapping[str, Any], ...]
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much is said: of a value, of the rows of a group, of its names. None is all of it."""

    value: int | None = None
    rows: int | None = None
    names: int | None = None


_DETAILS: Final = (
    _Detail(),
    _Detail(value=400, rows=60, names=200),
    _Detail(value=160, rows=24, names=60),
    _Detail(value=80, rows=8, names=20),
    _Detail(value=60, rows=0, names=10),
)


def _told(change: Mapping[str, Any]) -> list[str]:
    """What a reviewer must not miss of a change, worst first."""
    never = [f"cannot be taken back: {change['irreversible']}"] if change["irreversible"] else []
    return [*never, *change["risk"]]


def _rows(change: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields of a change as the rows of a diff."""
    for one in change["fields"]:
        said = notes(one)
        note = f"   # {said}" if said else ""
        path, before, after = printable(one["path"]), one["before"], one["after"]
        if one["sensitive"]:
            yield "!", f"{path} changed (secret){note}"
        elif before is None:
            yield "+", f"{path} = {quoted(after)}{note}"
        elif after is None:
            yield "-", f"{path} = {quoted(before)}{note}"
        elif reads_better_by_line(before, after):
            yield "!", f"{path}{note}"
            yield from ((sign, f"    {line}") for sign, line in line_changes(before, after))
        else:
            yield "-", f"{path} = {quoted(before)}"
            yield "+", f"{path} = {quoted(after)}{note}"


def _groups(changes: Iterable[Mapping[str, Any]]) -> list[_Group]:
    """*changes* with those together of which the same is to be said, but for the name."""
    found: dict[tuple[object, ...], list[Mapping[str, Any]]] = defaultdict(list)
    rows: dict[tuple[object, ...], tuple[tuple[str, str], ...]] = {}
    for change in changes:
        own = f"name = {quoted(_name(change))}"
        said = tuple(row for row in _rows(change) if row != ("+", own))
        kind = _kind(change["address"])
        told = (*change["risk"], change["irreversible"], change["moved_from"])
        key = (change["action"], change["reason"], kind, told, said)
        found[key].append(change)
        rows[key] = said if len(found[key]) > 1 else tuple(_rows(change))
    return [_Group(tuple(same), rows[key]) for key, same in found.items()]


def _name(change: Mapping[str, Any]) -> str:
    return str(change["address"]).split(".", 2)[-1]


def _kind(address: str) -> str:
    return ".".join(address.split(".", 2)[:2])


# --- the page ---


@dataclass(frozen=True, slots=True)
class _Page:
    """One plan on its way into a text of limited length."""

    view: Mapping[str, Any]
    changes: Sequence[Mapping[str, Any]]
    groups: Sequence[_Group]

    def versions(self) -> Iterator[str]:
        """The page with every change in it, in less and less detail."""
        start = self.head() + self.risks()
        title = "### Changes\n\n" if self.groups else ""
        for detail in _DETAILS:
            end = "" if detail is _DETAILS[0] else _SHORTENED
            yield start + title + "".join(_folded(group, detail) for group in self.groups) + end

    def head(self, *, brief: bool = False) -> str:
        """The marker, the digest, the line that counts, and what a reviewer must know of the whole."""
        view = self.view
        empty = "No objects need to be destroyed." if view["destroy"] else NO_CHANGES
        facts = [f"Digest `{view['digest']}`"]
        if view["specs"]["revision"]:
            facts.append(f"specs at {code(view['specs']['revision'], 80)}")
        facts.append(f"state serial {view['base']['serial']}")
        parts = [
            marker(view["stack"]),
            f"## Plan for {code(view['stack'], 80)}\n",
            f"**{summary_line(view['summary']) if self.changes else empty}**\n",
            f"{' · '.join(facts)}\n",
        ]
        if view["undoes"]:
            parts.append(f"It takes back run {code(view['undoes'], 80)}.\n")
        parts += _alert("CAUTION", "Policy forbids this plan as it stands.", view["policy"], brief=brief)
        parts += _alert(
            "WARNING",
            "This plan is partial. Left out by --target or --exclude:",
            view["partial"],
            brief=brief,
        )
        parts += _warnings(view["warnings"], brief=brief)
        return "\n".join(parts) + "\n"

    def risks(self, *, others: bool = True, room: int | None = None) -> str:
        """A row for each change that takes something away or cannot be taken back, and for each of the
        *others* with a risk; no cell takes much more than *room* bytes."""
        grave = gravest_first(self.changes)
        lesser = [change for change in self.changes if change["risk"] and not is_grave(change)]
        if not grave and not lesser:
            return ""
        lines = ["### Risks", ""]
        if rows := [*grave, *(lesser if others else ())]:
            lines.append(_TABLE)
            lines += [_risk_row(change, room) for change in rows]
        if lesser and not others:
            lines += ["", f"{_things(len(lesser), 'change')} with a risk, of which none takes anything away."]
        return "\n".join([*lines, "", ""])

    def as_many_as_fit(self, room: int) -> str:
        """A line for each group, as many as *room* bytes hold, and how many more there are."""
        lines = [_line(group) for group in self.groups]
        for kept in _halving(len(lines)):
            text = "### Changes\n\n" + "".join(lines[:kept]) + _counts(self.groups[kept:], room // 2)
            if len(text.encode()) <= room:
                return text
        return _counts(self.groups, room)

    def named(self, room: int) -> str:
        """What takes something away, by kind, with as many names as *room* bytes hold; the rest counted."""
        grave: dict[tuple[str, str], list[str]] = defaultdict(list)
        for change in self.changes:
            if is_grave(change):
                grave[change["action"], _kind(change["address"])].append(_name(change))
        start = "### Risks\n\nToo many for a row each. This takes something away, or cannot be undone:\n\n"
        rest = _counts([group for group in self.groups if not is_grave(group.changes[0])], room // 4)
        room -= len((start + rest).encode()) + 1
        total = sum(map(len, grave.values()))
        lines = [
            _named(action, kind, names, room * len(names) // total)
            for (action, kind), names in sorted(grave.items(), key=lambda item: (-len(item[1]), item[0]))
        ]
        named = fitting(lines, room, lambda left: f"- {_things(left, 'more kind')}\n")
        return start + named + "\n" + self._told(room - len(named.encode())) + rest

    def _told(self, room: int) -> str:
        """Rows of what is taken away and has a risk besides, as many as *room* bytes hold."""
        rows = [
            _risk_row(change, 160) + "\n" for change in self.changes if is_grave(change) and _told(change)
        ]
        start = f"Of these, with a risk:\n\n{_TABLE}\n"
        room -= len(start) + 1
        if not rows or room < 400:
            return ""
        return start + fitting(rows, room, lambda left: f"\nand {left:,} more\n") + "\n"


def _halving(count: int) -> Iterator[int]:
    """How many to try: all, then seven eighths of that, and so on."""
    while count:
        yield count
        count = count * 7 // 8


def _alert(kind: str, title: str, texts: Sequence[str], *, brief: bool) -> Iterator[str]:
    if texts:
        most = 3 if brief else 50
        yield f"> [!{kind}]\n> **{title}**\n>"
        yield from (f"> - {prose(text, 160 if brief else 1_000)}" for text in texts[:most])
        if len(texts) > most:
            yield f"> - and {len(texts) - most:,} more"
        yield ""


def _warnings(texts: Sequence[str], *, brief: bool) -> Iterator[str]:
    title = _things(len(texts), "warning")
    if texts and brief:
        yield f"{title}: see `reconciler show PLANFILE`.\n"
    elif texts:
        lines = [printable(line) for text in grouped(texts) for line in text.rstrip("\n").split("\n")]
        yield f"<details><summary>{title}</summary>\n\n{fenced(lines)}\n</details>\n"


def _risk_row(change: Mapping[str, Any], room: int | None) -> str:
    users = [text.removeprefix("used by ") for text in change["risk"] if text.startswith("used by ")]
    risks = [text for text in _told(change) if not text.startswith("used by ")]
    cells = [
        f"`{symbol_of(change)}` {change['manner'] or change['action']}",
        code(change["address"], room),
        "<br>".join(prose(text, room) for text in risks) or prose(change["reason"], room),
        "<br>".join(prose(text, room) for text in users),
    ]
    return f"| {' | '.join(cells)} |"


def _folded(group: _Group, detail: _Detail) -> str:
    """One change, or several equal ones, behind a line that opens it."""
    if detail.rows == 0:
        return _line(group, detail.names or 1)
    first = group.changes[0]
    lines = [f"{sign} {_cut(text, detail.value)}" for sign, text in group.rows[: detail.rows]]
    if detail.rows is not None and len(group.rows) > detail.rows:
        lines.append(f"# and {_things(len(group.rows) - detail.rows, 'more line')}")
    body = ""
    if len(group.changes) > 1:
        body += f"{_names(group, detail.names)}\n\n"
    told = _told(first)
    body += "".join(f"- {prose(text, detail.value)}\n" for text in told) + ("\n" if told else "")
    body += f"{fenced(lines, 'diff')}\n" if lines else ""
    heading = _heading(group)
    if not body:
        return f"- {heading}\n\n"
    return f"<details><summary>{heading}</summary>\n\n{body}</details>\n\n"


def _line(group: _Group, names: int = 3) -> str:
    more = f": {_names(group, names)}" if len(group.changes) > 1 else ""
    return f"- {_heading(group)}{more}\n"


def _heading(group: _Group) -> str:
    first, count = group.changes[0], len(group.changes)
    symbol = html_code(symbol_of(first))
    if count > 1:
        what = f"{first['action']} <b>{count:,}</b> × {html_code(_kind(first['address']), 200)}"
        return f"{symbol} {what}: {prose(first['reason'], 300)}"
    source = first["source"]
    where = f" ({html_code(source['file'] + ':' + str(source['line']), 200)})" if source else ""
    moved = first["moved_from"] if first["action"] != "move" else None
    was = f", moved from {html_code(moved, 300)}" if moved else ""
    return f"{symbol} <b>{html_code(first['address'], 300)}</b>: {prose(first['reason'], 300)}{was}{where}"


def _names(group: _Group, most: int | None) -> str:
    names = [code(_name(change), 300) for change in group.changes[:most]]
    left = len(group.changes) - len(names)
    return ", ".join(names) + (f" and {left:,} more" if left else "")


def _named(action: str, kind: str, names: Sequence[str], room: int) -> str:
    start = f"- `{SYMBOLS[action]}` {action} {len(names):,} × {code(kind, 80)}"
    # With the comma, the colon and the end of the line.
    room -= len(start.encode()) + 3
    listed = fitting(
        [f", {code(name, 200)}" for name in names], room, lambda left: f" and {left:,} more"
    ).removeprefix(", ")
    return f"{start}: {listed.strip()}\n" if room > 40 else f"{start}\n"


def _counts(groups: Sequence[_Group], room: int) -> str:
    """How many changes are not shown, by what they are, in at most *room* bytes."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for group in groups:
        for change in group.changes:
            found[change["action"], _kind(change["address"])] += 1
    if not found:
        return ""
    start = f"\nNot shown, {_things(sum(found.values()), 'change')}:\n\n"
    lines = [
        f"- `{SYMBOLS[action]}` {action} {count:,} × {code(kind, 80)}\n"
        for (action, kind), count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]
    room -= len(start.encode()) + 1
    return start + fitting(lines, room, lambda left: f"- {_things(left, 'more kind')}\n") + "\n"
