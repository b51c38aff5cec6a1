"""`apply --refresh-only`: the state learns what is live, and no platform hears of it."""

from __future__ import annotations

from typing import Any

import pytest
from engine.laboratory import Laboratory, address, run, specs

from reconciler.engine.planning import Planned
from reconciler.engine.selection import PlanOptions
from reconciler.errors import Forbidden, ListingIncomplete, PlanImpossible, Unavailable


def accepted(lab: Laboratory, text: str = "", **options: Any) -> Planned:
    """The plan, carried out."""
    planned = run(lab.stack().accept(specs(text), PlanOptions(**options)))
    if planned.plan.steps:
        assert lab.carry_out(planned).outcome == "applied"
        assert not [call for call in lab.provider.calls if call.startswith(("create", "update", "delete"))]
    return planned


CASES = {
    "nothing": ("", [], {}),
    "a field": ("edit box.a size=7", ["record box.a"], {"size": 7}),
    "a field in a table": ('edit box.a tools={"x":2}', ["record box.a"], {"tools": {"x": 2}}),
    "a field that was cleared": ("edit box.a size=null", ["record box.a"], {"size": None}),
    "a field that nobody manages": ("edit box.a depth=3", [], {}),
    "what can only be set at creation": ("edit box.a shape=flat", ["record box.a"], {"shape": "flat"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_live_is_recorded(case: str) -> None:
    """Of the fields that are managed; afterwards there is no drift, and nothing was written anywhere else."""
    hand, steps, values = CASES[case]
    lab = Laboratory()
    lab.apply('box a size=1 shape=round tools={"x":1}\nbox b size=1')
    lab.hand(hand)
    before = lab.record("box.a").attributes
    planned = accepted(lab)
    assert lab.steps(planned) == steps
    wanted = {key: value for key, value in {**before, **values}.items() if value is not None}
    assert dict(lab.record("box.a").attributes) == wanted
    assert accepted(lab).plan.steps == ()
    assert lab.agreement() == []


def test_what_is_gone_is_forgotten() -> None:
    """It is in the specs, so the next plan makes it again: that is for people to decide."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1")
    lab.hand("delete box.a")
    assert lab.steps(accepted(lab)) == ["forget box.a"]
    assert lab.changes(lab.plan("box a size=1\nbox b size=1")) == ["create box.a (new)"]


def test_the_next_plan_shows_what_the_specs_say_otherwise() -> None:
    """As a change of the specs, no longer as drift."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("edit box.a size=7")
    accepted(lab, "box a size=1")
    (change,) = lab.plan("box a size=1").plan.changes
    assert [str(field.cause) for field in change.fields] == ["spec"]


def test_a_part_can_be_chosen() -> None:
    """By address; the plan says what it leaves out."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1\nbox c size=1")
    lab.hand("edit box.a size=7\nedit box.b size=7\ndelete box.c")
    planned = accepted(lab, targets=("*.a", "*.b"), excludes=("*.b",))
    assert (lab.steps(planned), planned.plan.partial) == (
        ["record box.a"],
        ("record fake.box.b", "forget fake.box.c"),
    )
    with pytest.raises(PlanImpossible, match="the state has no resource of such an address"):
        accepted(lab, targets=("*.x",))


def test_a_secret_that_somebody_typed_in_is_not_recorded() -> None:
    """A state has no values of secrets; the rest is recorded, and the drift stays to be seen."""
    lab = Laboratory()
    lab.apply('key k secret=$HUB note=x\nbox a size=1 note=plain tools={"x":1}')
    lab.hand('edit box.a size=7 note=typed-in tools={"x":"hub-password-1"}')
    planned = accepted(lab)
    assert dict(lab.record("box.a").attributes) == {
        "name": "a", "size": 7, "note": "plain", "tools": {"x": 1}
    }  # fmt: skip
    assert planned.plan.warnings[0].startswith("fake.box.a: note is not recorded: it holds a secret")
    (change,) = lab.plan('key k secret=$HUB note=x\nbox a size=7 note=plain tools={"x":1}').plan.changes
    assert "note" in {str(field.path[0]) for field in change.fields}


def test_no_secret_is_needed_to_record_something_else() -> None:
    """And what is known of it stays what was sent."""
    lab = Laboratory()
    lab.apply("safe s code=$SAFE size=1")
    known = lab.record("safe.s").secrets
    lab.hand("edit safe.s size=7")
    del lab.environment["SAFE"]
    accepted(lab)
    assert (lab.record("safe.s").secrets, lab.record("safe.s").attributes["size"]) == (known, 7)


def test_what_cannot_be_read_is_neither_recorded_nor_forgotten() -> None:
    """Nothing is decided."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.provider.fail["list box"] = Unavailable("no")
    with pytest.raises(Unavailable):
        accepted(lab)
    lab.provider.fail = {"read id-1": Forbidden("no")}
    lab.hand("hide box.a")
    with pytest.raises(ListingIncomplete):
        accepted(lab)
    assert address("box.a") in lab.resources


def test_it_can_be_undone() -> None:
    """Like any run: the state says again what was applied, and the drift is there again."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("edit box.a size=7")
    accepted(lab)
    assert lab.steps(lab.undo("run-002")) == ["update box.a"]
