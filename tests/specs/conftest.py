"""A stack of files, read without any platform, and a second provider beside Run:ai."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import CONFIG

from reconciler.core.attributes import REF, SECRET
from reconciler.core.model import SpecSet
from reconciler.core.ports import (
    Draft,
    Fact,
    Place,
    PlatformContext,
    Problem,
    ProviderPlugin,
    ResourceKind,
    SpecReading,
)
from reconciler.errors import SpecErrors
from reconciler.providers import discover
from reconciler.render.text import complaint_lines
from reconciler.specs import load_config, load_specs
from reconciler.specs.config import StackConfig
from reconciler.testing import FakeProvider


class Boxes:
    """A vendor whose environments are an image in a colour, and whose keys hold a secret."""

    name = "boxes"
    kinds: Mapping[str, ResourceKind] = {
        "key": ResourceKind("key", ("name",), write_only=frozenset({"secret"})),
        "environment": ResourceKind("environment", ("name",)),
    }
    _fields: Mapping[str, frozenset[str]] = {
        "key": frozenset({"name", "secret", "owner"}),
        "environment": frozenset({"name", "image", "colour", "labels", "key", "contents"}),
    }

    def read_settings(self, table: Mapping[str, Any]) -> tuple[Any, tuple[Problem, ...]]:
        return dict(table), ()

    def spec_fields(self, kind: str) -> frozenset[str]:
        return self._fields[kind]

    def read_spec(self, kind: str, table: Mapping[str, Any], place: Place) -> SpecReading:
        problems = tuple(
            Problem((key,), f"unknown key `{key}`") for key in table if key not in self._fields[kind]
        )
        values: dict[str, Any] = {"name": place.name, **table}
        if "secret" in values:
            values["secret"] = {SECRET: values["secret"]}
        if "key" in values:
            values["key"] = {REF: f"{place.platform}.key.{values['key']}"}
        files: tuple[Path, ...] = ()
        if "contents" in values:
            files = (place.folder / values["contents"],)
            found = sorted(files[0].rglob("*")) if files[0].is_dir() else [files[0]]
            values["contents"] = [one.read_text() for one in found if one.is_file()]
        facts = (Fact("image", values["image"], ("image",)),) if "image" in values else ()
        return SpecReading((Draft(kind, values, facts),), problems, files=files)

    def spec_schema(self, kind: str) -> Mapping[str, Any]:
        return {"type": "object", "properties": {key: {} for key in sorted(self._fields[kind])}}

    def settings_schema(self) -> Mapping[str, Any]:
        return {"type": "object", "properties": {"shelf": {"type": "string"}}}

    def open(self, settings: Any, context: PlatformContext) -> FakeProvider:
        return FakeProvider(context.platform)

    def embedded(self, settings: Any, context: PlatformContext, *, served: bool = False) -> Any:
        return None


@dataclass
class Stack:
    """Files, and what reading them says."""

    path: Path
    plugins: Mapping[str, ProviderPlugin]

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file of the stack, byte for byte."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def config(self, more: str = "") -> None:
        """Write ``reconciler.toml``: the usual one, then *more*, which begins inside [platforms.runai]."""
        self.write("reconciler.toml", CONFIG + more)

    def with_boxes(self) -> None:
        """Add a platform ``shelf`` of the provider ``boxes``."""
        self.plugins = {**self.plugins, "boxes": Boxes()}
        self.config('\n[platforms.shelf]\nprovider = "boxes"\n')

    def settings(self, *, version: str = "1") -> StackConfig:
        """Read ``reconciler.toml``."""
        return load_config(self.path, self.plugins, version=version)

    def load(self, *, version: str = "1", revision: str = "") -> SpecSet:
        """Read the specs."""
        return load_specs(self.settings(version=version), revision=revision)

    def attributes(self) -> dict[str, dict[str, Any]]:
        """What is wished, by address."""
        return {str(one.address): one.attributes.values_ for one in self.load().resources}

    def failure(self) -> SpecErrors:
        """What is wrong."""
        with pytest.raises(SpecErrors) as caught:
            self.load()
        return caught.value

    def says(self) -> str:
        """What is wrong, as people read it."""
        complaints = self.failure().complaints
        return "\n".join("".join(f"{line}\n" for line in complaint_lines(one)) for one in complaints)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack with nothing but its ``reconciler.toml``."""
    found = Stack(tmp_path / "stack", discover())
    found.config()
    return found
