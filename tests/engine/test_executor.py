"""Running steps: order, journal, read-back, retries, rollback, and what is said of each."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from engine.laboratory import Laboratory, address, step_line

from reconciler.core.attributes import REF, Attributes
from reconciler.core.events import RollbackStarted, RunEnded, RunStarted, StepDone, StepFailed, StepSkipped
from reconciler.core.model import Plan
from reconciler.core.report import RunReport
from reconciler.errors import (
    AlreadyExists,
    InUse,
    OutcomeUnknown,
    PlanRefused,
    PlanStale,
    Rejected,
    SecretUnavailable,
    Unavailable,
)
from reconciler.state.records import Begun, Closed, Done, Intended, Undone
from reconciler.state.records import Planned as PlannedRecord

WRITES = ("create", "update", "delete")


def writes(lab: Laboratory) -> list[str]:
    """The calls that may change the platform."""
    return [call for call in lab.provider.calls if call.startswith(WRITES)]


def ended(report: RunReport) -> dict[str, list[str]]:
    """How the steps ended, by their lines."""
    steps = report.plan.steps
    outcome = report.steps
    every = {
        "done": outcome.done,
        "failed": outcome.failed,
        "uncertain": outcome.uncertain,
        "not started": outcome.not_started,
        "rolled back": outcome.rolled_back,
        "not rolled back": outcome.not_rolled_back,
    }
    return {
        name: [step_line(steps[number]) for number in sorted(some)] for name, some in every.items() if some
    }


# --- the record of each verb ---

JOURNALS = {
    "create": ("", "", "box a size=1", ["Intended 0", "Done 0"]),
    "update": ("box a size=1", "", "box a size=2", ["Intended 0", "Done 0"]),
    "delete": ("box a size=1", "", "", ["Intended 0", "Done 0"]),
    "delete of what goes in between": ("box a size=1", "", "", ["Done 0"]),
    "record": ("box a size=1", "", "box a size=1 !protect", ["Done 0"]),
    "record with a secret": (
        "safe s code=$SAFE",
        "",
        "safe s code=$SAFE !protect",
        ["Done 0"],
    ),
    "forget": ("box a size=1", "delete box.a", "", ["Done 0"]),
    "replace": (
        "box a shape=round",
        "",
        "box a shape=square",
        ["Intended 0", "Done 0", "Intended 1", "Done 1"],
    ),
}


@pytest.mark.parametrize("case", JOURNALS)
def test_what_the_journal_says_of_each_verb(case: str) -> None:
    """A beginning, the plan, each intent ahead of its outcome, an end."""
    before, hand, after, expected = JOURNALS[case]
    lab = Laboratory(parallelism=1)
    lab.apply(before)
    lab.hand(hand)
    planned = lab.plan(after)
    if "in between" in case:
        lab.hand("delete box.a")
    assert lab.carry_out(planned).outcome == "applied"
    assert lab.journal() == ["Begun", "Planned", *expected, "Closed"]
    assert (lab.agreement(), lab.provider.unannounced) == ([], [])


def test_the_records_say_what_happened() -> None:
    """Who began it on what state, the plan, the object as it was, the object as it is, and the count."""
    lab = Laboratory()
    lab.apply("safe s code=$SAFE size=1")
    stamp, before = lab.backend.load().stamp, lab.resources
    planned = lab.plan("safe s code=$SAFE size=2")
    lab.carry_out(planned)
    begun, plan, intended, done, closed = lab.backend.records("run-002")
    assert isinstance(begun, Begun)
    assert (begun.run, begun.command, begun.base, begun.lineage) == ("run-002", "apply", stamp, "lineage")
    assert plan == PlannedRecord(planned.plan, tuple(before.values()))
    assert isinstance(intended, Intended)
    assert intended.before is not None
    assert (intended.key, intended.before.id, dict(intended.before.attributes)) == (
        "run-002.0",
        "id-1",
        {"name": "s", "size": 1},
    )
    assert set(intended.secrets) == {"code"}
    assert done == Done(0, "id-1", lab.record("safe.s").wire_digest)
    assert closed == Closed("applied", "2026-01-01T00:00:00Z", stamp.serial + 1, {"done": 1})


def test_keys_are_never_used_twice() -> None:
    """Not within a run, not between runs, not between a step and its inverse."""
    lab = Laboratory()
    for size in (1, 2):
        lab.provider.fail["create box.b"] = Rejected("no")
        lab.apply(f"box a shape=s{size}\nbox b size=1 after=box.a")
    keys = [record.key for run in lab.backend.journals.values() for record in run if hasattr(record, "key")]
    assert len(keys) == len(set(keys)) > 4


# --- order ---


def test_the_order_of_a_run() -> None:
    """What adds before what replaces before what takes away, each after what it waits for."""
    lab = Laboratory(parallelism=8)
    lab.apply("box t shape=round\nbox a uses=@box.t\nbox old size=1\nkey k secret=$HUB\nbox user uses=@key.k")
    lab.apply("box t shape=square\nbox a uses=@box.t\nbox z size=1\nbox y after=box.z")
    assert writes(lab) == [
        "create box.z",
        "create box.y",
        "update box.a",
        "delete box.t",
        "create box.t",
        "update box.a",
        "delete box.old",
        "delete box.user",
        "delete key.k",
    ]


@pytest.mark.parametrize("parallelism", [1, 2, 7])
def test_no_more_run_at_once_than_allowed(parallelism: int) -> None:
    """And as many as allowed do."""
    lab = Laboratory(parallelism=parallelism)
    lab.apply("\n".join(f"box n{number} size=1" for number in range(30)))
    assert lab.provider.most_at_once == parallelism


# --- after a failure ---

FAILURES = {
    "rollback": {
        "failed": ["create box.b"],
        "not started": ["create box.c"],
        "rolled back": ["create box.a"],
    },
    "stop": {"done": ["create box.a"], "failed": ["create box.b"], "not started": ["create box.c"]},
    "continue": {"done": ["create box.a", "create box.c"], "failed": ["create box.b"]},
}


@pytest.mark.parametrize("on_failure", FAILURES)
def test_what_follows_a_failure(on_failure: str) -> None:
    """Taken back, left as it is, or gone on with."""
    lab = Laboratory(parallelism=1)
    lab.provider.fail["create box.b"] = Rejected("fake: no such size")
    report = lab.apply("box a size=1\nbox b size=1\nbox c size=1", on_failure)
    assert ended(report) == FAILURES[on_failure]
    assert report.outcome == ("rolled back" if on_failure == "rollback" else "failed")
    assert report.steps.errors == {1: "fake: no such size"}
    assert lab.agreement() == []


def test_going_on_skips_what_waits_for_the_failure() -> None:
    """And says for whom it waited."""
    lab = Laboratory(parallelism=1)
    lab.provider.fail["create box.a"] = Rejected("no")
    report = lab.apply("box a size=1\nbox b uses=@box.a\nbox c size=1", "continue")
    assert ended(report) == {
        "done": ["create box.c"],
        "failed": ["create box.a"],
        "not started": ["create box.b"],
    }
    assert [event.why for event in lab.events if isinstance(event, StepSkipped)] == [
        "waits for fake.box.a, which failed"
    ]


def test_a_run_without_effect_is_no_failure_of_a_rollback() -> None:
    """The first step fails: nothing is to be taken back, and the world is as it was."""
    lab = Laboratory()
    lab.provider.fail["create box.a"] = Rejected("no")
    report = lab.apply("box a size=1", "stop")
    assert (report.outcome, lab.world(), lab.backend.load().stamp.serial) == ("rolled back", [], 0)


def test_what_runs_when_something_fails_is_ended_first() -> None:
    """Nothing in flight is cut off; then the rollback takes it back too."""
    lab = Laboratory(parallelism=3)
    lab.provider.fail["create box.a"] = Rejected("no")
    report = lab.apply("box a size=1\nbox b size=1\nbox c size=1\nbox d size=1")
    assert ended(report)["failed"] == ["create box.a"]
    assert {"create box.b", "create box.c"} <= set(ended(report)["rolled back"])
    assert (lab.world(), lab.agreement()) == ([], [])


# --- reading back ---


@pytest.mark.parametrize(("before", "verb"), [("", "create"), ("box a size=1 colour=red", "update")])
@pytest.mark.parametrize("on_failure", ["rollback", "stop"])
def test_a_write_that_the_platform_drops_is_an_error(before: str, verb: str, on_failure: str) -> None:
    """A silent no-op is not success; what was made is known, and taken back or kept, never orphaned."""
    lab = Laboratory()
    lab.apply(before)
    world = lab.world()
    lab.provider.lie = {"size"}
    report = lab.apply("box a size=2 colour=blue", on_failure)
    assert report.steps.errors == {
        0: "fake.box.a: the platform accepted the write, and size is not as written"
    }
    lab.provider.lie = set()
    if on_failure == "rollback":
        assert (report.outcome, lab.world()) == ("rolled back", world)
    else:
        assert (report.outcome, ended(report)) == ("failed", {"failed": [f"{verb} box.a"]})
        assert lab.record("box.a").remote_id == lab.id_of("box.a")
    lab.apply("box a size=2 colour=blue")
    assert (lab.world(), lab.agreement()) == (["box.a colour=blue size=2"], [])


def test_a_deletion_that_the_platform_drops_is_an_error() -> None:
    """It said yes, and the object is still there; so the state keeps it."""
    lab = Laboratory()
    lab.apply("box a size=1")
    objects = dict(lab.provider.objects)

    def watch(what: str) -> None:
        if what == "after delete box.a":
            lab.provider.objects.update(objects)

    lab.provider.watch = watch
    report = lab.apply("")
    assert report.outcome == "rolled back"
    assert report.steps.errors == {
        0: "fake.box.a: the platform accepted the deletion, and the object is still there"
    }
    assert lab.agreement() == []


def test_a_platform_is_given_time_to_show_a_write() -> None:
    """As long as its patience says, and no longer than needed."""
    lab = Laboratory()
    lab.provider.patience = 0.3
    hidden: dict[str, object] = {}

    def watch(what: str) -> None:
        if what == "before read id-1" and "since" not in hidden:
            hidden["since"] = time.monotonic()
            hidden["object"] = lab.provider.objects.pop("id-1")
        elif what == "before read id-1" and "object" in hidden and time.monotonic() > hidden["since"] + 0.1:
            lab.provider.objects["id-1"] = hidden.pop("object")

    lab.provider.watch = watch
    assert lab.apply("box a size=1").outcome == "applied"
    assert 2 <= lab.provider.calls.count("read id-1") <= 6


# --- the object is not what the step was planned on ---

STALE = {
    "changed": ("edit box.a colour=red", "fake.box.a was changed on the platform since the plan was made"),
    "changed where we manage it": (
        "edit box.a size=7",
        "fake.box.a was changed on the platform since the plan was made (size)",
    ),
    "gone": ("delete box.a", "fake.box.a (id id-1) is gone from the platform"),
}


@pytest.mark.parametrize("case", STALE)
def test_an_object_that_moved_since_the_plan_is_left_alone(case: str) -> None:
    """Between plan and call; nothing is written, and the error says what differs."""
    hand, message = STALE[case]
    lab = Laboratory()
    lab.apply("box a size=1")
    planned = lab.plan("box a size=2")
    lab.hand(hand)
    report = lab.carry_out(planned)
    assert (report.outcome, report.steps.errors, writes(lab)) == ("rolled back", {0: message}, [])


@pytest.mark.parametrize("hand", ["edit box.a colour=red", "edit box.a size=7"])
def test_an_object_that_changed_since_the_plan_is_not_deleted(hand: str) -> None:
    """Somebody may have started to need it."""
    lab = Laboratory()
    lab.apply("box a size=1")
    planned = lab.plan("")
    lab.hand(hand)
    report = lab.carry_out(planned)
    assert (report.outcome, writes(lab), len(lab.world())) == ("rolled back", [], 1)


def test_a_second_write_of_one_object_is_checked_against_the_first() -> None:
    """What the run itself wrote is no change of somebody else; what came in between is."""
    before, after = (
        "box t shape=round\nbox a uses=@box.t size=1",
        "box t shape=square\nbox a uses=@box.t size=2",
    )
    lab = Laboratory()
    lab.apply(before)
    assert lab.apply(after).outcome == "applied"

    lab = Laboratory()
    lab.apply(before)

    def watch(what: str) -> None:
        if what == "after delete box.t":
            lab.hand("edit box.a weight=9")

    lab.provider.watch = watch
    report = lab.apply(after)
    assert next(iter(report.steps.errors.values())).startswith("fake.box.a was changed on the platform")
    assert lab.world() == ["box.a size=1 uses=@box.t weight=9", "box.t shape=round"]


def test_a_name_that_is_taken_since_the_plan_is_not_taken_over() -> None:
    """The object of somebody else stays, and stays unmanaged."""
    lab = Laboratory()
    planned = lab.plan("box a size=1\nbox b size=1")
    lab.hand("put box.b size=1")
    report = lab.carry_out(planned)
    assert (report.outcome, lab.world()) == ("rolled back", ["box.b size=1"])
    assert lab.resources == {}


# --- no answer ---


@pytest.mark.parametrize("verb", ["create", "update", "delete"])
@pytest.mark.parametrize("effect", ["before", "after"])
def test_a_write_without_an_answer_is_settled_by_looking(verb: str, effect: str) -> None:
    """Done once, whether it had happened or not, and the run goes on."""
    before, after = {
        "create": ("", "box a size=1"),
        "update": ("box a size=1", "box a size=2"),
        "delete": ("box a size=1", ""),
    }[verb]
    lab = Laboratory()
    lab.apply(before)
    planned = lab.plan(after)
    number = 1 if verb == "create" else 2
    faults = lab.provider.fail if effect == "before" else lab.provider.fail_after
    faults[number] = OutcomeUnknown("no answer")
    assert lab.carry_out(planned).outcome == "applied"
    assert len(writes(lab)) == (2 if effect == "before" else 1)
    assert (lab.agreement(), lab.steps(lab.plan(after))) == ([], [])


def test_a_creation_is_tried_again_only_when_patience_has_not_shown_it() -> None:
    """A platform that lists late, and takes two of one name, would have two otherwise."""
    lab = Laboratory()
    lab.provider.patience = 0.2
    planned = lab.plan("box a size=1")
    lab.provider.fail_after[1] = OutcomeUnknown("no answer")
    started = time.monotonic()
    hidden: dict[str, object] = {}

    def watch(what: str) -> None:
        if what == "before find box.a":
            if "id-1" in lab.provider.objects and not hidden:
                hidden["object"] = lab.provider.objects.pop("id-1")
            elif time.monotonic() > started + 0.1 and hidden:
                lab.provider.objects["id-1"] = hidden.pop("object")

    lab.provider.watch = watch
    assert lab.carry_out(planned).outcome == "applied"
    assert (writes(lab), lab.world()) == (["create box.a"], ["box.a size=1"])


def test_our_own_lost_creation_is_recognised_behind_a_name_that_is_taken() -> None:
    """No answer, not listed yet, tried again, refused as taken: it is ours."""
    lab = Laboratory()
    planned = lab.plan("box a size=1")
    lab.provider.fail_after[1] = OutcomeUnknown("no answer")
    hidden: dict[str, object] = {}

    def watch(what: str) -> None:
        if what == "before find box.a" and not hidden:
            hidden["object"] = lab.provider.objects.pop("id-1")
        elif what == "before create box.a" and hidden:
            lab.provider.objects["id-1"] = hidden["object"]

    lab.provider.watch = watch
    assert lab.carry_out(planned).outcome == "applied"
    assert (writes(lab), lab.agreement()) == (["create box.a"] * 2, [])


def test_an_unanswered_creation_that_left_something_else_is_nobodys_guess() -> None:
    """Another object of the name: neither taken over nor removed, and the run says that it does not know."""
    lab = Laboratory()
    planned = lab.plan("box a size=1")
    lab.provider.fail[1] = OutcomeUnknown("no answer")

    def watch(what: str) -> None:
        if what == "before find box.a" and not lab.provider.objects:
            lab.hand("put box.a size=9")

    lab.provider.watch = watch
    report = lab.carry_out(planned)
    assert (report.outcome, ended(report)) == ("open", {"uncertain": ["create box.a"]})
    assert "the object of this name (id id-1) differs in size" in report.steps.errors[0]
    settled = lab.settle()
    assert settled is not None
    assert settled.conflicts == (
        "fake.box.a: an object of this name (id id-1) differs in size; it was left alone",
    )
    assert (lab.world(), lab.resources) == (["box.a size=9"], {})


def test_an_unanswered_update_that_left_something_else_is_nobodys_guess() -> None:
    """Neither as before nor as it should be: left alone, and named."""
    lab = Laboratory()
    lab.apply("box a size=1")
    planned = lab.plan("box a size=2")
    lab.provider.fail["update box.a"] = OutcomeUnknown("no answer")

    def watch(what: str) -> None:
        if what == "before update box.a":
            lab.hand("edit box.a size=9")

    lab.provider.watch = watch
    report = lab.carry_out(planned)
    assert (report.outcome, ended(report)) == ("open", {"uncertain": ["update box.a"]})
    assert "neither as it was nor as it should be" in report.steps.errors[0]
    settled = lab.settle()
    assert settled is not None
    assert settled.conflicts == (
        "fake.box.a: it is neither as before nor as planned; the next plan shows it",
    )


@pytest.mark.parametrize("effect", ["before", "after"])
def test_an_unanswered_update_of_a_secret_alone_is_sent_again(effect: str) -> None:
    """Nothing shows whether it happened, and sending it twice does no harm; not sending it would."""
    lab = Laboratory()
    lab.apply("safe s code=$SAFE")
    lab.environment["SAFE"] = "another-password"
    planned = lab.plan("safe s code=$SAFE")
    faults = lab.provider.fail if effect == "before" else lab.provider.fail_after
    faults[2] = OutcomeUnknown("no answer")
    assert lab.carry_out(planned).outcome == "applied"
    assert lab.world() == ["safe.s code=another-password"]
    assert lab.steps(lab.plan("safe s code=$SAFE")) == []


def test_what_an_uncertain_step_needs_is_not_taken_back() -> None:
    """The object that may exist refers to it."""
    lab = Laboratory(parallelism=1)
    lab.provider.fail_after["create box.b"] = OutcomeUnknown("no answer")
    lab.provider.fail["find box.b"] = Unavailable("cannot connect")
    report = lab.apply("box a size=1\nbox b uses=@box.a\nbox c size=1")
    assert ended(report) == {
        "done": ["create box.a"],
        "uncertain": ["create box.b"],
        "rolled back": ["create box.c"],
        "not rolled back": ["create box.a"],
    }
    assert report.steps.errors[0] == "it is not known whether something that depends on it happened"
    assert report.steps.remedies[0] == "delete box id-1"
    lab.provider.fail.clear()
    lab.settle()
    assert (lab.agreement(), lab.world()) == ([], ["box.a size=1", "box.b uses=@box.a"])


# --- rollback ---


def test_a_rollback_goes_newest_first_and_against_the_waits() -> None:
    """What was made last goes first, and nothing goes that something else still needs."""
    lab = Laboratory(parallelism=1)
    lab.provider.fail["create box.z"] = Rejected("no")
    lab.apply("box a size=1\nbox b uses=@box.a\nbox c uses=@box.b\nbox z after=box.c")
    assert writes(lab) == [
        "create box.a",
        "create box.b",
        "create box.c",
        "create box.z",
        "delete box.c",
        "delete box.b",
        "delete box.a",
    ]
    assert lab.journal() == [
        "Begun", "Planned",
        "Intended 0", "Done 0", "Intended 1", "Done 1", "Intended 2", "Done 2", "Intended 3", "Failed 3",
        "RollbackBegun", "Undoing 2", "Undone 2", "Undoing 1", "Undone 1", "Undoing 0", "Undone 0",
        "Closed",
    ]  # fmt: skip


def test_users_of_what_was_made_again_get_its_new_id() -> None:
    """A deleted pair comes back with new ids, one referring to the other, in world and state."""
    lab = Laboratory()
    before = "key last secret=$NGC\nkey k secret=$HUB after=key.last\nbox a uses=@key.k"
    lab.apply(before)
    old, world = lab.id_of("key.k"), lab.world()
    planned = lab.plan("box c size=1")
    lab.provider.fail["delete key.last"] = Rejected("no")
    assert lab.carry_out(planned).outcome == "rolled back"
    assert lab.id_of("key.k") != old
    assert lab.world() == world
    assert (lab.agreement(), lab.steps(lab.plan(before))) == ([], [])


def test_drift_that_was_written_over_comes_back_and_shows_again() -> None:
    """A rollback gives back what was there, not what the state wished; the next plan sees the difference."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("edit box.a size=7")
    lab.provider.fail["create box.z"] = Rejected("no")
    text = "box a size=1\nbox z after=box.a"
    assert lab.apply(text).outcome == "rolled back"
    assert lab.world() == ["box.a size=7"]
    assert lab.changes(lab.plan("box a size=1")) == ["update box.a (changed outside) size"]


@pytest.mark.parametrize(
    ("spoil", "why", "remedy", "left"),
    [
        ("delete box.a", "workspace w-1 uses it", "delete box id-2", ["box.a size=1"]),
        (
            "update box.b",
            "workspace w-1 uses it",
            "update box id-1 with the values that `reconciler show run-002` lists",
            ["box.b size=2"],
        ),
    ],
)
def test_what_could_not_be_taken_back_is_named_with_its_remedy(
    spoil: str, why: str, remedy: str, left: list[str]
) -> None:
    """The error, the call that would do it, and a state that knows what is left."""
    lab = Laboratory(parallelism=1)
    lab.apply("box b size=1")
    planned = lab.plan("box a size=1\nbox b size=2\nbox z after=box.a,box.b")

    def watch(what: str) -> None:
        if what == "before create box.z":
            lab.provider.fail[spoil] = InUse("workspace w-1 uses it")

    lab.provider.watch = watch
    lab.provider.fail["create box.z"] = Rejected("no")
    report = lab.carry_out(planned)
    assert report.outcome == "failed"
    (number,) = report.steps.not_rolled_back
    assert (report.steps.errors[number], report.steps.remedies[number]) == (why, remedy)
    assert set(left) <= set(lab.world())
    assert lab.agreement() == []
    reverse = [event for event in lab.events if isinstance(event, StepFailed) and event.reverse]
    assert [(event.error, event.hint) for event in reverse] == [(why, remedy)]


@pytest.mark.parametrize(
    ("before", "hand", "left"),
    [
        ("box a size=1", "edit box.a size=9", "box.a size=9"),
        ("", "edit box.a size=9", "box.a size=9"),
        # Nothing that the run wrote: an update is taken back beside it.
        ("box a size=1", "edit box.a note=x", "box.a note=x size=1"),
    ],
    ids=["updated", "created", "beside"],
)
def test_a_rollback_does_not_undo_what_somebody_else_did_meanwhile(before: str, hand: str, left: str) -> None:
    """What is not as the run wrote it any more is not written over and not deleted, but named."""
    lab = Laboratory(parallelism=1)
    lab.apply(before)
    planned = lab.plan("box a size=2\nbox z after=box.a")

    def watch(what: str) -> None:
        if what == "before create box.z":
            lab.hand(hand)

    lab.provider.watch = watch
    lab.provider.fail["create box.z"] = Rejected("no")
    report = lab.carry_out(planned)
    assert lab.world() == [left]
    if "size" in hand:
        assert (report.outcome, report.steps.errors[0]) == (
            "failed",
            "fake.box.a was changed on the platform since this run wrote it (size)",
        )
        assert lab.changes(lab.plan("box a size=2")) == ["update box.a (changed outside) size"]
    else:
        assert report.outcome == "rolled back"


def test_what_is_gone_already_needs_no_rollback() -> None:
    """Somebody deleted what the run had made: nothing is left of it, and nothing is called."""
    lab = Laboratory(parallelism=1)
    planned = lab.plan("box a size=2\nbox z after=box.a")

    def watch(what: str) -> None:
        if what == "before create box.z":
            lab.hand("delete box.a")

    lab.provider.watch = watch
    lab.provider.fail["create box.z"] = Rejected("no")
    assert (lab.carry_out(planned).outcome, writes(lab)) == ("rolled back", ["create box.a", "create box.z"])
    assert lab.agreement() == []


def test_what_needs_something_that_stays_stays_too() -> None:
    """Its error says so; everything else is taken back."""
    lab = Laboratory(parallelism=1)
    planned = lab.plan("box a size=1\nbox b uses=@box.a\nbox c size=1\nbox z after=box.b,box.c")
    lab.provider.fail["create box.z"] = Rejected("no")
    lab.provider.fail["delete box.b"] = InUse("in use")
    report = lab.carry_out(planned)
    assert ended(report) == {
        "done": ["create box.a", "create box.b"],
        "failed": ["create box.z"],
        "rolled back": ["create box.c"],
        "not rolled back": ["create box.a", "create box.b"],
    }
    assert report.steps.errors[0] == "something that depends on it could not be rolled back"
    assert lab.agreement() == []


def test_what_was_made_again_and_cannot_be_checked_is_not_lost() -> None:
    """The platform no longer answers after re-creating it: the state knows it all the same."""
    lab = Laboratory(parallelism=1)
    lab.apply("box a size=1\nbox b size=1")
    planned = lab.plan("box c size=1")
    lab.provider.fail["delete box.b"] = Rejected("no")
    lab.provider.fail["read id-4"] = Unavailable("cannot connect")
    report = lab.carry_out(planned)
    assert (report.outcome, ended(report)["not rolled back"]) == ("failed", ["delete box.a"])
    assert lab.record("box.a").remote_id == lab.id_of("box.a") == "id-4"
    assert lab.agreement() == []


@pytest.mark.parametrize("effect", ["before", "after"])
def test_an_inverse_step_without_an_answer_is_settled_later(effect: str) -> None:
    """The run stays open; the next command finds out, and no object is orphaned or doubled."""
    lab = Laboratory(parallelism=1)
    lab.apply("box a size=1\nbox b size=1")
    planned = lab.plan("")
    lab.provider.fail["delete box.b"] = Rejected("no")
    faults = lab.provider.fail if effect == "before" else lab.provider.fail_after
    faults["create box.a"] = OutcomeUnknown("no answer")
    lab.provider.fail["find box.a"] = Unavailable("cannot connect")
    report = lab.carry_out(planned)
    assert (report.outcome, lab.backend.open_run()) == ("open", "run-002")
    lab.provider.fail.clear()
    lab.provider.fail_after.clear()
    settled = lab.settle()
    assert settled is not None
    assert (len(settled.findings), settled.conflicts, lab.agreement()) == (
        2 if effect == "before" else 1,
        (),
        [],
    )
    assert len(lab.world()) == (1 if effect == "before" else 2)


def test_a_mistake_during_a_rollback_ends_it_in_order() -> None:
    """An error that nobody expected is named; the other steps are taken back; nothing keeps running."""
    lab = Laboratory(parallelism=3)
    planned = lab.plan("box a size=1\nbox b size=1\nbox c size=1\nbox z after=box.a,box.b,box.c")
    lab.provider.fail["create box.z"] = Rejected("no")
    lab.provider.fail["delete box.b"] = RuntimeError("a mistake")
    report = lab.carry_out(planned)
    assert report.outcome == "open"
    assert report.steps.errors[1].startswith("internal error: RuntimeError: a mistake (platform.py:")
    assert lab.world() == ["box.b size=1"]
    lab.settle()
    assert lab.agreement() == []


def test_a_rollback_that_has_nothing_to_do_is_not_announced() -> None:
    """Only one that takes something back."""
    lab = Laboratory()
    lab.provider.fail["create box.a"] = Rejected("no")
    lab.apply("box a size=1")
    assert not any(isinstance(event, RollbackStarted) for event in lab.events)


# --- events ---


def test_a_run_is_told_as_it_goes() -> None:
    """Begin, each step begun and ended, rollback, end."""
    lab = Laboratory(parallelism=1)
    lab.provider.fail["create box.b"] = Rejected("no")
    lab.apply("box a size=1\nbox b size=1\nbox c size=1")
    told = [
        type(event).__name__ + (" reverse" if getattr(event, "reverse", False) else "")
        for event in lab.events
    ]
    assert told == [
        "RunStarted",
        "StepStarted",
        "StepDone",
        "StepStarted",
        "StepFailed",
        "StepSkipped",
        "RollbackStarted",
        "StepStarted reverse",
        "StepDone reverse",
        "RunEnded",
    ]
    first, last = lab.events[0], lab.events[-1]
    assert (first, last) == (
        RunStarted("run-001", 3),
        RunEnded("run-001", "rolled back", {"failed": 1, "rolled_back": 1, "not_started": 1}),
    )
    assert isinstance(lab.events[2], StepDone)
    assert (lab.events[2].address, lab.events[2].remote_id) == (address("box.a"), "id-1")


# --- before the first step ---


def test_what_policy_forbids_is_not_begun() -> None:
    """No run, no journal, no call."""
    lab = Laboratory()
    lab.apply("box a size=1 !protect")
    planned = lab.plan("")
    with pytest.raises(PlanRefused) as caught:
        lab.carry_out(planned)
    assert caught.value.reasons == planned.plan.refusals
    assert (list(lab.backend.journals), lab.provider.calls) == (["run-001"], [])


def test_a_plan_of_another_state_is_not_begun() -> None:
    """The state moved on since: the plan may say what is no longer so."""
    lab = Laboratory()
    planned = lab.plan("box a size=1")
    lab.apply("box b size=1")
    with pytest.raises(PlanStale) as caught:
        lab.carry_out(planned)
    assert caught.value.moved == ("the state is another one than the plan was made from",)
    assert lab.world() == ["box.b size=1"]


def test_a_secret_that_cannot_be_had_stops_a_run_before_it_begins() -> None:
    """Not in the middle; every one of them is named, with who needs it."""
    lab = Laboratory()
    planned = lab.plan("box a size=1\nkey k secret=$NOBODY\nkey l secret=$NEITHER")
    with pytest.raises(SecretUnavailable) as caught:
        lab.carry_out(planned)
    assert str(caught.value).splitlines() == [
        "fake.key.k: the environment variable NOBODY is not set",
        "fake.key.l: the environment variable NEITHER is not set",
    ]
    assert (lab.backend.journals, lab.world()) == ({}, [])


def test_an_empty_plan_may_be_applied() -> None:
    """It comes to nothing, and commits nothing."""
    lab = Laboratory()
    lab.apply("box a size=1")
    serial = lab.backend.load().stamp.serial
    report = lab.apply("box a size=1")
    assert (report.outcome, report.steps.counts()) == ("applied", {})
    assert lab.backend.load().stamp.serial == serial
    assert report.plan == Plan(
        stack="test",
        base=lab.backend.load().stamp,
        specs_digest=report.plan.specs_digest,
        revision="",
        tool="test",
    )


# --- wire digests: what they must not hide ---


def test_a_record_that_was_not_made_keeps_its_drift_visible() -> None:
    """Changed outside to what the specs say, and the run that was to note it failed."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("edit box.a size=2")
    lab.provider.fail["create box.b"] = Rejected("no")
    assert lab.apply("box a size=2\nbox b size=1").outcome == "rolled back"
    assert lab.changes(lab.plan("box a size=1")) == ["update box.a (changed outside) size"]


@pytest.mark.parametrize("after", ["box a size=1 weight=1", "box a size=1 weight=2"])
def test_an_ignored_change_shows_once_it_is_no_longer_ignored(after: str) -> None:
    """However often the object was seen or written in between."""
    lab = Laboratory()
    lab.apply("box a size=1 weight=1 ignore=size")
    lab.hand("edit box.a size=7")
    lab.apply(f"{after} ignore=size")
    lab.apply(f"{after} ignore=size\nbox other size=1")
    assert lab.changes(lab.plan(f"{after}\nbox other size=1")) == ["update box.a (changed outside) size"]


def test_what_was_seen_unchanged_is_known_by_its_bytes_the_next_time() -> None:
    """A new version of the same content costs one comparison, not one for each plan."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.hand("edit box.a size=1")
    planned = lab.plan("box a size=1\nbox b size=1")
    assert set(planned.seen) == {address("box.a")}
    lab.carry_out(planned)
    assert lab.record("box.a").wire_digest == planned.seen[address("box.a")]
    assert lab.plan("box a size=1\nbox b size=1").seen == {}


def test_a_name_taken_while_it_was_made_again() -> None:
    """Somebody made one of this name during the rollback: theirs stays, and the report says so."""
    lab = Laboratory(parallelism=1)
    lab.apply("box a size=1\nbox b size=1")
    planned = lab.plan("")

    def watch(what: str) -> None:
        if what == "before delete box.b":
            lab.hand("put box.a size=9")

    lab.provider.watch = watch
    lab.provider.fail["delete box.b"] = Rejected("no")
    report = lab.carry_out(planned)
    assert (report.outcome, ended(report)["not rolled back"]) == ("failed", ["delete box.a"])
    assert isinstance(lab.provider.fail.get("delete box.b"), Rejected)
    assert report.steps.errors[0] == str(AlreadyExists("fake.box.a exists"))
    assert (lab.world(), list(map(str, lab.resources))) == (["box.a size=9", "box.b size=1"], ["fake.box.b"])
    assert not any(isinstance(record, Undone) for record in lab.backend.records("run-002"))


def test_a_reference_to_nothing_is_never_written() -> None:
    """Whatever plan says so: the platform would take it for a value."""
    lab = Laboratory()
    planned = lab.plan("box a size=1\nbox b size=1")
    steps = tuple(
        replace(step, attributes=Attributes({**(step.attributes or {}), "uses": {REF: "fake.box.c"}}))
        for step in planned.plan.steps
    )
    report = lab.carry_out(replace(planned, plan=replace(planned.plan, steps=steps)), "continue")
    assert set(report.steps.errors.values()) == {
        "fake.box.a refers to fake.box.c, which the state does not know",
        "fake.box.b refers to fake.box.c, which the state does not know",
    }
    assert (report.outcome, writes(lab), lab.world()) == ("rolled back", [], [])
