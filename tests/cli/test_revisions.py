"""The git revision: wherever it is shown or written, it says whether files differ from it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from harness import LAB, Project


@pytest.fixture
def revision(project: Project) -> str:
    """A stack in git; the commit that has it."""
    project.write("lab.toml", LAB)
    project.write(".gitignore", "plan.*\n")
    who = [word for name in ("name", "email") for word in ("-c", f"user.{name}=a")]
    outside = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", *who, *words], cwd=project.path, env=outside, check=True)
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=project.path, env=outside, check=True, stdout=subprocess.PIPE
    )
    return found.stdout.decode().strip()


def told(project: Project) -> set[str]:
    """The revision in every form that a plan has."""
    shown = project.run("plan", "--json").succeeded().events[0]
    project.run("plan", "--json-out", "plan.json").succeeded()
    written = json.loads((project.path / "plan.json").read_text())
    project.run("plan", "--out", "plan.bin").succeeded()
    saved = project.run("show", "plan.bin", "--json").succeeded().events[0]
    return {view["specs"]["revision"] for view in (shown, written, saved)}


def test_a_plan_says_whether_it_is_of_that_commit(project: Project, revision: str) -> None:
    """The view is as exact as the saved plan."""
    assert told(project) == {revision}
    project.write("lab.toml", LAB.replace("3.11", "3.12"))
    assert told(project) == {f"{revision}+"}


def test_every_run_has_its_revision(project: Project, revision: str) -> None:
    """An apply and a destroy, of a commit and of what differs from one."""
    project.run("apply", "--auto-approve").succeeded()
    project.run("destroy", "--auto-approve").succeeded()
    project.write("lab.toml", LAB.replace("3.11", "3.12"))
    project.run("apply", "--auto-approve").succeeded()
    project.run("destroy", "--auto-approve").succeeded()
    *runs, _ = project.run("history", "--json").succeeded().events
    assert [(run["command"], run["revision"]) for run in reversed(runs)] == [
        ("apply", revision),
        ("destroy", revision),
        ("apply", f"{revision}+"),
        ("destroy", f"{revision}+"),
    ]
