"""What a Dockerfile builds on, and what in it should not be there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.providers.azureml.spec.secrets import CONNECTION, secret_in, secret_named
from reconciler.providers.azureml.spec.words import Flaw

__all__ = ["copies_files", "dockerfile_flaws", "images_in"]

_ARG: Final = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
_PAIR: Final = re.compile(r"""(\w+)=("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"']\S*|)""")
_OPTIONS: Final = r"(?:--[a-z]+(?:=\S+)?\s+)*"


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and arguments of each instruction, joined lines as one."""
    held: list[str] = []
    first = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("#") or (not line and not held):
            continue
        first = first if held else number
        if line.endswith("\\"):
            held.append(line[:-1])
            continue
        whole = " ".join([*held, line]).strip()
        held = []
        name, _, rest = whole.partition(" ")
        yield first, name.upper(), rest.strip()


def images_in(text: str) -> tuple[str, ...]:
    """The images that a Dockerfile takes from registries, arguments replaced by their defaults."""
    arguments: dict[str, str] = {}
    stages: set[str] = set()
    found: dict[str, None] = {}
    for _, name, rest in _instructions(text):
        if name == "ARG" and not found and not stages:
            arguments |= {key: value.strip("\"'") for key, value in _PAIR.findall(rest)}
        elif name == "FROM":
            words = re.sub(rf"^{_OPTIONS}", "", rest).split()
            if words:
                image = _replaced(words[0], arguments)
                if image.lower() not in stages | {"scratch"}:
                    found[image] = None
                stages.add(words[2].lower() if len(words) == 3 else "")
        elif name == "COPY" and (source := re.match(r"(?:--[a-z]+(?:=\S+)?\s+)*?--from=(\S+)", rest)):
            image = _replaced(source[1], arguments)
            if not image.isdigit() and image.lower() not in stages:
                found[image] = None
    return tuple(found)


def _replaced(text: str, arguments: Mapping[str, str]) -> str:
    return _ARG.sub(lambda one: arguments.get(one[1] or one[3]) or one[2] or one[0], text)


def copies_files(text: str) -> bool:
    """Whether a Dockerfile takes files out of its build context."""
    for _, name, rest in _instructions(text):
        if name in ("COPY", "ADD") and "--from=" not in rest:
            source = re.sub(rf"^{_OPTIONS}", "", rest)
            if not source.startswith(("<<", "http://", "https://", "git@")):
                return True
    return False


def dockerfile_flaws(text: str) -> Iterator[Flaw]:
    """What is wrong with a Dockerfile, with the line in words."""
    if not any(name == "FROM" for _, name, _ in _instructions(text)):
        yield Flaw((), "there is no FROM", "Begin with FROM and the base image.")
    for number, name, rest in _instructions(text):
        secret = secret_in(rest)
        if name in ("ENV", "ARG"):
            pairs = _PAIR.findall(rest) or [tuple(rest.partition(" ")[::2])]
            for key, value in pairs:
                secret = secret or secret_named(key, value.strip("\"' "))
        if secret:
            summary = f"line {number}: {secret} would be shown to everybody who may see the environment"
            yield Flaw((), summary, CONNECTION)
