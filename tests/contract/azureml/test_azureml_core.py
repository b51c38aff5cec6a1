"""azureml-core, the v1 SDK, at the embedded Azure ML's environment service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from reconciler.providers.azureml.emulator import CLIENT, HERE, Options

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def workspace(served: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A workspace of the SDK that finds its services by the platform's discovery."""
    # The SDK keeps there what it discovered; it asks where that is when it is first imported.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", served.ca_file)
    from azureml._vendor.azure_cli_core.cloud import AZURE_PUBLIC_CLOUD
    from azureml.core import Workspace
    from azureml.core.authentication import AbstractAuthentication

    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": CLIENT,
        "scope": "https://management.azure.com/.default",
    }
    trusted = httpx.create_ssl_context(verify=served.ca_file)
    url = f"{served.url}/embedded/oauth2/v2.0/token"
    token = httpx.post(url, data=form, verify=trusted).json()["access_token"]

    class Authentication(AbstractAuthentication):
        """A token that is there; the SDK would ask the real cloud which clouds there are."""

        def __init__(self) -> None:
            self._cloud_type = AZURE_PUBLIC_CLOUD

        def get_authentication_header(self) -> dict[str, str]:
            return {"Authorization": f"Bearer {token}"}

    found = Workspace(
        HERE.subscription,
        HERE.resource_group,
        HERE.name,
        auth=Authentication(),
        _location=HERE.region,
        _disable_service_check=True,
        _workspace_id="0",
    )
    found._discovery_url_internal = f"{served.url}/discovery"
    served.asked  # noqa: B018  # forget these
    yield found


def environment(image: str = "example.com/base:1", **more: Any) -> Any:
    from azureml.core import Environment
    from azureml.core.conda_dependencies import CondaDependencies

    made = Environment("training")
    made.docker.base_image = image
    made.python.conda_dependencies = CondaDependencies.create(
        conda_packages=["numpy"], python_version="3.10", pin_sdk_version=False
    )
    made.environment_variables = more
    return made


def asked(served: Any) -> list[str]:
    """What was asked of the environment service: method, its version, and the path below the workspace."""
    lines = [line.partition(" /environment/") for line in served.asked]
    return [f"{method} {rest[:4]} {rest[4:]}" for method, service, rest in lines if service]


def test_what_v1_registers_both_can_read(workspace: Any, served: Any, credential: Any) -> None:
    """The definition comes back as it was; v2 has the image and the conda file."""
    from azure.mgmt.machinelearningservices import MachineLearningServicesMgmtClient
    from azureml.core import Environment

    made = environment(A="1").register(workspace)
    assert (made.version, asked(served)) == ("1", ["PUT v1.0 environments/training"])
    found = Environment.get(workspace, "training", "1")
    assert found.environment_variables == {"A": "1"}
    assert found.python.conda_dependencies.serialize_to_string() == (
        made.python.conda_dependencies.serialize_to_string()
    )
    with MachineLearningServicesMgmtClient(
        credential, HERE.subscription, base_url=served.url, connection_verify=served.ca_file
    ) as client:
        version = client.environment_versions.get(HERE.resource_group, HERE.name, "training", "1")
        assert version.properties.image == "example.com/base:1"
        assert '"numpy"' in version.properties.conda_file


def test_registering_makes_a_version_only_when_something_changed(workspace: Any) -> None:
    """By image, by variable; and read without a version it is the latest."""
    from azureml.core import Environment

    versions = [
        one.register(workspace).version
        for one in (
            environment(),
            environment(),
            environment("example.com/base:2"),
            environment("example.com/base:2", A="1"),
            environment(),
        )
    ]
    assert versions == ["1", "1", "2", "3", "1"]
    assert Environment.get(workspace, "training").version == "3"
    assert Environment.get(workspace, "training", label="latest").version == "3"


def test_what_v2_made_v1_can_read(workspace: Any, ml_client: Any) -> None:
    """An image with a conda file, a build context; beside the vendor's own."""
    from azure.ai.ml.entities import BuildContext
    from azure.ai.ml.entities import Environment as Newer
    from azureml.core import Environment

    conda = {"name": "x", "dependencies": ["python=3.10", {"pip": ["pandas"]}]}
    environments = ml_client.environments
    environments.create_or_update(Newer(name="a", version="1", image="example.com/base:1", conda_file=conda))
    context = BuildContext(path="https://acct.example.com/c/ctx/")
    environments.create_or_update(Newer(name="b", version="7", build=context))
    listed = Environment.list(workspace)
    assert sorted(name for name in listed if not name.startswith("AzureML-")) == ["a", "b"]
    assert (listed["a"].docker.base_image, list(listed["a"].python.conda_dependencies.pip_packages)) == (
        "example.com/base:1",
        ["pandas"],
    )
    assert (listed["b"].version, listed["b"].docker.build_context.location) == (
        "7",
        "https://acct.example.com/c/ctx/",
    )


def test_an_image_is_built_watched_and_found(workspace: Any, served: Any) -> None:
    """Found where the workspace keeps its images."""
    made = environment().register(workspace)
    assert made.get_image_details(workspace).image_exist is False
    asked(served)
    build = made.build(workspace)
    build.wait_for_completion(show_output=True)
    assert build.status == "Succeeded"
    assert asked(served)[:2] == [
        "PUT v1.0 environments/training/versions/1",
        "POST v2.0 environments/training/versions/1/image",
    ]
    details = made.get_image_details(workspace)
    assert details.image_exist is True
    assert details.image.rpartition("_")[0].endswith(".azurecr.io/azureml/azureml")


def test_a_label_names_a_version(workspace: Any) -> None:
    """Until it names another."""
    from azureml.core import Environment

    for image in ("example.com/base:1", "example.com/base:2"):
        version = environment(image).register(workspace).version
        Environment.label(workspace, "training", version, ["Prod"])
        assert Environment.get(workspace, "training", label="Prod").docker.base_image == image


@pytest.mark.parametrize("served", [Options(environment_service="gone")], indirect=True)
def test_a_workspace_that_no_longer_offers_it_says_so(workspace: Any) -> None:
    """In words that the SDK repeats."""
    with pytest.raises(Exception, match="The environment service has been retired"):
        environment().register(workspace)
