"""Run the steps of a plan: journal, call, read back, report. Rollback is a run of inverse steps.

The executor decides nothing about *whether*: the plan says what, the journal
says how far. For each step the order is always the same: what it was planned
on still holds, the intent is on stable storage, the platform is called, the
object is read back and is what was asked for, the outcome is written down.

A call without an answer is settled by reading (`settle`), never by hoping;
`reconciler.engine.recovery` asks the same question about the steps of a run
that died.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from reconciler.core.attributes import ID, SECRET, Attributes, marked, replace_markers
from reconciler.core.diff import fingerprint
from reconciler.core.events import (
    RollbackStarted,
    StepDone,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from reconciler.core.model import Phase, Plan, Remote, ResourceState, Reversal, Step, Verb
from reconciler.core.ports import Journal, Provider, Reporter, ResourceKind
from reconciler.core.report import Outcome
from reconciler.engine.concurrency import walk
from reconciler.engine.secrets import Secrets, describe, keyed_hash
from reconciler.errors import (
    AlreadyExists,
    ObjectMoved,
    OutcomeUnknown,
    ProviderError,
    ReconcilerError,
    SecretUnavailable,
    StateError,
    WriteNotApplied,
)
from reconciler.state.records import (
    Done,
    Failed,
    Intended,
    PreImage,
    Record,
    RollbackBegun,
    UndoFailed,
    Undoing,
    Undone,
)
from reconciler.state.replay import Replay

__all__ = ["Executor", "differing", "look"]

T = TypeVar("T")

_RANK = {Phase.CONSTRUCTIVE: 0, Phase.REPLACING: 1, Phase.DESTRUCTIVE: 2}
_ATTEMPTS = 3


def differing(kind: ResourceKind, wanted: Attributes, live: Remote) -> tuple[str, ...]:
    """The managed attributes in which *live* is not as *wanted*, as far as it can be seen."""
    seen = live.attributes.values_
    return tuple(
        key
        for key, value in wanted.values_.items()
        if key not in kind.write_only
        and seen.get(key, kind.defaults.get(key)) != (kind.defaults.get(key) if value is None else value)
    )


async def look(
    ask: Callable[[], Awaitable[Remote | None]], accept: Callable[[Remote | None], bool], *, patience: float
) -> Remote | None:
    """What *ask* says as soon as *accept* takes it, or its last answer after *patience* seconds.

    Some platforms show a write only a while after they accepted it.
    """
    deadline = time.monotonic() + patience
    pause = 0.05
    while True:
        found = await ask()
        if accept(found) or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 2, 2.0)


class _Halfway(Exception):
    """A write happened, and what it left is not what was asked for."""

    def __init__(self, error: ReconcilerError, done: Done) -> None:
        super().__init__(str(error))
        self.error = error
        self.done = done


class Executor:
    """Runs one plan once.

    *replay* starts as the state and follows the journal; *journal* is open
    for adding. *secret_key* keys the hashes of secrets that go into the
    state. *stop* turns true when nothing new may be started.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        run: str,
        replay: Replay,
        journal: Journal,
        providers: Mapping[str, Provider],
        secrets: Secrets,
        secret_key: str,
        report: Reporter,
        parallelism: int,
        stop: Callable[[], bool],
    ) -> None:
        self._plan = plan
        self._run = run
        self._replay = replay
        self._journal = journal
        self._providers = providers
        self._secrets = secrets
        self._secret_key = secret_key
        self._report = report
        self._parallelism = parallelism
        self._stop = stop
        self._before = dict(replay.resources)
        self._own: dict[str, str] = {}
        self.outcome = Outcome()
        self.journal_error: StateError | None = None
        self.unexpected: Exception | None = None

    # --- forward ---

    async def run(self, on_failure: str) -> Outcome:
        """Carry the plan out; on a failure *rollback*, *stop* or *continue*."""
        steps = self._plan.steps
        never = await walk(
            {step.number: step.waits for step in steps},
            {step.number: _RANK[step.phase] for step in steps},
            self._forward,
            parallelism=self._parallelism,
            go_on=lambda: self._may_start(on_failure),
        )
        self.outcome.not_started = set(never)
        for number in sorted(never):
            step = steps[number]
            self._report(StepSkipped(number, step.address, step.verb, self._why_not(step)))
        broken = self.outcome.failed or self.outcome.uncertain or self.outcome.not_started
        if broken and on_failure == "rollback" and self.journal_error is None:
            await self._roll_back()
        return self.outcome

    def _may_start(self, on_failure: str) -> bool:
        if self._stop() or self.journal_error is not None:
            return False
        return on_failure == "continue" or not (self.outcome.failed or self.outcome.uncertain)

    def _why_not(self, step: Step) -> str:
        for number in step.waits:
            if number in self.outcome.failed or number in self.outcome.uncertain:
                return f"waits for {self._plan.steps[number].address}, which failed"
        return "interrupted" if self._stop() else "the run was stopped before it"

    async def _forward(self, number: int) -> bool:
        step = self._plan.steps[number]
        self._report(StepStarted(number, step.address, step.verb))
        began = time.monotonic()
        try:
            done = await self._carry_out(step)
        except _Halfway as halfway:
            self._note(halfway.done)
            self._fail(step, halfway.error)
            return False
        except StateError as error:
            # The journal, not the platform: what is known stays known, what is not is settled later.
            self.journal_error = error
            self.outcome.errors[number] = str(error)
            (self.outcome.uncertain if number in self._replay.intents else self.outcome.failed).add(number)
            self._report(StepFailed(number, step.address, step.verb, str(error), error.hint, uncertain=True))
            return False
        except OutcomeUnknown as error:
            self.outcome.uncertain.add(number)
            self.outcome.errors[number] = str(error)
            self._report(StepFailed(number, step.address, step.verb, str(error), error.hint, uncertain=True))
            return False
        except ReconcilerError as error:
            self._write(Failed(number, self._secrets.mask(str(error))))
            self._fail(step, error)
            return False
        except Exception as error:
            # A mistake of ours, or of a provider. The step's intent stays open and is settled by asking.
            self.unexpected = error
            self.outcome.uncertain.add(number)
            text = self._secrets.mask(f"internal error: {type(error).__name__}: {error}")
            self.outcome.errors[number] = text
            self._report(StepFailed(number, step.address, step.verb, text, uncertain=True))
            return False
        self._note(done)
        self.outcome.done.add(number)
        self._report(StepDone(number, step.address, step.verb, done.remote_id, time.monotonic() - began))
        return True

    def _fail(self, step: Step, error: ReconcilerError) -> None:
        text = self._secrets.mask(str(error))
        self.outcome.failed.add(step.number)
        self.outcome.errors[step.number] = text
        self._report(StepFailed(step.number, step.address, step.verb, text, error.hint))

    def _note(self, record: Record) -> None:
        """Write down what happened, and know it. Lost with a crash, it is asked of the platform again."""
        self._write(record)
        self._replay.add(record)

    def _write(self, record: Record) -> None:
        try:
            self._journal.write(record)
        except StateError as error:
            self.journal_error = error

    async def _intend(self, step: Step, before: Remote | None) -> None:
        image = None
        if before is not None:
            image = PreImage(
                before.id, Attributes(self._secrets.conceal(before.attributes.values_)), before.version
            )
        record = Intended(step.number, self._key(step), image, self._hashes(step.attributes))
        await self._journal.append(record)
        self._replay.add(record)

    def _key(self, step: Step) -> str:
        return f"{self._run}.{step.number}"

    async def _carry_out(self, step: Step) -> Done:
        match step.verb:
            case Verb.RECORD | Verb.FORGET:
                if hashes := self._hashes(step.attributes):
                    self._note(Intended(step.number, self._key(step), secrets=hashes))
                return Done(step.number, step.remote_id)
            case Verb.CREATE:
                return await self._create(step)
            case Verb.UPDATE:
                return await self._update(step)
            case Verb.DELETE:
                return await self._delete(step)

    async def _create(self, step: Step) -> Done:
        provider, kind = self._provider(step), self._kind(step)
        assert step.attributes is not None
        attributes = self._replay.resolved(step.attributes)
        sent = self._with_values(attributes)
        await self._intend(step, None)
        remote_id = await self._made(step, sent, self._key(step))
        done = Done(step.number, remote_id)
        try:
            live = await self._read_back(provider, kind, step, remote_id, sent)
        except ProviderError as error:
            raise _Halfway(error, done) from error
        self._own[remote_id] = fingerprint(live)
        return Done(step.number, remote_id, live.wire_digest)

    async def _made(self, step: Step, sent: Attributes, key: str) -> str:
        """Create the object, once. Returns its id."""
        provider, kind = self._provider(step), self._kind(step)
        unsure = False
        for _ in range(_ATTEMPTS):
            try:
                return await provider.create(step.address, sent, key=key)
            except OutcomeUnknown:
                unsure = True
                found = await self._asked(provider.find(kind.name, sent))
            except AlreadyExists:
                if not unsure:
                    raise
                # Our own first attempt, most likely, not listed yet.
                found = await look(
                    lambda: self._asked(provider.find(kind.name, sent)),
                    lambda seen: seen is not None,
                    patience=provider.patience,
                )
            if found is None:
                continue
            if different := differing(kind, sent, found):
                raise ObjectMoved(
                    f"{step.address}: the answer to its creation was lost, and the object of this name "
                    f"(id {found.id}) differs in {', '.join(different)}",
                    platform=step.address.platform,
                    hint="Somebody else may have made it. Look at it, then adopt or rename.",
                )
            return found.id
        raise OutcomeUnknown(
            f"{step.address}: no answer to its creation, {_ATTEMPTS} times",
            platform=step.address.platform,
            hint="The next `reconciler plan` asks the platform what came of it.",
        )

    async def _update(self, step: Step) -> Done:
        provider, kind = self._provider(step), self._kind(step)
        assert step.attributes is not None
        attributes = self._replay.resolved(step.attributes)
        sent = self._with_values(attributes)
        current = await self._current(provider, kind, step)
        if current is None:
            raise ObjectMoved(
                f"{step.address} (id {step.remote_id}) is gone from the platform",
                platform=step.address.platform,
                hint="Make the plan again; it will create it.",
            )
        await self._intend(step, current)
        await self._wrote(step, sent, current)
        done = Done(step.number, current.id)
        try:
            live = await self._read_back(provider, kind, step, current.id, sent)
        except ProviderError as error:
            raise _Halfway(error, done) from error
        self._own[current.id] = fingerprint(live)
        return Done(step.number, current.id, live.wire_digest)

    async def _wrote(self, step: Step, sent: Attributes, current: Remote) -> None:
        """Write over *current*; again only when a read shows that it did not happen."""
        provider, kind = self._provider(step), self._kind(step)
        for _ in range(_ATTEMPTS):
            try:
                await provider.update(step.address, current.id, sent, previous=current)
                return
            except OutcomeUnknown:
                found = await self._asked(provider.read(kind.name, current.id))
            if found is not None and not differing(kind, sent, found):
                return
            if found is None or found.attributes != current.attributes:
                raise ObjectMoved(
                    f"{step.address}: the answer to its update was lost, and the object is neither as it was "
                    "nor as it should be",
                    platform=step.address.platform,
                    hint="Somebody else may be changing it. Look at it, then make the plan again.",
                )
        raise OutcomeUnknown(
            f"{step.address}: no answer to its update, {_ATTEMPTS} times",
            platform=step.address.platform,
            hint="The next `reconciler plan` asks the platform what came of it.",
        )

    async def _delete(self, step: Step) -> Done:
        provider, kind = self._provider(step), self._kind(step)
        current = await self._current(provider, kind, step)
        if current is None:
            return Done(step.number, step.remote_id)
        await self._intend(step, current)
        await self._removed(step, step.remote_id)
        return Done(step.number, step.remote_id)

    async def _removed(self, step: Step, remote_id: str) -> None:
        provider, kind = self._provider(step), self._kind(step)
        for _ in range(_ATTEMPTS):
            try:
                await provider.delete(step.address, remote_id)
            except OutcomeUnknown:
                if await self._asked(provider.read(kind.name, remote_id)) is None:
                    return
                continue
            left = await look(
                lambda: self._asked(provider.read(kind.name, remote_id)),
                lambda seen: seen is None,
                patience=provider.patience,
            )
            if left is None:
                return
            raise WriteNotApplied(
                f"{step.address}: the platform accepted the deletion, and the object is still there",
                platform=step.address.platform,
            )
        raise OutcomeUnknown(
            f"{step.address}: no answer to its deletion, {_ATTEMPTS} times",
            platform=step.address.platform,
            hint="The next `reconciler plan` asks the platform what came of it.",
        )

    async def _current(self, provider: Provider, kind: ResourceKind, step: Step) -> Remote | None:
        """The object as it is now. Raises `ObjectMoved` when the step was planned on something else."""
        current = await provider.read(kind.name, step.remote_id)
        if current is None:
            return None
        planned = self._own.get(step.remote_id) or step.fingerprint
        record = self._before.get(step.moved_from or step.address)
        if planned:
            moved = fingerprint(current) != planned
        else:  # planned without asking the platform: it has to be what we remember
            moved = record is not None and bool(differing(kind, record.attributes, current))
        if moved:
            what = differing(kind, record.attributes, current) if record is not None else ()
            raise ObjectMoved(
                f"{step.address} was changed on the platform since the plan was made"
                + (f" ({', '.join(what)})" if what else ""),
                platform=step.address.platform,
                hint="Nothing was written to it. Make the plan again and look at the difference.",
            )
        return current

    async def _read_back(
        self, provider: Provider, kind: ResourceKind, step: Step, remote_id: str, wanted: Attributes
    ) -> Remote:
        live = await look(
            lambda: provider.read(kind.name, remote_id),
            lambda seen: seen is not None and not differing(kind, wanted, seen),
            patience=provider.patience,
        )
        if live is None:
            raise WriteNotApplied(
                f"{step.address}: the platform accepted it as {remote_id}, and does not show it "
                f"after {provider.patience:g} s",
                platform=step.address.platform,
            )
        if different := differing(kind, wanted, live):
            raise WriteNotApplied(
                f"{step.address}: the platform accepted the write, and {', '.join(different)} "
                f"{'is' if len(different) == 1 else 'are'} not as written",
                platform=step.address.platform,
                hint="The platform may not support this value, or a policy of its own changes it.",
            )
        return live

    async def _asked(self, question: Awaitable[T]) -> T:
        """The answer to a question about an unsettled write; no answer leaves it unsettled."""
        try:
            return await question
        except OutcomeUnknown:
            raise
        except ProviderError as error:
            raise OutcomeUnknown(
                f"it is not known whether a write happened: {error}",
                platform=error.platform,
                call=error.call,
                status=error.status,
                hint="The next `reconciler plan` asks the platform again.",
            ) from error

    # --- secrets ---

    def _with_values(self, attributes: Attributes) -> Attributes:
        if b'"' + SECRET.encode() + b'"' not in attributes.raw:
            return attributes
        return Attributes(replace_markers(attributes.values_, SECRET, self._secrets.value))

    def _hashes(self, attributes: Attributes | None) -> dict[str, str]:
        if attributes is None or b'"' + SECRET.encode() + b'"' not in attributes.raw:
            return {}
        return {
            ".".join(map(str, path)): keyed_hash(self._secret_key, self._secrets.value(reference))
            for path, reference in marked(attributes.values_, SECRET)
        }

    # --- backward ---

    async def _roll_back(self) -> None:
        """Take back what this run did, newest first, each in the opposite order of its waits."""
        taken = {n for n in self._replay.done if n not in self._replay.undone}
        if not taken:
            return
        self._write(RollbackBegun("interrupted" if self._stop() else "a step failed"))
        self._report(RollbackStarted(len(taken)))
        after: dict[int, set[int]] = {number: set() for number in taken}
        for number in taken:
            for needed in self._plan.steps[number].waits:
                if needed in taken:
                    after[needed].add(number)
        await walk(
            # Newest first among those that may go: the walk takes small numbers first.
            {-number: {-other for other in others} for number, others in after.items()},
            {-number: -_RANK[self._plan.steps[number].phase] for number in taken},
            self._backward,
            parallelism=self._parallelism,
            go_on=lambda: self.journal_error is None,
        )
        for number in taken - self.outcome.rolled_back - self.outcome.not_rolled_back:
            step = self._plan.steps[number]
            self._not_undone(step, "something that depends on it could not be rolled back")

    async def _backward(self, negative: int) -> bool:
        step = self._plan.steps[-negative]
        self._report(StepStarted(step.number, step.address, step.verb, reverse=True))
        began = time.monotonic()
        try:
            undone = await self._undo(step)
        except StateError as error:
            self.journal_error = error
            self._not_undone(step, str(error))
            return False
        except OutcomeUnknown as error:
            # Left open in the journal: the next command asks the platform.
            self._not_undone(step, str(error), settled=False)
            return False
        except ReconcilerError as error:
            self._not_undone(step, str(error))
            return False
        self._note(undone)
        self.outcome.rolled_back.add(step.number)
        self.outcome.done.discard(step.number)
        self._report(
            StepDone(
                step.number, step.address, step.verb, undone.remote_id, time.monotonic() - began, reverse=True
            )
        )
        return True

    def _not_undone(self, step: Step, why: str, *, settled: bool = True) -> None:
        number = step.number
        why = self._secrets.mask(why)
        remedy = self._remedy(step)
        self.outcome.not_rolled_back.add(number)
        self.outcome.errors[number] = why
        self.outcome.remedies[number] = remedy
        if settled:
            self._write(UndoFailed(number, why, remedy))
        self._report(
            StepFailed(number, step.address, step.verb, why, remedy, uncertain=not settled, reverse=True)
        )

    def _remedy(self, step: Step) -> str:
        provider = self._provider(step)
        remote_id = self._replay.done[step.number].remote_id or step.remote_id
        match step.reversal:
            case Reversal.DELETE:
                return provider.call(Verb.DELETE, step.address.kind, remote_id)
            case Reversal.RESTORE:
                return (
                    f"{provider.call(Verb.UPDATE, step.address.kind, remote_id)} with the values that "
                    f"`reconciler show {self._run}` lists"
                )
            case Reversal.RECREATE | Reversal.NONE:
                call = provider.call(Verb.CREATE, step.address.kind, "")
                return f"{call} with what `reconciler show {self._run}` lists"
            case Reversal.RECALL:
                return "nothing: only the state differs"

    async def _undo(self, step: Step) -> Undone:
        done = self._replay.done[step.number]
        intended = self._replay.intents.get(step.number)
        if step.verb in (Verb.RECORD, Verb.FORGET) or intended is None:
            return Undone(step.number)
        provider, kind = self._provider(step), self._kind(step)
        before = intended.before
        match step.verb:
            case Verb.CREATE:
                await self._journal.append(Undoing(step.number, self._key(step) + ".undo"))
                await self._removed(step, done.remote_id)
                return Undone(step.number)
            case Verb.UPDATE:
                assert before is not None
                assert step.attributes is not None
                remote_id = self._replay.new_ids.get(before.id, before.id)
                values = {
                    key: before.attributes.get(key) for key in step.attributes if key not in kind.write_only
                }
                wanted = self._renamed(Attributes(values))
                current = await provider.read(kind.name, remote_id)
                if current is None:
                    raise ObjectMoved(
                        f"{step.address} is gone from the platform", platform=step.address.platform
                    )
                await self._journal.append(Undoing(step.number, self._key(step) + ".undo"))
                sent = self._with_values(wanted)
                await self._wrote(step, sent, current)
                live = await self._read_back(provider, kind, step, remote_id, sent)
                return Undone(step.number, remote_id, live.wire_digest)
            case Verb.DELETE:
                assert before is not None
                wanted = self._renamed(self._recreatable(step, before.attributes))
                sent = self._with_values(wanted)
                key = self._key(step) + ".undo"
                await self._journal.append(Undoing(step.number, key))
                new_id = await self._made(step, sent, key)
                live = await self._read_back(provider, kind, step, new_id, sent)
                return Undone(step.number, new_id, live.wire_digest)
        raise AssertionError(step.verb)

    def _renamed(self, attributes: Attributes) -> Attributes:
        """*attributes* with the ids of objects that this rollback made again."""
        ids = self._replay.new_ids
        if not ids:
            return attributes
        return Attributes(replace_markers(attributes.values_, ID, lambda old: {ID: ids.get(old, old)}))

    def _recreatable(self, step: Step, before: Attributes) -> Attributes:
        """The pre-image of a deleted object, with the secrets that the platform never showed."""
        kind = self._kind(step)
        if not kind.write_only:
            return before
        record = self._before.get(step.moved_from or step.address)
        values: dict[str, Any] = dict(before)
        if record is not None:
            self._same_secrets(record)
            values.update(
                {key: record.attributes[key] for key in kind.write_only if key in record.attributes}
            )
        return Attributes(values)

    def _same_secrets(self, record: ResourceState) -> None:
        for path, reference in marked(record.attributes.values_, SECRET):
            known = record.secrets.get(".".join(map(str, path)))
            if known is None or known != keyed_hash(self._secret_key, self._secrets.value(reference)):
                raise SecretUnavailable(
                    f"{record.address}: {describe(reference)} no longer gives the value that was deleted, "
                    "and the platform never shows it"
                )

    def _provider(self, step: Step) -> Provider:
        return self._providers[step.address.platform]

    def _kind(self, step: Step) -> ResourceKind:
        return self._provider(step).kinds[step.address.kind]
