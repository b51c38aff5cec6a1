"""Runs, drift, complaints and errors as lines of text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from render.plans import DRIFT, EMPTY, golden, run, step

from reconciler.core.model import Reversal, Verb
from reconciler.core.report import DriftReport, Outcome, RunReport
from reconciler.errors import Complaint
from reconciler.render.characters import columns, printable
from reconciler.render.text import COLOURED, complaint_lines, drift_lines, error_lines, ledger_lines
from reconciler.render.view import drift_view, run_view


def text(lines: Any) -> str:
    """Lines as they are printed."""
    return "".join(f"{line}\n" for line in lines)


def test_the_ledger_of_a_run_in_which_everything_happened() -> None:
    """What needs a person comes first, and says what to do."""
    golden("ledger.txt", text(ledger_lines(run_view(run()))))


@pytest.mark.parametrize(
    ("ended", "count", "named", "more"),
    [
        ("done", 20, 20, None),
        ("done", 21, 0, None),
        ("not_started", 20, 20, None),
        ("not_started", 25, 20, "    … and 5 more"),
        ("rolled_back", 25, 20, "    … and 5 more"),
        ("failed", 100, 100, None),
        ("failed", 101, 100, "    … and 1 more"),
        ("not_rolled_back", 101, 100, "    … and 1 more"),
    ],
)
def test_a_long_ledger_names_what_matters_and_counts_the_rest(
    ended: str, count: int, named: int, more: str | None
) -> None:
    """Failures by name, successes by number."""
    steps = tuple(step(n, Verb.CREATE, f"environment.n{n:03}", Reversal.DELETE) for n in range(count))
    report = RunReport("r", replace(EMPTY, steps=steps), "x", Outcome(**{ended: set(range(count))}))
    first, heading, *rest = ledger_lines(run_view(report))
    assert (first, int(heading.split()[-1])) == ("Run r: x", count)
    assert len([line for line in rest if "create" in line]) == named
    assert rest[named:] == ([more] if more else [])


def test_a_run_without_steps_has_a_ledger() -> None:
    """Its name and how it ended."""
    assert list(ledger_lines(run_view(RunReport("r", EMPTY, "applied", Outcome())))) == ["Run r: applied"]


def test_a_quiet_ledger_keeps_what_went_wrong() -> None:
    """Steps that ended as they should are left out."""
    lines = list(ledger_lines(run_view(run()), quiet=True))
    whole = list(ledger_lines(run_view(run())))
    assert lines == whole[: len(lines)]
    assert [line.split("  ")[1] for line in lines[1:] if not line.startswith("    ")] == [
        "could not be rolled back",
        "not known",
        "failed",
    ]


def test_quiet_drift_is_one_line_and_what_must_not_be_missed() -> None:
    """How many differ, without which; and what could not be read."""
    whole = text(drift_lines(drift_view(DRIFT)))
    assert whole.endswith(
        "Drift: 4 of 5 resources not as last applied, 1 of them accepted. 1 could not be read.\n"
    )
    assert text(drift_lines(drift_view(DRIFT), quiet=True)) == (
        "Warning: runai: the listing of environment left out 1 that exist; they were read one by one\n\n"
        "? runai.compute.size could not be read: runai: GET /x answered 403: no role\n"
        "? runai: objects of kind compute that no spec names could not be read: "
        "runai: GET /x answered 403: no role\n"
        "Drift: 4 of 5 resources not as last applied, 1 of them accepted. 1 could not be read.\n"
    )


def test_known_drift_is_one_line_each() -> None:
    """What the baseline has is named, and counted apart."""
    gone, changed = DRIFT.drifted[:2]
    view = drift_view(DriftReport(3, (gone, replace(changed, changed_by="", changed_at=""))))
    view["drift"][0]["known"] = True
    assert text(drift_lines(view)).startswith(
        "- runai.environment.gone is gone from the platform (known)\n\n~ "
    )
    assert text(drift_lines(view)).endswith("Drift: 2 of 3 resources not as last applied, 1 of them known.\n")
    view["drift"][1] |= {"known": True, "fields": []}
    assert text(drift_lines(view)) == (
        "- runai.environment.gone is gone from the platform (known)\n"
        "~ runai.environment.lab was changed outside (known)\n"
        "\n"
        "No new drift. 2 of 3 resources not as last applied, as the baseline has it.\n"
    )


def test_accepted_drift_is_no_new_drift() -> None:
    """It is named, with until when, by whom and why; it does not count."""
    accepted = DRIFT.drifted[2]
    assert text(drift_lines(drift_view(DriftReport(3, (accepted,), day="2024-12-31")))) == (
        "~ runai.environment.shared was changed outside\n"
        '    + command = "sleep `1`"\n'
        "      the specs say so by now\n"
        "      accepted until 2024-12-31 by ann | ml: until the *next* image\n"
        "\n"
        "No new drift. 1 of 3 resources not as last applied, 1 of them accepted.\n"
    )
    over = text(drift_lines(drift_view(DriftReport(3, (accepted,), day="2025-01-01"))))
    assert "      was accepted until 2024-12-31, which is over, by ann | ml: until the *next* image\n" in over
    assert over.endswith("Drift: 1 of 3 resources not as last applied.\n")


def test_drift_as_text() -> None:
    """What was applied and what is there, who changed it and by which decision; what is no drift."""
    golden("drift.txt", text(drift_lines(drift_view(DRIFT))))


@pytest.mark.parametrize(
    ("checked", "line"),
    [(0, "No drift. 0 resources as last applied."), (1, "No drift. 1 resource as last applied.")],
)
def test_no_drift_is_one_line(checked: int, line: str) -> None:
    """For a log that is read once a month."""
    assert list(drift_lines(drift_view(DriftReport(checked, ())))) == [line]


# --- complaints ---


def complaint(excerpt: str, column: int, **more: Any) -> list[str]:
    """The source line and the caret of a complaint."""
    lines = list(complaint_lines(Complaint("wrong", "lab.toml", 7, column, excerpt, **more)))
    assert lines[:2] == ["Error: wrong", f"  on lab.toml line 7, column {column}:"]
    return lines[2:]


@pytest.mark.parametrize(
    ("excerpt", "column", "source", "caret"),
    [
        ("image = 7", 9, "    7 | image = 7", "      |         ^"),
        ("image = 7", 1, "    7 | image = 7", "      | ^"),
        ("x = [", 6, "    7 | x = [", "      |      ^"),
        ("x", 4, "    7 | x", "      |    ^"),
        ("\tport = 1", 9, "    7 |  port = 1", "      |         ^"),
        ("a\t=\t1", 5, "    7 | a = 1", "      |     ^"),
        ('"語語" = 7', 8, '    7 | "語語" = 7', "      |          ^"),
        ("e\u0301 = 7", 6, "    7 | e\u0301 = 7", "      |     ^"),
        ("x = \x1b[31m7", 10, "    7 | x = \ufffd[31m7", "      |          ^"),
        ("x = \u202e7", 6, "    7 | x = \ufffd7", "      |      ^"),
    ],
)
def test_the_caret_stands_under_the_place(excerpt: str, column: int, source: str, caret: str) -> None:
    """In columns of the terminal: behind tabs, wide and combining characters, and what is not printed."""
    assert complaint(excerpt, column) == [source, caret]


@pytest.mark.parametrize("column", [1, 20, 60, 100, 150, 199, 200])
def test_a_long_line_is_cut_around_the_place(column: int) -> None:
    """To what fits into eighty columns, and the caret is still under its character."""
    excerpt = "".join(chr(ord("a") + n % 26) for n in range(200))
    source, caret = complaint(excerpt, column)
    assert max(len(source), len(caret)) <= 80
    at = caret.index("^")
    assert source[at] == excerpt[column - 1]
    assert ("…" in source[:at], "…" in source[at:]) == (column > 49, column < 177)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from("ab=語é\u0301\t\u200b\x07"), max_size=250),
    st.integers(1, 260),
    st.integers(20, 120),
)
def test_the_caret_is_right_for_any_line(excerpt: str, column: int, width: int) -> None:
    """What stands left of the caret is what stands left of the place, cut at most in front."""
    lines = list(complaint_lines(Complaint("wrong", "lab.toml", 7, column, excerpt), width=width))
    if not excerpt:
        assert len(lines) == 2
        return
    source, caret = lines[2:]
    assert columns(source) <= width
    assert columns(caret) <= width
    assert (source + " ").isprintable()
    line = "".join(" " if c == "\t" else c if c.isprintable() else "\ufffd" for c in excerpt)
    place = "".join(c for c in line[: column - 1] if columns(c))
    left = "".join(c for c in source.removeprefix("    7 | ") if columns(c))
    at = columns(caret) - 1 - len("    7 | ")
    taken = next((n for n in range(len(left)) if columns(left[:n]) >= at), len(left))
    assert place.rstrip().endswith(left[:taken].lstrip("… ").rstrip("… "))


def test_a_very_long_line_is_cut_at_once() -> None:
    """A million characters: quadratic would hang."""
    assert len(complaint("x" * 1_000_000, 999_999)) == 2


def test_a_complaint_says_what_to_do() -> None:
    """On as many lines as it takes; about a place, about a file, about nothing in particular."""
    hint = "Do this:\n\n    [lifecycle]\n    adopt = true"
    assert list(complaint_lines(Complaint("s", "a.toml", 2, 1, "x", hint))) == [
        "Error: s",
        "  on a.toml line 2, column 1:",
        "    2 | x",
        "      | ^",
        "  Do this:",
        "",
        "      [lifecycle]",
        "      adopt = true",
    ]
    assert list(complaint_lines(Complaint("s", "a.toml", hint="h"))) == ["Error: s", "  on a.toml:", "  h"]
    assert list(complaint_lines(Complaint("s", ""))) == ["Error: s"]


def test_a_complaint_in_colour_is_the_same_text() -> None:
    """Colours and nothing else."""
    one = Complaint("s", "a.toml", 2, 3, "a = b", "h")
    coloured = "\n".join(complaint_lines(one, COLOURED))
    for code in ("[31m", "[1m", "[2m", "[0m"):
        assert f"\033{code}" in coloured
        coloured = coloured.replace(f"\033{code}", "")
    assert coloured == "\n".join(complaint_lines(one))


def test_an_error_is_what_which_and_what_to_do() -> None:
    """The summary may have several lines, the list any number, the hint too."""
    assert list(error_lines("one\ntwo", "do\n\nthis", ["a", "b"])) == [
        "Error: one",
        "  two",
        "  - a",
        "  - b",
        "  do",
        "",
        "  this",
    ]
    assert list(error_lines("one", "")) == ["Error: one"]


def test_nothing_in_an_error_repaints_the_terminal() -> None:
    """A server's message, a file's name: others wrote them."""
    bad = "\x1b[2J\u202e"
    shown = [
        *error_lines(f"a{bad}", f"b{bad}", [f"c{bad}"]),
        *complaint_lines(Complaint(f"d{bad}", f"e{bad}", 1, 1, bad, f"f{bad}")),
    ]
    assert all(line.isprintable() for line in shown)


# --- characters ---


@pytest.mark.parametrize(
    ("word", "wide"),
    [
        ("", 0),
        ("abc", 3),
        ("語", 2),
        ("Ａ", 2),
        ("é", 1),
        ("e\u0301", 1),
        ("क\u094d", 1),
        ("a\u200bb", 2),
        ("…", 1),
    ],
)
def test_how_many_columns_a_word_takes(word: str, wide: int) -> None:
    """Wide characters two, combining and invisible ones none."""
    assert columns(word) == wide


@pytest.mark.parametrize(
    ("word", "seen"),
    [
        ("plain é 語", "plain é 語"),
        ("\x1b[31m", "\\u001b[31m"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u00a0b", "a\\u00a0b"),
        ("\n", "\\u000a"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(word: str, seen: str) -> None:
    """Everything else stays."""
    assert printable(word) == seen
