"""Resuming a run that was cut off: the rest of the reviewed plan, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.laboratory import SECRETS, Laboratory, run
from engine.scenario import AFTER, laboratory, plan_after, wrongs_in_the_end
from engine.test_random_worlds import prepared, stacks
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.errors import PlanStale, Rejected, UsageError

FOUR = "box a size=1\nbox b size=1\nbox c size=1 after=box.b\nbox d size=1 after=box.c"


def cut_off(text: str, at: str, before: str = "") -> Laboratory:
    """A stack whose apply of *text* lost its power at a moment."""
    lab = Laboratory(parallelism=1)
    if before:
        lab.apply(before)
    planned = lab.plan(text)
    lab.watch()
    lab.carry_out(planned)
    return lab.after_power_cut(next(one for one in lab.moments if one.what == at))


def test_the_rest_is_done_and_nothing_twice() -> None:
    """What is in effect stays; what never happened, and what was not begun, is done."""
    lab = cut_off(FOUR, "before create box.c")
    report = lab.resume("run-001", FOUR)
    assert (report.outcome, [str(step.address) for step in report.plan.steps]) == (
        "applied",
        ["fake.box.c", "fake.box.d"],
    )
    assert [call for call in lab.provider.calls if call.startswith("create")] == [
        "create box.c",
        "create box.d",
    ]
    assert (lab.world(), lab.agreement()) == ([f"box.{name} size=1" for name in "abcd"], [])
    assert lab.steps(lab.plan(FOUR)) == []


def test_a_run_that_was_stopped_by_a_failure_is_resumed_too() -> None:
    """Once what was in the way is gone."""
    lab = Laboratory(parallelism=1)
    planned = lab.plan(FOUR)
    lab.provider.fail["create box.c"] = Rejected("no")
    failed = lab.carry_out(planned, "stop")
    lab.provider.fail.clear()
    assert lab.resume(failed.run, FOUR).outcome == "applied"
    assert lab.steps(lab.plan(FOUR)) == []


def test_a_run_that_was_rolled_back_is_planned_anew() -> None:
    """Its plan would write over what somebody changed since the rollback, unseen."""
    lab = Laboratory(parallelism=1)
    lab.apply("box a size=1\nbox b size=9")
    planned = lab.plan(FOUR)
    lab.provider.fail["create box.d"] = Rejected("no")
    failed = lab.carry_out(planned)
    lab.provider.fail.clear()
    assert failed.outcome == "rolled back"
    with pytest.raises(PlanStale) as caught:
        lab.resume(failed.run, FOUR)
    assert caught.value.moved == ("it was rolled back",)


def test_an_object_that_moved_since_is_not_written_over() -> None:
    """What was reviewed does not fit any more."""
    lab = cut_off(
        "box a size=2\nbox b size=2 after=box.a", "before update box.b", "box a size=1\nbox b size=1"
    )
    lab.hand("edit box.b size=7")
    with pytest.raises(PlanStale) as caught:
        lab.resume("run-002", "box a size=2\nbox b size=2 after=box.a")
    assert caught.value.moved == ("fake.box.b was changed on the platform: size",)


def test_specs_that_changed_since_are_another_plan() -> None:
    """The reviewed plan is for those of then."""
    lab = cut_off(FOUR, "before create box.c")
    with pytest.raises(PlanStale, match="no longer fits"):
        lab.resume("run-001", FOUR + "\nbox e size=1")


def test_a_state_that_went_on_since_is_another_beginning() -> None:
    """Another run came in between."""
    lab = cut_off(FOUR, "before create box.c")
    lab.apply("box a size=1\nbox b size=1")
    lab.apply("box a size=1\nbox b size=2")
    with pytest.raises(PlanStale) as caught:
        lab.resume("run-001", FOUR)
    assert caught.value.moved == ("the state went on since: it is at serial 2",)


def test_a_state_that_was_pushed_since_is_another_beginning() -> None:
    """Also when the pushed bytes are a copy of what the run left, edited."""
    lab = Laboratory(parallelism=1)
    text = "box a size=2\nbox b uses=@box.a"
    planned = lab.plan(text)
    lab.provider.fail["create box.b"] = Rejected("no")
    failed = lab.carry_out(planned, "stop")
    lab.provider.fail.clear()
    edited = replace(lab.backend.load(), resources={})

    async def push() -> None:
        with lab.locked("state push") as lock:
            await lab.stack().push(lock, edited, "state push", force=False)

    run(push())
    with pytest.raises(PlanStale) as caught:
        lab.resume(failed.run, text)
    assert caught.value.moved == ("the state went on since: it is at serial 2",)


def test_what_took_effect_otherwise_than_planned_is_not_resumed() -> None:
    """Made, and refused when it was read back: a person has to look."""
    lab = Laboratory(parallelism=1)
    planned = lab.plan("box a size=1\nbox b size=1 after=box.a")
    lab.provider.fail["read id-1"] = Rejected("no")
    failed = lab.carry_out(planned, "stop")
    lab.provider.fail.clear()
    with pytest.raises(PlanStale) as caught:
        lab.resume(failed.run, "box a size=1\nbox b size=1 after=box.a")
    assert caught.value.moved == ("fake.box.a took effect, but not as planned",)


def test_a_run_that_is_complete_has_nothing_left() -> None:
    """Nor has one without a plan."""
    lab = Laboratory()
    done = lab.apply("box a size=1")
    with pytest.raises(UsageError, match="no step left"):
        lab.resume(done.run, "box a size=1")


def test_each_moment_of_a_run_can_be_resumed_from() -> None:
    """Every verb is in the scenario; afterwards world, state and specs agree."""
    lab, _ = laboratory()
    lab.parallelism = 1
    lab.watch()
    lab.carry_out(plan_after())
    found = {}
    for number, moment in enumerate(lab.moments):
        later = lab.after_power_cut(moment)
        later.settle()
        run = later.backend.runs()[0]
        if run.outcome == "interrupted" and run.counts.keys() & {"failed", "not_started"}:
            assert later.resume(run.id, AFTER).outcome == "applied"
            found[f"{number} {moment.what}"] = wrongs_in_the_end(later, laboratory()[1])
    assert len(found) > 20
    assert {moment: wrong for moment, wrong in found.items() if wrong} == {}


def test_a_secret_that_was_written_without_anybody_knowing_is_written_again() -> None:
    """The platform shows nothing of it but that the object has moved on."""
    lab = Laboratory()
    lab.apply("safe e code=$SAFE")
    lab.watch()
    lab.apply("safe e code=$NGC")
    written = next(moment for moment in lab.moments if moment.what == "after update safe.e")
    later = lab.after_power_cut(written)
    settled = later.settle()
    assert settled is not None
    assert settled.findings == ("fake.safe.e: not updated",)
    assert later.resume(settled.run, "safe e code=$NGC").outcome == "applied"
    assert later.provider.world() == {"safe.e": {"name": "e", "code": SECRETS["NGC"]}}


@settings(max_examples=80, deadline=None)
@given(stacks(), stacks(), st.integers(1, 8), st.integers(0, 10_000))
def test_any_run_can_be_resumed(first: str, then: str, many: int, moment: int) -> None:
    """From any moment: the plan is empty afterwards, and nothing is there twice."""
    lab, planned, foreign = prepared(first, [], then, many)
    lab.watch()
    lab.carry_out(planned)
    assume(lab.moments)
    later = lab.after_power_cut(lab.moments[moment % len(lab.moments)])
    settled = later.settle()
    assume(settled is not None)
    assert settled is not None
    try:
        report = later.resume(settled.run, then)
    except UsageError:
        return  # nothing was left to do
    assert report.outcome == "applied"
    assert (later.steps(later.plan(then)), later.agreement(foreign=foreign)) == ([], [])
