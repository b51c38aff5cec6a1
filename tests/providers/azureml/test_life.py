"""The life of Azure ML environments through the command line: plans that say what they do, and ways back."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from harness import Project
from workspaces import WORKSPACE, served_by

from reconciler.core.model import ResourceAddress
from reconciler.providers.azureml.emulator.app import create_app
from reconciler.providers.azureml.provider import AzuremlProvider

T = TypeVar("T")

CONFIG = """\
[stack]
name = "test"

[platforms.azureml]
provider = "azureml"
endpoint = "embedded"
patience_seconds = 1
"""
SPEC = """\
image = "images.example.com/base:1"
description = "training"

[on.azureml]
python = "3.11"
pip = ["torch==2.{version}"]
"""


@pytest.fixture
def stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    """A stack with one environment, applied twice: version 1, then version 2."""
    project = Project(tmp_path, capsys)
    project.write("reconciler.toml", CONFIG)
    for version in (1, 2):
        write(project, version)
        project.run("apply", "--auto-approve").succeeded()
    return project


def write(project: Project, version: int, more: str = "", name: str = "lab") -> None:
    """Write the spec."""
    project.write(f"{name}.toml", SPEC.format(version=version) + more)


def with_platform(project: Project, work: Callable[[AzuremlProvider], Coroutine[Any, Any, T]]) -> T:
    """Do something on the platform of a stack, as somebody else."""

    async def check() -> T:
        app = create_app(
            project.path / ".reconciler/embedded/azureml.sqlite",
            clock=lambda: datetime.now(UTC),
            new_id=lambda: str(uuid.uuid4()),
        )
        async with served_by(app, project.path) as (_, provider):
            return await work(provider)

    return asyncio.run(check())


def all_versions(project: Project, *names: str) -> dict[str, dict[str, bool]]:
    """Of each environment, each version there is, and whether it counts: both are active."""

    async def look(provider: AzuremlProvider) -> dict[str, dict[str, bool]]:
        found = {}
        for name in names:
            container, there = await provider._environments.surely(name)
            assert container is not None
            active = not container.archived
            found[name] = dict(sorted((one.number, active and not one.archived) for one in there))
        return found

    return with_platform(project, look)


def versions(project: Project, name: str = "lab") -> dict[str, bool]:
    """The versions of one environment."""
    return all_versions(project, name)[name]


def faults(project: Project, *rules: str) -> None:
    """Let the platform misbehave."""
    more = "".join(f"\n[[platforms.azureml.faults]]\n{rule}\n" for rule in rules)
    project.write("reconciler.toml", CONFIG + more)


def test_a_plan_says_which_change_makes_a_version(stack: Project) -> None:
    """And why; words are changed in place, and make none."""
    assert "No changes." in stack.run("plan").succeeded().out
    write(stack, 3)
    said = stack.run("plan").succeeded().out
    assert "> azureml.environment.lab: spec changed; conda cannot be changed in a version" in said
    assert '~ version = "2" -> "3"' in said
    write(stack, 2)
    stack.write("lab.toml", SPEC.format(version=2).replace('"training"', '"other words"'))
    said = stack.run("plan").succeeded().out
    assert "~ azureml.environment.lab: spec changed" in said
    assert "version" not in said
    stack.run("apply", "--auto-approve").succeeded()
    assert versions(stack) == {"1": True, "2": True}


def test_an_undo_goes_back_to_the_version_before(stack: Project) -> None:
    """It is restored, the newer one archived, and no version is made."""
    run = stack.run("history").succeeded().out.splitlines()[1].split()[0]
    said = stack.run("undo", run, "--out", "u.plan").succeeded().out
    assert "version 1 is there already and becomes the current one again; 2 is archived" in said
    assert f"> azureml.environment.lab: back to before run {run}; its version becomes 1" in said
    stack.run("apply", "u.plan", "--auto-approve").succeeded()
    assert versions(stack) == {"1": True, "2": False}
    assert "No drift." in stack.run("drift").succeeded().out
    write(stack, 1)
    assert "No changes." in stack.run("plan").succeeded().out


def test_an_undo_says_which_old_versions_stay_put_away(stack: Project) -> None:
    """They count for nothing that a spec says, so the plan has no step for them."""
    write(stack, 2, "keep_versions = 1\n")
    stack.run("apply", "--auto-approve").succeeded()
    run = stack.run("history").succeeded().out.splitlines()[1].split()[0]
    said = stack.run("undo", run, "--out", "u.plan").succeeded().out
    assert f"azureml.environment.lab: run {run} archived lab:1, which stays archived" in said


def test_a_failed_apply_goes_back_to_the_version_before(stack: Project) -> None:
    """What was done is taken back: version 3 is archived, and version 2 counts again."""
    write(stack, 3)
    write(stack, 1, name="other")
    faults(stack, 'on = "PUT */environments/other/versions/*"\nstatus = 400')
    done = stack.run("apply", "--auto-approve", "--parallelism", "1")
    assert done.code == 6
    found = versions(stack)
    assert found.pop("2")
    assert found in ({"1": True}, {"1": True, "3": False})
    faults(stack)
    stack.run("apply", "--auto-approve").succeeded()
    assert versions(stack) == {"1": True, "2": True, "3": True}
    assert "No changes." in stack.run("plan").succeeded().out


def test_old_versions_are_put_away_as_steps_of_the_plan(stack: Project) -> None:
    """And come back when the apply that did it fails."""
    write(stack, 3, "keep_versions = 2\n")
    said = stack.run("plan").succeeded().out
    assert "Plan: 0 to add, 1 to change, 1 to destroy." in said
    write(stack, 1, name="other")
    faults(stack, 'on = "PUT */environments/other/versions/*"\nstatus = 400')
    assert stack.run("apply", "--auto-approve", "--parallelism", "1").code == 6
    assert versions(stack)["1"]
    faults(stack)
    (stack.path / "other.toml").unlink()
    stack.run("apply", "--auto-approve").succeeded()
    found = versions(stack)
    assert [number for number, counts in found.items() if counts][-1] == max(found)
    assert found["1"] is False
    assert "No changes." in stack.run("plan").succeeded().out


def test_a_saved_plan_puts_old_versions_away(stack: Project) -> None:
    """They are in no listing, so each is looked for; one that changed since makes the plan stale."""
    write(stack, 3, "keep_versions = 1\n")
    stack.run("plan", "--out", "p.plan").succeeded()

    async def interfere(provider: AzuremlProvider) -> None:
        await provider._arm.put(
            f"{WORKSPACE}/environments/lab/versions/1",
            {"properties": {**(await version_one(provider)), "tags": {"keep": "me"}}},
        )

    async def version_one(provider: AzuremlProvider) -> dict[str, Any]:
        found = await provider._environments.version("lab", "1")
        assert found is not None
        return found.properties

    with_platform(stack, interfere)
    refused = stack.run("apply", "p.plan", "--auto-approve")
    assert refused.code == 5
    assert "azureml.environment.lab was changed on the platform" in refused.err
    stack.run("plan", "--out", "p.plan").succeeded()
    stack.run("apply", "p.plan", "--auto-approve").succeeded()
    assert versions(stack) == {"1": False, "2": False, "3": True}


@pytest.mark.parametrize("count", [2, 12])
def test_a_saved_plan_does_not_put_away_what_is_in_use_since(stack: Project, count: int) -> None:
    """However many versions it puts away: a job that began meanwhile makes it stale."""
    names = [f"e-{number:02}" for number in range(count)]
    for version in (1, 2):
        for name in names:
            write(stack, version, "keep_versions = 1\n", name=name)
        if version == 1:
            stack.run("apply", "--auto-approve").succeeded()
    stack.run("plan", "--out", "p.plan").succeeded()

    async def use(provider: AzuremlProvider) -> None:
        body = {"jobType": "Command", "command": "true", "environmentId": "azureml:e-01:1", "computeId": "c"}
        await provider._arm.put(f"{WORKSPACE}/jobs/j1", {"properties": body})

    with_platform(stack, use)
    refused = stack.run("apply", "p.plan", "--auto-approve")
    assert refused.code == 5
    assert "azureml.environment.e-01 is in use by job j1" in refused.err


def test_old_versions_stay_while_the_new_one_is_not_there(stack: Project) -> None:
    """Also where the apply goes on after a failure: else nothing of the environment would be left."""
    write(stack, 3, "keep_versions = 1\n")
    faults(stack, 'on = "PUT */environments/lab/versions/3"\nstatus = 400')
    assert stack.run("apply", "--auto-approve", "--on-failure", "continue").code == 6
    assert versions(stack) == {"1": True, "2": True}
    faults(stack)
    stack.run("apply", "--auto-approve").succeeded()
    assert versions(stack) == {"1": False, "2": False, "3": True}


def test_another_name_is_another_environment(stack: Project) -> None:
    """The old one is archived, and neither goes back to a version that has the number of the new one."""
    stack.write("lab.toml", SPEC.format(version=1) + 'name = "shop"\n')
    said = stack.run("plan", "--allow-deletes").succeeded().out
    assert "-/+ azureml.environment.lab: name can only be set at creation" in said
    stack.run("apply", "--auto-approve", "--allow-deletes").succeeded()
    assert all_versions(stack, "lab", "shop") == {"lab": {"1": False, "2": False}, "shop": {"1": True}}
    assert "No changes." in stack.run("plan").succeeded().out


def test_a_destroy_archives_and_an_apply_brings_it_back(stack: Project) -> None:
    """With the version it had; those that nobody asks for stay archived."""
    assert "it is archived, and can be restored" in stack.run("destroy", "--auto-approve").succeeded().out
    assert versions(stack) == {"1": False, "2": False}
    stack.run("apply", "--auto-approve").succeeded()
    assert versions(stack) == {"1": False, "2": True}
    assert "No changes." in stack.run("plan").succeeded().out


def test_a_plan_of_real_deletion_says_so(stack: Project) -> None:
    """Then nothing can be restored, and the plan does not say that it can."""
    stack.write("reconciler.toml", f'{CONFIG}destroy = "delete"\n')
    (stack.path / "lab.toml").unlink()
    write(stack, 1, name="other")
    said = stack.run("plan", "--allow-deletes").succeeded().out
    assert "- azureml.environment.lab: no longer in the specs\n" in said
    assert "all versions of the environment go with it" in said
    assert "archived" not in said
    stack.run("apply", "--auto-approve", "--allow-deletes").succeeded()

    async def look(provider: AzuremlProvider) -> bool:
        return await provider._environments.container("lab") is None

    assert with_platform(stack, look)


def test_a_signature_that_somebody_gave_a_context_is_never_written_down(stack: Project) -> None:
    """It opens the storage: not in a plan, a journal or the state, and on no screen."""
    signature = "AbCd0123" * 5
    address = f"https://acct.blob.core.windows.net/c/ctx/?sp=r&sig={signature}%3D"

    async def interfere(provider: AzuremlProvider) -> None:
        body = {"build": {"contextUri": address}, "description": "training"}
        await provider._arm.put(f"{WORKSPACE}/environments/lab/versions/3", {"properties": body})

    with_platform(stack, interfere)
    said = [
        stack.run("drift"),
        stack.run("plan", "--out", "p.plan", "--json-out", "p.json"),
        stack.run("show", "azureml.environment.lab"),
        stack.run("list", "--format", "json"),
        stack.run("apply", "--auto-approve"),
    ]
    assert "changed (secret)" in said[1].out
    assert said[-1].code == 0
    assert [one for one in said if signature in one.out + one.err] == []
    files = [one for one in stack.path.rglob("*") if one.is_file() and "embedded" not in one.parts]
    assert len(files) > 4
    assert [one for one in files if signature.encode() in one.read_bytes()] == []


def test_what_somebody_changed_is_drift(stack: Project) -> None:
    """A version that somebody made, and words that somebody changed; the next apply takes both back."""

    async def interfere(provider: AzuremlProvider) -> None:
        body = {"image": "theirs", "description": "training"}
        await provider._arm.put(f"{WORKSPACE}/environments/lab/versions/9", {"properties": body})

    with_platform(stack, interfere)
    assert stack.run("drift").code == 2
    said = stack.run("plan").succeeded().out
    assert '~ version = "9" -> "10"' in said
    stack.run("apply", "--auto-approve").succeeded()
    assert "No changes." in stack.run("plan").succeeded().out
    assert versions(stack)["10"]


def test_an_environment_that_is_used_is_taken_away_at_a_risk(stack: Project) -> None:
    """The plan and `show` name what runs with it."""

    async def use(provider: AzuremlProvider) -> None:
        body = {"jobType": "Command", "command": "true", "environmentId": "azureml:lab:2", "computeId": "c"}
        await provider._arm.put(f"{WORKSPACE}/jobs/j1", {"properties": body})

    with_platform(stack, use)
    shown = stack.run("show", "azureml.environment.lab").succeeded().out
    assert "  versions     2, 1\n" in shown
    assert "Used by\n  job j1 (" in shown
    assert ", version 2)" in shown
    write(stack, 1, name="other")
    (stack.path / "lab.toml").unlink()
    refused = stack.run("plan")
    assert refused.code == 3
    assert "! used by job j1 (" in refused.out
    assert "azureml.environment.lab is in use by job j1 (" in refused.err


def test_show_tells_of_the_image(stack: Project) -> None:
    """Where the older service of the workspace knows."""
    found = json.loads(stack.run("show", "azureml.environment.lab", "--format", "json").succeeded().out)
    assert found["details"]["build"].startswith("not built yet")
    assert found["details"]["versions"] == "2, 1"


def test_a_local_build_context_is_built_of_what_is_there(stack: Project) -> None:
    """A Dockerfile in the stack: uploaded once, a new version when it changes, no change otherwise."""
    stack.write("ctx/Dockerfile", "FROM images.example.com/base:1\n")
    stack.write("built.toml", 'description = "built"\n[on.azureml]\nbuild = "ctx"\n')
    stack.run("apply", "--auto-approve").succeeded()
    assert "No changes." in stack.run("plan").succeeded().out
    stack.write("ctx/Dockerfile", "FROM images.example.com/base:2\n")
    said = stack.run("plan").succeeded().out
    assert "build cannot be changed in a version, so its version becomes 2" in said
    stack.run("apply", "--auto-approve").succeeded()
    assert versions(stack, "built") == {"1": True, "2": True}
    run = stack.run("history").succeeded().out.splitlines()[1].split()[0]
    stack.run("undo", run, "--out", "u.plan").succeeded()
    stack.run("apply", "u.plan", "--auto-approve").succeeded()
    assert versions(stack, "built") == {"1": True, "2": False}


def test_a_version_that_exists_is_not_planned_over(stack: Project) -> None:
    """A spec that names the number of another definition is told to raise it, with its place."""
    write(stack, 5, 'version = "2"\n')
    refused = stack.run("plan")
    assert refused.code == 1
    assert "version 2 exists already, with another conda; a version never changes" in refused.err
    assert "lab.toml line 7" in refused.err
    assert "Raise `version`" in refused.err


@pytest.mark.parametrize(
    "rule",
    [
        'on = "PUT */environments/*/versions/*"\nnth = [1]\ndrop = "before"',
        'on = "PUT */environments/*/versions/*"\nnth = [1]\ndrop = "after"',
        'on = "PUT */environments/*/versions/*"\nnth = [1]\nstatus = 503',
        'on = "GET */versions"\nlag = 30',
        'on = "GET *"\nevery = 4\nstatus = 503\nretry_after = 0',
        'on = "* /subscriptions/*"\nevery = 5\nstatus = 429\nretry_after = 0',
    ],
)
def test_trouble_on_the_way_loses_nothing(stack: Project, rule: str) -> None:
    """A lost answer, a busy service, a listing behind: the apply succeeds, and the plan after it is empty."""
    write(stack, 3)
    write(stack, 1, name="new")
    faults(stack, rule)
    stack.run("apply", "--auto-approve").succeeded()
    faults(stack)
    assert "No changes." in stack.run("plan").succeeded().out
    assert versions(stack) == {"1": True, "2": True, "3": True}
    assert versions(stack, "new") == {"1": True}
    address = ResourceAddress("azureml", "environment", "new")
    assert stack.remembered()[str(address)] == "new"


@pytest.mark.parametrize("lines", [3, 9, 16])
def test_a_killed_apply_loses_nothing(stack: Project, lines: int) -> None:
    """The next command settles what it left: no version twice, none unknown to the state, none lost."""
    names = [f"e-{number:02}" for number in range(12)]
    for name in names:
        write(stack, 1, name=name)
    write(stack, 3, "keep_versions = 1\n")
    process = stack.spawn("apply", "--auto-approve", "--json")
    assert process.stdout is not None
    for _ in range(lines):
        process.stdout.readline()
    process.kill()
    process.communicate()
    stack.run("apply", "--auto-approve").succeeded()
    assert "No changes." in stack.run("plan").succeeded().out
    expected = {"lab": {"1": False, "2": False, "3": True}} | {name: {"1": True} for name in names}
    assert all_versions(stack, *expected) == expected
    assert sorted(stack.remembered().values()) == sorted([*names, "lab"])
