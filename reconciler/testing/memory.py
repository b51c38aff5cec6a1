"""A state, its journals and its lock in memory."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.core.model import (
    NO_STAMP,
    Holder,
    LockInfo,
    Stamp,
    State,
)
from reconciler.core.ports import Journal, Lock, RunSummary
from reconciler.errors import (
    LockHeld,
    LockLost,
    StateError,
    StateMoved,
)
from reconciler.state.records import Begun, Closed, Record
from reconciler.state.summaries import newest_first, summarize


@dataclass
class _MemoryLock:
    info: LockInfo
    lost: bool = False

    def check(self) -> None:
        if self.lost:
            raise LockLost("the lock was broken, or let go of")


class _MemoryJournal:
    def __init__(self, records: list[Record], lock: Lock, fail_at: Callable[[], int | None]) -> None:
        self._records = records
        self._lock = lock
        self._fail_at = fail_at
        self._pending: list[Record] = []
        self._broken: StateError | None = None
        self._closed = False

    def write(self, record: Record) -> None:
        if self._broken is not None:
            raise self._broken
        if self._closed:
            raise StateError("the journal is closed")
        self._pending.append(record)

    async def flush(self) -> None:
        try:
            if self._broken is not None:
                raise self._broken
            self._add()
        except StateError as error:
            self._broken = error
            raise

    def _add(self) -> None:
        if not self._pending:
            return
        self._lock.check()
        limit = self._fail_at()
        if limit is not None and len(self._records) + len(self._pending) > limit:
            raise StateError("the journal cannot be written: no space left on device")
        self._records += self._pending
        self._pending = []

    async def append(self, record: Record) -> None:
        self.write(record)
        await self.flush()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._broken is None:
            await self.flush()


@dataclass
class MemoryBackend:
    """A `StateBackend` in memory.

    ``fail_journal_at`` is a number of records after which the journal cannot
    be written; ``fail_commit`` an error that the next commits raise.
    """

    stack: str = "test"
    state: State | None = None
    journals: dict[str, list[Record]] = field(default_factory=dict)
    open_runs: list[str] = field(default_factory=list)
    fail_journal_at: int | None = None
    fail_commit: StateError | None = None
    _held: _MemoryLock | None = None
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextlib.contextmanager
    def lock(self, command: str, *, timeout: float, waiting: Callable[[str], None]) -> Iterator[Lock]:
        """See `StateBackend.lock`. Never waits."""
        if self._held is not None:
            raise LockHeld(f"the stack is locked by {self._held.info}", holder=str(self._held.info))
        info = LockInfo(f"lock-{next(self._ids)}", Holder("tester", "here", 1, "", ""), command, "now")
        held = self._held = _MemoryLock(info)
        try:
            yield held
        finally:
            held.lost = True
            if self._held is held:
                self._held = None

    @contextlib.contextmanager
    def reading(self, *, timeout: float, waiting: Callable[[str], None]) -> Iterator[None]:
        """See `StateBackend.reading`."""
        if self._held is not None:
            raise LockHeld(f"the stack is locked by {self._held.info}", holder=str(self._held.info))
        yield

    def unlock(self, lock_id: str) -> tuple[LockInfo, bool | None]:
        """See `StateBackend.unlock`."""
        if self._held is None:
            raise StateError("the stack is not locked")
        if self._held.info.id != lock_id:
            raise StateError(f"the lock's id is not {lock_id}")
        self._held.lost = True
        info, self._held = self._held.info, None
        return info, None

    def load(self) -> State:
        """See `StateBackend.load`."""
        return self.state if self.state is not None else State(self.stack)

    def stored_stamp(self) -> Stamp:
        """See `StateBackend.stored_stamp`."""
        return self.state.stamp if self.state is not None else NO_STAMP

    def commit(self, state: State, *, expected: Stamp, lock: Lock) -> None:
        """See `StateBackend.commit`."""
        if self.fail_commit is not None:
            raise self.fail_commit
        if self.stored_stamp() != expected:
            raise StateMoved("somebody committed in between")
        lock.check()
        self.state = state

    def restore(self, state: State, *, lock: Lock) -> None:
        """See `StateBackend.restore`."""
        lock.check()
        self.state = state

    def begin(self, run: str, lock: Lock) -> Journal:
        """See `StateBackend.begin`."""
        lock.check()
        if run in self.journals:
            raise StateError(f"there is a run {run!r} already")
        if (open_run := self.open_run()) is not None:
            raise StateError(f"run {open_run} was never closed; another cannot begin")
        self.open_runs[:] = [run]
        self.journals[run] = []
        return self.resume(run, lock)

    def resume(self, run: str, lock: Lock) -> Journal:
        """See `StateBackend.resume`."""
        lock.check()
        if run not in self.open_runs:
            raise StateError(f"there is no journal of a run {run!r} to go on with")
        return _MemoryJournal(self.journals[run], lock, lambda: self.fail_journal_at)

    def seal(self, run: str, lock: Lock) -> None:
        """See `StateBackend.seal`."""
        lock.check()
        if run not in self.open_runs:
            raise StateError(f"there is no journal of a run {run!r} to close")
        self.open_runs.remove(run)

    def open_run(self) -> str | None:
        """See `StateBackend.open_run`."""
        for run in self.open_runs:
            records = self.journals[run]
            if not (records and isinstance(records[-1], Closed)):
                return run
        return None

    def records(self, run: str) -> Sequence[Record]:
        """See `StateBackend.records`."""
        if run not in self.journals:
            raise StateError(f"there is no run {run!r}")
        return tuple(self.journals[run])

    def runs(self) -> Sequence[RunSummary]:
        """See `StateBackend.runs`."""
        found = []
        for run, records in self.journals.items():
            if records and isinstance(begun := records[0], Begun):
                last = records[-1]
                found.append(summarize(run, begun, last if isinstance(last, Closed) else None))
        return newest_first(found)
