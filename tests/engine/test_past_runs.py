"""A past run as its journal tells it: each step and how it ended."""

from __future__ import annotations

import pytest
from engine.laboratory import Laboratory, step_line
from engine.test_state_edits import edit, record

from reconciler.core.planner import plan_digest
from reconciler.core.report import PastRun
from reconciler.engine.history import past_run
from reconciler.errors import InUse, JournalUnreadable, OutcomeUnknown, Rejected, Unavailable

TEXT = "box a size=1\nbox b after=box.a\nbox c after=box.b"


def past(lab: Laboratory, run: str | None = None) -> PastRun:
    """The newest run, or *run*."""
    return past_run(lab.backend.records(run or max(lab.backend.journals)))


def ends(found: PastRun) -> list[str]:
    """A line for each step: what, how it ended, and why."""
    return [
        f"{step_line(one.step)}: {one.outcome}" + (f" ({one.error})" if one.error else "")
        for one in found.steps
    ]


OUTCOMES = {
    "applied": ({}, "rollback", ["create box.a: done", "create box.b: done", "create box.c: done"]),
    "rolled back": (
        {"create box.c": Rejected("no")},
        "rollback",
        ["create box.a: rolled back", "create box.b: rolled back", "create box.c: failed (no)"],
    ),
    "failed": (
        {"create box.b": Rejected("no")},
        "stop",
        ["create box.a: done", "create box.b: failed (no)", "create box.c: not started"],
    ),
    "failed with something left": (
        {"create box.c": Rejected("no"), "delete box.b": InUse("in use")},
        "rollback",
        [
            "create box.a: could not be rolled back (something that depends on it could not be rolled back)",
            "create box.b: could not be rolled back (in use)",
            "create box.c: failed (no)",
        ],
    ),
    "open": (
        {"create box.b": OutcomeUnknown("no answer"), "find box.b": Unavailable("gone")},
        "stop",
        ["create box.a: done", "create box.b: not known", "create box.c: not started"],
    ),
    "open backward": (
        {
            "create box.c": Rejected("no"),
            "delete box.b": OutcomeUnknown("?"),
            "read id-2": Unavailable("gone"),
        },
        "rollback",
        [
            "create box.a: could not be rolled back (something that depends on it could not be rolled back)",
            "create box.b: not known",
            "create box.c: failed (no)",
        ],
    ),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_how_each_step_ended(case: str) -> None:
    """For every outcome of a run, the same as its report said."""
    faults, on_failure, expected = OUTCOMES[case]
    lab = Laboratory(parallelism=1)
    planned = lab.plan(TEXT)
    calls = 0
    if "read id-2" in faults:  # only while it is taken back

        def watch(what: str) -> None:
            nonlocal calls
            if what == "before delete box.b":
                lab.provider.fail["read id-2"] = Unavailable("gone")

        lab.provider.watch = watch
    lab.provider.fail.update({call: error for call, error in faults.items() if call != "read id-2"})
    report = lab.carry_out(planned, on_failure)
    found = past(lab)
    assert ends(found) == expected
    assert (found.outcome, report.outcome) == (case.split()[0] if case != "rolled back" else case,) * 2
    assert (found.ended == "") is (found.outcome == "open")


def test_a_write_that_took_effect_otherwise_than_asked_is_a_failure() -> None:
    """With its error, and the id of what it left."""
    lab = Laboratory()
    lab.provider.lie = {"size"}
    lab.apply("box a size=1", "stop")
    found = past(lab)
    assert ends(found) == [
        "create box.a: failed (fake.box.a: the platform accepted the write, and size is not as written)"
    ]
    assert found.steps[0].remote_id == "id-1"
    lab.provider.lie = set()
    lab.provider.lie = {"weight"}
    lab.apply("box a size=1 weight=2")
    assert [line.split(" (")[0] for line in ends(past(lab))] == ["update box.a: rolled back"]


def test_what_was_made_again_but_not_checked_could_not_be_rolled_back() -> None:
    """Both records are there; the worse one counts."""
    lab = Laboratory(parallelism=1)
    lab.apply("box a size=1\nbox b size=1")
    planned = lab.plan("box c size=1")
    lab.provider.fail["delete box.b"] = Rejected("no")
    lab.provider.fail["read id-4"] = Unavailable("cannot connect")
    lab.carry_out(planned)
    found = past(lab)
    assert ends(found)[1] == "delete box.a: could not be rolled back (cannot connect)"
    assert found.steps[1].remedy == "create box with what `reconciler show run-002` lists"


def test_the_head_of_a_past_run() -> None:
    """Who, what, when, on which plan and revision."""
    lab = Laboratory()
    planned = lab.plan("box a size=1")
    lab.carry_out(planned)
    found = past(lab)
    assert (found.id, found.command, found.outcome) == ("run-001", "apply", "applied")
    assert (found.started, found.ended) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    assert (found.digest, found.revision, found.edited) == (plan_digest(planned.plan), "", ())
    assert "@" in found.who


def test_a_step_shows_the_object_as_it_found_it() -> None:
    """What it wrote over or removed; nothing for what was not there."""
    lab = Laboratory(parallelism=1)
    lab.apply("box a size=1\nbox b size=1")
    lab.hand("edit box.a size=7 note=x")
    lab.apply("box a size=1\nbox c size=1")
    before = {step_line(one.step): one.before for one in past(lab).steps}
    assert before == {
        "create box.c": None,
        "update box.a": {"name": "a", "size": 7, "note": "x"},
        "delete box.b": {"name": "b", "size": 1},
    }


def test_an_edit_says_what_it_did() -> None:
    """By address."""
    lab = Laboratory()
    lab.apply("box a size=1")
    edit(lab, put=(record("box.c"),), removed=("box.a",))
    found = past(lab)
    assert (found.outcome, found.steps, found.edited) == (
        "edited",
        (),
        ("forgot fake.box.a", "recorded fake.box.c"),
    )


def test_a_settled_run_says_how_it_was_settled() -> None:
    """As any other: done, failed, or not started."""
    lab = Laboratory(parallelism=1)
    planned = lab.plan(TEXT)
    lab.watch()
    lab.carry_out(planned)
    later = lab.after_power_cut(next(one for one in lab.moments if one.what == "before create box.b"))
    later.settle()
    found = past(later, "run-001")
    assert (found.outcome, ends(found)) == (
        "interrupted",
        ["create box.a: done", "create box.b: failed (never happened)", "create box.c: not started"],
    )


def test_a_run_that_wrote_nothing_down_is_an_error() -> None:
    """There is nothing to tell."""
    with pytest.raises(JournalUnreadable, match="wrote nothing down"):
        past_run([])
