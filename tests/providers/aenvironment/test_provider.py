"""AEnvironment's provider: which calls it makes, and what it makes of their answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hubs import START, Platform, context

from reconciler.core.attributes import ID, REF, Attributes
from reconciler.core.diff import fingerprint
from reconciler.core.model import Remote, Resource, ResourceAddress, Source, UsedBy, Verb
from reconciler.core.ports import Resolution
from reconciler.errors import (
    AlreadyExists,
    Forbidden,
    ListingIncomplete,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Unauthenticated,
    Unavailable,
    WriteNotApplied,
)
from reconciler.providers.aenvironment import api, conversion
from reconciler.providers.aenvironment.access import explain, means
from reconciler.providers.aenvironment.emulator import Options, damage, fail_store
from reconciler.providers.aenvironment.emulator.services import service_of, volumes
from reconciler.providers.aenvironment.kinds import ENVIRONMENT, SERVICE
from reconciler.providers.aenvironment.provider import AenvironmentProvider
from reconciler.providers.aenvironment.settings import Settings

T = TypeVar("T")

DEMO = ResourceAddress("aenv", "environment", "demo")
WEB = ResourceAddress("aenv", "service", "web")


class Lab:
    """A provider on a platform of a test, and all that the one sends to the other."""

    def __init__(self, platform: Platform, directory: Path, **settings: Any) -> None:
        self.platform = platform
        self.sent: list[tuple[str, str, Any]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.headers: list[dict[bytes, bytes]] = []
        wanted = Settings(**{"endpoint": "embedded", "patience_seconds": 0.0, **settings})
        self.provider = AenvironmentProvider.open(wanted, context(directory), self._watched)

    async def _watched(self, scope: Any, receive: Any, send: Any) -> None:
        """The platform's app, watched; *answers* are given in its place."""
        message = await receive()
        body = message.get("body", b"")
        call = f"{scope['method']} {scope['path']}"
        self.sent.append((scope["method"], scope["path"], json.loads(body) if body else None))
        self.headers.append(dict(scope["headers"]))

        async def again() -> Any:
            return message

        if call in self.answers:
            status, text = self.answers[call]
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": text})
        else:
            await self.platform.app(scope, again, send)

    @property
    def calls(self) -> list[str]:
        """Methods and paths, in order; then forgotten."""
        found = [f"{method} {path}" for method, path, _ in self.sent]
        self.sent.clear()
        return found

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        """What was sent besides questions."""
        return [one for one in self.sent if one[0] != "GET"]

    def listed(self, kind: str = "environment", **more: Any) -> dict[str, Remote]:
        """The listing, by id."""

        async def read() -> dict[str, Remote]:
            return {one.id: one async for one in self.provider.list(kind, **more)}

        return run(read())

    def read(self, remote_id: str, kind: str = "environment", **more: Any) -> Remote:
        """An object that is there."""
        found = run(self.provider.read(kind, remote_id, **more))
        assert found is not None
        return found

    def make(self, **attributes: Any) -> Remote:
        """An environment ``demo@1``."""
        made = {"name": "demo", "version": "1", **attributes}
        return self.read(run(self.provider.create(DEMO, Attributes(made), key="k")))

    def serve(self, **attributes: Any) -> Remote:
        """A service ``web`` of ``terminal@1.1.0``."""
        made = {"name": "web", "environment": {ID: "terminal@1.1.0"}, **attributes}
        return self.read(run(self.provider.create(WEB, Attributes(made), key="k")), "service")

    def change(self, previous: Remote, **attributes: Any) -> list[tuple[str, str, Any]]:
        """What an update writes."""
        self.sent.clear()
        address = DEMO if previous.kind == "environment" else WEB
        run(self.provider.update(address, previous.id, Attributes(attributes), previous=previous))
        return self.writes

    def resolve(self, *attributes: Mapping[str, Any]) -> Resolution:
        """What the whole set of specs comes to: an environment each, or a service of one."""
        resources = []
        for values in attributes:
            kind = "service" if "environment" in values else "environment"
            address = ResourceAddress("aenv", kind, f"{values['name']}-{values.get('version', '')}")
            resources.append(Resource(address, Attributes(values), Source("a.toml", 1)))
        return run(self.provider.resolve(resources))


BORN_INSTANCE = UsedBy("instance", "terminal-7d3k9q", "Running", active=True)
"""What every embedded platform has, and nobody gave a time to live."""


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@pytest.fixture
def lab(platform: Platform, tmp_path: Path) -> Lab:
    """On the released servers."""
    return Lab(platform, tmp_path)


@pytest.fixture
def next_lab(next_platform: Platform, tmp_path: Path) -> Lab:
    """On what comes after the release."""
    return Lab(next_platform, tmp_path)


# --- environments ---


def test_an_update_sends_the_changed_keys_whole_and_no_others(lab: Lab) -> None:
    """A key that PUT does not name stays; one that it names is replaced."""
    live = lab.make(tags=["a"], image="x:1", deploy_config={"cpu": "1", "memory": "2Gi"})
    managed = {"tags": ["a"], "image": "x:2", "deploy_config": {"cpu": "2"}}
    assert lab.change(live, **managed) == [
        (
            "PUT",
            "/env/demo/1",
            {
                "deployConfig": {"cpu": "2"},
                "artifacts": [{"id": "", "type": "image", "content": "x:2"}],
            },
        )
    ]


def test_nothing_is_sent_when_nothing_changes(lab: Lab) -> None:
    """EnvHub takes an empty PUT for a change, and may start a build."""
    live = lab.make(tags=["a"], image="x:1", status="Testing")
    assert lab.change(live, tags=["a"], image="x:1", status="Testing", build_config=None) == []


def test_what_is_given_up_is_emptied(lab: Lab) -> None:
    """Null would keep it. A status that is given up is the one that creation gives."""
    live = lab.make(tags=["a"], build_config={"a": 1}, image="x:1", status="Testing")
    ((_, _, body),) = lab.change(live, tags=None, build_config=None, image=None, status=None)
    assert body == {"tags": [], "buildConfig": {}, "artifacts": [], "status": "Ready"}
    assert lab.read("demo@1").attributes == {"name": "demo", "version": "1", "status": "Ready"}


def test_an_image_keeps_its_id_and_its_neighbours(lab: Lab) -> None:
    """A spec that manages the image alone leaves all other artifacts as they are."""
    lab.platform.add(
        "demo",
        "1",
        artifacts=[
            {"id": "1", "type": "data", "content": "d"},
            {"id": "2", "type": "image", "content": "x:1"},
            {"id": "3", "type": "image", "content": "y:1"},
        ],
    )
    live = lab.read("demo@1")
    assert (live.attributes["image"], live.attributes["image_id"]) == ("x:1", "2")
    ((_, _, body),) = lab.change(live, image="x:2")
    assert body["artifacts"] == [
        {"id": "2", "type": "image", "content": "x:2"},
        {"id": "1", "type": "data", "content": "d"},
        {"id": "3", "type": "image", "content": "y:1"},
    ]


def test_a_release_is_a_call_of_its_own(lab: Lab) -> None:
    """Unless something else changes with it: then one call does both, or none."""
    live = lab.make(tags=["a"])
    assert lab.change(live, tags=["a"], status="Released") == [("POST", "/env/demo/1/release", None)]
    assert lab.read("demo@1").attributes["status"] == "Released"
    other = run(lab.provider.create(DEMO, Attributes({"name": "demo", "version": "2"}), key="k"))
    assert lab.change(lab.read(other), tags=["b"], status="Released") == [
        ("PUT", "/env/demo/2", {"tags": ["b"], "status": "Released"})
    ]


def test_a_write_that_finds_nothing_says_what_that_may_mean(lab: Lab) -> None:
    """It did not happen; whether the environment is gone is for a read to tell, which asks twice."""
    live = lab.make()
    fail_store(lab.platform.store)
    for change in ({"tags": ["b"]}, {"status": "Released"}):
        with pytest.raises(NotFound, match="404: Environment not found") as caught:
            lab.change(live, **change)
        assert "while its store is in trouble" in caught.value.hint


def test_a_released_environment_refuses_every_change(lab: Lab) -> None:
    """In EnvHub's own words: it is about the environment, and not about a role."""
    live = lab.make(status="Released")
    with pytest.raises(Rejected, match="403: Cannot update released environment"):
        lab.change(live, tags=["b"])


@pytest.mark.parametrize(
    ("number", "name"), [(0, "Init"), (6, "Ready"), (7, "Released"), (8, "Failed"), (9, "9"), (-1, "-1")]
)
def test_a_status_is_a_number_in_answers(number: int, name: str) -> None:
    """One that we do not know is shown as it is."""
    entry = api.EnvironmentEntry(name="a", version="1", status=number)
    assert conversion.environment_from_wire(entry)["status"] == name


def test_null_and_empty_are_absence(lab: Lab) -> None:
    """However somebody else wrote it, nothing is there."""
    empty = {"tags": [], "artifacts": [], "deployConfig": {}}
    lab.platform.data("POST", "/env/", {"name": "demo", "version": "1", **empty})
    lab.platform.data("POST", "/env/", {"name": "demo", "version": "2"})
    one, two = (dict(lab.read(f"demo@{version}").attributes) for version in "12")
    assert {**one, "version": "2"} == two == {"name": "demo", "version": "2", "status": "Init"}


# --- never trust absence ---


def test_an_absence_is_believed_when_exists_says_so(lab: Lab) -> None:
    """A read answers 404 for every trouble of its store, too."""
    assert run(lab.provider.read("environment", "gone@1")) is None
    assert lab.calls == ["GET /env/gone/1", "GET /env/gone/1/exists"]


def test_a_record_that_cannot_be_read_is_not_gone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list leaves it out, the read answers 404; whether it exists, EnvHub says or fails to say."""
    monkeypatch.setattr("reconciler.providers.http._FIRST_WAIT", 0.0)
    lab.make()
    damage(lab.platform.store, "demo", "1")
    assert "demo@1" not in lab.listed()
    with pytest.raises(Unavailable, match="GET /env/demo/1/exists answered 500"):
        run(lab.provider.read("environment", "demo@1"))
    lab.answers["GET /env/demo/1/exists"] = (200, b'{"success":true,"data":{"exists":true,"status":6}}')
    with pytest.raises(Unavailable, match="demo@1 exists, and EnvHub cannot show it"):
        run(lab.provider.read("environment", "demo@1"))


def test_an_outage_is_no_absence(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads say 404 while the store is down; the question that confirms it fails."""
    lab.make()
    fail_store(lab.platform.store)
    monkeypatch.setattr("reconciler.providers.http._FIRST_WAIT", 0.0)
    with pytest.raises(Unavailable):
        run(lab.provider.read("environment", "demo@1"))
    with pytest.raises(Unavailable):
        lab.listed()


def test_another_environment_under_the_same_key_is_not_ours(lab: Lab) -> None:
    """EnvHub joins name and version: what it shows is looked at."""
    lab.platform.add("demo-1", "2")
    wanted = Attributes({"name": "demo", "version": "1-2"})
    assert run(lab.provider.find("environment", wanted)) is None
    with pytest.raises(AlreadyExists, match="demo@1-2 has the same key in EnvHub as demo-1@2"):
        run(lab.provider.create(DEMO, wanted, key="k"))
    lab.platform.add("demo", "1")
    lab.answers["GET /env/demo/1"] = (404, envelope(404, "Environment not found"))
    with pytest.raises(AlreadyExists, match="409: Environment with same name and version already exists"):
        lab.make()


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b"\xff", b'{"success":true,"data":{}}', b'{"success":true,"data":[1]}']
)
def test_what_is_no_list_decides_nothing(lab: Lab, body: bytes) -> None:
    """Nor does a failure that comes as a success."""
    lab.answers["GET /env/"] = (200, body)
    with pytest.raises(ListingIncomplete):
        lab.listed()
    lab.answers["GET /env/"] = (200, b'{"success":false,"code":1,"message":"","data":null}')
    with pytest.raises(ListingIncomplete):
        lab.listed()


def test_an_empty_hub_has_no_environments(lab: Lab) -> None:
    """Null is its empty list."""
    lab.answers["GET /env/"] = (200, b'{"success":true,"code":0,"message":"","data":null}')
    assert lab.listed() == {}


def test_the_same_environment_twice_decides_nothing(lab: Lab) -> None:
    """Whichever of the two were taken."""
    one = b'{"name":"a","version":"1"}'
    lab.answers["GET /env/"] = (200, b'{"success":true,"data":[%s,%s]}' % (one, one))
    with pytest.raises(ListingIncomplete, match="lists a@1 twice"):
        lab.listed()


# --- profiles and the whole set ---


def test_the_profile_is_found_by_asking_once(lab: Lab, next_lab: Lab) -> None:
    """A redirect means the release; an answer is the list itself."""
    for _ in range(2):
        lab.listed()
        next_lab.listed()
    assert lab.calls == ["GET /env", "GET /env/", "GET /env/"]
    assert next_lab.calls == ["GET /env", "GET /env/"]


def test_a_profile_that_is_set_is_not_asked_for(platform: Platform, tmp_path: Path) -> None:
    """The list is asked for at once."""
    lab = Lab(platform, tmp_path, profile="v0.1")
    lab.listed()
    assert lab.calls == ["GET /env/"]


def test_a_description_is_kept_where_the_server_keeps_it(lab: Lab, next_lab: Lab) -> None:
    """Elsewhere it is left out, and said so: it would differ for ever."""
    wanted = {"name": "demo", "version": "1", "description": "why"}
    found = lab.resolve(wanted)
    assert "description" not in found.resources[0].attributes
    assert found.warnings == ("aenv.environment.demo-1: this EnvHub (v0.1) keeps no description; left out",)
    several = lab.resolve(*({**wanted, "version": str(number)} for number in range(3)))
    assert several.warnings == (
        "aenv.environment.demo-0 and 2 more: this EnvHub (v0.1) keeps no description; left out",
    )
    assert next_lab.resolve(wanted).resources[0].attributes["description"] == "why"
    live = next_lab.make(description="why")
    assert live.attributes["description"] == "why"
    assert next_lab.change(live, description=None) == [("PUT", "/env/demo/1", {"description": ""})]


def test_the_listing_is_asked_for_once_in_a_plan(lab: Lab) -> None:
    """What `resolve` saw is what the plan is made on; the next one asks again."""
    lab.resolve({"name": "demo", "version": "1"})
    assert lab.calls == ["GET /env", "GET /env/"]
    lab.listed()
    assert lab.calls == []
    lab.listed()
    assert lab.calls == ["GET /env/"]


def test_keys_that_collide_are_a_mistake(lab: Lab) -> None:
    """Over all specs of the stack; where it stands, and what to do."""
    found = lab.resolve({"name": "a", "version": "1-2"}, {"name": "a-1", "version": "2"})
    ((problem,),) = [found.problems]
    assert problem.path == ("version",)
    assert problem.summary == ("a-1@2 and a@1-2 (aenv.environment.a-1-2) have the same key in EnvHub")
    assert problem.address == ResourceAddress("aenv", "environment", "a-1-2") and problem.hint
    assert lab.calls == []


def test_an_image_that_only_the_hub_knows_is_said(lab: Lab) -> None:
    """A build put it there: it stays, and somebody should take it into config.json."""
    lab.platform.add("demo", "1")
    found = lab.resolve({"name": "demo", "version": "1"}, {"name": "demo", "version": "2"})
    assert found.warnings == (
        "aenv.environment.demo-1: EnvHub has the image registry.example.com/demo:1, which the spec does not "
        "name: it stays. `aenv get` shows it, to be taken into config.json",
    )


def test_a_service_has_the_image_and_the_volume_of_its_environment(lab: Lab) -> None:
    """Of one of this stack; of any other, nobody here knows more."""
    environment = {"name": "demo", "version": "1", "image": "x:1"}
    reference = {REF: "aenv.environment.demo-1"}
    service = {"name": "web", "environment": reference, "storage_size": "1Gi"}
    found = lab.resolve(service, environment).resources[0]
    assert found.attributes == {**service, "image": "x:1", "storage_name": "demo"}
    assert (
        lab.resolve({**service, "storage_name": "own"}, environment).resources[0].attributes["storage_name"]
        == "own"
    )
    foreign = {"name": "web", "environment": {ID: "terminal@1.1.0"}}
    assert lab.resolve(foreign).resources[0].attributes == foreign


# --- services ---


def test_a_service_is_created_whole_in_one_call(lab: Lab) -> None:
    """With its name, so that a request that arrives twice makes one."""
    lab.serve(
        replicas=1,
        environment_variables={"A": "1"},
        port=9000,
        storage_size="1Gi",
        storage_name="v",
        mount_path="/data",
        cpu_limit="2",
        image="registry.example.com/aenv/terminal:1.1.0",
        ready_timeout=5,
    )
    image = "registry.example.com/aenv/terminal:1.1.0"
    run(lab.provider.await_ready(WEB, "web", Attributes({"image": image})))
    assert lab.writes == [
        (
            "POST",
            "/env-service",
            {
                "envName": "terminal@1.1.0",
                "service_name": "web",
                "replicas": 1,
                "environment_variables": {"A": "1"},
                "port": 9000,
                "pvc_name": "v",
                "storage_size": "1Gi",
                "mount_path": "/data",
                "cpu_limit": "2",
            },
        )
    ]
    assert volumes(lab.platform.store)["v"] == "1Gi"


def test_an_image_of_an_environment_that_was_left_out_is_set_after_the_creation(lab: Lab) -> None:
    """A service starts with what EnvHub has; where the plan was a part of the specs, that is another."""
    lab.serve(image="other:2")
    run(lab.provider.await_ready(WEB, "web", Attributes({"image": "other:2"})))
    assert lab.writes[1:] == [("PUT", "/env-service/web", {"image": "other:2"})]
    found = service_of(lab.platform.store, "web")
    assert found is not None
    assert found["image"] == "other:2"


def test_no_replicas_are_set_after_the_creation(lab: Lab) -> None:
    """api-service takes 0 for 1 in a creation, and as it is in a change."""
    assert lab.serve(replicas=0).attributes["replicas"] == 1
    wanted = Attributes({"replicas": 0, "ready_timeout": 0})
    run(lab.provider.await_ready(WEB, "web", wanted))
    run(lab.provider.await_ready(WEB, "web", wanted))
    assert lab.writes[1:] == [("PUT", "/env-service/web", {"replicas": 0})]
    assert lab.read("web", "service").attributes["replicas"] == 0


def test_a_service_is_changed_in_place_where_it_can_be(lab: Lab) -> None:
    """Replicas, image and the variables that differ; the image always, for it is never shown."""
    live = lab.serve(replicas=2, environment_variables={"A": "1", "B": "1"})
    assert lab.change(live, replicas=2, environment_variables={"A": "1", "B": "1"}) == []
    assert lab.change(
        live, replicas=0, image="x:2", environment_variables={"A": "1", "B": "2", "C": "3"}
    ) == [
        (
            "PUT",
            "/env-service/web",
            {"replicas": 0, "image": "x:2", "environment_variables": {"B": "2", "C": "3"}},
        )
    ]
    found = lab.read("web", "service").attributes
    assert (found["replicas"], found["environment_variables"]) == (0, {"A": "1", "B": "2", "C": "3"})


def test_a_service_that_is_gone_is_told_from_trouble(lab: Lab) -> None:
    """api-service answers 500 for both; the text has the controller's own status."""
    assert run(lab.provider.read("service", "nothing")) is None
    lab.answers["GET /env-service/web"] = (500, b'{"success":false,"code":500,"message":"no"}')
    with pytest.raises(Unavailable):
        run(lab.provider.read("service", "web"))


def test_a_service_that_lost_its_address_is_not_gone(lab: Lab) -> None:
    """A read does not find it, the list does; what is gone is in neither."""
    live = lab.serve(port=9000)
    lost = 'Failed to query service: request failed with status: 404, body: services "web" not found'
    lab.answers["GET /env-service/web"] = (500, envelope(500, lost))
    assert lab.read("web", "service") == live
    run(lab.provider.delete(WEB, "web"))
    assert run(lab.provider.read("service", "web")) is None


def test_other_deployments_of_the_cluster_are_no_services(lab: Lab) -> None:
    """They stand in the list without an environment, and hinder nobody."""
    lab.serve()
    listed = lab.platform.data("GET", "/env-service/*/list")
    alien = {**listed[0], "id": "redis", "env": {"name": "", "version": ""}}
    body = msgspec.json.encode({"success": True, "code": 0, "message": "", "data": [alien, *listed]})
    lab.answers["GET /env-service/*/list"] = (200, body)
    assert lab.listed("service").keys() >= {"web"}
    assert "redis" not in lab.listed("service")
    one = msgspec.json.encode({"success": True, "code": 0, "message": "", "data": alien})
    lab.answers["GET /env-service/redis"] = (200, one)
    with pytest.raises(ListingIncomplete, match="which environment the service redis is of"):
        run(lab.provider.read("service", "redis"))


def test_a_change_that_met_another_is_made_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster writes to a service all the time; then nothing happened, and nobody has to look."""
    live = lab.serve(replicas=1)
    conflict = "Failed to update service: request failed with status: 409, body: the object has been modified"
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            lab.answers.clear()

    monkeypatch.setattr("reconciler.providers.aenvironment.provider.asyncio.sleep", sleep)
    lab.answers["PUT /env-service/web"] = (500, envelope(500, conflict))
    assert len(lab.change(live, replicas=2)) == 3
    assert lab.read("web", "service").attributes["replicas"] == 2
    lab.answers["PUT /env-service/web"] = (500, envelope(500, conflict))
    with pytest.raises(AlreadyExists, match="the object has been modified"):
        lab.change(live, replicas=3)


def test_storage_outlives_its_service(lab: Lab) -> None:
    """Unless the spec said that it goes, too."""
    store = lab.platform.store
    before = set(volumes(store))
    lab.serve(storage_size="1Gi", storage_name="v")
    run(lab.provider.delete(WEB, "web"))
    assert set(volumes(store)) - before == {"v"}
    lab.serve(storage_size="1Gi", storage_name="v")
    run(lab.provider.delete(WEB, "web", parting={"delete_storage": True}))
    assert set(volumes(store)) == before
    run(lab.provider.delete(WEB, "web"))


def test_a_volume_that_others_use_is_not_deleted(lab: Lab) -> None:
    """Whoever they belong to; and nothing else is, until somebody said what is meant."""
    lab.serve(storage_size="1Gi", storage_name="v")
    lab.platform.data(
        "POST",
        "/env-service",
        {"envName": "terminal@1.0.0", "service_name": "theirs", "storage_size": "1Gi", "pvc_name": "v"},
    )
    with pytest.raises(Rejected, match="the volume v of web is used by theirs, too"):
        run(lab.provider.delete(WEB, "web", parting={"delete_storage": True}))
    assert service_of(lab.platform.store, "web") is not None
    run(lab.provider.delete(WEB, "web"))
    assert service_of(lab.platform.store, "web") is None
    assert "v" in volumes(lab.platform.store)


def test_services_of_one_volume_agree_about_it(lab: Lab) -> None:
    """One size; and none of them may take it away from the others."""
    foreign = {"environment": {ID: "terminal@1.1.0"}, "storage_name": "v", "storage_size": "1Gi"}
    one, two = {"name": "one", **foreign}, {"name": "two", **foreign}
    assert lab.resolve(one, two).problems == ()
    assert lab.resolve({**one, "delete_storage": True}).problems == ()
    (problem,) = lab.resolve(one, {**two, "storage_size": "2Gi"}).problems
    assert problem.summary == "the volume v is to have 2Gi here, and 1Gi for aenv.service.one-"
    (problem,) = lab.resolve(one, {**two, "delete_storage": True}).problems
    assert problem.summary == "`delete_storage` would take the volume v away from aenv.service.one-, too"
    assert (problem.path, problem.address) == (
        ("delete_storage",),
        ResourceAddress("aenv", "service", "two-"),
    )


def test_a_service_made_anew_under_the_same_name_is_another(lab: Lab) -> None:
    """Though nothing else about it differs: what was planned for the one is not done to the other."""
    before = lab.serve()
    run(lab.provider.delete(WEB, "web"))
    lab.platform.wait(60)
    lab.platform.data("POST", "/env-service", {"envName": "terminal@1.0.0", "service_name": "web"})
    after = lab.read("web", "service")
    assert after.attributes["environment"] == {ID: "terminal@1.0.0"}
    lab.platform.data("DELETE", "/env-service/web")
    lab.platform.wait(60)
    lab.platform.data("POST", "/env-service", {"envName": "terminal@1.1.0", "service_name": "web"})
    again = lab.read("web", "service")
    assert again.attributes == before.attributes
    assert len({fingerprint(one) for one in (before, after, again)}) == 3


def test_a_service_of_no_environment_is_refused(lab: Lab) -> None:
    """Its creation did not happen: nobody has to look for it."""
    with pytest.raises(ProviderError, match="Failed to find environment") as caught:
        lab.serve(environment={ID: "nothing@1"})
    assert not isinstance(caught.value, OutcomeUnknown)


def test_an_answer_without_a_service_leaves_the_outcome_open(lab: Lab) -> None:
    """It was accepted: whoever asked looks for it."""
    lab.answers["POST /env-service"] = (200, b'{"success":true,"code":0,"data":null}')
    with pytest.raises(OutcomeUnknown):
        lab.serve()


def test_a_service_is_waited_for_until_it_runs(new_platform: Any, tmp_path: Path) -> None:
    """At the deadline it is said to be there, and how far it came."""
    platform = new_platform(options=Options(startup=10.0))
    lab = Lab(platform, tmp_path)
    live = lab.serve(replicas=2)
    wanted = Attributes({"replicas": 2, "ready_timeout": 1})
    with pytest.raises(
        WriteNotApplied,
        match=r"aenv\.service\.web: the service is there and does not run after 1 s: Creating, 0 of 2",
    ):
        run(lab.provider.await_ready(WEB, live.id, wanted))
    run(lab.provider.await_ready(WEB, live.id, Attributes({"replicas": 2, "ready_timeout": 0})))
    platform.wait(60)
    run(lab.provider.await_ready(WEB, live.id, wanted))
    lab.change(lab.read("web", "service"), replicas=0)
    run(lab.provider.await_ready(WEB, live.id, Attributes({"replicas": 0, "ready_timeout": 1})))


def test_without_an_api_service_there_are_no_services(platform: Platform, tmp_path: Path) -> None:
    """Said at every use, with what to set; and nobody claims to know what uses an environment."""
    lab = Lab(platform, tmp_path)
    lab.provider._api = None
    (problem,) = lab.resolve({"name": "web", "environment": {ID: "terminal@1.1.0"}}).problems
    assert problem.summary == "aenv has no api-service, and so no services"
    assert "api_service" in problem.hint
    with pytest.raises(Rejected, match="has no api-service"):
        lab.listed("service")
    assert lab.listed(usage=True)["terminal@1.1.0"].used_by is None
    assert lab.read("terminal@1.1.0", usage=True).used_by is None


def test_a_cluster_without_services_still_has_instances(lab: Lab) -> None:
    """Only the engine for Kubernetes has them: elsewhere the path is not there."""
    lab.answers["GET /env-service/*/list"] = (404, b"404 page not found")
    assert lab.listed(usage=True)["terminal@1.1.0"].used_by == (BORN_INSTANCE,)
    with pytest.raises(Rejected):
        lab.listed("service")


def test_a_controller_without_rights_to_services_still_has_instances(
    new_platform: Any, tmp_path: Path
) -> None:
    """As the vendor's chart installs it. Whoever wants a service is told whose right it is that lacks."""
    lab = Lab(new_platform(options=Options(services=False)), tmp_path)
    assert lab.listed(usage=True)["terminal@1.1.0"].used_by == (BORN_INSTANCE,)
    with pytest.raises(Forbidden, match="deployments") as caught:
        lab.listed("service")
    assert "its controller lacks the right in the cluster" in caught.value.hint
    lab.answers["GET /env-service/*/list"] = (403, b"<html>")
    with pytest.raises(Forbidden):
        lab.listed(usage=True)


# --- what uses an environment ---


def test_instances_and_services_of_anybody_use_an_environment(lab: Lab) -> None:
    """Each with how it stands, instances with the time that they have left; by version, not by name alone."""
    made = lab.platform.data(
        "POST", "/env-instance", {"envName": "terminal@1.1.0", "ttl": "30m", "owner": "me"}
    )
    lab.serve(replicas=2)
    used = {name: one.used_by for name, one in lab.listed(usage=True).items()}
    assert used["terminal@1.0.0"] == ()
    assert used["terminal@1.1.0"] == (
        UsedBy("service", "web", "2 of 2 running", active=True),
        UsedBy("instance", made["id"], "Running, 30 min left", active=True),
        BORN_INSTANCE,
    )
    assert lab.read("terminal@1.1.0", usage=True).used_by == used["terminal@1.1.0"]
    assert lab.read("terminal@1.0.0", usage=True).used_by == ()
    assert lab.read("web", "service", usage=True).used_by == ()


BORN = "2026-03-16T05:13:06Z"


@pytest.mark.parametrize(
    ("created", "ttl", "after", "said"),
    [
        (BORN, "30m", 60, "29 min left"),
        (BORN, "1h30m", 0, "1:30 h left"),
        (BORN, "1.5h", 0, "1:30 h left"),
        (BORN, "90s", 60, "less than 1 min left"),
        (BORN, "90s", 3600, "its time is over"),
        (BORN, "", 0, ""),
        (BORN, "1 day", 0, ""),
        ("", "30m", 0, "ends 30m after it was made"),
        ("0001-01-01T00:00:00Z", "30m", 0, "ends 30m after it was made"),
        ("2026-03-16T13:13:06+08:00", "500ms", 0, "less than 1 min left"),
    ],
)
def test_what_an_instance_has_left(created: str, ttl: str, after: float, said: str) -> None:
    """A Go duration from its creation on; none, or one that api-service cannot read, means for ever."""
    now = START.replace(microsecond=0).timestamp() + after
    assert conversion.remaining(created, ttl, now) == said


# --- what kinds refuse ---


def test_a_volume_never_changes_its_size() -> None:
    """A new service would get the old one as it is; a volume of another name is another volume."""
    before = {"storage_size": "1Gi", "storage_name": "v"}
    refusal = SERVICE.refuses(before, {"storage_size": "2Gi", "storage_name": "v"})
    assert refusal is not None
    assert refusal.summary == "the size of its storage cannot change: it is 1Gi, and the spec wants 2Gi"
    assert "storage_name" in refusal.hint
    for after in (
        before,
        {"storage_size": "2Gi", "storage_name": "w"},
        {"storage_size": None, "storage_name": None},
    ):
        assert SERVICE.refuses(before, after) is None
    assert SERVICE.refuses({}, before) is None


def test_a_code_url_is_never_cleared() -> None:
    """EnvHub keeps the old one: a plan that tried would come back for ever."""
    assert ENVIRONMENT.refuses({"code_url": "x"}, {"code_url": None}) is not None
    assert ENVIRONMENT.refuses({"code_url": "x"}, {"code_url": "y"}) is None
    assert ENVIRONMENT.refuses({"code_url": "x"}, {"tags": []}) is None
    assert ENVIRONMENT.refuses({}, {"code_url": None}) is None


# --- errors and keys ---


def envelope(code: int, message: str) -> bytes:
    return msgspec.json.encode({"success": False, "code": code, "message": message, "data": None})


@pytest.mark.parametrize(
    ("status", "body", "meant"),
    [
        (500, envelope(500, "Failed to query: request failed with status: 404, body: not found"), 404),
        (500, envelope(500, "Failed to create service: request failed with status: 409, body: x"), 409),
        (500, envelope(500, "Failed to create service: request failed with status: 400, body: x"), 400),
        (500, envelope(500, "env demo-1 already exists"), 409),
        (500, envelope(500, "resource version mismatch"), 500),
        (500, b"status: 404", 500),
        (403, envelope(403, "Environment already released"), 422),
        (403, b"<html>no</html>", 403),
        (404, envelope(404, "Environment not found"), 404),
    ],
)
def test_what_an_error_means(status: int, body: bytes, meant: int) -> None:
    """In an envelope of AEnvironment's own; a page on the way means what it says."""
    assert means(status, body) == meant


def test_only_an_envelope_is_quoted() -> None:
    """Whatever else stands there may be anybody's."""
    assert explain(envelope(404, "Environment not found")) == "Environment not found"
    assert explain(b"404 page not found") == explain(b"") == explain(b"[]") == ""


def test_a_gateway_that_wants_a_sign_in_is_told_from_a_release(lab: Lab) -> None:
    """401 and 403 without an envelope are not EnvHub's."""
    lab.answers["GET /env/"] = (401, b"")
    with pytest.raises(Unauthenticated) as caught:
        lab.listed()
    assert "`api_key`" in caught.value.hint
    lab.answers["GET /env/"] = (403, b"<html>")
    with pytest.raises(Forbidden):
        lab.listed()
    lab.answers["GET /env/demo/1"] = (404, b"404 page not found")
    with pytest.raises(Rejected, match="answered 404"):
        run(lab.provider.read("environment", "demo@1"))


@contextmanager
def keyed(
    platform: Platform, directory: Path, environment: Mapping[str, str], **settings: Any
) -> Iterator[Lab]:
    """A lab whose provider may find a key."""
    lab = Lab(platform, directory)
    wanted = Settings(**{"endpoint": "embedded", **settings})
    where = context(directory, environment)
    lab.provider = AenvironmentProvider.open(wanted, where, lab._watched)
    yield lab


def test_the_key_is_sent_where_it_is_given(platform: Platform, tmp_path: Path) -> None:
    """By reference; or AENV_API_KEY, where it cannot be read on the way and the platform is not ours."""
    said = {"env": "KEY", "file": None, "command": None}
    environment = {"KEY": "key-1", "AENV_API_KEY": "key-2"}
    for settings, sent in (
        ({"api_key": said}, b"Bearer key-1"),
        ({}, None),
        ({"endpoint": "https://hub.example.com"}, b"Bearer key-2"),
        ({"endpoint": "http://127.0.0.1:8083"}, b"Bearer key-2"),
        ({"endpoint": "http://hub.example.com"}, None),
    ):
        with keyed(platform, tmp_path, environment, **settings) as lab:
            lab.listed()
            assert {one.get(b"authorization") for one in lab.headers} == {sent}


def test_a_call_is_named_for_a_person(lab: Lab) -> None:
    """What `show` and a failed rollback tell to send."""
    call = lab.provider.call
    assert call(Verb.CREATE, "environment", "") == "POST /env/"
    assert call(Verb.UPDATE, "environment", "a@1") == "PUT /env/a/1"
    assert call(Verb.CREATE, "service", "") == "POST /env-service"
    assert call(Verb.DELETE, "service", "web") == "DELETE /env-service/web"
    attributes = Attributes({"environment": {ID: "a@1"}})
    assert run(lab.provider.place(attributes)) == "environment a@1"
    assert run(lab.provider.place(Attributes({"version": "1"}))) == ""
