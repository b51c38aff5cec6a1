"""Who may import whom: the floors of the house, and one door for each library."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import reconciler

PACKAGE = Path(reconciler.__file__).parent

FLOORS: Mapping[str, set[str]] = {
    "errors": set(),
    "core": {"errors"},
    "specs": {"core", "errors"},
    "state": {"core", "errors"},
    "providers": {"core", "errors"},
    "forges": {"core", "errors", "providers"},
    "notify": {"core", "errors", "providers"},
    "render": {"core", "errors"},
    "engine": {"core", "errors", "state"},
    "testing": {"core", "errors", "state"},
    "cli": {"core", "errors", "specs", "state", "providers", "forges", "notify", "render", "engine", ""},
    "__main__": {"cli"},
    "": set(),  # reconciler/__init__.py
}
"""What each floor may import of the package besides itself; the empty name is the package itself."""

DOORS: Mapping[str, tuple[str, ...]] = {
    "aiolimiter": ("providers/http.py",),
    "click": ("cli/*",),
    "deepdiff": ("core/diff.py",),
    "httpx": ("providers/http.py", "state/backends/http.py"),
    "cryptography": ("cli/files.py",),
    "jinja2": ("render/html.py",),
    "networkx": ("core/planner.py",),
    "pydantic": (
        "core/reading.py",
        "specs/config_model.py",
        "providers/*/spec/*",
        "providers/*/settings_model.py",
    ),
    "pydantic_core": ("core/reading.py",),
    "pytest": ("testing/*",),
    "rich": ("cli/*",),
    "rtoml": ("specs/*",),
    "sqlite3": ("providers/emulator.py", "providers/*/emulator/*"),
    "starlette": ("providers/emulator.py", "providers/*/emulator/*", "cli/commands/serve.py"),
    "tomli_w": ("specs/*",),
    "tomlkit": ("specs/*",),
    "tomllib": ("specs/*",),
    "yaml": ("providers/azureml/documents.py", "providers/azureml/emulator/*"),
    "uvicorn": ("cli/commands/serve.py",),
}
"""The files that may import a library."""

OUTSIDE = {"asyncio", "datetime", "http", "os", "random", "secrets", "socket", "subprocess", "time", "uuid"}
"""What the core must not know: files, network, clock, chance, environment."""

VAGUE = {"base", "common", "helper", "helpers", "impl", "manager", "managers", "misc", "util", "utils"}
"""Names that say nothing. `providers/runai/api.py` and the like say something."""


def imported(file: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Every module that *file* imports, wherever in it, with the line; relative ones in full."""
    package = [root.name, *file.relative_to(root).parent.parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *(node.module.split(".") if node.module else [])])
            for alias in node.names:
                # `from reconciler import core` imports a module, `from reconciler import x` a name of it.
                parts = f"{module}.{alias.name}".split(".")
                is_module = parts[0] == root.name and _file_of(root, parts[1:]) is not None
                yield node.lineno, ".".join(parts) if is_module else module


def _file_of(root: Path, parts: list[str]) -> Path | None:
    place = root.joinpath(*parts)
    return next((f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()), None)


def floor_of(parts: tuple[str, ...]) -> str:
    """The floor that a module is on, from its path below the package."""
    return "" if not parts or parts[0] == "__init__" else parts[0]


def broken(root: Path) -> list[str]:
    """What is wrong with the package at *root*, a line each."""
    wrong: list[str] = []
    for file in sorted(root.rglob("*.py")):
        where = file.relative_to(root)
        parts = where.with_suffix("").parts
        floor = floor_of(parts)
        if VAGUE & set(parts):
            wrong.append(f"{where}: its name says nothing")
        if floor not in FLOORS:
            wrong.append(f"{where}: there is no floor {floor!r}")
            continue
        for line, name in imported(file, root):
            top, *rest = name.split(".")
            at = f"{where}:{line}"
            if top != root.name:
                doors = DOORS.get(top)
                if doors is not None and not any(fnmatchcase(where.as_posix(), door) for door in doors):
                    wrong.append(f"{at}: {top} has its own door: {', '.join(doors)}")
                if floor == "core" and top in OUTSIDE:
                    wrong.append(f"{at}: the core knows nothing of {top}")
                continue
            target = floor_of(tuple(rest))
            if target != floor and target not in FLOORS[floor]:
                wrong.append(f"{at}: {floor or 'the package'} may not import {target or 'the package'}")
            if floor in ("forges", "notify") and target == "providers" and rest[1:2] != ["http"]:
                wrong.append(f"{at}: {floor} may import the HTTP door of providers, and nothing else of them")
            if floor == target == "providers":
                ours, theirs = _vendor(root, parts[1:]), _vendor(root, tuple(rest[1:]))
                if theirs is not None and ours != theirs:
                    wrong.append(f"{at}: a provider may not import another, {theirs}")
    return wrong


def _vendor(root: Path, parts: tuple[str, ...]) -> str | None:
    """The provider whose folder a module below ``providers`` is in; None for what they share."""
    return parts[0] if parts and (root / "providers" / parts[0]).is_dir() else None


def test_every_module_keeps_to_its_floor() -> None:
    """The floors of the design hold in every file, and each library comes in by its own door."""
    assert broken(PACKAGE) == []


def test_all_floors_are_looked_at() -> None:
    """The check reads real files: every floor has at least one, and imports were found in them."""
    files = list(PACKAGE.rglob("*.py"))
    assert {floor_of(file.relative_to(PACKAGE).with_suffix("").parts) for file in files} == set(FLOORS)
    assert sum(len(list(imported(file, PACKAGE))) for file in files) > 500


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("core/a.py", "from reconciler.state import b", "core/a.py:1: core may not import state"),
        ("core/a.py", "from ..state.b import c", "core/a.py:1: core may not import state"),
        ("core/a.py", "from .. import state", "core/a.py:1: core may not import state"),
        ("specs/a.py", "import reconciler.render.b", "specs/a.py:1: specs may not import render"),
        (
            "state/a.py",
            "def f():\n    from reconciler.specs.b import c",
            "state/a.py:2: state may not import specs",
        ),
        ("render/a.py", "from reconciler.engine import b", "render/a.py:1: render may not import engine"),
        (
            "engine/a.py",
            "from reconciler.providers import b",
            "engine/a.py:1: engine may not import providers",
        ),
        (
            "forges/a.py",
            "from reconciler.providers.runai.api import b",
            "forges/a.py:1: forges may import the HTTP door of providers, and nothing else of them",
        ),
        ("forges/a.py", "from reconciler.render import b", "forges/a.py:1: forges may not import render"),
        ("testing.py", "from reconciler.engine import b", "testing.py:1: testing may not import engine"),
        ("__init__.py", "from reconciler.cli import b", "__init__.py:1: the package may not import cli"),
        (
            "providers/runai/a.py",
            "from reconciler.providers.azureml.api import b",
            "providers/runai/a.py:1: a provider may not import another, azureml",
        ),
        (
            "providers/http.py",
            "from reconciler.providers.runai.api import b",
            "providers/http.py:1: a provider may not import another, runai",
        ),
        (
            "providers/runai/a.py",
            "import httpx",
            "providers/runai/a.py:1: httpx has its own door: providers/http.py, state/backends/http.py",
        ),
        (
            "notify/a.py",
            "from reconciler.providers.runai import b",
            "notify/a.py:1: notify may import the HTTP door of providers, and nothing else of them",
        ),
        ("engine/a.py", "from deepdiff import D", "engine/a.py:1: deepdiff has its own door: core/diff.py"),
        ("core/a.py", "import networkx as nx", "core/a.py:1: networkx has its own door: core/planner.py"),
        ("cli/a.py", "import rtoml", "cli/a.py:1: rtoml has its own door: specs/*"),
        ("core/a.py", "import time", "core/a.py:1: the core knows nothing of time"),
        ("state/utils.py", "", "state/utils.py: its name says nothing"),
        ("engine/manager/a.py", "", "engine/manager/a.py: its name says nothing"),
        ("attic/a.py", "", "attic/a.py: there is no floor 'attic'"),
    ],
)
def test_the_check_notices(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    """A made-up package with one thing wrong is complained of, with file and line."""
    root = tmp_path / "reconciler"
    for name in (
        "core",
        "specs",
        "state",
        "render",
        "engine",
        "cli",
        "notify",
        "providers/runai",
        "providers/azureml",
    ):
        (root / name).mkdir(parents=True)
        (root / name / "__init__.py").touch()
    (root / "__init__.py").touch()
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(text, encoding="utf-8")
    assert broken(root) == [complaint]


def test_the_check_lets_pass_what_is_right(tmp_path: Path) -> None:
    """The imports that the floors allow, in every spelling, are no complaint."""
    root = tmp_path / "reconciler"
    for file, text in {
        "__init__.py": "",
        "errors.py": "",
        "core/__init__.py": "",
        "core/model.py": "from reconciler.errors import X\nfrom . import diff",
        "core/diff.py": "import deepdiff",
        "state/codec.py": "from ..core.model import X\nimport os",
        "providers/http.py": "import httpx",
        "forges/a.py": "from reconciler.providers.http import X",
        "providers/runai/api.py": "from reconciler.providers.http import X\nfrom .spec import Y",
        "providers/runai/spec/words.py": "from pydantic import Field",
        "engine/stack.py": "from reconciler.state import codec\nfrom reconciler.core import model",
        "cli/app.py": "from reconciler import __version__\nfrom reconciler.engine.stack import X",
    }.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text, encoding="utf-8")
    assert broken(root) == []
