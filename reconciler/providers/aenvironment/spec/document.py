"""``config.json`` of an AEnvironment project, and what a spec lays over it.

Source: the vendor's command line (``aenv init``, ``push``, ``service create``) and its guide.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final, NoReturn

from reconciler.core.model import Path
from reconciler.core.ports import Problem
from reconciler.core.reading import nearest
from reconciler.providers.aenvironment.spec.words import Finding, Values

__all__ = ["DEPLOY_KEYS", "SERVICE_KEYS", "Document", "read_config", "wire_key"]

TOP_KEYS: Final = (
    "name",
    "version",
    "description",
    "tags",
    "status",
    "codeUrl",
    "artifacts",
    "buildConfig",
    "testConfig",
    "deployConfig",
)
"""What EnvHub knows; any other key it drops."""

SERVICE_KEYS: Final = ("replicas", "port", "enableStorage", "storageName", "storageSize", "mountPath")

DEPLOY_KEYS: Final = (
    "cpu",
    "memory",
    "os",
    "ephemeralStorage",
    "environmentVariables",
    "imagePrefix",
    "podTemplate",
    "service",
    "cpuRequest",
    "cpuLimit",
    "memoryRequest",
    "memoryLimit",
    "ephemeralStorageRequest",
    "ephemeralStorageLimit",
    *SERVICE_KEYS,
    "ttl",
    "owner",
    "pvcName",
    "serviceName",
    "arguments",
    "resource",
    "dataSource",
    "secondImageName",
)
"""Keys of ``deployConfig`` that something reads: the command line, api-service or the controller."""


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)


def wire_key(key: str, known: tuple[str, ...]) -> str:
    """The key of the wire that *key* of a spec stands for: snake_case is told from what is no key of its."""
    spelled = _camel(key)
    return spelled if spelled in known else key


class Document:
    """An environment in the form of ``config.json``, which knows where each part of it is said.

    ``file`` is the name of that file for people, empty where there is none.
    """

    def __init__(self, values: Mapping[str, Any], file: str = "") -> None:
        self.values: Values = dict(values)
        self.file = file
        self._said: dict[Path, Path] = {}
        self._short: set[Path] = set()

    def put(self, path: Path, value: Any, said: Path, *, short: bool = False) -> None:
        """Lay *value* over what is at *path*. The spec says it at *said*; *short* when in another form."""
        table = self.values
        for part in path[:-1]:
            inner = table.get(str(part))
            table[str(part)] = table = dict(inner) if isinstance(inner, Mapping) else {}
        table[str(path[-1])] = value
        self._said[path] = said
        if short:
            self._short.add(said)

    def leave_out(self, path: Path) -> None:
        """Take away what ``config.json`` says at *path*."""
        table: Any = self.values
        for part in path[:-1]:
            table = table.get(part)
            if not isinstance(table, dict):
                return
        table.pop(path[-1], None)

    def problem(self, found: Finding) -> Problem:
        """*found* at its place in the spec; of what ``config.json`` says, at the key that names the file."""
        for length in range(len(found.path), 0, -1):
            said = self._said.get(found.path[:length])
            if said is not None:
                inside = () if said in self._short else found.path[length:]
                return Problem((*said, *inside), found.summary, found.hint)
        if not self.file:
            return Problem(found.path[:1], found.summary, found.hint)
        return Problem(("config",), f"{self.file}: {_dotted(found.path)}{found.summary}", found.hint)

    def warning(self, found: Finding) -> str:
        """*found* in one line."""
        ours = any(found.path[:length] in self._said for length in range(1, len(found.path) + 1))
        where = "" if ours or not self.file else f"{self.file}: "
        return f"{where}{_dotted(found.path)}{found.summary}" + (f". {found.hint}" if found.hint else "")


def _dotted(path: Path) -> str:
    return f"`{'.'.join(map(str, path))}`: " if path else ""


class _Doubled(ValueError):
    """A key stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> Values:
    found: Values = {}
    for key, value in pairs:
        if key in found:
            raise _Doubled(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _no_number(word: str) -> NoReturn:
    raise _Doubled(f"{word} is no JSON number")


def read_config(text: str, folder: FilePath) -> tuple[Document | None, Problem | None, FilePath]:
    """What the ``config.json`` at *text* says, or what is wrong with it; and which file that is.

    A relative path begins at the *folder* of the spec.
    """
    path = FilePath(os.path.normpath(folder.absolute() / text))
    at = ("config",)
    if path.is_dir():
        within = f"{text.rstrip('/')}/config.json"
        return None, Problem(at, f"{text!r} is a folder", f'Name the file: config = "{within}".'), path
    if not path.exists():
        beside = sorted(one.name for one in path.parent.glob("*.json")) if path.parent.is_dir() else []
        meant = nearest(path.name, beside)
        hint = f"Did you mean {meant!r}? " if meant else ""
        hint += "A relative path begins at the folder of this spec."
        return None, Problem(at, f"there is no file {text!r}", hint), path
    try:
        values = json.loads(path.read_bytes().decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except OSError as error:
        problem = Problem(
            at, f"{text} cannot be read: {error.strerror}", "Check that it is a file, and its permissions."
        )
        return None, problem, path
    except json.JSONDecodeError as error:
        why = f"{error.msg[:1].lower()}{error.msg[1:]} (line {error.lineno}, column {error.colno})"
        return (
            None,
            Problem(at, f"{text} is not JSON: {why}", "Repair it; `aenv init` makes a sound one."),
            path,
        )
    except UnicodeDecodeError:
        return None, Problem(at, f"{text} is not UTF-8", "Save the file in that encoding."), path
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _Doubled) else "a number or its nesting is too large"
        return None, Problem(at, f"{text} cannot be used: {why}", "Repair it."), path
    if not isinstance(values, dict):
        problem = Problem(
            at, f"{text} is no JSON object", 'It begins with {, and holds "name" and "version".'
        )
        return None, problem, path
    # Null is what EnvHub takes for absence, too.
    return Document({key: value for key, value in values.items() if value is not None}, text), None, path
