"""A plan in the shape of ``terraform show -json``, so that tools for Terraform's plans work on ours.

Format version 1.2, as Terraform 1.11 writes it. A resource's type is provider
and kind (``runai_environment``); a platform that is not named as its provider
is a module of that name, so that two platforms of one provider stay apart.
There is no time in it: the same plan, the same bytes.

Source: Terraform's documentation of its JSON output format, and what checkov
and terraform-compliance read of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["terraform_view"]

View = dict[str, Any]

_SHAPED_AS: Final = "1.11.4"
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ACTIONS: Final[Mapping[str, list[str]]] = {
    "create": ["create"],
    "update": ["update"],
    "delete": ["delete"],
    "forget": ["forget"],
    "move": ["no-op"],
}
_REASONS: Final = {
    "delete": "delete_because_no_resource_config",
    "forget": "delete_because_no_resource_config",
}


def terraform_view(plan: Mapping[str, Any], objects: Iterable[Mapping[str, Any]]) -> View:
    """The views of a plan and of its objects (`plan_view`, `objects_view`) as Terraform's plan JSON."""
    every = list(objects)
    names = {one["address"]: _address(one) for one in every}
    changes = {(change["address"], change["id"]): change for change in plan["changes"]}
    by_address = {change["address"]: change for change in plan["changes"]}
    made_first = _made_first(plan["steps"])
    rows = sorted(
        (_resource_change(one, _change_of(one, changes, by_address), names, made_first) for one in every),
        key=lambda row: (row["address"], row.get("deposed", "")),
    )
    living = [one for one in every if one["after"] is not None]
    known = [one for one in every if one["before"] is not None and not one["deposed"]]
    view: View = {
        "format_version": "1.2",
        "terraform_version": _SHAPED_AS,
        "planned_values": _values(living, "after", names),
        "resource_drift": _drift(plan["drift"], every, names),
        "resource_changes": rows,
        "prior_state": {
            "format_version": "1.0",
            "terraform_version": _SHAPED_AS,
            "values": _values(known, "before", names),
        },
        "configuration": _configuration(living, by_address, names),
        "applyable": bool(plan["changes"]) and not plan["policy"],
        "complete": not plan["partial"],
        "errored": False,
    }
    if not view["resource_drift"]:
        del view["resource_drift"]
    return view


# --- names ---


def _type(one: Mapping[str, Any]) -> str:
    return re.sub(r"\W", "_", f"{one['provider']}_{one['kind']}")


def _module(one: Mapping[str, Any]) -> str:
    """The module that stands for a platform; empty, the root, for one that is named as its provider."""
    return "" if one["platform"] == one["provider"] else f"module.{one['platform']}"


def _name(one: Mapping[str, Any]) -> View:
    """A name that Terraform could not have is the key of a resource ``each``."""
    if _IDENTIFIER.fullmatch(one["name"]):
        return {"name": one["name"]}
    return {"name": "each", "index": one["name"]}


def _local_address(one: Mapping[str, Any]) -> str:
    name = _name(one)
    key = f"[{json.dumps(name['index'], ensure_ascii=False)}]" if "index" in name else ""
    return f"{_type(one)}.{name['name']}{key}"


def _address(one: Mapping[str, Any]) -> str:
    return ".".join(filter(None, (_module(one), _local_address(one))))


def _head(one: Mapping[str, Any], names: Mapping[str, str]) -> View:
    return {
        "address": names[one["address"]],
        **({"module_address": module} if (module := _module(one)) else {}),
        "mode": "managed",
        "type": _type(one),
        **_name(one),
        "provider_name": f"reconciler/{one['provider']}",
    }


# --- values ---


def _values(objects: Iterable[Mapping[str, Any]], side: str, names: Mapping[str, str]) -> View:
    """``planned_values``: the objects as they are on one *side*, by module."""
    modules: dict[str, list[View]] = {"": []}
    for one in objects:
        head = _head(one, names)
        head.pop("module_address", None)
        resource = {
            **head,
            "schema_version": 0,
            "values": one[side]["values"],
            "sensitive_values": one[side]["sensitive"],
        }
        modules.setdefault(_module(one), []).append(resource)
    root: View = {"resources": sorted(modules.pop(""), key=lambda resource: resource["address"])}
    if modules:
        root["child_modules"] = [
            {"address": module, "resources": sorted(found, key=lambda resource: resource["address"])}
            for module, found in sorted(modules.items())
        ]
    return {"root_module": root}


def _configuration(
    objects: Iterable[Mapping[str, Any]], changes: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]
) -> View:
    providers: View = {}
    modules: dict[str, list[View]] = {"": []}
    for one in objects:
        provider = one["provider"]
        providers[provider] = {"name": provider, "full_name": f"reconciler/{provider}"}
        resource = {
            "address": _local_address({**one, "name": "each"} if "index" in _name(one) else one),
            "mode": "managed",
            "type": _type(one),
            "name": _name(one)["name"],
            "provider_config_key": provider,
            "expressions": _expressions(one, names),
            "schema_version": 0,
        }
        needs = changes[one["address"]]["needs"] if one["address"] in changes else []
        if depends_on := [names[need] for need in needs if need in names]:
            resource["depends_on"] = depends_on
        modules.setdefault(_module(one), []).append(resource)
    root: View = {"resources": _once(modules.pop(""))}
    if modules:
        root["module_calls"] = {
            module.removeprefix("module."): {
                "source": f"./{module.removeprefix('module.')}",
                "module": {"resources": _once(found)},
            }
            for module, found in sorted(modules.items())
        }
    return {"provider_config": dict(sorted(providers.items())), "root_module": root}


def _once(resources: Iterable[View]) -> list[View]:
    """One resource for each address: all the keys of an ``each`` are one in a configuration."""
    found = {resource["address"]: resource for resource in resources}
    return [found[address] for address in sorted(found)]


def _expressions(one: Mapping[str, Any], names: Mapping[str, str]) -> View:
    found: View = {}
    for key, value in one["after"]["values"].items():
        if key not in one["references"] and key != "id":
            found[key] = {"constant_value": value}
    for key, needed in one["references"].items():
        known = [names[address] for address in needed if address in names]
        found[key] = {"references": [text for name in known for text in (f"{name}.id", name)]}
    return found


# --- changes ---


def _change_of(
    one: Mapping[str, Any],
    changes: Mapping[tuple[str, str | None], Mapping[str, Any]],
    by_address: Mapping[str, Mapping[str, Any]],
) -> Mapping[str, Any] | None:
    if one["deposed"]:
        return changes[one["address"], one["deposed"]]
    return by_address.get(one["address"]) if one["action"] is not None else None


def _made_first(steps: Iterable[Mapping[str, Any]]) -> set[str]:
    """The resources whose successor is made before they are taken away."""
    deleted: set[str] = set()
    first: set[str] = set()
    for step in steps:
        if step["verb"] == "create" and step["address"] not in deleted:
            first.add(step["address"])
        elif step["verb"] == "delete":
            deleted.add(step["address"])
    return first


def _resource_change(
    one: Mapping[str, Any],
    change: Mapping[str, Any] | None,
    names: Mapping[str, str],
    made_first: set[str],
) -> View:
    action = one["action"]
    before, after = one["before"], one["after"]
    actions = _ACTIONS.get(action, ["no-op"])
    if action == "replace":
        actions = ["create", "delete"] if one["address"] in made_first else ["delete", "create"]
    elif action == "adopt" and change is not None and change["fields"]:
        actions = ["update"]
    row = _head(one, names)
    if change is not None and change["moved_from"]:
        old = change["moved_from"].split(".", 2)[2]
        row["previous_address"] = _address({**one, "name": old})
    if one["deposed"]:
        row["deposed"] = one["deposed"]
    row["change"] = {
        "actions": actions,
        "before": before["values"] if before is not None else None,
        "after": after["values"] if after is not None else None,
        "after_unknown": after["unknown"] if after is not None else {},
        "before_sensitive": before["sensitive"] if before is not None else False,
        "after_sensitive": after["sensitive"] if after is not None else False,
    }
    if one["replace_paths"]:
        row["change"]["replace_paths"] = one["replace_paths"]
    if action == "adopt" and change is not None:
        row["change"]["importing"] = {"id": change["id"]}
    if action == "replace":
        why = "replace_because_cannot_update" if one["replace_paths"] else "replace_by_request"
        row["action_reason"] = why
    elif action in _REASONS and not one["deposed"]:
        row["action_reason"] = _REASONS[action]
    return row


def _drift(
    drift: Iterable[Mapping[str, Any]], objects: Iterable[Mapping[str, Any]], names: Mapping[str, str]
) -> list[View]:
    """What was changed outside, with the object as it is now."""
    by_address = {one["address"]: one for one in objects if not one["deposed"]}
    rows = []
    for found in drift:
        one = by_address[found["address"]]
        applied, live = one["applied"], None if found["gone"] else one["before"]
        row = _head(one, names)
        row["change"] = {
            "actions": ["delete"] if found["gone"] else ["update"],
            "before": applied["values"] if applied is not None else None,
            "after": live["values"] if live is not None else None,
            "after_unknown": {},
            "before_sensitive": applied["sensitive"] if applied is not None else False,
            "after_sensitive": live["sensitive"] if live is not None else False,
        }
        rows.append(row)
    return sorted(rows, key=lambda row: str(row["address"]))
