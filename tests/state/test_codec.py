"""States and plans as bytes: what was written comes back, and nothing else passes for it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state.values import FIELDS, LAB, PLAN, RECORDS, STATE, plans, states

from reconciler.core.attributes import Attributes
from reconciler.core.model import NO_STAMP, ResourceAddress, ResourceState, Stamp, State, Surroundings
from reconciler.core.planner import plan_digest
from reconciler.errors import PlanAltered, ReconcilerError, StateError, StateUnreadable
from reconciler.state import codec
from reconciler.state.records import Record

STATE_FILE = codec.encode_state(STATE)
PLAN_FILE = codec.encode_plan(PLAN)


def read_state(data: bytes) -> State:
    return codec.decode_state(data, stack="test", file="state.json")


def read_plan(data: bytes) -> Any:
    return codec.decode_plan(data, file="x.plan")


# --- what was written comes back -------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(states)
def test_a_state_comes_back_whole(state: State) -> None:
    """Unicode, every marker, numbers of any size: what is read is what was written."""
    data = codec.encode_state(state)
    read = read_state(data)
    assert read == state
    assert codec.encode_state(read) == data
    assert codec.read_stamp(data.splitlines(keepends=True)[0]) == state.stamp


@settings(max_examples=60, deadline=None)
@given(plans, states)
def test_what_a_plan_was_made_beside_comes_back(plan: Any, state: State) -> None:
    """Providers, and of each resource its id and attributes; the digest knows nothing of it."""
    data = codec.encode_plan(plan, Surroundings({"west": "runai"}, state.resources))
    assert read_plan(data) == plan
    assert plan_digest(read_plan(data)) == plan_digest(plan)
    beside = codec.decode_surroundings(data)
    assert beside.providers == {"west": "runai"}
    assert {address: (one.remote_id, one.attributes) for address, one in beside.prior.items()} == {
        address: (one.remote_id, one.attributes) for address, one in state.resources.items()
    }
    assert codec.decode_surroundings(codec.encode_plan(plan)) == Surroundings()


@settings(max_examples=150, deadline=None)
@given(plans)
def test_a_plan_comes_back_whole(plan: Any) -> None:
    """Every field of every change and step; and it is approved under the same digest."""
    data = codec.encode_plan(plan)
    read = read_plan(data)
    assert read == plan
    assert codec.encode_plan(read) == data
    assert plan_digest(read) == plan_digest(plan)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_whole(record: Record) -> None:
    """Each kind of record that a journal may hold."""
    data = codec.encode(record)
    read = codec.decode(data, type(record))
    assert (read, codec.encode(read)) == (record, data)


def test_every_kind_of_record_is_tried() -> None:
    """A new kind of record has to be added to the tests."""
    assert {type(record) for record in RECORDS} == set(get_args(Record))


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_every_field_is_tried(kind: type) -> None:
    """A new field of a value has to be added to the tests."""
    assert list(FIELDS[kind]) == [field.name for field in dataclasses.fields(kind)]


def test_a_state_file_is_what_it_has_always_been() -> None:
    """The bytes of format 1: a file that somebody has today is read by every later version."""
    lines = STATE_FILE.decode().splitlines()
    assert lines == [
        '{"format_version":1,"stack":"test","lineage":"3f6c","serial":41,"last_run":"run-41",'
        '"secret_key":"5eed",'
        '"checksum":"sha256:CHECKSUM",'
        '"resources":['.replace("CHECKSUM", json.loads(STATE_FILE)["checksum"].partition(":")[2]),
        '{"address":"runai.credential.hub","id":"id-1","attributes":{"key":{"$secret":{"env":"HUB"}}},'
        '"secrets":{"key":"9f"}},',
        '{"address":"runai.environment.läb.1","id":"id-2","attributes":{"name":"läb","gpus":4,"ratio":0.5,'
        '"credential":{"$id":"id-1"}},"depends_on":["runai.credential.hub"],"protected":true,'
        '"wire_digest":"sha256:77","deposed":["id-0"]}',
        "]}",
    ]


def test_an_empty_state_comes_back() -> None:
    """No resource, no lineage: the first state there is."""
    state = State("test", NO_STAMP)
    assert read_state(codec.encode_state(state)) == state


def test_attributes_of_a_state_stay_unread() -> None:
    """Reading a state does not look into attributes: their bytes are kept as they are."""
    raw = b'{"a" : 1.50,\n "b":"\\u00e9"}'
    state = State("test", Stamp("x", 1), resources={LAB: ResourceState(LAB, "1", Attributes.from_raw(raw))})
    read = read_state(codec.encode_state(state))
    assert read.resources[LAB].attributes.raw == raw
    assert read == state


SAME_BYTES = """
import hashlib
from reconciler.core.attributes import Attributes
from reconciler.core.model import *
from reconciler.state import codec

addresses = [ResourceAddress("runai", "environment", f"n{number}") for number in range(50)]
state = State("test", Stamp("x", 1), resources={
    address: ResourceState(address, "1", Attributes({"name": address.name}), depends_on=(addresses[0],))
    for address in set(addresses)
})
plan = Plan("test", Stamp("x", 1), "", "", steps=tuple(
    Step(number, Verb.CREATE, address, Reversal.DELETE, attributes=Attributes({"name": address.name}))
    for number, address in enumerate(addresses)
))
print(hashlib.sha256(codec.encode_state(state) + codec.encode_plan(plan)).hexdigest())
"""


def test_the_bytes_do_not_depend_on_the_hash_seed() -> None:
    """Same input, same bytes, in any process."""
    said = {
        subprocess.run(
            [sys.executable, "-c", SAME_BYTES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(said) == 1


def calls(work: Callable[[], object]) -> int:
    """How many calls *work* makes: a measure of it that no other process disturbs."""
    count = 0

    def see(frame: object, event: str, what: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_work_grows_with_the_number_of_resources() -> None:
    """20,000 resources take ten times the work of 2,000, to read and to write."""

    def state(count: int) -> State:
        resources = {
            address: ResourceState(address, f"id-{number}", Attributes.from_raw(b'{"name":"x","gpus":4}'))
            for number in range(count)
            for address in [ResourceAddress("runai", "environment", f"n{number:05}")]
        }
        return State("test", Stamp("x", 1), resources=resources)

    small, large = state(2_000), state(20_000)
    small_file, large_file = codec.encode_state(small), codec.encode_state(large)
    assert calls(lambda: codec.encode_state(large)) < 10.5 * calls(lambda: codec.encode_state(small))
    assert calls(lambda: read_state(large_file)) < 10.5 * calls(lambda: read_state(small_file))
    assert read_state(large_file) == large


# --- nothing else passes for it --------------------------------------------------------------------------


def flipped(data: bytes) -> Iterator[bytes]:
    """*data* with one byte changed: each byte, each bit of it and some more."""
    for position, byte in enumerate(data):
        for mask in (1, 2, 4, 8, 16, 32, 64, 128, 0x03, 0x2A, 0xFF):
            yield data[:position] + bytes([byte ^ mask]) + data[position + 1 :]


def cut(data: bytes) -> Iterator[bytes]:
    """*data* with something missing: each beginning of it, each end of it, each byte."""
    for position in range(len(data)):
        yield data[:position]
        yield data[position + 1 :]
        yield data[:position] + data[position + 1 :]


def longer(data: bytes) -> Iterator[bytes]:
    """*data* with something added, also what JSON does not mind."""
    for more in (b"\n", b" ", b"\0", b"x", b"{}", data):
        yield data + more
        yield more + data
    for position in range(1, len(data)):
        yield data[:position] + b" " + data[position:]


DAMAGES = {"flipped": flipped, "cut": cut, "longer": longer}


def survivors(
    read: Callable[[bytes], object], error: type[ReconcilerError], wrong: Iterator[bytes]
) -> list[bytes]:
    """Those of *wrong* that are read all the same."""
    passed = []
    for data in wrong:
        try:
            read(data)
        except error:
            continue
        passed.append(data)
    return passed


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_refused(damage: str) -> None:
    """Every byte counts, those of the header too: a lineage or serial that rotted is no lineage or serial."""
    assert survivors(read_state, StateUnreadable, DAMAGES[damage](STATE_FILE)) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_empty_state_is_refused(damage: str) -> None:
    """A state without resources has brackets and a checksum all the same."""
    whole = codec.encode_state(State("test", Stamp("x", 7)))
    assert survivors(read_state, StateUnreadable, DAMAGES[damage](whole)) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_plan_is_refused(damage: str) -> None:
    """What was reviewed is what is applied, to the byte."""
    assert survivors(read_plan, PlanAltered, DAMAGES[damage](PLAN_FILE)) == []


@settings(max_examples=100, deadline=None)
@given(plans, st.data())
def test_any_plan_with_a_changed_byte_is_refused(plan: Any, data: st.DataObject) -> None:
    """Wherever it stands, whatever it becomes."""
    whole = codec.encode_plan(plan, Surroundings({"runai": "runai"}, STATE.resources))
    position = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[position]))
    with pytest.raises(PlanAltered):
        read_plan(whole[:position] + bytes([byte]) + whole[position + 1 :])


def test_a_plan_whose_checksums_were_made_to_fit_has_another_digest() -> None:
    """Whoever forges the file cannot keep the digest that was approved."""
    forged = dataclasses.replace(PLAN, steps=(dataclasses.replace(PLAN.steps[0], remote_id="id-3"),))
    assert plan_digest(read_plan(codec.encode_plan(forged))) != plan_digest(PLAN)


ODD = {
    "empty": (b"", "it is empty"),
    "blank": (b" \n\t\n", "it is empty"),
    "zeros": (b"\0" * 5000, "it is cut off or damaged"),
    "not JSON": (b"#!/bin/sh\n", "it is cut off or damaged"),
    "no text": (b"\xff\xfe{}", "it is cut off or damaged"),
    "text that is no UTF-8": (b'{"format_version":1,"stack":"\xff"}', "it is cut off or damaged"),
    "deep": (b"[" * 200_000, "it is cut off or damaged"),
    "deep inside": (b'{"format_version":1,"stack":' + b"[" * 200_000, "it is cut off or damaged"),
    "JSON of something else": (b'{"a":1}', "it is not a state as reconciler writes it"),
    "a list": (b"[]", "it is not a state as reconciler writes it"),
    "null": (b"null", "it is not a state as reconciler writes it"),
    "a Terraform state": (
        b'{"version": 4, "serial": 1, "lineage": "x", "resources": []}\n',
        "it is not a state as reconciler writes it",
    ),
    "an older format": (STATE_FILE.replace(b'n":1', b'n":0', 1), "it is not a state as reconciler writes it"),
    "reformatted": (
        json.dumps(json.loads(STATE_FILE), indent=2).encode(),
        "it is not a state as reconciler writes it",
    ),
    "cut off": (STATE_FILE[:-1], "it is cut off or damaged"),
    "something behind it": (STATE_FILE + b"{}", "it is cut off or damaged"),
    "another serial": (
        STATE_FILE.replace(b'"serial":41', b'"serial":14'),
        "its checksum does not fit its contents",
    ),
    "another id": (STATE_FILE.replace(b'"id-2"', b'"id-3"'), "its checksum does not fit its contents"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_no_state_is_refused_by_name(case: str) -> None:
    """The message says which file and what is wrong with it, the hint where a good copy is."""
    data, what = ODD[case]
    with pytest.raises(StateUnreadable) as caught:
        read_state(data)
    assert (str(caught.value), caught.value.hint) == (
        f"state.json cannot be read as a state: {what}",
        "Nothing was changed. The state before the last commit is kept beside it as state.previous.json; "
        "`reconciler state push FILE` puts a good copy back.",
    )


def test_a_state_of_another_stack_is_refused() -> None:
    """Both stacks are named."""
    with pytest.raises(StateUnreadable, match=r"state.json belongs to the stack 'test', not to 'other'"):
        codec.decode_state(STATE_FILE, stack="other", file="state.json")


NEWER = {
    "the same fields": STATE_FILE.replace(b'"format_version":1', b'"format_version":2'),
    "other fields": b'{"format_version":2,"things":[1,2]}',
    "on many lines": b'{\n  "things": [],\n  "format_version": 2\n}\n',
}


@pytest.mark.parametrize("case", NEWER)
def test_a_newer_state_is_refused_as_such(case: str) -> None:
    """Whatever a later version changes about it, the user learns what to install."""
    with pytest.raises(StateUnreadable) as caught:
        read_state(NEWER[case])
    assert (str(caught.value), caught.value.hint) == (
        "state.json has format 2; this program knows up to 1",
        "A newer reconciler wrote it. Install that version, or a later one.",
    )


ODD_PLANS = {
    "empty": b"",
    "not JSON": b"plan\n",
    "no text": b"\xff\xfe",
    "deep": b"[" * 200_000,
    "JSON of something else": b'{"a":1}',
    "a state": STATE_FILE,
    "an older format": PLAN_FILE.replace(b'"format_version":1', b'"format_version":0'),
    "a field more": PLAN_FILE.replace(b'"plan":{', b'"plan":{"extra":1,'),
    "two plans": PLAN_FILE * 2,
}


@pytest.mark.parametrize("case", ODD_PLANS)
def test_what_is_no_plan_is_refused_by_name(case: str) -> None:
    """The message says which file; nothing was done."""
    with pytest.raises(PlanAltered) as caught:
        read_plan(ODD_PLANS[case])
    assert (str(caught.value), caught.value.hint) == (
        "x.plan is not a plan as reconciler wrote it",
        "A byte was changed, or it was cut off. Nothing was done; make the plan again.",
    )


@pytest.mark.parametrize(
    "data",
    [PLAN_FILE.replace(b'"format_version":1', b'"format_version":2'), b'{"format_version":2,"what":"ever"}'],
    ids=["the same fields", "other fields"],
)
def test_a_newer_plan_is_refused_as_such(data: bytes) -> None:
    """Not as one that somebody altered."""
    with pytest.raises(PlanAltered, match=r"x.plan has plan format 2; this program knows up to 1"):
        read_plan(data)


def test_a_damaged_first_line_has_no_stamp() -> None:
    """What is stored is compared by its first line, and a torn one is an error."""
    first = STATE_FILE.splitlines(keepends=True)[0]
    assert codec.read_stamp(first) == STATE.stamp
    for length in range(len(first) - 1):
        with pytest.raises(StateUnreadable):
            codec.read_stamp(first[:length])


def test_text_that_is_none_is_not_written() -> None:
    """Bytes of a command line that are not UTF-8 are refused, not written as something else."""
    with pytest.raises(StateError, match=r"'state rm \\udcff' is not UTF-8 and cannot be written down"):
        codec.encode({"command": "state rm \udcff"})


def test_the_checksum_is_over_header_and_lines() -> None:
    """The header with an empty checksum, then the lines, each framed by its length: anybody can check it."""
    first, _, rest = STATE_FILE.partition(b"\n")
    body = rest[: -len(b"\n]}\n")]
    found = json.loads(STATE_FILE)["checksum"]
    header = first.replace(found.encode(), b"").removesuffix(b',"resources":[') + b"}"
    hasher = hashlib.sha256()
    for part in (header, body):
        hasher.update(len(part).to_bytes(8, "big") + part)
    assert found == "sha256:" + hasher.hexdigest()
