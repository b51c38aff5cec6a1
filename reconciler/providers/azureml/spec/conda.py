"""A conda definition: what may stand in it, and what of it stays the same from build to build."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.core.reading import nearest
from reconciler.providers.azureml.spec.requirements import is_pinned, name_of, requirement_flaw
from reconciler.providers.azureml.spec.secrets import CONNECTION, secret_in, secret_named
from reconciler.providers.azureml.spec.words import Flaw, Values, marking

__all__ = ["conda_flaws", "conda_of", "pip_lines", "unpinned"]

_KEYS: Final = ("name", "channels", "dependencies", "variables", "prefix")
_PACKAGE: Final = re.compile(
    r"(?:[\w.:/-]+::?)?[A-Za-z0-9_][\w.-]*(?:\s*(?:\[.*\]|[=<>!~].*|\s[\d*].*))?", re.DOTALL
)
_VERSION: Final = re.compile(r"(?:[\w.:/-]+::)?([\w.-]+)\s*(.*)", re.DOTALL)


def conda_of(
    python: str | None, packages: Sequence[str], channels: Sequence[str] | None, pip: Sequence[str]
) -> Values:
    """The conda definition that single packages make."""
    dependencies: list[Any] = [f"python={python}"] if python is not None else []
    dependencies += packages
    if pip:
        if "pip" not in map(_name_of, packages):
            dependencies.append("pip")
        dependencies.append({"pip": list(pip)})
    return {
        "channels": ["conda-forge"] if channels is None else list(channels),
        "dependencies": dependencies,
    }


def conda_flaws(value: Any) -> Iterator[Flaw]:
    """What is wrong with a conda definition."""
    if not isinstance(value, Mapping):
        yield Flaw((), "a conda definition is a table", "Write name, channels and dependencies.")
        return
    for path in marking(value):
        yield Flaw(path, f"{path[-1]!r} cannot be a key", "No `$` in front.")
    meant_by = {key: nearest(key, _KEYS) for key in value if key not in _KEYS}
    for key, meant in meant_by.items():
        hint = f"Did you mean `{meant}`?" if meant else f"Known here: {', '.join(_KEYS)}."
        yield Flaw((key,), f"unknown key `{key}` of a conda definition", hint)
    for key in ("name", "prefix"):
        if key in value and not isinstance(value[key], str):
            yield Flaw((key,), f"`{key}` must be text", "Put it in quotes.")
    if "channels" in value:
        yield from _channel_flaws(value["channels"])
    if "variables" in value:
        yield from _variable_flaws(value["variables"])
    if "dependencies" not in value and "dependencies" in meant_by.values():
        return
    dependencies = value.get("dependencies")
    if not isinstance(dependencies, list) or not dependencies:
        yield Flaw(
            ("dependencies",) if "dependencies" in value else (),
            "`dependencies` must be a list of packages",
            "Without packages, leave the conda definition out.",
        )
        return
    for number, item in enumerate(dependencies):
        yield from _dependency_flaws(item, ("dependencies", number))
    if sum(isinstance(item, Mapping) for item in dependencies) > 1:
        yield Flaw(("dependencies",), "there are two lists of pip packages", "Make one of them.")


def _channel_flaws(channels: Any) -> Iterator[Flaw]:
    if not isinstance(channels, list) or not all(isinstance(one, str) and one.strip() for one in channels):
        yield Flaw(("channels",), "`channels` must be a list of texts", 'Write ["conda-forge"].')
        return
    for number, one in enumerate(channels):
        if secret := secret_in(one):
            yield Flaw(
                ("channels", number),
                f"{secret} would be shown to everybody who may see the environment",
                "Take it out; build what is private into a wheel and name that in `wheels`.",
            )


def _variable_flaws(variables: Any) -> Iterator[Flaw]:
    if not isinstance(variables, Mapping):
        yield Flaw(("variables",), "`variables` must be a table", "Write NAME: VALUE below it.")
        return
    for name, one in variables.items():
        if not isinstance(one, str | bool) and type(one) is not int:
            yield Flaw(("variables", name), "the value of a variable is text", "Put it in quotes.")
        elif isinstance(one, str) and (secret := secret_named(name, one)):
            yield Flaw(
                ("variables", name),
                f"{secret} would be shown to everybody who may see the environment",
                "Give it to jobs and deployments, out of a key vault.",
            )


def _dependency_flaws(item: Any, path: tuple[str | int, ...]) -> Iterator[Flaw]:
    if isinstance(item, str):
        if secret := secret_in(item):
            yield Flaw(path, f"{secret} would be shown to everybody who may see the environment", CONNECTION)
        elif re.search(r"\s-\s", item):
            yield Flaw(
                path, "two packages were read as one", "Begin each line of the list in the same column."
            )
        elif not _PACKAGE.fullmatch(item.strip()):
            yield Flaw(path, f"{item[:60]!r} is no conda package", 'Write NAME=VERSION, such as "numpy=2.1".')
        return
    if not isinstance(item, Mapping):
        yield Flaw(path, "a package is text", 'Put it in quotes: "NAME=VERSION".')
        return
    if list(item) != ["pip"]:
        yield Flaw(
            path, "only `pip` has a list of its own", "Write NAME=VERSION, and pip packages below `pip:`."
        )
        return
    lines = item["pip"]
    if not isinstance(lines, list):
        yield Flaw((*path, "pip"), "`pip` must be a list of requirements", 'Write ["NAME==VERSION"].')
        return
    for number, line in enumerate(lines):
        at = (*path, "pip", number)
        if not isinstance(line, str) or not line.strip():
            yield Flaw(at, "a requirement is text", 'Put it in quotes: "NAME==VERSION".')
        elif flaw := requirement_flaw(line.strip()):
            yield Flaw(at, *flaw)


def pip_lines(conda: Mapping[str, Any]) -> list[str]:
    """The pip requirements in a sound conda definition."""
    return [line for item in conda["dependencies"] if isinstance(item, Mapping) for line in item["pip"]]


def _name_of(package: str) -> str:
    found = _VERSION.match(package.strip())
    return found[1].lower() if found else ""


def unpinned(conda: Mapping[str, Any]) -> Iterable[str]:
    """The packages of a sound conda definition that may come in another version tomorrow."""
    for item in conda["dependencies"]:
        if isinstance(item, str):
            name, version = _VERSION.match(item.strip()).groups()  # type: ignore[union-attr]  # it is sound
            is_range = re.search(r"[<>!~]|\*$", version) is not None and not re.match(
                r"==?\s*[\d.]+\.\*$", version
            )
            if name.lower() != "pip" and (not version or is_range):
                yield name
        else:
            yield from (name_of(line) or line for line in item["pip"] if not is_pinned(line))
