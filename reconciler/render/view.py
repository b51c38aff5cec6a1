"""The public JSON of a plan, of a run and of drift. Every other rendering is made from it.

Whatever must not be seen is masked here, once: a sensitive field has no
values, a secret stands as its reference, an id that is not known yet says
whose it will be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from reconciler.core.acceptance import Acceptance
from reconciler.core.attributes import ID, REF, SECRET
from reconciler.core.model import (
    Action,
    Cause,
    Change,
    FieldChange,
    Path,
    Plan,
    ResourceAddress,
    Source,
    Step,
    Verb,
    dotted,
)
from reconciler.core.planner import plan_digest
from reconciler.core.report import Drifted, DriftReport, RunReport

__all__ = [
    "HIDDEN",
    "dotted",
    "drift_view",
    "field_view",
    "plan_view",
    "run_view",
    "shown",
    "summary",
    "visible",
]

HIDDEN: Final = "(sensitive)"

View = dict[str, Any]


def shown(value: Any) -> Any:
    """A value with markers in words."""
    if isinstance(value, Mapping):
        if len(value) == 1:
            # Only a reference that we made: a platform may have a variable of the marker's name.
            if isinstance(value.get(SECRET), Mapping):
                return f"(secret from {_source(value[SECRET])})"
            if REF in value:
                return f"(id of {value[REF]}, known after apply)"
            if ID in value:
                return value[ID]
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return value


def visible(value: Any, may_be_seen: Callable[[Path, Any], bool], path: Path = ()) -> Any:
    """A value that a platform showed, with markers in words, and without what may not be seen."""
    if isinstance(value, Mapping) and not (len(value) == 1 and next(iter(value)).startswith("$")):
        return {key: visible(item, may_be_seen, (*path, key)) for key, item in value.items()}
    return shown(value) if may_be_seen(path, value) else HIDDEN


def _source(reference: Mapping[str, Any]) -> str:
    """Where a secret comes from; only the program of a command is named."""
    how, what = next(iter(reference.items()), ("nowhere", ""))
    if isinstance(what, list):
        what = what[0] if what else ""
    return f"{how} {what}".strip()


def field_view(change: FieldChange) -> View:
    """One field of a change."""
    return {
        "path": dotted(change.path),
        "before": HIDDEN if change.sensitive else shown(change.before),
        "after": HIDDEN if change.sensitive else shown(change.after),
        "cause": str(change.cause),
        "sensitive": change.sensitive,
        "forces_replace": change.forces_replace,
    }


def summary(changes: Iterable[Change]) -> dict[str, int]:
    """How many objects are imported, added, changed, destroyed, forgotten and moved. A replacement
    counts as one added and one destroyed."""
    counts = dict.fromkeys(("import", "add", "change", "destroy", "forget", "move"), 0)
    for change in changes:
        match change.action:
            case Action.CREATE:
                counts["add"] += 1
            case Action.UPDATE:
                counts["change"] += 1
            case Action.REPLACE:
                counts["add"] += 1
                counts["destroy"] += 1
            case Action.DELETE:
                counts["destroy"] += 1
            case Action.ADOPT:
                counts["import"] += 1
                counts["change"] += bool(change.fields)
            case Action.FORGET:
                counts["forget"] += 1
            case Action.MOVE:
                counts["move"] += 1
            case Action.RECORD:
                pass
    return counts


def plan_view(plan: Plan) -> View:
    """A plan for people and tools. No time in it: the same plan, the same bytes."""
    made = {step.address: step for step in plan.steps if step.verb is Verb.CREATE}
    needs = _needs(plan.steps)
    changes = [
        _change_view(change, made.get(change.address), needs.get(change.address, set()))
        for change in plan.changes
    ]
    return {
        "format_version": 1,
        "tool": plan.tool,
        "stack": plan.stack,
        "destroy": plan.destroy,
        "undoes": plan.undoes,
        "digest": plan_digest(plan),
        "base": {"lineage": plan.base.lineage, "serial": plan.base.serial},
        "specs": {"digest": plan.specs_digest, "revision": plan.revision},
        "summary": summary(plan.changes),
        "changes": changes,
        "steps": [_step_view(step) for step in plan.steps],
        "drift": [
            {
                "address": change["address"],
                "fields": fields,
                "gone": _is_gone(change),
            }
            for change in changes
            if (fields := [f for f in change["fields"] if f["cause"] in (Cause.DRIFT, Cause.BOTH)])
            or _is_gone(change)
        ],
        "warnings": list(plan.warnings),
        "policy": list(plan.refusals),
        "partial": list(plan.partial),
    }


def _needs(steps: Sequence[Step]) -> dict[ResourceAddress, set[ResourceAddress]]:
    """What each resource of a plan needs: by its spec, and by the order in which objects are taken away."""
    by_number = {step.number: step for step in steps}
    needs: dict[ResourceAddress, set[ResourceAddress]] = defaultdict(set)
    for step in steps:
        needs[step.address].update(step.depends_on)
        for first in (by_number[number] for number in step.waits if number in by_number):
            if step.verb is first.verb is Verb.DELETE and step.address != first.address:
                needs[first.address].add(step.address)
    return needs


def _change_view(change: Change, made: Step | None, needs: Iterable[ResourceAddress]) -> View:
    fields = [field_view(one) for one in change.fields]
    if change.action is Action.CREATE and made is not None and made.attributes is not None:
        fields = [
            {
                "path": dotted(path),
                "before": None,
                "after": value,
                "cause": str(Cause.SPEC),
                "sensitive": False,
                "forces_replace": False,
            }
            for path, value in _flat((), shown(made.attributes.values_))
            if value is not None
        ]
    return {
        "address": str(change.address),
        "action": str(change.action),
        "manner": str(change.manner) or None,
        "reason": change.reason,
        "moved_from": str(change.moved_from) if change.moved_from is not None else None,
        "id": change.remote_id or None,
        "source": _source_view(change.source),
        "risk": list(change.risks),
        "irreversible": change.irreversible or None,
        "used_by": [str(user) for user in change.used_by],
        "needs": [str(address) for address in sorted(needs)],
        "fields": fields,
    }


def _source_view(source: Source | None) -> View | None:
    return {"file": source.file, "line": source.line} if source is not None else None


def _is_gone(change: View) -> bool:
    return bool(change["reason"].startswith("gone from the platform"))


def _flat(path: Path, value: Any) -> Iterable[tuple[Path, Any]]:
    """The values of a table and of the tables in it, with where they stand; what is deeper stays whole."""
    if isinstance(value, Mapping) and value and len(path) < 2:
        for key, item in value.items():
            yield from _flat((*path, key), item)
    else:
        yield path, value


def _step_view(step: Step) -> View:
    return {
        "number": step.number,
        "verb": str(step.verb),
        "address": str(step.address),
        "phase": str(step.phase),
        "waits": list(step.waits),
        "undo": str(step.reversal),
        "id": step.remote_id or None,
        "fields": sorted(step.attributes) if step.attributes is not None else [],
    }


_ENDED: Final = {
    "done": "done",
    "failed": "failed",
    "uncertain": "not known",
    "rolled_back": "rolled back",
    "not_rolled_back": "could not be rolled back",
    "not_started": "not started",
}


def run_view(report: RunReport) -> View:
    """What an apply came to, step by step."""
    steps = report.steps
    rows = []
    for step in report.plan.steps:
        number = step.number
        rows.append(
            {
                "step": number,
                "address": str(step.address),
                "verb": str(step.verb),
                "outcome": _ENDED[steps.of(number)],
                "error": steps.errors.get(number),
                "remedy": steps.remedies.get(number),
            }
        )
    return {
        "format_version": 1,
        "run": report.run,
        "outcome": report.outcome,
        "error": report.error or None,
        "counts": steps.counts(),
        "summary": summary(report.plan.changes),
        "steps": rows,
    }


def drift_view(report: DriftReport) -> View:
    """What differs from what was last applied, what the specs change besides, and what nobody could see.

    ``class`` says of a resource whether it is ``gone``, ``changed``, differs
    only in what is ``accepted``, or in what was so until that ``expired``.
    """
    drift = [_drifted_view(one, report.day) for one in report.drifted]
    return {
        "format_version": 1,
        "checked": report.checked,
        "in_sync": all(one["class"] == "accepted" for one in drift) and not report.unread,
        "drift": drift,
        "pending": None
        if report.pending is None
        else [
            {
                "address": str(one.address),
                "action": str(one.action),
                "source": _source_view(one.source),
                "fields": [field_view(change) for change in one.fields],
            }
            for one in report.pending
        ],
        "unmanaged": [
            {
                "platform": platform,
                "kind": remote.kind,
                "id": remote.id,
                "name": remote.attributes.get("name"),
            }
            for platform, remote in report.unmanaged
        ],
        "unread": [
            {
                "platform": one.platform,
                "kind": one.kind,
                "address": str(one.address) if one.address is not None else None,
                "why": one.why,
            }
            for one in report.unread
        ],
        "warnings": list(report.warnings),
    }


def _drifted_view(one: Drifted, day: str) -> View:
    fields = [_drifted_field(change, one.accepted.get(change.path), day) for change in one.fields]
    expired = any(field["accepted"] is not None and field["accepted"]["expired"] for field in fields)
    accepted = all(field["accepted"] is not None and not field["accepted"]["expired"] for field in fields)
    return {
        "address": str(one.address),
        "class": "gone" if one.gone else "accepted" if accepted else "expired" if expired else "changed",
        "gone": one.gone,
        "id": one.live.id if one.live is not None else None,
        "changed_by": one.changed_by or None,
        "changed_at": one.changed_at or None,
        "fields": fields,
        "known": False,
    }


def _drifted_field(change: FieldChange, by: Acceptance | None, day: str) -> View:
    accepted = None
    if by is not None:
        accepted = {
            "reason": by.reason,
            "owner": by.owner,
            "expires": by.expires,
            "expired": not by.holds(day),
        }
    return {**field_view(change), "accepted": accepted}
