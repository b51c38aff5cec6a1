"""A runner for the pipelines in ``examples/``: their own commands, in order, as the vendors' runners do it.

What needs the vendor (checkout, artifacts, expressions) is played; an
expression or a condition that is not known here is an error, and not a guess.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from forge_servers import TOKEN

EXAMPLES = Path(__file__).parents[1] / "examples"
GITHUB = EXAMPLES / "14-github-actions"
GITLAB = EXAMPLES / "15-gitlab-ci"
ARTIFACT = "https://github.example.com/team/stacks/actions/runs/99/artifacts/3"
WHO = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def load(file: Path) -> Any:
    """A YAML file as plain values."""
    return yaml.safe_load(file.read_text())


@dataclass
class Outcome:
    """How a job ended: what it said, and whether each of its commands succeeded."""

    said: str = ""
    steps: dict[str, bool] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return all(self.steps.values())

    def passed(self) -> Outcome:
        """This, when it did; else a failed test that shows what it said."""
        assert self.succeeded and self.steps, self.said
        return self


@dataclass
class Checkout:
    """A repository with a copy of an example, its state beside it, and what a runner's machine has."""

    example: Path
    place: Path

    def __post_init__(self) -> None:
        self.work = self.place / "work"
        self.temp = self.place / "temp"
        self.state = self.place / "state"
        self.work.mkdir(parents=True)
        self.temp.mkdir()
        for file in sorted(self.example.rglob("*")):
            if file.is_file() and ".reconciler" not in file.parts:
                target = self.work / file.relative_to(self.example)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
        settings = self.work / "stacks/prod/reconciler.toml"
        text = settings.read_text()
        assert "/var/lib/reconciler/prod" in text
        settings.write_text(text.replace("/var/lib/reconciler/prod", str(self.state)))
        self.git("init", "-q", "-b", "main")
        self.git("remote", "add", "origin", str(self.work))
        self.commit("first")

    @property
    def environment(self) -> dict[str, str]:
        """What the machine's own environment is."""
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GITHUB_", "GITLAB_", "GH_", "CI"))
        }
        path = f"{Path(sys.executable).parent}:{outside['PATH']}"
        return {**outside, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(self, *words: str) -> str:
        """What git says."""
        done = subprocess.run(
            ["git", *words], cwd=self.work, env={**self.environment, **WHO}, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def commit(self, title: str) -> str:
        """All that is there, as a commit; its id."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", title)
        return self.git("rev-parse", "HEAD")

    def spec(self, **replaced: str) -> None:
        """Change values of the spec."""
        file = self.work / "stacks/prod/lab.toml"
        text = file.read_text()
        for key, value in replaced.items():
            text = re.sub(rf'^{key} = ".*"$', f'{key} = "{value}"', text, flags=re.MULTILINE)
        file.write_text(text)

    def shell(self, script: str, variables: Mapping[str, str], outcome: Outcome, name: str) -> None:
        """Run a script, as both vendors do where bash is the shell."""
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.work,
            env={**self.environment, "CI": "true", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        outcome.said += done.stdout
        outcome.steps[name] = done.returncode == 0


def actions(
    checkout: Checkout, workflow: str, job: str, variables: Mapping[str, str], inputs: Mapping[str, str] = {}
) -> Outcome:
    """Run a job of a workflow of GitHub Actions."""
    file = load(checkout.work / f".github/workflows/{workflow}.yml")
    told = file["jobs"][job]
    outcome = Outcome()
    kept = checkout.temp / "github-env"
    kept.write_text("")
    known = {
        "github.token": TOKEN,
        "runner.temp": str(checkout.temp),
        "secrets.RUNAI_CLIENT_ID": "the-id",
        "secrets.RUNAI_CLIENT_SECRET": "the-secret-of-the-platform",
        "steps.artifact.outputs.artifact-url": ARTIFACT,
        **{f"inputs.{name}": value for name, value in inputs.items()},
    }
    shared = {
        **variables,
        "GITHUB_ACTIONS": "true",
        "GITHUB_ENV": str(kept),
        "GITHUB_STEP_SUMMARY": str(checkout.temp / "summary.md"),
        "RUNNER_TEMP": str(checkout.temp),
        "GITHUB_WORKSPACE": str(checkout.work),
    }

    def filled(text: object) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found[1]], str(text))

    def wanted(step: Mapping[str, Any]) -> bool:
        match step.get("if"):
            case None:
                return outcome.succeeded
            case "failure()":
                return not outcome.succeeded
            case "${{ !cancelled() }}":
                return True
            case "github.event_name == 'push'":
                return outcome.succeeded and variables["GITHUB_EVENT_NAME"] == "push"
            case "github.event_name == 'workflow_dispatch'":
                return outcome.succeeded and variables["GITHUB_EVENT_NAME"] == "workflow_dispatch"
        raise AssertionError(f"what is {step['if']!r}?")

    for step in told["steps"]:
        if "run" not in step or not wanted(step):
            continue
        later = dict(line.split("=", 1) for line in kept.read_text().splitlines())
        own = {**file.get("env", {}), **told.get("env", {}), **step.get("env", {})}
        values = {name: filled(value) for name, value in own.items()}
        checkout.shell(step["run"], {**shared, **later, **values}, outcome, step["name"])
    return outcome


def gitlab_job(checkout: Checkout, job: str, variables: Mapping[str, str]) -> Outcome:
    """Run a job of ``.gitlab-ci.yml``: its script in one shell, then what comes after in another."""
    file = load(checkout.work / ".gitlab-ci.yml")
    told = file[job]
    shared = {
        name: str(value["value"] if isinstance(value, Mapping) else value)
        for name, value in {**file["variables"], **told.get("variables", {})}.items()
    }
    outcome = Outcome()
    checkout.shell("\n".join(told["script"]), {**shared, **variables}, outcome, "script")
    if "after_script" in told:
        status = "success" if outcome.succeeded else "failed"
        after = "\n".join(told["after_script"])
        checkout.shell(after, {**shared, **variables, "CI_JOB_STATUS": status}, outcome, "after_script")
    return outcome
