"""The vendor's api-service client and command line against the embedded api-service: they cannot tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.providers.aenvironment.emulator import Options, service_of, volumes

DEMO = {
    "name": "demo-env",
    "version": "1.2.3",
    "status": "Ready",
    "artifacts": [{"id": "", "type": "image", "content": "registry.example.com/demo-env:1.2.3"}],
}
STORED = {
    "cpu": "2",
    "memory": "4Gi",
    "ephemeralStorage": "6Gi",
    "environmentVariables": {"LEVEL": "info"},
    "service": {
        "replicas": 1,
        "port": 9000,
        "enableStorage": True,
        "storageName": "shelf",
        "storageSize": "10Gi",
        "mountPath": "/data",
    },
}
BORN_INSTANCE, BORN_SERVICE = "terminal-7d3k9q", "notes-svc-x2m4c8"


@pytest.fixture
def served(serve: Callable[..., Any]) -> Any:
    """A platform with an environment."""
    found = serve()
    found.hub("create_environment", meta_data=DEMO)
    return found


class TestClient:
    """Class ``AEnvSchedulerClient``."""

    def test_an_instance_lives_through_every_call(self, served: Any) -> None:
        """Except the list, which this client gets wrong by itself: it wants items where there are none."""
        created = served.scheduler(
            "create_env_instance",
            name="demo-env@1.2.3",
            ttl="30m",
            owner="me",
            environment_variables={"A": "b"},
            labels={"k": "v"},
            arguments=["x"],
        )
        read = served.scheduler("get_env_instance", instance_id=created["id"])
        waited = served.scheduler("wait_for_status", instance_id=created["id"], target_status="Running")
        assert (created["status"], created["env"]["name"], created["env"]["version"]) == (
            "Pending",
            "demo-env",
            "1.2.3",
        )
        assert created["env"]["deploy_config"]["environment_variables"] == {"A": "b"}
        assert (read["id"], read["status"], read["env"]) == (created["id"], "Running", None)
        assert waited == read
        with pytest.raises(Exception, match="must be a mapping"):
            served.scheduler("list_env_instances", pool_name="demo-env")
        deleted = [served.scheduler("delete_env_instance", instance_id=created["id"]) for _ in range(2)]
        assert deleted == [True, False]

    def test_a_service_lives_through_every_call(self, served: Any) -> None:
        """Created, read, listed, changed, scaled to none, deleted twice."""
        created = served.scheduler(
            "create_env_service",
            name="demo-env@1.2.3",
            service_name="web1",
            environment_variables={"A": "b"},
            owner="me",
            pvc_name="shelf",
            mount_path="/data",
            storage_size="10Gi",
            port=9000,
            cpu_request="1",
            memory_limit="3Gi",
        )
        read = served.scheduler("get_env_service", service_id="web1")
        listed = served.scheduler("list_env_services")
        by_name = served.scheduler("list_env_services", env_name="demo-env")
        changed = served.scheduler(
            "update_env_service",
            service_id="web1",
            replicas=2,
            image="registry.example.com/x:2",
            environment_variables={"C": "d"},
        )
        none = served.scheduler("update_env_service", service_id="web1", replicas=0)
        after = served.scheduler("get_env_service", service_id="web1")
        deleted = [
            served.scheduler("delete_env_service", service_id="web1", delete_storage=True) for _ in range(2)
        ]
        assert (created["status"], created["env"]["name"], created["pvc_name"]) == (
            "Creating",
            "demo-env",
            "shelf",
        )
        assert (read["status"], read["available_replicas"], read["environment_variables"]) == (
            "Running",
            1,
            {"A": "b"},
        )
        assert [one["id"] for one in listed] == [BORN_SERVICE, "web1"]
        assert [(one["id"], one["env"]["version"]) for one in by_name] == [("web1", "1.2.3")]
        assert (changed["status"], changed["replicas"], changed["created_at"]) == ("Updating", 2, "")
        assert (none["replicas"], after["status"]) == (0, "Creating")
        assert after["environment_variables"] == {"A": "b", "C": "d"}
        assert deleted == [True, True]
        assert volumes(served.store) == {"notes": "10Gi"}

    @pytest.mark.parametrize(
        ("method", "arguments", "text"),
        [
            ("create_env_instance", {"name": "demo-env"}, "Invalid EnvName format: demo-env"),
            ("create_env_instance", {"name": "nobody@1"}, "Failed to find environment: request failed with"),
            (
                "get_env_instance",
                {"instance_id": "x"},
                "request failed with status: 404, body: failed to get pod",
            ),
            ("get_env_service", {"service_id": "x"}, "status: 404, body: failed to get deployment failed"),
            (
                "create_env_service",
                {"name": "demo-env@1.2.3", "replicas": 2, "storage_size": "1Gi"},
                "status: 400, body: When creating PVC (storageSize specified), replicas must be 1",
            ),
            (
                "create_env_service",
                {"name": "demo-env@1.2.3", "service_name": BORN_SERVICE},
                "status: 409, body: ",
            ),
            (
                "presign_url",
                {"instance_id": "x", "port": 1},
                "Invalid server response: 404 - 404 page not found",
            ),
        ],
    )
    def test_it_understands_our_refusals(
        self, served: Any, method: str, arguments: dict[str, Any], text: str
    ) -> None:
        """As its own EnvironmentError, with our text."""
        with pytest.raises(Exception) as caught:
            served.scheduler(method, **arguments)
        assert caught.value.args[0] == "EnvironmentError"
        assert text in caught.value.args[1]

    def test_the_next_release_answers_presigning(self, serve: Callable[..., Any]) -> None:
        """With a refusal that the client can read."""
        served = serve(Options(profile="next"))
        with pytest.raises(Exception, match="not supported on this engine"):
            served.scheduler("presign_url", instance_id=BORN_INSTANCE, port=1)


def listed(served: Any, what: str) -> list[str]:
    """Ids in a list of the command line."""
    key = "id" if what == "service" else "instance_id"
    found = json.loads(served.aenv(what, "list", "-o", "json"))
    return [one.get(key) or one["id"] for one in found]


class TestCommandLine:
    """Script ``aenv``, which finds an api-service at port 8080 only."""

    def test_a_service_lives_through_every_command(self, served: Any) -> None:
        """Made from a project directory: the command line translates its service block."""
        project: Path = served.home / "project"
        project.mkdir()
        (project / "config.json").write_text(json.dumps({**DEMO, "deployConfig": STORED}))
        served.aenv("service", "create", "-s", "web1", "--enable-storage", "-e", "LEVEL=debug", cwd=project)
        made = service_of(served.store, "web1")
        after_creation = listed(served, "service")
        served.aenv("service", "get", "web1")
        served.aenv(
            "service", "update", "web1", "-r", "3", "--image", "registry.example.com/x:2", "-e", "MODE=fast"
        )
        changed = service_of(served.store, "web1")
        served.aenv("service", "delete", "web1", "--yes")
        assert made is not None
        assert changed is not None
        parts = ("replicas", "port", "pvc_name", "mount_path", "variables")
        assert {part: made[part] for part in parts} == {
            "replicas": 1,
            "port": 9000,
            "pvc_name": "shelf",
            "mount_path": "/data",
            "variables": {"LEVEL": "debug"},
        }
        assert list(made["sizes"].values()) == ["2", "2", "4Gi", "4Gi", "6Gi", "6Gi"]
        assert after_creation == [BORN_SERVICE, "web1"]
        assert (changed["replicas"], changed["image"], changed["variables"]) == (
            3,
            "registry.example.com/x:2",
            {"LEVEL": "debug", "MODE": "fast"},
        )
        assert listed(served, "service") == [BORN_SERVICE]
        assert volumes(served.store) == {"notes": "10Gi", "shelf": "10Gi"}

    def test_an_instance_lives_through_every_command(self, served: Any) -> None:
        """Started and kept, listed, read, deleted."""
        served.aenv("instance", "create", "demo-env@1.2.3", "--keep-alive", "--skip-health", "--ttl", "5m")
        (mine,) = [one for one in listed(served, "instance") if one != BORN_INSTANCE]
        text = served.aenv("instance", "get", mine)
        served.aenv("instance", "delete", mine, "--yes")
        assert mine.startswith("demo-env-")
        assert "Running" in text
        assert listed(served, "instance") == [BORN_INSTANCE]

    def test_what_is_refused_fails(self, served: Any) -> None:
        """With our text and status 1."""
        done = served.run("service", "create", "nobody@1", "-s", "web1")
        assert done.returncode == 1
        assert "Failed to find environment" in done.stdout + done.stderr
