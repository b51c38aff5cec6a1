"""Tables for a terminal, and CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.render.characters import columns as columns_of
from reconciler.render.table import csv_text, table_lines

ROWS = [
    {
        "environment": "lab",
        "image": "python:3.11",
        "tools": ["Jupyter (external-url)", "VS Code"],
        "live": True,
    },
    {"environment": "training-for-the-vision-team", "image": None, "tools": [], "live": False},
]
NAMES = ["environment", "image", "tools", "live"]


def test_a_table_under_a_heading() -> None:
    """Lists joined, yes and no, nothing for nothing, no blanks at the ends."""
    assert list(table_lines(ROWS, [*NAMES, "created_by"], width=100)) == [
        "ENVIRONMENT                   IMAGE        TOOLS                            LIVE  CREATED BY",
        "lab                           python:3.11  Jupyter (external-url), VS Code  yes",
        "training-for-the-vision-team                                                no",
    ]


def test_the_widest_columns_give_way_first() -> None:
    """Short ones stay whole as long as they can; what is cut says so."""
    assert list(table_lines(ROWS, NAMES, width=60)) == [
        "ENVIRONMENT          IMAGE        TOOLS                 LIVE",
        "lab                  python:3.11  Jupyter (external-u…  yes",
        "training-for-the-v…                                     no",
    ]


def test_an_image_and_an_address_keep_their_end() -> None:
    """They begin alike; the end tells them apart. Their headings are read from the beginning."""
    row = {"image": "nvcr.io/nvidia/pytorch:24.01-py3", "address": "runai.environment.lab", "scope": "x" * 20}
    assert list(table_lines([row], ["image"], width=21)) == ["IMAGE", "…ia/pytorch:24.01-py3"]
    assert list(table_lines([row], ["image", "address", "scope"], width=30)) == [
        "IMAGE     ADDRESS    SCOPE",
        "….01-py3  …ment.lab  xxxxxxxx…",
    ]
    assert list(table_lines([row], ["address"], width=6)) == ["ADDRE…", "…t.lab"]


@pytest.mark.parametrize(
    ("word", "cell"),
    [("語語語語", "…語語語"), ("a語語語a", "…語語a"), ("e\u0301" * 8, "…" + "e\u0301" * 6)],
)
def test_the_front_is_cut_between_whole_characters(word: str, cell: str) -> None:
    """An accent does not stay behind without its letter."""
    assert list(table_lines([{"image": word}], ["image"], width=7))[1] == cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_runs_nothing(text: str) -> None:
    """What it would take for a formula begins with an apostrophe, in CSV alone."""
    ((cell,),) = list(csv.reader(io.StringIO(csv_text([{"a": text}], ["a"]), newline="")))[1:]
    assert cell == f"'{text}"
    ((kept,),) = list(csv.reader(io.StringIO(csv_text([{"a": "a=b"}], ["a"]), newline="")))[1:]
    assert kept == "a=b"


def test_with_too_many_columns_the_right_is_cut_off() -> None:
    """Better than lines that wrap; where something is cut off, it says so."""
    shown = list(table_lines(ROWS, NAMES, width=20))
    assert shown == ["ENVIR…  IMAGE   TOO…", "lab     …:3.11  Jup…", "train…             …"]


def test_an_empty_table_is_its_heading() -> None:
    """So that one sees which columns there are."""
    assert list(table_lines([], ["a", "b_c"], width=80)) == ["A  B C"]


def test_what_is_on_several_lines_takes_one() -> None:
    """A row is a line; what cannot be seen is spelled out."""
    row = {"a": "one\n  two\tthree", "b": "\x1b[31mred\u202e", "c": "x"}
    assert list(table_lines([row], ["a", "b", "c"], width=80)) == [
        "A              B                    C",
        "one two three  \\u001b[31mred\\u202e  x",
    ]


@pytest.mark.parametrize(
    ("word", "width", "cell"),
    [
        ("語語語語", 8, "語語語語"),
        ("語語語語", 7, "語語語…"),
        ("語語語語", 6, "語語…"),
        ("e\u0301" * 7, 7, "e\u0301" * 7),
        ("e\u0301" * 8, 7, "e\u0301" * 6 + "…"),
    ],
)
def test_wide_and_combining_characters_are_counted_as_shown(word: str, width: int, cell: str) -> None:
    """Nothing stands half over an edge."""
    assert list(table_lines([{"a": word}], ["a"], width=width))[1] == cell


CELLS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=40)
    | st.lists(st.text(max_size=9), max_size=3)
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from("abcdefgh"), CELLS), max_size=5),
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True),
    st.integers(1, 120),
)
def test_no_line_is_wider_than_the_terminal(rows: list[dict[str, Any]], names: list[str], width: int) -> None:
    """Whatever is in the cells, and however many there are; one line for each row."""
    shown = list(table_lines(rows, names, width=width))
    assert len(shown) == len(rows) + 1
    assert max(map(columns_of, shown)) <= width
    assert all(line.isprintable() for line in shown)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), CELLS), max_size=5))
def test_what_fits_is_shown_whole(rows: list[dict[str, Any]]) -> None:
    """Nothing is cut that need not be."""
    assert not any("…" in line for line in table_lines(without_dots(rows), ["a", "b", "c"], width=2000))


def without_dots(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """*rows* without ellipses of their own."""
    return [{key: str(value).replace("…", "") for key, value in row.items()} for row in rows]


def test_a_huge_cell_is_cut_at_once() -> None:
    """A hundred thousand characters in two columns: one step for each would be felt."""
    row = {"a": "x" * 100_000, "b": "y" * 100_000}
    assert columns_of(list(table_lines([row], ["a", "b"], width=80))[1]) == 80


# --- CSV ---


def test_csv_has_a_heading_and_quotes_what_needs_it() -> None:
    """RFC 4180: commas, quotes and line ends in quotes, quotes doubled, lines end with CR LF."""
    rows = [
        {"a": 'say "hi"', "b": "one, two", "c": "x\ny"},
        {"a": None, "b": True, "c": ["p", "q"]},
        {"a": " blanks ", "b": 7, "c": ""},
    ]
    assert csv_text(rows, ["a", "b", "c", "none"]) == (
        "a,b,c,none\r\n"
        '"say ""hi""","one, two","x\ny",\r\n'
        ',yes,"p, q",\r\n'
        " blanks ,7,,\r\n"
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.fixed_dictionaries({"a": st.text(max_size=9), "b": st.text(max_size=9)}), max_size=5))
def test_csv_is_read_back_as_it_was(rows: list[dict[str, str]]) -> None:
    """By any reader of CSV, whatever the texts hold: but for the apostrophe before a formula."""

    def safe(text: str) -> str:
        return f"'{text}" if text[:1] in {*"=+-@\t\r"} else text

    read = list(csv.DictReader(io.StringIO(csv_text(rows, ["a", "b"]), newline="")))
    assert read == [{name: safe(text) for name, text in row.items()} for row in rows]
