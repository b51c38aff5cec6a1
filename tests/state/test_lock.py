"""The lock: one holder at a time, whoever dies, pauses or is broken."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import getpass
import itertools
import os
import platform
import pwd
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import LAB, Project
from state.trouble import Channel, child, disk
from state.values import BEGUN, CLOSED

from reconciler.core.attributes import Attributes
from reconciler.core.model import Holder, LockInfo, ResourceAddress, ResourceState, Stamp, State
from reconciler.errors import LockHeld, LockLost, StateError
from reconciler.state.backends.local import LocalBackend
from reconciler.state.lock import FileLock, break_lock, seems_alive, this_process, writing
from reconciler.state.records import Failed

ME = Holder("ann", "here", 7, "boot", "123")
INFO = LockInfo("4a5b", ME, "apply", "2026-01-01T00:00:00Z")


def backend_at(path: Path) -> LocalBackend:
    ids = (f"{os.getpid():x}-{number}" for number in itertools.count())
    return LocalBackend(path, "test", now=lambda: "2026-01-01T00:00:00Z", new_id=lambda: next(ids))


def never(seconds: float) -> None:
    raise AssertionError(f"slept {seconds} s")


def silent(text: str) -> None:
    pass


def take(path: Path, *, shared: bool = False, timeout: float = 0.0, **settings: Any) -> FileLock:
    return FileLock.acquire(path, INFO, shared=shared, timeout=timeout, waiting=silent, **settings)


class Time:
    """A clock that goes on only when somebody sleeps. ``at`` are things that happen at a time."""

    def __init__(self, **at: Callable[[], object]) -> None:
        self.now = 0.0
        self.at = dict(at)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        for due in [name for name in self.at if self.now >= float(name[1:])]:
            self.at.pop(due)()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return backend_at(tmp_path)


# --- one at a time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("processes", "turns"), [(2, 50), (10, 10), (50, 2)])
def test_no_update_is_lost_among_many_processes(tmp_path: Path, processes: int, turns: int) -> None:
    """Each adds to one counter, as often as the others; the counter says so in the end."""

    def count() -> None:
        mine = backend_at(tmp_path)
        for _ in range(turns):
            with mine.lock("count", timeout=60.0, waiting=silent) as lock:
                stored = mine.load()
                stamp = Stamp("x", stored.stamp.serial + 1)
                mine.commit(replace(stored, stamp=stamp), expected=stored.stamp, lock=lock)

    with contextlib.ExitStack() as all_of_them:
        children = [all_of_them.enter_context(child(count)) for _ in range(processes)]
        assert [one.wait() for one in children] == [0] * processes
    assert backend_at(tmp_path).load().stamp == Stamp("x", processes * turns)


def test_whoever_waits_is_told_once_for_whom(path: Path) -> None:
    """And gets the lock when the holder lets go."""
    held = take(path)
    told: list[str] = []
    when = Time(t3=lambda: held.release(shared=False))
    mine = FileLock.acquire(
        path,
        replace(INFO, id="mine"),
        shared=False,
        timeout=10.0,
        waiting=told.append,
        clock=when.clock,
        sleep=when.sleep,
    )
    assert told == [
        "Waiting for the lock held by ann@here (process 7, apply, since 2026-01-01T00:00:00Z, id 4a5b) …"
    ]
    assert 3.0 <= when.now < 4.0
    mine.release(shared=False)


def test_who_waits_too_long_is_told_who_holds_it(path: Path) -> None:
    """Exactly as long as was asked for."""
    held = take(path)
    when = Time()
    with pytest.raises(LockHeld) as caught:
        take(path, timeout=7.5, clock=when.clock, sleep=when.sleep)
    holder = "ann@here (process 7, apply, since 2026-01-01T00:00:00Z, id 4a5b)"
    assert (str(caught.value), caught.value.holder, caught.value.hint) == (
        f"the stack is locked by {holder}",
        holder,
        "Wait for it to finish, or give --lock-timeout more time. If its process is gone for good, "
        "`reconciler unlock ID` breaks the lock.",
    )
    assert when.now == pytest.approx(7.5)
    held.release(shared=False)


@pytest.mark.parametrize("shared", [False, True], ids=["writer", "reader"])
def test_no_time_to_wait_fails_at_once(path: Path, shared: bool) -> None:
    """Nobody sleeps, and nobody is told to wait."""
    held = take(path)
    with pytest.raises(LockHeld):
        FileLock.acquire(path, INFO, shared=shared, timeout=0.0, waiting=never, sleep=never)  # type: ignore[arg-type]
    held.release(shared=False)


def test_the_command_line_names_the_holder_and_ends_with_4(project: Project) -> None:
    """What a cron job sees while somebody applies."""
    project.write("lab.toml", LAB)
    mine = backend_at(project.path / ".reconciler")
    with mine.lock("apply", timeout=0.0, waiting=silent) as lock:
        ended = project.run("apply", "--auto-approve", "--lock-timeout", "0s")
    assert (ended.code, f"the stack is locked by {lock.info}" in ended.err) == (4, True)


def test_a_lock_that_was_let_go_of_says_so(path: Path) -> None:
    """Not that somebody broke it."""
    held = take(path)
    held.release(shared=False)
    with pytest.raises(LockLost, match="the lock was let go of"):
        held.check()


def test_readers_share_and_writers_wait(path: Path) -> None:
    """Any number of readers, or one writer."""
    readers = [take(path, shared=True) for _ in range(5)]
    with pytest.raises(LockHeld, match="locked by a reading command"):
        take(path)
    for reader in readers:
        reader.release(shared=True)
    writer = take(path)
    with pytest.raises(LockHeld, match="ann@here"):
        take(path, shared=True)
    writer.release(shared=False)


# --- a holder that dies ----------------------------------------------------------------------------------


def holding(backend: LocalBackend, said: Channel) -> Callable[[], None]:
    """A process that takes the lock, says its id, and holds it."""

    def work() -> None:
        with backend.lock("hold", timeout=5.0, waiting=silent) as lock:
            said.say(lock.info.id)
            signal.pause()

    return work


def test_a_holder_that_is_killed_frees_the_lock_at_once(backend: LocalBackend) -> None:
    """Nobody has to break anything."""
    said = Channel()
    with child(holding(backend, said)) as process:
        said.hear()
        with pytest.raises(LockHeld, match=f"process {process.pid}, hold"):
            backend.lock("me", timeout=0.0, waiting=silent).__enter__()
        process.kill()
        with backend.lock("me", timeout=0.0, waiting=silent):
            pass


def test_a_dead_holders_name_is_not_taken_for_the_next_one(backend: LocalBackend) -> None:
    """A reader leaves no name of its own: what it finds there is not that of the holder any more."""
    said = Channel()
    with child(holding(backend, said)) as process:
        lock_id = said.hear()
        process.kill()
    with backend.reading(timeout=0.0, waiting=silent):
        with pytest.raises(LockHeld, match="locked by a reading command"):
            backend.lock("me", timeout=0.0, waiting=silent).__enter__()
        with pytest.raises(StateError, match="held by a reading command, which names no id"):
            backend.unlock(lock_id)


def test_the_lock_of_a_dead_holder_need_not_be_broken(backend: LocalBackend) -> None:
    """Its name stands there; it is not locked."""
    said = Channel()
    with child(holding(backend, said)) as process:
        lock_id = said.hear()
        process.kill()
    with pytest.raises(StateError) as caught:
        backend.unlock(lock_id)
    assert (str(caught.value), caught.value.hint) == (
        "the stack is not locked",
        "A process that dies lets go of its lock; there is nothing to break.",
    )


def test_children_do_not_keep_the_lock(backend: LocalBackend, tmp_path: Path) -> None:
    """A command for a secret that outlives us, say: it does not inherit the lock."""
    with backend.lock("me", timeout=0.0, waiting=silent):
        sleeper = subprocess.Popen(["sleep", "30"])
    try:
        with backend.lock("me", timeout=0.0, waiting=silent):
            pass
    finally:
        sleeper.kill()
        sleeper.wait()


# --- a lock that is broken -------------------------------------------------------------------------------


def test_unlock_wants_the_id_of_the_holder(backend: LocalBackend) -> None:
    """With another one nothing is broken, and the holder is named."""
    with pytest.raises(StateError, match="the stack is not locked"):
        backend.unlock("any")
    with backend.lock("me", timeout=0.0, waiting=silent) as lock:
        with pytest.raises(StateError) as caught:
            backend.unlock("another")
        assert (str(caught.value), caught.value.hint) == (
            f"the lock's id is not another: it is held by {lock.info}",
            "Make sure that this process is the one to stop, then give the id shown here.",
        )
        lock.check()
        assert backend.unlock(lock.info.id) == (lock.info, True)
        with pytest.raises(LockLost):
            lock.check()
    with pytest.raises(StateError, match="the stack is not locked"):
        backend.unlock(lock.info.id)


def one_state(serial: int, who: str, *, size: int = 3) -> State:
    resources = {
        address: ResourceState(address, who, Attributes({"serial": serial, "pad": "x" * 1000}))
        for number in range(size)
        for address in [ResourceAddress("fake", "box", f"n{number}")]
    }
    return State("test", Stamp("x", serial), who, "5eed", resources)


def test_a_paused_holder_whose_lock_was_broken_writes_nothing_more(
    backend: LocalBackend, tmp_path: Path
) -> None:
    """Paused, broken, settled by another process, woken up: neither its journal nor its state goes on."""
    said, told = Channel(), Channel()

    async def work(lock: Any) -> None:
        journal = backend.begin("r1", lock)
        await journal.append(BEGUN)
        said.say(lock.info.id)
        assert told.hear() == "go on"
        for attempt in (
            lambda: asyncio.ensure_future(journal.append(Failed(0, "too late"))),
            lambda: asyncio.to_thread(backend.commit, one_state(1, "old"), expected=Stamp("", 0), lock=lock),
            lambda: asyncio.to_thread(backend.restore, one_state(9, "old"), lock=lock),
            lambda: asyncio.to_thread(backend.begin, "r2", lock),
            lambda: asyncio.to_thread(backend.seal, "r1", lock),
            lambda: asyncio.to_thread(backend.resume, "r1", lock),
        ):
            with pytest.raises(LockLost):
                await attempt()
        await journal.close()

    def hold() -> None:
        with backend.lock("hold", timeout=5.0, waiting=silent) as lock:
            asyncio.run(work(lock))

    with child(hold) as process:
        lock_id = said.hear()
        process.stop()
        info, alive = backend.unlock(lock_id)
        assert (info.holder.pid, alive) == (process.pid, True)
        with backend.lock("me", timeout=0.0, waiting=silent) as lock:
            assert backend.open_run() == "r1"
            journal = backend.resume("r1", lock)
            asyncio.run(journal.append(CLOSED))
            asyncio.run(journal.close())
            backend.seal("r1", lock)
            backend.commit(one_state(1, "new"), expected=Stamp("", 0), lock=lock)
            process.go_on()
            told.say("go on")
            assert process.wait() == 0
            lock.check()
    assert backend.load() == one_state(1, "new")
    assert (list(backend.records("r1")), backend.open_run()) == ([BEGUN, CLOSED], None)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["r1.journal"]


def test_a_holder_paused_at_any_instant_writes_nothing_after_its_lock_was_broken(
    backend: LocalBackend, tmp_path: Path
) -> None:
    """In the middle of a commit or of a batch too: either it cannot be broken there, or it does not go on."""
    instants = random.Random(11)
    broken = 0

    async def busy(lock: Any, said: Channel) -> None:
        stored = backend.load()
        journal = backend.begin(f"r{stored.stamp.serial:06}", lock)
        said.say(lock.info.id)
        while True:
            await journal.append(Failed(stored.stamp.serial, "x" * 500))
            following = one_state(stored.stamp.serial + 1, "old", size=300)
            backend.commit(following, expected=stored.stamp, lock=lock)
            stored = following

    while broken < 12:
        said = Channel()

        def hold(said: Channel = said) -> None:
            with (
                contextlib.suppress(LockLost),
                backend.lock("hold", timeout=5.0, waiting=silent) as lock,
            ):
                asyncio.run(busy(lock, said))

        with child(hold) as process:
            lock_id = said.hear()
            while True:
                time.sleep(instants.random() * 0.02)
                process.stop()
                when = Time()
                try:
                    break_lock(tmp_path / "lock", lock_id, clock=when.clock, sleep=when.sleep)
                    break
                except LockHeld as error:
                    assert f"`kill -9 {process.pid}` on {platform.node()}" in error.hint
                    assert 5.0 <= when.now < 6.0
                    process.go_on()
            broken += 1
            with backend.lock("me", timeout=0.0, waiting=silent) as lock:
                run = backend.open_run()
                assert run is not None
                records = list(backend.records(run))
                mine = one_state(backend.load().stamp.serial + 1, "new")
                backend.commit(mine, expected=backend.stored_stamp(), lock=lock)
                closed = replace(CLOSED, serial=mine.stamp.serial)
                journal = backend.resume(run, lock)
                asyncio.run(journal.append(closed))
                asyncio.run(journal.close())
                backend.seal(run, lock)
                process.go_on()
                assert process.wait() == 0
        assert backend.load() == mine
        assert list(backend.records(run)) == [*records, closed]
        assert backend.open_run() is None


def test_a_holder_stopped_inside_a_write_has_to_be_ended(backend: LocalBackend, tmp_path: Path) -> None:
    """The lock stays, and the message says which process; once that is gone there is nothing to break."""
    said = Channel()

    def hold() -> None:
        with backend.lock("hold", timeout=5.0, waiting=silent) as lock, backend._writing(lock):
            said.say(lock.info.id)
            signal.pause()

    with child(hold) as process:
        lock_id = said.hear()
        when = Time()
        with pytest.raises(LockHeld) as caught:
            break_lock(tmp_path / "lock", lock_id, clock=when.clock, sleep=when.sleep)
        assert str(caught.value).startswith("the lock cannot be broken while its holder is writing: ")
        assert caught.value.hint == (
            f"If that process was stopped there, end it first: `kill -9 {process.pid}` on "
            f"{platform.node()}. That frees the lock."
        )
        inside = writing(tmp_path / "lock", timeout=60.0, clock=when.clock, sleep=when.sleep)
        with pytest.raises(LockHeld, match="another process was stopped in the middle of a write"), inside:
            pass
        process.kill()
        with backend.lock("me", timeout=0.0, waiting=silent) as lock:
            backend.commit(one_state(1, "new"), expected=Stamp("", 0), lock=lock)
    assert backend.load() == one_state(1, "new")


def test_a_lock_file_that_somebody_removed_is_a_lock_that_was_lost(path: Path) -> None:
    """Or that somebody replaced, or whose directory is gone: what cannot be seen to be ours is not."""
    for spoil in (
        lambda: path.unlink(),
        lambda: (path.unlink(), path.touch()),
        lambda: path.parent.rename(path.parent.with_name("elsewhere")),
    ):
        held = take(path)
        held.check()
        spoil()
        with pytest.raises(LockLost):
            held.check()
        held.release(shared=False)
        path.parent.mkdir(exist_ok=True)


def test_a_lock_that_was_replaced_between_open_and_lock_is_not_taken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that is there now is the one that counts; nobody waits for that."""
    real, taken = fcntl.flock, []

    def flock(handle: int, mode: int) -> None:
        taken.append(handle)
        if len(taken) == 1:
            path.unlink()
            path.touch()
        elif len(taken) == 2:
            path.unlink()
        real(handle, mode)

    monkeypatch.setattr(fcntl, "flock", flock)
    held = take(path, sleep=never)
    assert len(taken) == 3
    held.check()
    with pytest.raises(LockHeld):
        take(path)
    held.release(shared=False)


def test_nobody_is_left_with_open_files(path: Path) -> None:
    """Taking, waiting in vain, breaking: each handle is closed again."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        held = take(path)
        for shared in (True, False):
            with pytest.raises(LockHeld):
                take(path, shared=shared)
        with pytest.raises(StateError):
            break_lock(path, "another")
        break_lock(path, INFO.id)
        full = disk(fail=lambda number, name: errno.ENOSPC if name == "pwrite" else None)
        with full, pytest.raises(OSError, match="No space"):
            take(path)
        held.release(shared=False)
        take(path, shared=True).release(shared=True)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_place_that_knows_no_locks_is_an_error(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system of the network without a lock server, say."""

    def flock(handle: int, mode: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StateError, match=r"the stack cannot be locked: .*: No locks available"):
        backend.lock("me", timeout=0.0, waiting=silent).__enter__()
    with pytest.raises(StateError, match="No locks available"):
        backend.reading(timeout=0.0, waiting=silent).__enter__()


@pytest.mark.parametrize("text", [b"\0" * 50, b"{", b"\xff\xff", b'{"id":1}', b""])
def test_a_lock_file_with_nothing_readable_in_it_works(path: Path, text: bytes) -> None:
    """What stands in it only tells people."""
    path.write_bytes(text)
    held = take(path)
    path.write_bytes(text)
    with pytest.raises(LockHeld, match="locked by a reading command"):
        take(path)
    held.release(shared=False)


# --- who -------------------------------------------------------------------------------------------------


def test_a_process_knows_itself() -> None:
    """It is alive, on this host, in this boot, under this name."""
    me = this_process()
    assert (me.who, me.host, me.pid) == (getpass.getuser(), platform.node(), os.getpid())
    assert seems_alive(me) is True


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container with an arbitrary user id: no variable and no entry says who that is."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_a_user_without_a_name_is_named_by_number(nobody: None, backend: LocalBackend) -> None:
    """And can take the lock."""
    with backend.lock("me", timeout=0.0, waiting=silent) as lock:
        assert lock.info.holder.who == f"uid {os.getuid()}"


def test_a_user_whose_name_is_no_text_can_take_the_lock(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment may hold any bytes."""
    monkeypatch.setenv("LOGNAME", os.fsdecode(b"j\xf6rg"))
    with backend.lock("me", timeout=0.0, waiting=silent) as lock:
        assert lock.info.holder.who == "j?rg"
        with pytest.raises(LockHeld, match=r"j\?rg@"):
            backend.lock("me", timeout=0.0, waiting=silent).__enter__()


@pytest.fixture
def zombie() -> Iterator[int]:
    """A process that ended and that nobody has asked about."""
    with child(lambda: None) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process.pid
        process.wait()


def test_who_seems_alive(zombie: int) -> None:
    """A process of another host is not seen; one of another boot, or of another start, is gone."""
    me = this_process()
    with child(lambda: None) as gone:
        gone.wait()
    assert {
        "me": seems_alive(me),
        "another host": seems_alive(replace(me, host="elsewhere")),
        "another host, another boot": seems_alive(replace(me, host="elsewhere", boot="old")),
        "another boot": seems_alive(replace(me, boot="old")),
        "the same number, given again": seems_alive(replace(me, started="1")),
        "gone": seems_alive(replace(me, pid=gone.pid)),
        "ended, not buried": seems_alive(replace(me, pid=zombie, started="")),
        "no such number": seems_alive(replace(me, pid=2**40)),
        "from where no boot is told": seems_alive(replace(me, boot="")),
        "from where no start is told": seems_alive(replace(me, started="")),
    } == {
        "me": True,
        "another host": None,
        "another host, another boot": None,
        "another boot": False,
        "the same number, given again": False,
        "gone": False,
        "ended, not buried": False,
        "no such number": False,
        "from where no boot is told": True,
        "from where no start is told": True,
    }


def test_where_the_system_hides_processes_one_that_answers_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that a process is gone which is only not shown."""
    me = this_process()
    real = Path.read_text

    def read_text(path: Path, **settings: Any) -> str:
        if path.name == "stat":
            raise FileNotFoundError(errno.ENOENT, "hidden")
        return real(path, **settings)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert seems_alive(me) is True
    assert seems_alive(replace(me, pid=1)) is True
