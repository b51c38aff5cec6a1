"""``reconciler.toml``: the stack, where its state lives, its platforms and its policy."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from reconciler.core.acceptance import Acceptance
from reconciler.core.model import Move, ResourceAddress
from reconciler.core.notification import Notification
from reconciler.core.policy import Policy
from reconciler.core.ports import Problem, ProviderPlugin
from reconciler.errors import Complaint, SpecErrors, UsageError
from reconciler.specs.cache import Cache
from reconciler.specs.text import TomlFile, parse, plain_secrets, unreadable

__all__ = ["CONFIG_NAME", "PlatformConfig", "Settings", "StackConfig", "load_config"]

CONFIG_NAME = "reconciler.toml"
_PLATFORM_NAME = re.compile(r"[\w-]+")  # part of addresses and of file names


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
    accepted: tuple[Acceptance, ...] = ()
    notifications: tuple[Notification, ...] = ()


@dataclass(frozen=True, slots=True)
class StackConfig:
    """A stack's settings, its directory, and the code of its providers.

    ``unread`` are platforms of which nothing is known but their names; None
    when not even these are. Only mistakes can be found in such a stack.
    """

    settings: Settings
    directory: Path
    digest: str
    plugins: Mapping[str, ProviderPlugin]
    cache: Cache
    unread: frozenset[str] | None = frozenset()

    @property
    def is_partial(self) -> bool:
        """Whether there may be platforms of which nothing is known."""
        return self.unread is None or bool(self.unread)

    def may_have(self, platform: str) -> bool:
        """Whether *platform* may be one of those of which nothing is known."""
        return platform not in self.settings.platforms and (self.unread is None or platform in self.unread)

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

    def platform_settings(self, platform: str) -> Mapping[str, Any]:
        """The settings of *platform*, as its plugin wants them."""
        return self.settings.platforms[platform].settings


def load_config(directory: Path, plugins: Mapping[str, ProviderPlugin], *, version: str) -> StackConfig:
    """Read ``reconciler.toml`` in *directory*.

    Raises `SpecErrors` with everything that is wrong, in the specs too as far
    as that can be told in spite of it.

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
        raise SpecErrors([unreadable(CONFIG_NAME, error)]) from error
    digest = hashlib.sha256(data).hexdigest()
    directory = directory.resolve()
    cache = Cache(directory / ".reconciler" / "cache", version)
    known = _known(cache, digest, plugins)
    if known is not None:
        return StackConfig(known, directory, digest, plugins, cache)
    file = parse(path, CONFIG_NAME, data)
    unread: frozenset[str] | None
    if isinstance(file, Complaint):
        settings, unread, complaints = _unknown({}, ["*"]), None, [file]
    else:
        settings, unread, complaints = _read(file, plugins)
    if complaints:
        from reconciler.specs.load import complaints_about_specs

        # What the cache has was made by other settings.
        nothing = Cache(Path(os.devnull), version)
        stack = StackConfig(settings, directory, digest, plugins, nothing, unread)
        raise SpecErrors([*complaints, *complaints_about_specs(stack)])
    cache.keep_config(digest, msgspec.json.encode(settings))
    return StackConfig(settings, directory, digest, plugins, cache)


def _known(cache: Cache, digest: str, plugins: Mapping[str, ProviderPlugin]) -> Settings | None:
    """What the cache knows, if it is of use: a provider may have been removed since."""
    found = cache.config(digest)
    if found is None:
        return None
    try:
        settings = msgspec.json.decode(found, type=Settings)
    except msgspec.DecodeError:
        return None
    return settings if all(one.provider in plugins for one in settings.platforms.values()) else None


def _unknown(platforms: dict[str, PlatformConfig], not_secret: Iterable[str]) -> Settings:
    """Settings of which no more is known: good for finding mistakes in specs, and for nothing else."""
    return Settings("", ".reconciler", platforms, Policy(), 1, "stop", (), tuple(not_secret))


def _read(
    file: TomlFile, plugins: Mapping[str, ProviderPlugin]
) -> tuple[Settings, frozenset[str] | None, list[Complaint]]:
    """The settings in *file*, the platforms of which nothing is known, and what is wrong.

    If anything is, the settings are good for finding mistakes in specs and for nothing else.
    """
    # Only here, not at the top: pydantic takes longer to import than the rest of a small plan.
    from reconciler.core.reading import nearest, read
    from reconciler.specs.config_model import ConfigModel

    model, problems = read(ConfigModel, file.table)
    found = list(problems)
    platforms: dict[str, PlatformConfig] = {}
    tables = file.table.get("platforms", {})
    unread: set[str] = set()
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if not isinstance(table, dict):
            unread.add(name)
            continue  # said above
        at = ("platforms", name)
        if not _PLATFORM_NAME.fullmatch(name):
            found.append(Problem(at, f"{name!r} cannot name a platform", "Use letters, digits, - and _."))
        provider = table.get("provider")
        plugin = plugins.get(provider) if isinstance(provider, str) else None
        if plugin is None or not isinstance(provider, str):
            meant = nearest(str(provider), plugins)
            hint = (f"Did you mean {meant!r}? " if meant else "") + f"Known: {', '.join(sorted(plugins))}."
            missing = "`provider` is missing" if provider is None else f"there is no provider {provider!r}"
            found.append(Problem((*at, "provider"), missing, hint))
            if meant:  # good enough to find more mistakes
                platforms[name] = PlatformConfig(name, meant, {})
            else:
                unread.add(name)
            continue
        settings, wrong = plugin.read_settings({k: v for k, v in table.items() if k != "provider"})
        found += [Problem((*at, *one.path), one.summary, one.hint) for one in wrong]
        platforms[name] = PlatformConfig(name, provider, settings)
    for problem in found:
        if _is_about_key(problem) and problem.path[0] == "platforms":
            file.conceal(problem.path)  # a secret below a name with a slip in it, perhaps
    entries = file.table.get("notify", [])
    for number in range(len(entries) if isinstance(entries, list) else 0):
        for key in ("url", "token"):  # who knows the address of a hook can write to it
            file.conceal(("notify", number, key))
    complaints = [
        file.complaint(one.path, one.summary, one.hint, want="key" if _is_about_key(one) else "value")
        for one in found
    ]
    complaints += plain_secrets(file, () if model is None else model.policy.not_secret, complaints)
    left = frozenset(unread) if platforms or unread else None
    if model is None:
        policy = file.table.get("policy")
        said = policy.get("not_secret") if isinstance(policy, dict) else None
        not_secret = [glob for glob in said if isinstance(glob, str)] if isinstance(said, list) else []
        return _unknown(platforms, not_secret), left, complaints
    settings = Settings(
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
        accepted=tuple(one.value() for one in model.accept_drift),
        notifications=tuple(one.value() for one in model.notify),
    )
    return settings, left, complaints


def _is_about_key(problem: Problem) -> bool:
    return problem.summary.startswith("unknown key")
