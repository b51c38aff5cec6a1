"""What every provider and every state backend has to keep, as tests to inherit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from reconciler.core.attributes import Attributes
from reconciler.core.diff import fingerprint
from reconciler.core.model import (
    NO_STAMP,
    Holder,
    Remote,
    ResourceAddress,
    ResourceState,
    Stamp,
    State,
)
from reconciler.core.ports import Lock, Place, Provider, ProviderPlugin, StateBackend
from reconciler.errors import (
    AlreadyExists,
    LockHeld,
    LockLost,
    StateError,
    StateMoved,
)
from reconciler.state.records import Begun, Closed, Failed, Record

T = TypeVar("T")


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class ProviderContract:
    """What every provider keeps. Give it a ``provider`` fixture, a ``kind`` and ``attributes``.

    ``attributes(name)`` are managed fields of an object that can be created;
    ``change`` are managed fields to write over them; ``clear`` names one that
    can be cleared after that, or is empty. ``plugin`` is the provider's own,
    which reads and writes specs; None for a stand-in that has none.
    """

    kind: str
    plugin: ProviderPlugin | None
    change: Mapping[str, Any]
    clear: str = ""

    def attributes(self, name: str) -> Attributes:
        """Managed fields of an object called *name*."""
        raise NotImplementedError

    def _address(self, provider: Provider, name: str) -> ResourceAddress:
        return ResourceAddress(provider.name, self.kind, name)

    async def _made(self, provider: Provider, name: str) -> Remote:
        made = await provider.create(self._address(provider, name), self.attributes(name), key=f"test.{name}")
        found = await provider.read(self.kind, made)
        assert found is not None
        return found

    async def _listed(self, provider: Provider) -> dict[str, Remote]:
        return {remote.id: remote async for remote in provider.list(self.kind)}

    def _managed(self, provider: Provider, wanted: Mapping[str, Any], live: Remote) -> dict[str, Any]:
        rules = provider.kinds[self.kind]
        return {
            key: live.attributes.get(key, rules.defaults.get(key))
            for key in wanted
            if key not in rules.write_only
        }

    def _visible(self, provider: Provider, wanted: Mapping[str, Any]) -> dict[str, Any]:
        rules = provider.kinds[self.kind]
        return {key: value for key, value in wanted.items() if key not in rules.write_only}

    def test_what_was_created_is_read_back(self, provider: Provider) -> None:
        """Every managed field that can be seen is as it was sent."""

        async def check() -> None:
            wanted = self.attributes("one")
            live = await self._made(provider, "one")
            assert self._managed(provider, wanted, live) == self._visible(provider, wanted)

        _run(check())

    def test_a_listing_and_a_read_show_the_same_object(self, provider: Provider) -> None:
        """So a fingerprint taken from one holds for the other."""

        async def check() -> None:
            live = await self._made(provider, "one")
            listed = (await self._listed(provider))[live.id]
            assert (listed.attributes, listed.identity, fingerprint(listed), listed.wire_digest) == (
                live.attributes,
                live.identity,
                fingerprint(live),
                live.wire_digest,
            )

        _run(check())

    def test_a_listing_shows_every_object_once(self, provider: Provider) -> None:
        """Nothing is left out of a listing, and nothing is in it twice."""

        async def check() -> None:
            before = await self._listed(provider)
            made = [(await self._made(provider, f"n-{number}")).id for number in range(5)]
            ids = [remote.id async for remote in provider.list(self.kind)]
            assert sorted(ids) == sorted([*before, *made])

        _run(check())

    def test_an_object_is_found_by_its_identity(self, provider: Provider) -> None:
        """Exactly that one: a name that only begins alike is another object."""

        async def check() -> None:
            await self._made(provider, "one-more")
            live = await self._made(provider, "one")
            found = await provider.find(self.kind, self.attributes("one"))
            assert found is not None
            assert found.id == live.id
            assert await provider.find(self.kind, self.attributes("on")) is None

        _run(check())

    def test_what_does_not_exist_is_read_as_none(self, provider: Provider) -> None:
        """Absence is an answer, not an error."""

        async def check() -> None:
            live = await self._made(provider, "one")
            await provider.delete(self._address(provider, "one"), live.id)
            assert await provider.read(self.kind, live.id) is None
            assert live.id not in await self._listed(provider)

        _run(check())

    def test_deleting_what_is_gone_is_success(self, provider: Provider) -> None:
        """Deleting twice is like deleting once."""

        async def check() -> None:
            live = await self._made(provider, "one")
            address = self._address(provider, "one")
            await provider.delete(address, live.id)
            await provider.delete(address, live.id)

        _run(check())

    def test_an_update_writes_the_managed_fields_and_keeps_the_rest(self, provider: Provider) -> None:
        """What is not named in an update stays as it was read."""

        async def check() -> None:
            live = await self._made(provider, "one")
            address = self._address(provider, "one")
            await provider.update(address, live.id, Attributes(self.change), previous=live)
            after = await provider.read(self.kind, live.id)
            assert after is not None
            assert after.attributes == {**live.attributes, **self.change}
            assert fingerprint(after) != fingerprint(live)

        _run(check())

    def test_none_clears_a_field(self, provider: Provider) -> None:
        """A field that is given up goes back to its default."""
        if not self.clear:
            return

        async def check() -> None:
            live = await self._made(provider, "one")
            address = self._address(provider, "one")
            await provider.update(address, live.id, Attributes(self.change), previous=live)
            changed = await provider.read(self.kind, live.id)
            assert changed is not None
            await provider.update(address, live.id, Attributes({self.clear: None}), previous=changed)
            after = await provider.read(self.kind, live.id)
            assert after is not None
            default = provider.kinds[self.kind].defaults.get(self.clear)
            assert after.attributes.get(self.clear, default) == default

        _run(check())

    def test_a_name_that_is_taken_is_refused(self, provider: Provider) -> None:
        """A second object of one identity is an error, and there is one object."""

        async def check() -> None:
            live = await self._made(provider, "one")
            with pytest.raises(AlreadyExists):
                await self._made(provider, "one")
            same = [r.id async for r in provider.list(self.kind) if r.identity == live.identity]
            assert same == [live.id]

        _run(check())

    def test_a_spec_is_written_of_what_is_live(self, provider: Provider, tmp_path: Path) -> None:
        """`import` needs it: read again it means the same, but for what is left out, by name and with why."""
        plugin = self.plugin
        if plugin is None:
            return

        async def live() -> Remote:
            return await self._made(provider, "one")

        shown = _run(live()).attributes
        place = Place(provider.name, "one", tmp_path, tmp_path)
        spec = plugin.write_spec(self.kind, shown.values_, place)
        assert set(spec.table) <= plugin.spec_fields(self.kind)
        assert None not in spec.table.values()
        reading = plugin.read_spec(self.kind, spec.table, place)
        assert reading.problems == ()
        draft = reading.drafts[0]
        assert draft.kind == self.kind
        rules = provider.kinds[self.kind]
        left = {str(one.path[0]) for one in spec.left_out}
        assert all(one.summary for one in spec.left_out)
        unsaid = left | spec.chosen.keys() | rules.write_only | rules.local
        for key in draft.attributes.keys() - unsaid:
            value = draft.attributes[key]
            default = rules.defaults.get(key)
            assert (default if value is None else value) == shown.get(key, default), key
        # What no spec has a word for (the keys of a credential, say) comes with a secret to fill in.
        lost = {key for key, value in shown.items() if value != rules.defaults.get(key)}
        if not spec.to_fill:
            assert lost <= draft.attributes.keys() | unsaid


class BackendContract:
    """What every state backend keeps. Give it a ``backend`` fixture: an empty one for the stack ``test``."""

    def _state(self, serial: int, *names: str) -> State:
        resources = {
            address: ResourceState(address, f"id-{name}", Attributes({"name": name, "size": serial}))
            for name in names
            for address in [ResourceAddress("fake", "box", name)]
        }
        return State("test", Stamp("lineage", serial), f"run-{serial}", "00" * 32, resources)

    @contextlib.contextmanager
    def _locked(self, backend: StateBackend) -> Iterator[Lock]:
        with backend.lock("test", timeout=0.0, waiting=lambda text: None) as lock:
            yield lock

    def _begun(self, run: str) -> Begun:
        return Begun(
            run=run,
            command="apply",
            base=NO_STAMP,
            lineage="lineage",
            secret_key="00" * 32,
            holder=Holder("tester", "here", 1, "", ""),
            started="2026-01-01T00:00:00Z",
            digest="sha256:0",
            revision="abc",
        )

    def _closed(self, outcome: str) -> Closed:
        return Closed(outcome, "2026-01-01T00:01:00Z", 1, {"done": 3})

    def test_a_new_backend_has_an_empty_state(self, backend: StateBackend) -> None:
        """Nothing was committed: no stamp, no resource, no run."""
        assert backend.load() == State("test", NO_STAMP)
        assert backend.stored_stamp() == NO_STAMP
        assert backend.open_run() is None
        assert list(backend.runs()) == []

    def test_what_was_committed_is_loaded(self, backend: StateBackend) -> None:
        """A state comes back whole."""
        state = self._state(1, "a", "b")
        with self._locked(backend) as lock:
            backend.commit(state, expected=NO_STAMP, lock=lock)
        assert backend.load() == state
        assert backend.stored_stamp() == state.stamp

    def test_every_field_of_a_state_comes_back(self, backend: StateBackend) -> None:
        """Dependencies, secrets, older objects and texts of any script."""
        hub, lab = ResourceAddress("fake", "key", "hub"), ResourceAddress("fake", "box", "läb.1 😀")
        state = State(
            "test",
            Stamp("lineage", 7),
            "run-7",
            "5e" * 32,
            {
                hub: ResourceState(hub, "", Attributes({})),
                lab: ResourceState(
                    lab,
                    "id-1",
                    Attributes({"größe": 1.5, "from": {"$id": "id-0"}, "none": None, "list": ["\u2028", {}]}),
                    {"a.0": "hash"},
                    (hub,),
                    True,
                    "sha256:1",
                    ("id-2", "id-3"),
                ),
            },
        )
        with self._locked(backend) as lock:
            backend.commit(state, expected=NO_STAMP, lock=lock)
        assert backend.load() == state

    def test_a_commit_on_another_state_is_refused(self, backend: StateBackend) -> None:
        """Compare and swap: what is stored stays when it is not what was expected."""
        first = self._state(1, "a")
        with self._locked(backend) as lock:
            backend.commit(first, expected=NO_STAMP, lock=lock)
            with pytest.raises(StateMoved):
                backend.commit(self._state(1, "b"), expected=NO_STAMP, lock=lock)
            with pytest.raises(StateMoved):
                backend.commit(self._state(3, "b"), expected=Stamp("other", 1), lock=lock)
        assert backend.load() == first

    def test_a_restored_state_replaces_any_other(self, backend: StateBackend) -> None:
        """A repair asks for no stamp."""
        with self._locked(backend) as lock:
            backend.commit(self._state(5, "a"), expected=NO_STAMP, lock=lock)
            backend.restore(self._state(2, "b"), lock=lock)
            with pytest.raises(StateMoved):
                backend.commit(self._state(6, "c"), expected=Stamp("lineage", 5), lock=lock)
        assert backend.load() == self._state(2, "b")

    def test_the_lock_says_who_holds_it_for_what(self, backend: StateBackend) -> None:
        """And is let go of whatever happens while it is held."""
        with pytest.raises(ZeroDivisionError), self._locked(backend) as lock:
            assert lock.info.command == "test"
            assert lock.info.holder.who in str(lock.info)
            raise ZeroDivisionError
        with self._locked(backend) as other:
            assert other.info.id != lock.info.id

    def test_a_lock_that_was_let_go_of_writes_nothing_more(self, backend: StateBackend) -> None:
        """Neither a state nor a journal."""
        with self._locked(backend) as lock:
            pass
        with pytest.raises(LockLost):
            lock.check()
        with pytest.raises(LockLost):
            backend.commit(self._state(1, "a"), expected=NO_STAMP, lock=lock)
        with pytest.raises(LockLost):
            backend.begin("r1", lock)
        assert (backend.load(), backend.open_run()) == (State("test", NO_STAMP), None)

    def test_the_lock_is_held_by_one(self, backend: StateBackend) -> None:
        """A second taker is told who has it, and gets it when the first lets go."""
        with self._locked(backend) as lock:
            with pytest.raises(LockHeld) as caught, self._locked(backend):
                pass
            assert lock.info.id in caught.value.holder
        with self._locked(backend):
            pass

    def test_readers_do_not_hinder_each_other_and_wait_for_writers(self, backend: StateBackend) -> None:
        """Shared among readers, exclusive against writers."""

        def reading() -> contextlib.AbstractContextManager[None]:
            return backend.reading(timeout=0.0, waiting=lambda text: None)

        with reading(), reading():
            pass
        with self._locked(backend), pytest.raises(LockHeld), reading():
            pass

    def test_a_broken_lock_writes_nothing_more(self, backend: StateBackend) -> None:
        """The old holder notices before a write, and the next one is free to go on."""
        with self._locked(backend) as lock:
            backend.unlock(lock.info.id)
            with pytest.raises(LockLost):
                lock.check()
            with pytest.raises(LockLost):
                backend.commit(self._state(1, "a"), expected=NO_STAMP, lock=lock)
            with pytest.raises(LockLost):
                backend.restore(self._state(1, "a"), lock=lock)
            with pytest.raises(LockLost):
                backend.begin("r1", lock)
            assert backend.open_run() is None
            with self._locked(backend) as other:
                backend.commit(self._state(1, "b"), expected=NO_STAMP, lock=other)
        assert backend.load() == self._state(1, "b")

    def test_letting_go_of_a_broken_lock_does_not_free_the_next_one(self, backend: StateBackend) -> None:
        """The old holder comes to its end while the new one is at work."""
        with contextlib.ExitStack() as new:
            with self._locked(backend) as lock:
                backend.unlock(lock.info.id)
                other = new.enter_context(self._locked(backend))
            with pytest.raises(LockHeld), self._locked(backend):
                pass
            other.check()

    def test_unlock_says_whose_lock_it_was(self, backend: StateBackend) -> None:
        """Once: a broken lock cannot be broken again."""
        with self._locked(backend) as lock:
            info, _ = backend.unlock(lock.info.id)
            assert info == lock.info
            with pytest.raises(StateError):
                backend.unlock(lock.info.id)

    def test_unlock_needs_the_right_id(self, backend: StateBackend) -> None:
        """Neither another id nor a free lock is broken."""
        with pytest.raises(StateError):
            backend.unlock("nothing")
        with self._locked(backend) as lock:
            with pytest.raises(StateError):
                backend.unlock("another")
            lock.check()

    def test_a_journal_gives_back_its_records_in_order(self, backend: StateBackend) -> None:
        """Written or appended, each record is there once."""
        wanted = [self._begun("r1"), Failed(0, "no"), Failed(1, "never")]

        async def write(lock: Lock) -> None:
            journal = backend.begin("r1", lock)
            await journal.append(wanted[0])
            journal.write(wanted[1])
            await asyncio.gather(journal.append(wanted[2]))
            await journal.close()

        with self._locked(backend) as lock:
            _run(write(lock))
        assert list(backend.records("r1")) == wanted
        assert backend.open_run() == "r1"

    def test_what_was_appended_is_there_at_once(self, backend: StateBackend) -> None:
        """Whoever looks while the run goes on sees all that was acknowledged."""

        async def write(lock: Lock) -> None:
            journal = backend.begin("r1", lock)
            journal.write(self._begun("r1"))
            await journal.append(Failed(0, "no"))
            assert list(backend.records("r1")) == [self._begun("r1"), Failed(0, "no")]
            journal.write(Failed(1, "never"))
            await journal.flush()
            assert list(backend.records("r1"))[2:] == [Failed(1, "never")]
            await journal.close()
            await journal.close()

        with self._locked(backend) as lock:
            _run(write(lock))

    def test_many_tasks_append_at_once(self, backend: StateBackend) -> None:
        """Each record is there once, in the order in which they were added."""
        wanted = [Failed(number, "no") for number in range(100)]

        async def write(lock: Lock) -> None:
            journal = backend.begin("r1", lock)
            await asyncio.gather(*(journal.append(record) for record in wanted))
            await journal.close()

        with self._locked(backend) as lock:
            _run(write(lock))
        assert list(backend.records("r1")) == wanted

    def test_a_closed_journal_takes_nothing_more(self, backend: StateBackend) -> None:
        """It says so instead of losing the record."""

        async def write(lock: Lock) -> None:
            journal = backend.begin("r1", lock)
            await journal.close()
            with pytest.raises(StateError):
                await journal.append(Failed(0, "too late"))

        with self._locked(backend) as lock:
            _run(write(lock))
        assert list(backend.records("r1")) == []

    def test_one_run_goes_on_at_a_time(self, backend: StateBackend) -> None:
        """What a dead run left open is settled before another begins, and no run id is used twice."""

        async def write(run: str, lock: Lock, *records: Record) -> None:
            journal = backend.begin(run, lock)
            for record in records:
                await journal.append(record)
            await journal.close()

        with self._locked(backend) as lock:
            _run(write("r1", lock, self._begun("r1")))
            with pytest.raises(StateError):
                _run(write("r2", lock))
            assert (backend.open_run(), [run.outcome for run in backend.runs()]) == ("r1", ["open"])
            journal = backend.resume("r1", lock)
            _run(journal.append(self._closed("interrupted")))
            _run(journal.close())
            backend.seal("r1", lock)
            with pytest.raises(StateError):
                _run(write("r1", lock))
            _run(write("r2", lock))
        assert backend.open_run() == "r2"

    def test_a_run_that_wrote_its_end_is_over(self, backend: StateBackend) -> None:
        """Also when it died before its journal was sealed: how it ended stays as it was."""

        async def write(run: str, lock: Lock) -> None:
            journal = backend.begin(run, lock)
            await journal.append(self._begun(run))
            await journal.append(self._closed("applied"))
            await journal.close()

        with self._locked(backend) as lock:
            _run(write("r1", lock))
            assert backend.open_run() is None
            _run(write("r2", lock))
        assert [(run.id, run.outcome) for run in backend.runs()] == [("r2", "applied"), ("r1", "applied")]
        assert list(backend.records("r1")) == [self._begun("r1"), self._closed("applied")]

    def test_only_an_open_run_is_gone_on_with_or_closed(self, backend: StateBackend) -> None:
        """A run that nobody began has no journal to add to."""
        with self._locked(backend) as lock:
            with pytest.raises(StateError):
                backend.resume("nothing", lock)
            with pytest.raises(StateError):
                backend.seal("nothing", lock)

    def test_a_dead_runs_journal_is_gone_on_with(self, backend: StateBackend) -> None:
        """What the second process adds stands behind what the first one wrote."""

        async def write(lock: Lock, resume: bool, *records: Record) -> None:
            journal = backend.resume("r1", lock) if resume else backend.begin("r1", lock)
            for record in records:
                await journal.append(record)
            await journal.close()

        closed = Closed("interrupted", "2026-01-01T00:01:00Z", 1, {"done": 1})
        with self._locked(backend) as lock:
            _run(write(lock, False, self._begun("r1")))
        with self._locked(backend) as lock:
            _run(write(lock, True, closed))
            backend.seal("r1", lock)
        assert list(backend.records("r1")) == [self._begun("r1"), closed]
        assert backend.open_run() is None

    def test_history_is_newest_first(self, backend: StateBackend) -> None:
        """Each run with how it began and ended."""

        async def write(run: str, lock: Lock) -> None:
            journal = backend.begin(run, lock)
            await journal.append(self._begun(run))
            await journal.append(Closed("applied", "2026-01-01T00:01:00Z", 1, {"done": 3}))
            await journal.close()

        for run in ("20260101-a", "20260102-b"):
            with self._locked(backend) as lock:
                _run(write(run, lock))
                backend.seal(run, lock)
        assert [(run.id, run.command, run.outcome, dict(run.counts)) for run in backend.runs()] == [
            ("20260102-b", "apply", "applied", {"done": 3}),
            ("20260101-a", "apply", "applied", {"done": 3}),
        ]

    def test_serials_and_no_clock_say_which_run_was_later(self, backend: StateBackend) -> None:
        """Where one was set back in between, run ids and times go the other way."""

        async def write(run: str, lock: Lock, started: str, base: int, serial: int) -> None:
            journal = backend.begin(run, lock)
            stamp = Stamp("lineage", base)
            await journal.append(replace(self._begun(run), started=started, base=stamp))
            await journal.append(Closed("applied", started, serial))
            await journal.close()

        written = [("r8", 8, 0, 1), ("r9", 9, 1, 1), ("r6", 6, 1, 2), ("r3", 3, 2, 3), ("r5", 5, 3, 3)]
        for run, hour, base, serial in written:
            with self._locked(backend) as lock:
                _run(write(run, lock, f"2026-01-01T0{hour}:00:00Z", base, serial))
                backend.seal(run, lock)
        assert [(run.id, run.base_serial, run.serial) for run in backend.runs()] == [
            (run, base, serial) for run, _, base, serial in reversed(written)
        ]

    def test_a_broken_lock_adds_nothing_to_a_journal(self, backend: StateBackend) -> None:
        """Fencing reaches the journal too."""

        async def write(lock: Lock) -> None:
            journal = backend.begin("r1", lock)
            await journal.append(self._begun("r1"))
            backend.unlock(lock.info.id)
            with pytest.raises(LockLost):
                await journal.append(Failed(0, "too late"))
            with pytest.raises(LockLost):
                journal.write(Failed(0, "too late"))
            with pytest.raises(LockLost):
                await journal.flush()
            await journal.close()
            with pytest.raises(LockLost):
                backend.seal("r1", lock)
            with pytest.raises(LockLost):
                backend.resume("r1", lock)

        with self._locked(backend) as lock:
            _run(write(lock))
        assert list(backend.records("r1")) == [self._begun("r1")]
        assert backend.open_run() == "r1"

    def test_records_of_an_unknown_run_are_an_error(self, backend: StateBackend) -> None:
        """There is no run that nobody began."""
        with pytest.raises(StateError):
            backend.records("nothing")
