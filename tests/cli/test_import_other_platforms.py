"""`import` from Azure ML and from AEnvironment: specs of what is live, and nothing left to do after it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rtoml
from harness import Project
from hubs import Platform
from workspaces import address, live, made, moved, served_by

from reconciler.core.attributes import Attributes
from reconciler.providers.azureml.emulator.app import create_app
from reconciler.providers.azureml.provider import AzuremlProvider
from reconciler.providers.emulator import Store

CURATED = "AzureML-acpt-pytorch-2.2-cuda12.1"
NO_CHANGES = "No changes. Your infrastructure matches the configuration.\n"
CONFIG = '[stack]\nname = "test"\n'
AZUREML = '[platforms.azureml]\nprovider = "azureml"\nendpoint = "embedded"\npatience_seconds = 1\n'
AENV = '[platforms.aenv]\nprovider = "aenvironment"\nendpoint = "embedded"\npatience_seconds = 0.2\n'
CONDA = {"channels": ["conda-forge"], "dependencies": ["python=3.11", {"pip": ["torch==2.2"]}]}


def spec(project: Project, name: str) -> dict[str, Any]:
    """A file of the stack, as a table."""
    return dict(rtoml.loads((project.path / name).read_text()))


def nothing_left(project: Project) -> None:
    """The plan is empty."""
    assert project.run("plan").succeeded().out.endswith(NO_CHANGES)


# --- Azure ML ---


@pytest.fixture
def workspace(project: Project) -> Project:
    """A workspace in which people have made environments."""
    project.write("reconciler.toml", CONFIG + AZUREML)
    (project.path / ".reconciler/embedded").mkdir(parents=True)

    async def work(provider: AzuremlProvider) -> None:
        await made(provider, "lab", version="1")
        await moved(provider, "lab", version="2", stage="Production", properties={"by": "hand"})
        build = {"context_uri": "https://a.blob.core.windows.net/c/LocalUpload/1/", "dockerfile": "d/File"}
        await made(provider, "built", image=None, conda=None, build=build, description="", tags={})

    with_workspace(project, work)
    return project


def with_workspace(project: Project, work: Callable[[AzuremlProvider], Coroutine[Any, Any, Any]]) -> None:
    """Do something in the workspace, as somebody else."""

    async def run() -> None:
        app = create_app(
            project.path / ".reconciler/embedded/azureml.sqlite",
            clock=lambda: datetime.now(UTC),
            new_id=lambda: str(uuid.uuid4()),
        )
        async with served_by(app, project.path) as (_, provider):
            await work(provider)

    asyncio.run(run())


def test_an_azure_environment_comes_under_management(workspace: Project) -> None:
    """With its packages inline, and without the number that the platform gave it."""
    workspace.run("import", "azureml.environment.train", "lab").succeeded()
    assert spec(workspace, "train.toml") == {
        "image": "python:3.12",
        "description": "for tests",
        "conda": CONDA,
        "tags": {"team": "vision"},
        "properties": {"by": "hand"},
        "stage": "Production",
        "on": {"azureml": {"name": "lab"}},
    }
    nothing_left(workspace)


def test_a_version_is_said_where_each_spec_says_one(workspace: Project) -> None:
    """There the platform numbers nothing."""
    workspace.write("reconciler.toml", CONFIG + AZUREML + 'versions = "explicit"\n')
    workspace.run("import", "azureml.environment.lab", "lab").succeeded()
    assert spec(workspace, "lab.toml")["version"] == "2"
    nothing_left(workspace)


def test_all_of_a_workspace_is_imported_but_the_vendors_own(workspace: Project) -> None:
    """What is curated stays the vendor's."""
    result = workspace.run("import", "--all", "--platform", "azureml").succeeded()
    assert result.out.splitlines()[-1] == "Import complete! Resources: 2 imported."
    assert set(workspace.remembered()) == {"azureml.environment.lab", "azureml.environment.built"}
    assert spec(workspace, "built.toml") == {
        "build": {
            "path": "https://a.blob.core.windows.net/c/LocalUpload/1/",
            "dockerfile_path": "d/File",
        },
        "on": {"azureml": {}},
    }
    nothing_left(workspace)
    result = workspace.run("import", "azureml.environment.theirs", CURATED)
    assert (result.code, "belongs to the platform's vendor" in result.err) == (1, True)


def test_what_cannot_be_said_of_a_definition_stays_as_it_is(workspace: Project) -> None:
    """A conda file that is refused: left out, and no new version takes it away."""
    conda = {"channels": ["https://ann:pass@conda.example.com/x"], "dependencies": ["python=3.11"]}
    with_workspace(workspace, lambda provider: made(provider, "odd", conda=conda))
    result = workspace.run("import", "azureml.environment.odd", "odd").succeeded()
    assert "left out, and not managed: conda.channels[0]: credentials in an address" in result.err
    assert spec(workspace, "odd.toml")["lifecycle"] == {"ignore_changes": ["conda"]}
    nothing_left(workspace)


def test_what_no_spec_can_say_keeps_nothing_else_from_being_imported(workspace: Project) -> None:
    """It is told, by its name and with why; all others are imported."""
    build = {"context_uri": "https://a.blob.core.windows.net/c/1/?sig=0123456789abcdef", "dockerfile": "D"}
    with_workspace(workspace, lambda provider: made(provider, "odd", image=None, conda=None, build=build))
    result = workspace.run("import", "--all")
    assert (result.code, "azureml.environment.odd cannot be imported" in result.err) == (1, True)
    assert set(workspace.remembered()) == {"azureml.environment.lab", "azureml.environment.built"}
    assert not (workspace.path / "odd.toml").exists()
    nothing_left(workspace)


KEPT = """\
image = "python:3.11"   # slim

[on.azureml]
# What we train with.
{packages}
"""


@pytest.mark.parametrize(
    "packages", ['python = "3.11"\npip = ["torch==2.2"]', 'conda_file = "conda.yml"', 'version = "1"']
)
def test_a_new_version_is_written_into_the_spec(workspace: Project, packages: str) -> None:
    """Packages in whatever words the spec has them; a number only where the spec has one."""
    workspace.write("conda.yml", "dependencies: [python=3.10]\n")
    workspace.write("mine.toml", KEPT.format(packages=packages))
    workspace.run("apply", "--auto-approve").succeeded()
    conda = {"channels": ["nvidia"], "dependencies": ["python=3.12"]}
    with_workspace(
        workspace, lambda provider: moved(provider, "mine", conda=conda, description="new", tags={"a": "b"})
    )
    workspace.run("import", "--update", "azureml.environment.mine").succeeded()
    text = (workspace.path / "mine.toml").read_text()
    assert text.startswith('image = "python:3.12"   # slim\n\n[on.azureml]\n# What we train with.\n')
    said = {"conda": conda, "description": "new", "tags": {"a": "b"}}
    if "version" in packages:
        said["version"] = "2"
    assert spec(workspace, "mine.toml")["on"]["azureml"] == said
    nothing_left(workspace)


def test_tags_that_were_changed_are_written_into_the_spec(workspace: Project) -> None:
    """And nothing else is."""
    text = KEPT.format(packages='python = "3.11"') + 'tags = { team = "a" } # who\n'
    workspace.write("mine.toml", text)
    workspace.run("apply", "--auto-approve").succeeded()

    async def tag(provider: AzuremlProvider) -> None:
        before = await live(provider, "mine")
        await provider.update(address("mine"), "mine", Attributes({"tags": {"team": "b"}}), previous=before)

    with_workspace(workspace, tag)
    workspace.run("import", "--update", "azureml.environment.mine").succeeded()
    assert (workspace.path / "mine.toml").read_text() == text.replace('"a"', '"b"')
    nothing_left(workspace)


# --- AEnvironment ---


@pytest.fixture
def hub(project: Project) -> Project:
    """A hub as it is born: environments and a service."""
    project.write("reconciler.toml", CONFIG + AENV)
    return project


@contextmanager
def platform(project: Project) -> Iterator[Platform]:
    """Somebody who uses the hub without us."""
    path = project.path / ".reconciler/embedded/aenv.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path) as store:
        found = Platform(store)
        found.now = datetime.now(UTC)
        yield found


def test_an_aenvironment_comes_under_management(hub: Project) -> None:
    """In the words of specs."""
    hub.run("import", "aenv.environment.notes", "notes@2.0.1").succeeded()
    found = spec(hub, "notes.toml")
    assert found["on"] == {"aenv": {"version": "2.0.1"}}
    assert found["environment_variables"] == {"LEVEL": "info"}
    assert found["deploy_config"]["ephemeral_storage"] == "5Gi"
    assert found["deploy_config"]["service"]["storage_size"] == "10Gi"
    nothing_left(hub)


def test_all_of_a_hub_is_imported_with_its_services(hub: Project) -> None:
    """Two versions of a name, a released one, and a service with what is never shown of it said."""
    result = hub.run("import", "--all", "--platform", "aenv").succeeded()
    assert set(hub.remembered().values()) == {
        "terminal@1.0.0", "terminal@1.1.0", "browser@0.4.2", "notes@2.0.1", "notes-svc-x2m4c8"
    }  # fmt: skip
    assert spec(hub, "terminal.toml")["release"] is True
    assert spec(hub, "notes-svc-x2m4c8.toml") == {
        "kind": "service",
        "environment": "notes@2.0.1",
        "environment_variables": {"LEVEL": "info"},
        "port": 8081,
        "owner": "grace",
        "on": {"aenv": {}},
    }
    for field in ("cpu", "storage_name"):
        assert f"aenv.service.notes-svc-x2m4c8: left out, and not managed: {field}: " in result.err
    nothing_left(hub)


def test_a_service_is_imported_after_its_environment(hub: Project) -> None:
    """It names it by its version: by its name it would have an image that nobody can compare."""
    hub.run("import", "aenv.environment.notes", "notes@2.0.1").succeeded()
    hub.run("import", "aenv.service.board", "notes-svc-x2m4c8").succeeded()
    assert spec(hub, "board.toml")["environment"] == "notes@2.0.1"
    nothing_left(hub)


def test_what_is_never_shown_of_a_service_can_be_taken_over(hub: Project) -> None:
    """As it is told: nothing is replaced, and from then on the volume is the spec's."""
    told = hub.run("import", "aenv.service.board", "notes-svc-x2m4c8").succeeded().err
    assert "[lifecycle] adopt = true, `reconciler state rm` the service, apply" in told
    volume = 'storage_size = "10Gi"\nstorage_name = "notes"\n'
    text = (hub.path / "board.toml").read_text()
    hub.write("board.toml", text.replace("port =", f"{volume}port =") + "\n[lifecycle]\nadopt = true\n")
    hub.run("state", "rm", "aenv.service.board").succeeded()
    said = hub.run("apply", "--auto-approve").succeeded().out
    assert "Resources: 1 imported, 0 added, 0 changed, 0 destroyed" in said
    nothing_left(hub)


def test_a_hub_without_an_api_service_has_environments_to_import(
    hub: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That it has no services is told, and no reason to import nothing."""
    serving = hub.spawn("serve", "--port", "0", "--json")
    try:
        assert serving.stdout is not None
        url = json.loads(serving.stdout.readline())["url"]
        alone = Project(tmp_path / "alone", capsys)
        alone.write("reconciler.toml", CONFIG + AENV.replace("embedded", url))
        result = alone.run("import", "--all").succeeded()
        assert "no service of aenv is imported: aenv has no api-service, and so no services" in result.err
        assert len(alone.remembered()) == 4
        nothing_left(alone)
    finally:
        serving.kill()
        serving.communicate()


def test_what_only_a_project_says_is_overridden_and_not_taken_out(hub: Project) -> None:
    """A config.json is the project's: a new value is laid over it, and what is gone is for people to say."""
    hub.write(
        "config.json",
        '{"name": "demo", "version": "1", "tags": ["a"],'
        ' "deployConfig": {"cpu": "1", "environmentVariables": {"A": "1"}}}',
    )
    text = 'config = "config.json"\n\n[on.aenv]\n'
    hub.write("demo.toml", text)
    hub.run("apply", "--auto-approve").succeeded()
    config = {"cpu": "2", "environmentVariables": {"A": "2"}}
    with platform(hub) as there:
        there.data("PUT", "/env/demo/1", {"tags": ["b"], "deployConfig": config})
    hub.run("import", "--update", "aenv.environment.demo").succeeded()
    assert spec(hub, "demo.toml")["on"]["aenv"] == {
        "tags": ["b"], "deploy_config": {"cpu": "2"}, "environment_variables": {"A": "2"}
    }  # fmt: skip
    nothing_left(hub)
    before = (hub.path / "demo.toml").read_bytes()
    with platform(hub) as there:
        there.data("PUT", "/env/demo/1", {"deployConfig": {"cpu": "2"}})
    result = hub.run("import", "--update", "aenv.environment.demo")
    assert (result.code, "would still not say what is there: deploy_config" in result.err) == (1, True)
    assert (hub.path / "demo.toml").read_bytes() == before


def test_a_secret_in_a_variable_of_a_hub_stays_there(hub: Project) -> None:
    """Left out of the spec, and left alone on the platform with all that is in the same field."""
    secret = "hf_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z"
    with platform(hub) as there:
        there.add(deployConfig={"cpu": "2", "environmentVariables": {"MODE": secret}})
    result = hub.run("import", "aenv.environment.demo", "demo-env@1.2.3").succeeded()
    text = (hub.path / "demo.toml").read_text()
    assert secret not in text + result.out + result.err
    assert spec(hub, "demo.toml")["lifecycle"] == {"ignore_changes": ["deploy_config"]}
    nothing_left(hub)


def test_a_config_that_was_changed_is_written_into_the_spec(hub: Project) -> None:
    """In the fields that say it, comments kept."""
    text = """\
image = "r.example.com/demo:1"   # ours
tags = ["a"]
environment_variables = { LEVEL = "info", GONE = "x" }

[on.aenv]
version = "1.0.0"
"""
    hub.write("demo.toml", text)
    hub.run("apply", "--auto-approve").succeeded()
    with platform(hub) as there:
        variables = {"LEVEL": "debug"}
        image = {"id": "9", "type": "image", "content": "r.example.com/demo:2"}
        there.data(
            "PUT",
            "/env/demo/1.0.0",
            {"tags": ["b"], "deployConfig": {"environmentVariables": variables}, "artifacts": [image]},
        )
    hub.run("import", "--update", "aenv.environment.demo").succeeded()
    found = spec(hub, "demo.toml")
    assert (found["tags"], found["environment_variables"]) == (["b"], {"LEVEL": "debug"})
    nothing_left(hub)
