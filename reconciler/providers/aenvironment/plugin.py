"""What ``discover()`` finds: AEnvironment as a provider plugin. Importing it costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from reconciler.core.ports import (
    Place,
    PlatformContext,
    Problem,
    Provider,
    ResourceKind,
    SpecReading,
    SpecWriting,
)
from reconciler.providers.aenvironment.kinds import KINDS
from reconciler.providers.aenvironment.settings import Settings

__all__ = ["PLUGIN", "AenvironmentPlugin"]


class AenvironmentPlugin:
    """See `ProviderPlugin` and `Exporter`."""

    name = "aenvironment"
    kinds: Mapping[str, ResourceKind] = KINDS
    formats: Mapping[str, str] = {"aenv": "config.json of an AEnvironment project"}

    def __init__(self) -> None:
        self._fields: dict[str, frozenset[str]] = {}

    def read_settings(self, table: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        """See `ProviderPlugin.read_settings`."""
        from reconciler.providers.aenvironment.settings_model import read_settings

        return read_settings(table)

    def spec_fields(self, kind: str) -> frozenset[str]:
        """See `ProviderPlugin.spec_fields`."""
        if kind not in self._fields:
            from reconciler.providers.aenvironment.spec import MODELS

            self._fields[kind] = frozenset(MODELS[kind].model_fields)
        return self._fields[kind]

    def read_spec(self, kind: str, table: Mapping[str, Any], place: Place) -> SpecReading:
        """See `ProviderPlugin.read_spec`."""
        from reconciler.providers.aenvironment.spec import read_spec

        return read_spec(kind, table, place)

    def write_spec(
        self, kind: str, attributes: Mapping[str, Any], place: Place, settings: Any = None
    ) -> SpecWriting:
        """See `ProviderPlugin.write_spec`."""
        from reconciler.providers.aenvironment.spec import write_spec

        return write_spec(kind, attributes, place)

    def spec_schema(self, kind: str) -> Mapping[str, Any]:
        """See `ProviderPlugin.spec_schema`."""
        from reconciler.providers.aenvironment.spec import schema

        return schema(kind)

    def settings_schema(self) -> Mapping[str, Any]:
        """See `ProviderPlugin.settings_schema`."""
        from reconciler.providers.aenvironment.settings_model import SettingsModel

        return SettingsModel.model_json_schema()

    def export(self, form: str, kind: str, attributes: Mapping[str, Any]) -> Mapping[str, bytes]:
        """See `Exporter.export`."""
        from reconciler.providers.aenvironment.export import exported

        return exported(form, kind, attributes)

    def open(self, settings: Mapping[str, Any], context: PlatformContext) -> Provider:
        """See `ProviderPlugin.open`."""
        from reconciler.providers.aenvironment.provider import AenvironmentProvider

        return AenvironmentProvider.open(
            msgspec.convert(settings, Settings), context, self.embedded(settings, context)
        )

    def embedded(self, settings: Mapping[str, Any], context: PlatformContext, *, served: bool = False) -> Any:
        """See `ProviderPlugin.embedded`."""
        if settings["endpoint"] != "embedded":
            return None
        from reconciler.providers.aenvironment.emulator import Options, create_app, refuse
        from reconciler.providers.emulator import Embedded, Fault, Faults, Store

        app = create_app(
            Store(context.directory / f"{context.platform}.sqlite"),
            clock=lambda: datetime.fromtimestamp(context.clock(), UTC),
            new_id=context.new_id,
            options=Options(profile="next" if settings["profile"] == "next" else "v0.1"),
        )
        rules = [Fault.from_table(table) for table in settings["faults"]]
        if rules:
            app = Faults(rules).around(app, refuse=refuse, cut_connections=served)
        return Embedded(app, "EnvHub and api-service at one address; no key is asked for")


PLUGIN = AenvironmentPlugin()
