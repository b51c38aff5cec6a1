"""What the records of a run make of the state.

A case is text. Above the arrow stand what the state had (``had``), the steps
of the plan in their order (``step``) and what the journal says (the rest);
below it what is remembered, and which steps nobody knows the outcome of::

    had lab id-1 gpus=1 hub=@id-0          a record: name, id, attributes ...
    step update lab gpus=2                 ... ``@x`` is the id x, ``&x`` a reference to the resource x
    done 0 id-1
    =>
    lab id-1 gpus=2 hub=@id-0

After ``|`` stand the things beside attributes: ``| from=old deposes id=x``.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state.values import RECORDS

from reconciler.core.attributes import Attributes
from reconciler.core.model import (
    NO_STAMP,
    Plan,
    ResourceAddress,
    ResourceState,
    Reversal,
    Stamp,
    State,
    Step,
    Verb,
)
from reconciler.state.records import (
    Closed,
    Done,
    Edited,
    Failed,
    Intended,
    Planned,
    Record,
    RollbackBegun,
    UndoFailed,
    Undoing,
    Undone,
)
from reconciler.state.replay import Replay, replay

CASES = {
    "nothing happened": """
        had lab id-1 gpus=1
        step update lab gpus=2
        =>
        lab id-1 gpus=1
    """,
    "create": """
        step create lab gpus=1 name=lab | after=hub protected
        intend 0
        done 0 id-1 digest=w1
        =>
        lab id-1 gpus=1 name=lab | after=hub protected digest=w1
    """,
    "create what was gone from the platform": """
        had lab id-1 gpus=1 | secrets=key:9f digest=w1
        step create lab gpus=1
        done 0 id-2 digest=w2
        =>
        lab id-2 gpus=1 | digest=w2
    """,
    "an update keeps what it does not name": """
        had lab id-1 gpus=1 image=a ignored=x | secrets=key:9f deposed=id-0 after=old protected
        step update lab gpus=2 image=null | after=new
        done 0 id-1 digest=w2
        =>
        lab id-1 gpus=2 ignored=x | secrets=key:9f deposed=id-0 after=new digest=w2
    """,
    "an update of what was not managed": """
        step update lab gpus=2 image=null
        done 0 id-1
        =>
        lab id-1 gpus=2
    """,
    "an update sends a secret": """
        had lab id-1 key=a | secrets=key:9f,token:77
        step update lab key=b
        intend 0 secrets=key:8e
        done 0 id-1
        =>
        lab id-1 key=b | secrets=key:8e,token:77
    """,
    "a create sends a secret": """
        had lab id-1 key=a | secrets=key:9f,token:77
        step create lab key=b
        intend 0 secrets=key:8e
        done 0 id-2
        =>
        lab id-2 key=b | secrets=key:8e
    """,
    "record": """
        had lab id-1 gpus=1 extra=x | secrets=key:9f deposed=id-0
        step record lab gpus=1 | after=hub
        done 0 id-1 digest=w1
        =>
        lab id-1 gpus=1 | secrets=key:9f deposed=id-0 after=hub digest=w1
    """,
    "record what is adopted": """
        step record lab gpus=1
        done 0 id-7
        =>
        lab id-7 gpus=1
    """,
    "delete and forget": """
        had lab id-1
        had old id-2
        had kept id-3
        step delete lab | id=id-1
        step forget old | id=id-2
        done 0 id-1
        done 1 id-2
        =>
        kept id-3
    """,
    "what failed changes nothing": """
        had lab id-1 gpus=1
        step update lab gpus=2
        step create hub
        intend 0
        intend 1
        failed 0
        failed 1
        =>
        lab id-1 gpus=1
    """,
    "an intent without an outcome is open": """
        had lab id-1
        had hub id-2
        step create a
        step update lab gpus=2
        step delete hub
        intend 2
        intend 0
        intend 1
        done 0 id-3
        =>
        a id-3
        hub id-2
        lab id-1
        open 2 1
    """,
    "undoing without an outcome is open": """
        step create a
        step create b
        intend 0
        done 0 id-1
        intend 1
        done 1 id-2
        rollback
        undoing 1
        undoing 0
        undone 1
        =>
        a id-1
        open 0 backward
    """,
    # --- references
    "a reference to something new becomes its id": """
        step create hub
        step create lab credential=&hub other=&elsewhere
        done 0 id-1
        done 1 id-2
        =>
        hub id-1
        lab id-2 credential=@id-1 other=&elsewhere
    """,
    # --- moves
    "a move": """
        had old id-1 gpus=1 | secrets=key:9f deposed=id-0
        step record new gpus=1 | from=old
        done 0 id-1
        =>
        new id-1 gpus=1 | secrets=key:9f deposed=id-0
    """,
    "a move with a change": """
        had old id-1 gpus=1 ignored=x
        step update new gpus=2 | from=old
        done 0 id-1
        =>
        new id-1 gpus=2 ignored=x
    """,
    "a move and a replacement": """
        had old id-1 gpus=1
        step delete new | id=id-1 from=old
        step create new gpus=2
        done 0 id-1
        done 1 id-2
        =>
        new id-2 gpus=2
    """,
    "a move and a replacement that leaves the old object for later": """
        had old id-1 gpus=1 | deposed=id-0
        step create new gpus=2 | id=id-1 from=old deposes
        done 0 id-2
        =>
        new id-2 gpus=2 | deposed=id-0,id-1
    """,
    "a move taken back": """
        had old id-1 gpus=1 ignored=x | secrets=key:9f digest=w1
        step update new gpus=2 | from=old
        intend 0 secrets=key:8e
        done 0 id-1 digest=w2
        undone 0 id-1
        =>
        old id-1 gpus=1 ignored=x | secrets=key:9f digest=w1
    """,
    "a moved object that was let go of and written again, taken back": """
        had old id-1 gpus=1 hub=@id-0 | secrets=key:9f
        step update new hub=null | from=old
        step update new gpus=2 hub=@id-9
        done 0 id-1
        done 1 id-1
        undone 1 id-1
        undone 0 id-1
        =>
        old id-1 gpus=1 hub=@id-0 | secrets=key:9f
    """,
    "a moved object that was let go of and written again, half taken back": """
        had old id-1 gpus=1 hub=@id-0 | secrets=key:9f
        step update new hub=null | from=old
        step update new gpus=2 hub=@id-9
        done 0 id-1
        done 1 id-1
        undone 1 id-1
        =>
        new id-1 gpus=1 | secrets=key:9f
    """,
    "a move and a replacement taken back": """
        had old id-1 gpus=1
        step delete new | id=id-1 from=old
        step create new gpus=2
        done 0 id-1
        done 1 id-2
        undone 1
        undone 0 id-3
        =>
        old id-3 gpus=1
    """,
    # --- replacements
    "a replacement that lets go of what refers to it": """
        had hub id-1 key=a
        had lab id-2 gpus=1 credentials=@id-1 | after=hub protected
        step update lab credentials=null | after=hub protected
        step delete hub | id=id-1
        step create hub key=b
        step update lab credentials=&hub gpus=1 | after=hub
        done 0 id-2
        done 1 id-1
        done 2 id-3
        done 3 id-2
        =>
        hub id-3 key=b
        lab id-2 credentials=@id-3 gpus=1 | after=hub
    """,
    "cut off while nobody refers to it": """
        had hub id-1 key=a
        had lab id-2 gpus=1 credentials=@id-1 | after=hub protected
        step update lab credentials=null | after=hub protected
        step delete hub | id=id-1
        step create hub key=b
        step update lab credentials=&hub gpus=1 | after=hub
        done 0 id-2
        done 1 id-1
        intend 2
        =>
        lab id-2 gpus=1 | after=hub protected
        open 2
    """,
    "a replacement taken back: the object has another id, and who referred to it knows": """
        had hub id-1 key=a | digest=w1
        had lab id-2 gpus=1 credentials=@id-1 deep=[@id-1,@id-5]
        step update lab credentials=null deep=null
        step delete hub | id=id-1
        step create hub key=b
        step update lab credentials=&hub gpus=1
        done 0 id-2
        done 1 id-1
        done 2 id-3
        done 3 id-2
        rollback
        undone 3 id-2
        undone 2
        undone 1 id-9
        undone 0 id-2
        =>
        hub id-9 key=a | digest=w1
        lab id-2 credentials=@id-9 deep=[@id-9,@id-5] gpus=1
    """,
    "the old object is removed after the new one is there": """
        had lab id-1 shape=a | deposed=id-0
        step create lab shape=b | id=id-1 deposes
        step delete lab | id=id-1 deposes
        done 0 id-2
        done 1 id-1
        =>
        lab id-2 shape=b | deposed=id-0
    """,
    "cut off before the old object is removed": """
        had lab id-1 shape=a | deposed=id-0
        step create lab shape=b | id=id-1 deposes
        step delete lab | id=id-1 deposes
        done 0 id-2
        intend 1
        =>
        lab id-2 shape=b | deposed=id-0,id-1
        open 1
    """,
    "the new object is taken back": """
        had lab id-1 shape=a | deposed=id-0 digest=w1
        step create lab shape=b | id=id-1 deposes
        step delete lab | id=id-1 deposes
        done 0 id-2
        undone 0
        =>
        lab id-1 shape=a | deposed=id-0 digest=w1
    """,
    "what replaced an object stays, and who referred to the old one refers to it": """
        had hub id-1 key=a
        had lab id-2 credentials=@id-1
        step update lab credentials=null
        step delete hub | id=id-1
        step create hub key=b
        done 0 id-2
        done 1 id-1
        done 2 id-3
        rollback
        undo-failed 2
        undo-failed 1 id-3
        undone 0 id-2
        =>
        hub id-3 key=b
        lab id-2 credentials=@id-3
    """,
    "the old object is made again, then the new one is taken back": """
        had lab id-1 shape=a | deposed=id-0
        step create lab shape=b | id=id-1 deposes
        step delete lab | id=id-1 deposes
        done 0 id-2 digest=w2
        done 1 id-1
        undone 1 id-9
        undone 0
        =>
        lab id-9 shape=a | deposed=id-0
    """,
    "the old object is made again, and the new one could not be taken back": """
        had lab id-1 shape=a
        step create lab shape=b | id=id-1 deposes
        step delete lab | id=id-1 deposes
        done 0 id-2 digest=w2
        done 1 id-1
        undone 1 id-9
        undo-failed 0
        =>
        lab id-2 shape=b | deposed=id-9 digest=w2
    """,
    # --- taken back
    "a create taken back": """
        step create lab gpus=1
        done 0 id-1
        undone 0
        =>
    """,
    "a create of what was gone taken back": """
        had lab id-1 gpus=1 | secrets=key:9f digest=w1
        step create lab gpus=1
        done 0 id-2
        undone 0
        =>
        lab id-1 gpus=1 | secrets=key:9f digest=w1
    """,
    "an update taken back": """
        had lab id-1 gpus=1 image=a | secrets=key:9f digest=w1 after=hub protected
        step update lab gpus=2 image=null key=x
        intend 0 secrets=key:8e
        done 0 id-1 digest=w2
        undone 0 id-1
        =>
        lab id-1 gpus=1 image=a | secrets=key:9f digest=w1 after=hub protected
    """,
    "a delete taken back": """
        had lab id-1 gpus=1 | secrets=key:9f digest=w1 after=hub protected
        step delete lab | id=id-1
        done 0 id-1
        undone 0 id-2
        =>
        lab id-2 gpus=1 | secrets=key:9f digest=w1 after=hub protected
    """,
    "a delete of what was gone already, taken back": """
        had lab id-1 gpus=1 | digest=w1
        step delete lab | id=id-1
        done 0 id-1
        undone 0
        =>
        lab id-1 gpus=1 | digest=w1
    """,
    "what touched the state alone is remembered as it was": """
        had lab id-1 gpus=1 | secrets=key:9f digest=w1
        had old id-2 gpus=2 | digest=w2
        step record lab gpus=1 | after=hub
        step forget old | id=id-2
        done 0 id-1
        done 1 id-2
        undone 1
        undone 0
        =>
        lab id-1 gpus=1 | secrets=key:9f digest=w1
        old id-2 gpus=2 | digest=w2
    """,
    "what could not be taken back stays": """
        step create lab gpus=1
        done 0 id-1
        undoing 0
        undo-failed 0
        =>
        lab id-1 gpus=1
    """,
    # --- edits
    "an edit": """
        had lab id-1 gpus=1
        had old id-2
        remove old
        put new id-2 gpus=3 | secrets=key:9f
        =>
        lab id-1 gpus=1
        new id-2 gpus=3 | secrets=key:9f
    """,
    "an edit of one address": """
        had lab id-1 gpus=1
        remove lab
        put lab id-2
        =>
        lab id-2
    """,
}


# --- from text to values ---------------------------------------------------------------------------------


def address(name: str) -> ResourceAddress:
    return ResourceAddress("fake", "box", name)


def value(text: str) -> Any:
    if text.startswith("["):
        return [value(part) for part in text[1:-1].split(",")]
    if text[0] in "@&":
        return {"$id": text[1:]} if text[0] == "@" else {"$ref": str(address(text[1:]))}
    return {"null": None}.get(text, int(text) if text.isdigit() else text)


def pairs(words: Iterable[str]) -> dict[str, str]:
    return {key: rest for key, _, rest in (word.partition("=") for word in words)}


def mapping(text: str) -> dict[str, str]:
    return dict(part.split(":") for part in text.split(",") if part)


def names(text: str) -> tuple[ResourceAddress, ...]:
    return tuple(address(name) for name in text.split(",") if name)


def resource(text: str) -> ResourceState:
    about, _, more = text.partition("|")
    name, remote_id, *attributes = about.split()
    beside = pairs(more.split())
    return ResourceState(
        address(name),
        remote_id,
        Attributes({key: value(rest) for key, rest in pairs(attributes).items()}),
        mapping(beside.get("secrets", "")),
        names(beside.get("after", "")),
        "protected" in beside,
        beside.get("digest", ""),
        tuple(filter(None, beside.get("deposed", "").split(","))),
    )


def step(number: int, text: str) -> Step:
    about, _, more = text.partition("|")
    verb, name, *attributes = about.split()
    beside = pairs(more.split())
    writes = verb in ("create", "update", "record")
    return Step(
        number,
        Verb(verb),
        address(name),
        Reversal.NONE,
        attributes=Attributes({k: value(v) for k, v in pairs(attributes).items()}) if writes else None,
        remote_id=beside.get("id", ""),
        depends_on=names(beside.get("after", "")),
        protected="protected" in beside,
        deposes="deposes" in beside,
        moved_from=address(beside["from"]) if "from" in beside else None,
    )


def record(word: str, text: str) -> Record:
    if word == "put":
        return Edited(put=(resource(text),))
    if word == "remove":
        return Edited(removed=(address(text),))
    if word == "rollback":
        return RollbackBegun("a step failed")
    number, *more = shlex.split(text)
    beside = pairs(word for word in more if "=" in word)
    remote_id = next((word for word in more if "=" not in word), "")
    at, digest = int(number), beside.get("digest", "")
    match word:
        case "intend":
            return Intended(at, f"r1.{at}", secrets=mapping(beside.get("secrets", "")))
        case "done":
            return Done(at, remote_id, digest)
        case "failed":
            return Failed(at, "no")
        case "undoing":
            return Undoing(at, f"r1.{at}.undo")
        case "undone":
            return Undone(at, remote_id)
        case "undo-failed":
            return UndoFailed(at, "no", instead=remote_id)
    raise AssertionError(word)


def read(text: str) -> tuple[State, list[Record]]:
    """The state that the case begins with, and the records of its run."""
    had: list[ResourceState] = []
    steps: list[Step] = []
    records: list[Record] = []
    for line in dedent(text).strip().splitlines():
        word, _, rest = line.partition(" ")
        if word == "had":
            had.append(resource(rest))
        elif word == "step":
            steps.append(step(len(steps), rest))
        else:
            records.append(record(word, rest))
    state = State("test", NO_STAMP, resources={one.address: one for one in had})
    planned = [Planned(Plan("test", NO_STAMP, "", "", steps=tuple(steps)))] if steps else []
    return state, [*planned, *records]


def wanted(text: str) -> tuple[dict[ResourceAddress, ResourceState], list[tuple[int, bool]]]:
    """The resources and open steps below the arrow."""
    lines = dedent(text).strip().splitlines()
    resources = [resource(line) for line in lines if not line.startswith("open")]
    still_open = [
        (int(number), "backward" in line)
        for line in lines
        if line.startswith("open")
        for number in line.split()[1:]
        if number.isdigit()
    ]
    return {one.address: one for one in resources}, still_open


def opened(found: Replay) -> list[tuple[int, bool]]:
    return [(one.step, isinstance(one, Undoing)) for one in found.open_steps]


# --- the cases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_journal_means_one_state(case: str) -> None:
    """The fold of each verb, forward and backward."""
    above, below = dedent(CASES[case]).split("=>")
    found = replay(*read(above))
    assert (found.resources, opened(found)) == wanted(below)


@pytest.mark.parametrize("case", CASES)
def test_a_journal_can_be_read_up_to_any_record(case: str) -> None:
    """A run may die after any of them; going on from there comes to the same."""
    state, records = read(dedent(CASES[case]).split("=>")[0])
    for length in range(len(records) + 1):
        found = replay(state, records[:length])
        assert len(found.open_steps) <= length
        for one in records[length:]:
            found.add(one)
        assert found == replay(state, records)
    assert state == read(dedent(CASES[case]).split("=>")[0])[0]


PARALLEL = {
    "two old objects": (
        """
        had lab id-1 shape=a | deposed=id-7,id-8
        step delete lab | id=id-7 deposes
        step delete lab | id=id-8 deposes
        """,
        "lab id-1 shape=a | deposed=id-7x,id-8x",
    ),
    "an object and an older one that was left behind": (
        """
        had lab id-1 shape=a | deposed=id-7
        step delete lab | id=id-1
        step delete lab | id=id-7 deposes
        """,
        "lab id-1x shape=a | deposed=id-7x",
    ),
    "an object and two older ones": (
        """
        had lab id-1 shape=a | deposed=id-7,id-8
        step delete lab | id=id-1
        step delete lab | id=id-7 deposes
        step delete lab | id=id-8 deposes
        """,
        "lab id-1x shape=a | deposed=id-7x,id-8x",
    ),
    "one that moved and an older one": (
        """
        had old id-1 shape=a | deposed=id-7
        step update lab shape=b | from=old
        step delete lab | id=id-7 deposes
        """,
        "old id-1 shape=a | deposed=id-7x",
    ),
}


@pytest.mark.parametrize("case", PARALLEL)
def test_steps_that_do_not_wait_for_one_another_are_taken_back_in_any_order(case: str) -> None:
    """No object is forgotten, and none is remembered twice, whichever is made again first."""
    above, below = PARALLEL[case]
    state, [planned] = read(above)
    assert isinstance(planned, Planned)
    steps = planned.plan.steps
    for forward in itertools.permutations(steps):
        for backward in itertools.permutations(steps):
            done = [Done(one.number, one.remote_id or "id-1") for one in forward]
            undone = [
                Undone(one.number, f"{one.remote_id}x" if one.verb is Verb.DELETE else "id-1")
                for one in backward
            ]
            assert replay(state, [planned, *done, *undone]).resources == wanted(below)[0]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_was_done_and_taken_back_is_as_before(data: st.DataObject) -> None:
    """Any steps on any resources, undone in any order that keeps the order of each resource's own steps."""
    had = {name: f"id-{name}" for name in data.draw(st.sets(st.sampled_from("abcd")))}
    state = State(
        "test",
        Stamp("x", 1),
        resources={
            address(name): ResourceState(address(name), remote_id, Attributes({"size": 1, "other": name}))
            for name, remote_id in had.items()
        },
    )
    there = dict(had)
    steps: list[Step] = []
    for name in data.draw(st.lists(st.sampled_from("abcd"), max_size=8)):
        verb = data.draw(
            st.sampled_from(["update", "delete", "forget", "record"] if name in there else ["create"])
        )
        writes = verb in ("create", "update", "record")
        number = len(steps)
        steps.append(
            Step(
                number,
                Verb(verb),
                address(name),
                Reversal.NONE,
                attributes=Attributes({"size": number}) if writes else None,
                remote_id=there.get(name, ""),
            )
        )
        there[name] = there.get(name, f"id-{number}")
        if verb in ("delete", "forget"):
            del there[name]
    done = [Done(one.number, one.remote_id or f"id-{one.number}") for one in steps]
    left: dict[str, list[Step]] = {}
    for one in steps:
        left.setdefault(one.address.name, []).append(one)
    undone = []
    while left:
        name = data.draw(st.sampled_from(sorted(left)))
        one = left[name].pop()
        undone.append(Undone(one.number, one.remote_id if one.verb is Verb.DELETE else ""))
        if not left[name]:
            del left[name]
    planned = Planned(Plan("test", NO_STAMP, "", "", steps=tuple(steps)))
    found = replay(state, [planned, *done, *undone])
    assert found.resources == state.resources


# --- the rest of what a journal says ---------------------------------------------------------------------


def test_a_journal_tells_how_far_its_run_came() -> None:
    """Begun, planned, rolled back, edited, closed: each is told."""
    found = replay(State("test", NO_STAMP), RECORDS[:2])
    assert (found.begun, found.plan) == (RECORDS[0], RECORDS[1].plan)  # type: ignore[union-attr]
    assert (found.rollback, found.edited, found.closed, found.has_effect) == (False, False, None, False)
    found.add(RollbackBegun("x"))
    found.add(Edited())
    found.add(Closed("applied", "now", 1))
    assert (found.rollback, found.edited, found.has_effect) == (True, True, True)
    assert found.closed == Closed("applied", "now", 1)


def test_a_run_in_which_nothing_was_done_has_no_effect() -> None:
    """Intents and failures alone leave the state as it is: nothing has to be committed."""
    state, records = read(
        """
        had lab id-1
        step update lab gpus=2
        intend 0
        failed 0
        """
    )
    assert not replay(state, records).has_effect
    assert replay(state, [*records[:2], Done(0, "id-1")]).has_effect


def test_attributes_without_references_are_not_copied() -> None:
    """Most have none, and there are many."""
    plain = Attributes({"gpus": 1})
    assert replay(State("test", NO_STAMP), ()).resolved(plain) is plain
