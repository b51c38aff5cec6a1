"""The Azure ML provider on the embedded workspace: what it asks, what it writes, what it makes of that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loopback import failing, run
from workspaces import (
    WORKSPACE,
    address,
    listed,
    live,
    made,
    moved,
    resource,
    wanted,
    workspace,
)

from reconciler.core.attributes import Attributes
from reconciler.core.model import Verb
from reconciler.errors import AlreadyExists, NotFound, OutcomeUnknown, Rejected
from reconciler.providers.azureml.emulator.options import Options
from reconciler.providers.azureml.provider import AzuremlProvider
from reconciler.providers.emulator import Fault


async def put(provider: AzuremlProvider, path: str, **properties: Any) -> None:
    """Write something behind the provider's back, as another client would."""
    await provider._arm.put(f"{WORKSPACE}{path}", {"properties": properties})


# --- reading -------------------------------------------------------------------------------------------


def test_a_plan_of_what_is_as_it_should_be_asks_for_each_environment_once(tmp_path: Path) -> None:
    """Names are resolved and objects listed by one request for each page and one for each container."""

    async def check() -> None:
        async with workspace(tmp_path, options=Options(page_size=10)) as (watched, provider):
            names = [f"e-{number:02}" for number in range(25)]
            for name in names:
                await made(provider, name)
                await moved(provider, name, "2")
                await moved(provider, name, "3")
            watched.asked.clear()
            specs = [resource(name, image="python:3.13") for name in names]
            found = await provider.resolve(specs)
            seen = await listed(provider)
            assert [one.attributes["version"] for one in found.resources] == ["3"] * 25
            assert {one.attributes["version"] for one in seen.values()} == {"3"}
            assert sorted(watched.calls) == sorted(
                ["GET /environments"] * 3 + [f"GET /environments/{name}/versions" for name in names]
            )

    run(check())


def test_every_request_has_its_version_and_its_id(tmp_path: Path) -> None:
    """The API version of the platform, and an id of our own for each, for tracing."""

    async def check() -> None:
        async with workspace(tmp_path, api_version="2023-04-01") as (watched, provider):
            await made(provider)
            await listed(provider)
            asked = [one for one in watched.asked if "oauth2" not in one.path]
            assert {one.query["api-version"] for one in asked} == {"2023-04-01"}
            ids = [one.headers["x-ms-client-request-id"] for one in asked]
            assert len(set(ids)) == len(ids)
            assert {one.headers["authorization"][:7] for one in asked} == {"Bearer "}

    run(check())


def test_the_vendors_environments_are_seen_and_not_looked_into(tmp_path: Path) -> None:
    """A listing for a plan marks them as foreign and asks for none of their versions; one for people does."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            found = [one async for one in provider.list("environment")]
            assert found
            assert all(one.foreign and one.id.startswith("AzureML-") for one in found)
            assert watched.calls == ["GET /environments"]
            whole = [one async for one in provider.list("environment", usage=True)]
            assert [one.id for one in whole] == [one.id for one in found]
            assert all(one.foreign and one.attributes["image"] for one in whole)

    run(check())


def test_environments_that_jobs_brought_along_are_left_out(tmp_path: Path) -> None:
    """Nobody wrote a spec for them, and nobody will."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            path = "/environments/CliV2AnonymousEnvironment/versions/" + "0" * 64
            await put(provider, path, image="python:3.11", isAnonymous=True)
            await put(provider, "/environments/other/versions/1", image="python:3.11", isAnonymous=True)
            assert await listed(provider) == {}

    run(check())


def test_an_environment_is_as_its_newest_active_version(tmp_path: Path) -> None:
    """The one made last counts, whatever its number; archived ones do not, and without any it is gone."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider, version="7")
            assert (await moved(provider, version="2")).attributes["version"] == "2"
            await moved(provider, version="3")
            await provider.delete(address("lab"), "lab:3")
            assert (await live(provider)).attributes["version"] == "2"
            assert (await listed(provider))["lab"].attributes["version"] == "2"
            await provider.delete(address("lab"), "lab:2")
            await provider.delete(address("lab"), "lab:7")
            assert await provider.read("environment", "lab") is None
            assert await listed(provider) == {}

    run(check())


def test_a_version_is_an_object_of_its_own_while_it_is_active(tmp_path: Path) -> None:
    """Under the name of the environment and its number."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await moved(provider)
            old = await live(provider, "lab:1")
            assert (old.id, old.identity, old.attributes["image"]) == ("lab:1", ("lab:1",), "python:3.11")
            await provider.delete(address("lab"), "lab:1")
            assert await provider.read("environment", "lab:1") is None
            assert await provider.read("environment", "lab:99") is None

    run(check())


def test_our_own_writes_are_seen_before_any_listing_shows_them(tmp_path: Path) -> None:
    """A listing lags by half a minute on the service: what we wrote is asked for by GET."""
    behind = Fault(on="GET */versions", lag=60.0)

    async def check() -> None:
        async with workspace(tmp_path, behind) as (_, provider):
            assert (await made(provider)).attributes["version"] == "1"
            assert (await moved(provider)).attributes["version"] == "2"
            await provider.update(
                address("lab"), "lab", Attributes({"description": "new"}), previous=await live(provider)
            )
            assert (await live(provider)).attributes["description"] == "new"
            await provider.delete(address("lab"), "lab")
            assert await provider.read("environment", "lab") is None

    run(check())


def test_what_somebody_else_wrote_is_seen_before_any_listing_shows_it(tmp_path: Path) -> None:
    """The container names its latest version at once; and that a listed version is archived, a GET says."""
    behind = Fault(on="GET */versions", lag=60.0)

    async def check() -> None:
        async with workspace(tmp_path) as (_, other):
            await made(other)
            async with workspace(tmp_path, behind) as (_, provider):
                await moved(other)
                assert (await live(provider)).attributes["version"] == "2"
        async with workspace(tmp_path) as (_, other), workspace(tmp_path, behind) as (_, provider):
            await other.delete(address("lab"), "lab:2")
            assert (await live(provider)).attributes["version"] == "1"

    run(check())


def test_an_object_is_found_by_its_name(tmp_path: Path) -> None:
    """By the surest calls, and names count in their capitals."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider, "lab")
            found = await provider.find("environment", wanted("lab"))
            assert found is not None
            assert found.id == "lab"
            assert await provider.find("environment", wanted("la")) is None

    run(check())


# --- creating ------------------------------------------------------------------------------------------


def test_a_new_environment_is_one_write(tmp_path: Path) -> None:
    """Its container appears by itself."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            watched.asked.clear()
            await provider.create(address("lab"), wanted(), key="k")
            assert watched.calls == ["GET /environments/lab", "PUT /environments/lab/versions/1"]
            sent = watched.last("PUT /environments/lab/versions/1").properties
            assert json.loads(sent.pop("condaFile")) == wanted()["conda"]
            assert sent == {
                "image": "python:3.11",
                "osType": "Linux",
                "isAnonymous": False,
                "isArchived": False,
                "description": "for tests",
                "tags": {"team": "vision"},
                "properties": {},
            }

    run(check())


def test_every_part_of_a_definition_comes_back(tmp_path: Path) -> None:
    """What was written reads as what was wanted, so that the next plan is empty."""
    everything = wanted(
        "serve",
        conda=None,
        image="registry.example.com/serve:1",
        inference_config={
            "liveness_route": {"path": "/live", "port": 8080},
            "scoring_route": {"path": "/score", "port": 8080},
            "startup_route": {"path": "/start", "port": 8081},
        },
        os_type="Windows",
        auto_rebuild="OnBaseImageUpdate",
        description="",
        tags={},
        properties={"made-by": "tests"},
        stage="Production",
    )
    built = wanted(
        "built",
        image=None,
        conda=None,
        build={"context_uri": "https://acct.blob.core.windows.net/c/LocalUpload/1/x/", "dockerfile": "D"},
    )

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            for attributes in (everything, built):
                name = attributes["name"]
                await provider.create(address(name), attributes, key="k")
                found = (await live(provider, name)).attributes
                assert {key: found[key] for key in attributes} == dict(attributes)

    run(check())


def test_an_archived_environment_comes_back_with_the_version_that_is_wanted(tmp_path: Path) -> None:
    """A new one; the old ones, which came back with their container, are archived again."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await provider.delete(address("lab"), "lab")
            again = await made(provider, version="2", image="python:3.12")
            assert (again.id, again.attributes["version"]) == ("lab", "2")
            assert (await listed(provider))["lab"].attributes["image"] == "python:3.12"
            assert await provider.read("environment", "lab:1") is None

    run(check())


def test_an_archived_environment_comes_back_as_it_was(tmp_path: Path) -> None:
    """Its newest version has the definition: that is restored, and nothing is made."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            await made(provider)
            await provider.delete(address("lab"), "lab")
            watched.asked.clear()
            again = await made(provider, description="new words")
            assert again.attributes["description"] == "new words"
            assert watched.writes == ["PUT /environments/lab", "PUT /environments/lab/versions/1"]

    run(check())


def test_an_archived_environment_can_come_back_at_an_older_version(tmp_path: Path) -> None:
    """The newer ones, which its container brings back, are archived again: else they would count."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await moved(provider, version="2")
            await provider.delete(address("lab"), "lab")
            assert (await made(provider)).attributes["version"] == "1"
            assert await provider.read("environment", "lab:2") is None

    run(check())


def test_an_environment_whose_every_version_is_archived_comes_back(tmp_path: Path) -> None:
    """The container was never archived."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await provider.delete(address("lab"), "lab:1")
            assert (await made(provider)).attributes["version"] == "1"
            await provider.delete(address("lab"), "lab:1")
            assert (await made(provider, version="2")).attributes["version"] == "2"

    run(check())


def test_what_dies_while_it_brings_an_environment_back_leaves_it_gone(tmp_path: Path) -> None:
    """The new version is written while the container is still archived, and nobody sees it."""
    dies = Fault(on="PUT */environments/lab", nth=(2, 3, 4), drop="before")

    async def check() -> None:
        async with workspace(tmp_path, dies) as (_, provider):
            await made(provider)
            await provider.delete(address("lab"), "lab")
            await failing(provider.create(address("lab"), wanted(version="2", image="x"), key="k"))
            assert await provider.read("environment", "lab") is None
            again = await made(provider, version="2", image="x")
            assert again.attributes["version"] == "2"

    run(check())


@pytest.mark.parametrize("drop", ["before", "after"])
@pytest.mark.parametrize("path", ["lab", "lab/versions/1", "lab/versions/2"])
def test_what_was_put_away_stays_so_where_an_answer_is_lost(tmp_path: Path, path: str, drop: Any) -> None:
    """The environment is there again already, and who looks at that alone misses the rest."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await moved(provider)
            await provider.delete(address("lab"), "lab:1")
            await provider.delete(address("lab"), "lab")
        lost = Fault(on=f"PUT */environments/{path}", nth=(1,), drop=drop)
        async with workspace(tmp_path, lost) as (_, provider):
            again = wanted(version="2", image="python:3.12", description="again")
            await provider.create(address("lab"), again, key="k")
            assert (await live(provider)).attributes["description"] == "again"
            assert await provider.read("environment", "lab:1") is None

    run(check())


def test_a_name_that_is_taken_says_what_is_there(tmp_path: Path) -> None:
    """Whoever made it."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider, version="3")
            error = await failing(provider.create(address("lab"), wanted(version="4"), key="k"))
            assert isinstance(error, AlreadyExists)
            assert "already, at version 3" in str(error)

    run(check())


def test_a_number_is_never_given_to_another_definition(tmp_path: Path) -> None:
    """Not of an archived version either."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await provider.delete(address("lab"), "lab")
            error = await failing(provider.create(address("lab"), wanted(image="x"), key="k"))
            assert isinstance(error, AlreadyExists)
            assert "version 1 of lab exists with another definition" in str(error)
            assert error.hint == "Make the plan again: it will take the next number."

    run(check())


# --- updating ------------------------------------------------------------------------------------------


def test_a_changed_definition_is_a_new_version(tmp_path: Path) -> None:
    """The old one stays as it is, and active."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            await made(provider)
            watched.asked.clear()
            new = await moved(provider)
            assert new.attributes["version"] == "2"
            assert watched.writes == ["PUT /environments/lab/versions/2"]
            assert (await live(provider, "lab:1")).attributes["image"] == "python:3.11"

    run(check())


def test_words_are_changed_in_place(tmp_path: Path) -> None:
    """Description, tags, properties, stage: the version stays; None clears; the rest is sent as it was."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            before = await made(provider, stage="Dev", properties={"a": "1"})
            shown = json.loads(await provider._arm.get(f"{WORKSPACE}/environments/lab/versions/1"))
            watched.asked.clear()
            changes = Attributes({"description": "new", "tags": None, "stage": None})
            await provider.update(address("lab"), "lab", changes, previous=before)
            assert watched.calls == [
                "GET /environments/lab/versions/1",
                "PUT /environments/lab/versions/1",
            ]
            sent = watched.last("PUT /environments/lab/versions/1").properties
            assert sent["condaFile"] == shown["properties"]["condaFile"]
            after = (await live(provider)).attributes
            assert after == {**before.attributes, "description": "new", "tags": {}, "stage": None}

    run(check())


def test_an_update_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    """The definition would go back and forth for nothing."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            before = await made(provider)
            watched.asked.clear()
            await provider.update(address("lab"), "lab", wanted(), previous=before)
            assert watched.writes == []

    run(check())


def test_going_back_restores_the_old_version_and_archives_what_is_newer(tmp_path: Path) -> None:
    """History is never written anew: no version is made, and no number used again. The newest goes last."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            first = await made(provider)
            await moved(provider, version="2")
            newest = await moved(provider, version="3")
            watched.asked.clear()
            await provider.update(address("lab"), "lab", wanted(), previous=newest)
            assert watched.writes == [
                "PUT /environments/lab/versions/2",
                "PUT /environments/lab/versions/3",
            ]
            assert all(one.properties["isArchived"] for one in watched.asked if one.method == "PUT")
            assert (await live(provider)).attributes == first.attributes
            again = await moved(provider, version="3")
            assert again.attributes == newest.attributes
            assert (await live(provider, "lab:1")).attributes["version"] == "1"

    run(check())


def test_a_number_that_somebody_took_meanwhile_is_said_by_name(tmp_path: Path) -> None:
    """Whether a read shows it or the write itself is refused."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            before = await made(provider)
            await put(provider, "/environments/lab/versions/2", image="theirs")
            error = await failing(
                provider.update(address("lab"), "lab", wanted(version="2", image="ours"), previous=before)
            )
            assert isinstance(error, AlreadyExists)
            assert "version 2 of lab exists with another definition; " in str(error)
            assert str(error).endswith(" made it")
            assert error.hint == "Make the plan again: it will take the next number."

    run(check())


def test_a_definition_cannot_be_changed_under_its_number(tmp_path: Path) -> None:
    """It is refused here, before anything is sent."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            before = await made(provider)
            watched.asked.clear()
            error = await failing(
                provider.update(address("lab"), "lab", wanted(image="other"), previous=before)
            )
            assert isinstance(error, Rejected)
            assert "version 1 of lab never changes" in str(error)
            assert watched.calls == []

    run(check())


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_write_without_an_answer_is_unknown(tmp_path: Path, drop: Any) -> None:
    """And is not sent again: whoever asked has to look; that shows at once what came of it."""
    lost = Fault(on="PUT */versions/2", nth=(1,), drop=drop)

    async def check() -> None:
        async with workspace(tmp_path, lost) as (watched, provider):
            before = await made(provider)
            error = await failing(
                provider.update(address("lab"), "lab", wanted(version="2", image="x"), previous=before)
            )
            assert isinstance(error, OutcomeUnknown)
            assert watched.writes.count("PUT /environments/lab/versions/2") == 1
            assert (await live(provider)).attributes["version"] == ("1" if drop == "before" else "2")

    run(check())


# --- removing ------------------------------------------------------------------------------------------


def test_an_environment_is_archived_as_a_whole_and_comes_back_as_it_was(tmp_path: Path) -> None:
    """With the versions that it had, and without those that were put away before."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            await made(provider)
            await moved(provider, version="2")
            await moved(provider, version="3")
            await provider.delete(address("lab"), "lab:3")
            before = await live(provider)
            watched.asked.clear()
            await provider.delete(address("lab"), "lab")
            assert watched.calls == ["GET /environments/lab", "PUT /environments/lab"]
            assert watched.asked[-1].properties["isArchived"] is True
            assert "latestVersion" not in watched.asked[-1].properties
            await provider.delete(address("lab"), "lab")
            assert await provider.read("environment", "lab") is None
            await provider.restore(address("lab"), "lab")
            assert (await live(provider)).attributes == before.attributes
            assert await provider.read("environment", "lab:3") is None
            assert (await live(provider, "lab:1")).attributes["version"] == "1"

    run(check())


def test_a_version_that_was_put_away_can_be_had_back(tmp_path: Path) -> None:
    """Twice does no harm; one that never was is an error."""

    async def check() -> None:
        async with workspace(tmp_path) as (_, provider):
            await made(provider)
            await moved(provider)
            await provider.delete(address("lab"), "lab:1")
            await provider.delete(address("lab"), "lab:1")
            await provider.restore(address("lab"), "lab:1")
            await provider.restore(address("lab"), "lab:1")
            assert (await live(provider, "lab:1")).attributes["version"] == "1"
            assert (await live(provider)).attributes["version"] == "2"
            for gone in ("lab:9", "nobody"):
                assert isinstance(await failing(provider.restore(address("lab"), gone)), NotFound)

    run(check())


def test_what_never_was_is_deleted_already(tmp_path: Path) -> None:
    """Deleting is about what is not there afterwards."""

    async def check() -> None:
        async with workspace(tmp_path) as (watched, provider):
            await provider.delete(address("lab"), "lab")
            await provider.delete(address("lab"), "lab:1")
            assert watched.writes == []

    run(check())


def test_a_stack_may_ask_for_real_deletion(tmp_path: Path) -> None:
    """Then the container goes, and with it every version."""

    async def check() -> None:
        async with workspace(tmp_path, destroy="delete") as (watched, provider):
            await made(provider)
            await provider.delete(address("lab"), "lab")
            assert watched.writes[-1] == "DELETE /environments/lab"
            assert await provider._environments.container("lab") is None
            await provider.delete(address("lab"), "lab")

    run(check())


@pytest.mark.parametrize("status", [400, 404, 405, 409])
def test_what_the_service_does_not_delete_is_archived(tmp_path: Path, status: int) -> None:
    """Real deletion is known to be refused."""
    refused = Fault(on="DELETE *", status=status)

    async def check() -> None:
        async with workspace(tmp_path, refused, destroy="delete") as (watched, provider):
            await made(provider)
            await provider.delete(address("lab"), "lab")
            assert watched.writes[-2:] == ["DELETE /environments/lab", "PUT /environments/lab"]
            assert await provider.read("environment", "lab") is None

    run(check())


# --- words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "remote_id", "attributes", "destroy", "call"),
    [
        (Verb.CREATE, "", wanted(version="4"), "archive", "PUT …/lab/versions/4?api-version=2025-12-01"),
        (Verb.UPDATE, "lab", wanted(version="4"), "archive", "PUT …/lab/versions/4?api-version=2025-12-01"),
        (Verb.UPDATE, "lab", None, "archive", "PUT …/lab/versions/VERSION?api-version=2025-12-01"),
        (Verb.UPDATE, "lab:3", None, "archive", "PUT …/lab/versions/3?api-version=2025-12-01"),
        (Verb.DELETE, "lab", None, "archive", "PUT …/lab?api-version=2025-12-01 with isArchived: true"),
        (Verb.DELETE, "lab", None, "delete", "DELETE …/lab?api-version=2025-12-01"),
        (
            Verb.DELETE,
            "lab:3",
            None,
            "delete",
            "PUT …/lab/versions/3?api-version=2025-12-01 with isArchived: true",
        ),
        (Verb.RECORD, "lab", None, "archive", "GET …/lab/versions?api-version=2025-12-01"),
    ],
)
def test_a_call_is_the_request_that_it_would_be(
    tmp_path: Path, verb: Verb, remote_id: str, attributes: Attributes | None, destroy: str, call: str
) -> None:
    """For a person, to send it by hand."""

    async def check() -> None:
        async with workspace(tmp_path, destroy=destroy) as (_, provider):
            said = provider.call(verb, "environment", remote_id, attributes)
            assert said == call.replace("…", f"{WORKSPACE}/environments")

    run(check())


def test_a_place_and_a_patience_are_said(tmp_path: Path) -> None:
    """The workspace by name; a minute on the service, seconds on the embedded one, or what the stack says."""

    async def check() -> None:
        async with workspace(tmp_path, patience_seconds=None) as (_, provider):
            assert await provider.place(wanted()) == "workspace embedded"
            assert provider.patience == 5.0
        async with workspace(tmp_path, registry="shared", patience_seconds=7) as (_, provider):
            assert await provider.place(wanted()) == "registry shared"
            assert provider.patience == 7.0

    run(check())
