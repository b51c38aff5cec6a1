"""AEnvironment on the command line: planned, applied, scaled, released, let go of, taken back."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import uvicorn
from harness import Project
from hubs import Platform

from reconciler.providers.aenvironment.emulator import Options, damage, fail_store
from reconciler.providers.aenvironment.emulator.services import service_of, volumes
from reconciler.providers.emulator import Store

CONFIG = """\
[stack]
name = "test"

[policy]
max_delete_fraction = 1.0

[platforms.aenv]
provider = "aenvironment"
endpoint = "embedded"
patience_seconds = 0.2
"""

DEMO = """\
image = "registry.example.com/demo:1"

[on.aenv]
version = "1.0.0"
"""
"""The smallest spec."""

SERVED = (
    DEMO
    + """
[on.aenv.service]
replicas = 2
port = 8081

[on.aenv.service.environment_variables]
LEVEL = "info"
"""
)
STORED = """\
kind = "service"

[on.aenv]
environment = "terminal@1.1.0"
storage_size = "1Gi"
storage_name = "notes-data"
"""


@pytest.fixture
def stack(project: Project) -> Project:
    """An empty stack on the embedded AEnvironment."""
    project.write("reconciler.toml", CONFIG)
    return project


@contextmanager
def platform(stack: Project) -> Iterator[Platform]:
    """Somebody who uses the embedded platform without us."""
    path = stack.path / ".reconciler" / "embedded" / "aenv.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path) as store:
        found = Platform(store)
        found.now = datetime.now(UTC)
        yield found


def apply(stack: Project, *flags: str) -> str:
    """Apply; what it said."""
    return stack.run("apply", "--auto-approve", *flags).succeeded().out


def plan(stack: Project) -> str:
    """The plan."""
    return stack.run("plan").succeeded().out


def refused(stack: Project) -> str:
    """Why there is no plan."""
    result = stack.run("plan")
    assert result.code == 1
    return result.err


NOTHING = "No changes. Your infrastructure matches the configuration."


def test_an_environment_and_its_service_are_made_together(stack: Project) -> None:
    """The service after its environment, on the image of that; then there is nothing to do."""
    stack.write("demo.toml", SERVED)
    said = apply(stack)
    assert "Resources: 2 added, 0 changed, 0 destroyed" in said
    assert "! the platform deletes nothing: once made, it stays" in said
    assert NOTHING in plan(stack)
    with platform(stack) as there:
        assert there.read("demo", "1.0.0")["status"] == 6
        found = service_of(there.store, "demo")
        assert found is not None
        assert (found["image"], found["replicas"], found["port"]) == ("registry.example.com/demo:1", 2, 8081)
    assert stack.remembered() == {"aenv.environment.demo": "demo@1.0.0", "aenv.service.demo": "demo"}


def test_a_service_is_scaled_and_follows_its_environment_in_place(stack: Project) -> None:
    """A new image goes to EnvHub first and then to what runs of it."""
    stack.write("demo.toml", SERVED)
    apply(stack)
    text = SERVED.replace("demo:1", "demo:2").replace("replicas = 2", "replicas = 3")
    stack.write("demo.toml", text.replace('"info"', '"debug"'))
    said = plan(stack)
    assert '~ image = "registry.example.com/demo:1" -> "registry.example.com/demo:2"' in said
    assert "~ aenv.service.demo: spec changed" in said
    assert "Plan: 0 to add, 2 to change, 0 to destroy." in said
    apply(stack)
    with platform(stack) as there:
        found = service_of(there.store, "demo")
        assert found is not None
        assert (found["image"], found["replicas"]) == ("registry.example.com/demo:2", 3)
        assert found["variables"]["LEVEL"] == "debug"
    assert NOTHING in plan(stack)


def test_how_many_copies_run_is_given_up_for_the_default(stack: Project) -> None:
    """One: the platform is told, and waited for."""
    plain = STORED.partition("storage_size")[0]
    stack.write("web.toml", plain + "replicas = 2\n")
    apply(stack)
    stack.write("web.toml", plain)
    assert "~ replicas = 2 -> 1" in apply(stack)
    assert NOTHING in plan(stack)


def test_a_service_is_made_and_made_again_while_none_of_it_runs(stack: Project) -> None:
    """A creation of none starts one: that is scaled down, also where what it replaces was."""
    plain = STORED.partition("storage_size")[0] + "replicas = 0\n"
    stack.write("web.toml", plain + "port = 8081\n")
    apply(stack)
    assert NOTHING in plan(stack)
    stack.write("web.toml", plain + "port = 8082\n")
    assert "-/+ aenv.service.web" in apply(stack)
    assert NOTHING in plan(stack)
    with platform(stack) as there:
        assert there.data("GET", "/env-service/web")["replicas"] == 0


def test_what_a_service_cannot_change_replaces_it_and_keeps_its_storage(stack: Project) -> None:
    """The volume is taken again as it is."""
    stack.write("web.toml", STORED)
    apply(stack)
    stack.write("web.toml", STORED + 'memory = "4Gi"\n')
    said = plan(stack)
    assert "-/+ aenv.service.web: memory_limit, memory_request can only be set at creation" in said
    assert '+ memory_limit = "4Gi"   (forces replacement)' in said
    apply(stack)
    with platform(stack) as there:
        assert volumes(there.store)["notes-data"] == "1Gi"
        found = service_of(there.store, "web")
        assert found is not None
        assert found["sizes"]["memory_limit"] == "4Gi"
    assert NOTHING in plan(stack)


def test_a_variable_that_is_taken_out_replaces_the_service(stack: Project) -> None:
    """Others, that the cluster's template put there, are nobody's business here."""
    stack.write("demo.toml", SERVED)
    apply(stack)
    with platform(stack) as there:
        there.data("PUT", "/env-service/demo", {"environment_variables": {"FROM_TEMPLATE": "1"}})
    assert NOTHING in plan(stack)
    assert stack.run("drift").code == 0
    stack.write("demo.toml", SERVED.replace('LEVEL = "info"\n', ""))
    assert "what is in environment_variables can only be taken out with a new object" in plan(stack)


def test_the_size_of_storage_is_refused_and_not_replaced(stack: Project) -> None:
    """The plan says what to do; a new volume is a new service."""
    stack.write("web.toml", STORED)
    apply(stack)
    stack.write("web.toml", STORED.replace("1Gi", "2Gi"))
    said = refused(stack)
    assert "aenv.service.web: the size of its storage cannot change: it is 1Gi" in said
    assert 'Write storage_size = "1Gi" again' in said
    stack.write("web.toml", STORED.replace("1Gi", "2Gi").replace("notes-data", "more"))
    assert "-/+ aenv.service.web" in plan(stack)


def test_storage_goes_with_its_service_only_when_the_spec_said_so(stack: Project) -> None:
    """What is lost with it is marked before anybody approves it."""
    stack.write("web.toml", STORED)
    apply(stack)
    said = stack.run("destroy", "--auto-approve").succeeded().out
    assert "Destroy complete! Resources: 1 destroyed." in said
    with platform(stack) as there:
        assert "notes-data" in volumes(there.store)
    stack.write("web.toml", STORED + "delete_storage = true\n")
    assert "! its storage goes with it" not in apply(stack)
    assert "! its storage goes with it, and all that is in it" in (
        stack.run("destroy", "--auto-approve").succeeded().out
    )
    with platform(stack) as there:
        assert "notes-data" not in volumes(there.store)


def test_a_wish_about_how_is_remembered_and_no_change(stack: Project) -> None:
    """The switch counts from the next apply on, and nothing is sent for it."""
    stack.write("web.toml", STORED)
    apply(stack)
    stack.write("web.toml", STORED + "delete_storage = true\nready_timeout = 7\n")
    assert NOTHING in plan(stack)
    apply(stack)
    (record,) = stack.state()["resources"]
    assert (record["attributes"]["delete_storage"], record["attributes"]["ready_timeout"]) == (True, 7)


@contextmanager
def slow_platform() -> Iterator[tuple[str, Platform]]:
    """A platform behind a socket, whose pods are ready an hour after they were asked for."""
    with Store(None) as store, socket.socket(proto=socket.IPPROTO_TCP) as listener:
        slow = Platform(store, options=Options(startup=3600.0))
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(slow.app, lifespan="off", ws="none", log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", slow
        finally:
            server.should_exit = True
            thread.join()


def test_a_service_that_does_not_run_in_time_is_neither_lost_nor_doubled(stack: Project) -> None:
    """With the default it is rolled back; stopped there, it stays managed, and the next plan is empty."""
    with slow_platform() as (url, there):
        stack.write("reconciler.toml", CONFIG.replace('"embedded"', f'"{url}"') + f'api_service = "{url}"\n')
        stack.write("web.toml", STORED + "ready_timeout = 1\n")
        result = stack.run("apply", "--auto-approve")
        assert result.code == 6, result.err
        assert "the service is there and does not run after 1 s" in result.out + result.err
        assert stack.remembered() == {}
        assert service_of(there.store, "web") is None
        result = stack.run("apply", "--auto-approve", "--on-failure", "stop")
        assert result.code == 7
        assert stack.remembered() == {"aenv.service.web": "web"}
        assert NOTHING in plan(stack)
        stack.write("other.toml", STORED.replace("notes-data", "more") + "ready_timeout = 0\n")
        apply(stack)


def test_an_environment_that_is_not_wanted_is_let_go_of(stack: Project) -> None:
    """The plan says that it stays; undo takes it back under management."""
    stack.write("demo.toml", DEMO)
    stack.write("other.toml", DEMO)
    apply(stack)
    (stack.path / "demo.toml").unlink()
    said = plan(stack)
    assert (
        "x aenv.environment.demo: no longer in the specs; the platform deletes nothing: it stays there"
        in said
    )
    assert "0 to destroy, 1 to forget." in said
    apply(stack)
    assert stack.remembered() == {"aenv.environment.other": "other@1.0.0"}
    with platform(stack) as there:
        assert there.read("demo", "1.0.0")["name"] == "demo"
    last = next(one for one in stack.run("history", "--json").events if one["type"] == "run")["id"]
    stack.run("undo", last, "--out", "undo.plan").succeeded()
    stack.run("apply", "undo.plan", "--auto-approve").succeeded()
    assert stack.remembered() == {
        "aenv.environment.demo": "demo@1.0.0",
        "aenv.environment.other": "other@1.0.0",
    }


def test_a_new_version_is_a_new_environment_and_its_service_moves_there(stack: Project) -> None:
    """The old version stays in EnvHub; the service is replaced, its storage kept."""
    stack.write("demo.toml", SERVED)
    apply(stack)
    stack.write("demo.toml", SERVED.replace("1.0.0", "1.1.0"))
    said = plan(stack)
    assert "+ aenv.environment.demo: new" in said
    assert "-/+ aenv.service.demo: environment can only be set at creation" in said
    apply(stack)
    assert NOTHING in plan(stack)
    with platform(stack) as there:
        assert there.keys() == ["demo-1.0.0", "demo-1.1.0"]
    assert stack.remembered()["aenv.environment.demo"] == "demo@1.1.0"


def test_a_release_is_marked_and_final(stack: Project) -> None:
    """Nothing about it changes any more; the way on is another version."""
    stack.write("demo.toml", DEMO)
    apply(stack)
    stack.write("demo.toml", DEMO + "release = true\n")
    said = plan(stack)
    assert '~ status = "Ready" -> "Released"' in said or '+ status = "Released"' in said
    assert "! once its status is Released, nothing about it can be changed" in said
    apply(stack)
    assert NOTHING in plan(stack)
    stack.write("demo.toml", DEMO.replace("demo:1", "demo:2") + "release = true\n")
    said = refused(stack)
    assert "its status is Released, which is final, and the spec differs in image" in said
    assert "Give it another version" in said
    stack.write("demo.toml", DEMO.replace("demo:1", "demo:2").replace("1.0.0", "1.0.1"))
    assert "+ aenv.environment.demo: new" in plan(stack)


def test_a_project_is_followed_by_its_file(stack: Project) -> None:
    """A changed config.json is a changed spec, and another digest; the cache is not asked for it."""
    document = {
        "name": "demo",
        "version": "1.0.0",
        "artifacts": [{"id": "", "type": "image", "content": "registry.example.com/demo:1.0.0"}],
        "deployConfig": {"cpu": "1"},
    }
    stack.write("demo/config.json", json.dumps(document))
    stack.write("demo/demo.toml", 'config = "config.json"\n\n[on.aenv]\n')
    apply(stack)
    assert NOTHING in plan(stack)
    stack.write("demo/config.json", json.dumps({**document, "deployConfig": {"cpu": "2"}}))
    assert '~ deploy_config.cpu = "1" -> "2"' in plan(stack)
    document["deployConfig"] = {"environmentVariables": {"HF_TOKEN": "hf_" + "a1B2" * 9}}
    stack.write("demo/config.json", json.dumps(document))
    said = refused(stack)
    assert "a secret in plain text in a file that this spec names" in said
    assert "hf_a1B2" not in said


def test_a_hand_edit_is_drift(stack: Project) -> None:
    """Of an environment and of a service, each field with its cause."""
    stack.write("demo.toml", SERVED)
    apply(stack)
    with platform(stack) as there:
        there.data("PUT", "/env/demo/1.0.0", {"artifacts": []})
        there.data("PUT", "/env-service/demo", {"replicas": 5})
    assert stack.run("drift").code == 2
    said = plan(stack)
    assert '+ image = "registry.example.com/demo:1"   (drift: changed outside)' in said
    assert "~ replicas = 5 -> 2   (drift: changed outside)" in said
    apply(stack)
    assert NOTHING in plan(stack)


def test_trouble_behind_envhub_never_means_absence(stack: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an outage nor a broken record makes a plan to create what is there."""
    monkeypatch.setattr("reconciler.providers.http._FIRST_WAIT", 0.0)
    stack.write("demo.toml", DEMO)
    apply(stack)
    with platform(stack) as there:
        fail_store(there.store)
    refused(stack)
    with platform(stack) as there:
        fail_store(there.store, fails=False)
        damage(there.store, "demo", "1.0.0")
    assert "GET /env/demo/1.0.0/exists answered 500" in refused(stack)


def test_instances_count_as_what_uses_an_environment(stack: Project) -> None:
    """In `list` and `show`, with the time that they have left; they are never managed."""
    stack.write("demo.toml", SERVED)
    apply(stack)
    with platform(stack) as there:
        there.data("POST", "/env-instance", {"envName": "demo@1.0.0", "ttl": "30m"})
    shown = stack.run("show", "aenv.environment.demo").succeeded().out
    assert "service demo (2 of 2 running)" in shown
    assert "instance demo-" in shown
    rows = json.loads(stack.run("list", "--format", "json").succeeded().out)
    row = next(one for one in rows if one["environment"] == "demo")
    assert len(row["workloads"]) == 2
    assert (row["image"], row["status"]) == ("registry.example.com/demo:1", "in sync")
    assert NOTHING in plan(stack)


def test_two_versions_of_one_environment_are_told_apart_in_the_table(stack: Project) -> None:
    """By a column that only kinds with versions have."""
    stack.write("demo.toml", DEMO)
    stack.write("old.toml", DEMO.replace("1.0.0", "0.9.0") + 'name = "demo"\n')
    apply(stack)
    table = stack.run("list", "--filter", "environment=demo").succeeded().out
    assert [line.split()[:3] for line in table.splitlines()] == [
        ["ENVIRONMENT", "VERSION", "STATUS"],
        ["demo", "1.0.0", "in"],
        ["demo", "0.9.0", "in"],
    ]


def test_a_lost_answer_doubles_nothing(stack: Project) -> None:
    """Of a creation and of an update, of an environment and of a service."""
    rules = ", ".join(
        f'{{ on = "{call}", nth = [1], drop = "after" }}'
        for call in ("POST /env/", "POST /env-service", "PUT /env/*", "PUT /env-service/*")
    )
    stack.write("reconciler.toml", CONFIG + f"faults = [{rules}]\n")
    stack.write("demo.toml", SERVED)
    apply(stack)
    assert NOTHING in plan(stack)
    stack.write("demo.toml", SERVED.replace("demo:1", "demo:2").replace("replicas = 2", "replicas = 3"))
    apply(stack)
    assert NOTHING in plan(stack)
    with platform(stack) as there:
        assert there.keys() == ["demo-1.0.0"]
        assert [one["id"] for one in there.data("GET", "/env-service/demo/list")] == ["demo"]


def test_colliding_keys_are_a_mistake_of_the_specs(stack: Project) -> None:
    """At the version of the later one."""
    stack.write("a.toml", DEMO.replace("1.0.0", "1-2"))
    stack.write("a-1.toml", DEMO.replace("1.0.0", "2"))
    said = refused(stack)
    assert "a@1-2 and a-1@2 (aenv.environment.a-1) have the same key in EnvHub" in said
    assert "on a.toml line 4" in said


# --- export ---


def test_an_environment_is_exported_and_read_again(stack: Project) -> None:
    """What the file says is what the spec says: nothing is to do with it in the spec's place."""
    text = """\
description = "a demo"
tags = ["linux"]
image = "registry.example.com/demo:1"
build_config = { dockerfile = "./Dockerfile" }

[environment_variables]
LEVEL = "info"

[compute]
cpu_cores = 2

[on.aenv]
version = "1.0.0"
"""
    stack.write("reconciler.toml", CONFIG + 'profile = "next"\n')
    stack.write("demo.toml", text)
    apply(stack)
    said = stack.run("export", "aenv.environment.demo", "--format", "aenv").succeeded().out
    assert json.loads(said) == {
        "name": "demo",
        "version": "1.0.0",
        "description": "a demo",
        "tags": ["linux"],
        "status": "Ready",
        "codeUrl": "",
        "artifacts": [{"id": "", "type": "image", "content": "registry.example.com/demo:1"}],
        "buildConfig": {"dockerfile": "./Dockerfile"},
        "testConfig": {},
        "deployConfig": {"cpu": "2", "environmentVariables": {"LEVEL": "info"}},
    }
    out = str(stack.path / "project")
    assert (
        "Wrote"
        in stack.run("export", "aenv.environment.demo", "--format", "aenv", "--out", out).succeeded().out
    )
    assert (stack.path / "project" / "config.json").read_text() == said
    again = stack.run("export", "aenv.environment.demo", "--format", "aenv", "--out", out)
    assert (again.code, "exists already" in again.err) == (1, True)
    stack.write("demo.toml", 'config = "project/config.json"\n\n[on.aenv]\n')
    assert NOTHING in plan(stack)


def test_what_nobody_manages_is_exported_as_it_is(stack: Project) -> None:
    """From the platform; an address that nothing has is said."""
    stack.write("demo.toml", DEMO)
    said = stack.run("export", "aenv.environment.notes", "--format", "aenv", "--json").succeeded().events
    found = json.loads(said[0]["text"])
    assert (said[0]["type"], said[0]["name"]) == ("file", "config.json")
    assert (found["name"], found["deployConfig"]["service"]["storageSize"]) == ("notes", "10Gi")
    for words, why in (
        (("aenv.environment.demos", "--format", "aenv"), "there is no aenv.environment.demos"),
        (("aenv.environment.demo", "--format", "yaml"), "aenv has no format 'yaml'"),
        (("aenv.box.demo", "--format", "aenv"), "aenv has no kind 'box'"),
        (("other.environment.demo", "--format", "aenv"), "there is no platform 'other'"),
    ):
        result = stack.run("export", *words)
        assert why in result.err
        assert result.code == 64
    stack.write("web.toml", STORED)
    assert "a service has no form" in stack.run("export", "aenv.service.web", "--format", "aenv").err


def test_a_platform_without_formats_says_so(project: Project) -> None:
    """Run:ai's tools read no files."""
    project.write("lab.toml", 'image = "python:3.11"\non.runai.scope = "tenant"\n')
    result = project.run("export", "runai.environment.lab", "--format", "aenv")
    assert (result.code, "Formats of its provider: none" in result.err) == (64, True)


def test_a_secret_that_somebody_typed_in_by_hand_is_not_exported(stack: Project) -> None:
    """It would stay in a file."""
    stack.write("demo.toml", DEMO)
    with platform(stack) as there:
        there.add("hand", "1", deployConfig={"environmentVariables": {"HF_TOKEN": "hf_" + "a1B2" * 9}})
    result = stack.run("export", "aenv.environment.hand", "--format", "aenv")
    assert result.code == 1
    assert "deploy_config.environmentVariables.HF_TOKEN" in result.err
    assert "hf_a1B2" not in result.out + result.err
