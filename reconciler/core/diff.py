"""Desired, prior and live of one resource in; the change it needs out, each field with its cause.

The only file that knows DeepDiff, and it asks DeepDiff only about lists that
differ: plain values and tables are compared here, unchanged ones not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.core.attributes import ID, REF, SECRET, Attributes, canonical, digest, replace_markers
from reconciler.core.model import (
    Action,
    Cause,
    Change,
    FieldChange,
    Manner,
    Path,
    Remote,
    Removal,
    Resource,
    ResourceAddress,
    ResourceState,
)
from reconciler.core.ports import ResourceKind

__all__ = ["Decision", "compare", "decide", "destroyed", "drifted", "fingerprint", "needs_record"]

_NOTHING = Attributes({})
_NEVER: Final = object()
"""Equal to no value."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to happen to one resource, with the three views it was decided on.

    ``problem`` is set when nothing can happen as things are; ``hint`` says
    what would help. ``parting`` is what the removal of the object takes with
    it, as its record says.
    """

    change: Change
    desired: Resource | None
    prior: ResourceState | None
    live: Remote | None
    problem: str = ""
    hint: str = ""
    parting: Attributes | None = None


def fingerprint(remote: Remote) -> str:
    """Digest of a live object: what we can compare of it, and the platform's version marker."""
    return digest(remote.id.encode(), canonical(remote.attributes.values_), remote.version.encode())


def decide(
    kind: ResourceKind,
    desired: Resource | None,
    prior: ResourceState | None,
    live: Remote | None,
    *,
    changed_secrets: frozenset[str] = frozenset(),
    force_replace: bool = False,
    shown: Callable[[Path, Any], bool] = lambda path, value: True,
    moved_from: ResourceAddress | None = None,
) -> Decision | None:
    """The change that brings *live* to *desired*, or None when there is nothing to do.

    *changed_secrets* names the write-only attributes whose value is not the
    one that was sent last. *shown* says whether a value may be shown to
    people; one that may not becomes a sensitive change. *moved_from* is the
    address that *prior* had until now.
    """
    if desired is None:
        assert prior is not None, "a resource that nobody wants and nobody remembers"
        return _unwanted(kind, prior, live)
    if live is None:
        return Decision(
            Change(
                desired.address,
                Action.CREATE,
                "new" if prior is None else "gone from the platform",
                source=desired.source,
                moved_from=moved_from,
                irreversible=_for_good(kind, desired.attributes.values_),
            ),
            desired,
            prior,
            None,
        )
    if prior is None:
        return _untracked(kind, desired, live, shown, moved_from)
    if (
        live.wire_digest
        and live.wire_digest == prior.wire_digest
        and desired.attributes.raw == prior.attributes.raw
        and not changed_secrets
        and not force_replace
    ):
        # The bytes that we last read back, and the fields that we wrote then.
        fields: tuple[FieldChange, ...] = ()
    else:
        fields = compare(kind, desired, prior, live, changed_secrets=changed_secrets, shown=shown)
    replacing = force_replace or any(field.forces_replace for field in fields)
    if not fields and not force_replace:
        if moved_from is None and not needs_record(desired, prior):
            return None
        change = Change(
            desired.address,
            Action.RECORD if moved_from is None else Action.MOVE,
            "already so on the platform" if moved_from is None else f"moved from {moved_from}",
            source=desired.source,
            remote_id=live.id,
            moved_from=moved_from,
        )
        return Decision(change, desired, prior, live)
    change = Change(
        desired.address,
        Action.REPLACE if replacing else Action.UPDATE,
        _why(kind, fields, forced=force_replace),
        fields,
        source=desired.source,
        remote_id=live.id,
        moved_from=moved_from,
        # The old value is nowhere any more: not on the platform, not behind the reference.
        irreversible=(kind.unreadable if any(field.path[0] in kind.write_only for field in fields) else "")
        or _finality(kind, fields)
        or ("" if replacing else _no_way_back(kind, desired, prior, live)),
        manner=Manner.ARCHIVE if replacing and kind.removal is Removal.ARCHIVE else Manner.PLAIN,
    )
    decision = Decision(_versioned(kind, change, desired), desired, prior, live)
    if refusal := _refusal(kind, decision):
        return refusal
    if force_replace and kind.versioned:
        return replace(
            decision,
            problem=f"{desired.address} cannot be replaced: what changes in it makes a new version",
            hint="Change its definition; versions that are there never change.",
        )
    if replacing and kind.removal is Removal.FORGET:
        return replace(
            decision,
            problem=f"{desired.address} cannot be replaced: the platform deletes nothing",
            hint=f"Give it another {kind.identity[-1]} in the spec.",
        )
    if finality := _finished(kind, live):
        return replace(
            decision,
            problem=f"{desired.address}: {finality}, and the spec differs in {_names_of(fields)}",
            hint="Give it another version in the spec; what is final stays as it is.",
        )
    if (
        replacing
        and desired.lifecycle.create_before_destroy
        and kind.identity_of(desired.attributes) == live.identity
    ):
        return replace(
            decision,
            problem=f"{desired.address}: the new object cannot be made while the old one is there, "
            f"since both have the same {', '.join(kind.identity)}",
            hint="Remove create_before_destroy from its [lifecycle], or give the new object another name.",
        )
    return decision


def needs_record(desired: Resource, prior: ResourceState) -> bool:
    """Whether the state has something to learn although the platform is as desired."""
    return (
        desired.lifecycle.prevent_destroy != prior.protected
        or desired.depends_on != prior.depends_on
        or (desired.attributes.raw != prior.attributes.raw and desired.attributes != prior.attributes)
    )


def compare(
    kind: ResourceKind,
    desired: Resource,
    prior: ResourceState | None,
    live: Remote,
    *,
    changed_secrets: frozenset[str] = frozenset(),
    shown: Callable[[Path, Any], bool] = lambda path, value: True,
) -> tuple[FieldChange, ...]:
    """The managed fields in which *live* is not as *desired*.

    Managed is what the spec sets, and what it set when it was last applied:
    a field taken out of a spec goes back to its default.
    """
    wanted = desired.attributes.values_
    before = prior.attributes.values_ if prior is not None else {}
    needed = frozenset(map(str, prior.depends_on)) if prior is not None else frozenset()
    seen = live.attributes.values_
    ignored = desired.lifecycle.ignore_changes
    changes: list[FieldChange] = []
    for key in {**wanted, **before}:
        if key in ignored or key in kind.local:
            continue
        forces_replace = key in kind.immutable
        if key in kind.write_only:
            if key in changed_secrets or (prior is not None and not _same_but_values(wanted, before, key)):
                changes.append(_unseen(kind, key, before, wanted, shown))
            continue
        to_be = _value(kind, wanted, key)
        is_now = _value(kind, seen, key)
        was = _value(kind, before, key) if key in before else is_now
        if key in kind.additive:
            is_now = _ours(is_now, to_be, was if key in before else None)
        for path, old, new in _leaves((key,), is_now, to_be):
            cause = _cause(path[1:], is_now, to_be, was)
            if cause is Cause.SPEC and _refers(new, needed):
                cause = Cause.REFERENCE
            taken_out = key in kind.additive and new is None
            changes.append(_field_change(path, old, new, cause, forces_replace or taken_out, shown))
    return tuple(sorted(changes, key=_place))


def drifted(
    kind: ResourceKind,
    prior: ResourceState,
    live: Remote,
    *,
    ignored: tuple[str, ...] = (),
    shown: Callable[[Path, Any], bool] = lambda path, value: True,
) -> tuple[FieldChange, ...]:
    """The managed fields in which *live* is not what we last applied.

    Here ``before`` is what we applied and ``after`` what is there now.
    """
    if live.wire_digest and live.wire_digest == prior.wire_digest:
        return ()
    changes: list[FieldChange] = []
    seen = live.attributes.values_
    for key in prior.attributes.values_:
        if key in ignored or key in kind.write_only or key in kind.local:
            continue
        was, is_now = _value(kind, prior.attributes.values_, key), _value(kind, seen, key)
        if key in kind.additive:
            is_now = _ours(is_now, was)
        changes += [
            _field_change(path, old, new, Cause.DRIFT, key in kind.immutable, shown)
            for path, old, new in _leaves((key,), was, is_now)
        ]
    return tuple(sorted(changes, key=_place))


def _value(kind: ResourceKind, values: Mapping[str, Any], key: str) -> Any:
    """What *values* say of an attribute; absence and None mean its default."""
    value = values.get(key)
    return kind.defaults.get(key) if value is None else value


def _ours(live: Any, *managed: Any) -> Any:
    """The entries of a table on the platform that we set, or are to set; others are somebody else's."""
    if not isinstance(live, Mapping):
        return live
    return {key: one for key, one in live.items() if any(key in table for table in managed if table)}


def _unseen(
    kind: ResourceKind,
    key: str,
    before: Mapping[str, Any],
    wanted: Mapping[str, Any],
    shown: Callable[[Path, Any], bool],
) -> FieldChange:
    """The change of an attribute that the platform never shows: from what we sent last."""
    forces_replace = key in kind.immutable
    if key not in kind.plain:
        return FieldChange((key,), None, None, sensitive=True, forces_replace=forces_replace)
    return _field_change((key,), before.get(key), wanted.get(key), Cause.SPEC, forces_replace, shown)


def _same_but_values(wanted: Mapping[str, Any], before: Mapping[str, Any], key: str) -> bool:
    """Whether a write-only attribute is as it was sent last, but for the values behind its references."""
    new, old = (replace_markers(values.get(key), SECRET, lambda _: SECRET) for values in (wanted, before))
    return bool(new == old)


def _field_change(
    path: Path,
    before: Any,
    after: Any,
    cause: Cause,
    forces_replace: bool,
    shown: Callable[[Path, Any], bool],
) -> FieldChange:
    if shown(path, before) and shown(path, after):
        return FieldChange(path, before, after, cause, forces_replace=forces_replace)
    return FieldChange(path, None, None, cause, sensitive=True, forces_replace=forces_replace)


def _place(change: FieldChange) -> list[tuple[int, str]]:
    """Where a change sorts: keys by name, elements of a list by number."""
    return [(part, "") if isinstance(part, int) else (0, part) for part in change.path]


def _unwanted(kind: ResourceKind, prior: ResourceState, live: Remote | None) -> Decision:
    if live is None:
        change = Change(prior.address, Action.FORGET, "gone from the platform, and from the specs")
        return Decision(change, None, prior, None)
    if kind.removal is Removal.FORGET:
        reason = f"no longer in the specs; {_STAYS}"
        return Decision(Change(prior.address, Action.FORGET, reason, remote_id=live.id), None, prior, live)
    parting = {key: prior.attributes[key] for key in kind.parting if prior.attributes.get(key)}
    change = Change(
        prior.address,
        Action.DELETE,
        "no longer in the specs",
        remote_id=live.id,
        irreversible=next((kind.parting[key] for key in parting), kind.unreadable),
    )
    others = [field for field in drifted(kind, prior, live) if field.forces_replace] if parting else []
    if others:
        # Nobody can change that about one object. What went with ours is not what would go with this one.
        risk = f"it is no longer the object that we made ({_names_of(others)} changed outside): what was to "
        change = replace(change, irreversible=kind.unreadable, risks=(f"{risk}go with that one stays",))
        parting = {}
    if kind.removal is Removal.ARCHIVE:
        change = replace(change, manner=Manner.ARCHIVE, reason=f"{change.reason}; {_ARCHIVED}")
    return Decision(change, None, prior, live, parting=Attributes(parting) if parting else None)


def _sides(
    kind: ResourceKind, desired: Resource, prior: ResourceState | None, live: Remote
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that is known of an object before and after a change; None stands for what is given up."""
    recorded = prior.attributes.values_ if prior is not None else {}
    before = {**live.attributes.values_, **{k: v for k, v in recorded.items() if k in kind.write_only}}
    after = {**dict.fromkeys(recorded), **desired.attributes.values_}
    after |= {key: before.get(key) for key in desired.lifecycle.ignore_changes}
    return before, after


def _no_way_back(kind: ResourceKind, desired: Resource, prior: ResourceState | None, live: Remote) -> str:
    """Why a change in place could not be taken back; empty when it can."""
    before, after = _sides(kind, desired, prior, live)
    refusal = kind.refuses(after, {**dict.fromkeys(after), **before})
    return refusal.summary if refusal is not None else ""


def _refusal(kind: ResourceKind, decision: Decision) -> Decision | None:
    """*decision* with a problem where the kind refuses the change; else None."""
    desired, prior, live = decision.desired, decision.prior, decision.live
    assert desired is not None
    assert live is not None
    refusal = kind.refuses(*_sides(kind, desired, prior, live))
    if refusal is None:
        return None
    return replace(decision, problem=f"{desired.address}: {refusal.summary}", hint=refusal.hint)


_ARCHIVED: Final = "it is archived, and can be restored"
_STAYS: Final = "the platform deletes nothing: it stays there, and is no longer managed"


def destroyed(decision: Decision) -> Decision:
    """*decision* about something that goes because everything is to go, whatever the specs say."""
    reason = "to be destroyed" if decision.live is not None else "gone from the platform"
    if decision.live is not None and decision.change.action is Action.FORGET:
        reason += f"; {_STAYS}"
    elif decision.change.manner is Manner.ARCHIVE:
        reason += f"; {_ARCHIVED}"
    return replace(decision, change=replace(decision.change, reason=reason))


def _for_good(kind: ResourceKind, values: Mapping[str, Any]) -> str:
    """Why an object that is made with *values* cannot be taken away again; empty when it can."""
    if kind.removal is not Removal.FORGET:
        return ""
    final = "".join(f", {key} {value}" for key, value in kind.final.items() if values.get(key) == value)
    return f"the platform deletes nothing: once made, it stays{final}"


def _finality(kind: ResourceKind, fields: tuple[FieldChange, ...]) -> str:
    """Why a change to *fields* is the last that there can be; empty when it is not."""
    for field in fields:
        if len(field.path) == 1 and kind.final.get(str(field.path[0]), _NEVER) == field.after:
            return f"once its {field.path[0]} is {field.after}, nothing about it can be changed"
    return ""


def _finished(kind: ResourceKind, live: Remote) -> str:
    """That, and why, nothing about *live* can be changed any more; empty when it can."""
    for key, value in kind.final.items():
        if live.attributes.get(key) == value:
            return f"its {key} is {value}, which is final"
    return ""


def _versioned(kind: ResourceKind, change: Change, desired: Resource) -> Change:
    """*change*, said to make a new version where that is what an update does."""
    fresh = [field for field in change.fields if field.path[0] in kind.versioned]
    if change.action not in (Action.UPDATE, Action.ADOPT) or not fresh:
        return change
    named = _names_of(field for field in fresh if field.path[0] != "version")
    version = desired.attributes.get("version")
    reason = f"{change.reason}; " + (f"{named} cannot be changed in a version, so " if named else "")
    comes = "a new version is made" if version is None else f"its version becomes {version}"
    return replace(change, manner=Manner.NEW_VERSION, reason=f"{reason}{comes}")


def _names_of(fields: Iterable[FieldChange]) -> str:
    return ", ".join(sorted({str(field.path[0]) for field in fields}))


def _untracked(
    kind: ResourceKind,
    desired: Resource,
    live: Remote,
    shown: Callable[[Path, Any], bool],
    moved_from: ResourceAddress | None,
) -> Decision:
    """Something of this identity is there, and we never applied it."""
    # A secret on the platform cannot be seen, so it cannot be told equal: it is written where it can be.
    blind = sorted(key for key in desired.attributes if key in kind.write_only)
    writable = frozenset(blind) - kind.immutable - frozenset(desired.lifecycle.ignore_changes)
    fields = compare(kind, desired, None, live, changed_secrets=writable, shown=shown)
    unseen = ", ".join(key for key in blind if key not in writable)
    reason = "already on the platform"
    if unseen:
        reason += f", its {unseen} taken to be as the spec says"
    elif not fields:
        reason += ", equal"
    change = Change(
        desired.address,
        Action.ADOPT,
        reason,
        fields,
        source=desired.source,
        remote_id=live.id,
        moved_from=moved_from,
        irreversible=(kind.unreadable if writable else "") or _finality(kind, fields),
    )
    decision = Decision(_versioned(kind, change, desired), desired, None, live)
    if live.foreign:
        return replace(
            decision,
            problem=f"{desired.address}: the platform's vendor owns an object of this name",
            hint="Choose another name; what belongs to the vendor is never touched.",
        )
    if fields and (finality := _finished(kind, live)):
        return replace(
            decision,
            problem=f"{desired.address}: an object of this name exists (id {live.id}); {finality}, "
            f"and the spec differs in {_names_of(fields)}",
            hint="Make the spec say what is there, or give it another version.",
        )
    if fields and (refusal := _refusal(kind, decision)):
        return refusal
    if any(field.forces_replace for field in fields):
        names = _names_of(field for field in fields if field.forces_replace)
        return replace(
            decision,
            problem=f"{desired.address}: an object of this name exists (id {live.id}) "
            f"and differs in {names}, which can only be set at creation",
            hint="Make the spec say what is there, or delete the object on the platform.",
        )
    if (fields or blind) and not desired.lifecycle.adopt:
        differs = sorted({str(field.path[0]) for field in fields} - set(blind))
        what = (
            f"differs in {', '.join(differs)}"
            if differs
            else f"its {', '.join(blind)} cannot be read back to compare"
        )
        return replace(
            decision,
            problem=f"{desired.address}: an object of this name exists (id {live.id}) and {what}",
            hint="To take it under management, say so in the spec:\n\n    [lifecycle]\n    adopt = true\n",
        )
    return decision


def _why(kind: ResourceKind, fields: tuple[FieldChange, ...], *, forced: bool) -> str:
    if forced:
        return "replacement was asked for"
    taken_out = [field for field in fields if field.forces_replace and field.path[0] in kind.additive]
    if taken_out and all(field in taken_out for field in fields if field.forces_replace):
        return f"what is in {_names_of(taken_out)} can only be taken out with a new object"
    if forcing := _names_of(field for field in fields if field.forces_replace):
        return f"{forcing} can only be set at creation"
    causes = {field.cause for field in fields}
    if causes == {Cause.DRIFT}:
        return "changed outside"
    if causes == {Cause.REFERENCE}:
        return "refers to an object that gets a new id"
    if causes == {Cause.DRIFT, Cause.REFERENCE}:
        return "changed outside, and refers to an object that gets a new id"
    if causes & {Cause.DRIFT, Cause.BOTH}:
        return "spec changed, and changed outside"
    return "spec changed"


def _cause(path: Path, is_now: Any, to_be: Any, was: Any) -> Cause:
    """Who made the value at *path* differ; *is_now*, *to_be* and *was* are the values above it."""
    # From the top down: elements of a list may have moved, so equal wholes say more than equal places.
    if was == is_now:
        return Cause.SPEC
    if was == to_be:
        return Cause.DRIFT
    if not path:
        return Cause.BOTH
    return _cause(path[1:], *(_inside(value, path[0]) for value in (is_now, to_be, was)))


def _inside(value: Any, part: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _refers(value: Any, needed: frozenset[str]) -> bool:
    """Whether *value* is the id, not known yet, of one of the resources *needed* all along."""
    return isinstance(value, Mapping) and len(value) == 1 and value.get(REF) in needed


def _is_marker(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and not value.keys().isdisjoint((REF, ID, SECRET))


def _leaves(path: Path, before: Any, after: Any) -> Iterator[tuple[Path, Any, Any]]:
    """The smallest differing places of two values."""
    if before == after:
        return
    if (
        isinstance(before, Mapping)
        and isinstance(after, Mapping)
        and not _is_marker(before)
        and not _is_marker(after)
    ):
        for key in {**before, **after}:
            yield from _leaves((*path, key), before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list) and before and after:
        yield from _list_leaves(path, before, after)
    else:
        yield path, before, after


def _list_leaves(path: Path, before: list[Any], after: list[Any]) -> Iterator[tuple[Path, Any, Any]]:
    if not any(isinstance(item, Mapping | list) for item in (*before, *after)):
        # A list of words reads better whole than item by item.
        yield path, before, after
        return
    from deepdiff import DeepDiff  # 130 ms to import; most plans never need it
    from deepdiff.helper import notpresent

    tree = DeepDiff(
        _closed(before),
        _closed(after),
        view="tree",
        threshold_to_diff_deeper=0,
        ignore_private_variables=False,
    )
    for kind in sorted(tree):
        for level in tree[kind]:
            inner = tuple(level.path(output_format="list"))
            old = None if level.t1 is notpresent else _opened(level.t1)
            new = None if level.t2 is notpresent else _opened(level.t2)
            if old != new:
                yield (*path, *inner), old, new


class _Closed(str):
    """A marker as one word: DeepDiff would look for differences inside it."""

    marker: Mapping[str, Any]


def _closed(value: Any) -> Any:
    if isinstance(value, Mapping):
        if not _is_marker(value):
            return {key: _closed(item) for key, item in value.items()}
        word = _Closed(canonical(value).decode())
        word.marker = value
        return word
    return [_closed(item) for item in value] if isinstance(value, list) else value


def _opened(value: Any) -> Any:
    if isinstance(value, _Closed):
        return value.marker
    if isinstance(value, Mapping):
        return {key: _opened(item) for key, item in value.items()}
    return [_opened(item) for item in value] if isinstance(value, list) else value
