"""Remarks about lines of files, in the forms that forges and test reports read.

GitHub's workflow commands, SARIF 2.1.0, JUnit XML. Texts of others cannot end
a command or an element: what has a meaning there is spelled.

Source: GitHub's documentation of workflow commands; the SARIF 2.1.0 standard
(OASIS), with what GitHub's code scanning asks for besides; the JUnit XML that
common test reporters read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Literal
from urllib.parse import quote

from reconciler.render.characters import printable

__all__ = ["Annotation", "github", "junit", "sarif"]

Level = Literal["error", "warning", "notice"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """A remark about a place: a file, and a line and column from 1; 0 where it is about more than that.

    ``file`` is relative to what the reader calls the root, with slashes; empty
    when the remark is about no file. ``rule`` says of which sort it is.
    """

    level: Level
    title: str
    message: str
    rule: str
    file: str = ""
    line: int = 0
    column: int = 0


# --- GitHub ---


def github(annotations: Iterable[Annotation]) -> str:
    """A workflow command for each: what a step prints and a pull request shows beside the line."""
    return "".join(f"{_command(one)}\n" for one in annotations)


def _command(one: Annotation) -> str:
    properties = {
        "title": printable(one.title),
        "file": one.file,
        "line": str(one.line or ""),
        "col": str(one.column or ""),
    }
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{one.level} {said}::{_data(one.message)}"


def _data(text: str) -> str:
    shown = "\n".join(map(printable, text.split("\n")))
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# --- SARIF ---

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_RULES: Final = {
    "spec": "A spec or reconciler.toml says something that cannot be.",
    "limit": "A spec asks for more than the policy of its stack allows.",
    "warning": "Something in a spec is probably not what was meant.",
}


def sarif(annotations: Sequence[Annotation], *, version: str) -> dict[str, Any]:
    """A log of one run. Its fingerprints stay when lines move, so that a finding is the same one later."""
    seen: Counter[str] = Counter()
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "reconciler",
                        "version": version,
                        "rules": [
                            {"id": rule, "shortDescription": {"text": text}} for rule, text in _RULES.items()
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, seen) for one in annotations],
            }
        ],
    }


def _result(one: Annotation, seen: Counter[str]) -> dict[str, Any]:
    content = "\0".join((one.rule, one.file, one.title, one.message))
    mark = hashlib.sha256(content.encode(errors="replace")).hexdigest()[:32]
    seen[mark] += 1
    result: dict[str, Any] = {
        "ruleId": one.rule,
        "ruleIndex": list(_RULES).index(one.rule),
        "level": "note" if one.level == "notice" else one.level,
        "message": {"text": f"{printable(one.title)}\n{one.message}".strip()},
        "partialFingerprints": {"finding/v1": f"{mark}:{seen[mark]}"},
    }
    if one.file:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(one.file, errors="replace")}}
        # A region needs a line; what is said of a whole file stands at its first.
        place["region"] = {"startLine": max(one.line, 1)}
        if one.column:
            place["region"]["startColumn"] = one.column
        result["locations"] = [{"physicalLocation": place}]
    return result


# --- JUnit ---


def junit(annotations: Sequence[Annotation], sound: Iterable[str]) -> str:
    """A test report: a failed case for each error, a passed one for each of the *sound* files."""
    errors = [one for one in annotations if one.level == "error"]
    cases = [*map(_failed, errors), *(_case(file, "is valid") + "/>" for file in sorted(sound))]
    rest = (one for one in annotations if one.level != "error")
    warnings = [f"{one.file}: {one.title}\n" if one.file else f"{one.title}\n" for one in rest]
    head = f'name="reconciler validate" tests="{len(cases)}" failures="{len(errors)}" errors="0"'
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<testsuites {head}>",
            f'<testsuite {head} skipped="0">',
            *cases,
            *_system_out(warnings),
            "</testsuite>",
            "</testsuites>\n",
        ]
    )


def _case(file: str, name: str) -> str:
    return f'<testcase classname="{_xml(file)}" name="{_xml(name)}"'


def _failed(one: Annotation) -> str:
    place = ":".join(filter(None, (one.file, str(one.line or ""), str(one.column or ""))))
    where = f' file="{_xml(one.file)}"' if one.file else ""
    where += f' line="{one.line}"' if one.line else ""
    start = _case(one.file or "stack", f"{f'line {one.line}: ' if one.line else ''}{one.title}")
    said = "\n".join(filter(None, (f"{place}: {one.title}" if place else one.title, one.message)))
    failure = f'<failure type="{one.rule}" message="{_xml(one.title)}">{_xml(said)}</failure>'
    return f"{start}{where}>{failure}</testcase>"


def _system_out(lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"<system-out>{_xml(''.join(lines))}</system-out>"


def _xml(text: str) -> str:
    """*text* without what XML has no way to say."""
    return escape("\n".join(map(printable, text.split("\n"))))
