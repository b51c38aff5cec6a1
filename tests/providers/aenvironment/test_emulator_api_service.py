"""The embedded api-service, asked over HTTP inside the process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hubs import START, Platform, error

from reconciler.providers.aenvironment.emulator import Options, fail_store, service_of, volumes
from reconciler.providers.emulator import Fault

DEMO = {"envName": "demo-env@1.2.3"}
SKELETON = {
    "id": "",
    "name": "demo-env",
    "description": "",
    "version": "1.2.3",
    "tags": None,
    "code_url": "",
    "status": 0,
    "artifacts": None,
    "build_config": None,
    "test_config": None,
    "deploy_config": None,
    "created_at": "0001-01-01T00:00:00Z",
    "updated_at": "0001-01-01T00:00:00Z",
}
BORN_INSTANCE, BORN_SERVICE = "terminal-7d3k9q", "notes-svc-x2m4c8"


@pytest.fixture
def slow(new_platform: Callable[..., Platform]) -> Platform:
    """Pods take ten seconds."""
    platform = new_platform(options=Options(startup=10))
    platform.add()
    return platform


def ids(platform: Platform, what: str, selection: str = "*", **query: str) -> list[str]:
    """Ids in a list of instances or services."""
    return [one["id"] for one in platform.data("GET", f"/env-{what}/{selection}/list", params=query)]


def start(platform: Platform, **more: Any) -> str:
    """A new instance's id."""
    return str(platform.data("POST", "/env-instance", {**DEMO, **more})["id"])


def serve(platform: Platform, name: str = "web1", **more: Any) -> dict[str, Any]:
    """A new service's answer."""
    return dict(platform.data("POST", "/env-service", {**DEMO, "service_name": name, **more}))


class TestInstances:
    """Created, read, listed, deleted, and over after a while."""

    def test_each_call_sees_something_else_of_it(self, slow: Platform) -> None:
        """Creation knows the environment, a read the time to live, a list the times."""
        request = {
            **DEMO,
            "environment_variables": {"A": "b"},
            "ttl": "30m",
            "owner": "me",
            "labels": {"k": "v"},
        }
        created = slow.data("POST", "/env-instance", request)
        pending = slow.data("GET", "/env-instance/demo-env-000003")
        slow.wait(10)
        running = slow.data("GET", "/env-instance/demo-env-000003")
        listed = slow.data("GET", "/env-instance/demo-env/list")
        config = {"environment_variables": {"A": "b"}, "labels": {"k": "v"}, "owner": "me", "ttl": "30m"}
        assert created == {
            "id": "demo-env-000003",
            "env": {**slow.read(), "deploy_config": config},
            "status": "Pending",
            "created_at": "",
            "updated_at": "",
            "ip": "",
            "ttl": "",
            "owner": "me",
        }
        common = {"id": "demo-env-000003", "ttl": "30m", "owner": "me"}
        none = {"env": None, "created_at": "", "updated_at": ""}
        assert pending == {**common, **none, "status": "Pending", "ip": ""}
        assert running == {**common, **none, "status": "Running", "ip": running["ip"]}
        assert running["ip"].startswith("10.")
        times = {"created_at": "2026-03-16T05:13:06Z", "updated_at": "2026-03-16T05:13:16Z"}
        assert listed == [{**running, **times, "env": SKELETON}]
        assert slow.read()["deploy_config"] is None

    def test_its_end_is_told_once(self, slow: Platform) -> None:
        """Not found is 500, recognised by its text; deleting again is not harmless."""
        one = start(slow)
        assert slow.data("DELETE", f"/env-instance/{one}") == "Deleted successfully"
        for method, doing in (("GET", "query"), ("DELETE", "delete")):
            status, body = slow.ask(method, f"/env-instance/{one}")
            assert status == body["code"] == 500
            assert body["message"].startswith(f"Failed to {doing}: request failed with status: 404, body: ")
            assert f'pods "{one}" not found' in body["message"]
        assert ids(slow, "instance") == [BORN_INSTANCE]

    @pytest.mark.parametrize(
        ("ttl", "end"),
        [
            ("30m", 1800),
            ("1h30m", 5400),
            ("1.5s", 300),
            ("5m1s", 600),
            ("", None),
            ("0", 0),
            ("soon", None),
            ("30", None),
            ("-1m", 0),
        ],
    )
    def test_it_goes_at_the_first_look_after_its_time(
        self, slow: Platform, ttl: str, end: float | None
    ) -> None:
        """A look every five minutes, on the clock; what is no duration never ends."""
        slow.now = START.replace(hour=0, minute=0, second=0, microsecond=0)
        midnight = slow.now
        one = start(slow, ttl=ttl)
        seen = []
        for moment in (0, 299, 300, 599, 600, 1799, 1800, 5399, 5400, 10_000_000):
            slow.now = midnight + timedelta(seconds=moment)
            is_listed = one in ids(slow, "instance")
            assert is_listed == (slow.send("GET", f"/env-instance/{one}").status_code == 200)
            seen.append((moment, is_listed))
        assert seen == [(moment, end is None or moment < end) for moment, _ in seen]

    def test_the_environment_gives_what_the_request_leaves_out(self, platform: Platform) -> None:
        """Under the same keys; an empty value of the request counts as left out."""
        stored = {
            "ttl": "5m",
            "owner": "ada",
            "environment_variables": {"A": "1"},
            "arguments": ["x"],
            "cpu": 2,
        }
        platform.add(deployConfig=stored)
        kept = platform.data("POST", "/env-instance", {**DEMO, "ttl": "", "environment_variables": {}})
        changed = platform.data("POST", "/env-instance", {**DEMO, "owner": "me", "arguments": ["y"]})
        assert (kept["env"]["deploy_config"], kept["owner"]) == (stored, "ada")
        assert changed["env"]["deploy_config"] == {**stored, "owner": "me", "arguments": ["y"]}
        assert platform.data("GET", f"/env-instance/{kept['id']}")["ttl"] == "5m"

    @pytest.mark.parametrize(
        ("prefix", "source", "image", "next_image"),
        [
            ("r.example.com/x", "7", "r.example.com/x:7", "r.example.com/x:7"),
            ("", "7", ":7", ":7"),
            (None, "7", "docker.io/library/aenv:7", "docker.io/library/aenv:7"),
            (3, "7", "docker.io/library/aenv:7", "docker.io/library/aenv:7"),
            (
                "r.example.com/x",
                "r.example.com/y:7",
                "r.example.com/x:r.example.com/y:7",
                "r.example.com/y:7",
            ),
            ("r.example.com/x:", "7", "r.example.com/x::7", "r.example.com/x::7"),
        ],
    )
    def test_a_data_source_makes_a_second_image(
        self,
        platform: Platform,
        next_platform: Platform,
        prefix: Any,
        source: str,
        image: str,
        next_image: str,
    ) -> None:
        """The next release uses complete references alone."""
        made = []
        for one in (platform, next_platform):
            one.add(deployConfig={"imagePrefix": prefix})
            answer = one.data("POST", "/env-instance", {**DEMO, "datasource": source})
            assert answer["env"]["deploy_config"]["dataSource"] == source
            made.append(answer["env"]["deploy_config"]["secondImageName"])
        assert made == [image, next_image]

    @pytest.mark.parametrize(
        "config",
        [
            {"podTemplate": "DualContainer"},
            {"podTemplate": "missing"},
            {"ttl": 30},
            {"owner": True},
            {"secondImageName": 1},
            {"environment_variables": {"A": 1}},
        ],
    )
    def test_a_configuration_that_breaks_the_controller(self, platform: Platform, config: Any) -> None:
        """Template names are file names; some keys must be strings."""
        platform.add(deployConfig=config)
        answer = platform.ask("POST", "/env-instance", DEMO)
        assert answer == error(500, "Failed to create: request failed with status: 500, body: ")
        assert ids(platform, "instance") == [BORN_INSTANCE]

    @pytest.mark.parametrize(
        ("name", "version", "more", "complaint"),
        [
            ("demo", "1+x", {}, "metadata.labels"),
            ("x" * 64, "1", {}, "metadata.labels"),
            ("Demo", "1", {}, "metadata.name"),
            ("demo", "1", {"artifacts": []}, "image: Required value"),
            ("demo", "1", {"artifacts": [{"type": "Image", "content": "x"}]}, "image: Required value"),
        ],
    )
    def test_what_kubernetes_refuses(
        self, platform: Platform, name: str, version: str, more: Any, complaint: str
    ) -> None:
        """EnvHub took it all the same."""
        platform.add(name, version, **more)
        for path in ("/env-instance", "/env-service"):
            status, body = platform.ask("POST", path, {"envName": f"{name}@{version}"})
            assert status == 500
            assert complaint in body["message"]

    def test_the_list_takes_a_name_and_ignores_the_version(self, platform: Platform) -> None:
        """With an asterisk the name may come in the query; nothing is paged; none is an empty list."""
        platform.add()
        one = start(platform)
        assert ids(platform, "instance") == [one, BORN_INSTANCE]
        assert ids(platform, "instance", "demo-env@9.9.9") == [one]
        assert ids(platform, "instance", "*", envName="terminal@1", limit="1") == [BORN_INSTANCE]
        assert ids(platform, "instance", "nobody") == []
        status, body = platform.ask("GET", "/env-instance/list")
        assert (status, 'pods "list" not found' in body["message"]) == (500, True)

    def test_the_next_release_takes_more_and_knows_presigning(
        self, platform: Platform, next_platform: Platform
    ) -> None:
        """Which the engine does not support; before, there is no such path."""
        for one, status in ((platform, 200), (next_platform, 400)):
            one.add()
            assert one.ask("POST", "/env-instance", {**DEMO, "mount_points": 1})[0] == status
        points = {"mount_points": [{"id": "x"}, None], "init_command": "true"}
        path = f"/env-instance/{start(next_platform, **points)}/presign-url"
        unsupported = error(501, "not supported on this engine (k8s): presign URL")
        assert next_platform.ask("POST", path, {"port": 1}) == unsupported
        assert platform.send("POST", path, json={"port": 1}).text == "404 page not found"


class TestServices:
    """Deployments with an address."""

    def test_each_call_sees_something_else_of_it(self, slow: Platform) -> None:
        """The environment is in one answer, the variables are in another."""
        created = serve(slow, environment_variables={"A": "b"}, owner="me", port=8081, storage_size="10Gi")
        starting = slow.data("GET", "/env-service/web1")
        slow.wait(10)
        running = slow.data("GET", "/env-service/web1")
        listed = slow.data("GET", "/env-service/demo-env@1.2.3/list")
        assert created == {
            "id": "web1",
            "env": slow.read(),
            "status": "Creating",
            "created_at": "2026-03-16 05:13:06",
            "updated_at": "2026-03-16 05:13:06",
            "replicas": 1,
            "available_replicas": 0,
            "service_url": "web1.aenv-sandbox.svc.cluster.local:8081",
            "owner": "me",
            "environment_variables": None,
            "pvc_name": "demo-env",
        }
        assert starting == {**created, "env": None, "environment_variables": {"A": "b"}}
        assert running == {**starting, "status": "Running", "available_replicas": 1}
        assert listed == [{**running, "env": SKELETON}]

    def test_what_the_request_leaves_out_the_environment_says_or_the_server(self, platform: Platform) -> None:
        """At the top of its configuration only: neither the service block nor cpu and memory are read."""
        platform.add(
            deployConfig={
                "cpu": "8",
                "memory": "64Gi",
                "environmentVariables": {"NOT": "read"},
                "service": {"replicas": 3, "port": 9, "storageSize": "1Gi"},
            }
        )
        stored = {
            "serviceName": "kept",
            "port": 9000,
            "storageSize": "5Gi",
            "pvcName": "shelf",
            "mountPath": "/data",
            "cpuRequest": "2",
            "cpuLimit": "3",
            "memoryRequest": "4Gi",
            "memoryLimit": "5Gi",
            "ephemeralStorageRequest": "6Gi",
            "ephemeralStorageLimit": "7Gi",
            "environment_variables": {"A": "1"},
            "owner": "ada",
            "replicas": 4,
        }
        platform.add("full", "1", deployConfig=stored)
        plain = platform.data("POST", "/env-service", DEMO)
        full = platform.data("POST", "/env-service", {"envName": "full@1", "replicas": 0})
        known = service_of(platform.store, plain["id"])
        filled = service_of(platform.store, "kept")
        assert known is not None
        assert filled is not None
        assert (plain["id"], plain["replicas"], plain["service_url"][-5:]) == (
            "demo-env-svc-000003",
            1,
            ":8080",
        )
        assert (plain["pvc_name"], known["variables"], plain["owner"]) == ("", {}, "")
        assert list(known["sizes"].values()) == ["1", "1", "2Gi", "2Gi", "10Gi", "10Gi"]
        assert (full["id"], full["replicas"], full["owner"]) == ("kept", 1, "ada")
        assert (full["service_url"][-5:], full["pvc_name"], filled["mount_path"]) == (
            ":9000",
            "shelf",
            "/data",
        )
        assert list(filled["sizes"].values()) == ["2", "3", "4Gi", "5Gi", "6Gi", "7Gi"]
        assert filled["variables"] == {"A": "1"}
        assert volumes(platform.store) == {"notes": "10Gi", "shelf": "5Gi"}

    @pytest.mark.parametrize(
        ("more", "status", "text"),
        [
            ({"service_name": "notes-svc-x2m4c8"}, 409, "already exists"),
            (
                {"replicas": 2, "storage_size": "1Gi"},
                400,
                "When creating PVC (storageSize specified), replicas must be 1",
            ),
            ({"service_name": "1web"}, 500, "DNS-1035"),
            ({"service_name": "x" * 64}, 500, "DNS-1035"),
            ({"replicas": -1}, 500, "spec.replicas"),
            ({"port": 70000}, 500, "spec.ports[0].port"),
            ({"storage_size": "ten"}, 500, "quantities must match"),
            ({"memory_limit": "2GiB"}, 500, "quantities must match"),
            ({"environment_variables": {"a b": "x"}}, 500, "spec.containers[0].env"),
        ],
    )
    def test_every_refusal_of_the_controller_is_500(
        self, platform: Platform, more: Any, status: int, text: str
    ) -> None:
        """With its own status in the text; nothing is left behind."""
        platform.add()
        answer, body = platform.ask("POST", "/env-service", {**DEMO, **more})
        begin = f"Failed to create service: request failed with status: {status}, body: "
        assert (answer, body["code"], body["data"]) == (500, 500, None)
        assert body["message"].startswith(begin)
        assert text in body["message"]
        assert ids(platform, "service") == [BORN_SERVICE]
        assert volumes(platform.store) == {"notes": "10Gi"}

    def test_three_things_can_change(self, slow: Platform) -> None:
        """The answer to a change lacks what the change did not touch, and says Updating."""
        serve(slow, environment_variables={"A": "1", "B": "2"}, owner="me", storage_size="1Gi")
        slow.wait(60)
        changes = {
            "replicas": 3,
            "image": "registry.example.com/x:2",
            "environment_variables": {"B": "3", "C": ""},
        }
        answer = slow.data("PUT", "/env-service/web1", changes)
        after = slow.data("GET", "/env-service/web1")
        slow.wait(10)
        settled = slow.data("GET", "/env-service/web1")
        assert answer == {
            "id": "web1",
            "env": None,
            "status": "Updating",
            "created_at": "",
            "updated_at": "2026-03-16 05:14:06",
            "replicas": 3,
            "available_replicas": 1,
            "service_url": "web1.aenv-sandbox.svc.cluster.local:8080",
            "owner": "me",
            "environment_variables": None,
            "pvc_name": "",
        }
        assert after == {
            **answer,
            "created_at": "2026-03-16 05:13:06",
            "environment_variables": {"A": "1", "B": "3", "C": ""},
            "pvc_name": "demo-env",
        }
        assert settled == {**after, "status": "Running", "available_replicas": 3}
        known = service_of(slow.store, "web1")
        assert known is not None
        assert known["image"] == "registry.example.com/x:2"

    def test_nothing_else_changes_and_nothing_empty_does(self, platform: Platform) -> None:
        """Other keys are not known, null and an empty image mean no change; the last variable stays."""
        platform.add()
        before = serve(platform, environment_variables={"A": "1"})
        sent = {
            "replicas": None,
            "image": "",
            "environment_variables": {},
            "port": 1,
            "owner": "x",
            "pvc_name": "y",
        }
        platform.data("PUT", "/env-service/web1", sent)
        after = platform.data("GET", "/env-service/web1")
        assert (after["replicas"], after["service_url"], after["owner"], after["pvc_name"]) == (
            1,
            before["service_url"],
            "",
            "",
        )
        assert after["environment_variables"] == {"A": "1"}
        known = service_of(platform.store, "web1")
        assert known is not None
        assert known["image"] == "registry.example.com/demo-env:1.2.3"

    def test_what_is_scaled_to_none_is_creating_for_ever(self, slow: Platform) -> None:
        """Fewer pods are there at once, more after a while."""
        serve(slow)
        seen = []
        for replicas in (None, 2, 0, 1):
            if replicas is not None:
                slow.data("PUT", "/env-service/web1", {"replicas": replicas})
            for seconds in (0, 10, 1000):
                slow.wait(seconds)
                found = slow.data("GET", "/env-service/web1")
                seen.append((found["replicas"], found["available_replicas"], found["status"]))
        assert seen == [
            *[(1, 0, "Creating"), (1, 1, "Running"), (1, 1, "Running")],
            *[(2, 1, "Updating"), (2, 2, "Running"), (2, 2, "Running")],
            *[(0, 0, "Creating"), (0, 0, "Creating"), (0, 0, "Creating")],
            *[(1, 0, "Creating"), (1, 1, "Running"), (1, 1, "Running")],
        ]

    def test_more_replicas_with_storage_are_refused_at_creation_only(self, platform: Platform) -> None:
        """A change does not look."""
        platform.add()
        serve(platform, storage_size="1Gi")
        assert platform.data("PUT", "/env-service/web1", {"replicas": 2})["replicas"] == 2

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"replicas": -1}, "Failed to update service: request failed with status: 500, body: "),
            (
                {"environment_variables": {"": "x"}},
                "Failed to update service: request failed with status: 500",
            ),
        ],
    )
    def test_a_change_can_be_refused(self, platform: Platform, body: Any, message: str) -> None:
        """And a wrong type is 400."""
        status, told = platform.ask("PUT", f"/env-service/{BORN_SERVICE}", body)
        assert (status, told["message"][: len(message)]) == (500, message)
        for replicas, shape in ((1.5, "number 1.5"), (2**31, "number 2147483648"), ("1", "string")):
            answer = platform.ask("PUT", f"/env-service/{BORN_SERVICE}", {"replicas": replicas})
            assert answer == error(
                400,
                f"Invalid request parameters: json: cannot unmarshal {shape} into Go struct field "
                "UpdateEnvServiceRequest.replicas of type int32",
            )

    def test_a_service_that_is_not_there(self, platform: Platform) -> None:
        """Reading and changing are 500; deleting is a success, again and again."""
        missing = 'deployments.apps "x" not found'
        for method, doing in (("GET", "query service"), ("PUT", "update service")):
            answer = platform.ask(method, "/env-service/x", {} if method == "PUT" else None)
            said = f"request failed with status: 404, body: failed to get deployment failed: err is {missing}"
            assert answer == error(500, f"Failed to {doing}: {said}")
        assert platform.data("DELETE", "/env-service/x") == "Deleted successfully"

    def test_a_volume_outlives_its_service(self, platform: Platform) -> None:
        """The next one takes it as it is; it goes only with a service that mounts it."""
        platform.add()
        seen = []

        def note() -> None:
            seen.append(volumes(platform.store).get("shelf"))

        serve(platform, pvc_name="shelf", storage_size="10Gi")
        note()
        platform.data("DELETE", "/env-service/web1")
        platform.data("DELETE", "/env-service/web1?deleteStorage=true")
        note()
        serve(platform, pvc_name="shelf", storage_size="99Gi")
        note()
        serve(platform, "web2", pvc_name="shelf")
        platform.data("DELETE", "/env-service/web2?deleteStorage=true")
        note()
        platform.data("DELETE", "/env-service/web1?deleteStorage=True")
        note()
        serve(platform, pvc_name="shelf", storage_size="7Gi")
        platform.data("DELETE", "/env-service/web1?deleteStorage=true")
        note()
        assert seen == ["10Gi", "10Gi", "10Gi", "10Gi", "10Gi", None]

    def test_the_template_brings_variables_of_its_own(self, new_platform: Callable[..., Platform]) -> None:
        """They are read back among those of the service."""
        platform = new_platform(options=Options(template_variables={"TZ": "UTC", "A": "0"}))
        platform.add()
        serve(platform, environment_variables={"A": "1"})
        assert platform.data("GET", "/env-service/web1")["environment_variables"] == {"TZ": "UTC", "A": "1"}

    def test_the_stock_chart_has_no_services(self, new_platform: Callable[..., Platform]) -> None:
        """Every call about one fails."""
        platform = new_platform(options=Options(services=False))
        platform.add()
        calls = [
            ("POST", "/env-service"),
            ("GET", f"/env-service/{BORN_SERVICE}"),
            ("PUT", f"/env-service/{BORN_SERVICE}"),
            ("DELETE", f"/env-service/{BORN_SERVICE}"),
            ("GET", "/env-service/*/list"),
        ]
        assert [platform.ask(method, path, DEMO)[0] for method, path in calls] == [500] * 5
        assert start(platform) in ids(platform, "instance")


class TestBoth:
    """What instances and services share."""

    @pytest.mark.parametrize("path", ["/env-instance", "/env-service"])
    @pytest.mark.parametrize(
        ("body", "status", "message"),
        [
            ("", 400, "Invalid request parameters: EOF"),
            (
                '{"envName":1}',
                400,
                "Invalid request parameters: json: cannot unmarshal number into Go struct ",
            ),
            (
                "{}",
                400,
                "Invalid request parameters: Key: 'EnvName' Error:Field validation for 'EnvName' failed",
            ),
            ('{"envName":"terminal"}', 400, "Invalid EnvName format: terminal"),
            ('{"envName":"terminal@"}', 400, "Invalid EnvName format: terminal@"),
            ('{"envName":"a@b@c"}', 400, "Invalid EnvName format: a@b@c"),
            (
                '{"envName":"nobody@1"}',
                500,
                "Failed to find environment: request failed with status: 404, body: "
                '{"success":false,"code":404,"message":"Environment not found","data":null}',
            ),
        ],
    )
    def test_an_environment_has_to_be_named(
        self, platform: Platform, path: str, body: str, status: int, message: str
    ) -> None:
        """As name@version; that it is unknown is 500."""
        answer, told = platform.ask("POST", path, content=body)
        assert (answer, told["message"][: len(message)]) == (status, message)

    def test_an_outage_of_the_hub_looks_like_an_unknown_environment(self, platform: Platform) -> None:
        """What runs, runs on."""
        fail_store(platform.store)
        status, body = platform.ask("POST", "/env-instance", {"envName": "terminal@1.0.0"})
        assert (status, "status: 404" in body["message"]) == (500, True)
        assert ids(platform, "instance") == [BORN_INSTANCE]

    @pytest.mark.parametrize(
        ("method", "path", "status", "location"),
        [
            ("GET", "/env-service/*/list/?envName=x", 301, "/env-service/%2A/list?envName=x"),
            ("POST", "/env-instance/", 307, "/env-instance"),
            ("DELETE", "/env-service/x/?deleteStorage=true", 307, "/env-service/x?deleteStorage=true"),
        ],
    )
    def test_a_slash_too_many_is_redirected(
        self, next_platform: Platform, method: str, path: str, status: int, location: str
    ) -> None:
        """By this server in the next release, too."""
        answer = next_platform.send(method, path)
        assert (answer.status_code, answer.headers["location"]) == (status, location)

    def test_tokens_are_asked_for_when_they_are_enabled(self, new_platform: Callable[..., Platform]) -> None:
        """As released, no token is good: EnvHub cannot be asked about one. EnvHub itself asks for none."""
        path = "/env-instance/*/list"

        def told(platform: Platform, **headers: str) -> Any:
            status, body = platform.ask("GET", path, headers=headers)
            return status if status == 200 else body["message"]

        released = new_platform(options=Options(tokens=()))
        patched = new_platform(options=Options(tokens=("t1", "t2")))
        assert [
            told(released),
            told(released, authorization="Basic t1"),
            told(released, authorization="Bearer t1"),
            told(patched, authorization="Bearer t3"),
            told(patched, authorization="Bearer t2"),
        ] == [
            "Missing Authorization header",
            "Authorization header format should be Bearer <token>",
            "Token validation failed: request failed with status: 404, body: 404 page not found",
            "Invalid token",
            200,
        ]
        calls = [
            ("POST", "/env-instance"),
            ("DELETE", "/env-instance/x"),
            ("POST", "/env-service"),
            ("PUT", "/env-service/x"),
            ("DELETE", "/env-service/x"),
        ]
        assert [released.ask(method, path)[0] for method, path in calls] == [401] * 5
        assert released.data("GET", "/env/terminal/1.0.0")["name"] == "terminal"

    def test_creations_are_limited(self, new_platform: Callable[..., Platform]) -> None:
        """So many a second, of both kinds together; nothing else is counted."""
        platform = new_platform(options=Options(qps=3))
        platform.add()

        def burst() -> list[int]:
            paths = ("/env-instance", "/env-service") * 2
            statuses = [platform.ask("POST", path, DEMO)[0] for path in paths]
            return [*statuses, platform.ask("GET", "/env-service/*/list")[0]]

        first = burst()
        again = burst()
        platform.wait(0.7)
        later = burst()
        assert first == [200, 200, 200, 429, 200]
        assert again == [429] * 4 + [200]
        assert later == [200, 200, 429, 429, 200]
        assert platform.ask("POST", "/env-service", DEMO) == error(429, "Too many requests")

    def test_lists_can_lag_and_be_cut_short(self, new_platform: Callable[..., Platform]) -> None:
        """What was deleted is still shown, what is new is not; the last are missing."""
        faults = [
            Fault("GET /env-*/list", nth=(1, 2), lag=5),
            Fault("GET /env-*/list", nth=(3, 4), hide=1),
        ]
        platform = new_platform(faults=faults)
        platform.add()
        platform.wait(10)
        one = start(platform)
        serve(platform)
        platform.data("DELETE", f"/env-instance/{BORN_INSTANCE}")
        platform.data("DELETE", f"/env-service/{BORN_SERVICE}")
        seen = [ids(platform, what) for what in ("instance", "service") * 3]
        assert seen == [[BORN_INSTANCE], [BORN_SERVICE], [], [], [one], ["web1"]]

    def test_the_two_servers_can_stand_apart(self, platform: Platform) -> None:
        """Each knows its own paths only, and they are one platform."""
        hub, api_service = (Platform(platform.store, part=part) for part in ("hub", "api-service"))
        hub.add()
        created = start(api_service)
        paths = ("/env/demo-env/1.2.3", "/health", f"/env-instance/{created}", "/env-service/*/list")
        assert [hub.send("GET", path).status_code for path in paths] == [200, 200, 404, 404]
        assert [api_service.send("GET", path).status_code for path in paths] == [404, 404, 200, 200]

    def test_it_is_born_with_things_that_nobody_manages(self, platform: Platform) -> None:
        """An instance that runs on, and a service with a volume."""
        instance = platform.data("GET", f"/env-instance/{BORN_INSTANCE}")
        service = platform.data("GET", f"/env-service/{BORN_SERVICE}")
        platform.wait(1_000_000)
        assert (instance["status"], instance["ttl"]) == ("Running", "")
        assert (service["status"], service["pvc_name"], service["owner"]) == ("Running", "notes", "grace")
        assert ids(platform, "instance") == [BORN_INSTANCE]
