"""The journal of a run: what was intended, and what came of it.

A file of lines, each ``CRC32 JSON``, where the JSON carries the record's
number and that of the first record of the batch that it was synced with::

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
import io
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from reconciler.errors import JournalUnreadable, StateError
from reconciler.state import codec
from reconciler.state.records import Begun, Closed, Record

__all__ = ["FileJournal", "read_ends", "read_journal", "sync_directory"]

T = TypeVar("T")

Writing = Callable[[], AbstractContextManager[None]]

_STARTS = re.compile(rb'[0-9a-f]{8} (?={"n":)')
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
_TYPES: Mapping[str, type] = {kind.__name__: kind for kind in get_args(Record)}


class _Line(msgspec.Struct):
    n: int
    b: int
    type: str
    body: msgspec.Raw


_lines = msgspec.json.Decoder(_Line)


def _body(record: Record) -> bytes:
    body = codec.encode(record)
    if b"\n" in body:
        # Attributes are written as they came, and a line may have no end inside.
        body = msgspec.json.format(body, indent=-1)
    return body


def _line(number: int, batch: int, kind: str, body: bytes) -> bytes:
    text = msgspec.json.encode(_Line(number, batch, kind, msgspec.Raw(body)))
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> _Line | None:
    """The line's content, or None when it is damaged or has no end."""
    text = line[9:-1]
    if line[:9] != b"%08x " % zlib.crc32(text) or not line.endswith(b"\n"):
        return None
    try:
        return _lines.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
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
    for text in io.BytesIO(data):
        parsed = _parse(text)
        if parsed is None or parsed.n != len(lines):
            break
        lines.append(parsed)
        offset += len(text)
    for start in _STARTS.finditer(data, offset):
        # Found by how a line begins: what is damaged may be the end of the line before it.
        behind = _parse(data[start.start() : data.find(b"\n", start.end()) + 1])
        if behind is not None and behind.b > len(lines):
            raise JournalUnreadable(
                f"{file} is damaged at record {len(lines)}, and good records follow",
                hint="This is not what a crash leaves behind; the disk or a person changed it. Restore the "
                "file from a backup, or compare the state with the platform by `reconciler drift`.",
            )
    return _Reading(tuple(lines), offset)


def _unreadable(path: Path, error: OSError) -> JournalUnreadable:
    return JournalUnreadable(f"{path} cannot be read: {error.strerror}")


def read_journal(path: Path) -> tuple[Record, ...]:
    """The records of a journal, without a torn last batch.

    Raises `JournalUnreadable` when a record that was on stable storage is
    damaged or of a kind that this program does not know.
    """
    try:
        reading = _read(path.read_bytes(), path.name)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return tuple(map(_record, reading.lines))
    except (KeyError, msgspec.DecodeError) as error:
        raise JournalUnreadable(
            f"{path.name} has a record that this program does not understand",
            hint="A newer reconciler may have written it. Use that version.",
        ) from error


def read_ends(path: Path) -> tuple[Begun | None, Closed | None]:
    """The first and the last record of a run, without reading what is between; None for what is not there."""
    try:
        with path.open("rb") as file:
            first = file.readline()
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 4096))
            last = file.read().splitlines(keepends=True)[-1:]
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error
    return _end(first, Begun), _end(last[0] if last else b"", Closed)


def _end(line: bytes, wanted: type[T]) -> T | None:
    parsed = _parse(line)
    if parsed is None or parsed.type != wanted.__name__:
        return None
    try:
        found: T = codec.decode(bytes(parsed.body), wanted)
    except msgspec.DecodeError:
        return None
    return found


class FileJournal:
    """The journal of the run that is going on, open for adding.

    Appends of many tasks share one sync (group commit): each waits for the
    batch that it is in. The first error is final: a journal that could not be
    written takes nothing more, and says so to everybody who waits.

    Whatever is written is written inside *writing*, which raises when we may
    not write any more, and keeps that from becoming so meanwhile.
    """

    def __init__(self, path: Path, handle: int, *, writing: Writing, records: int) -> None:
        self._path = path
        self._file = handle
        self._writing = writing
        self._records = records
        self._waiting: list[tuple[str, bytes] | asyncio.Future[None]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._broken: Exception | None = None
        self._syncing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    @classmethod
    def create(cls, path: Path, *, writing: Writing) -> FileJournal:
        """A new journal at *path*."""
        try:
            with writing():
                handle = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
                with _closed_on_error(handle):
                    sync_directory(path.parent)
        except FileExistsError as error:
            raise StateError(f"a journal named {path.name} exists already") from error
        except OSError as error:
            raise _unwritable(path, error) from error
        return cls(path, handle, writing=writing, records=0)

    @classmethod
    def reopen(cls, path: Path, *, writing: Writing) -> FileJournal:
        """The journal of a dead run, to go on with; a torn end is cut off first."""
        try:
            with writing():
                data = path.read_bytes()
                reading = _read(data, path.name)
                handle = os.open(path, _FLAGS)
                with _closed_on_error(handle):
                    if reading.good_bytes != len(data):
                        os.ftruncate(handle, reading.good_bytes)
                    # What a killed process wrote and never synced: from here on somebody acts on it.
                    os.fsync(handle)
                    sync_directory(path.parent)
        except OSError as error:
            raise _unwritable(path, error) from error
        return cls(path, handle, writing=writing, records=len(reading.lines))

    def write(self, record: Record) -> None:
        """Add *record* in order; durable no later than the next `append`, `flush` or `close`."""
        if self._broken is not None:
            raise self._broken
        if self._file < 0:
            raise StateError(f"the journal {self._path.name} is closed")
        # Encoded here, so that a record that cannot be is an error of whoever adds it, and of nobody else.
        self._waiting.append((type(record).__name__, _body(record)))

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
                added = [item for item in taken if not isinstance(item, asyncio.Future)]
                if added:
                    await loop.run_in_executor(self._syncing, self._add, added)
                for waiter in waiters:
                    if waiter.done():
                        continue
                    if self._broken is None:
                        waiter.set_result(None)
                    else:
                        waiter.set_exception(self._broken)
        finally:
            self._flusher = None

    def _add(self, added: Sequence[tuple[str, bytes]]) -> None:
        """Write one batch, or never again. Runs in the one thread that does."""
        if self._broken is not None:
            return
        first = self._records
        data = b"".join(_line(number, first, *item) for number, item in enumerate(added, start=first))
        try:
            with self._writing():
                self._sync(data)
        except OSError as error:
            self._broken = _unwritable(self._path, error)
            self._broken.__cause__ = error
        except Exception as error:  # whatever it is, everybody who waits is told
            self._broken = error
        else:
            self._records += len(added)

    def _sync(self, data: bytes) -> None:
        start = os.lseek(self._file, 0, os.SEEK_END)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            getattr(os, "fdatasync", os.fsync)(self._file)  # macOS has only the other
        except OSError:
            # Half a batch must not stand before what a later run writes. Where even
            # this fails, whoever reopens the journal cuts the torn end off.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, start)
            raise

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


def _unwritable(path: Path, error: OSError) -> StateError:
    if isinstance(error, FileNotFoundError):
        return StateError(f"there is no journal {path.name}")
    return StateError(
        f"the journal {path.name} cannot be written: {error.strerror}",
        hint="Make room or repair the disk; `reconciler plan` then settles what was under way.",
    )


@contextlib.contextmanager
def _closed_on_error(handle: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(handle)
        raise


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
