"""The main job: specs to plan, plan to platform, and back to nothing to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from harness import LAB, Project

REPOSITORY = Path(__file__).parent.parent


def test_plan_apply_and_nothing_left_to_do(project: Project) -> None:
    """A directory of specs is planned, applied, and then matches."""
    project.write("lab.toml", LAB)
    planned = project.run("plan").succeeded()
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in planned.out
    assert not project.store.exists() or project.live() == {}
    applied = project.run("apply", "--auto-approve").succeeded()
    assert "Apply complete! Resources: 1 added, 0 changed, 0 destroyed." in applied.out
    assert project.live() == {"environment.lab": project.remembered()["runai.environment.lab"]}
    again = project.run("plan", "--detailed-exitcode").succeeded()
    assert again.out == "No changes. Your infrastructure matches the configuration.\n"


def test_a_hand_edit_shows_as_drift_and_is_put_back(project: Project) -> None:
    """Somebody changes the image on the platform; the plan says who was the cause."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.12")
    drift = project.run("drift")
    assert drift.code == 2
    assert '~ image = "python:3.11" -> "python:3.12"' in drift.out
    planned = project.run("plan").succeeded()
    assert '~ image = "python:3.12" -> "python:3.11"   (drift: changed outside)' in planned.out
    project.run("apply", "--auto-approve").succeeded()
    assert project.hand().named("lab")["spec"]["image"] == "python:3.11"
    assert project.run("drift").code == 0


def test_the_stack_of_this_repository_is_on_three_platforms(project: Project) -> None:
    """One spec on all of them; applied, nothing is left to do, and each platform's requests are counted."""
    shutil.copytree(
        REPOSITORY / "states" / "dev",
        project.path,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(".reconciler"),
    )
    project.run("apply", "--auto-approve").succeeded()
    assert {
        "runai.environment.evaluation",
        "azureml.environment.evaluation",
        "aenv.environment.evaluation",
        "aenv.service.swe-sandbox",
    } <= project.remembered().keys()
    again = project.run("plan", "--detailed-exitcode").succeeded()
    assert again.out == "No changes. Your infrastructure matches the configuration.\n"
    project.run("drift", "--metrics-out", "drift.prom").succeeded()
    calls = re.findall(
        r'drift_api_calls\{.*platform="(\w+)"\} (\d+)', (project.path / "drift.prom").read_text()
    )
    assert {name: int(count) > 0 for name, count in calls} == {"aenv": True, "azureml": True, "runai": True}
