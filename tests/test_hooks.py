"""The hooks for pre-commit: what they say is what pre-commit reads, and what they run works."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import LAB, Project
from jsonschema import Draft202012Validator

HOOKS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / ".pre-commit-hooks.yaml").read_text()
)

# The keys that pre-commit documents for a hook, and no others: it only warns of a misspelled one.
SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "name", "entry", "language"],
        "additionalProperties": False,
        "properties": {
            **{key: {"type": "string"} for key in ("id", "name", "description", "entry", "files", "exclude")},
            "language": {"const": "python"},
            "types": {"type": "array", "items": {"const": "toml"}},
            "pass_filenames": {"type": "boolean"},
            "require_serial": {"type": "boolean"},
        },
    },
}


def run(project: Project, hook: str, *files: str) -> tuple[int, str]:
    """Run a hook as pre-commit does: its entry, then the files that changed, if it wants them."""
    [found] = [one for one in HOOKS if one["id"] == hook]
    program, *words = shlex.split(found["entry"])
    assert program == "reconciler"
    result = project.run(*words, *(files if found.get("pass_filenames", True) else ()))
    return result.code, result.out + result.err


def test_the_hooks_are_as_pre_commit_reads_them() -> None:
    """Both, each with keys that there are."""
    Draft202012Validator(SCHEMA).validate(HOOKS)
    assert [hook["id"] for hook in HOOKS] == ["reconciler-validate", "reconciler-fmt"]


def test_validate_stops_a_commit_with_a_mistake(project: Project) -> None:
    """Whatever file was changed: a mistake may be in the way that two fit together."""
    project.write("lab.toml", LAB)
    assert run(project, "reconciler-validate", "lab.toml") == (
        0,
        "Success! 1 resource in the specs, no problems.\n",
    )
    project.write("lab.toml", LAB.replace("image", "imag"))
    code, said = run(project, "reconciler-validate", "other.toml")
    assert (code, "unknown key `imag`" in said) == (1, True)


@pytest.mark.parametrize("name", ["lab.toml", "reconciler.toml"])
def test_fmt_changes_what_was_committed_and_no_more(project: Project, name: str) -> None:
    """pre-commit itself stops the commit when files changed."""
    text = LAB if name == "lab.toml" else (project.path / name).read_text()
    project.write("other.toml", LAB.replace(" = ", "="))
    project.write(name, text.replace(" = ", "="))
    assert run(project, "reconciler-fmt", name) == (0, f"{name}\n")
    assert (project.path / name).read_text() == text
    assert (project.path / "other.toml").read_text() != LAB
