"""The v1 environment service: definitions in their older form, images, builds and their logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.providers.azureml.emulator import Options

WS = (
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/embedded"
    "/providers/Microsoft.MachineLearningServices/workspaces/embedded"
)
EMS = f"/environment/v1.0{WS}/environments"
EMS2 = f"/environment/v2.0{WS}/environments"
CONDA = {"name": "x", "dependencies": ["python=3.8.13", {"pip": ["azureml-defaults"]}]}
DEFINITION = {
    "Name": "env",
    "EnvironmentVariables": {"A": "1"},
    "python": {"userManagedDependencies": False, "interpreterPath": "python", "condaDependencies": CONDA},
    "Docker": {
        "baseImage": "images.example.com/base:1",
        "baseImageRegistry": {"address": "images.example.com", "username": "u", "password": "s3cr3t"},
    },
    "Spark": {"repositories": [], "packages": [], "precachePackages": True},
    "InferencingStackVersion": None,
    "r": None,
}


def call(platform: Any, method: str, path: str, json: Any = None) -> tuple[int, Any]:
    """A call without a version of the API, which this service does not want."""
    response = platform.send(method, path, **({} if json is None else {"json": json}))
    return response.status_code, response.json() if response.content else None


def test_the_hosts_are_found_by_the_workspace(platform: Any) -> None:
    """Nobody has to sign in for that."""
    url = platform.ask("GET", "")[1]["properties"]["discoveryUrl"]
    services = platform.send("GET", url, token="").json()
    assert services["experimentation"] == services["history"] == "https://azureml"


def test_what_v2_made_is_read_in_the_older_form(platform: Any) -> None:
    """By version, by label and without either; every key is there."""
    platform.make("env", condaFile="name: x\ndependencies: [pip]")
    platform.make("env", "2", image=None, build={"contextUri": "https://x.example.com/c/"})
    status, first = call(platform, "GET", f"{EMS}/env/versions/1")
    assert (status, first["version"], first["docker"]["baseImage"], first["python"]["condaDependencies"]) == (
        200,
        "1",
        "example.com/base:1",
        {"name": "x", "dependencies": ["pip"]},
    )
    assert sorted(first) == [
        "assetId",
        "databricks",
        "docker",
        "environmentVariables",
        "inferencingStackVersion",
        "name",
        "python",
        "r",
        "spark",
        "version",
    ]
    _, second = call(platform, "GET", f"{EMS}/env/versions/2")
    assert second["docker"]["buildContext"] == {
        "locationType": "storageAccount",
        "location": "https://x.example.com/c/",
        "dockerfilePath": "Dockerfile",
    }
    assert second["python"]["userManagedDependencies"] is True
    assert (
        call(platform, "GET", f"{EMS}/env")
        == call(platform, "GET", f"{EMS}/env/labels/latest")
        == (200, second)
    )


def test_what_is_registered_is_read_by_both(platform: Any) -> None:
    """Keys come in either case; the password of a registry is not kept."""
    status, made = call(platform, "PUT", f"{EMS}/env", DEFINITION)
    assert (status, made["version"], made["environmentVariables"]) == (200, "1", {"A": "1"})
    assert made["docker"]["baseImageRegistry"]["password"] is None
    assert call(platform, "GET", f"{EMS}/env/versions/1") == (200, made)
    _, version = platform.ask("GET", "environments/env/versions/1")
    assert (version["properties"]["image"], '"python=3.8.13"' in version["properties"]["condaFile"]) == (
        "images.example.com/base:1",
        True,
    )


def test_registering_the_same_again_makes_nothing(platform: Any) -> None:
    """Another definition is the next version; under a version that is taken it is a conflict."""
    other = {**DEFINITION, "EnvironmentVariables": {"A": "2"}}
    assert call(platform, "PUT", f"{EMS}/env", DEFINITION)[1]["version"] == "1"
    assert call(platform, "PUT", f"{EMS}/env", DEFINITION)[1]["version"] == "1"
    assert call(platform, "PUT", f"{EMS}/env", other)[1]["version"] == "2"
    assert call(platform, "PUT", f"{EMS}/env", DEFINITION)[1]["version"] == "1"
    assert call(platform, "PUT", f"{EMS}/env/versions/2", other)[0] == 200
    assert call(platform, "PUT", f"{EMS}/env/versions/2", DEFINITION)[0] == 409
    assert call(platform, "PUT", f"{EMS}/env/versions/mine", DEFINITION)[1]["version"] == "mine"
    assert platform.names("environments/env/versions") == ["mine", "2", "1"]


@pytest.mark.parametrize(
    ("docker", "python", "expected"),
    [
        ({"baseImage": "a"}, {"userManagedDependencies": True}, ("a", "", None)),
        (
            {
                "buildContext": {
                    "locationType": "git",
                    "location": "https://git.example.com/x",
                    "dockerfilePath": "D",
                }
            },
            {},
            (None, "", {"contextUri": "https://git.example.com/x", "dockerfilePath": "D"}),
        ),
    ],
)
def test_each_kind_of_base_has_its_place_in_v2(
    platform: Any, docker: dict[str, Any], python: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """An image alone, a context."""
    body = {"python": {"condaDependencies": CONDA, **python}, "docker": docker}
    assert call(platform, "PUT", f"{EMS}/env", body)[0] == 200
    properties = platform.ask("GET", "environments/env/versions/1")[1]["properties"]
    assert (properties.get("image"), properties["condaFile"], properties.get("build")) == expected


def test_a_dockerfile_becomes_a_context_that_can_be_built(platform: Any) -> None:
    """Its text is put where contexts are."""
    body = {"docker": {"baseDockerfile": "FROM x"}, "python": {"condaDependencies": CONDA}}
    assert call(platform, "PUT", f"{EMS}/env", body)[1]["docker"]["baseDockerfile"] == "FROM x"
    build = platform.ask("GET", "environments/env/versions/1")[1]["properties"]["build"]
    assert "/azureml/DockerBuildContext/" in build["contextUri"]
    platform.wait(0.5)
    assert call(platform, "GET", f"{EMS}/env/versions/1/image")[1]["imageExistsInRegistry"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"docker": {"baseImage": "a", "baseDockerfile": "FROM x"}},
        {"docker": {}},
        {"docker": [1]},
        [],
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(platform: Any, body: Any) -> None:
    """400, in the shape of this service."""
    status, answer = call(platform, "PUT", f"{EMS}/env", body)
    assert (status, answer["error"]["code"], answer["componentName"]) == (400, "UserError", "environment")
    assert sorted(answer) == ["componentName", "correlation", "environment", "error", "location", "time"]


def test_a_list_has_the_latest_of_each_name_in_pages(new_platform: Callable[..., Any]) -> None:
    """Whole definitions; the token of the last page is null."""
    platform = new_platform(options=Options(page_size=4))
    for name in ("b", "a"):
        platform.make(name)
        platform.make(name, "2", image="example.com/base:2")
    _, first = call(platform, "GET", f"{EMS}/")
    _, second = call(platform, "GET", f"{EMS}/?continuation={first['continuationToken']}")
    names = [(one["name"], one["version"]) for one in first["value"] + second["value"]]
    assert names == [
        ("AzureML-acpt-pytorch-2.2-cuda12.1", "32"),
        ("AzureML-minimal-ubuntu20.04-py38-cpu-inference", "10"),
        ("AzureML-sklearn-0.24-ubuntu18.04-py37-cpu", "1"),
        ("a", "2"),
        ("b", "2"),
    ]
    assert second["continuationToken"] is None


def test_a_version_can_have_labels(platform: Any) -> None:
    """They can move."""
    for number in ("1", "2"):
        platform.make("env", number, image=f"example.com/base:{number}")
        assert call(platform, "PUT", f"{EMS}/env/versions/{number}/metadata", {"Labels": ["Prod"]})[0] == 200
    assert call(platform, "GET", f"{EMS}/env/labels/Prod")[1]["version"] == "2"
    assert call(platform, "GET", f"{EMS}/env/labels/Test")[0] == 404
    assert call(platform, "GET", f"{EMS}/nothing")[0] == 404


class TestImages:
    def test_a_plain_image_is_itself(self, platform: Any) -> None:
        """There is nothing to build, and no registry to sign in to."""
        platform.make("env")
        status, details = call(platform, "GET", f"{EMS}/env/versions/1/image")
        assert (status, details["dockerImage"]["name"], details["dockerImage"]["registry"]["address"]) == (
            200,
            "example.com/base:1",
            None,
        )
        assert details["imageExistsInRegistry"] is True
        assert call(platform, "POST", f"{EMS2}/env/versions/1/image", {})[0] == 400

    def test_twins_share_an_image(self, platform: Any) -> None:
        """Whatever their names are; built once, built for both."""
        for name in ("one", "two"):
            platform.make(name, condaFile="dependencies: [pip]")
        platform.make("other", condaFile="dependencies: [pip, numpy]")
        names = {}
        for name in ("one", "two", "other"):
            _, details = call(platform, "GET", f"{EMS}/{name}/versions/1/image")
            assert details["imageExistsInRegistry"] is False
            names[name] = details["dockerImage"]["name"]
        assert names["one"] == names["two"] != names["other"]
        assert names["one"].startswith("azureml/azureml_")
        assert call(platform, "POST", f"{EMS2}/one/versions/1/image", {})[0] == 202
        platform.wait(0.5)
        assert call(platform, "GET", f"{EMS}/two/versions/1/image")[1]["imageExistsInRegistry"] is True
        assert call(platform, "GET", f"{EMS}/other/versions/1/image")[1]["imageExistsInRegistry"] is False

    @pytest.mark.parametrize("where", ["image", "imageoncompute/cpu"])
    def test_a_build_is_watched_to_its_end_and_its_log_grows(self, platform: Any, where: str) -> None:
        """The address is in the body; the log needs no token, and none but its own signature."""
        platform.make("env", condaFile="dependencies: [pip]")
        status, begun = call(platform, "POST", f"{EMS2}/env/versions/1/{where}", {})
        assert status == 202
        seen = []
        for _ in range(3):
            status, told = call(platform, "GET", begun["location"])
            log = platform.send("GET", told["logUrl"], token="")
            seen.append((status, told["status"], log.status_code, len(log.text.splitlines())))
            platform.wait(0.25)
        assert seen == [(202, "Queued", 200, 1), (202, "Running", 200, 3), (200, "Succeeded", 200, 4)]
        assert platform.send("GET", told["logUrl"] + "0", token="").status_code == 403
        assert call(platform, "GET", f"/environment/v2.0{WS}/builds/nothing")[0] == 404

    def test_a_context_is_built_when_it_is_made_and_fails_when_it_is_not_there(self, platform: Any) -> None:
        """The log says why."""
        uri = platform.ask("POST", "codes/c/versions/1/startPendingUpload", {})[1][
            "blobReferenceForConsumption"
        ]
        platform.make("env", image=None, build={"contextUri": f"{uri['blobUri']}/ctx/"})
        platform.wait(0.5)
        assert call(platform, "GET", f"{EMS}/env/versions/1/image")[1]["imageExistsInRegistry"] is False
        _, begun = call(platform, "POST", f"{EMS2}/env/versions/1/image", {})
        platform.wait(0.5)
        status, told = call(platform, "GET", begun["location"])
        log = platform.send("GET", told["logUrl"], token="").text
        assert (status, told["status"]) == (200, "Failed")
        assert "unable to prepare context: ctx/Dockerfile does not exist" in log
        url = uri["credential"]["sasUri"].replace("?", "/ctx/Dockerfile?")
        platform.send("PUT", url, content=b"FROM x", headers={"x-ms-blob-type": "BlockBlob"}, token="")
        call(platform, "POST", f"{EMS2}/env/versions/1/image", {})
        platform.wait(0.5)
        assert call(platform, "GET", begun["location"])[1]["status"] == "Succeeded"


@pytest.mark.parametrize(("offered", "status"), [("missing", 404), ("gone", 410)])
def test_a_workspace_may_no_longer_offer_it(
    new_platform: Callable[..., Any], offered: Any, status: int
) -> None:
    """Where it is missing no host is named either; v2 goes on."""
    platform = new_platform(options=Options(environment_service=offered))
    platform.make("env")
    assert ("experimentation" in platform.send("GET", "/discovery").json()) == (offered == "gone")
    for method, path in (("GET", f"{EMS}/env"), ("GET", f"{EMS}/"), ("POST", f"{EMS2}/env/versions/1/image")):
        found, body = call(platform, method, path)
        assert (found, body["componentName"]) == (status, "environment")


def test_it_is_not_for_everybody(platform: Any) -> None:
    """A token is needed."""
    assert platform.send("GET", f"{EMS}/", token="").status_code == 401
