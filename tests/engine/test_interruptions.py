"""The user stops it, the disk is full, the lock is broken: a run ends in order, or stays open."""

from __future__ import annotations

import pytest
from engine.laboratory import Laboratory
from engine.scenario import WORLD_BEFORE, calls_of, laboratory, lines, no_trouble, plan_after, wrongs

from reconciler.errors import OutcomeUnknown, Rejected, StateError, StateMoved

CALLS = calls_of(no_trouble)
WRITES = ("create", "update", "delete")


def records_of(on_failure: str, *, refused: str = "") -> int:
    """How many records a run writes, one call being *refused*."""
    lab, _ = laboratory()
    if refused:
        lab.provider.fail[refused] = Rejected("no")
    lab.carry_out(plan_after(), on_failure)
    return len(lab.journal())


# --- stop ---


@pytest.mark.parametrize("on_failure", ["rollback", "stop", "continue"])
def test_stopping_at_any_call(on_failure: str) -> None:
    """Once the user wants it to end, what was begun is ended, taken back or kept, and nothing is lost."""
    found = {}
    for number in range(len(CALLS) + 1):

        def prepare(lab: Laboratory, number: int = number) -> None:
            lab.stop = lambda: len(lab.provider.calls) >= number

        found[number] = wrongs(prepare, on_failure)
    assert {number: wrong for number, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("on_failure", "after", "outcome"),
    [
        ("rollback", 0, "rolled back"),
        ("rollback", 10, "rolled back"),
        ("stop", 10, "interrupted"),
        ("continue", 10, "interrupted"),
        ("rollback", len(CALLS), "applied"),
    ],
)
def test_what_a_stopped_run_is_called(on_failure: str, after: int, outcome: str) -> None:
    """Applied when nothing was left to do, rolled back when nothing is left in effect, else interrupted."""
    lab, _ = laboratory()
    lab.stop = lambda: len(lab.provider.calls) >= after
    report = lab.carry_out(plan_after(), on_failure)
    assert report.outcome == outcome
    assert (report.steps.is_complete, report.steps.failed) == (outcome == "applied", set())


# --- the journal ---


@pytest.mark.parametrize("refused", ["", "delete key.hub", "create key.ngc"])
@pytest.mark.parametrize("on_failure", ["rollback", "stop", "continue"])
def test_a_journal_that_cannot_be_written_from_a_record_on(on_failure: str, refused: str) -> None:
    """The disk is full at each record in turn, forward and during the rollback."""
    found = {}
    for number in range(records_of(on_failure, refused=refused)):

        def prepare(lab: Laboratory, number: int = number) -> None:
            lab.backend.fail_journal_at = number
            if refused:
                lab.provider.fail[refused] = Rejected("no")

        found[number] = wrongs(prepare, on_failure)
    assert {number: wrong for number, wrong in found.items() if wrong} == {}


def test_a_run_whose_journal_broke_says_so_and_stays_open() -> None:
    """The error is in the report; the state is the old one; nothing is taken back without a journal."""
    lab, _ = laboratory()
    before = lab.backend.load()
    lab.backend.fail_journal_at = 8
    report = lab.carry_out(plan_after())
    assert (report.outcome, report.error) == (
        "open",
        "the journal cannot be written: no space left on device",
    )
    assert (lab.backend.load(), lab.backend.open_run()) == (before, "run-002")
    assert report.steps.rolled_back == set()


def test_a_journal_that_breaks_where_a_run_stays_open_anyway_is_reported() -> None:
    """Not raised over the report: what is known of the steps has to reach the user."""
    lab = Laboratory(parallelism=1)
    lab.provider.fail["create box.a"] = OutcomeUnknown("no answer")
    lab.provider.fail["find box.a"] = OutcomeUnknown("no answer")
    lab.provider.fail_after["create box.b"] = RuntimeError("a mistake")
    planned = lab.plan("box a size=1\nbox b size=1")
    lab.backend.fail_journal_at = 3  # begun, planned, and one intent
    report = lab.carry_out(planned, "continue")
    assert report.outcome == "open"
    assert report.error.startswith("the journal cannot be written")
    assert set(report.steps.errors) == {0, 1}


# --- the commit ---


@pytest.mark.parametrize("refused", ["", "delete key.hub"])
def test_a_state_that_cannot_be_written_is_committed_by_the_next_command(refused: str) -> None:
    """All is done, the old state is whole, and settling finishes what the run could not."""

    def prepare(lab: Laboratory) -> None:
        lab.backend.fail_commit = StateError("the state cannot be written: no space left", hint="Make room.")
        if refused:
            lab.provider.fail[refused] = Rejected("no")

    assert wrongs(prepare, "stop") == []
    lab, _ = laboratory()
    prepare(lab)
    before = lab.backend.load()
    report = lab.carry_out(plan_after(), "stop")
    assert (report.outcome, report.error, lab.backend.load()) == (
        "open",
        "the state cannot be written: no space left Make room.",
        before,
    )


def test_a_state_that_moved_under_a_run_is_not_overwritten() -> None:
    """Compare and swap: the run stays open, the other's state stands."""
    lab, _ = laboratory()
    lab.backend.fail_commit = StateMoved("somebody committed in between")
    before = lab.backend.load()
    report = lab.carry_out(plan_after())
    assert (report.outcome, report.error, lab.backend.load()) == (
        "open",
        "somebody committed in between",
        before,
    )


# --- the lock ---


@pytest.mark.parametrize("on_failure", ["rollback", "stop", "continue"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lock_that_is_broken_at_any_call(on_failure: str, moment: str) -> None:
    """Nothing more is intended, and so nothing more is written; whoever has the lock then settles the run."""
    found = {}
    for number in range(1, len(CALLS) + 1):

        def prepare(lab: Laboratory, number: int = number) -> None:
            def watch(what: str) -> None:
                if len(lab.provider.calls) == number - (moment == "before") and what.startswith(moment):
                    assert lab.backend._held is not None
                    lab.backend.unlock(lab.backend._held.info.id)
                    lab.provider.watch = lambda what: None

            lab.provider.watch = watch

        found[number] = wrongs(prepare, on_failure)
    assert {number: wrong for number, wrong in found.items() if wrong} == {}


def test_nothing_is_called_after_the_lock_is_seen_to_be_lost() -> None:
    """One step at a time: the write under way ends, and no other begins, nor is anything taken back."""
    lab, _ = laboratory()
    lab.parallelism = 1

    def watch(what: str) -> None:
        if what == "before update box.mid":
            assert lab.backend._held is not None
            lab.backend.unlock(lab.backend._held.info.id)

    lab.provider.watch = watch
    report = lab.carry_out(plan_after())
    assert report.outcome == "open"
    assert report.error.startswith("the lock was broken")
    assert [call for call in lab.provider.calls if call.startswith(WRITES)][-1] == "update box.mid"


def test_a_write_without_an_answer_is_not_tried_again_once_the_lock_is_lost() -> None:
    """Others may hold it by now: a second attempt could undo their work."""
    lab = Laboratory(parallelism=2)
    lab.apply("box b size=1")
    lab.provider.patience = 0.05
    lab.provider.fail["create box.a"] = OutcomeUnknown("no answer")
    planned = lab.plan("box a size=1\nbox b size=2")

    def watch(what: str) -> None:
        if what == "before create box.a" and lab.backend._held is not None:
            lab.backend.unlock(lab.backend._held.info.id)

    lab.provider.watch = watch
    report = lab.carry_out(planned)
    assert report.outcome == "open"
    assert [call for call in lab.provider.calls if call.startswith(WRITES)] == ["create box.a"]


@pytest.mark.parametrize("verb", ["create", "update", "delete"])
def test_a_lock_that_is_lost_is_seen_before_a_write_is_tried_again(verb: str) -> None:
    """Also when nothing is written to the journal in between that would notice."""
    lab = Laboratory()
    lab.apply("" if verb == "create" else "box a size=1")
    planned = lab.plan({"create": "box a size=1", "update": "box a size=2", "delete": ""}[verb])
    lab.provider.fail[f"{verb} box.a"] = OutcomeUnknown("no answer")

    def watch(what: str) -> None:
        if what == f"before {verb} box.a" and lab.backend._held is not None:
            lab.backend.unlock(lab.backend._held.info.id)

    lab.provider.watch = watch
    report = lab.carry_out(planned)
    assert (report.outcome, report.error) == ("open", "the lock was broken, or let go of")
    assert [call for call in lab.provider.calls if call.startswith(WRITES)] == [f"{verb} box.a"]


def test_a_rollback_without_any_fault_gives_the_world_back() -> None:
    """The last of all steps is refused."""
    lab, _ = laboratory()
    lab.provider.fail["delete key.hub"] = Rejected("no")
    report = lab.carry_out(plan_after())
    assert (report.outcome, lab.world()) == ("rolled back", lines(WORLD_BEFORE))
