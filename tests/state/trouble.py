"""What can go wrong under a program: the disk, the process, the rights.

System calls are replaced, not code of ours. `Disk` counts them, fails one of
them or ends the process at one of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CALLS = ("open", "write", "pwrite", "fsync", "fdatasync", "ftruncate", "replace", "link", "unlink", "mkdir")
"""The calls with which a program changes what is on a disk, or makes sure that it is."""


@dataclass
class Disk:
    """Every call that changes the disk, counted from 1; what is to go wrong with one of them."""

    patch: pytest.MonkeyPatch
    said: list[str] = field(default_factory=list)
    fail: Callable[[int, str], int | None] = lambda number, name: None
    before: Callable[[int], None] = lambda number: None
    after: Callable[[int], None] = lambda number: None

    def __enter__(self) -> Disk:
        for name in CALLS:
            self.patch.setattr(os, name, self._seen(name, getattr(os, name)))
        return self

    def __exit__(self, *_: object) -> None:
        self.patch.undo()

    def _seen(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **settings: Any) -> Any:
            self.said.append(f"{name} {' '.join(_name(one) for one in arguments[: _paths(name)])}")
            number = len(self.said)
            self.before(number)
            if (code := self.fail(number, name)) is not None:
                raise OSError(code, os.strerror(code))
            try:
                return real(*arguments, **settings)
            finally:
                self.after(number)

        return call


def _paths(name: str) -> int:
    return 2 if name in ("replace", "link") else 1


def _name(target: Any) -> str:
    """The last part of the path of a file, given by path or handle."""
    if isinstance(target, int):
        target = os.readlink(f"/proc/self/fd/{target}")
    return Path(target).name


@contextlib.contextmanager
def disk(**settings: Any) -> Iterator[Disk]:
    """The disk, watched for the length of a block."""
    with pytest.MonkeyPatch.context() as patch, Disk(patch, **settings) as found:
        yield found


def failing(at: int, code: int = errno.ENOSPC) -> Callable[[int, str], int | None]:
    """The call with this number fails."""
    return lambda number, name: code if number == at else None


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file can grow beyond *size* bytes: a disk that is really full, at a byte of our choice."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def no_syncs() -> Iterator[None]:
    """Nothing waits for the disk: for tests that write a thousand files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr(os, "fdatasync", lambda handle: None)
        yield


@contextlib.contextmanager
def ordinary_user() -> Iterator[Path]:
    """A directory of a user to whom rights apply; we are that user, root or not."""
    with tempfile.TemporaryDirectory() as name:
        mine = Path(name)
        am_root = os.geteuid() == 0
        if am_root:
            os.chown(mine, 65534, 65534)
            os.seteuid(65534)
        try:
            yield mine
        finally:
            if am_root:
                os.seteuid(0)
            for path in [mine, *mine.rglob("*")]:
                path.chmod(0o700)


# --- processes -------------------------------------------------------------------------------------------


class Child:
    """A process of our own that runs a function, and can be stopped or killed at any instant."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)

    def stop(self) -> None:
        """Pause it wherever it is."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it wherever it is."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status


@contextlib.contextmanager
def child(work: Callable[[], object]) -> Iterator[Child]:
    """*work* in a process of its own, which does not outlive the block."""
    process = Child(work)
    try:
        yield process
    finally:
        if process.status is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


class Channel:
    """A pipe for lines between processes."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._rest = b""

    def say(self, line: str) -> None:
        """Send a line."""
        os.write(self._write, line.encode() + b"\n")

    def hear(self) -> str:
        """The next line, as soon as there is one."""
        while b"\n" not in self._rest:
            self._rest += os.read(self._read, 4096)
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def all(self) -> list[str]:
        """Every line that was sent by processes that are gone now."""
        os.close(self._write)
        while more := os.read(self._read, 65536):
            self._rest += more
        os.close(self._read)
        return self._rest.decode().splitlines()
