"""Who holds the stack, since when, alive or not.

The lock is ``flock`` on a file that is never replaced while it is whole, so a
process that dies lets go of it, whatever kills it. What stands in the file
only tells people who holds it.

Breaking a lock (``unlock``) puts a new file in the place of the old one. Its
holder, paused perhaps, still has a lock on the file that is gone: `FileLock.check`
notices, and is asked before every write that matters.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from reconciler.core.model import Holder, LockInfo
from reconciler.errors import LockHeld, LockLost, StateError
from reconciler.state import codec

__all__ = ["FileLock", "break_lock", "seems_alive", "this_process"]


def this_process() -> Holder:
    """The process that we are, as others can recognise it."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # no such user: a container with an arbitrary uid
        who = f"uid {os.getuid()}"
    pid = os.getpid()
    return Holder(who=who, host=platform.node(), pid=pid, boot=_boot(), started=_started(pid))


def seems_alive(holder: Holder) -> bool | None:
    """Whether the process is running; None when it is on another host, or of another boot elsewhere."""
    if holder.host != platform.node():
        return None
    if holder.boot and holder.boot != _boot():
        return False
    started = _started(holder.pid)
    return bool(started) and (not holder.started or started == holder.started)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux: the start time of the process has to do
        return ""


def _started(pid: int) -> str:
    """When the kernel started this process, in its own units; empty when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The command in parentheses may hold blanks and parentheses itself.
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "running"
    return "running" if not Path("/proc").exists() else ""


class FileLock:
    """A held lock. Get one from `acquire`; `release` lets go."""

    def __init__(self, path: Path, handle: int, info: LockInfo) -> None:
        self._path = path
        self._handle = handle
        self.info = info

    @classmethod
    def acquire(
        cls,
        path: Path,
        info: LockInfo,
        *,
        shared: bool,
        timeout: float,
        waiting: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> FileLock:
        """Take the lock at *path*, exclusively or together with other readers.

        Waits up to *timeout* seconds and tells *waiting* once for whom.
        Raises `LockHeld` when the time is up.
        """
        deadline = clock() + timeout
        pause = 0.02
        told = False
        while True:
            handle = _try(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            if handle is not None:
                break
            holder = _describe(path)
            left = deadline - clock()
            if left <= 0:
                raise LockHeld(
                    f"the stack is locked by {holder}",
                    holder=holder,
                    hint="Wait for it to finish, or give --lock-timeout more time. If its process is gone "
                    "for good, `reconciler unlock ID` breaks the lock.",
                )
            if not told:
                waiting(f"Waiting for the lock held by {holder} …")
                told = True
            sleep(min(pause, left))
            pause = min(pause * 1.5, 0.5)
        if not shared:
            os.ftruncate(handle, 0)
            os.pwrite(handle, codec.encode(info) + b"\n", 0)
        return cls(path, handle, info)

    def check(self) -> None:
        """Raise `LockLost` when the file at our path is not the one that we locked."""
        try:
            intact = self._path.stat().st_ino == os.fstat(self._handle).st_ino
        except FileNotFoundError:
            intact = False
        if not intact:
            raise LockLost(
                "the lock was broken while this process held it",
                hint="Somebody ran `reconciler unlock`. This process stopped writing; the next "
                "`reconciler plan` settles what it had begun.",
            )

    def release(self, *, shared: bool) -> None:
        """Let go."""
        if not shared:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
        os.close(self._handle)


def _try(path: Path, mode: int) -> int | None:
    """A handle on the locked file, or None when somebody else has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
        # Between open and flock the file may have been replaced by `break_lock`.
        if path.stat().st_ino == os.fstat(handle).st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _read(path: Path) -> LockInfo | None:
    try:
        info: LockInfo = codec.decode(path.read_bytes(), LockInfo)
        return info
    except (OSError, msgspec.DecodeError):
        return None


def _describe(path: Path) -> str:
    info = _read(path)
    return str(info) if info is not None else "a reading command"


def break_lock(path: Path, lock_id: str) -> tuple[LockInfo, bool | None]:
    """Break the lock whose id is *lock_id*. Returns who held it, and whether that process seems alive.

    Raises `StateError` when nobody holds the lock or the id is another one.
    """
    if not path.exists():
        raise StateError("the stack is not locked")
    handle = _try(path, fcntl.LOCK_EX)
    if handle is not None:
        # A holder that died let go by dying; only its name may be left.
        os.ftruncate(handle, 0)
        os.close(handle)
        raise StateError(
            "the stack is not locked",
            hint="A process that dies lets go of its lock; there is nothing to break.",
        )
    info = _read(path)
    if info is None:
        raise StateError(
            "the lock is held by a reading command, which names no id",
            hint="Readers finish by themselves; wait for it.",
        )
    if info.id != lock_id:
        raise StateError(
            f"the lock's id is not {lock_id}: it is held by {info}",
            hint="Make sure that this process is the one to stop, then give the id shown here.",
        )
    fresh = path.with_name(path.name + ".new")
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    fresh.replace(path)
    return info, seems_alive(info.holder)
