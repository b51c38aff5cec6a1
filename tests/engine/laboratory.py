"""A stack in memory: specs as text, a platform that looks at the journal, and a power switch.

A spec is a line: kind, name, then fields and words about it::

    key hub   secret=$HUB
    box lab   size=4 uses=@key.hub colour=red   !protect !cbd !adopt after=key.hub ignore=size

``$HUB`` takes the secret of this name, ``@key.hub`` refers to another
resource's id, anything else is JSON or a plain word. ``moved box.a box.b`` is
a ``[[moved]]``.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from reconciler.core.attributes import ID, REF, SECRET, Attributes, digest, marked, replace_markers
from reconciler.core.events import Event
from reconciler.core.model import (
    Lifecycle,
    Move,
    Remote,
    Removal,
    Resource,
    ResourceAddress,
    ResourceState,
    Source,
    SpecSet,
    State,
    Step,
    UsedBy,
    Verb,
)
from reconciler.core.policy import Policy
from reconciler.core.ports import Fact, Journal, Lock, Refusal, ResourceKind
from reconciler.core.report import DriftReport, RunReport, Settlement
from reconciler.engine.drift import drift
from reconciler.engine.read_only import ReadOnly
from reconciler.engine.secrets import Secrets
from reconciler.engine.stack import Planned, PlanOptions, Stack
from reconciler.engine.writes import differing
from reconciler.errors import Complaint
from reconciler.state import codec
from reconciler.state.records import Intended, Record, Undoing
from reconciler.state.records import Planned as PlannedRecord
from reconciler.state.replay import replay
from reconciler.testing import FakeProvider, MemoryBackend

T = TypeVar("T")

PLATFORM = "fake"
SECRETS = {"HUB": "hub-password-1", "NGC": "ngc-password-1", "SAFE": "safe-password-1"}

KINDS = (
    ResourceKind(
        "box",
        ("name",),
        immutable=frozenset({"shape"}),
        defaults={"colour": "white"},
        facts=lambda values: [Fact("gpus", values["gpus"], ("gpus",))] if values.get("gpus") else [],
    ),
    ResourceKind(
        "key",
        ("name",),
        immutable=frozenset({"secret"}),
        write_only=frozenset({"secret"}),
        unreadable="the secret is never shown",
    ),
    # Two of one name may stand side by side, so one can be made before the other is removed.
    ResourceKind("tower", ("name", "shape"), immutable=frozenset({"shape"})),
    # Its secret can be written over.
    ResourceKind("safe", ("name",), write_only=frozenset({"code"}), unreadable="the code is never shown"),
    # Never deleted: put away, and taken out again. Its text makes a new version.
    ResourceKind(
        "scroll",
        ("name",),
        local=frozenset({"source"}),
        versioned=frozenset({"text", "version"}),
        removal=Removal.ARCHIVE,
    ),
    # There for good; what is carved cannot be changed, and of its marks none can be taken out.
    ResourceKind(
        "stone",
        ("name", "version"),
        immutable=frozenset({"name", "version"}),
        final={"status": "carved"},
        removal=Removal.FORGET,
    ),
    # Built with no roof, which comes once it stands.
    ResourceKind("wall", ("name",), additive=frozenset({"marks"}), late=frozenset({"roof"})),
    # What is below the ground is never shown, and no secret; its water may go with it; it is never filled up.
    ResourceKind(
        "well",
        ("name",),
        immutable=frozenset({"depth", "rim"}),
        write_only=frozenset({"depth", "lining"}),
        plain=frozenset({"depth", "lining"}),
        local=frozenset({"drain", "tool"}),
        parting={"drain": "its water goes with it"},
        refuses=lambda before, after: (
            Refusal("a well gets no shallower", "Dig another one.")
            if (after.get("depth") or 0) < (before.get("depth") or 0)
            else Refusal("a plate stays", "Give it another one.")
            if before.get("plate") and "plate" in after and not after["plate"]
            else None
        ),
    ),
)


# One loop for all: making one takes longer than most of what runs in it.
_runner = asyncio.Runner()
atexit.register(_runner.close)


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of *work*, which leaves nothing running behind it."""
    try:
        return _runner.run(work)
    finally:
        assert asyncio.all_tasks(_runner.get_loop()) == set()


def address(text: str) -> ResourceAddress:
    """``box.a`` as an address."""
    return ResourceAddress.parse(f"{PLATFORM}.{text}")


def _value(text: str) -> Any:
    if text.startswith("$"):
        return {SECRET: {"env": text[1:]}}
    if text.startswith("@"):
        return {REF: f"{PLATFORM}.{text[1:]}"}
    try:
        return replace_markers(json.loads(text), "@", lambda name: {REF: f"{PLATFORM}.{name}"})
    except ValueError:
        return text


def specs(text: str) -> SpecSet:
    """The specs in *text*, a line each."""
    resources, moves = [], []
    for number, line in enumerate(text.strip().splitlines(), start=1):
        kind, *words = line.split()
        if kind == "moved":
            moves.append(Move(address(words[0]), address(words[1])))
            continue
        name, *rest = words
        values: dict[str, Any] = {"name": name}
        flags = {word[1:] for word in rest if word.startswith("!")}
        fields = dict(word.split("=", 1) for word in rest if not word.startswith("!"))
        after = [address(one) for one in fields.pop("after", "").split(",") if one]
        ignored = tuple(one for one in fields.pop("ignore", "").split(",") if one)
        values |= {key: _value(one) for key, one in fields.items()}
        referred = [ResourceAddress.parse(found) for _, found in marked(values, REF)]
        resources.append(
            Resource(
                address(f"{kind}.{name}"),
                Attributes(values),
                Source("specs", number),
                tuple(sorted({*after, *referred})),
                Lifecycle("protect" in flags, "cbd" in flags, "adopt" in flags, ignored),
            )
        )
    return SpecSet(tuple(resources), digest(text.encode()), moves=tuple(moves))


class Platform(FakeProvider):
    """A `FakeProvider` that lets others run during a call, and tells *watch* before and after each.

    Before a write it makes sure that the journal has its intent on stable
    storage; what it finds wrong is in ``unannounced``.
    """

    def __init__(self, name: str = PLATFORM, **settings: Any) -> None:
        super().__init__(name, kinds=KINDS, **settings)
        self.watch: Callable[[str], None] = lambda what: None
        self.durable: Callable[[], tuple[Record, ...]] = tuple
        self.unannounced: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    @contextlib.contextmanager
    def _call(self, what: str) -> Iterator[None]:
        self.watch(f"before {what}")
        if not what.startswith(("list", "read", "find")) and not self._announced(what):
            self.unannounced.append(what)
        with super()._call(what):
            yield
            self.watch(f"after {what}")

    def _announced(self, what: str) -> bool:
        verb, name = what.split(" ", 1)
        records = self.durable()
        folded = replay(State("test"), [one for one in records if isinstance(one, PlannedRecord)])
        if folded.plan is None:
            return False
        ended = {
            one.step for one in records if not isinstance(one, Intended | Undoing) and hasattr(one, "step")
        }
        inverse = {Verb.CREATE: {"delete"}, Verb.DELETE: {"create", "restore"}, Verb.UPDATE: {"update"}}
        for one in records:
            if isinstance(one, Intended | Undoing):
                step = folded.step(one.step)
                wanted = {str(step.verb)} if isinstance(one, Intended) else inverse.get(step.verb, set())
                still_open = isinstance(one, Undoing) or one.step not in ended
                if still_open and verb in wanted and str(step.address) == f"{self.name}.{name}":
                    return True
        return False

    async def _breathe(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1

    async def read(self, kind: str, remote_id: str, *, usage: bool = False) -> Remote | None:
        await self._breathe()
        return await super().read(kind, remote_id, usage=usage)

    async def create(self, address: ResourceAddress, attributes: Attributes, *, key: str) -> str:
        await self._breathe()
        return await super().create(address, attributes, key=key)

    async def update(
        self, address: ResourceAddress, remote_id: str, attributes: Attributes, *, previous: Remote
    ) -> None:
        await self._breathe()
        await super().update(address, remote_id, attributes, previous=previous)

    async def delete(self, address: ResourceAddress, remote_id: str, **more: Any) -> None:
        await self._breathe()
        await super().delete(address, remote_id, **more)

    async def restore(self, address: ResourceAddress, remote_id: str) -> None:
        await self._breathe()
        await super().restore(address, remote_id)


class Backend(MemoryBackend):
    """A `MemoryBackend` that tells *watch* before and after each thing that becomes durable."""

    watch: Callable[[str, tuple[Record, ...]], None] = staticmethod(lambda what, pending: None)

    def commit(self, state: State, **settings: Any) -> None:
        self.watch("before commit", ())
        super().commit(state, **settings)
        self.watch("after commit", ())

    def seal(self, run: str, lock: Lock) -> None:
        super().seal(run, lock)
        self.watch("sealed", ())

    def resume(self, run: str, lock: Lock) -> Journal:
        journal: Any = super().resume(run, lock)
        flush = journal.flush

        async def watched() -> None:
            pending = tuple(journal._pending)
            for length in range(len(pending) + 1):
                # A batch that a crash cuts short leaves its beginning.
                self.watch(f"{length} of {len(pending)} records", pending[:length])
            await flush()

        journal.flush = watched
        return journal


@dataclass
class Moment:
    """Everything that survives when the power goes, at one moment."""

    what: str
    objects: dict[str, tuple[str, Any]]
    archived: dict[str, tuple[str, Any]]
    state: State | None
    journals: dict[str, list[Record]]
    open_runs: list[str]
    next_id: int


@dataclass
class Laboratory:
    """One stack over one platform. Each command is a method; nothing is kept between them but the files."""

    provider: Platform = field(default_factory=Platform)
    backend: Backend = field(default_factory=Backend)
    environment: dict[str, str] = field(default_factory=lambda: dict(SECRETS))
    policy: Policy = field(default_factory=lambda: Policy(max_delete_fraction=1.0))
    parallelism: int = 3
    config: str = ""
    events: list[Event] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    stop: Callable[[], bool] = lambda: False
    _runs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.provider.durable = self._durable

    def _durable(self) -> tuple[Record, ...]:
        run = self.backend.open_run()
        return tuple(self.backend.journals[run]) if run is not None else ()

    def stack(self) -> Stack:
        """The stack, opened for one command."""
        return Stack(
            name="test",
            backend=self.backend,
            providers={self.provider.name: self.provider},
            policy=self.policy,
            secrets=Secrets(Path("/nowhere"), self.environment),
            report=self.events.append,
            now=lambda: "2026-01-01T00:00:00Z",
            new_run=lambda: f"run-{next(self._runs):03}",
            new_lineage=lambda: "lineage",
            new_key=lambda: "5e" * 32,
            complain=lambda resource, problem: Complaint(problem.summary, resource.source.file),
            shown=lambda path, value: "typed-in" not in str(value),
            parallelism=self.parallelism,
            tool="test",
            config_digest=self.config,
            stop=lambda: self.stop(),
        )

    # --- commands ---

    def plan(self, text: str, **options: Any) -> Planned:
        """``plan`` for the specs in *text*."""
        wanted = SpecSet.empty() if options.get("destroy") else specs(text)
        return run(self.stack().plan(wanted, PlanOptions(**options)))

    def carry_out(self, planned: Planned, on_failure: str = "rollback") -> RunReport:
        """Apply a plan under the lock, with calls counted from 1."""

        async def work() -> RunReport:
            with self.locked("apply") as lock:
                return await self.stack().apply(planned, lock, command="apply", on_failure=on_failure)

        self.provider.calls.clear()
        return run(work())

    def apply(self, text: str, on_failure: str = "rollback", **options: Any) -> RunReport:
        """``apply``: settle, plan, carry out."""
        self.settle()
        return self.carry_out(self.plan(text, **options), on_failure)

    def settle(self) -> Settlement | None:
        """``recover``."""

        async def work() -> Settlement | None:
            with self.locked("recover") as lock:
                return await self.stack().settle(lock)

        return run(work())

    def undo(self, past: str, **options: Any) -> Planned:
        """``undo RUN``: the plan back."""
        return run(self.stack().undo(past, PlanOptions(**options)))

    def resume(self, past: str, text: str) -> RunReport:
        """``apply --resume RUN``."""
        self.settle()
        return self.carry_out(run(self.stack().resume(past, specs(text))))

    def drift(self, text: str | None = None, **settings: Any) -> DriftReport:
        """``drift``, with platforms that can be read and not be written to; *text* are the specs."""
        readers = {self.provider.name: ReadOnly(self.provider)}
        planner = replace(self.stack().planner(), readers=readers)
        wanted = specs(text) if text is not None else None
        return run(drift(planner, self.stack().remembered(), wanted, **settings))

    def verify(self, planned: Planned, text: str) -> Planned:
        """Whether a saved plan still holds."""
        return run(self.stack().verify(planned.plan, specs(text)))

    @contextlib.contextmanager
    def locked(self, command: str) -> Iterator[Lock]:
        """The stack for ourselves."""
        with self.backend.lock(command, timeout=0.0, waiting=lambda text: None) as lock:
            yield lock

    def hand(self, text: str) -> None:
        """What a person does behind our back, a line each.

        ``put box.a size=1``, ``edit box.a size=2``, ``delete box.a``, ``hide box.a`` from
        listings, ``use box.a lab-1``, ``vendor box.a`` owns it.
        """
        for line in text.strip().splitlines():
            verb, name, *words = line.split()
            values = dict(word.split("=", 1) for word in words if "=" in word)
            attributes = {key: _value(one) for key, one in values.items()}
            platform = self.provider
            match verb:
                case "put":
                    kind, plain = name.split(".", 1)
                    platform.put(kind, name=plain, **attributes)
                case "edit":
                    platform.edit(self.id_of(name), **attributes)
                case "delete":
                    del platform.objects[self.id_of(name)]
                case "hide":
                    platform.hidden.add(self.id_of(name))
                case "use":
                    users = tuple(UsedBy("workspace", word, "Running", active=True) for word in words)
                    platform.used[self.id_of(name)] = users
                case "vendor":
                    platform.foreign.add(self.id_of(name))
                case _:
                    raise ValueError(line)

    # --- looking ---

    @property
    def resources(self) -> Mapping[ResourceAddress, ResourceState]:
        """What the state remembers."""
        return self.backend.load().resources

    def record(self, name: str) -> ResourceState:
        """What the state remembers of ``box.a``."""
        return self.resources[address(name)]

    def id_of(self, name: str) -> str:
        """The id of the one object ``box.a`` on the platform."""
        found = [
            remote_id
            for remote_id, (kind, stored) in self.provider.objects.items()
            if f"{kind}.{stored.attributes['name']}" == name
        ]
        assert len(found) == 1, f"{len(found)} objects are called {name}"
        return found[0]

    def world(self) -> list[str]:
        """What there is, a sorted line each, ids as the names of what they mean."""
        names = {
            remote_id: f"{kind}.{stored.attributes['name']}"
            for remote_id, (kind, stored) in self.provider.objects.items()
        }
        lines = []
        for remote_id, (_, stored) in self.provider.objects.items():
            values = replace_markers(stored.attributes, ID, lambda other: f"@{names.get(other, 'nothing')}")
            fields = " ".join(
                f"{key}={one if isinstance(one, str) else json.dumps(one)}"
                for key, one in sorted(values.items())
                if key != "name"
            )
            lines.append(f"{names[remote_id]} {fields}".strip())
        return sorted(lines)

    def changes(self, planned: Planned) -> list[str]:
        """The changes of a plan, a line each: ``update box.a (spec changed) size``."""
        lines = []
        for change in planned.plan.changes:
            fields = ",".join(".".join(map(str, one.path)) for one in change.fields)
            name = f"{change.address.kind}.{change.address.name}"
            lines.append(f"{change.action} {name} ({change.reason}) {fields}".strip())
        return lines

    def steps(self, planned: Planned) -> list[str]:
        """The steps of a plan in their order: ``create box.a``."""
        return [step_line(step) for step in planned.plan.steps]

    def journal(self, run: str | None = None) -> list[str]:
        """The records of a run (the newest) in short."""
        if run is None:
            run = max(self.backend.journals)
        lines = []
        for one in self.backend.records(run):
            number = getattr(one, "step", None)
            lines.append(type(one).__name__ + ("" if number is None else f" {number}"))
        return lines

    # --- what must hold whatever happens ---

    def agreement(self, *, foreign: tuple[str, ...] = ()) -> list[str]:
        """In what world, state and journal disagree; nothing is to.

        *foreign* are ids of objects that are not ours.
        """
        wrong = [f"{what}: called without a durable intent" for what in self.provider.unannounced]
        state = self.backend.load()
        known: dict[str, str] = {}
        for one in state.resources.values():
            for remote_id in (one.remote_id, *one.deposed):
                if remote_id in known:
                    wrong.append(f"{one.address} and {known[remote_id]} are both {remote_id}")
                known[remote_id] = str(one.address)
        identities: dict[tuple[str, ...], str] = {}
        for remote_id, (kind, stored) in self.provider.objects.items():
            identity = (kind, *self.provider.kinds[kind].identity_of(Attributes(stored.attributes)))
            if identity in identities:
                wrong.append(f"{' '.join(identity)} is there twice")
            identities[identity] = remote_id
            if remote_id not in known and remote_id not in foreign:
                wrong.append(f"{' '.join(identity)} ({remote_id}) is on the platform and nobody knows")
        for one in state.resources.values():
            if one.remote_id not in self.provider.objects:
                wrong.append(f"{one.address} ({one.remote_id}) is in the state and not on the platform")
                continue
            kind, _ = self.provider.objects[one.remote_id]
            live = self.provider._remote(one.remote_id, usage=False)
            if different := differing(self.provider.kinds[kind], one.attributes, live):
                wrong.append(f"{one.address} is not as remembered in {', '.join(different)}")
        wrong += self.leaks()
        return wrong

    def leaks(self) -> list[str]:
        """Secrets that stand where none may."""
        written = b"\n".join(
            [
                codec.encode_state(self.backend.load()),
                *(codec.encode(one) for records in self.backend.journals.values() for one in records),
                repr(self.events).encode(),
            ]
        )
        return [
            f"{name} was written down"
            for name, value in self.environment.items()
            if value.encode() in written
        ]

    # --- the power switch ---

    def watch(self) -> None:
        """From now on keep every moment at which the power could go."""
        self.provider.watch = self.backend.watch = self.remember

    def remember(self, what: str, pending: tuple[Record, ...] = ()) -> None:
        """Keep this moment, *pending* being what a torn batch has left of itself in the journal."""
        journals = {run: list(records) for run, records in self.backend.journals.items()}
        if pending:
            journals.setdefault(str(self.backend.open_run()), []).extend(pending)
        self.moments.append(
            Moment(
                what,
                dict(self.provider.objects),
                dict(self.provider.archived),
                self.backend.state,
                journals,
                list(self.backend.open_runs),
                max((int(one.partition("-")[2]) for one in self.provider.objects), default=0) + 100,
            )
        )

    def after_power_cut(self, moment: Moment) -> Laboratory:
        """What a new process finds when the power went at *moment*."""
        provider = Platform(self.provider.name, patience=self.provider.patience)
        for remote_id, (kind, stored) in moment.objects.items():
            provider._keep(remote_id, kind, stored.attributes, stored.version)
        provider.archived = dict(moment.archived)
        provider._ids = itertools.count(moment.next_id)
        journals = {run: list(records) for run, records in moment.journals.items()}
        backend = Backend("test", moment.state, journals, list(moment.open_runs))
        return Laboratory(
            provider,
            backend,
            dict(self.environment),
            self.policy,
            self.parallelism,
            _runs=itertools.count(len(journals) + 1),
        )


def step_line(step: Step) -> str:
    """``create box.a``."""
    return f"{step.verb} {step.address.kind}.{step.address.name}"
