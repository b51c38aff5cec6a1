"""What a dead run left open: asked of the platform, one question for each step, and never guessed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from engine.laboratory import Laboratory, Moment, address, run

from reconciler.core.events import Note
from reconciler.core.report import Settlement
from reconciler.engine.stack import Planned
from reconciler.errors import Forbidden, OutcomeUnknown, PlanImpossible, ProviderError, Rejected, Unavailable
from reconciler.state.records import Closed, UndoFailed


def died(
    before: str,
    after: str,
    at: str,
    *,
    hand: str = "",
    prepare: Callable[[Laboratory], None] = lambda lab: None,
) -> Laboratory:
    """A stack whose apply lost its power at the moment *at*, and what a hand did since."""
    lab = Laboratory(parallelism=1)
    lab.apply(before)
    planned = lab.plan(after)
    prepare(lab)
    lab.watch()
    lab.carry_out(planned)
    moments = [moment for moment in lab.moments if moment.what == at]
    assert moments, [moment.what for moment in lab.moments]
    later = lab.after_power_cut(moments[-1])
    later.hand(hand)
    return later


def refuse(call: str) -> Callable[[Laboratory], None]:
    """Let a call be refused."""
    return lambda lab: lab.provider.fail.update({call: Rejected("no")})


PAIR = "box a size=1\nbox z after=box.a"

# before, after, when the power went, what a hand did since; findings, conflicts, the state's sizes
FORWARD = {
    "a creation that did not happen": (
        ("", "box a size=1", "before create box.a", ""),
        ["fake.box.a: not created"],
        [],
        {},
    ),
    "a creation that happened": (
        ("", "box a size=1", "after create box.a", ""),
        ["fake.box.a: created (id id-1); taken into the state"],
        [],
        {"a": 1},
    ),
    "a creation after which there is something else": (
        ("", "box a size=1", "before create box.a", "put box.a size=9"),
        [],
        ["fake.box.a: an object of this name (id id-100) differs in size; it was left alone"],
        {},
    ),
    "a creation that happened, but for what comes late": (
        ("", "wall a size=1 roof=2", "after create wall.a", ""),
        ["fake.wall.a: created (id id-1); taken into the state"],
        [],
        {"a": 1},
    ),
    "an update that did not happen": (
        ("box a size=1", "box a size=2", "before update box.a", ""),
        ["fake.box.a: not updated"],
        [],
        {"a": 1},
    ),
    "an update that happened": (
        ("box a size=1", "box a size=2", "after update box.a", ""),
        ["fake.box.a: updated; taken into the state"],
        [],
        {"a": 2},
    ),
    "an update after which there is something else": (
        ("box a size=1", "box a size=2", "before update box.a", "edit box.a size=9"),
        [],
        ["fake.box.a: it is neither as before nor as planned; the next plan shows it"],
        {"a": 1},
    ),
    "an update after which it is gone": (
        ("box a size=1", "box a size=2", "before update box.a", "delete box.a"),
        [],
        ["fake.box.a: it is gone; the next plan shows it"],
        {"a": 1},
    ),
    "an update that adds a field and did not happen": (
        ("box a size=1", "box a size=1 note=x", "before update box.a", ""),
        ["fake.box.a: not updated"],
        [],
        {"a": 1},
    ),
    "an update that adds a field and happened": (
        ("box a size=1", "box a size=1 note=x", "after update box.a", ""),
        ["fake.box.a: updated; taken into the state"],
        [],
        {"a": 1},
    ),
    "an update of a field, and somebody changed another": (
        ("box a size=1", "box a size=2", "after update box.a", "edit box.a weight=9"),
        ["fake.box.a: updated; taken into the state"],
        [],
        {"a": 2},
    ),
    "a deletion that did not happen": (
        ("box a size=1", "", "before delete box.a", ""),
        ["fake.box.a: not deleted"],
        [],
        {"a": 1},
    ),
    "a deletion that happened": (
        ("box a size=1", "", "after delete box.a", ""),
        ["fake.box.a: deleted"],
        [],
        {},
    ),
}


@pytest.mark.parametrize("case", FORWARD)
def test_a_step_that_was_under_way(case: str) -> None:
    """What came of it is found out, said, and remembered."""
    arguments, findings, conflicts, sizes = FORWARD[case]
    before, after, at, hand = arguments
    lab = died(before, after, at, hand=hand)
    settled = lab.settle()
    assert settled is not None
    assert (list(settled.findings), list(settled.conflicts)) == (findings, conflicts)
    assert {one.name: record.attributes["size"] for one, record in lab.resources.items()} == sizes
    assert lab.settle() is None


@pytest.mark.parametrize("at", ["before update safe.s", "after update safe.s"])
def test_an_update_of_a_secret_alone_counts_as_not_happened(at: str) -> None:
    """Nothing shows it. The state keeps the old hash, so the next plan sends the secret again."""

    def change(lab: Laboratory) -> None:
        lab.environment["SAFE"] = "another-password"

    lab = Laboratory()
    lab.apply("safe s code=$SAFE")
    change(lab)
    planned = lab.plan("safe s code=$SAFE")
    lab.watch()
    lab.carry_out(planned)
    (moment,) = [moment for moment in lab.moments if moment.what == at]
    later = lab.after_power_cut(moment)
    settled = later.settle()
    assert settled is not None
    assert settled.findings == ("fake.safe.s: not updated",)
    assert later.changes(later.plan("safe s code=$SAFE")) == ["update safe.s (spec changed) code"]


# A pair, the second refused; the power goes while the first is taken back.
BACKWARD = {
    "a creation that was not taken back": (
        ("", PAIR, "before delete box.a", ""),
        ["fake.box.a: its rollback did not happen; the next plan shows it"],
        [],
        {"a": 1},
    ),
    "a creation that was taken back": (
        ("", PAIR, "after delete box.a", ""),
        ["fake.box.a: its creation was rolled back"],
        [],
        {},
    ),
    "an update that was not taken back": (
        ("box a size=5", PAIR, "before update box.a", ""),
        ["fake.box.a: its rollback did not happen; the next plan shows it"],
        [],
        {"a": 1},
    ),
    "an update that was taken back": (
        ("box a size=5", PAIR, "after update box.a", ""),
        ["fake.box.a: its update was rolled back"],
        [],
        {"a": 5},
    ),
    "a deletion that was not taken back": (
        (
            "box a shape=round size=5",
            "box a shape=square size=1\nbox z after=box.a",
            "before create box.a",
            "",
        ),
        ["fake.box.a: its rollback did not happen; the next plan shows it"],
        [],
        {},
    ),
    "a deletion that was taken back": (
        (
            "box a shape=round size=5",
            "box a shape=square size=1\nbox z after=box.a",
            "after create box.a",
            "",
        ),
        ["fake.box.a: created again (id id-3)"],
        [],
        {"a": 5},
    ),
    "a deletion after which there is something else": (
        (
            "box a shape=round size=5",
            "box a shape=square size=1\nbox z after=box.a",
            "before create box.a",
            "put box.a size=9",
        ),
        [],
        [
            "fake.box.a: to be created again, but an object of this name (id id-100) differs in shape, size; "
            "it was left alone"
        ],
        {},
    ),
}


@pytest.mark.parametrize("case", BACKWARD)
def test_a_rollback_that_was_under_way(case: str) -> None:
    """The same questions, about the inverse steps; what stays in effect is said too."""
    arguments, findings, conflicts, sizes = BACKWARD[case]
    before, after, at, hand = arguments
    lab = died(before, after, at, hand=hand, prepare=refuse("create box.z"))
    settled = lab.settle()
    assert settled is not None
    said = [line for line in settled.findings if not line.startswith("its rollback was cut off")]
    assert (said, list(settled.conflicts)) == (findings, conflicts)
    assert {one.name: record.attributes["size"] for one, record in lab.resources.items()} == sizes
    for record in lab.backend.records("run-002"):
        if isinstance(record, UndoFailed):
            assert record.remedy != ""


def test_a_rollback_that_was_cut_off_says_what_stays() -> None:
    """The count of steps that are still in effect."""
    lab = died(
        "",
        "box a size=1\nbox b size=1 after=box.a\nbox z after=box.b",
        "after delete box.b",
        prepare=refuse("create box.z"),
    )
    settled = lab.settle()
    assert settled is not None
    assert settled.findings == (
        "fake.box.b: its creation was rolled back",
        "its rollback was cut off: 1 of its steps stay in effect",
    )
    assert list(map(str, lab.resources)) == ["fake.box.a"]


def test_a_platform_is_given_time_to_show_what_a_dead_run_made() -> None:
    """Its listing may lag: the object is looked for as long as patience says."""
    lab = died("", "box a size=1", "after create box.a")
    lab.provider.patience = 0.25
    hidden = lab.provider.objects.pop("id-1")

    def watch(what: str) -> None:
        if lab.provider.calls.count("find box.a") == 2:
            lab.provider.objects["id-1"] = hidden

    lab.provider.watch = watch
    settled = lab.settle()
    assert settled is not None
    assert settled.findings == ("fake.box.a: created (id id-1); taken into the state",)


def test_settling_is_told_to_the_user() -> None:
    """Which run, and each finding."""
    lab = died("", "box a size=1", "before create box.a", hand="put box.a size=9")
    lab.settle()
    assert [event.text for event in lab.events if isinstance(event, Note)] == [
        "Run run-002 (apply) was cut off; it is settled now.",
        "  conflict: fake.box.a: an object of this name (id id-100) differs in size; it was left alone",
    ]


def test_a_conflict_that_a_recovery_found_before_it_failed_is_named_by_the_next() -> None:
    """It is settled, and nobody was told."""
    lab = died(
        "",
        "box a size=1\nbox b size=1",
        "before create box.a",
        hand="put box.a size=9",
        prepare=lambda lab: setattr(lab, "parallelism", 2),
    )
    lab.provider.fail["find box.b"] = Unavailable("no answer")
    with pytest.raises(Unavailable):
        lab.settle()
    lab.provider.fail.clear()
    settled = lab.settle()
    assert settled is not None
    assert (settled.findings, settled.conflicts) == (
        ("fake.box.b: not created",),
        ("fake.box.a: an object of this name (id id-100) differs in size; it was left alone",),
    )


@pytest.mark.parametrize(
    ("at", "resumable"),
    [("before create box.a", True), ("before create box.b", True), ("after create box.b", False)],
)
def test_a_run_with_steps_left_can_be_resumed(at: str, resumable: bool) -> None:
    """One whose last step turns out to have happened has none."""
    settled = died("", "box a size=1\nbox b size=1", at).settle()
    assert settled is not None
    assert settled.resumable is resumable


def test_a_run_that_was_being_rolled_back_cannot_be_resumed() -> None:
    """Its plan is of before."""
    settled = died(
        "", "box a size=1\nbox b size=1", "before delete box.a", prepare=refuse("create box.b")
    ).settle()
    assert settled is not None
    assert not settled.resumable


def test_nothing_open_is_nothing_to_settle() -> None:
    """No question, no word."""
    lab = Laboratory()
    lab.apply("box a size=1")
    lab.provider.calls.clear()
    lab.events.clear()
    assert (lab.settle(), lab.provider.calls, lab.events) == (None, [], [])


@pytest.mark.parametrize(
    "error", [Unavailable("cannot connect"), Forbidden("no", status=403), RuntimeError("a mistake")]
)
def test_a_platform_that_cannot_be_asked_leaves_the_run_open(error: Exception) -> None:
    """The error is raised as it is, the journal and the state are as they were, and later it works."""
    lab = died("", "box a size=1", "after create box.a")
    journals = {name: list(records) for name, records in lab.backend.journals.items()}
    lab.provider.fail["find box.a"] = error
    for _ in range(2):
        with pytest.raises(type(error)):
            lab.settle()
        assert (lab.backend.journals, lab.backend.open_run()) == (journals, "run-002")
    lab.provider.fail.clear()
    lab.settle()
    assert lab.agreement() == []


def test_a_platform_that_fails_in_the_middle_keeps_what_was_found_out() -> None:
    """Answers go into the journal one by one; the second settling asks only what is left."""
    lab = Laboratory(parallelism=2)
    planned = lab.plan("box a size=1\nbox b size=1")
    lab.watch()
    lab.carry_out(planned)
    later = lab.after_power_cut([one for one in lab.moments if one.what.startswith("after create")][-1])
    later.provider.fail["find box.b"] = Unavailable("cannot connect")
    with pytest.raises(ProviderError):
        later.settle()
    later.provider.fail.clear()
    later.provider.calls.clear()
    later.settle()
    assert (later.provider.calls, later.agreement()) == (["find box.b"], [])


def test_a_platform_that_is_not_configured_any_more_leaves_the_run_open() -> None:
    """It says which table of reconciler.toml is missing."""
    lab = died("", "box a size=1", "after create box.a")

    async def settle() -> None:
        with lab.locked("recover") as lock:
            await replace(lab.stack(), providers={}).settle(lock)

    with pytest.raises(PlanImpossible, match="which reconciler\\.toml does not name"):
        run(settle())
    assert lab.backend.open_run() == "run-002"


def forgetting(lab: Laboratory, name: str) -> Settlement | None:
    """Settle without the platform, and let go of what is called so."""

    async def settle() -> Settlement | None:
        with lab.locked("state rm") as lock:
            stack = replace(lab.stack(), providers={})
            return await stack.settle(lock, let_go=lambda one: one.name == name)

    return run(settle())


def test_a_step_on_a_platform_that_is_gone_for_good_can_be_let_go_of() -> None:
    """By the address of what it was about, forward and backward; it says that nobody knows."""
    lab = died("", "box a size=1", "after create box.a")
    with pytest.raises(PlanImpossible):
        forgetting(lab, "b")
    settled = forgetting(lab, "a")
    assert settled is not None
    assert settled.conflicts == ("fake.box.a: let go of; nobody knows what came of its create",)
    assert (lab.backend.open_run(), lab.resources) == (None, {})
    broken = died(
        "",
        "box a size=1\nbox b size=1 after=box.a",
        "after delete box.a",
        prepare=lambda lab: lab.provider.fail.update({"create box.b": Rejected("no")}),
    )
    settled = forgetting(broken, "a")
    assert settled is not None
    assert settled.conflicts == ("fake.box.a: let go of; nobody knows what came of its create",)
    assert list(broken.resources) == [address("box.a")]


def test_a_settled_run_says_how_far_it_had_got() -> None:
    """Each step in one bucket, in the history too."""
    text = "\n".join(f"box {name} size=1" for name in "abcd")
    lab = died("", text, "before create box.c")
    lab.settle()
    assert lab.backend.runs()[0].counts == {"done": 2, "failed": 1, "not_started": 1}
    broken = died(
        "",
        "box a size=1\nbox b size=1\nbox c size=1 after=box.a,box.b",
        "before delete box.a",
        prepare=lambda lab: lab.provider.fail.update({"create box.c": Rejected("no")}),
    )
    broken.settle()
    assert broken.backend.runs()[0].counts == {"failed": 1, "rolled_back": 1, "not_rolled_back": 1}


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_run_that_died_at_once_is_closed(left: int) -> None:
    """Its journal empty, or without a plan, or without a step."""
    lab = Laboratory()
    planned = lab.plan("box a size=1")
    lab.watch()
    lab.carry_out(planned)
    moment = next(one for one in lab.moments if sum(map(len, one.journals.values())) == left)
    later = lab.after_power_cut(replace(moment, open_runs=["run-001"], objects={}))
    assert later.settle() is not None
    assert (later.backend.open_run(), later.resources) == (None, {})
    assert later.apply("box a size=1").outcome == "applied"


def last_before_close(lab: Laboratory) -> Moment:
    """The moment at which the state is committed, and the journal does not say so yet."""
    return [one for one in lab.moments if one.what == "after commit"][-1]


def test_a_commit_is_not_folded_in_twice() -> None:
    """The power went between the commit and the last record: the state has it all."""
    lab = Laboratory()
    lab.apply("box a size=1\nbox old size=1")
    planned = lab.plan("moved box.old box.new\nbox a size=2\nbox new name=old size=1")
    lab.watch()
    lab.carry_out(planned)
    later = lab.after_power_cut(last_before_close(lab))
    state = later.backend.load()
    assert later.stack().remembered() == state
    later.settle()
    assert (later.backend.load(), later.agreement()) == (state, [])
    assert later.backend.records("run-002")[-1] == Closed(
        "interrupted", "2026-01-01T00:00:00Z", 2, {"done": 2}
    )


def test_what_a_dead_run_wrote_down_is_remembered_before_it_is_settled() -> None:
    """Whoever only reads sees what the journal is sure of, and no more."""
    lab = died("box b size=1", "box a size=1\nbox b size=2", "after update box.b")
    assert sorted(map(str, lab.stack().remembered().resources)) == ["fake.box.a", "fake.box.b"]
    assert lab.stack().remembered().resources[address("box.b")].attributes["size"] == 1
    assert lab.backend.load().stamp == lab.stack().remembered().stamp


def under_another_address() -> tuple[Laboratory, Planned]:
    """Since the plan was made, somebody gave an object of ours the name of one that is to be made."""
    lab = Laboratory(parallelism=1)
    lab.apply("box other size=1")
    planned = lab.plan("box other size=1\nbox a size=1")
    lab.hand("edit box.other name=a")
    return lab, planned


def test_an_unanswered_creation_does_not_take_what_another_resource_has() -> None:
    """The object of this name and content is there, and was there before: it is not what was made."""
    lab, planned = under_another_address()
    lab.provider.fail["create box.a"] = OutcomeUnknown("no answer")
    report = lab.carry_out(planned)
    assert (report.outcome, report.steps.errors) == (
        "rolled back",
        {0: "fake.box.a: the object of this name (id id-1) is fake.box.other"},
    )
    assert (lab.world(), lab.agreement()) == (
        ["box.a size=1"],
        ["fake.box.other is not as remembered in name"],
    )


def test_a_creation_that_was_cut_off_does_not_take_what_another_resource_has() -> None:
    """Two records of one object would delete it for one of them, and miss it for the other."""
    lab, planned = under_another_address()
    lab.watch()
    lab.carry_out(planned)
    later = lab.after_power_cut(next(one for one in lab.moments if one.what == "before create box.a"))
    settled = later.settle()
    assert settled is not None
    assert settled.findings == (
        "fake.box.a: not created; the object of this name (id id-1) is fake.box.other",
    )
    assert list(later.resources) == [address("box.other")]
    assert later.agreement() == ["fake.box.other is not as remembered in name"]
