"""What specs leave to Azure ML: version numbers, addresses of build contexts, versions to put away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loopback import run
from workspaces import (
    LATEST,
    address,
    container_body,
    listed,
    live,
    made,
    moved,
    page,
    refusal,
    resource,
    scripted,
    version_body,
    wanted,
    workspace,
)

from reconciler.core.attributes import LOOKUP
from reconciler.core.model import Resource
from reconciler.core.ports import Problem
from reconciler.providers.azureml.conversion import definition_digest
from reconciler.providers.azureml.provider import AzuremlProvider


async def number(provider: AzuremlProvider, spec: Resource) -> Any:
    """The version that a spec gets, or the problem with it."""
    found = await provider.resolve([spec])
    if found.problems:
        return found.problems[0]
    return found.resources[0].attributes["version"]


# --- the next number -----------------------------------------------------------------------------------


def test_versions_are_counted_from_one(tmp_path: Path) -> None:
    """A new environment is version 1, an unchanged one keeps its number, a changed one gets the next."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            assert await number(provider, resource()) == "1"
            await made(provider)
            assert await number(provider, resource(description="other words")) == "1"
            assert await number(provider, resource(image="python:3.12")) == "2"

    run(check())


def test_no_number_is_given_twice(tmp_path: Path) -> None:
    """The next is above every whole number that ever was, archived ones too; other names do not count."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            for version in ("12", "2022-09-14-20-33-51-5820890", "foo"):
                await moved(provider, version=version, image=f"python:{version}")
            await provider.delete(address("lab"), "lab:12")
            assert await number(provider, resource(image="new")) == "13"

    run(check())


def test_an_older_definition_is_a_new_version_too(tmp_path: Path) -> None:
    """Only an undo goes back: it names the number."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await moved(provider)
            assert await number(provider, resource()) == "3"
            assert await number(provider, resource(version="1")) == "1"

    run(check())


def test_a_version_that_was_taken_back_is_not_made_twice(tmp_path: Path) -> None:
    """Where it was the last one, it comes out of the archive."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await moved(provider)
            await provider.delete(address("lab"), "lab:2")
            found = await provider.resolve([resource(image="python:3.12")])
            assert found.resources[0].attributes["version"] == "2"
            assert found.warnings == (
                "azureml.environment.lab: version 2 is there already and becomes the current one again",
            )
            await moved(provider)
            assert (await live(provider)).attributes["version"] == "2"
            assert await number(provider, resource()) == "3"

    run(check())


def test_an_archived_environment_comes_back_at_its_newest_version(tmp_path: Path) -> None:
    """Where that has the definition; else it gets the next number."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await moved(provider)
            await provider.delete(address("lab"), "lab")
            assert await number(provider, resource(image="python:3.12")) == "2"
            assert await number(provider, resource()) == "3"
            assert (await provider.resolve([resource()])).warnings == (
                "azureml.environment.lab: it is archived on the platform, and comes back at version 3; "
                "its other versions stay archived",
            )

    run(check())


def test_a_definition_is_compared_by_its_meaning(tmp_path: Path) -> None:
    """Order of keys, absence and defaults make no new version; the order of a list does."""
    conda = {"dependencies": ["python=3.11", {"pip": ["torch==2.2"]}], "channels": ["conda-forge"]}

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            same = [
                {"conda": conda},
                {"os_type": None, "auto_rebuild": None},
                {"build": {}, "inference_config": None},
            ]
            for more in same:
                assert await number(provider, resource(**more)) == "1"
            other = {**conda, "dependencies": conda["dependencies"][::-1]}
            assert await number(provider, resource(conda=other)) == "2"
            assert await number(provider, resource(auto_rebuild="OnBaseImageUpdate")) == "2"

    run(check())


def test_what_is_not_to_be_changed_makes_no_new_version(tmp_path: Path) -> None:
    """A field under ignore_changes counts as it is on the platform."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            assert await number(provider, resource(image="other", ignore=["image"])) == "1"
            assert await number(provider, resource(image="other", conda=None, ignore=["image"])) == "2"

    run(check())


def test_a_version_that_is_to_stay_cannot_have_another_definition(tmp_path: Path) -> None:
    """The plan refuses what apply could not do; whatever number the spec says, the live one stays."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            assert await number(provider, resource(ignore=["version"])) == "1"
            await made(provider, version="4")
            assert await number(provider, resource(ignore=["version"], description="new")) == "4"
            assert await number(provider, resource(version="7", ignore=["version"])) == "4"
            problem = await number(provider, resource(image="new", ignore=["version"]))
            assert isinstance(problem, Problem)
            assert (problem.address, problem.path) == (address("lab"), ("version",))
            assert "differs from that of version 4, which never changes" in problem.summary

    run(check())


# --- other strategies ----------------------------------------------------------------------------------


def test_a_version_can_be_named_by_its_definition(tmp_path: Path) -> None:
    """The same definition has the same name, wherever and whenever it is made."""
    digest = definition_digest(wanted(image="new"))

    async def check() -> None:
        async with workspace(tmp_path, versions="hash") as (_, provider):
            assert await number(provider, resource(image="new")) == digest[:12]
            await made(provider)
            assert await number(provider, resource()) == "1"
            assert await number(provider, resource(image="new", description="x")) == digest[:12]
            await moved(provider, version=digest[:12], image="another")
            assert await number(provider, resource(image="new")) == digest[:24]

    run(check())


def test_a_stack_may_have_its_specs_name_every_version(tmp_path: Path) -> None:
    """One that does not is told so, at its place."""

    async def check() -> None:
        async with workspace(tmp_path, versions="explicit") as (_, provider):
            assert await number(provider, resource(version="2024.1")) == "2024.1"
            problem = await number(provider, resource())
            assert isinstance(problem, Problem)
            assert (problem.address, problem.path) == (address("lab"), ("version",))
            assert "the spec has no `version`" in problem.summary

    run(check())


@pytest.mark.parametrize("strategy", ["auto", "hash", "explicit"])
def test_a_spec_that_names_its_version_has_it(tmp_path: Path, strategy: str) -> None:
    """Whatever the strategy; but never with another definition than that version has."""

    async def check() -> None:
        async with workspace(tmp_path, versions=strategy) as (_, provider):
            await made(provider, version="5")
            assert await number(provider, resource(version="5")) == "5"
            assert await number(provider, resource(version="6", image="new")) == "6"
            problem = await number(provider, resource(version="5", image="new", conda=None))
            assert isinstance(problem, Problem)
            assert (problem.address, problem.path) == (address("lab"), ("version",))
            assert problem.summary.startswith("version 5 exists already, with another image, conda")
            assert problem.hint.startswith("Raise `version`")

    run(check())


# --- listings ------------------------------------------------------------------------------------------


def test_a_listing_is_shared_once(tmp_path: Path) -> None:
    """The listing that follows takes what names were resolved by; the next one asks anew."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            await made(provider)
            watched.asked.clear()
            await provider.resolve([resource()])
            await listed(provider)
            assert watched.calls == ["GET /environments", "GET /environments/lab/versions"]
            await listed(provider)
            assert watched.calls == ["GET /environments", "GET /environments/lab/versions"] * 2

    run(check())


def test_a_write_ends_what_is_shared(tmp_path: Path) -> None:
    """What was listed before it is no longer so."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await provider.resolve([resource()])
            await moved(provider)
            assert (await listed(provider))["lab"].attributes["version"] == "2"

    run(check())


def test_a_listing_that_is_behind_makes_no_version(tmp_path: Path) -> None:
    """What it shows to differ is asked for by GET, and the plan is made from that."""
    routes = {
        "GET /environments": page(container_body(latest="2")),
        "GET /environments/lab": container_body(latest="2"),
        "GET /environments/lab/versions": page(version_body("1", image="python:3.11")),
        "GET /environments/lab/versions/1": version_body("1", image="python:3.11"),
        "GET /environments/lab/versions/2": version_body("2", image="python:3.12"),
    }

    async def check() -> None:
        async with scripted(tmp_path, routes) as (_, provider):
            spec = resource(image="python:3.12", conda=None, description="", tags={})
            assert await number(provider, spec) == "2"
            assert (await listed(provider))["lab"].attributes["version"] == "2"

    run(check())


# --- build contexts ------------------------------------------------------------------------------------

DATASTORE = {
    "properties": {
        "datastoreType": "AzureBlob",
        "accountName": "acct",
        "containerName": "azureml-blobstore-1111",
        "endpoint": "core.windows.net",
        "protocol": "https",
    }
}
BASE = "https://acct.blob.core.windows.net/azureml-blobstore-1111/LocalUpload"


def built(name: str, context: str) -> Resource:
    """A spec with a local build context."""
    lookup = {LOOKUP: {"context": context}}
    return resource(
        name, LATEST, image=None, conda=None, build={"context_uri": lookup, "dockerfile": "Dockerfile"}
    )


def test_a_build_context_has_its_address_in_the_datastore(tmp_path: Path) -> None:
    """By its content; the datastore is asked for once, however many there are."""
    routes = {
        "GET /environments": page(),
        "GET /datastores/workspaceblobstore": DATASTORE,
    }

    async def check() -> None:
        async with scripted(tmp_path, routes) as (watched, provider):
            specs = [built("a", "0a1b/train"), built("b", "2c3d/my docker")]
            found = await provider.resolve(specs)
            assert [one.attributes["build"]["context_uri"] for one in found.resources] == [
                f"{BASE}/0a1b/train/",
                f"{BASE}/2c3d/my%20docker/",
            ]
            assert watched.calls.count("GET /datastores/workspaceblobstore") == 1
            await provider.resolve(specs)
            assert watched.calls.count("GET /datastores/workspaceblobstore") == 1

    run(check())


def test_a_registry_has_no_place_for_a_local_build_context(tmp_path: Path) -> None:
    """Said at its place, with what to do instead."""

    async def check() -> None:
        async with scripted(tmp_path, {"GET /environments": page()}, registry="shared") as (_, provider):
            found = await provider.resolve([built("a", "0a1b/train")])
            (problem,) = found.problems
            assert (problem.address, problem.path) == (address("a"), ("build", "context_uri"))
            assert "a registry has no datastore" in problem.summary

    run(check())


# --- versions to put away ------------------------------------------------------------------------------


def job(name: str, reference: str, status: str = "Running") -> dict[str, Any]:
    """A job that uses an environment."""
    return {
        "name": name,
        "properties": {"jobType": "Command", "status": status, "environmentId": reference},
    }


EMPTY: dict[str, Any] = {
    f"GET /{what}": page()
    for what in ("jobs", "onlineEndpoints", "batchEndpoints", "components", "schedules")
}
FOUR = {
    "GET /environments": page(container_body(latest="4")),
    "GET /environments/lab": container_body(latest="4"),
    "GET /environments/lab/versions": page(
        *(version_body(n, image=f"i:{n}", isArchived=n == "2") for n in "4321")
    ),
    **{f"GET /environments/lab/versions/{n}": version_body(n, image=f"i:{n}") for n in "4"},
}


def keeping(keep: int, image: str = "i:4", **more: Any) -> Resource:
    """A spec that keeps so many versions."""
    return resource(image=image, conda=None, description="", tags={}, keep_versions=keep, **more)


def test_old_versions_that_nothing_uses_are_to_be_put_away(tmp_path: Path) -> None:
    """Those beyond the newest so many; the coming one is counted, archived ones are not."""

    async def check() -> None:
        async with scripted(tmp_path, {**EMPTY, **FOUR}) as (_, provider):
            for spec, ids in (
                (keeping(1), ["lab:3", "lab:1"]),
                (keeping(2), ["lab:1"]),
                (keeping(3), []),
                (keeping(2, "i:5"), ["lab:3", "lab:1"]),
                (keeping(1, "i:3", version="3"), ["lab:1"]),
            ):
                found = await provider.resolve([spec])
                assert [one.remote.id for one in found.surplus] == ids
                assert {one.address for one in found.surplus} <= {address("lab")}
                going_back = (
                    f"{address('lab')}: version 3 is there already and becomes the current one again; "
                    "4 is archived"
                )
                assert found.warnings == (
                    (going_back,)
                    if "version" in spec.attributes.values_ and spec.attributes["version"] == "3"
                    else ()
                )
            (one, _) = (await provider.resolve([keeping(1)])).surplus
            assert one.reason == (
                "version 3 is older than the 1 that keep_versions keeps, and nothing uses it; "
                "it is archived, and can be restored"
            )
            assert one.remote.attributes["image"] == "i:3"

    run(check())


def test_an_old_version_that_is_in_use_stays(tmp_path: Path) -> None:
    """And is named, with what uses it; a job that has ended uses nothing any more."""
    jobs = page(job("j1", "azureml:lab:3"), job("j2", "azureml:lab:1", "Completed"))

    async def check() -> None:
        async with scripted(tmp_path, {**EMPTY, **FOUR, "GET /jobs": jobs}) as (_, provider):
            found = await provider.resolve([keeping(1)])
            assert [one.remote.id for one in found.surplus] == ["lab:1"]
            assert found.warnings == (
                "azureml.environment.lab: version 3 is beyond keep_versions, and stays: "
                "job j1 (Running) uses it",
            )

    run(check())


def test_what_cannot_be_looked_at_may_use_every_version(tmp_path: Path) -> None:
    """Then none is put away, and the plan says why."""
    routes = {**EMPTY, **FOUR, "GET /jobs": refusal(403, "no", "AuthorizationFailed")}

    async def check() -> None:
        async with scripted(tmp_path, routes) as (_, provider):
            found = await provider.resolve([keeping(1)])
            assert found.surplus == ()
            assert found.warnings == (
                "no old version is put away, since not all that may use one can be seen: "
                "jobs: the identity may not list them",
            )

    run(check())


def test_what_uses_versions_is_not_asked_for_in_vain(tmp_path: Path) -> None:
    """Without a version too many nobody looks through the jobs of the workspace."""

    async def check() -> None:
        async with scripted(tmp_path, {**EMPTY, **FOUR}) as (watched, provider):
            await provider.resolve([keeping(9)])
            assert "GET /jobs" not in watched.calls

    run(check())


def test_a_version_that_was_put_away_is_listed_no_more(tmp_path: Path) -> None:
    """By its id, as a plan does it."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await moved(provider)
            await provider.delete(address("lab"), "lab:1")
            assert await provider.read("environment", "lab:1") is None
            assert (await live(provider)).attributes["version"] == "2"

    run(check())
