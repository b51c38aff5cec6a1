"""Which providers there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.errors import ReconcilerError
from reconciler.providers import ENTRY_POINTS, discover
from reconciler.providers.runai import PLUGIN

PLUGINS = {
    "good": "class PLUGIN:\n    name = 'good'\n    kinds = {}\n",
    "broken": "raise RuntimeError('half installed')\n",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packages from elsewhere with entry points, and one that wants the name of ours."""
    for name, text in PLUGINS.items():
        (tmp_path / f"vendor_{name}.py").write_text(text)
    information = tmp_path / "vendor_pack-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: vendor-pack\nVersion: 1.0\n")
    lines = [f"{name} = vendor_{name}:PLUGIN" for name in PLUGINS]
    lines.append("runai = vendor_broken:PLUGIN")
    (information / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n" + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_folder_with_a_provider_is_one() -> None:
    """There is no list to edit."""
    found = discover()
    assert "runai" in found
    assert found["runai"] is PLUGIN
    assert found["runai"].name == "runai"
    assert list(found) == sorted(found)
    assert len(found) == len(list(found))
    assert found.get("hologram") is None


def test_an_entry_point_of_another_package_is_one(installed: None) -> None:
    """By its name, and only our own folder goes before it."""
    found = discover()
    assert list(found) == ["aenvironment", "azureml", "broken", "good", "runai"]
    assert found["good"].name == "good"
    assert found["runai"] is PLUGIN


def test_a_package_that_cannot_be_imported_is_named(installed: None) -> None:
    """When it is asked for, and only then."""
    found = discover()
    assert found["good"].name == "good"
    with pytest.raises(ReconcilerError) as caught:
        found["broken"]
    assert str(caught.value) == "the provider 'broken' cannot be loaded: RuntimeError: half installed"
    assert caught.value.hint == "It comes with the package vendor-pack. Repair or remove that."


PROGRAM = """
import sys
from reconciler.providers import discover
found = discover()
assert "reconciler.providers.runai" not in sys.modules
found["runai"].kinds
heavy = {"pydantic", "httpx", "starlette", "sqlite3", "importlib.metadata"}
print(*sorted(heavy & set(sys.modules)))
"""


def test_a_provider_costs_nothing_until_it_is_used() -> None:
    """To know its kinds, neither its HTTP nor its models are imported, nor are other packages looked for."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
