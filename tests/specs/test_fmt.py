"""The layout of specs: what it is, that it keeps every value and comment, and that it is the end of it."""

from __future__ import annotations

import re
import string
import tomllib
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import Complaint, ReconcilerError
from reconciler.providers.runai.spec import MODELS
from reconciler.specs import fmt
from reconciler.specs.config_model import ConfigModel
from reconciler.specs.fmt import FIELDS, TABLES, formatted, laid_out

ROOT = Path(__file__).parents[2]


def laid(text: str) -> str:
    """*text* laid out, and that laid out again the same."""
    after = formatted(text, file="a.toml")
    assert formatted(after, file="a.toml") == after
    return after


CASES = {
    "two byte order marks": ("\ufeff\ufeffa = 1\n", "a = 1\n"),
    "nothing but comments": (
        "\n# a\n\n\n#b\n\n",
        "# a\n\n#b\n",
    ),
    "an empty file": (
        "",
        "",
    ),
    "blank lines only": (
        "\n \n\t\n",
        "",
    ),
    "no line end at the end": (
        "a = 1",
        "a = 1\n",
    ),
    "a comment without a line end": (
        "a = 1\n# b",
        "a = 1\n# b\n",
    ),
    "a byte order mark": (
        "\ufeffa = 1\n",
        "a = 1\n",
    ),
    "line ends of Windows": (
        "# c\r\na = [\r\n1]\r\n\r\n\r\n[t]\r\nb = 2",
        "# c\na = [\n    1,\n]\n\n[t]\nb = 2\n",
    ),
    "inside of a long text line ends are kept": (
        'a = """x\r\n y  \r\n"""\r\nb = 1\r\n',
        'a = """x\r\n y  \r\n"""\nb = 1\n',
    ),
}
"""What a text file cannot hold, or not so that it can be seen."""


@pytest.mark.parametrize("file", sorted((Path(__file__).parent / "layouts").iterdir()), ids=lambda f: f.stem)
def test_the_layout(file: Path) -> None:
    """Before and after; laying it out again changes nothing."""
    before, after = file.read_text().split("--- laid out\n")
    assert laid(before) == after


@pytest.mark.parametrize("case", CASES)
def test_the_layout_of_odd_files(case: str) -> None:
    """As above."""
    before, after = CASES[case]
    assert laid(before) == after


@pytest.mark.parametrize(
    "file", sorted([*ROOT.glob("states/**/*.toml"), *ROOT.glob("examples/**/*.toml")]), ids=lambda f: f.name
)
def test_what_this_repository_has_is_laid_out(file: Path) -> None:
    """Its own specs are the model."""
    before, after = laid_out(file, file.name)  # type: ignore[misc]
    assert before == after


def test_the_order_knows_the_fields_that_specs_have() -> None:
    """Every name in it is one of a spec or of reconciler.toml."""
    known = {field.alias or name for model in MODELS.values() for name, field in model.model_fields.items()}
    known |= {"kind", "name", "extends", "depends_on", "lifecycle", "on", "tags"} | set(
        ConfigModel.model_fields
    )
    assert {*FIELDS, *TABLES} - known == set()


def test_the_order_is_documented() -> None:
    """In the order that it has."""
    text = (ROOT / "docs" / "review.md").read_text()
    for names in (FIELDS, TABLES):
        assert ", ".join(f"`{name}`" for name in names) in re.sub(r"\s+", " ", text)


# --- nothing is lost ---


def meaning(text: str) -> Any:
    """What a parser that is not ours makes of *text*, with types told apart."""

    def typed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: typed(item) for key, item in value.items()}
        return [typed(item) for item in value] if isinstance(value, list) else (type(value), repr(value))

    return typed(tomllib.loads(text.lstrip("\ufeff")))


KEYS = st.text("abAB0-_. '\"#=[]{}\\\né", max_size=6) | st.sampled_from([*FIELDS, *TABLES])
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text("ab\"'\\#=[]{},\n\r\t é😀", max_size=20)
    | st.datetimes(min_value=datetime(1000, 1, 1))  # noqa: DTZ001 - naive on purpose
    | st.dates(min_value=date(1000, 1, 1))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(KEYS, VALUES, max_size=6), st.booleans(), st.sampled_from(["\n", "\r\n"]), st.booleans()
)
def test_no_value_of_any_data_is_changed(data: dict[str, Any], long: bool, newline: str, mark: bool) -> None:
    """Written by a writer that is not ours, read by a parser that is not ours."""
    text = "\ufeff" * mark + tomli_w.dumps(data, multiline_strings=long).replace("\n", newline)
    assert meaning(laid(text)) == meaning(text)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """TOML as careless people write it: any space, comments anywhere, every spelling."""
    names = draw(st.lists(st.sampled_from([*FIELDS, "tty", "x-y", "z"]), unique=True, max_size=8))
    tables = draw(st.lists(st.sampled_from([*TABLES, "other"]), unique=True, max_size=4))
    tables = [name for name in tables if name not in names]
    count = 0

    def comment() -> str:
        nonlocal count
        count += 1
        return f"#{draw(st.sampled_from(['', ' ', '!']))}c{count} [x] = \" ' "

    def space() -> str:
        return draw(st.sampled_from(["", "", " ", "  ", "\t"]))

    def between() -> str:
        """What may stand between the parts of an array."""
        return "".join(
            space() + (comment() if kind == "#" else "") + draw(ends) if kind else space()
            for kind in draw(st.lists(st.sampled_from(["", "\n", "#"]), max_size=2))
        )

    ends = st.sampled_from(["\n", "\n", "\r\n"])
    scalars = st.sampled_from(
        ["1", "0x1F", "true", '"a"', "'b'", "'c\"d'", "'e\\'", '"f\\"#"', '"""g\n# no comment\n"""',
         "'''h\n\n'''", "1979-05-27", "1979-05-27 07:32:00", "inf", '""', "''", f"'{'w' * 40}'"]
    )  # fmt: skip

    def value(depth: int = 2) -> str:
        kind = draw(st.sampled_from(["scalar", "scalar", "array", "table"])) if depth else "scalar"
        if kind == "array":
            items = [f"{between()}{value(depth - 1)}{between()}" for _ in range(draw(st.integers(0, 4)))]
            last = "," if items and draw(st.booleans()) else ""
            return f"[{','.join(items)}{last}{between()}]"
        if kind == "table":
            pairs = [
                f"{space()}k{n}{space()}={space()}{value(depth - 1)}{space()}"
                for n in range(draw(st.integers(0, 3)))
            ]
            return f"{{{','.join(pairs)}}}"
        return draw(scalars)

    def key(name: str) -> str:
        spelled = draw(st.sampled_from([name, f'"{name}"', f"'{name}'"]))
        return f"{spelled}{space()}.{space()}sub" if draw(st.integers(0, 9)) == 0 else spelled

    lines: list[str] = []

    def loose() -> None:
        for kind in draw(st.lists(st.sampled_from(["", "#"]), max_size=3)):
            lines.append(space() + (comment() if kind else ""))

    def statement(text: str) -> None:
        lines.append(space() + text + space() + (comment() if draw(st.integers(0, 3)) == 0 else ""))

    def pairs(several: list[str]) -> None:
        for name in several:
            loose()
            statement(f"{key(name)}{space()}={space()}{value()}")

    pairs(names)
    for table in tables:
        loose()
        repeated = draw(st.booleans())
        for _ in range(draw(st.integers(1, 2)) if repeated else 1):
            statement(f"[[{table}]]" if repeated else f"[{space()}{table}{space()}]")
            pairs(draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3)))
    loose()
    text = "".join(line + draw(ends) for line in lines)
    return text if draw(st.booleans()) else text.rstrip("\r\n")


@settings(max_examples=400, deadline=None)
@given(documents())
def test_no_value_and_no_comment_is_lost(text: str) -> None:
    """Whatever stands where."""
    after = laid(text)
    assert meaning(after) == meaning(text)
    marks = re.compile(r"#[ !]?c\d+ ")
    assert Counter(marks.findall(after)) == Counter(marks.findall(text))
    assert not re.search(r"\n\n\n", re.sub(r"'''.*?'''|\"\"\".*?\"\"\"", "", after, flags=re.S))
    assert after == "" or (after.endswith("\n") and not after.startswith("\n"))


@settings(max_examples=200, deadline=None)
@given(st.text(string.printable + "é\ufeff", max_size=40))
def test_whatever_parses_is_laid_out(text: str) -> None:
    """And whatever does not is complained of."""
    found = fmt.parse(Path("x"), "x", text.encode())
    if not isinstance(found, Complaint):
        assert meaning(laid(text)) == meaning(text)


def test_rather_than_change_a_value_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last check before a file is written."""
    monkeypatch.setattr(fmt, "_scalar", lambda text: text.replace("1", "2"))
    with pytest.raises(
        ReconcilerError, match=r"^a\.toml is left as it is: laid out, it would mean something else$"
    ):
        formatted("a = 1\n", file="a.toml")
