"""Since when each drift is known, and who was told of it: a small file beside the state.

It is no part of the state: it says nothing about what was applied, and a
stack without it only counts ages from now on. So a file that cannot be read
is said and replaced, never a reason to stop.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from reconciler.core.attributes import digest
from reconciler.state.journal import sync_directory

__all__ = ["NAME", "DriftRecord", "Seen", "load_record", "recording", "save_record"]

NAME: Final = "drift.json"
_LOCK: Final = "drift.lock"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """When a drift was first and last found: RFC 3339, UTC."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class DriftRecord:
    """What earlier comparisons found.

    A drift is known by its key: the address alone where the object is gone,
    else the address, a tabulator and the path of the field. ``last_success`` is
    when everything could last be read. ``told`` has, by the name of a
    notification, the keys that it was last told of as open.
    """

    seen: Mapping[str, Seen] = field(default_factory=dict)
    last_success: str = ""
    told: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def at(self, now: str, found: Collection[str], unread: Collection[str]) -> DriftRecord:
        """This record after a comparison that found the drifts *found*.

        What an earlier one found on the resources *unread* (addresses) stays
        as it is: nobody knows that it is over.
        """
        seen = {key: Seen(self.seen[key].first if key in self.seen else now, now) for key in found}
        for key, known in self.seen.items():
            if key not in seen and key.partition("\t")[0] in unread:
                seen[key] = known
        return replace(
            self,
            seen=dict(sorted(seen.items())),
            last_success=self.last_success if unread else now,
        )

    def with_told(self, name: str, keys: Collection[str]) -> DriftRecord:
        """This record once the notification *name* was told that *keys* are open, and no others."""
        return replace(self, told={**self.told, name: sorted(keys)})


class _File(msgspec.Struct):
    format_version: int
    checksum: str
    record: msgspec.Raw


def load_record(directory: Path) -> tuple[DriftRecord, str]:
    """The record in *directory*, or an empty one and what is wrong with the file."""
    path = directory / NAME
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
        if file.format_version != _FORMAT:
            return (
                DriftRecord(),
                f"{path} is of format {file.format_version}, which this version does not know",
            )
        if file.checksum != digest(bytes(file.record)):
            return DriftRecord(), f"{path} is damaged"
        return msgspec.json.decode(file.record, type=DriftRecord), ""
    except FileNotFoundError:
        return DriftRecord(), ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return DriftRecord(), f"{path} is damaged"
    except OSError as error:
        return DriftRecord(), f"{path} cannot be read: {error.strerror}"


def save_record(directory: Path, record: DriftRecord) -> None:
    """Write *record*: all of it, durably, for its owner's eyes; or `OSError`, and the old file stays."""
    body = msgspec.json.encode(record)
    data = msgspec.json.encode(_File(_FORMAT, digest(body), msgspec.Raw(body))) + b"\n"
    fresh = directory / f"{NAME}.{os.getpid()}.new"
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(directory / NAME)
        sync_directory(directory)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def recording(directory: Path) -> Iterator[None]:
    """Hold off other comparisons from reading the record to writing it: two would tell the same twice."""
    handle = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
