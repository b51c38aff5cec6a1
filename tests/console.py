"""Run the ``console`` blocks of a document and check that they tell the truth."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A command of a document, and the lines that it says the command prints."""

    text: str
    promised: tuple[str, ...]


def commands(document: str) -> list[Command]:
    """The commands in a document's console blocks, in order. A line after ``$ `` is one."""
    found: list[Command] = []
    for block in _BLOCK.findall(document):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:], ()))
            elif line.strip():
                last = found[-1]
                found[-1] = Command(last.text, (*last.promised, line))
    return found


def run_document(document: str, directory: Path, environment: Mapping[str, str]) -> list[str]:
    """Run a document's commands in one shell, one after another; what it promised and did not happen.

    A promised line has to be a line of the output, or the end of one: order
    counts, what stands between does not.
    """
    broken: list[str] = []
    mark = "---- next command ----"
    wanted = commands(document)
    script = "".join(f"{command.text}\necho '{mark}'\n" for command in wanted)
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=directory,
        env=dict(environment),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    parts = done.stdout.split(f"{mark}\n")
    if len(parts) != len(wanted) + 1:
        return [f"the commands did not all run:\n{done.stdout}"]
    for command, said in zip(wanted, parts, strict=False):
        lines = iter(said.splitlines())
        for promise in command.promised:
            if not any(line.endswith(promise) for line in lines):
                broken.append(f"$ {command.text}\n  promised: {promise}\n  said:\n{said}")
                break
    return broken
