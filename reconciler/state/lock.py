"""Who holds the stack, since when, alive or not.

The lock is ``flock`` on a file that is never replaced while it is whole, so a
process that dies lets go of it, whatever kills it. What stands in the file
only tells people who holds it.

Breaking a lock (``unlock``) puts a new file in the place of the old one. Its
holder, paused perhaps, still has a lock on the file that is gone: `FileLock.check`
notices, and is asked before every write that matters. Asking and writing are
one: they stand inside `writing`, and ``unlock`` waits until nobody is in there.
So a process that is paused between the two cannot write when it wakes up.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from reconciler.core.model import Holder, LockInfo
from reconciler.errors import LockHeld, LockLost, StateError
from reconciler.state import codec

__all__ = ["FileLock", "break_lock", "seems_alive", "this_process", "writing"]

_PATIENCE = 5.0
_RUNNING = "running"  # and nobody tells us since when


def this_process() -> Holder:
    """The process that we are, as others can recognise it."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # no such user: a container with an arbitrary uid
        who = f"uid {os.getuid()}"
    pid = os.getpid()
    return Holder(who=_plain(who), host=platform.node(), pid=pid, boot=_boot(), started=_started(pid))


def _plain(text: str) -> str:
    """*text* from the environment or the command line, which may hold bytes that are no text."""
    return text.encode("utf-8", "replace").decode()


def seems_alive(holder: Holder) -> bool | None:
    """Whether the process is running; None when it is on another host, or of another boot elsewhere."""
    if holder.host != platform.node():
        return None
    if holder.boot and holder.boot != _boot():
        return False
    started = _started(holder.pid)
    return bool(started) and (not holder.started or started in (holder.started, _RUNNING))


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
        fields = stat.rpartition(")")[2].split()
        return fields[19] if fields[0] not in "ZX" else ""
    except (OSError, IndexError):  # not Linux, or a Linux that hides the processes of others
        pass
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return ""
    except PermissionError:
        pass
    return _RUNNING


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
        Raises `LockHeld` when the time is up, and `OSError` when there can be
        no lock at this place.
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
        try:
            _clear(handle)
            if not shared:
                os.pwrite(handle, codec.encode(info) + b"\n", 0)
        except BaseException:
            os.close(handle)
            raise
        return cls(path, handle, info)

    def check(self) -> None:
        """Raise `LockLost` when the file at our path is not the one that we locked, or no more."""
        if self._handle < 0:
            raise LockLost("the lock was let go of")
        try:
            intact = _is_at(self._path, self._handle)
        except OSError:
            intact = False
        if not intact:
            raise LockLost(
                "the lock was broken while this process held it",
                hint="Somebody ran `reconciler unlock`. This process stopped writing; the next "
                "`reconciler plan` settles what it had begun.",
            )

    def release(self, *, shared: bool) -> None:
        """Let go."""
        handle, self._handle = self._handle, -1
        if not shared:
            _clear(handle)
        os.close(handle)


def _try(path: Path, mode: int) -> int | None:
    """A handle on the locked file, or None when somebody else has it."""
    while True:
        handle = _open(path, mode)
        try:
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
            if _is_at(path, handle):
                return handle
            # Between open and flock `break_lock` put another file there: that one, then.
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _open(path: Path, mode: int) -> int:
    flags = os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDWR | flags, 0o600)
    except OSError as error:
        if mode == fcntl.LOCK_EX or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return os.open(path, os.O_RDONLY | flags, 0o600)


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _clear(handle: int) -> None:
    """Take the name out of a file that we have locked: whoever was killed left it behind.

    It must not be taken for that of the next holder, a reader say. One that
    may not write leaves it.
    """
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)


@contextlib.contextmanager
def writing(
    path: Path,
    *,
    timeout: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Nobody breaks the lock at *path* in here, and nobody else is in here.

    Raises `LockHeld` when somebody else was for *timeout* seconds: a process
    that was stopped in the middle of a write.
    """
    handle = os.open(path.with_name(path.name + ".writing"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = clock() + timeout
        while not _flocked(handle):
            if clock() >= deadline:
                raise LockHeld(
                    "another process was stopped in the middle of a write",
                    hint=f"`fuser {path}.writing` says which one; end it.",
                )
            sleep(0.005)
        yield
    finally:
        os.close(handle)


def _flocked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> LockInfo | None:
    try:
        info: LockInfo = codec.decode(path.read_bytes(), LockInfo)
        return info
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _describe(path: Path) -> str:
    info = _read(path)
    return str(info) if info is not None else "a reading command"


def break_lock(
    path: Path,
    lock_id: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[LockInfo, bool | None]:
    """Break the lock whose id is *lock_id*. Returns who held it, and whether that process seems alive.

    Raises `StateError` when nobody holds the lock, the id is another one, or
    its holder was stopped in the middle of a write.
    """
    if not path.exists():
        raise StateError("the stack is not locked")
    handle = _try(path, fcntl.LOCK_EX)
    if handle is not None:
        # A holder that died let go by dying; only its name may be left.
        _clear(handle)
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
    try:
        with writing(path, timeout=_PATIENCE, clock=clock, sleep=sleep):
            fresh = path.with_name(path.name + ".new")
            os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
            fresh.replace(path)
    except LockHeld as error:
        raise LockHeld(
            f"the lock cannot be broken while its holder is writing: {info}",
            holder=str(info),
            hint=f"If that process was stopped there, end it first: `kill -9 {info.holder.pid}` on "
            f"{info.holder.host}. That frees the lock.",
        ) from error
    return info, seems_alive(info.holder)
