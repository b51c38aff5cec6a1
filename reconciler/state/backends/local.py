"""State, journals and lock as files in one directory, for one host.

::

    .reconciler/
      lock                  who holds the stack; never replaced but by `unlock`
      lock.writing          held for the length of one write; `unlock` waits for it
      state.json            the committed state
      state.previous.json   the one before it
      runs/RUN.open         the journal of the run that is going on, or died
      runs/RUN.journal      journals of runs that ended, whole

Nothing is changed in place: a new state is written beside the old one, made
durable, and takes its name. Directories are 0700 and files 0600.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from reconciler.core.model import NO_STAMP, Holder, LockInfo, Stamp, State
from reconciler.core.ports import Journal, Lock, RunSummary
from reconciler.errors import JournalUnreadable, StateError, StateMoved, StateUnreadable
from reconciler.state import codec
from reconciler.state.journal import FileJournal, read_ends, read_journal, sync_directory
from reconciler.state.lock import FileLock, break_lock, this_process, writing
from reconciler.state.records import Begun, Closed, Record
from reconciler.state.summaries import newest_first, summarize

__all__ = ["LocalBackend"]

_OPEN = ".open"
_SEALED = ".journal"


class LocalBackend:
    """A `StateBackend` in the directory *directory* for the stack named *stack*.

    *now* gives the time as RFC 3339 text, *new_id* an id for a lock.
    """

    def __init__(
        self,
        directory: Path,
        stack: str,
        *,
        now: Callable[[], str],
        new_id: Callable[[], str],
        holder: Callable[[], Holder] = this_process,
    ) -> None:
        self.directory = directory
        self._stack = stack
        self._now = now
        self._new_id = new_id
        self._holder = holder
        self._state = directory / "state.json"
        self._previous = directory / "state.previous.json"
        self._runs = directory / "runs"
        self._lock = directory / "lock"

    # --- lock ---

    @contextlib.contextmanager
    def lock(self, command: str, *, timeout: float, waiting: Callable[[str], None]) -> Iterator[Lock]:
        """See `StateBackend.lock`."""
        info = LockInfo(self._new_id(), self._holder(), command, self._now())
        try:
            self._prepare()
            held = FileLock.acquire(self._lock, info, shared=False, timeout=timeout, waiting=waiting)
        except OSError as error:
            raise self._not_locked(error) from error
        try:
            yield held
        finally:
            held.release(shared=False)

    @contextlib.contextmanager
    def reading(self, *, timeout: float, waiting: Callable[[str], None]) -> Iterator[None]:
        """See `StateBackend.reading`."""
        try:
            self._prepare()
            info = LockInfo("", self._holder(), "", "")
            held = FileLock.acquire(self._lock, info, shared=True, timeout=timeout, waiting=waiting)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise self._not_locked(error) from error
            # There is no lock that we may open: nobody who may write has been here, or else we may not
            # read what they wrote either, and `load` says so.
            held = None
        try:
            yield
        finally:
            if held is not None:
                held.release(shared=True)

    def _not_locked(self, error: OSError) -> StateError:
        return StateError(
            f"the stack cannot be locked: {error.filename or self._lock}: {error.strerror}",
            hint="Nothing was done. reconciler needs room and the right to write there.",
        )

    def unlock(self, lock_id: str) -> tuple[LockInfo, bool | None]:
        """See `break_lock`."""
        return break_lock(self._lock, lock_id)

    # --- state ---

    def load(self) -> State:
        """See `StateBackend.load`."""
        try:
            data = self._state.read_bytes()
        except FileNotFoundError:
            if self._previous.exists() or any(map(self._was_applied, self._journals())):
                raise StateUnreadable(
                    f"{self._state.name} is missing, but this stack has been applied before",
                    hint=f"Put it back into {self.directory}, or restore the state before the last commit: "
                    f"`reconciler state push {self._previous}`.",
                ) from None
            return State(stack=self._stack, stamp=NO_STAMP)
        except OSError as error:
            raise StateUnreadable(f"{self._state} cannot be read: {error.strerror}") from error
        return codec.decode_state(data, stack=self._stack, file=self._state.name)

    @staticmethod
    def _was_applied(path: Path) -> bool:
        """Whether this run was over and left a state, or began on one. What cannot be read may have."""
        begun, closed = read_ends(path)
        if path.suffix == _SEALED and closed is None:
            return True
        return (closed is not None and closed.serial > 0) or (begun is not None and begun.base.serial > 0)

    def commit(self, state: State, *, expected: Stamp, lock: Lock) -> None:
        """See `StateBackend.commit`."""
        self._write(state, lock, expected=expected)

    def restore(self, state: State, *, lock: Lock) -> None:
        """See `StateBackend.restore`."""
        self._write(state, lock, expected=None)

    def _write(self, state: State, lock: Lock, *, expected: Stamp | None) -> None:
        data = codec.encode_state(state)
        try:
            with self._writing(lock):
                if expected is not None:
                    self._expect(expected)
                self._replace(data)
        except OSError as error:
            raise StateError(
                f"the state cannot be written: {error.strerror}",
                hint="The stored state is whole and the journal holds what was done. Make room or repair the "
                "disk; the next `reconciler plan` finishes the commit.",
            ) from error

    def _replace(self, data: bytes) -> None:
        fresh = self._state.with_name("state.json.new")
        try:
            _write_whole(fresh, data)
            self._keep_previous()
            fresh.replace(self._state)
            sync_directory(self.directory)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise

    def _keep_previous(self) -> None:
        """Give the stored state a second name: replacing it takes only the first."""
        if not self._state.exists():
            return
        kept = self._previous.with_name("state.previous.json.new")
        kept.unlink(missing_ok=True)
        try:
            os.link(self._state, kept)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise
            # A file system on which a file has one name only.
            _write_whole(kept, self._state.read_bytes())
        kept.replace(self._previous)

    def _expect(self, expected: Stamp) -> None:
        stored = self.stored_stamp()
        if stored != expected:
            raise StateMoved(
                f"the state is at serial {stored.serial} now, not {expected.serial}",
                hint="Somebody committed in between; make the plan again.",
            )

    def stored_stamp(self) -> Stamp:
        """See `StateBackend.stored_stamp`."""
        try:
            with self._state.open("rb") as file:
                return codec.read_stamp(file.readline())
        except FileNotFoundError:
            return NO_STAMP
        except OSError as error:
            raise StateUnreadable(f"{self._state} cannot be read: {error.strerror}") from error

    @contextlib.contextmanager
    def _writing(self, lock: Lock) -> Iterator[None]:
        """While we write, *lock* is ours and stays so. Raises `LockLost`."""
        with writing(self._lock):
            lock.check()
            yield

    # --- journals ---

    def begin(self, run: str, lock: Lock) -> Journal:
        """See `StateBackend.begin`."""
        lock.check()
        for path in self._journals():
            if path.stem == run:
                raise StateError(f"there is a run {run!r} already")
            if path.suffix == _OPEN:
                if not _is_closed(path):
                    raise StateError(
                        f"run {path.stem} was never closed; another cannot begin",
                        hint="`reconciler plan` settles what it left open.",
                    )
                self.seal(path.stem, lock)
        return FileJournal.create(self._runs / f"{run}{_OPEN}", writing=partial(self._writing, lock))

    def resume(self, run: str, lock: Lock) -> Journal:
        """See `StateBackend.resume`."""
        return FileJournal.reopen(self._runs / f"{run}{_OPEN}", writing=partial(self._writing, lock))

    def seal(self, run: str, lock: Lock) -> None:
        """See `StateBackend.seal`."""
        try:
            with self._writing(lock):
                (self._runs / f"{run}{_OPEN}").replace(self._runs / f"{run}{_SEALED}")
                sync_directory(self._runs)
        except OSError as error:
            raise StateError(f"the journal of run {run} cannot be closed: {error.strerror}") from error

    def open_run(self) -> str | None:
        """See `StateBackend.open_run`."""
        # A run that died between its last record and `seal` is over all the same.
        found = [path.stem for path in self._journals() if path.suffix == _OPEN and not _is_closed(path)]
        if len(found) > 1:
            raise StateUnreadable(
                f"{len(found)} runs were never closed: {', '.join(found)}",
                hint="One stack has one run at a time; somebody put files into " + str(self._runs),
            )
        return found[0] if found else None

    def records(self, run: str) -> Sequence[Record]:
        """See `StateBackend.records`. A run that is over has its last record, or is unreadable."""
        for path in self._journals():
            if path.stem == run:
                return _records(path)
        raise StateError(f"there is no run {run!r}", hint="`reconciler history` lists them.")

    def runs(self) -> Sequence[RunSummary]:
        """See `StateBackend.runs`."""
        return newest_first(found for path in self._journals() if (found := _summary(path)) is not None)

    def _journals(self) -> list[Path]:
        """The files of all runs, oldest first."""
        try:
            found = [path for path in self._runs.iterdir() if path.suffix in (_OPEN, _SEALED)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StateUnreadable(f"{self._runs} cannot be read: {error.strerror}") from error
        return sorted(found, key=lambda path: path.stem)

    def _prepare(self) -> None:
        if self._runs.is_dir():
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)  # the cache of specs may have made it first
        # Whatever the repository around it ignores: a state is no source.
        # The cache of specs may have written it first, where a power cut can still empty it.
        ignore = self.directory / ".gitignore"
        if not ignore.exists() or ignore.read_bytes() in (b"", b"*\n"):
            with contextlib.suppress(FileExistsError):
                _write_whole(ignore, b"*\n")
        self._runs.mkdir(mode=0o700, exist_ok=True)
        sync_directory(self.directory)
        sync_directory(self.directory.parent)


def _write_whole(path: Path, data: bytes) -> None:
    """All of *data* in a file at *path*, on stable storage. Nobody else has it open: it is a new one."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _is_closed(path: Path) -> bool:
    try:
        return read_ends(path)[1] is not None
    except FileNotFoundError:  # sealed while we looked
        return True


def _records(path: Path) -> Sequence[Record]:
    records = read_journal(path)
    if path.suffix == _SEALED and not (records and isinstance(records[-1], Closed)):
        raise JournalUnreadable(
            f"{path.name} is cut off or damaged at record {len(records)}",
            hint="That run was over, and its last record is gone: the disk or a person changed the file. "
            "Restore it from a backup; without it only the history lacks something.",
        )
    return records


def _summary(path: Path) -> RunSummary | None:
    """One run for people; None for one that was cut off before it wrote anything."""
    begun, closed = read_ends(path)
    if begun is None:
        with contextlib.suppress(JournalUnreadable):
            if not any(isinstance(record, Begun) for record in _records(path)):
                return None
    return summarize(path.stem, begun, closed)
