"""Whole objects before and after a plan, masked as the view of a plan is: for tools that judge objects.

A plan holds what changes. What stays as it is comes from what the plan was
made beside (`Surroundings`), so that a policy sees every object of the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

from reconciler.core.attributes import ID, REF, SECRET, marked
from reconciler.core.model import (
    Action,
    Change,
    FieldChange,
    Path,
    Plan,
    ResourceAddress,
    Step,
    Surroundings,
    Verb,
)
from reconciler.render.view import HIDDEN, View, shown

__all__ = ["objects_view"]

_UNSEEN: Final = {SECRET: {"unseen": ""}}
"""In the place of a value of a sensitive change, which carries none."""
_GONE_AFTER: Final = (Action.DELETE, Action.FORGET)


def objects_view(plan: Plan, beside: Surroundings) -> list[View]:
    """Every object that the stack has before or after *plan*, sorted by address.

    ``applied`` is what the state knows, ``before`` that with what was changed
    outside, ``after`` what will be.
    ``values`` of a side are the attributes with the id, without what is not
    known yet; ``sensitive`` and ``unknown`` have the same shape, with true
    where a value is a secret or the id of something that is not made yet.
    An old object that a broken replacement left behind comes by itself.
    """
    written = _written(plan.steps)
    left = {(s.address, s.remote_id) for s in plan.steps if s.verb is Verb.DELETE and s.deposes}
    changes: dict[ResourceAddress, Change] = {}
    deposed: list[Change] = []
    for change in plan.changes:
        if change.action is Action.DELETE and (change.address, change.remote_id) in left:
            deposed.append(change)
        else:
            changes[change.address] = change
    found = [
        _object(address, changes.get(address), written.get(address), beside)
        for address in {*changes, *beside.prior}
    ]
    found += [_deposed(change, beside) for change in deposed]
    return sorted(found, key=lambda one: (one["platform"], one["kind"], one["name"], one["deposed"] or ""))


def _written(steps: Iterable[Step]) -> dict[ResourceAddress, Step]:
    """The last step that writes each object: an earlier one may only let go of what it refers to."""
    return {step.address: step for step in steps if step.attributes is not None}


def _object(address: ResourceAddress, change: Change | None, step: Step | None, beside: Surroundings) -> View:
    record = beside.prior.get(address)
    action = change.action if change is not None else None
    fields = change.fields if change is not None else ()
    wished = dict(step.attributes.values_) if step is not None and step.attributes is not None else {}
    remote_id = (change.remote_id if change is not None else "") or (record.remote_id if record else "")
    before: dict[str, Any] | None = None
    if action is not Action.CREATE:
        known = record.attributes.values_ if record is not None else wished
        before = {"id": remote_id, **_seen(known, fields)}
    after: dict[str, Any] | None = None
    if action in (Action.CREATE, Action.REPLACE):
        after = {"id": {REF: str(address)}, **_hidden(wished, fields)}
    elif action is None or before is None:
        after = before
    elif action not in _GONE_AFTER:
        after = {**before, **_hidden(wished, fields)}
    return {
        **_place(address, beside),
        "action": str(action) if action is not None else None,
        "deposed": None,
        "applied": _side({"id": record.remote_id, **record.attributes.values_} if record else None),
        "before": _side(before),
        "after": _side(after),
        "references": _references(wished, address) if after is not None else {},
        "replace_paths": [list(one.path) for one in fields if one.forces_replace],
    }


def _deposed(change: Change, beside: Surroundings) -> View:
    return {
        **_place(change.address, beside),
        "action": str(change.action),
        "deposed": change.remote_id,
        "applied": _side({"id": change.remote_id}),
        "before": _side({"id": change.remote_id}),
        "after": None,
        "references": {},
        "replace_paths": [],
    }


def _place(address: ResourceAddress, beside: Surroundings) -> View:
    return {
        "address": str(address),
        "provider": beside.providers.get(address.platform, address.platform),
        "platform": address.platform,
        "kind": address.kind,
        "name": address.name,
    }


def _references(wished: Mapping[str, Any], address: ResourceAddress) -> dict[str, list[str]]:
    """The fields that hold the id of something that is not made yet, each with what that is."""
    found = {key: sorted({str(what) for _, what in marked(value, REF)}) for key, value in wished.items()}
    return {key: refers for key, refers in found.items() if refers and refers != [str(address)]}


# --- one side of a change ---


def _seen(attributes: Mapping[str, Any], fields: Sequence[FieldChange]) -> dict[str, Any]:
    """*attributes* as they are on the platform, where *fields* say so."""
    result = deepcopy(dict(attributes)) if fields else dict(attributes)
    # From the back, so that what is taken out of a list moves nothing that is yet to be set.
    for one in reversed(fields):
        _put(result, one.path, _UNSEEN if one.sensitive else one.before)
    return result


def _hidden(attributes: Mapping[str, Any], fields: Iterable[FieldChange]) -> dict[str, Any]:
    """*attributes* without the values of sensitive *fields*; a reference to a secret may be seen."""
    paths = [one.path for one in fields if one.sensitive]
    result = deepcopy(dict(attributes)) if paths else dict(attributes)
    for path in paths:
        found = _at(result, path)
        if found is not None and next(marked(found, SECRET), None) is None:
            _put(result, path, _UNSEEN)
    return result


def _at(inside: Any, path: Path) -> Any:
    """What stands at *path*; None when nothing does."""
    for key in path:
        if isinstance(inside, dict):
            inside = inside.get(str(key))
        elif isinstance(inside, list) and isinstance(key, int) and key < len(inside):
            inside = inside[key]
        else:
            return None
    return inside


def _put(inside: Any, path: Path, new: Any) -> None:
    """Have *new* at *path*; None takes away what is there."""
    key, *rest = path
    if isinstance(inside, dict) and isinstance(key, str):
        if rest and isinstance(inside.get(key), dict | list):
            _put(inside[key], tuple(rest), new)
        elif rest and new is not None and not isinstance(rest[0], int):
            inside[key] = {}
            _put(inside[key], tuple(rest), new)
        elif not rest and new is None:
            inside.pop(key, None)
        elif not rest:
            inside[key] = new
    elif isinstance(inside, list) and isinstance(key, int):
        if rest and key < len(inside):
            _put(inside[key], tuple(rest), new)
        elif not rest and new is None:
            del inside[key : key + 1]
        elif not rest:
            inside[key : key + 1] = [new]


def _side(attributes: Mapping[str, Any] | None) -> View | None:
    if attributes is None:
        return None
    return {
        "values": _known(attributes),
        "sensitive": _where(attributes, _is_secret),
        "unknown": _where(attributes, _is_unknown),
    }


def _is_marker(value: Any, marker: str) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and marker in value


def _is_secret(value: Any) -> bool:
    return _is_marker(value, SECRET) and isinstance(value[SECRET], Mapping)


def _is_unknown(value: Any) -> bool:
    return _is_marker(value, REF)


def _known(value: Any) -> Any:
    """*value* as it can be shown; in a list, null keeps the place of what is not known."""
    if _is_unknown(value):
        return None
    if value == _UNSEEN:
        return HIDDEN
    if isinstance(value, Mapping) and not _is_secret(value) and not _is_marker(value, ID):
        return {key: _known(item) for key, item in value.items() if not _is_unknown(item)}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return shown(value)


def _where(value: Any, holds: Callable[[Any], bool]) -> Any:
    """The shape of *value* with true where *holds* says so."""
    if holds(value):
        return True
    if _is_secret(value) or _is_marker(value, ID):
        return False
    if isinstance(value, Mapping):
        return dict(_telling(value, holds))
    if isinstance(value, list | tuple):
        return [_where(item, holds) for item in value]
    return False


def _telling(value: Mapping[str, Any], holds: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if (found := _where(item, holds)) is not False:
            yield key, found
