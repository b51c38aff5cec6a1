"""Platforms to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hubs import Platform

from reconciler.providers.aenvironment.emulator import Options
from reconciler.providers.emulator import Store


@pytest.fixture
def new_platform() -> Iterator[Callable[..., Platform]]:
    """Makes platforms, each in memory and new."""
    with ExitStack() as stores:
        yield lambda **more: Platform(stores.enter_context(Store(None)), **more)


@pytest.fixture
def platform(new_platform: Callable[..., Platform]) -> Platform:
    return new_platform()


@pytest.fixture
def next_platform(new_platform: Callable[..., Platform]) -> Platform:
    """What comes after the release."""
    return new_platform(options=Options(profile="next"))
