"""``reconciler.toml``: the stack, where its state lives, its platforms and its policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from reconciler.core.model import Move, ResourceAddress
from reconciler.core.policy import Policy
from reconciler.core.ports import ProviderPlugin
from reconciler.errors import Complaint, SpecErrors, UsageError
from reconciler.specs.cache import Cache
from reconciler.specs.text import TomlFile, parse

__all__ = ["CONFIG_NAME", "PlatformConfig", "Settings", "StackConfig", "load_config", "schema"]

CONFIG_NAME = "reconciler.toml"


@dataclass(frozen=True, slots=True)
class PlatformConfig:
    """One ``[platforms.NAME]``: its provider, and settings as that provider wants them."""

    name: str
    provider: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``reconciler.toml`` says, whatever directory it stands in."""

    name: str
    state_directory: str
    platforms: dict[str, PlatformConfig]
    policy: Policy
    parallelism: int
    on_failure: Literal["rollback", "stop", "continue"]
    moves: tuple[Move, ...]
    not_secret: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StackConfig:
    """A stack's settings, its directory, and the code of its providers."""

    settings: Settings
    directory: Path
    digest: str
    plugins: Mapping[str, ProviderPlugin]
    cache: Cache

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.settings.name

    @property
    def state_directory(self) -> Path:
        """Where state, journals and lock live."""
        return self.directory / self.settings.state_directory

    def plugin(self, platform: str) -> ProviderPlugin:
        """The provider's code for a configured platform."""
        return self.plugins[self.settings.platforms[platform].provider]


def load_config(directory: Path, plugins: Mapping[str, ProviderPlugin], *, version: str) -> StackConfig:
    """Read ``reconciler.toml`` in *directory*. Raises `SpecErrors` with everything that is wrong.

    *version* is this program's: what another version made of a file is not used.
    """
    path = directory / CONFIG_NAME
    if not path.is_file():
        raise UsageError(
            f"{directory} is not a stack: it has no {CONFIG_NAME}",
            hint="Change into a stack, name one with -C DIR, or make one with `reconciler init DIR`.",
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecErrors([Complaint(f"cannot be read: {error.strerror}", CONFIG_NAME)]) from error
    digest = hashlib.sha256(data).hexdigest()
    directory = directory.resolve()
    cache = Cache(directory / ".reconciler" / "cache", version)
    known = cache.config(digest)
    if known is not None:
        return StackConfig(msgspec.json.decode(known, type=Settings), directory, digest, plugins, cache)
    file = parse(path, CONFIG_NAME, data)
    if isinstance(file, Complaint):
        raise SpecErrors([file])
    settings = _read(file, plugins)
    cache.keep_config(digest, msgspec.json.encode(settings))
    return StackConfig(settings, directory, digest, plugins, cache)


def _read(file: TomlFile, plugins: Mapping[str, ProviderPlugin]) -> Settings:
    # Only here, not at the top: pydantic takes longer to import than the rest of a small plan.
    from reconciler.core.reading import nearest, read
    from reconciler.specs.config_model import ConfigModel

    model, problems = read(ConfigModel, file.table)
    complaints = [
        file.complaint(problem.path, problem.summary, problem.hint, want=_want(problem.summary))
        for problem in problems
    ]
    platforms: dict[str, PlatformConfig] = {}
    tables = file.table.get("platforms", {})
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if not isinstance(table, dict) or "provider" not in table:
            continue  # said above
        at = ("platforms", name)
        if not name or "." in name:
            complaints.append(
                file.complaint(
                    at, f"{name!r} cannot name a platform", "Use a word without a dot.", want="key"
                )
            )
        provider = table["provider"]
        plugin = plugins.get(provider) if isinstance(provider, str) else None
        if plugin is None:
            meant = nearest(str(provider), plugins)
            hint = f"Did you mean {meant!r}? " if meant else ""
            complaints.append(
                file.complaint(
                    (*at, "provider"),
                    f"there is no provider {provider!r}",
                    f"{hint}Known: {', '.join(sorted(plugins))}.",
                )
            )
            continue
        settings, wrong = plugin.read_settings({k: v for k, v in table.items() if k != "provider"})
        complaints += [
            file.complaint((*at, *p.path), p.summary, p.hint, want=_want(p.summary)) for p in wrong
        ]
        platforms[name] = PlatformConfig(name, provider, settings)
    if complaints or model is None:
        raise SpecErrors(complaints)
    return Settings(
        name=model.stack.name,
        state_directory=model.state.directory,
        platforms=platforms,
        policy=model.policy.value(),
        parallelism=model.apply.parallelism,
        on_failure=model.apply.on_failure,
        moves=tuple(
            Move(ResourceAddress.parse(move.old), ResourceAddress.parse(move.new)) for move in model.moved
        ),
        not_secret=tuple(model.policy.not_secret),
    )


def _want(summary: str) -> Literal["key", "value"]:
    return "key" if summary.startswith("unknown key") else "value"


def schema() -> dict[str, Any]:
    """JSON Schema of ``reconciler.toml`` without the settings of platforms."""
    from reconciler.specs.config_model import ConfigModel

    return ConfigModel.model_json_schema()
