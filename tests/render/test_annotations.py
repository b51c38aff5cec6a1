"""Remarks about lines, in the forms of others: whole, and nothing in a text ends them."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from render.plans import golden

from reconciler.render.annotations import Annotation, github, junit, sarif

FOUND = (
    Annotation("error", "unknown key `imag`", "Did you mean `image`?", "spec", "states/dev/lab.toml", 2, 1),
    Annotation("error", "asks for 9 GPUs, and 8 are allowed", "", "limit", "states/dev/a b.toml", 7, 12),
    Annotation("error", "cannot be read: Permission denied", "Check it.", "spec", "states/dev/closed.toml"),
    Annotation("error", "no specs here", "Add a spec.\nOr two.", "spec"),
    Annotation("warning", "this is shadowed", "", "warning", "states/dev/lab.toml"),
)


def test_workflow_commands() -> None:
    """Level, title, file, line and column; line ends spelled."""
    golden("annotations.github.txt", github(FOUND))


def test_sarif() -> None:
    """A log of one run."""
    golden("annotations.sarif.json", json.dumps(sarif(FOUND, version="1.2.3"), indent=2) + "\n")


def test_junit() -> None:
    """A failed case for each error, a passed one for each file that is sound."""
    golden("annotations.junit.xml", junit(FOUND, ["states/dev/z.toml", "states/dev/b.toml"]))


def test_nothing_found() -> None:
    """No command; an empty log, which closes earlier findings; cases that passed."""
    assert github([]) == ""
    assert sarif([], version="1")["runs"][0]["results"] == []
    suite = ElementTree.fromstring(junit([], ["a.toml"]))
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("1", "0")


def test_a_finding_is_the_same_when_lines_move() -> None:
    """Its fingerprint knows nothing of the line; equal findings are told apart by their order."""

    def marks(*found: Annotation) -> list[str]:
        results = sarif(found, version="1")["runs"][0]["results"]
        return [one["partialFingerprints"]["finding/v1"] for one in results]

    def at(line: int, title: str = "t") -> Annotation:
        return Annotation("error", title, "m", "spec", "a.toml", line)

    assert marks(at(1), at(2)) == marks(at(8), at(9))
    assert len(set(marks(at(1), at(1), at(1, "other")))) == 3


texts = st.text(min_size=1, max_size=30) | st.sampled_from(
    [
        "::error::x",
        "a\n::set-output name=x::y",
        "a,b:c%0A",
        "]]>",
        "</failure>",
        "&lt;",
        '"',
        "\x00\x1b\ud800",
        "\ufffe",
    ]
)


@settings(max_examples=200, deadline=None)
@given(texts, texts, texts)
def test_no_text_ends_what_it_stands_in(title: str, message: str, file: str) -> None:
    """One command stays one, XML stays XML, JSON stays text."""
    one = Annotation("error", title, message, "spec", file, 3, 4)
    [command, end] = github([one]).split("\n")
    assert end == ""
    assert re.fullmatch(r"::error title=[^:,]*,file=[^:,]*,line=3,col=4::[^\r\n]*", command)
    assert command.isprintable()
    suite = ElementTree.fromstring(junit([one], []).encode())
    assert [case.tag for case in suite.iter()] == ["testsuites", "testsuite", "testcase", "failure"]
    json.dumps(sarif([one], version="1")).encode()


@pytest.mark.parametrize("level", ["notice", "warning"])
def test_only_errors_fail_a_test_report(level: str) -> None:
    """The rest stands in the output of the suite."""
    found = ElementTree.fromstring(junit([Annotation(level, "w<", "", "warning")], []))  # type: ignore[arg-type]
    assert found.find("testsuite/system-out").text == "w<\n"  # type: ignore[union-attr]
    assert found.attrib["failures"] == "0"
