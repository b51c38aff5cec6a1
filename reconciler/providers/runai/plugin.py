"""What ``discover()`` finds: Run:ai as a provider plugin. Importing it costs next to nothing."""

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
from reconciler.providers.runai.kinds import KINDS
from reconciler.providers.runai.settings import Settings

__all__ = ["PLUGIN", "RunaiPlugin"]


class RunaiPlugin:
    """See `ProviderPlugin`."""

    name = "runai"
    kinds: Mapping[str, ResourceKind] = KINDS

    def __init__(self) -> None:
        self._fields: dict[str, frozenset[str]] = {}

    def read_settings(self, table: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        """See `ProviderPlugin.read_settings`."""
        from reconciler.providers.runai.settings_model import read_settings

        return read_settings(table)

    def spec_fields(self, kind: str) -> frozenset[str]:
        """See `ProviderPlugin.spec_fields`."""
        if kind not in self._fields:
            from reconciler.providers.runai.spec import MODELS

            self._fields[kind] = frozenset(MODELS[kind].model_fields)
        return self._fields[kind]

    def read_spec(self, kind: str, table: Mapping[str, Any], place: Place) -> SpecReading:
        """See `ProviderPlugin.read_spec`."""
        from reconciler.providers.runai.spec import read_spec

        return read_spec(kind, table, place)

    def write_spec(
        self, kind: str, attributes: Mapping[str, Any], place: Place, settings: Any = None
    ) -> SpecWriting:
        """See `ProviderPlugin.write_spec`."""
        from reconciler.providers.runai.spec import write_spec

        return write_spec(kind, attributes, place)

    def spec_schema(self, kind: str) -> Mapping[str, Any]:
        """See `ProviderPlugin.spec_schema`."""
        from reconciler.providers.runai.spec import schema

        return schema(kind)

    def settings_schema(self) -> Mapping[str, Any]:
        """See `ProviderPlugin.settings_schema`."""
        from reconciler.providers.runai.settings_model import SettingsModel

        return SettingsModel.model_json_schema()

    def open(self, settings: Mapping[str, Any], context: PlatformContext) -> Provider:
        """See `ProviderPlugin.open`."""
        from reconciler.providers.runai.provider import RunaiProvider

        return RunaiProvider.open(
            msgspec.convert(settings, Settings), context, self.embedded(settings, context)
        )

    def embedded(self, settings: Mapping[str, Any], context: PlatformContext, *, served: bool = False) -> Any:
        """See `ProviderPlugin.embedded`."""
        if settings["endpoint"] != "embedded":
            return None
        from reconciler.providers.emulator import Embedded, Fault, Faults, Store
        from reconciler.providers.runai.emulator import build_app, refuse

        app = build_app(
            Store(context.directory / f"{context.platform}.sqlite"),
            clock=lambda: datetime.fromtimestamp(context.clock(), UTC),
            new_id=context.new_id,
        )
        rules = [Fault.from_table(table) for table in settings["faults"]]
        if rules:
            app = Faults(rules).around(app, refuse=refuse, cut_connections=served)
        return Embedded(app, "client id: embedded, client secret: embedded")


PLUGIN = RunaiPlugin()
