"""Where a value stands in a TOML text.

In the cases a line with a caret says what stands above the caret: ``^ value ["a", 0]`` means that the value
at that path begins there, ``^ key`` that its name does, ``^ both`` that both do. The path is JSON.
"""

from __future__ import annotations

import json
import re
import string
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from textwrap import dedent
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.specs.positions import Path, Position, Span, index, locate

CASES = {
    "pairs": r"""
        gpus = 1
        ^ key ["gpus"]
               ^ value ["gpus"]
          ratio=0.5   # half = 1
          ^ key ["ratio"]
                ^ value ["ratio"]
    """,
    "comments and empty lines": r"""
        # a = 1

        a = 1 # b = [
        ^ key ["a"]
            ^ value ["a"]
        #b = 3
        b = 4
        ^ key ["b"]
        # the end
    """,
    "quoted keys": r"""
        "a.b" = 1
        ^ key ["a.b"]
                ^ value ["a.b"]
        'c "d" \' = 2
        ^ key ["c \"d\" \\"]
                    ^ value ["c \"d\" \\"]
        "e\"f\\" = 3
        ^ key ["e\"f\\"]
                   ^ value ["e\"f\\"]
        "" = 4
        ^ key [""]
        "[g] # = " = 5
        ^ key ["[g] # = "]
                     ^ value ["[g] # = "]
    """,
    "escapes in keys": r"""
        "\u00e9\U0001F600\t\\u0041" = 1
        ^ key ["é😀\t\\u0041"]
                                      ^ value ["é😀\t\\u0041"]
    """,
    "characters beyond the first plane count as one": r"""
        "😀é" = "😀" # 😀
        ^ key ["😀é"]
               ^ value ["😀é"]
        a = ["😀", 1]
                  ^ both ["a", 1]
    """,
    "a tab counts as one": """
        a\t=\t1
        ^ key ["a"]
            ^ value ["a"]
    """,
    "keys that look like numbers, dates and words": r"""
        1.2 = 3
        ^ both ["1"]
          ^ key ["1", "2"]
              ^ value ["1", "2"]
        1979-05-27 = 4
        ^ key ["1979-05-27"]
                     ^ value ["1979-05-27"]
        true = false
        ^ key ["true"]
               ^ value ["true"]
        - = -1
        ^ key ["-"]
            ^ value ["-"]
    """,
    "spaces around the dots of a key": r"""
        a . "b" .'c'= 1
        ^ both ["a"]
            ^ both ["a", "b"]
                 ^ key ["a", "b", "c"]
                      ^ value ["a", "b", "c"]
        a.d = 2
          ^ key ["a", "d"]
    """,
    "headers": r"""
        [a]
         ^ both ["a"]
        b = 1
            ^ value ["a", "b"]
        [ c . 'd e' ] # header
          ^ both ["c"]
              ^ both ["c", "d e"]
        f = 2
        ^ key ["c", "d e", "f"]
    """,
    "a header of its own is preferred to an implied one": r"""
        [a.b.c]
           ^ both ["a", "b"]
             ^ both ["a", "b", "c"]
        [a]
         ^ both ["a"]
        d = 1
            ^ value ["a", "d"]
    """,
    "a dotted key below a header": r"""
        [fruit]
        apple.color = "red"
        ^ both ["fruit", "apple"]
              ^ key ["fruit", "apple", "color"]
                      ^ value ["fruit", "apple", "color"]
        [fruit.apple.texture]
                     ^ both ["fruit", "apple", "texture"]
        smooth = true
                 ^ value ["fruit", "apple", "texture", "smooth"]
    """,
    "an array of tables": r"""
        [[ tool ]]
           ^ both ["tool"]
           ^ both ["tool", 0]
        port = 1
               ^ value ["tool", 0, "port"]
        [[tool]]
          ^ both ["tool", 1]
        port = 2
               ^ value ["tool", 1, "port"]
        [tool.on]
              ^ both ["tool", 1, "on"]
        x = 3
            ^ value ["tool", 1, "on", "x"]
    """,
    "arrays of tables in arrays of tables": r"""
        [[a]]
        [[a.b.c]]
            ^ both ["a", 0, "b"]
              ^ both ["a", 0, "b", "c"]
              ^ both ["a", 0, "b", "c", 0]
        [[a.b.c]]
              ^ both ["a", 0, "b", "c", 1]
        x.y = 1
        ^ both ["a", 0, "b", "c", 1, "x"]
        [[a]]
          ^ both ["a", 1]
        [[a.b.c]]
            ^ both ["a", 1, "b"]
              ^ both ["a", 1, "b", "c"]
              ^ both ["a", 1, "b", "c", 0]
        [a.b.c.d]
               ^ both ["a", 1, "b", "c", 0, "d"]
        [a.z]
           ^ both ["a", 1, "z"]
    """,
    "an array over lines": r"""
        ports = [ # not, one
                ^ value ["ports"]
            8_080, # the = [first]
            ^ both ["ports", 0]

            'a#b',"c]" , # two in a line
            ^ both ["ports", 1]
                  ^ both ["ports", 2]
            [ [], [1,2] ],
            ^ both ["ports", 3]
              ^ both ["ports", 3, 0]
                  ^ both ["ports", 3, 1]
                     ^ both ["ports", 3, 1, 1]
            # the last
        ]
        after = 1
                ^ value ["after"]
    """,
    "inline tables": r"""
        tools = [{ type = "lab", on . port = 1 }, {}]
                 ^ both ["tools", 0]
                   ^ key ["tools", 0, "type"]
                          ^ value ["tools", 0, "type"]
                                 ^ both ["tools", 0, "on"]
                                      ^ key ["tools", 0, "on", "port"]
                                             ^ value ["tools", 0, "on", "port"]
                                                  ^ both ["tools", 1]
        a = {b={c=[{d=1}]}}
            ^ value ["a"]
             ^ key ["a", "b"]
               ^ value ["a", "b"]
                ^ key ["a", "b", "c"]
                  ^ value ["a", "b", "c"]
                   ^ both ["a", "b", "c", 0]
                    ^ key ["a", "b", "c", 0, "d"]
                      ^ value ["a", "b", "c", 0, "d"]
    """,
    "strings": r"""
        a = ["\"", "\\", '\', ", '] # ", '', "", 1]
             ^ both ["a", 0]
                   ^ both ["a", 1]
                         ^ both ["a", 2]
                              ^ both ["a", 3]
                                         ^ both ["a", 4]
                                             ^ both ["a", 5]
                                                 ^ both ["a", 6]
    """,
    "multi-line basic strings": r'''
        a = """
            ^ value ["a"]
        b = 1
        [c] \
          # d
        \""" \\"""
        e = ["""""", """"x"""", """""x""", """x""""", """x"" \"""", 1]
             ^ both ["e", 0]
                     ^ both ["e", 1]
                                ^ both ["e", 2]
                                           ^ both ["e", 3]
                                                      ^ both ["e", 4]
                                                                    ^ both ["e", 5]
        f = 1
        ^ key ["f"]
    ''',
    "multi-line literal strings": r"""
        a = '''
            ^ value ["a"]
        b = 1 \'''
        e = ['''''', ''''x'''', '''''x''', '''x''''', '''x'' \''', 1]
             ^ both ["e", 0]
                     ^ both ["e", 1]
                                ^ both ["e", 2]
                                           ^ both ["e", 3]
                                                      ^ both ["e", 4]
                                                                   ^ both ["e", 5]
        f = 1
        ^ key ["f"]
    """,
    "dates, times and numbers": r"""
        a = [1979-05-27T07:32:00Z, 1979-05-27 07:32:00.5-07:00,1979-05-27 , 07:32:00]
             ^ both ["a", 0]
                                   ^ both ["a", 1]
                                                               ^ both ["a", 2]
                                                                            ^ both ["a", 3]
        b = [1_000, +0.5e-1_0, 0xDEAD_beef, 0o7, 0b1, inf, -nan, true]
             ^ both ["b", 0]
                    ^ both ["b", 1]
                               ^ both ["b", 2]
                                            ^ both ["b", 3]
                                                      ^ both ["b", 5]
                                                                 ^ both ["b", 7]
        c = 1979-05-27 # 07:32:00
            ^ value ["c"]
        d = 1979-05-27 07:32:00# comment
            ^ value ["d"]
        e = 1
        ^ key ["e"]
    """,
}


CARET = re.compile(r" *\^ (key|value|both) (\[.*\])")


def with_carets(lines: list[str], spans: dict[Path, Span], asked: list[tuple[str, Path]]) -> list[str]:
    """The lines of a TOML text, with carets where *spans* says."""
    carets: dict[int, list[str]] = {}
    for what, path in asked:
        place = spans[path].value if what == "value" else spans[path].key
        said = "both" if spans[path].key == spans[path].value else what
        carets.setdefault(place.line, []).append(f"{' ' * (place.column - 1)}^ {said} {dumps(path)}")
    return [text for number, line in enumerate(lines, 1) for text in (line, *carets.get(number, ()))]


def dumps(path: Path) -> str:
    return json.dumps(path, ensure_ascii=False)


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["no mark", "byte order mark"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_everything_is_where_a_caret_points(case: str, start: str, newline: str) -> None:
    """Line ends and a byte order mark move nothing."""
    drawn = dedent(case).strip("\n").split("\n")
    lines = [line for line in drawn if not CARET.fullmatch(line)]
    asked = [(mark[1], tuple(json.loads(mark[2]))) for line in drawn if (mark := CARET.fullmatch(line))]

    spans = index(start + newline.join(lines))

    assert with_carets(lines, spans, asked) == drawn
    assert set(spans) == set(paths(tomllib.loads("\n".join(lines))))


@pytest.mark.parametrize(
    "text",
    [
        "a = {\n  b = 1, # one\n  c = 2,\n}\n",
        'a = { "\\x62" = 1,\n c = 2 }',
        'a = { b = 07:32, "c" = "\\e" }',
    ],
)
def test_the_spellings_new_in_toml_1_1_are_read_too(text: str) -> None:
    """Our parser accepts them, so a message about such a file needs a place as well."""
    assert list(index(text)) == [("a",), ("a", "b"), ("a", "c")]


TEXT = "[on.runai]\ntools = [\n  { type = 'lab' },\n]\n"


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("on", "runai", "tools", 0, "type"), Position(3, 5), Position(3, 12)),
        (("on", "runai", "tools", 0, "port", "x"), Position(3, 3), Position(3, 3)),
        (("on", "runai", "tools", 7), Position(2, 1), Position(2, 9)),
        (("on", "runai", "tools", "0"), Position(2, 1), Position(2, 9)),
        (("on", "runai", "image"), Position(1, 5), Position(1, 5)),
        (("on",), Position(1, 2), Position(1, 2)),
        (("image",), Position(1, 1), Position(1, 1)),
        ((), Position(1, 1), Position(1, 1)),
    ],
)
def test_a_path_that_leads_nowhere_is_at_the_deepest_thing_that_exists(
    path: Path, key: Position, value: Position
) -> None:
    """A missing key is reported at the table it is missing from."""
    assert locate(TEXT, path, want="key") == key
    assert locate(TEXT, path) == locate(TEXT, path, want="value") == value


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing", "\ufeff", " \r\n\t"])
def test_an_empty_text_has_no_places(text: str) -> None:
    """The root itself is not listed."""
    assert index(text) == {}


def test_a_file_of_a_megabyte_is_read_in_one_pass() -> None:
    """Were any part quadratic, this would take hours."""
    string_ = 'a = """' + '\\n"" x' * 100_000 + '"""\n'
    comments = "#\n" * 100_000
    tables = "[[b]]\nc = 1\n" * 10_000
    spans = index(string_ + comments + tables)
    assert spans[("b", 9_999, "c")] == Span(Position(120_001, 1), Position(120_001, 5))
    with pytest.raises(ValueError, match="not valid TOML at line 1"):
        index('a = """' + '"" ' * 300_000)


@settings(deadline=None)
@given(st.text(st.sampled_from("ab1.=[]{},#'\"\\ \n\r\t\ufeffu0é"), max_size=60))
def test_what_is_not_toml_ends_all_the_same(text: str) -> None:
    """With a meaningless answer or a ValueError; never with another error, never in a loop."""
    try:
        spans = index(text)
    except ValueError:
        return
    assert all(span.key.line >= 1 and span.key.column >= 1 for span in spans.values())


# Data as a parser makes it, written down by a writer that is not ours.

KEYS = st.text(max_size=6) | st.text(string.ascii_letters + string.digits + "-_. '\"#=[]{}\\\n", max_size=6)
TEXTS = st.text(max_size=20) | st.text("ab\"'\\#=[]{},\n\r\t é😀", max_size=20)
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | TEXTS
    | st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.none() | st.just(UTC))  # noqa: DTZ001 - naive on purpose
    | st.dates(min_value=date(1000, 1, 1))
    | st.times()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=5)


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of everything inside *value*."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from paths(item, (*path, key))


def at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def readings(text: str, place: Position, wrap: str, ends: str) -> Iterator[Any]:
    """What a parser makes of the text that begins at *place*, for each place where it could end."""
    rest = "\n".join([text.split("\n")[place.line - 1][place.column - 1 :], *text.split("\n")[place.line :]])
    for end in range(1, len(rest) + 1):
        if end == len(rest) or rest[end] in ends:
            try:
                yield tomllib.loads(wrap.format(rest[:end]))
            except tomllib.TOMLDecodeError:
                continue


@settings(deadline=None)
@given(TABLES, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_every_path_of_any_data_has_a_place_and_no_other(
    data: dict[str, Any], long_strings: bool, newline: str
) -> None:
    """Our reading of a text and that of a parser agree on what is in it."""
    text = tomli_w.dumps(data, multiline_strings=long_strings).replace("\n", newline)
    assert set(index(text)) == set(paths(tomllib.loads(text)))


@settings(deadline=None)
@given(TABLES, st.booleans())
def test_a_value_can_be_read_from_where_it_is_said_to_begin(data: dict[str, Any], long_strings: bool) -> None:
    """At the place of a scalar stands that scalar, at the place of a key that key."""
    text = tomli_w.dumps(data, multiline_strings=long_strings)
    parsed = tomllib.loads(text)
    for path, span in index(text).items():
        value = at(parsed, path)
        if not isinstance(value, dict | list):
            assert {"x": value} in readings(text, span.value, "x = {}", "\n ,]}")
        if isinstance(path[-1], str):
            assert {path[-1]: 0} in readings(text, span.key, "{} = 0", "\n .=]")
