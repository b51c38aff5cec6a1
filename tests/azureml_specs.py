"""Specs for Azure ML in a directory of their own: the files that they name, and what they say."""

from __future__ import annotations

import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.core.ports import Place, SpecReading
from reconciler.providers.azureml.spec import read_spec

HASH = r"[0-9a-f]{64}"


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Make *files* below *root*; ``->TARGET`` makes a link."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("->"):
            path.symlink_to(content[2:])
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def wheel(path: Path, name: str = "acme_tools", version: str = "1.0", *, without: str = "") -> Path:
    """A wheel with nothing in it but what makes it one, the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {
            f"{name}/__init__.py": "",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/RECORD": "",
        }.items():
            if not (without and file.endswith(without)):
                archive.writestr(zipfile.ZipInfo(file, (2026, 1, 1, 0, 0, 0)), text)
    return path


def reading(
    stack: Path,
    text: str,
    *,
    name: str = "lab",
    folder: str = "",
    ignored: frozenset[str] = frozenset(),
) -> SpecReading:
    """What the table *text* says in a spec *name* of the *stack*, or of a folder in it."""
    place = Place("azureml", name, stack, stack / folder, ignored)
    return read_spec("environment", tomllib.loads(text), place)


def attributes(stack: Path, text: str, **options: Any) -> dict[str, Any]:
    """As `reading`, which must find nothing wrong: the attributes."""
    found = reading(stack, text, **options)
    assert found.problems == ()
    (draft,) = found.drafts
    assert draft.kind == "environment"
    return dict(draft.attributes)


def says(stack: Path, text: str, **options: Any) -> list[tuple[str, str]]:
    """As `reading`: where and what is wrong, the place with dots; each says what to do."""
    problems = reading(stack, text, **options).problems
    assert [one for one in problems if not one.hint] == []
    return [(".".join(map(str, one.path)), one.summary) for one in problems]
