"""The vendor's clients of the resource manager's API, at two of its versions, at the embedded Azure ML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.providers.azureml.emulator import HERE, Options

pytestmark = pytest.mark.filterwarnings("ignore")

GROUP, NAME = HERE.resource_group, HERE.name
CONDA = "channels:\n- conda-forge\ndependencies:\n- python=3.10\n- pip\n"


@pytest.fixture(params=["2025-12-01", "2023-04-01"])
def client(request: pytest.FixtureRequest, served: Any, credential: Any) -> Iterator[Any]:
    """The client that azure-ai-ml brings along, and the published one, which is older."""
    if request.param == "2025-12-01":
        from azure.ai.ml._restclient.arm_ml_service import MachineLearningServicesMgmtClient as Client
    else:
        from azure.mgmt.machinelearningservices import MachineLearningServicesMgmtClient as Client
    with Client(
        credential,
        HERE.subscription,
        base_url=served.url,
        connection_verify=served.ca_file,
        retry_total=0,
        polling_interval=0,
    ) as client:
        client.version = request.param
        yield client


def models(client: Any) -> Any:
    if client.version == "2025-12-01":
        from azure.ai.ml._restclient.arm_ml_service import models

        return models
    from azure.mgmt.machinelearningservices import models as older

    return older


def version(client: Any, **properties: Any) -> Any:
    kinds = models(client)
    return kinds.EnvironmentVersion(properties=kinds.EnvironmentVersionProperties(**properties))


def put(client: Any, number: str = "1", **properties: Any) -> Any:
    wanted = {"image": "example.com/base:1", "conda_file": CONDA, **properties}
    return client.environment_versions.create_or_update(GROUP, NAME, "env", number, version(client, **wanted))


def test_every_field_goes_there_and_back(client: Any, served: Any) -> None:
    """As models that the client made itself, and of the version of the API that it speaks."""
    kinds = models(client)
    route = kinds.Route(path="/score", port=8080)
    put(
        client,
        description="d",
        tags={"a": "b"},
        properties={"c": "d"},
        os_type="Linux",
        auto_rebuild="OnBaseImageUpdate",
        inference_config=kinds.InferenceContainerProperties(scoring_route=route),
    )
    found = client.environment_versions.get(GROUP, NAME, "env", "1")
    inner = found.properties
    assert (found.name, inner.description, inner.tags, inner.properties, inner.image) == (
        "1",
        "d",
        {"a": "b"},
        {"c": "d"},
        "example.com/base:1",
    )
    assert (inner.os_type, inner.auto_rebuild, inner.environment_type, inner.is_archived) == (
        "Linux",
        "OnBaseImageUpdate",
        "UserCreated",
        False,
    )
    assert (inner.inference_config.scoring_route.path, inner.inference_config.scoring_route.port) == (
        "/score",
        8080,
    )
    assert found.system_data.created_at.microsecond is not None
    assert all(f"api-version={client.version}" in line for line in served.asked if "environments" in line)


def test_what_was_read_can_be_put_back_archived(client: Any) -> None:
    """Its conda file is JSON text by then; the definition is the same."""
    put(client)
    found = client.environment_versions.get(GROUP, NAME, "env", "1")
    found.properties.is_archived = True
    again = client.environment_versions.create_or_update(GROUP, NAME, "env", "1", found)
    assert (again.properties.is_archived, again.system_data.last_modified_at) == (
        True,
        found.system_data.last_modified_at,
    )
    assert list(client.environment_versions.list(GROUP, NAME, "env", list_view_type="ActiveOnly")) == []
    (listed,) = client.environment_versions.list(GROUP, NAME, "env", list_view_type="ArchivedOnly")
    assert listed.name == "1"


@pytest.mark.parametrize("served", [Options(page_size=2)], indirect=True)
def test_lists_are_read_over_their_pages_and_in_order(client: Any) -> None:
    """Containers and versions."""
    for number in "12345":
        put(client, number, image=f"example.com/base:{number}")
    for order, expected in (("createdtime asc", "12345"), ("createdtime desc", "54321")):
        found = client.environment_versions.list(
            GROUP, NAME, "env", list_view_type="All", order_by=order, top=2
        )
        assert "".join(one.name for one in found) == expected
    names = [one.name for one in client.environment_containers.list(GROUP, NAME, list_view_type="All")]
    assert (names[0], len(names)) == ("env", 4)


def test_a_container_is_described_archived_and_deleted(client: Any) -> None:
    """The model that was read is the model that is put."""
    put(client)
    container = client.environment_containers.get(GROUP, NAME, "env")
    assert (container.properties.latest_version, container.properties.next_version) == ("1", "2")
    container.properties.description = "for training"
    container.properties.is_archived = True
    put_back = client.environment_containers.create_or_update(GROUP, NAME, "env", container)
    assert (put_back.properties.description, put_back.properties.is_archived) == ("for training", True)
    assert client.environment_versions.get(GROUP, NAME, "env", "1").properties.is_archived is True
    client.environment_versions.delete(GROUP, NAME, "env", "1")
    client.environment_containers.delete(GROUP, NAME, "env")
    client.environment_containers.delete(GROUP, NAME, "env")
    from azure.core.exceptions import ResourceNotFoundError

    with pytest.raises(ResourceNotFoundError) as caught:
        client.environment_containers.get(GROUP, NAME, "env")
    assert caught.value.error is not None
    assert caught.value.error.code == "UserError"


def test_a_conflict_and_a_bad_name_are_errors_of_their_own(client: Any) -> None:
    """409 and 400."""
    from azure.core.exceptions import HttpResponseError, ResourceExistsError

    put(client)
    with pytest.raises(ResourceExistsError, match="already registered and cannot be changed"):
        put(client, image="example.com/base:2")
    with pytest.raises(HttpResponseError) as caught:
        client.environment_containers.create_or_update(
            GROUP,
            NAME,
            "Microsoft-x",
            models(client).EnvironmentContainer(properties=models(client).EnvironmentContainerProperties()),
        )
    assert caught.value.status_code == 400


def test_a_registry_is_written_to_the_end(client: Any) -> None:
    """The client polls the operation, and then has the version."""
    done = client.registry_environment_versions.begin_create_or_update(
        GROUP, "embedded-registry", "env", "1", version(client, image="example.com/base:1")
    ).result()
    assert done.properties.image == "example.com/base:1"
    found = client.registry_environment_versions.get(GROUP, "embedded-registry", "env", "1")
    assert found.properties.provisioning_state == "Succeeded"
    client.registry_environment_versions.begin_delete(GROUP, "embedded-registry", "env", "1").result()
    assert list(client.registry_environment_versions.list(GROUP, "embedded-registry", "env")) == []


def test_a_job_and_its_environment(client: Any) -> None:
    """Submitted, listed, cancelled to the end."""
    put(client)
    kinds = models(client)
    job = kinds.JobBase(properties=kinds.CommandJob(command="x", environment_id="azureml:env:1"))
    made = client.jobs.create_or_update(GROUP, NAME, "j1", job)
    assert (made.properties.status, made.properties.environment_id) == ("Starting", "azureml:env:1")
    assert [one.properties.environment_id for one in client.jobs.list(GROUP, NAME)] == ["azureml:env:1"]
    client.jobs.begin_cancel(GROUP, NAME, "j1").result()
    assert client.jobs.get(GROUP, NAME, "j1").properties.status == "Canceled"


def test_an_online_deployment_and_its_environment(client: Any) -> None:
    """Made to the end, listed, and deleted with its endpoint."""
    put(client)
    kinds = models(client)
    endpoint = kinds.OnlineEndpoint(
        location="eastus", properties=kinds.OnlineEndpointProperties(auth_mode="Key")
    )
    client.online_endpoints.begin_create_or_update(GROUP, NAME, "e1", endpoint).result()
    deployment = kinds.OnlineDeployment(
        location="eastus",
        properties=kinds.ManagedOnlineDeployment(environment_id="azureml:env:1", instance_type="S"),
    )
    made = client.online_deployments.begin_create_or_update(GROUP, NAME, "e1", "blue", deployment).result()
    assert (made.properties.provisioning_state, made.properties.environment_id) == (
        "Succeeded",
        "azureml:env:1",
    )
    assert [one.name for one in client.online_deployments.list(GROUP, NAME, "e1")] == ["blue"]
    client.online_endpoints.begin_delete(GROUP, NAME, "e1").result()
    assert list(client.online_endpoints.list(GROUP, NAME)) == []


def test_a_batch_deployment_and_its_environment(client: Any) -> None:
    """The same for the other kind of endpoint."""
    put(client)
    kinds = models(client)
    endpoint = kinds.BatchEndpoint(
        location="eastus", properties=kinds.BatchEndpointProperties(auth_mode="AADToken")
    )
    client.batch_endpoints.begin_create_or_update(GROUP, NAME, "b1", endpoint).result()
    deployment = kinds.BatchDeployment(
        location="eastus", properties=kinds.BatchDeploymentProperties(environment_id="azureml:env:1")
    )
    made = client.batch_deployments.begin_create_or_update(GROUP, NAME, "b1", "d", deployment).result()
    assert made.properties.environment_id == "azureml:env:1"
    assert [one.name for one in client.batch_endpoints.list(GROUP, NAME)] == ["b1"]


def test_where_to_upload_is_told(client: Any) -> None:
    """The default datastore and its secret, and a place for code."""
    kinds = models(client)
    store = client.datastores.get(GROUP, NAME, "workspaceblobstore")
    assert (store.properties.is_default, store.properties.datastore_type) == (True, "AzureBlob")
    secrets = client.datastores.list_secrets(GROUP, NAME, "workspaceblobstore")
    assert "sig=" in secrets.sas_token
    upload = client.code_versions.create_or_get_start_pending_upload(
        GROUP,
        NAME,
        "c",
        "1",
        kinds.PendingUploadRequestDto(pending_upload_type="TemporaryBlobReference"),
    )
    reference = upload.blob_reference_for_consumption
    assert reference.credential.sas_uri.startswith("https://127.0.0.1:")
    code = kinds.CodeVersion(properties=kinds.CodeVersionProperties(code_uri=reference.blob_uri))
    client.code_versions.create_or_update(GROUP, NAME, "c", "1", code)
    assert client.code_versions.get(GROUP, NAME, "c", "1").properties.code_uri == reference.blob_uri


def test_the_workspace_is_found(client: Any) -> None:
    """By its name, in its group, in its subscription."""
    found = client.workspaces.get(GROUP, NAME)
    if client.version == "2025-12-01":
        assert found.properties.discovery_url.endswith("/discovery")
    else:
        assert found.discovery_url.endswith("/discovery")
    assert [one.name for one in client.workspaces.list_by_resource_group(GROUP)] == [NAME]
    assert [one.name for one in client.workspaces.list_by_subscription()] == [NAME]
