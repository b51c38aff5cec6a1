"""State, journals and lock as files in one directory, for one host.

::

    .reconciler/
      lock                  who holds the stack; never replaced but by `unlock`
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
from pathlib import Path

from reconciler.core.model import NO_STAMP, Holder, LockInfo, Stamp, State
from reconciler.core.ports import Journal, Lock, RunSummary
from reconciler.errors import StateError, StateMoved, StateUnreadable
from reconciler.state import codec
from reconciler.state.journal import FileJournal, read_ends, read_journal, sync_directory
from reconciler.state.lock import FileLock, break_lock, this_process
from reconciler.state.records import Record

__all__ = ["LocalBackend"]


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
        self._prepare()
        info = LockInfo(self._new_id(), self._holder(), command, self._now())
        held = FileLock.acquire(self._lock, info, shared=False, timeout=timeout, waiting=waiting)
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
                raise
            # Where we may not write, no writer of ours can be either.
            yield
            return
        try:
            yield
        finally:
            held.release(shared=True)

    def unlock(self, lock_id: str) -> tuple[LockInfo, bool | None]:
        """See `break_lock`."""
        return break_lock(self._lock, lock_id)

    # --- state ---

    def load(self) -> State:
        """See `StateBackend.load`."""
        try:
            data = self._state.read_bytes()
        except FileNotFoundError:
            if self._previous.exists() or any(self._committed(path) for path in self._runs.glob("*.journal")):
                raise StateUnreadable(
                    f"{self._state.name} is missing, but this stack has been applied before",
                    hint=f"Put it back into {self.directory}, or restore the state before the last commit: "
                    f"`reconciler state push {self._previous}`.",
                ) from None
            return State(stack=self._stack, stamp=NO_STAMP)
        except OSError as error:
            raise StateUnreadable(f"{self._state} cannot be read: {error.strerror}") from error
        return codec.decode_state(data, stack=self._stack, file=self._state.name)

    def commit(self, state: State, *, expected: Stamp, lock: Lock) -> None:
        """See `StateBackend.commit`."""
        stored = self.stored_stamp()
        if stored != expected:
            raise StateMoved(
                f"the state is at serial {stored.serial} now, not {expected.serial}",
                hint="Somebody committed in between; make the plan again.",
            )
        self._write(state, lock)

    def restore(self, state: State, *, lock: Lock) -> None:
        """See `StateBackend.restore`."""
        self._prepare()
        self._write(state, lock)

    def _write(self, state: State, lock: Lock) -> None:
        fresh = self._state.with_name("state.json.new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(codec.encode_state(state))
                file.flush()
                os.fsync(file.fileno())
            lock.check()
            if self._state.exists():
                # A second name for the old file; the rename below takes only the first.
                kept = self._previous.with_name("state.previous.json.new")
                kept.unlink(missing_ok=True)
                os.link(self._state, kept)
                kept.replace(self._previous)
            fresh.replace(self._state)
            sync_directory(self.directory)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise StateError(
                f"the state cannot be written: {error.strerror}",
                hint="The old state is whole and the journal holds what was done. Make room or repair the "
                "disk; the next `reconciler plan` finishes the commit.",
            ) from error

    @staticmethod
    def _committed(path: Path) -> bool:
        closed = read_ends(path)[1]
        return closed is not None and closed.serial > 0

    def stored_stamp(self) -> Stamp:
        """See `StateBackend.stored_stamp`."""
        try:
            with self._state.open("rb") as file:
                return codec.read_stamp(file.readline())
        except FileNotFoundError:
            return NO_STAMP

    # --- journals ---

    def begin(self, run: str, lock: Lock) -> Journal:
        """See `StateBackend.begin`."""
        self._prepare()
        return FileJournal.create(self._runs / f"{run}.open", fence=lock.check)

    def resume(self, run: str, lock: Lock) -> Journal:
        """See `StateBackend.resume`."""
        return FileJournal.reopen(self._runs / f"{run}.open", fence=lock.check)

    def seal(self, run: str, lock: Lock) -> None:
        """See `StateBackend.seal`."""
        lock.check()
        (self._runs / f"{run}.open").replace(self._runs / f"{run}.journal")
        sync_directory(self._runs)

    def open_run(self) -> str | None:
        """See `StateBackend.open_run`."""
        found = sorted(path.stem for path in self._runs.glob("*.open"))
        if len(found) > 1:
            raise StateUnreadable(
                f"{len(found)} runs were never closed: {', '.join(found)}",
                hint="One stack has one run at a time; somebody put files into " + str(self._runs),
            )
        return found[0] if found else None

    def records(self, run: str) -> Sequence[Record]:
        """See `StateBackend.records`."""
        for ending in ("open", "journal"):
            path = self._runs / f"{run}.{ending}"
            if path.exists():
                return read_journal(path)
        raise StateError(f"there is no run {run!r}", hint="`reconciler history` lists them.")

    def runs(self) -> Sequence[RunSummary]:
        """See `StateBackend.runs`."""
        summaries = []
        for path in sorted(self._runs.glob("*"), key=lambda found: found.stem, reverse=True):
            begun, closed = read_ends(path)
            if begun is None:
                continue
            summaries.append(
                RunSummary(
                    id=path.stem,
                    command=begun.command,
                    who=f"{begun.holder.who}@{begun.holder.host}",
                    started=begun.started,
                    ended=closed.ended if closed is not None else "",
                    outcome=closed.outcome if closed is not None else "open",
                    digest=begun.digest,
                    revision=begun.revision,
                    counts=closed.counts if closed is not None else {},
                )
            )
        return summaries

    def _prepare(self) -> None:
        if not self._runs.is_dir():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)  # the cache of specs may have made it first
            self._runs.mkdir(mode=0o700, exist_ok=True)
            # Whatever the repository around it ignores: a state is no source.
            with contextlib.suppress(FileExistsError), (self.directory / ".gitignore").open("x") as file:
                file.write("*\n")
