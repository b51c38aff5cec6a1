"""State files in a directory: whatever happens in the middle of a commit, one whole state is there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from state.trouble import Channel, child, disk, failing, largest_file, no_syncs, ordinary_user
from state.values import BEGUN

from reconciler.core.attributes import Attributes
from reconciler.core.model import NO_STAMP, ResourceAddress, ResourceState, Stamp, State
from reconciler.core.ports import Lock
from reconciler.errors import (
    JournalUnreadable,
    LockHeld,
    ReconcilerError,
    StateError,
    StateMoved,
    StateUnreadable,
)
from reconciler.state import codec
from reconciler.state.backends.local import LocalBackend
from reconciler.state.records import Begun, Closed, Failed, Record

BOX = ResourceAddress("fake", "box", "a")


def backend_at(path: Path) -> LocalBackend:
    ids = (f"lock-{os.getpid()}-{number}" for number in itertools.count())
    return LocalBackend(path, "test", now=lambda: "2026-01-01T00:00:00Z", new_id=lambda: next(ids))


def state(serial: int, *, size: int = 5) -> State:
    """A state that says its serial in every line."""
    resources = {
        address: ResourceState(address, f"id-{serial}", Attributes({"serial": serial, "pad": "x" * 50}))
        for number in range(size)
        for address in [ResourceAddress("fake", "box", f"n{number}")]
    }
    return State("test", Stamp("lineage", serial), f"run-{serial}", "5eed", resources)


def stamp(serial: int) -> Stamp:
    return Stamp("lineage", serial) if serial else NO_STAMP


@contextlib.contextmanager
def locked(backend: LocalBackend) -> Iterator[Lock]:
    with backend.lock("test", timeout=5.0, waiting=lambda text: None) as lock:
        yield lock


def commit(backend: LocalBackend, serial: int, lock: Lock, *, size: int = 5) -> None:
    backend.commit(state(serial, size=size), expected=stamp(serial - 1), lock=lock)


def committed(backend: LocalBackend, serial: int) -> None:
    """Commit the states up to this one."""
    with locked(backend) as lock:
        for number in range(backend.stored_stamp().serial + 1, serial + 1):
            commit(backend, number, lock)


def ran(backend: LocalBackend, run: str, *records: Record, seal: bool = True) -> None:
    """A run with these records."""

    async def work(lock: Lock) -> None:
        journal = backend.begin(run, lock)
        for record in records:
            await journal.append(record)
        await journal.close()

    with locked(backend) as lock:
        asyncio.run(work(lock))
        if seal:
            backend.seal(run, lock)


def begun(run: str, base: Stamp = NO_STAMP) -> Begun:
    return replace(BEGUN, run=run, base=base)


def closed(serial: int) -> Closed:
    return Closed("applied", "2026-01-01T00:01:00Z", serial)


def whole(path: Path) -> State | None:
    """The state in a file, None when there is no file."""
    if not path.exists():
        return None
    return codec.decode_state(path.read_bytes(), stack="test", file=path.name)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "stack" / ".reconciler"


@pytest.fixture
def backend(directory: Path) -> LocalBackend:
    directory.parent.mkdir()
    return backend_at(directory)


# --- what is kept ----------------------------------------------------------------------------------------


def test_the_state_before_the_last_one_is_kept(backend: LocalBackend, directory: Path) -> None:
    """As a file that can be pushed back."""
    committed(backend, 3)
    assert whole(directory / "state.json") == state(3)
    assert whole(directory / "state.previous.json") == state(2)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS])
def test_where_a_file_has_one_name_only_the_state_before_is_copied(
    backend: LocalBackend, directory: Path, code: int
) -> None:
    """Some file systems know no second names; they hold a state all the same."""
    with disk(fail=lambda number, name: code if name == "link" else None):
        committed(backend, 3)
    assert whole(directory / "state.json") == state(3)
    assert whole(directory / "state.previous.json") == state(2)


def test_what_is_ours_is_for_our_eyes_alone(backend: LocalBackend, directory: Path) -> None:
    """Directories 0700 and files 0600, whatever the mask of the user, whoever made the directory."""
    directory.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        committed(backend, 2)
        ran(backend, "r1", begun("r1"), closed(2))
        ran(backend, "r2", begun("r2"), seal=False)
    finally:
        os.umask(before)
    modes = {
        str(path.relative_to(directory)): oct(path.stat().st_mode & 0o777)
        for path in [directory, *directory.rglob("*")]
        if path.name != ".gitignore"
    }
    assert modes == {
        ".": "0o700",
        "lock": "0o600",
        "lock.writing": "0o600",
        "runs": "0o700",
        "runs/r1.journal": "0o600",
        "runs/r2.open": "0o600",
        "state.json": "0o600",
        "state.previous.json": "0o600",
    }
    assert (directory / ".gitignore").read_text() == "*\n"


# --- what is on stable storage when ----------------------------------------------------------------------


def test_a_commit_is_durable_before_it_has_the_name(backend: LocalBackend, directory: Path) -> None:
    """The new file is synced, then takes the name, then the directory is synced: in this order alone."""
    committed(backend, 1)
    with locked(backend) as lock, disk() as seen:
        commit(backend, 2, lock)
    assert [line for line in seen.said if not line.startswith(("open lock", "unlink"))] == [
        "open state.json.new",
        "fsync state.json.new",
        "link state.json state.previous.json.new",
        "replace state.previous.json.new state.previous.json",
        "replace state.json.new state.json",
        "open .reconciler",
        "fsync .reconciler",
    ]


def test_the_end_of_a_run_is_durable(backend: LocalBackend) -> None:
    """The name under which the journal is history is synced."""
    ran(backend, "r1", begun("r1"), closed(0), seal=False)
    with locked(backend) as lock, disk() as seen:
        backend.seal("r1", lock)
    assert seen.said[-3:] == ["replace r1.open r1.journal", "open runs", "fsync runs"]


def test_new_directories_have_durable_names(backend: LocalBackend) -> None:
    """A first state in a directory that the disk forgets would be no state."""
    with disk() as seen, locked(backend):
        pass
    made = [line for line in seen.said if line.startswith(("mkdir", "fsync"))]
    assert made == [
        "mkdir .reconciler",
        "fsync .gitignore",
        "mkdir runs",
        "fsync .reconciler",
        "fsync stack",
    ]


@pytest.mark.parametrize(
    ("there", "then"),
    [(b"", b"*\n"), (b"*\n", b"*\n"), (b"mine\n", b"mine\n")],
    ids=["empty", "ours", "theirs"],
)
def test_a_state_ignores_itself_in_git_for_good(
    backend: LocalBackend, directory: Path, there: bytes, then: bytes
) -> None:
    """Also where somebody wrote the file and never synced it; what a person wrote there stays."""
    directory.mkdir(parents=True)
    (directory / ".gitignore").write_bytes(there)
    with disk() as seen, locked(backend):
        pass
    assert (directory / ".gitignore").read_bytes() == then
    assert ("fsync .gitignore" in seen.said) is (there != b"mine\n")


# --- a disk that fails -----------------------------------------------------------------------------------


def commit_calls(path: Path) -> list[str]:
    """The calls of one commit over another."""
    backend = backend_at(path)
    committed(backend, 2)
    with locked(backend) as lock, disk() as seen:
        commit(backend, 3, lock)
    return seen.said


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_commit_that_fails_anywhere_leaves_a_whole_state(tmp_path: Path, code: int) -> None:
    """Whichever call fails: the old state, or the new one when only its name was left to sync."""
    said = commit_calls(tmp_path / "whole")
    took_the_name = said.index("replace state.json.new state.json") + 1
    for at in range(1, len(said) + 1):
        path = tmp_path / str(at)
        backend = backend_at(path)
        committed(backend, 2)
        with locked(backend) as lock:
            with disk(fail=failing(at, code)), pytest.raises(StateError) as caught:
                commit(backend, 3, lock)
            assert str(caught.value) == f"the state cannot be written: {os.strerror(code)}"
            assert "`reconciler plan` finishes the commit" in caught.value.hint
            stored = 3 if at > took_the_name else 2
            assert backend.load() == state(stored)
            assert whole(path / "state.previous.json") in (state(1), state(2))
            assert not (path / "state.json.new").exists()
            for number in range(stored + 1, 5):
                commit(backend, number, lock)
        assert (backend.load(), whole(path / "state.previous.json")) == (state(4), state(3))


def test_a_first_commit_that_fails_anywhere_leaves_none(tmp_path: Path) -> None:
    """There was no state, and there is none: not half of one."""
    whole_run = backend_at(tmp_path / "whole")
    with locked(whole_run) as lock, disk() as seen:
        commit(whole_run, 1, lock)
    took_the_name = seen.said.index("replace state.json.new state.json") + 1
    for at in range(1, took_the_name + 1):
        backend = backend_at(tmp_path / str(at))
        with locked(backend) as lock:
            with disk(fail=failing(at)), pytest.raises(StateError):
                commit(backend, 1, lock)
            assert backend.load() == State("test", NO_STAMP)
            commit(backend, 1, lock)
        assert backend.load() == state(1)


def test_a_disk_that_is_really_full_leaves_the_old_state(backend: LocalBackend, directory: Path) -> None:
    """Wherever in the file the room ends."""
    committed(backend, 2)
    needed = len(codec.encode_state(state(3)))
    with no_syncs(), locked(backend) as lock:
        for size in range(0, needed, 7):
            with largest_file(size), pytest.raises(StateError, match="cannot be written"):
                commit(backend, 3, lock)
            assert backend.load() == state(2)
            assert whole(directory / "state.previous.json") == state(1)
        with largest_file(needed):
            commit(backend, 3, lock)
    assert backend.load() == state(3)


def test_what_a_dead_process_left_behind_is_never_read(backend: LocalBackend, directory: Path) -> None:
    """Neither a half written state nor a whole one that never took the name."""
    committed(backend, 2)
    for left in (b"", b"\0" * 100, codec.encode_state(state(9)), codec.encode_state(state(3))[:200]):
        (directory / "state.json.new").write_bytes(left)
        (directory / "state.previous.json.new").write_bytes(left)
        assert backend.load() == state(2)
        assert backend.stored_stamp() == stamp(2)
    committed(backend, 3)
    assert (backend.load(), whole(directory / "state.previous.json")) == (state(3), state(2))
    assert sorted(path.name for path in directory.glob("state*")) == ["state.json", "state.previous.json"]


# --- a process that dies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_that_dies_at_any_call_leaves_a_whole_state(tmp_path: Path, moment: str) -> None:
    """Killed before or after each call that changes the disk; the next process commits on what it finds."""
    calls = len(commit_calls(tmp_path / "whole"))
    for at in range(1, calls + 1):
        path = tmp_path / str(at)
        backend = backend_at(path)
        committed(backend, 2)

        def die(number: int, at: int = at) -> None:
            if number == at:
                os.kill(os.getpid(), signal.SIGKILL)

        def work(backend: LocalBackend = backend, die: Callable[[int], None] = die) -> None:
            with locked(backend) as lock, disk(**{moment: die}):
                commit(backend, 3, lock)

        with child(work) as process:
            assert process.wait() == -signal.SIGKILL
        stored = backend.load()
        assert stored in (state(2), state(3))
        assert whole(path / "state.previous.json") in (state(1), state(2))
        committed(backend, 4)
        assert (backend.load(), whole(path / "state.previous.json")) == (state(4), state(3))


def test_commits_killed_at_random_instants_lose_nothing(backend: LocalBackend, directory: Path) -> None:
    """What was acknowledged is stored, whole; so is the state before it; and the lock is free at once."""
    instants = random.Random(7)
    serial = 0
    for _ in range(40):
        said = Channel()

        def work(said: Channel = said) -> None:
            with locked(backend) as lock:
                for number in itertools.count(backend.stored_stamp().serial + 1):
                    commit(backend, number, lock, size=number % 40)
                    said.say(str(number))

        with child(work) as process:
            said.hear()
            time.sleep(instants.random() * 0.03)
            process.kill()
        acknowledged = int((said.all() or [str(serial + 1)])[-1])
        stored = backend.load()
        serial = stored.stamp.serial
        assert serial in (acknowledged, acknowledged + 1)
        assert stored == state(serial, size=serial % 40)
        previous = whole(directory / "state.previous.json")
        assert previous in (
            None,
            *(state(number, size=number % 40) for number in (serial - 1, serial)),
        )
    assert serial >= 40


# --- a state that is gone --------------------------------------------------------------------------------


def test_a_state_that_is_gone_is_an_error(backend: LocalBackend, directory: Path) -> None:
    """Never an empty state: a plan from it would create everything again."""
    committed(backend, 2)
    (directory / "state.json").unlink()
    with pytest.raises(StateUnreadable) as caught:
        backend.load()
    assert (str(caught.value), caught.value.hint) == (
        "state.json is missing, but this stack has been applied before",
        f"Put it back into {directory}, or restore the state before the last commit: `reconciler state push "
        f"{directory}/state.previous.json`.",
    )


GONE: dict[str, tuple[list[tuple[Begun, Closed | None, bool]], int | None]] = {
    # the runs, each with beginning, end and whether it was sealed; how many bytes are left of the first
    "after a first run": ([(begun("r1"), closed(1), True)], None),
    "after a first run that was not sealed": ([(begun("r1"), closed(1), False)], None),
    "in a run that began on one": ([(begun("r1", stamp(4)), None, False)], None),
    "after a run whose journal is torn": ([(begun("r1"), closed(1), True)], 300),
    "after a run whose journal is empty": ([(begun("r1"), closed(1), True)], 0),
    "after a run that changed nothing": (
        [(begun("r1"), closed(1), True), (begun("r2", stamp(1)), closed(1), True)],
        None,
    ),
}


@pytest.mark.parametrize("case", GONE)
def test_a_first_state_that_is_gone_is_an_error(backend: LocalBackend, directory: Path, case: str) -> None:
    """There is no state before it: the journals tell that there was one."""
    runs, left = GONE[case]
    committed(backend, 1)
    for first, last, seal in runs:
        ran(backend, first.run, first, *([last] if last is not None else []), seal=seal)
    if left is not None:
        os.truncate(directory / "runs" / "r1.journal", left)
    assert backend.load() == state(1)
    (directory / "state.json").unlink()
    with pytest.raises(StateUnreadable, match="this stack has been applied before"):
        backend.load()


def test_a_first_run_that_changed_nothing_leaves_an_empty_state(backend: LocalBackend) -> None:
    """It ended, or died, before anything was committed: there is nothing to miss."""
    ran(backend, "r1", begun("r1"), closed(0))
    ran(backend, "r2", begun("r2"), Failed(0, "no"), seal=False)
    assert backend.load() == State("test", NO_STAMP)


def test_a_state_that_is_gone_can_be_put_back(backend: LocalBackend, directory: Path) -> None:
    """A repair asks for nothing but the lock."""
    committed(backend, 2)
    (directory / "state.json").unlink()
    with locked(backend) as lock:
        backend.restore(state(2), lock=lock)
    assert backend.load() == state(2)


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"{}", b'{"format_version":1,"stack":"te'])
def test_a_state_that_cannot_be_read_is_not_committed_over(
    backend: LocalBackend, directory: Path, data: bytes
) -> None:
    """What is stored is not what was expected; only a repair replaces it."""
    committed(backend, 2)
    (directory / "state.json").write_bytes(data)
    with locked(backend) as lock:
        for expected in (NO_STAMP, stamp(2)):
            with pytest.raises(StateUnreadable):
                backend.commit(state(3), expected=expected, lock=lock)
        assert (directory / "state.json").read_bytes() == data
        backend.restore(state(3), lock=lock)
    assert backend.load() == state(3)


# --- two at once -----------------------------------------------------------------------------------------


def test_two_who_computed_from_one_state_commit_once(backend: LocalBackend) -> None:
    """The second is told at which serial the state is now."""
    committed(backend, 1)
    with locked(backend) as lock:
        commit(backend, 2, lock)
        with pytest.raises(StateMoved, match=r"the state is at serial 2 now, not 1"):
            commit(backend, 2, lock)
    assert backend.load() == state(2)


# --- runs ------------------------------------------------------------------------------------------------


def test_a_run_that_died_before_its_first_record_is_open_and_empty(
    backend: LocalBackend, directory: Path
) -> None:
    """It is gone on with like any other, and is no part of the history."""
    ran(backend, "r1", seal=False)
    assert (directory / "runs" / "r1.open").read_bytes() == b""
    assert (backend.open_run(), list(backend.records("r1")), list(backend.runs())) == ("r1", [], [])
    with locked(backend) as lock:
        journal = backend.resume("r1", lock)
        asyncio.run(journal.append(closed(0)))
        asyncio.run(journal.close())
        backend.seal("r1", lock)
    assert (backend.open_run(), list(backend.runs())) == (None, [])
    assert backend.load() == State("test", NO_STAMP)


def test_a_run_that_died_before_it_was_sealed_is_sealed_by_the_next(
    backend: LocalBackend, directory: Path
) -> None:
    """Its end stays as it was written."""
    ran(backend, "r1", begun("r1"), closed(1), seal=False)
    ran(backend, "r2", begun("r2"), seal=False)
    assert sorted(path.name for path in (directory / "runs").iterdir()) == ["r1.journal", "r2.open"]


def test_several_open_runs_are_an_error_that_names_them(backend: LocalBackend, directory: Path) -> None:
    """There is no telling which comes first."""
    ran(backend, "r1", begun("r1"), seal=False)
    (directory / "runs" / "r2.open").write_bytes(b"")
    with pytest.raises(StateUnreadable, match=r"2 runs were never closed: r1, r2"):
        backend.open_run()


def test_other_files_beside_the_journals_are_no_runs(backend: LocalBackend, directory: Path) -> None:
    """What editors, backups and desktops leave behind."""
    ran(backend, "r1", begun("r1"), closed(0))
    for name in (".DS_Store", "r1.journal~", "r1.journal.bak", "#r2.open#"):
        (directory / "runs" / name).write_bytes(b"\0\1\2")
    assert ([run.id for run in backend.runs()], backend.open_run()) == (["r1"], None)


def test_history_hides_no_journal_that_it_cannot_read(backend: LocalBackend, directory: Path) -> None:
    """It is listed as unreadable, and reading it says why; the others are as they were."""
    for serial, run in enumerate(("r1", "r2", "r3")):
        ran(backend, run, begun(run, Stamp("lineage", serial)), Failed(0, "no"), closed(serial + 1))
    for run, damage in (("r1", b'"run":"r1"'), ("r2", b"applied")):
        path = directory / "runs" / f"{run}.journal"
        path.write_bytes(path.read_bytes().replace(damage, damage.upper()))
    assert [(run.id, run.outcome) for run in backend.runs()] == [
        ("r3", "applied"),
        ("r2", "open"),
        ("r1", "unreadable"),
    ]
    with pytest.raises(JournalUnreadable, match=r"r1.journal is damaged at record 0"):
        backend.records("r1")
    with pytest.raises(JournalUnreadable, match=r"r2.journal is cut off or damaged at record 2"):
        backend.records("r2")


@pytest.mark.parametrize("run", ["r2", "../r1", "r1.journal", "", "x" * 5000, "r1\0"])
def test_only_runs_have_records(backend: LocalBackend, run: str) -> None:
    """Whatever a user types for a run is a name, not a path."""
    ran(backend, "r1", begun("r1"), closed(0))
    with pytest.raises(StateError, match="there is no run"):
        backend.records(run)


def test_a_run_cannot_be_sealed_where_the_disk_fails(backend: LocalBackend) -> None:
    """That is an error of the state, and the run is over all the same."""
    ran(backend, "r1", begun("r1"), closed(0), seal=False)
    with locked(backend) as lock:
        for at in (2, 3, 4):
            with disk(fail=failing(at, errno.EIO)), pytest.raises(StateError, match="cannot be closed"):
                backend.seal("r1", lock)
            assert backend.open_run() is None
            if not (backend._runs / "r1.open").exists():
                (backend._runs / "r1.journal").rename(backend._runs / "r1.open")


# --- rights ----------------------------------------------------------------------------------------------


def test_a_directory_that_may_not_be_written_can_be_read(tmp_path: Path) -> None:
    """A plan needs no right to write; what writes says where it may not."""
    with ordinary_user() as mine:
        backend = backend_at(mine / ".reconciler")
        committed(backend, 1)
        for path in (mine, mine / ".reconciler"):
            path.chmod(0o500)
        with backend.reading(timeout=0.0, waiting=print):
            assert backend.load() == state(1)
        with locked(backend) as lock, pytest.raises(StateError, match="Permission denied"):
            commit(backend, 2, lock)
        assert backend.load() == state(1)


def test_a_first_plan_in_a_directory_that_may_not_be_written_reads_an_empty_state() -> None:
    """There is nothing to lock and nobody to lock out; taking the lock itself is an error."""
    with ordinary_user() as mine:
        mine.chmod(0o500)
        backend = backend_at(mine / ".reconciler")
        with backend.reading(timeout=0.0, waiting=print):
            assert backend.load() == State("test", NO_STAMP)
        with pytest.raises(StateError) as caught, locked(backend):
            pass
    assert (str(caught.value), caught.value.hint) == (
        f"the stack cannot be locked: {mine}/.reconciler: Permission denied",
        "Nothing was done. reconciler needs room and the right to write there.",
    )


def test_a_reader_without_the_right_to_write_still_waits_for_the_writer() -> None:
    """It cannot write into the lock, but it can hold it."""
    with ordinary_user() as mine:
        backend = backend_at(mine)
        with locked(backend):
            (mine / "lock").chmod(0o400)
            with pytest.raises(LockHeld), backend.reading(timeout=0.0, waiting=print):
                pass
        with backend.reading(timeout=0.0, waiting=print), backend.reading(timeout=0.0, waiting=print):
            pass


UNREADABLE: dict[str, Callable[[LocalBackend], Any]] = {
    "state.json": lambda backend: backend.load(),
    "runs": lambda backend: backend.open_run(),
    "runs/r1.journal": lambda backend: backend.records("r1"),
    "runs/r2.open": lambda backend: backend.open_run(),
    ".": lambda backend: backend.load(),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_may_not_be_read_is_an_error(name: str) -> None:
    """Not something that is not there."""
    with ordinary_user() as mine:
        backend = backend_at(mine)
        committed(backend, 1)
        ran(backend, "r1", begun("r1"), closed(1))
        ran(backend, "r2", begun("r2"), seal=False)
        (mine / name).chmod(0)
        with pytest.raises(ReconcilerError, match="cannot be read: Permission denied"):
            UNREADABLE[name](backend)


def test_a_state_whose_runs_may_not_be_read_is_not_missing_in_silence() -> None:
    """Whether there was one cannot be seen, so it is not assumed that there was none."""
    with ordinary_user() as mine:
        backend = backend_at(mine)
        with locked(backend):
            pass
        (mine / "runs").chmod(0)
        with pytest.raises(StateUnreadable, match="cannot be read: Permission denied"):
            backend.load()


@pytest.mark.parametrize("call", ["mkdir", "fsync", "open", "pwrite"])
def test_a_disk_that_is_full_when_the_lock_is_taken_leaves_it_free(backend: LocalBackend, call: str) -> None:
    """It is an error of the state, and nothing is held afterwards."""
    full = disk(fail=lambda number, name: errno.ENOSPC if name == call else None)
    with full, pytest.raises(StateError, match="No space left on device"), locked(backend):
        pass
    with locked(backend):
        pass
