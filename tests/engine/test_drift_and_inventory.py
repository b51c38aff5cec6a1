"""What is there and what differs, without a way to change it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine.laboratory import KINDS, Laboratory, Platform, address, run, specs

from reconciler.core.acceptance import Acceptance, covering
from reconciler.core.model import dotted
from reconciler.core.ports import Archive, Provider, Reader
from reconciler.core.report import DriftReport
from reconciler.engine.drift import drift
from reconciler.engine.inventory import Entry, find_entry, inventory, row
from reconciler.engine.read_only import ReadOnly
from reconciler.engine.stack import Planned
from reconciler.errors import (
    Forbidden,
    ListingIncomplete,
    PlanImpossible,
    PlanStale,
    Rejected,
    Unavailable,
    UsageError,
)


def shown(path: Any, value: Any) -> bool:
    """Every value may be seen."""
    return True


def told(report: DriftReport) -> list[str]:
    """A line for each that differs: its name, and its fields or that it is gone."""
    return [
        f"{one.address.name} "
        + ("gone" if one.gone else ",".join(".".join(map(str, f.path)) for f in one.fields))
        for one in report.drifted
    ]


DRIFT = {
    "nothing": ("", []),
    "a managed field": ("edit box.a size=7", ["a size"]),
    "a managed field that was cleared": ("edit box.a size=null", ["a size"]),
    "a field with a default": ("edit box.a colour=white", []),
    "a field that nobody manages": ("edit box.b colour=red", []),
    "an object is gone": ("delete box.a", ["a gone"]),
    "several, by address": ("delete box.a\nedit box.b size=8", ["a gone", "b size"]),
    "an object that a listing leaves out": ("hide box.a", []),
    "a hidden one that changed": ("hide box.a\nedit box.a size=7", ["a size"]),
}


@pytest.mark.parametrize("case", DRIFT)
def test_drift_is_what_differs_from_what_we_applied(case: str) -> None:
    """Whatever the specs say by now."""
    hand, expected = DRIFT[case]
    lab = Laboratory()
    lab.apply("box a size=1 colour=white\nbox b size=1\nkey k secret=$HUB")
    lab.hand(hand)
    calls = len(lab.provider.calls)
    report = lab.drift()
    assert (told(report), report.checked) == (expected, 3)
    assert {call.split()[0] for call in lab.provider.calls[calls:]} <= {"list", "read"}


def test_a_drifted_field_says_what_we_applied_and_what_is_there() -> None:
    """In this order."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("edit box.a size=7")
    (one,) = lab.drift().drifted
    (field,) = one.fields
    assert (field.before, field.after, one.live is not None) == (1, 7, True)


def test_objects_that_nobody_manages_are_listed_and_the_vendors_are_not() -> None:
    """Of the kinds that we manage something of; what we left behind ourselves is ours."""
    lab = laboratory_with_leftover()
    lab.hand("put tower.theirs size=1\nput tower.vendors size=1\nvendor tower.vendors\nput key.k note=x")
    report = lab.drift()
    assert [(platform, remote.attributes["name"]) for platform, remote in report.unmanaged] == [
        ("fake", "theirs")
    ]


def test_an_incomplete_listing_is_told() -> None:
    """In a warning where the objects could be read."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("hide box.a")
    assert lab.drift().warnings == (
        "fake: the listing of box left out 1 that exist; they were read one by one",
    )


def test_what_could_not_be_read_is_told_with_why_and_the_rest_is_compared() -> None:
    """Neither gone nor in sync, and no reason to look at nothing else."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1\nkey k secret=$HUB\nwall w note=x")
    lab.hand("hide box.a\nedit box.b size=7\nput wall.theirs note=x")
    lab.provider.fail["read id-1"] = Forbidden("no")
    lab.provider.fail["list wall"] = Unavailable("cannot connect")
    report = lab.drift()
    assert (told(report), report.checked, report.unmanaged) == (["b size"], 2, ())
    assert [(str(one.address or ""), one.kind, one.why) for one in report.unread] == [
        ("fake.box.a", "box", "fake.box.a (id id-1) is not in the listing, and reading it is not permitted"),
        ("fake.wall.w", "wall", "cannot connect"),
        ("", "wall", "cannot connect"),
    ]


def test_a_platform_that_cannot_be_asked_at_all_is_an_error_of_drift() -> None:
    """Not a platform without drift, and not one from which all is gone."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.provider.fail["list box"] = Unavailable("cannot connect")
    with pytest.raises(Unavailable):
        lab.drift()
    lab.provider.fail.clear()
    lab.hand("hide box.a")
    lab.provider.fail["read id-1"] = Forbidden("no")
    with pytest.raises(ListingIncomplete):
        lab.drift()
    planner = replace(lab.stack().planner(), readers={})
    with pytest.raises(PlanImpossible, match=r"which reconciler\.toml does not name"):
        run(drift(planner, lab.backend.load()))


def test_what_drift_is_given_cannot_write() -> None:
    """By its type: it has the methods of a `Reader` and no other, and keeps no platform that has more."""
    lab = Laboratory()
    reader = ReadOnly(lab.provider)
    _: Reader = reader
    public = {name for name in dir(reader) if not name.startswith("_")}
    assert public == {name for name in dir(Reader) if not name.startswith("_")}
    writing = {name for name in dir(Provider) if not name.startswith("_")} - public
    assert writing == {"create", "update", "delete", "close"}
    assert not any(hasattr(reader, name) for name in (*writing, "restore"))
    assert not isinstance(reader, Archive)
    assert not any(getattr(reader, name) is lab.provider for name in ReadOnly.__slots__)


CAUSES = {
    "outside": ("box a size=1", "edit box.a size=7", "box a size=1", [("a", "size", "drift")]),
    "outside, and the specs": ("box a size=1", "edit box.a size=7", "box a size=2", [("a", "size", "both")]),
    "outside, as the specs by now": (
        "box a size=1",
        "edit box.a size=7",
        "box a size=7",
        [("a", "size", "spec")],
    ),
    "another field than the specs": (
        "box a size=1 colour=red",
        "edit box.a size=7",
        "box a size=1 colour=blue",
        [("a", "size", "drift")],
    ),
    "a field that the spec leaves to others": (
        "box a size=1 ignore=size",
        "edit box.a size=7",
        "box a size=1 ignore=size",
        [],
    ),
    "under its new address": (
        "box a size=1",
        "edit box.a size=7",
        "moved box.a box.b\nbox b name=a size=1",
        [("b", "size", "drift")],
    ),
}


@pytest.mark.parametrize("case", CAUSES)
def test_every_drifted_field_has_its_cause(case: str) -> None:
    """Somebody outside, the specs as well, or both the same."""
    applied, hand, wanted, expected = CAUSES[case]
    lab = Laboratory()
    lab.apply(applied)
    lab.hand(hand)
    report = lab.drift(wanted)
    assert [
        (one.address.name, str(field.path[0]), str(field.cause))
        for one in report.drifted
        for field in one.fields
    ] == expected


def test_a_pending_change_is_no_drift() -> None:
    """What the specs are ahead of is told by address and action, whatever is live."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox b size=1\nbox c shape=round\nbox d size=1\nstone s version=1")
    report = lab.drift("box a size=2\nbox c shape=flat\nbox d size=1\nbox e size=1")
    assert report.drifted == ()
    assert [
        (one.address.name, str(one.action), [str(field.path[0]) for field in one.fields])
        for one in report.pending or ()
    ] == [
        ("a", "update", ["size"]),
        ("b", "delete", []),
        ("c", "replace", ["shape"]),
        ("e", "create", []),
        ("s", "forget", []),
    ]


def test_without_specs_nothing_is_said_of_pending_changes() -> None:
    """Nobody read them, or their names could not be resolved: drift is found all the same."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("edit box.a size=7")
    assert (lab.drift().pending, told(lab.drift())) == (None, ["a size"])
    report = lab.drift("moved box.a box.b\nbox a size=1\nbox b size=1")
    assert (report.pending, told(report)) == (None, ["a size"])
    assert report.warnings == ("pending changes are not known: [[moved]]: fake.box.a is still in the specs",)


@pytest.mark.parametrize("count", [1, 11])
def test_who_changed_it_is_told_where_the_platform_says_so(count: int) -> None:
    """By a read of each, or one listing when there are many; where that fails, it is not told."""
    lab = Laboratory()
    lab.apply("\n".join(f"box b{number} size=1" for number in range(count)))
    lab.hand("\n".join(f"edit box.b{number} size=7" for number in range(count)))
    lab.provider.details = {"updated_by": "ann@example.com", "updated_at": "2026-01-01T00:00:00Z"}
    lab.provider.calls.clear()
    report = lab.drift()
    assert {(one.changed_by, one.changed_at) for one in report.drifted} == {
        ("ann@example.com", "2026-01-01T00:00:00Z")
    }
    assert lab.provider.calls == ["list box", "read id-1" if count == 1 else "list box"]
    lab.provider.fail[len(lab.provider.calls) + 2] = Unavailable("no")
    assert {(one.changed_by, one.changed_at) for one in lab.drift().drifted} == {("", "")}


# --- accepted drift ---


def accepting(address: str, *fields: str, expires: str = "2026-06-30") -> Acceptance:
    """A decision to live with it."""
    return Acceptance(address, fields, "a test", "ann", expires)


ACCEPTED = {
    "the field": (accepting("fake.box.a", "size"), ["a size"]),
    "a field above it": (accepting("fake.box.a", "tools"), ["a tools.x.port"]),
    "the field by its path": (accepting("fake.box.a", "tools.x.port"), ["a tools.x.port"]),
    "another field": (accepting("fake.box.a", "colour"), []),
    "a field below it": (accepting("fake.box.a", "size.x"), []),
    "every field of some": (accepting("fake.box.*", "*"), ["a size", "a tools.x.port"]),
    "an element of a list": (accepting("*", "parts[1]"), ["a parts[1].n"]),
    "another resource": (accepting("fake.box.b", "*"), []),
    "several fields": (accepting("fake.box.a", "size", "tools"), ["a size", "a tools.x.port"]),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_an_acceptance_is_about_the_fields_that_it_names(case: str) -> None:
    """By address or glob, by path or glob, and about what is inside."""
    acceptance, expected = ACCEPTED[case]
    lab = Laboratory()
    lab.apply('box a size=1 tools={"x":{"port":1}} parts=[{"n":1},{"n":2}]')
    lab.hand('edit box.a size=7 tools={"x":{"port":2}} parts=[{"n":1},{"n":3}]')
    if "list" not in case:
        lab.hand('edit box.a parts=[{"n":1},{"n":2}]')
    (one,) = lab.drift(accepted=[acceptance], day="2026-06-30").drifted
    assert [f"a {dotted(path)}" for path in sorted(one.accepted)] == expected


def test_the_acceptance_that_holds_longest_decides() -> None:
    """An expired entry beside its renewal changes nothing."""
    old, new = accepting("*", "size", expires="2026-01-01"), accepting("fake.box.a", "size")
    assert covering([new, old], address("box.a"), ("size",)) is new
    assert covering([old, new], address("box.a"), ("size",)) is new
    assert (new.holds("2026-06-30"), new.holds("2026-07-01")) == (True, False)


def test_an_acceptance_that_no_drift_needs_is_told() -> None:
    """Unless what it is about could not be read."""
    lab = Laboratory()
    lab.apply("box a size=1\nkey k secret=$HUB")
    idle = accepting("fake.box.a", "size")
    told = "[[accept_drift]] fake.box.a size: no drift needs it; remove it"
    assert lab.drift(accepted=[idle]).warnings == (told,)
    lab.hand("edit box.a size=7")
    assert lab.drift(accepted=[idle]).warnings == ()
    lab.hand("edit box.a size=1\nhide box.a")
    lab.provider.fail["read id-1"] = Unavailable("no")
    assert lab.drift(accepted=[idle]).warnings == ()


def test_an_object_that_is_gone_is_never_accepted() -> None:
    """A field may differ; that nothing is there is another matter."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("delete box.a")
    (one,) = lab.drift(accepted=[accepting("*", "*")], day="2026-01-01").drifted
    assert (one.gone, dict(one.accepted)) == (True, {})


# --- what a replacement left behind ---


def laboratory_with_leftover() -> Laboratory:
    """A tower that was replaced, whose predecessor could not be removed."""
    lab = Laboratory()
    lab.apply("tower t shape=round !cbd\nbox z size=1")
    lab.provider.fail["delete tower.t"] = Rejected("no")
    report = lab.apply("tower t shape=square !cbd\nbox z size=1", "stop")
    lab.provider.fail.clear()
    assert (report.outcome, len(lab.provider.objects)) == ("failed", 3)
    return lab


LEFT = "id-2"
SQUARE = "tower t shape=square !cbd\nbox z size=1"


@pytest.mark.parametrize("fails", ["", "update box.u", "delete box.z"])
def test_a_replacement_is_replaced_by_what_it_left_behind(fails: str) -> None:
    """It has the name that is wanted again, so it goes first; and it comes back should the run fail."""
    lab = Laboratory()
    lab.apply("tower t shape=round !cbd\nbox u uses=@tower.t\nbox z size=1")
    lab.provider.fail["delete tower.t"] = Rejected("no")
    lab.apply("tower t shape=square !cbd\nbox u uses=@tower.t\nbox z size=1", "stop")
    lab.provider.fail.clear()
    before = lab.world()
    back = "tower t shape=round !cbd\nbox u uses=@tower.t"
    planned = lab.plan(back)
    assert lab.steps(planned) == [
        "delete tower.t",
        "create tower.t",
        "update box.u",
        "delete box.z",
        "delete tower.t",
    ]
    if fails:
        lab.provider.fail[fails] = Rejected("no")
        assert (lab.carry_out(planned).outcome, lab.world(), lab.agreement()) == ("rolled back", before, [])
        lab.provider.fail.clear()
        planned = lab.plan(back)
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.world(), lab.steps(lab.plan(back)), lab.agreement()) == (
        ["box.u uses=@tower.t", "tower.t shape=round"],
        [],
        [],
    )


@pytest.mark.parametrize("options", [{"allow_deletes": True}, {"destroy": True}])
def test_what_was_left_behind_goes_with_its_resource_although_no_platform_is_asked(
    options: dict[str, bool],
) -> None:
    """Only the record of its address remembers it: without that it would stay for good."""
    lab = laboratory_with_leftover()
    planned = lab.plan("", refresh=False, **options)
    assert lab.verify(planned, "") == Planned(planned.plan)
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.world(), dict(lab.resources)) == ([], {})


@pytest.mark.parametrize("words", ["!cbd !protect", "size=2 !protect"])
def test_what_was_left_behind_is_not_what_prevent_destroy_protects(words: str) -> None:
    """The object that took its place is, and it stays."""
    lab = laboratory_with_leftover()
    planned = lab.plan(f"tower t shape=square {words}\nbox z size=1")
    assert planned.plan.refusals == ()
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.record("tower.t").deposed, lab.record("tower.t").protected) == ((), True)


def test_what_was_left_behind_is_remembered_and_removed_by_the_next_apply() -> None:
    """The plan shows it; nothing else of the resource changes."""
    lab = laboratory_with_leftover()
    assert (lab.record("tower.t").deposed, lab.agreement()) == ((LEFT,), [])
    planned = lab.plan(SQUARE)
    assert lab.changes(planned) == ["delete tower.t (left behind by a replacement)"]
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.record("tower.t").deposed, lab.agreement()) == ((), [])
    assert lab.steps(lab.plan(SQUARE)) == []


def test_what_was_left_behind_and_removed_by_hand_is_remembered_no_more() -> None:
    """People see no change. Until it is recorded, each plan has to ask for it; after that none does."""
    lab = laboratory_with_leftover()
    del lab.provider.objects[LEFT]
    assert lab.steps(lab.plan(SQUARE, refresh=False)) == ["delete tower.t"]
    planned = lab.plan(SQUARE)
    assert (lab.changes(planned), lab.steps(planned)) == ([], ["record tower.t"])
    assert lab.verify(planned, SQUARE).plan == planned.plan
    done = lab.carry_out(planned)
    assert (done.outcome, lab.record("tower.t").deposed, lab.agreement()) == ("applied", (), [])
    lab.provider.calls.clear()
    assert lab.steps(lab.plan(SQUARE)) == []
    assert [call for call in lab.provider.calls if call.startswith("read")] == []
    with pytest.raises(UsageError, match="left nothing in effect"):
        lab.undo(done.run)


def test_what_was_left_behind_and_is_there_again_is_not_forgotten() -> None:
    """A saved plan that found it gone is stale."""
    lab = laboratory_with_leftover()
    left = lab.provider.objects.pop(LEFT)
    planned = lab.plan(SQUARE)
    lab.provider.objects[LEFT] = left
    with pytest.raises(PlanStale) as caught:
        lab.verify(planned, SQUARE)
    assert caught.value.moved == (f"fake.tower.t was gone, and is there again (id {LEFT})",)


@pytest.mark.parametrize("on_failure", ["rollback", "stop"])
@pytest.mark.parametrize(
    "after",
    [
        "box z size=2",
        "tower t shape=flat !cbd\nbox z size=2",
        "tower t shape=flat\nbox z size=2",
        "moved tower.t tower.u\ntower u name=t shape=square\nbox z size=2",
        "tower t shape=square size=2 !cbd\nbox z size=2",
    ],
)
def test_a_run_that_also_finds_a_leftover_gone_does_all_the_rest(after: str, on_failure: str) -> None:
    """Whatever becomes of its resource, and when the run fails, too."""
    lab = laboratory_with_leftover()
    del lab.provider.objects[LEFT]
    planned = lab.plan(after)
    lab.provider.fail["update box.z"] = Rejected("no")
    lab.carry_out(planned, on_failure)
    assert [one for one in lab.agreement() if LEFT not in one] == []
    lab.provider.fail.clear()
    lab.apply(after)
    assert (lab.agreement(), lab.steps(lab.plan(after))) == ([], [])


@pytest.mark.parametrize(
    "after",
    [
        "box z size=1",
        "tower t shape=flat !cbd\nbox z size=1",
        "tower t shape=flat\nbox z size=1",
        "moved tower.t tower.u\ntower u name=t shape=square\nbox z size=1",
        "tower t shape=square size=2 !cbd\nbox z size=1",
    ],
)
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("on_failure", ["rollback", "stop", "continue"])
def test_what_was_left_behind_is_never_lost(after: str, refused: bool, on_failure: str) -> None:
    """Its resource is deleted, replaced again, moved or changed; and it still cannot be removed, or can."""
    lab = laboratory_with_leftover()
    planned = lab.plan(after)
    lab.parallelism = 1
    if refused:
        number = 0

        def watch(what: str) -> None:
            nonlocal number
            if what == f"before read {LEFT}":
                number = len(lab.provider.calls) + 2
                lab.provider.fail[number] = Rejected("no")

        lab.provider.watch = watch
    lab.carry_out(planned, on_failure)
    assert lab.agreement() == []
    lab.provider.fail.clear()
    lab.provider.watch = lambda what: None
    lab.apply(after)
    assert (lab.agreement(), lab.steps(lab.plan(after))) == ([], [])
    assert len(lab.provider.objects) == after.count("shape") + 1


@pytest.mark.parametrize("hand", ["delete", "hide"])
def test_what_was_left_behind_is_asked_for_when_a_listing_leaves_it_out(hand: str) -> None:
    """Gone is only to be recorded, hidden is still to be removed."""
    lab = laboratory_with_leftover()
    if hand == "delete":
        del lab.provider.objects[LEFT]
    else:
        lab.provider.hidden.add(LEFT)
    assert lab.steps(lab.plan(SQUARE)) == ["record tower.t" if hand == "delete" else "delete tower.t"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"targets": ("fake.box.*",)}, []),
        ({"excludes": ("fake.tower.*",)}, []),
        ({"targets": ("fake.tower.*",)}, ["delete tower.t"]),
        ({"excludes": ("fake.box.*",)}, ["delete tower.t"]),
    ],
)
def test_what_was_left_behind_is_part_of_its_resource(options: dict[str, Any], expected: list[str]) -> None:
    """Flags that leave the resource out leave it out too."""
    lab = laboratory_with_leftover()
    assert lab.steps(lab.plan(SQUARE, **options)) == expected


def test_what_was_left_behind_is_not_taken_for_the_new_one() -> None:
    """The specs go back to what it was, and the successor is gone: it is not adopted and then deleted."""
    lab = laboratory_with_leftover()
    del lab.provider.objects[lab.record("tower.t").remote_id]
    assert "record tower.t" not in lab.steps(lab.plan("tower t shape=round !cbd\nbox z size=1"))


# --- the inventory ---


def entries(lab: Laboratory, text: str, kind: str = "box") -> list[Entry]:
    """What there is of a kind."""
    return run(lab.stack().inventory(kind, specs(text)))


def statuses(lab: Laboratory, text: str, kind: str = "box") -> list[str]:
    """A line for each: its address or name, and its status."""
    found = []
    for entry in entries(lab, text, kind):
        name = (
            entry.address.name
            if entry.address is not None
            else f"({entry.live and entry.live.attributes['name']})"
        )
        found.append(f"{name}: {entry.status(shown)}")
    return found


STATUS = {
    "in sync": ("box a size=1", "", "box a size=1", ["a: in sync"]),
    "new": ("", "", "box a size=1", ["a: new"]),
    "gone": ("box a size=1", "delete box.a", "box a size=1", ["a: gone"]),
    "gone and not wished for": ("box a size=1", "delete box.a", "", ["a: gone"]),
    "pending": ("box a size=1", "", "box a size=2", ["a: pending"]),
    "drifted": ("box a size=1", "edit box.a size=7", "box a size=1", ["a: drifted"]),
    "conflict": ("box a size=1", "edit box.a size=7", "box a size=2", ["a: conflict"]),
    "to adopt": ("", "put box.a size=1", "box a size=1", ["a: to adopt"]),
    "to delete": ("box a size=1", "", "", ["a: to delete"]),
    "unmanaged": ("", "put box.a size=1", "", ["(a): unmanaged"]),
    "vendor": ("", "put box.a size=1\nvendor box.a", "", ["(a): vendor"]),
    "hidden from the listing": ("box a size=1", "hide box.a", "box a size=1", ["a: in sync"]),
    "ours deleted and another of its name made": (
        "box a size=1",
        "delete box.a\nput box.a size=1",
        "box a size=1",
        ["a: to adopt"],
    ),
    "moved": ("box a size=1", "", "moved box.a box.b\nbox b name=a size=1", ["b: in sync"]),
    "a field that was ignored": (
        "box a size=1 ignore=size",
        "edit box.a size=7",
        "box a size=1 ignore=size",
        ["a: drifted"],
    ),
    "sorted, the unmanaged last": (
        "box b size=1\nbox a size=1",
        "put box.0 size=1",
        "box b size=1\nbox a size=1\nbox c size=1",
        ["a: in sync", "b: in sync", "c: new", "(0): unmanaged"],
    ),
}


@pytest.mark.parametrize("case", STATUS)
def test_the_status_of_each(case: str) -> None:
    """From its three sides."""
    before, hand, text, expected = STATUS[case]
    lab = Laboratory()
    lab.apply(before)
    lab.hand(hand)
    assert statuses(lab, text) == expected


def test_one_object_is_in_one_row() -> None:
    """A new spec of the same name as an object that another address manages does not show it again."""
    lab = Laboratory()
    lab.apply("box a size=1")
    assert statuses(lab, "box a size=1\nbox b name=a size=1") == ["a: in sync", "b: new"]


def test_what_was_left_behind_has_a_row() -> None:
    """Under its address, to be deleted."""
    assert statuses(laboratory_with_leftover(), SQUARE, "tower") == ["t: in sync", "t: to delete"]


def test_a_dead_run_counts_in_the_inventory() -> None:
    """What its journal says by itself."""
    lab = Laboratory(parallelism=1)
    planned = lab.plan("box a size=1\nbox b size=1")
    lab.watch()
    lab.carry_out(planned)
    moment = next(one for one in lab.moments if one.what == "before create box.b")
    assert statuses(lab.after_power_cut(moment), "box a size=1\nbox b size=1") == ["a: in sync", "b: new"]


def test_an_object_that_cannot_be_seen_is_not_said_to_be_gone() -> None:
    """The inventory is as careful as a plan."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("hide box.a")
    lab.provider.fail["read id-1"] = Forbidden("no")
    with pytest.raises(ListingIncomplete):
        entries(lab, "box a size=1")


def test_platforms_without_the_kind_are_not_asked() -> None:
    """One listing for each platform that has it."""
    lab = Laboratory()
    other = Platform("other")
    other.kinds = {kind.name: kind for kind in KINDS if kind.name != "box"}
    found = run(inventory({"fake": lab.provider, "other": other}, "box", {}, {}, parallelism=2))
    assert (found, lab.provider.calls, other.calls) == ([], ["list box"], [])


def test_an_entry_is_found_by_address_or_name() -> None:
    """The managed one first, then an unmanaged one of this name."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("put box.b size=1")
    found = entries(lab, "box a size=1")
    managed, unmanaged = find_entry(found, address("box.a")), find_entry(found, address("box.b"))
    assert managed is not None
    assert unmanaged is not None
    assert (managed.address, unmanaged.address) == (address("box.a"), None)
    assert unmanaged.live is not None
    assert unmanaged.live.id == lab.id_of("box.b")
    assert find_entry(found, address("box.c")) is None


def test_a_row_names_what_uses_the_object() -> None:
    """Its users, its id, its status."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("use box.a w-1")
    (entry,) = entries(lab, "box a size=1")
    values = row(entry, shown)
    assert {key: values[key] for key in ("environment", "status", "address", "id", "workloads")} == {
        "environment": "a",
        "status": "in sync",
        "address": "fake.box.a",
        "id": "id-1",
        "workloads": ["workspace w-1 (Running)"],
    }
