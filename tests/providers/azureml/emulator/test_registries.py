"""Registries: two doors, and what is shared to one."""

from __future__ import annotations

from typing import Any

GROUP = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/embedded"
ML = "providers/Microsoft.MachineLearningServices"
REG = f"{GROUP}/{ML}/registries/embedded-registry"
BODY = {"properties": {"image": "example.com/base:1", "condaFile": "dependencies: [pip]"}}


def test_a_version_takes_a_moment_at_the_resource_managers_door(platform: Any) -> None:
    """201 with the operation's address; then it is as in a workspace."""
    path = f"{REG}/environments/env/versions/1"
    response = platform.send("PUT", f"{path}?api-version=2025-12-01", json=BODY)
    made = response.json()
    assert (response.status_code, made["id"], made["type"]) == (
        201,
        path,
        "Microsoft.MachineLearningServices/registries/environments/versions",
    )
    assert (response.headers["x-ms-async-operation-timeout"], response.headers["retry-after"]) == (
        "PT1H",
        "1",
    )
    operation = response.headers["azure-asyncoperation"]
    assert platform.ask("GET", operation)[1]["status"] == "Creating"
    platform.wait(0.2)
    assert platform.ask("GET", operation)[1]["status"] == "Succeeded"
    _, found = platform.ask("GET", path)
    assert (found["properties"]["provisioningState"], found["properties"]["condaFile"]) == (
        "Succeeded",
        '{\n  "dependencies": [\n    "pip"\n  ]\n}',
    )
    assert platform.names(f"{REG}/environments") == ["env"]
    assert platform.names(f"{REG}/environments/env/versions") == ["1"]
    changed = {"properties": {"image": "example.com/base:2"}}
    assert platform.ask("PUT", path, changed)[0] == 409


def test_an_environment_is_archived_and_deleted_there(platform: Any) -> None:
    """Deletion is 202 with the address of a result, then 204."""
    path = f"{REG}/environments/env"
    platform.ask("PUT", f"{path}/versions/1", BODY)
    status, body = platform.ask("PUT", path, {"properties": {"isArchived": True}})
    assert (status, body["properties"]["isArchived"]) == (201, True)
    assert platform.names(f"{REG}/environments") == []
    for one in (f"{path}/versions/1", path):
        response = platform.send("DELETE", f"{one}?api-version=2025-12-01")
        assert response.status_code == 202
        assert platform.ask("GET", response.headers["location"])[0] == 202
        platform.wait(0.2)
        assert platform.ask("GET", response.headers["location"])[0] == 200
        assert platform.ask("DELETE", one)[0] == 204


def test_the_other_door_answers_202_and_null(platform: Any) -> None:
    """Found by the registry's name; a place for files first, which says when the version is taken."""
    found = platform.send(
        "GET", "/registrymanagement/v1.0/registries/Embedded-Registry/discovery", token=""
    ).json()
    assert (found["resourceGroup"], found["primaryRegion"]) == ("embedded", "eastus")
    door = f"{found['primaryRegionResourceProviderUri']}mferp/managementfrontend{REG}"
    upload = f"{door}/tempdatarefs/env/versions/1?api-version=2021-10-01-dataplanepreview"
    version = f"{door}/environments/env/versions/1?api-version=2021-10-01-dataplanepreview"
    reference = {"assetId": "azureml://registries/r/environments/env/versions/1"}
    status, place = platform.ask("PUT", upload, reference)
    assert (status, place["blobReferenceForConsumption"]["credential"]["credentialType"]) == (200, "SAS")
    response = platform.send("PUT", version, json=BODY)
    location = response.headers["location"]
    assert (response.status_code, response.content, response.headers["x-ms-async-operation-timeout"]) == (
        202,
        b"null",
        "PT1H",
    )
    assert location.startswith("https://azureml/environment/v1.0/operations/")
    assert platform.ask("GET", location) == (202, None)
    platform.wait(0.2)
    assert platform.ask("GET", location) == (200, None)
    _, made = platform.ask("GET", version)
    assert (made["id"], made["properties"]["image"]) == (
        "azureml://registries/embedded-registry/environments/env/versions/1",
        "example.com/base:1",
    )
    assert platform.ask("PUT", upload, reference)[0] == 409
    assert platform.send("GET", "/registrymanagement/v1.0/registries/nothing/discovery").status_code == 404


DESTINATION = {
    "destinationName": "shared",
    "destinationVersion": "5",
    "registryName": "embedded-registry",
}


class TestSharing:
    def test_a_version_is_copied(self, platform: Any) -> None:
        """202; also when it is archived here, and also a second time."""
        platform.make("env", condaFile="dependencies: [pip]", tags={"a": "b"}, isArchived=True)
        for _ in range(2):
            path = (
                f"{GROUP}/{ML}/workspaces/embedded/environments/env/versions/1/publish?api-version=2025-12-01"
            )
            response = platform.send("POST", path, json=DESTINATION)
            assert response.status_code == 202
            platform.wait(0.2)
            assert platform.ask("GET", response.headers["location"])[0] == 200
        _, found = platform.ask("GET", f"{REG}/environments/shared/versions/5")
        assert (found["properties"]["tags"], found["properties"]["isArchived"]) == ({"a": "b"}, False)

    def test_the_registry_can_be_asked_for_it_too(self, platform: Any) -> None:
        """At its other door, by the id that a version has in all the world."""
        platform.make("env", image="example.com/base:7")
        guid = platform.ask("GET", "")[1]["properties"]["workspaceId"]
        door = f"/mferp/managementfrontend{REG}/import?api-version=2021-10-01-dataplanepreview"
        source = f"azureml://locations/eastus/workspaces/{guid}/environments/env/versions/1"
        named = {"destinationName": "shared", "destinationVersion": "5", "referenceType": "Id"}
        response = platform.send("POST", door, json={"properties": {**named, "sourceAssetId": source}})
        assert (response.status_code, response.content) == (202, b"null")
        platform.wait(0.2)
        assert platform.ask("GET", response.headers["location"]) == (200, None)
        _, found = platform.ask("GET", f"{REG}/environments/shared/versions/5")
        assert found["properties"]["image"] == "example.com/base:7"
        for wrong in ("x", "azureml://registries/azureml/environments/a/versions/1", source[:-1] + "2"):
            body = {"properties": {**named, "sourceAssetId": wrong}}
            assert platform.ask("POST", door, body)[0] == 400

    def test_what_cannot_be_copied_is_refused(self, platform: Any) -> None:
        """Nothing to share, nowhere to share it, another definition there, half an address."""
        platform.make("env")
        path = "environments/env/versions/1/publish"
        assert platform.ask("POST", "environments/env/versions/2/publish", DESTINATION)[0] == 404
        assert platform.ask("POST", path, {**DESTINATION, "registryName": "nothing"})[0] == 404
        assert platform.ask("POST", path, {"registryName": "embedded-registry"})[0] == 400
        assert platform.ask("POST", path, DESTINATION)[0] == 202
        platform.make("env", "2", image="example.com/base:2")
        assert platform.ask("POST", "environments/env/versions/2/publish", DESTINATION)[0] == 409
