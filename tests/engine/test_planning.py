"""From specs, state and platform to changes and steps: the table, and what surrounds it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.laboratory import SECRETS, Laboratory, address, run, specs

from reconciler.core.model import Cause, State
from reconciler.core.policy import Policy
from reconciler.engine.stack import PlanOptions
from reconciler.errors import Forbidden, ListingIncomplete, PlanImpossible, PlanRefused, Unavailable


def changes(before: str, hand: str, after: str, **options: object) -> list[str]:
    """What the plan to *after* changes, once *before* was applied and a *hand* did its work."""
    lab = Laboratory()
    lab.apply(before)
    lab.hand(hand)
    return lab.changes(lab.plan(after, **options))


# --- the table: desired, prior, live ---

TABLE = {
    "wished for, not remembered, not there": ("", "", "box a size=1", ["create box.a (new)"]),
    "wished for, not remembered, there and equal": (
        "",
        "put box.a size=1",
        "box a size=1",
        ["adopt box.a (already on the platform, equal)"],
    ),
    "wished for, not remembered, there, and adopt says to take it": (
        "",
        "put box.a size=1",
        "box a size=2 !adopt",
        ["adopt box.a (already on the platform) size"],
    ),
    "wished for, remembered, not there": (
        "box a size=1",
        "delete box.a",
        "box a size=1",
        ["create box.a (gone from the platform)"],
    ),
    "wished for, remembered, equal": ("box a size=1", "", "box a size=1", []),
    "wished for, remembered, changed in the specs": (
        "box a size=1",
        "",
        "box a size=2",
        ["update box.a (spec changed) size"],
    ),
    "wished for, remembered, changed outside": (
        "box a size=1",
        "edit box.a size=2",
        "box a size=1",
        ["update box.a (changed outside) size"],
    ),
    "wished for, remembered, changed in both": (
        "box a size=1",
        "edit box.a size=2",
        "box a size=3",
        ["update box.a (spec changed, and changed outside) size"],
    ),
    "wished for, remembered, changed outside to what the specs say now": (
        "box a size=1",
        "edit box.a size=2",
        "box a size=2",
        [],
    ),
    "wished for, remembered, differs where it cannot be changed": (
        "box a shape=round",
        "",
        "box a shape=square",
        ["replace box.a (shape can only be set at creation) shape"],
    ),
    "a field that the specs give up goes back to its default": (
        "box a colour=red size=1",
        "",
        "box a size=1",
        ["update box.a (spec changed) colour"],
    ),
    "a field that nobody manages is left alone": (
        "box a size=1",
        "edit box.a colour=red",
        "box a size=1",
        [],
    ),
    "a field whose changes are ignored is left alone": (
        "box a size=1 ignore=size",
        "edit box.a size=2",
        "box a size=1 ignore=size",
        [],
    ),
    "not wished for, remembered, there": (
        "box a size=1",
        "",
        "",
        ["delete box.a (no longer in the specs)"],
    ),
    "not wished for, remembered, not there": (
        "box a size=1",
        "delete box.a",
        "",
        ["forget box.a (gone from the platform, and from the specs)"],
    ),
    "not wished for, not remembered, there": ("", "put box.a size=1", "", []),
    "ours deleted and another of its name made, equal": (
        "box a size=1",
        "delete box.a\nput box.a size=1",
        "box a size=1",
        ["adopt box.a (already on the platform, equal)"],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_table(case: str) -> None:
    """Each row: what there was, what a hand did, what the specs say, what changes."""
    before, hand, after, expected = TABLE[case]
    assert changes(before, hand, after) == expected


@pytest.mark.parametrize("case", [case for case in TABLE if "ignored" not in case])
def test_what_the_table_says_is_done_and_done_once(case: str) -> None:
    """After the apply there is nothing left to do, and world and state agree."""
    before, hand, after, _ = TABLE[case]
    lab = Laboratory()
    lab.apply(before)
    lab.hand(hand)
    lab.apply(after)
    unmanaged = tuple(lab.provider.objects) if not after else ()
    assert (lab.steps(lab.plan(after)), lab.agreement(foreign=unmanaged)) == ([], [])


IMPOSSIBLE = {
    "there, and differs": (
        "put box.a size=1",
        "box a size=2",
        "fake.box.a: an object of this name exists (id id-1) and differs in size",
        "adopt = true",
    ),
    "there, and its secret cannot be seen": (
        "put key.a secret=x",
        "key a secret=$HUB",
        "fake.key.a: an object of this name exists (id id-1) and its secret cannot be read back to compare",
        "adopt = true",
    ),
    "there, and differs where it cannot be changed": (
        "put box.a shape=round",
        "box a shape=square !adopt",
        "fake.box.a: an object of this name exists (id id-1) and differs in shape, "
        "which can only be set at creation",
        "delete the object",
    ),
    "there, and the vendor's": (
        "put box.a size=1\nvendor box.a",
        "box a size=1 !adopt",
        "fake.box.a: the platform's vendor owns an object of this name",
        "never touched",
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_brought_together_is_an_error(case: str) -> None:
    """It says what stands in the way and what would help; nothing is planned."""
    hand, after, message, hint = IMPOSSIBLE[case]
    with pytest.raises(PlanImpossible) as caught:
        changes("", hand, after)
    assert str(caught.value) == message
    assert hint in caught.value.hint


def test_all_that_cannot_be_is_said_at_once() -> None:
    """One error for the whole plan, a line for each resource."""
    with pytest.raises(PlanImpossible) as caught:
        changes("", "put box.a size=1\nput box.b size=1", "box a size=2\nbox b size=2\nbox c size=2")
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["fake.box.a", "fake.box.b"]


def test_what_is_not_ours_is_never_touched() -> None:
    """Neither somebody's objects nor the vendor's, through apply and destroy."""
    lab = Laboratory()
    lab.hand("put box.theirs size=1\nput box.vendors size=1\nvendor box.vendors")
    lab.apply("box a size=1")
    lab.apply("", destroy=True)
    assert lab.world() == ["box.theirs size=1", "box.vendors size=1"]


def test_each_field_has_its_cause() -> None:
    """Spec, drift, both, and a reference to something new."""
    lab = Laboratory()
    lab.apply("key k secret=$HUB\nbox a size=1 colour=red weight=1 uses=@key.k")
    lab.hand("edit box.a colour=blue weight=2\ndelete key.k")
    planned = lab.plan("key k secret=$HUB\nbox a size=2 colour=red weight=3 uses=@key.k")
    (change,) = [one for one in planned.plan.changes if one.address == address("box.a")]
    assert {one.path: one.cause for one in change.fields} == {
        ("size",): Cause.SPEC,
        ("colour",): Cause.DRIFT,
        ("weight",): Cause.BOTH,
        ("uses",): Cause.REFERENCE,
    }


# --- references ---

REFERENCES = {
    "a new target is made first": (
        "",
        "",
        "box a uses=@key.k\nkey k secret=$HUB",
        ["create key.k", "create box.a"],
    ),
    "a target that is gone is made again, and its users learn the new id": (
        "key k secret=$HUB\nbox a uses=@key.k\nbox b uses=@box.a",
        "edit box.a uses=null\ndelete key.k",
        "key k secret=$HUB\nbox a uses=@key.k\nbox b uses=@box.a",
        ["create key.k", "update box.a"],
    ),
    "a target that is replaced is let go of first": (
        "box t shape=round\nbox a uses=@box.t",
        "",
        "box t shape=square\nbox a uses=@box.t",
        ["update box.a", "delete box.t", "create box.t", "update box.a"],
    ),
    "a user that is replaced with its target goes before it": (
        "box t shape=round\nbox a uses=@box.t shape=round",
        "",
        "box t shape=square\nbox a uses=@box.t shape=square",
        ["delete box.a", "delete box.t", "create box.t", "create box.a"],
    ),
    "what only waits for a target is not written": (
        "box t shape=round\nbox a size=1 after=box.t",
        "",
        "box t shape=square\nbox a size=1 after=box.t",
        ["delete box.t", "create box.t"],
    ),
    "a user goes before what it uses": (
        "key k secret=$HUB\nbox a uses=@key.k",
        "",
        "",
        ["delete box.a", "delete key.k"],
    ),
    "a user that stays lets go before its target goes": (
        "key k secret=$HUB\nbox a uses=@key.k size=1",
        "",
        "box a size=1",
        ["update box.a", "delete key.k"],
    ),
    "references in lists and tables": (
        "",
        "",
        'box a uses={"one":[{"@":"box.b"}]}\nbox b size=1',
        ["create box.b", "create box.a"],
    ),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_references(case: str) -> None:
    """The order of the steps; carried out, they leave nothing to do."""
    before, hand, after, expected = REFERENCES[case]
    lab = Laboratory()
    lab.apply(before)
    lab.hand(hand)
    planned = lab.plan(after)
    assert lab.steps(planned) == expected
    report = lab.carry_out(planned)
    assert (report.outcome, lab.agreement(), lab.steps(lab.plan(after))) == ("applied", [], [])


def test_fields_show_the_names_of_what_they_refer_to() -> None:
    """People see addresses, not ids; those of another platform's objects stay as they are."""
    lab = Laboratory()
    lab.apply("box s size=1\nbox t size=1\nbox a uses=@box.s")
    planned = lab.plan("box s size=1\nbox t size=1\nbox a uses=@box.t")
    (field,) = planned.plan.changes[0].fields
    assert (field.before, field.after) == ("fake.box.s", "fake.box.t")


# --- moves ---


def test_what_the_state_knows_as_another_resource_is_not_made_again() -> None:
    """It would be refused as there already, at each apply; a rename is what was meant."""
    lab = Laboratory()
    lab.apply("box a size=1")
    with pytest.raises(PlanImpossible) as caught:
        lab.plan("box b name=a size=1", allow_deletes=True)
    assert str(caught.value) == "fake.box.b would be the object that the state knows as fake.box.a (id id-1)"
    assert '[[moved]]\n    from = "fake.box.a"\n    to = "fake.box.b"\n' in caught.value.hint


def test_a_move_keeps_the_object() -> None:
    """The same object under its new address, without a write when nothing else changes."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox user uses=@box.a")
    remote_id = lab.id_of("box.a")
    after = "moved box.a box.b\nbox b name=a size=1\nbox user uses=@box.b"
    planned = lab.plan(after)
    assert lab.changes(planned) == ["move box.b (moved from fake.box.a)"]
    assert lab.carry_out(planned).outcome == "applied"
    assert lab.record("box.b").remote_id == remote_id
    assert lab.steps(lab.plan(after)) == []
    assert lab.steps(lab.plan(after.partition("\n")[2])) == []


MOVES = {
    "with a change": ("box a size=1", "moved box.a box.b\nbox b size=2", ["update box.b"]),
    "with a replacement": (
        "box a shape=round",
        "moved box.a box.b\nbox b shape=square",
        ["delete box.b", "create box.b"],
    ),
    "done already": ("box b size=1", "moved box.a box.b\nbox b size=1", []),
    "of what nobody wants any more": ("box a size=1", "moved box.a box.b", ["delete box.a"]),
}


@pytest.mark.parametrize("case", MOVES)
def test_moves(case: str) -> None:
    """What a move comes to; carried out, the state knows the new address only."""
    before, after, expected = MOVES[case]
    lab = Laboratory()
    lab.apply(before)
    planned = lab.plan(after)
    assert lab.steps(planned) == expected
    lab.carry_out(planned)
    assert (lab.agreement(), lab.steps(lab.plan(after))) == ([], [])
    assert address("box.a") not in lab.resources


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "box a size=1\nbox b size=1",
            "moved box.a box.b\nbox b size=1",
            "[[moved]]: fake.box.a cannot become fake.box.b, which the state knows as another object",
        ),
        (
            "box a size=1",
            "moved box.a box.b\nbox a size=1\nbox b size=1",
            "[[moved]]: fake.box.a is still in the specs",
        ),
    ],
)
def test_a_move_that_cannot_be(before: str, after: str, message: str) -> None:
    """Two objects for one address, or one object for two."""
    with pytest.raises(PlanImpossible) as caught:
        changes(before, "", after)
    assert str(caught.value) == message


@pytest.mark.parametrize("words", ["shape=square", "shape=square !cbd"])
def test_a_replacement_whose_place_is_taken_is_an_error(words: str) -> None:
    """By an object that nobody manages: the platform would refuse it in the middle of the apply."""
    lab = Laboratory()
    lab.apply("tower t shape=round")
    lab.hand("put tower.t shape=square")
    with pytest.raises(PlanImpossible) as caught:
        lab.plan(f"tower t {words}")
    assert str(caught.value) == (
        "fake.tower.t is to get the name, shape of an object that is not ours (id id-2)"
    )
    assert caught.value.hint == "Delete that object on the platform, or give this one another name."


def test_an_update_to_a_name_that_is_taken_is_an_error() -> None:
    """By an object that nobody manages."""
    lab = Laboratory()
    lab.apply("box a name=x size=1\nbox b name=y size=1")
    lab.hand("put box.z size=1")
    with pytest.raises(PlanImpossible, match=r"fake\.box\.a is to get the name of an object"):
        lab.plan("box a name=z size=1\nbox b name=y size=1")


@pytest.mark.parametrize(
    ("after", "proposed"),
    [
        ("box b size=1", True),
        ("box b size=2", False),
        ("tower b size=1", False),
        ("box b size=1\nbox c size=1", True),
    ],
)
def test_a_delete_and_a_create_of_the_same_content_propose_a_move(after: str, proposed: bool) -> None:
    """Said, with the lines to write, and never done."""
    lab = Laboratory()
    lab.apply("box a size=1")
    warnings = lab.plan(after).plan.warnings
    assert any('from = "fake.box.a"\n    to = "fake.box.b"' in one for one in warnings) is proposed


# --- parts of a plan ---

BOTH = "key k secret=$HUB\nbox a uses=@key.k\nbox other size=1"

PARTS = {
    "a target takes what it needs with it": (
        "",
        BOTH,
        {"targets": ("fake.box.a",)},
        ["create key.k", "create box.a"],
        ("create fake.box.other",),
    ),
    "a target leaves what needs it": (
        "",
        BOTH,
        {"targets": ("*.key.*",)},
        ["create key.k"],
        ("create fake.box.a", "create fake.box.other"),
    ),
    "an exclusion takes what needs it with it": (
        "",
        BOTH,
        {"excludes": ("fake.key.k",)},
        ["create box.other"],
        ("create fake.box.a", "create fake.key.k"),
    ),
    "both": (
        "",
        BOTH,
        {"targets": ("fake.box.*",), "excludes": ("fake.box.other",)},
        ["create key.k", "create box.a"],
        ("create fake.box.other",),
    ),
    "removing a user leaves what it used": (
        BOTH,
        "",
        {"targets": ("fake.box.a",)},
        ["delete box.a"],
        ("delete fake.box.other", "delete fake.key.k"),
    ),
    "removing what is used takes its users with it": (
        BOTH,
        "",
        {"targets": ("fake.key.k",)},
        ["delete box.a", "delete key.k"],
        ("delete fake.box.other",),
    ),
    "what is used stays when its user is excluded": (
        BOTH,
        "",
        {"excludes": ("fake.box.a",)},
        ["delete box.other"],
        ("delete fake.box.a", "delete fake.key.k"),
    ),
    "a user goes when what it uses is excluded": (
        BOTH,
        "",
        {"excludes": ("fake.key.k",)},
        ["delete box.a", "delete box.other"],
        ("delete fake.key.k",),
    ),
    "a replacement takes along those who have to let go": (
        "box t shape=round\nbox a uses=@box.t\nbox other size=1",
        "box t shape=square\nbox a uses=@box.t\nbox other size=2",
        {"targets": ("fake.box.t",)},
        ["update box.a", "delete box.t", "create box.t", "update box.a"],
        ("update fake.box.other",),
    ),
    "a replacement is excluded with those who would have to let go": (
        "box t shape=round\nbox a uses=@box.t\nbox other size=1",
        "box t shape=square\nbox a uses=@box.t\nbox other size=2",
        {"excludes": ("fake.box.a",)},
        ["update box.other"],
        ("update fake.box.a", "replace fake.box.t"),
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_parts_of_a_plan(case: str) -> None:
    """The steps, and what the plan says that it leaves out; what is done can be done."""
    before, after, options, expected, left_out = PARTS[case]
    lab = Laboratory()
    lab.apply(before)
    planned = lab.plan(after, **options)
    assert (lab.steps(planned), planned.plan.partial) == (expected, left_out)
    assert (lab.carry_out(planned).outcome, lab.agreement()) == ("applied", [])
    lab.apply(after)
    assert lab.steps(lab.plan(after)) == []


def test_a_target_that_nothing_has_is_an_error() -> None:
    """A slip of the pen is not a plan without changes."""
    with pytest.raises(PlanImpossible, match=r"--target fake\.box\.x: no resource has such an address"):
        changes("", "", "box a size=1", targets=("fake.box.x",))


def test_a_target_may_be_something_that_does_not_change() -> None:
    """Nothing is left to do with it, and that is no error."""
    assert changes("box a size=1", "", "box a size=1\nbox b size=1", targets=("fake.box.a",)) == []


def test_what_is_left_out_is_not_recorded_as_seen() -> None:
    """A record that the flags leave out keeps its old digest: its drift stays visible."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("edit box.a size=2")
    lab.apply("box a size=2\nbox b size=1", targets=("fake.box.b",))
    assert lab.changes(lab.plan("box a size=1\nbox b size=1")) == ["update box.a (changed outside) size"]


# --- replacing on demand ---


def test_replace_makes_a_new_object() -> None:
    """Of an unchanged resource, with the reason said."""
    lab = Laboratory()
    lab.apply("box a size=1")
    old = lab.id_of("box.a")
    planned = lab.plan("box a size=1", replaces=(address("box.a"),))
    assert lab.changes(planned) == ["replace box.a (replacement was asked for)"]
    assert lab.carry_out(planned).outcome == "applied"
    assert lab.id_of("box.a") != old


def test_replacing_what_is_not_there_creates_it() -> None:
    """There is nothing to take away."""
    assert changes("", "", "box a size=1", replaces=(address("box.a"),)) == ["create box.a (new)"]


def test_replacing_what_the_specs_do_not_have_is_an_error() -> None:
    """It would be a plain delete."""
    with pytest.raises(PlanImpossible, match=r"--replace fake\.box\.a: the specs have no such resource"):
        changes("box a size=1", "", "", replaces=(address("box.a"),))


# --- without refreshing ---


def test_without_refresh_no_platform_is_asked() -> None:
    """The plan compares specs with state."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1")
    lab.hand("edit box.b size=9")
    lab.provider.calls.clear()
    planned = lab.plan("box a size=2\nbox b size=1", refresh=False)
    assert (lab.changes(planned), lab.provider.calls) == (["update box.a (spec changed) size"], [])


NOT_REFRESHED = {
    "nothing moved": ("", "box a size=2 ignore=colour", "applied"),
    "an unmanaged field moved": ("edit box.a weight=9", "box a size=2", "applied"),
    "an ignored field moved": ("edit box.a colour=red", "box a size=2 colour=blue ignore=colour", "applied"),
    "a managed field moved": ("edit box.a size=9", "box a size=2", "rolled back"),
    "it is gone": ("delete box.a", "box a size=2", "rolled back"),
    "a managed field of what is to be deleted moved": ("edit box.a size=9", "", "rolled back"),
    "nothing moved of what is to be deleted": ("", "", "applied"),
    "nothing moved of what is to be replaced": ("", "box a shape=square", "applied"),
}


@pytest.mark.parametrize("case", NOT_REFRESHED)
def test_a_plan_without_refresh_writes_only_over_what_the_state_says(case: str) -> None:
    """Each step looks before it writes, and leaves alone what somebody changed."""
    hand, after, outcome = NOT_REFRESHED[case]
    lab = Laboratory()
    lab.apply("box a size=1 colour=blue")
    lab.hand(hand)
    before = lab.world()
    report = lab.apply(after, refresh=False)
    assert report.outcome == outcome
    if outcome == "rolled back":
        assert lab.world() == before
        assert "fake.box.a" in next(iter(report.steps.errors.values()))


# --- what uses it ---


def test_what_uses_an_object_is_told_before_it_goes() -> None:
    """The plan names the users as a risk, and policy refuses while they are active."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b shape=round")
    lab.hand("use box.a w-1 w-2 w-3 w-4\nuse box.b w-5")
    planned = lab.plan("box b shape=square")
    assert {change.address.name: change.risks[-1] for change in planned.plan.changes} == {
        "a": "used by workspace w-1 (Running), workspace w-2 (Running), workspace w-3 (Running) and 1 more",
        "b": "used by workspace w-5 (Running)",
    }
    assert [line.split(" (")[0] for line in planned.plan.refusals] == [
        "fake.box.a is in use by workspace w-1",
        "fake.box.b is in use by workspace w-5",
    ]
    assert lab.plan("box b shape=square", allow_deletes=True).plan.refusals == ()


@pytest.mark.parametrize(("count", "asked"), [(10, ["read"] * 10), (11, ["list"])])
def test_many_are_asked_about_in_one_listing(count: int, asked: list[str]) -> None:
    """A read for each of a few, one listing for more."""
    lab = Laboratory()
    text = "\n".join(f"box n{number} size=1" for number in range(count))
    lab.apply(text)
    lab.hand("use box.n3 w-1")
    lab.provider.calls.clear()
    planned = lab.plan("")
    assert [call.split()[0] for call in lab.provider.calls[1:]] == asked
    assert [str(change.address) for change in planned.plan.changes if change.used_by] == ["fake.box.n3"]


# --- protection ---


@pytest.mark.parametrize("after", ["", "box a shape=square !protect"])
def test_protection_refuses_delete_and_replace(after: str) -> None:
    """Also once the file is gone, and whatever else is allowed."""
    lab = Laboratory()
    lab.apply("box a shape=round !protect")
    planned = lab.plan(after, allow_deletes=True)
    assert [line.split(",")[0] for line in planned.plan.refusals] == ["fake.box.a has prevent_destroy"]
    with pytest.raises(PlanRefused):
        lab.carry_out(planned)
    assert lab.world() == ["box.a shape=round"]


def test_protection_ends_with_an_edit_of_the_spec() -> None:
    """Taking it out is recorded at once, and frees the object."""
    lab = Laboratory()
    lab.apply("box a shape=round !protect")
    lab.apply("box a shape=round")
    assert lab.plan("", allow_deletes=True).plan.refusals == ()


def test_too_large_a_share_of_deletes_is_refused() -> None:
    """Unless it is allowed, or is the whole point."""
    lab = Laboratory(policy=Policy(max_delete_fraction=0.5))
    text = "\n".join(f"box n{number} size=1" for number in range(4))
    lab.apply(text)
    less = "box n0 size=1"
    assert len(lab.plan(less).plan.refusals) == 1
    assert lab.plan("\n".join(text.splitlines()[:2])).plan.refusals == ()
    assert lab.plan(less, allow_deletes=True).plan.refusals == ()
    assert lab.plan("", destroy=True).plan.refusals == ()


def test_a_destroy_says_why_its_objects_go() -> None:
    """Their specs are there: that they are not is no reason."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1")
    lab.hand("delete box.b")
    assert [f"{change.action} {change.reason}" for change in lab.plan("", destroy=True).plan.changes] == [
        "delete to be destroyed",
        "forget gone from the platform",
    ]


# --- never trust absence ---


def test_what_a_listing_leaves_out_is_asked_for() -> None:
    """It is there, so nothing changes, and the plan says that the listing is not whole."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1")
    lab.hand("hide box.a")
    planned = lab.plan("box a size=1\nbox b size=1")
    assert (lab.changes(planned), planned.plan.warnings) == (
        [],
        ("fake: the listing of box left out 1 that exist; they were read one by one",),
    )


@pytest.mark.parametrize("after", ["box a size=1", ""])
def test_what_can_neither_be_seen_nor_proven_gone_stops_the_plan(after: str) -> None:
    """Not permitted to read it is not the same as gone."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("hide box.a")
    lab.provider.fail[f"read {lab.id_of('box.a')}"] = Forbidden("no", status=403, call="GET /boxes/1")
    with pytest.raises(ListingIncomplete) as caught:
        lab.plan(after)
    assert str(caught.value) == (
        "fake.box.a (id id-1) is not in the listing, and reading it is not permitted"
    )
    assert (caught.value.platform, caught.value.call, caught.value.status) == ("fake", "GET /boxes/1", 403)


@pytest.mark.parametrize("call", ["list box", "read id-1"])
def test_a_platform_that_cannot_be_asked_decides_nothing(call: str) -> None:
    """Its error is raised as it is; no plan comes of half an answer."""
    lab = Laboratory()
    lab.apply("box a size=1\nkey k secret=$HUB")
    lab.hand("hide box.a")
    lab.provider.fail[call] = Unavailable("fake: cannot connect")
    with pytest.raises(Unavailable, match="cannot connect"):
        lab.plan("")


def elsewhere(lab: Laboratory, platform: str, kind: str) -> None:
    """Let the state remember a resource on another platform, or of another kind."""
    state = lab.backend.load()
    new = address("box.a")._replace(platform=platform, kind=kind)
    lab.backend.state = replace(
        state, resources={new: replace(state.resources[address("box.a")], address=new)}
    )


@pytest.mark.parametrize("refresh", [True, False])
@pytest.mark.parametrize(
    ("platform", "kind", "message", "hint"),
    [
        (
            "moon",
            "box",
            "the state has resources on the platform 'moon', which reconciler.toml does not name",
            "reconciler state rm 'moon.*'",
        ),
        (
            "fake",
            "bag",
            "the state has resources of the kind 'bag' on the platform 'fake', whose provider "
            "knows no such kind",
            "reconciler state rm 'fake.bag.*'",
        ),
    ],
)
def test_a_platform_or_kind_that_is_not_configured_any_more(
    platform: str, kind: str, message: str, hint: str, refresh: bool
) -> None:
    """An error that says how to go on, with and without a refresh."""
    lab = Laboratory()
    lab.apply("box a size=1")
    elsewhere(lab, platform, kind)
    with pytest.raises(PlanImpossible) as caught:
        lab.plan("", refresh=refresh)
    assert str(caught.value) == message
    assert hint in caught.value.hint


# --- secrets ---

CHANGED_SECRETS = {
    "nothing changed": ({}, []),
    "the value of one that is fixed at creation": (
        {"HUB": "another-password"},
        ["replace key.k (secret can only be set at creation) secret"],
    ),
    "the value of one that can be written over": (
        {"SAFE": "another-password"},
        ["update safe.s (spec changed) code"],
    ),
}


@pytest.mark.parametrize("case", CHANGED_SECRETS)
def test_a_changed_secret_is_noticed_by_its_hash(case: str) -> None:
    """The change is there, its values are not."""
    environment, expected = CHANGED_SECRETS[case]
    text = "key k secret=$HUB\nsafe s code=$SAFE"
    lab = Laboratory()
    lab.apply(text)
    lab.environment.update(environment)
    planned = lab.plan(text)
    assert lab.changes(planned) == expected
    assert all(
        one.sensitive and one.before is one.after is None for c in planned.plan.changes for one in c.fields
    )
    assert lab.carry_out(planned).outcome == "applied" if expected else True
    assert (lab.steps(lab.plan(text)), lab.leaks()) == ([], [])


def test_a_secret_that_cannot_be_had_is_a_warning_of_the_plan() -> None:
    """Planning goes on: in a pull request nobody has the secrets."""
    lab = Laboratory()
    lab.apply("key k secret=$HUB")
    del lab.environment["HUB"]
    planned = lab.plan("key k secret=$HUB\nkey new secret=$NOBODY")
    assert lab.changes(planned) == ["create key.new (new)"]
    assert planned.plan.warnings == (
        "fake.key.k: cannot tell whether env HUB changed: the environment variable HUB is not set",
        "fake.key.new: the environment variable NOBODY is not set; apply will need it",
    )


# --- what a plan is ---


def test_a_plan_is_the_same_however_the_platform_lists() -> None:
    """Same input, same plan, in whatever order specs and objects come."""
    text = "key k secret=$HUB\nbox a uses=@key.k\nbox b uses=@box.a\nbox c size=2"
    lab, other = Laboratory(), Laboratory()
    for one in (lab, other):
        one.apply("box z size=1\nbox c size=1")
    other.provider.objects = dict(reversed(other.provider.objects.items()))
    other_text = "\n".join(reversed(text.splitlines()))
    first, second = lab.plan(text).plan, other.plan(other_text).plan
    assert first.steps == second.steps
    assert [replace(one, source=None) for one in first.changes] == [
        replace(one, source=None) for one in second.changes
    ]


def test_planning_changes_nothing() -> None:
    """No write, no journal, no commit; also when there is much to do."""
    lab = Laboratory(environment=dict(SECRETS))
    lab.apply("box a size=1\nbox b size=1")
    world, state, runs = lab.world(), lab.backend.load(), dict(lab.backend.journals)
    lab.provider.calls.clear()
    lab.plan("box a size=2\nkey k secret=$HUB")
    assert (lab.world(), lab.backend.load(), lab.backend.journals) == (world, state, runs)
    assert {call.split()[0] for call in lab.provider.calls} <= {"list", "read"}


def test_a_first_plan_needs_no_state() -> None:
    """A stack that was never applied has the empty one."""
    lab = Laboratory()
    planned = run(lab.stack().plan(specs("box a size=1"), PlanOptions()))
    assert (lab.backend.load(), lab.steps(planned)) == (State("test"), ["create box.a"])
