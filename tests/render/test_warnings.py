"""Many warnings of one kind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import Project
from render.plans import PLAN

from reconciler.render.html import html
from reconciler.render.markdown import markdown
from reconciler.render.text import plan_lines
from reconciler.render.view import plan_view
from reconciler.render.warnings import grouped

REUSED = "the image is reused, so the versions of the first build stay"


def loose(count: int) -> list[str]:
    """As many specs say it that do not pin their packages."""
    return [f"e-{n}.toml: e-{n} does not pin numpy: {REUSED}" for n in range(count)]


def test_a_few_warnings_stand_as_they_are() -> None:
    """In their order."""
    assert grouped([*loose(3), "runai: slow"]) == [*loose(3), "runai: slow"]


def test_many_of_one_kind_are_one_line() -> None:
    """The first in full, the next few by their places, the rest counted; others stay where they were."""
    found = grouped(["two look alike", *loose(1000), f"last.toml: last runs x:latest: {REUSED} too"])
    assert found == [
        "two look alike",
        f"e-0.toml: e-0 does not pin numpy: {REUSED} (and 999 more like this: "
        "e-1.toml, e-2.toml, e-3.toml, …)",
        f"last.toml: last runs x:latest: {REUSED} too",
    ]


def test_what_is_to_be_copied_is_never_grouped() -> None:
    """Each has lines of its own; nor is what is about no place."""
    moves = [f"a.x.e-{n}: the same content: put this\n\n    [[moved]]\n" for n in range(9)]
    plain = ["the specs and the state differ: look" for _ in range(9)]
    assert grouped([*moves, *plain]) == [*moves, *plain]


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_a_plan_shows_them_grouped_and_its_json_whole(form: str) -> None:
    """Whoever reads it with a program wants each."""
    view = plan_view(replace(PLAN, warnings=tuple(loose(1000))))
    assert view["warnings"] == loose(1000)
    render = {"text": lambda: "\n".join(plan_lines(view)), "markdown": lambda: markdown(view)}
    said = render.get(form, lambda: html(view))()
    assert said.count("does not pin numpy") == 1
    assert "(and 999 more like this: e-1.toml, e-2.toml, e-3.toml, …)" in said


def test_validate_says_them_grouped_and_its_json_whole(project: Project) -> None:
    """As a plan does."""
    project.write(
        "reconciler.toml",
        '[stack]\nname = "t"\n\n[platforms.ml]\nprovider = "azureml"\nendpoint = "embedded"\n',
    )
    for number in range(5):
        project.write(f"e-{number}.toml", 'image = "x:1"\n[on.ml]\npython = "3.12"\npip = ["torch"]\n')
    said = project.run("validate").succeeded().err
    assert said.count("does not pin torch") == 1
    assert "(and 4 more like this: e-1.toml, e-2.toml, e-3.toml, …)" in said
    events = project.run("validate", "--json").succeeded().events
    assert len([one for one in events if one["type"] == "diagnostic"]) == 5
