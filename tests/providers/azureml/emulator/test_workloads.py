"""Jobs, endpoints and deployments: what uses an environment."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.providers.azureml.emulator import set_job_status

WS = (
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/embedded"
    "/providers/Microsoft.MachineLearningServices/workspaces/embedded"
)


@pytest.fixture
def used(platform: Any) -> Any:
    """A platform with an environment to use, here and in its registry."""
    platform.make("env")
    body = {"destinationName": "env", "destinationVersion": "1", "registryName": "embedded-registry"}
    assert platform.ask("POST", "environments/env/versions/1/publish", body)[0] == 202
    return platform


def references(platform: Any) -> list[str]:
    guid = platform.ask("GET", "")[1]["properties"]["workspaceId"]
    return [
        "azureml:env:1",
        "azureml:env@latest",
        f"{WS}/environments/env/versions/1",
        f"{WS.upper()}/environments/env/versions/1",
        f"azureml:{WS}/environments/env/versions/1",
        "azureml://registries/embedded-registry/environments/env/versions/1",
        "azureml://registries/embedded-registry/environments/env/labels/latest",
        "azureml://registries/azureml/environments/anything/versions/7",
        f"azureml://locations/eastus/workspaces/{guid}/environments/env/versions/1",
    ]


def job(reference: Any = "azureml:env:1", **more: Any) -> dict[str, Any]:
    return {"properties": {"jobType": "Command", "command": "pip freeze", "environmentId": reference, **more}}


class TestReferences:
    def test_each_form_is_accepted_and_comes_back_as_it_was_sent(self, used: Any) -> None:
        """By one job and by a list, and by a deployment."""
        used.ask("PUT", "onlineEndpoints/e", {"properties": {}})
        for number, reference in enumerate(references(used)):
            status, made = used.ask("PUT", f"jobs/j{number}", job(reference))
            assert (status, made["properties"]["environmentId"]) == (201, reference)
            assert used.ask("GET", f"jobs/j{number}") == (200, made)
            body = {"properties": {"environmentId": reference}}
            status, deployed = used.ask("PUT", f"onlineEndpoints/e/deployments/d{number}", body)
            assert (status, deployed["properties"]["environmentId"]) == (201, reference)
        _, listed = used.ask("GET", "jobs")
        assert [one["properties"]["environmentId"] for one in listed["value"]] == references(used)[::-1]

    @pytest.mark.parametrize(
        "reference",
        [
            None,
            "",
            7,
            "env",
            "env:1",
            "azureml:env",
            "azureml:env:2",
            "azureml:nothing:1",
            "azureml:nothing@latest",
            f"{WS}x/environments/env/versions/1",
            "azureml://registries/nothing/environments/env/versions/1",
            "azureml://registries/embedded-registry/environments/env/versions/2",
            "azureml://locations/eastus/workspaces/0/environments/env/versions/1",
        ],
    )
    def test_one_that_leads_nowhere_is_refused(self, used: Any, reference: Any) -> None:
        """400."""
        status, body = used.ask("PUT", "jobs/j", job(reference))
        assert (status, body["error"]["code"]) == (400, "UserError")

    def test_an_archived_environment_can_be_used(self, used: Any) -> None:
        """It is hidden, not gone."""
        used.make("env", isArchived=True)
        assert used.ask("PUT", "jobs/j", job())[0] == 201


class TestJobs:
    def test_a_job_is_submitted_with_everything_filled_in(self, used: Any) -> None:
        """It starts; nothing was modified since."""
        status, body = used.ask("PUT", "jobs/j1", job(environmentVariables={"A": "1"}, tags={"t": None}))
        properties = body["properties"]
        assert (status, body["id"], body["type"]) == (
            201,
            f"{WS}/jobs/j1",
            "Microsoft.MachineLearningServices/workspaces/jobs",
        )
        assert sorted(body["systemData"]) == ["createdAt", "createdBy", "createdByType"]
        assert (properties["status"], properties["displayName"], properties["experimentName"]) == (
            "Starting",
            "j1",
            "Default",
        )
        assert (properties["environmentVariables"], properties["tags"]) == ({"A": "1"}, {"t": None})
        assert properties["resources"] == {
            "instanceCount": 1,
            "instanceType": None,
            "properties": None,
            "shmSize": "2g",
            "dockerArgs": None,
        }
        assert sorted(properties["services"]) == ["Studio", "Tracking"]

    @pytest.mark.parametrize(
        ("properties", "is_fine"),
        [
            ({"jobType": "Sweep", "trial": {"command": "x", "environmentId": "azureml:env:1"}}, True),
            ({"jobType": "Sweep", "trial": {"environmentId": "azureml:env:2"}}, False),
            ({"jobType": "Sweep"}, False),
            ({"jobType": "Pipeline", "jobs": {}}, True),
            ({"jobType": "AutoML"}, True),
            ({"jobType": "AutoML", "environmentId": "azureml:env:2"}, False),
            ({"jobType": "Spark", "environmentId": "azureml:env:1"}, True),
            ({"jobType": "Spark"}, False),
            ({"jobType": "Poem"}, False),
            ({}, False),
        ],
    )
    def test_each_kind_names_its_environment_in_its_place(
        self, used: Any, properties: dict[str, Any], is_fine: bool
    ) -> None:
        """Or needs none."""
        assert used.ask("PUT", "jobs/j", {"properties": properties})[0] == (201 if is_fine else 400)

    def test_jobs_are_listed_by_kind_tag_property_and_view(self, used: Any) -> None:
        """Newest first."""
        used.ask("PUT", "jobs/a", job(tags={"team": "x"}, properties={"p": "1"}))
        used.ask("PUT", "jobs/b", job(tags={"other": "x"}, properties={"p": "2"}, isArchived=True))
        used.ask("PUT", "jobs/c", {"properties": {"jobType": "Pipeline"}})
        found = [
            used.names("jobs", **query)
            for query in (
                {},
                {"listViewType": "All"},
                {"jobType": "Command"},
                {"tag": "team"},
                {"tag": "nothing"},
                {"properties": "p=2", "listViewType": "All"},
                {"properties": "p", "listViewType": "All"},
            )
        ]
        assert found == [["c", "a"], ["c", "b", "a"], ["a"], ["a"], [], ["b"], ["b", "a"]]

    def test_a_job_can_be_described_anew_and_not_changed(self, used: Any) -> None:
        """409 for another command."""
        used.ask("PUT", "jobs/j", job())
        status, body = used.ask("PUT", "jobs/j", job(description="d", isArchived=True))
        assert (status, body["properties"]["description"], body["properties"]["isArchived"]) == (
            200,
            "d",
            True,
        )
        assert used.ask("PUT", "jobs/j", job(command="other"))[0] == 409

    def test_a_job_is_cancelled_after_a_moment(self, used: Any) -> None:
        """202, then the operation's address says when."""
        used.ask("PUT", "jobs/j", job())
        response = used.send("POST", f"{WS}/jobs/j/cancel?api-version=2025-12-01")
        location = response.headers["location"]
        assert (response.status_code, response.headers["retry-after"]) == (202, "1")
        assert "/mfeOperationResults/" in location
        assert used.ask("GET", "jobs/j")[1]["properties"]["status"] == "CancelRequested"
        assert used.ask("GET", location) == (202, None)
        used.wait(0.2)
        assert used.ask("GET", location) == (200, None)
        assert used.ask("GET", "jobs/j")[1]["properties"]["status"] == "Canceled"
        assert used.ask("POST", "jobs/j/cancel")[0] == 400
        assert used.ask("POST", "jobs/nothing/cancel")[0] == 404

    def test_a_job_that_has_ended_can_be_deleted(self, used: Any) -> None:
        """Not before."""
        used.ask("PUT", "jobs/j", job())
        assert used.ask("DELETE", "jobs/j")[0] == 409
        set_job_status(used.store, job="j", status="Completed")
        assert used.ask("GET", "jobs/j")[1]["properties"]["status"] == "Completed"
        assert used.ask("DELETE", "jobs/j")[0] == 202
        assert used.ask("DELETE", "jobs/j")[0] == 204
        assert used.ask("GET", "jobs/j")[0] == 404
        with pytest.raises(LookupError, match="no job j"):
            set_job_status(used.store, job="j", status="Running")


@pytest.mark.parametrize("family", ["onlineEndpoints", "batchEndpoints"])
class TestDeployments:
    def test_an_endpoint_takes_a_moment(self, used: Any, family: str) -> None:
        """201 with two addresses; the operation tells of itself, and the endpoint of its state."""
        response = used.send("PUT", f"{WS}/{family}/e?api-version=2025-12-01", json={"properties": {}})
        status_url = response.headers["azure-asyncoperation"]
        assert (response.status_code, response.headers["x-ms-async-operation-timeout"]) == (201, "PT30M")
        assert response.headers["location"] == f"https://azureml{WS}/{family}/e?api-version=2025-12-01"
        assert "/locations/eastus/mfeOperationsStatus/" in status_url
        assert response.json()["properties"]["provisioningState"] == "Creating"
        _, running = used.ask("GET", status_url)
        assert (running["status"], running["percentComplete"], "endTime" in running) == (
            "Updating",
            0.0,
            False,
        )
        used.wait(0.2)
        _, over = used.ask("GET", status_url)
        assert (over["status"], over["percentComplete"], over["name"]) == (
            "Succeeded",
            100.0,
            running["name"],
        )
        assert over["endTime"] > over["startTime"]
        status, endpoint = used.ask("GET", f"{family}/e")
        assert (status, endpoint["properties"]["provisioningState"], endpoint["kind"]) == (
            200,
            "Succeeded",
            "Managed",
        )
        assert used.names(family) == ["e"]

    def test_a_deployment_moves_to_another_environment(self, used: Any, family: str) -> None:
        """By being put again: 200."""
        used.make("env", "2")
        used.ask("PUT", f"{family}/e", {"properties": {}})
        for number, expected in (("1", (201, "Creating")), ("2", (200, "Updating"))):
            body = {"properties": {"environmentId": f"azureml:env:{number}"}}
            status, made = used.ask("PUT", f"{family}/e/deployments/blue", body)
            assert (status, made["properties"]["provisioningState"]) == expected
        used.wait(0.2)
        _, found = used.ask("GET", f"{family}/e/deployments/blue")
        assert (found["properties"]["environmentId"], found["properties"]["provisioningState"]) == (
            "azureml:env:2",
            "Succeeded",
        )
        assert (found["id"], found["sku"]) == (
            f"{WS}/{family}/e/deployments/blue",
            {"name": "Default", "capacity": 1},
        )
        assert used.names(f"{family}/e/deployments", **{"$top": "1"}) == ["blue"]

    def test_what_makes_no_sense_is_refused(self, used: Any, family: str) -> None:
        """No endpoint, no environment, no such environment."""
        body = {"properties": {"environmentId": "azureml:env:1"}}
        assert used.ask("PUT", f"{family}/e/deployments/d", body)[0] == 404
        assert used.ask("GET", f"{family}/e/deployments")[0] == 404
        used.ask("PUT", f"{family}/e", {"properties": {}})
        assert used.ask("PUT", f"{family}/e/deployments/d", {"properties": {}})[0] == 400
        assert used.ask("PUT", f"{family}/e/deployments/d", {"properties": {"model": "m"}})[0] == 201
        wrong = {"properties": {"environmentId": "azureml:env:9"}}
        assert used.ask("PUT", f"{family}/e/deployments/d", wrong)[0] == 400
        assert used.ask("GET", f"{family}/e/deployments/other")[0] == 404

    def test_with_an_endpoint_go_its_deployments(self, used: Any, family: str) -> None:
        """202, then 204."""
        used.ask("PUT", f"{family}/e", {"properties": {}})
        used.ask("PUT", f"{family}/e/deployments/d", {"properties": {"model": "m"}})
        assert used.ask("DELETE", f"{family}/e")[0] == 202
        assert used.ask("DELETE", f"{family}/e")[0] == 204
        used.ask("PUT", f"{family}/e", {"properties": {}})
        assert used.names(f"{family}/e/deployments") == []


def test_an_operation_that_nobody_began_is_not_there(platform: Any) -> None:
    """404."""
    base = "/subscriptions/00000000-0000-4000-8000-000000000001/providers/Microsoft.MachineLearningServices"
    for kind in ("mfeOperationsStatus", "mfeOperationResults"):
        assert platform.ask("GET", f"{base}/locations/eastus/{kind}/x")[0] == 404
