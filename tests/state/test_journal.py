"""The journal: what was acknowledged is there, whatever happens to the file behind it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
import zlib
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from state.trouble import disk, failing, largest_file, no_syncs
from state.values import BEGUN, CLOSED, PRE_IMAGE, RECORDS

from reconciler.core.attributes import Attributes
from reconciler.core.model import NO_STAMP, Plan
from reconciler.errors import JournalUnreadable, LockLost, StateError
from reconciler.state.journal import FileJournal, read_ends, read_journal
from reconciler.state.records import Done, Failed, Intended, Planned, PreImage, Record

T = TypeVar("T")

Batches = Sequence[Sequence[Record]]

BATCHES: Batches = (
    (BEGUN, Planned(Plan("test", NO_STAMP, "", ""))),
    (Intended(0, "r1.0", PRE_IMAGE),),
    (Done(0, "id-1"), Intended(1, "r1.1"), Failed(1, "no")),
    (Failed(2, "never"), Done(3, "id-3")),
)
SMALL: Batches = ((Failed(0, "a"), Failed(1, "b")), (Failed(2, "c"),), (Failed(3, "d"), Failed(4, "e")))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work*; what hangs fails."""
    return asyncio.run(asyncio.wait_for(work, 30))


async def add(journal: FileJournal, batches: Batches) -> list[int]:
    """Write batches, each synced; the length of the file after each."""
    sizes = []
    for batch in batches:
        for record in batch:
            journal.write(record)
        await journal.flush()
        sizes.append(os.fstat(journal._file).st_size)
    await journal.close()
    return sizes


def made(path: Path, batches: Batches = BATCHES) -> list[int]:
    """A journal of these batches at *path*; the length of the file after each."""
    return run(add(FileJournal.create(path, writing=contextlib.nullcontext), batches))


def gone_on_with(path: Path, *records: Record) -> tuple[Record, ...]:
    """What is in a journal after it was reopened and these were appended."""
    run(add(FileJournal.reopen(path, writing=contextlib.nullcontext), [records]))
    return read_journal(path)


def size_of(path: Path) -> int:
    return path.stat().st_size


def flat(batches: Batches) -> tuple[Record, ...]:
    return tuple(record for batch in batches for record in batch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r1.open"


@pytest.fixture
def fast() -> Iterator[None]:
    with no_syncs():
        yield


# --- whole ----------------------------------------------------------------------------------------------


def test_every_kind_of_record_comes_back(path: Path) -> None:
    """One of each, every field set."""
    made(path, [RECORDS])
    assert read_journal(path) == RECORDS


def test_a_line_is_checksum_number_batch_and_record(path: Path) -> None:
    """The format that the module describes: ``b`` is the number of the first record of the batch."""
    made(path, [(BEGUN,), (Failed(0, "né"), CLOSED)])
    assert path.read_text(encoding="utf-8").splitlines()[1:] == [
        '6d5ded9f {"n":1,"b":1,"type":"Failed","body":{"step":0,"error":"né","settled":""}}',
        '88bdc489 {"n":2,"b":1,"type":"Closed","body":{"outcome":"applied","ended":"2026-01-01T00:01:00Z",'
        '"serial":1,"counts":{"done":2}}}',
    ]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["write", "append", "flush", "let others run"]), max_size=30))
def test_records_stand_in_the_order_in_which_they_were_added(
    tmp_path_factory: pytest.TempPathFactory, fast: None, calls: list[str]
) -> None:
    """Written or appended, by whichever task, with a sync going on or not."""
    path = tmp_path_factory.mktemp("journal") / "r1.open"

    async def work() -> list[Record]:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        waiting, added = [], []
        for number, call in enumerate(calls):
            if call == "let others run":
                await asyncio.sleep(0)
                continue
            if call != "flush":
                added.append(Failed(number, call))
                journal.write(added[-1])
            if call != "write":
                waiting.append(asyncio.ensure_future(journal.flush()))
        await asyncio.gather(*waiting)
        await journal.close()
        return added

    added = run(work())
    assert list(read_journal(path)) == added


def test_attributes_with_line_ends_inside_stand_on_one_line(path: Path) -> None:
    """A provider may hand on JSON as it came; a journal of broken lines would be lost."""
    raw = Attributes.from_raw(b'{\n  "a": "x\\ny",\r\n  "b": [1]\n}')
    record = Intended(0, "r1.0", PreImage("id-1", raw))
    made(path, [(BEGUN,), (record,), (CLOSED,)])
    assert read_journal(path) == (BEGUN, record, CLOSED)
    assert path.read_bytes().count(b"\n") == 3


def test_a_record_that_cannot_be_written_is_an_error_of_its_writer_alone(path: Path) -> None:
    """Nobody waits for it for ever, and the records of others go on."""

    async def work() -> None:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        with pytest.raises(StateError, match="not UTF-8"):
            await journal.append(Failed(0, "\udcff"))
        with pytest.raises(TypeError):
            await journal.append(Intended(0, "r1.0", PreImage("x", Attributes({"a": object()}))))
        await journal.append(Failed(1, "fine"))
        await journal.close()

    run(work())
    assert read_journal(path) == (Failed(1, "fine"),)


def test_a_journal_is_made_once(path: Path) -> None:
    """A second run of the same name is refused, and the first one's records stay."""
    made(path)
    with pytest.raises(StateError, match=r"a journal named r1.open exists already"):
        FileJournal.create(path, writing=contextlib.nullcontext)
    assert read_journal(path) == flat(BATCHES)


def test_a_closed_journal_says_so(path: Path) -> None:
    """Whoever comes too late hears of it instead of waiting for a sync that never comes."""

    async def work() -> None:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        await journal.close()
        await journal.close()
        with pytest.raises(StateError, match=r"the journal r1.open is closed"):
            await journal.append(CLOSED)

    run(work())


# --- torn -----------------------------------------------------------------------------------------------


def test_a_journal_torn_at_any_byte_keeps_what_was_acknowledged(path: Path, fast: None) -> None:
    """And is gone on with: what is added later stands behind what was kept."""
    sizes = made(path)
    whole, records = path.read_bytes(), flat(BATCHES)
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        acknowledged = sum(len(batch) for batch, size in zip(BATCHES, sizes, strict=True) if size <= length)
        kept = read_journal(path)
        assert len(kept) >= acknowledged
        assert kept == records[: len(kept)]
        assert gone_on_with(path, CLOSED) == (*kept, CLOSED)


TAILS = {
    "zeros": b"\0" * 5000,
    "line ends": b"\n\n\n",
    "half a line": b'00000000 {"n":',
    "noise": bytes(range(256)) * 4,
    "something of another program": b"hello\nworld\n",
}


@pytest.mark.parametrize("tail", TAILS)
def test_garbage_behind_the_last_record_is_cut_off(path: Path, tail: str) -> None:
    """File systems leave zeros or old blocks where a write was going on."""
    made(path)
    with path.open("ab") as file:
        file.write(TAILS[tail])
    assert read_journal(path) == flat(BATCHES)
    assert gone_on_with(path, CLOSED) == (*flat(BATCHES), CLOSED)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=60), lines=st.integers(0, 3))
def test_any_garbage_behind_the_last_record_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, fast: None, noise: bytes, lines: int
) -> None:
    """Whatever it is."""
    path = tmp_path_factory.mktemp("journal") / "r1.open"
    made(path, SMALL)
    with path.open("ab") as file:
        file.write((noise + b"\n") * lines + noise)
    assert read_journal(path) == flat(SMALL)
    assert gone_on_with(path, CLOSED) == (*flat(SMALL), CLOSED)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lost=st.sets(st.integers(0, 40), max_size=20))
def test_holes_in_the_last_batch_are_a_torn_end(
    tmp_path_factory: pytest.TempPathFactory, fast: None, lost: set[int]
) -> None:
    """A disk may write the pieces of one write in any order: the power may leave some of them."""
    path = tmp_path_factory.mktemp("journal") / "r1.open"
    last = tuple(Failed(number, "x" * number) for number in range(6))
    *_, start, _ = made(path, [*SMALL, last])
    data = bytearray(path.read_bytes())
    for piece in lost:
        begin = start + piece * 16
        data[begin : begin + 16] = b"\0" * len(data[begin : begin + 16])
    path.write_bytes(data)
    kept = read_journal(path)
    assert kept[:5] == flat(SMALL)
    assert kept == (*flat(SMALL), *last)[: len(kept)]
    assert gone_on_with(path, CLOSED) == (*kept, CLOSED)


def test_a_journal_without_a_record_is_empty(path: Path) -> None:
    """The power went between the making of the file and its first record."""
    path.touch()
    assert read_journal(path) == ()
    assert read_ends(path) == (None, None)
    assert gone_on_with(path, BEGUN) == (BEGUN,)


# --- damaged --------------------------------------------------------------------------------------------

FLIPS = (1, 2, 4, 8, 16, 32, 64, 128, 0x03, 0x2A, 0xFF)


def test_one_changed_byte_of_what_was_acknowledged_stops_everything(path: Path, fast: None) -> None:
    """Any byte of any batch but the last, line ends too: nothing is guessed, and nothing is written."""
    *_, synced, _ = made(path, SMALL)
    whole = path.read_bytes()
    passed = []
    for position in range(synced):
        for mask in FLIPS:
            damaged = whole[:position] + bytes([whole[position] ^ mask]) + whole[position + 1 :]
            path.write_bytes(damaged)
            for read in (read_journal, lambda path: gone_on_with(path, CLOSED)):
                try:
                    read(path)
                except JournalUnreadable:
                    continue
                passed.append((position, mask))
            assert path.read_bytes() == damaged
    assert passed == []


def test_one_changed_byte_of_the_last_batch_is_a_torn_end(path: Path, fast: None) -> None:
    """There is no telling it from a write that was cut off: what stands before it is kept."""
    *_, synced, _ = made(path, SMALL)
    whole = path.read_bytes()
    for position in range(synced, len(whole)):
        for mask in FLIPS:
            path.write_bytes(whole[:position] + bytes([whole[position] ^ mask]) + whole[position + 1 :])
            kept = read_journal(path)
            assert kept in (flat(SMALL)[:3], flat(SMALL)[:4])
            assert gone_on_with(path, CLOSED) == (*kept, CLOSED)


def test_a_missing_byte_of_what_was_acknowledged_stops_everything(path: Path) -> None:
    """So does a whole record that is gone."""
    *_, synced, _ = made(path, SMALL)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    missing = [whole[:position] + whole[position + 1 :] for position in range(synced)]
    missing += [b"".join(lines[:number] + lines[number + 1 :]) for number in range(3)]
    for damaged in missing:
        path.write_bytes(damaged)
        with pytest.raises(JournalUnreadable):
            read_journal(path)


def test_a_damaged_journal_is_named_with_what_to_do(path: Path) -> None:
    """Which file, which record, and where to look."""
    made(path, SMALL)
    path.write_bytes(path.read_bytes().replace(b'"error":"c"', b'"error":"k"'))
    with pytest.raises(JournalUnreadable) as caught:
        read_journal(path)
    assert (str(caught.value), caught.value.hint) == (
        "r1.open is damaged at record 2, and good records follow",
        "This is not what a crash leaves behind; the disk or a person changed it. Restore the file from a "
        "backup, or compare the state with the platform by `reconciler drift`.",
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"type":"Failed"', b'"type":"Wished"'), (b'"error":"a"', b'"mistake":"a"')],
    ids=["of another kind", "of another shape"],
)
def test_a_record_of_a_later_version_is_not_guessed(path: Path, old: bytes, new: bytes) -> None:
    """A good line that we do not understand is an error that says which program would."""
    made(path, [(Failed(0, "a"),)])
    text = path.read_bytes()[9:-1].replace(old, new)
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    with pytest.raises(JournalUnreadable) as caught:
        read_journal(path)
    assert (str(caught.value), caught.value.hint) == (
        "r1.open has a record that this program does not understand",
        "A newer reconciler may have written it. Use that version.",
    )
    assert read_ends(path) == (None, None)


# --- many at once ---------------------------------------------------------------------------------------


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with every sync."""
    seen: list[int] = []
    real = os.fdatasync

    def sync(handle: int) -> None:
        seen.append(handle)
        real(handle)

    monkeypatch.setattr(os, "fdatasync", sync)
    return seen


def test_a_hundred_appends_at_once_cost_few_syncs(path: Path, syncs: list[int]) -> None:
    """Group commit: tasks that append ten times each, a hundred of them."""

    async def task(journal: FileJournal, number: int) -> None:
        for turn in range(10):
            await journal.append(Failed(number, str(turn)))

    async def work() -> None:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        await asyncio.gather(*(task(journal, number) for number in range(100)))
        await journal.close()

    run(work())
    assert len(read_journal(path)) == 1000
    assert 10 <= len(syncs) <= 40


def test_what_comes_while_a_sync_goes_on_shares_the_next(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the disk is, a hundred appends during one sync wait for one more."""
    begun, go_on, count = threading.Event(), threading.Event(), []

    def sync(handle: int) -> None:
        count.append(handle)
        begun.set()
        assert go_on.wait(10)

    monkeypatch.setattr(os, "fdatasync", sync)

    async def work() -> None:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        first = asyncio.ensure_future(journal.append(BEGUN))
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.ensure_future(journal.append(Failed(number, ""))) for number in range(100)]
        await asyncio.sleep(0.01)
        assert not first.done()
        assert not any(other.done() for other in others)
        go_on.set()
        await asyncio.gather(first, *others)
        await journal.close()

    run(work())
    assert len(count) == 2
    assert len(read_journal(path)) == 101


def test_what_is_only_written_costs_no_sync_of_its_own(path: Path, syncs: list[int]) -> None:
    """Outcomes go out with the next intent; with none, when the journal is closed."""

    async def work() -> None:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        for number in range(50):
            journal.write(Failed(number, ""))
        await asyncio.sleep(0.01)
        assert (syncs, size_of(path)) == ([], 0)
        await journal.close()

    run(work())
    assert (len(syncs), len(read_journal(path))) == (1, 50)


def test_a_task_that_gives_up_waiting_hinders_nobody(path: Path) -> None:
    """Its record is written all the same."""

    async def work() -> None:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        waiting = [asyncio.ensure_future(journal.append(Failed(number, ""))) for number in range(4)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await journal.append(CLOSED)
        await journal.close()

    run(work())
    assert read_journal(path) == (*(Failed(number, "") for number in range(4)), CLOSED)


# --- a disk that fails ----------------------------------------------------------------------------------


def broken_at(path: Path, **trouble: Any) -> list[str]:
    """What is told to those who wait for a batch that the disk refuses, and to all who come later."""

    async def work() -> list[str]:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        await journal.append(BEGUN)
        with disk(**trouble):
            first = asyncio.ensure_future(journal.append(Failed(0, "x")))
            others = [asyncio.ensure_future(journal.append(Failed(number, "y"))) for number in range(20)]
            flush = asyncio.ensure_future(journal.flush())
            told = await asyncio.gather(first, *others, flush, return_exceptions=True)
        for late in (journal.append(CLOSED), journal.flush()):
            told.append(await asyncio.gather(late, return_exceptions=True))
        with pytest.raises(StateError) as caught:
            journal.write(CLOSED)
        assert isinstance(told[0], StateError)
        assert [one for one in told if one is not told[0] and one != [told[0]]] == []
        assert caught.value is told[0]
        await journal.close()
        return [str(told[0]), told[0].hint]

    return run(work())


TROUBLES: dict[str, Callable[[int, str], int | None]] = {
    "full": lambda number, name: errno.ENOSPC if name == "write" else None,
    "over quota": lambda number, name: errno.EDQUOT if name == "write" else None,
    "broken": lambda number, name: errno.EIO if name in ("write", "ftruncate") else None,
    "broken, noticed late": lambda number, name: errno.EIO if name == "fdatasync" else None,
    "broken for good": lambda number, name: errno.EIO if name in ("fdatasync", "ftruncate") else None,
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_batch_that_the_disk_refuses_is_refused_to_everybody(path: Path, trouble: str) -> None:
    """Every waiter hears of it, nothing is added any more, and the journal can be gone on with."""
    code = {"full": errno.ENOSPC, "over quota": errno.EDQUOT}.get(trouble, errno.EIO)
    assert broken_at(path, fail=TROUBLES[trouble]) == [
        f"the journal r1.open cannot be written: {os.strerror(code)}",
        "Make room or repair the disk; `reconciler plan` then settles what was under way.",
    ]
    kept = read_journal(path)
    if trouble != "broken for good":
        assert kept == (BEGUN,)
    assert kept[0] == BEGUN
    assert gone_on_with(path, CLOSED) == (*kept, CLOSED)


def test_what_waits_behind_a_refused_batch_is_refused_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the disk is well again by then: a record would be missing before it."""
    begun, go_on, real = threading.Event(), threading.Event(), os.fdatasync

    def sync(handle: int) -> None:
        if not go_on.is_set():
            begun.set()
            assert go_on.wait(10)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(handle)

    async def work() -> list[object]:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        await journal.append(BEGUN)
        monkeypatch.setattr(os, "fdatasync", sync)
        first = asyncio.ensure_future(journal.append(Failed(0, "x")))
        await asyncio.to_thread(begun.wait, 10)
        behind = [asyncio.ensure_future(journal.append(Failed(number, "y"))) for number in range(5)]
        await asyncio.sleep(0)
        go_on.set()
        told = await asyncio.gather(first, *behind, return_exceptions=True)
        await journal.close()
        return told

    assert [type(one) for one in run(work())] == [StateError] * 6
    assert read_journal(path) == (BEGUN,)


def test_short_writes_are_gone_on_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take less than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:7]))
    made(path)
    assert read_journal(path) == flat(BATCHES)


def test_a_short_write_before_the_disk_is_full_leaves_no_half_record(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half written is taken away again."""

    async def work() -> int:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        await journal.append(BEGUN)
        size = size_of(path)
        real, room = os.write, [30, 0]

        def write(handle: int, data: bytes) -> int:
            if not (left := room.pop(0)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(handle, data[:left])

        monkeypatch.setattr(os, "write", write)
        with pytest.raises(StateError):
            await journal.append(CLOSED)
        await journal.close()
        return size

    assert run(work()) == path.stat().st_size


def test_a_disk_that_is_really_full_at_any_byte(path: Path, fast: None) -> None:
    """Not one record is lost, halved or doubled, wherever the room ends; with room it goes on."""

    async def work() -> list[object]:
        journal = FileJournal.create(path, writing=contextlib.nullcontext)
        told: list[object] = []
        for batch in SMALL:
            told += await asyncio.gather(*map(journal.append, batch), return_exceptions=True)
        await journal.close()
        return told

    made(path, SMALL)
    for size in range(size_of(path)):
        path.unlink()
        with largest_file(size):
            told = run(work())
        acknowledged = tuple(record for record, error in zip(flat(SMALL), told, strict=True) if error is None)
        assert all(error is None or isinstance(error, StateError) for error in told)
        assert read_journal(path) == acknowledged
        assert len(acknowledged) < 5
        assert gone_on_with(path, CLOSED) == (*acknowledged, CLOSED)


@pytest.mark.parametrize("error", [LockLost("gone"), OSError(errno.EIO, "no"), ValueError("a mistake")])
def test_whatever_forbids_the_writing_is_told_to_everybody(path: Path, error: Exception) -> None:
    """Not one byte more is written, and nobody waits for ever."""
    allowed = [True]

    @contextlib.contextmanager
    def writing() -> Iterator[None]:
        if not allowed[0]:
            raise error
        yield

    async def work() -> list[object]:
        journal = FileJournal.create(path, writing=writing)
        await journal.append(BEGUN)
        allowed[0] = False
        told = await asyncio.gather(
            *(journal.append(Failed(number, "")) for number in range(9)), return_exceptions=True
        )
        allowed[0] = True
        told += await asyncio.gather(journal.flush(), return_exceptions=True)
        await journal.close()
        return told

    told = run(work())
    assert len(told) == 10
    assert all(one is told[0] and isinstance(one, (StateError, type(error))) for one in told)
    assert read_journal(path) == (BEGUN,)


@pytest.mark.parametrize("at", [1, 2])
def test_a_journal_that_cannot_be_made_is_an_error(path: Path, at: int) -> None:
    """The file or its name: either call may fail."""
    with disk(fail=failing(at)) as seen, pytest.raises(StateError, match=os.strerror(errno.ENOSPC)):
        FileJournal.create(path, writing=contextlib.nullcontext)
    assert len(seen.said) >= at


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_torn_journal_that_cannot_be_cut_is_an_error_and_stays(path: Path, at: int) -> None:
    """Whichever call fails, it is whole or torn as before, and the next process goes on with it."""
    made(path)
    path.write_bytes(path.read_bytes()[:-5])
    with disk(fail=failing(at, errno.EIO)) as seen, pytest.raises(StateError, match=os.strerror(errno.EIO)):
        FileJournal.reopen(path, writing=contextlib.nullcontext)
    assert len(seen.said) == at
    assert gone_on_with(path, CLOSED) == (*flat(BATCHES)[:-1], CLOSED)


def test_a_journal_that_is_not_there_is_not_gone_on_with(path: Path) -> None:
    """Nor made by the way."""
    with pytest.raises(StateError, match=r"there is no journal r1.open"):
        FileJournal.reopen(path, writing=contextlib.nullcontext)
    assert not path.exists()


# --- what is on stable storage when ---------------------------------------------------------------------


def test_a_new_journal_has_a_durable_name_before_its_first_record(path: Path) -> None:
    """A file that the directory forgets with the power was never there."""
    with disk() as seen:
        made(path, [(BEGUN,), (CLOSED,)])
    directory = path.parent.name
    assert seen.said == [
        "open r1.open",
        f"open {directory}",
        f"fsync {directory}",
        "write r1.open",
        "fdatasync r1.open",
        "write r1.open",
        "fdatasync r1.open",
    ]


def test_a_dead_runs_journal_is_durable_before_anybody_acts_on_it(path: Path) -> None:
    """What a killed process wrote and did not sync is synced by the next, cut or not."""
    made(path)
    with disk() as seen:
        journal = FileJournal.reopen(path, writing=contextlib.nullcontext)
        assert [line for line in seen.said if not line.startswith("open")] == [
            "fsync r1.open",
            f"fsync {path.parent.name}",
        ]
        run(journal.close())


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    """Whatever the mask of the user is."""
    before = os.umask(0)
    try:
        made(path)
    finally:
        os.umask(before)
    assert oct(path.stat().st_mode & 0o777) == "0o600"


# --- only the ends --------------------------------------------------------------------------------------


def test_the_ends_of_a_huge_journal_are_read_without_its_middle(path: Path) -> None:
    """A terabyte between the first record and the last: whoever reads it all does not come back."""
    made(path, [(BEGUN,)])
    last = path.with_suffix(".last")
    made(last, [(CLOSED,)])
    with path.open("r+b") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + last.read_bytes())
    assert read_ends(path) == (BEGUN, CLOSED)


def test_the_ends_of_a_torn_journal_are_those_that_are_whole(path: Path) -> None:
    """An end without its line end is none: the reader of the whole journal drops it too."""
    made(path, [(BEGUN,), (CLOSED,)])
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        begun = BEGUN if length >= first else None
        closed = CLOSED if length == len(whole) else None
        assert read_ends(path) == (begun, closed)
        assert (begun in read_journal(path), closed in read_journal(path)) == (bool(begun), bool(closed))
