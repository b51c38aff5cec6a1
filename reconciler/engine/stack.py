"""The use cases: settle, plan, apply, edit the state. Read this first.

::

    specs ──┐
    state ──┼─ make_plan ── Plan ── people review it ── apply ── journal ── state
    live ───┘                                             │
                                                          └─ calls, each read back

A `Stack` is opened for one command. What it is given decides what it can do:
`reconciler.engine.drift` gets no stack, and readers, which have no method that writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import escape
from typing import Any

from reconciler.core.acceptance import Acceptance
from reconciler.core.attributes import SECRET, marked
from reconciler.core.diff import drifted, fingerprint
from reconciler.core.events import Note, RunEnded, RunStarted
from reconciler.core.model import (
    NO_STAMP,
    Action,
    Change,
    Manner,
    Path,
    Plan,
    Removal,
    Resource,
    ResourceAddress,
    ResourceState,
    Reversal,
    SpecSet,
    Stamp,
    State,
    Verb,
)
from reconciler.core.planner import plan_digest
from reconciler.core.policy import Policy, limits
from reconciler.core.ports import Lock, Problem, Provider, Reporter, StateBackend
from reconciler.core.report import DriftReport, Outcome, RunReport, Settlement
from reconciler.engine.acceptance import accepting
from reconciler.engine.commit import close_run
from reconciler.engine.concurrency import together
from reconciler.engine.decisions import Planner
from reconciler.engine.drift import drift
from reconciler.engine.executor import Executor
from reconciler.engine.heal import Healing, healing
from reconciler.engine.inventory import Entry, inventory
from reconciler.engine.planning import Planned, make_plan, usage, wished
from reconciler.engine.recovery import foresee, settle
from reconciler.engine.refresh import Live, confirmed, refresh
from reconciler.engine.resume import rest_of
from reconciler.engine.secrets import Secrets
from reconciler.engine.selection import PlanOptions
from reconciler.engine.undo import before_run
from reconciler.engine.writes import place
from reconciler.errors import (
    Complaint,
    PlanRefused,
    PlanStale,
    SecretUnavailable,
    StateError,
    StateMoved,
    StateUnreadable,
)
from reconciler.state.lock import this_process
from reconciler.state.records import Begun, Closed, Edited
from reconciler.state.records import Planned as PlannedRecord
from reconciler.state.replay import Replay, replay

__all__ = ["PlanOptions", "Planned", "Stack"]


@dataclass(slots=True)
class Stack:
    """One stack, opened for one command.

    *now* gives RFC 3339 text, *new_run* a new run id, *new_lineage* and
    *new_key* what a first state needs. *config_digest* is over the bytes of
    ``reconciler.toml``. *stop* turns true when the user wants the run to end.
    """

    name: str
    backend: StateBackend
    providers: Mapping[str, Provider]
    policy: Policy
    secrets: Secrets
    report: Reporter
    now: Callable[[], str]
    new_run: Callable[[], str]
    new_lineage: Callable[[], str]
    new_key: Callable[[], str]
    complain: Callable[[Resource, Problem], Complaint]
    shown: Callable[[Path, Any], bool]
    parallelism: int = 10
    tool: str = ""
    config_digest: str = ""
    stop: Callable[[], bool] = field(default=lambda: False)

    async def settle(
        self, lock: Lock, *, let_go: Callable[[ResourceAddress], bool] = lambda address: False
    ) -> Settlement | None:
        """Close the run that a dead process left open, if there is one. See `recovery.settle`."""
        found = await settle(self.backend, self.providers, lock, now=self.now, let_go=let_go)
        if found is not None:
            # One that died before its first record has no command.
            what = f" ({found.command})" if found.command else ""
            self.report(Note(f"Run {found.run}{what} was cut off; it is settled now."))
            for line in found.findings:
                self.report(Note(f"  {line}"))
            for line in found.conflicts:
                self.report(Note(f"  conflict: {line}"))
        return found

    def remembered(self) -> State:
        """The state, with what the journal of a run that never ended adds by itself."""
        state = self.backend.load()
        run = self.backend.open_run()
        if run is None:
            return state
        records = tuple(self.backend.records(run))
        return replace(state, resources=foresee(state, records).resources)

    async def plan(self, specs: SpecSet, options: PlanOptions) -> Planned:
        """What would bring the platforms to *specs*. Changes nothing anywhere."""
        return await make_plan(self.planner(), specs, self.remembered(), options)

    async def undo(self, run: str, options: PlanOptions) -> Planned:
        """What would bring the platforms back to before *run*. See `before_run`."""
        state = self.remembered()
        found = before_run(run, self.backend, state, self.secrets)
        targets = tuple(escape(str(address)) for address in sorted(found.addresses))
        planned = await make_plan(self.planner(), found.specs, state, replace(options, targets=targets))
        plan = planned.plan
        changes = tuple(
            replace(change, source=None, reason=f"back to before run {run}{_manner(change)}")
            for change in plan.changes
        )
        # No spec says what is written, so nothing else held it against the policy.
        refusals = (*plan.refusals, *self._over_limits(plan))
        # Nobody asked for a part of it: what is left out is no part of the run.
        undoing = replace(plan, undoes=run, changes=changes, refusals=refusals, partial=())
        return replace(planned, plan=undoing)

    def _over_limits(self, plan: Plan) -> tuple[str, ...]:
        """What *plan* would write that the policy does not allow, a line each."""
        found = [
            f"{step.address}: {said}"
            for step in plan.steps
            if step.verb in (Verb.CREATE, Verb.UPDATE) and step.attributes is not None
            for _, said in limits(
                self.policy,
                self.providers[step.address.platform].kinds[step.address.kind].facts(step.attributes),
            )
        ]
        return tuple(dict.fromkeys(found))

    async def resume(self, run: str, specs: SpecSet) -> Planned:
        """The rest of a run that was cut off, ready to apply. See `rest_of` and `verify`."""
        tale = Replay(resources={})
        for record in self.backend.records(run):
            tale.add(record)
        return await self.verify(rest_of(run, tale, self.backend.load()), specs)

    async def accept(self, specs: SpecSet, options: PlanOptions) -> Planned:
        """What would make the state say what is live. Its plan touches no platform. See `accepting`."""
        return await accepting(self.planner(), self.remembered(), options, digest=specs.digest)

    async def heal(
        self, specs: SpecSet, *, accepted: Sequence[Acceptance], day: str
    ) -> tuple[DriftReport, Healing]:
        """What differs, and the plan that puts it back as far as the policy allows. See `healing`."""
        planner, state = self.planner(), self.remembered()
        report = await drift(planner, state, None, accepted=accepted, day=day)
        return report, await healing(planner, state, specs, report, self.policy.heal, day)

    def planner(self) -> Planner:
        """What making plans needs of this stack."""
        return Planner(
            self.providers,
            self.policy,
            self.secrets,
            self.parallelism,
            self.tool,
            self.complain,
            self.shown,
            self.config_digest,
        )

    async def verify(self, plan: Plan, specs: SpecSet) -> Planned:
        """*plan*, ready to apply. Raises `PlanStale` unless all that it was computed from is still so."""
        moved: list[str] = []
        state = self.backend.load()
        if plan.stack != self.name:
            raise PlanStale(f"the plan is for the stack {plan.stack!r}, not for {self.name!r}")
        if plan.base != state.stamp:
            moved.append(_moved_state(plan.base, state.stamp))
        if plan.tool != self.tool:
            moved.append(f"the plan was made by {plan.tool or 'another program'}; this is {self.tool}")
        if plan.config_digest != self.config_digest:
            moved.append("reconciler.toml is not as it was when the plan was made")
        elif not plan.destroy and not plan.undoes and plan.specs_digest != specs.digest:
            moved.append("the specs are not those that the plan was made from")
        if not moved:
            moved += await self._moved_objects(plan, state)
            moved += await self._new_users(plan)
        if moved:
            raise PlanStale(
                "the plan no longer fits",
                moved=moved,
                hint="Nothing was done. Make the plan again, have it reviewed, apply that one.",
            )
        return Planned(plan)

    async def _moved_objects(self, plan: Plan, state: State) -> list[str]:
        """What is not on the platforms as the plan has it, a line each."""
        known_as = {step.moved_from or step.address for step in plan.steps}
        kinds = {(address.platform, address.kind) for address in known_as}
        records = [record for address, record in state.resources.items() if address in known_as]
        live = await refresh(self.providers, kinds, records, parallelism=self.parallelism)
        await self._look_for_versions(plan, live)
        leaving = {place(step.address, step.remote_id) for step in plan.steps if step.verb is Verb.DELETE}
        checked = {place(step.address, step.remote_id) for step in plan.steps if step.fingerprint}
        moved = []
        for step in plan.steps:
            address, kind = step.address, self.providers[step.address.platform].kinds[step.address.kind]
            record = state.resources.get(step.moved_from or address)
            if step.verb is Verb.CREATE:
                assert step.attributes is not None
                identity = (address.platform, address.kind, kind.identity_of(step.attributes))
                seen = live.by_identity.get(identity)
                if seen is not None and place(address, seen.id) not in leaving:
                    moved.append(f"{address} was to be created, and exists now (id {seen.id})")
                elif record is not None and not step.deposes and kind.removal is not Removal.FORGET:
                    back = live.by_id.get(place(address, record.remote_id))
                    if back is not None and place(address, back.id) not in leaving:
                        moved.append(f"{address} was gone, and is there again (id {back.id})")
                continue
            seen = live.by_id.get(place(address, step.remote_id))
            if step.verb is Verb.FORGET or (step.verb is Verb.RECORD and step.deposes):
                if seen is not None and kind.removal is not Removal.FORGET:
                    moved.append(f"{address} was gone, and is there again (id {step.remote_id})")
            elif seen is None:
                moved.append(f"{address} (id {step.remote_id}) is gone from the platform")
            else:
                # Not of what a replacement left behind: the record is that of its successor.
                known = record if record is not None and record.remote_id == seen.id else None
                changed = drifted(kind, known, seen) if known is not None else ()
                if step.fingerprint:
                    stale = fingerprint(seen) != step.fingerprint
                else:  # planned without asking the platform, or as the second write of one object
                    stale = bool(changed) and place(address, step.remote_id) not in checked
                if stale:
                    names = ", ".join(sorted({str(one.path[0]) for one in changed}))
                    moved.append(f"{address} was changed on the platform" + (f": {names}" if names else ""))
        return list(dict.fromkeys(moved))

    async def _look_for_versions(self, plan: Plan, live: Live) -> None:
        """Take the old versions that *plan* puts away into *live*: no listing shows them."""
        old = [
            (step.address, step.remote_id)
            for step in plan.steps
            if step.reversal is Reversal.UNARCHIVE
            and step.deposes
            and place(step.address, step.remote_id) not in live.by_id
        ]
        found = await together(
            (confirmed(self.providers[address.platform], address, one) for address, one in old),
            parallelism=self.parallelism,
        )
        for (address, _), remote in zip(old, found, strict=True):
            if remote is not None:
                live.add(address.platform, remote)

    async def _new_users(self, plan: Plan) -> list[str]:
        """What is in use since the plan was made, of all that it takes away, a line each."""
        deposed = {place(s.address, s.remote_id) for s in plan.steps if s.verb is Verb.DELETE and s.deposes}
        changes = [
            change
            for change in plan.changes
            # What a replacement left behind was given up when that was reviewed.
            if change.action is Action.REPLACE
            or change.manner is Manner.ARCHIVE
            or place(change.address, change.remote_id) not in deposed
        ]
        used = await usage(self.providers, changes, parallelism=self.parallelism)
        moved = []
        for change in changes:
            users = used.get(place(change.address, change.remote_id), ())
            reviewed = {(user.kind, user.name) for user in change.used_by if user.active}
            moved += [
                f"{change.address} is in use by {user} now"
                for user in users
                if user.active and (user.kind, user.name) not in reviewed
            ]
        return moved

    async def apply(
        self,
        planned: Planned,
        lock: Lock,
        *,
        command: str,
        on_failure: str,
        deadline: float | None = None,
    ) -> RunReport:
        """Carry out a plan that is true now. Raises before the first step, or reports.

        *deadline* is how many seconds the run may take, a rollback included.
        The state is committed and the journal closed whatever happens to the
        steps, unless one of them cannot be settled.
        """
        plan = planned.plan
        if plan.refusals:
            raise PlanRefused("policy forbids this plan", reasons=plan.refusals)
        state = self.backend.load()
        if state.stamp != plan.base:
            raise PlanStale("the plan no longer fits", moved=[_moved_state(plan.base, state.stamp)])
        self._resolve_secrets(plan, state)
        run = self.new_run()
        begun = Begun(
            run=run,
            command=command,
            base=plan.base,
            lineage=state.stamp.lineage or self.new_lineage(),
            secret_key=state.secret_key or self.new_key(),
            holder=this_process(),
            started=self.now(),
            digest=plan_digest(plan),
            revision=plan.revision,
            on_failure=on_failure,
        )
        planned_record = PlannedRecord(self._concealed(plan), _touched(plan, state))
        journal = self.backend.begin(run, lock)
        try:
            journal.write(begun)
            await journal.append(planned_record)
            folded = replay(state, [begun, planned_record])
            executor = Executor(
                plan,
                run=run,
                replay=folded,
                journal=journal,
                lock=lock,
                providers=self.providers,
                secrets=self.secrets,
                secret_key=begun.secret_key,
                report=self.report,
                parallelism=self.parallelism,
                stop=self.stop,
                shown=self.shown,
                deadline=deadline,
            )
            self.report(RunStarted(run, len(plan.steps)))
            outcome = await executor.run(on_failure)
            error = str(executor.journal_error) if executor.journal_error is not None else ""
            name = (
                "open"
                if error or folded.open_steps
                else _name(outcome, folded, stopped=self.stop() or executor.is_late)
            )
            counts = outcome.counts()
            try:
                if name != "open":
                    await close_run(
                        self.backend,
                        lock,
                        journal,
                        state,
                        folded,
                        run=run,
                        outcome=name,
                        ended=self.now(),
                        counts=counts,
                        wire_digests=_still_true(planned, folded),
                    )
                elif not error:
                    await journal.flush()
            except StateError as failure:
                name, error = "open", f"{failure} {failure.hint}".rstrip()
            self.report(RunEnded(run, name, counts))
            return RunReport(run, plan, name, outcome, error)
        finally:
            await journal.close()

    async def inventory(self, kind: str, specs: SpecSet) -> list[Entry]:
        """Everything of *kind* that is wished for, remembered or live."""
        wanted, prior = await wished(self.planner(), specs, self.remembered())
        return await inventory(self.providers, kind, wanted, prior, parallelism=self.parallelism)

    def _concealed(self, plan: Plan) -> Plan:
        """*plan* for the journal: the values that it shows people may hold what somebody typed in by hand."""

        def hidden(change: Change) -> Change:
            fields = tuple(
                replace(one, before=self.secrets.conceal(one.before), after=self.secrets.conceal(one.after))
                for one in change.fields
            )
            return change if fields == change.fields else replace(change, fields=fields)

        return replace(plan, changes=tuple(map(hidden, plan.changes)))

    def _resolve_secrets(self, plan: Plan, state: State) -> None:
        """Have every secret at hand before the first step, not in the middle. Names all that are missing."""
        missing: list[str] = []
        for step in plan.steps:
            if step.attributes is not None and step.verb is not Verb.DELETE:
                record = state.resources.get(step.moved_from or step.address)
                sent = record.secrets if record is not None and step.verb is Verb.RECORD else {}
                for path, reference in marked(step.attributes.values_, SECRET):
                    if ".".join(map(str, path)) in sent:
                        continue  # nothing is sent, so nothing is needed
                    try:
                        self.secrets.value(reference)
                    except SecretUnavailable as error:
                        missing.append(f"{step.address}: {error}")
        if missing:
            raise SecretUnavailable(
                "\n".join(dict.fromkeys(missing)),
                hint="Nothing was done. Specs take their secrets from there; put them there and run again.",
            )

    async def edit(
        self,
        lock: Lock,
        command: str,
        *,
        put: Iterable[ResourceState] = (),
        removed: Iterable[ResourceAddress] = (),
    ) -> State:
        """Change what the state remembers, journalled like a run. No platform is asked or told."""
        state = self.backend.load()
        run = self.new_run()
        begun = Begun(
            run=run,
            command=command,
            base=state.stamp,
            lineage=state.stamp.lineage or self.new_lineage(),
            secret_key=state.secret_key or self.new_key(),
            holder=this_process(),
            started=self.now(),
        )
        edited = Edited(tuple(put), tuple(removed))
        journal = self.backend.begin(run, lock)
        try:
            journal.write(begun)
            await journal.append(edited)
            return await close_run(
                self.backend,
                lock,
                journal,
                state,
                replay(state, [begun, edited]),
                run=run,
                outcome="edited",
                ended=self.now(),
            )
        finally:
            await journal.close()

    async def push(self, lock: Lock, pushed: State, command: str, *, force: bool) -> State:
        """Make *pushed* the state, also where the stored one cannot be read any more.

        Raises `StateMoved` when the stored state is newer or of another
        lineage, unless *force* is given.
        """
        try:
            # Settled first: what that commits is newer than a state pulled before it.
            await self.settle(lock)
            stored = self.backend.stored_stamp()
        except StateUnreadable as error:
            self.report(Note(f"The stored state is given up: {error}"))
            stored = NO_STAMP
        if stored.lineage and not force:
            if stored.lineage != pushed.stamp.lineage:
                raise StateMoved(
                    "the pushed state is of another lineage than the stored one",
                    hint="--force pushes it all the same.",
                )
            if stored.serial > pushed.stamp.serial:
                raise StateMoved(
                    f"the pushed state has serial {pushed.stamp.serial}, the stored one {stored.serial}",
                    hint="--force puts the older one back.",
                )
        # Ahead of both, so that no plan made from either passes for fresh; and of all that there ever was,
        # where the stored one is lost: serials tell which run came after which.
        past = (run.serial or run.base_serial or 0 for run in self.backend.runs())
        serial = max(stored.serial, pushed.stamp.serial, *past) + 1
        state = replace(pushed, stamp=Stamp(pushed.stamp.lineage, serial))
        if self.backend.open_run() is not None:
            # A dead run that could not be settled without a state: it is, on top of this one, next time.
            self.backend.restore(state, lock=lock)
            return state
        run = self.new_run()
        # Not the run that the pushed bytes name: that one did not leave them, and may not be resumed on them.
        state = replace(state, last_run=run)
        begun = Begun(
            run=run,
            command=command,
            base=stored,
            lineage=state.stamp.lineage,
            secret_key=state.secret_key,
            holder=this_process(),
            started=self.now(),
        )
        journal = self.backend.begin(run, lock)
        try:
            await journal.append(begun)
            self.backend.restore(state, lock=lock)
            await journal.append(Closed("pushed", self.now(), serial))
            await journal.close()
            self.backend.seal(run, lock)
            return state
        finally:
            await journal.close()


def _moved_state(planned: Stamp, now: Stamp) -> str:
    if planned.lineage != now.lineage:
        return "the state is another one than the plan was made from"
    return f"the state is at serial {now.serial}; the plan was made at {planned.serial}"


def _touched(plan: Plan, state: State) -> tuple[ResourceState, ...]:
    """What the state knows of the resources in *plan*."""
    addresses = {address for step in plan.steps for address in (step.address, step.moved_from) if address}
    return tuple(state.resources[address] for address in sorted(addresses) if address in state.resources)


def _manner(change: Change) -> str:
    """What to say besides where the way back is not written over the object."""
    versions = [field.after for field in change.fields if field.path == ("version",)]
    return f"; its version becomes {versions[0]}" if change.manner is Manner.NEW_VERSION and versions else ""


def _name(outcome: Outcome, folded: Replay, *, stopped: bool) -> str:
    if outcome.is_complete:
        return "applied"
    # A step may have failed and be in effect all the same: what the platform made is not what was asked for.
    if outcome.is_rolled_back and folded.done.keys() <= folded.undone.keys():
        return "rolled back"
    return "interrupted" if stopped and not outcome.failed else "failed"


def _still_true(planned: Planned, folded: Replay) -> dict[ResourceAddress, str]:
    """The digests of `Planned.seen`, without those of resources that a step was to record and did not."""
    missed = {
        step.address
        for step in planned.plan.steps
        if step.number not in folded.done or step.number in folded.undone
    }
    return {address: one for address, one in planned.seen.items() if address not in missed}
