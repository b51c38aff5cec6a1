"""State and Plan as bytes: versioned, canonical, checked.

A state file is one JSON document: the header on the first line, then a line
for each resource, sorted by address::

    {"format_version":1,"stack":"dev","lineage":"…","serial":3,…,"checksum":"sha256:…","resources":[
    {"address":"runai.environment.llm-train","id":"9d4f…","attributes":{…}},
    …
    ]}

The checksum is over all the rest, header and resources. Attributes stay as
they are in the file until somebody looks into them, so that reading a state
costs little more than its bytes.

A plan file is one JSON document on one line: the plan, and what it was made
beside, which apply never looks into. Both are canonical: what is read
is what would be written, to the byte, so that a changed byte anywhere is
noticed.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from reconciler.core.attributes import Attributes, digest, to_json
from reconciler.core.model import Plan, ResourceAddress, ResourceState, Stamp, State, Surroundings
from reconciler.core.planner import plan_digest
from reconciler.errors import PlanAltered, StateError, StateUnreadable

__all__ = [
    "FORMAT_VERSION",
    "decode",
    "decode_plan",
    "decode_state",
    "decode_surroundings",
    "encode",
    "encode_plan",
    "encode_state",
    "read_stamp",
]

FORMAT_VERSION: Final = 1
_BEFORE: Final = b',"resources":[\n'
_AFTER: Final = b"\n]}\n"
_DAMAGE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Record(msgspec.Struct, omit_defaults=True):
    address: str
    id: str
    attributes: msgspec.Raw
    secrets: dict[str, str] = {}
    depends_on: tuple[str, ...] = ()
    protected: bool = False
    wire_digest: str = ""
    deposed: tuple[str, ...] = ()


class _Header(msgspec.Struct):
    format_version: int
    stack: str
    lineage: str
    serial: int
    last_run: str
    secret_key: str
    checksum: str


class _Versioned(msgspec.Struct):
    format_version: int


def _from_json(wanted: type, value: Any) -> Any:
    if wanted is Attributes:
        return Attributes(value)
    raise NotImplementedError(f"no value of {wanted} in JSON")


_encoder = msgspec.json.Encoder(enc_hook=to_json)
_records = msgspec.json.Decoder(list[_Record])
_headers = msgspec.json.Decoder(_Header)
_versions = msgspec.json.Decoder(_Versioned)


def encode(value: Any) -> bytes:
    """The JSON of one of our values: fields in the order of their class.

    Raises `StateError` when a text in it is none, such as bytes from the
    command line that are not UTF-8.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError as error:
        raise StateError(f"{error.object!r} is not UTF-8 and cannot be written down") from error


def decode(data: bytes, wanted: Any) -> Any:
    """The value of type *wanted* in *data*. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(data, type=wanted, dec_hook=_from_json)


# --- state ---------------------------------------------------------------------------------------------


def encode_state(state: State) -> bytes:
    """The bytes of a state file."""
    lines = []
    for address in sorted(state.resources):
        one = state.resources[address]
        record = _Record(
            address=str(address),
            id=one.remote_id,
            attributes=msgspec.Raw(one.attributes.raw),
            secrets=dict(one.secrets),
            depends_on=tuple(map(str, one.depends_on)),
            protected=one.protected,
            wire_digest=one.wire_digest,
            deposed=one.deposed,
        )
        lines.append(_encoder.encode(record))
    body = b",\n".join(lines)
    header = _Header(
        format_version=FORMAT_VERSION,
        stack=state.stack,
        lineage=state.stamp.lineage,
        serial=state.stamp.serial,
        last_run=state.last_run,
        secret_key=state.secret_key,
        checksum="",
    )
    header.checksum = _checksum(header, body)
    return _start(header) + body + _AFTER


def _start(header: _Header) -> bytes:
    return _encoder.encode(header)[:-1] + _BEFORE


def _checksum(header: _Header, body: bytes | memoryview) -> str:
    return digest(_encoder.encode(msgspec.structs.replace(header, checksum="")), body)


def _first_line(line: bytes) -> _Header:
    return _headers.decode(line + b"]}")


def read_stamp(first_line: bytes) -> Stamp:
    """The stamp in the first line of a state file, unchecked. Raises `StateUnreadable`."""
    try:
        header = _first_line(first_line)
    except _DAMAGE as error:
        raise _unreadable("its first line is damaged") from error
    return Stamp(header.lineage, header.serial)


def decode_state(data: bytes, *, stack: str, file: str) -> State:
    """The state in the bytes of a state file.

    Raises `StateUnreadable`, naming *file*, when the bytes are not all there,
    not ours, newer than this program, or of another stack.
    """
    if not data[:4096].strip() and not data.strip():
        raise _unreadable("it is empty", file)
    try:
        header = _first_line(data[: data.find(b"\n") + 1])
    except _DAMAGE as error:
        _check_format(data, file)
        raise _unreadable("it is cut off or damaged", file) from error
    if header.format_version != FORMAT_VERSION:
        _check_format(data, file)
    start = _start(header)
    whole = len(data) >= len(start) + len(_AFTER) and data.startswith(start) and data.endswith(_AFTER)
    if not whole:
        raise _unreadable("it is cut off or damaged", file)
    if _checksum(header, memoryview(data)[len(start) : -len(_AFTER)]) != header.checksum:
        raise _unreadable("its checksum does not fit its contents", file)
    if header.stack != stack:
        raise StateUnreadable(
            f"{file} belongs to the stack {header.stack!r}, not to {stack!r}",
            hint="Each stack needs a state of its own; put back the one that belongs here.",
        )
    records = _records.decode(memoryview(data)[len(start) - 2 : -2])
    return State(
        stack=header.stack,
        stamp=Stamp(header.lineage, header.serial),
        last_run=header.last_run,
        secret_key=header.secret_key,
        resources={one.address: one for one in map(_resource, records)},
    )


def _newer_format(data: bytes) -> int | None:
    """The format version of *data* when it is whole JSON of a version that we do not know yet."""
    try:
        version = _versions.decode(data).format_version
    except _DAMAGE:
        return None
    return version if version > FORMAT_VERSION else None


def _check_format(data: bytes, file: str) -> None:
    """Raise what fits when *data* is whole JSON, but not as this program writes it."""
    if newer := _newer_format(data):
        raise StateUnreadable(
            f"{file} has format {newer}; this program knows up to {FORMAT_VERSION}",
            hint="A newer reconciler wrote it. Install that version, or a later one.",
        )
    try:
        msgspec.json.decode(data)
    except _DAMAGE:
        return
    raise _unreadable("it is not a state as reconciler writes it", file)


def _resource(record: _Record) -> ResourceState:
    return ResourceState(
        address=ResourceAddress(*record.address.split(".", 2)),
        remote_id=record.id,
        attributes=Attributes.from_raw(bytes(record.attributes)),
        secrets=record.secrets,
        depends_on=tuple(ResourceAddress(*text.split(".", 2)) for text in record.depends_on),
        protected=record.protected,
        wire_digest=record.wire_digest,
        deposed=record.deposed,
    )


def _unreadable(what: str, file: str = "the state file") -> StateUnreadable:
    return StateUnreadable(
        f"{file} cannot be read as a state: {what}",
        hint="Nothing was changed. The state before the last commit is kept beside it as "
        "state.previous.json; `reconciler state push FILE` puts a good copy back.",
    )


# --- plan ----------------------------------------------------------------------------------------------


class _PlanFile(msgspec.Struct):
    format_version: int
    digest: str
    checksum: str
    plan: msgspec.Raw
    beside: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Beside(msgspec.Struct):
    providers: dict[str, str]
    prior: list[_Record]


def encode_plan(plan: Plan, beside: Surroundings | None = None) -> bytes:
    """The bytes of a plan file; with *beside*, whole objects can be shown from it later."""
    return _plan_file(plan, _encoder.encode(_beside(beside)) if beside is not None else None)


def _plan_file(plan: Plan, beside: bytes | None) -> bytes:
    body = _encoder.encode(plan)
    parts = (body,) if beside is None else (body, beside)
    file = _PlanFile(
        FORMAT_VERSION,
        plan_digest(plan),
        digest(*parts),
        msgspec.Raw(body),
        msgspec.UNSET if beside is None else msgspec.Raw(beside),
    )
    return _encoder.encode(file) + b"\n"


def _beside(found: Surroundings) -> _Beside:
    return _Beside(
        dict(sorted(found.providers.items())),
        [
            _Record(str(address), one.remote_id, msgspec.Raw(one.attributes.raw))
            for address, one in sorted(found.prior.items())
        ],
    )


def decode_plan(data: bytes, *, file: str) -> Plan:
    """The plan in the bytes of a plan file.

    Raises `PlanAltered`, naming *file*, unless they are to the byte what
    `encode_plan` wrote.
    """
    if newer := _newer_format(data):
        raise PlanAltered(
            f"{file} has plan format {newer}; this program knows up to {FORMAT_VERSION}",
            hint="Make the plan and apply it with the same version.",
        )
    try:
        found = msgspec.json.decode(data, type=_PlanFile)
        plan: Plan = decode(bytes(found.plan), Plan)
        beside = None if found.beside is msgspec.UNSET else bytes(found.beside)
        same = _plan_file(plan, beside) == data
    except _DAMAGE as error:
        raise _altered(file) from error
    if not same:
        raise _altered(file)
    return plan


def decode_surroundings(data: bytes) -> Surroundings:
    """What the plan in *data*, which `decode_plan` has read without complaint, was made beside."""
    found = msgspec.json.decode(data, type=_PlanFile).beside
    if found is msgspec.UNSET:
        return Surroundings()
    beside = msgspec.json.decode(found, type=_Beside)
    return Surroundings(beside.providers, {one.address: one for one in map(_resource, beside.prior)})


def _altered(file: str) -> PlanAltered:
    return PlanAltered(
        f"{file} is not a plan as reconciler wrote it",
        hint="A byte was changed, or it was cut off. Nothing was done; make the plan again.",
    )
