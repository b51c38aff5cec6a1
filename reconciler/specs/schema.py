"""JSON Schema of specs and of ``reconciler.toml``, put together from what each provider knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.core.ports import ProviderPlugin
from reconciler.specs.config_model import ConfigModel

__all__ = ["config_schema", "spec_schema"]

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
# A copy has the kind of what it extends, unless it says another.
_NAMES_KIND: Final[Schema] = {"anyOf": [{"required": ["kind"]}, {"required": ["extends"]}]}
_ADDRESSES: Final[Schema] = {"type": "array", "items": {"type": "string"}}


def spec_schema(plugins: Mapping[str, ProviderPlugin]) -> Schema:
    """The schema of a spec: by its ``kind``, the fields of all providers at the top, all of them in ``on``.

    Which fields a platform must have is known only with its
    ``reconciler.toml``, so nothing but ``validate`` demands them.
    """
    definitions: Schema = {}
    by_kind: dict[str, dict[str, list[Any]]] = {}
    for name in sorted(plugins):
        plugin = plugins[name]
        for kind in plugin.kinds:
            fields = by_kind.setdefault(kind, {})
            for key, value in _parts(name, plugin.spec_schema(kind), definitions).items():
                if value not in fields.setdefault(key, []):
                    fields[key].append(value)
    for definition in definitions.values():
        definition.pop("required", None)  # the rest may stand in another table that this one overrides
    branches = []
    for kind, fields in sorted(by_kind.items()):
        wanted: Schema = {"properties": {"kind": {"const": kind}}}
        if kind == "environment":
            wanted = {"anyOf": [{**wanted, "required": ["kind"]}, {"not": _NAMES_KIND}]}
        else:
            wanted["required"] = ["kind"]
        branches.append({"if": wanted, "then": _table(fields, {"const": kind})})
    every: dict[str, list[Any]] = {}
    for fields in by_kind.values():
        for key, values in fields.items():
            known = every.setdefault(key, [])
            known += [one for one in values if one not in known]
    copies = {"required": ["extends"], "not": {"required": ["kind"]}}
    branches.append({"if": copies, "then": _table(every, {"enum": sorted(by_kind)})})
    return {
        "$schema": _DIALECT,
        "title": "A spec of reconciler",
        "type": "object",
        "properties": {"kind": {"enum": sorted(by_kind), "default": "environment"}},
        "allOf": branches,
        "$defs": definitions,
    }


def _table(fields: Mapping[str, list[Any]], kind: Schema) -> Schema:
    """The schema of a spec with these fields, each as one provider or another describes it."""
    properties = {
        key: values[0] if len(values) == 1 else {"anyOf": values} for key, values in sorted(fields.items())
    }
    placement: Schema = {
        "type": "object",
        "properties": {**properties, "ignore": {"type": "array", "items": {"type": "string"}}},
        "additionalProperties": False,
    }
    return {
        "properties": {
            **properties,
            "kind": kind,
            "name": {"type": "string", "minLength": 1},
            "extends": {"type": "string", "description": "Another spec of this stack, to copy."},
            "depends_on": _ADDRESSES,
            "lifecycle": _lifecycle(),
            "on": {"type": "object", "additionalProperties": placement},
        },
        "additionalProperties": False,
    }


def _parts(plugin: str, schema: Mapping[str, Any], definitions: Schema) -> dict[str, Any]:
    """The properties in the *schema* of a plugin; what they refer to goes into *definitions*."""
    whole = _renamed(plugin, schema)
    for name, definition in whole.pop("$defs", {}).items():
        inner = {key: _optional(value) for key, value in definition.get("properties", {}).items()}
        definitions[f"{plugin}.{name}"] = {**definition, **({"properties": inner} if inner else {})}
    return {key: _optional(value) for key, value in whole.get("properties", {}).items()}


def _renamed(plugin: str, schema: Any) -> Any:
    """*schema* with references to definitions that have the plugin's name in front: two may use the same."""
    if isinstance(schema, Mapping):
        return {
            key: value.replace("#/$defs/", f"#/$defs/{plugin}.") if key == "$ref" else _renamed(plugin, value)
            for key, value in schema.items()
        }
    return [_renamed(plugin, one) for one in schema] if isinstance(schema, list) else schema


def _optional(schema: Any) -> Any:
    """A field's schema without its null: TOML has none."""
    if not isinstance(schema, dict) or "anyOf" not in schema:
        return schema
    kept = [one for one in schema["anyOf"] if one != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**rest, **kept[0]} if len(kept) == 1 else {**rest, "anyOf": kept}


def _lifecycle() -> Schema:
    switch = {"type": "boolean"}
    return {
        "type": "object",
        "properties": {
            "prevent_destroy": {**switch, "description": "Refuse every plan that deletes it."},
            "create_before_destroy": {**switch, "description": "Replace it by making the new one first."},
            "adopt": {**switch, "description": "Take an existing object under management."},
            "ignore_changes": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Fields to leave alone once created.",
            },
        },
        "additionalProperties": False,
    }


def config_schema(plugins: Mapping[str, ProviderPlugin]) -> Schema:
    """The schema of ``reconciler.toml``, each platform by its ``provider``."""
    schema = ConfigModel.model_json_schema()
    definitions: Schema = schema.setdefault("$defs", {})
    branches = []
    for name in sorted(plugins):
        settings = plugins[name].settings_schema()
        properties = _parts(name, settings, definitions)
        branches.append(
            {
                "if": {"properties": {"provider": {"const": name}}},
                "then": {
                    "properties": {"provider": {"const": name}, **properties},
                    "required": settings.get("required", []),
                    "additionalProperties": False,
                },
            }
        )
    schema["properties"]["platforms"] = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {
            "type": "object",
            "properties": {"provider": {"enum": sorted(plugins)}},
            "required": ["provider"],
            "allOf": branches,
        },
    }
    return {"$schema": _DIALECT, **schema, "title": "reconciler.toml"}
