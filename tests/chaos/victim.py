"""The command under test: a process of its own, which dies where it is told to.

System calls are replaced, in that process only; nothing of ours is. The
process counts every call that changes the disk and every call that talks to
the platform, and ends itself by SIGKILL before or after the one with a given
number. It can take with it what was never synced, as a power cut does, or
live on with a full disk.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ON_DISK = ("open", "write", "fsync", "fdatasync", "ftruncate", "replace", "link", "unlink", "mkdir")
ON_WIRE = ("send", "recv")
_GROWING = ("open", "write", "replace", "link", "mkdir")

Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Trouble:
    """What happens to a command.

    ``kill``: SIGKILL at call ``at``. ``power cut``: the same, and what was
    never synced is gone, or half of it. ``full disk``: from call ``at`` on
    nothing more can be written. ``none``: nothing; the calls are counted.
    """

    kind: Literal["none", "kill", "power cut", "full disk"] = "none"
    at: int = 0
    moment: Moment = "before"
    seed: str = ""


NONE = Trouble()


class _Disk:
    """What of a directory would be there after a power cut: what was synced, under names that were."""

    def __init__(self, root: Path, real: Mapping[str, Callable[..., Any]]) -> None:
        self._root = root
        self._real = real
        self._contents: dict[int, bytes] = {}
        self._held: dict[int, int] = {}
        self._names: dict[Path, dict[str, int]] = {}
        for folder in self._folders():
            self._names[folder] = self._listed(folder)
            for name in self._names[folder]:
                self._keep(folder / name)

    def seen(self, handle: int) -> None:
        """Hold on to a file, so that no other gets its inode while we tell files apart by that."""
        inode = os.fstat(handle).st_ino
        if inode not in self._held:
            self._held[inode] = os.dup(handle)

    def synced(self, handle: int) -> None:
        """A file's contents, or a directory's names, are durable from here on."""
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path.is_dir():
            self._names[path] = self._listed(path)
        elif path.is_relative_to(self._root) and path.is_file():
            self._keep(path)

    def lose(self, chance: random.Random) -> None:
        """Make the directory what it might be after the power went."""
        # Looked at once: a call of another thread that was under way may still make a file.
        there = {folder: self._listed(folder) for folder in self._folders()}
        inodes = {
            inode: (folder / name).read_bytes()
            for folder, listed in there.items()
            for name, inode in listed.items()
        }
        for folder in sorted({*there, *self._names}):
            durable = self._names.get(folder, {})
            now = there.get(folder, {})
            if now == durable and all(inodes[one] == self._contents.get(one) for one in now.values()):
                continue
            # Each name that changed is as it was, or as it is; a directory's changes keep no order.
            names = {name: (now if chance.random() < 0.5 else durable).get(name) for name in {*now, *durable}}
            folder.mkdir(parents=True, exist_ok=True)
            for name in now:
                (folder / name).unlink()
            for name, inode in names.items():
                if inode is not None:
                    self._put(folder / name, self._left_of(inode, inodes, chance))

    def _left_of(self, inode: int, inodes: Mapping[int, bytes], chance: random.Random) -> bytes:
        durable = self._contents.get(inode, b"")
        now = inodes.get(inode, durable)
        if not now.startswith(durable):
            return durable
        return now[: chance.choice((len(durable), len(now), chance.randint(len(durable), len(now))))]

    def _put(self, path: Path, data: bytes) -> None:
        handle = self._real["open"](path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        while data:
            data = data[self._real["write"](handle, data) :]
        os.close(handle)

    def _keep(self, path: Path) -> None:
        handle = self._real["open"](path, os.O_RDONLY)
        self.seen(handle)
        os.close(handle)
        self._contents[path.stat().st_ino] = path.read_bytes()

    def _folders(self) -> list[Path]:
        return [folder for folder in (self._root, self._root / "runs") if folder.is_dir()]

    @staticmethod
    def _listed(folder: Path) -> dict[str, int]:
        # The cache is no memory: whatever is in it may be lost, and nothing of it is believed.
        return {
            entry.name: entry.stat(follow_symlinks=False).st_ino  # scandir's own differs on overlays
            for entry in os.scandir(folder)
            if entry.is_file(follow_symlinks=False) and entry.name != "cache"
        }


def _arm(trouble: Trouble, memory: Path, count: list[int]) -> None:
    real = {name: getattr(os, name) for name in ON_DISK}
    numbers = itertools.count(1)
    disk = _Disk(memory, real) if trouble.kind == "power cut" else None

    dying: list[int] = []

    def die() -> None:
        dying.append(threading.get_ident())
        try:
            if disk is not None:
                disk.lose(random.Random(trouble.seed))
        except BaseException:
            os.write(2, traceback.format_exc().encode())  # which the world takes for a mistake
            raise
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    def seen(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **settings: Any) -> Any:
            if dying:
                if dying[0] != threading.get_ident():
                    threading.Event().wait()  # the power is gone for all threads at once
                return call(*arguments, **settings)
            number = next(numbers)  # threads call, too
            count[0] = max(count[0], number)
            here = number == trouble.at and trouble.kind in ("kill", "power cut")
            if here and trouble.moment == "before":
                die()
            if trouble.kind == "full disk" and number >= trouble.at and name in _GROWING:
                grows = name != "open" or arguments[1] & os.O_CREAT
                if grows:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            try:
                result = call(*arguments, **settings)
            except OSError:
                if here:
                    die()
                raise
            if disk is not None and name == "open":
                disk.seen(result)
            if disk is not None and name in ("fsync", "fdatasync"):
                disk.synced(arguments[0])
            if here:
                die()
            return result

        return wrapped

    for name in ON_DISK:
        setattr(os, name, seen(name, real[name]))
    for name in ON_WIRE:
        setattr(socket.socket, name, seen(name, getattr(socket.socket, name)))


class Command:
    """``reconciler ARGUMENTS`` in a child of this process, started in *directory*.

    Everything is imported already, so that a thousand of them take minutes.
    """

    def __init__(
        self,
        directory: Path,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        said: Path,
        trouble: Trouble = NONE,
    ) -> None:
        from reconciler.cli.app import run

        self.said = said
        self._count, counted = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(counted)
            return
        code = 70
        try:
            os.close(self._count)
            os.chdir(directory)
            os.environ.update(environment)
            handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for stream in (1, 2):
                os.dup2(handle, stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
            count = [0]
            _arm(trouble, directory / ".reconciler", count)
            code = run(list(arguments))
            sys.stdout.flush()
            os.write(counted, str(count[0]).encode())
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def kill_after(self, seconds: float) -> None:
        """SIGKILL at that instant, wherever it is by then."""
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """The exit code; minus 9 when it was killed."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.calls = int(os.read(self._count, 20) or b"0")
        os.close(self._count)
        return code
