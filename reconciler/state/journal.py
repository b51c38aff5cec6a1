"""The journal of a run: what was intended, and what came of it.

A file of lines, each ``CRC32 JSON``, where the JSON carries the record's
number and the batch it was synced with::

    5f1c9a02 {"n":3,"b":2,"type":"Intended","body":{"step":0,"key":"….0"}}

Lines are only ever added. A batch goes out in one write and one sync, and the
next batch is not written before that sync returned. So a damaged line in the
last batch is a write that a crash cut off: nobody acted on it, and it is cut
off again when the journal is next written to. A damaged line with a later
batch behind it was on stable storage once, and that is a reason to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec

from reconciler.errors import JournalUnreadable, StateError
from reconciler.state import codec
from reconciler.state.records import Begun, Closed, Record

__all__ = ["FileJournal", "read_ends", "read_journal", "sync_directory"]

_TYPES: Mapping[str, type] = {kind.__name__: kind for kind in get_args(Record)}


class _Line(msgspec.Struct):
    n: int
    b: int
    type: str
    body: msgspec.Raw


_lines = msgspec.json.Decoder(_Line)


def _line(number: int, batch: int, record: Record) -> bytes:
    line = _Line(number, batch, type(record).__name__, msgspec.Raw(codec.encode(record)))
    body = msgspec.json.encode(line)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _parse(line: bytes) -> _Line | None:
    """The line's content, or None when it is damaged."""
    if len(line) < 10 or line[8:9] != b" ":
        return None
    try:
        if int(line[:8], 16) != zlib.crc32(line[9:]):
            return None
        return _lines.decode(line[9:])
    except (ValueError, msgspec.DecodeError):
        return None


def _record(line: _Line) -> Record:
    record: Record = codec.decode(bytes(line.body), _TYPES[line.type])
    return record


@dataclass(frozen=True, slots=True)
class _Reading:
    lines: tuple[_Line, ...]
    good_bytes: int


def _read(data: bytes, file: str) -> _Reading:
    lines: list[_Line] = []
    offset = 0
    for text in data.splitlines(keepends=True):
        parsed = _parse(text[:-1]) if text.endswith(b"\n") else None
        if parsed is None or parsed.n != len(lines):
            break
        lines.append(parsed)
        offset += len(text)
    else:
        return _Reading(tuple(lines), offset)
    last_batch = lines[-1].b if lines else 0
    behind = [parsed for text in data[offset:].splitlines() if (parsed := _parse(text)) is not None]
    newest = max((line.b for line in behind), default=0)
    same_batch_goes_on = any(line.b == last_batch for line in behind) and newest > last_batch
    if newest > last_batch + 1 or same_batch_goes_on:
        raise JournalUnreadable(
            f"{file} is damaged at record {len(lines)}, and good records follow",
            hint="This is not what a crash leaves behind; the disk or a person changed it. Restore the file "
            "from a backup, or compare the state with the platform by `reconciler drift`.",
        )
    return _Reading(tuple(lines), offset)


def read_journal(path: Path) -> tuple[Record, ...]:
    """The records of a journal, without a torn last batch.

    Raises `JournalUnreadable` when a record that was on stable storage is
    damaged or of a kind that this program does not know.
    """
    reading = _read(path.read_bytes(), path.name)
    try:
        return tuple(map(_record, reading.lines))
    except (KeyError, msgspec.DecodeError) as error:
        raise JournalUnreadable(
            f"{path.name} has a record that this program does not understand",
            hint="A newer reconciler may have written it. Use that version.",
        ) from error


def read_ends(path: Path) -> tuple[Begun | None, Closed | None]:
    """The first and the last record of a run, without reading what is between."""
    with path.open("rb") as file:
        first = _parse(file.readline().rstrip(b"\n"))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4096))
        tail = file.read().splitlines()
    last = _parse(tail[-1]) if tail else None
    begun = _record(first) if first is not None else None
    closed = _record(last) if last is not None and last.type == "Closed" else None
    return (
        begun if isinstance(begun, Begun) else None,
        closed if isinstance(closed, Closed) else None,
    )


class FileJournal:
    """The journal of the run that is going on, open for adding.

    Appends of many tasks share one sync (group commit): each waits for the
    batch that it is in. The first error is final: a journal that could not be
    written takes nothing more, and says so to everybody who waits.
    """

    def __init__(self, path: Path, *, fence: Callable[[], None], records: int, batch: int) -> None:
        self._path = path
        self._fence = fence
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._records = records
        self._batch = batch
        self._waiting: list[Record | asyncio.Future[None]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._broken: StateError | None = None
        self._syncing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    @classmethod
    def create(cls, path: Path, *, fence: Callable[[], None]) -> FileJournal:
        """A new journal at *path*. *fence* raises when we may not write any more."""
        if path.exists():
            raise StateError(f"a journal named {path.name} exists already")
        journal = cls(path, fence=fence, records=0, batch=0)
        sync_directory(path.parent)
        return journal

    @classmethod
    def reopen(cls, path: Path, *, fence: Callable[[], None]) -> FileJournal:
        """The journal of a dead run, to go on with; a torn end is cut off first."""
        data = path.read_bytes()
        reading = _read(data, path.name)
        if reading.good_bytes != len(data):
            fence()
            with path.open("r+b") as file:
                file.truncate(reading.good_bytes)
                os.fsync(file.fileno())
        last = reading.lines[-1].b if reading.lines else 0
        return cls(path, fence=fence, records=len(reading.lines), batch=last)

    def write(self, record: Record) -> None:
        """Add *record* in order; durable no later than the next `append`, `flush` or `close`."""
        if self._broken is not None:
            raise self._broken
        self._waiting.append(record)

    async def append(self, record: Record) -> None:
        """Return when *record* is on stable storage. Raises `StateError` when it cannot be."""
        self.write(record)
        await self.flush()

    async def flush(self) -> None:
        """Return when all that was added is on stable storage."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        if self._flusher is None:
            self._flusher = asyncio.ensure_future(self._flush())
        await done

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                taken, self._waiting = self._waiting, []
                waiters = [item for item in taken if isinstance(item, asyncio.Future)]
                records = [item for item in taken if not isinstance(item, asyncio.Future)]
                if self._broken is None and records:
                    self._batch += 1
                    data = b"".join(
                        _line(self._records + number, self._batch, record)
                        for number, record in enumerate(records)
                    )
                    self._records += len(records)
                    try:
                        await loop.run_in_executor(self._syncing, self._sync, data)
                    except StateError as failure:
                        self._broken = failure
                for waiter in waiters:
                    if not waiter.done():
                        if self._broken is None:
                            waiter.set_result(None)
                        else:
                            waiter.set_exception(self._broken)
        finally:
            self._flusher = None

    def _sync(self, data: bytes) -> None:
        self._fence()
        start = os.lseek(self._file, 0, os.SEEK_END)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fdatasync(self._file)
        except OSError as error:
            # Half a batch must not stand before what a later run writes. Where even
            # this fails, whoever reopens the journal cuts the torn end off.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, start)
            raise StateError(
                f"the journal {self._path.name} cannot be written: {error.strerror}",
                hint="Make room or repair the disk; `reconciler plan` then settles what was under way.",
            ) from error

    async def close(self) -> None:
        """Make everything durable and let go of the file. May be called again."""
        if self._file < 0:
            return
        try:
            if self._broken is None:
                await self.flush()
        finally:
            self._syncing.shutdown()
            os.close(self._file)
            self._file = -1


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
