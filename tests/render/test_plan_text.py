"""Plans as lines of text: whole plans against files, and the letters that tools parse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from render.plans import CHANGES, EMPTY, PLAN, address, field, golden

from reconciler.core.model import Action, Cause, Change, Plan, UsedBy
from reconciler.render.difference import quoted
from reconciler.render.text import COLOURED, NO_CHANGES, apply_line, plan_lines, summary_line
from reconciler.render.view import plan_view


def text(plan: Plan, **how: Any) -> str:
    """A plan as it is printed."""
    return "".join(f"{line}\n" for line in plan_lines(plan_view(plan), **how))


def of(*fields: Any, width: int = 80) -> list[str]:
    """The lines of fields of one update."""
    change = Change(address("environment.lab"), Action.UPDATE, "because", fields)
    first, *lines, blank, count = plan_lines(plan_view(replace(EMPTY, changes=(change,))), width=width)
    assert (first, blank, count) == (
        "~ runai.environment.lab: because",
        "",
        "Plan: 0 to add, 1 to change, 0 to destroy.",
    )
    return lines


def test_a_plan_with_everything() -> None:
    """Every action, destructive ones first, every kind of field, warnings, refusals, what is left out."""
    golden("plan.txt", text(PLAN))


def test_the_same_plan_in_colour() -> None:
    """Colours and nothing else: taken out, the text is the same."""
    coloured = text(PLAN, palette=COLOURED)
    golden("plan-coloured.txt", coloured.replace("\033", "<ESC>"))
    for code in ("[32m", "[33m", "[31m", "[1m", "[2m", "[0m"):
        coloured = coloured.replace(f"\033{code}", "")
    assert coloured == text(PLAN)


def test_nothing_to_do() -> None:
    """Letter for letter: tools look for it."""
    assert (
        text(EMPTY) == NO_CHANGES + "\n" == ("No changes. Your infrastructure matches the configuration.\n")
    )
    assert text(replace(EMPTY, destroy=True)) == "No objects need to be destroyed.\n"


@pytest.mark.parametrize(
    ("counts", "planned", "applied"),
    [
        ({}, "Plan: 0 to add, 0 to change, 0 to destroy.",
         "Apply complete! Resources: 0 added, 0 changed, 0 destroyed."),
        ({"add": 1, "change": 2}, "Plan: 1 to add, 2 to change, 0 to destroy.",
         "Apply complete! Resources: 1 added, 2 changed, 0 destroyed."),
        ({"import": 3, "destroy": 4}, "Plan: 3 to import, 0 to add, 0 to change, 4 to destroy.",
         "Apply complete! Resources: 3 imported, 0 added, 0 changed, 4 destroyed."),
        ({"add": 1, "forget": 5, "move": 6}, "Plan: 1 to add, 0 to change, 0 to destroy, 5 to forget.",
         "Apply complete! Resources: 1 added, 0 changed, 0 destroyed."),
        ({"import": 1, "add": 2, "change": 3, "destroy": 4, "forget": 5},
         "Plan: 1 to import, 2 to add, 3 to change, 4 to destroy, 5 to forget.",
         "Apply complete! Resources: 1 imported, 2 added, 3 changed, 4 destroyed."),
    ],
)  # fmt: skip
def test_the_lines_that_tools_parse(counts: dict[str, int], planned: str, applied: str) -> None:
    """Letter for letter."""
    whole = dict.fromkeys(("import", "add", "change", "destroy", "forget", "move"), 0) | counts
    assert (summary_line(whole), apply_line(whole, destroy=False)) == (planned, applied)
    assert apply_line(whole, destroy=True) == f"Destroy complete! Resources: {whole['destroy']} destroyed."


def test_destructive_changes_come_first_and_each_group_is_sorted() -> None:
    """Whatever the order in the plan."""
    changes = tuple(
        Change(address(f"environment.{name}"), action, "because")
        for name, action in [
            ("b", Action.CREATE),
            ("d", Action.DELETE),
            ("a", Action.UPDATE),
            ("c", Action.REPLACE),
        ]
    )
    lines = [line for line in text(replace(EMPTY, changes=changes)).splitlines() if "because" in line]
    assert lines == [
        "-/+ runai.environment.c: because",
        "- runai.environment.d: because",
        "~ runai.environment.a: because",
        "+ runai.environment.b: because",
    ]


def test_changes_of_one_line_stand_together() -> None:
    """A long destroy is a list; empty lines set apart what has several lines."""
    fields = {"c": (field("image", "a", "b"),)}
    changes = tuple(
        Change(address(f"environment.{name}"), Action.UPDATE, "because", fields.get(name, ()))
        for name in "abcde"
    )
    assert text(replace(EMPTY, changes=changes)) == (
        "~ runai.environment.a: because\n"
        "~ runai.environment.b: because\n"
        "\n"
        "~ runai.environment.c: because\n"
        '    ~ image = "a" -> "b"\n'
        "\n"
        "~ runai.environment.d: because\n"
        "~ runai.environment.e: because\n"
        "\n"
        "Plan: 0 to add, 5 to change, 0 to destroy.\n"
    )


def test_a_quiet_plan_is_what_it_comes_to() -> None:
    """Counts, warnings, what forbids it; how much was left out, not what."""
    assert text(PLAN, quiet=True) == (
        "Warning: two things look alike. To keep one:\n\n    [[moved]]\n\n"
        "This plan is partial. Left out by --target or --exclude: 1\n\n"
        "Plan: 2 to import, 3 to add, 3 to change, 2 to destroy, 1 to forget.\n\n"
        "This plan may not be applied as it stands:\n"
        "  runai.environment.deleted is in use by workspace lab-1 (Running) (--allow-deletes permits it)\n"
    )


def test_a_verbose_plan_says_which_step_waits_for_which() -> None:
    """By number, in the order of the plan, between the changes and what they come to."""
    short, long = text(PLAN), text(PLAN, verbose=True)
    steps = (
        "Steps, each begun as soon as those that it waits for are done:\n"
        "     0  create runai.environment.gone\n"
        "     1  update runai.environment.lab\n"
        "     2  delete runai.credential.hub   (waits for 1)\n"
        "     3  create runai.credential.hub   (waits for 2)\n"
        "     4  create runai.environment.new   (waits for 3)\n"
        "     5  forget runai.environment.forgotten\n"
        "     6  delete runai.environment.deleted\n"
        "\n"
    )
    assert long == short.replace("This plan is partial.", f"{steps}This plan is partial.")


# --- fields ---


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (field("image", "a", "b"), '~ image = "a" -> "b"'),
        (field("image", "a", "b", cause=Cause.DRIFT), '~ image = "a" -> "b"   (drift: changed outside)'),
        (
            field("image", "a", "b", cause=Cause.BOTH),
            '~ image = "a" -> "b"   (conflict: spec changed, and changed outside)',
        ),
        (
            field("scope", "a", "b", cause=Cause.DRIFT, forces_replace=True),
            '~ scope = "a" -> "b"   (drift: changed outside, forces replacement)',
        ),
        (field("image", None, "a"), '+ image = "a"'),
        (field("image", "a", None), '- image = "a"'),
        (field("tty", False, True), "~ tty = false -> true"),
        (field("port", 0, 1.5), "~ port = 0 -> 1.5"),
        (field("types", ["a"], []), '~ types = ["a"] -> []'),
        (field("probe", {}, {"a": 1, "b": [True, "x"]}), '~ probe = {} -> { a = 1, b = [true, "x"] }'),
        (field("x", "", '"'), '~ x = "" -> "\\""'),
        (field("x", None, "(hello)"), '+ x = "(hello)"'),
        (field("x", None, "(\n  forged)"), '+ x = "(\\n  forged)"'),
        (field("x", None, {"$secret": {"file": "f"}}), "+ x = (secret from file f)"),
        (field("x", None, {"$ref": "a.b.c"}), "+ x = (id of a.b.c, known after apply)"),
        (field("x", None, {"$id": "7"}), '+ x = "7"'),
        (field("x", None, None, sensitive=True), "~ x changed (secret)"),
        (field("tools.3.port", 1, 2), "~ tools[3].port = 1 -> 2"),
        (field("vars.a b", 1, 2), '~ vars."a b" = 1 -> 2'),
    ],
)
def test_a_field_on_one_line(change: Any, line: str) -> None:
    """What it was, what it will be, and whose doing it is when it is not the spec's."""
    assert of(change) == [f"    {line}"]


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (
            field("image", "a" * 20, "b" * 20),
            '    ~ image = "aaaaaaaaaaaaaaaaaaaa"',
            '           -> "bbbbbbbbbbbbbbbbbbbb"',
        ),
        (
            field("image", "a" * 20, "b" * 20, cause=Cause.DRIFT),
            '    ~ image = "aaaaaaaaaaaaaaaaaaaa"   (drift: changed outside)',
            '           -> "bbbbbbbbbbbbbbbbbbbb"',
        ),
        (
            field("image", "語" * 10, "b" * 20),
            '    ~ image = "語語語語語語語語語語"',
            '           -> "bbbbbbbbbbbbbbbbbbbb"',
        ),
    ],
)
def test_a_field_that_does_not_fit_takes_two_lines(change: Any, before: str, after: str) -> None:
    """One value below the other, as soon as one column is missing."""
    note = "   (drift: changed outside)" if change.cause is Cause.DRIFT else ""
    fits = 4 + len("~ image = ") + 22 + len(" -> ") + 22 + len(note)
    assert len(of(change, width=fits)) == 1
    assert of(change, width=fits - 1) == [before, after]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("a\nb\nc", "a\nB\nc", ["- b", "+ B"]),
        ("a\nb", "a\nb\n", ["+ "]),
        ("a\r\nb", "a\nb", ["- a\\u000d", "+ a"]),
        ("one", "one\ntwo", ["+ two"]),
        (["a", "b", "c", "d", "e"], ["a", "b", "x", "d", "e"], ['- "c"', '+ "x"']),
        (["a", "b", "c", "d", "e"], ["e", "a", "b", "c", "d"], ['+ "e"', '- "e"']),
        ([1, 2, 3, 4, 5], [1], ["- 2", "- 3", "- 4", "- 5"]),
        ([], ["a", "b", "c", "d", "e"], ['+ "a"', '+ "b"', '+ "c"', '+ "d"', '+ "e"']),
    ],
)
def test_long_lists_and_texts_are_shown_by_the_lines_that_differ(
    before: Any, after: Any, lines: list[str]
) -> None:
    """And only those; a difference that is hard to see is spelled out."""
    assert of(field("x", before, after)) == ["    ~ x", *(f"        {line}" for line in lines)]


def test_a_very_long_text_is_compared_at_once() -> None:
    """Five thousand lines, none of them alike: quadratic would hang."""
    before, after = ("\n".join(f"{word} {n} {word}" for n in range(5000)) for word in ("old", "new"))
    assert len(of(field("x", before, after))) == 1 + 2 * 5000


# --- what others may have typed ---

ODD = 'ab"\\(){}=\n\r\t\x00\x07\x1b\x7f\x9b\u202e\u200b\u2028\u00a0\ufeff\U000e0041語é'
NASTY = st.text(st.sampled_from(ODD), max_size=12)


@settings(max_examples=200, deadline=None)
@given(NASTY, NASTY, NASTY)
def test_no_value_can_repaint_a_plan_or_forge_a_line(name: str, before: str, after: str) -> None:
    """Every character of a line can be seen, and there is no line that has no place in a plan."""
    change = Change(
        address("environment.lab")._replace(name=name),
        Action.UPDATE,
        "because",
        (
            field("image", before, after),
            field("image", [before], {name: after}),
            field("image", None, before),
        ),
        risks=(f"used by workspace {name}",),
        used_by=(UsedBy("workspace", name),),
    )
    plan = replace(EMPTY, changes=(change,), refusals=(name,), partial=(name,))
    shown = list(plan_lines(plan_view(plan)))
    assert all(line.isprintable() for line in shown)
    begins = ("~ ", "    ", "  ", "This plan is partial.", "This plan may not", "Plan: ")
    assert all(not line or line.startswith(begins) for line in shown)


@settings(deadline=None)
@given(st.text(max_size=3), st.text(max_size=3))
def test_two_texts_that_differ_look_different(one: str, other: str) -> None:
    """Also where the difference is a character that cannot be seen, or the spelling of one."""
    for left, right in ((one, other), ("\u202e", "\\u202e"), ("\x7f", "\\u007f"), ("é", "e\u0301")):
        assert (quoted(left) == quoted(right)) == (left == right)


def test_the_plan_with_everything_has_every_action() -> None:
    """None is forgotten when one is added; what only the state learns is not shown."""
    shown = {change.action for change in CHANGES}
    assert shown == set(Action) - {Action.RECORD}
