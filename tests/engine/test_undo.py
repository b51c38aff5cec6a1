"""Undoing a past run: a plan back to before it, like any other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.laboratory import Laboratory, address, run
from engine.test_random_worlds import prepared, stacks
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.core.policy import Policy
from reconciler.errors import PlanImpossible, PlanRefused, PlanStale, Rejected, UsageError

ALWAYS = (
    "The specs still say what this undoes: the next plan would do it again. Take the change back in git, too."
)

CASES = {
    "a creation": ("box a size=1", "box a size=1\nbox b size=2", ["delete box.b"]),
    "an update": ("box a size=1", "box a size=2", ["update box.a"]),
    "a deletion": ("box a size=1\nbox b size=2", "box a size=1", ["create box.b"]),
    "a field that was set and was not before": ("box a size=1", "box a size=1 colour=red", ["update box.a"]),
    "a replacement": ("tower a shape=round", "tower a shape=square", ["delete tower.a", "create tower.a"]),
    "a move": ("box a size=1", "moved box.a box.b\nbox b name=a size=1", ["move box.a"]),
    "a move with a change": ("box a size=1", "moved box.a box.b\nbox b name=a size=2", ["update box.a"]),
    "a reference": (
        "box a size=1\nbox b size=1\nbox c uses=@box.a",
        "box b size=1\nbox c uses=@box.b",
        ["create box.a", "update box.c"],
    ),
    "a secret by another reference": (
        "safe s code=$SAFE size=1",
        "safe s code=$NGC size=1",
        ["update safe.s"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_run_did_is_undone(case: str) -> None:
    """The world is as before the run, and the specs of then have nothing to do."""
    first, then, expected = CASES[case]
    lab = Laboratory()
    lab.apply(first)
    world = lab.world()
    done = lab.apply(then, allow_deletes=True)
    planned = lab.undo(done.run)
    moves = [f"move {change.address.kind}.{change.address.name}" for change in planned.plan.changes]
    assert (moves if case == "a move" else lab.steps(planned)) == expected
    assert planned.plan.undoes == done.run
    assert {change.source for change in planned.plan.changes} == {None}
    assert planned.plan.warnings == (ALWAYS,)
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.world(), lab.agreement()) == (world, [])
    assert lab.steps(lab.plan(first)) == []


def test_a_saved_way_back_is_checked_like_any_plan() -> None:
    """Not against the specs, which say otherwise; against state and objects."""
    lab = Laboratory()
    lab.apply("box a size=1")
    done = lab.apply("box a size=2")
    planned = lab.undo(done.run)
    assert lab.verify(planned, "box a size=2").plan == planned.plan
    lab.hand("edit box.a size=7")
    with pytest.raises(Exception, match="no longer fits"):
        lab.verify(planned, "box a size=2")


def test_what_others_changed_since_is_left_to_the_next_plan() -> None:
    """Only what the run was about is undone."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox other size=1")
    done = lab.apply("box a size=2\nbox other size=1")
    lab.hand("edit box.other size=7")
    planned = lab.undo(done.run)
    assert (lab.steps(planned), planned.plan.partial) == (["update box.a"], ())


def test_only_what_stayed_in_effect_is_undone() -> None:
    """A step that failed, or was rolled back, has nothing to undo."""
    lab = Laboratory(parallelism=1)
    lab.apply("box a size=1")
    planned = lab.plan("box a size=2\nbox b size=1 after=box.a\nbox c size=1")
    lab.provider.fail["create box.b"] = Rejected("no")
    report = lab.carry_out(planned, "continue")
    assert lab.steps(lab.undo(report.run)) == ["update box.a", "delete box.c"]
    again = lab.plan("box a size=3\nbox b size=1 after=box.a\nbox c size=1")
    lab.provider.fail["create box.b"] = Rejected("no")
    failed = lab.carry_out(again)
    assert failed.outcome == "rolled back"
    with pytest.raises(UsageError, match="left nothing in effect"):
        lab.undo(failed.run)


def test_a_later_run_of_the_same_resource_has_to_go_first() -> None:
    """Both would be undone, and only one was asked for."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1")
    first = lab.apply("box a size=2\nbox b size=2")
    second = lab.apply("box a size=3\nbox b size=2")
    with pytest.raises(PlanImpossible) as caught:
        lab.undo(first.run)
    assert str(caught.value) == f"fake.box.a was changed again by run {second.run}"
    assert lab.carry_out(lab.undo(second.run)).outcome == "applied"
    # The way back counts as a later run, too: it is undone itself, or the specs say what is wanted.
    with pytest.raises(PlanImpossible):
        lab.undo(first.run)


def test_an_undoing_that_was_cut_off_is_undone_to_the_end() -> None:
    """By asking for it again: what is left of it. Not so once something else was done to the same."""
    lab = Laboratory(parallelism=1)
    first = "box a size=1\nbox b size=1\nbox m size=1"
    lab.apply(first)
    world = lab.world()
    done = lab.apply("box a size=2\nbox c size=2\nmoved box.m box.n\nbox n name=m size=2", allow_deletes=True)
    lab.provider.fail["delete box.c"] = Rejected("no")
    assert lab.carry_out(lab.undo(done.run), "stop").outcome == "failed"
    lab.provider.fail.clear()
    again = lab.undo(done.run)
    assert lab.steps(again) == ["delete box.c"]
    back = lab.carry_out(again)
    assert (lab.world(), lab.agreement(), lab.steps(lab.plan(first))) == (world, [], [])
    assert lab.steps(lab.undo(done.run)) == []
    lab.carry_out(lab.undo(back.run))
    with pytest.raises(PlanImpossible, match=r"fake\.box\.c was changed again by run"):
        lab.undo(done.run)


def test_a_clock_that_was_set_back_does_not_make_a_later_run_an_earlier_one() -> None:
    """The state's serials tell them apart: run ids are as the clock was."""
    lab = Laboratory(_runs=iter([9, 5, 7, 1]))
    lab.apply("box a size=1")
    done = lab.apply("box a size=2")
    later = lab.apply("box a size=3")
    assert (done.run, later.run) == ("run-005", "run-007")
    with pytest.raises(PlanImpossible) as caught:
        lab.undo("run-009")
    assert str(caught.value).splitlines() == [
        "fake.box.a was changed again by run run-007",
        "fake.box.a was changed again by run run-005",
    ]
    last = lab.apply("box a size=4")
    assert last.run == "run-001"
    with pytest.raises(PlanImpossible, match="changed again by run run-001"):
        lab.undo(later.run)
    assert lab.steps(lab.undo(last.run)) == ["update box.a"]


def test_a_secret_that_is_another_now_is_said() -> None:
    """What it was is nowhere any more."""
    lab = Laboratory()
    lab.apply("safe s code=$SAFE size=1")
    lab.environment["SAFE"] = "another-password"
    done = lab.apply("safe s code=$SAFE size=2")
    planned = lab.undo(done.run)
    assert planned.plan.warnings == (
        ALWAYS,
        "fake.safe.s: env SAFE gives another value than then, which is used",
    )


@pytest.mark.parametrize(
    ("spec", "expected"), [("box a size=1", []), ("box a size=2 !adopt", ["update box.a"])]
)
def test_what_a_run_took_over_is_not_deleted(spec: str, expected: list[str]) -> None:
    """It was there before: it gets its fields back, and stays."""
    lab = Laboratory()
    lab.apply("box z size=1")
    lab.hand("put box.a size=1")
    done = lab.apply(f"box z size=1\n{spec}")
    planned = lab.undo(done.run)
    assert lab.steps(planned) == expected
    assert planned.plan.warnings == (
        ALWAYS,
        f"fake.box.a was there before run {done.run}, which took it over: it stays, and stays managed. "
        "`reconciler state rm` lets go of it.",
    )
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.world(), lab.agreement()) == (["box.a size=1", "box.z size=1"], [])


def test_a_secret_that_a_run_wrote_over_what_it_took_over_stays() -> None:
    """What was in it was never shown."""
    lab = Laboratory()
    lab.hand("put safe.s code=theirs size=1")
    done = lab.apply("safe s code=$SAFE size=2 !adopt")
    planned = lab.undo(done.run)
    assert lab.steps(planned) == ["update safe.s"]
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.world(), lab.agreement()) == (["safe.s code=safe-password-1 size=1"], [])


@pytest.mark.parametrize("verb", ["rm", "mv"])
def test_what_was_edited_in_the_state_since_is_not_undone(verb: str) -> None:
    """Whoever did that decided something about it."""
    lab = Laboratory()
    lab.apply("box a name=x size=1")
    done = lab.apply("box a name=y size=1")
    record = lab.record("box.a")

    async def edit() -> None:
        put = [replace(record, address=address("box.b"))] if verb == "mv" else []
        with lab.locked(f"state {verb}") as lock:
            await lab.stack().edit(lock, f"state {verb}", put=put, removed=[record.address])

    run(edit())
    with pytest.raises(PlanImpossible) as caught:
        lab.undo(done.run)
    assert str(caught.value) == f"fake.box.a was changed in the state by run run-003 (state {verb})"


def test_a_move_is_a_change_of_the_resource_that_there_was() -> None:
    """Or there would be two: the one that moved, and one made anew under its old name."""
    lab = Laboratory()
    lab.apply("box a size=1")
    first = lab.apply("box a size=2")
    second = lab.apply("moved box.a box.b\nbox b size=2")
    with pytest.raises(PlanImpossible) as caught:
        lab.undo(first.run)
    assert str(caught.value) == f"fake.box.a was changed again by run {second.run}"


def test_where_the_state_knows_nothing_of_it_nothing_else_is_planned() -> None:
    """What others changed elsewhere is none of it."""
    lab = Laboratory()
    lab.apply("box z size=1")
    before = lab.backend.load()
    done = lab.apply("box z size=1\nbox a size=1")

    async def push() -> None:
        with lab.locked("state push") as lock:
            await lab.stack().push(lock, before, "state push", force=True)

    run(push())
    lab.hand("edit box.z size=9")
    with pytest.raises(UsageError, match=f"the state knows nothing of what run {done.run} changed"):
        lab.undo(done.run)


def test_what_came_to_refer_to_it_since_follows() -> None:
    """The object is replaced on the way back; who refers to it refers to the new one."""
    lab = Laboratory()
    lab.apply("tower a shape=round")
    done = lab.apply("tower a shape=square")
    lab.apply("tower a shape=square\nbox c uses=@tower.a")
    planned = lab.undo(done.run)
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.world(), lab.agreement()) == (["box.c uses=@tower.a", "tower.a shape=round"], [])


def test_what_is_needed_by_something_new_is_not_taken_away() -> None:
    """The run that made the newer one has to be undone first."""
    lab = Laboratory()
    lab.apply("box z")
    done = lab.apply("box z\nbox a")
    lab.apply("box z\nbox a\nbox c uses=@box.a")
    with pytest.raises(PlanImpossible) as caught:
        lab.undo(done.run)
    assert str(caught.value) == "fake.box.a would be deleted, and fake.box.c needs it"


@pytest.mark.parametrize("later", ["", "tower x shape=2\n"])
def test_a_reference_of_then_is_never_to_an_object_that_is_gone(later: str) -> None:
    """A later run took it away: then the run cannot be undone alone, unless there is a successor."""
    lab = Laboratory()
    lab.apply("tower x shape=1\nbox y\nbox c uses=@tower.x")
    done = lab.apply("tower x shape=1\nbox y\nbox c uses=@box.y")
    lab.apply(f"{later}box y\nbox c uses=@box.y")
    if later:
        assert lab.carry_out(lab.undo(done.run)).outcome == "applied"
        assert lab.world() == ["box.c uses=@tower.x", "box.y", "tower.x shape=2"]
    else:
        with pytest.raises(
            PlanImpossible, match=r"fake\.box\.c referred to fake\.tower\.x .*, which is gone"
        ):
            lab.undo(done.run)


def test_what_has_no_plan_cannot_be_undone() -> None:
    """A state edit is no plan."""
    lab = Laboratory()
    lab.apply("box a size=1")

    async def edit() -> None:
        with lab.locked("state rm") as lock:
            await lab.stack().edit(lock, "state rm", removed=[lab.record("box.a").address])

    run(edit())
    with pytest.raises(UsageError, match="carried out no plan"):
        lab.undo("run-002")


def test_the_policys_limits_hold_for_what_is_written_again() -> None:
    """What was there before may be more than the policy allows by now. What stays is not written."""
    lab = Laboratory()
    lab.apply("box a gpus=4\nbox b gpus=4\nbox c gpus=1\nbox d gpus=4")
    done = lab.apply("box a gpus=1\nbox c gpus=2\nbox d gpus=4", allow_deletes=True)
    lab.policy = Policy(max_delete_fraction=1.0, max_gpus=3)
    planned = lab.undo(done.run)
    assert lab.steps(planned) == ["update box.a", "create box.b", "update box.c"]
    assert (planned.plan.refusals, planned.plan.warnings) == (
        ("fake.box.a: 4 GPUs; the policy allows 3", "fake.box.b: 4 GPUs; the policy allows 3"),
        (ALWAYS,),
    )
    with pytest.raises(PlanRefused):
        lab.carry_out(planned)
    lab.policy = Policy(max_delete_fraction=1.0, max_gpus=4)
    assert lab.undo(done.run).plan.refusals == ()


@pytest.mark.parametrize("kind", ["undo", "destroy"])
def test_a_plan_that_no_spec_made_is_stale_when_the_settings_changed(kind: str) -> None:
    """The policy, say: it was looked at when the plan was made. The specs have no part in it."""
    lab = Laboratory(config="then")
    done = lab.apply("box a size=1")
    planned = lab.undo(done.run) if kind == "undo" else lab.plan("", destroy=True)
    assert lab.verify(planned, "box b").plan == planned.plan
    lab.config = "now"
    with pytest.raises(PlanStale) as caught:
        lab.verify(planned, "box b")
    assert caught.value.moved == ("reconciler.toml is not as it was when the plan was made",)


@settings(max_examples=120, deadline=None)
@given(stacks(), stacks(), st.integers(1, 8))
def test_undoing_restores(first: str, then: str, many: int) -> None:
    """From any world to any other and back: the managed fields of all that is ours are as they were."""
    lab, planned, foreign = prepared(first, [], then, many)
    world = lab.world()
    done = lab.carry_out(planned)
    assert done.outcome == "applied"
    assume(planned.plan.steps and not planned.plan.is_empty)
    back = lab.undo(done.run, allow_deletes=True)
    assume(not back.plan.refusals)
    assert lab.carry_out(back).outcome == "applied"
    assert (lab.world(), lab.agreement(foreign=foreign)) == (world, [])
