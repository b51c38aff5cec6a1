"""A saved plan is applied as it was reviewed, or not at all: what moved since is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.laboratory import Laboratory, run, specs
from engine.scenario import AFTER, laboratory, plan_after

from reconciler.core.model import Stamp
from reconciler.engine.stack import Planned, PlanOptions
from reconciler.errors import ListingIncomplete, PlanStale, Unavailable

BEFORE = "box a size=1\nbox b shape=round\nbox c size=1\nbox user uses=@box.b\nbox gone size=1"
NOW = "box a size=2\nbox b shape=square\nbox new size=1\nbox user uses=@box.b"


def stale(lab: Laboratory, planned: Planned, text: str) -> tuple[str, ...]:
    """What moved, as the error says; empty when the plan still holds."""
    calls = len(lab.provider.calls)
    try:
        assert lab.verify(planned, text) == Planned(planned.plan)
    except PlanStale as error:
        assert error.hint == "Nothing was done. Make the plan again, have it reviewed, apply that one."
        return error.moved
    finally:
        asked = {call.split()[0] for call in lab.provider.calls[calls:]}
        assert asked <= {"list", "read"}
    return ()


MOVED = {
    "nothing": ("", ()),
    "something that the plan does not touch": ("put box.other size=1", ()),
    "a field of an object to be updated": (
        "edit box.a size=7",
        ("fake.box.a was changed on the platform: size",),
    ),
    "a field that nobody manages": ("edit box.a weight=7", ("fake.box.a was changed on the platform",)),
    "a field of an object to be deleted": (
        "edit box.c size=7",
        ("fake.box.c was changed on the platform: size",),
    ),
    "an object to be updated is gone": ("delete box.a", ("fake.box.a (id id-1) is gone from the platform",)),
    "an object to be deleted is gone": ("delete box.c", ("fake.box.c (id id-3) is gone from the platform",)),
    "an object to be created is there": (
        "put box.new size=1",
        ("fake.box.new was to be created, and exists now (id id-6)",),
    ),
    "an object to be forgotten is there again": (
        "back box.gone",
        ("fake.box.gone was gone, and is there again (id id-4)",),
    ),
    "an object to be deleted is in use": (
        "use box.c lab-1",
        ("fake.box.c is in use by workspace lab-1 (Running) now",),
    ),
    "an object to be replaced is in use": (
        "use box.b lab-1",
        ("fake.box.b is in use by workspace lab-1 (Running) now",),
    ),
    "an object to be updated is in use": ("use box.a lab-1", ()),
    "one that has to let go of another": (
        "edit box.user size=7",
        ("fake.box.user was changed on the platform",),
    ),
    "several": (
        "edit box.a size=7\ndelete box.c",
        ("fake.box.a was changed on the platform: size", "fake.box.c (id id-3) is gone from the platform"),
    ),
    "an object that a listing leaves out": ("hide box.a", ()),
}


def saved() -> tuple[Laboratory, Planned, dict[str, object]]:
    """A stack with a plan to NOW, and the object that was taken away by hand."""
    lab = Laboratory()
    lab.apply(BEFORE)
    gone = lab.id_of("box.gone")
    taken = {gone: lab.provider.objects[gone]}
    lab.hand("delete box.gone")
    return lab, lab.plan(NOW), taken


@pytest.mark.parametrize("case", MOVED)
def test_objects_that_moved_since_the_plan(case: str) -> None:
    """By object, with its address and what differs."""
    hand, expected = MOVED[case]
    lab, planned, taken = saved()
    if hand.startswith("back"):
        lab.provider.objects.update(taken)  # type: ignore[arg-type]
    else:
        lab.hand(hand)
    assert sorted(stale(lab, planned, NOW)) == sorted(expected)


@pytest.mark.parametrize(
    ("hand", "expected"),
    [
        ("", ()),
        ("edit box.a weight=7", ()),
        ("edit box.a size=7", ("fake.box.a was changed on the platform: size",)),
        ("edit box.c size=7", ("fake.box.c was changed on the platform: size",)),
        ("delete box.a", ("fake.box.a (id id-1) is gone from the platform",)),
    ],
)
def test_a_plan_that_asked_no_platform_is_compared_with_the_state(
    hand: str, expected: tuple[str, ...]
) -> None:
    """It says nothing of what is live, so what we applied last has to be there."""
    lab = Laboratory()
    lab.apply(BEFORE)
    planned = lab.plan("box a size=2\nbox b shape=round\nbox user uses=@box.b", refresh=False)
    lab.hand(hand)
    moved = stale(lab, planned, "box a size=2\nbox b shape=round\nbox user uses=@box.b")
    assert moved == expected


def test_a_moved_object_that_a_listing_leaves_out_is_not_gone() -> None:
    """It is remembered under its old address, and asked for by its id."""
    lab = Laboratory()
    lab.apply("box a size=1")
    after = "moved box.a box.b\nbox b size=2"
    planned = lab.plan(after)
    lab.hand("hide box.a")
    assert stale(lab, planned, after) == ()


def test_other_specs_than_the_plans() -> None:
    """A changed file makes the plan another one, whatever it changes."""
    lab, planned, _ = saved()
    assert stale(lab, planned, NOW + "\n") == ("the specs are not those that the plan was made from",)


def test_a_destroy_asks_for_no_specs() -> None:
    """It is the plan of nothing."""
    lab, _, _ = saved()
    planned = lab.plan("", destroy=True)
    assert stale(lab, planned, "box whatever size=1") == ()


def test_another_state_than_the_plans() -> None:
    """Applied in between, or another lineage."""
    lab, planned, _ = saved()
    lab.apply("box a size=1\nbox other size=1")
    assert stale(lab, planned, NOW) == ("the state is at serial 2; the plan was made at 1",)
    elsewhere = replace(planned.plan, base=Stamp("another", 1))
    assert stale(lab, Planned(elsewhere), NOW) == ("the state is another one than the plan was made from",)


def test_all_that_moved_of_state_and_specs_is_said_at_once() -> None:
    """No object is asked about then."""
    lab, planned, _ = saved()
    lab.apply("box a size=1\nbox other size=1")
    lab.provider.calls.clear()
    assert len(stale(lab, planned, NOW + "\n")) == 2
    assert lab.provider.calls == []


def test_a_plan_of_another_stack() -> None:
    """It is not compared any further."""
    lab, planned, _ = saved()
    with pytest.raises(PlanStale, match="the plan is for the stack 'prod', not for 'test'"):
        lab.verify(Planned(replace(planned.plan, stack="prod")), NOW)


@pytest.mark.parametrize("error", [Unavailable("cannot connect"), ListingIncomplete("half a list")])
def test_a_platform_that_cannot_be_asked_proves_nothing(error: Exception) -> None:
    """Its error is raised, and the plan is not applied."""
    lab, planned, _ = saved()
    lab.provider.fail["list box"] = error
    with pytest.raises(type(error)):
        lab.verify(planned, NOW)


def test_an_object_whose_users_were_reviewed_is_no_reason_to_refuse() -> None:
    """Whoever allowed the plan saw them; one that came since was seen by nobody."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1")
    lab.hand("use box.a lab-1")
    planned = lab.plan("box b size=1", allow_deletes=True)
    assert stale(lab, planned, "box b size=1") == ()
    lab.hand("use box.a lab-1 lab-2")
    assert stale(lab, planned, "box b size=1") == ("fake.box.a is in use by workspace lab-2 (Running) now",)


def test_an_object_to_be_made_again_that_is_back_under_another_name() -> None:
    """A second one beside it would leave the first with nobody to know of it."""
    lab = Laboratory()
    lab.apply("box a size=1")
    taken = dict(lab.provider.objects)
    lab.hand("delete box.a")
    planned = lab.plan("box a size=1")
    assert lab.steps(planned) == ["create box.a"]
    lab.provider.objects.update(taken)
    lab.provider.edit("id-1", name="renamed")
    assert stale(lab, planned, "box a size=1") == ("fake.box.a was gone, and is there again (id id-1)",)


def test_a_plan_of_another_version_is_refused() -> None:
    """What its steps mean is for the program that showed them to say."""
    lab, planned, _ = saved()
    older = replace(planned, plan=replace(planned.plan, tool="reconciler 0.1"))
    assert stale(lab, older, NOW) == ("the plan was made by reconciler 0.1; this is test",)


def test_a_plan_with_every_verb_holds_while_nothing_moves() -> None:
    """And is applied as it is."""
    lab, _ = laboratory()
    verified = lab.verify(plan_after(), AFTER)
    assert verified.plan is plan_after().plan
    assert lab.carry_out(verified).outcome == "applied"


def test_a_platform_that_is_asked_once_for_each_kind() -> None:
    """Verifying costs listings, not a read for each object."""
    lab = Laboratory()
    text = "\n".join(f"box n{number} size=1" for number in range(30))
    lab.apply(text)
    changed = text.replace("size=1", "size=2")
    planned = lab.plan(changed)
    lab.provider.calls.clear()
    run(lab.stack().verify(planned.plan, specs(changed)))
    assert lab.provider.calls == ["list box"]


def test_a_plan_made_twice_is_the_same_plan() -> None:
    """Which is what ``--expect`` relies on."""
    lab, _ = laboratory()
    again = run(lab.stack().plan(specs(AFTER), PlanOptions()))
    assert again.plan == plan_after().plan
