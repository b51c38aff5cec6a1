"""What is wrong with a table: where, what, and what to do."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BeforeValidator, Field, model_validator

from reconciler.core.ports import Problem
from reconciler.core.reading import Table, nearest, read, refuse


def _even(value: int) -> int:
    if value % 2:
        raise refuse(f"{{{value}}} is odd", "Make it {even}.")
    return value


class Tool(Table):
    """A table in a table; a bare word stands for its type."""

    type: Literal["jupyter", "vscode"]
    port: Annotated[int, Field(ge=1, le=65535)] = 8888

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value


class Spec(Table):
    """A bit of everything."""

    image: Annotated[str, Field(min_length=1, max_length=8)] = "a"
    code: Annotated[str, Field(min_length=3, pattern="^[a-z]+$")] = "abc"
    replicas: int = 1
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    tty: bool = False
    scope: Literal["tenant", "project"] | None = None
    words: list[str] = Field(default_factory=list)
    few: list[int] = Field((1,), min_length=1, max_length=3)
    pair: list[int] = Field((1, 2), min_length=2)
    tool: Tool | None = None
    tools: list[Tool] = Field(default_factory=list)
    named: dict[str, Tool] = Field(default_factory=dict)
    framework: Literal["MPI", "TF"] | None = Field(None, alias="distFramework")
    either: str | int = "x"
    shape: list[str] | dict[str, str] = Field(default_factory=list)
    day: datetime.date | None = None
    even: Annotated[int, BeforeValidator(_even)] = 2

    @model_validator(mode="after")
    def _whole(self) -> Spec:
        if self.tty and not self.replicas:
            raise refuse("`tty` needs somebody to look at it")
        return self


class Needy(Table):
    """What has to be there."""

    name: str
    tool: Tool


KNOWN = (
    "Known here: code, day, distFramework, either, even, few, image, named, pair, replicas, scope, shape, "
    "share, tool, tools, tty, words."
)


@pytest.mark.parametrize(
    ("table", "path", "summary", "hint"),
    [
        ({"imge": "a"}, "imge", "unknown key `imge`", "Did you mean `image`?"),
        ({"distFramwork": "TF"}, "distFramwork", "unknown key `distFramwork`",
         "Did you mean `distFramework`?"),
        ({"zzz": 1}, "zzz", "unknown key `zzz`", KNOWN),
        ({"tool": {"type": "jupyter", "prt": 1}}, "tool.prt", "unknown key `prt`", "Did you mean `port`?"),
        ({"tools": [{"type": "jupyter", "x": 1}]}, "tools.0.x", "unknown key `x`", "Known here: port, type."),
        ({"named": {"a": {"type": "vscode", "tpe": 1}}}, "named.a.tpe", "unknown key `tpe`",
         "Did you mean `type`?"),
        ({"image": 1}, "image", "`image` must be text in quotes, not 1", 'Put it in quotes: "1".'),
        ({"image": True}, "image", "`image` must be text in quotes, not true", 'Put it in quotes: "true".'),
        ({"image": ["a"]}, "image", "`image` must be text in quotes, not a list",
         'Remove the brackets: "a".'),
        ({"image": datetime.date(2024, 1, 1)}, "image",
         "`image` must be text in quotes, not a date or time", "Write text in quotes."),
        ({"replicas": "4"}, "replicas", "`replicas` must be a whole number, not '4'",
         "Remove the quotes: 4."),
        ({"replicas": 1.5}, "replicas", "`replicas` must be a whole number, not 1.5",
         "Write a whole number without quotes."),
        ({"replicas": True}, "replicas", "`replicas` must be a whole number, not true",
         "Write a whole number without quotes."),
        ({"share": "x" * 99}, "share", "`share` must be a number, not '" + "x" * 55 + "…'",
         "Write a number without quotes."),
        ({"tty": 1}, "tty", "`tty` must be true or false, not 1", "Write true or false without quotes."),
        ({"words": [1]}, "words.0", "element 1 of `words` must be text in quotes, not 1",
         'Put it in quotes: "1".'),
        ({"tools": "jupyter"}, "tools", "`tools` must be a list, not text", 'Write a list: ["jupyter"].'),
        ({"tools": {}}, "tools", "`tools` must be a list, not a table", "Write a list: [ … ]."),
        ({"tools": [7]}, "tools.0", "element 1 of `tools` must be a table, not a number",
         "Write a table: { KEY = VALUE, … }."),
        ({"named": "hunter2"}, "named", "`named` must be a table, not text",
         "Write a table: { KEY = VALUE, … }."),
        ({"named": {"a": True}}, "named.a", "`a` must be a table, not true or false",
         "Write a table: { KEY = VALUE, … }."),
        ({"image": ""}, "image", "`image` must not be empty", "Give it a value, or remove it."),
        ({"code": "ab"}, "code", "`code` must have at least 3 characters", "Write at least 3 characters."),
        ({"image": "x" * 9}, "image", "`image` must have at most 8 characters",
         "Write at most 8 characters."),
        ({"few": []}, "few", "`few` must not be empty", "Give it a value, or remove it."),
        ({"few": [1, 2, 3, 4]}, "few", "`few` must have at most 3 elements", "Write at most 3 elements."),
        ({"pair": [1]}, "pair", "`pair` must have at least 2 elements", "Write at least 2 elements."),
        ({"code": "A1!"}, "code", "'A1!' is not a valid `code`", "It must match ^[a-z]+$"),
        ({"share": 0}, "share", "`share` must be more than 0.0, not 0", "Write more than 0."),
        ({"share": 1.0}, "share", "`share` must be less than 1.0, not 1.0", "Write less than 1."),
        ({"tool": {"type": "jupyter", "port": 0}}, "tool.port", "`port` must be at least 1, not 0",
         "Write a number from 1 to 65535."),
        ({"tool": {"type": "jupyter", "port": 70000}}, "tool.port",
         "`port` must be at most 65535, not 70000", "Write a number from 1 to 65535."),
        ({"scope": "projct"}, "scope", "'projct' is not allowed here",
         "Did you mean 'project'? Allowed: tenant, project."),
        ({"scope": 5}, "scope", "5 is not allowed here", "Allowed: tenant, project."),
        ({"distFramework": "TFX"}, "distFramework", "'TFX' is not allowed here",
         "Did you mean 'TF'? Allowed: MPI, TF."),
        ({"tools": ["jupytr"]}, "tools.0", "'jupytr' is not allowed here",
         "Did you mean 'jupyter'? Allowed: jupyter, vscode."),
        ({"either": 1.5}, "either", "`either` must be text in quotes or a whole number, not 1.5",
         "Write text in quotes or a whole number without quotes."),
        ({"shape": 1}, "shape", "`shape` must be a list or a table, not a number",
         "Write a list: [ … ] or a table: { KEY = VALUE, … }."),
        ({"shape": {"a": 1}}, "shape.a", "`a` must be text in quotes, not 1", 'Put it in quotes: "1".'),
        ({"day": 1.5}, "day", "`day`: input should be a valid date",
         "`reconciler schema` prints what may stand here."),
        ({"even": 3}, "even", "{3} is odd", "Make it {even}."),
        ({"tty": True, "replicas": 0}, "", "`tty` needs somebody to look at it", ""),
    ],
)  # fmt: skip
def test_each_mistake_is_said_in_words(table: dict[str, Any], path: str, summary: str, hint: str) -> None:
    """One problem for one mistake, with its place, what is allowed, and the word that was meant."""
    where = tuple(int(part) if part.isdecimal() else part for part in path.split(".")) if path else ()
    assert read(Spec, table) == (None, (Problem(where, summary, hint),))


def test_what_is_missing_is_asked_for_where_it_has_to_be() -> None:
    """At the top, and inside a table."""
    assert read(Needy, {"tool": {}})[1] == (
        Problem(("name",), "`name` is missing", "Add `name = …`."),
        Problem(("tool", "type"), "`type` is missing", "Add `type = …`."),
    )


def test_all_mistakes_are_said_at_once() -> None:
    """In the order of the model, then unknown keys."""
    table = {"tty": 1, "image": "", "tools": [{"type": "vscode", "port": 0}, {"type": "emacs"}], "nope": 1}
    assert [".".join(map(str, problem.path)) for problem in read(Spec, table)[1]] == [
        "image",
        "tty",
        "tools.0.port",
        "tools.1.type",
        "nope",
    ]


def test_a_sound_table_is_a_value() -> None:
    """By alias or by name, with defaults."""
    for key in ("distFramework", "framework"):
        found, problems = read(Spec, {key: "TF", "tools": ["vscode"], "either": 3, "shape": {"a": "b"}})
        assert problems == ()
        assert found == Spec(framework="TF", tools=[Tool(type="vscode")], either=3, shape={"a": "b"})


def test_a_value_that_should_have_been_a_table_of_values_is_not_repeated() -> None:
    """It may be a secret that somebody put in the wrong place, and messages end up in logs."""
    for value in ("hunter2", ["hunter2"], 4711):
        for key in ("named", "shape"):
            assert "hunter2" not in str(read(Spec, {key: value})[1])
            assert "4711" not in str(read(Spec, {key: value})[1])


def test_a_word_that_should_have_been_in_a_list_is_repeated_where_only_some_will_do() -> None:
    """It is one of these, so it is no secret."""
    assert read(Spec, {"tools": "jupyter"})[1][0].hint == 'Write a list: ["jupyter"].'
    assert read(Spec, {"words": "jupyter"})[1][0].hint == "Write a list: [ … ]."


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("imge", {"image", "args"}, "image"),
        ("image", {"image"}, "image"),
        ("zzz", {"image"}, ""),
        ("a", set(), ""),
        ("ab", {"abc", "abd"}, "abd"),
    ],
)
def test_the_nearest_word(word: str, known: set[str], meant: str) -> None:
    """The one that was probably meant, the same one every time; or none."""
    assert nearest(word, known) == meant
