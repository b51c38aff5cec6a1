"""Edits of the state by hand: journalled like a run, and no platform is asked or told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.laboratory import Laboratory, address, run

from reconciler.core.attributes import Attributes
from reconciler.core.events import Note
from reconciler.core.model import ResourceState, Stamp, State
from reconciler.errors import LockLost, StateError, StateMoved, StateUnreadable, Unavailable
from reconciler.state.records import Begun, Edited


def record(name: str, remote_id: str = "id-9") -> ResourceState:
    """A record of a box."""
    return ResourceState(address(name), remote_id, Attributes({"name": name.partition(".")[2]}))


def edit(lab: Laboratory, *, put: tuple[ResourceState, ...] = (), removed: tuple[str, ...] = ()) -> State:
    """Edit the state under the lock."""

    async def work() -> State:
        with lab.locked("state edit") as lock:
            return await lab.stack().edit(lock, "state edit", put=put, removed=map(address, removed))

    return run(work())


def push(lab: Laboratory, pushed: State, *, force: bool = False) -> State:
    """Push a state under the lock."""

    async def work() -> State:
        with lab.locked("state push") as lock:
            return await lab.stack().push(lock, pushed, "state push", force=force)

    return run(work())


def test_an_edit_puts_and_removes_and_is_written_down() -> None:
    """One commit, one run in the history; the platform hears nothing of it."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1")
    lab.provider.calls.clear()
    before = lab.backend.load()
    after = edit(lab, put=(record("box.c"),), removed=("box.a",))
    assert after == lab.backend.load()
    assert sorted(map(str, lab.resources)) == ["fake.box.b", "fake.box.c"]
    assert (after.stamp, after.last_run) == (Stamp("lineage", before.stamp.serial + 1), "run-002")
    assert lab.journal() == ["Begun", "Edited", "Closed"]
    assert lab.backend.records("run-002")[1] == Edited((record("box.c"),), (address("box.a"),))
    assert (lab.provider.calls, lab.backend.open_run()) == ([], None)


def test_a_first_edit_makes_the_state() -> None:
    """With a lineage and a key of its own."""
    lab = Laboratory()
    after = edit(lab, put=(record("box.a"),))
    assert (after.stamp, after.secret_key) == (Stamp("lineage", 1), "5e" * 32)


def test_a_plan_made_before_an_edit_no_longer_fits() -> None:
    """The state that it was computed from is not there any more."""
    lab = Laboratory()
    planned = lab.plan("box a size=1")
    edit(lab, put=(record("box.z"),))
    with pytest.raises(Exception, match="the plan no longer fits"):
        lab.carry_out(planned)


@pytest.mark.parametrize("what", ["journal", "commit", "lock"])
def test_an_edit_that_cannot_be_written_is_an_error_and_not_half_done(what: str) -> None:
    """Its error is raised; the old state is whole, and settling either finishes the edit or drops it."""
    lab = Laboratory()
    lab.apply("box a size=1")
    before = lab.backend.load()
    if what == "journal":
        lab.backend.fail_journal_at = 1
    elif what == "commit":
        lab.backend.fail_commit = StateError("the state cannot be written")
    else:

        def watch(moment: str, pending: object) -> None:
            if moment == "before commit" and lab.backend._held is not None:
                lab.backend.unlock(lab.backend._held.info.id)
                del lab.backend.watch

        lab.backend.watch = watch
    with pytest.raises(LockLost if what == "lock" else StateError):
        edit(lab, removed=("box.a",))
    assert lab.backend.load() == before
    lab.backend.fail_journal_at = lab.backend.fail_commit = None
    lab.settle()
    assert list(map(str, lab.resources)) == (["fake.box.a"] if what == "journal" else [])


def test_the_power_goes_during_an_edit() -> None:
    """Before or after: never half."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1")
    lab.watch()
    edit(lab, put=(record("box.c"),), removed=("box.a",))
    seen = set()
    for moment in lab.moments:
        later = lab.after_power_cut(moment)
        later.settle()
        seen.add(tuple(sorted(map(str, later.resources))))
        assert later.backend.open_run() is None
    assert seen == {("fake.box.a", "fake.box.b"), ("fake.box.b", "fake.box.c")}


# --- push ---


def test_a_pushed_state_is_the_state_and_newer_than_both() -> None:
    """So that no plan made from either passes for fresh."""
    lab = Laboratory()
    lab.apply("box a size=1")
    pushed = replace(lab.backend.load(), resources={address("box.b"): record("box.b")})
    after = push(lab, pushed)
    assert (after, after.stamp) == (lab.backend.load(), Stamp("lineage", 2))
    assert list(lab.resources) == [address("box.b")]
    assert lab.journal() == ["Begun", "Closed"]
    begun = lab.backend.records("run-002")[0]
    assert isinstance(begun, Begun)
    assert (begun.command, begun.base) == ("state push", Stamp("lineage", 1))


def test_a_push_into_an_empty_place_needs_no_force() -> None:
    """There is nothing to lose."""
    lab = Laboratory()
    pushed = State("test", Stamp("elsewhere", 7), resources={address("box.b"): record("box.b")})
    assert push(lab, pushed).stamp == Stamp("elsewhere", 8)


PUSHES = {
    "another lineage": (Stamp("another", 9), "the pushed state is of another lineage than the stored one"),
    "an older one": (Stamp("lineage", 1), "the pushed state has serial 1, the stored one 2"),
}


@pytest.mark.parametrize("case", PUSHES)
def test_a_push_over_something_newer_or_other_needs_force(case: str) -> None:
    """Refused by itself, done with --force, with a serial ahead of both."""
    stamp, message = PUSHES[case]
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.apply("box a size=2")
    before = lab.backend.load()
    pushed = State("test", stamp, resources={})
    with pytest.raises(StateMoved) as caught:
        push(lab, pushed)
    assert (str(caught.value), lab.backend.load(), lab.backend.open_run()) == (message, before, None)
    assert push(lab, pushed, force=True).stamp == Stamp(stamp.lineage, max(stamp.serial, 2) + 1)


def test_a_push_settles_a_dead_run_first() -> None:
    """Else what the run did would be folded into the wrong state later."""
    lab = Laboratory(parallelism=1)
    planned = lab.plan("box a size=1")
    lab.watch()
    lab.carry_out(planned)
    later = lab.after_power_cut(next(one for one in lab.moments if one.what == "after create box.a"))
    later.provider.fail["find box.a"] = Unavailable("cannot connect")
    with pytest.raises(Unavailable):
        push(later, State("test", Stamp("lineage", 5)))
    later.provider.fail.clear()
    push(later, State("test", Stamp("lineage", 5)), force=True)
    assert (later.backend.open_run(), dict(later.resources)) == (None, {})


def test_a_state_pulled_before_a_dead_run_is_settled_is_older_than_what_that_leaves() -> None:
    """What the dead run made is in the state by then, and is not pushed out of it again unasked."""
    lab = Laboratory(parallelism=1)
    lab.apply("box a size=1")
    pulled = lab.backend.load()
    lab.watch()
    lab.apply("box a size=1\nbox b size=1")
    later = lab.after_power_cut(next(one for one in lab.moments if one.what == "after create box.b"))
    with pytest.raises(StateMoved) as caught:
        push(later, pulled)
    assert str(caught.value) == "the pushed state has serial 1, the stored one 2"
    assert (sorted(later.resources), later.agreement()) == ([address("box.a"), address("box.b")], [])


class Damaged:
    """A state that cannot be read, until another takes its place."""

    def __init__(self, lab: Laboratory) -> None:
        self.lab = lab

    def __call__(self) -> State:
        if self.lab.backend.state is None:
            raise StateUnreadable("state.json cannot be read as a state: it is empty")
        return self.lab.backend.state


@pytest.mark.parametrize("open_run", [False, True])
def test_a_push_over_an_unreadable_state_repairs_it(open_run: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while a dead run waits: it is settled on top of the pushed state by the next command."""
    lab = Laboratory(parallelism=1)
    lab.apply("box a size=1")
    good = lab.backend.load()
    if open_run:
        planned = lab.plan("box a size=1\nbox b size=1")
        lab.watch()
        lab.carry_out(planned)
        lab = lab.after_power_cut(next(one for one in lab.moments if one.what == "after create box.b"))
    lab.backend.state = None
    damaged = Damaged(lab)
    monkeypatch.setattr(lab.backend, "load", damaged)
    monkeypatch.setattr(lab.backend, "stored_stamp", lambda: damaged().stamp)
    push(lab, good)
    assert [event.text for event in lab.events if isinstance(event, Note)] == [
        "The stored state is given up: state.json cannot be read as a state: it is empty"
    ]
    settled = lab.settle()
    assert (settled is not None) is open_run
    assert lab.agreement() == []


def test_a_push_over_what_is_lost_is_newer_than_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a plan made from what is lost would pass for fresh, and an older run for a later one."""
    lab = Laboratory()
    lab.apply("box a size=1")
    good = lab.backend.load()
    for size in (2, 3):
        lab.apply(f"box a size={size}")
    assert (good.stamp.serial, lab.backend.load().stamp.serial) == (1, 3)
    lab.backend.state = None
    damaged = Damaged(lab)
    monkeypatch.setattr(lab.backend, "load", damaged)
    monkeypatch.setattr(lab.backend, "stored_stamp", lambda: damaged().stamp)
    push(lab, good)
    assert lab.backend.load().stamp.serial == 4
