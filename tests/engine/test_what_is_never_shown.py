"""Kinds that keep what no platform shows and is no secret, refuse changes, and take things with them."""

from __future__ import annotations

import pytest
from engine.laboratory import Laboratory, address

from reconciler.core.model import Reversal
from reconciler.errors import OutcomeUnknown, PlanImpossible, Rejected


def test_what_is_never_shown_is_compared_with_what_was_sent_last() -> None:
    """And shown to people: it is no secret. Nobody can see drift in it."""
    lab = Laboratory()
    lab.apply("well old depth=3 lining=brick")
    assert lab.plan("well old depth=3 lining=brick").plan.is_empty
    (change,) = lab.plan("well old depth=3 lining=stone").plan.changes
    (field,) = change.fields
    assert (change.action, field.path, field.before, field.after, field.sensitive) == (
        "update",
        ("lining",),
        "brick",
        "stone",
        False,
    )
    assert change.irreversible == ""
    assert lab.changes(lab.plan("well old depth=4 lining=brick")) == [
        "replace well.old (depth can only be set at creation) depth"
    ]
    lab.provider.edit(lab.id_of("well.old"), lining="mud")
    assert lab.drift().drifted == ()


def test_what_is_never_shown_comes_back_in_a_rollback() -> None:
    """From what we remember: a platform cannot be asked for it."""
    lab = Laboratory()
    lab.apply("well old depth=3 lining=brick")
    lab.provider.fail["create box.zero"] = Rejected("no")
    assert lab.apply("well old depth=3 lining=stone\nbox zero after=well.old").outcome == "rolled back"
    assert lab.provider.world()["well.old"]["lining"] == "brick"
    assert lab.apply("well old depth=4 lining=brick\nbox zero after=well.old").outcome == "rolled back"
    assert lab.provider.world()["well.old"] == {"name": "old", "depth": 3, "lining": "brick"}
    assert lab.agreement() == []


def test_what_is_there_with_what_is_never_shown_has_to_be_adopted() -> None:
    """What can be written then is; the rest is taken to be as the spec says."""
    lab = Laboratory()
    lab.provider.put("well", name="old", depth=2, lining="mud")
    with pytest.raises(PlanImpossible, match="its depth, lining cannot be read back to compare"):
        lab.plan("well old depth=3 lining=brick")
    assert lab.changes(lab.plan("well old depth=3 lining=brick !adopt")) == [
        "adopt well.old (already on the platform, its depth taken to be as the spec says) lining"
    ]
    lab.apply("well old depth=3 lining=brick !adopt")
    assert lab.provider.world()["well.old"]["lining"] == "brick"


def test_a_change_that_the_kind_refuses_is_a_problem_of_the_plan() -> None:
    """Said before anything is done; a field whose changes are ignored is none."""
    lab = Laboratory()
    lab.apply("well old depth=3")
    with pytest.raises(PlanImpossible, match=r"fake\.well\.old: a well gets no shallower") as caught:
        lab.plan("well old depth=2")
    assert caught.value.hint == "Dig another one."
    with pytest.raises(PlanImpossible):
        lab.plan("well old")
    assert lab.plan("well old depth=2 ignore=depth").plan.is_empty
    lab.provider.edit(lab.id_of("well.old"), rim="high")
    assert lab.changes(lab.plan("well old depth=2 rim=low ignore=depth")) == [
        "replace well.old (rim can only be set at creation) rim"
    ]


def test_a_change_whose_opposite_the_kind_refuses_is_marked() -> None:
    """It cannot be taken back, and says so before anybody approves it."""
    lab = Laboratory()
    lab.apply("well old depth=3")
    (change,) = lab.plan("well old depth=3 plate=X").plan.changes
    assert (change.action, change.irreversible) == ("update", "a plate stays")
    lab.apply("well old depth=3 plate=X")
    (change,) = lab.plan("well old depth=3 plate=Y").plan.changes
    assert change.irreversible == ""


def test_what_goes_with_an_object_is_in_the_step_that_is_reviewed() -> None:
    """As the state remembers it, for the spec is gone by then; a replacement takes nothing with it."""
    lab = Laboratory()
    lab.apply("well old depth=3 drain=true tool=spade\nbox other")
    before = lab.id_of("well.old")
    lab.apply("well old depth=4 drain=true tool=spade\nbox other")
    assert lab.provider.parted == {}
    planned = lab.plan("box other")
    (change,), (step,) = planned.plan.changes, planned.plan.steps
    assert change.irreversible == "its water goes with it"
    assert (step.attributes, step.reversal) == ({"drain": True}, Reversal.RECREATE)
    after = lab.id_of("well.old")
    assert lab.carry_out(planned).outcome == "applied"
    assert (before != after, lab.provider.parted) == (True, {after: {"drain": True}})


def test_nothing_goes_with_an_object_that_took_the_place_of_ours() -> None:
    """What cannot be changed is another: somebody made it anew, and what it holds is theirs."""
    lab = Laboratory()
    lab.apply("well old depth=3 drain=true rim=low\nbox other")
    lab.provider.edit(lab.id_of("well.old"), rim="high")
    planned = lab.plan("box other")
    (change,), (step,) = planned.plan.changes, planned.plan.steps
    assert (change.irreversible, step.attributes) == ("", None)
    assert change.risks == (
        "it is no longer the object that we made (rim changed outside): what was to go with that one stays",
    )
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.world(), lab.provider.parted) == (["box.other"], {})


def test_what_is_not_set_does_not_go() -> None:
    """Nor does a creation that is rolled back take anything with it."""
    lab = Laboratory()
    lab.apply("well old depth=3 drain=false\nbox other")
    assert lab.plan("box other").plan.changes[0].irreversible == ""
    lab.apply("box other")
    lab.provider.fail["create box.zero"] = Rejected("no")
    report = lab.apply("box other\nwell new depth=1 drain=true\nbox zero after=well.new")
    assert (report.outcome, lab.provider.parted) == ("rolled back", {})


def test_an_object_that_changed_is_not_removed_by_an_old_plan_that_asked_nobody() -> None:
    """Also where something goes with it."""
    lab = Laboratory()
    lab.apply("well old depth=3 drain=true rim=low\nbox other")
    planned = lab.plan("box other", refresh=False)
    lab.provider.edit(lab.id_of("well.old"), rim="high")
    report = lab.carry_out(planned)
    assert "was changed on the platform since the plan was made (rim)" in report.steps.errors[0]
    assert "well.old" in lab.provider.world()


def test_what_does_not_work_in_time_is_known_and_taken_back() -> None:
    """It is recorded before anybody waits for it: a rollback removes it, and without one it stays managed."""
    lab = Laboratory()
    lab.provider.never_ready = {"slow"}
    report = lab.apply("box slow size=1")
    assert (report.outcome, lab.world()) == ("rolled back", [])
    report = lab.apply("box slow size=1", on_failure="stop")
    assert (report.outcome, lab.world(), lab.agreement()) == ("failed", ["box.slow size=1"], [])
    assert lab.plan("box slow size=1").plan.is_empty
    report = lab.apply("box slow size=2")
    assert report.outcome != "applied"
    lab.provider.never_ready.clear()
    assert lab.apply("box slow size=3").outcome == "applied"
    assert lab.agreement() == []


def test_what_is_put_back_and_does_not_work_is_known_to_be_put_back() -> None:
    """Nothing shows what of it is never shown: the next plan has to know that it is the old one again."""
    lab = Laboratory()
    lab.apply("well old depth=3 lining=brick")
    lab.provider.never_ready = {"old"}
    assert lab.apply("well old depth=3 lining=stone").outcome == "failed"
    assert lab.provider.world()["well.old"]["lining"] == "brick"
    assert lab.record("well.old").attributes["lining"] == "brick"
    lab.provider.never_ready.clear()
    assert lab.changes(lab.plan("well old depth=3 lining=stone")) == ["update well.old (spec changed) lining"]


def test_what_went_with_an_object_is_not_rolled_back() -> None:
    """The object is made again and stays managed; that it is whole, nobody says."""
    lab = Laboratory()
    lab.apply("well old depth=3 drain=true\nbox other")
    lab.provider.fail["delete box.other"] = Rejected("no")
    report = lab.apply("box third")
    assert report.outcome == "failed"
    (kept,) = report.steps.not_rolled_back
    assert report.steps.errors[kept] == "fake.well.old was made again, but its water goes with it"
    assert (lab.agreement(), lab.world()) == ([], ["box.other", "well.old depth=3"])


def test_a_lost_answer_is_no_reason_not_to_wait() -> None:
    """Made, found, and then waited for all the same."""
    lab = Laboratory()
    lab.provider.fail_after["create box.slow"] = OutcomeUnknown("lost")
    lab.provider.never_ready = {"slow"}
    assert lab.apply("box slow size=1", on_failure="stop").outcome == "failed"
    assert address("box.slow") in lab.resources


def test_what_comes_late_is_set_once_the_object_is_known() -> None:
    """And never lost with it: what did not come is the next plan's to bring, also to what is made again."""
    lab = Laboratory()
    assert lab.apply("wall north roof=2\nbox other").outcome == "applied"
    assert (lab.world(), lab.agreement()) == (["box.other", "wall.north roof=2"], [])
    lab.provider.fail["delete box.other"] = Rejected("no")
    assert lab.apply("box third").outcome == "rolled back"
    assert lab.world() == ["box.other", "wall.north roof=2"]
    lab.provider.fail_after["create wall.south"] = OutcomeUnknown("lost")
    lab.provider.never_ready = {"south"}
    text = "wall north roof=2\nbox other\nwall south roof=3"
    assert lab.apply(text, on_failure="stop").outcome == "failed"
    assert lab.changes(lab.plan(text)) == ["update wall.south (changed outside) roof"]
    lab.provider.never_ready.clear()
    assert lab.apply(text).outcome == "applied"
    assert (lab.world()[-1], lab.agreement()) == ("wall.south roof=3", [])


def test_what_others_put_into_a_table_that_only_grows_is_not_ours() -> None:
    """Neither a difference nor drift; our own entries are."""
    lab = Laboratory()
    lab.apply('wall north marks={"a":1}')
    lab.provider.edit(lab.id_of("wall.north"), marks={"a": 1, "template": 2})
    assert lab.plan('wall north marks={"a":1}').plan.is_empty
    assert lab.drift().drifted == ()
    lab.apply('wall north marks={"a":2}')
    lab.provider.edit(lab.id_of("wall.north"), marks={"a": 3, "template": 2})
    assert lab.changes(lab.plan('wall north marks={"a":2}')) == [
        "update wall.north (changed outside) marks.a"
    ]
