"""In which order the steps of a plan go, as text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from core.builders import BOX, KEY, address, memory, sight, wish
from core.trees import decisions, drawn, tree

from reconciler.core.diff import Decision, decide
from reconciler.core.model import Reversal, Step, Verb
from reconciler.core.planner import order
from reconciler.errors import PlanImpossible

HERE = Path(__file__)


def the(verb: Verb, steps: tuple[Step, ...]) -> Step:
    """The one step of this verb."""
    [found] = [step for step in steps if step.verb is verb]
    return found


def test_nothing_decided_is_nothing_done() -> None:
    """No decisions, no steps."""
    assert order([]) == ()


def test_what_is_needed_is_made_first() -> None:
    """However the names sort."""
    assert (
        tree("""
        create box.a -> key.z
        create box.b => box.a
        create key.z
    """)
        == """\
    constructive
      0 + key.z
      1 + box.a after 0
      2 + box.b after 1"""
    )


def test_without_needs_steps_go_by_phase_and_address() -> None:
    """The same plan always reads the same."""
    assert (
        tree("""
        delete box.d
        create box.c
        update box.b
        forget box.a
        create key.e
        delete box.a2
    """)
        == """\
    constructive
      0 x box.a
      1 ~ box.b
      2 + box.c
      3 + key.e
    destructive
      4 - box.a2
      5 - box.d"""
    )


def test_what_is_taken_away_goes_before_what_it_needed() -> None:
    """Deletes run in the reverse order of creation."""
    assert (
        tree("""
        delete key.a
        delete box.b -> key.a
        delete box.c => box.b
    """)
        == """\
    destructive
      0 - box.c
      1 - box.b after 0
      2 - key.a after 1"""
    )


def test_a_need_that_goes_away_is_let_go_before_it_is_deleted() -> None:
    """The update is constructive, the delete destructive: the phases keep them apart."""
    assert (
        tree("""
        update box.lab was -> key.hub
        delete key.hub
    """)
        == """\
    constructive
      0 ~ box.lab
    destructive
      1 - key.hub"""
    )


def test_a_rotated_credential_is_detached_replaced_and_attached() -> None:
    """A platform refuses to delete what is referred to, and one name has one object."""
    assert (
        tree("""
        replace key.hub
        update box.lab -> key.hub
        update box.other
    """)
        == """\
    constructive
      0 ~ box.other
    replacing
      1 ~ box.lab {"links": {}}
      2 - key.hub after 1
      3 + key.hub after 2
      4 ~ box.lab after 1 3"""
    )


def test_detaching_keeps_what_refers_to_something_else() -> None:
    """Only what is not there yet is left out for the moment."""
    assert (
        tree("""
        replace key.hub
        update box.lab -> key.hub key.stays
    """)
        == """\
    replacing
      0 ~ box.lab {"links": {"key.stays": {"$id": "#key.stays"}}}
      1 - key.hub after 0
      2 + key.hub after 1
      3 ~ box.lab after 0 2"""
    )


def test_two_replaced_at_once_are_detached_in_one_write() -> None:
    """No reference to something not made yet is sent, and nothing is written twice."""
    assert (
        tree("""
        replace key.a
        replace key.b
        update box.lab -> key.a key.b
    """)
        == """\
    replacing
      0 ~ box.lab {"links": {}}
      1 - key.a after 0
      2 + key.a after 1
      3 - key.b after 0
      4 + key.b after 3
      5 ~ box.lab after 0 2 4"""
    )


def test_detaching_writes_what_it_was_planned_on_and_what_follows_does_not_check_again() -> None:
    """The first write is checked against the object as it was seen; the second follows it."""
    chosen, _ = decisions("""
        replace key.hub
        update box.lab -> key.hub
    """)
    detach, attach = (step for step in order(chosen) if step.address == address("box.lab"))
    assert (bool(detach.fingerprint), attach.fingerprint) == (True, "")
    assert (detach.remote_id, detach.reversal, attach.reversal) == (
        "#box.lab",
        Reversal.RESTORE,
        Reversal.RESTORE,
    )
    assert detach.depends_on == (address("key.hub"),)


def test_a_moved_dependent_is_known_by_its_old_name_while_it_is_detached() -> None:
    """Both writes say where the state has to look."""
    assert (
        tree("""
        replace key.hub
        update box.lab -> key.hub from:box.old
    """)
        == """\
    replacing
      0 ~ box.lab {"links": {}} from box.old
      1 - key.hub after 0
      2 + key.hub after 1
      3 ~ box.lab from box.old after 0 2"""
    )


def test_an_adopted_dependent_is_detached_too() -> None:
    """It refers to the object, whoever made it do so."""
    assert (
        tree("""
        replace key.hub
        adopt box.lab -> key.hub
    """)
        == """\
    replacing
      0 ~ box.lab {"links": {}}
      1 - key.hub after 0
      2 + key.hub after 1
      3 ~ box.lab after 0 2"""
    )


def test_a_dependent_that_goes_for_good_goes_first() -> None:
    """Deleted with the replacement, not after it."""
    assert (
        tree("""
        replace key.hub
        delete box.lab -> key.hub
    """)
        == """\
    replacing
      0 - box.lab
      1 - key.hub after 0
      2 + key.hub after 1"""
    )


def test_so_does_one_that_only_depends_without_referring() -> None:
    """And whatever depends on that."""
    assert (
        tree("""
        replace key.hub
        delete box.lab => key.hub
        delete box.on-top => box.lab
    """)
        == """\
    replacing
      0 - box.on-top
      1 - box.lab after 0
      2 - key.hub after 1
      3 + key.hub after 2"""
    )


def test_two_that_are_replaced_go_down_and_up_in_opposite_orders() -> None:
    """The dependent first, and last."""
    assert (
        tree("""
        replace key.hub
        replace box.lab -> key.hub
    """)
        == """\
    replacing
      0 - box.lab
      1 - key.hub after 0
      2 + key.hub after 1
      3 + box.lab after 0 2"""
    )


def test_create_before_destroy_keeps_the_old_one_to_the_end() -> None:
    """Made first, dependents rewritten, the old one last."""
    assert (
        tree("""
        replace key.hub before-destroy
        update box.lab -> key.hub
    """)
        == """\
    constructive
      0 + key.hub keeping #key.hub
      1 ~ box.lab after 0
    destructive
      2 - key.hub after 0"""
    )


def test_create_before_destroy_all_the_way_up() -> None:
    """Of two old objects, the one that refers to the other goes first."""
    assert (
        tree("""
        replace key.hub before-destroy
        replace box.lab -> key.hub before-destroy
    """)
        == """\
    constructive
      0 + key.hub keeping #key.hub
      1 + box.lab keeping #box.lab after 0
    destructive
      2 - box.lab after 1
      3 - key.hub after 0 2"""
    )


def test_the_old_one_of_a_dependent_is_detached_when_it_has_to_stay() -> None:
    """It cannot go before its successor, and its successor waits for the replacement."""
    assert (
        tree("""
        replace key.hub
        replace box.lab -> key.hub before-destroy
    """)
        == """\
    replacing
      0 ~ box.lab {"links": {}}
      1 - key.hub after 0
      2 + key.hub after 1
      3 + box.lab keeping #box.lab after 0 2
    destructive
      4 - box.lab after 3"""
    )


def test_what_needs_a_replacement_goes_with_it() -> None:
    """And what needs that, too; the rest is made before anything is taken away."""
    assert (
        tree("""
        replace key.hub
        create box.lab => key.hub
        create box.on-top => box.lab
        create box.else
    """)
        == """\
    constructive
      0 + box.else
    replacing
      1 - key.hub
      2 + key.hub after 1
      3 + box.lab after 2
      4 + box.on-top after 3"""
    )


def test_a_move_tells_where_the_state_has_to_look() -> None:
    """Moved as it is, moved with a change, moved and made again."""
    assert (
        tree("""
        move box.a from:box.old-a
        update box.b from:box.old-b
        replace box.c from:box.old-c
        replace box.d from:box.old-d before-destroy
    """)
        == """\
    constructive
      0 = box.a from box.old-a
      1 ~ box.b from box.old-b
      2 + box.d keeping #box.d from box.old-d
    replacing
      3 - box.c from box.old-c
      4 + box.c after 3
    destructive
      5 - box.d after 2"""
    )


def test_what_a_broken_replacement_left_behind_is_removed() -> None:
    """Last of all, and told apart from the object that took its place."""
    chosen, deposed = decisions("""
        update key.hub
        deposed key.hub old-1
        deposed key.hub old-2
    """)
    steps = order(chosen, deposed)
    assert (
        drawn(steps)
        == """\
    constructive
      0 ~ key.hub
    destructive
      1 - key.hub old-1
      2 - key.hub old-2"""
    )
    assert [step.deposes for step in steps] == [False, True, True]


@pytest.mark.parametrize(
    ("lines", "steps"),
    [
        (
            "delete key.hub\ndeposed key.hub old",
            "destructive\n  0 - key.hub old\n  1 - key.hub after 0",
        ),
        (
            "forget key.hub\ndeposed key.hub old",
            "destructive\n  0 - key.hub old\n  1 x key.hub after 0",
        ),
        (
            "replace key.hub\ndeposed key.hub old",
            "replacing\n  0 - key.hub old\n  1 - key.hub after 0\n  2 + key.hub after 1",
        ),
        (
            "create key.hub\ndeposed key.hub old",
            "constructive\n  0 + key.hub\ndestructive\n  1 - key.hub old",
        ),
        (
            "replace key.hub before-destroy\ndeposed key.hub old",
            "constructive\n  0 + key.hub keeping #key.hub\n"
            "destructive\n  1 - key.hub after 0\n  2 - key.hub old",
        ),
    ],
)
def test_a_record_is_not_dropped_before_what_only_it_remembers(lines: str, steps: str) -> None:
    """The old object's id stands in the record of its address: were that gone first, it would be orphaned."""
    assert tree(lines) == "\n".join(f"    {line}" for line in steps.splitlines())


def test_what_was_left_behind_goes_before_what_it_refers_to() -> None:
    """A platform refuses to delete what something refers to, old or not."""
    assert (
        tree("""
        update box.lab
        delete key.hub
        deposed box.lab old -> key.hub
    """)
        == """\
    constructive
      0 ~ box.lab
    destructive
      1 - box.lab old
      2 - key.hub after 1"""
    )


def test_a_field_that_is_not_written_again_is_not_detached() -> None:
    """The spec does not manage that field: what is in it would be lost. The platform may refuse."""
    assert (
        tree("""
        replace key.hub
        update box.lab -> key.hub keeping
    """)
        == """\
    replacing
      0 - key.hub
      1 + key.hub after 0
      2 ~ box.lab after 1"""
    )


def test_nothing_is_written_to_what_only_the_state_has_to_learn() -> None:
    """A step that a plan does not show writes nothing anywhere."""
    assert (
        tree("""
        replace key.hub
        record box.lab -> key.hub keeping
    """)
        == """\
    replacing
      0 - key.hub
      1 + key.hub after 0
      2 = box.lab after 1"""
    )


def test_a_reference_that_ignore_changes_holds_on_to_is_said_before_it_is_lost() -> None:
    """The spec wants the reference and forbids to write it: nobody could attach the new object."""
    with pytest.raises(PlanImpossible) as refused:
        tree("""
            replace key.hub
            record box.lab -> key.hub ignoring:links
        """)
    assert str(refused.value) == (
        "t.key.hub is to be replaced, and t.box.lab refers to it in links, "
        "which ignore_changes leaves as it is"
    )
    assert refused.value.hint == "Take links out of ignore_changes, so that the new id can be written."


def test_one_id_on_two_platforms_is_two_objects() -> None:
    """An object that happens to refer to a thing of the same id elsewhere is left alone."""
    key = decide_of("t.key.hub", {"shape": "flat"}, {"shape": "round"})
    other = decide_of(
        "u.box.lab", {"links": {"a": {"$id": "1"}}, "size": 1}, {"links": {"a": {"$id": "1"}}, "size": 2}
    )
    assert (
        drawn(order([key, other]))
        == """\
    constructive
      0 ~ box.lab
    replacing
      1 - key.hub 1
      2 + key.hub after 1"""
    )


def decide_of(name: str, was: dict[str, object], wanted: dict[str, object]) -> Decision:
    """An update or a replacement of one object with id 1."""
    decision = decide(BOX, wish(name, wanted), memory(name, was), sight(name.partition(".")[2], was))
    assert decision is not None
    return decision


def test_changes_that_wait_for_one_another_are_refused_by_name() -> None:
    """Only those of the ring, and what to do."""
    with pytest.raises(PlanImpossible) as refused:
        tree("""
            create box.a => box.b
            create box.b => box.c
            create box.c => box.b
        """)
    assert str(refused.value) == "these changes wait for one another: t.box.b, t.box.c"
    assert refused.value.hint == "Apply them in two parts with --target."


# --- what a step carries ---


def test_an_update_writes_the_spec_and_clears_what_the_spec_gave_up() -> None:
    """None stands for a field to clear; what is ignored is not written."""
    step = the(
        Verb.UPDATE,
        one_step({"colour": "red", "weight": 2, "size": 1}, {"colour": "red", "weight": 1, "old": "x"}),
    )
    assert step.attributes == {"name": "lab", "colour": "red", "weight": 2, "size": 1, "old": None}


def test_an_ignored_field_is_not_written_even_while_another_is_cleared() -> None:
    """One key less and one more: as many as the spec has, and not the same."""
    step = the(
        Verb.UPDATE,
        one_step({"colour": "red", "weight": 2}, {"colour": "blue", "old": "x"}, ignore_changes=("colour",)),
    )
    assert step.attributes == {"name": "lab", "weight": 2, "old": None}


def test_an_ignored_field_is_written_when_the_object_is_made() -> None:
    """There is nothing yet to leave alone."""
    chosen, _ = decisions("create box.lab ignoring:size")
    assert the(Verb.CREATE, order(chosen)).attributes == {"name": "lab", "size": 1, "shape": "flat"}


def one_step(
    wanted: dict[str, object], was: dict[str, object], *, ignore_changes: tuple[str, ...] = ()
) -> tuple[Step, ...]:
    """The steps of one update."""
    desired = wish("box.lab", wanted, ignore_changes=ignore_changes)
    decision = decide(BOX, desired, memory("box.lab", was), sight("box.lab", was))
    assert decision is not None
    return order([decision])


@pytest.mark.parametrize(
    ("line", "undo"),
    [
        ("create box.lab", ["delete"]),
        ("update box.lab", ["restore"]),
        ("adopt box.lab", ["restore"]),
        ("record box.lab", ["recall"]),
        ("move box.lab from:box.old", ["recall"]),
        ("forget box.lab", ["recall"]),
        ("delete box.lab", ["recreate"]),
        ("replace box.lab", ["recreate", "delete"]),
        ("replace box.lab before-destroy", ["delete", "recreate"]),
        ("deposed box.lab old", ["recreate"]),
    ],
)
def test_each_step_says_how_it_is_taken_back(line: str, undo: list[str]) -> None:
    """What rollback does, known before anybody approves."""
    chosen, deposed = decisions(line)
    assert [str(step.reversal) for step in order(chosen, deposed)] == undo


@pytest.mark.parametrize(("field", "undo"), [("secret", ["none", "delete"]), ("pin", ["none"])])
def test_a_secret_that_is_written_over_cannot_be_taken_back(field: str, undo: list[str]) -> None:
    """The platform never showed the old value, and the reference gives the new one."""
    reference = {field: {"$secret": {"env": "A"}}}
    decision = decide(
        KEY,
        wish("key.lab", reference),
        memory("key.lab", reference),
        sight("key.lab"),
        changed_secrets=frozenset({field}),
    )
    assert decision is not None
    assert [str(step.reversal) for step in order([decision])] == undo
    assert decision.change.irreversible


def test_what_goes_into_the_state_stands_in_the_step() -> None:
    """Needs and protection, for whatever the step does to the platform."""
    for line in ("create box.lab => key.a protected", "update box.lab => key.a protected"):
        [step] = order(decisions(line)[0])
        assert (step.depends_on, step.protected) == ((address("key.a"),), True)


def test_a_step_on_a_live_object_has_its_fingerprint() -> None:
    """So that it is refused when somebody was there in between; a creation expects nothing."""
    chosen, deposed = decisions("""
        create box.a
        update box.b
        delete box.c
        replace box.d
        record box.e
        replace box.g before-destroy
        deposed box.h old
    """)
    marks = {f"{step.verb} {step.address.name}": bool(step.fingerprint) for step in order(chosen, deposed)}
    assert marks == {
        "create a": False,
        "update b": True,
        "delete c": True,
        "delete d": True,
        "create d": False,
        "record e": True,
        "create g": False,
        "delete g": True,
        "delete h": True,
    }


# --- the same plan everywhere, and quickly ---

SHUFFLED = """
import random
from core.trees import decisions, drawn
from reconciler.core.planner import order

TEXT = '''
    create box.a -> key.c key.z
    create key.z
    create key.c
    replace key.hub
    update box.lab -> key.hub
    update box.two -> key.hub
    delete box.x -> key.y
    delete key.y
'''
chosen, _ = decisions(TEXT)
seen = set()
for seed in range(20):
    random.Random(seed).shuffle(chosen)
    seen.add(drawn(order(chosen)))
[one] = seen
print(one)
"""


def in_a_process(code: str, seed: str = "0") -> str:
    """What *code* prints in a process of its own."""
    tests = str(HERE.parents[1])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONHASHSEED": seed},
    )
    assert done.stderr == ""
    return done.stdout


def test_the_order_does_not_depend_on_the_order_of_decisions_nor_on_hashes() -> None:
    """Twenty shuffles under three hash seeds: one tree."""
    assert len({in_a_process(SHUFFLED, seed) for seed in ("0", "1", "4711")}) == 1


def test_networkx_is_loaded_when_changes_depend_on_one_another_and_not_before() -> None:
    """It takes longer to import than a plan of a thousand unchanged resources takes."""
    code = """
from core.trees import tree
tree("create box.a\\ndelete box.b\\nupdate box.c -> key.stays")
print("networkx" in sys.modules)
tree("create box.a => box.b\\ncreate box.b")
print("networkx" in sys.modules)
"""
    assert in_a_process(code).split() == ["False", "True"]


def test_a_long_chain_is_ordered_at_once() -> None:
    """Twenty thousand steps, each waiting for the one before: linear, or this hangs."""
    count = 20_000
    chosen, _ = decisions(
        "\n".join(
            f"create box.n{n:05}" + (f" => box.n{n + 1:05}" if n + 1 < count else "") for n in range(count)
        )
    )
    steps = order(chosen)
    assert [step.address.name for step in steps] == [f"n{n:05}" for n in reversed(range(count))]


def test_a_replacement_with_very_many_dependents_is_ordered_at_once() -> None:
    """One credential under five thousand environments: each is written twice."""
    lines = ["replace key.hub", *(f"update box.n{n:04} -> key.hub" for n in range(5000))]
    steps = order(decisions("\n".join(lines))[0])
    assert len(steps) == 2 + 2 * 5000
