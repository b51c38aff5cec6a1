"""Finish what a run left undone: the same reviewed plan, without the steps that are in effect."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.attributes import SECRET, marked
from reconciler.core.model import Plan, State, Step
from reconciler.engine.writes import place
from reconciler.errors import PlanStale, UsageError
from reconciler.state.replay import Replay

__all__ = ["is_resumable", "rest_of"]


def is_resumable(tale: Replay) -> bool:
    """Whether a run, whose journal says *tale*, left steps of its plan that can be carried out as planned."""
    if tale.plan is None or tale.rollback or tale.done.keys() & tale.failed.keys():
        return False
    return len(tale.done) < len(tale.plan.steps)


def rest_of(run: str, tale: Replay, state: State) -> Plan:
    """The steps of *run* that are not in effect, as a plan on *state*, the state that it left.

    *tale* is what its journal says. Raises `UsageError` when the run has no
    plan, or nothing left to do, and `PlanStale` when the state went on since,
    when the run was rolled back, or when a step took effect otherwise than
    planned.
    """
    plan = tale.plan
    if plan is None:
        raise UsageError(f"run {run} has no plan to resume", hint="`reconciler history` shows what it was.")
    moved = []
    if state.last_run != run and state.stamp != plan.base:
        moved.append(f"the state went on since: it is at serial {state.stamp.serial}")
    if tale.rollback:
        # Its plan knows the objects as they were before both, and not what somebody did to them since.
        moved.append("it was rolled back")
    in_effect = tale.done.keys()
    halfway = sorted(in_effect & tale.failed.keys())
    moved += [f"{plan.steps[number].address} took effect, but not as planned" for number in halfway]
    if moved:
        raise PlanStale(
            f"run {run} cannot be resumed",
            moved=moved,
            hint="Nothing was done. Make a new plan, have it reviewed, apply that one.",
        )
    left = [step for step in plan.steps if step.number not in in_effect]
    if not left:
        raise UsageError(f"run {run} has no step left to do", hint="`reconciler plan` shows what there is.")
    numbers = {step.number: number for number, step in enumerate(left)}
    # What the run wrote to is not as the plan saw it: the state says how it is now. A secret that was
    # settled as never written may have been: nothing shows of it but that the object has moved on.
    maybe = {
        number
        for number, failed in tale.failed.items()
        if failed.settled == "as before" and _has_secret(plan.steps[number])
    }
    written = {place(plan.steps[n].address, plan.steps[n].remote_id) for n in in_effect | maybe}
    steps = tuple(
        replace(
            step,
            number=numbers[step.number],
            waits=tuple(numbers[one] for one in step.waits if one in numbers),
            fingerprint="" if place(step.address, step.remote_id) in written else step.fingerprint,
        )
        for step in left
    )
    addresses = {step.address for step in steps}
    changes = tuple(change for change in plan.changes if change.address in addresses)
    return replace(plan, base=state.stamp, steps=steps, changes=changes)


def _has_secret(step: Step) -> bool:
    return step.attributes is not None and any(True for _ in marked(step.attributes.values_, SECRET))
