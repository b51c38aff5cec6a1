"""JSON Schema of specs and of ``reconciler.toml``, put together from what each provider knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.core.ports import ProviderPlugin
from reconciler.specs.config_model import ConfigModel

__all__ = ["config_schema", "spec_schema"]

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ADDRESSES: Final[Schema] = {"type": "array", "items": {"type": "string"}}


def spec_schema(plugins: Mapping[str, ProviderPlugin]) -> Schema:
    """The schema of a spec: by its ``kind``, the fields of all providers at the top, all of them in ``on``.

    Which fields a platform must have is known only with its
    ``reconciler.toml``, so nothing but ``validate`` demands them.
    """
    definitions: Schema = {}
    by_kind: dict[str, Schema] = {}
    for name in sorted(plugins):
        plugin = plugins[name]
        for kind in plugin.kinds:
            schema = dict(plugin.spec_schema(kind))
            definitions.update(schema.pop("$defs", {}))
            by_kind.setdefault(kind, {}).update(schema.get("properties", {}))
    branches = []
    for kind, properties in sorted(by_kind.items()):
        properties = {key: _optional(value) for key, value in sorted(properties.items())}
        placement: Schema = {
            "type": "object",
            "properties": {**properties, "ignore": {"type": "array", "items": {"type": "string"}}},
            "additionalProperties": False,
        }
        table: Schema = {
            "properties": {
                **properties,
                "kind": {"const": kind},
                "name": {"type": "string", "minLength": 1},
                "extends": {"type": "string", "description": "Another spec of this stack, to copy."},
                "depends_on": _ADDRESSES,
                "lifecycle": _lifecycle(),
                "on": {"type": "object", "additionalProperties": placement},
            },
            "additionalProperties": False,
        }
        wanted: Schema = {"properties": {"kind": {"const": kind}}}
        if kind != "environment":
            wanted["required"] = ["kind"]
        branches.append({"if": wanted, "then": table})
    return {
        "$schema": _DIALECT,
        "title": "A spec of reconciler",
        "type": "object",
        "properties": {"kind": {"enum": sorted(by_kind), "default": "environment"}},
        "allOf": branches,
        "$defs": definitions,
    }


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
        settings = dict(plugins[name].settings_schema())
        definitions.update(settings.pop("$defs", {}))
        properties = {key: _optional(value) for key, value in settings.get("properties", {}).items()}
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
