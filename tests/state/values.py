"""States and plans of every shape, for hypothesis, and a small one of each, for tables."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from reconciler.core.attributes import Attributes
from reconciler.core.model import (
    NO_STAMP,
    Action,
    Cause,
    Change,
    FieldChange,
    Holder,
    Manner,
    Phase,
    Plan,
    ResourceAddress,
    ResourceState,
    Reversal,
    Source,
    Stamp,
    State,
    Step,
    UsedBy,
    Verb,
)
from reconciler.state.records import (
    Begun,
    Closed,
    Done,
    Edited,
    Failed,
    Intended,
    Planned,
    PreImage,
    RollbackBegun,
    UndoFailed,
    Undoing,
    Undone,
)

texts = st.text(max_size=8)
words = st.text(st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=6)
addresses = st.builds(ResourceAddress, words, words, st.text(min_size=1, max_size=8))
numbers = st.integers(0, 2**40)
digests = st.just("") | st.binary(min_size=4, max_size=4).map(lambda data: f"sha256:{data.hex()}")

markers = (
    addresses.map(lambda address: {"$ref": str(address)})
    | texts.map(lambda remote_id: {"$id": remote_id})
    | st.sampled_from(["env", "file"]).flatmap(lambda kind: texts.map(lambda name: {"$secret": {kind: name}}))
    | st.lists(texts, max_size=2).map(lambda words: {"$secret": {"command": words}})
    | texts.map(lambda name: {"$lookup": {"kind": "project", "name": name}})
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | markers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
attributes = st.dictionaries(texts, values, max_size=4).map(Attributes)
paths = st.lists(texts | st.integers(0, 9), min_size=1, max_size=3).map(tuple)


def several(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """A short tuple."""
    return st.lists(of, max_size=3).map(tuple)


FIELDS: dict[type, dict[str, st.SearchStrategy[Any]]] = {
    ResourceState: {
        "address": addresses,
        "remote_id": texts,
        "attributes": attributes,
        "secrets": st.dictionaries(texts, texts, max_size=2),
        "depends_on": several(addresses),
        "protected": st.booleans(),
        "wire_digest": digests,
        "deposed": several(texts),
    },
    Stamp: {"lineage": texts, "serial": numbers},
    Source: {"file": texts, "line": numbers},
    UsedBy: {"kind": texts, "name": texts, "status": texts, "active": st.booleans()},
    FieldChange: {
        "path": paths,
        "before": values,
        "after": values,
        "cause": st.sampled_from(Cause),
        "sensitive": st.booleans(),
        "forces_replace": st.booleans(),
    },
}
FIELDS[Change] = {
    "address": addresses,
    "action": st.sampled_from(Action),
    "reason": texts,
    "fields": several(st.builds(FieldChange, **FIELDS[FieldChange])),
    "source": st.none() | st.builds(Source, **FIELDS[Source]),
    "remote_id": texts,
    "moved_from": st.none() | addresses,
    "risks": several(texts),
    "irreversible": texts,
    "used_by": several(st.builds(UsedBy, **FIELDS[UsedBy])),
    "manner": st.sampled_from(Manner),
}
FIELDS[Step] = {
    "number": numbers,
    "verb": st.sampled_from(Verb),
    "address": addresses,
    "reversal": st.sampled_from(Reversal),
    "phase": st.sampled_from(Phase),
    "attributes": st.none() | attributes,
    "remote_id": texts,
    "fingerprint": digests,
    "waits": several(numbers),
    "depends_on": several(addresses),
    "protected": st.booleans(),
    "deposes": st.booleans(),
    "moved_from": st.none() | addresses,
}
FIELDS[Plan] = {
    "stack": texts,
    "base": st.builds(Stamp, **FIELDS[Stamp]),
    "specs_digest": digests,
    "revision": texts,
    "changes": several(st.builds(Change, **FIELDS[Change])),
    "steps": several(st.builds(Step, **FIELDS[Step])),
    "warnings": several(texts),
    "refusals": several(texts),
    "partial": several(texts),
    "tool": texts,
    "destroy": st.booleans(),
    "undoes": texts,
    "config_digest": texts,
}
FIELDS[State] = {
    "stack": st.just("test"),
    "stamp": st.builds(Stamp, **FIELDS[Stamp]),
    "last_run": texts,
    "secret_key": texts,
    "resources": st.lists(st.builds(ResourceState, **FIELDS[ResourceState]), max_size=4).map(
        lambda records: {record.address: record for record in records}
    ),
}
"""For each of our values a strategy for each of its fields: a test says that none is left out."""

states = st.builds(State, **FIELDS[State])
plans = st.builds(Plan, **FIELDS[Plan])

HUB = ResourceAddress("runai", "credential", "hub")
LAB = ResourceAddress("runai", "environment", "läb.1")

STATE = State(
    stack="test",
    stamp=Stamp("3f6c", 41),
    last_run="run-41",
    secret_key="5eed",
    resources={
        LAB: ResourceState(
            LAB,
            "id-2",
            Attributes({"name": "läb", "gpus": 4, "ratio": 0.5, "credential": {"$id": "id-1"}}),
            depends_on=(HUB,),
            protected=True,
            wire_digest="sha256:77",
            deposed=("id-0",),
        ),
        HUB: ResourceState(
            HUB, "id-1", Attributes({"key": {"$secret": {"env": "HUB"}}}), secrets={"key": "9f"}
        ),
    },
)

PLAN = Plan(
    stack="test",
    base=Stamp("3f6c", 41),
    specs_digest="sha256:5b",
    revision="0a1b2c+",
    changes=(
        Change(
            LAB,
            Action.UPDATE,
            "changed",
            (FieldChange(("tools", 0, "größe"), None, [1, {"a": 0.5}], Cause.BOTH, forces_replace=True),),
            Source("läb.toml", 3),
            "id-2",
            ResourceAddress("runai", "environment", "old"),
            ("used",),
            "not at all",
            (UsedBy("workspace", "w-1", "Running", True),),
        ),
    ),
    steps=(
        Step(
            0,
            Verb.UPDATE,
            LAB,
            Reversal.RESTORE,
            Phase.REPLACING,
            Attributes({"gpus": 4, "hub": {"$ref": str(HUB)}}),
            "id-2",
            "sha256:11",
            (0,),
            (HUB,),
            True,
            True,
            ResourceAddress("runai", "environment", "old"),
        ),
    ),
    warnings=("careful",),
    refusals=("no",),
    partial=("--target x",),
    tool="reconciler 1",
    destroy=True,
    undoes="r0",
    config_digest="sha256:66",
)

BEGUN = Begun(
    run="r1",
    command="apply",
    base=NO_STAMP,
    lineage="3f6c",
    secret_key="5eed",
    holder=Holder("ann", "here", 7, "boot", "123"),
    started="2026-01-01T00:00:00Z",
    digest="sha256:5b",
    revision="0a1b",
)
CLOSED = Closed("applied", "2026-01-01T00:01:00Z", 1, {"done": 2})
PRE_IMAGE = PreImage("id-1", Attributes({"name": "läb", "gpus": 4}), "v7")
RECORDS = (
    BEGUN,
    Planned(PLAN),
    Intended(0, "r1.0", PRE_IMAGE, {"key": "9f"}),
    Done(0, "id-9", "sha256:77", "found"),
    Failed(1, "no “room”", "asked"),
    RollbackBegun("a step failed"),
    Undoing(0, "r1.0.undo"),
    Undone(0, "id-10", "found"),
    UndoFailed(1, "gone", "DELETE /x", "asked", "id-11"),
    Edited(tuple(STATE.resources.values()), (LAB, HUB)),
    CLOSED,
)
"""One record of each kind, every field set."""
