"""The contract of state backends, kept by both of ours."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from reconciler.state.backends.local import LocalBackend
from reconciler.testing import BackendContract, MemoryBackend


class TestLocalBackend(BackendContract):
    """Files in a directory."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> LocalBackend:
        ids = itertools.count(1)
        return LocalBackend(
            tmp_path / ".reconciler",
            "test",
            now=lambda: "2026-01-01T00:00:00Z",
            new_id=lambda: f"lock-{next(ids)}",
        )


class TestMemoryBackend(BackendContract):
    """The stand-in for tests."""

    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()
