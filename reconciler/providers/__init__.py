"""Providers: each talks to one vendor. They know the core, never each other.

A folder here with a ``PLUGIN`` is a provider; so is an entry point of the
group ``reconciler.providers``. There is no list to edit.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from reconciler.core.ports import ProviderPlugin
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINTS", "discover"]

ENTRY_POINTS = "reconciler.providers"


class _Plugins(Mapping[str, ProviderPlugin]):
    """Provider plugins by name, imported when they are asked for.

    Entry points of other packages are looked for only when a name is not one
    of our own folders, or all are wanted: that takes longer than ``--help``.
    """

    def __init__(self) -> None:
        here = Path(__file__).parent
        self._own = sorted(found.parent.name for found in here.glob("*/plugin.py"))
        self._loaded: dict[str, ProviderPlugin] = {}
        self._found: dict[str, EntryPoint] | None = None

    def __getitem__(self, name: str) -> ProviderPlugin:
        if name not in self._loaded:
            if name in self._own:
                module = importlib.import_module(f"{__name__}.{name}")
                self._loaded[name] = cast(ProviderPlugin, module.PLUGIN)
            else:
                self._loaded[name] = _loaded(self._foreign()[name])
        return self._loaded[name]

    def _foreign(self) -> dict[str, EntryPoint]:
        if self._found is None:
            from importlib.metadata import entry_points

            self._found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        return self._found

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._own, *self._foreign()}))

    def __len__(self) -> int:
        return len({*self._own, *self._foreign()})


def _loaded(point: EntryPoint) -> ProviderPlugin:
    try:
        return cast(ProviderPlugin, point.load())
    except Exception as error:  # whatever another package's code does when it is imported
        package = point.dist.name if point.dist is not None else point.value
        raise ReconcilerError(
            f"the provider {point.name!r} cannot be loaded: {type(error).__name__}: {error}",
            hint=f"It comes with the package {package}. Repair or remove that.",
        ) from error


def discover() -> Mapping[str, ProviderPlugin]:
    """Every provider there is, by the name that ``provider = "…"`` gives it."""
    return _Plugins()
