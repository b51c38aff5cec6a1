"""`drift --heal`: what was last applied is put back, as far as the policy allows, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.laboratory import Laboratory, address, run, specs

from reconciler.core.acceptance import Acceptance
from reconciler.core.attributes import Attributes
from reconciler.core.model import Remote
from reconciler.core.policy import Policy
from reconciler.core.ports import Surplus
from reconciler.engine.heal import CLASSES, Healing
from reconciler.errors import Forbidden, PlanRefused


def healed(lab: Laboratory, text: str, *allowed: str, accepted: tuple[Acceptance, ...] = ()) -> Healing:
    """The plan that puts things back, carried out."""
    lab.policy = Policy(max_delete_fraction=1.0, heal=allowed or CLASSES)
    _, found = run(lab.stack().heal(specs(text), accepted=accepted, day="2026-01-01"))
    if found.planned.plan.steps:
        assert lab.carry_out(found.planned).outcome == "applied"
    return found


APPLIED = 'box a size=1 shape=round tools={"x":1}\nkey k secret=$HUB\nbox u size=2 uses=@key.k'
CASES = {
    "nothing": ("", CLASSES, [], []),
    "a field": ("edit box.a size=7", CLASSES, ["update box.a"], []),
    "several": ("edit box.a size=7\nedit box.u size=8", CLASSES, ["update box.a", "update box.u"], []),
    "a field that was cleared": ("edit box.a size=null", ("update",), ["update box.a"], []),
    "a field that nobody manages": ("edit box.a colour=red", CLASSES, [], []),
    "an update that is not allowed": (
        "edit box.a size=7",
        ("create", "replace"),
        [],
        ['fake.box.a was changed outside; [policy] heal does not have "update"'],
    ),
    "what is gone": ("delete box.u", CLASSES, ["create box.u"], []),
    "what is gone, not allowed": (
        "delete box.u\nedit box.a size=7",
        ("update",),
        ["update box.a"],
        ['fake.box.u is gone, and would have to be made again; [policy] heal does not have "create"'],
    ),
    "what is gone, and in the way of nobody": (
        "delete box.a\nput box.a size=9",
        CLASSES,
        [],
        ["fake.box.a is gone, and another object of its name is there (id id-4)"],
    ),
    "what others refer to": ("delete key.k", CLASSES, ["create key.k", "update box.u"], []),
    "what can only be set at creation": (
        "edit box.a shape=flat",
        CLASSES,
        ["delete box.a", "create box.a"],
        [],
    ),
    "a replacement that is not allowed": (
        "edit box.a shape=flat size=7",
        ("update", "create"),
        [],
        ['fake.box.a differs in what can only be set at creation; [policy] heal does not have "replace"'],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_last_applied_is_put_back(case: str) -> None:
    """Whatever the specs say by now; what is not allowed is named, and keeps nothing else from it."""
    hand, allowed, steps, left = CASES[case]
    lab = Laboratory()
    lab.apply(APPLIED)
    before = lab.world()
    lab.hand(hand)
    newest = "box a size=99 shape=oval\nbox new size=1"
    found = healed(lab, newest, *allowed)
    assert (lab.steps(found.planned), list(found.left)) == (steps, left)
    if not left:
        assert [line for line in lab.world() if "colour=red" not in line] == [
            line for line in before if "colour" not in hand or "box.a" not in line
        ]
    assert lab.agreement() == [] or left


def test_what_is_left_to_others_stays() -> None:
    """ignore_changes of the specs of today, and what is accepted today; of the rest nothing is kept back."""
    lab = Laboratory()
    lab.apply('box a size=1 depth=1 tools={"x":1,"y":1} colour=red')
    lab.hand('edit box.a size=7 depth=7 tools={"x":2,"y":2} colour=blue')
    accepted = Acceptance("fake.box.a", ("tools.x",), "a test", "ann", "2026-01-01")
    found = healed(lab, "box a size=1 ignore=size", accepted=(accepted,))
    assert found.left == ("fake.box.a: tools, in which drift is accepted",)
    (_, stored), *_ = lab.provider.objects.values()
    assert stored.attributes == {
        "name": "a", "size": 7, "depth": 1, "tools": {"x": 2, "y": 2}, "colour": "red"
    }  # fmt: skip
    assert (lab.record("box.a").attributes["size"], lab.record("box.a").attributes["tools"]["x"]) == (1, 1)


def test_an_acceptance_that_is_over_keeps_nothing() -> None:
    """From the day after on."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("edit box.a size=7")
    accepted = Acceptance("*", ("size",), "a test", "ann", "2026-01-01")
    assert healed(lab, "", accepted=(accepted,)).left == ("fake.box.a differs in what is accepted",)
    found = healed(lab, "", accepted=(replace(accepted, expires="2025-12-31"),))
    assert lab.steps(found.planned) == ["update box.a"]


def test_what_could_not_be_read_is_left() -> None:
    """And the rest is put back."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1")
    lab.hand("edit box.b size=7\nhide box.a")
    lab.provider.fail["read id-1"] = Forbidden("no")
    lab.policy = Policy(heal=CLASSES)
    _, found = run(lab.stack().heal(specs("box a size=1"), accepted=(), day=""))
    assert lab.steps(found.planned) == ["update box.b"]


def test_a_secret_that_changed_since_is_not_sent() -> None:
    """What a reference gives by now is not what was applied; to make it again, it is all there is: said."""
    lab = Laboratory()
    lab.apply("safe s code=$SAFE size=1")
    lab.environment["SAFE"] = "another-password"
    lab.hand("edit safe.s size=7")
    found = healed(lab, "")
    assert (lab.steps(found.planned), found.planned.plan.warnings) == (["update safe.s"], ())
    assert lab.provider.objects[lab.id_of("safe.s")][1].attributes["code"] == "safe-password-1"
    lab.hand("delete safe.s")
    found = healed(lab, "")
    assert any("gives another value than then" in one for one in found.planned.plan.warnings)


def test_what_is_protected_is_not_replaced() -> None:
    """prevent_destroy holds here, too."""
    lab = Laboratory()
    lab.apply("box a shape=round !protect")
    lab.hand("edit box.a shape=flat")
    lab.policy = Policy(max_delete_fraction=1.0, heal=CLASSES)
    _, found = run(lab.stack().heal(specs("box a shape=round"), accepted=(), day=""))
    assert found.planned.plan.refusals == ("fake.box.a has prevent_destroy, and this plan would replace it",)


def test_nothing_is_ever_taken_away() -> None:
    """Whatever a provider says is too much."""
    lab = Laboratory()
    lab.apply("scroll s text=x")
    old = Remote("scroll", "id-9", ("s",), Attributes({"name": "s"}))
    lab.provider.surplus = (Surplus(address("scroll.s"), old, "too old"),)
    lab.hand("edit scroll.s text=y")
    with pytest.raises(PlanRefused, match="would take something away"):
        healed(lab, "")
