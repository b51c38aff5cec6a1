"""What is live, taken for what was applied: a plan that touches the state and no platform.

The other way round of healing. Drift ends because the state gives in: each
field that was changed outside is recorded as it is now, and what is gone is
forgotten. What the specs say is another matter, and the next plan's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from reconciler.core.attributes import Attributes
from reconciler.core.diff import drifted, fingerprint
from reconciler.core.model import (
    Action,
    Change,
    Path,
    Plan,
    Remote,
    ResourceAddress,
    ResourceState,
    Reversal,
    State,
    Step,
    Verb,
    dotted,
)
from reconciler.core.ports import ResourceKind
from reconciler.engine.decisions import Planner
from reconciler.engine.planning import Planned
from reconciler.engine.refresh import refresh
from reconciler.engine.secrets import learn
from reconciler.engine.selection import PlanOptions
from reconciler.engine.writes import differing
from reconciler.errors import PlanImpossible

__all__ = ["accepting"]


async def accepting(planner: Planner, state: State, options: PlanOptions, *, digest: str) -> Planned:
    """The plan that records what is live. Its steps are `Verb.RECORD` and `Verb.FORGET` alone.

    *options* may choose by ``targets`` and ``excludes``; *digest* is that of
    the specs of now. A field that holds a secret somebody typed in is left
    out, and said: a state never has the value of one.
    """
    live = await refresh(planner.readers, (), state.resources.values(), parallelism=planner.parallelism)
    changes: list[Change] = []
    steps: list[Step] = []
    warnings = list(live.warnings())
    partial: list[str] = []
    seen: dict[ResourceAddress, str] = {}
    _check_targets(options, state)
    learn(planner.secrets, state.resources.values())
    for address in sorted(state.resources):
        record = state.resources[address]
        kind = planner.readers[address.platform].kinds[address.kind]
        remote = live.of(record)
        if remote is None:
            change = Change(address, Action.FORGET, "gone from the platform")
            step = Step(len(steps), Verb.FORGET, address, Reversal.RECALL, remote_id=record.remote_id)
        else:
            found = _recorded(kind, record, remote, planner, warnings)
            if found is None:
                continue
            attributes, change = found
            step = Step(
                len(steps),
                Verb.RECORD,
                address,
                Reversal.RECALL,
                attributes=attributes,
                remote_id=remote.id,
                fingerprint=fingerprint(remote),
                depends_on=record.depends_on,
                protected=record.protected,
            )
        if not _chosen(address, options):
            partial.append(f"{change.action} {address}")
            continue
        if (
            step.attributes is not None
            and remote is not None
            and not differing(kind, step.attributes, remote)
        ):
            seen[address] = remote.wire_digest
        changes.append(change)
        steps.append(step)
    plan = Plan(
        stack=state.stack,
        base=state.stamp,
        specs_digest=digest,
        revision="",
        changes=tuple(changes),
        steps=tuple(steps),
        warnings=tuple(warnings),
        partial=tuple(partial),
        tool=planner.tool,
    )
    return Planned(plan, seen)


def _check_targets(options: PlanOptions, state: State) -> None:
    for glob in options.targets:
        if not any(fnmatchcase(str(address), glob) for address in state.resources):
            raise PlanImpossible(f"--target {glob}: the state has no resource of such an address")


def _chosen(address: ResourceAddress, options: PlanOptions) -> bool:
    def named(globs: tuple[str, ...]) -> bool:
        return any(fnmatchcase(str(address), glob) for glob in globs)

    return (not options.targets or named(options.targets)) and not named(options.excludes)


def _recorded(
    kind: ResourceKind, record: ResourceState, live: Remote, planner: Planner, warnings: list[str]
) -> tuple[Attributes, Change] | None:
    """What the state is to say of *live*, and the change that this is; None where it says so already."""
    fields = drifted(kind, record, live, shown=planner.shown)
    values = dict(record.attributes)
    left: set[str] = set()
    for field in fields:
        key = str(field.path[0])
        now = live.attributes.get(key)
        if (
            field.sensitive
            or _holds_secret(now, (key,), planner.shown)
            or planner.secrets.conceal(now) != now
        ):
            left.add(key)
            warnings.append(
                f"{record.address}: {dotted(field.path)} is not recorded: it holds a secret that somebody "
                "typed in. Put that into a credential."
            )
        elif now is None:
            # Absent and None mean the same, and a state that has the key still manages it.
            values[key] = None
        else:
            values[key] = now
    kept = tuple(replace(field, forces_replace=False) for field in fields if field.path[0] not in left)
    if not kept:
        return None
    change = Change(
        record.address,
        Action.RECORD,
        "changed outside; recorded as it is",
        kept,
        remote_id=live.id,
    )
    return Attributes(values), change


def _holds_secret(value: Any, path: Path, shown: Callable[[Path, Any], bool]) -> bool:
    if isinstance(value, dict):
        return any(_holds_secret(one, (*path, key), shown) for key, one in value.items())
    if isinstance(value, list):
        return any(_holds_secret(one, (*path, number), shown) for number, one in enumerate(value))
    return not shown(path, value)
