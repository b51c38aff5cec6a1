"""Tools that judge Terraform plans judge ours: checkov and terraform-compliance, each as its users run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from harness import Project
from render.plans import EMPTY

from reconciler.core.attributes import Attributes
from reconciler.core.model import (
    Action,
    Change,
    FieldChange,
    Plan,
    ResourceAddress,
    ResourceState,
    Reversal,
    Step,
    Surroundings,
    Verb,
)
from reconciler.state.codec import encode_plan

HERE = Path(__file__).parent
TOOLS = HERE.parent.parent / ".venv-policy" / "bin"

GOOD, BAD = "nvcr.io/nvidia/pytorch:24.01-py3", "docker.io/somebody/pytorch:latest"
PROVIDERS = {"runai": "runai", "azureml": "azureml", "aenv": "aenvironment"}
"""The last is a platform that is not called as its provider."""
ACTIONS = ("create", "update", "replace", "delete", "no-op")
TERRAFORM = {
    "runai": "runai_environment",
    "azureml": "azureml_environment",
    "aenv": "module.aenv.aenvironment_environment",
}


def tool(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What a policy tool says. Never skipped: a policy that nobody ran lets everything pass."""
    if not (TOOLS / name).exists():
        pytest.fail(f"{name} is not installed. Run `make .venv-policy/.made`, or `make test`.", pytrace=False)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(
        [str(TOOLS / name), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def plan_with(images: dict[str, str], project: Project) -> Path:
    """A plan in which each action happens to an environment of each name and platform; as Terraform's JSON.

    *images* are the images that the environments have afterwards, by name.
    """
    changes: list[Change] = []
    steps: list[Step] = []
    prior: dict[ResourceAddress, ResourceState] = {}
    for platform in PROVIDERS:
        for action in ACTIONS:
            for name, image in images.items():
                where = ResourceAddress(platform, "environment", f"{name}-{action}")
                before = image if action in ("delete", "no-op") else GOOD if image == BAD else BAD
                if action != "create":
                    known = Attributes({"name": where.name, "image": before})
                    prior[where] = ResourceState(where, f"id-{len(prior)}", known)
                if action == "no-op":
                    continue
                fields = (FieldChange(("image",), before, image, forces_replace=action == "replace"),)
                changes.append(
                    Change(where, Action(action), "x", fields if action in ("update", "replace") else ())
                )
                wished = Attributes({"name": where.name, "image": image})
                if action in ("delete", "replace"):
                    steps.append(Step(len(steps), Verb.DELETE, where, Reversal.RECREATE))
                if action != "delete":
                    verb = Verb.UPDATE if action == "update" else Verb.CREATE
                    steps.append(Step(len(steps), verb, where, Reversal.DELETE, attributes=wished))
    plan: Plan = replace(
        EMPTY, changes=tuple(sorted(changes, key=lambda one: one.address)), steps=tuple(steps)
    )
    (project.path / "saved.plan").write_bytes(encode_plan(plan, Surroundings(PROVIDERS, prior)))
    shown = project.run("show", "saved.plan", "--format", "terraform-json").succeeded().out
    return project.write("plan.json", shown)


def expected(names: tuple[str, ...], actions: tuple[str, ...]) -> set[str]:
    """The addresses that Terraform would give them."""
    return {f"{kind}.{name}-{action}" for kind in TERRAFORM.values() for name in names for action in actions}


def checked(plan: Path) -> dict[str, dict[str, set[str]]]:
    """What checkov passed and failed, by policy."""
    done = tool(
        "checkov", "-f", plan.name, "--framework", "terraform_plan", "--external-checks-dir",
        str(HERE / "checkov"), "-c", "CUSTOM_IMAGE,CUSTOM_REPLACE", "--skip-download", "-o", "json",
        cwd=plan.parent,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert done.returncode == (1 if report["results"]["failed_checks"] else 0), done.stderr
    found: dict[str, dict[str, set[str]]] = {}
    for outcome in ("passed", "failed"):
        for one in report["results"][f"{outcome}_checks"]:
            found.setdefault(one["check_id"], {"passed": set(), "failed": set()})[outcome].add(
                one["resource"]
            )
    return found


LIVING = ("create", "update", "replace", "no-op")


def test_checkov_passes_and_fails_each_object_rightly(project: Project) -> None:
    """By what it will be: also one that stays as it is; one that goes is no longer judged."""
    found = checked(plan_with({"good": GOOD, "bad": BAD}, project))
    assert found["CUSTOM_IMAGE"] == {
        "passed": expected(("good",), LIVING),
        "failed": expected(("bad",), LIVING),
    }


def test_checkov_sees_what_happens_to_an_object(project: Project) -> None:
    """A policy about replacements fails for those alone."""
    found = checked(plan_with({"good": GOOD}, project))
    assert found["CUSTOM_REPLACE"] == {
        "passed": expected(("good",), ("create", "update", "no-op")),
        "failed": expected(("good",), ("replace",)),
    }
    assert found["CUSTOM_IMAGE"]["failed"] == set()


def complied(plan: Path) -> tuple[int, set[str]]:
    """The exit code of terraform-compliance, and what it found fault with."""
    done = tool(
        "terraform-compliance", "-f", str(HERE / "features"), "-p", plan.name, "--no-ansi", cwd=plan.parent
    )
    assert "3 scenarios" in done.stdout, done.stdout + done.stderr
    return done.returncode, set(re.findall(r"image property in (\S+) resource does not match", done.stdout))


def test_terraform_compliance_passes_what_is_right(project: Project) -> None:
    """Every scenario finds objects, and all of them comply."""
    assert complied(plan_with({"good": GOOD}, project)) == (0, set())


@pytest.mark.parametrize("platform", PROVIDERS)
def test_terraform_compliance_fails_what_is_wrong(project: Project, platform: str) -> None:
    """By the object's address, whatever happens to it but that it goes."""
    code, found = complied(plan_with({"good": GOOD, "bad": BAD}, project))
    assert code != 0
    mine = f"{TERRAFORM[platform]}."
    assert {address for address in found if address.startswith(mine)} == {f"{mine}bad-{a}" for a in LIVING}
