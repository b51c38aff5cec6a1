"""What uses an Azure ML environment: every kind of thing that may, in every form of reference."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from loopback import run
from workspaces import (
    WORKSPACE,
    container_body,
    listed,
    live,
    missing,
    page,
    refusal,
    scripted,
    version_body,
)

from reconciler.core.model import UsedBy
from reconciler.errors import Unavailable
from reconciler.providers.azureml.usage import look_for_users

ID = f"{WORKSPACE}/environments/lab/versions"
BASE: dict[str, Any] = {
    "GET /": {"properties": {"workspaceId": "EE8C-1", "discoveryUrl": None}},
    "GET /environments": page(container_body(latest="2")),
    "GET /environments/lab": container_body(latest="2"),
    "GET /environments/lab/versions": page(version_body("2"), version_body("1", isArchived=True)),
    "GET /environments/lab/versions/2": version_body("2"),
    **{
        f"GET /{what}": page()
        for what in ("jobs", "onlineEndpoints", "batchEndpoints", "components", "schedules")
    },
}


def entry(name: str, **properties: Any) -> dict[str, Any]:
    """Something that may use an environment."""
    return {"name": name, "properties": properties}


def job(name: str, reference: str, status: str = "Running", **more: Any) -> dict[str, Any]:
    """A job that uses one."""
    return entry(name, jobType="Command", status=status, environmentId=reference, **more)


def users(tmp_path: Path, routes: dict[str, Any]) -> tuple[UsedBy, ...]:
    """What uses ``lab``, as a read says it; a listing says the same."""

    async def check() -> tuple[UsedBy, ...]:
        async with scripted(tmp_path, {**BASE, **routes}) as (_, provider):
            found = (await live(provider, usage=True)).used_by
            assert (await listed(provider, usage=True))["lab"].used_by == found
            assert (await live(provider)).used_by is None
            assert found is not None
            return found

    return run(check())


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("azureml:lab:2", "version 2"),
        (f"{ID}/2", "version 2"),
        (f"{ID}/2".replace("resourceGroups", "resourcegroups").replace("embedded", "EMBEDDED"), "version 2"),
        (f"azureml:{ID}/2", "version 2"),
        ("azureml:lab@latest", "the latest version"),
        ("azureml://locations/eastus/workspaces/ee8c-1/environments/lab/versions/2", "version 2"),
    ],
)
def test_a_job_uses_an_environment_in_each_form(tmp_path: Path, reference: str, version: str) -> None:
    """Whichever way it names it."""
    found = users(tmp_path, {"GET /jobs": page(job("j1", reference))})
    assert found == (UsedBy("job", "j1", f"Running, {version}", active=True),)


@pytest.mark.parametrize(
    "reference",
    [
        "azureml:other:2",
        "azureml:Lab:2",
        f"{ID.replace('workspaces/embedded', 'workspaces/theirs')}/2",
        "azureml://registries/shared/environments/lab/versions/2",
        "azureml://locations/eastus/workspaces/other-guid/environments/lab/versions/2",
    ],
)
def test_another_environment_of_the_same_name_is_another(tmp_path: Path, reference: str) -> None:
    """In another workspace, in a registry, in other capitals."""
    assert users(tmp_path, {"GET /jobs": page(job("j1", reference))}) == ()


def test_a_recorded_job_is_read() -> None:
    """As the live service answered."""
    file = Path(__file__).parent / "recorded" / "job.json"
    (recorded,) = json.loads(file.read_text(encoding="utf-8"))
    body = recorded["responseBody"]
    assert (body["properties"]["status"], body["properties"]["environmentId"]) == (
        "Starting",
        "azureml:AzureML-sklearn-0.24-ubuntu18.04-py37-cpu:1",
    )


def test_jobs_of_every_type_are_looked_into(tmp_path: Path) -> None:
    """The trial of a sweep, the parts of a pipeline, by themselves and by the components they are made of."""
    jobs = page(
        entry("sweep", jobType="Sweep", status="Queued", trial={"environmentId": "azureml:lab:2"}),
        entry(
            "pipeline",
            jobType="Pipeline",
            status="Running",
            jobs={"a": {"type": "command", "environmentId": "azureml:lab:1"}},
        ),
        entry(
            "composed",
            jobType="Pipeline",
            status="Running",
            jobs={"a": {"componentId": f"{WORKSPACE}/components/train/versions/3"}},
        ),
        entry("none", jobType="AutoML", status="Running"),
    )
    routes = {
        "GET /jobs": jobs,
        "GET /components": page(entry("train")),
        "GET /components/train/versions": page(
            entry("3", componentSpec={"type": "command", "environment": "azureml:lab:2"}),
            entry("2", componentSpec={"environment": {"image": "inline"}}),
        ),
    }
    assert users(tmp_path, routes) == (
        UsedBy("job", "sweep", "Queued, version 2", active=True),
        UsedBy("job", "pipeline", "Running, version 1", active=True),
        UsedBy("job", "composed", "Running, version 2", active=True),
        UsedBy("component", "train:3", "version 2", active=True),
    )


def test_deployments_and_schedules_use_environments(tmp_path: Path) -> None:
    """Online and batch; a schedule by the job that it makes."""
    routes = {
        "GET /onlineEndpoints": page(entry("e1")),
        "GET /onlineEndpoints/e1/deployments": page(
            entry("blue", environmentId=f"{ID}/2", provisioningState="Succeeded"),
            entry("dying", environmentId=f"{ID}/2", provisioningState="Deleting"),
        ),
        "GET /batchEndpoints": page(entry("b1"), entry("gone")),
        "GET /batchEndpoints/b1/deployments": page(
            entry("nightly", environmentId="azureml:lab:2", provisioningState="Updating")
        ),
        "GET /schedules": page(
            entry(
                "weekly",
                action={"actionType": "CreateJob", "jobDefinition": {"environmentId": "azureml:lab:2"}},
            ),
            entry("other", action={"actionType": "InvokeBatchEndpoint"}),
        ),
    }
    assert users(tmp_path, routes) == (
        UsedBy("online deployment", "e1/blue", "Succeeded, version 2", active=True),
        UsedBy("batch deployment", "b1/nightly", "Updating, version 2", active=True),
        UsedBy("schedule", "weekly", "enabled, version 2", active=True),
        UsedBy("online deployment", "e1/dying", "Deleting, version 2", active=False),
    )


@pytest.mark.parametrize(
    ("status", "active"),
    [("Running", True), ("NotResponding", True), ("Paused", True), ("NewWord", True)]
    + [(status, False) for status in ("Completed", "Failed", "Canceled")],
)
def test_a_job_that_may_go_on_uses_its_environment(tmp_path: Path, status: str, active: bool) -> None:
    """One that has ended does not; it is shown all the same, after the others."""
    routes = {"GET /jobs": page(job("done", "azureml:lab:2", "Completed"), job("j", "azureml:lab:2", status))}
    found = {one.name: one.active for one in users(tmp_path, routes)}
    assert found == {"done": False, "j": active}
    assert next(iter(found)) == ("j" if active else "done")


def test_a_version_has_its_own_users(tmp_path: Path) -> None:
    """Those that name it, so that a plan which puts it away is stale once somebody does."""
    versions = page(version_body("2"), version_body("1"))
    routes = {
        "GET /environments/lab/versions": versions,
        "GET /environments/lab/versions/1": version_body("1"),
        "GET /jobs": page(
            job("old", "azureml:lab:1"), job("new", "azureml:lab:2"), job("any", "azureml:lab@latest")
        ),
    }

    async def check() -> None:
        async with scripted(tmp_path, {**BASE, **routes}) as (_, provider):
            found = await live(provider, "lab:1", usage=True)
            assert found.used_by == (UsedBy("job", "old", "Running", active=True),)
            assert (await live(provider, "lab:1")).used_by is None

    run(check())


def test_what_may_not_be_seen_is_said(tmp_path: Path) -> None:
    """A role without a right, a service without a listing: the rest is shown, and this named."""
    routes = {
        "GET /jobs": refusal(403, "no", "AuthorizationFailed"),
        "GET /schedules": missing(),
        "GET /onlineEndpoints": page(entry("e1")),
        "GET /onlineEndpoints/e1/deployments": page(entry("blue", environmentId=f"{ID}/2")),
    }

    async def check() -> None:
        async with scripted(tmp_path, {**BASE, **routes}) as (_, provider):
            found = await live(provider, usage=True)
            assert found.used_by == (UsedBy("online deployment", "e1/blue", "version 2", active=True),)
            assert found.details["not_seen"] == (
                "jobs: the identity may not list them; schedules: the service does not list them (404)"
            )
            assert found.details["versions"] == "2, 1 (archived)"
            assert found.details["created_by"] == "Firstname Lastname"

    run(check())


def test_trouble_is_not_taken_for_absence(tmp_path: Path) -> None:
    """A service that fails while it is asked who uses what gives no answer at all."""
    routes = {"GET /jobs": refusal(503, "busy", retry_after="0.01")}

    async def check() -> None:
        async with scripted(tmp_path, {**BASE, **routes}) as (_, provider):
            with pytest.raises(Unavailable):
                await provider.read("environment", "lab", usage=True)

    run(check())


def test_many_questions_at_once_are_one_look(tmp_path: Path) -> None:
    """A plan that takes away ten environments looks through the jobs once."""

    async def check() -> None:
        async with scripted(tmp_path, BASE) as (watched, provider):
            await asyncio.gather(*(provider.read("environment", "lab", usage=True) for _ in range(10)))
            assert watched.calls.count("GET /jobs") == 1

    run(check())


def test_a_registry_cannot_say_who_uses_it(tmp_path: Path) -> None:
    """The workspaces that do are others."""

    async def check() -> None:
        async with scripted(tmp_path, {}, registry="shared") as (watched, provider):
            found = await look_for_users(provider._arm, provider._root)
            assert found.users == {}
            assert found.unseen == ("what workspaces make of a registry's environments cannot be seen",)
            assert watched.calls == []

    run(check())
