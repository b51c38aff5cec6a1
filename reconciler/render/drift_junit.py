"""Drift as a JUnit report: a test case for each managed resource, for whatever shows tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from reconciler.render.characters import printable
from reconciler.render.text import acceptance_words, drift_lines

__all__ = ["drift_junit"]


def drift_junit(view: Mapping[str, Any], addresses: Iterable[str], *, stack: str) -> str:
    """*addresses* are all managed resources. Drift is a failure, what is accepted or known is skipped,
    what could not be read is an error."""
    drifted = {one["address"]: one for one in view["drift"]}
    unread = {one["address"]: one["why"] for one in view["unread"] if one["address"] is not None}
    names = sorted({*addresses, *drifted, *unread})
    quiet = {name for name, one in drifted.items() if one["known"] or one["class"] == "accepted"}
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name={_attribute(f"drift of {stack}")} tests="{len(names)}" '
        f'failures="{len(drifted.keys() - quiet)}" errors="{len(unread)}" skipped="{len(quiet)}" '
        f'timestamp={_attribute(view["run"]["at"])} time="{view["run"]["seconds"]:.3f}">',
    ]
    for name in names:
        platform, kind, _ = name.split(".", 2)
        case = f"  <testcase classname={_attribute(f'{platform}.{kind}')} name={_attribute(name)}"
        if name in unread:
            lines += [f"{case}>", f"    <error message={_attribute(unread[name])}/>", "  </testcase>"]
        elif name in quiet:
            lines += [
                f"{case}>",
                f"    <skipped message={_attribute(_why(drifted[name]))}/>",
                "  </testcase>",
            ]
        elif name in drifted:
            lines += [f"{case}>", *_failure(drifted[name]), "  </testcase>"]
        else:
            lines.append(f"{case}/>")
    return "".join(f"{line}\n" for line in [*lines, "</testsuite>"])


def _failure(one: Mapping[str, Any]) -> Iterator[str]:
    summary = "gone from the platform" if one["gone"] else "changed outside"
    told = drift_lines(
        {"drift": [one], "warnings": [], "unread": [], "pending": [], "unmanaged": [], "checked": 0}
    )
    detail = "\n".join(list(told)[:-2])
    yield f'    <failure type="drift" message={_attribute(summary)}>{escape(detail)}</failure>'


def _why(one: Mapping[str, Any]) -> str:
    if one["known"]:
        return "known: the baseline has it"
    return "; ".join(acceptance_words(field["accepted"]) for field in one["fields"])


def _attribute(text: str) -> str:
    return quoteattr(printable(text))
