"""Long lines on a terminal: where they break, and how they go on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.characters import columns
from reconciler.render.wrap import wrapped


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("short", ["short"]),
        ("exactly twenty chars", ["exactly twenty chars"]),
        ("one two three four five six", ["one two three four", "  five six"]),
        ("  one two three four five", ["  one two three four", "    five"]),
        ("Error: this is not as it should be", ["Error: this is not", "       as it should", "       be"]),
        ("    ! used by workspace lab-1", ["    ! used by", "      workspace", "      lab-1"]),
        ("-/+ a.b.c: scope can only be set", ["-/+ a.b.c: scope can", "    only be set"]),
        ('    + x = ["a", "b", "c", "d"]', ['    + x = ["a", "b",', '      "c", "d"]']),
        ("  -> { a = 1, b = 2, c = 3 }", ["  -> { a = 1, b = 2,", "     c = 3 }"]),
        ("    + x = [{ a = 1, b = 2 }]", ["    + x = [{ a = 1,", "      b = 2 }]"]),
        ("  -> { a = 1, b = 123456 }", ["  -> { a = 1,", "     b = 123456 }"]),
        ("list aaaa,bbbb,cccc,dddd,eeee", ["list aaaa,bbbb,cccc,", "  dddd,eeee"]),
        ('image = "registry.example.com/image"', ['image = "registry.example.com/image"']),
        ("see https://example.com/a/page for it", ["see https://example.com/a/page", "  for it"]),
        ("語語語 語語語 語語語 語語語", ["語語語 語語語 語語語", "  語語語"]),
    ],
)
def test_a_line_breaks_between_words_and_goes_on_below_its_text(line: str, lines: list[str]) -> None:
    """At blanks, in a long list without any behind its commas; a word without either stays whole."""
    assert list(wrapped(line, 20)) == lines


@pytest.mark.parametrize(
    "line",
    [
        "Plan: 1 to import, 2 to add, 3 to change, 4 to destroy, 5 to forget.",
        "No changes. Your infrastructure matches the configuration.",
        "Apply complete! Resources: 1 added, 2 changed, 0 destroyed.",
        "Destroy complete! Resources: 3 destroyed.",
        "Apply exactly it: reconciler -C states/dev apply plan.json",
        "\033[1mPlan: 1 to add, 2 to change, 0 to destroy.\033[0m",
    ],
)
def test_what_is_parsed_or_copied_is_never_broken(line: str) -> None:
    """However narrow the terminal."""
    assert list(wrapped(line, 20)) == [line]


def test_colours_take_no_columns() -> None:
    """A coloured line breaks where the plain one does."""
    assert list(wrapped("\033[31m-\033[0m \033[1mone two three\033[0m: four five six", 20)) == [
        "\033[31m-\033[0m \033[1mone two three\033[0m:",
        "  four five six",
    ]


@given(st.text(st.sampled_from("ab,= 語-x>"), max_size=60), st.integers(2, 40))
def test_nothing_is_lost_and_no_line_is_too_long_without_need(line: str, width: int) -> None:
    """The same words in the same order; what is too long is one word without commas."""
    lines = list(wrapped(line, width))
    assert re.sub(" ", "", "".join(lines)) == re.sub(" ", "", line)
    for one in lines:
        words = re.findall(r"[^ ,]+,?|,", one)
        assert columns(one) <= width or max(map(columns, words)) > width - width // 2 - 2
