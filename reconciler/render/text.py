"""Plans, runs and drift as lines of text, for a terminal or a log. Made from the views alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import Complaint
from reconciler.render.characters import columns, printable
from reconciler.render.difference import (
    DESTRUCTIVE,
    destructive_first,
    line_changes,
    notes,
    quoted,
    reads_better_by_line,
    symbol_of,
)
from reconciler.render.warnings import grouped

__all__ = [
    "COLOURED",
    "NO_CHANGES",
    "PLAIN",
    "Palette",
    "acceptance_words",
    "apply_line",
    "complaint_lines",
    "drift_lines",
    "error_lines",
    "ledger_lines",
    "plan_lines",
    "summary_line",
]

NO_CHANGES: Final = "No changes. Your infrastructure matches the configuration."


@dataclass(frozen=True, slots=True)
class Palette:
    """Terminal colours, or none."""

    add: str = ""
    change: str = ""
    remove: str = ""
    bold: str = ""
    dim: str = ""
    warn: str = ""
    end: str = ""

    def of(self, action: str) -> str:
        """The colour of an action."""
        if action in DESTRUCTIVE:
            return self.remove
        return self.add if action in ("create", "adopt") else self.change


PLAIN: Final = Palette()
COLOURED: Final = Palette(
    add="\033[32m",
    change="\033[33m",
    remove="\033[31m",
    bold="\033[1m",
    dim="\033[2m",
    warn="\033[33m",
    end="\033[0m",
)


def plan_lines(
    view: Mapping[str, Any],
    palette: Palette = PLAIN,
    *,
    width: int = 80,
    quiet: bool = False,
    verbose: bool = False,
) -> Iterator[str]:
    """A plan: what would change, destructive changes first, and the line that counts them.

    *quiet* leaves out the changes; *verbose* adds the steps.
    """
    for text in grouped(view["warnings"]):
        yield from _warning(text, palette)
    changes = sorted(view["changes"], key=destructive_first)
    if not quiet:
        yield from _spaced(_change_lines(change, palette, width) for change in changes)
    if verbose and view["steps"]:
        yield "Steps, each begun as soon as those that it waits for are done:"
        yield from map(_step_line, view["steps"])
        yield ""
    if view["partial"]:
        left_out = len(view["partial"]) if quiet else ""
        yield (
            f"{palette.warn}This plan is partial.{palette.end} "
            f"Left out by --target or --exclude: {left_out}".rstrip()
        )
        yield from (f"  {printable(text)}" for text in view["partial"] if not quiet)
        yield ""
    if not changes:
        yield "No objects need to be destroyed." if view["destroy"] else NO_CHANGES
    else:
        yield f"{palette.bold}{summary_line(view['summary'])}{palette.end}"
    if view["policy"]:
        yield ""
        yield f"{palette.remove}This plan may not be applied as it stands:{palette.end}"
        yield from (f"  {printable(text)}" for text in view["policy"])


def _step_line(step: Mapping[str, Any]) -> str:
    waits = f"   (waits for {', '.join(map(str, step['waits']))})" if step["waits"] else ""
    return f"  {step['number']:>4}  {step['verb']} {printable(step['address'])}{waits}"


def _spaced(blocks: Iterable[Iterable[str]]) -> Iterator[str]:
    """*blocks*, with an empty line around each that has several lines, and behind the last."""
    before = 0
    for block in blocks:
        lines = list(block)
        if before and max(before, len(lines)) > 1:
            yield ""
        yield from lines
        before = len(lines)
    if before:
        yield ""


def summary_line(counts: Mapping[str, int]) -> str:
    """``Plan: 1 to add, 2 to change, 0 to destroy.``, which tools parse."""
    imported = f"{counts['import']} to import, " if counts["import"] else ""
    forgotten = f", {counts['forget']} to forget" if counts["forget"] else ""
    return (
        f"Plan: {imported}{counts['add']} to add, {counts['change']} to change, "
        f"{counts['destroy']} to destroy{forgotten}."
    )


def apply_line(counts: Mapping[str, int], *, destroy: bool) -> str:
    """``Apply complete! …``, which tools parse."""
    if destroy:
        return f"Destroy complete! Resources: {counts['destroy']} destroyed."
    imported = f"{counts['import']} imported, " if counts["import"] else ""
    return (
        f"Apply complete! Resources: {imported}{counts['add']} added, {counts['change']} changed, "
        f"{counts['destroy']} destroyed."
    )


def _warning(text: str, palette: Palette) -> Iterator[str]:
    first, *rest = map(printable, text.rstrip("\n").split("\n"))
    yield f"{palette.warn}Warning:{palette.end} {first}"
    yield from rest
    yield ""


def _change_lines(change: Mapping[str, Any], palette: Palette, width: int) -> Iterator[str]:
    action = change["action"]
    source = change["source"]
    where = f" ({source['file']}:{source['line']})" if source else ""
    symbol = f"{palette.of(action)}{symbol_of(change)}{palette.end}"
    address = f"{palette.bold}{printable(change['address'])}{palette.end}"
    moved = f", moved from {change['moved_from']}" if change["moved_from"] and action != "move" else ""
    why = printable(change["reason"] + moved)
    yield f"{symbol} {address}: {why}{palette.dim}{printable(where)}{palette.end}"
    for risk in change["risk"]:
        yield f"    {palette.warn}! {printable(risk)}{palette.end}"
    if change["irreversible"]:
        yield f"    {palette.warn}! {change['irreversible']}{palette.end}"
    for one in change["fields"]:
        yield from _field_lines(one, palette, width)


def _field_lines(one: Mapping[str, Any], palette: Palette, width: int) -> Iterator[str]:
    before, after = one["before"], one["after"]
    said = notes(one)
    words = f"   ({said})" if said else ""
    note = f"{palette.dim}{words}{palette.end}" if said else ""
    path = printable(one["path"])
    if one["sensitive"]:
        yield f"    {palette.change}~{palette.end} {path} changed (secret){note}"
    elif before is None:
        yield f"    {palette.add}+{palette.end} {path} = {quoted(after)}{note}"
    elif after is None:
        yield f"    {palette.remove}-{palette.end} {path} = {quoted(before)}{note}"
    elif reads_better_by_line(before, after):
        yield f"    {palette.change}~{palette.end} {path}{note}"
        yield from _line_diff(before, after, palette)
    else:
        old, new = quoted(before), quoted(after)
        if columns(f"    ~ {path} = {old} -> {new}{words}") <= width:
            yield f"    {palette.change}~{palette.end} {path} = {old} -> {new}{note}"
        else:
            yield f"    {palette.change}~{palette.end} {path} = {old}{note}"
            yield f"      {' ' * columns(path)}-> {new}"


def _line_diff(before: Any, after: Any, palette: Palette) -> Iterator[str]:
    for sign, line in line_changes(before, after):
        yield f"        {palette.remove if sign == '-' else palette.add}{sign}{palette.end} {line}"


def ledger_lines(view: Mapping[str, Any], palette: Palette = PLAIN, *, quiet: bool = False) -> Iterator[str]:
    """What an apply came to: a line for each step that matters, and how many ended how.

    *quiet* leaves in what went wrong.
    """
    order: Sequence[str] = ("could not be rolled back", "not known", "failed")
    if not quiet:
        order = (*order, "rolled back", "not started", "done")
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in view["steps"]:
        groups[row["outcome"]].append(row)
    yield f"Run {view['run']}: {view['outcome']}"
    for name in order:
        rows = groups[name]
        if not rows:
            continue
        colour = (
            palette.add
            if name == "done"
            else palette.remove
            if "not" in name or name == "failed"
            else palette.change
        )
        yield f"  {colour}{name:<24}{palette.end} {len(rows):>6}"
        most = 20 if name in ("done", "rolled back", "not started") else 100
        if len(rows) > most and name == "done":
            continue
        for row in rows[:most]:
            yield f"    {row['verb']} {printable(row['address'])}"
            if row["error"]:
                yield from (f"      {printable(line)}" for line in row["error"].split("\n"))
            if row["remedy"]:
                yield f"      To do it by hand: {printable(row['remedy'])}"
        if len(rows) > most:
            yield f"    … and {len(rows) - most} more"


def drift_lines(
    view: Mapping[str, Any], palette: Palette = PLAIN, *, width: int = 80, quiet: bool = False
) -> Iterator[str]:
    """What differs from what was last applied; *quiet*: how many do, and what could not be read."""
    for text in grouped(view["warnings"]):
        yield from _warning(text, palette)
    if not quiet:
        yield from _spaced(_drifted_lines(one, palette, width) for one in view["drift"])
        yield from _beside_drift(view)
    for one in view["unread"]:
        what = one["address"] or f"{one['platform']}: objects of kind {one['kind']} that no spec names"
        yield f"{palette.warn}?{palette.end} {printable(what)} could not be read: {printable(one['why'])}"
    count = len(view["drift"])
    checked = f"{view['checked']} resource{'' if view['checked'] == 1 else 's'}"
    unread = sum(one["address"] is not None for one in view["unread"])
    missing = f" {unread} could not be read." if unread else ""
    found = {
        "known": sum(one["known"] for one in view["drift"]),
        "accepted": sum(one["class"] == "accepted" and not one["known"] for one in view["drift"]),
    }
    of_them = "".join(f", {number} of them {word}" for word, number in found.items() if number)
    if count and count == found["known"]:
        yield f"No new drift. {count} of {checked} not as last applied, as the baseline has it.{missing}"
    elif count and count == sum(found.values()):
        yield f"No new drift. {count} of {checked} not as last applied{of_them}.{missing}"
    elif count:
        yield f"{palette.bold}Drift: {count} of {checked} not as last applied{of_them}.{palette.end}{missing}"
    else:
        yield f"No drift. {checked} as last applied.{missing}"


def _beside_drift(view: Mapping[str, Any]) -> Iterator[str]:
    """What is no drift, and looks like it to whoever compares specs and platforms by eye."""
    if pending := view["pending"]:
        verb = "differs" if len(pending) == 1 else "differ"
        yield (
            f"Pending: {len(pending)} resource{'' if len(pending) == 1 else 's'} in the specs {verb} from "
            "the last apply; `reconciler plan` shows what it would do."
        )
    if unmanaged := view["unmanaged"]:
        named = ", ".join(printable(f"{one['kind']} {one['name']}") for one in unmanaged[:3])
        more = f" and {len(unmanaged) - 3} more" if len(unmanaged) > 3 else ""
        yield f"Unmanaged: {named}{more}; no spec names {'it' if len(unmanaged) == 1 else 'them'}."
    if pending or unmanaged:
        yield ""


def _drifted_lines(one: Mapping[str, Any], palette: Palette, width: int) -> Iterator[str]:
    address = f"{palette.bold}{printable(one['address'])}{palette.end}"
    known = f" {palette.dim}(known){palette.end}" if one["known"] else ""
    if one["gone"]:
        yield f"{palette.remove}-{palette.end} {address} is gone from the platform{known}"
        return
    yield f"{palette.change}~{palette.end} {address} was changed outside{known}"
    if last := " ".join(filter(None, (one["changed_at"], one["changed_by"] and f"by {one['changed_by']}"))):
        yield f"    {palette.dim}last changed {printable(last)}{palette.end}"
    for change in one["fields"]:
        cause = "both" if change["cause"] == "both" else ""
        yield from _field_lines({**change, "cause": cause, "forces_replace": False}, palette, width)
        if change["cause"] == "spec":
            yield "      the specs say so by now"
        if (accepted := change["accepted"]) is not None:
            yield f"      {acceptance_words(accepted)}"


def acceptance_words(accepted: Mapping[str, Any]) -> str:
    """Who accepts a drift until when, and why."""
    by = f"by {accepted['owner']}: {accepted['reason']}"
    if accepted["expired"]:
        return printable(f"was accepted until {accepted['expires']}, which is over, {by}")
    return printable(f"accepted until {accepted['expires']} {by}")


def complaint_lines(complaint: Complaint, palette: Palette = PLAIN, *, width: int = 80) -> Iterator[str]:
    """One complaint: what, where, the line with a caret (cut to *width* around it), what to do."""
    summary = printable(complaint.summary) + (":" if complaint.parts else "")
    yield f"{palette.remove}Error:{palette.end} {palette.bold}{summary}{palette.end}"
    yield from (f"  - {printable(part)}" for part in complaint.parts)
    if complaint.file:
        place = f" line {complaint.line}, column {complaint.column}" if complaint.line else ""
        yield f"  on {printable(complaint.file)}{place}:"
    if complaint.excerpt:
        number = str(complaint.line)
        text, before = _around(complaint.excerpt, complaint.column - 1, width - len(number) - 7)
        yield f"    {palette.dim}{number} |{palette.end} {text}"
        yield f"    {' ' * len(number)} {palette.dim}|{palette.end} {' ' * before}^"
    if complaint.hint:
        yield from (f"  {printable(line)}".rstrip() for line in complaint.hint.split("\n"))


def _around(line: str, at: int, room: int) -> tuple[str, int]:
    """What *room* columns can show of *line* around character *at*, and how many of them stand before it."""
    first, last = max(0, at - 2 * room), at + 2 * room
    # One character for one, so that a place in the line stays where it is.
    text = "".join(c if c.isprintable() else " " if c == "\t" else "\ufffd" for c in line[first:last])
    mark = at - first
    text = text.ljust(mark + 1)
    start, end = 0, len(text)
    while columns(text[start:mark]) > room * 2 // 3 or (start and not columns(text[start])):
        start += 1
    while columns(text[start:end]) + (first + end < len(line)) > room:
        end -= 1
    cut = text[start:end]
    if first + start:
        cut = "…" + " " * (columns(cut[0]) - 1) + cut[1:]
    if first + end < len(line):
        cut += "…"
    return cut.rstrip(), columns(text[start:mark])


def error_lines(summary: str, hint: str, more: Iterable[str] = (), palette: Palette = PLAIN) -> Iterator[str]:
    """One error: what, perhaps a list, what to do."""
    first, *rest = map(printable, summary.split("\n"))
    yield f"{palette.remove}Error:{palette.end} {palette.bold}{first}{palette.end}"
    yield from (f"  {line}" for line in rest)
    yield from (f"  - {printable(line)}" for line in more)
    if hint:
        yield from (f"  {printable(line)}".rstrip() for line in hint.split("\n"))
