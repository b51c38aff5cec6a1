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

import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from pathlib import PurePath
from typing import Any, TypeVar

from reconciler.core.attributes import REF, SECRET, Attributes, marked, replace_markers
from reconciler.core.diff import fingerprint
from reconciler.core.events import (
    Note,
    RollbackStarted,
    StepDone,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from reconciler.core.model import Path, Phase, Plan, Remote, Reversal, Step, Verb
from reconciler.core.ports import Journal, Lock, Provider, Reader, Reporter, ResourceKind
from reconciler.core.report import Outcome
from reconciler.engine.concurrency import walk
from reconciler.engine.secrets import HIDDEN, Secrets, describe, keyed_hash
from reconciler.engine.writes import Writes, asked, differing, place
from reconciler.errors import (
    NotReversible,
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

__all__ = ["Executor", "remedy"]

T = TypeVar("T")

_RANK = {Phase.CONSTRUCTIVE: 0, Phase.REPLACING: 1, Phase.DESTRUCTIVE: 2}


def remedy(reader: Reader, run: str, step: Step, remote_id: str, before: PreImage | None) -> str:
    """What a person can do to take *step* of *run* back.

    *remote_id* is the object that it left, *before* what it was before.
    """
    kind = step.address.kind
    attributes = before.attributes if before is not None else step.attributes
    match step.reversal:
        case Reversal.DELETE:
            return reader.call(Verb.DELETE, kind, remote_id, attributes)
        case Reversal.RESTORE:
            call = reader.call(Verb.UPDATE, kind, remote_id, attributes)
            return f"{call} with the values that `reconciler show {run}` lists"
        case Reversal.NONE if step.verb is Verb.CREATE:
            return "nothing: the platform deletes nothing"
        case Reversal.NONE if step.verb is Verb.UPDATE:
            call = reader.call(Verb.UPDATE, kind, remote_id, attributes)
            return f"{call} with the values that `reconciler show {run}` lists, as far as that can be done"
        case Reversal.UNARCHIVE:
            return f"{reader.call(Verb.UPDATE, kind, remote_id, attributes)}, out of the archive"
        case Reversal.RECREATE | Reversal.NONE:
            return f"{reader.call(Verb.CREATE, kind, '', attributes)} with what `reconciler show {run}` lists"
        case Reversal.RECALL:
            return "nothing: only the state differs"


class _Halfway(Exception):
    """A write happened, and what it left is not what was asked for."""

    def __init__(self, error: ReconcilerError, record: Done | Undone) -> None:
        super().__init__(str(error))
        self.error = error
        self.record = record


class Executor:
    """Runs one plan once.

    *replay* starts as the state and follows the journal; *journal* is open
    for adding, under *lock*. *secret_key* keys the hashes of secrets that go into the
    state. *stop* turns true when nothing new may be started. *shown* says
    whether a value of a live object may be written down. *deadline* is how
    many seconds the run may take, a rollback included.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        run: str,
        replay: Replay,
        journal: Journal,
        lock: Lock,
        providers: Mapping[str, Provider],
        secrets: Secrets,
        secret_key: str,
        report: Reporter,
        parallelism: int,
        stop: Callable[[], bool],
        shown: Callable[[Path, Any], bool],
        deadline: float | None = None,
    ) -> None:
        self._plan = plan
        self._run = run
        self._replay = replay
        self._journal = journal
        self._lock = lock
        self._providers = providers
        self._secrets = secrets
        self._secret_key = secret_key
        self._report = report
        self._parallelism = parallelism
        self._stop = stop
        self._shown = shown
        self._began = time.monotonic()
        self._deadline = deadline
        self._longest = 0.0
        self.is_late = False
        self._before = dict(replay.resources)
        # Fingerprints of what this run wrote, by platform, kind and id.
        self._writes = Writes(providers, owner=replay.owner, may_write=self._may_write)
        self._own: dict[tuple[str, str, str], str] = {}
        # Pre-images as the platform showed them, where the journal got them with secrets hidden.
        self._originals: dict[int, Attributes] = {}
        self.outcome = Outcome()
        self.journal_error: StateError | None = None

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
        if self._stop() or self.journal_error is not None or self._comes_too_late(on_failure):
            return False
        return on_failure == "continue" or not (self.outcome.failed or self.outcome.uncertain)

    def _comes_too_late(self, on_failure: str) -> bool:
        """Whether one more step could end behind the deadline: what was done may have to be taken back."""
        if self._deadline is None:
            return False
        spent = time.monotonic() - self._began
        reserve = 2 * self._longest + (spent if on_failure == "rollback" else 0.0)
        if not self.is_late and spent + reserve >= self._deadline:
            self.is_late = True
            self._report(Note("The deadline is near: nothing new is started."))
        return self.is_late

    def _why_not(self, step: Step) -> str:
        for number in step.waits:
            if number in self.outcome.failed or number in self.outcome.uncertain:
                return f"waits for {self._plan.steps[number].address}, which failed"
        if self.is_late:
            return "the deadline came first"
        return "interrupted" if self._stop() else "the run was stopped before it"

    async def _forward(self, number: int) -> bool:
        step = self._plan.steps[number]
        self._report(StepStarted(number, step.address, step.verb))
        began = time.monotonic()
        try:
            done = await self._carry_out(step)
        except _Halfway as halfway:
            # In effect, and known: so it can be taken back, and is not orphaned where it is not.
            self._note(halfway.record)
            self._fail(step, halfway.error)
            return False
        except Exception as error:
            self._fail(step, error)
            return False
        self._note(done)
        self.outcome.done.add(number)
        seconds = time.monotonic() - began
        self._longest = max(self._longest, seconds)
        self._report(StepDone(number, step.address, step.verb, done.remote_id, seconds))
        return True

    def _fail(self, step: Step, error: Exception) -> None:
        number = step.number
        uncertain = number in self._replay.intents and _is_unsettled(error)
        text = self._told(error)
        if isinstance(error, StateError):
            self.journal_error = error
        elif not uncertain:
            self._note(Failed(number, text))
        # Else the intent stays open in the journal, and is settled by asking.
        (self.outcome.uncertain if uncertain else self.outcome.failed).add(number)
        self.outcome.errors[number] = text
        hint = self._secrets.mask(error.hint) if isinstance(error, ReconcilerError) else ""
        self._report(StepFailed(number, step.address, step.verb, text, hint, uncertain=uncertain))

    def _told(self, error: Exception) -> str:
        """*error* for people: without secrets, and with its place where it is a mistake of ours."""
        if isinstance(error, ReconcilerError):
            return self._secrets.mask(str(error))
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({PurePath(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
        return self._secrets.mask(f"internal error: {type(error).__name__}: {error}{place}")

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
            concealed = self._secrets.conceal(self._without_typed(step, before))
            if concealed != before.attributes.values_:
                self._originals[step.number] = before.attributes
            image = PreImage(before.id, Attributes(concealed), before.version)
        record = Intended(step.number, self._key(step), image, self._hashes(step.attributes))
        await self._journal.append(record)
        self._replay.add(record)

    def _without_typed(self, step: Step, before: Remote) -> dict[str, Any]:
        """The fields of *before*, without what looks like a secret that somebody typed in by hand.

        What we wrote ourselves is none: specs refer to their secrets.
        """
        record = self._before.get(step.moved_from or step.address)
        ours = record.attributes.values_ if record is not None and record.remote_id == before.id else {}
        return {
            key: value if key in ours and ours[key] == value else self._shown_only((key,), value)
            for key, value in before.attributes.items()
        }

    def _shown_only(self, path: Path, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._shown_only((*path, key), one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._shown_only((*path, number), one) for number, one in enumerate(value)]
        return value if self._shown(path, value) else HIDDEN

    def _may_write(self, again: bool) -> bool:
        """Whether a write may be sent: not once the journal is lost, nor again once the lock is."""
        if again:
            try:
                self._lock.check()
            except StateError as error:
                self.journal_error = error
        return self.journal_error is None

    def _key(self, step: Step) -> str:
        return f"{self._run}.{step.number}"

    async def _carry_out(self, step: Step) -> Done:
        match step.verb:
            case Verb.RECORD | Verb.FORGET:
                record = self._before.get(step.moved_from or step.address)
                sent = record.secrets if record is not None and record.remote_id == step.remote_id else {}
                # Nothing is sent here: what is known of a secret is what was sent, and stays.
                if hashes := self._hashes(step.attributes, known=sent):
                    self._note(Intended(step.number, self._key(step), secrets=hashes))
                return Done(step.number, step.remote_id)
            case Verb.CREATE:
                return await self._create(step)
            case Verb.UPDATE:
                return await self._update(step)
            case Verb.DELETE:
                return await self._delete(step)

    async def _create(self, step: Step) -> Done:
        sent = self._with_values(self._resolved(step))
        await self._intend(step, None)
        remote_id = await self._writes.create(step, sent, self._key(step))
        done = Done(step.number, remote_id)
        try:
            live = await self._writes.read_back(step, remote_id, sent, new=True)
        except ProviderError as error:
            raise _Halfway(error, done) from error
        self._own[place(step.address, remote_id)] = fingerprint(live)
        return Done(step.number, remote_id, live.wire_digest)

    async def _update(self, step: Step) -> Done:
        sent = self._with_values(self._resolved(step))
        current = await self._current(step)
        if current is None:
            raise ObjectMoved(
                f"{step.address} (id {step.remote_id}) is gone from the platform",
                platform=step.address.platform,
                hint="Make the plan again; it will create it.",
            )
        await self._intend(step, current)
        await self._writes.update(step, sent, current)
        done = Done(step.number, current.id)
        try:
            live = await self._writes.read_back(step, current.id, sent)
        except ProviderError as error:
            raise _Halfway(error, done) from error
        self._own[place(step.address, current.id)] = fingerprint(live)
        return Done(step.number, current.id, self._wire_digest(step, live))

    def _resolved(self, step: Step) -> Attributes:
        """What *step* writes. Raises `ObjectMoved` when it refers to what is not there: that is no value."""
        assert step.attributes is not None
        attributes = self._replay.resolved(step.attributes)
        if b'"' + REF.encode() + b'"' in attributes.raw:
            for _, address in marked(attributes.values_, REF):
                raise ObjectMoved(
                    f"{step.address} refers to {address}, which the state does not know",
                    platform=step.address.platform,
                    hint="Nothing was written. Make the plan again.",
                )
        return attributes

    def _wire_digest(self, step: Step, live: Remote) -> str:
        """The digest to know *live* by; empty when the state will say something else of it.

        A field that the step leaves alone stays in the state as it was
        applied, and somebody may have changed it outside: a digest of that
        would hide the difference for good.
        """
        known = self._replay.resources
        record = known.get(step.moved_from if step.moved_from in known else step.address)
        if record is None or step.attributes is None:
            return live.wire_digest
        left = {key: one for key, one in record.attributes.items() if key not in step.attributes}
        return "" if left and differing(self._kind(step), Attributes(left), live) else live.wire_digest

    async def _delete(self, step: Step) -> Done:
        current = await self._current(step)
        if current is None:
            return Done(step.number, step.remote_id)
        await self._intend(step, current)
        await self._writes.delete(step, step.remote_id)
        return Done(step.number, step.remote_id)

    async def _current(self, step: Step) -> Remote | None:
        """The object as it is now. Raises `ObjectMoved` when the step was planned on something else."""
        provider, kind = self._provider(step), self._kind(step)
        current = await provider.read(kind.name, step.remote_id)
        if current is None:
            return None
        planned = self._own.get(place(step.address, step.remote_id)) or step.fingerprint
        if planned and fingerprint(current) == planned:
            return current
        record = self._before.get(step.moved_from or step.address)
        what: tuple[str, ...] = ()
        if record is not None and record.remote_id == current.id:
            what = differing(kind, record.attributes, current)
        # Planned without asking the platform: what is written over has to be what we remember.
        written = step.attributes if step.verb is not Verb.DELETE else None
        if not planned and not any(written is None or key in written for key in what):
            return current
        raise ObjectMoved(
            f"{step.address} was changed on the platform since the plan was made"
            + (f" ({', '.join(what)})" if what else ""),
            platform=step.address.platform,
            hint="Nothing was written to it. Make the plan again and look at the difference.",
        )

    # --- secrets ---

    def _with_values(self, attributes: Attributes) -> Attributes:
        if b'"' + SECRET.encode() + b'"' not in attributes.raw:
            return attributes
        return Attributes(replace_markers(attributes.values_, SECRET, self._secrets.value))

    def _hashes(self, attributes: Attributes | None, *, known: Collection[str] = ()) -> dict[str, str]:
        if attributes is None or b'"' + SECRET.encode() + b'"' not in attributes.raw:
            return {}
        return {
            ".".join(map(str, path)): keyed_hash(self._secret_key, self._secrets.value(reference))
            for path, reference in marked(attributes.values_, SECRET)
            if ".".join(map(str, path)) not in known
        }

    # --- backward ---

    async def _roll_back(self) -> None:
        """Take back what this run did, newest first, each in the opposite order of its waits."""
        taken = {n for n in self._replay.done if n not in self._replay.undone}
        if not taken:
            return
        self._write(RollbackBegun("interrupted" if self._stop() else "a step failed"))
        self._report(RollbackStarted(len(taken)))
        for number in sorted(taken & self._needed_by(self.outcome.uncertain), reverse=True):
            taken.remove(number)
            self._keep(number, "it is not known whether something that depends on it happened")
        self._keep_successors(taken)
        after: dict[int, set[int]] = {number: set() for number in taken}
        for number in taken:
            for needed in self._plan.steps[number].waits:
                if needed in taken:
                    after[needed].add(number)
        never = await walk(
            # Newest first among those that may go: the walk takes small numbers first.
            {-number: {-other for other in others} for number, others in after.items()},
            {-number: -_RANK[self._plan.steps[number].phase] for number in taken},
            self._backward,
            parallelism=self._parallelism,
            go_on=lambda: self.journal_error is None,
        )
        why = str(self.journal_error or "something that depends on it could not be rolled back")
        for negative in sorted(never):
            self._keep(-negative, why)

    def _keep_successors(self, taken: set[int]) -> None:
        """Keep what replaced an object that cannot be made again, rather than be left with neither.

        A secret that was changed is gone with the object that held it. What
        referred to the old object is put back as it was, but to the new one;
        what the new one needs stays, too.
        """
        made = {step.address: step for step in self._steps(taken) if step.verb is Verb.CREATE}
        removed = {
            step.address: step
            for step in self._steps(taken)
            if step.verb is Verb.DELETE and not step.deposes and step.address in made
        }
        queue: deque[tuple[Step, str, str]] = deque()
        for step in sorted(removed.values(), key=lambda one: -one.number):
            try:
                self._unshown(step, self._kind(step).write_only)
            except SecretUnavailable as error:
                queue.append(
                    (made[step.address], "the object that it replaced cannot be made again", str(error))
                )
        while queue:
            successor, why, why_not = queue.popleft()
            if successor.number not in taken:
                continue
            taken.remove(successor.number)
            self._keep(successor.number, why)
            if (old := removed.get(successor.address)) is not None:
                taken.remove(old.number)
                self._keep(old.number, why_not, instead=self._replay.done[successor.number].remote_id)
            for needed in successor.depends_on:
                if needed in made:
                    queue.append(
                        (made[needed], f"{successor.address} stays, and needs it", f"{needed} stays")
                    )

    def _steps(self, numbers: Iterable[int]) -> Iterator[Step]:
        return (self._plan.steps[number] for number in numbers)

    def _needed_by(self, numbers: set[int]) -> set[int]:
        """The steps that those of *numbers* waited for, and what these waited for."""
        found: set[int] = set()
        queue = list(numbers)
        while queue:
            for needed in self._plan.steps[queue.pop()].waits:
                if needed not in found:
                    found.add(needed)
                    queue.append(needed)
        return found

    async def _backward(self, negative: int) -> bool:
        step = self._plan.steps[-negative]
        self._report(StepStarted(step.number, step.address, step.verb, reverse=True))
        began = time.monotonic()
        try:
            undone = await self._undo(step)
        except _Halfway as halfway:
            # Made again, and known, but not as it was: what needs it may follow.
            self._note(halfway.record)
            self._keep(step.number, self._told(halfway.error))
            return True
        except Exception as error:
            if isinstance(error, StateError):
                self.journal_error = error
            # An inverse step without an outcome stays open in the journal, and is settled by asking.
            uncertain = step.number in self._replay.undoing and _is_unsettled(error)
            self._keep(step.number, self._told(error), uncertain=uncertain)
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

    def _keep(self, number: int, why: str, *, uncertain: bool = False, instead: str = "") -> None:
        """Say that a step is not rolled back, why, and what a person can do."""
        step = self._plan.steps[number]
        left = self._replay.done[number].remote_id or step.remote_id
        intent = self._replay.intents.get(number)
        help_ = remedy(
            self._provider(step),
            self._run,
            step,
            self._replay.new_id(step.address.platform, left),
            intent.before if intent is not None else None,
        )
        self.outcome.not_rolled_back.add(number)
        self.outcome.errors[number] = why
        self.outcome.remedies[number] = help_
        if not uncertain:
            self._note(UndoFailed(number, why, help_, instead=instead))
        self._report(
            StepFailed(number, step.address, step.verb, why, help_, uncertain=uncertain, reverse=True)
        )

    async def _undo(self, step: Step) -> Undone:
        done = self._replay.done[step.number]
        intended = self._replay.intents.get(step.number)
        if step.verb in (Verb.RECORD, Verb.FORGET) or intended is None:
            return Undone(step.number)
        provider, kind = self._provider(step), self._kind(step)
        before = intended.before
        key = self._key(step) + ".undo"
        match step.verb:
            case Verb.CREATE if step.reversal is Reversal.NONE:
                raise NotReversible(
                    f"{step.address}: the platform deletes nothing; it stays there, and stays managed",
                    platform=step.address.platform,
                )
            case Verb.CREATE:
                current = await provider.read(kind.name, done.remote_id)
                if current is None:
                    return Undone(step.number)
                self._check_left(step, current)
                await self._intend_undo(step, key)
                await self._writes.delete(step, done.remote_id)
                return Undone(step.number)
            case Verb.UPDATE:
                assert before is not None
                assert step.attributes is not None
                if any(step.attributes.get(key) == value for key, value in kind.final.items()):
                    raise NotReversible(
                        f"{step.address}: what was written is final, and cannot be changed any more",
                        platform=step.address.platform,
                    )
                remote_id = self._replay.new_id(step.address.platform, before.id)
                was = self._originals.get(step.number, before.attributes)
                values = {name: was.get(name) for name in step.attributes if name not in kind.write_only}
                rewritten = (kind.write_only - kind.immutable) & step.attributes.keys()
                values |= dict.fromkeys(rewritten) | self._unshown(step, rewritten)
                sent = self._with_values(self._replay.renamed(step.address.platform, Attributes(values)))
                current = await provider.read(kind.name, remote_id)
                if current is None:
                    raise ObjectMoved(
                        f"{step.address} is gone from the platform", platform=step.address.platform
                    )
                self._check_left(step, current)
                await self._intend_undo(step, key)
                await self._writes.update(step, sent, current)
                # Without the wire digest: what was there may not have been what the state says.
                undone = Undone(step.number, remote_id)
                try:
                    await asked(self._writes.read_back(step, remote_id, sent))
                except WriteNotApplied as error:
                    # It was accepted: what no platform shows is as it was before, and nobody would ever see.
                    raise _Halfway(error, undone) from error
                return undone
            case Verb.DELETE if step.reversal is Reversal.UNARCHIVE:
                await self._intend_undo(step, key)
                await self._writes.restore(step, step.remote_id)
                return Undone(step.number)
            case Verb.DELETE:
                assert before is not None
                was = self._originals.get(step.number, before.attributes)
                wanted = Attributes({**was, **self._unshown(step, kind.write_only)})
                sent = self._with_values(self._replay.renamed(step.address.platform, wanted))
                await self._intend_undo(step, key)
                new_id = await self._writes.create(step, sent, key)
                undone = Undone(step.number, new_id)
                try:
                    await self._writes.read_back(step, new_id, sent, new=True)
                except ProviderError as error:
                    raise _Halfway(error, undone) from error
                if step.attributes is not None:
                    lost = "; ".join(kind.parting[key] for key in step.attributes)
                    why = f"{step.address} was made again, but {lost}"
                    raise _Halfway(NotReversible(why, platform=provider.name), undone)
                return undone
        raise AssertionError(step.verb)

    def _check_left(self, step: Step, current: Remote) -> None:
        """Raise `ObjectMoved` when somebody changed what *step* wrote: that is not ours to take back."""
        if step.number in self.outcome.failed:
            return  # it never was as it was written
        assert step.attributes is not None
        written = self._with_values(self._replay.resolved(step.attributes))
        if what := differing(self._kind(step), written, current):
            raise ObjectMoved(
                f"{step.address} was changed on the platform since this run wrote it ({', '.join(what)})",
                platform=step.address.platform,
            )

    async def _intend_undo(self, step: Step, key: str) -> None:
        record = Undoing(step.number, key)
        await self._journal.append(record)
        self._replay.add(record)

    def _unshown(self, step: Step, names: Set[str]) -> dict[str, Any]:
        """The fields *names*, which the platform never shows, as they were before the run.

        Raises `SecretUnavailable` when what stood in them cannot be had any more.
        """
        if not names:
            return {}
        record = self._before.get(step.moved_from or step.address)
        if record is None or record.remote_id != step.remote_id:
            raise SecretUnavailable(
                f"{step.address}: its {', '.join(sorted(names))} was not set by us, and is never shown"
            )
        values = {name: record.attributes[name] for name in sorted(names) if name in record.attributes}
        for path, reference in marked(values, SECRET):
            known = record.secrets.get(".".join(map(str, path)))
            if known is None or known != keyed_hash(self._secret_key, self._secrets.value(reference)):
                raise SecretUnavailable(
                    f"{record.address}: {describe(reference)} no longer gives the value that was there, "
                    "and the platform never shows it"
                )
        return values

    def _provider(self, step: Step) -> Provider:
        return self._providers[step.address.platform]

    def _kind(self, step: Step) -> ResourceKind:
        return self._provider(step).kinds[step.address.kind]


def _is_unsettled(error: Exception) -> bool:
    """Whether a write that ended in *error* may have happened all the same."""
    return isinstance(error, OutcomeUnknown | StateError) or not isinstance(error, ReconcilerError)
