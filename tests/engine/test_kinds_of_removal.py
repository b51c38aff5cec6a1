"""Platforms that archive, that delete nothing, that number versions: the same engine, said as it is."""

from __future__ import annotations

import pytest
from engine.laboratory import Laboratory, address, run

from reconciler.core.model import Reversal
from reconciler.core.ports import Surplus
from reconciler.errors import PlanImpossible, Rejected


def changes(lab: Laboratory, text: str, **options: object) -> list[str]:
    """The changes of a plan, and what makes them more than their action."""
    planned = lab.plan(text, **options)
    return [
        f"{line} [{change.manner}]" if change.manner else line
        for line, change in zip(lab.changes(planned), planned.plan.changes, strict=True)
    ]


# --- versions ---


def test_a_new_definition_makes_a_new_version_of_the_same_object() -> None:
    """The plan says which field cannot be changed; a plain field is changed in place."""
    lab = Laboratory()
    lab.apply("scroll song text=first version=1 colour=red")
    before = lab.id_of("scroll.song")
    assert changes(lab, "scroll song text=second version=2 colour=blue") == [
        "update scroll.song (spec changed; text cannot be changed in a version, so its version becomes 2) "
        "colour,text,version [new version]"
    ]
    assert changes(lab, "scroll song text=first version=1 colour=blue") == [
        "update scroll.song (spec changed) colour"
    ]
    lab.apply("scroll song text=second version=2 colour=blue")
    assert (lab.id_of("scroll.song"), lab.agreement()) == (before, [])


def test_what_has_versions_is_not_replaced() -> None:
    """It would be archived, and come back as the same version."""
    lab = Laboratory()
    lab.apply("scroll song text=first version=1")
    with pytest.raises(PlanImpossible, match="cannot be replaced: what changes in it makes a new version"):
        lab.plan("scroll song text=first version=1", replaces=(address("scroll.song"),))


def test_what_only_apply_needs_is_remembered_and_never_compared() -> None:
    """A changed ``local`` attribute is no change of the object; the platform never hears of drift in it."""
    lab = Laboratory()
    lab.apply("scroll song text=first source=here")
    planned = lab.plan("scroll song text=first source=there")
    assert (lab.changes(planned), lab.steps(planned)) == ([], ["record scroll.song"])
    lab.carry_out(planned)
    assert lab.record("scroll.song").attributes["source"] == "there"
    assert "source" not in lab.provider.world()["scroll.song"]
    lab.provider.edit(lab.id_of("scroll.song"), text="other")
    (found,) = lab.drift().drifted
    assert [one.path for one in found.fields] == [("text",)]


def test_older_versions_that_a_spec_wants_removed_are_steps_of_the_plan() -> None:
    """They go last, are no share of the deletes that a threshold counts, and come back in a rollback."""
    lab = Laboratory()
    lab.apply("scroll song text=first")
    old = lab.provider.put("scroll", name="song:1", text="zero")
    remote = run(lab.provider.read("scroll", old))
    assert remote is not None
    reason = "version 1 is older than the 1 to keep"
    lab.provider.surplus = (Surplus(address("scroll.song"), remote, reason),)
    lab.policy = type(lab.policy)(max_delete_fraction=0.0)
    text = "scroll song text=second"
    planned = lab.plan(text)
    assert planned.plan.refusals == ()
    assert changes(lab, text) == [
        "update scroll.song (spec changed; text cannot be changed in a version, so a new version is made) "
        "text [new version]",
        f"delete scroll.song ({reason}) [archive]",
    ]
    assert lab.steps(planned) == ["update scroll.song", "delete scroll.song"]
    assert planned.plan.steps[1].reversal is Reversal.UNARCHIVE
    last = lab.plan(text + "\nscroll zest text=x")
    lab.provider.fail["create scroll.zest"] = Rejected("no")
    assert lab.carry_out(last).outcome == "rolled back"
    assert {"scroll.song:1", "scroll.song"} == lab.provider.world().keys()
    lab.provider.fail.clear()
    assert lab.apply(text).outcome == "applied"
    lab.provider.surplus = ()
    assert (lab.provider.archived.keys(), lab.agreement()) == ({old}, [])
    assert lab.plan(text).plan.is_empty


# --- archives ---


def test_what_is_archived_is_said_so_and_can_be_undone() -> None:
    """A removal puts it away; undo takes it out again under its old id."""
    lab = Laboratory()
    lab.apply("scroll song text=first\nbox other")
    before = lab.id_of("scroll.song")
    assert changes(lab, "box other") == [
        "delete scroll.song (no longer in the specs; it is archived, and can be restored) [archive]"
    ]
    done = lab.apply("box other")
    assert lab.world() == ["box.other"]
    assert lab.carry_out(lab.undo(done.run)).outcome == "applied"
    assert (lab.id_of("scroll.song"), lab.agreement()) == (before, [])


def test_a_rollback_takes_out_of_the_archive() -> None:
    """The same object, nothing made anew."""
    lab = Laboratory()
    lab.apply("scroll song text=first\nbox other")
    before = lab.id_of("scroll.song")
    lab.provider.fail["delete box.other"] = Rejected("no")
    assert lab.apply("box third").outcome == "rolled back"
    assert (lab.id_of("scroll.song"), lab.agreement()) == (before, [])
    assert "restore scroll.song" in lab.provider.calls


# --- no deletes ---


def test_what_cannot_be_deleted_is_let_go_of() -> None:
    """The plan says that it stays; undo takes it back under management."""
    lab = Laboratory()
    lab.apply("stone lintel version=1\nbox other")
    stays = "the platform deletes nothing: it stays there, and is no longer managed"
    assert lab.changes(lab.plan("box other")) == [f"forget stone.lintel (no longer in the specs; {stays})"]
    assert lab.changes(lab.plan("", destroy=True))[1] == f"forget stone.lintel (to be destroyed; {stays})"
    saved = lab.plan("box other")
    assert lab.verify(saved, "box other") is not None
    done = lab.apply("box other")
    assert lab.world() == ["box.other", "stone.lintel version=1"]
    assert address("stone.lintel") not in lab.resources
    assert lab.carry_out(lab.undo(done.run)).outcome == "applied"
    assert (address("stone.lintel") in lab.resources, lab.agreement()) == (True, [])


def test_what_may_not_be_destroyed_is_not_let_go_of_either() -> None:
    """Nobody would look after it any more. What is gone is forgotten all the same."""
    lab = Laboratory()
    lab.apply("stone lintel version=1 !protect\nbox other")
    (refusal,) = lab.plan("box other").plan.refusals
    assert refusal == "fake.stone.lintel has prevent_destroy, and this plan would let go of it"
    assert lab.plan("", destroy=True).plan.refusals == (refusal,)
    del lab.provider.objects[lab.id_of("stone.lintel")]
    assert lab.plan("box other").plan.refusals == ()


def test_making_what_cannot_be_deleted_is_marked() -> None:
    """Before anybody approves it; and a rollback keeps it, managed, and says so."""
    lab = Laboratory()
    planned = lab.plan("stone lintel version=1 status=carved\nbox other")
    (made,) = (one for one in planned.plan.changes if one.address.kind == "stone")
    assert made.irreversible == "the platform deletes nothing: once made, it stays, status carved"
    lab.provider.fail["create box.zero"] = Rejected("no")
    report = lab.apply("stone lintel version=1\nbox zero after=stone.lintel")
    assert report.outcome == "failed"
    (kept,) = report.steps.not_rolled_back
    assert report.steps.errors[kept] == (
        "fake.stone.lintel: the platform deletes nothing; it stays there, and stays managed"
    )
    assert report.steps.remedies[kept] == "nothing: the platform deletes nothing"
    assert lab.agreement() == []
    lab.provider.fail.clear()
    assert lab.apply("stone lintel version=1\nbox zero after=stone.lintel").outcome == "applied"


def test_another_version_is_another_object_and_the_old_one_stays() -> None:
    """Made beside it, or taken over where it is there already; never removed and made."""
    lab = Laboratory()
    lab.apply("stone lintel version=1")
    old = lab.id_of("stone.lintel")
    done = lab.apply("stone lintel version=2")
    stays = "stays there, and is no longer managed"
    assert lab.changes(done) == [f"create stone.lintel (new; {old} {stays})"]
    assert lab.world() == ["stone.lintel version=1", "stone.lintel version=2"]
    assert lab.record("stone.lintel").attributes["version"] == 2
    assert lab.changes(lab.undo(done.run)) == [f"adopt stone.lintel (back to before run {done.run})"]
    back = lab.apply("stone lintel version=1")
    assert back.outcome == "applied"
    assert lab.record("stone.lintel").attributes["version"] == 1


def test_what_refers_to_another_version_that_is_taken_over_refers_to_that() -> None:
    """In the same plan: what was let go of has its own id, and is no answer to who is meant."""
    lab = Laboratory()
    text = "stone lintel version={}\nbox door shape=@stone.lintel\nwall north lintel=@stone.lintel"
    for version in (1, 2):
        lab.apply(text.format(version))
    left = lab.record("stone.lintel").remote_id
    planned = lab.plan(text.format(1))
    assert lab.changes(planned) == [
        "replace box.door (shape can only be set at creation) shape",
        f"adopt stone.lintel (already on the platform, equal; {left} stays there, and is no longer managed)",
        "update wall.north (spec changed) lintel",
    ]
    lab.carry_out(planned)
    assert lab.plan(text.format(1)).plan.is_empty


def test_an_undo_says_what_it_leaves_of_what_the_run_came_upon() -> None:
    """It goes back to another object; nobody manages the one that the run changed, so nobody writes to it."""
    lab = Laboratory()
    lab.apply("stone lintel version=1 size=1")
    lab.apply("stone lintel version=2 size=1")
    done = lab.apply("stone lintel version=1 size=2 !adopt")
    back = lab.undo(done.run)
    old = lab.record("stone.lintel").remote_id
    (said,) = [one for one in back.plan.warnings if "stays as that run left it" in one]
    assert said.startswith("fake.stone.lintel goes back to ")
    assert f"; {old} was there before run {done.run}, which took it over" in said
    assert lab.carry_out(back).outcome == "applied"
    assert lab.world() == ["stone.lintel size=1 version=2", "stone.lintel size=2 version=1"]
    assert lab.record("stone.lintel").attributes["version"] == 2


def test_what_is_final_is_marked_once_and_then_refused() -> None:
    """The step that makes it final cannot be taken back; what differs afterwards has another way out."""
    lab = Laboratory()
    lab.apply("stone lintel version=1 status=rough size=1")
    (change,) = lab.plan("stone lintel version=1 status=carved size=1").plan.changes
    assert change.irreversible == "once its status is carved, nothing about it can be changed"
    lab.provider.fail["create box.zero"] = Rejected("no")
    report = lab.apply("stone lintel version=1 status=carved size=1\nbox zero after=stone.lintel")
    (kept,) = report.steps.not_rolled_back
    assert "is final, and cannot be changed any more" in report.steps.errors[kept]
    lab.provider.fail.clear()
    with pytest.raises(
        PlanImpossible, match="its status is carved, which is final, and the spec differs in size"
    ):
        lab.plan("stone lintel version=1 status=carved size=2")
    assert lab.changes(lab.plan("stone lintel version=2 status=rough size=2")) == [
        f"create stone.lintel (new; {lab.id_of('stone.lintel')} stays there, and is no longer managed)"
    ]
    with pytest.raises(PlanImpossible, match="cannot be replaced: the platform deletes nothing"):
        lab.plan("stone lintel version=1 status=carved size=1", replaces=(address("stone.lintel"),))


# --- tables that only grow ---


def test_a_key_that_cannot_be_taken_out_forces_a_replacement() -> None:
    """Setting and changing one is an update in place."""
    lab = Laboratory()
    lab.apply('wall north marks={"a":1,"b":2}')
    assert lab.changes(lab.plan('wall north marks={"a":3,"b":2,"c":1}')) == [
        "update wall.north (spec changed) marks.a,marks.c"
    ]
    assert lab.changes(lab.plan('wall north marks={"a":3}')) == [
        "replace wall.north (what is in marks can only be taken out with a new object) marks.a,marks.b"
    ]
