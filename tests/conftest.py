"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from harness import Project


def pytest_configure() -> None:
    """Who starts the tests in the background has them ignore SIGINT, and so would what they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    """An empty stack on the embedded Run:ai."""
    found = Project(tmp_path / "stack", capsys)
    found.path.mkdir()
    found.config()
    return found


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the developer's own changes what a test sees."""
    for name in list(os.environ):
        if name.startswith(("RECONCILER_", "RUNAI_")):
            monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "SOURCE_DATE_EPOCH", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    # Processes that a test starts run this checkout, whatever else is installed.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
